"""The stand-in BlockBee over HTTP, held against bodies like those of the collected samples.

A sample is named where a shape comes from; addresses and numbers are the sandbox's own.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from sandbox.blockbee import BlockBeeStandIn
from sandbox.blockbee_wire import CoinPayment
from sandbox.server import Sandbox
from tests.sandbox.conftest import Hooks

USDT = "trc20/usdt"


@pytest.fixture
async def bee(sandbox: Sandbox) -> BlockBeeStandIn:
    return sandbox.blockbee


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=sandbox.blockbee_url, headers={"apikey": "sandbox"}
    ) as one:
        yield one


@pytest.fixture
async def hooks(hooks: Hooks) -> Hooks:
    """A bot that acknowledges below `/hooks/b/`."""
    for name in ("one", "two"):
        hooks.answers[f"/hooks/b/{name}"] = (200, "*ok*")
    return hooks


async def create(
    client: httpx.AsyncClient, hooks: Hooks, *, ticker: str = USDT, name: str = "one", **more: Any
) -> dict[str, Any]:
    fields = {"callback": f"{hooks.url}/hooks/b/{name}?a=1%2F2", "pending": 1, **more}
    answer = await client.get(f"/{ticker}/create/", params=fields)
    assert answer.status_code == 200
    read: dict[str, Any] = answer.json()
    return read


def error(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    assert body["status"] == "error"
    assert set(body) == {"status", "error"}
    return answer.status_code, body["error"]


# -- the API -----------------------------------------------------------------------------------


async def test_a_key_is_needed_in_header_or_query(sandbox: Sandbox) -> None:
    async with httpx.AsyncClient(base_url=sandbox.blockbee_url) as bare:
        assert error(await bare.get("/btc/info/")) == (401, "API key not provided")
        wrong = {"apikey": "wrong"}
        assert error(await bare.get("/btc/info/", headers=wrong)) == (401, "Invalid API key")
        assert (await bare.get("/btc/info/", params={"apikey": "sandbox"})).status_code == 200
        assert (await bare.get("/pubkey/")).status_code == 200


async def test_info_of_a_coin_and_of_all(client: httpx.AsyncClient) -> None:
    """info-coins.json: decimals as strings, tokens below their network."""
    one = (await client.get("/btc/info/")).json()
    assert one["status"] == "success"
    assert one["minimum_transaction_coin"] == "0.00008000"
    assert "prices" not in one
    priced = (await client.get(f"/{USDT}/info/", params={"prices": 1})).json()
    assert priced["prices"]["USD"] == "1.0000000000"
    everything = (await client.get("/info/")).json()
    assert set(everything["btc"]) >= {"coin", "ticker", "minimum_transaction_coin", "fee_percent"}
    assert everything["trc20"]["usdt"]["ticker"] == "usdt"
    assert (await client.get("/trc20_usdt/info/")).status_code == 200


async def test_convert_knows_dollars_and_no_shillings(
    client: httpx.AsyncClient, bee: BlockBeeStandIn
) -> None:
    """convert.json."""
    bee.prices["btc"] = Decimal(80000)
    answer = await client.get("/btc/convert/", params={"from": "USD", "value": "100.00"})
    assert answer.json() == {
        "status": "success",
        "value_coin": "0.00125",
        "exchange_rate": "0.0000125",
    }
    for bad in ({"from": "kes", "value": "1"}, {"from": "usd", "value": "x"}, {"from": "usd"}):
        assert error(await client.get("/btc/convert/", params=bad))[0] == 400


async def test_the_same_callback_gives_the_same_address(
    client: httpx.AsyncClient, hooks: Hooks, bee: BlockBeeStandIn
) -> None:
    """create-response.json, with the minimum that the documentation adds."""
    one, again = await create(client, hooks), await create(client, hooks)
    other = await create(client, hooks, name="two")
    assert one == again
    assert other["address_in"] != one["address_in"]
    assert re.fullmatch(r"T[1-9A-HJ-NP-Za-km-z]{33}", one["address_in"])
    assert one["callback_url"] == f"{hooks.url}/hooks/b/one?a=1%2F2"
    assert set(one) == {
        "address_in",
        "address_out",
        "callback_url",
        "priority",
        "minimum_transaction_coin",
        "status",
    }
    assert len(bee.receivers) == 2


async def test_a_wrong_coin_or_callback_is_refused(client: httpx.AsyncClient) -> None:
    """error-response.json."""
    good = {"callback": "https://example.com/"}
    wrong = await client.get("/nocoin/create/", params=good)
    assert error(wrong) == (200, "Coin/Address is invalid")
    assert error(await client.get("/btc/create/"))[0] == 400
    long = {"callback": "https://example.com/" + "x" * 8192}
    assert (await client.get("/btc/create/", params=long)).status_code == 400


async def test_logs_list_payments_without_uuid_or_coin(
    client: httpx.AsyncClient, hooks: Hooks, bee: BlockBeeStandIn
) -> None:
    """logs-empty.json, then the documentation's entry."""
    made = await create(client, hooks)
    asked = {"callback": made["callback_url"]}
    empty = (await client.get(f"/{USDT}/logs/", params=asked)).json()
    assert set(empty) == {
        "status",
        "callback_url",
        "address_in",
        "address_out",
        "notify_pending",
        "notify_confirmations",
        "priority",
        "callbacks",
    }
    assert empty["callbacks"] == []
    bee.logs_empty_is_error = True
    assert error(await client.get(f"/{USDT}/logs/", params=asked))[0] == 404
    payment = await bee.pay(made["address_in"], "2.5", confirm=False)
    (entry,) = (await client.get(f"/{USDT}/logs/", params=asked)).json()["callbacks"]
    assert (entry["result"], entry["txid_in"]) == ("pending", payment.txid)
    hooks.answers["/hooks/b/one"] = (500, "")
    await bee.confirm(payment)
    (entry,) = (await client.get(f"/{USDT}/logs/", params=asked)).json()["callbacks"]
    assert (entry["result"], entry["value_coin"]) == ("sent", 2.5)
    hooks.answers["/hooks/b/one"] = (200, "*ok*")
    await bee.retry()
    (entry,) = (await client.get(f"/{USDT}/logs/", params=asked)).json()["callbacks"]
    assert entry["result"] == "done"
    assert "uuid" not in entry
    assert "coin" not in entry
    assert len(entry["logs"]) == 3
    other = {"callback": "https://example.com/other"}
    assert error(await client.get(f"/{USDT}/logs/", params=other))[0] == 404


