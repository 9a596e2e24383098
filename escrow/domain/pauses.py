"""A pause: while it is open nothing moves money or a deal (flow.md 32)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Pause:
    """`paused_by` and `resumed_by`: an admin's Telegram id, None for whoever has the host. Between
    `resumed_at` and `ended_at` it still holds: deadlines are being moved, `moved` deals so far.
    """

    id: int
    paused_at: datetime
    paused_by: int | None
    reason: str
    told: bool
    told_to: int
    resumed_at: datetime | None
    resumed_by: int | None
    moved_to: str
    moved: int
    ended_at: datetime | None

    def length(self, now: datetime) -> timedelta:
        """From its beginning to the word that ended it, or until now."""
        return (self.resumed_at or now) - self.paused_at
