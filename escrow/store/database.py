"""The pool, the unit of work, and the one place where a broken constraint becomes a domain error.

Bounds live on the server: 10 s a statement, 5 s for a lock, 15 s idle in a transaction.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, TypeVar

import asyncpg

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
    Paused,
    TimedOut,
)
from escrow.store import queries

_SQL: Final = queries.load("database")
_LOG: Final = logging.getLogger(__name__)

Connection = asyncpg.pool.PoolConnectionProxy | asyncpg.Connection
Row = asyncpg.Record
T = TypeVar("T")

ACQUIRE_SECONDS: Final = 5.0
RETRIES: Final = 8
APP_ROLE: Final = "escrow_app"

SERVER_SETTINGS: Final = {
    "application_name": "amana",
    "statement_timeout": "10s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "15s",
    "TimeZone": "UTC",
    # the same few statements all day: planned once, also inside functions
    "plan_cache_mode": "force_generic_plan",
}

CONSTRAINTS: Final[dict[str, Callable[[str], AmanaError]]] = {
    "paused": lambda detail: Paused(),
    "flow_edge_missing": lambda detail: IllegalMove(),
    "flow_wrong_person": lambda detail: NotAllowed(),
    "deal_needs_two_people": lambda detail: NotAllowed("own_deal"),
    "attempt_one_open_per_deal": lambda detail: LimitReached("prompt_open"),
    "attempt_one_open_per_phone": lambda detail: LimitReached("prompt_open"),
    "choice_one_open": lambda detail: EscrowMoved(),
    "journal_key_reused": Conflict,
    "journal_balanced": BooksBroken,
    "journal_closed": BooksBroken,
    "account_not_negative": BooksBroken,
    "account_moves_by_entry": BooksBroken,
    "deal_money_matches": BooksBroken,
    "deal_settled_once": BooksBroken,
    "settlement_whole": BooksBroken,
    "payout_reference_once": lambda detail: NotAllowed("receipt_used"),
    "receipt_is_booked": lambda detail: NotAllowed("receipt_decided"),
    "receipt_was_reversed": lambda detail: NotAllowed("receipt_decided"),
    "settlements_pkey": lambda detail: EscrowMoved(),
}
"""Constraint name → the error it means. Anything else is a `Fault`."""

_DOWN: Final = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InterfaceError,
)
_DOWN_STATES: Final = ("53", "58", "57P0", "25006", "25P03", "25P04")
"""SQLSTATEs of a server that can't work now: full, failing, going down or standing by, or that cut
a session it found idle. What they begin with.
"""
_RETRY: Final = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)


def translate(error: Exception) -> Exception:
    """The domain error that a driver's error means; the same error when it means none."""
    if isinstance(error, _DOWN):
        return DatabaseDown(f"PostgreSQL can't be reached: {type(error).__name__}")
    if isinstance(error, asyncpg.PostgresError) and error.sqlstate.startswith(_DOWN_STATES):
        return DatabaseDown(f"PostgreSQL can't work: {type(error).__name__}")
    if isinstance(error, asyncpg.QueryCanceledError | asyncpg.LockNotAvailableError):
        return TimedOut(f"PostgreSQL cut a statement: {type(error).__name__}")
    if isinstance(error, _RETRY):
        return TimedOut(f"PostgreSQL refused the transaction: {type(error).__name__}")
    if isinstance(error, asyncpg.IntegrityConstraintViolationError):
        name = error.constraint_name or ""
        known = CONSTRAINTS.get(name)
        return known(str(error)) if known else Fault(f"refused by {name or 'PostgreSQL'}")
    return error


def _encode(value: Any) -> bytes:
    text = json.dumps(value, default=_plain, ensure_ascii=False, separators=(",", ":"))
    return b"\x01" + text.encode()  # jsonb's binary form starts with its version


def _decode(value: bytes) -> Any:
    return json.loads(value[1:])


def _plain(value: Any) -> str:
    if isinstance(value, Decimal | datetime):
        return str(value)
    raise TypeError(f"{type(value).__name__} does not go into JSON")


async def prepare(conn: asyncpg.Connection) -> None:
    """What every connection needs before its first query: jsonb as Python values."""
    await conn.set_type_codec(
        "jsonb", encoder=_encode, decoder=_decode, schema="pg_catalog", format="binary"
    )


