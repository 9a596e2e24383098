"""DynoPay over HTTP, against the stand-in and against its documented answers."""

import asyncio
import json
from datetime import timedelta
from decimal import Decimal
from itertools import permutations

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiolimiter import AsyncLimiter

from escrow.domain.coins import BY_CODE, COINS, Coin
from escrow.domain.money import Currency, Money
from escrow.rails.dynopay import UNREADABLE, DynoPay
from escrow.rails.dynopay_gateway import DynoPayConfig, Gateway
from escrow.services.ports import (
    Answer,
    CoinAsked,
    CoinQuote,
    RawRequest,
    UnreadableError,
    Verdict,
)
from sandbox.dynopay import DynoPayStandIn
from sandbox.dynopay_wire import CONFIRMED, PENDING, SETTLED, UNDERPAID
from tests.rails.dynopay_samples import LINKED, NO_KEY, QUOTED, SECRET, STATUS, SUPPORTED, TOKEN
from tests.rails.fakes import TLS, Clock

BTC, ETH, XRP, USDT = (BY_CODE[code] for code in ("BTC", "ETH", "XRP", "USDT-TRC20"))
FIFTEEN = Money(1500, Currency.USD)
KEY = "dpk_live_of_the_tests"
URL = f"https://amana.test/hooks/dynopay/{TOKEN}"
BUSY = Answer(Verdict.DECLINED, "http_429", "provider_busy", retry=True)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def dynopay(clock):
    """The stand-in over HTTP, with its address."""
    stand_in = DynoPayStandIn(api_key=KEY, secret=SECRET, clock=clock.now)
    server = TestServer(stand_in.app())
    await server.start_server()
    stand_in.server = str(server.make_url("")).rstrip("/")
    yield stand_in
    stand_in.faults.clear()
    await server.close()


@pytest.fixture
async def build(clock):
    """Builds rails whose clients are closed at the end."""
    clients = []

    def make(base, *, transport=None, **changes):
        client = httpx.AsyncClient(transport=transport, verify=TLS)
        clients.append(client)
        fields = {"base_url": base, "api_key": KEY, "webhook_secret": SECRET}
        config = DynoPayConfig(**{**fields, **changes})
        free = {"pace": AsyncLimiter(1000, 1), "creations": AsyncLimiter(1000, 1)}
        return DynoPay(config, client, clock, gateway=Gateway(config, client, **free))

    yield make
    for client in clients:
        await client.aclose()


@pytest.fixture
def rail(dynopay, build):
    return build(dynopay.server)


@pytest.fixture
def hearing(build):
    """A rail that hears these answers, one after the other, and keeps what it asked."""

    def hear(*answers, **changes):
        left, asked = list(answers), []

        def answer(request):
            asked.append(request)
            one = left.pop(0)
            if isinstance(one, type):
                raise one("words", request=request)
            return one if isinstance(one, httpx.Response) else httpx.Response(200, json=one)

        made = build("https://dynopay.test/api/", transport=httpx.MockTransport(answer), **changes)
        made.asked = asked
        return made

    return hear


def asking(rail, **changes):
    asked = {"token": TOKEN, "coin": BTC, "usd": FIFTEEN, "callback_url": URL}
    return rail.open(**{**asked, **changes})


class Door:
    """Where webhooks knock: keeps the request, whether it was believed, and what it said."""

    def __init__(self, rail):
        self.rail = rail
        self.status = 200
        self.believed = []
        self.said = []

    async def serve(self, request):
        raw = RawRequest(
            request.method,
            request.raw_path,
            request.query_string,
            {key.lower(): value for key, value in request.headers.items()},
            await request.read(),
        )
        self.believed.append(await self.rail.authentic(raw))
        if self.believed[-1] and self.status == 200:
            self.said += self.rail.read(raw)
        return web.Response(status=self.status if self.believed[-1] else 403)

    def credited(self):
        """What a ledger by hash would hold: only confirmed coins, each hash once."""
        return {one.txid: one.amount for one in self.said if not one.pending}


