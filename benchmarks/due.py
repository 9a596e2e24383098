"""Deals whose buyers' time is over, as many as wanted: sent, paid for, and due to be released.

Written set by set while triggers and foreign keys sleep, as `million` does it. What a release reads
and writes of them is whole, so that it runs with every trigger awake, and the books prove.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Final

import asyncpg

from benchmarks import statements
from benchmarks.deals import TERMS
from escrow.domain.codes import check_digit
from escrow.domain.money import Currency

_SQL: Final = statements.load("due")
SELLERS: Final = 500
_ELSEWHERE: Final = 500_000_000
"""Numbers so far on give the code of a deal whose own is taken by another."""
_ROWS: Final = (
    "timeline",
    "receipts",
    "accounts",
    "journals",
    "entries",
)


def _code(number: int) -> str:
    """Spread like real ones."""
    nine = f"{number * 640_531_527 % 10**9:09d}"
    return f"ES{nine}{check_digit(nine)}"


async def make(dsn: str, first: int, count: int, now: datetime) -> list[str]:
    """The deals of these numbers, due at `now`; their codes. As the database's superuser."""
    numbers = range(first, first + count)
    conn = await asyncpg.connect(dsn)
    try:
        codes = [_code(number) for number in numbers]
        taken = {row["id"] for row in await conn.fetch(_SQL["taken"], codes)}
        codes = [
            _code(number + _ELSEWHERE) if code in taken else code
            for number, code in zip(numbers, codes, strict=True)
        ]
        async with conn.transaction():
            await conn.execute("SET LOCAL session_replication_role = replica")
            for name in ("people", "sellers"):
                await conn.execute(_SQL[name], SELLERS, now)
            await conn.execute(_SQL["outside"])
            await conn.execute(_SQL["plan"], list(numbers), codes, now, SELLERS)
            await conn.execute("ANALYZE due")
            await conn.execute(_SQL["deals"], json.dumps(TERMS.deal_terms(Currency.KES)))
            for name in _ROWS:
                await conn.execute(_SQL[name])
            await conn.execute(_SQL["done"])
        return codes
    finally:
        await conn.close()
