"""What operators and admins need to know at once: is the money safe, is anything stuck?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from escrow.domain.errors import DatabaseDown, TimedOut
from escrow.domain.model import Notice
from escrow.services.ports import Clock
from escrow.store import inbox, ledger, outbox, payouts, receipts
from escrow.store.database import Connection, Database
from escrow.store.payouts import OpenCount

_FIRST_ROWS: Final = 5000
"""How far the first look of a process goes back; the full proof does the rest."""
_IN_FLIGHT_SECONDS: Final = 5.0
_LONGEST_UNIT_SECONDS: Final = 600.0
_PATIENCE: Final = (1.0, 2.0, 5.0, 15.0, 30.0)


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
    payouts: OpenCount | None = None


class Oversight:
    """Proves the books and looks at the queues.

    Every look proves what was touched since the last one and what was found broken before. The
    whole of the books is proved piece by piece, at the start and once a day (`prove_all`); what it
    finds broken stays in every look until it is mended.
    """

    def __init__(self, database: Database, clock: Clock, admins: Sequence[int]) -> None:
        self._db = database
        self._clock = clock
        self._admins = tuple(admins)
        self._broken = ledger.Broken()
        self._since: ledger.Marks | None = None
        self._jumped: datetime | None = None
        self._seen: list[tuple[float, ledger.Marks]] = []
        self.last: Health | None = None

    async def ping(self) -> None:
        """`DatabaseDown` when PostgreSQL does not answer."""
        async with self._db.reading() as conn:
            await inbox.ping(conn)

    async def look(self) -> Health:
        """Proves what is new in the books and measures the queues now."""
        started = time.perf_counter()
        async with self._db.reading() as conn:
            waiting, parked = await inbox.backlog(conn)
            latency = (time.perf_counter() - started) * 1000
            queued, oldest = await outbox.backlog(conn)
            unconfirmed = await receipts.waiting_count(conn)
            breaks = await self._prove_new(conn)
            held = await ledger.held_totals(conn)
            jobs = await inbox.last_runs(conn)
            leaving = await payouts.open_count(conn)
        now = self._clock.now()
        late = oldest is not None and (now - oldest).total_seconds() > 300
        word = "OK"
        waiting_people = leaving.by_hand or leaving.unknown or unconfirmed
        if parked or late or waiting_people or any(job["error"] for job in jobs):
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
            payouts=leaving,
        )
        return self.last

    async def _prove_new(self, conn: Connection) -> list[str]:
        """Ids are given out before their transaction commits, so the marks of an earlier look count
        only when everything that was under way at that look has ended (or after ten minutes: the
        server lets no unit of ours live that long).
        """
        here = await ledger.marks(conn)
        at = time.monotonic()
        settled = [
            (then, marks)
            for then, marks in self._seen
            if at - then > _IN_FLIGHT_SECONDS
            and (marks.ceiling <= here.horizon or at - then > _LONGEST_UNIT_SECONDS)
        ]
        if settled:
            self._since = settled[-1][1]
            self._seen = [seen for seen in self._seen if seen[0] > settled[-1][0]]
        elif self._since is None:
            self._since = here.back(_FIRST_ROWS)
        known = self._broken
        found = await ledger.broken_since(conn, self._since or here)
        for part in ("journals", "accounts", "deals"):
            found.add(await ledger.broken_among(conn, part, list(getattr(known, part))))
        if self._broken is not known:  # the full proof found more meanwhile
            found.add(self._broken)
        self._broken = found
        self._seen.append((at, here))
        return found.lines() + await ledger.suspense_breaks(conn)

    async def search_all(self) -> int:
        """Proves the whole of the books, 5,000 rows at a time, each piece in a transaction of its
        own, resting between; what is broken stays in every look. Returns how many rows it read.
        """
        rows = 0
        for part in ("journals", "accounts", "deals"):
            last: int | str | None = None
            while True:
                began = time.monotonic()
                page, found = await self._search_page(part, last)
                if not page:
                    break
                if found.lines():
                    found.add(self._broken)
                    self._broken = found
                rows += len(page)
                last = page[-1]
                await asyncio.sleep(min(time.monotonic() - began, 1.0))  # half the time is others'
        return rows

    async def _search_page(
        self, part: str, after: int | str | None
    ) -> tuple[list[Any], ledger.Broken]:
        for wait in (*_PATIENCE, None):
            try:
                async with self._db.unit() as conn:
                    await ledger.allow_long_statements(conn)
                    page = await ledger.next_page(conn, part, after)
                    return page, await ledger.broken_among(conn, part, page)
            except (DatabaseDown, TimedOut):
                if wait is None:
                    raise
                await asyncio.sleep(wait)
        raise AssertionError("unreachable")

    async def watch_clock(self, drift: timedelta) -> None:
        """The admins hear once of each jump of the clock: timers stand still until a restart."""
        if self._clock.steady:
            self._jumped = None
            return
        now = self._clock.now()
        self._jumped = self._jumped or now
        cause = f"clock:{self._jumped.isoformat(timespec='seconds')}"
        values = {"seconds": int(drift.total_seconds())}
        async with self._db.unit() as conn:
            await outbox.queue(
                conn, [Notice(cause, "clock_jumped", admin, values) for admin in self._admins], now
            )

    async def prove_all(self) -> tuple[int, int]:
        """The daily job: everything, then a look. (rows read, breaks)."""
        rows = await self.search_all()
        _, breaks = await self.prove()
        return rows, breaks

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