# -- callbacks ---------------------------------------------------------------------------------


def verify(client_pem: str, signature: str, signed: str) -> None:
    key = serialization.load_pem_public_key(client_pem.encode())
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 1024
    key.verify(base64.b64decode(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())


async def test_a_get_signs_the_whole_url_as_it_is_called(
    client: httpx.AsyncClient, hooks: Hooks, bee: BlockBeeStandIn
) -> None:
    """callback-get-signed-data.json: our own parameters first, nothing escaped anew."""
    made = await create(client, hooks, convert=1)
    await bee.pay(made["address_in"], 10, pending_first=False)
    (sent,) = bee.deliveries
    assert sent.url.startswith(f"{hooks.url}/hooks/b/one?a=1%2F2&uuid=")
    assert (sent.method, sent.body) == ("GET", "")
    pem = (await client.get("/pubkey/")).json()["pubkey"]
    (hit,) = hooks.hits
    verify(pem, hit.headers["x-ca-signature"], sent.url)
    with pytest.raises(InvalidSignature):
        verify(pem, hit.headers["x-ca-signature"], sent.url.replace("%2F", "/"))
    told = parse_qs(urlsplit(sent.url).query)
    assert set(told) >= {"address_in", "txid_in", "txid_out", "value_coin", "fee_coin", "coin"}
    assert told["coin"] == ["trc20_usdt"]
    assert json.loads(told["value_coin_convert"][0])["USD"] == "10.00"


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({"post": 1}, "application/x-www-form-urlencoded"),
        ({"post": 1, "json": 1}, "application/json"),
        ({"json": 1}, "application/json"),
    ],
)
async def test_a_post_signs_its_body_and_keeps_our_query(
    client: httpx.AsyncClient,
    hooks: Hooks,
    bee: BlockBeeStandIn,
    more: dict[str, int],
    kind: str,
) -> None:
    """callback-post-form-signed-data.json, callback-json-confirmed.json."""
    made = await create(client, hooks, **more)
    await bee.pay(made["address_in"], 10, pending_first=False)
    (hit,) = hooks.hits
    assert hit.headers["Content-Type"] == kind
    verify(bee.public_key_pem, hit.headers["x-ca-signature"], hit.text)
    (sent,) = bee.deliveries
    assert sent.url == made["callback_url"]


