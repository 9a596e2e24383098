"""The sandbox as a whole: one address, a page that works offline, clean starts and stops."""

from __future__ import annotations

import ast
import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox import persona
from sandbox.server import Sandbox
from tests.sandbox.conftest import Hooks
from tests.sandbox.shop import Shop

ROOM = Path(__file__).parents[2] / "sandbox"
BUYER = persona.BUYER.id
SELLER = persona.SELLER.id
PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
CODE = "ES1008257624"


@pytest.fixture
async def page(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=sandbox.url) as client:
        yield client


async def act(page: httpx.AsyncClient, what: str, **wish: Any) -> httpx.Response:
    return await page.post("/act", json={"act": what, **wish})


@asynccontextmanager
async def stream(sandbox: Sandbox) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """The page's stream of states, comments left out."""

    async def states(answer: httpx.Response) -> AsyncIterator[dict[str, Any]]:
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                yield json.loads(line.removeprefix("data: "))

    async with (
        httpx.AsyncClient(timeout=5) as client,
        client.stream("GET", f"{sandbox.url}/stream") as answer,
    ):
        yield states(answer)


# -- the house ---------------------------------------------------------------------------------


def test_the_sandbox_imports_nothing_of_the_bot() -> None:
    for path in ROOM.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            assert not [name for name in names if name.split(".")[0].startswith("escrow")], path


def test_the_page_needs_nothing_from_elsewhere() -> None:
    allowed = ("http://www.w3.org/2000/svg",)
    for name in ("page.html", "page.css", "page.js"):
        text = (ROOM / name).read_text(encoding="utf-8")
        found = re.findall(r"""(?:src|href|url|import|fetch)\W{1,3}(https?://[^\s"'<>)]+)""", text)
        assert not [url for url in found if url not in allowed], name
        assert "innerHTML" not in text
        assert "play money" in text.lower() or name != "page.html"


# -- starting and stopping ---------------------------------------------------------------------


async def test_everything_has_one_address(sandbox: Sandbox) -> None:
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", sandbox.url)
    assert sandbox.base_url == f"{sandbox.url}/telegram/bot"
    assert sandbox.base_file_url == f"{sandbox.url}/telegram/file/bot"
    assert sandbox.telegram_url == f"{sandbox.url}/telegram"
    assert sandbox.daraja_url == f"{sandbox.url}/daraja"
    assert persona.SHORTCODE == "174379"


async def test_a_taken_port_is_an_oserror(sandbox: Sandbox) -> None:
    other = Sandbox()
    with pytest.raises(OSError, match="address already in use"):
        await other.start(port=int(sandbox.url.rpartition(":")[2]))
    await other.stop()


async def test_stopping_ends_polls_streams_and_timers_at_once() -> None:
    sandbox = Sandbox(prompt_seconds=60)
    await sandbox.start()
    async with httpx.AsyncClient(timeout=5) as client:
        url = f"{sandbox.base_url}{persona.BOT_TOKEN}/getUpdates?timeout=50"
        poll = asyncio.create_task(client.get(url))
        await sandbox.telegram.updates.wait_poll()
        async with stream(sandbox) as states:
            assert (await anext(states))["whole"]
            await asyncio.wait_for(sandbox.stop(), 3)
            await sandbox.stop()
            assert len([state async for state in states]) <= 1
        assert (await poll).json() == {"ok": True, "result": []}


async def test_a_stopped_sandbox_goes_on_where_it_was(sandbox: Sandbox) -> None:
    sandbox.telegram.user_sends(BUYER, "before")
    await sandbox.daraja.pay_paybill(persona.BUYER.phone, CODE, 100)
    port = int(sandbox.url.rpartition(":")[2])
    await sandbox.stop()
    await sandbox.start(port=port)
    url = f"{sandbox.base_url}{persona.BOT_TOKEN}/getUpdates"
    async with httpx.AsyncClient() as client:
        (update,) = (await client.get(url)).json()["result"]
        offset = update["update_id"] + 1
        poll = asyncio.create_task(client.get(url, params={"timeout": 30, "offset": offset}))
        await sandbox.telegram.updates.wait_poll(after=1)
        sandbox.telegram.user_sends(BUYER, "after")
        assert (await poll).json()["result"][0]["message"]["text"] == "after"
    assert len(sandbox.daraja.payments) == 1


