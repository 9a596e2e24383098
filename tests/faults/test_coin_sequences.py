"""Whatever order coin callbacks come in, with whatever between: for every confirmed transaction of
the chain exactly its value is in some account, once, or an alert or a parked row says why not.

What should have come of a sequence is told by `Books`, a few lines of plain arithmetic beside the
program. Deals are in dollars and in shillings, at a provider whose amounts are each deposit's own
and at one whose amounts may be sums.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from escrow.domain.coins import BY_CODE
from escrow.domain.errors import CannotDo
from escrow.domain.model import CryptoAttempt, Escrow
from escrow.domain.money import Currency
from escrow.services.choice_tokens import Action
from escrow.services.ports import Deposit
from sandbox.dynopay_wire import CONFIRMED, PENDING, SETTLED, UNDERPAID
from tests.coin_house import CoinHouse, coin_house
from tests.coin_rail import FakeCoinRail
from tests.world import ADMIN, JANE, World

RATE = Decimal(130)
PRICES = {"USDT-TRC20": Decimal(1), "XRP": Decimal("0.5"), "TRX": Decimal("0.25")}
SUMS = {"blockbee": False, "dynopay": True}
COIN_OF = ("USDT-TRC20", "XRP")
"""One coin of each provider: the first is asked for at BlockBee, the second at DynoPay."""
_numbers = itertools.count(1)


@dataclass
class Seen:
    """A deposit as it has to be known: the least amount ever named, since when, what it became."""

    amount: Decimal
    at: datetime
    named: set[Decimal] = field(default_factory=set)
    credited: tuple[str, int] | None = None
    done: bool = False
    counted: bool = False


@dataclass
class Address:
    """An attempt, and what was told of it by (hash, coin)."""

    attempt: CryptoAttempt
    seen: dict[tuple[str, str], Seen] = field(default_factory=dict)

    def amount(self, key: tuple[str, str], named: Decimal, *, confirmed: bool) -> Decimal:
        """What a deposit of that amount counts as where it may be the sum of all before it; 0 where
        nobody can tell.
        """
        known = self.seen.get(key)
        if not SUMS[self.attempt.provider] or not confirmed or (known and known.counted):
            return named
        before = sum(
            one.amount
            for other, one in self.seen.items()
            if other[1] == key[1] and other[0] != key[0] and one.counted
        )
        return max(named - before, Decimal(0))

    def value(self, key: tuple[str, str], now: datetime, rate_at: datetime) -> tuple[str, int]:
        """(currency, minor units) of a deposit that is credited now."""
        seen, asked = self.seen[key], self.attempt
        if key[1] == asked.coin and seen.at <= asked.expires_at:
            part = Fraction(seen.amount) / Fraction(asked.coin_amount)
            return asked.amount.currency.code, (asked.amount.minor * part).__floor__()
        cents = Fraction(seen.amount) * Fraction(PRICES[key[1]]) * 100
        if asked.amount.currency is Currency.KES and now - rate_at < timedelta(hours=24):
            return "KES", (cents * Fraction(RATE)).__floor__()
        return "USD", cents.__floor__()


class Play:
    """Two deals of one buyer, and everything that happens to them."""

    def __init__(self, world: World, buyer: int, deals: list[Escrow]) -> None:
        self.world = world
        self.buyer = buyer
        self.deals = deals
        self.addresses: list[Address] = []
        self.chain: list[tuple[Address, str, str, Decimal]] = []
        self.waiting: list[tuple[Address, tuple[str, str], Decimal]] = []
        self.rate_at = world.clock.now()
        self.held: set[str] = set()

    @classmethod
    async def begins(cls, world: World) -> Play:
        world.clock.tick(minutes=1)
        for rail in world.coin_rails:
            rail.silent = False
        buyer = 10_000 + next(_numbers)
        await world.person(buyer, "Buyer", f"2547{buyer:08d}")
        await world.coins.set_rate(RATE, "host")
        deals = [await world.usd_deal(buyer=buyer), await world.deal(buyer=buyer)]
        play = cls(world, buyer, deals)
        for deal in range(2):
            for rail in range(2):
                await play.ask(deal, rail)
        return play

    # -- what people and time do -----------------------------------------------------------------

    async def ask(self, deal: int, rail: int) -> None:
        try:
            asked = await self.world.ask_coins(self.deals[deal], self.buyer, COIN_OF[rail])
        except CannotDo:  # over, or no fresh price of the dollar
            return
        known = [one.attempt.id for one in self.addresses]
        if asked.attempt.id not in known:
            self.addresses.append(Address(asked.attempt))

    async def press(self, deal: int, action: Action) -> None:
        found = await self.world.value(
            "SELECT count(*) FROM underpayment_choices WHERE escrow_id = $1"
            " AND used_at IS NULL AND voided_at IS NULL",
            self.deals[deal].id,
        )
        if found:
            try:
                await self.world.press(self.deals[deal], action, self.buyer)
            except CannotDo:  # too late
                return

    async def cancel(self, deal: int, buyer: bool) -> None:
        try:
            await self.world.escrows.cancel(self.deals[deal].id, self.buyer if buyer else JANE)
        except CannotDo:  # paid
            return

    async def sweep(self) -> None:
        await self.world.choices.expire()
        await self.world.escrows.cancel_overdue()

    async def tick(self, minutes: int) -> None:
        """Time goes by, and somebody keeps the price of the dollar fresh."""
        self.world.clock.tick(minutes=minutes)
        if self.world.clock.now() - self.rate_at > timedelta(hours=11):
            await self.world.coins.set_rate(RATE, "host")
            self.rate_at = self.world.clock.now()
        await self.world.settle_inbox()

    async def silent(self, quiet: bool) -> None:
        """The providers name no prices, or do again; what waited for them goes on."""
        for rail in self.world.coin_rails:
            rail.silent = quiet
        if not quiet:
            self.world.clock.tick(minutes=10)
            await self.world.settle_inbox()
            for address, key, named in self.waiting:
                self._counts(address, key, named, confirmed=True)
            self.waiting.clear()

    # -- what the chain and the providers do -----------------------------------------------------

    async def mine(self, address: int, share: Fraction, other: bool) -> None:
        """Coins are sent to an address; nobody has told of them yet."""
        to = self.addresses[address % len(self.addresses)]
        coin = BY_CODE["TRX" if other else to.attempt.coin]
        exact = Fraction(to.attempt.coin_amount) * share
        step = Decimal(1).scaleb(-coin.digits)
        amount = (Decimal(exact.numerator) / exact.denominator).quantize(step, ROUND_DOWN)
        if amount:
            self.chain.append((to, f"tx{next(_numbers)}", coin.code, amount))

    async def tell(self, number: int, pending: bool, form: str, lie: Fraction) -> None:
        """A callback about a transaction; `lie`: that part of its amount is named."""
        if not self.chain:
            return
        to, txid, coin, amount = self.chain[number % len(self.chain)]
        named = (amount * lie.numerator / lie.denominator).quantize(amount, ROUND_DOWN)
        if not named:
            return
        await self._send(to, txid, coin, format(named, form), pending=pending)
        self._counts(to, (txid, coin), named, confirmed=not pending)

    async def look(self, number: int) -> None:
        """The sweep finds everything that the chain has confirmed at an address of BlockBee."""
        to = self.addresses[number % len(self.addresses)]
        if SUMS[to.attempt.provider]:
            return
        found = [
            Deposit(txid, coin, amount, False, address=to.attempt.address)
            for one, txid, coin, amount in self.chain
            if one is to
        ]
        rail = self.world.coin_rails[0]
        rail.found = {to.attempt.token: found}
        for deposit in found:
            key = (deposit.txid, deposit.coin)
            if rail.silent and self._needs_price(to, key, deposit.amount):
                return  # the others wait until it is looked for again
        await self.world.coins.look(to.attempt)
        for deposit in found:
            self._counts(to, (deposit.txid, deposit.coin), deposit.amount, confirmed=True)

    def _needs_price(self, to: Address, key: tuple[str, str], named: Decimal) -> bool:
        seen = to.seen.get(key) or Seen(named, self.world.clock.now())
        in_time = key[1] == to.attempt.coin and seen.at <= to.attempt.expires_at
        return not seen.done and not in_time

    async def forge(self, number: int, how: str) -> None:
        """A request that means somebody else, or nobody: it may credit nothing."""
        to = self.addresses[number % len(self.addresses)]
        other = self.addresses[(number + 1) % len(self.addresses)]
        wrong = {
            "address": {"address": f"{other.attempt.address}x"},
            "token": {"token": f"{next(_numbers):032x}"},
            "tag": {"tag": "4712"},
            "coin": {"coin": "shib"},
        }[how]
        coin, amount = wrong.pop("coin", to.attempt.coin), f"{to.attempt.coin_amount:f}"
        await self._send(to, f"forged{next(_numbers)}", coin, amount, **wrong)

    async def _send(self, to: Address, txid: str, coin: str, amount: str, **said: Any) -> None:
        attempt = to.attempt
        token = said.pop("token", attempt.token)
        body = {"txid": txid, "coin": coin, "amount": amount, "address": attempt.address, **said}
        raw = json.dumps({**body, "nonce": next(_numbers)}).encode()
        if await self.world.intake.store(attempt.provider, token, "POST", "", raw, ""):
            await self.world.intake.store(attempt.provider, token, "POST", "", raw, "")  # a replay
        await self.world.settle_inbox()

    def _counts(
        self, to: Address, key: tuple[str, str], named: Decimal, *, confirmed: bool
    ) -> None:
        """What a telling has to change."""
        now = self.world.clock.now()
        amount = to.amount(key, named, confirmed=confirmed)
        if not amount:
            self.held.add(key[0])
            return
        seen = to.seen.setdefault(key, Seen(amount, now))
        seen.counted = seen.counted or confirmed
        seen.named.add(named)
        if seen.done:
            return
        seen.amount = min(seen.amount, amount)
        if not confirmed:
            return
        if self.world.coin_rails[0].silent and self._needs_price(to, key, named):
            self.waiting.append((to, key, named))
            return
        seen.done = True
        value = to.value(key, now, self.rate_at)
        seen.credited = value if value[1] else None

    # -- what has to be true ---------------------------------------------------------------------

    async def ends(self) -> None:
        """Nothing waits any more; then everything is where it belongs."""
        await self.silent(False)
        await self.sweep()
        ids = [one.attempt.id for one in self.addresses]
        rows = await self.world.sql(
            "SELECT * FROM receipts WHERE crypto_attempt_id = ANY($1) ORDER BY id", ids
        )
        found = {
            (row["crypto_attempt_id"], row["reference"].partition("#")[0], row["coin"]): (
                row["currency"],
                row["amount_minor"],
            )
            for row in rows
        }
        assert len(found) == len(rows), "a transaction was credited twice"
        expected = {
            (one.attempt.id, *key): seen.credited
            for one in self.addresses
            for key, seen in one.seen.items()
            if seen.credited is not None
        }
        assert found == expected
        assert {row["state"] for row in rows} <= {"CREDITED"}
        assert {row["state"] for row in await self._inbox()} <= {"DONE", "PARKED"}
        await self._whatever_differs_is_told()
        await self._money_is_all_there(found)

    async def _inbox(self) -> list[Any]:
        tokens = [one.attempt.token for one in self.addresses]
        return list(await self.world.sql("SELECT * FROM inbox WHERE token = ANY($1)", tokens))

    async def _whatever_differs_is_told(self) -> None:
        """What is credited as anything but the one amount that was named has its alert."""
        told = await self.world.sql(
            "SELECT params FROM outbox WHERE chat_id = $1 AND kind = 'odd_coins'"
            " AND escrow_id = ANY($2)",
            ADMIN,
            [deal.id for deal in self.deals],
        )
        alerts = {row["params"]["txid"] for row in told}
        assert self.held <= alerts
        for to in self.addresses:
            for (txid, _), seen in to.seen.items():
                if seen.named != {seen.amount}:
                    assert txid in alerts, (txid, seen)

    async def _money_is_all_there(self, found: dict[Any, Any]) -> None:
        """The deals' accounts and the buyer's wallet hold what came, to the cent."""
        came = {"USD": Decimal(0), "KES": Decimal(0)}
        for currency, minor in found.values():
            came[currency] += Decimal(minor) / 100
        for currency in came:
            held = await self.world.wallet(self.buyer, Currency.of(currency))
            for deal in self.deals:
                if deal.currency.code == currency:
                    held += sum(await self.world.accounts(deal))
            assert held == came[currency]


class Playground:
    """Where examples play one after the other; it is short when an example is printed."""

    def __init__(self, world: World, house: CoinHouse | None = None) -> None:
        self.world = world
        self.house = house

    def __repr__(self) -> str:
        return "Playground()"


SHARES = st.sampled_from(
    [Fraction(part, 105) for part in (105, 105, 105, 110, 104, 98, 85, 7, 50, 55, 210)]
    + [Fraction(1, 10**7)]
)
LIES = st.sampled_from([Fraction(1)] * 6 + [Fraction(1, 2), Fraction(98, 105), Fraction(2)])
SMALL = st.integers(0, 7)
ACTS = st.one_of(
    st.tuples(st.just("mine"), SMALL, SHARES, st.sampled_from([False] * 5 + [True])),
    st.tuples(st.just("mine"), SMALL, SHARES, st.just(False)),
    *[st.tuples(st.just("tell"), SMALL, st.booleans(), st.sampled_from("fE"), LIES)] * 4,
    st.tuples(st.just("look"), SMALL),
    st.tuples(st.just("forge"), SMALL, st.sampled_from(["address", "token", "tag", "coin"])),
    st.tuples(st.just("tick"), st.sampled_from([1, 9, 11, 29, 31, 12 * 60, 25 * 60])),
    st.tuples(st.just("press"), st.integers(0, 1), st.sampled_from(Action)),
    st.tuples(st.just("ask"), st.integers(0, 1), st.integers(0, 1)),
    st.tuples(st.just("cancel"), st.integers(0, 1), st.booleans()),
    st.tuples(st.just("silent"), st.booleans()),
    st.tuples(st.just("sweep")),
)


@pytest.mark.slow
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(acts=st.lists(ACTS, min_size=4, max_size=24))
async def test_no_sequence_credits_coins_twice_or_loses_them(
    playing: Playground, acts: list[tuple[Any, ...]]
) -> None:
    play = await Play.begins(playing.world)
    for name, *arguments in acts:
        playing.world.clock.tick(seconds=1)
        await getattr(play, name)(*arguments)
    await play.ends()


@pytest.fixture
async def playing(dsn: str) -> Any:
    """A world with two providers, each with coins of its own."""
    rails = [
        FakeCoinRail("blockbee", [BY_CODE["USDT-TRC20"], BY_CODE["TRX"]], dict(PRICES)),
        FakeCoinRail("dynopay", [BY_CODE["XRP"]], dict(PRICES), running_totals=True),
    ]
    async with World.open(dsn, coin_rails=rails, addresses_per_user_hour=10_000) as world:
        yield Playground(world)
        await world.books()


# -- the same through the real clients and the real door -------------------------------------------


class Wire:
    """Deposits at both providers as they really tell of them, and whatever else knocks."""

    def __init__(self, house: CoinHouse, buyer: int) -> None:
        self.house = house
        self.world = house.world
        self.buyer = buyer
        self.deals: list[Escrow] = []
        self.asked: list[CryptoAttempt] = []
        self.sent: list[tuple[CryptoAttempt, Decimal, Any]] = []
        self.confirmed: set[int] = set()

    async def begins(self) -> None:
        self.world.clock.tick(minutes=1)
        self.world.clock.at = self.world.clock.at.replace(microsecond=0)
        await self.world.person(self.buyer, "Buyer", f"2547{self.buyer:08d}")
        await self.world.coins.set_rate(Decimal(100), "host")
        self.deals = [await self.world.usd_deal(buyer=self.buyer) for _ in range(2)]
        for deal, coin in zip(self.deals, COIN_OF, strict=True):
            self.asked.append((await self.world.ask_coins(deal, self.buyer, coin)).attempt)

    async def pay(self, which: int, dollars: int, heard: str) -> None:
        """`heard`: confirmed, pending only so far, twice, or lost."""
        asked = self.asked[which]
        coins = Decimal(dollars) / PRICES[asked.coin]
        if which == 0:
            told = await self.house.bee.pay(
                asked.address,
                coins,
                confirm=heard != "pending",
                deliver={"twice": "twice", "lost": "never"}.get(heard, "once"),
            )
        else:
            events = {"pending": (PENDING,), "twice": (CONFIRMED, PENDING, CONFIRMED)}.get(heard)
            told = await self.house.dyno.pay(
                asked.reference,
                coins,
                txid=f"{next(_numbers):064X}",
                events=events or (PENDING, UNDERPAID, CONFIRMED, SETTLED),
                manner="lost" if heard == "lost" else "signed",
            )
        self.sent.append((asked, Decimal(dollars), told))
        if heard != "pending":
            self.confirmed.add(len(self.sent) - 1)

    async def confirm(self, number: int) -> None:
        """What was on its way is confirmed."""
        if not self.sent:
            return
        number %= len(self.sent)
        asked, dollars, told = self.sent[number]
        if number in self.confirmed:
            return
        self.confirmed.add(number)
        if asked is self.asked[0]:
            await self.house.bee.confirm(told)
        else:
            txid = told[0].payload["txId"]
            coins = dollars / PRICES[asked.coin]
            more = await self.house.dyno.pay(
                asked.reference, coins, txid=txid, events=(CONFIRMED, SETTLED)
            )
            told.extend(more)

    async def again(self, number: int) -> None:
        """What was delivered comes once more, or goes to the other deal's address."""
        if not self.sent:
            return
        asked, _, told = self.sent[number % len(self.sent)]
        if asked is self.asked[0]:
            for delivery in list(told.deliveries)[-1:]:
                await self.house.bee.replay(delivery)
                elsewhere = delivery.url.replace(asked.token, self.asked[1].token)
                await self.house.bee.replay(delivery, url=elsewhere)
        else:
            for hook in list(told)[-1:]:
                await self.house.dyno.redeliver(hook)
                path = hook.url.replace("https://amana.example", "")
                elsewhere = path.replace(asked.token, f"{next(_numbers):032x}")
                for where in (path, elsewhere):
                    await self.house.http.post(where, content=hook.body, headers=hook.headers)

    async def forge(self, number: int) -> None:
        """Somebody signs with a key of his own."""
        await self.house.bee.pay(
            self.asked[0].address, "105", sign=("bad", "none", "other")[number % 3]
        )
        self.house.bee.payments.pop()  # no chain ever saw it
        await self.house.dyno.pay(
            self.asked[1].reference,
            events=(CONFIRMED,),
            manner=("unsigned", "v1", "stale", "forged")[number % 4],
        )
        del self.house.dyno.hooks[-1]

    async def settle(self) -> None:
        await self.world.settle_inbox()

    async def press(self, deal: int, action: Action) -> None:
        await Play.press(self, deal, action)  # type: ignore[arg-type]

    async def look(self) -> None:
        self.world.clock.tick(minutes=2)
        await self.world.coins.look_due()
        await self.world.settle_inbox()

    async def ends(self) -> None:
        """Every confirmed transaction is credited once: whole at BlockBee; at DynoPay what all of
        them name together is never more than came, and an alert tells of every difference.
        """
        for _ in range(3):
            self.world.clock.tick(minutes=10)
            await self.world.settle_inbox()
            for asked in self.asked:
                await self.world.coins.look(asked)
            await self.world.settle_inbox()
        for which, asked in enumerate(self.asked):
            rows = await self.world.sql(
                "SELECT amount_minor FROM receipts WHERE crypto_attempt_id = $1 ORDER BY id",
                asked.id,
            )
            credited = [Decimal(row["amount_minor"]) / 100 for row in rows]
            came = [
                dollars
                for number, (one, dollars, _) in enumerate(self.sent)
                if one is asked and number in self.confirmed
            ]
            if which == 0:
                assert sorted(credited) == sorted(came)
                continue
            assert sum(credited) <= sum(came)
            alerts = await self.world.value(
                "SELECT count(*) FROM outbox WHERE kind = 'odd_coins' AND escrow_id = $1",
                asked.escrow_id,
            )
            assert sorted(credited) == sorted(came) or alerts
        held = await self.world.wallet(self.buyer, Currency.USD)
        for deal in self.deals:
            held += sum(await self.world.accounts(deal))
        total = await self.world.value(
            "SELECT sum(amount_minor) FROM receipts WHERE crypto_attempt_id = ANY($1)",
            [one.id for one in self.asked],
        )
        assert held == Decimal(total or 0) / 100
        for _ in range(10):  # until a request that nobody's address is in was tried often enough
            self.world.clock.tick(hours=1)
            await self.world.settle_inbox()
        assert await self.world.value("SELECT count(*) FROM inbox WHERE state = 'NEW'") == 0