async def test_a_pending_callback_has_the_same_uuid_and_nothing_forwarded(
    client: httpx.AsyncClient, hooks: Hooks, bee: BlockBeeStandIn
) -> None:
    """callback-json-pending.json."""
    made = await create(client, hooks, json=1)
    await bee.pay(made["address_in"], "10.5")
    pending, confirmed = (hit.body for hit in hooks.hits)
    assert pending["uuid"] == confirmed["uuid"]
    assert (pending["pending"], confirmed["pending"]) == (1, 0)
    assert set(confirmed) - set(pending) == {
        "txid_out",
        "confirmations",
        "fee_coin",
        "fee_percent",
        "value_forwarded_coin",
        "result",
    }
    assert '"value_coin": 10.5,' in hooks.hits[0].text
    assert confirmed["value_forwarded_coin"] == 10.395


async def test_pending_callbacks_only_where_they_were_asked_for(
    client: httpx.AsyncClient, hooks: Hooks, bee: BlockBeeStandIn
) -> None:
    made = await create(client, hooks, pending=0)
    await bee.pay(made["address_in"], 10)
    assert [one.kind for one in bee.deliveries] == ["confirmed"]


@pytest.mark.parametrize(
    ("status", "text"), [(200, "ok"), (200, '"*ok*"'), (200, "*ok*\n"), (403, "*ok*"), (500, "")]
)
async def test_only_exactly_ok_is_an_acknowledgement(
    client: httpx.AsyncClient, hooks: Hooks, bee: BlockBeeStandIn, status: int, text: str
) -> None:
    made = await create(client, hooks)
    hooks.answers["/hooks/b/one"] = (status, text)
    payment = await bee.pay(made["address_in"], 10)
    assert not payment.acknowledged
    assert await bee.retry() == 2
    hooks.answers["/hooks/b/one"] = (200, "*ok*")
    assert await bee.retry() == 2
    assert payment.acknowledged
    assert await bee.retry() == 0
    assert len({hit.headers["x-ca-signature"] for hit in hooks.hits}) == 2


async def test_nobody_there_is_recorded_and_tried_again(
    client: httpx.AsyncClient, hooks: Hooks, bee: BlockBeeStandIn
) -> None:
    made = await create(client, hooks)
    bee.reach[hooks.url] = "http://127.0.0.1:9"
    payment = await bee.pay(made["address_in"], 10, pending_first=False)
    assert payment.deliveries[0].error
    assert payment.deliveries[0].url.startswith(hooks.url)
    bee.reach.clear()
    assert await bee.retry() == 1
    assert payment.acknowledged


async def test_what_is_signed_stays_where_it_is_delivered_elsewhere(
    client: httpx.AsyncClient, hooks: Hooks, bee: BlockBeeStandIn
) -> None:
    public = "https://amana.example/base"
    bee.reach[public] = hooks.url
    fields = {"callback": f"{public}/hooks/b/one", "pending": 1}
    made = (await client.get(f"/{USDT}/create/", params=fields)).json()
    payment = await bee.pay(made["address_in"], 10, pending_first=False)
    assert payment.acknowledged
    (sent,) = bee.deliveries
    assert sent.url.startswith(public)
    verify(bee.public_key_pem, hooks.hits[0].headers["x-ca-signature"], sent.url)


async def test_misbehaviour_on_demand(
    client: httpx.AsyncClient, hooks: Hooks, bee: BlockBeeStandIn
) -> None:
    made = await create(client, hooks)
    address = made["address_in"]
    await bee.pay(address, 10, deliver="twice", pending_first=False)
    assert len({hit.headers["x-ca-signature"] for hit in hooks.hits}) == 1
    lost = await bee.pay(address, 10, deliver="never")
    assert len(hooks.hits) == 2
    await bee.confirm(lost)
    await bee.tell(lost, pending=True)
    assert [one.kind for one in bee.deliveries] == ["confirmed"] * 3 + ["pending"]
    again = await bee.pay(address, 10, txid=lost.txid, pending_first=False)
    assert again.txid == lost.txid
    seen = await bee.wait_delivery("confirmed", count=4)
    elsewhere = await bee.replay(seen, url=f"{hooks.url}/hooks/b/two")
    assert elsewhere.headers == seen.headers
    assert hooks.hits[-1].path == "/hooks/b/two"
    with pytest.raises(ValueError, match="nobody was given"):
        await bee.pay("T" + "1" * 33, 10)


