"""The whole of the books, piece by piece, as an audit reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from escrow.domain.money import Currency
from escrow.store import ledger, queries
from escrow.store.database import Connection

_SQL: Final = queries.load("auditing")

Sums = dict[tuple[str, Currency], int]
"""(kind, currency) → minor units."""


async def snapshot(conn: Connection) -> None:
    """First in a unit: all that follows sees one moment."""
    await conn.execute(_SQL["snapshot"])
    await ledger.allow_long_statements(conn)


async def trial_balance(conn: Connection) -> tuple[Sums, list[Mapping[str, Any]]]:
    """In a snapshot: the balance of every kind of account, read from all accounts and all entries;
    and the busy accounts whose kept sum is another one (kind, owner, currency, off).
    """
    last = await conn.fetchrow(_SQL["last"])
    assert last is not None  # noqa: S101 sums always come
    sums: Sums = Counter()
    for start in range(0, last["account"], ledger.PIECE):
        for row in await conn.fetch(_SQL["kept"], start, start + ledger.PIECE):
            sums[row["kind"], Currency.of(row["currency"])] += row["minor"]
    exact: Counter[int] = Counter()
    for start in range(0, last["entry"], ledger.PIECE):
        exact.update(await ledger.busy_sums(conn, start, start + ledger.PIECE))
    off: list[Mapping[str, Any]] = []
    for row in await conn.fetch(_SQL["derived"]):
        minor = exact.get(row["account_id"], 0)
        sums[row["kind"], Currency.of(row["currency"])] += minor
        if minor != row["minor"]:
            off.append({**dict(row), "off": row["minor"] - minor})
    return dict(sums), off


async def next_payouts(conn: Connection, after: int, rows: int = ledger.PAGE) -> list[int]:
    """The next payouts by id."""
    return [row["id"] for row in await conn.fetch(_SQL["payout_page"], after, rows)]


async def broken_payouts(conn: Connection, ids: Sequence[int]) -> list[Mapping[str, Any]]:
    """Which of them don't have their amount on their account: id, currency, off_minor."""
    return [dict(row) for row in await conn.fetch(_SQL["broken_payouts"], ids)]
