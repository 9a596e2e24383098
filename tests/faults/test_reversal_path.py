"""400 ways back through everything that goes wrong on the way: nothing goes back twice, and nothing
waits unseen.

As in `test_payout_path`: requests and replies get lost, results come late, twice, never or
contradict each other, two senders work at once, and both die between any two steps.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from decimal import Decimal

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiolimiter import AsyncLimiter

from escrow.domain.model import Evidence
from escrow.rails.mpesa_gateway import MpesaConfig
from escrow.rails.mpesa_reversals import MpesaReversals
from escrow.rails.token_store import TokenStore
from escrow.services.intake import Intake
from escrow.services.payouts import Payouts
from escrow.web.webhooks import Webhooks
from sandbox.daraja import DarajaStandIn
from sandbox.daraja_money import Payment, ReversalPlan, StatusPlan
from sandbox.faults import Fault, FaultBox
from tests.faults.test_payout_path import Died, told_admins
from tests.rails.fakes import TLS
from tests.world import ADMINS, BRIAN, PHONES, World, kes

MANY = 400
SECRET = "0" * 32


class Weather(FaultBox):
    """A tenth of the requests never arrives, a tenth of the replies gets lost."""

    def __init__(self, dice: random.Random) -> None:
        super().__init__()
        self.dice = dice
        self.blown: Counter[str] = Counter()

    def take(self, where: str, chat_id: int | None = None) -> Fault | None:
        throw = self.dice.random()
        if where == "reversal" and throw < 0.10:
            self.blown["request lost"] += 1
            return Fault(where, cut=True)
        if where == "reversal" and throw < 0.20:
            self.blown["reply lost"] += 1
            return Fault(where, act=True, cut=True)
        if where == "reversal" and throw < 0.23:
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
        self.world, self.dice, self.deaths = world, dice, 0
        self.daraja = DarajaStandIn(clock=world.clock.now)
        self.daraja.till = Decimal(10**9)
        self.daraja.faults = self.weather = Weather(dice)

    async def __aenter__(self) -> Storm:
        world = self.world
        self.provider = TestServer(self.daraja.app())
        await self.provider.start_server()
        config = MpesaConfig(
            base_url=str(self.provider.make_url("")).rstrip("/"),
            consumer_key="sandbox",
            consumer_secret="sandbox",
            shortcode="174379",
            passkey="",
            display_name="",
            initiator_name="testapi",
            security_credential="play",
        )
        self.http = httpx.AsyncClient(verify=TLS)
        tokens = TokenStore(world.db, world.clock)
        pace = AsyncLimiter(100_000, 1)
        rail = MpesaReversals(config, self.http, tokens, world.clock, reachable=True, pace=pace)
        app = web.Application()
        door: list[Intake] = []

        async def receive(request: web.Request) -> web.StreamResponse:
            return await Webhooks(door[0])._receive(request)

        app.router.add_route("*", "/hooks/m/{secret}/{rest:.*}", receive)
        self.hooks = TestServer(app)
        await self.hooks.start_server()
        self.senders = [
            Payouts(
                world.db,
                world.clock,
                world.payout_rail,
                world.booking,
                ADMINS,
                callback_base=str(self.hooks.make_url(f"/hooks/m/{SECRET}")),
                reversals=rail,
                look=self.look,
            )
            for _ in range(2)
        ]
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
        kinds = [
            (76, ReversalPlan()),
            (5, ReversalPlan(deliver="late")),
            (4, ReversalPlan(deliver="twice")),
            (3, ReversalPlan(deliver="never")),
            (3, ReversalPlan(deliver="timeout")),
            (3, ReversalPlan(result="R000002")),
            (2, ReversalPlan(result=21)),
            (2, ReversalPlan(result=1)),
            (2, ReversalPlan(result=26)),
            (2, ReversalPlan(then="R000002")),
            (2, ReversalPlan(result="R000002", then=0)),
        ]
        weights, choices = zip(*kinds, strict=True)
        self.daraja.reversal_plans = self.dice.choices(choices, weights, k=count)
        answers = [StatusPlan(), StatusPlan(result=2032), StatusPlan(deliver="never")]
        self.daraja.status_plans = self.dice.choices(answers, (80, 10, 10), k=count)


async def book(storm: Storm, count: int) -> None:
    """Half of them out of suspense, half out of Brian's wallet; all begin their way back."""
    world = storm.world
    closed = await world.deal(1_000, buyer=BRIAN)
    await world.escrows.cancel(closed.id, BRIAN)
    at = world.clock.now()
    for n in range(count):
        number, amount = f"SG{n:08d}", 10 + n % 80
        code = closed.id if n % 2 else None
        await world.funds.process_escrow_payment(
            world.by_hand(code, kes(amount), reference=number), Evidence.STATUS
        )
        storm.daraja.payments[number] = Payment(
            number, "paybill", PHONES[BRIAN], Decimal(amount), "", at
        )
    admin = ADMINS[0]
    for n in range(count):
        kind = "reverse" if n % 2 else "send_back"
        await world.rules(kind, f"SG{n:08d}", admin)
    await world.sql("DELETE FROM outbox")


def gone_of(storm: Storm) -> Counter[str]:
    """How often M-Pesa really sent each receipt back."""
    done = storm.daraja.payments
    return Counter(one.original for one in storm.daraja.reversals if one.receipt in done)


async def check(storm: Storm) -> Counter[str]:
    """Nothing went back twice, the books say what happened, what is open is known to admins."""
    world, gone = storm.world, gone_of(storm)
    assert [number for number, times in gone.items() if times > 1] == [], "sent back twice"
    rows = await world.sql(
        "SELECT p.id, p.state, p.telegram_id, p.receipt, r.state AS receipt_state,"
        " p.provider_reference FROM payouts p JOIN receipts r ON r.id = p.receipt_id"
    )
    contradicted = await told_admins(world, "payout_contradiction")
    for row in rows:
        if row["state"] == "PAID":
            home = "REVERSED" if row["telegram_id"] else "RETURNED"
            assert row["receipt_state"] == home
        else:
            assert row["receipt_state"] in ("CREDITED", "SUSPENSE")
        if row["id"] in contradicted:
            continue
        if row["state"] == "PAID":
            assert gone[row["receipt"]] == 1, f"{row['receipt']} did not go back"
            assert storm.daraja.payments[row["provider_reference"]].original == row["receipt"]
        if row["state"] == "FAILED":
            assert gone[row["receipt"]] == 0, f"{row['receipt']} went back and was given back"
    still = {row["id"] for row in rows if row["state"] not in ("PAID", "FAILED")}
    seen = await told_admins(world, "payout_manual", "payout_unknown")
    assert still <= seen, "something waits unseen"
    assert await world.sql("SELECT 1 FROM ledger_trial_balance WHERE total_minor <> 0") == []
    return Counter(row["state"] for row in rows)


async def test_through_everything_nothing_goes_back_twice_and_nothing_waits_unseen(
    stormy: World,
) -> None:
    dice = random.Random(5)  # noqa: S311 a storm that comes again
    async with Storm(stormy, dice) as storm:
        await book(storm, MANY)
        storm.plans(3 * MANY)
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
    assert storm.deaths > 5
    blown = storm.weather.blown
    assert min(blown["request lost"], blown["reply lost"]) > 20
    assert before["MANUAL"] > after["MANUAL"], "late results settle what a person was asked about"
    assert after["PAID"] > MANY * 0.7
    assert after["FAILED"] > 5
    assert after["MANUAL"] > 20
    assert await stormy.sql("SELECT route, note FROM inbox WHERE state = 'PARKED'") == []
