"""Once a week what is old makes room (flow.md 23), and the month that is over is reported.

Archived deals stay where they are, with their money and their timeline; they only leave the lists.
Of what came in from outside the bodies go, never what it is known by.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from escrow.domain.errors import DatabaseDown, Paused, TimedOut
from escrow.domain.flow import Status
from escrow.domain.terms import Terms
from escrow.services.batches import BATCH, Tally, in_batches
from escrow.services.monthly import MonthlyReports
from escrow.services.ports import Clock
from escrow.store import cleanup, slots
from escrow.store.cleanup import BIG_TABLES, Finished
from escrow.store.database import Connection, Database

_LOG: Final = logging.getLogger(__name__)
_ENDS: Final = (Status.COMPLETED, Status.REFUNDED, Status.CANCELLED)


class Cleanup:
    """The weekly job. Each part stands alone: one that fails is counted and stops no other."""

    def __init__(
        self, database: Database, clock: Clock, terms: Terms, months: MonthlyReports
    ) -> None:
        self._db = database
        self._clock = clock
        self._terms = terms
        self._months = months

    async def run(self) -> Tally:
        """Everything, in the order in which people would miss it."""
        tally = Tally()
        for part in (
            self.archive,
            self._months.report_due,
            self.drop_flags,
            self.drop_side_rows,
            self.tend_tables,
        ):
            tally += await self._apart(part)
        return tally

    async def _apart(self, part: Callable[[], Awaitable[Tally]]) -> Tally:
        try:
            return await part()
        except (DatabaseDown, Paused):
            raise
        except Exception:  # noqa: BLE001 one part must not stop the others
            _LOG.exception("a part of the cleanup failed", extra={"action": "cleanup_failed"})
            return Tally(1, 0, 1)

    async def archive(self) -> Tally:
        """Finished deals older than 90 days leave the lists."""
        before = self._ago(self._terms.archive_after)
        tally = Tally()
        for status in _ENDS:
            tally += await in_batches(
                "archive",
                self._db,
                partial(_finished, status, before),
                self._archive,
            )
        return tally

    async def _archive(self, conn: Connection, deals: Sequence[Finished]) -> int:
        return await cleanup.archive(conn, [deal.escrow_id for deal in deals], self._clock.now())

    async def drop_flags(self) -> Tally:
        """Flags go 30 days after their review."""
        until = self._ago(self._terms.reviewed_flag_life)
        return await in_batches(
            "reviewed_flags",
            self._db,
            lambda conn, after: cleanup.reviewed_flags(conn, until, after, BATCH),
            cleanup.drop_flags,
        )

    async def drop_side_rows(self) -> Tally:
        """Bodies of callbacks and updates that were done with, dialogues nobody came back to,
        notices of archived deals, old slots of the jobs.
        """
        bodies = self._ago(self._terms.raw_body_life)
        updates = self._ago(self._terms.update_body_life)
        left = self._ago(self._terms.conversation_life)
        tally = await in_batches(
            "raw_bodies",
            self._db,
            lambda conn, after: cleanup.raw_bodies(conn, bodies, after, BATCH),
            cleanup.empty_bodies,
        )
        tally += await in_batches(
            "update_bodies",
            self._db,
            lambda conn, after: cleanup.update_bodies(conn, updates, after, BATCH),
            cleanup.empty_updates,
        )
        tally += await in_batches(
            "conversations",
            self._db,
            lambda conn, after: cleanup.conversations(conn, left, after, BATCH),
            lambda conn, people: cleanup.drop_conversations(conn, people, left),
        )
        tally += await in_batches(
            "notices",
            self._db,
            partial(_over, self._ago(self._terms.notice_life)),
            cleanup.drop_notices,
        )
        async with self._db.unit() as conn:
            await slots.prune(conn, self._ago(self._terms.slot_life))
        return tally

    async def tend_tables(self) -> Tally:
        """Counts the values of the big tables for the planner. Where the program owns them, it
        also gives back their room; elsewhere that is left to the server, and said.
        """
        async with self._db.reading() as conn:
            ours = await cleanup.ours(conn)
        if len(ours) < len(BIG_TABLES):
            _LOG.info(
                "VACUUM is left to the server: its role owns no table",
                extra={"action": "vacuum_skipped"},
            )
        done = 0
        for table in BIG_TABLES:
            try:
                async with self._db.reading() as conn:
                    if table in ours:
                        await cleanup.vacuum(conn, table)
                    else:
                        await cleanup.refresh_statistics(conn, table)
                done += 1
            except TimedOut:
                _LOG.warning(
                    "%s is too large to be tended in time: left to the server",
                    table,
                    extra={"action": "table_skipped"},
                )
        return Tally(len(BIG_TABLES), done)

    def _ago(self, span: timedelta) -> datetime:
        return self._clock.now() - span


async def _finished(
    status: Status, before: datetime, conn: Connection, after: Finished | None
) -> list[Finished]:
    return await cleanup.finished(conn, status, before, after, BATCH)


async def _over(before: datetime, conn: Connection, after: int | None) -> list[int]:
    """The next closed notices that may go; what came later than `before` is not looked at."""
    last = after or 0
    while rows := await cleanup.notices(conn, before, last, BATCH):
        over = [row for row, _, is_over in rows if is_over]
        if over:
            return over
        if not all(old for _, old, _ in rows):
            return []
        last = rows[-1][0]
    return []
