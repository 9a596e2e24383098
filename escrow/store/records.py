"""What people sent with a deal: its photo, proof of shipping, evidence, messages; only added to."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from escrow.domain.model import DealRecord, Media, MediaKind, Purpose
from escrow.store import queries
from escrow.store.database import Connection, Row

_SQL: Final = queries.load("records")


def _record(row: Row) -> DealRecord:
    media = None
    if row["file_id"] is not None:
        media = Media(
            MediaKind(row["kind"]),
            row["file_id"],
            row["file_unique_id"] or "",
            row["file_size"],
            row["words"],
        )
    return DealRecord(
        id=row["id"],
        escrow_id=row["escrow_id"],
        purpose=Purpose(row["purpose"]),
        telegram_id=row["telegram_id"],
        words=row["words"],
        media=media,
        at=row["at"],
        dispute_id=row["dispute_id"],
        sha256=row["sha256"],
        note=row["note"],
    )


async def insert(
    conn: Connection,
    escrow_id: str,
    telegram_id: int,
    purpose: Purpose,
    sent: Media | str,
    *,
    cause: str,
    now: datetime,
    dispute_id: int | None = None,
) -> int | None:
    """Keeps words, or media with its caption; None when this cause kept it before."""
    media = sent if isinstance(sent, Media) else None
    found = await conn.fetchval(
        _SQL["insert"],
        cause,
        escrow_id,
        purpose,
        dispute_id,
        telegram_id,
        media.kind if media else "text",
        media.words if media else sent,
        media.file_id if media else None,
        media.file_unique_id if media else None,
        media.file_size if media else None,
        now,
    )
    return None if found is None else int(found)


async def by_cause(conn: Connection, cause: str) -> DealRecord | None:
    """What this cause kept before."""
    row = await conn.fetchrow(_SQL["by_cause"], cause)
    return _record(row) if row else None


async def of_deal(
    conn: Connection, escrow_id: str, purposes: Collection[Purpose] = tuple(Purpose)
) -> list[DealRecord]:
    """What was sent with a deal for these purposes, oldest first."""
    rows = await conn.fetch(_SQL["of_deal"], escrow_id, list(purposes))
    return [_record(row) for row in rows]


async def without_fingerprint(
    conn: Connection, purposes: Collection[Purpose], limit: int, but: Sequence[int] = ()
) -> list[DealRecord]:
    """Records whose bytes were not fetched yet, newest first, without those named in `but`."""
    rows = await conn.fetch(_SQL["without_fingerprint"], list(purposes), list(but), limit)
    return [_record(row) for row in rows]


async def add_fingerprint(
    conn: Connection, record_id: int, fingerprint: bytes | None, note: str, now: datetime
) -> None:
    """The SHA-256 of a record's bytes (32 bytes), or in `note` why there is none (`too_large`,
    `gone`). The first one stays.
    """
    await conn.execute(_SQL["add_fingerprint"], record_id, fingerprint, note, now)


async def sent_since(
    conn: Connection, escrow_id: str, telegram_id: int, purpose: Purpose, since: datetime
) -> int:
    """How many records of that purpose somebody sent with a deal since then."""
    return int(await conn.fetchval(_SQL["sent_since"], escrow_id, telegram_id, purpose, since))
