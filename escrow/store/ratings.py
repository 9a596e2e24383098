"""What buyers think of the deals they paid, and the figures of a seller."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from escrow.store import queries
from escrow.store.database import Connection

_SQL: Final = queries.load("ratings")


@dataclass(frozen=True, slots=True)
class Rating:
    """What the buyer of a deal thinks of it; `first_at` is when he said so first."""

    stars: int
    words: str
    first_at: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """A seller's figures: completed deals, refunds by his fault (declined, not sent), disputes
    lost, how many rated and the sum of their stars.
    """

    since: datetime
    sales: int
    failed: int
    lost: int
    ratings: int
    stars: int


async def current(conn: Connection, escrow_id: str) -> Rating | None:
    """The rating of a deal that counts."""
    row = await conn.fetchrow(_SQL["current"], escrow_id)
    return Rating(row["stars"], row["words"], row["first_at"]) if row else None


async def put(
    conn: Connection,
    escrow_id: str,
    *,
    seller_id: int,
    buyer: int,
    stars: int,
    words: str,
    now: datetime,
) -> None:
    """The rating of a deal from now on; one before it stays as history."""
    await conn.execute(_SQL["replace"], escrow_id, now)
    await conn.execute(_SQL["insert"], escrow_id, seller_id, buyer, stars, words, now)


async def to_rate(conn: Connection, telegram_id: int, limit: int) -> list[str]:
    """Codes of a buyer's deals that wait for his stars, newest first."""
    return [row["id"] for row in await conn.fetch(_SQL["to_rate"], telegram_id, limit)]


async def standing(conn: Connection, seller_id: int) -> Standing | None:
    """A seller's figures as they are now."""
    row = await conn.fetchrow(_SQL["standing"], seller_id)
    if row is None:
        return None
    return Standing(
        since=row["created_at"],
        sales=row["sales"],
        failed=row["failed"],
        lost=row["lost"],
        ratings=row["ratings"],
        stars=row["stars"],
    )
