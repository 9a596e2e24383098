"""What admins read to judge a deal: lists of disputes and deals, and everything about one deal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from escrow.domain.flow import Status
from escrow.domain.model import Dispute, Escrow, StoredReceipt
from escrow.domain.money import Money
from escrow.domain.payouts import Payout
from escrow.store import disputes, payouts, queries, receipts
from escrow.store.database import Connection

_SQL: Final = queries.load("cases")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a timeline. `name`: what whoever did it is called; `second`: the admin who
    confirmed it besides him; '' where there is none.
    """

    event: str
    from_status: str | None
    to_status: str
    actor: str
    at: datetime
    data: Mapping[str, Any]
    name: str
    second: str


@dataclass(frozen=True, slots=True)
class BuyerRecord:
    """A buyer's deals that held money, and what became of them."""

    deals: int
    completed: int
    refunded: int
    disputed: int


async def open_disputes(
    conn: Connection, now: datetime, offset: int, limit: int
) -> list[tuple[Dispute, str]]:
    """A page of them, each with the name of the admin who has it ('': nobody): first those whose
    other side let its time pass, then the oldest.
    """
    rows = await conn.fetch(_SQL["open_disputes"], now, offset, limit)
    return [
        (
            disputes.from_row(row),
            row["taken_name"] or (str(row["taken_by"]) if row["taken_by"] else ""),
        )
        for row in rows
    ]


async def open_counts(conn: Connection) -> dict[Status, int]:
    """How many deals are in each status that is not the end."""
    return {Status(row["status"]): row["deals"] for row in await conn.fetch(_SQL["open_counts"])}


async def by_status(
    conn: Connection, status: Status, offset: int, limit: int
) -> list[tuple[str, datetime, str]]:
    """(code, when it changed last, the buyer's name), what changed last first."""
    rows = await conn.fetch(_SQL["by_status"], str(status), offset, limit)
    return [(row["id"], row["updated_at"], row["buyer_name"] or "") for row in rows]


async def receipts_of(conn: Connection, escrow_id: str) -> list[StoredReceipt]:
    """What came in for a deal, oldest first; 50 at most."""
    return [receipts.from_row(row) for row in await conn.fetch(_SQL["receipts"], escrow_id)]


async def payouts_of(conn: Connection, escrow_id: str) -> list[Payout]:
    """What goes out, or back to its payer, because of a deal."""
    rows = [
        *await conn.fetch(_SQL["payouts"], escrow_id),
        *await conn.fetch(_SQL["ways_back"], escrow_id),
    ]
    return [payouts.from_row(row) for row in rows]


async def balances(conn: Connection, escrow: Escrow) -> dict[str, Money]:
    """What the books hold for a deal, by the account's kind."""
    rows = await conn.fetch(_SQL["balances"], escrow.id, escrow.currency.code)
    return {row["kind"]: Money(row["balance_minor"], escrow.currency) for row in rows}


async def buyer_record(conn: Connection, telegram_id: int) -> BuyerRecord:
    row = await conn.fetchrow(_SQL["buyer_record"], telegram_id)
    assert row is not None  # noqa: S101 an aggregate always answers
    return BuyerRecord(**dict(row))


async def open_flags(conn: Connection, telegram_id: int) -> list[tuple[str, str]]:
    """(type, severity) of what nobody has reviewed yet, newest first; ten at most."""
    rows = await conn.fetch(_SQL["open_flags"], telegram_id)
    return [(row["flag_type"], row["severity"]) for row in rows]


async def timeline(conn: Connection, escrow_id: str) -> list[Entry]:
    """Everything that happened to a deal, oldest first."""
    return [
        Entry(**{**dict(row), "name": row["name"] or "", "second": row["second"] or ""})
        for row in await conn.fetch(_SQL["timeline"], escrow_id)
    ]


async def names(conn: Connection, telegram_ids: Sequence[int]) -> dict[int, str]:
    """What these people are called."""
    rows = await conn.fetch(_SQL["names"], list(telegram_ids))
    return {row["telegram_id"]: row["first_name"] for row in rows}
