"""What the provider says that our accounts hold, what the books say of them, and what admins
book by hand between them and ourselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from escrow.domain.money import Currency, Money
from escrow.store import queries
from escrow.store.database import Connection

_SQL: Final = queries.load("floating")
_ROLLED: Final = 50_000
"""Entries that one step of rolling up reads at most."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The last word of the provider on one of our accounts; `books` is what the books had at the
    provider at that moment, all of his accounts together.
    """

    account: str
    balance: Money
    books: Money
    read_at: datetime
    source: str


@dataclass(frozen=True, slots=True)
class Booking:
    """Money moved between us and our account at the provider, by his receipt."""

    kind: str
    receipt: str
    amount: Money
    booked_by: int
    booked_at: datetime


async def take_reading(conn: Connection, new: Reading) -> None:
    """Keeps it unless a later one is there."""
    await conn.execute(
        _SQL["take_reading"],
        new.account,
        new.balance.currency.code,
        new.balance.minor,
        new.read_at,
        new.source,
        new.books.minor,
    )


async def readings(conn: Connection) -> dict[str, Reading]:
    """Account → the last reading."""
    return {
        row["account"]: Reading(
            row["account"],
            Money(row["balance_minor"], Currency.of(row["currency"])),
            Money(row["books_minor"], Currency.of(row["currency"])),
            row["read_at"],
            row["source"],
        )
        for row in await conn.fetch(_SQL["readings"])
    }


async def roll_up(conn: Connection) -> int:
    """A step of summing up the busy accounts; how many entries it took. Outside a transaction."""
    return int(await conn.fetchval(_SQL["roll_up"], _ROLLED))


async def derived(conn: Connection) -> dict[tuple[str, str, Currency], int]:
    """(kind, owner, currency) → minor units, of the accounts that stand outside the customers'
    money: external, fees, costs, owner, and receivables as one.
    """
    rows = await conn.fetch(_SQL["derived"])
    return {
        (row["kind"], row["owner"], Currency.of(row["currency"])): row["balance_minor"]
        for row in rows
    }


async def due(conn: Connection, until: datetime, *, auto: bool) -> Money:
    """What leaves in shillings until then; `auto`: deals that end are paid out by themselves."""
    return Money(await conn.fetchval(_SQL["due"], until, auto), Currency.KES)


async def lock_bookings(conn: Connection) -> None:
    """For the rest of the unit nobody else books."""
    await conn.execute(_SQL["lock_bookings"])


async def booking(conn: Connection, receipt: str) -> Booking | None:
    row = await conn.fetchrow(_SQL["booking"], receipt)
    if row is None:
        return None
    amount = Money(row["amount_minor"], Currency.of(row["currency"]))
    return Booking(row["kind"], row["receipt"], amount, row["booked_by"], row["booked_at"])


async def add_booking(conn: Connection, new: Booking) -> None:
    await conn.execute(
        _SQL["add_booking"],
        new.kind,
        new.receipt,
        new.amount.currency.code,
        new.amount.minor,
        new.booked_by,
        new.booked_at,
    )


async def add_balance_query(
    conn: Connection, token: str, shortcode: str, asked_at: datetime
) -> None:
    await conn.execute(_SQL["add_balance_query"], token, shortcode, asked_at)


async def last_balance_query(conn: Connection, shortcode: str) -> tuple[datetime, bool] | None:
    """(when a shortcode's accounts were last asked about, whether our API user was refused)."""
    row = await conn.fetchrow(_SQL["last_balance_query"], shortcode)
    return (row["asked_at"], row["refused"]) if row else None


async def answer_balance_query(
    conn: Connection, token: str, now: datetime, code: str, *, refused: bool
) -> str | None:
    """Marks the question with that token answered; the shortcode that it was about. None: nobody
    asked it, or it is answered.
    """
    shortcode: str | None = await conn.fetchval(
        _SQL["answer_balance_query"], token, now, code, refused
    )
    return shortcode
