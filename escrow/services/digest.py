"""Each morning every admin reads what waits: once per day of the local calendar."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time
from typing import Any, Final
from zoneinfo import ZoneInfo

from escrow.domain.model import Notice
from escrow.services.ports import Clock
from escrow.store import digest, flags, outbox, unmatched
from escrow.store.database import Connection, Database

NIGHT_HOUR: Final = 21
"""A digest that was missed is made up on its day, but not at night."""


class Digest:
    """The morning's notice to the admins. `hour`: when, in `zone`."""

    def __init__(
        self, database: Database, clock: Clock, admins: Sequence[int], zone: ZoneInfo, hour: int
    ) -> None:
        self._db = database
        self._clock = clock
        self._admins = tuple(admins)
        self._zone = zone
        self._hour = hour

    async def queue_due(self) -> int:
        """Queues today's digest for every admin who has none yet; how many. Who pressed Start
        after its hour reads his first one tomorrow.
        """
        now = self._clock.now()
        local = now.astimezone(self._zone)
        if not self._hour <= local.hour < max(NIGHT_HOUR, self._hour + 1):
            return 0
        began = datetime.combine(local.date(), time(self._hour), self._zone).astimezone(UTC)
        cause = f"digest:{local.date().isoformat()}"

        async def work(conn: Connection) -> int:
            readers = await digest.readers(conn, self._admins, cause, began)
            if readers:
                values = await _values(conn, now)
                notices = [Notice(cause, "digest", reader, values) for reader in readers]
                await outbox.queue(conn, notices, now)
            return len(readers)

        return await self._db.run(work)


async def _values(conn: Connection, now: datetime) -> dict[str, Any]:
    return {
        **await digest.waiting(conn, now),
        "flags": await flags.open_counts(conn),
        "unmatched": await unmatched.waiting_count(conn),
    }