WIRE_ACTS = st.one_of(
    *[
        st.tuples(
            st.just("pay"),
            st.integers(0, 1),
            st.sampled_from([105, 110, 104, 98, 85, 7, 55]),
            st.sampled_from(["confirmed", "pending", "twice", "lost"]),
        )
    ]
    * 3,
    st.tuples(st.just("confirm"), SMALL),
    st.tuples(st.just("again"), SMALL),
    st.tuples(st.just("forge"), SMALL),
    st.tuples(st.just("press"), st.integers(0, 1), st.sampled_from(Action)),
    st.tuples(st.just("settle")),
    st.tuples(st.just("look")),
)


@pytest.mark.slow
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(acts=st.lists(WIRE_ACTS, min_size=4, max_size=12))
async def test_no_sequence_of_real_requests_credits_twice_or_loses(
    wired: Playground, acts: list[tuple[Any, ...]]
) -> None:
    wire = Wire(wired.house, 20_000 + next(_numbers))
    await wire.begins()
    for name, *arguments in acts:
        wire.world.clock.tick(seconds=1)
        await getattr(wire, name)(*arguments)
    await wire.ends()


@pytest.fixture
async def wired(dsn: str) -> Any:
    async with coin_house(dsn, ["blockbee", "dynopay"], addresses_per_user_hour=10_000) as house:
        yield Playground(house.world, house)
        await house.world.books()
