"""Deals: open, lock, read, move. A move is an UPDATE that the flow trigger checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from escrow.domain.crypto import HOLD
from escrow.domain.errors import EscrowMoved, NotFound
from escrow.domain.flow import Edge, Event, Status
from escrow.domain.model import By, Escrow, SellerStatus
from escrow.domain.money import Currency, Money
from escrow.domain.terms import Quote, Shares, tiers_from_json
from escrow.store import queries
from escrow.store.database import Connection, Row

_SQL: Final = queries.load("escrows")


@dataclass(frozen=True, slots=True)
class Move:
    """One event on one deal: the edge of FLOW it takes, who, when, and what it sets."""

    escrow_id: str
    edge: Edge
    by: By
    at: datetime
    data: Mapping[str, Any] = field(default_factory=dict)
    buyer: int | None = None
    held_price_minor: int | None = None
    held_fee_minor: int | None = None
    ship_by: datetime | None = None
    release_at: datetime | None = None
    tracking: str | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """The end of a deal that held money: who gets what of everything held."""

    escrow_id: str
    event: Event
    seller_minor: int
    buyer_minor: int
    fee_minor: int
    at: datetime


def from_row(row: Row) -> Escrow:
    """A row of `read` as an Escrow."""
    currency = Currency.of(row["currency"])

    def money(value: int | None) -> Money | None:
        return None if value is None else Money(value, currency)

    return Escrow(
        id=row["id"],
        seller_id=row["seller_id"],
        seller_telegram_id=row["seller_telegram_id"],
        shop_name=row["shop_name"],
        seller_status=SellerStatus(row["seller_status"]),
        buyer_telegram_id=row["buyer_telegram_id"],
        opened_by=row["opened_by"],
        description=row["description"],
        currency=currency,
        price=Money(row["price_minor"], currency),
        fee=Money(row["fee_minor"], currency),
        due=Money(row["due_minor"], currency),
        fee_payer=row["fee_payer"],
        held_price=money(row["held_price_minor"]),
        held_fee=money(row["held_fee_minor"]),
        tiers=tiers_from_json(row["terms"]["tiers"]),
        terms=row["terms"],
        status=Status(row["status"]),
        version=row["version"],
        received=Money(row["received_minor"], currency),
        pay_by=row["pay_by"],
        ship_by=row["ship_by"],
        release_at=row["release_at"],
        created_at=row["created_at"],
        funded_at=row["funded_at"],
        joined_at=row["joined_at"],
        shipped_at=row["shipped_at"],
        delivered_at=row["delivered_at"],
        disputed_at=row["disputed_at"],
        frozen_at=row["frozen_at"],
        extended_at=row["extended_at"],
        finished_at=row["completed_at"] or row["refunded_at"] or row["cancelled_at"],
        frozen_from=Status(row["frozen_from"]) if row["frozen_from"] else None,
        tracking=row["tracking"],
    )


async def insert(
    conn: Connection,
    *,
    codes: Sequence[str],
    cause: str,
    seller_id: int,
    seller_telegram_id: int,
    buyer_telegram_id: int | None,
    by: By,
    description: str,
    quote: Quote,
    fee_payer: str,
    terms: Mapping[str, Any],
    pay_by: datetime | None,
    now: datetime,
) -> str:
    """Opens a deal and returns its code, the first of these that is free, or the one that this
    cause opened before.
    """
    row = await conn.fetchval(
        _SQL["insert_escrow"],
        list(codes),
        cause,
        seller_id,
        seller_telegram_id,
        buyer_telegram_id,
        by.telegram_id,
        description,
        quote.price.currency.code,
        quote.price.minor,
        quote.fee.minor,
        quote.due.minor,
        fee_payer,
        dict(terms),
        str(by),
        {"due_minor": quote.due.minor},
        pay_by,
        now,
    )
    return str(row or await opened_by(conn, cause))


async def opened_by(conn: Connection, cause: str) -> str | None:
    """The code of the deal that this cause opened."""
    found = await conn.fetchval(_SQL["id_by_cause"], cause)
    return None if found is None else str(found)


async def lock_row(conn: Connection, escrow_id: str) -> bool:
    """Locks a deal without reading it; False when there is none."""
    return await conn.fetchval(_SQL["lock"], escrow_id) is not None


async def lock(conn: Connection, escrow_id: str) -> Escrow:
    """Locks a deal and reads it as it is under the lock. `NotFound`."""
    if not await lock_row(conn, escrow_id):
        raise NotFound("no_deal", code=escrow_id)
    return await get(conn, escrow_id)


async def get(conn: Connection, escrow_id: str) -> Escrow:
    """Reads a deal. `NotFound`."""
    row = await conn.fetchrow(_SQL["read"], escrow_id)
    if row is None:
        raise NotFound("no_deal", code=escrow_id)
    return from_row(row)


async def get_many(conn: Connection, codes: Sequence[str]) -> list[Escrow]:
    """Reads deals, in the order of their codes' list. `NotFound` when one is missing."""
    found = {row["id"]: from_row(row) for row in await conn.fetch(_SQL["read_many"], list(codes))}
    for code in codes:
        if code not in found:
            raise NotFound("no_deal", code=code)
    return [found[code] for code in codes]


