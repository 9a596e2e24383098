"""Finds payments whose announcement was lost: M-Pesa lists what came in during the last two days.

A row is a hint like any callback: it is stored raw, once, and goes the way of a payment by hand. A
receipt that we know already is passed over.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from escrow.services.intake import PULLED, Intake
from escrow.services.ports import Answer, Clock, PulledRow, PullRail, UnreadableError
from escrow.store import receipts
from escrow.store.database import Database

_LOG: Final = logging.getLogger(__name__)
WINDOW: Final = timedelta(hours=48) - timedelta(minutes=1)
"""What M-Pesa keeps, less a minute in which the clocks may differ."""
PAGES: Final = 50


class Pulls:
    """The hourly look. See the module."""

    def __init__(self, database: Database, clock: Clock, rail: PullRail, door: Intake) -> None:
        self._db = database
        self._clock = clock
        self._rail = rail
        self._door = door

    async def pull_due(self) -> tuple[int, int, int]:
        """(rows listed, new ones taken in, 1 when the list could not be read to its end). Rows that
        can't be read are kept for a person, and stop nothing.
        """
        if not self._rail.can_pull:
            return 0, 0, 0
        until = self._clock.now()
        seen: set[bytes] = set()
        taken = offset = 0
        for _ in range(PAGES):
            page = await self._rail.pull(until - WINDOW, until, offset)
            if isinstance(page, Answer):
                _LOG.warning(
                    "M-Pesa does not list what came in",
                    extra={"action": "pull_failed", "code": page.code, "reason": page.reason},
                )
                return len(seen), taken, 1
            fresh = [row for row in page if row.body not in seen]
            if not fresh:  # the end, or a page that was there before
                return len(seen), taken, 0
            taken += await self._take(fresh)
            seen.update(row.body for row in fresh)
            offset += len(page)
        _LOG.error("M-Pesa's list has no end", extra={"action": "pull_endless", "rows": len(seen)})
        return len(seen), taken, 1

    async def _take(self, rows: Sequence[PulledRow]) -> int:
        """Stores what is new; how many. A row that can't be read is parked by its name."""
        async with self._db.reading() as conn:
            known = await receipts.known(conn, "mpesa", [one.reference for one in rows])
        taken = 0
        for row in rows:
            if row.reference and row.reference in known:
                continue
            try:
                taken += await self._door.store(PULLED, "", "PULL", "", row.body, "")
            except UnreadableError:
                continue  # kept and logged by the door
        return taken
