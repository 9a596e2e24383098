"""The figures of the dashboard and the report: days that are closed, and what came after them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Final

from escrow.domain.figures import Counts, Days, Settled
from escrow.domain.money import Currency, Money
from escrow.store import queries
from escrow.store.database import Connection, Row

_SQL: Final = queries.load("figures")


_FIELDS: Final = tuple(field.name for field in fields(Counts))


def _counts(row: Row) -> Counts:
    return Counts(*(row[name] for name in _FIELDS))


async def totals(conn: Connection) -> tuple[dict[Currency, Counts], datetime | None]:
    """All closed days together per currency, and until when they reach; None: no day is closed."""
    rows = await conn.fetch(_SQL["totals"])
    until = max((row["until"] for row in rows), default=None)
    return {Currency.of(row["currency"]): _counts(row) for row in rows}, until


async def closed_days(conn: Connection, since: datetime, until: datetime, zone: str) -> Days:
    """The closed days that end in (since, until]."""
    found: Days = {}
    for row in await conn.fetch(_SQL["closed_days"], since, until, zone):
        place = row["day"], Currency.of(row["currency"])
        found[place] = found.get(place, Counts()) + _counts(row)
    return found


async def between(conn: Connection, since: datetime, until: datetime, zone: str) -> Days:
    """What happened in [since, until), counted from the timeline and the settlements."""
    return {
        (row["day"], Currency.of(row["currency"])): _counts(row)
        for row in await conn.fetch(_SQL["between"], since, until, zone)
    }


async def first_event(conn: Connection) -> datetime | None:
    """When the first deal was opened; None: never."""
    found: datetime | None = await conn.fetchval(_SQL["first_event"])
    return found


async def lock(conn: Connection) -> None:
    """One closes days at a time, until its unit ends."""
    await conn.execute(_SQL["lock"])


async def close_day(
    conn: Connection, since: datetime, until: datetime, counts: Mapping[Currency, Counts]
) -> None:
    """Keeps the figures of [since, until) for ever."""
    rows = [
        {"currency": currency.code, **asdict(counts.get(currency, Counts()))}
        for currency in Currency
    ]
    await conn.execute(_SQL["close_day"], since, until, rows)


async def standing(conn: Connection) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """(sellers by status, deals by DISPUTED and FROZEN) as they are now."""
    rows = await conn.fetch(_SQL["standing"])
    sellers, deals = (
        {row["status"]: row["count"] for row in rows if row["what"] == what}
        for what in ("sellers", "deals")
    )
    return sellers, deals


async def settled_page(
    conn: Connection,
    since: datetime,
    until: datetime,
    after: Settled | None,
    rows: int,
) -> Sequence[Settled]:
    """The next settlements of [since, until) behind `after`, oldest first."""
    at, code = (since, "") if after is None else (after.at, after.escrow_id)
    return [
        _settled(row)
        for row in await conn.fetch(_SQL["settled_page"], since, until, at, code, rows)
    ]


def _settled(row: Row) -> Settled:
    currency = Currency.of(row["currency"])
    charge = row["charge_minor"]
    return Settled(
        at=row["settled_at"],
        escrow_id=row["escrow_id"],
        event=row["event"],
        price=Money(row["price_minor"], currency),
        to_seller=Money(row["seller_minor"], currency),
        to_buyer=Money(row["buyer_minor"], currency),
        fee=Money(row["fee_minor"], currency),
        charge=None if charge is None else Money(charge, currency),
        receipts_in=row["receipts_in"] or "",
        receipts_out=row["receipts_out"] or "",
    )
