"""The month's report: what is counted only for it, and that it is made once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final

from escrow.store import queries
from escrow.store.database import Connection

_SQL: Final = queries.load("monthly")


async def last(conn: Connection) -> tuple[date, datetime] | None:
    """The newest month that was reported, and when it ended; None before the first."""
    row = await conn.fetchrow(_SQL["last"])
    return (row["month"], row["ends_at"]) if row else None


async def people(conn: Connection, since: datetime, until: datetime) -> tuple[int, int]:
    """How many different (buyers, sellers) had a deal paid in [since, until)."""
    row = await conn.fetchrow(_SQL["people"], since, until)
    assert row is not None  # noqa: S101 counts always come
    return row["buyers"], row["sellers"]


async def disputes(conn: Connection, since: datetime, until: datetime) -> Mapping[str, int]:
    """Disputes opened in [since, until), closed in it by how, and `open` at its end."""
    row = await conn.fetchrow(_SQL["disputes"], since, until)
    assert row is not None  # noqa: S101 counts always come
    return dict(row)


async def insert(
    conn: Connection,
    month: date,
    since: datetime,
    until: datetime,
    figures: Mapping[str, Any],
    now: datetime,
) -> bool:
    """Keeps a month's report; False when it was made before."""
    kept = await conn.fetchval(_SQL["insert"], month, since, until, dict(figures), now)
    return kept is not None
