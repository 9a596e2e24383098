"""BlockBee over HTTP, against its stand-in and its documented answers."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from urllib.parse import parse_qs, quote_plus, urlsplit

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiolimiter import AsyncLimiter

from escrow.domain.coins import BY_CODE, COINS
from escrow.domain.money import Currency, Money
from escrow.rails.blockbee import BlockBee, BlockBeeConfig
from escrow.services.ports import (
    Answer,
    CoinAsked,
    CoinQuote,
    CoinRail,
    RawRequest,
    UnreadableError,
    Verdict,
)
from sandbox.blockbee import BlockBeeStandIn
from sandbox.blockbee_wire import address_of
from tests.rails.fakes import TLS, Clock

TOKEN = "00ff" * 8
PUBLIC = "https://amana.test/base"
CALLBACK = f"{PUBLIC}/hooks/b/{TOKEN}"
USDT = BY_CODE["USDT-TRC20"]
BTC = BY_CODE["BTC"]


def usd(cents):
    return Money(cents, Currency.USD)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def bee(clock):
    """The stand-in over HTTP, with its address."""
    stand_in = BlockBeeStandIn(clock=clock.now)
    server = TestServer(stand_in.app())
    await server.start_server()
    stand_in.address = str(server.make_url("")).rstrip("/")
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
        fields = {"base_url": base, "api_key": "sandbox", "public_url": PUBLIC}
        config = BlockBeeConfig(**{**fields, **changes})
        return BlockBee(config, client, clock, pace=AsyncLimiter(1000, 1))

    yield make
    for client in clients:
        await client.aclose()


@pytest.fixture
def rail(bee, build) -> CoinRail:
    return build(bee.address, public_key_pem=bee.public_key_pem)


class Door:
    """The bot's side of a callback: behind a proxy that takes `/base` away, with Host and scheme of
    its own. Answers `*ok*` to what is authentic and readable.
    """

    def __init__(self, rail):
        self.rail = rail
        self.url = ""
        self.seen = []
        self.read = []

    async def serve(self, request):
        raw = RawRequest(
            request.method,
            request.raw_path,
            request.raw_path.partition("?")[2],
            {name.lower(): value for name, value in request.headers.items()},
            await request.read(),
        )
        self.seen.append(raw)
        if not await self.rail.authentic(raw):
            return web.Response(status=403)
        try:
            self.read.append(self.rail.read(raw))
        except UnreadableError:
            return web.Response(status=400)
        return web.Response(text="*ok*")


@pytest.fixture
async def door(bee, rail):
    one = Door(rail)
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", one.serve)
    server = TestServer(app)
    await server.start_server()
    bee.reach[PUBLIC] = str(server.make_url("")).rstrip("/")
    yield one
    await server.close()


async def opened(rail, coin=USDT, cents=10_00, callback=CALLBACK):
    return await rail.open(token=TOKEN, coin=coin, usd=usd(cents), callback_url=callback)


def asked(quote, coin=USDT, callback=CALLBACK):
    return CoinAsked(TOKEN, coin, quote.amount, quote.address, callback)


# -- opening -----------------------------------------------------------------------------------


def test_it_is_a_rail_of_the_coins_that_blockbee_has(build):
    rail = build("https://blockbee.test")
    assert rail.name == "blockbee"
    assert [coin.code for coin in rail.coins] == [c.code for c in COINS if c.blockbee]
    assert "XRP" not in [coin.code for coin in rail.coins]


async def test_an_opened_address_has_a_price_and_asks_for_everything_we_need(bee, rail):
    quote = await opened(rail)
    assert quote == CoinQuote(Decimal(10), address_of("trc20/usdt", CALLBACK))
    assert [call.path for call in bee.calls] == [
        "/trc20/usdt/info/",
        "/trc20/usdt/convert/",
        "/trc20/usdt/create/",
    ]
    info, convert, create = bee.calls
    assert info.query == {"prices": "1"}
    assert convert.query == {"value": "10.00", "from": "usd"}
    assert create.query == {"callback": CALLBACK, "pending": "1", "convert": "1"}
    for call in bee.calls:
        assert call.headers["apikey"] == "sandbox"


@pytest.mark.parametrize("coin", [pytest.param(c, id=c.code) for c in COINS if c.blockbee])
async def test_every_coin_opens_with_an_address_of_its_network(bee, rail, coin):
    quote = await opened(rail, coin, 500_00)
    assert quote.address == address_of(coin.blockbee, CALLBACK)
    assert quote.amount == 500 / bee.prices[coin.blockbee]


@pytest.mark.parametrize(
    ("value_coin", "coin", "amount"),
    [
        ("10.0000001", USDT, "10.000001"),
        ("10.00000100", USDT, "10.000001"),
        ("1E1", USDT, "10"),
        ("0.000100001", BTC, "0.00010001"),
        ("9.9999999999", USDT, "10"),
        ("0.002500000000000001", BY_CODE["ETH"], "0.002500000000000001"),
    ],
)
async def test_the_quote_is_rounded_up_to_what_the_network_knows(
    bee, rail, value_coin, coin, amount
):
    bee.minimums["btc"] = Decimal("0.00001")
    bee.answer("convert", json.dumps({"status": "success", "value_coin": value_coin}))
    assert (await opened(rail, coin)).amount == Decimal(amount)


async def test_opening_again_gives_the_same_address(rail):
    one, two = await opened(rail), await opened(rail)
    other = await opened(rail, callback=f"{CALLBACK}/x")
    assert one == two
    assert other.address != one.address


async def test_a_lost_answer_is_unknown_and_opening_again_is_safe(bee, rail):
    bee.cut("create", act=True)
    assert await opened(rail) == Answer(Verdict.UNKNOWN, "lost", "unknown")
    assert len(bee.receivers) == 1
    quote = await opened(rail)
    assert list(bee.receivers) == [quote.address]


@pytest.mark.parametrize("endpoint", ["info", "convert", "create"])
@pytest.mark.parametrize("error", ["internal", "html", "empty", "too_many"])
async def test_trouble_at_any_step_is_unknown_and_then_over(bee, rail, endpoint, error):
    bee.fail(endpoint, error)
    said = await opened(rail)
    assert said.verdict is Verdict.UNKNOWN
    assert isinstance(await opened(rail), CoinQuote)


@pytest.mark.parametrize("endpoint", ["info", "convert", "create"])
async def test_a_lost_request_is_unknown(bee, rail, endpoint):
    bee.cut(endpoint, act=False)
    assert (await opened(rail)).verdict is Verdict.UNKNOWN
    assert bee.receivers == {}


async def test_a_slow_answer_is_given_up(bee, build):
    rail = build(bee.address, timeout_seconds=0.05)
    held = bee.hold("create")
    assert (await opened(rail)) == Answer(Verdict.UNKNOWN, "lost", "unknown")
    held.release()


@pytest.mark.parametrize("endpoint", ["info", "convert", "create"])
@pytest.mark.parametrize(
    ("error", "reason"),
    [("coin", "coin_unavailable"), ("wrong_key", "misconfigured"), ("callback", "misconfigured")],
)
async def test_a_refusal_at_any_step_is_definite(bee, rail, endpoint, error, reason):
    bee.fail(endpoint, error)
    said = await opened(rail)
    assert (said.verdict, said.reason) == (Verdict.DECLINED, reason)
    assert bee.receivers == {}


async def test_a_wrong_key_is_our_set_up(bee, build):
    said = await opened(build(bee.address, api_key="wrong"))
    assert said == Answer(Verdict.DECLINED, "http_401", "misconfigured")


async def test_a_coin_that_blockbee_dropped_or_we_do_not_offer(bee, rail):
    del bee.prices["trc20/usdt"]
    assert (await opened(rail)).reason == "coin_unavailable"
    calls = len(bee.calls)
    said = await opened(rail, BY_CODE["XRP"])
    assert (said.verdict, said.reason) == (Verdict.DECLINED, "coin_unavailable")
    assert len(bee.calls) == calls


@pytest.mark.parametrize(
    ("cents", "minimum", "taken"),
    [
        (10_00, "6.666666", True),
        (10_00, "6.666667", False),
        (10_00, "10", False),
        (100_00, "66", True),
        (2_50, "1", True),  # short by 1.50 it is just the minimum
        (2_49, "1", False),
        (1_50, "0.1", False),
        (1_50, "0", True),
    ],
)
async def test_what_might_be_ignored_is_not_asked_for(bee, rail, cents, minimum, taken):
    bee.answer("info", json.dumps({"status": "success", "minimum_transaction_coin": minimum}))
    bee.minimums["trc20/usdt"] = Decimal("0.01") if cents > 2_00 else Decimal(0)
    said = await opened(rail, cents=cents)
    if taken:
        assert isinstance(said, CoinQuote)
    else:
        assert said == Answer(Verdict.DECLINED, "minimum", "too_small")
        assert bee.receivers == {}


async def test_the_minimum_of_the_address_counts_too(bee, rail):
    low = {"status": "success", "minimum_transaction_coin": "1"}
    bee.answer("info", json.dumps(low))
    bee.minimums["trc20/usdt"] = Decimal(9)
    said = await opened(rail)
    assert said == Answer(Verdict.DECLINED, "minimum", "too_small")


async def test_an_address_without_a_minimum_is_as_the_sample(bee, rail):
    """create-response: no minimum_transaction_coin."""
    body = {"address_in": address_of("trc20/usdt", CALLBACK), "status": "success"}
    bee.answer("create", json.dumps({**body, "callback_url": CALLBACK}))
    assert isinstance(await opened(rail), CoinQuote)


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("info", {"minimum_transaction_coin": None}),
        ("info", {"minimum_transaction_coin": "-1"}),
        ("info", {"minimum_transaction_coin": "1", "prices": []}),
        ("info", {"minimum_transaction_coin": "1", "prices": {"USD": "0"}}),
        ("convert", {"value_coin": "0"}),
        ("convert", {"value_coin": "nan"}),
        ("convert", {"exchange_rate": "1"}),
        ("create", {}),
        ("create", {"address_in": ""}),
        ("create", {"address_in": "0x" + "1a" * 20}),
        ("create", {"address_in": "T" + "0" * 33}),
        ("create", {"address_in": ["TN3W4H6rK2ce4vX9YnFQHwKENnHjoxb3m9"]}),
        (
            "create",
            {
                "address_in": "TN3W4H6rK2ce4vX9YnFQHwKENnHjoxb3m9",
                "callback_url": "https://amana.test/other",
            },
        ),
        (
            "create",
            {
                "address_in": "TN3W4H6rK2ce4vX9YnFQHwKENnHjoxb3m9",
                "minimum_transaction_coin": "x",
            },
        ),
    ],
)
async def test_an_answer_unlike_the_documentation_is_unknown(bee, rail, endpoint, body):
    bee.answer(endpoint, json.dumps({"status": "success", **body}))
    assert await opened(rail) == Answer(Verdict.UNKNOWN, "unreadable", "unknown")


@pytest.mark.parametrize(
    ("value_coin", "taken"), [("10.5", True), ("9.5", True), ("10.6", False), ("0.1", False)]
)
async def test_two_prices_that_contradict_each_other_are_not_trusted(bee, rail, value_coin, taken):
    bee.answer("convert", json.dumps({"status": "success", "value_coin": value_coin}))
    said = await opened(rail)
    assert isinstance(said, CoinQuote) == taken
    assert taken or said == Answer(Verdict.UNKNOWN, "price", "unknown")


async def test_a_callback_url_that_could_never_be_checked_is_our_set_up(bee, rail):
    said = await opened(rail, callback=f"https://elsewhere.test/hooks/b/{TOKEN}")
    assert said == Answer(Verdict.DECLINED, "callback_url", "misconfigured")
    assert not bee.calls


@pytest.mark.parametrize(
    ("amount", "callback"),
    [
        (Money(1000, Currency.KES), CALLBACK),
        (usd(0), CALLBACK),
        (usd(-1), CALLBACK),
        (usd(1000), f"{PUBLIC}/hooks/b/other"),
    ],
)
async def test_what_makes_no_sense_is_an_error_of_ours(rail, amount, callback):
    with pytest.raises(ValueError):
        await rail.open(token=TOKEN, coin=USDT, usd=amount, callback_url=callback)


# -- worth -------------------------------------------------------------------------------------


async def test_what_coins_are_worth_is_exact(bee, rail):
    bee.prices["btc"] = Decimal("107995.3359480198")
    worth = await rail.worth(BTC, Decimal("0.123456789012345678"))
    assert worth == Decimal("13332.7574044520710595382771884244")
    assert await rail.worth(BTC, Decimal(0)) == 0


@pytest.mark.parametrize("error", ["internal", "html", "empty", "coin", "wrong_key"])
async def test_nobody_can_say_is_none(bee, rail, error):
    bee.fail("info", error)
    assert await rail.worth(BTC, Decimal(1)) is None
    assert await rail.worth(BTC, Decimal(1)) == 100000
    assert await rail.worth(BY_CODE["XRP"], Decimal(1)) is None


@pytest.mark.parametrize("prices", [None, {}, {"EUR": "1"}, {"USD": "-1"}, {"USD": "nan"}, 5])
async def test_no_price_is_none(bee, rail, prices):
    bee.answer(
        "info",
        json.dumps({"status": "success", "minimum_transaction_coin": "1", "prices": prices}),
    )
    assert await rail.worth(BTC, Decimal(1)) is None


@pytest.mark.parametrize("amount", ["-1", "nan", "Infinity"])
async def test_worth_of_no_amount_is_an_error_of_ours(rail, amount):
    with pytest.raises(ValueError):
        await rail.worth(BTC, Decimal(amount))


# -- callbacks ---------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["get", "post", "json"])
@pytest.mark.parametrize("form", ["plain", "exponent"])
async def test_pending_then_confirmed_behind_a_proxy(bee, rail, door, mode, form):
    quote = await opened(rail)
    payment = await bee.pay(quote.address, "10.123456", mode=mode, form=form)
    assert payment.acknowledged
    (pending,), (confirmed,) = door.read
    assert (pending.pending, confirmed.pending) == (True, False)
    assert pending.txid == confirmed.txid == payment.txid
    assert pending.amount == confirmed.amount == Decimal("10.123456")
    assert confirmed.cost == Decimal("0.10123456")
    assert pending.cost == 0
    assert confirmed.address == quote.address
    assert (confirmed.coin, confirmed.usd) == ("USDT-TRC20", 1)
    assert len({parse_qs(one.url).get("uuid", [one.body])[0] for one in bee.deliveries}) <= 2


async def test_18_decimals_and_the_networks_part(bee, rail, door):
    coin = BY_CODE["ETH"]
    quote = await opened(rail, coin, 500_00)
    bee.network_fee["eth"] = Decimal("0.000000000000000001")
    await bee.pay(quote.address, "0.100000000000000001", pending_first=False)
    ((deposit,),) = door.read
    assert deposit.amount == Decimal("0.100000000000000001")
    assert deposit.cost == Decimal("0.001000000000000001")


async def test_every_further_deposit_is_told(bee, rail, door, clock):
    """Part payments, a second one, and one that comes months later."""
    quote = await opened(rail)
    one = await bee.pay(quote.address, 6)
    two = await bee.pay(quote.address, 4)
    clock.at += timedelta(days=90)
    three = await bee.pay(quote.address, 4)
    confirmed = [d for (d,) in door.read if not d.pending]
    assert [d.txid for d in confirmed] == [one.txid, two.txid, three.txid]
    assert [d.amount for d in confirmed] == [6, 4, 4]


async def test_another_coin_keeps_its_name(bee, rail, door):
    quote = await opened(rail)
    bee.prices["trc20/usdc"] = Decimal(1)
    bee.multi_token = True
    await bee.pay(quote.address, 10, coin="trc20/usdc", pending_first=False)
    await bee.pay(quote.address, 40, coin="trx", pending_first=False)
    assert [d.coin for (d,) in door.read] == ["trc20_usdc", "TRX"]


async def test_a_repeated_or_reordered_callback_reads_the_same(bee, rail, door):
    quote = await opened(rail)
    payment = await bee.pay(quote.address, 10, confirm=False, deliver="never")
    await bee.confirm(payment, deliver="twice")
    await bee.tell(payment, pending=True)
    one, two, late = (d for (d,) in door.read)
    assert one == two
    assert (one.pending, late.pending) == (False, True)


@pytest.mark.parametrize("sign", ["bad", "none", "other"])
@pytest.mark.parametrize("mode", ["get", "post", "json"])
async def test_a_forged_callback_is_refused(bee, rail, door, sign, mode):
    quote = await opened(rail)
    payment = await bee.pay(quote.address, 10, sign=sign, mode=mode)
    assert {one.status for one in bee.deliveries} == {403}
    assert not payment.acknowledged
    assert door.read == []
    assert len([call for call in bee.calls if call.endpoint == "pubkey"]) == (sign != "none")


async def test_a_replay_to_another_address_of_ours(bee, rail, door):
    """A signed body names its own address, whatever URL it is sent to; a signed URL fits only
    itself.
    """
    quote = await opened(rail)
    await bee.pay(quote.address, 10, pending_first=False, mode="json")
    await bee.pay(quote.address, 10, pending_first=False, mode="get")
    body, url = bee.deliveries
    elsewhere = f"{PUBLIC}/hooks/b/{'11' * 16}"
    moved = await bee.replay(url, url=url.url.replace(CALLBACK, elsewhere))
    assert moved.status == 403
    await bee.replay(body, url=elsewhere)
    (deposit,) = door.read[-1]
    assert deposit.address == quote.address
    as_body = replace(url, method="POST", body=url.url, url=elsewhere)
    swapped = await bee.replay(as_body)
    assert swapped.status == 400  # authentic bytes, but no callback
    with pytest.raises(UnreadableError):
        rail.read(door.seen[-1])


async def test_a_new_key_of_blockbee_is_found_and_the_callback_comes_again(bee, rail, door, clock):
    quote = await opened(rail)
    bee.rotate_key()
    bee.fail("pubkey", "internal")
    payment = await bee.pay(quote.address, 10, pending_first=False)
    assert payment.deliveries[-1].status == 403
    clock.at += timedelta(hours=1)
    assert await bee.retry() == 1
    assert payment.acknowledged
    assert len(door.read) == 1


async def test_a_storm_of_forgeries_asks_once_and_breaks_nothing(bee, rail, door):
    quote = await opened(rail)
    payment = await bee.pay(quote.address, 10, pending_first=False, sign="bad")
    (forged,) = payment.deliveries
    await asyncio.gather(*(bee.replay(forged) for _ in range(200)))
    assert {one.status for one in bee.deliveries} == {403}
    assert len([call for call in bee.calls if call.endpoint == "pubkey"]) == 1
    await bee.confirm(payment)
    assert payment.acknowledged


async def test_one_changed_byte_of_the_request_is_not_authentic(bee, rail, door):
    quote = await opened(rail)
    await bee.pay(quote.address, 10, pending_first=False)
    (good,) = door.seen
    assert await rail.authentic(good)
    target, query = good.target, good.query
    for changed in (
        replace(good, target=target + "&a=1", query=query + "&a=1"),
        replace(good, query=query.replace("10", "99")),  # another query than the signed target's
        replace(good, target=target.replace("%22", '"'), query=query.replace("%22", '"')),
        replace(good, target=target.replace("%3A", "%3a"), query=query.replace("%3A", "%3a")),
        replace(good, target=target.removeprefix("/")),
        replace(good, target="https://amana.test" + target),
        replace(good, target=target + "\ud800", query=query + "\ud800"),
        replace(good, method="HEAD"),
        replace(good, method="POST"),
        replace(good, method="PUT"),
        replace(good, headers={}),
    ):
        assert not await rail.authentic(changed)


async def test_a_rail_with_another_public_address_refuses(bee, build, rail, door):
    quote = await opened(rail)
    await bee.pay(quote.address, 10, pending_first=False)
    other = build(bee.address, public_url="https://amana.test", public_key_pem=bee.public_key_pem)
    assert not await other.authentic(door.seen[0])


# -- asking ------------------------------------------------------------------------------------


async def test_nothing_yet_is_certain(rail):
    quote = await opened(rail)
    assert await rail.deposits(asked(quote)) == ()


async def test_the_logs_tell_what_no_callback_told(bee, rail, clock):
    quote = await opened(rail)
    first = await bee.pay(quote.address, 6, deliver="never")
    second = await bee.pay(quote.address, "4.5", deliver="never", confirm=False)
    one, two = await rail.deposits(asked(quote))
    assert (one.txid, one.amount, one.pending) == (first.txid, 6, False)
    assert one.cost == Decimal("0.06")
    assert one.at == clock.at
    assert (two.txid, two.amount, two.pending) == (second.txid, Decimal("4.5"), True)
    assert {one.coin, two.coin} == {"USDT-TRC20"}
    assert bee.calls[-1].query == {"callback": CALLBACK}


async def test_logs_and_callbacks_name_a_payment_alike(bee, rail, door):
    quote = await opened(rail, BY_CODE["ETH"], 500_00)
    await bee.pay(quote.address, "0.1")
    (listed,) = await rail.deposits(asked(quote, BY_CODE["ETH"]))
    (told,) = door.read[-1]
    assert replace(listed, usd=told.usd, at=None) == told


@pytest.mark.parametrize("error", ["internal", "html", "empty", "too_many", "coin", "wrong_key"])
async def test_a_question_that_failed_says_nothing_about_the_money(bee, rail, error):
    quote = await opened(rail)
    await bee.pay(quote.address, 10, deliver="never")
    bee.fail("logs", error)
    said = await rail.deposits(asked(quote))
    assert said.verdict is Verdict.UNKNOWN
    assert len(await rail.deposits(asked(quote))) == 1


async def test_an_error_for_no_callbacks_is_not_taken_for_certain(bee, rail):
    """The documentation says "an error if there are no callbacks" and gives no words for it."""
    quote = await opened(rail)
    bee.logs_empty_is_error = True
    assert (await rail.deposits(asked(quote))).verdict is Verdict.UNKNOWN


async def test_an_unknown_callback_url_is_unknown(rail):
    quote = await opened(rail)
    said = await rail.deposits(asked(quote, callback=f"{CALLBACK}/x"))
    assert said.verdict is Verdict.UNKNOWN
    assert (await rail.deposits(asked(quote, BY_CODE["XRP"]))).verdict is Verdict.UNKNOWN


async def test_logs_of_another_address_are_unknown(rail):
    quote = await opened(rail)
    other = replace(asked(quote), address=address_of("trc20/usdt", "other"))
    assert await rail.deposits(other) == Answer(Verdict.UNKNOWN, "unreadable", "unknown")


async def test_long_logs_are_read(bee, rail, door):
    quote = await opened(rail)
    for _ in range(70):
        await bee.pay(quote.address, 10, pending_first=False)
    assert len(await rail.deposits(asked(quote))) == 70
    assert len(bee.calls[-1].answer) > 65536


async def test_coins_that_blockbee_ignores_are_nowhere(bee, rail, door):
    quote = await opened(rail)
    small = await bee.pay(quote.address, "0.5")
    foreign = await bee.pay(quote.address, 10, coin="trc20/usdc")
    assert small.ignored
    assert foreign.ignored
    assert door.seen == []
    assert await rail.deposits(asked(quote)) == ()


async def test_neither_key_nor_token_is_in_a_log(bee, rail, door, caplog):
    caplog.set_level("DEBUG", "escrow")
    quote = await opened(rail)
    await bee.pay(quote.address, 10)
    await rail.deposits(asked(quote))
    for said in (CALLBACK, quote_plus(CALLBACK), "x " * 55 + quote_plus(CALLBACK)):
        bee.fail("logs", "coin", words=f"nothing at {said} for sandbox")
        await rail.deposits(asked(quote))
    own = [r for r in caplog.records if r.name.startswith("escrow")]
    assert len(own) >= 5
    for record in own:
        assert TOKEN not in str(record.__dict__)
        assert "sandbox" not in str(record.__dict__)
    assert urlsplit(bee.calls[-1].path).query == ""
