"""Flags on people, and the patterns that are read for them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from escrow.domain.model import FraudFlag, SellerStatus
from escrow.store import queries
from escrow.store.database import Connection, Row

_SQL: Final = queries.load("flags")


def _flag(row: Row) -> FraudFlag:
    status = row["seller_status"]
    return FraudFlag(
        id=row["id"],
        telegram_id=row["telegram_id"],
        user_type=row["user_type"],
        flag_type=row["flag_type"],
        severity=row["severity"],
        rule=row["rule"],
        deals=tuple(row["deals"]),
        created_at=row["created_at"],
        first_name=row["first_name"],
        seller_id=row["seller_id"],
        shop_name=row["shop_name"],
        seller_status=SellerStatus(status) if status else None,
        reviewed_at=row["reviewed_at"],
        reviewed_by=row["reviewed_by"],
        review_notes=row["review_notes"],
        review_cause=row["review_cause"],
    )


async def insert(
    conn: Connection,
    telegram_id: int,
    *,
    user_type: str,
    flag_type: str,
    severity: str,
    escrow_id: str | None,
    rule: str,
    deals: Sequence[str],
    now: datetime,
) -> int | None:
    """Flags a person; None when the same flag is open already."""
    found = await conn.fetchval(
        _SQL["insert"],
        telegram_id,
        user_type,
        flag_type,
        severity,
        escrow_id,
        rule,
        list(deals),
        now,
    )
    return None if found is None else int(found)


async def open_ones(conn: Connection, offset: int, limit: int) -> list[FraudFlag]:
    """Not reviewed, the worst and oldest first."""
    return [_flag(row) for row in await conn.fetch(_SQL["open"], offset, limit)]


async def open_counts(conn: Connection) -> dict[str, int]:
    """Severity → how many nobody has reviewed."""
    return {row["severity"]: row["count"] for row in await conn.fetch(_SQL["open_counts"])}


async def one(conn: Connection, flag_id: int) -> FraudFlag | None:
    row = await conn.fetchrow(_SQL["one"], flag_id)
    return _flag(row) if row else None


async def review(
    conn: Connection, flag_id: int, admin: int, notes: str | None, cause: str, now: datetime
) -> bool:
    """An admin looked at it; False when somebody did before."""
    return await conn.fetchval(_SQL["review"], flag_id, now, admin, notes, cause) is not None


async def unshipped_since(conn: Connection, telegram_id: int, since: datetime) -> list[str]:
    """The deals that a seller did not send in time since then, newest first."""
    rows = await conn.fetch(_SQL["unshipped_since"], telegram_id, since)
    return [row["escrow_id"] for row in rows]


async def shortages_since(conn: Connection, telegram_id: int, since: datetime) -> list[str]:
    """A buyer's deals that were funded short within the tolerance since then, newest first."""
    rows = await conn.fetch(_SQL["shortages_since"], telegram_id, since)
    return [row["id"] for row in rows]
