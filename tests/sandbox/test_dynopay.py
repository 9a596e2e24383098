"""The stand-in DynoPay over HTTP, held against bodies like those of the collected samples.

A sample is named where a shape comes from; numbers and names are the sandbox's own.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import httpx
import pytest

from sandbox import persona
from sandbox.dynopay import DynoPayStandIn
from sandbox.dynopay_wire import (
    CONFIRMED,
    ERRORS,
    PENDING,
    SETTLED,
    SUPPORTED,
    UNDERPAID,
    CoinPayment,
    dump,
    number,
)
from sandbox.server import Sandbox

PATH = "/hooks/d/00ff"


@pytest.fixture
async def dynopay(sandbox: Sandbox) -> DynoPayStandIn:
    return sandbox.dynopay


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    key = {"x-api-key": persona.DYNOPAY_API_KEY}
    async with httpx.AsyncClient(base_url=sandbox.dynopay_url, headers=key) as one:
        yield one


def create(client: httpx.AsyncClient, hooks: Any, key: str = "", **changes: Any) -> Any:
    body = {
        "amount": 15.0,
        "currency": "BTC",
        "meta_data": {"token": "00ff"},
        "webhook_url": hooks.url + PATH,
    }
    body = {name: one for name, one in (body | changes).items() if one is not ...}
    headers = {"Idempotency-Key": key} if key else {}
    return client.post("/user/cryptoPayment", json=body, headers=headers)


@pytest.fixture
async def payment(client: httpx.AsyncClient, dynopay: DynoPayStandIn, hooks: Any) -> CoinPayment:
    found = (await create(client, hooks)).json()["data"]
    return dynopay.find(found["transaction_id"])


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """(status, code or message) of an envelope of theirs."""
    body = answer.json()
    assert body["success"] is False
    assert set(body) <= {"success", "message", "code"}
    return answer.status_code, body.get("code", body["message"])


# -- the API -----------------------------------------------------------------------------------


async def test_a_payment_has_an_address_and_a_price(
    client: httpx.AsyncClient, dynopay: DynoPayStandIn, hooks: Any
) -> None:
    """cryptopayment-response.json"""
    answer = await create(client, hooks)
    assert answer.status_code == 200
    found = answer.json()["data"]
    assert {key: found[key] for key in ("amount", "currency", "base_amount", "base_currency")} == {
        "amount": 0.00025,
        "currency": "BTC",
        "base_amount": 15,
        "base_currency": "USD",
    }
    assert found["address"].startswith("bc1q")
    assert "destination_tag" not in found
    dynopay.prices["BTC"] = Decimal(30_000)
    assert (await create(client, hooks)).json()["data"]["amount"] == 0.0005


async def test_ripples_share_an_address_and_differ_in_the_tag(
    client: httpx.AsyncClient, dynopay: DynoPayStandIn, hooks: Any
) -> None:
    one, other = [(await create(client, hooks, currency="XRP")).json()["data"] for _ in range(2)]
    assert one["address"] == other["address"]
    assert one["destination_tag"] != other["destination_tag"]
    assert dynopay.find(one["address"], str(one["destination_tag"])).id == one["transaction_id"]
    with pytest.raises(KeyError):
        dynopay.find(one["address"])


async def test_an_idempotency_key_gives_the_first_answer_for_a_day(
    client: httpx.AsyncClient, dynopay: DynoPayStandIn, hooks: Any, clock: Any
) -> None:
    first = (await create(client, hooks, "k")).json()
    assert (await create(client, hooks, "k")).json() == first
    assert refusal(await create(client, hooks, "k", amount=16)) == (409, "idempotency_key_reused")
    clock.advance(hours=24)
    assert (await create(client, hooks, "k")).json() != first
    assert len(dynopay.payments) == 2


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"amount": 4.99}, 400, "amount_below_minimum"),
        ({"amount": 0}, 400, "amount_invalid"),
        ({"amount": "15"}, 400, "amount_invalid"),
        ({"amount": ...}, 400, "amount_invalid"),
        ({"currency": ...}, 400, "currency_required"),
        ({"currency": "DOGE"}, 400, "currency_not_available"),
        ({"meta_data": {"x": "x" * 2100}}, 400, "meta_data is too large"),
    ],
    ids=str,
)
async def test_what_dynopay_refuses(
    client: httpx.AsyncClient, hooks: Any, changes: Any, status: int, code: str
) -> None:
    assert refusal(await create(client, hooks, **changes)) == (status, code)


async def test_keys_wallets_and_paths(
    client: httpx.AsyncClient, dynopay: DynoPayStandIn, hooks: Any
) -> None:
    """error-api-key-missing.json, supported-currencies.json"""
    assert refusal(await client.get("/user/nothing")) == (404, "Not found")
    assert refusal(await client.get("/user/getPaymentStatus/none"))[0] == 404
    assert refusal(await client.post("/user/events/99/resend")) == (404, "Event not found")
    found = (await client.get("/user/getSupportedCurrency")).json()["data"]
    assert found == {"currencies": list(dynopay.prices), "all_supported": list(SUPPORTED)}
    dynopay.wallets = []
    assert refusal(await create(client, hooks)) == (400, "no_wallet_configured")
    client.headers["x-api-key"] = "dpk_other"
    assert refusal(await create(client, hooks)) == (401, "api_key_invalid")
    del client.headers["x-api-key"]
    assert refusal(await create(client, hooks)) == (401, "api_key_missing")


async def test_thirty_payments_and_a_hundred_calls_a_minute(
    client: httpx.AsyncClient, dynopay: DynoPayStandIn, hooks: Any, clock: Any
) -> None:
    for _ in range(30):
        assert (await create(client, hooks)).status_code == 200
    limited = await create(client, hooks)
    assert (limited.status_code, limited.json()["error"]) == (429, "Too Many Requests")
    for _ in range(69):
        assert (await client.get("/user/events")).status_code == 200
    assert (await client.get("/user/events")).status_code == 429
    clock.advance(minutes=1)
    assert (await create(client, hooks)).status_code == 200


async def test_the_status_says_expected_for_received_once_it_is_settled(
    client: httpx.AsyncClient, dynopay: DynoPayStandIn, payment: CoinPayment
) -> None:
    """paymentstatus-response.json: a short payment can't be seen in it."""

    async def seen() -> tuple[str, float]:
        found = (await client.get(f"/user/getPaymentStatus/{payment.id}")).json()["data"]
        return found["payment_status"], found["amount_received"]

    assert await seen() == ("waiting", 0)
    await dynopay.pay(payment, Decimal("0.0001"), events=[PENDING])
    assert await seen() == ("pending", 0.0001)
    await dynopay.pay(payment, Decimal("0.0001"), events=[PENDING, UNDERPAID])
    assert await seen() == ("underpaid", 0.0001)
    await dynopay.pay(payment, Decimal("0.0001"))
    assert await seen() == ("settled", 0.00025)


