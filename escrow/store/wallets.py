"""What a person sees of his own money."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from escrow.domain.money import Currency, Money
from escrow.store import queries
from escrow.store.database import Connection

_SQL: Final = queries.load("wallets")


async def entries(
    conn: Connection, telegram_id: int, limit: int, skipped: int
) -> list[Mapping[str, Any]]:
    """Movements of a person's wallets, newest first, after `skipped` newer ones."""
    rows = await conn.fetch(_SQL["entries"], str(telegram_id), limit, skipped)
    return [dict(row) for row in rows]


async def on_the_way(conn: Connection, telegram_id: int) -> list[tuple[Money, str]]:
    """(amount, destination) of what was sent and has not arrived, as far as we know."""
    rows = await conn.fetch(_SQL["on_the_way"], telegram_id)
    return [
        (Money(row["amount_minor"], Currency.of(row["currency"])), row["destination"])
        for row in rows
    ]


async def sends_by_itself(conn: Connection, telegram_id: int) -> bool:
    """Whether settled money goes to his phone by itself."""
    return bool(await conn.fetchval(_SQL["sends_by_itself"], telegram_id))


async def set_auto_payout(conn: Connection, telegram_id: int, *, on: bool) -> None:
    await conn.execute(_SQL["set_auto_payout"], telegram_id, on)
