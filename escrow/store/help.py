"""Questions to the admins."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from escrow.store import queries
from escrow.store.database import Connection

_SQL: Final = queries.load("help")


@dataclass(frozen=True, slots=True)
class HelpRequest:
    """A question of somebody, about a deal or none."""

    id: int
    telegram_id: int
    escrow_id: str | None
    words: str
    asked_at: datetime
    answered_at: datetime | None


async def insert(
    conn: Connection,
    telegram_id: int,
    escrow_id: str | None,
    words: str,
    *,
    cause: str,
    now: datetime,
) -> int | None:
    """A new question; None when this cause asked it before."""
    found = await conn.fetchval(_SQL["insert"], cause, telegram_id, escrow_id, words, now)
    return None if found is None else int(found)


async def id_by_cause(conn: Connection, cause: str) -> int | None:
    """The question that this cause asked before."""
    found = await conn.fetchval(_SQL["id_by_cause"], cause)
    return None if found is None else int(found)


async def open_since(conn: Connection, telegram_id: int, since: datetime) -> int:
    """How many of a person's questions since then have no answer."""
    return int(await conn.fetchval(_SQL["open_since"], telegram_id, since))


async def request(conn: Connection, number: int) -> HelpRequest | None:
    row = await conn.fetchrow(_SQL["request"], number)
    return HelpRequest(**dict(row)) if row else None


async def answered(conn: Connection, number: int, admin: int, now: datetime) -> None:
    """An admin answered; the first answer is taken down."""
    await conn.execute(_SQL["answered"], number, now, admin)
