"""The bounds of the payment path never lie: what committed is never called failed, what did not is
never called done, and where nobody can tell that is what is said.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from escrow.domain.errors import OutcomeUnknown, TimedOut
from escrow.domain.model import Channel, Evidence, PaymentOutcome, PaymentResult, Receipt
from escrow.services.fund_manager import EscrowFundManager
from escrow.store import database
from escrow.store.database import Database
from tests.faults.proxy import Cut, Proxy
from tests.rail import UNREACHABLE
from tests.world import ADMIN, ADMINS, BRIAN, World, kes

LOCK = 4_711
DONE = (PaymentOutcome.FUNDED, PaymentOutcome.SUSPENSE)


class Wire:
    """The world as it is, and a fund manager that reaches it over a wire that can be cut."""

    def __init__(self, world: World, proxy: Proxy, db: Database, eye: asyncpg.Connection) -> None:
        self.world, self.proxy, self.db, self.eye = world, proxy, db, eye
        self.funds = self.manager(60.0)

    def manager(self, overall_seconds: float) -> EscrowFundManager:
        return EscrowFundManager(
            self.db, self.world.clock, self.world.terms, ADMINS, overall_seconds=overall_seconds
        )

    async def receipt(self, kind: str) -> Receipt:
        """A payment of a deal, or one that fits none."""
        if kind == "unmatched":
            return self.world.by_hand(None, kes(700))
        deal = await self.world.deal(buyer=BRIAN)
        return self.world.by_hand(deal, deal.due)

    async def pay(self, receipt: Receipt) -> PaymentResult:
        return await self.funds.process_escrow_payment(receipt, Evidence.STATUS)

    async def booked(self, receipt: Receipt) -> bool:
        """Whether it is in the books, asked past the wire."""
        count = await self.world.value(
            "SELECT count(*) FROM ledger_journals WHERE idempotency_key = $1",
            f"receipt:mpesa:{receipt.reference}",
        )
        return bool(count)

    async def waiting(self, count: int) -> None:
        """Until so many connections wait for a lock."""
        async with asyncio.timeout(10):
            while True:
                waiting = await self.eye.fetchval(
                    "SELECT count(*) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
                )
                if waiting >= count:
                    return

    async def quiet(self) -> None:
        """Until nobody is in a transaction any more."""
        async with asyncio.timeout(10):
            while await self.eye.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND state <> 'idle' AND pid <> pg_backend_pid()"
            ):
                pass


@pytest.fixture
async def wire(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Wire]:
    monkeypatch.setitem(database.SERVER_SETTINGS, "lock_timeout", "700ms")
    async with World.open(dsn) as world, Proxy.open(dsn, tmp_path) as proxy:
        db = await Database.connect(proxy.dsn, minimum=1, maximum=4)
        eye = await asyncpg.connect(dsn)  # sees what all sessions do
        made = Wire(world, proxy, db, eye)
        yield made
        proxy.refusing = False
        await made.quiet()
        await world.books()
        db.pool.terminate()
        await eye.close()


KINDS = pytest.mark.parametrize("kind", ["of a deal", "unmatched"])


# -- the wire breaks around COMMIT ---------------------------------------------------------------


@KINDS
@pytest.mark.parametrize("statement", ["BEGIN", "INSERT INTO receipts", "ledger_post", "COMMIT"])
async def test_cut_before_the_server_has_it_is_not_done_and_said_so(
    wire: Wire, kind: str, statement: str
) -> None:
    receipt = await wire.receipt(kind)
    wire.proxy.cut_at(statement, Cut.BEFORE)
    with pytest.raises(TimedOut):
        await wire.pay(receipt)
    assert wire.proxy.struck.is_set()
    assert not await wire.booked(receipt)
    assert (await wire.pay(receipt)).outcome in DONE, "it may simply be tried again"


@KINDS
@pytest.mark.parametrize("cut", [Cut.AFTER, Cut.ANSWERED], ids=lambda cut: cut.name.lower())
async def test_cut_after_the_commit_is_read_back_as_the_first_answer(
    wire: Wire, kind: str, cut: Cut
) -> None:
    receipt = await wire.receipt(kind)
    wire.proxy.cut_at("COMMIT", cut)
    result = await wire.pay(receipt)
    assert wire.proxy.struck.is_set()
    assert result.outcome in DONE
    assert await wire.booked(receipt)
    again = await wire.pay(receipt)
    assert again.outcome is PaymentOutcome.DUPLICATE
    assert again.fund_breakdown == result.fund_breakdown
    assert again.receipt_id == result.receipt_id


async def test_a_claim_that_was_not_booked_is_not_called_booked_for_lying_in_suspense(
    wire: Wire,
) -> None:
    """What was there before the work says nothing of the work."""
    deal = await wire.world.deal()
    receipt = wire.world.by_hand(deal, deal.due)
    assert (await wire.pay(receipt)).outcome is PaymentOutcome.SUSPENSE
    closed: list[PaymentOutcome] = []

    async def close(conn: object, result: PaymentResult) -> None:
        closed.append(result.outcome)

    async def claim() -> PaymentResult:
        return await wire.funds.credit_claim(receipt, Evidence.STATUS, BRIAN, close, at=None)

    wire.proxy.cut_at("COMMIT", Cut.BEFORE)
    with pytest.raises(TimedOut):
        await claim()
    assert wire.proxy.struck.is_set()
    assert await wire.world.status_of(deal) == "PENDING"
    assert (await claim()).outcome is PaymentOutcome.FUNDED
    assert closed == [PaymentOutcome.FUNDED] * 2


async def test_a_payment_that_was_denied_before_and_not_booked_now_is_not_called_booked(
    wire: Wire,
) -> None:
    """A prompt's callback was denied, then a query says that it was paid after all."""
    deal = await wire.world.deal(buyer=BRIAN)
    attempt = await wire.world.prompt(deal)
    wire.world.rail.query_answer = UNREACHABLE
    await wire.world.callback(attempt, "SGAAAA0001")
    denied = await wire.world.value("SELECT id FROM receipts")
    await wire.world.confirmations.confirm_receipt(denied, ADMIN, ours=False)
    paid = Receipt(
        provider="mpesa",
        channel=Channel.STK,
        reference=None,
        amount=attempt.amount,
        happened_at=wire.world.clock.now(),
        escrow_code=deal.id,
        attempt_id=attempt.id,
    )
    wire.proxy.cut_at("COMMIT", Cut.BEFORE)
    with pytest.raises(TimedOut):
        await wire.funds.process_escrow_payment(paid, Evidence.QUERY)
    assert await wire.world.receipt_states() == {"SGAAAA0001": "IGNORED"}
    again = await wire.funds.process_escrow_payment(paid, Evidence.QUERY)
    assert again.outcome is PaymentOutcome.FUNDED


