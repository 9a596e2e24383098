"""Heartbeats, and what follows when they stopped (flow.md 31): whatever fell due while we, or the
rail, were down for more than an hour falls due as much later.

An outage is a row before any deadline moves; while it is not done, PostgreSQL's own queries hold
back what falls due after its beginning. Deals are moved a hundred at a time, each batch once, so
whatever is killed in between, the next process goes on from there. No job runs before that: each
asks `ready`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from escrow.domain.errors import TimedOut
from escrow.domain.flow import Status
from escrow.domain.model import Escrow, Notice
from escrow.domain.outages import PATIENCE, Beat, Outage, Pulse, Run, listened
from escrow.services.dividing import facts, running_clock, sides
from escrow.services.pauses import Pauses
from escrow.services.ports import Clock
from escrow.store import escrows, outages, outbox, pauses
from escrow.store.database import Connection, Database
from escrow.store.outages import BOT, RAIL

_LOG: Final = logging.getLogger(__name__)
DEALS: Final = 100
FRESH: Final = timedelta(seconds=60)
"""Without a beat for so long a process looks for an outage before it runs anything."""
_MOMENT: Final = timedelta(seconds=1)
_TURNS: Final = 5
"""What may have to be done with before the beat: the rail's outage, a pause that is ending."""


class Outages:
    """Beats for this process, and moves what an outage held up. `longest`: what is longer than that
    is an outage. `pulse` hears how the rail answers.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        admins: Sequence[int],
        pauses: Pauses,
        pulse: Pulse,
        *,
        longest: timedelta = timedelta(hours=1),
    ) -> None:
        self._db = database
        self._clock = clock
        self._admins = tuple(admins)
        self._pauses = pauses
        self._pulse = pulse
        self._longest = longest
        self._beaten_at: datetime | None = None
        self._looking = asyncio.Lock()

    async def ready(self) -> None:
        """Returns when nothing is left to be moved of an outage that this process has not looked
        for: at its start, and after PostgreSQL was away. A clock that can't be trusted tells of no
        outage; timers stand still then anyway. `DatabaseDown`: not yet.
        """
        async with self._looking:
            at = self._beaten_at
            if self._clock.steady and (at is None or self._clock.now() - at > FRESH):
                await self._beat()

    async def beat(self) -> int:
        """The job: says that this process lives, and what it heard of the rail; deals that it
        moved.
        """
        async with self._looking:
            return await self._beat() if self._clock.steady else 0

    async def _beat(self) -> int:
        runs = self._pulse.take()
        done = 0
        try:
            for _ in range(_TURNS):
                done += await self._carry_on()
                if await self._db.run(lambda conn: self._written(conn, runs)):
                    break
                await self._pauses.carry_on()  # what it owes comes first
            else:
                raise TimedOut("an outage could not be written down")
        except BaseException:
            self._pulse.put_back(runs)
            raise
        done += await self._carry_on()
        self._beaten_at = self._clock.now()
        return done

    async def _written(self, conn: Connection, runs: Sequence[Run]) -> bool:
        """Writes the beats down, and the outage that they tell of. False: one before it, or a pause
        that is ending, has to be done with first.
        """
        now = self._clock.now()
        bot = await outages.lock_beat(conn, BOT, now)
        rail = await outages.lock_beat(conn, RAIL, now)
        open_one = await outages.lock_open(conn)
        if open_one is not None and open_one.ended_at is not None:
            return False
        if now - bot.at > self._longest:
            if open_one is not None:  # the rail was down when we went
                end = min(rail.failed_at or bot.at, bot.at)
                await outages.end(conn, open_one.id, max(end, open_one.began_at + _MOMENT))
                return False
            pause = await pauses.open_one(conn, lock=True)
            if pause is not None and pause.resumed_at is not None:
                return False
            await self._begin(conn, BOT, bot.at, now)
            await outages.beat(conn, RAIL, Beat(rail.at))
        else:
            await outages.beat(conn, RAIL, await self._listen(conn, rail, runs, open_one, now))
        await outages.beat(conn, BOT, Beat(now))
        return True

    async def _listen(
        self,
        conn: Connection,
        rail: Beat,
        runs: Sequence[Run],
        open_one: Outage | None,
        now: datetime,
    ) -> Beat:
        """What the rail's answers mean: an outage ended, goes on, or was one."""
        beat, over = listened(rail, runs)
        if beat.failed_at is not None and now - beat.failed_at > PATIENCE:
            over.append(Beat(beat.failed_at, beat.failing_since, beat.failed_at))
            beat = Beat(beat.at)  # nobody asks any more, so nobody knows
        if open_one is not None:
            if over:
                await outages.end(conn, open_one.id, max(over[0].at, open_one.began_at + _MOMENT))
            return beat
        longest = max(over, key=lambda one: one.at - _since(one), default=None)
        if longest is not None and longest.at - _since(longest) > self._longest:
            await self._begin(conn, RAIL, _since(longest), longest.at)
        elif beat.lasted() > self._longest:
            await self._begin(conn, RAIL, _since(beat), None)
        return beat

    async def _begin(
        self, conn: Connection, source: str, began_at: datetime, ended_at: datetime | None
    ) -> None:
        """What an outage before it counted does not count again."""
        began_at = max(began_at, await outages.last_end(conn) or began_at)
        if ended_at is not None and ended_at <= began_at:
            return
        begun = await outages.begin(conn, source, began_at, ended_at)
        _LOG.warning(
            "an outage of the %s",
            source,
            extra={"action": "outage", "source": source, "began_at": began_at.isoformat()},
        )
        if ended_at is None:
            values = {"source": source, "began_at": began_at.isoformat()}
            await self._tell_admins(conn, "outage_began", begun, values)

    # -- moving ----------------------------------------------------------------------------------

    async def _carry_on(self) -> int:
        """Moves what an outage that is over held up; how many deals."""
        done = 0
        while (count := await self._db.run(self._step)) is not None:
            done += count
        return done

    async def _step(self, conn: Connection) -> int | None:
        """One batch; None when nothing is left."""
        outage = await outages.lock_open(conn)
        if outage is None or outage.ended_at is None:
            return None
        now = self._clock.now()
        codes = await pauses.next_deals(conn, outage.moved_to, DEALS)
        if not codes:
            await self._finish(conn, outage, outage.ended_at, now)
            return 0
        moved = await outages.move_deadlines(conn, codes, outage, now)
        deals = await escrows.get_many(conn, list(moved))
        await outbox.queue(conn, [one for deal in deals for one in _told(outage, deal)], now)
        await outages.moved(conn, outage.id, codes[-1], len(moved))
        return len(moved)

    async def _finish(
        self, conn: Connection, outage: Outage, ended_at: datetime, now: datetime
    ) -> None:
        if outage.source == BOT:
            await outages.move_rests(conn, outage)
        await outages.finish(conn, outage.id, max(now, ended_at))
        values = {
            "source": outage.source,
            "began_at": outage.began_at.isoformat(),
            "seconds": int((ended_at - outage.began_at).total_seconds()),
            "moved": outage.moved,
        }
        await self._tell_admins(conn, "outage_over", outage, values)
        _LOG.warning("an outage is over", extra={"action": "outage_over", **values})

    async def _tell_admins(
        self, conn: Connection, kind: str, outage: Outage, values: Mapping[str, object]
    ) -> None:
        cause = f"outage:{outage.id}"
        told = [Notice(cause, kind, admin, values) for admin in self._admins]
        await outbox.queue(conn, told, self._clock.now())


def _since(beat: Beat) -> datetime:
    return beat.failing_since or beat.at


def _told(outage: Outage, deal: Escrow) -> list[Notice]:
    """Both sides hear their new deadline."""
    clock = running_clock(deal, deal.status)
    until = deal.pay_by if deal.status is Status.PENDING else clock and clock[1]
    if until is None:
        return []
    values = {"source": outage.source, "status": str(deal.status), "until": until.isoformat()}
    return [
        Notice(
            f"outage:{outage.id}:{deal.id}",
            "outage_moved",
            person,
            {**facts(deal, role), **values},
            deal.id,
        )
        for role, person in sides(deal)
    ]
