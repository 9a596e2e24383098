"""One word, and every reason for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from escrow.services.floating import Float
from escrow.services.health import (
    Health,
    JobHealth,
    Planned,
    jobs_of,
    judged,
    rows_named,
    without_database,
)
from escrow.store.floating import ProviderDifference
from escrow.store.health import Waiting
from escrow.store.payouts import OpenCount
from escrow.store.setbacks import Setback
from tests.world import NOW, kes

WELL = Health("", (), database_ms=1.0, proved_at=NOW)
_WAITS = Waiting(("ES1008257624",), NOW - timedelta(days=20))
_SHORT = Float(kes(1), None, kes(3), kes(2), kes(0))
_SUSPENSE = {"currency": "KES", "kind": "suspense", "total_minor": 5}
_WALLET = {"currency": "KES", "kind": "wallet", "total_minor": 5}


def test_without_a_reason_everything_is_ok() -> None:
    look = judged(
        replace(
            WELL,
            outbox_waiting=3,
            outbox_oldest=NOW - timedelta(minutes=5),
            database_ms=250.0,
            held=[_WALLET],
            payouts=OpenCount(0, 0, 3, NOW),
            float=replace(_SHORT, short=kes(0)),
            difference=ProviderDifference(-300, NOW),
        ),
        NOW,
    )
    assert (look.word, look.reasons) == ("OK", [])


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("payouts_stopped", {"stopped": "8006"}),
        ("short", {"float": _SHORT}),
        ("provider_off", {"difference": ProviderDifference(-300, NOW, -300, NOW)}),
        ("by_hand", {"payouts": OpenCount(1, 0, 0, NOW)}),
        ("unknown", {"payouts": OpenCount(0, 1, 0, NOW)}),
        ("receipts", {"receipts_waiting": 1}),
        ("unmatched", {"held": [_SUSPENSE]}),
        ("flags", {"critical_flags": 1}),
        ("disputes", {"disputes": _WAITS}),
        ("stuck", {"stuck": _WAITS}),
        ("setbacks", {"setbacks": [Setback("release", "ES1008257624", 1, NOW)]}),
        ("parked", {"inbox_parked": 1, "parked_rows": [4]}),
        ("outbox", {"outbox_oldest": NOW - timedelta(minutes=5, seconds=1)}),
        ("slow", {"database_ms": 250.1}),
        ("job_failed", {"jobs": [JobHealth("a", NOW, NOW, "no", None, late=True)]}),
        ("job_late", {"jobs": [JobHealth("a", NOW, NOW, "", None, late=True)]}),
    ],
)
def test_each_trouble_is_one_reason_to_watch(key: str, changes: dict[str, Any]) -> None:
    look = judged(replace(WELL, **changes), NOW)
    assert look.word == "WATCH"
    assert [reason.key for reason in look.reasons] == [key]


@pytest.mark.parametrize(
    ("key", "changes"), [("books", {"breaks": ["x"]}), ("clock", {"clock_steady": False})]
)
def test_books_and_clock_break_it_whatever_else_is(key: str, changes: dict[str, Any]) -> None:
    for more in ({}, {"paused_at": NOW}, {"inbox_parked": 1}):
        look = judged(replace(WELL, **{**changes, **more}), NOW)
        assert look.word == "BROKEN"
        assert look.reasons[0].key == key


def test_a_pause_is_said_before_what_only_needs_a_look() -> None:
    assert judged(replace(WELL, paused_at=NOW), NOW).word == "PAUSED"
    look = judged(replace(WELL, paused_at=NOW, inbox_parked=1), NOW)
    assert (look.word, len(look.reasons)) == ("PAUSED", 1)


def test_without_a_database_it_is_broken_and_says_why() -> None:
    look = without_database("PostgreSQL can't be reached: OSError")
    assert look.word == "BROKEN"
    assert look.reasons[0].values == {"why": "PostgreSQL can't be reached: OSError"}


def _run(job: str, ago: timedelta, error: str | None = None) -> dict[str, Any]:
    ended = NOW - ago
    return {
        "job": job,
        "started_at": ended,
        "finished_at": ended,
        "error": error,
        "succeeded_at": None if error else ended,
        "looked_at": 1,
        "done": 1,
        "failed": 0,
        "failures": int(error is not None),
    }


_LONG = NOW - timedelta(days=9)


@pytest.mark.parametrize(
    ("seconds", "ago", "late"),
    [(15, 119, False), (15, 121, True), (3600, 14_399, False), (3600, 14_401, True)],
)
def test_a_job_is_late_after_four_turns_and_two_minutes(seconds: int, ago: int, late: bool) -> None:
    planned = {"a": Planned(seconds, NOW, _LONG)}
    (job,) = jobs_of([_run("a", timedelta(seconds=ago))], planned, NOW)
    assert job.late is late
    assert job.well is not late


def test_the_turns_before_the_start_and_in_a_pause_are_not_missed() -> None:
    ran = [_run("a", timedelta(days=3))]
    for planned, stood in (
        (Planned(15, NOW, NOW - timedelta(seconds=60)), None),
        (Planned(15, NOW, _LONG), NOW),
        (Planned(15, NOW, _LONG), NOW - timedelta(seconds=60)),
    ):
        (job,) = jobs_of(ran, {"a": planned}, NOW, stood_until=stood)
        assert not job.late
    (job,) = jobs_of(
        ran, {"a": Planned(15, NOW, _LONG)}, NOW, stood_until=NOW - timedelta(minutes=9)
    )
    assert job.late


def test_a_job_that_never_ran_is_late_and_one_that_is_gone_is_forgotten() -> None:
    (job,) = jobs_of([_run("gone", timedelta(0))], {"a": Planned(15, None, _LONG)}, NOW)
    assert (job.name, job.started_at, job.late) == ("a", None, True)
    (job,) = jobs_of([_run("a", timedelta(days=3), "no")], {}, NOW)
    assert (job.name, job.error, job.late) == ("a", "no", False), "nothing is planned here"


def test_parked_callbacks_are_named_the_oldest_first() -> None:
    assert rows_named([4, 7], 2) == "4, 7"
    assert rows_named([4, 7], 3) == "4, 7, …"
