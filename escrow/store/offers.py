"""Offers of one side of a deal to the other: to settle, to extend."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from escrow.domain.model import Escrow, Offer, OfferKind
from escrow.domain.money import Currency, Money
from escrow.domain.terms import Shares
from escrow.store import queries
from escrow.store.database import Connection, Row

_SQL: Final = queries.load("offers")


def _offer(row: Row) -> Offer:
    currency = Currency.of(row["currency"])

    def money(value: int | None) -> Money | None:
        return None if value is None else Money(value, currency)

    return Offer(
        id=row["id"],
        escrow_id=row["escrow_id"],
        kind=OfferKind(row["kind"]),
        version=row["version"],
        offered_by=row["offered_by"],
        created_at=row["created_at"],
        seller=money(row["seller_minor"]),
        buyer=money(row["buyer_minor"]),
        fee=money(row["fee_minor"]),
        buyer_percent=row["buyer_percent"],
        hours=row["hours"],
        closed_as=row["closed_as"],
        closed_by=row["closed_by"],
    )


def _found(row: Row | None) -> Offer | None:
    return _offer(row) if row else None


async def made_since(conn: Connection, escrow_id: str, person: int, since: datetime) -> int:
    """How many offers that side made on the deal since then."""
    return int(await conn.fetchval(_SQL["made_since"], escrow_id, person, since))


async def insert(
    conn: Connection,
    escrow: Escrow,
    kind: OfferKind,
    offered_by: int,
    *,
    cause: str,
    now: datetime,
    shares: Shares | None = None,
    buyer_percent: int | None = None,
    hours: int | None = None,
) -> Offer:
    """A new offer by a party of a locked deal that has no open one."""
    number = await conn.fetchval(
        _SQL["insert"],
        cause,
        escrow.id,
        str(kind),
        escrow.version,
        offered_by,
        buyer_percent,
        shares.seller.minor if shares else None,
        shares.buyer.minor if shares else None,
        shares.fee.minor if shares else None,
        hours,
        now,
    )
    made = await get(conn, int(number))
    assert made is not None  # noqa: S101 just written
    return made


async def get(conn: Connection, offer_id: int) -> Offer | None:
    return _found(await conn.fetchrow(_SQL["by_id"], offer_id))


async def by_cause(conn: Connection, cause: str) -> Offer | None:
    """The offer that this cause made."""
    return _found(await conn.fetchrow(_SQL["by_cause"], cause))


async def open_of(conn: Connection, escrow_id: str) -> Offer | None:
    """The offer of a deal that nobody closed; it counts only while the deal has its version."""
    return _found(await conn.fetchrow(_SQL["open_of"], escrow_id))


async def close(conn: Connection, offer_id: int, closed_as: str, by: int, now: datetime) -> bool:
    """Closes an open offer as accepted, declined, withdrawn or replaced, once."""
    return await conn.fetchval(_SQL["close"], offer_id, now, closed_as, by) is not None
