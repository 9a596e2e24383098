"""Posting journals and reading balances. What may never happen is refused by the triggers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from escrow.domain.model import Journal
from escrow.domain.money import Currency, Money
from escrow.store import queries
from escrow.store.database import Connection

_SQL: Final = queries.load("ledger")


async def post(conn: Connection, journals: Sequence[Journal]) -> dict[tuple[str, str], int]:
    """Writes journals in one statement; returns (kind, owner) → balance after in minor units of
    every touched account that keeps a balance.

    A journal whose key exists with the same inputs is skipped. `Conflict` when the inputs differ,
    `BooksBroken` when an account would go below zero.
    """
    rows = await conn.fetch(_SQL["post"], [_as_json(journal) for journal in journals])
    return {(row["kind"], row["owner"]): row["balance_minor"] for row in rows}


def _as_json(journal: Journal) -> dict[str, Any]:
    inputs = {
        "kind": journal.kind,
        "currency": journal.currency.code,
        "escrow": journal.escrow_id,
        "entries": [[e.kind, e.owner, e.minor] for e in journal.entries],
    }
    digest = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
    return {**inputs, "key": journal.key, "hash": digest, "at": journal.happened_at}


async def balance(conn: Connection, kind: str, owner: str, currency: Currency) -> Money:
    """The balance of an account that keeps one; 0 when it was never used."""
    minor = await conn.fetchval(_SQL["balance"], kind, owner, currency.code)
    return Money(minor or 0, currency)


async def held(conn: Connection, escrow_id: str, currency: Currency) -> tuple[Money, Money]:
    """(holding, pending fee) of a deal, in one look."""
    row = await conn.fetchrow(_SQL["held"], escrow_id, currency.code)
    assert row is not None  # noqa: S101 two sums always come
    return Money(row["holding"], currency), Money(row["pending_fee"], currency)


async def lock_wallet(conn: Connection, telegram_id: int, currency: Currency) -> Money:
    """Locks a person's wallet for the rest of the unit and returns what is in it."""
    minor = await conn.fetchval(_SQL["lock_wallet"], str(telegram_id), currency.code)
    return Money(minor or 0, currency)


async def wallets(conn: Connection, telegram_id: int) -> list[Money]:
    """What a person has available, per currency."""
    return [
        Money(row["available_minor"], Currency.of(row["currency"]))
        for row in await conn.fetch(_SQL["wallet"], str(telegram_id))
    ]


async def wallet_entries(
    conn: Connection, telegram_id: int, limit: int = 5
) -> list[Mapping[str, Any]]:
    """The last movements of a person's wallets, newest first."""
    return [dict(row) for row in await conn.fetch(_SQL["wallet_entries"], str(telegram_id), limit)]


async def held_in_deals(conn: Connection, telegram_id: int) -> list[Mapping[str, Any]]:
    """Per currency: paid into open deals as buyer, coming from open deals as seller."""
    return [dict(row) for row in await conn.fetch(_SQL["held_in_deals"], telegram_id)]


async def proof(conn: Connection) -> list[str]:
    """Proves the books: an empty list, or one line per break, naming the rows."""
    breaks = [
        f"trial balance {row['currency']} is {row['total_minor']}"
        for row in await conn.fetch(_SQL["trial_balance"])
        if row["total_minor"] != 0
    ]
    breaks += [
        f"account {row['id']} ({row['kind']}:{row['owner']}) is not the sum of its entries"
        for row in await conn.fetch(_SQL["broken_balances"])
    ]
    breaks += [
        f"deal {row['escrow_id']} does not hold what its status says"
        for row in await conn.fetch(_SQL["broken_deals"])
    ]
    breaks += [
        f"suspense {row['currency']} is off its receipts by {row['off_minor']}"
        for row in await conn.fetch(_SQL["suspense_difference"])
        if row["off_minor"] != 0
    ]
    return breaks


async def held_totals(conn: Connection) -> list[Mapping[str, Any]]:
    """What is held for customers, per currency and kind of account."""
    return [dict(row) for row in await conn.fetch(_SQL["held_totals"])]
