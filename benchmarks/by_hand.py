"""A payment as somebody in a hurry writes it: statement by statement on asyncpg, on plain tables.

It writes the same rows as `EscrowFundManager.process_escrow_payment` writes for an exact payment,
and checks nothing. Each worker keeps a connection of its own.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg

from benchmarks import statements
from escrow.store import database

_SQL: Final = statements.load("plain")
_NO_HASH: Final = "0" * 64
SCHEMA: Final = "plain"


async def connect(dsn: str) -> asyncpg.Connection:
    """A connection to the plain tables."""
    conn = await asyncpg.connect(dsn, server_settings={"search_path": SCHEMA})
    await database.prepare(conn)
    return conn


async def make_tables(conn: asyncpg.Connection) -> None:
    """The plain tables and the payment as one SQL function."""
    await conn.execute(_SQL["tables"])
    await conn.execute(_SQL["function"])


async def copy(conn: asyncpg.Connection, codes: list[str]) -> None:
    """Puts deals that wait for money into the plain tables as well."""
    await conn.execute(_SQL["copy"], codes)


async def line_up(conn: asyncpg.Connection, codes: list[str]) -> None:
    """Gives the SQL function its next deals."""
    await conn.execute(_SQL["todo"], codes)


def function_script() -> str:
    """pgbench's script: the next deal is paid."""
    return _SQL["fund_script"]


async def outside(conn: asyncpg.Connection) -> int:
    """The account that payments come from."""
    return int(await conn.fetchval(_SQL["external"]))


async def fund(
    conn: asyncpg.Connection, code: str, reference: str, external: int, joins: int | None
) -> None:
    """One payment of exactly what is due; `joins` becomes the buyer by it."""
    now = datetime.now(UTC)
    ship_by = now + timedelta(days=3)
    async with conn.transaction():
        deal = await conn.fetchrow(_SQL["lock"], code)
        assert deal is not None
        price, fee, due = deal["price_minor"], deal["fee_minor"], deal["due_minor"]
        buyer, version = deal["buyer_telegram_id"] or joins, deal["version"]
        outcome = {
            "outcome": "funded",
            "escrow_id": code,
            "status": "HELD",
            "currency": "KES",
            "held_minor": price,
            "fee_minor": fee,
            "excess_minor": 0,
            "waived_minor": 0,
            "choice_id": None,
        }
        await conn.fetchval(_SQL["receipt"], reference, code, buyer, due, now, outcome)

        journal = await _journal(conn, "receipt", code, f"receipt:mpesa:{reference}", now)
        await conn.execute(_SQL["entry"], journal, external, -due, None, None)
        await _entry(conn, journal, "received", code, due)
        journal = await _journal(conn, "fund", code, f"fund:{code}", now)
        await _entry(conn, journal, "received", code, -due)
        await _entry(conn, journal, "holding", code, price)
        await _entry(conn, journal, "pending_fee", code, fee)

        if joins is not None:
            version += 1
            actor = f"buyer:{joins}"
            await conn.execute(_SQL["joined"], code, joins, now, actor)
            await _timeline(conn, code, version, "join", "PENDING", actor, now, {})
        said = {
            "received_minor": due,
            "holding_minor": price,
            "fee_minor": fee,
            "excess_minor": 0,
            "waived_minor": 0,
            "evidence": "status",
        }
        await conn.execute(_SQL["held"], code, price, fee, now, ship_by, said)
        await _timeline(conn, code, version + 1, "fund", "HELD", "payment", now, said)

        cause = f"receipt:mpesa:{reference}"
        told = {
            "code": code,
            "description": deal["description"],
            "shop": f"Shop {deal['seller_telegram_id']}",
            "received": _words(due),
            "held": _words(price),
            "fee": _words(fee),
            "due": _words(due),
            "excess": _words(0),
            "waived": _words(0),
            "ship_by": ship_by.isoformat(),
        }
        await conn.execute(_SQL["notice"], cause, "funded", buyer, code, told, now)
        told = {
            "code": code,
            "description": deal["description"],
            "gets": _words(price),
            "expected": _words(price),
            "ship_by": ship_by.isoformat(),
        }
        seller = deal["seller_telegram_id"]
        await conn.execute(_SQL["notice"], cause, "held", seller, code, told, now)


async def _journal(conn: asyncpg.Connection, kind: str, code: str, key: str, now: datetime) -> int:
    return int(await conn.fetchval(_SQL["journal"], kind, code, key, _NO_HASH, now))


async def _entry(conn: asyncpg.Connection, journal: int, kind: str, owner: str, minor: int) -> None:
    row = await conn.fetchrow(_SQL["balance"], kind, owner, minor)
    assert row is not None
    account, after, number = row
    await conn.execute(_SQL["entry"], journal, account, minor, after, number)


async def _timeline(
    conn: asyncpg.Connection,
    code: str,
    version: int,
    event: str,
    target: str,
    actor: str,
    now: datetime,
    said: dict[str, Any],
) -> None:
    await conn.execute(_SQL["timeline"], code, version, event, "PENDING", target, actor, now, said)


def _words(minor: int) -> str:
    return f"KES {minor // 100:,}.{minor % 100:02d}"