async def _hold_commits(dsn: str) -> asyncpg.Connection:
    """From now on every COMMIT of a new receipt waits for a lock that this connection holds."""
    owner = await asyncpg.connect(dsn)
    await owner.execute(
        "CREATE FUNCTION hold_commit() RETURNS trigger LANGUAGE plpgsql AS $$"
        f" BEGIN PERFORM pg_advisory_xact_lock({LOCK}); RETURN NULL; END $$;"
        " CREATE CONSTRAINT TRIGGER hold_commit AFTER INSERT ON receipts"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hold_commit()"
    )
    await owner.execute(f"SELECT pg_advisory_lock({LOCK})")
    return owner


@KINDS
async def test_cut_in_the_middle_of_a_commit_waits_for_its_end_before_it_answers(
    wire: Wire, kind: str
) -> None:
    receipt = await wire.receipt(kind)
    owner = await _hold_commits(wire.world.dsn)
    try:
        wire.proxy.cut_at("COMMIT", Cut.AFTER)
        paying = asyncio.create_task(wire.pay(receipt))
        await wire.waiting(2)  # the COMMIT itself, and whoever asks what became of it
        assert not await wire.booked(receipt)
        await owner.execute(f"SELECT pg_advisory_unlock({LOCK})")
        assert (await paying).outcome in DONE
        assert await wire.booked(receipt)
    finally:
        await owner.close()


@KINDS
async def test_cut_in_the_middle_of_a_commit_that_then_fails_is_not_done(
    wire: Wire, kind: str
) -> None:
    receipt = await wire.receipt(kind)
    owner = await _hold_commits(wire.world.dsn)
    try:
        wire.proxy.cut_at("COMMIT", Cut.AFTER)
        paying = asyncio.create_task(wire.pay(receipt))
        await wire.waiting(2)
        await owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE 'COMMIT%' AND state = 'active'"
        )
        with pytest.raises(TimedOut):
            await paying
        assert not await wire.booked(receipt)
        await owner.execute("DROP TRIGGER hold_commit ON receipts")
    finally:
        await owner.close()
    assert (await wire.pay(receipt)).outcome in DONE


@KINDS
async def test_a_commit_that_does_not_end_in_time_is_of_unknown_outcome(
    wire: Wire, kind: str
) -> None:
    receipt = await wire.receipt(kind)
    owner = await _hold_commits(wire.world.dsn)
    try:
        await owner.execute("ALTER FUNCTION hold_commit() SET lock_timeout = '20s'")
        wire.proxy.cut_at("COMMIT", Cut.AFTER)
        with pytest.raises(OutcomeUnknown):
            await wire.pay(receipt)
        assert not await wire.booked(receipt), "nobody could know it then"
        await owner.execute(f"SELECT pg_advisory_unlock({LOCK})")
        await wire.quiet()
        assert await wire.booked(receipt), "and it was done after all"
        assert (await wire.pay(receipt)).outcome is PaymentOutcome.DUPLICATE
    finally:
        await owner.close()


