"""The unit of work: it commits whole or not at all, works as the program's role, is bounded by the
server, and every refusal comes out as the domain error it means.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import asyncpg
import pytest

from escrow.domain.errors import (
    AmanaError,
    BooksBroken,
    Conflict,
    DatabaseDown,
    EscrowMoved,
    Fault,
    IllegalMove,
    LimitReached,
    NotAllowed,
    TimedOut,
)
from escrow.store import database
from escrow.store.database import Connection, Database, DatabaseClock, translate
from tests.store import books
from tests.store.books import HELD, NOW, PENDING, SELLER, UNDERPAID, Step

Work = Callable[[Connection], Awaitable[Any]]


async def test_a_unit_that_ends_well_is_committed(db: Database) -> None:
    async with db.unit() as conn:
        await books.run(conn, books.insert("people"))
    async with db.reading() as conn:
        assert await conn.fetchval("SELECT count(*) FROM people") == 1


async def test_a_unit_that_fails_leaves_nothing(db: Database) -> None:
    async def work() -> None:
        async with db.unit() as conn:
            await books.run(conn, books.insert("people"))
            raise LookupError

    with pytest.raises(LookupError):
        await work()
    async with db.reading() as conn:
        assert await conn.fetchval("SELECT count(*) FROM people") == 0


async def test_a_cancelled_unit_leaves_nothing_and_gives_its_connection_back(
    db: Database,
) -> None:
    written = asyncio.Event()

    async def work() -> None:
        async with db.unit() as conn:
            await books.run(conn, books.insert("people"))
            written.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await written.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with db.reading() as conn:
        assert await conn.fetchval("SELECT count(*) FROM people") == 0
    assert db.pool.get_idle_size() == db.pool.get_size()


async def test_the_pool_works_as_the_programs_role_within_bounds(db: Database) -> None:
    async with db.reading() as conn:
        assert await database.acts_as_app_role(conn)
        settings = {
            name: await conn.fetchval("SELECT current_setting($1)", name)
            for name in database.SERVER_SETTINGS
        }
    assert settings == {
        "application_name": "amana",
        "statement_timeout": "10s",
        "lock_timeout": "5s",
        "idle_in_transaction_session_timeout": "15s",
        "TimeZone": "UTC",
        "plan_cache_mode": "force_generic_plan",
    }


async def test_role_and_bounds_outlive_a_connections_first_use(dsn: str) -> None:
    db = await Database.connect(dsn, minimum=1, maximum=1)
    try:
        for _ in range(3):
            async with db.unit() as conn:
                assert await database.acts_as_app_role(conn)
                assert await conn.fetchval("SELECT current_setting('lock_timeout')") == "5s"
                assert await conn.fetchval("SELECT '{\"a\": 1}'::jsonb") == {"a": 1}
    finally:
        await db.close()


async def test_a_server_that_is_not_there_is_down(tmp_path: object) -> None:
    with pytest.raises(DatabaseDown):
        await Database.connect(f"postgresql://nobody@/none?host={tmp_path}")


async def test_a_connection_that_is_cut_is_down_and_the_pool_recovers(
    db: Database, conn: asyncpg.Connection
) -> None:
    async def work() -> None:
        async with db.unit() as unit:
            pid = await unit.fetchval("SELECT pg_backend_pid()")
            await conn.execute("SELECT pg_terminate_backend($1)", pid)
            await unit.fetchval("SELECT 1")

    with pytest.raises(DatabaseDown):
        await work()
    async with db.unit() as unit:
        assert await unit.fetchval("SELECT 1") == 1


async def test_no_free_connection_in_time_is_down_and_never_waits_for_ever(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "ACQUIRE_SECONDS", 0.05)
    db = await Database.connect(dsn, minimum=1, maximum=1)
    try:
        async with db.unit():
            with pytest.raises(DatabaseDown, match="no free connection"):
                async with db.reading():
                    pass
    finally:
        await db.close()


async def test_a_statement_that_the_server_cuts_has_timed_out(db: Database) -> None:
    async def work() -> None:
        async with db.unit() as conn:
            await conn.execute("SET LOCAL statement_timeout = '20ms'")
            await conn.execute("SELECT pg_sleep(10)")

    with pytest.raises(TimedOut):
        await work()


async def test_a_lock_that_is_not_given_in_time_has_timed_out(
    world_db: Database,
) -> None:
    query = "SELECT 1 FROM escrow_transactions WHERE id = $1 FOR UPDATE"

    async def work() -> None:
        async with world_db.unit() as other:
            await other.execute("SET LOCAL lock_timeout = '20ms'")
            await other.execute(query, HELD)

    async with world_db.unit() as holder:
        await holder.execute(query, HELD)
        with pytest.raises(TimedOut):
            await work()


REFUSED: list[tuple[str, Step, type[AmanaError], str]] = [
    ("no such edge", books.move(HELD, "fund", "HELD", "payment"), IllegalMove, "illegal_move"),
    (
        "somebody else's deal",
        books.move(HELD, "ship", "SHIPPED", "seller:9"),
        NotAllowed,
        "not_allowed",
    ),
    (
        "one's own deal",
        books.move(books.OPEN_LINK, "join", "PENDING", f"buyer:{SELLER}", buyer_telegram_id=SELLER),
        NotAllowed,
        "own_deal",
    ),
    (
        "a second prompt for the deal",
        books.insert("payment_attempts", escrow_id=UNDERPAID),
        LimitReached,
        "prompt_open",
    ),
    (
        "a second prompt for the phone",
        books.insert("payment_attempts", phone=books.PHONE),
        LimitReached,
        "prompt_open",
    ),
    (
        "a second choice",
        books.insert("underpayment_choices", escrow_id=UNDERPAID),
        EscrowMoved,
        "escrow_moved",
    ),
    (
        "a second settlement",
        books.insert("settlements", escrow_id=books.COMPLETED),
        EscrowMoved,
        "escrow_moved",
    ),
    (
        "a settlement of another sum",
        books.insert("settlements", seller_minor=1),
        BooksBroken,
        "",
    ),
    ("a key for something else", books.post("late"), Conflict, ""),
    (
        "money below zero",
        books.post("x", ("wallet", "4004", -1), ("external", "", 1)),
        BooksBroken,
        "",
    ),
    ("a journal that does not balance", books.post("x"), BooksBroken, ""),
    (
        "money that no status allows",
        books.post("x", ("external", "", -1), ("holding", PENDING, 1)),
        BooksBroken,
        "",
    ),
    ("what nobody thought of", books.insert("seller_ratings", stars=9), Fault, ""),
]


@pytest.mark.parametrize(
    ("step", "error", "reason"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
async def test_a_refusal_comes_out_as_the_error_it_means(
    world_dsn: str, step: Step, error: type[AmanaError], reason: str
) -> None:
    plain = Database(await asyncpg.create_pool(world_dsn, min_size=1, max_size=1))
    try:
        with pytest.raises(AmanaError) as caught:
            async with plain.unit() as conn:
                await books.run(conn, step)
    finally:
        await plain.close()
    assert type(caught.value) is error
    assert getattr(caught.value, "reason", "") == reason
    assert isinstance(caught.value.__cause__, asyncpg.PostgresError)


def test_every_translation_gives_a_domain_error() -> None:
    for name, make in database.CONSTRAINTS.items():
        assert isinstance(make("words"), AmanaError), name


def test_an_error_that_means_nothing_to_us_stays_as_it_is() -> None:
    for error in (ValueError("x"), asyncpg.UndefinedTableError("x"), asyncpg.DataError("x")):
        assert translate(error) is error


def test_a_refused_transaction_that_nobody_repeats_has_timed_out() -> None:
    for error in (asyncpg.DeadlockDetectedError("x"), asyncpg.SerializationError("x")):
        assert type(translate(error)) is TimedOut


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(),
        asyncpg.ConnectionDoesNotExistError(),
        asyncpg.CannotConnectNowError(),
        asyncpg.TooManyConnectionsError(),
        asyncpg.AdminShutdownError(),
        asyncpg.CrashShutdownError(),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.DiskFullError(),
        asyncpg.OutOfMemoryError(),
        asyncpg.PostgresIOError(),
        asyncpg.ReadOnlySQLTransactionError(),
        asyncpg.IdleInTransactionSessionTimeoutError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_everything_that_cuts_a_connection_is_down(error: Exception) -> None:
    assert type(translate(error)) is DatabaseDown


@pytest.mark.parametrize("error", [asyncpg.DeadlockDetectedError, asyncpg.SerializationError])
async def test_a_unit_alone_that_lost_a_deadlock_was_not_done(
    db: Database, error: type[Exception]
) -> None:
    work, _ = failing(1, error)
    with pytest.raises(TimedOut):
        async with db.unit() as conn:
            await work(conn)


# -- again, on a deadlock ------------------------------------------------------------------------


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were asked for; nobody waits them out."""
    pauses: list[float] = []
    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await real(0)

    monkeypatch.setattr(database.asyncio, "sleep", sleep)
    return pauses


