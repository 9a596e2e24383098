"""Brings the schema up to date: `migrations/NNNN_name.sql` in order, one transaction each.

Forward only. The hash of every applied file is kept; a changed or missing file, a gap in the
numbers, or a database newer than this program is refused with what to do.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Final

import asyncpg

from escrow.domain.errors import Fault
from escrow.store import queries
from escrow.store.database import Connection

MIGRATIONS: Final = Path(__file__).resolve().parents[2] / "migrations"
_FILE: Final = re.compile(r"([0-9]{4})_[a-z0-9_]+\.sql")
_LOCK: Final = 0x416D616E61  # "Amana"
_SQL: Final = queries.load("migrate")


class SchemaError(Fault):
    """The schema and this program do not fit."""


def files(folder: Path = MIGRATIONS) -> list[tuple[int, Path]]:
    """The migrations in order. `SchemaError` for a wrong name or a gap."""
    found = []
    for path in sorted(folder.glob("*.sql")):
        match = _FILE.fullmatch(path.name)
        if not match:
            raise SchemaError(f"migrations/{path.name}: name it NNNN_what_it_does.sql")
        found.append((int(match[1]), path))
    if [number for number, _ in found] != list(range(1, len(found) + 1)):
        raise SchemaError("migrations/ must be numbered 0001, 0002, … without gaps")
    return found


async def migrate(conn: asyncpg.Connection, folder: Path = MIGRATIONS) -> list[str]:
    """Applies what is missing and returns the names applied. Safe with several starts at once."""
    todo = files(folder)
    await conn.execute(_SQL["lock"], _LOCK)
    try:
        await conn.execute(_SQL["create_table"])
        known = {row["number"]: row for row in await conn.fetch(_SQL["applied"])}
        if known and max(known) > len(todo):
            raise SchemaError(
                "the database is newer than this program: start the newer version of Amana"
            )
        done = []
        for number, path in todo:
            text = path.read_text(encoding="utf-8")
            digest = hashlib.sha256(text.encode()).hexdigest()
            if number in known:
                if known[number]["digest"] != digest:
                    raise SchemaError(
                        f"migrations/{path.name} was edited after it was applied: restore it and "
                        "write a new file instead"
                    )
                continue
            async with conn.transaction():
                await conn.execute(text)
                await conn.execute(_SQL["record"], number, path.name, digest)
            done.append(path.name)
        return done
    finally:
        await conn.execute(_SQL["unlock"], _LOCK)


async def pending(conn: Connection, folder: Path = MIGRATIONS) -> int:
    """How many migrations are not applied yet."""
    exists = await conn.fetchval(_SQL["table_exists"])
    applied = await conn.fetch(_SQL["applied"]) if exists else []
    return len(files(folder)) - len(applied)
