"""Reminders: which are due, and that each is made once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from escrow.store import queries
from escrow.store.database import Connection

_SQL: Final = queries.load("reminders")


class Turn(StrEnum):
    """Whose turn it is, as `reminders.kind` begins."""

    SHIP = "ship"  # the seller's: to send
    CONFIRM = "confirm"  # the buyer's: to confirm


@dataclass(frozen=True, slots=True)
class DueReminder:
    """A reminder to make: on which day after the deal was paid or sent, and the deadline by which
    that day was counted.
    """

    turn: Turn
    escrow_id: str
    deadline: datetime
    day: int

    @property
    def kind(self) -> str:
        """`ship_day_1`, as flow.md 22 calls it."""
        return f"{self.turn}_day_{self.day}"


async def due(
    conn: Connection,
    turn: Turn,
    days: Sequence[int],
    now: datetime,
    after: DueReminder | None,
    limit: int,
) -> list[DueReminder]:
    """The next deals that are on one of these days, the nearest deadline first; also those that
    had their reminder.
    """
    at, code = (now, "") if after is None else (after.deadline, after.escrow_id)
    rows = await conn.fetch(_SQL[f"due_{turn}"], now, list(days), at, code, limit)
    return [DueReminder(turn, row["id"], row["deadline"], row["day"]) for row in rows]


async def lock(conn: Connection, turn: Turn, due: Sequence[DueReminder]) -> set[str]:
    """Locks those deals that still wait as they did, and returns their codes."""
    rows = await conn.fetch(
        _SQL[f"lock_{turn}"],
        [{"id": one.escrow_id, "deadline": one.deadline} for one in due],
    )
    return {row["id"] for row in rows}


async def insert(conn: Connection, due: Sequence[DueReminder], now: datetime) -> set[str]:
    """Keeps reminders; the codes of those deals that had none of that kind."""
    rows = await conn.fetch(
        _SQL["insert"], [{"id": one.escrow_id, "kind": one.kind} for one in due], now
    )
    return {row["escrow_id"] for row in rows}