# -- webhooks ----------------------------------------------------------------------------------


async def test_a_payment_is_pending_confirmed_and_settled(
    dynopay: DynoPayStandIn, payment: CoinPayment, hooks: Any
) -> None:
    """webhook-direct-pending.json, webhook-direct-confirmed.json"""
    sent = await dynopay.pay(payment)
    assert [hook.event for hook in sent] == [PENDING, CONFIRMED, SETTLED]
    assert all(hook.delivered and hook.status == 200 for hook in sent)
    pending, confirmed, _ = (hit.body for hit in hooks.hits)
    assert pending["txId"] == confirmed["transaction_reference"]
    assert "transaction_reference" not in pending
    assert "txId" not in confirmed
    assert "meta_data" not in pending
    assert (pending["address"], pending["amount"]) == (payment.address, 0.00025)
    assert (confirmed["merchant_amount"], confirmed["total_fee"]) == (0.0002475, 0.0000025)
    assert confirmed["meta_data"] == {"token": "00ff"}
    assert confirmed["link_id"] is None


async def test_a_short_payment_is_underpaid_and_confirmed_at_the_full_price(
    dynopay: DynoPayStandIn, payment: CoinPayment, hooks: Any
) -> None:
    """webhook-direct-underpaid.json"""
    sent = await dynopay.pay(payment.address, Decimal("0.0001"))
    assert [hook.event for hook in sent] == [PENDING, UNDERPAID, CONFIRMED, SETTLED]
    short, confirmed = hooks.hits[1].body, hooks.hits[2].body
    assert "amount" not in short
    names = ("amount_received", "amount_expected", "amount_remaining", "base_amount")
    assert [short[name] for name in names] == [0.0001, 0.00025, 0.00015, 15]
    assert (confirmed["amount"], confirmed["base_amount"]) == (0.0001, 15)


