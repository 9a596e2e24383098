"""The admins hear before the float is short, while there is time to top it up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from zoneinfo import ZoneInfo

from escrow.domain.model import Notice
from escrow.domain.money import Money
from escrow.services.floating import Floating
from escrow.services.ports import Clock
from escrow.store import floating, outbox
from escrow.store.database import Connection, Database

_STEPS: Final = 48
"""Doublings of a shilling: more than there is."""


class FloatWatch:
    """Once a day of `zone`, and again when the shortage has doubled."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        floating: Floating,
        admins: Sequence[int],
        zone: ZoneInfo,
    ) -> None:
        self._db = database
        self._clock = clock
        self._floating = floating
        self._admins = tuple(admins)
        self._zone = zone

    async def warn_due(self) -> tuple[int, int]:
        """The sweep. (looked at, told)."""
        return 1, await self._db.run(self._warn)

    async def _warn(self, conn: Connection) -> int:
        found = await self._floating.figure(conn)
        if not found.short:
            return 0
        now = self._clock.now()
        day = now.astimezone(self._zone).date().isoformat()
        causes = [f"float:{day}:{step}" for step in range(_step(found.short), _STEPS)]
        if await floating.warned(conn, causes):
            return 0
        values = {
            "short": str(found.short),
            "due": str(found.due),
            "utility": str(found.utility),
            "read_at": found.read_at.isoformat() if found.read_at else None,
        }
        told = [Notice(causes[0], "float_short", admin, values) for admin in self._admins]
        await outbox.queue(conn, told, now)
        return int(bool(told))


def _step(short: Money) -> int:
    """How often a shilling has to double to be more than that."""
    return min((short.minor // 100).bit_length(), _STEPS - 1)
