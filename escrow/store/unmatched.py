"""Money that nobody is credited with yet, whose it may be, and what is known of a receipt."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from escrow.domain.model import StoredReceipt
from escrow.domain.money import Money
from escrow.store import queries, receipts
from escrow.store.database import Connection

_SQL: Final = queries.load("unmatched")


async def waiting(conn: Connection, offset: int, limit: int) -> list[StoredReceipt]:
    """In suspense or waiting for an admin's word, oldest first."""
    return [receipts.from_row(row) for row in await conn.fetch(_SQL["waiting"], offset, limit)]


async def waiting_count(conn: Connection) -> int:
    return int(await conn.fetchval(_SQL["waiting_count"]))


async def going_back(conn: Connection) -> int:
    """How many are on their way back to their payers."""
    return int(await conn.fetchval(_SQL["going_back"]))


async def by_sum(conn: Connection, amount: Money, paid_at: datetime, limit: int) -> list[str]:
    """Deals whose due or missing amount is exactly that, those nearest to its time first."""
    rows = await conn.fetch(_SQL["by_sum"], amount.currency.code, amount.minor, limit, paid_at)
    return [row["id"] for row in rows]


async def by_number(conn: Connection, begins: str, ends: str, limit: int) -> list[str]:
    """Unpaid deals of buyers whose number begins and ends so; both are digits."""
    rows = await conn.fetch(_SQL["by_number"], f"{begins}%{ends}", limit)
    return [row["id"] for row in rows]


async def candidates(
    conn: Connection, deals: Sequence[str], now: datetime, paid_at: datetime
) -> dict[str, tuple[str | None, bool]]:
    """Which of these deals wait for money → (the number of who would pay them, whether somebody was
    about to pay them at `paid_at`).
    """
    rows = await conn.fetch(_SQL["candidates"], list(deals), now, paid_at)
    return {row["id"]: (row["phone"], row["then_paid"]) for row in rows}


async def paid_from(conn: Connection, receipt_id: int) -> tuple[str, bool]:
    """(the payer's number as far as it is known, whether the receipt's own is only fitted)."""
    row = await conn.fetchrow(_SQL["paid_from"], receipt_id)
    assert row is not None  # noqa: S101 receipts are never deleted
    return row["paid_from"], row["fitted"]


async def by_reference(conn: Connection, reference: str) -> StoredReceipt | None:
    """The receipt of that number, whatever provider it came by."""
    row = await conn.fetchrow(_SQL["by_reference"], reference)
    return receipts.from_row(row) if row else None


async def went_to_wallet(conn: Connection, receipt_id: int) -> bool:
    """Whether a receipt's money left its deal undecided, for its owner's wallet."""
    return bool(await conn.fetchval(_SQL["went_to_wallet"], receipt_id))


async def used_wallet(conn: Connection, escrow_id: str) -> bool:
    """Whether (a part of) the deal was paid from a wallet."""
    return bool(await conn.fetchval(_SQL["used_wallet"], escrow_id))