async def test_both_addresses_hear_everything_where_both_are_set(
    client: httpx.AsyncClient, dynopay: DynoPayStandIn, hooks: Any
) -> None:
    found = await create(client, hooks, callback_url=hooks.url + "/back")
    await dynopay.pay(found.json()["data"]["transaction_id"], events=[CONFIRMED])
    assert sorted(hit.path for hit in hooks.hits) == ["/back", PATH]


def fits(secret: str, hit: Any, claim: str) -> bool:
    seconds = hit.headers["X-DynoPay-Timestamp"]
    message = f"{seconds}.{hit.text}".encode()
    return claim == hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


async def test_the_signature_covers_the_time_and_the_raw_body(
    dynopay: DynoPayStandIn, payment: CoinPayment, hooks: Any
) -> None:
    await dynopay.pay(payment, events=[CONFIRMED])
    (hit,) = hooks.hits
    stamp, claim = hit.headers["X-Dynopay-Signature-V2"].split(",")
    assert abs(int(stamp.removeprefix("t=")) - time.time()) < 60
    assert fits(persona.DYNOPAY_WEBHOOK_SECRET, hit, claim.removeprefix("v1="))
    assert hit.headers["X-DynoPay-Event"] == CONFIRMED
    assert hit.headers["X-DynoPay-Type"] == "direct_api"
    assert hit.headers["X-DynoPay-Webhook-Id"] == hit.body["webhook_id"]


async def test_two_secrets_sign_while_one_is_changed(
    dynopay: DynoPayStandIn, payment: CoinPayment, hooks: Any
) -> None:
    dynopay.old_secret, dynopay.secret = dynopay.secret, "whsec_new"
    await dynopay.pay(payment, events=[CONFIRMED])
    (hit,) = hooks.hits
    _, *claims = hit.headers["X-Dynopay-Signature-V2"].split(",")
    assert [
        fits(secret, hit, claim.removeprefix("v1="))
        for secret, claim in zip((persona.DYNOPAY_WEBHOOK_SECRET, "whsec_new"), claims, strict=True)
    ] == [True, True]


async def test_bad_manners(dynopay: DynoPayStandIn, payment: CoinPayment, hooks: Any) -> None:
    for manner in ("unsigned", "v1", "stale", "forged"):
        await dynopay.pay(payment, events=[CONFIRMED], manner=manner)
    unsigned, old, stale, forged = hooks.hits
    assert not [key for key in unsigned.headers if "signature" in key.lower()]
    assert [key for key in old.headers if "signature" in key.lower()] == ["X-DynoPay-Signature"]
    secret = persona.DYNOPAY_WEBHOOK_SECRET
    for hit, right, seconds in ((stale, True, 301), (forged, False, 0)):
        stamp, claim = hit.headers["X-Dynopay-Signature-V2"].split(",")
        assert fits(secret, hit, claim.removeprefix("v1=")) is right
        assert abs(time.time() - seconds - int(stamp.removeprefix("t="))) < 60


async def test_reordered_repeated_late_and_contradicting(
    dynopay: DynoPayStandIn, payment: CoinPayment, hooks: Any
) -> None:
    await dynopay.pay(payment, events=[CONFIRMED, PENDING, CONFIRMED], late=True)
    assert hooks.hits == []
    assert await dynopay.release() == 3
    assert [hit.body["event"] for hit in hooks.hits] == [CONFIRMED, PENDING, CONFIRMED]
    assert len({hit.body["webhook_id"] for hit in hooks.hits}) == 3
    await dynopay.pay(payment, events=[CONFIRMED], says=Decimal(1), txid="0xsame")
    await dynopay.pay(payment, events=[CONFIRMED], txid="0xsame", currency="ETH", address=...)
    first, second = (hit.body for hit in hooks.hits[3:])
    assert (first["amount"], second["amount"], second["currency"]) == (1, 0.00025, "ETH")