# -- the page ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript")],
)
async def test_the_pages_files_are_served(page: httpx.AsyncClient, path: str, kind: str) -> None:
    answer = await page.get(path)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith(kind)
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]


async def test_the_stream_begins_with_everything_then_tells_changes(sandbox: Sandbox) -> None:
    sandbox.telegram.user_sends(BUYER, "first")
    async with stream(sandbox) as states:
        whole = await anext(states)
        assert whole["whole"]
        assert [one["text"] for one in whole["messages"]] == ["first"]
        assert [(one["name"], one["hidden"]) for one in whole["people"]] == [
            ("Asha", False),
            ("Jane", False),
            ("Brian", False),
            ("Otieno", True),
            ("Abdi", True),
        ]
        sandbox.telegram.user_sends(SELLER, "<script>second</script>")
        change = await anext(states)
        assert not change["whole"]
        assert [one["text"] for one in change["messages"]] == ["<script>second</script>"]


async def test_a_visitor_plays_a_person(page: httpx.AsyncClient, sandbox: Sandbox) -> None:
    telegram = sandbox.telegram
    link = f"https://t.me/{telegram.username}?start={CODE}"
    await act(page, "send", user=BUYER, text=" /help ")
    await act(page, "start", user=persona.STRANGER.id)
    await act(page, "link", user=BUYER, url=link)
    await act(page, "contact", user=BUYER)
    await act(page, "photo", user=BUYER, content=base64.b64encode(PNG).decode(), caption="it")
    words = [message.text for message in telegram.messages.values()]
    assert words == ["/help", "/start", f"/start {CODE}", "", "it"]
    contact = telegram.chat(BUYER)[2].media["contact"]
    assert contact["phone_number"] == f"+{persona.BUYER.phone}"
    shown = sandbox.page.state()["messages"][-1]
    assert (await page.get(f"/photo/{shown['photo']}")).content == PNG
    await act(page, "block", user=BUYER)
    assert telegram.people[BUYER].blocked
    await act(page, "block", user=BUYER)
    assert not telegram.people[BUYER].blocked


