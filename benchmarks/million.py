"""A database with a past: a million deals and the rows behind them, written set by set.

Triggers and foreign keys sleep meanwhile, so the rows are what the program would have left, not
proved to be: all statuses, settlements, receipts, payouts and notices; of the ledger the accounts,
and of each deal one journal with what it has left in the books.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import asyncpg

from benchmarks import statements

_SQL: Final = statements.load("million")

BIG_TABLES: Final = (
    "escrow_transactions",
    "escrow_timeline",
    "settlements",
    "receipts",
    "payouts",
    "ledger_accounts",
    "ledger_journals",
    "ledger_entries",
    "outbox",
    "inbox",
)
"""What grows with every deal."""
_HALVES: Final = (
    ("deals", "timeline", "disputes", "settlements", "outbox", "inbox"),
    ("accounts", "journals", "entries", "receipts", "payouts"),
)
"""Nothing refers to the other half while foreign keys sleep, so both are written at once."""
DAYS: Final = 730


async def load(dsn: str, deals: int, now: datetime, days: int = DAYS) -> None:
    """Fills an empty migrated database with so many deals of the `days` before `now`. As its
    superuser.
    """
    conn = await _writer(dsn)
    other = await _writer(dsn)
    try:
        later = await conn.fetch(_SQL["indexes"], list(BIG_TABLES))
        for row in later:
            await conn.execute(row["drop"])
        await conn.execute(_SQL["people"], now)
        await conn.execute(_SQL["sellers"], now)
        await conn.execute(_SQL["table"])
        await conn.execute(_SQL["plan"], deals, now, days)
        await conn.execute("ANALYZE million_plan")
        await asyncio.gather(*(_write(*half) for half in zip((conn, other), _HALVES, strict=True)))
        await conn.execute(_SQL["done"])
        await conn.fetch(_SQL["sequences"], deals)
        makes = [row["make"] for row in later]
        await asyncio.gather(_make(conn, makes), _make(other, makes))
        await conn.execute("VACUUM ANALYZE")
        while await conn.fetchval(_SQL["roll_up"]) == 0:  # the first call only takes the mark
            pass
    finally:
        await other.close()
        await conn.close()


async def _writer(dsn: str) -> asyncpg.Connection:
    conn = await asyncpg.connect(dsn)
    for setting in ("session_replication_role = replica", "work_mem = '256MB'"):
        await conn.execute(f"SET {setting}")
    await conn.execute("SET maintenance_work_mem = '256MB'")
    return conn


async def _write(conn: asyncpg.Connection, names: Sequence[str]) -> None:
    for name in names:
        await conn.execute(_SQL[name])
        if name == "accounts":
            await conn.execute("ANALYZE ledger_accounts")


async def _make(conn: asyncpg.Connection, makes: list[str]) -> None:
    """Two of these share the list."""
    while makes:
        await conn.execute(makes.pop())