async def acts_as_app_role(conn: Connection) -> bool:
    """Whether this connection works as the role that can only add to the ledger."""
    return bool(await conn.fetchval(_SQL["current_role"]) == APP_ROLE)


class Database:
    """The pool. `unit()` is one transaction on one connection; `reading()` only reads."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    @classmethod
    async def connect(cls, dsn: str, *, minimum: int = 2, maximum: int = 10) -> Database:
        """Opens the pool as role `escrow_app` where that role exists. `DatabaseDown`."""
        try:
            conn = await asyncpg.connect(dsn, timeout=10)
            try:
                may = await conn.fetchval(_SQL["may_take_role"], APP_ROLE)
            finally:
                await conn.close()
            settings = {**SERVER_SETTINGS, **({"role": APP_ROLE} if may else {})}
            pool = await asyncpg.create_pool(
                dsn,
                min_size=minimum,
                max_size=maximum,
                server_settings=settings,
                init=prepare,
                reset=_leave_as_found,
                command_timeout=30,
                timeout=10,
            )
        except (*_DOWN, TimeoutError) as error:
            raise DatabaseDown(f"PostgreSQL can't be reached: {error}") from error
        return cls(pool)

    async def close(self) -> None:
        """Waits for the units under way, 5 s at most, then closes."""
        try:
            await asyncio.wait_for(self._pool.close(), 5)
        except TimeoutError:
            self._pool.terminate()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Connection]:
        """A connection outside a transaction, for a query that changes nothing or one row."""
        try:
            async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as conn:
                yield conn
        except TimeoutError as error:
            raise DatabaseDown("no free connection in time") from error
        except (asyncpg.PostgresError, *_DOWN) as error:
            meant = translate(error)
            if meant is error:
                raise
            raise meant from error

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[Connection]:
        """One transaction: commits at the end, rolls back on any error, which comes out as the
        domain error it means. No network call belongs inside.
        """
        async with self.reading() as conn, conn.transaction():
            yield conn

    async def run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """`work` in a unit, the whole of it again on a deadlock or serialization failure, at most
        8 times with jitter.
        """
        for turn in range(RETRIES):
            try:
                async with self.unit() as conn:
                    return await work(conn)
            except TimedOut as error:
                if not isinstance(error.__cause__, _RETRY):
                    raise
                if turn == RETRIES - 1:
                    raise TimedOut("PostgreSQL kept refusing the transaction") from error
                _LOG.warning("transaction retried", extra={"action": "unit_retried"})
                await asyncio.sleep(random.uniform(0.005, 0.02) * 2**turn)  # noqa: S311 jitter
        raise AssertionError("unreachable")

    @property
    def pool(self) -> asyncpg.Pool:
        """For health figures only."""
        return self._pool


async def _leave_as_found(conn: asyncpg.Connection) -> None:
    """Given back to the pool. Nothing here changes a session (settings and locks end with their
    transaction), so the driver's reset query, a round trip per unit, is only for accidents.
    """
    if conn.is_in_transaction():
        await conn.reset()


class DatabaseClock:
    """The time by PostgreSQL's clock, carried on by the monotonic clock between readings.

    A host clock that jumps moves nothing: the next reading finds the jump and keeps the old line
    until an operator restarts (`drift` above 60 s stops the timers, flow.md 11).
    """

    MAX_DRIFT: Final = timedelta(seconds=60)

    def __init__(self) -> None:
        self._base: datetime | None = None
        self._monotonic = 0.0
        self.drift = timedelta(0)

    async def read(self, conn: Connection) -> None:
        """Takes a reading of the database's clock."""
        before = time.monotonic()
        stamp = await conn.fetchval(_SQL["clock"])
        after = time.monotonic()
        if self._base is not None:
            self.drift = stamp - self.now()
            if abs(self.drift) > self.MAX_DRIFT:
                _LOG.error("the clock jumped: timers stop", extra={"action": "clock_jumped"})
                return
        self._base, self._monotonic = stamp, (before + after) / 2

    def now(self) -> datetime:
        if self._base is None:
            return datetime.now(UTC)
        return self._base + timedelta(seconds=time.monotonic() - self._monotonic)

    @property
    def steady(self) -> bool:
        """Whether timers may act."""
        return abs(self.drift) <= self.MAX_DRIFT
