"""Which process runs a job of the clock, and that it is run once: PostgreSQL decides.

Of slots that were missed the newest is run, older ones are recorded as superseded. Whoever runs one
says every few seconds that he lives; after ten seconds of silence another one takes over, and one
who can't say it for nine stops by himself. A slot that fails is tried again later, by whoever comes
first. Only a process that stands still as a whole may find itself taken over in the middle of its
work: it is stopped as soon as it moves, and can't complete the slot. So what a job does must bear
being begun twice.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, Final
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
MISSED_BEATS: Final = 3
"""Without so many beats an owner gives up his slot, a second before anybody may take it over."""
SILENCE: Final = timedelta(seconds=10)
"""After so long without a beat a slot's owner counts as dead."""
_AHEAD: Final = timedelta(minutes=2)
"""What is further ahead is from before the clock was set back: a beat proves no life, a slot will
come again.
"""
_BACK_OFF: Final = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(hours=1),
)
_MISSED_MOST: Final = 400
"""More missed slots than that are not recorded one by one."""
_PATIENCE: Final = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds between tries to write how a slot went, while PostgreSQL is away."""
_SHORTEST_SECONDS: Final = 1.0
"""Even a process that stood still for long has that much for one beat: it may still be his."""


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
        """The slot of this job that this process is to run now, if there is one. None, too, while
        another process looks for it.
        """

        async def work(conn: Connection) -> Slot | None:
            if not await slots.lock_job(conn, job):
                return None
            now = self._clock.now()
            alive = now - SILENCE, now + _AHEAD
            if self._clock.steady:
                await slots.forget_ahead(conn, job, now + _AHEAD)
            await self._plan(conn, job, schedule, now)
            await slots.supersede(conn, job, now, alive)
            return await slots.take(conn, job, self.owner, now, alive, in_pause=in_pause)

        return await self._db.run(work)

    async def _plan(self, conn: Connection, job: str, schedule: Schedule, now: datetime) -> None:
        last = await slots.last_planned(conn, job, now)
        if last is None:  # a new installation has missed nothing
            first = times.newest(schedule, self._zone, now)
            await slots.plan(conn, job, [first], None, now)
            return
        missed = times.planned(schedule, self._zone, last, now)
        if missed:
            await slots.plan(conn, job, missed[-_MISSED_MOST:], missed[-1], now)

    async def run(self, slot: Slot, work: Callable[[], Awaitable[bool | None]]) -> bool | None:
        """Runs a taken slot: True and completed, False and tried again later, None when it is not
        this process's any more (then `work` is stopped) or `work` stood still (None) and it waits.

        Whatever `work` raises comes out, after the slot was put off; a cancelled one is free again.
        """
        if not await self._beat(slot, _SHORTEST_SECONDS):
            return None  # it stood still between taking and running
        task = asyncio.ensure_future(work())
        try:
            mine = await self._keep(slot, task)
        except asyncio.CancelledError:
            await _stop(task)
            await self._give_back(slot)
            raise
        if not mine:
            await _stop(task)
            _LOG.warning(
                "%s goes to another process",
                slot.job,
                extra={"action": "slot_lost", "job": slot.job},
            )
            return None
        try:
            done = task.result()
        except Exception:
            await self._put_off(slot)
            raise
        if done is None:
            await self._write(lambda conn: slots.release(conn, slot, None))
        elif done:
            finished = await self._write(lambda conn: slots.finish(conn, slot, self._clock.now()))
            return True if finished else None
        elif not await self._put_off(slot):
            return None
        return done

    async def _keep(self, slot: Slot, task: asyncio.Future[Any]) -> bool:
        """Beats until the work is over; False when the slot is lost, or may be by now."""
        loop = asyncio.get_running_loop()
        heard = loop.time()
        while not (await asyncio.wait({task}, timeout=self._beat_seconds))[0]:
            began = loop.time()
            gives_up = heard + MISSED_BEATS * self._beat_seconds
            mine = await self._beat(slot, max(gives_up - began, _SHORTEST_SECONDS))
            if mine:
                heard = began
            elif not task.done() and (mine is False or loop.time() >= gives_up):
                return False
        return True

    async def _beat(self, slot: Slot, seconds: float) -> bool | None:
        """Says that this process lives: whether the slot is still its; None: nobody can say."""
        try:
            async with asyncio.timeout(seconds), self._db.unit() as conn:
                return await slots.beat(conn, slot, self._clock.now())
        except (DatabaseDown, TimedOut, TimeoutError):
            return None

    async def _put_off(self, slot: Slot) -> bool:
        """It failed. False when it is another one's by now."""
        wait = _BACK_OFF[min(slot.tries, len(_BACK_OFF)) - 1]
        return await self._write(lambda conn: slots.release(conn, slot, self._clock.now() + wait))

    async def _write(self, word: Callable[[Connection], Awaitable[bool]]) -> bool:
        """Writes how it went. A PostgreSQL that is away for a moment does not undo what was done:
        until somebody took over it can still be said.
        """
        for wait in (*_PATIENCE, None):
            try:
                async with self._db.unit() as conn:
                    return await word(conn)
            except (DatabaseDown, TimedOut):
                if wait is None:
                    raise
                await asyncio.sleep(wait)
        raise AssertionError("unreachable")

    async def _give_back(self, slot: Slot) -> None:
        """This process stops: the next one need not wait for its silence."""
        try:
            async with asyncio.timeout(_SHORTEST_SECONDS), self._db.unit() as conn:
                await slots.release(conn, slot, None)
        except (DatabaseDown, TimedOut, TimeoutError):
            _LOG.info("%s is left to be taken over", slot.job, extra={"action": "slot_left"})


async def _stop(task: asyncio.Future[Any]) -> None:
    """Until it has ended, whatever it says then."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
