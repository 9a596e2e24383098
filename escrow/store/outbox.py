"""Notices: written with what caused them, sent afterwards, in order per chat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from escrow.domain.model import Notice
from escrow.store import queries
from escrow.store.database import Connection

_SQL: Final = queries.load("outbox")


@dataclass(frozen=True, slots=True)
class DueNotice:
    """A notice to send now, in the recipient's language."""

    id: int
    chat_id: int
    kind: str
    params: Mapping[str, Any]
    tries: int
    escrow_id: str | None
    language: str


@dataclass(frozen=True, slots=True)
class SentNotice:
    """A notice that somebody has before him."""

    kind: str
    params: Mapping[str, Any]
    escrow_id: str | None


async def queue(conn: Connection, notices: Sequence[Notice], now: datetime) -> None:
    """Queues notices; one that was queued before for the same cause is left alone."""
    if not notices:
        return
    await conn.execute(
        _SQL["queue"],
        [
            {
                "cause": n.cause,
                "kind": n.kind,
                "chat_id": n.recipient,
                "escrow_id": n.escrow_id,
                "params": dict(n.values),
                "at": now,
            }
            for n in notices
        ],
    )


async def due(conn: Connection, now: datetime, limit: int) -> list[DueNotice]:
    """What to send now, at most one notice per chat."""
    return [DueNotice(**dict(row)) for row in await conn.fetch(_SQL["due"], now, limit)]


async def sent(conn: Connection, notice_id: int, message_id: int | None, now: datetime) -> None:
    await conn.execute(_SQL["sent"], notice_id, message_id, now)


async def close(conn: Connection, notice_id: int, state: str, error: str, now: datetime) -> None:
    """Gives a notice up: UNDELIVERABLE or DEAD."""
    await conn.execute(_SQL["close"], notice_id, state, error[:300], now)


async def later(
    conn: Connection, notice_id: int, at: datetime, error: str, *, counts: bool
) -> None:
    """Tries again at that time; only answered refusals count as tries."""
    await conn.execute(_SQL["later"], notice_id, at, error[:300], int(counts))


async def backlog(conn: Connection) -> tuple[int, datetime | None]:
    """(how many wait, since when the oldest is due)."""
    row = await conn.fetchrow(_SQL["backlog"])
    assert row is not None  # noqa: S101 a count always comes
    return row["waiting"], row["oldest"]


async def message(conn: Connection, chat_id: int, message_id: int) -> SentNotice | None:
    """The notice that became this message; None when it was none."""
    row = await conn.fetchrow(_SQL["message"], chat_id, message_id)
    return SentNotice(**dict(row)) if row else None