@pytest.fixture
async def door(rail):
    kept = Door(rail)
    app = web.Application()
    app.router.add_post("/{rest:.*}", kept.serve)
    server = TestServer(app)
    await server.start_server()
    kept.url = str(server.make_url(f"/hooks/dynopay/{TOKEN}"))
    yield kept
    await server.close()


@pytest.fixture
async def payment(rail, dynopay, door):
    """An open payment of 0.00025 BTC, with our door behind it."""
    quote = await asking(rail, callback_url=door.url)
    return dynopay.payments[quote.reference]


def asked_about(payment, door):
    return CoinAsked(
        token=TOKEN,
        coin=BTC,
        amount=payment.amount,
        address=payment.address,
        callback_url=door.url,
        reference=payment.id,
    )


# -- addresses ---------------------------------------------------------------------------------


async def test_an_address_and_a_price_for_dollars(rail, dynopay):
    """cryptopayment-request, cryptopayment-response."""
    quote = await asking(rail)
    (payment,) = dynopay.payments.values()
    assert quote == CoinQuote(Decimal("0.00025"), payment.address, "", payment.id)
    assert payment.urls == (URL,)
    assert payment.meta == {"token": TOKEN}
    call = dynopay.calls[-1]
    assert json.loads(call.body, parse_float=str) == {
        "amount": "15.00",
        "currency": "BTC",
        "meta_data": {"token": TOKEN},
        "webhook_url": URL,
    }
    assert call.headers["Idempotency-Key"] == TOKEN
    assert call.headers["x-api-key"] == KEY
    assert call.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("cents", [500, 1010, 1999, 29_999, 100_000_001, 10**15])
async def test_dollars_are_written_exactly(hearing, cents):
    """19.99 has no float: what is sent is what was asked for."""
    rail = hearing(NO_KEY)
    await asking(rail, usd=Money(cents, Currency.USD))
    sent = json.loads(rail.asked[0].content, parse_float=Decimal, parse_int=Decimal)
    assert sent["amount"] * 100 == cents


async def test_the_same_token_gives_the_same_address(rail, dynopay):
    assert await asking(rail) == await asking(rail)
    assert len(dynopay.payments) == 1
    other = await asking(rail, token="6a" * 16)
    assert other.reference != (await asking(rail)).reference
    assert len(dynopay.payments) == 2


async def test_a_token_for_something_else_is_refused(rail, dynopay):
    await asking(rail)
    said = await asking(rail, usd=Money(1600, Currency.USD))
    assert said == Answer(Verdict.DECLINED, "idempotency_key_reused", "misconfigured")
    assert len(dynopay.payments) == 1


async def test_after_a_lost_answer_the_address_can_be_asked_for_again(rail, dynopay):
    dynopay.cut("cryptoPayment")
    assert await asking(rail) == Answer(Verdict.UNKNOWN, "lost", "unknown")
    quote = await asking(rail)
    assert list(dynopay.payments) == [quote.reference]


async def test_a_lost_request_opens_nothing(rail, dynopay):
    dynopay.cut("cryptoPayment", act=False)
    assert (await asking(rail)).verdict is Verdict.UNKNOWN
    assert dynopay.payments == {}


async def test_a_tag_stands_beside_a_shared_address(rail, dynopay):
    quote = await asking(rail, coin=XRP)
    assert quote.tag == "100001"
    assert quote.amount == Decimal(30)
    second = await asking(rail, coin=XRP, token="6a" * 16)
    assert (second.address, second.tag) == (quote.address, "100002")


@pytest.mark.parametrize("tag", [None, 0, "", -1, "x", 2**32, 1.5])
async def test_a_shared_address_without_a_tag_is_refused(hearing, tag):
    found = {**QUOTED["data"], "currency": "XRP", "destination_tag": tag}
    said = await asking(hearing({**QUOTED, "data": found}), coin=XRP)
    if tag == 0:
        assert said.tag == "0"
    else:
        assert said == Answer(Verdict.UNKNOWN, "unreadable", "unknown")


