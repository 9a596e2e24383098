"""The month's report to the admins: once per month that is over, whoever runs the job and however
often. It is kept as it was said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any, Final
from zoneinfo import ZoneInfo

from escrow.domain.figures import Counts
from escrow.domain.model import Notice
from escrow.domain.money import Currency
from escrow.services.batches import Tally
from escrow.services.figures import SETTLE_DOWN
from escrow.services.ports import Clock
from escrow.store import figures, monthly, outbox
from escrow.store.database import Connection, Database

_AT_ONCE: Final = 12
"""More months than that are reported by the next runs."""


class MonthlyReports:
    """Count, volume, buyers, sellers and disputes of each month of the zone."""

    def __init__(
        self, database: Database, clock: Clock, admins: Sequence[int], zone: ZoneInfo
    ) -> None:
        self._db = database
        self._clock = clock
        self._admins = tuple(admins)
        self._zone = zone

    async def report_due(self) -> Tally:
        """Reports every month that is over since the last report; at first the last one, if there
        was a deal by then.
        """
        tally = Tally()
        for _ in range(_AT_ONCE):
            async with self._db.reading() as conn:
                found = await self._next(conn)
            if found is None:
                break
            tally += Tally(1, int(await self._db.run(partial(self._report, *found))))
        return tally

    async def _next(self, conn: Connection) -> tuple[date, datetime, datetime] | None:
        """The next month to report, when it began and when it ended."""
        now = self._clock.now()
        before = await monthly.last(conn)
        if before is None:
            month = _first(now.astimezone(self._zone).date().replace(day=1) - timedelta(days=1))
            since = self._midnight(month)
        else:
            month = _after(before[0])
            since = before[1]  # also where TIMEZONE has changed: nothing is counted twice
        until = self._midnight(_after(month))
        if now < until + SETTLE_DOWN:
            return None
        if before is None:
            first_event = await figures.first_event(conn)
            if first_event is None or first_event >= until:
                return None
        return month, since, until

    async def _report(
        self, month: date, since: datetime, until: datetime, conn: Connection
    ) -> bool:
        now = self._clock.now()
        values = {"month": month.isoformat(), **await self._values(conn, since, until)}
        if not await monthly.insert(conn, month, since, until, values, now):
            return False
        cause = f"month:{month.isoformat()}"
        told = [Notice(cause, "monthly_report", admin, values) for admin in self._admins]
        await outbox.queue(conn, told, now)
        return True

    async def _values(self, conn: Connection, since: datetime, until: datetime) -> dict[str, Any]:
        counts: dict[Currency, Counts] = {}
        begins = since
        while begins < until:  # day by day: no statement reads a whole month
            ends = min(begins + timedelta(days=1), until)
            day = await figures.between(conn, begins, ends, self._zone.key)
            for (_, currency), found in day.items():
                counts[currency] = counts.get(currency, Counts()) + found
            begins = ends
        buyers, sellers = await monthly.people(conn, since, until)
        return {
            "money": {currency.code: asdict(found) for currency, found in counts.items()},
            "buyers": buyers,
            "sellers": sellers,
            "disputes": dict(await monthly.disputes(conn, since, until)),
        }

    def _midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(), self._zone).astimezone(UTC)


def _first(day: date) -> date:
    return day.replace(day=1)


def _after(month: date) -> date:
    """The first day of the next month."""
    return _first(month + timedelta(days=31))
