"""What may be stuck, without reading what is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from escrow.store import queries
from escrow.store.database import Connection, Row

_SQL: Final = queries.load("health")
MOST: Final = 1000
"""More than so many deals are not counted one by one."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Deals that wait for too long, the oldest first; at most `MOST`."""

    codes: Sequence[str] = ()
    since: datetime | None = None

    @property
    def count(self) -> int:
        return len(self.codes)


def _waiting(rows: Sequence[Row]) -> Waiting:
    return Waiting(tuple(row["id"] for row in rows), rows[0]["since"] if rows else None)


async def stuck(conn: Connection, before: datetime) -> Waiting:
    """Deals under way that nothing has moved since then."""
    return _waiting(await conn.fetch(_SQL["stuck"], before, MOST))


async def old_disputes(conn: Connection, before: datetime) -> Waiting:
    """Deals whose dispute is open since before then."""
    return _waiting(await conn.fetch(_SQL["old_disputes"], before, MOST))


async def critical_flags(conn: Connection) -> int:
    """CRITICAL flags that nobody has reviewed."""
    return int(await conn.fetchval(_SQL["critical_flags"]))
