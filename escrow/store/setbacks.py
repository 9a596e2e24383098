"""Deals that a timer could not end, and when it tries them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from escrow.store import queries
from escrow.store.database import Connection

_SQL: Final = queries.load("setbacks")
_ERROR_CHARS: Final = 300


@dataclass(frozen=True, slots=True)
class Setback:
    """What a job tried `tries` times, since `first_at`, to no end."""

    job: str
    escrow_id: str
    tries: int
    first_at: datetime


async def note(
    conn: Connection,
    job: str,
    escrow_id: str,
    now: datetime,
    waits: Sequence[timedelta],
    error: BaseException,
) -> None:
    """It failed again: the next try comes after the wait that its tries have earned."""
    words = f"{type(error).__name__}: {error}".replace("\x00", "")[:_ERROR_CHARS]
    await conn.execute(_SQL["note"], job, escrow_id, now, list(waits), words)


async def clear(conn: Connection, job: str, escrow_id: str) -> None:
    """It is done."""
    await conn.execute(_SQL["clear"], job, escrow_id)


async def prune(conn: Connection) -> None:
    """Forgets deals that moved on since, by whatever way."""
    await conn.execute(_SQL["prune"])


async def failing(conn: Connection, limit: int) -> list[Setback]:
    """Deals that timers can't end, the oldest first."""
    return [Setback(**dict(row)) for row in await conn.fetch(_SQL["failing"], limit)]
