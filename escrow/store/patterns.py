"""Who shows a pattern of fraud (flow.md 19) that no flag knows of yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from escrow.store import queries
from escrow.store.database import Connection, Row

_SQL: Final = queries.load("patterns")


@dataclass(frozen=True, slots=True)
class Suspect:
    """A person and the deals that speak against him, newest first: `part` of the `whole` where a
    rate counts.
    """

    telegram_id: int
    part: int
    whole: int | None
    deals: tuple[str, ...]


def _suspects(rows: Sequence[Row]) -> list[Suspect]:
    return [
        Suspect(row["telegram_id"], row["part"], row["whole"], tuple(dict.fromkeys(row["deals"])))
        for row in rows
    ]


async def disputing_buyers(
    conn: Connection, since: datetime, least: int, after: int, limit: int
) -> list[Suspect]:
    """Buyers who raised so many disputes since then."""
    return _suspects(await conn.fetch(_SQL["disputing_buyers"], since, least, after, limit))


async def disputed_sellers(
    conn: Connection, since: datetime, least: int, percent: int, after: int, limit: int
) -> list[Suspect]:
    """Sellers of so many deals paid since then, more than `percent` of which buyers dispute."""
    return _suspects(
        await conn.fetch(_SQL["disputed_sellers"], since, least, after, limit, percent)
    )


async def refunded_buyers(
    conn: Connection, since: datetime, least: int, after: int, limit: int
) -> list[Suspect]:
    """Buyers who were given all their money back so often since then."""
    return _suspects(await conn.fetch(_SQL["refunded_buyers"], since, least, after, limit))
