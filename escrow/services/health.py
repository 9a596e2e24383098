"""Is the money safe, is anything stuck? One word, decided here alone, and its reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from escrow.domain.money import Currency, Money
from escrow.services.floating import Float
from escrow.store.floating import ProviderDifference
from escrow.store.health import Waiting
from escrow.store.payouts import OpenCount
from escrow.store.setbacks import Setback

OK, WATCH, BROKEN, PAUSED = "OK", "WATCH", "BROKEN", "PAUSED"
STUCK_AFTER: Final = timedelta(days=7)
DISPUTE_AFTER: Final = timedelta(days=14)
ROWS_NAMED: Final = 5
"""Of parked callbacks, the oldest."""
SLOW_MS: Final = 250
OUTBOX_LATE: Final = timedelta(minutes=5)
_MISSED_TURNS: Final = 4
_LATE_AT_LEAST: Final = timedelta(minutes=2)
FAILURES_OF: Final = timedelta(days=1)
"""How far back a job's failures are counted."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A job's turns: every so many seconds, the next one at `next_at`; known since `since`. It is
    late when it missed `missed` of them.
    """

    seconds: float
    next_at: datetime | None
    since: datetime
    missed: int = _MISSED_TURNS


@dataclass(frozen=True, slots=True)
class JobHealth:
    """A job's last run with its counts, the end of its last good one, its next one, and how many
    runs failed within a day.
    """

    name: str
    started_at: datetime | None
    finished_at: datetime | None
    error: str
    next_at: datetime | None
    late: bool
    succeeded_at: datetime | None = None
    failures: int = 0
    looked: int = 0
    done: int = 0
    failed: int = 0

    @property
    def well(self) -> bool:
        return not self.error and not self.late


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the word is not OK: the key of its sentence, and what fills it."""

    key: str
    values: Mapping[str, Any] = field(default_factory=dict)
    broken: bool = False


@dataclass(frozen=True, slots=True)
class Health:
    """One look at everything. `word` is OK, WATCH, BROKEN or PAUSED. Without a database all it says
    is why.
    """

    word: str
    reasons: Sequence[Reason]
    database_ms: float = 0.0
    breaks: Sequence[str] = ()
    proved_at: datetime | None = None
    outbox_waiting: int = 0
    outbox_oldest: datetime | None = None
    inbox_waiting: int = 0
    inbox_parked: int = 0
    parked_rows: Sequence[int] = ()
    receipts_waiting: int = 0
    clock_steady: bool = True
    held: Sequence[Mapping[str, Any]] = ()
    jobs: Sequence[JobHealth] = ()
    payouts: OpenCount | None = None
    stopped: str = ""
    stuck: Waiting = field(default_factory=Waiting)
    disputes: Waiting = field(default_factory=Waiting)
    critical_flags: int = 0
    float: Float | None = None
    difference: ProviderDifference | None = None
    setbacks: Sequence[Setback] = ()
    paused_at: datetime | None = None


def without_database(why: str) -> Health:
    """What is said when PostgreSQL does not answer."""
    return Health(BROKEN, [Reason("database_down", {"why": why}, broken=True)])


def rows_named(rows: Sequence[int], count: int) -> str:
    """`4, 7` or `4, 7, …` where there are more."""
    return ", ".join([*map(str, rows), *(["…"] if count > len(rows) else [])])


def judged(look: Health, now: datetime) -> Health:
    """The same look with its word and reasons."""
    reasons = [*_broken(look), *_watched(look, now)]
    word = OK
    if any(reason.broken for reason in reasons):
        word = BROKEN
    elif look.paused_at is not None:
        word = PAUSED
    elif reasons:
        word = WATCH
    found = {name: getattr(look, name) for name in Health.__dataclass_fields__}
    return Health(**{**found, "word": word, "reasons": reasons})


def _broken(look: Health) -> list[Reason]:
    found = []
    if look.breaks:
        found.append(Reason("books", {"count": len(look.breaks)}, broken=True))
    if not look.clock_steady:
        found.append(Reason("clock", broken=True))
    return found


def _watched(look: Health, now: datetime) -> list[Reason]:
    leaving = look.payouts
    late = look.outbox_oldest is not None and now - look.outbox_oldest > OUTBOX_LATE
    short = look.float is not None and look.float.short
    apart = look.difference
    unmatched = [
        Money(row["total_minor"], Currency.of(row["currency"]))
        for row in look.held
        if row["kind"] == "suspense" and row["total_minor"]
    ]
    checks: list[tuple[object, str, dict[str, Any]]] = [
        (look.stopped, "payouts_stopped", {"code": look.stopped}),
        (short, "short", {"float": look.float}),
        (apart and apart.told, "provider_off", _apart(apart)),
        (leaving and leaving.by_hand, "by_hand", {"count": leaving.by_hand if leaving else 0}),
        (leaving and leaving.unknown, "unknown", {"count": leaving.unknown if leaving else 0}),
        (look.receipts_waiting, "receipts", {"count": look.receipts_waiting}),
        (unmatched, "unmatched", {"sums": unmatched}),
        (look.critical_flags, "flags", {"count": look.critical_flags}),
        (look.disputes.count, "disputes", {"waiting": look.disputes}),
        (look.stuck.count, "stuck", {"waiting": look.stuck}),
        (look.setbacks, "setbacks", {"setbacks": look.setbacks}),
        (look.inbox_parked, "parked", {"count": look.inbox_parked, "rows": look.parked_rows}),
        (late, "outbox", {"count": look.outbox_waiting, "since": look.outbox_oldest}),
        (look.database_ms > SLOW_MS, "slow", {"ms": look.database_ms, "limit": SLOW_MS}),
    ]
    found = [Reason(key, values) for wrong, key, values in checks if wrong]
    for job in look.jobs:
        if job.error:
            found.append(Reason("job_failed", {"job": job}))
        elif job.late:
            found.append(Reason("job_late", {"job": job}))
    return found


def _apart(found: ProviderDifference | None) -> dict[str, Any]:
    if found is None:
        return {}
    off = Money(abs(found.off), Currency.KES)
    return {"off": off, "more": found.off > 0, "since": found.since}


def jobs_of(
    runs: Sequence[Mapping[str, Any]],
    planned: Mapping[str, Planned],
    now: datetime,
    *,
    stood_until: datetime | None = None,
) -> list[JobHealth]:
    """The last run and the next of each job. One that missed several turns is late; those that a
    pause took (`stood_until` its end, or now) don't count.
    """
    last = {run["job"]: run for run in runs}
    found = []
    for name in sorted(last.keys() | planned.keys()):
        run, plan = last.get(name), planned.get(name)
        if plan is None and planned:
            continue  # of an older version
        late = False
        if plan is not None:
            times = (run["started_at"] if run else None, plan.since, stood_until)
            began = max(time for time in times if time is not None)
            allowed = max(timedelta(seconds=plan.missed * plan.seconds), _LATE_AT_LEAST)
            late = now - began > allowed
        found.append(
            JobHealth(
                name=name,
                started_at=run["started_at"] if run else None,
                finished_at=run["finished_at"] if run else None,
                error=(run["error"] or "") if run else "",
                next_at=plan.next_at if plan else None,
                late=late,
                succeeded_at=run["succeeded_at"] if run else None,
                failures=run["failures"] if run else 0,
                looked=run["looked_at"] if run else 0,
                done=run["done"] if run else 0,
                failed=run["failed"] if run else 0,
            )
        )
    return found
