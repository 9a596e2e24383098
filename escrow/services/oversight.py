"""What operators and admins need to know at once: is the money safe, is anything stuck?"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar

from escrow.domain.errors import DatabaseDown, TimedOut
from escrow.domain.model import Notice
from escrow.services import health
from escrow.services.floating import Floating
from escrow.services.health import Health, Planned
from escrow.services.ports import Clock
from escrow.store import floating, inbox, ledger, outbox, pauses, payouts, receipts, setbacks
from escrow.store import health as found
from escrow.store.database import Connection, Database

__all__ = ["Health", "Oversight", "Planned"]

T = TypeVar("T")
_FIRST_ROWS: Final = 5000
"""How far the first look of a process goes back; the full proof does the rest."""
_IN_FLIGHT_SECONDS: Final = 5.0
_LONGEST_UNIT_SECONDS: Final = 600.0
_TRUSTED_FOR: Final = timedelta(seconds=60)
"""A proof is worth so long, or two turns of its job."""
_PATIENCE: Final = (1.0, 2.0, 5.0, 15.0, 30.0)
_ROLL_UPS: Final = 20
"""Steps of summing up the busy accounts in one turn."""


class Oversight:
    """Proves the books and looks at the queues.

    Every look proves what was touched since the last one and what was found broken before, by
    whatever process. The whole of the books is proved piece by piece once a day (`prove_all`);
    what it finds broken stays in every look until it is mended.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        admins: Sequence[int],
        *,
        floating: Floating | None = None,
        credential: str = "",
        proved_every: timedelta = timedelta(seconds=30),
    ) -> None:
        """`credential`: the one that payouts are sent with."""
        self._db = database
        self._clock = clock
        self._admins = tuple(admins)
        self._floating = floating
        self._credential = credential
        self._trusted_for = max(_TRUSTED_FOR, 2 * proved_every)
        self._broken = ledger.Broken()
        self._since: ledger.Marks | None = None
        self._jumped: datetime | None = None
        self._seen: list[tuple[float, ledger.Marks]] = []
        self.last: Health | None = None
        self.planned: Callable[[], Mapping[str, Planned]] = dict
        """Which jobs run, and when next; set by the clockwork while it runs."""

    @property
    def sound(self) -> bool:
        """Whether payouts may leave: the books were proved not long ago and nothing was broken. A
        proof that fails or hangs stops them as a break does.
        """
        last = self.last
        if last is None or last.proved_at is None or last.breaks:
            return False
        return self._clock.now() - last.proved_at <= self._trusted_for

    async def ping(self) -> None:
        """`DatabaseDown` when PostgreSQL does not answer."""
        async with self._db.reading() as conn:
            await inbox.ping(conn)

    async def paused_since(self) -> datetime | None:
        """When everything was stopped, if it stands still now."""
        async with self._db.reading() as conn:
            pause = await pauses.open_one(conn)
        return pause.paused_at if pause else None

    async def health(self) -> Health:
        """A look, or the word that there is no database to look at."""
        try:
            return await self.look()
        except (DatabaseDown, TimedOut) as error:
            return health.without_database(str(error))

    async def look(self) -> Health:
        """Proves what is new in the books and looks at everything that may be stuck."""
        now = self._clock.now()
        async with self._db.reading() as conn:
            started = time.perf_counter()
            waiting, parked = await inbox.backlog(conn)
            latency = (time.perf_counter() - started) * 1000
            aside = await inbox.parked(conn, health.ROWS_NAMED) if parked else []
            queued, oldest = await outbox.backlog(conn)
            pause = await pauses.last(conn)
            paused = pause is not None and pause.ended_at is None
            seen = Health(
                word=health.OK,
                reasons=(),
                database_ms=round(latency, 1),
                breaks=await self._prove_new(conn),
                proved_at=now,
                outbox_waiting=queued,
                outbox_oldest=oldest,
                inbox_waiting=waiting,
                inbox_parked=parked,
                parked_rows=[row.id for row in aside],
                receipts_waiting=await receipts.waiting_count(conn),
                clock_steady=self._clock.steady,
                held=await ledger.held_totals(conn),
                jobs=health.jobs_of(
                    await inbox.last_runs(conn, now - health.FAILURES_OF),
                    self.planned(),
                    now,
                    stood_until=(pause.ended_at or now) if pause else None,
                ),
                payouts=await payouts.open_count(conn),
                stopped=await payouts.stopped(conn, self._credential) or "",
                stuck=await found.stuck(conn, now - health.STUCK_AFTER),
                disputes=await found.old_disputes(conn, now - health.DISPUTE_AFTER),
                critical_flags=await found.critical_flags(conn),
                float=await self._floating.figure(conn) if self._floating else None,
                difference=await floating.difference(conn),
                setbacks=await setbacks.failing(conn, found.MOST),
                paused_at=pause.paused_at if pause and paused else None,
            )
        self.last = health.judged(seen, now)
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
        known = await ledger.known_broken(conn)
        broken = await ledger.broken_since(conn, self._since or here)
        for part in ledger.PARTS:
            broken.add(await ledger.broken_among(conn, part, known[part]))
        await ledger.remember_broken(conn, known, broken, self._clock.now())
        self._broken = broken
        self._seen.append((at, here))
        return broken.lines() + await ledger.suspense_breaks(conn)

    @property
    def broken(self) -> ledger.Broken:
        """Every row that did not prove at the last look."""
        return self._broken

    async def search_all(self, tell: Callable[[str, int], Awaitable[None]] | None = None) -> int:
        """Proves the whole of the books, 5,000 rows at a time, each piece in a transaction of its
        own, resting between; what is broken is in every look from then on. Returns how many rows
        it read; `tell` hears after each piece how many of that part. The busy accounts are counted
        again: the next look says whether their roll-ups are that.
        """
        rows = 0
        for part in ledger.PARTS:
            before, last = rows, None
            while True:
                began = time.monotonic()
                page = await self._patiently(partial(self._search_page, part=part, after=last))
                if not page:
                    break
                rows += len(page)
                last = page[-1]
                if tell is not None:
                    await tell(part, rows - before)
                await _rest(began)
        count, began = ledger.Recount(), time.monotonic()
        while await self._patiently(partial(ledger.recount, count=count)):
            await _rest(began)
            began = time.monotonic()
        return rows

    async def _search_page(self, conn: Connection, part: str, after: int | str | None) -> list[Any]:
        page = await ledger.next_page(conn, part, after)
        broken = await ledger.broken_among(conn, part, page)
        await ledger.remember_broken(conn, {}, broken, self._clock.now())
        return page

    async def _patiently(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """A piece of the full proof, in a unit; a database that is away is waited for."""
        for wait in (*_PATIENCE, None):
            try:
                async with self._db.unit() as conn:
                    await ledger.allow_long_statements(conn)
                    return await work(conn)
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
        await self._roll_up()
        look = await self.look()
        if look.breaks:
            now = self._clock.now()
            # each other list of breaks is told at once, the same one once a day
            every = f"{now:%Y-%m-%d}|" + "|".join(look.breaks)
            cause = f"books:{hashlib.sha256(every.encode()).hexdigest()[:32]}"
            async with self._db.unit() as conn:
                await outbox.queue(
                    conn,
                    [
                        Notice(
                            cause,
                            "books_broken",
                            admin,
                            {"breaks": list(look.breaks)},
                        )
                        for admin in self._admins
                    ],
                    now,
                )
        return 1, len(look.breaks)

    async def _roll_up(self) -> None:
        """Keeps the sums of the busy accounts near their end, and the proof's own count of them, so
        that no look reads far.
        """
        for step in (floating.roll_up, ledger.count_on):
            for _ in range(_ROLL_UPS):
                async with self._db.reading() as conn:
                    if not await step(conn):
                        break


async def _rest(began: float) -> None:
    """Half the time is others'."""
    await asyncio.sleep(min(time.monotonic() - began, 1.0))
