"""Attacks on a database: statements that PostgreSQL must refuse, whatever stands above it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest

from tests.store.books import APP, OWNER, Step, insert, run


@dataclass(frozen=True, slots=True)
class Attack:
    """Statements that PostgreSQL must refuse, and what refuses them.

    `refused_by` is the name that the error carries, or `sqlstate:…` where there is no name.
    `guard` is what stands in the way: `table.trigger`, the name of a constraint or unique index
    (by default the name in the error), or a statement that takes it away; empty when it cannot be
    taken away. Guards named in `behind` are taken away first: what is attacked then holds alone.
    """

    promise: str
    steps: Sequence[Step]
    refused_by: str
    guard: str | None = None
    behind: tuple[str, ...] = ()
    roles: tuple[str, ...] = (OWNER,)

    @property
    def guarded_by(self) -> str:
        return self.refused_by if self.guard is None else self.guard


def attack(promise: str, *steps: Step, by: str, **more: Any) -> Attack:
    return Attack(promise, steps, by, **more)


def bad(table: str, by: str, *, behind: tuple[str, ...] = (), **changes: Any) -> Attack:
    """A row that its table must not take, as an attack."""
    shown = ", ".join(f"{column} {_short(value)}" for column, value in changes.items())
    return attack(f"{table} takes no {shown}", insert(table, **changes), by=by, behind=behind)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 24 else f"{text[:20]}… ({len(text)})"


def each(attacks: Sequence[Attack]) -> list[Any]:
    """Every attack by every role that tries it, under its promise."""
    return [
        pytest.param(tried, role, id=tried.promise + (f" ({role})" if role != OWNER else ""))
        for tried in attacks
        for role in tried.roles
    ]


def guarded(attacks: Sequence[Attack]) -> list[Any]:
    """Every attack whose guard can be taken away."""
    return [pytest.param(tried, id=tried.promise) for tried in attacks if tried.guarded_by]


async def take_away(conn: asyncpg.Connection, guard: str) -> None:
    """Removes a guard from the database of this transaction."""
    if " " in guard:
        await conn.execute(guard)
        return
    table, _, name = guard.rpartition(".")
    if table:
        await conn.execute(f"DROP TRIGGER {name} ON {table}")
        return
    table = await conn.fetchval(
        "SELECT conrelid::regclass::text FROM pg_constraint WHERE conname = $1 AND contype <> 't'",
        name,
    )
    if table:
        await conn.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name} CASCADE")
    else:
        await conn.execute(f"DROP INDEX {name}")


async def try_attack(
    conn: asyncpg.Connection, tried: Attack, role: str, *, without_guard: bool = False
) -> asyncpg.PostgresError | None:
    """Runs an attack to where it would commit, then takes everything back. The refusal, or None
    when PostgreSQL let it pass.
    """
    transaction = conn.transaction()
    await transaction.start()
    try:
        for guard in (*tried.behind, *([tried.guarded_by] if without_guard else [])):
            await take_away(conn, guard)
        if role == APP:
            await conn.execute(f"SET LOCAL ROLE {APP}")
        try:
            await run(conn, *tried.steps)
            await conn.execute("SET CONSTRAINTS ALL IMMEDIATE")
        except asyncpg.PostgresError as refusal:
            return refusal
        return None
    finally:
        await transaction.rollback()


def name_of(refusal: asyncpg.PostgresError) -> str:
    """What an attack's `refused_by` is compared with."""
    return refusal.constraint_name or f"sqlstate:{refusal.sqlstate}"
