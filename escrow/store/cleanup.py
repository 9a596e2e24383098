"""What is old: deals into the archive, bulky side rows away. No money row and no timeline row is
among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from escrow.domain.flow import Status
from escrow.store import queries
from escrow.store.database import Connection

_SQL: Final = queries.load("cleanup")
_BEFORE_ALL: Final = datetime(1970, 1, 1, tzinfo=UTC)

BIG_TABLES: Final = (
    "escrow_transactions",
    "escrow_timeline",
    "escrow_disputes",
    "settlements",
    "receipts",
    "payouts",
    "ledger_accounts",
    "ledger_journals",
    "ledger_entries",
    "inbox",
    "outbox",
    "telegram_updates",
)
"""What grows with every deal."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A deal that ended then."""

    escrow_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Old:
    """A row that was done with then."""

    id: int
    at: datetime


async def finished(
    conn: Connection, status: Status, before: datetime, after: Finished | None, limit: int
) -> list[Finished]:
    """The next deals that ended with this status before then and are not archived."""
    at, code = (after.at, after.escrow_id) if after else (_BEFORE_ALL, "")
    rows = await conn.fetch(_SQL["finished"], str(status), before, at, code, limit)
    return [Finished(row["id"], row["updated_at"]) for row in rows]


async def archive(conn: Connection, codes: Sequence[str], now: datetime) -> int:
    """Archives finished deals; how many were not before."""
    return len(await conn.fetch(_SQL["archive"], list(codes), now))


async def reviewed_flags(
    conn: Connection, until: datetime, after: int | None, limit: int
) -> list[int]:
    """The next flags that were reviewed by then."""
    rows = await conn.fetch(_SQL["reviewed_flags"], until, after or 0, limit)
    return [row["id"] for row in rows]


async def drop_flags(conn: Connection, flags: Sequence[int]) -> int:
    """Forgets reviewed flags; how many."""
    return len(await conn.fetch(_SQL["drop_flags"], list(flags)))


async def raw_bodies(
    conn: Connection, before: datetime, after: Old | None, limit: int
) -> list[Old]:
    """The next callbacks that were done with before then and still have their bodies."""
    at, row_id = (after.at, after.id) if after else (_BEFORE_ALL, 0)
    rows = await conn.fetch(_SQL["raw_bodies"], before, at, row_id, limit)
    return [Old(row["id"], row["at"]) for row in rows]


async def empty_bodies(conn: Connection, rows: Sequence[Old]) -> int:
    """Takes the bodies of callbacks; their digests stay. How many."""
    return len(await conn.fetch(_SQL["empty_bodies"], [row.id for row in rows]))


async def update_bodies(
    conn: Connection, before: datetime, after: Old | None, limit: int
) -> list[Old]:
    """The next updates that were handled before then and still have their bodies."""
    at, row_id = (after.at, after.id) if after else (_BEFORE_ALL, 0)
    rows = await conn.fetch(_SQL["update_bodies"], before, at, row_id, limit)
    return [Old(row["id"], row["at"]) for row in rows]


async def empty_updates(conn: Connection, rows: Sequence[Old]) -> int:
    """Takes the bodies of handled updates; their ids stay. How many."""
    return len(await conn.fetch(_SQL["empty_updates"], [row.id for row in rows]))


async def conversations(
    conn: Connection, before: datetime, after: int | None, limit: int
) -> list[int]:
    """Who left a dialogue before then and did not come back to it."""
    rows = await conn.fetch(_SQL["conversations"], before, after or 0, limit)
    return [row["telegram_id"] for row in rows]


async def drop_conversations(conn: Connection, people: Sequence[int], before: datetime) -> int:
    """Forgets dialogues that were left before then; how many."""
    return len(await conn.fetch(_SQL["drop_conversations"], list(people), before))


async def notices(
    conn: Connection, before: datetime, after: int, limit: int
) -> list[tuple[int, bool, bool]]:
    """The next notices in their order: (row, older than then, may go)."""
    rows = await conn.fetch(_SQL["notices"], before, after, limit)
    return [(row["id"], row["old"], row["over"]) for row in rows]


async def drop_notices(conn: Connection, rows: Sequence[int]) -> int:
    """Forgets closed notices; how many."""
    return len(await conn.fetch(_SQL["drop_notices"], list(rows)))


async def ours(conn: Connection) -> frozenset[str]:
    """Which big tables this connection may vacuum."""
    rows = await conn.fetch(_SQL["ours"], list(BIG_TABLES))
    return frozenset(row["relname"] for row in rows)


async def vacuum(conn: Connection, table: str) -> None:
    """Gives a table's room back and counts its values. Outside a transaction, as its owner."""
    await conn.execute(_SQL[f"vacuum_{table}"])


async def refresh_statistics(conn: Connection, table: str) -> None:
    """Counts a big table's values for the planner."""
    await conn.execute(_SQL["refresh_statistics"], table)
