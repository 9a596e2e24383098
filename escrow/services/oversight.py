"""What operators and admins need to know at once: is the money safe, is anything stuck?"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from escrow.domain.model import Notice
from escrow.services.ports import Clock
from escrow.store import inbox, ledger, outbox, receipts
from escrow.store.database import Database


@dataclass(frozen=True, slots=True)
class Health:
    """One look at everything. `word` is OK, WATCH or BROKEN."""

    word: str
    database_ms: float
    breaks: Sequence[str]
    proved_at: datetime
    outbox_waiting: int
    outbox_oldest: datetime | None
    inbox_waiting: int
    inbox_parked: int
    receipts_waiting: int
    clock_steady: bool
    held: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    jobs: Sequence[Mapping[str, Any]] = field(default_factory=tuple)


class Oversight:
    """Proves the books and looks at the queues."""

    def __init__(self, database: Database, clock: Clock, admins: Sequence[int]) -> None:
        self._db = database
        self._clock = clock
        self._admins = tuple(admins)
        self.last: Health | None = None

    async def ping(self) -> None:
        """`DatabaseDown` when PostgreSQL does not answer."""
        async with self._db.reading() as conn:
            await inbox.backlog(conn)

    async def look(self) -> Health:
        """Proves the books and measures the queues now."""
        started = time.perf_counter()
        async with self._db.reading() as conn:
            waiting, parked = await inbox.backlog(conn)
            latency = (time.perf_counter() - started) * 1000
            queued, oldest = await outbox.backlog(conn)
            unconfirmed = await receipts.waiting_count(conn)
            breaks = await ledger.proof(conn)
            held = await ledger.held_totals(conn)
            jobs = await inbox.last_runs(conn)
        now = self._clock.now()
        late = oldest is not None and (now - oldest).total_seconds() > 300
        word = "OK"
        if parked or late or unconfirmed or any(job["error"] for job in jobs):
            word = "WATCH"
        if breaks or not self._clock.steady:
            word = "BROKEN"
        self.last = Health(
            word=word,
            database_ms=round(latency, 1),
            breaks=breaks,
            proved_at=now,
            outbox_waiting=queued,
            outbox_oldest=oldest,
            inbox_waiting=waiting,
            inbox_parked=parked,
            receipts_waiting=unconfirmed,
            clock_steady=self._clock.steady,
            held=held,
            jobs=jobs,
        )
        return self.last

    async def prove(self) -> tuple[int, int]:
        """The job behind it: a break is told to the admins at once. (looked at, breaks)."""
        health = await self.look()
        if health.breaks:
            now = self._clock.now()
            async with self._db.unit() as conn:
                await outbox.queue(
                    conn,
                    [
                        Notice(
                            f"books:{'|'.join(health.breaks)[:200]}",
                            "books_broken",
                            admin,
                            {"breaks": list(health.breaks)},
                        )
                        for admin in self._admins
                    ],
                    now,
                )
        return 1, len(health.breaks)
