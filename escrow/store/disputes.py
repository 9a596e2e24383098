"""Disputes: raised, taken by an admin, answered, closed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from escrow.domain.flow import Status
from escrow.domain.model import By, Dispute, DisputeStatus
from escrow.store import queries
from escrow.store.database import Connection, Row

_SQL: Final = queries.load("disputes")


def from_row(row: Row) -> Dispute:
    """A row of escrow_disputes as a Dispute."""
    return Dispute(
        id=row["id"],
        escrow_id=row["escrow_id"],
        raised_by=row["raised_by"],
        raised_role=row["raised_role"],
        disputed_from=Status(row["disputed_from"]),
        reason=row["reason"],
        status=DisputeStatus(row["status"]),
        opened_at=row["opened_at"],
        answer_by=row["answer_by"],
        answered_at=row["answered_at"],
        taken_by=row["taken_by"],
        taken_at=row["taken_at"],
        resolution=row["resolution"],
        buyer_percent=row["buyer_percent"],
        notes=row["notes"],
        closed_at=row["closed_at"],
    )


def _found(row: Row | None) -> Dispute | None:
    return from_row(row) if row else None


async def insert(
    conn: Connection,
    escrow_id: str,
    by: By,
    disputed_from: Status,
    reason: str,
    now: datetime,
    answer_by: datetime,
) -> Dispute:
    """A new dispute by a party of a locked deal. `IllegalMove` when one is open."""
    row = await conn.fetchrow(
        _SQL["insert"],
        escrow_id,
        by.telegram_id,
        str(by.actor),
        str(disputed_from),
        reason,
        now,
        answer_by,
    )
    assert row is not None  # noqa: S101 an INSERT answers or raises
    return from_row(row)


async def open_dispute_of(conn: Connection, escrow_id: str) -> Dispute | None:
    """The open dispute of a deal; a deal has one at most."""
    return _found(await conn.fetchrow(_SQL["open_of"], escrow_id))


async def last_of(conn: Connection, escrow_id: str) -> Dispute | None:
    """The newest dispute of a deal, open or closed."""
    return _found(await conn.fetchrow(_SQL["last_of"], escrow_id))


async def by_cause(conn: Connection, escrow_id: str, cause: str) -> Dispute | None:
    """The dispute that this cause opened."""
    return _found(await conn.fetchrow(_SQL["by_cause"], escrow_id, cause))


async def withdrawn(conn: Connection, escrow_id: str) -> bool:
    """Whether a dispute of the deal was withdrawn before."""
    return bool(await conn.fetchval(_SQL["withdrawn"], escrow_id))


async def take(
    conn: Connection, dispute_id: int, admin: int, admins: Sequence[int], now: datetime
) -> Dispute | None:
    """An admin takes a dispute that nobody has, or somebody who is not among the `admins` any more;
    None when it is another's, or closed.
    """
    return _found(await conn.fetchrow(_SQL["take"], dispute_id, admin, now, list(admins)))


async def close(
    conn: Connection,
    dispute_id: int,
    status: DisputeStatus,
    by: By,
    now: datetime,
    *,
    resolution: str | None = None,
    buyer_percent: int | None = None,
    notes: str | None = None,
) -> bool:
    """Closes an open dispute, once; False when it was closed before."""
    found = await conn.fetchval(
        _SQL["close"], dispute_id, str(status), resolution, buyer_percent, notes, str(by), now
    )
    return found is not None


async def answered(conn: Connection, dispute_id: int, telegram_id: int, now: datetime) -> bool:
    """The other side sent evidence or a message. True the first time; whoever raised the dispute
    does not answer himself.
    """
    return await conn.fetchval(_SQL["answered"], dispute_id, telegram_id, now) is not None


async def open_disputes(conn: Connection, now: datetime, limit: int) -> list[Dispute]:
    """Open disputes: first those whose other side let its time pass, then the oldest."""
    return [from_row(row) for row in await conn.fetch(_SQL["open"], now, limit)]


async def silent(conn: Connection, now: datetime, limit: int) -> list[Dispute]:
    """Locks disputes that the other side did not answer in time and nobody was told of."""
    return [from_row(row) for row in await conn.fetch(_SQL["silent"], now, limit)]


async def silence_told(conn: Connection, disputes: Sequence[int], now: datetime) -> None:
    """The admins were told of these."""
    await conn.execute(_SQL["silence_told"], list(disputes), now)


async def count_open(conn: Connection) -> int:
    return int(await conn.fetchval(_SQL["count_open"]))
