"""What a timer does to many deals: a hundred in one unit, one by one where such a unit fails."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from escrow.domain.errors import DatabaseDown, Paused
from escrow.domain.model import Escrow
from escrow.services.ports import Clock
from escrow.store import escrows, setbacks
from escrow.store.database import Connection, Database

_LOG: Final = logging.getLogger(__name__)
BATCH: Final = 100
WORD_EVERY: Final = 10
"""So many batches, and the log hears how far a long sweep is."""
BACK_OFF: Final = (
    timedelta(minutes=1),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(hours=24),
)
"""How long a deal that could not be ended is left alone, by the number of tries."""

Due = Callable[[Connection, datetime, int, Sequence[str] | None], Awaitable[list[str]]]
"""Locks what is due: (connection, now, how many, only these or None for all). What was set back
(`deal_setbacks`) and whose next try is to come is not due.
"""
End = Callable[[Connection, Sequence[Escrow], datetime], Awaitable[None]]


async def sweep(name: str, database: Database, clock: Clock, due: Due, end: End) -> tuple[int, int]:
    """Ends everything that is due. A deal that can't be ended is logged, stops no other, and is
    tried again later and later. (looked at, done). `DatabaseDown` ends the sweep.
    """
    done = failed = batches = 0
    while True:
        found, ended, refused = await _batch(name, database, clock, due, end)
        done, failed, batches = done + ended, failed + refused, batches + 1
        if found < BATCH:
            return done + failed, done
        if batches % WORD_EVERY == 0:
            _LOG.info(
                "%s goes on: %d deals done",
                name,
                done,
                extra={"action": f"{name}_goes_on", "done": done, "failed": failed},
            )


async def put_off(
    database: Database, name: str, escrow_id: str, now: datetime, error: Exception
) -> None:
    """A deal could not be ended: it is tried again later."""
    async with database.unit() as conn:
        await setbacks.note(conn, name, escrow_id, now, BACK_OFF, error)


async def _batch(
    name: str, database: Database, clock: Clock, due: Due, end: End
) -> tuple[int, int, int]:
    """One batch: (found, done, failed)."""
    now = clock.now()

    async def work(conn: Connection, only: Sequence[str] | None = None) -> int:
        codes = await due(conn, now, BATCH, only)
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
        return count, count, 0
    async with database.unit() as conn:
        codes = await due(conn, now, BATCH, None)
    done = failed = 0
    for code in codes:
        try:
            done += await database.run(partial(work, only=[code]))
        except (DatabaseDown, Paused):
            raise
        except Exception as error:  # noqa: BLE001
            failed += 1
            _LOG.exception(
                "%s failed for a deal", name, extra={"action": f"{name}_failed", "escrow": code}
            )
            await put_off(database, name, code, now, error)
    return len(codes), done, failed