async def test_bad_missing_and_foreign_signatures(
    client: httpx.AsyncClient, hooks: Hooks, bee: BlockBeeStandIn
) -> None:
    made = await create(client, hooks)
    for sign in ("bad", "other"):
        await bee.pay(made["address_in"], 10, pending_first=False, sign=sign)  # type: ignore[arg-type]
        with pytest.raises(InvalidSignature):
            verify(
                bee.public_key_pem,
                hooks.hits[-1].headers["x-ca-signature"],
                bee.deliveries[-1].url,
            )
    await bee.pay(made["address_in"], 10, pending_first=False, sign="none")
    assert "x-ca-signature" not in hooks.hits[-1].headers


async def test_a_rotated_key_signs_and_is_published(
    client: httpx.AsyncClient, hooks: Hooks, bee: BlockBeeStandIn
) -> None:
    made = await create(client, hooks)
    before = bee.public_key_pem
    bee.rotate_key()
    await bee.pay(made["address_in"], 10, pending_first=False)
    pem = (await client.get("/pubkey/")).json()["pubkey"]
    assert pem != before
    verify(pem, hooks.hits[-1].headers["x-ca-signature"], bee.deliveries[-1].url)


async def test_too_little_and_other_coins_are_ignored(
    client: httpx.AsyncClient, hooks: Hooks, bee: BlockBeeStandIn
) -> None:
    made = await create(client, hooks)
    small = await bee.pay(made["address_in"], "0.99")
    foreign = await bee.pay(made["address_in"], 10, coin="trx")
    assert small.ignored
    assert foreign.ignored
    assert hooks.hits == []
    multi = await create(client, hooks, name="two", multi_token=1)
    taken = await bee.pay(multi["address_in"], 40, coin="trx", pending_first=False)
    assert not taken.ignored
    assert "coin=trx&price=0.25" in bee.deliveries[-1].url


def written(payment: CoinPayment) -> str:
    return parse_qs(urlsplit(payment.deliveries[-1].url).query)["value_coin"][0]


async def test_amounts_keep_18_decimals_in_either_form(
    client: httpx.AsyncClient, hooks: Hooks, bee: BlockBeeStandIn
) -> None:
    made = await create(client, hooks, ticker="eth")
    plain = await bee.pay(made["address_in"], "1.844926267290333679")
    assert written(plain) == "1.844926267290333679"
    odd = await bee.pay(made["address_in"], "0.05", form="exponent")
    assert written(odd) == "5E-2"
    assert re.search(r"txid_in=0x[0-9a-f]{64}&", plain.deliveries[-1].url)
    assert f"address_in={quote(made['address_in'])}" in plain.deliveries[-1].url


async def test_faults_for_a_counted_number_of_calls(
    client: httpx.AsyncClient, hooks: Hooks, bee: BlockBeeStandIn
) -> None:
    bee.fail("info", "html")
    html = await client.get("/btc/info/")
    assert (html.status_code, html.headers["content-type"].partition(";")[0]) == (502, "text/html")
    bee.fail("info", "coin", words="Coin is paused")
    assert error(await client.get("/btc/info/")) == (200, "Coin is paused")
    bee.fail("*", "empty")
    assert (await client.get("/btc/info/")).content == b""
    bee.cut("create", act=True)
    with pytest.raises(httpx.RemoteProtocolError):
        await create(client, hooks)
    assert len(bee.receivers) == 1
    bee.cut("create", act=False)
    with pytest.raises(httpx.RemoteProtocolError):
        await create(client, hooks, name="two")
    assert len(bee.receivers) == 1
    bee.delay("info", seconds=0.001)
    held = bee.hold("info")
    assert (await client.get("/btc/info/")).status_code == 200
    held.release()
    assert (await client.get("/btc/info/")).status_code == 200
    bee.answer("info", "whatever", status=418)
    assert (await client.get("/btc/info/")).status_code == 418
    assert [call.status for call in bee.calls if call.endpoint == "info"][-1] == 418
