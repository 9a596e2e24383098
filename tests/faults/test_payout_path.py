"""2,000 payouts through everything that goes wrong on the way: nobody is paid twice, and nothing
waits unseen.

Requests and replies get lost, results come late, twice, never or contradict each other, M-Pesa's
status answers lie, two senders work at once, and both die between any two steps.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiolimiter import AsyncLimiter

from escrow.rails.mpesa_gateway import MpesaConfig
from escrow.rails.mpesa_payouts import MpesaPayouts
from escrow.rails.token_store import TokenStore
from escrow.services.intake import Intake
from escrow.services.payout_booking import PayoutBooking
from escrow.services.payouts import Payouts
from escrow.web.webhooks import Webhooks
from sandbox.daraja import DarajaStandIn
from sandbox.daraja_money import B2cPlan, StatusPlan
from sandbox.faults import Fault, FaultBox
from tests.rails.fakes import TLS
from tests.world import ADMIN, ADMINS, BRIAN, World, kes

MANY = 2000
SECRET = "0" * 32


class Died(Exception):
    """The process was killed here."""


class Weather(FaultBox):
    """10 % of the payment requests never arrive, 10 % of the replies get lost, 3 % are refused for
    reasons of M-Pesa's; a tenth of the questions gets lost.
    """

    def __init__(self, dice: random.Random) -> None:
        super().__init__()
        self.dice = dice
        self.blown: Counter[str] = Counter()

    def take(self, where: str, chat_id: int | None = None) -> Fault | None:
        throw = self.dice.random()
        if where == "b2c":
            if throw < 0.10:
                self.blown["request lost"] += 1
                return Fault(where, cut=True)
            if throw < 0.20:
                self.blown["reply lost"] += 1
                return Fault(where, act=True, cut=True)
            if throw < 0.23:
                self.blown["broken"] += 1
                return Fault(where, act=True, status=500, body="<html>")
        if where == "transactionstatus" and throw < 0.10:
            return Fault(where, act=True, cut=True)
        return None


@pytest.fixture
async def stormy(dsn: str) -> AsyncIterator[World]:
    async with World.open(dsn, connections=20) as world:
        yield world
        await world.books()


class Storm:
    """The program and M-Pesa, over HTTP."""

    def __init__(self, world: World, dice: random.Random) -> None:
        self.world = world
        self.dice = dice
        self.daraja = DarajaStandIn(clock=world.clock.now)
        self.daraja.till = Decimal(10**9)
        self.daraja.faults = self.weather = Weather(dice)
        self.deaths = 0

    async def __aenter__(self) -> Storm:
        world = self.world
        self.provider = TestServer(self.daraja.app())
        await self.provider.start_server()
        config = MpesaConfig(
            base_url=str(self.provider.make_url("")).rstrip("/"),
            consumer_key="sandbox",
            consumer_secret="sandbox",
            shortcode="600997",
            passkey="",
            display_name="",
            initiator_name="testapi",
            security_credential="play",
        )
        self.http = httpx.AsyncClient(verify=TLS)
        tokens = TokenStore(world.db, world.clock)
        rail = MpesaPayouts(
            config,
            self.http,
            tokens,
            world.clock,
            credential="ab" * 16,
            pace=AsyncLimiter(100_000, 1),
        )
        app = web.Application()
        self.hooks = TestServer(app)
        booking = PayoutBooking(can_pay_out=lambda: True, admins=ADMINS)
        self.senders: list[Payouts] = []

        def make(base: str) -> Payouts:
            return Payouts(
                world.db,
                world.clock,
                rail,
                booking,
                ADMINS,
                callback_base=base,
                look=self.look,
            )

        door: list[Intake] = []

        async def receive(request: web.Request) -> web.StreamResponse:
            return await Webhooks(door[0])._receive(request)

        app.router.add_route("*", "/hooks/m/{secret}/{rest:.*}", receive)
        await self.hooks.start_server()
        base = str(self.hooks.make_url(f"/hooks/m/{SECRET}"))
        self.senders = [make(base), make(base)]
        self.intake = Intake(
            world.db,
            world.clock,
            world.rail,
            world.confirmations,
            ADMINS,
            SECRET,
            payouts=self.senders[0],
        )
        door.append(self.intake)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()
        await self.provider.close()
        await self.hooks.close()

    def look(self, step: str) -> None:
        """A step of the path was done; sometimes it was the last one."""
        if self.dice.random() < 0.02:
            self.deaths += 1
            raise Died(step)

    async def turn(self) -> None:
        """Both processes work, what M-Pesa sends is processed, and a minute passes."""
        both = (one.send_due() for one in self.senders)
        asking = (one.ask_due() for one in self.senders)
        for error in await asyncio.gather(*both, *asking, return_exceptions=True):
            if isinstance(error, BaseException) and not isinstance(error, Died):
                raise error
        await self.settle()
        self.world.clock.tick(minutes=1)

    async def settle(self) -> None:
        await self.daraja.settle()
        while await self.intake.process_due():
            pass

    def plans(self, count: int) -> None:
        """How M-Pesa treats each request."""
        kinds: list[tuple[int, B2cPlan]] = [
            (76, B2cPlan()),
            (5, B2cPlan(deliver="late")),
            (4, B2cPlan(deliver="twice")),
            (3, B2cPlan(deliver="never")),
            (3, B2cPlan(deliver="timeout")),
            (3, B2cPlan(result=2040)),
            (3, B2cPlan(result=1)),
            (1, B2cPlan(then=2040)),
            (1, B2cPlan(result=2040, then=0)),
            (1, B2cPlan(result=100000100)),
        ]
        weights, choices = zip(*kinds, strict=True)
        self.daraja.b2c_plans = self.dice.choices(choices, weights, k=count)
        answers = [StatusPlan(), StatusPlan(result=2032), StatusPlan(deliver="never")]
        self.daraja.status_plans = self.dice.choices(answers, (80, 10, 10), k=count)


async def book(world: World, count: int, dice: random.Random) -> None:
    amounts = [dice.randrange(10, 90) for _ in range(count)]
    await world.give(BRIAN, kes(sum(amounts)))
    for start in range(0, count, 100):
        async with world.db.unit() as conn:
            for n, amount in enumerate(amounts[start : start + 100], start):
                await world.booking.book_withdrawal(
                    conn, BRIAN, kes(amount), f"update:{n}", world.clock.now()
                )
    await world.sql("DELETE FROM outbox")


async def states(world: World) -> dict[int, Any]:
    rows = await world.sql("SELECT id, state, amount_minor, provider_reference FROM payouts")
    return {row["id"]: row for row in rows}


def paid_of(storm: Storm) -> Counter[int]:
    """How often M-Pesa really paid each payout, by the id that we gave it."""
    return Counter(
        int(one.originator_id[1:].partition("-")[0])
        for one in storm.daraja.payouts
        if one.receipt in storm.daraja.payments
    )


async def told_admins(world: World, *kinds: str) -> set[int]:
    rows = await world.sql(
        "SELECT DISTINCT (params ->> 'payout')::bigint AS id FROM outbox"
        " WHERE chat_id = $1 AND kind = ANY ($2)",
        ADMIN,
        list(kinds),
    )
    return {row["id"] for row in rows}


async def check(storm: Storm) -> Counter[str]:
    """Nobody is paid twice, the books say what happened, and what is open is known to admins."""
    world = storm.world
    found, paid = await states(world), paid_of(storm)
    assert [number for number, times in paid.items() if times > 1] == [], "paid twice"
    # where M-Pesa itself said both, admins were woken; everywhere else the books say what happened
    contradicted = await told_admins(world, "payout_contradiction")
    for number, row in found.items():
        if number in contradicted:
            continue
        if row["state"] == "PAID":
            assert paid[number] == 1, f"payout {number} was not paid"
            receipt = storm.daraja.payments[row["provider_reference"]]
            assert receipt.amount * 100 == row["amount_minor"]
        if row["state"] == "FAILED":
            assert paid[number] == 0, f"payout {number} was paid and given back"
    still_open = {n for n, row in found.items() if row["state"] not in ("PAID", "FAILED")}
    seen = await told_admins(world, "payout_manual", "payout_unknown")
    assert still_open <= seen, "something waits unseen"
    payable = await world.value(
        "SELECT coalesce(sum(balance_minor), 0) FROM ledger_accounts WHERE kind = 'payable'"
    )
    assert payable == sum(found[number]["amount_minor"] for number in still_open)
    assert await world.sql("SELECT 1 FROM ledger_trial_balance WHERE total_minor <> 0") == []
    return Counter(row["state"] for row in found.values())


async def test_through_everything_nobody_is_paid_twice_and_nothing_waits_unseen(
    stormy: World,
) -> None:
    dice = random.Random(3)  # noqa: S311 a storm that comes again
    await book(stormy, MANY, dice)
    async with Storm(stormy, dice) as storm:
        storm.plans(2 * MANY)
        for _ in range(400):
            await storm.turn()
            waiting = await stormy.value(
                "SELECT count(*) FROM payouts WHERE state IN ('READY', 'SENDING', 'UNKNOWN')"
            )
            if not waiting:
                break
        assert waiting == 0, "something is still on its way without an end"
        before = await check(storm)
        # a day later what was late arrives
        stormy.clock.tick(hours=24)
        await storm.daraja.release()
        await storm.settle()
        after = await check(storm)
    assert storm.deaths > 20
    blown = storm.weather.blown
    assert min(blown["request lost"], blown["reply lost"]) > 100
    assert blown["broken"] > 20
    assert before["MANUAL"] > after["MANUAL"], "late results settle what a person was asked about"
    assert after["PAID"] > MANY * 0.75
    assert after["FAILED"] > 20
    kinds = Counter(await stormy.told(ADMIN))
    assert kinds["payout_contradiction"] >= 10
    parked = await stormy.sql("SELECT route, note FROM inbox WHERE state = 'PARKED'")
    assert parked == []