@pytest.mark.parametrize(
    ("amount", "coin", "asked"),
    [
        ("0.000245", BTC, "0.000245"),
        ("0.0002450000001", BTC, "0.00024501"),
        ('"0.000245"', BTC, "0.000245"),
        ("2.45e-7", BTC, "0.00000025"),
        ("15", USDT, "15"),
        ("15.0000001", USDT, "15.000001"),
        ("0.123456789012345678", ETH, "0.123456789012345678"),
    ],
)
async def test_the_amount_is_rounded_up_to_what_the_coin_knows(hearing, amount, coin, asked):
    text = json.dumps({**QUOTED, "data": {**QUOTED["data"], "currency": coin.dynopay}})
    rail = hearing(httpx.Response(200, text=text.replace("0.000245", amount)))
    quote = await asking(rail, coin=coin)
    assert quote.amount == Decimal(asked)


async def test_every_coin_that_dynopay_has_a_word_for_is_offered(rail):
    assert rail.name == "dynopay"
    assert rail.coins == tuple(coin for coin in COINS if coin.dynopay)
    for number, coin in enumerate(rail.coins):
        assert isinstance(await asking(rail, coin=coin, token=f"{number:032x}"), CoinQuote)


async def test_what_is_refused_without_asking(hearing):
    rail = hearing()
    small = await asking(rail, usd=Money(499, Currency.USD))
    assert small == Answer(Verdict.DECLINED, "amount_below_minimum", "too_small")
    other = await asking(rail, coin=Coin("X", "X", "X", 8, "x", ""))
    assert other == Answer(Verdict.DECLINED, "currency_not_available", "coin_unavailable")
    with pytest.raises(ValueError, match="dollars"):
        await asking(rail, usd=Money(1500, Currency.KES))
    assert rail.asked == []


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        ("api_key_missing", Answer(Verdict.DECLINED, "api_key_missing", "misconfigured")),
        ("api_key_invalid", Answer(Verdict.DECLINED, "api_key_invalid", "misconfigured")),
        ("amount_invalid", Answer(Verdict.DECLINED, "amount_invalid", "misconfigured")),
        ("amount_below_minimum", Answer(Verdict.DECLINED, "amount_below_minimum", "too_small")),
        ("currency_required", Answer(Verdict.DECLINED, "currency_required", "misconfigured")),
        (
            "currency_not_available",
            Answer(Verdict.DECLINED, "currency_not_available", "coin_unavailable"),
        ),
        ("no_wallet_for", Answer(Verdict.DECLINED, "http_400", "coin_unavailable")),
        ("no_wallet_configured", Answer(Verdict.DECLINED, "no_wallet_configured", "misconfigured")),
        ("meta_too_large", Answer(Verdict.DECLINED, "http_400", "misconfigured")),
        ("not_found", Answer(Verdict.DECLINED, "http_404", "misconfigured")),
        (
            "idempotency_key_reused",
            Answer(Verdict.DECLINED, "idempotency_key_reused", "misconfigured"),
        ),
        (
            "idempotency_request_in_progress",
            Answer(Verdict.UNKNOWN, "idempotency_request_in_progress", "unknown", retry=True),
        ),
        ("rate_limited", BUSY),
        ("rate_unavailable", Answer(Verdict.UNKNOWN, "http_500", "unknown")),
        ("internal", Answer(Verdict.UNKNOWN, "http_500", "unknown")),
        ("html", Answer(Verdict.UNKNOWN, "http_503", "unknown")),
        ("empty", Answer(Verdict.UNKNOWN, "http_500", "unknown")),
        ("odd", Answer(Verdict.UNKNOWN, "http_200", "unknown")),
    ],
)
async def test_every_error_is_a_no_or_nobody_knows(rail, dynopay, error, answer):
    """error-api-key-missing and the others of their router and middleware."""
    dynopay.fail("cryptoPayment", error)
    assert await asking(rail) == answer
    assert isinstance(await asking(rail), CoinQuote)


