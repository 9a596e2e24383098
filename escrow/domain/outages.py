"""Outages (flow.md 31): when we or the rail were down for so long that deadlines have to move.

Of the rail only failures count, never silence: a night in which nobody asked anything is no outage.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

PATIENCE: Final = timedelta(minutes=15)
"""Failures that are further apart say nothing about the time between them."""
_RUNS: Final = 64


@dataclass(frozen=True, slots=True)
class Outage:
    """From `began_at` to `ended_at` (None: it goes on); `moved` deals got their time back so far,
    all of them at `done_at`.
    """

    id: int
    source: str
    began_at: datetime
    ended_at: datetime | None
    moved_to: str
    moved: int
    done_at: datetime | None


@dataclass(frozen=True, slots=True)
class Beat:
    """`at`: last seen alive; since when it fails without a break, and when it last did."""

    at: datetime
    failing_since: datetime | None = None
    failed_at: datetime | None = None

    def lasted(self) -> timedelta:
        """How long it is known to fail."""
        if self.failing_since is None or self.failed_at is None:
            return timedelta(0)
        return self.failed_at - self.failing_since


@dataclass(frozen=True, slots=True)
class Run:
    """Answers of one sort that followed each other: the first and the last."""

    good: bool
    first: datetime
    last: datetime


class Pulse:
    """What this process hears of the rail between two beats: answers, and none."""

    def __init__(self) -> None:
        self._runs: deque[Run] = deque(maxlen=_RUNS)

    def heard(self, at: datetime, *, good: bool) -> None:
        """An answer, or the lack of one. Anything that is understood is an answer, a no as well."""
        last = self._runs[-1] if self._runs else None
        if last is not None and last.good is good and at - last.last <= PATIENCE:
            self._runs[-1] = replace(last, last=max(at, last.last))
        else:
            self._runs.append(Run(good, at, at))

    def take(self) -> tuple[Run, ...]:
        """What was heard since the last time, in order."""
        runs = tuple(self._runs)
        self._runs.clear()
        return runs

    def put_back(self, runs: Iterable[Run]) -> None:
        """It could not be written down."""
        self._runs.extendleft(reversed(tuple(runs)))


def listened(beat: Beat, runs: Iterable[Run]) -> tuple[Beat, list[Beat]]:
    """(the rail's beat after what was heard, the failures that ended meanwhile, each as the beat
    that it was; `at` is when it ended).
    """
    over: list[Beat] = []
    for run in runs:
        if beat.failed_at is not None and (run.good or run.first - beat.failed_at > PATIENCE):
            heard_again = run.good and run.first - beat.failed_at <= PATIENCE
            end = max(run.first, beat.failed_at) if heard_again else beat.failed_at
            over.append(replace(beat, at=end))
            beat = Beat(beat.at)
        if run.good:
            beat = Beat(max(beat.at, run.last))
        else:
            since = beat.failing_since or run.first
            beat = replace(beat, failing_since=since, failed_at=max(run.last, since))
    return beat, over
