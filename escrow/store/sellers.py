"""Sellers as admins see them: who waits, what was decided about each, what hangs on it; and whose
menu shows the admins' commands.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from escrow.domain.model import (
    Card,
    JudgedBy,
    OpenDeals,
    PendingSeller,
    SellerChange,
    SellerStatus,
)
from escrow.domain.money import Currency, Money
from escrow.store import queries
from escrow.store.database import Connection, Row

_SQL: Final = queries.load("sellers")


def _change(row: Row) -> SellerChange:
    return SellerChange(**{**dict(row), "status": SellerStatus(row["status"])})


async def judged(conn: Connection, seller_id: int) -> JudgedBy:
    """Of a seller who exists."""
    row = await conn.fetchrow(_SQL["judged"], seller_id)
    assert row is not None  # noqa: S101 sellers are never deleted
    return JudgedBy(**dict(row))


async def history(conn: Connection, seller_id: int) -> list[SellerChange]:
    """Everything that a seller became, newest first."""
    return [_change(row) for row in await conn.fetch(_SQL["history"], seller_id)]


async def change_by_cause(conn: Connection, seller_id: int, cause: str) -> SellerChange | None:
    """What this cause made of a seller before."""
    row = await conn.fetchrow(_SQL["change_by_cause"], seller_id, cause)
    return _change(row) if row else None


async def open_deals(conn: Connection, seller_id: int) -> list[OpenDeals]:
    """By currency."""
    return [
        OpenDeals(
            row["unpaid"],
            row["funded"],
            Money(row["held_minor"], Currency.of(row["currency"])),
        )
        for row in await conn.fetch(_SQL["deals"], seller_id)
    ]


async def pending(conn: Connection, offset: int, limit: int) -> list[PendingSeller]:
    """Who waits for an admin, oldest first."""
    rows = await conn.fetch(_SQL["pending"], offset, limit)
    return [PendingSeller(**dict(row)) for row in rows]


async def pending_count(conn: Connection) -> int:
    return int(await conn.fetchval(_SQL["pending_count"]))


async def cards(conn: Connection, causes: Sequence[str]) -> list[Card]:
    """Where the notices of these causes stand."""
    return [Card(**dict(row)) for row in await conn.fetch(_SQL["cards"], list(causes))]


async def menus(conn: Connection) -> list[int]:
    """Whose menu shows the admins' commands."""
    return [row["chat_id"] for row in await conn.fetch(_SQL["menus"])]


async def add_menu(conn: Connection, chat_id: int, now: datetime) -> None:
    await conn.execute(_SQL["add_menu"], chat_id, now)


async def drop_menu(conn: Connection, chat_id: int) -> None:
    await conn.execute(_SQL["drop_menu"], chat_id)