async def test_an_error_after_the_deed_is_healed_by_asking_again(rail, dynopay):
    dynopay.fail("cryptoPayment", "html", act=True)
    assert (await asking(rail)).verdict is Verdict.UNKNOWN
    quote = await asking(rail)
    assert list(dynopay.payments) == [quote.reference]


async def test_a_wrong_key_is_refused(dynopay, build):
    said = await asking(build(dynopay.server, api_key="dpk_live_other"))
    assert said == Answer(Verdict.DECLINED, "api_key_invalid", "misconfigured")


async def test_an_account_without_the_coin_or_without_any(rail, dynopay):
    dynopay.wallets = ["ETH"]
    assert (await asking(rail)).reason == "coin_unavailable"
    dynopay.wallets = []
    assert (await asking(rail)).reason == "misconfigured"


async def test_an_account_that_counts_in_other_money_is_refused(rail, dynopay):
    """Fifteen euros are not fifteen dollars."""
    dynopay.base_currency = "EUR"
    said = await asking(rail)
    assert said == Answer(Verdict.DECLINED, "base_currency:EUR", "misconfigured")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"base_amount": 1500}, "base_amount"),
        ({"currency": "ETH"}, "currency"),
        ({"base_amount": None}, "unreadable"),
        ({"base_currency": None}, "unreadable"),
        ({"amount": 0}, "unreadable"),
        ({"amount": -1}, "unreadable"),
        ({"amount": "x"}, "unreadable"),
        ({"address": ""}, "unreadable"),
        ({"address": "bc1q xy2kgdygjrsqtz"}, "unreadable"),
        ({"address": None}, "unreadable"),
        ({"transaction_id": ""}, "unreadable"),
        ({"transaction_id": "../../x"}, "unreadable"),
        ({"transaction_id": None}, "unreadable"),
        ({"currency": None}, "unreadable"),
    ],
    ids=str,
)
async def test_a_quote_that_is_not_for_what_was_asked_is_none(hearing, changes, code):
    said = await asking(hearing({**QUOTED, "data": {**QUOTED["data"], **changes}}))
    assert said == Answer(Verdict.UNKNOWN, code, "unknown")


@pytest.mark.parametrize("answer", [LINKED, STATUS, SUPPORTED, {**QUOTED, "data": []}])
async def test_the_answer_to_another_question_is_no_quote(hearing, answer):
    """createpayment-response, paymentstatus-response, supported-currencies."""
    said = await asking(hearing(answer))
    assert isinstance(said, Answer)
    assert said.verdict is not Verdict.PAID


async def test_the_sample_is_a_quote(hearing):
    """cryptopayment-response."""
    quote = await asking(hearing(QUOTED))
    assert quote == CoinQuote(
        Decimal("0.000245"), QUOTED["data"]["address"], "", QUOTED["data"]["transaction_id"]
    )


async def test_the_stand_in_refuses_the_thirty_first_address_of_a_minute(rail, dynopay, clock):
    for number in range(30):
        assert isinstance(await asking(rail, token=f"{number:032x}"), CoinQuote)
    assert await asking(rail) == BUSY
    clock.at += timedelta(minutes=1)
    assert isinstance(await asking(rail), CoinQuote)


# -- prices ------------------------------------------------------------------------------------


async def test_what_a_coin_is_worth_is_read_from_a_quote_that_nobody_pays(rail, dynopay, clock):
    dynopay.prices["BTC"] = Decimal(80_000)
    assert await rail.worth(BTC, Decimal("0.5")) == 40_000
    dynopay.prices["BTC"] = Decimal(50_000)
    assert await rail.worth(BTC, Decimal("0.5")) == 40_000, "the same quote for a while"
    assert len(dynopay.payments) == 1
    clock.at += timedelta(minutes=15)
    assert await rail.worth(BTC, Decimal("0.5")) == 25_000


