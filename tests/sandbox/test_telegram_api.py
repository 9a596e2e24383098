"""The stand-in Bot API, driven by python-telegram-bot over HTTP: it keeps Telegram's rules."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from aiohttp import web
from telegram import (
    Bot,
    BotCommand,
    BotCommandScopeChat,
    CopyTextButton,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    KeyboardButton,
    ReplyKeyboardMarkup,
    ReplyKeyboardRemove,
    Update,
)
from telegram.error import (
    BadRequest,
    Conflict,
    Forbidden,
    NetworkError,
    RetryAfter,
    TimedOut,
)
from telegram.ext import (
    Application,
    CallbackQueryHandler,
    CommandHandler,
    ContextTypes,
    MessageHandler,
    filters,
)

from sandbox import persona
from sandbox.server import Sandbox

BUYER = persona.BUYER.id
SELLER = persona.SELLER.id
STRANGER = persona.STRANGER.id
PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)


@pytest.fixture
async def bot(sandbox: Sandbox) -> AsyncIterator[Bot]:
    async with Bot(
        persona.BOT_TOKEN, base_url=sandbox.base_url, base_file_url=sandbox.base_file_url
    ) as running:
        yield running


def one_button(**kind: Any) -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup([[InlineKeyboardButton("Go", **kind)]])


def refused(words: str) -> Any:
    """A 400 with those words (the library writes their first letter large)."""
    return pytest.raises(BadRequest, match=re.compile(re.escape(words), re.IGNORECASE))


async def raw(sandbox: Sandbox, method: str, **params: Any) -> httpx.Response:
    """A call that python-telegram-bot would not let through."""
    async with httpx.AsyncClient() as client:
        return await client.post(f"{sandbox.base_url}{persona.BOT_TOKEN}/{method}", json=params)


# -- who may call, and how ---------------------------------------------------------------------


async def test_get_me_names_the_bot(bot: Bot) -> None:
    me = await bot.get_me()
    assert (me.id, me.username, me.is_bot) == (1000000, "AmanaSandboxBot", True)


async def test_a_wrong_token_is_401(sandbox: Sandbox) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{sandbox.base_url}1000000:wrong/getMe")
    assert answer.status_code == 401
    assert answer.json()["description"] == "Unauthorized"


async def test_an_unknown_method_is_404(sandbox: Sandbox) -> None:
    answer = await raw(sandbox, "sendMoney")
    assert answer.status_code == 404
    assert answer.json() == {
        "ok": False,
        "error_code": 404,
        "description": "Not Found: method not found",
    }


@pytest.mark.parametrize("way", ["query", "form", "json", "multipart"])
async def test_parameters_come_in_every_form(sandbox: Sandbox, way: str) -> None:
    url = f"{sandbox.base_url}{persona.BOT_TOKEN}/sendMessage"
    fields: dict[str, Any] = {"chat_id": str(BUYER), "text": "hello"}
    async with httpx.AsyncClient() as client:
        sent: dict[str, Callable[[], Any]] = {
            "query": lambda: client.get(url, params=fields),
            "form": lambda: client.post(url, data=fields),
            "json": lambda: client.post(url, json=fields),
            "multipart": lambda: client.post(url, data=fields, files={"other": b"x"}),
        }
        answer = await sent[way]()
    assert answer.json()["result"]["text"] == "hello"


# -- updates -----------------------------------------------------------------------------------


async def test_updates_stay_until_an_offset_confirms_them(sandbox: Sandbox, bot: Bot) -> None:
    sandbox.telegram.user_sends(BUYER, "/start ES1")
    sandbox.telegram.user_sends(BUYER, "again")
    first = await bot.get_updates(limit=1)
    assert [update.message.text for update in first if update.message] == ["/start ES1"]
    both = await bot.get_updates()
    assert len(both) == 2
    rest = await bot.get_updates(offset=both[0].update_id + 1)
    assert [update.update_id for update in rest] == [both[1].update_id]
    assert not await bot.get_updates(offset=both[1].update_id + 1)


async def test_a_long_poll_ends_with_the_first_update(sandbox: Sandbox, bot: Bot) -> None:
    poll = asyncio.create_task(bot.get_updates(timeout=30))
    await sandbox.telegram.updates.wait_poll()
    sandbox.telegram.user_sends(BUYER, "hi")
    (update,) = await asyncio.wait_for(poll, 5)
    assert update.effective_user is not None
    assert update.effective_user.id == BUYER


async def test_a_newer_poll_ends_an_older_one_with_409(sandbox: Sandbox, bot: Bot) -> None:
    older = asyncio.create_task(bot.get_updates(timeout=30))
    await sandbox.telegram.updates.wait_poll()
    async with Bot(persona.BOT_TOKEN, base_url=sandbox.base_url) as second:
        newer = asyncio.create_task(second.get_updates(timeout=30))
        with pytest.raises(Conflict, match="only one bot instance"):
            await asyncio.wait_for(older, 5)
        sandbox.telegram.user_sends(BUYER, "hi")
        assert len(await asyncio.wait_for(newer, 5)) == 1


async def test_allowed_updates_stay_set_until_named_again(sandbox: Sandbox, bot: Bot) -> None:
    await bot.get_updates(allowed_updates=["callback_query"])
    sandbox.telegram.user_sends(BUYER, "not wanted")
    assert not await bot.get_updates()
    await bot.get_updates(allowed_updates=["message"])
    sandbox.telegram.user_sends(BUYER, "wanted")
    assert len(await bot.get_updates()) == 1


async def test_ids_go_on_after_a_restart(sandbox: Sandbox) -> None:
    before = sandbox.telegram.user_sends(BUYER, "hi")
    first_update = sandbox.telegram.updates.pending[0]["update_id"]
    async with Sandbox() as later:
        after = later.telegram.user_sends(BUYER, "hi")
        assert after.id >= before.id
        assert later.telegram.updates.pending[0]["update_id"] >= first_update
        assert after.id < 2**31


async def test_a_webhook_gets_updates_with_its_secret_until_it_says_200(
    sandbox: Sandbox, bot: Bot
) -> None:
    got: list[tuple[str, dict[str, Any]]] = []
    done = asyncio.Event()

    async def hook(request: web.Request) -> web.Response:
        secret = request.headers["X-Telegram-Bot-Api-Secret-Token"]
        got.append((secret, await request.json()))
        if len(got) == 1:
            return web.Response(status=500)
        done.set()
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", hook)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        sandbox.telegram.updates.retry_seconds = 0.01
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        await bot.set_webhook(url, secret_token="se-cret_1")
        with pytest.raises(Conflict, match="webhook is active"):
            await bot.get_updates()
        sandbox.telegram.user_sends(BUYER, "by webhook")
        await asyncio.wait_for(done.wait(), 5)
        assert [secret for secret, _ in got] == ["se-cret_1"] * 2
        assert got[0] == got[1]
        await sandbox.telegram.updates.wait_empty()
        assert (await bot.get_webhook_info()).url == url
        await bot.delete_webhook()
        assert not await bot.get_updates()
    finally:
        await runner.cleanup()


async def test_a_webhook_secret_has_an_alphabet(bot: Bot) -> None:
    with refused("secret token contains unallowed characters"):
        await bot.set_webhook("https://example.org/x", secret_token="no spaces")


# -- texts -------------------------------------------------------------------------------------


async def test_html_becomes_text_and_entities(bot: Bot) -> None:
    sent = await bot.send_message(
        BUYER,
        "😀 <b>Paid <i>KES&nbsp;</i></b>".replace("&nbsp;", "&#160;")
        + '<a href="https://t.me/x?a=1&amp;b=2">link</a> &lt;ok&gt; '
        + '<pre><code class="language-py">x</code></pre><tg-spoiler>s</tg-spoiler>',
        parse_mode="HTML",
    )
    assert sent.text == "😀 Paid KES\xa0link <ok> xs"
    kinds = [(e.type, e.offset, e.length, e.url, e.language) for e in sent.entities]
    assert kinds == [
        ("bold", 3, 9, None, None),
        ("italic", 8, 4, None, None),
        ("text_link", 12, 4, "https://t.me/x?a=1&b=2", None),
        ("pre", 22, 1, None, "py"),
        ("spoiler", 23, 1, None, None),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<b>open", 'Can\'t find end tag corresponding to start tag "b"'),
        ("é<br>x", 'Unsupported start tag "br" at byte offset 2'),
        ("price < 5", 'Unsupported start tag "" at byte offset 6'),
        ("<b><i>x</b></i>", 'Unmatched end tag at byte offset 7, expected "</i>", found "</b>"'),
        ("x</b>", "Unexpected end tag at byte offset 1"),
        ("<b", "Unclosed start tag at byte offset 0"),
        ("<b>x</b", "Unclosed end tag at byte offset 4"),
        ("<span>x</span>", 'Tag "span" must have class "tg-spoiler" at byte offset 0'),
        ("Tom & Jane", "Unsupported character reference at byte offset 4"),
        ("&nbsp;", "Unsupported character reference at byte offset 0"),
        ("&#0;", "Unsupported character reference at byte offset 0"),
    ],
)
async def test_bad_html_is_refused(bot: Bot, text: str, words: str) -> None:
    with refused(f"can't parse entities: {words}"):
        await bot.send_message(BUYER, text, parse_mode="HTML")


async def test_other_parse_modes_are_not_played(bot: Bot) -> None:
    with refused("unsupported parse_mode"):
        await bot.send_message(BUYER, "*x*", parse_mode="MarkdownV2")


async def test_a_text_has_4096_utf16_units_after_parsing(bot: Bot) -> None:
    await bot.send_message(BUYER, "<b>" + "&lt;" * 4096 + "</b>", parse_mode="HTML")
    await bot.send_message(BUYER, "😀" * 2048)
    for text in ("x" * 4097, "😀" * 2049):
        with refused("message is too long"):
            await bot.send_message(BUYER, text)


@pytest.mark.parametrize("text", ["", " \n ", "<b></b>"])
async def test_an_empty_text_is_refused(bot: Bot, text: str) -> None:
    with refused("message text is empty"):
        await bot.send_message(BUYER, text, parse_mode="HTML")


async def test_blanks_at_the_ends_are_dropped(bot: Bot) -> None:
    sent = await bot.send_message(BUYER, "\n <b> x</b> \n", parse_mode="HTML")
    assert sent.text == "x"
    assert [(e.offset, e.length) for e in sent.entities] == [(0, 1)]


# -- who can be written to ---------------------------------------------------------------------


async def test_nobody_is_written_to_before_start(sandbox: Sandbox, bot: Bot) -> None:
    with pytest.raises(Forbidden, match="bot can't initiate conversation with a user"):
        await bot.send_message(STRANGER, "hi")
    sandbox.telegram.user_starts(STRANGER)
    await bot.send_message(STRANGER, "hi")


async def test_an_unknown_chat_is_400(bot: Bot) -> None:
    with refused("chat not found"):
        await bot.send_message(987654321, "hi")


async def test_a_block_is_told_and_ends_messages(sandbox: Sandbox, bot: Bot) -> None:
    sandbox.telegram.user_blocks(BUYER)
    with pytest.raises(Forbidden, match="bot was blocked by the user"):
        await bot.send_message(BUYER, "hi")
    sandbox.telegram.user_unblocks(BUYER)
    await bot.send_message(BUYER, "hi")
    changes = [update.my_chat_member for update in await bot.get_updates()]
    assert [one.new_chat_member.status for one in changes if one] == ["kicked", "member"]


# -- keyboards ---------------------------------------------------------------------------------


async def test_every_kind_of_inline_button_is_kept(sandbox: Sandbox, bot: Bot) -> None:
    markup = InlineKeyboardMarkup(
        [
            [InlineKeyboardButton("Pay", callback_data="x" * 64)],
            [InlineKeyboardButton("Open", url="https://example.org/")],
            [InlineKeyboardButton("Copy", copy_text=CopyTextButton("ES1008257624"))],
            [InlineKeyboardButton("Share", switch_inline_query="deal")],
        ]
    )
    sent = await bot.send_message(BUYER, "choose", reply_markup=markup)
    assert sent.reply_markup == markup
    assert (await sandbox.telegram.wait_message(BUYER, "choose")).labels == [
        "Pay",
        "Open",
        "Copy",
        "Share",
    ]


@pytest.mark.parametrize("data", ["", "x" * 65, "é" * 33])
async def test_callback_data_has_1_to_64_bytes(sandbox: Sandbox, data: str) -> None:
    markup = {"inline_keyboard": [[{"text": "Go", "callback_data": data}]]}
    answer = await raw(sandbox, "sendMessage", chat_id=BUYER, text="x", reply_markup=markup)
    assert answer.json()["description"] == "Bad Request: BUTTON_DATA_INVALID"


@pytest.mark.parametrize(
    "rows",
    [
        [[{"text": "nothing"}]],
        [[{"text": "", "callback_data": "x"}]],
        [[{"text": "Go", "url": "javascript:alert(1)"}]],
        [[{"text": "Go", "copy_text": {"text": ""}}]],
        [[{"text": "Go", "callback_data": "a", "url": "https://example.org"}]],
        [[{"text": "Go", "callback_data": "a"}] * 9],
        [[{"text": "Go", "callback_data": "a"}]] * 101,
    ],
)
async def test_bad_inline_keyboards_are_refused(sandbox: Sandbox, rows: Any) -> None:
    markup = {"inline_keyboard": rows}
    answer = await raw(sandbox, "sendMessage", chat_id=BUYER, text="x", reply_markup=markup)
    assert answer.status_code == 400
    assert not sandbox.telegram.chat(BUYER)


async def test_a_contact_button_stays_until_it_is_removed(sandbox: Sandbox, bot: Bot) -> None:
    buyer = sandbox.telegram.people[BUYER]
    button = KeyboardButton("Share my number", request_contact=True)
    await bot.send_message(BUYER, "number?", reply_markup=ReplyKeyboardMarkup([[button]]))
    assert buyer.reply_keyboard is not None
    assert buyer.reply_keyboard["keyboard"][0][0]["request_contact"] is True
    sandbox.telegram.user_shares_contact(BUYER, "+254711003001")
    (update,) = await bot.get_updates()
    assert update.message is not None
    assert update.message.contact is not None
    assert update.message.contact.user_id == BUYER
    await bot.send_message(BUYER, "thanks", reply_markup=ReplyKeyboardRemove())
    assert buyer.reply_keyboard is None


async def test_a_contact_can_be_somebody_elses(sandbox: Sandbox, bot: Bot) -> None:
    sandbox.telegram.user_shares_contact(BUYER, "+254711002001", contact_user_id=SELLER)
    sandbox.telegram.user_shares_contact(BUYER, "+254711999999", contact_user_id=0)
    contacts = [u.message.contact for u in await bot.get_updates() if u.message]
    assert [one.user_id for one in contacts if one] == [SELLER, None]


# -- changing messages -------------------------------------------------------------------------


async def test_editing_replaces_text_and_keyboard(sandbox: Sandbox, bot: Bot) -> None:
    sent = await bot.send_message(BUYER, "one", reply_markup=one_button(callback_data="a"))
    await bot.edit_message_text("<b>two</b>", BUYER, sent.message_id, parse_mode="HTML")
    shown = sandbox.telegram.messages[sent.message_id]
    assert (shown.text, shown.keyboard) == ("two", [])
    assert shown.edited_at is not None
    await bot.edit_message_reply_markup(
        BUYER, sent.message_id, reply_markup=one_button(callback_data="b")
    )
    assert shown.labels == ["Go"]


async def test_an_edit_that_changes_nothing_is_refused(bot: Bot) -> None:
    sent = await bot.send_message(BUYER, "one", reply_markup=one_button(callback_data="a"))
    with refused("message is not modified"):
        await bot.edit_message_text(
            "one", BUYER, sent.message_id, reply_markup=one_button(callback_data="a")
        )
    with refused("message is not modified"):
        await bot.edit_message_reply_markup(
            BUYER, sent.message_id, reply_markup=one_button(callback_data="a")
        )


async def test_only_own_messages_that_exist_can_be_edited(sandbox: Sandbox, bot: Bot) -> None:
    theirs = sandbox.telegram.user_sends(BUYER, "mine")
    with refused("message can't be edited"):
        await bot.edit_message_text("x", BUYER, theirs.id)
    with refused("message to edit not found"):
        await bot.edit_message_text("x", BUYER, 7)
    sent = await bot.send_message(BUYER, "x")
    with refused("message to edit not found"):
        await bot.edit_message_text("y", SELLER, sent.message_id)


async def test_messages_are_deleted_within_48_hours(sandbox: Sandbox, bot: Bot, clock: Any) -> None:
    one, two = await bot.send_message(BUYER, "1"), await bot.send_message(BUYER, "2")
    await bot.delete_message(BUYER, one.message_id)
    assert [message.text for message in sandbox.telegram.chat(BUYER)] == ["2"]
    with refused("message to delete not found"):
        await bot.delete_message(BUYER, one.message_id)
    clock.advance(hours=49)
    with refused("message can't be deleted"):
        await bot.delete_message(BUYER, two.message_id)


async def test_replies_name_a_message_that_exists(sandbox: Sandbox, bot: Bot) -> None:
    asked = sandbox.telegram.user_sends(BUYER, "?")
    reply = await bot.send_message(BUYER, "!", reply_to_message_id=asked.id)
    assert reply.reply_to_message is not None
    assert reply.reply_to_message.text == "?"
    with refused("message to be replied not found"):
        await bot.send_message(BUYER, "!", reply_to_message_id=7)


# -- taps --------------------------------------------------------------------------------------


async def test_a_tap_comes_as_callback_query_and_is_answered(sandbox: Sandbox, bot: Bot) -> None:
    sent = await bot.send_message(BUYER, "ok?", reply_markup=one_button(callback_data="d:1"))
    tap = sandbox.telegram.user_taps(BUYER, sent.message_id, "Go")
    (update,) = await bot.get_updates()
    query = update.callback_query
    assert query is not None
    assert (query.data, query.from_user.id, query.message and query.message.message_id) == (
        "d:1",
        BUYER,
        sent.message_id,
    )
    await query.answer("Done", show_alert=True)
    assert (await sandbox.telegram.wait_answer(tap)).text == "Done"
    assert tap.alert


async def test_clients_can_send_any_data_and_tap_what_is_not_theirs(
    sandbox: Sandbox, bot: Bot
) -> None:
    sent = await bot.send_message(BUYER, "ok?", reply_markup=one_button(callback_data="mine"))
    sandbox.telegram.user_taps(STRANGER, sent.message_id, "Go")
    sandbox.telegram.user_taps(STRANGER, sent.message_id, data="forged")
    queries = [update.callback_query for update in await bot.get_updates()]
    assert [(q.from_user.id, q.data) for q in queries if q] == [
        (STRANGER, "mine"),
        (STRANGER, "forged"),
    ]


async def test_a_tap_is_answered_within_15_seconds(sandbox: Sandbox, bot: Bot, clock: Any) -> None:
    sent = await bot.send_message(BUYER, "ok?", reply_markup=one_button(callback_data="x"))
    tap = sandbox.telegram.user_taps(BUYER, sent.message_id, "Go")
    clock.advance(seconds=16)
    for query_id in (tap.id, "12345"):
        with refused("query is too old and response timeout expired"):
            await bot.answer_callback_query(query_id)


async def test_an_answer_has_200_characters(sandbox: Sandbox, bot: Bot) -> None:
    sent = await bot.send_message(BUYER, "ok?", reply_markup=one_button(callback_data="x"))
    tap = sandbox.telegram.user_taps(BUYER, sent.message_id, "Go")
    with refused("MESSAGE_TOO_LONG"):
        await bot.answer_callback_query(tap.id, "x" * 201)
    await bot.answer_callback_query(tap.id, "x" * 200)


# -- what people send --------------------------------------------------------------------------


async def test_commands_are_marked_in_utf16(sandbox: Sandbox, bot: Bot) -> None:
    sandbox.telegram.user_sends(BUYER, "😀 /pay ES1008257624 a/b")
    (update,) = await bot.get_updates()
    assert update.message is not None
    marks = [(e.type, e.offset, e.length) for e in update.message.entities]
    assert marks == [("bot_command", 3, 4)]


async def test_a_deep_link_presses_start(sandbox: Sandbox, bot: Bot) -> None:
    sandbox.telegram.open_link(STRANGER, "https://t.me/AmanaSandboxBot?start=ES1008257624")
    (update,) = await bot.get_updates()
    assert update.message is not None
    assert update.message.text == "/start ES1008257624"
    assert sandbox.telegram.people[STRANGER].started
    with pytest.raises(ValueError, match="not a link to this bot"):
        sandbox.telegram.open_link(STRANGER, "https://t.me/other?start=x")


async def test_photos_and_documents_go_both_ways(sandbox: Sandbox, bot: Bot) -> None:
    sandbox.telegram.user_sends_photo(BUYER, PNG, "the parcel")
    sandbox.telegram.user_sends_document(BUYER, b"%PDF", "proof.pdf")
    photo, document = [update.message for update in await bot.get_updates()]
    assert photo is not None
    assert document is not None
    assert photo.caption == "the parcel"
    file = await bot.get_file(photo.photo[-1].file_id)
    assert bytes(await file.download_as_bytearray()) == PNG
    assert document.document is not None
    assert document.document.file_name == "proof.pdf"
    again = await bot.send_photo(
        BUYER, photo.photo[-1].file_id, caption="<i>seen</i>", parse_mode="HTML"
    )
    assert again.caption == "seen"
    sent = await bot.send_document(BUYER, b"a,b\n", filename="book.csv", caption="book")
    assert sent.document is not None
    assert sent.document.file_name == "book.csv"
    fresh = await bot.send_photo(BUYER, PNG)
    await bot.edit_message_caption(BUYER, fresh.message_id, caption="new")
    assert sandbox.telegram.messages[fresh.message_id].text == "new"


async def test_pictures_and_captions_have_limits(bot: Bot) -> None:
    with refused("IMAGE_PROCESS_FAILED"):
        await bot.send_photo(BUYER, b"not a picture")
    with refused("message caption is too long"):
        await bot.send_photo(BUYER, PNG, caption="x" * 1025)
    with refused("invalid file_id"):
        await bot.get_file("nothing")


# -- menus -------------------------------------------------------------------------------------


async def test_menus_are_kept_by_scope(bot: Bot) -> None:
    chat = BotCommandScopeChat(persona.ADMIN.id)
    await bot.set_my_commands([BotCommand("start", "Begin")])
    await bot.set_my_commands([BotCommand("case", "A case")], scope=chat)
    assert [one.command for one in await bot.get_my_commands()] == ["start"]
    assert [one.command for one in await bot.get_my_commands(scope=chat)] == ["case"]
    await bot.delete_my_commands(scope=chat)
    assert not await bot.get_my_commands(scope=chat)


async def test_a_menu_for_somebody_who_never_started_is_400(bot: Bot) -> None:
    with refused("chat not found"):
        await bot.set_my_commands([BotCommand("x", "y")], scope=BotCommandScopeChat(STRANGER))


@pytest.mark.parametrize(
    ("command", "words", "refusal"),
    [
        ("Start", "x", "BOT_COMMAND_INVALID"),
        ("x" * 33, "x", "BOT_COMMAND_INVALID"),
        ("x", "", "BOT_COMMAND_DESCRIPTION_INVALID"),
        ("x", "y" * 257, "BOT_COMMAND_DESCRIPTION_INVALID"),
    ],
)
async def test_menu_entries_have_limits(
    sandbox: Sandbox, command: str, words: str, refusal: str
) -> None:
    commands = [{"command": command, "description": words}]
    answer = await raw(sandbox, "setMyCommands", commands=commands)
    assert answer.json()["description"] == f"Bad Request: {refusal}"


async def test_the_harmless_rest_says_true(sandbox: Sandbox, bot: Bot) -> None:
    assert await bot.set_my_description("Escrow")
    assert await bot.set_my_short_description("Escrow")
    assert await bot.set_my_name("Amana")
    assert await bot.send_chat_action(BUYER, "typing")
    assert sandbox.telegram.people[BUYER].action == "typing"


# -- faults ------------------------------------------------------------------------------------


async def test_faults_are_counted_per_method_and_chat(
    sandbox: Sandbox, bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PTB_TIMEDELTA", "1")  # the library warns about plain seconds
    fault = sandbox.telegram.fail("sendMessage", status=429, retry_after=7, chat_id=BUYER, times=2)
    await bot.send_message(SELLER, "not this chat")
    for _ in range(2):
        with pytest.raises(RetryAfter) as refusal:
            await bot.send_message(BUYER, "hi")
        assert refusal.value.retry_after == timedelta(seconds=7)
    await bot.send_message(BUYER, "through")
    assert fault.hits == 2
    assert [message.text for message in sandbox.telegram.from_bot(BUYER)] == ["through"]


@pytest.mark.parametrize(
    ("status", "kind"), [(500, NetworkError), (403, Forbidden), (400, BadRequest)]
)
async def test_errors_on_demand(
    sandbox: Sandbox, bot: Bot, status: int, kind: type[Exception]
) -> None:
    sandbox.telegram.fail("sendMessage", status=status)
    with pytest.raises(kind):
        await bot.send_message(BUYER, "hi")
    await bot.send_message(BUYER, "hi")


async def test_a_cut_connection_may_have_sent_the_message(sandbox: Sandbox, bot: Bot) -> None:
    sandbox.telegram.cut("sendMessage", act=False)
    sandbox.telegram.cut("sendMessage", act=True)
    for text in ("lost", "sent"):
        with pytest.raises(NetworkError):
            await bot.send_message(BUYER, text)
    assert [message.text for message in sandbox.telegram.from_bot(BUYER)] == ["sent"]


async def test_a_held_call_waits_until_it_is_released(sandbox: Sandbox, bot: Bot) -> None:
    fault = sandbox.telegram.hold("sendMessage")
    with pytest.raises(TimedOut):
        await bot.send_message(BUYER, "slow", read_timeout=0.05)
    assert not sandbox.telegram.chat(BUYER)
    fault.release()
    await sandbox.telegram.wait_message(BUYER, "slow")


async def test_a_delay_is_a_delay(sandbox: Sandbox, bot: Bot) -> None:
    sandbox.telegram.delay("sendMessage", seconds=0.2)
    with pytest.raises(TimedOut):
        await bot.send_message(BUYER, "late", read_timeout=0.05)
    await sandbox.telegram.wait_message(BUYER, "late")


# -- a whole bot -------------------------------------------------------------------------------


async def test_an_application_lives_on_it(sandbox: Sandbox) -> None:
    """Polling, a command, a typed number, an edit by button, and a clean stop."""

    async def start(update: Update, context: ContextTypes.DEFAULT_TYPE) -> None:
        assert update.effective_message is not None
        await update.effective_message.reply_html(
            f"Hello {' '.join(context.args or [])}", reply_markup=one_button(callback_data="go")
        )

    async def go(update: Update, context: ContextTypes.DEFAULT_TYPE) -> None:
        assert update.callback_query is not None
        await update.callback_query.answer("one moment")
        await update.callback_query.edit_message_text("<b>went</b>", parse_mode="HTML")

    async def echo(update: Update, context: ContextTypes.DEFAULT_TYPE) -> None:
        assert update.effective_message is not None
        await update.effective_message.reply_text(f"you said {update.effective_message.text}")

    application: Any = (
        Application.builder()
        .token(persona.BOT_TOKEN)
        .base_url(sandbox.base_url)
        .base_file_url(sandbox.base_file_url)
        .job_queue(None)
        .build()
    )
    application.add_handler(CommandHandler("start", start))
    application.add_handler(CallbackQueryHandler(go))
    application.add_handler(MessageHandler(filters.TEXT, echo))
    telegram = sandbox.telegram
    async with application:
        await application.start()
        await application.updater.start_polling(timeout=5, poll_interval=0)
        sent = telegram.user_starts(BUYER, "ES1008257624")
        hello = await telegram.wait_message(BUYER, "Hello ES1008257624", since=sent.seq)
        tap = telegram.user_taps(BUYER, hello.id, "Go")
        await telegram.wait_answer(tap)
        went = await telegram.wait_message(BUYER, "went", since=tap.seq)
        assert went.id == hello.id
        telegram.user_sends(BUYER, "0712345678")
        await telegram.wait_message(BUYER, "you said 0712345678")
        await application.updater.stop()
        await application.stop()
    assert not telegram.updates.pending


async def test_waiting_in_vain_says_what_came_instead(sandbox: Sandbox, bot: Bot) -> None:
    await bot.send_message(BUYER, "something else")
    with pytest.raises(AssertionError, match="something else"):
        await sandbox.telegram.wait_message(BUYER, "held", timeout=0.05)


async def test_the_call_log_reads_keyboards(sandbox: Sandbox, bot: Bot) -> None:
    await bot.send_message(BUYER, "x", reply_markup=one_button(callback_data="y"))
    call = await sandbox.telegram.wait_call("sendMessage", where=lambda c: c.chat_id == BUYER)
    assert call.ok
    assert json.dumps(call.params["reply_markup"]["inline_keyboard"]).count("callback_data") == 1
