"""A database with a past: a million deals and the rows behind them, written set by set.

Triggers and foreign keys sleep meanwhile, so the rows are what the program would have left, not
proved to be: all statuses, settlements, receipts, payouts and notices; of the ledger the accounts,
and of each deal one journal with what it has left in the books.
"""

from __future__ import annotations

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
_ROWS: Final = (
    "deals",
    "timeline",
    "disputes",
    "settlements",
    "receipts",
    "payouts",
    "accounts",
    "journals",
    "entries",
    "outbox",
    "inbox",
)
DAYS: Final = 730


async def load(dsn: str, deals: int, now: datetime, days: int = DAYS) -> None:
    """Fills an empty migrated database with so many deals of the `days` before `now`. As its
    superuser.
    """
    conn = await asyncpg.connect(dsn)
    try:
        await conn.execute("SET session_replication_role = replica")
        await conn.execute("SET maintenance_work_mem = '256MB'")
        await conn.execute("SET work_mem = '256MB'")
        indexes = await conn.fetch(_SQL["indexes"], list(BIG_TABLES))
        for index in indexes:
            await conn.execute(f"DROP INDEX {index['name']}")
        for name in ("people", "sellers"):
            await conn.execute(_SQL[name], now)
        await conn.execute(_SQL["table"])
        await conn.execute(_SQL["plan"], deals, now, days)
        await conn.execute("ANALYZE million_plan")
        for name in _ROWS:
            await conn.execute(_SQL[name])
            if name == "accounts":
                await conn.execute("ANALYZE ledger_accounts")
        await conn.execute(_SQL["done"])
        await conn.fetch(_SQL["sequences"], deals)
        for index in indexes:
            await conn.execute(index["definition"])
        await conn.execute("VACUUM ANALYZE")
        while await conn.fetchval(_SQL["roll_up"]) == 0:  # the first call only takes the mark
            pass
    finally:
        await conn.close()