async def deals_of(conn: Connection, telegram_id: int, limit: int = 50) -> list[Escrow]:
    """A person's deals as buyer or seller: those under way first, newest first."""
    return [from_row(row) for row in await conn.fetch(_SQL["deals_of"], telegram_id, limit)]


async def open_codes(conn: Connection, codes: Sequence[str]) -> list[str]:
    """Which of these codes are deals that wait for money."""
    return [row["id"] for row in await conn.fetch(_SQL["open_codes"], list(codes))]


async def move(conn: Connection, moves: Sequence[Move]) -> dict[str, int]:
    """Moves deals, each by its edge; returns their new versions. `EscrowMoved` when one of them
    was no longer where its edge starts: then the unit must roll back.
    """
    rows = await conn.fetch(
        _SQL["move"],
        [
            {
                "id": m.escrow_id,
                "source": m.edge.source,
                "target": m.edge.target,
                "event": m.edge.event,
                "actor": str(m.by),
                "data": dict(m.data),
                "at": m.at,
                "stamp": m.edge.stamps,
                "buyer": m.buyer,
                "held_price": m.held_price_minor,
                "held_fee": m.held_fee_minor,
                "ship_by": m.ship_by,
                "release_at": m.release_at,
                "tracking": m.tracking,
            }
            for m in moves
        ],
    )
    if len(rows) != len(moves):
        raise EscrowMoved
    return {row["id"]: row["version"] for row in rows}


async def note(
    conn: Connection, escrow_id: str, event: str, by: By, at: datetime, **data: Any
) -> None:
    """A timeline row for an event that moves no status."""
    await note_many(conn, {escrow_id: data}, event, by, at)


async def note_many(
    conn: Connection,
    data: Mapping[str, Mapping[str, Any]],
    event: str,
    by: By,
    at: datetime,
) -> None:
    """As `note`, for many deals: their codes → what each row keeps."""
    await conn.execute(
        _SQL["note_events"],
        [
            {"id": code, "event": event, "actor": str(by), "at": at, "data": dict(kept)}
            for code, kept in data.items()
        ],
    )


async def settle(conn: Connection, settlements: Sequence[Settlement]) -> None:
    """Writes the one settlement of each deal. `EscrowMoved` when one has its settlement."""
    await conn.execute(
        _SQL["insert_settlements"],
        [
            {
                "id": s.escrow_id,
                "event": s.event,
                "seller": s.seller_minor,
                "buyer": s.buyer_minor,
                "fee": s.fee_minor,
                "at": s.at,
            }
            for s in settlements
        ],
    )


async def due_to_cancel(
    conn: Connection, now: datetime, limit: int, only: Sequence[str] | None = None
) -> list[str]:
    """Locks and returns deals whose time to pay is over and that wait for nothing."""
    rows = await conn.fetch(_SQL["due_to_cancel"], now, limit, only, HOLD)
    return [row["id"] for row in rows]


async def due_to_release(
    conn: Connection, now: datetime, limit: int, only: Sequence[str] | None = None
) -> list[str]:
    """Locks and returns deals whose buyer's time is over."""
    rows = await conn.fetch(_SQL["due_to_release"], now, limit, only)
    return [row["id"] for row in rows]


async def due_to_refund(
    conn: Connection, now: datetime, limit: int, only: Sequence[str] | None = None
) -> list[str]:
    """Locks and returns deals that were not sent in time."""
    rows = await conn.fetch(_SQL["due_to_refund"], now, limit, only)
    return [row["id"] for row in rows]


async def start_paying(conn: Connection, seller_id: int, now: datetime) -> list[str]:
    """Makes a verified seller's waiting deals payable; returns their codes."""
    return [row["id"] for row in await conn.fetch(_SQL["start_paying"], seller_id, now)]


async def start_paying_deal(conn: Connection, escrow_id: str, now: datetime) -> None:
    """Makes a deal payable that its seller has accepted."""
    await conn.execute(_SQL["start_paying_deal"], escrow_id, now)


async def open_proposals_of_buyer(conn: Connection, telegram_id: int) -> int:
    """How many deals of a buyer wait for their seller's word."""
    return int(await conn.fetchval(_SQL["open_proposals_of_buyer"], telegram_id))


async def open_deals_of_seller(conn: Connection, seller_id: int) -> int:
    """How many deals of a seller are under way."""
    return int(await conn.fetchval(_SQL["open_deals_of_seller"], seller_id))


async def timeline(conn: Connection, escrow_id: str) -> list[Mapping[str, Any]]:
    """Every event of a deal, oldest first."""
    return [dict(row) for row in await conn.fetch(_SQL["timeline"], escrow_id)]


async def caused(conn: Connection, escrow_id: str, event: str, cause: str) -> bool:
    """Whether that event of a deal came of this cause."""
    return bool(await conn.fetchval(_SQL["caused"], escrow_id, event, cause))


async def settled(conn: Connection, deals: Sequence[Escrow]) -> dict[str, Shares]:
    """Who got what of those of these deals that held money and are over."""
    currencies = {deal.id: deal.currency for deal in deals}
    return {
        row["escrow_id"]: Shares(
            *(
                Money(row[part], currencies[row["escrow_id"]])
                for part in ("seller_minor", "buyer_minor", "fee_minor")
            )
        )
        for row in await conn.fetch(_SQL["settled"], list(currencies))
    }