def failing(times: int, error: type[Exception]) -> tuple[Work, list[int]]:
    """Work that fails so often first, and how often it was tried."""
    tried: list[int] = []

    async def work(conn: Connection) -> str:
        await books.run(conn, books.insert("people", telegram_id=100 + len(tried)))
        tried.append(1)
        if len(tried) <= times:
            raise error("again")
        return "done"

    return work, tried


@pytest.mark.parametrize("error", [asyncpg.DeadlockDetectedError, asyncpg.SerializationError])
async def test_a_deadlock_runs_the_whole_unit_again(
    db: Database, error: type[Exception], at_once: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    work, tried = failing(2, error)
    with caplog.at_level(logging.WARNING):
        assert await db.run(work) == "done"
    assert len(tried) == 3
    async with db.reading() as conn:
        left = await conn.fetch("SELECT telegram_id FROM people")
    assert [row[0] for row in left] == [102], "the failed turns left nothing"
    assert [record.message for record in caplog.records] == ["transaction retried"] * 2
    assert len(at_once) == 2
    assert 0.005 <= at_once[0] <= 0.02
    assert 0.01 <= at_once[1] <= 0.04


async def test_a_deadlock_that_does_not_end_is_given_up(db: Database, at_once: list[float]) -> None:
    work, tried = failing(99, asyncpg.DeadlockDetectedError)
    with pytest.raises(TimedOut):
        await db.run(work)
    assert len(tried) == database.RETRIES == 8
    assert len(at_once) == 7


@pytest.mark.parametrize("error", [EscrowMoved, asyncpg.UniqueViolationError, ValueError])
async def test_nothing_else_runs_again(
    db: Database, error: type[Exception], at_once: list[float]
) -> None:
    work, tried = failing(1, error)
    with pytest.raises((AmanaError, ValueError)):
        await db.run(work)
    assert len(tried) == 1
    assert at_once == []


# -- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        {"a": [1, "zwei", None, True], "b": {"c": "📦 Ünïcode"}},
        [],
        "text",
        10**18,
        None,
    ],
)
async def test_jsonb_comes_back_as_it_went(db: Database, value: object) -> None:
    async with db.reading() as conn:
        assert await conn.fetchval("SELECT $1::jsonb", value) == value


