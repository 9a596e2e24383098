"""Callbacks that nobody could process: they are shown to whoever has the host, and run again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from escrow.services.ports import Clock
from escrow.store import inbox
from escrow.store.database import Database
from escrow.store.inbox import ParkedRequest

_LOG: Final = logging.getLogger(__name__)
SHOWN: Final = 100
_LARGEST: Final = 2**63 - 1


class Parked:
    """`python main.py rerun`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._db = database
        self._clock = clock

    async def rows(self) -> list[ParkedRequest]:
        """The oldest hundred."""
        async with self._db.reading() as conn:
            return await inbox.parked(conn, SHOWN)

    async def run_again(self, rows: Sequence[int]) -> set[int]:
        """Puts them back as if they had just come: read anew by the code of now, tried five times
        again. Returns those that were parked; a payment that was credited before is not credited
        again, its receipt is known.
        """
        asked = [row for row in rows if 0 < row <= _LARGEST]
        async with self._db.unit() as conn:
            put_back = await inbox.run_again(conn, asked, self._clock.now())
        for row in sorted(put_back):
            _LOG.warning("a callback is run again", extra={"action": "run_again", "row": row})
        return put_back
