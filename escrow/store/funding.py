"""Second looks at the receipts that funded large deals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from escrow.store import queries
from escrow.store.database import Connection

_SQL: Final = queries.load("funding")


@dataclass(frozen=True, slots=True)
class Refused:
    """M-Pesa said no about a receipt that it was asked about."""

    id: int
    asked_at: datetime
    receipt_id: int
    escrow_id: str | None
    counts: bool
    """Asked after the receipt was credited, under the number that M-Pesa itself gave."""


async def claim_looks(
    conn: Connection,
    now: datetime,
    price_from: int,
    before: timedelta,
    *,
    asked_since: datetime,
    times: int,
    limit: int,
) -> list[tuple[int, str]]:
    """(id, reference) of receipts that are to be asked about now; locked."""
    rows = await conn.fetch(_SQL["claim_looks"], now, price_from, before, asked_since, times, limit)
    return [(row["id"], row["reference"]) for row in rows]


async def refused(conn: Connection, without: Sequence[int], limit: int) -> list[Refused]:
    """What nobody has acted upon."""
    rows = await conn.fetch(_SQL["refused"], list(without), limit)
    return [Refused(**dict(row)) for row in rows]


async def looked(conn: Connection, query_id: int, now: datetime) -> bool:
    """It is acted upon in this unit; False: it was before."""
    return await conn.fetchval(_SQL["looked"], query_id, now) is not None