async def test_nobody_can_say_what_a_coin_is_worth_while_dynopay_is_silent(rail, dynopay):
    dynopay.fail("cryptoPayment")
    assert await rail.worth(BTC, Decimal(1)) is None


# -- webhooks ----------------------------------------------------------------------------------


async def test_a_payment_is_seen_confirmed_and_settled(dynopay, door, payment):
    await dynopay.pay(payment)
    assert door.believed == [True] * 3
    assert [(one.pending, one.amount) for one in door.said] == [
        (True, Decimal("0.00025")),
        (False, Decimal("0.00025")),
    ]
    assert len({one.txid for one in door.said}) == 1
    assert door.said[0].address == payment.address
    assert door.said[1].cost == Decimal("0.0000025")


async def test_a_short_payment_is_what_came_although_its_price_is_named_in_full(
    dynopay, door, payment
):
    """Underpaid, then confirmed with the whole base_amount; and the status says paid in full."""
    hooks = await dynopay.pay(payment, Decimal("0.0000001"))
    assert [hook.event for hook in hooks] == [PENDING, UNDERPAID, CONFIRMED, SETTLED]
    assert all(json.loads(hook.body)["base_amount"] == 15 for hook in hooks)
    assert list(door.credited().values()) == [Decimal("0.0000001")]
    assert {one.amount for one in door.said} == {Decimal("0.0000001")}


async def test_two_payments_to_one_address_are_two(dynopay, door, payment):
    await dynopay.pay(payment, Decimal("0.0001"))
    await dynopay.pay(payment.address, Decimal("0.00015"))
    assert sorted(door.credited().values()) == [Decimal("0.0001"), Decimal("0.00015")]


async def test_the_tag_comes_with_the_coins(rail, dynopay, door):
    quote = await asking(rail, coin=XRP, callback_url=door.url)
    await dynopay.pay(quote.address, tag=quote.tag)
    assert {(one.coin, one.tag, one.amount) for one in door.said} == {("XRP", quote.tag, 30)}


@pytest.mark.parametrize(
    "events", sorted(set(permutations([PENDING, UNDERPAID, CONFIRMED, CONFIRMED])))
)
async def test_in_whatever_order_and_however_often_they_come(dynopay, door, payment, events):
    await dynopay.pay(payment, Decimal("0.0001"), events=events)
    assert list(door.credited().values()) == [Decimal("0.0001")]


async def test_a_redelivery_under_a_new_id_is_the_same_payment(dynopay, door, payment):
    hooks = await dynopay.pay(payment)
    again = [await dynopay.redeliver(hook) for hook in hooks]
    assert not {hook.webhook_id for hook in hooks} & {hook.webhook_id for hook in again}
    assert door.believed == [True] * 6
    assert len(door.credited()) == 1


async def test_late_webhooks_are_as_good(dynopay, door, payment, clock):
    await dynopay.pay(payment, late=True)
    assert door.said == []
    assert await dynopay.release() == 3
    assert len(door.credited()) == 1


@pytest.mark.parametrize("manner", ["unsigned", "v1", "stale", "forged"])
async def test_what_dynopay_did_not_sign_now_is_not_believed(dynopay, door, payment, manner):
    await dynopay.pay(payment, manner=manner)
    assert door.believed == [False] * 3
    assert door.said == []


async def test_while_the_secret_is_changed_both_are_good(dynopay, door, payment, build):
    dynopay.old_secret, dynopay.secret = SECRET, "whsec_new"
    await dynopay.pay(payment)
    assert door.believed == [True] * 3
    door.rail = build(dynopay.server, webhook_secret="whsec_new")
    await dynopay.pay(payment)
    assert door.believed == [True] * 6
    door.rail = build(dynopay.server, webhook_secret="whsec_other")
    await dynopay.pay(payment)
    assert door.believed == [True] * 6 + [False] * 3


async def test_metadata_as_text_and_old_texts_for_numbers(dynopay, door, payment):
    dynopay.meta_as_text = True
    await dynopay.pay(payment, amount=payment.amount, merchant_amount="0.0002475", total_fee=...)
    assert list(door.credited().values()) == [payment.amount]


