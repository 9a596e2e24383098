"""Pauses, and the deadlines that they hold up."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from escrow.domain.pauses import Pause
from escrow.store import queries
from escrow.store.database import Connection, Row

_SQL: Final = queries.load("pauses")


def _pause(row: Row | None) -> Pause | None:
    if row is None:
        return None
    return Pause(**{name: row[name] for name in Pause.__dataclass_fields__})


async def begin(
    conn: Connection, cause: str, by: int | None, reason: str, now: datetime
) -> Pause | None:
    """Opens a pause; None when one is open or this cause began one before."""
    return _pause(await conn.fetchrow(_SQL["begin"], cause, now, by, reason))


async def open_one(conn: Connection, *, lock: bool = False) -> Pause | None:
    """The open pause; `lock`: until the end of the unit."""
    return _pause(await conn.fetchrow(_SQL["lock_open" if lock else "open_one"]))


async def caused(conn: Connection, cause: str) -> Pause | None:
    """The pause that this cause began, or ended."""
    return _pause(await conn.fetchrow(_SQL["caused"], cause))


async def last(conn: Connection) -> Pause | None:
    return _pause(await conn.fetchrow(_SQL["last"]))


async def resume(
    conn: Connection, pause_id: int, by: int | None, cause: str, now: datetime
) -> Pause:
    """The promise that it ends."""
    found = _pause(await conn.fetchrow(_SQL["resume"], pause_id, now, by, cause))
    assert found is not None  # noqa: S101 it is locked
    return found


async def told(conn: Connection, pause_id: int, up_to: int, *, everybody: bool) -> None:
    await conn.execute(_SQL["told"], pause_id, up_to, everybody)


async def moved(conn: Connection, pause_id: int, up_to: str, deals: int) -> None:
    """So many more deals got their time back, in the order of their codes."""
    await conn.execute(_SQL["moved"], pause_id, up_to, deals)


async def end(conn: Connection, pause_id: int, now: datetime) -> Pause:
    """From here on everything goes on."""
    found = _pause(await conn.fetchrow(_SQL["end"], pause_id, now))
    assert found is not None  # noqa: S101 it is locked
    return found


async def parties(conn: Connection, after: int, limit: int) -> list[int]:
    """Telegram ids of those whose money is held, in order, after that one."""
    rows = await conn.fetch(_SQL["parties"], after, limit)
    return [row["telegram_id"] for row in rows]


async def next_deals(conn: Connection, after: str, limit: int) -> list[str]:
    """Locks and returns deals under way, in the order of their codes, after that one."""
    return [row["id"] for row in await conn.fetch(_SQL["next_deals"], after, limit)]


async def move_deadlines(
    conn: Connection, codes: Sequence[str], start: datetime, end: datetime, pause_id: int
) -> set[str]:
    """Moves what falls due later than `start` by `end` − `start`; the deals that had such a
    deadline. It stands on their timelines.
    """
    rows = await conn.fetch(_SQL["move_deadlines"], list(codes), start, end)
    done = {row["id"] for row in rows}
    data = {"pause": pause_id, "seconds": int((end - start).total_seconds())}
    await conn.execute(_SQL["note_moved"], list(done), end, data)
    return done


async def move_rests(conn: Connection, start: datetime, end: datetime) -> None:
    """Moves what rests because its number is new by `end` − `start`."""
    await conn.execute(_SQL["move_rests"], start, end)


async def open_choices(conn: Connection, codes: Sequence[str]) -> list[int]:
    """The underpayment choices that are open on these deals."""
    return [row["id"] for row in await conn.fetch(_SQL["open_choices"], list(codes))]
