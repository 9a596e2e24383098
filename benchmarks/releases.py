"""What it costs to release a thousand due deals: among ten thousand, a million, and by hand."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import asyncpg

from benchmarks import due, million, statements
from benchmarks.deals import TERMS, SystemClock
from benchmarks.pairs import AT_MOST, Bar, Figure, columns, interleaved
from benchmarks.server import Server
from escrow.services.payout_booking import PayoutBooking
from escrow.store.database import Database
from escrow_service import EscrowService

_SQL: Final = statements.load("releases")
_BAR: Final = Bar(AT_MOST, 1.1)
_FEW_DAYS: Final = 20


@dataclass(frozen=True, slots=True)
class Scale:
    rounds: int
    deals: int
    few: int
    due: int


FULL: Final = Scale(rounds=41, deals=1_000_000, few=10_000, due=1_000)
QUICK: Final = Scale(rounds=1, deals=5_000, few=2_500, due=100)


async def run(server: Server, scale: Scale = FULL) -> list[Figure]:
    """The same releases in both databases and, in the large one, by hand, in turn."""
    many = await Place.make(server, "releases_many", scale.deals, million.DAYS, scale.due)
    few = await Place.make(server, "releases_few", scale.few, _FEW_DAYS, scale.due)
    try:
        samples = (many.swept, few.swept, many.by_hand)
        for sample in samples:
            await sample()  # connections and plans are made once
        found = await interleaved(scale.rounds, *samples)
    finally:
        await few.database.close()
        await many.database.close()
    what = f"{scale.due:,} due deals released among {scale.deals:,}"
    return [
        Figure(what, f"as many among {scale.few:,}", "ms a deal", columns(found, 0, 1), _BAR),
        Figure(
            what,
            "the same rows by one SQL statement, no checks",
            "ms a deal",
            columns(found, 0, 2),
        ),
    ]


@dataclass(slots=True)
class Place:
    """A database with a past, in which deals fall due."""

    dsn: str
    database: Database
    count: int
    escrows: EscrowService
    made: int = field(default=0)

    @classmethod
    async def make(cls, server: Server, name: str, deals: int, days: int, count: int) -> Place:
        dsn = await server.database(name)
        await million.load(dsn, deals, datetime.now(UTC), days)
        database = await Database.connect(dsn, minimum=2, maximum=2)
        booking = PayoutBooking(
            auto=False, can_pay_out=lambda: False, can_reverse=lambda: False, admins=()
        )
        return cls(dsn, database, count, EscrowService(database, SystemClock(), TERMS, (), booking))

    async def swept(self) -> float:
        """By the sweep, every trigger awake."""
        codes = await self._due()
        began = time.perf_counter()
        swept = await self.escrows.release_due()
        took = time.perf_counter() - began
        assert swept == (self.count, self.count), swept
        return await self._cost(codes, took)

    async def by_hand(self) -> float:
        """By one statement, every trigger asleep."""
        codes = await self._due()
        conn = await asyncpg.connect(self.dsn)
        try:
            await conn.execute("SET session_replication_role = replica")
            statement = await conn.prepare(_SQL["by_hand"])
            began = time.perf_counter()
            released = await statement.fetchval(datetime.now(UTC), self.count)
            took = time.perf_counter() - began
        finally:
            await conn.close()
        assert released == self.count, released
        return await self._cost(codes, took)

    async def _due(self) -> list[str]:
        codes = await due.make(self.dsn, self.made + 1, self.count, datetime.now(UTC))
        self.made += self.count
        return codes

    async def _cost(self, codes: list[str], seconds: float) -> float:
        """Milliseconds a deal, of work that is whole."""
        conn = await asyncpg.connect(self.dsn)
        try:
            left = dict(await conn.fetchrow(_SQL["left"], codes) or {})
        finally:
            await conn.close()
        per_deal = {"notices": 2, "entries": 4, "emptied": 2}
        assert left == {name: per_deal.get(name, 1) * self.count for name in left}, left
        return seconds * 1000 / self.count
