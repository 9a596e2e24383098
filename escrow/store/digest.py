"""What waits for the admins, counted; and who has not read it yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from escrow.store import queries
from escrow.store.database import Connection

_SQL: Final = queries.load("digest")


async def waiting(conn: Connection, now: datetime) -> Mapping[str, int]:
    """What waits for a person, by kind."""
    row = await conn.fetchrow(_SQL["waiting"], now)
    assert row is not None  # noqa: S101 counts always come
    return dict(row)


async def readers(
    conn: Connection, admins: Sequence[int], cause: str, before: datetime
) -> list[int]:
    """Which of these were here before then and have not been sent this cause's digest."""
    rows = await conn.fetch(_SQL["readers"], list(admins), cause, before)
    return [row["telegram_id"] for row in rows]
