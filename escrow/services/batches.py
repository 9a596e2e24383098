"""What a job does to many things: batch by batch, one by one where a batch fails, or one by one
from the start where each asks somebody outside.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from escrow.domain.errors import DatabaseDown, Paused
from escrow.store.database import Connection, Database

_LOG: Final = logging.getLogger(__name__)
BATCH: Final = 200
_SAID_EVERY: Final = 10_000

K = TypeVar("K")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Tally:
    """What a job did, in things: looked at, done, failed. The rest needed nothing after all."""

    looked: int = 0
    done: int = 0
    failed: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.looked + other.looked, self.done + other.done, self.failed + other.failed)


async def in_batches(
    name: str,
    database: Database,
    page: Callable[[Connection, K | None], Awaitable[Sequence[K]]],
    work: Callable[[Connection, Sequence[K]], Awaitable[int]],
) -> Tally:
    """Goes once through what `page` finds: the next ones after the last of before, None at the
    start, nothing at the end. `work` does some of them in one unit and says how many; it looks
    again, since `page` locked nothing. One that fails is logged, counted and stops no other.
    `DatabaseDown` and `Paused` end the job.
    """
    tally, said, last = Tally(), _SAID_EVERY, None
    while True:
        async with database.reading() as conn:
            keys = await page(conn, last)
        if not keys:
            return tally
        tally += await _batch(name, database, work, keys)
        last = keys[-1]
        if tally.looked >= said:
            said = tally.looked + _SAID_EVERY
            _LOG.info(
                "%s: %s looked at", name, tally.looked, extra={"action": "job_goes_on", "job": name}
            )


async def _batch(
    name: str,
    database: Database,
    work: Callable[[Connection, Sequence[K]], Awaitable[int]],
    keys: Sequence[K],
) -> Tally:
    try:
        done = await database.run(lambda conn: work(conn, keys))
    except (DatabaseDown, Paused):
        raise
    except Exception:  # noqa: BLE001 one bad thing must not stop the others
        _LOG.exception("%s goes on one by one", name, extra={"action": "batch_failed"})
    else:
        return Tally(len(keys), done)
    done = failed = 0
    for key in keys:
        try:
            done += await database.run(partial(_one, work, key))
        except (DatabaseDown, Paused):
            raise
        except Exception:  # noqa: BLE001
            failed += 1
            _LOG.exception(
                "%s failed for %s", name, key, extra={"action": f"{name}_failed", "job": name}
            )
    return Tally(len(keys), done, failed)


async def each(
    rows: Sequence[R], work: Callable[[R], Awaitable[object]], words: str, action: str
) -> tuple[int, int]:
    """Each by itself: one that fails is logged with these words and stops no other; `Paused` ends
    it. (looked at, failed).
    """
    failed = 0
    for row in rows:
        try:
            await work(row)
        except Paused:
            raise
        except Exception:  # noqa: BLE001 one bad row must not stop the others
            failed += 1
            _LOG.exception(words, extra={"action": action, "row": getattr(row, "id", None)})
    return len(rows), failed


async def _one(
    work: Callable[[Connection, Sequence[K]], Awaitable[int]], key: K, conn: Connection
) -> int:
    return await work(conn, [key])
