"""Journals per second by the posting function, beside bare INSERTs of the same rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import asyncpg

from benchmarks import by_hand, deals, statements
from benchmarks.deals import Deals
from benchmarks.pairs import AT_LEAST, Bar, Figure, columns, interleaved
from benchmarks.server import Server

DATABASE: Final = "journals"
_SQL: Final = statements.load("journals")


@dataclass(frozen=True, slots=True)
class Scale:
    rounds: int
    journals: int


FULL: Final = Scale(rounds=7, journals=1600)
QUICK: Final = Scale(rounds=1, journals=80)


async def run(server: Server, scale: Scale = FULL) -> list[Figure]:
    """One journal of two entries a transaction, 8 clients, over 128 wallets."""
    dsn = await server.database(DATABASE)
    conn = await asyncpg.connect(dsn)
    try:
        await Deals(conn).people()
        await by_hand.make_tables(conn)
        await conn.execute(_SQL["keys"])
        await conn.execute(_SQL["wallets"], [*deals.BUYERS])

        async def post() -> float:
            return await server.pgbench(
                DATABASE, _SQL["post_script"], scale.journals, schema="public"
            )

        async def insert(script: str = "insert_script") -> float:
            return await server.pgbench(
                DATABASE, _SQL[script], scale.journals, schema=by_hand.SCHEMA
            )

        await post()
        await insert()
        await deals.analyze(conn)
        found = await interleaved(scale.rounds, post, insert, lambda: insert("one_insert_script"))
    finally:
        await conn.close()
    what = "journals by the posting function, pgbench with 8 clients"
    return [
        Figure(
            what,
            "INSERTs of the same rows in a transaction, no triggers",
            "journals/s",
            columns(found, 0, 1),
            Bar(AT_LEAST, 0.6),
        ),
        Figure(
            what,
            "the same rows by one INSERT statement, no triggers",
            "journals/s",
            columns(found, 0, 2),
        ),
    ]
