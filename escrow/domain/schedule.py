"""When jobs of the clock are due: times of the local day, in a zone of one's choice. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME: Final = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])", re.ASCII)
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Times of every day, or of one weekday (0 is Monday)."""

    times: tuple[time, ...]
    weekday: int | None = None

    @property
    def longest_gap(self) -> timedelta:
        """The longest time between two slots, where clocks don't change."""
        if self.weekday is not None:
            return 7 * _DAY
        minutes = [one.hour * 60 + one.minute for one in self.times]
        after = [*minutes[1:], minutes[0] + 24 * 60]
        return timedelta(minutes=max(b - a for a, b in zip(minutes, after, strict=True)))


def parse(text: str) -> Schedule:
    """`9:00,21:00`: daily; `sun 3:00`: weekly. `ValueError` says how to write it."""
    words = text.lower().split()
    weekday = DAYS.index(words.pop(0)) if words and words[0] in DAYS else None
    matches = [_TIME.fullmatch(one) for one in "".join(words).split(",")]
    times = {time(int(one[1]), int(one[2])) for one in matches if one is not None}
    if None in matches or len(times) != len(matches):
        raise ValueError("write times like 9:00,21:00, or one weekday and its times: sun 3:00")
    return Schedule(tuple(sorted(times)), weekday)


def planned(schedule: Schedule, zone: ZoneInfo, after: datetime, until: datetime) -> list[datetime]:
    """The slots in (after, until], in UTC, oldest first. A local time that a night of changing
    clocks skips comes right after the gap; one that it has twice comes once, the first time.
    """
    found = {
        at
        for day in _days(zone, after, until)
        for at in _on(schedule, zone, day)
        if after < at <= until
    }
    return sorted(found)


def next_one(schedule: Schedule, zone: ZoneInfo, now: datetime) -> datetime:
    """The first slot after now."""
    return planned(schedule, zone, now, now + 9 * _DAY)[0]


def newest(schedule: Schedule, zone: ZoneInfo, now: datetime) -> datetime:
    """The last slot that is due by now."""
    return planned(schedule, zone, now - 9 * _DAY, now)[-1]


def _days(zone: ZoneInfo, after: datetime, until: datetime) -> Iterator[datetime]:
    """Midnights of the local days that may have a slot between, without a zone."""
    day = datetime.combine(after.astimezone(zone).date(), time()) - _DAY
    last = datetime.combine(until.astimezone(zone).date(), time()) + _DAY
    while day <= last:
        yield day
        day += _DAY


def _on(schedule: Schedule, zone: ZoneInfo, day: datetime) -> Iterator[datetime]:
    if schedule.weekday is None or day.weekday() == schedule.weekday:
        for one in schedule.times:
            yield datetime.combine(day.date(), one, zone).astimezone(UTC)
