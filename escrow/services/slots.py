"""Which process runs a job of the clock, and that it is run once: PostgreSQL decides.

Of slots that were missed the newest is run, older ones are recorded as superseded. Whoever runs one
says every few seconds that he lives; after ten seconds of silence another one takes over. A slot
that fails is tried again later, by whoever comes first.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from escrow.domain import schedule as times
from escrow.domain.errors import DatabaseDown, TimedOut
from escrow.domain.schedule import Schedule
from escrow.services.ports import Clock
from escrow.store import slots
from escrow.store.database import Connection, Database
from escrow.store.slots import Slot

_LOG: Final = logging.getLogger(__name__)
BEAT_SECONDS: Final = 3.0
SILENCE: Final = timedelta(seconds=10)
"""After so long without a beat a slot's owner counts as dead."""
_BACK_OFF: Final = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(hours=1),
)
_MISSED_MOST: Final = 400
"""More missed slots than that are not recorded one by one."""


class Slots:
    """The slots of one process."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        zone: ZoneInfo,
        *,
        beat_seconds: float = BEAT_SECONDS,
    ) -> None:
        self._db = database
        self._clock = clock
        self._zone = zone
        self._beat_seconds = beat_seconds
        self.owner = secrets.token_hex(8)

    async def take(self, job: str, schedule: Schedule, *, in_pause: bool = False) -> Slot | None:
        """The slot of this job that this process is to run now, if there is one."""
        now = self._clock.now()

        async def work(conn: Connection) -> Slot | None:
            await self._plan(conn, job, schedule, now)
            silent_since = now - SILENCE
            return await slots.take(
                conn, job, self.owner, now, silent_since=silent_since, in_pause=in_pause
            )

        return await self._db.run(work)

    async def _plan(self, conn: Connection, job: str, schedule: Schedule, now: datetime) -> None:
        last = await slots.last_planned(conn, job)
        if last is None:  # a new installation has missed nothing
            first = times.newest(schedule, self._zone, now)
            await slots.plan(conn, job, [first], None, now)
            return
        missed = times.planned(schedule, self._zone, last, now)
        if missed:
            await slots.plan(conn, job, missed[-_MISSED_MOST:], missed[-1], now)
            await slots.supersede(conn, job, missed[-1], now, silent_since=now - SILENCE)

    async def run(self, slot: Slot, work: Callable[[], Awaitable[bool]]) -> bool | None:
        """Runs a taken slot: True and completed, False and tried again later, None when another
        process took it over meanwhile (then `work` is stopped).
        """
        task = asyncio.ensure_future(work())
        try:
            while not (await asyncio.wait({task}, timeout=self._beat_seconds))[0]:
                if not await self._beat(slot):
                    _LOG.warning(
                        "%s was taken over",
                        slot.job,
                        extra={"action": "slot_lost", "job": slot.job},
                    )
                    return None
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
        done = task.result()
        now = self._clock.now()
        async with self._db.unit() as conn:
            if done:
                mine = await slots.finish(conn, slot, now)
            else:
                wait = _BACK_OFF[min(slot.tries, len(_BACK_OFF)) - 1]
                mine = await slots.release(conn, slot, now + wait)
        return done if mine else None

    async def _beat(self, slot: Slot) -> bool:
        """Says that this process lives. While PostgreSQL is away nobody can take over either."""
        try:
            async with self._db.unit() as conn:
                return await slots.beat(conn, slot, self._clock.now())
        except (DatabaseDown, TimedOut):
            return True
