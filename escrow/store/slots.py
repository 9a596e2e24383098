"""Slots of the jobs that run at a time of the day: planned, taken, kept alive, completed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from escrow.store import queries
from escrow.store.database import Connection

_SQL: Final = queries.load("slots")


Alive = tuple[datetime, datetime]
"""Between these times is the last beat of an owner who lives."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A planned time of a job that this `owner` runs, for the `tries`-th time."""

    job: str
    planned_at: datetime
    owner: str
    tries: int


async def lock_job(conn: Connection, job: str) -> bool:
    """Locks the slots of a job until the unit's end; False while another process looks at them."""
    return bool(await conn.fetchval(_SQL["lock_job"], job))


async def forget_ahead(conn: Connection, job: str, ahead: datetime) -> None:
    """Slots behind that time are not done and will come again: the clock was set back."""
    await conn.execute(_SQL["forget_ahead"], job, ahead)


async def last_planned(conn: Connection, job: str, now: datetime) -> datetime | None:
    """The newest slot by now that is known; None before the first."""
    found: datetime | None = await conn.fetchval(_SQL["last_planned"], job, now)
    return found


async def plan(
    conn: Connection, job: str, times: Sequence[datetime], newest: datetime | None, now: datetime
) -> None:
    """Keeps these slots: `newest` is to be run, the others are superseded."""
    await conn.execute(_SQL["plan"], job, list(times), newest, now)


async def supersede(conn: Connection, job: str, now: datetime, alive: Alive) -> None:
    """Gives up what is older than the newest slot, but for one that somebody runs."""
    await conn.execute(_SQL["supersede"], job, now, *alive)


async def take(
    conn: Connection,
    job: str,
    owner: str,
    now: datetime,
    alive: Alive,
    *,
    in_pause: bool,
) -> Slot | None:
    """The slot that this owner is to run now; None when there is none. Under `lock_job`."""
    row = await conn.fetchrow(_SQL["take"], job, owner, now, *alive, in_pause)
    return Slot(job, row["planned_at"], owner, row["tries"]) if row else None


async def beat(conn: Connection, slot: Slot, now: datetime) -> bool:
    """Its owner lives; False when the slot is not his any more."""
    return bool(await conn.fetchval(_SQL["beat"], *_key(slot), now))


async def finish(conn: Connection, slot: Slot, now: datetime) -> bool:
    """It is done, once; False when the slot is not his any more."""
    return bool(await conn.fetchval(_SQL["finish"], *_key(slot), now))


async def release(conn: Connection, slot: Slot, again_at: datetime | None) -> bool:
    """It is not done and may be tried again then, or at once; False when it is not his any more."""
    return bool(await conn.fetchval(_SQL["release"], *_key(slot), again_at))


def _key(slot: Slot) -> tuple[str, datetime, str, int]:
    return slot.job, slot.planned_at, slot.owner, slot.tries


async def prune(conn: Connection, before: datetime) -> None:
    """Forgets slots of long ago."""
    await conn.execute(_SQL["prune"], before)