async def test_simulated_coins_are_no_coins_for_a_live_key(rail, dynopay, payment, build):
    dynopay.simulated = True
    (hook,) = await dynopay.pay(payment, events=[CONFIRMED], manner="lost")
    raw = RawRequest("POST", f"/{TOKEN}", "", {}, hook.body.encode())
    with pytest.raises(UnreadableError, match="simulated"):
        rail.read(raw)
    assert build(dynopay.server, api_key="dpk_test_1").read(raw)


async def test_a_test_webhook_says_nothing_of_money(dynopay, door):
    hook = await dynopay.send(door.url, "webhook.test", {"event": "webhook.test"})
    assert hook.status == 200
    assert door.said == []


# -- asking what came --------------------------------------------------------------------------


async def test_nothing_came_is_said_for_certain(rail, dynopay, door, payment):
    assert await rail.deposits(asked_about(payment, door)) == ()
    payment.status = "expired"
    assert await rail.deposits(asked_about(payment, door)) == ()
    assert {call.endpoint for call in dynopay.calls} == {"cryptoPayment", "getPaymentStatus"}


async def test_webhooks_that_did_not_reach_us_are_ordered_again(rail, dynopay, door, payment):
    await dynopay.pay(payment, Decimal("0.0001"), manner="lost")
    assert door.said == []
    said = await rail.deposits(asked_about(payment, door))
    assert said == Answer(Verdict.PENDING, "resent")
    assert list(door.credited().values()) == [Decimal("0.0001")]
    assert [one.pending for one in door.said] == [False, True, True]


async def test_what_reached_us_is_not_ordered_again(rail, dynopay, door, payment):
    await dynopay.pay(payment)
    said = await rail.deposits(asked_about(payment, door))
    assert said == Answer(Verdict.PENDING, "delivered")
    assert "resend" not in {call.endpoint for call in dynopay.calls}


async def test_asking_often_credits_once(rail, dynopay, door, payment, clock):
    await dynopay.pay(payment, manner="lost")
    for _ in range(5):
        assert (await rail.deposits(asked_about(payment, door))).code == "resent"
        clock.at += timedelta(minutes=1)
    assert len(door.credited()) == 1


async def test_a_webhook_that_our_outage_refused_is_caught_up(rail, dynopay, door, payment):
    door.status = 503
    await dynopay.pay(payment)
    assert door.said == []
    door.status = 200
    await rail.deposits(asked_about(payment, door))
    assert len(door.credited()) == 1


async def test_others_webhooks_are_left_alone(rail, dynopay, door, payment):
    quote = await asking(rail, token="6a" * 16, callback_url=f"{door.url}/other")
    await dynopay.pay(quote.reference, manner="lost")
    await dynopay.pay(payment, manner="lost")
    await rail.deposits(asked_about(payment, door))
    resent = [
        json.loads(call.answer)["data"]["url"]
        for call in dynopay.calls
        if "resend" in call.endpoint
    ]
    assert resent == [door.url] * 2


async def test_the_list_is_read_page_by_page(rail, dynopay, door, payment):
    await dynopay.pay(payment, manner="lost")
    for _ in range(230):
        await dynopay.send("http://127.0.0.1:1/", "webhook.test", {}, "lost")
    said = await rail.deposits(asked_about(payment, door))
    assert said == Answer(Verdict.PENDING, "resent")
    assert len([call for call in dynopay.calls if call.endpoint == "events"]) == 3


async def test_the_list_is_not_read_for_ever(rail, dynopay, door, payment):
    await dynopay.pay(payment, manner="lost")
    for _ in range(510):
        await dynopay.send("http://127.0.0.1:1/", "webhook.test", {}, "lost")
    said = await rail.deposits(asked_about(payment, door))
    assert said == Answer(Verdict.UNKNOWN, "no_events", "unknown")
    assert len([call for call in dynopay.calls if call.endpoint == "events"]) == 5