async def test_jsonb_takes_exact_amounts_and_times_as_text(db: Database) -> None:
    async with db.reading() as conn:
        assert await conn.fetchval("SELECT $1::jsonb", {"d": Decimal("1.50"), "t": NOW}) == {
            "d": "1.50",
            "t": "2026-11-23 09:00:00+00:00",
        }
        with pytest.raises(asyncpg.DataError, match="set does not go into JSON"):
            await conn.fetchval("SELECT $1::jsonb", {1})


# -- the clock -----------------------------------------------------------------------------------


class Said:
    """A connection that answers the clock's question with these times."""

    def __init__(self, *times: datetime) -> None:
        self._times = list(times)

    async def fetchval(self, _: str) -> datetime:
        return self._times.pop(0)


async def test_the_clock_is_the_databases(db: Database) -> None:
    clock = DatabaseClock()
    async with db.reading() as conn:
        await clock.read(conn)
        there = await conn.fetchval("SELECT clock_timestamp()")
    assert abs(there - clock.now()) < timedelta(seconds=1)
    assert clock.now().tzinfo is not None
    assert clock.steady


async def test_before_the_first_reading_the_clock_is_the_hosts() -> None:
    assert abs(DatabaseClock().now() - datetime.now(UTC)) < timedelta(seconds=1)


@pytest.mark.parametrize("jump", [timedelta(hours=48), timedelta(hours=-48), timedelta(seconds=61)])
async def test_a_jump_stops_the_timers_and_moves_nothing(jump: timedelta) -> None:
    clock = DatabaseClock()
    said = cast("Connection", Said(NOW, NOW + jump))
    await clock.read(said)
    await clock.read(said)
    assert not clock.steady
    assert abs(clock.now() - NOW) < timedelta(seconds=5), "the old line is kept"


async def test_a_small_drift_is_followed() -> None:
    clock = DatabaseClock()
    said = cast("Connection", Said(NOW, NOW + timedelta(seconds=30)))
    await clock.read(said)
    await clock.read(said)
    assert clock.steady
    assert abs(clock.now() - NOW - timedelta(seconds=30)) < timedelta(seconds=5)
