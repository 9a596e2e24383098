"""What buyers think of the deals they paid, and the figures of a seller."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Final

from escrow.domain.terms import Level, level
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

    @property
    def average(self) -> Fraction | None:
        """Of his stars."""
        return Fraction(self.stars, self.ratings) if self.ratings else None

    @property
    def success(self) -> Fraction | None:
        """Completed / (completed + refunded by his fault + disputes lost)."""
        return Fraction(self.sales, self._ended) if self._ended else None

    @property
    def level(self) -> Level:
        lost_rate = Fraction(self.lost, self._ended) if self._ended else Fraction(0)
        return level(self.sales, self.average, lost_rate)

    @property
    def _ended(self) -> int:
        return self.sales + self.failed + self.lost


@dataclass(frozen=True, slots=True)
class Counted:
    """A seller and the level that he has."""

    id: int
    telegram_id: int
    shop_name: str
    level: Level


@dataclass(frozen=True, slots=True)
class Kept:
    """What the seller's row keeps of his figures: stars of 5, shares in percent, both cut to two
    digits; None: nothing to go by.
    """

    id: int
    average: Decimal | None
    success: Decimal | None
    disputed: Decimal | None
    sales: int
    level: Level


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
    return (await standings(conn, [seller_id])).get(seller_id)


async def standings(conn: Connection, sellers: Sequence[int]) -> dict[int, Standing]:
    """These sellers' figures as they are now."""
    return {
        row["id"]: Standing(
            since=row["created_at"],
            sales=row["sales"],
            failed=row["failed"],
            lost=row["lost"],
            ratings=row["ratings"],
            stars=row["stars"],
        )
        for row in await conn.fetch(_SQL["standings"], list(sellers))
    }


async def disputed(conn: Connection, sellers: Sequence[int]) -> dict[int, tuple[int, int]]:
    """(deals that were ever paid, those of them that buyers disputed with reason) of those of
    these sellers who have any.
    """
    rows = await conn.fetch(_SQL["disputed"], list(sellers))
    return {row["seller_id"]: (row["paid"], row["disputed"]) for row in rows}


async def next_sellers(
    conn: Connection, after: int, rows: int, margin: timedelta
) -> list[tuple[int, bool]]:
    """The next sellers, and whether anything happened since they were counted."""
    found = await conn.fetch(_SQL["next_sellers"], after, rows, margin)
    return [(row["id"], row["changed"]) for row in found]


async def lock_levels(conn: Connection, sellers: Sequence[int]) -> list[Counted]:
    """These sellers as they were counted last, locked."""
    return [
        Counted(row["id"], row["telegram_id"], row["shop_name"], Level(row["level"]))
        for row in await conn.fetch(_SQL["lock_levels"], list(sellers))
    ]


async def keep(conn: Connection, figures: Sequence[Kept], now: datetime) -> None:
    """Keeps what was counted of sellers."""
    await conn.execute(_SQL["keep"], [asdict(one) for one in figures], now)