async def test_deliveries_are_listed_without_their_bodies_and_sent_again(
    client: httpx.AsyncClient, dynopay: DynoPayStandIn, payment: CoinPayment, hooks: Any
) -> None:
    hooks.answers[PATH] = (503, "down")
    await dynopay.pay(payment, events=[PENDING, CONFIRMED])
    await dynopay.pay(payment, events=[CONFIRMED], manner="lost")
    body = (await client.get("/user/events", params={"limit": 2})).json()
    assert (body["has_more"], body["next_cursor"], body["limit"]) == (True, "2", 2)
    assert [(row["id"], row["event"], row["status"]) for row in body["data"]] == [
        (3, CONFIRMED, "failed"),
        (2, CONFIRMED, "failed"),
    ]
    assert not [row for row in body["data"] if {"payload", "payment_id"} & set(row)]
    rest = (await client.get("/user/events", params={"starting_after": 2})).json()
    assert [row["id"] for row in rest["data"]] == [1]
    assert rest["has_more"] is False
    hooks.answers.clear()
    again = (await client.post("/user/events/2/resend")).json()["data"]
    assert (again["resent"], again["url"]) == (True, hooks.url + PATH)
    assert hooks.hits[-1].body["amount"] == 0.00025
    assert hooks.hits[-1].body["webhook_id"] != hooks.hits[1].body["webhook_id"]
    good = (await client.get("/user/events", params={"status": "success"})).json()["data"]
    assert [row["id"] for row in good] == [4]
    named = (await client.get("/user/events", params={"type": PENDING})).json()["data"]
    assert [row["id"] for row in named] == [1]


async def test_five_times_404_and_the_address_is_left_alone_for_a_day(
    dynopay: DynoPayStandIn, payment: CoinPayment, hooks: Any, clock: Any
) -> None:
    hooks.answers[PATH] = (404, "")
    await dynopay.pay(payment, events=[CONFIRMED] * 6)
    assert len(hooks.hits) == 5
    with pytest.raises(ValueError, match="left alone"):
        await dynopay.send(hooks.url + PATH, "webhook.test", {})
    hooks.answers.clear()
    clock.advance(hours=25)
    await dynopay.pay(payment, events=[CONFIRMED])
    assert len(hooks.hits) == 6


async def test_nobody_listening_is_a_failed_delivery(
    client: httpx.AsyncClient, dynopay: DynoPayStandIn, hooks: Any
) -> None:
    found = await create(client, hooks, webhook_url="http://127.0.0.1:1/x")
    (hook,) = await dynopay.pay(found.json()["data"]["address"], events=[CONFIRMED])
    assert hook.error
    assert not hook.delivered


# -- faults and numbers ------------------------------------------------------------------------


@pytest.mark.parametrize("error", sorted(ERRORS))
async def test_every_error_on_demand_once(
    client: httpx.AsyncClient, dynopay: DynoPayStandIn, hooks: Any, error: str
) -> None:
    dynopay.fail("cryptoPayment", error)
    status, code, message = ERRORS[error]
    assert refusal(await create(client, hooks)) == (status, code or message)
    assert (await create(client, hooks)).status_code == 200
    assert [call.status for call in dynopay.calls] == [status, 200]


async def test_other_misbehaviour(
    client: httpx.AsyncClient, dynopay: DynoPayStandIn, hooks: Any
) -> None:
    dynopay.fail("cryptoPayment", "html", act=True)
    assert "text/html" in (await create(client, hooks)).headers["Content-Type"]
    dynopay.fail("cryptoPayment", "empty")
    assert (await create(client, hooks)).text == ""
    dynopay.fail("cryptoPayment", "odd")
    assert (await create(client, hooks)).json() == []
    dynopay.fail("cryptoPayment", "rate_limited")
    assert (await create(client, hooks)).json()["retryAfter"] == 60
    dynopay.cut("cryptoPayment")
    with pytest.raises(httpx.HTTPError):
        await create(client, hooks)
    dynopay.delay("cryptoPayment", seconds=0.01)
    assert (await create(client, hooks)).status_code == 200
    assert len(dynopay.payments) == 3
    assert (await dynopay.wait_payment(count=3)).currency == "BTC"


@pytest.mark.parametrize(
    ("amount", "written"),
    [
        ("15.00", "15"),
        ("0", "0"),
        ("0.0150", "0.015"),
        ("0.000001", "0.000001"),
        ("0.000000245", "2.45e-7"),
        ("1E+3", "1000"),
    ],
)
def test_numbers_are_written_as_javascript_does(amount: str, written: str) -> None:
    assert dump({"a": number(Decimal(amount))}) == f'{{"a":{written}}}'
    assert json.loads(written) == pytest.approx(float(amount))