async def test_a_visitor_taps_and_sees_the_answer(
    page: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    bot = f"{sandbox.base_url}{persona.BOT_TOKEN}"
    keyboard = {"inline_keyboard": [[{"text": "Pay", "callback_data": "pay:1"}]]}
    await page.post(
        f"{bot}/sendMessage", json={"chat_id": BUYER, "text": "?", "reply_markup": keyboard}
    )
    message = sandbox.telegram.chat(BUYER)[0]
    async with stream(sandbox) as states:
        assert (await anext(states))["answers"] == []
        await act(page, "tap", user=BUYER, message=message.id, data="pay:1")
        (tap,) = sandbox.telegram.taps.values()
        await page.post(
            f"{bot}/answerCallbackQuery", json={"callback_query_id": tap.id, "text": "Look!"}
        )
        async for state in states:
            if state["answers"]:
                assert state["answers"][0]["text"] == "Look!"
                break


async def test_an_invitation_is_shown_and_can_be_passed_on(
    page: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    url = sandbox.invite(BUYER, CODE, "Jane sent you a link.")
    assert url == f"https://t.me/AmanaSandboxBot?start={CODE}"
    await act(page, "forward", user=SELLER, to=BUYER, url=url)
    assert [one["url"] for one in sandbox.page.state()["invitations"]] == [url, url]
    refused = await act(page, "forward", user=SELLER, to=BUYER, url="https://example.org/")
    assert refused.status_code == 400


@pytest.mark.parametrize(
    ("outcome", "result"),
    [("paid", 0), ("cancelled", 1032), ("wrong_pin", 2001), ("no_funds", 1), ("expired", 1037)],
)
async def test_the_phone_asks_for_the_pin(
    page: httpx.AsyncClient, sandbox: Sandbox, hooks: Hooks, outcome: str, result: int
) -> None:
    async with httpx.AsyncClient(base_url=sandbox.daraja_url) as client:
        shop = Shop(client, sandbox.daraja, hooks.url)
        await shop.authorise()
        await shop.push()
    phones = sandbox.page.state()["mpesa"]["phones"]
    (prompt,) = next(one for one in phones if one["number"] == persona.BUYER.phone)["prompts"]
    assert (prompt["amount"], prompt["account"]) == ("105", CODE)
    answer = await act(page, "pin", checkout=prompt["checkout"], outcome=outcome)
    assert answer.status_code == 200
    (hit,) = await hooks.wait(1)
    assert hit.body["Body"]["stkCallback"]["ResultCode"] == result
    again = await act(page, "pin", checkout=prompt["checkout"], outcome=outcome)
    assert again.status_code == 400


async def test_the_paybill_form_takes_any_amount_and_account(
    page: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    wish = {"phone": persona.BUYER.phone, "shortcode": "174379", "account": "es 100"}
    await act(page, "paybill", **wish, amount="98.50")
    await sandbox.daraja.settle()
    (payment,) = sandbox.daraja.payments.values()
    assert (payment.amount, payment.account) == (Decimal("98.50"), "es 100")
    for amount in ("0", "-1", "x", "NaN", "1e999", "0.001", "1000001"):
        assert (await act(page, "paybill", **wish, amount=amount)).status_code == 400
    sms = sandbox.page.state()["mpesa"]["phones"][2]["sms"]
    assert len(sms) == 1


async def test_the_form_is_filled_with_the_newest_code_a_buyer_saw(sandbox: Sandbox) -> None:
    assert sandbox.page.latest_code() == ""
    sandbox.telegram.user_sends(SELLER, "ES1111111111")
    sandbox.telegram.user_sends(BUYER, f"/start {CODE}")
    assert sandbox.page.latest_code() == CODE


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'{"act": "nothing"}',
        b'{"act": "send", "user": 7, "text": "x"}',
        b'{"act": "send", "user": 3001, "text": " "}',
        b'{"act": "link", "user": 3001, "url": "https://example.org"}',
        b'{"act": "photo", "user": 3001, "content": "%%"}',
    ],
)
async def test_nonsense_is_400(page: httpx.AsyncClient, body: bytes) -> None:
    answer = await page.post("/act", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert "error" in answer.json()


async def test_other_sites_cannot_post_forms(page: httpx.AsyncClient) -> None:
    assert (await page.post("/act", data={"act": "send"})).status_code == 415


async def test_a_sandbox_can_be_empty_of_people() -> None:
    async with Sandbox(people=False) as sandbox:
        assert sandbox.page.state()["people"] == []


async def test_files_replies_and_reactions_are_shown(
    page: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    telegram = sandbox.telegram
    first = telegram.user_sends(BUYER, "hello")
    content = base64.b64encode(b"OggS").decode()
    wish = {"user": BUYER, "content": content, "name": "a.ogg", "kind": "voice"}
    assert (await act(page, "file", **wish, reply=first.id)).status_code == 200
    await act(page, "file", user=BUYER, content=content, name="a.pdf")
    assert (await act(page, "file", **{**wish, "kind": "hologram"})).status_code == 400
    voice, document = telegram.chat(BUYER)[1:]
    voice.reaction = "👍"
    shown = sandbox.page.state()["messages"]
    found = {one["id"]: one for one in shown}
    assert (found[voice.id]["reply"], found[voice.id]["reaction"]) == ("hello", "👍")
    assert found[document.id]["document"] == "a.pdf"
    saved = await page.get(f"/document/{found[document.id]['file']}")
    assert saved.content == b"OggS"
    assert saved.headers["content-disposition"] == "attachment; filename*=UTF-8''a.pdf"
    assert saved.headers["content-type"] == "application/octet-stream"
    assert (await page.get("/document/nothing")).status_code == 404
    served = await page.get(f"/photo/{found[voice.id]['sound']}")
    assert served.headers["content-type"] == "audio/ogg"
    assert served.content == b"OggS"


# -- the crypto wallet -------------------------------------------------------------------------


async def handed_out(sandbox: Sandbox, hooks: Hooks, coin: str) -> dict[str, Any]:
    """The bot tells the buyer an address of that coin; how the page's wallet shows it."""
    tag = ""
    if coin == "BTC":
        async with httpx.AsyncClient(headers={"apikey": "sandbox"}) as client:
            wish = {"callback": f"{hooks.url}/hooks/b/s/t", "pending": "1"}
            answer = await client.get(f"{sandbox.blockbee_url}/btc/create/", params=wish)
        address, amount = answer.json()["address_in"], "0.00105"
    else:
        headers = {"x-api-key": persona.DYNOPAY_API_KEY}
        body = {"amount": 105, "currency": coin, "webhook_url": f"{hooks.url}/hooks/d/s/t"}
        async with httpx.AsyncClient(headers=headers) as client:
            answer = await client.post(f"{sandbox.dynopay_url}/user/cryptoPayment", json=body)
        said = answer.json()["data"]
        address, amount, tag = said["address"], str(said["amount"]), str(said["destination_tag"])
    copied = [("Address", address), ("Amount", amount), ("Tag", tag)]
    rows = [[{"text": words, "copy_text": {"text": text}}] for words, text in copied if text]
    async with httpx.AsyncClient() as client:
        await client.post(
            f"{sandbox.base_url}{persona.BOT_TOKEN}/sendMessage",
            json={"chat_id": BUYER, "text": "Send", "reply_markup": {"inline_keyboard": rows}},
        )
    (shown,) = sandbox.page.state()["coins"]
    assert (shown["user"], shown["address"], shown["amount"]) == (BUYER, address, amount)
    return dict(shown)


@pytest.mark.parametrize("coin", ["BTC", "XRP"])
@pytest.mark.parametrize(
    ("part", "sent"),
    [("all", "1"), ("less", "0.933333"), ("more", "1.047619")],
)
async def test_a_visitor_sends_coins_to_an_address_he_was_given(
    page: httpx.AsyncClient, sandbox: Sandbox, hooks: Hooks, coin: str, part: str, sent: str
) -> None:
    shown = await handed_out(sandbox, hooks, coin)
    assert (await act(page, "coins", id=shown["id"], part=part)).status_code == 200
    await sandbox.daraja.settle()
    assert hooks.hits
    (after,) = sandbox.page.state()["coins"][0]["sent"]
    assert after["state"] == "confirmed"
    share = Decimal(after["amount"]) / Decimal(shown["amount"])
    assert abs(share - Decimal(sent)) < Decimal("0.001")


@pytest.mark.parametrize("coin", ["BTC", "XRP"])
async def test_coins_are_on_their_way_until_the_visitor_confirms_them(
    page: httpx.AsyncClient, sandbox: Sandbox, hooks: Hooks, coin: str
) -> None:
    shown = await handed_out(sandbox, hooks, coin)
    await act(page, "coins", id=shown["id"], part="all", later=True)
    await sandbox.daraja.settle()
    (coming,) = sandbox.page.state()["coins"][0]["sent"]
    assert coming["state"] == "on its way"
    heard = len(hooks.hits)
    assert heard == 1
    assert (await act(page, "confirm", number=coming["number"])).status_code == 200
    await sandbox.daraja.settle()
    assert len(hooks.hits) > heard
    assert sandbox.page.state()["coins"][0]["sent"][0]["state"] == "confirmed"
    assert (await act(page, "confirm", number=coming["number"])).status_code == 400


async def test_nothing_is_sent_to_an_address_nobody_was_given(
    page: httpx.AsyncClient, sandbox: Sandbox, hooks: Hooks
) -> None:
    assert sandbox.page.state()["coins"] == []
    assert (await act(page, "coins", id="bc1qnobody:", part="all")).status_code == 400
    assert (await act(page, "confirm", number=0)).status_code == 400
    shown = await handed_out(sandbox, hooks, "BTC")
    assert (await act(page, "coins", id=shown["id"], part="everything")).status_code == 400