@KINDS
@pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.ANSWERED], ids=lambda cut: cut.name.lower())
async def test_a_database_that_stays_away_is_an_unknown_outcome(
    wire: Wire, kind: str, cut: Cut
) -> None:
    receipt = await wire.receipt(kind)
    wire.proxy.cut_at("COMMIT", cut)
    paying = asyncio.create_task(wire.pay(receipt))
    await wire.proxy.struck.wait()
    wire.proxy.refusing = True
    await wire.db.pool.expire_connections()
    with pytest.raises(OutcomeUnknown):
        await paying
    wire.proxy.refusing = False
    committed = cut is Cut.ANSWERED
    await wire.quiet()
    assert await wire.booked(receipt) is committed
    expected = (PaymentOutcome.DUPLICATE,) if committed else DONE
    assert (await wire.pay(receipt)).outcome in expected


# -- the overall bound ---------------------------------------------------------------------------


async def test_the_overall_bound_ends_a_statement_that_hangs_and_nothing_is_done(
    wire: Wire,
) -> None:
    receipt = await wire.receipt("of a deal")
    owner = await asyncpg.connect(wire.world.dsn)
    await owner.execute("BEGIN; LOCK TABLE ledger_journals IN ACCESS EXCLUSIVE MODE")
    try:
        with pytest.raises(TimedOut):
            await wire.manager(0.2).process_escrow_payment(receipt, Evidence.STATUS)
    finally:
        await owner.close()
    await wire.quiet()
    assert not await wire.booked(receipt)
    assert (await wire.pay(receipt)).outcome is PaymentOutcome.FUNDED


async def test_a_deal_that_stays_locked_is_not_done_within_the_servers_bound(wire: Wire) -> None:
    receipt = await wire.receipt("of a deal")
    owner = await asyncpg.connect(wire.world.dsn)
    await owner.execute("BEGIN")
    await owner.execute(
        "SELECT 1 FROM escrow_transactions WHERE id = $1 FOR UPDATE", receipt.escrow_code
    )
    try:
        with pytest.raises((TimedOut, OutcomeUnknown)):
            await wire.pay(receipt)
    finally:
        await owner.close()
    assert not await wire.booked(receipt)
    assert (await wire.pay(receipt)).outcome is PaymentOutcome.FUNDED


async def test_the_bound_that_falls_into_the_commit_tells_the_truth(wire: Wire) -> None:
    receipt = await wire.receipt("of a deal")
    owner = await _hold_commits(wire.world.dsn)
    try:
        with pytest.raises(TimedOut):
            await wire.manager(0.3).process_escrow_payment(receipt, Evidence.STATUS)
        await wire.quiet()
        assert not await wire.booked(receipt)
    finally:
        await owner.close()


@KINDS
async def test_a_bound_at_any_moment_of_the_work_never_lies(wire: Wire, kind: str) -> None:
    """Deadlines swept over the whole duration of a payment, finely around its end."""
    await wire.pay(await wire.receipt(kind))
    loop = asyncio.get_running_loop()
    receipt = await wire.receipt(kind)
    started = loop.time()
    await wire.pay(receipt)
    usual = loop.time() - started
    said: Counter[str] = Counter()
    for step in range(120):
        receipt = await wire.receipt(kind)
        try:
            result = await wire.manager(usual * step / 60).process_escrow_payment(
                receipt, Evidence.STATUS
            )
            assert result.outcome in DONE
            answer = "done"
        except TimedOut:
            answer = "not done"
        booked = await wire.booked(receipt)
        assert booked == (answer == "done"), f"{answer} after {step}/60 of the usual time"
        said[answer] += 1
    assert set(said) == {"done", "not done"}, said
    await wire.quiet()
    assert wire.db.pool.get_idle_size() == wire.db.pool.get_size(), "no connection leaked"


async def test_a_database_that_falls_silent_is_given_up_within_its_bounds(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No answer, no error: the wire just swallows everything from the COMMIT on."""
    monkeypatch.setattr(database, "ACQUIRE_SECONDS", 1.0)
    receipt = await wire.receipt("of a deal")
    wire.proxy.cut_at("COMMIT", Cut.SILENT)
    async with asyncio.timeout(20):
        with pytest.raises((TimedOut, OutcomeUnknown)):
            await wire.manager(0.3).process_escrow_payment(receipt, Evidence.STATUS)
    await wire.proxy.sever()
    assert not await wire.booked(receipt)


async def test_the_server_bounds_every_statement_lock_and_idle_transaction(world: World) -> None:
    bounds = {}
    for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
        bounds[name] = await world.value(f"SHOW {name}")
    assert bounds == {
        "statement_timeout": "10s",
        "lock_timeout": "5s",
        "idle_in_transaction_session_timeout": "15s",
    }
    assert (
        EscrowFundManager(world.db, world.clock, world.terms, ADMINS)._bound.overall_seconds == 60
    )


def test_no_source_puts_a_wait_for_around_a_unit() -> None:
    """A `wait_for` around a commit lies: the bound stands outside and reads the truth back."""
    services = Path(__file__).parents[2] / "escrow" / "services"
    for path in services.glob("*.py"):
        for call in re.findall(r"wait_for\(([^)]*)", path.read_text(encoding="utf-8")):
            assert "wake" in call, f"{path.name}: wait_for({call}"
