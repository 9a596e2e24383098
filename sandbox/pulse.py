"""Waiting for something to become true, without sleeping, and the clock both stand-ins read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Final, TypeVar

T = TypeVar("T")
Clock = Callable[[], datetime]
"""Answers an aware datetime."""

NAIROBI: Final = timezone(timedelta(hours=3), "EAT")
"""Kenya keeps UTC+3 all year."""


def wall_clock() -> datetime:
    return datetime.now(UTC)


def first_id(per_second: int = 10) -> int:
    """Where a counter starts so that a restart never repeats an id: tenths of a second since 2026.

    Stays below 2³¹ until 2032, as Telegram's own ids do.
    """
    since = datetime.now(UTC) - datetime(2026, 1, 1, tzinfo=UTC)
    return max(1, int(since.total_seconds() * per_second))


class Pulse:
    """Tells every waiter that something changed; `seq` counts the changes."""

    def __init__(self) -> None:
        self.seq = 0
        self._changed: asyncio.Event | None = None
        self._listeners: list[Callable[[], object]] = []

    def listen(self, listener: Callable[[], object]) -> None:
        """Call that after each change."""
        self._listeners.append(listener)

    def beat(self) -> int:
        """Something changed. Answers the change's number."""
        self.seq += 1
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.set()
        for listener in self._listeners:
            listener()
        return self.seq

    async def wait(self, timeout: float) -> bool:
        """Wait for the next change; whether one came within `timeout` seconds."""
        if self._changed is None:
            self._changed = asyncio.Event()
        try:
            await asyncio.wait_for(self._changed.wait(), max(0.0, timeout))
        except TimeoutError:
            return False
        return True

    async def until(
        self, probe: Callable[[], T | None], timeout: float, missing: Callable[[], str]
    ) -> T:
        """The first answer of `probe` that is not None; it is asked again after each change.

        Raises AssertionError with the words of `missing()` after `timeout` seconds.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        while True:
            found = probe()
            if found is not None:
                return found
            if not await self.wait(end - loop.time()) and loop.time() >= end:
                raise AssertionError(missing())
