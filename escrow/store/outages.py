"""Heartbeats, and the outages that they tell of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from escrow.domain.outages import Beat, Outage
from escrow.store import queries
from escrow.store.database import Connection, Row

_SQL: Final = queries.load("outages")
BOT, RAIL = "bot", "rail"


def _outage(row: Row | None) -> Outage | None:
    if row is None:
        return None
    return Outage(**{name: row[name] for name in Outage.__dataclass_fields__})


async def lock_beat(conn: Connection, source: str, first: datetime) -> Beat:
    """When that one was last seen alive, locked for the rest of the unit; `first` when it never
    was.
    """
    await conn.execute(_SQL["first_beat"], source, first)
    row = await conn.fetchrow(_SQL["lock_beat"], source)
    assert row is not None  # noqa: S101 it was written now
    return Beat(row["at"], row["failing_since"], row["failed_at"])


async def beat(conn: Connection, source: str, seen: Beat) -> None:
    """It never goes back."""
    await conn.execute(_SQL["beat"], source, seen.at, seen.failing_since, seen.failed_at)


async def lock_open(conn: Connection) -> Outage | None:
    """The outage that goes on, or whose deadlines are being moved, locked."""
    return _outage(await conn.fetchrow(_SQL["lock_open"]))


async def last_end(conn: Connection) -> datetime | None:
    """When the last outage ended."""
    found: datetime | None = await conn.fetchval(_SQL["last_end"])
    return found


async def begin(
    conn: Connection, source: str, began_at: datetime, ended_at: datetime | None
) -> Outage:
    """A new outage; `ended_at` None: it goes on."""
    return _must(await conn.fetchrow(_SQL["begin"], source, began_at, ended_at))


async def end(conn: Connection, outage_id: int, ended_at: datetime) -> Outage:
    """It is over; from here on deadlines are moved."""
    return _must(await conn.fetchrow(_SQL["end"], outage_id, ended_at))


async def moved(conn: Connection, outage_id: int, up_to: str, deals: int) -> None:
    """So many more deals got their time back, in the order of their codes."""
    await conn.execute(_SQL["moved"], outage_id, up_to, deals)


async def finish(conn: Connection, outage_id: int, now: datetime) -> Outage:
    return _must(await conn.fetchrow(_SQL["finish"], outage_id, now))


async def move_deadlines(
    conn: Connection, codes: Sequence[str], outage: Outage, now: datetime
) -> Mapping[str, int]:
    """Moves what falls due after the outage's beginning by what the outage took of it; deal → by
    how many seconds. It stands on their timelines.
    """
    rows = await conn.fetch(_SQL["move_deadlines"], list(codes), outage.began_at, outage.ended_at)
    done = {row["id"]: row["seconds"] for row in rows}
    said = [{"id": code, "seconds": seconds} for code, seconds in done.items()]
    await conn.execute(_SQL["note_moved"], said, now, outage.id)
    return done


async def move_rests(conn: Connection, outage: Outage) -> None:
    """Moves what rests because its number is new, as deadlines are moved."""
    await conn.execute(_SQL["move_rests"], outage.began_at, outage.ended_at)


def _must(row: Row | None) -> Outage:
    found = _outage(row)
    assert found is not None  # noqa: S101 what is written or locked is there
    return found
