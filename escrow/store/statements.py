"""What a provider's statement is laid beside, in batches of its rows; and what only it tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from escrow.domain.model import StoredReceipt
from escrow.domain.money import Currency, Money
from escrow.domain.payouts import Payout
from escrow.domain.statements import RowKind, StatementRow
from escrow.store import payouts, queries, receipts
from escrow.store.database import Connection
from escrow.store.floating import Booking

_SQL: Final = queries.load("statements")


async def known_receipts(conn: Connection, numbers: Sequence[str]) -> dict[str, StoredReceipt]:
    """Number → the receipt, of those that we know."""
    rows = await conn.fetch(_SQL["receipts"], list(numbers))
    return {row["reference"]: receipts.from_row(row) for row in rows}


async def known_payouts(conn: Connection, numbers: Sequence[str]) -> dict[str, Payout]:
    """Number → the payout that it paid, or is said to have paid."""
    found = [payouts.from_row(row) for row in await conn.fetch(_SQL["payouts"], list(numbers))]
    named = {one.named_reference: one for one in found if one.named_reference}
    paid = {one.provider_reference: one for one in found if one.provider_reference}
    return {number: one for number, one in {**named, **paid}.items() if number is not None}


async def known_bookings(conn: Connection, numbers: Sequence[str]) -> dict[str, Booking]:
    """Number → what an admin booked under it."""
    return {
        row["receipt"]: Booking(
            row["kind"],
            row["receipt"],
            Money(row["amount_minor"], Currency.of(row["currency"])),
            row["booked_by"],
            row["booked_at"],
        )
        for row in await conn.fetch(_SQL["bookings"], list(numbers))
    }


async def add_charges(
    conn: Connection, charges: Mapping[str, Money], by: int, now: datetime
) -> set[str]:
    """Keeps charges by their number, each once for ever; returns the numbers that are new."""
    minors = [amount.minor for amount in charges.values()]
    rows = await conn.fetch(_SQL["add_charges"], list(charges), minors, by, now)
    return {row["receipt"] for row in rows}


async def credited(
    conn: Connection, after: tuple[datetime, int], until: datetime, limit: int
) -> list[StoredReceipt]:
    """A page of what we credited or hold in suspense, of that time, oldest first."""
    rows = await conn.fetch(_SQL["credited"], after[0], until, after[1], limit)
    return [receipts.from_row(row) for row in rows]


async def paid(
    conn: Connection, after: tuple[datetime, int], until: datetime, limit: int
) -> list[tuple[Payout, datetime, datetime]]:
    """A page of payouts that M-Pesa said it paid by then, each with when it was asked to, and when
    it had answered.
    """
    rows = await conn.fetch(_SQL["paid"], after[0], until, after[1], limit)
    return [(payouts.from_row(row), row["sent_at"], row["finalized_at"]) for row in rows]


async def open_payouts(conn: Connection, limit: int) -> list[Payout]:
    """Payouts that nobody can say the end of."""
    return [payouts.from_row(row) for row in await conn.fetch(_SQL["open_payouts"], limit)]


async def add_reversal(
    conn: Connection, row: StatementRow, told_by: int | None, now: datetime
) -> bool:
    """Keeps that the provider took a payment back; False when that was known."""
    found = await conn.fetchval(
        _SQL["add_reversal"],
        row.linked,
        row.receipt,
        row.amount.currency.code,
        abs(row.amount.minor),
        row.at,
        told_by,
        now,
    )
    return found is not None


async def reversal_of(conn: Connection, number: str) -> str | None:
    """The number of the reversal that took back the payment of that number."""
    found = await conn.fetchval(_SQL["reversal"], number)
    return None if found is None else str(found)


async def late_reversals(conn: Connection, limit: int) -> list[tuple[StatementRow, int | None]]:
    """Reversals that were kept before the payments that they took back were in the books, each with
    the admin who told of it.
    """
    return [
        (
            StatementRow(
                line=0,
                receipt=row["reversal"],
                at=row["happened_at"],
                kind=RowKind.REVERSAL,
                words="",
                amount=-Money(row["amount_minor"], Currency.of(row["currency"])),
                linked=row["receipt"],
            ),
            row["told_by"],
        )
        for row in await conn.fetch(_SQL["late_reversals"], limit)
    ]


async def turn(conn: Connection, receipt_id: int) -> None:
    """A receipt that its provider took back: its journal is in this unit, too."""
    await conn.execute(_SQL["turn"], receipt_id)


async def booked_after(conn: Connection, at: datetime) -> Money:
    """What came to be at M-Pesa by the books, of things that happened after that time."""
    return Money(-int(await conn.fetchval(_SQL["after"], at)), Currency.KES)