async def test_something_came_of_which_there_is_no_webhook(rail, dynopay, door, payment):
    await dynopay.pay(payment, events=[])
    said = await rail.deposits(asked_about(payment, door))
    assert said == Answer(Verdict.UNKNOWN, "no_events", "unknown")


async def test_the_status_is_never_taken_for_an_amount(rail, dynopay, door, payment):
    """paymentstatus-response says `amount_received` = expected of a payment of nearly nothing."""
    await dynopay.pay(payment, Decimal("0.0000001"), manner="lost")
    await rail.deposits(asked_about(payment, door))
    status = next(call for call in dynopay.calls if call.endpoint == "getPaymentStatus")
    assert json.loads(status.answer)["data"]["amount_received"] == 0.00025
    assert list(door.credited().values()) == [Decimal("0.0000001")]


@pytest.mark.parametrize("endpoint", ["getPaymentStatus", "events", "resend"])
@pytest.mark.parametrize(
    "error", ["payment_not_found", "api_key_invalid", "internal", "html", "odd"]
)
async def test_a_refused_question_says_nothing_of_the_money(
    rail, dynopay, door, payment, endpoint, error
):
    await dynopay.pay(payment, manner="lost")
    dynopay.fail(endpoint, error)
    said = await rail.deposits(asked_about(payment, door))
    assert said.verdict is Verdict.UNKNOWN
    dynopay.fail(endpoint, "rate_limited")
    said = await rail.deposits(asked_about(payment, door))
    assert (said.verdict, said.retry) == (Verdict.UNKNOWN, True)


async def test_the_status_sample_leads_to_the_events(hearing):
    """paymentstatus-response."""
    nothing = {"success": True, "message": "Events retrieved", "data": [], "has_more": False}
    rail = hearing(STATUS, nothing)
    asked = CoinAsked(TOKEN, BTC, Decimal(1), "a", URL, "", STATUS["data"]["payment_id"])
    assert (await rail.deposits(asked)).code == "no_events"
    paths = [request.url.raw_path.decode() for request in rail.asked]
    assert paths == [
        f"/api/user/getPaymentStatus/{asked.reference}",
        "/api/user/events?limit=100",
    ]


@pytest.mark.parametrize(
    "events",
    [
        {"success": True},
        {"success": True, "data": {}},
        {"success": True, "data": [1]},
        {"success": True, "data": [{"id": "1", "event": CONFIRMED}]},
        {"success": True, "data": [{"id": 1.5, "event": CONFIRMED}]},
        {"success": True, "data": [{"id": True, "event": CONFIRMED}]},
        {"success": True, "data": [{"id": 1}]},
        {"success": True, "data": [], "has_more": True, "next_cursor": None},
        {"success": True, "data": [], "has_more": True, "next_cursor": "../x"},
    ],
    ids=str,
)
async def test_an_odd_list_is_unknown(hearing, events):
    asked = CoinAsked(TOKEN, BTC, Decimal(1), "a", URL, "", "one")
    assert await hearing(STATUS, events).deposits(asked) == UNREADABLE


@pytest.mark.parametrize("found", [{}, [], {"payment_status": None}, {"payment_status": 1}])
async def test_an_odd_status_is_unknown(hearing, found):
    asked = CoinAsked(TOKEN, BTC, Decimal(1), "a", URL, "", "one")
    rail = hearing({"success": True, "data": found})
    assert await rail.deposits(asked) == UNREADABLE


async def test_without_dynopays_own_id_nothing_can_be_asked(hearing):
    rail = hearing()
    asked = CoinAsked(TOKEN, BTC, Decimal(1), "a", URL)
    assert await rail.deposits(asked) == Answer(Verdict.UNKNOWN, "no_reference", "unknown")
    assert rail.asked == []


async def test_many_ask_at_once(rail, dynopay, door):
    quotes = await asyncio.gather(
        *(asking(rail, token=f"{number:032x}", callback_url=door.url) for number in range(20))
    )
    assert len({quote.address for quote in quotes}) == 20
