"""What a timer does to many deals: a hundred in one unit, one by one where such a unit fails."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Final

from escrow.domain.errors import DatabaseDown, Paused
from escrow.domain.model import Escrow
from escrow.services.ports import Clock
from escrow.store import escrows
from escrow.store.database import Connection, Database

_LOG: Final = logging.getLogger(__name__)
BATCH: Final = 100

Due = Callable[
    [Connection, datetime, int, Sequence[str] | None, Sequence[str]], Awaitable[list[str]]
]
"""Locks what is due: (connection, now, how many, only these or None for all, without these)."""
End = Callable[[Connection, Sequence[Escrow], datetime], Awaitable[None]]


async def sweep(name: str, database: Database, clock: Clock, due: Due, end: End) -> tuple[int, int]:
    """Ends everything that is due. A deal that can't be ended is logged, stops no other, and is
    tried again by the next sweep. (looked at, done). `DatabaseDown` ends the sweep.
    """
    done = 0
    failed: list[str] = []
    while True:
        looked, ended = await _batch(name, database, clock.now(), due, end, failed)
        done += ended
        if looked < BATCH:
            return done + len(failed), done


async def _batch(
    name: str, database: Database, now: datetime, due: Due, end: End, failed: list[str]
) -> tuple[int, int]:
    """One batch; those that fail go to `failed`. (found, done)."""

    async def work(conn: Connection, only: Sequence[str] | None = None) -> int:
        codes = await due(conn, now, BATCH, only, failed)
        if codes:
            await end(conn, await escrows.get_many(conn, codes), now)
        return len(codes)

    try:
        count = await database.run(work)
    except (DatabaseDown, Paused):
        raise
    except Exception:  # noqa: BLE001 one bad deal must not stop the others
        _LOG.exception("%s goes on one by one", name, extra={"action": "batch_failed"})
    else:
        return count, count
    async with database.unit() as conn:
        codes = await due(conn, now, BATCH, None, failed)
    done = 0
    for code in codes:
        try:
            done += await database.run(partial(work, only=[code]))
        except (DatabaseDown, Paused):
            raise
        except Exception:  # noqa: BLE001
            failed.append(code)
            _LOG.exception(
                "%s failed for a deal", name, extra={"action": f"{name}_failed", "escrow": code}
            )
    return len(codes), done
