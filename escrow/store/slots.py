"""Slots of the jobs that run at a time of the day: planned, taken, kept alive, completed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from escrow.store import queries
from escrow.store.database import Connection

_SQL: Final = queries.load("slots")


@dataclass(frozen=True, slots=True)
class Slot:
    """A planned time of a job that this `owner` runs, for the `tries`-th time."""

    job: str
    planned_at: datetime
    owner: str
    tries: int


async def last_planned(conn: Connection, job: str) -> datetime | None:
    """The newest slot that is known; None before the first."""
    found: datetime | None = await conn.fetchval(_SQL["last_planned"], job)
    return found


async def plan(
    conn: Connection, job: str, times: Sequence[datetime], newest: datetime | None, now: datetime
) -> None:
    """Keeps these slots: `newest` is to be run, the others are superseded."""
    await conn.execute(_SQL["plan"], job, list(times), newest, now)


async def supersede(
    conn: Connection, job: str, before: datetime, now: datetime, *, silent_since: datetime
) -> None:
    """Gives up unfinished slots of before."""
    await conn.execute(_SQL["supersede"], job, before, now, silent_since)


async def take(
    conn: Connection,
    job: str,
    owner: str,
    now: datetime,
    *,
    silent_since: datetime,
    in_pause: bool,
) -> Slot | None:
    """The slot that this owner is to run now; None when there is none."""
    await conn.execute(_SQL["lock_job"], job)
    row = await conn.fetchrow(_SQL["take"], job, owner, now, silent_since, in_pause)
    return Slot(job, row["planned_at"], owner, row["tries"]) if row else None


async def beat(conn: Connection, slot: Slot, now: datetime) -> bool:
    """Its owner lives; False when the slot is not his any more."""
    return bool(await conn.fetchval(_SQL["beat"], slot.job, slot.planned_at, slot.owner, now))


async def finish(conn: Connection, slot: Slot, now: datetime) -> bool:
    """It is done, once; False when the slot is not his any more."""
    return bool(await conn.fetchval(_SQL["finish"], slot.job, slot.planned_at, slot.owner, now))


async def release(conn: Connection, slot: Slot, again_at: datetime) -> bool:
    """It failed and may be tried again then; False when the slot is not his any more."""
    return bool(
        await conn.fetchval(_SQL["release"], slot.job, slot.planned_at, slot.owner, again_at)
    )


async def prune(conn: Connection, before: datetime) -> None:
    """Forgets slots of long ago."""
    await conn.execute(_SQL["prune"], before)
