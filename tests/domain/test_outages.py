"""What the answers of the rail mean: only failures that follow each other closely count."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from escrow.domain.outages import PATIENCE, Beat, Pulse, Run, listened

AT = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return AT + timedelta(minutes=minutes)


def bad(first: float, last: float | None = None) -> Run:
    return Run(False, at(first), at(first if last is None else last))


def good(first: float, last: float | None = None) -> Run:
    return Run(True, at(first), at(first if last is None else last))


def test_answers_of_one_sort_are_one_run_and_are_taken_once() -> None:
    pulse = Pulse()
    for minute, answered in enumerate([True, True, False, False, True]):
        pulse.heard(at(minute), good=answered)
    assert pulse.take() == (good(0, 1), bad(2, 3), good(4))
    assert pulse.take() == ()


def test_failures_with_a_long_silence_between_them_are_two_runs() -> None:
    pulse = Pulse()
    for minute in (0, 15, 31):
        pulse.heard(at(minute), good=False)
    assert pulse.take() == (bad(0, 15), bad(31))


def test_what_could_not_be_written_down_comes_first_the_next_time() -> None:
    pulse = Pulse()
    pulse.heard(at(0), good=False)
    kept = pulse.take()
    pulse.heard(at(1), good=True)
    pulse.put_back(kept)
    assert pulse.take() == (bad(0), good(1))


def test_failures_add_up_over_the_beats() -> None:
    beat, over = listened(Beat(AT), [bad(1)])
    assert (beat, over) == (Beat(AT, at(1), at(1)), [])
    beat, over = listened(beat, [bad(10, 12)])
    assert (beat.failing_since, beat.failed_at, over) == (at(1), at(12), [])
    assert beat.lasted() == timedelta(minutes=11)


@pytest.mark.parametrize(("after", "ends"), [(15, 75), (15.1, 60)])
def test_an_answer_ends_it_then_or_with_the_last_failure(after: float, ends: float) -> None:
    beat, (over,) = listened(Beat(AT, at(0), at(60)), [good(60 + after)])
    assert beat == Beat(at(60 + after))
    assert (over.failing_since, over.at) == (at(0), at(ends))


@pytest.mark.parametrize(("after", "since"), [(15, 0), (15.1, 75.1)])
def test_failures_far_apart_begin_anew(after: float, since: float) -> None:
    beat, over = listened(Beat(AT, at(0), at(60)), [bad(60 + after)])
    assert beat.failing_since == at(since)
    assert [one.at for one in over] == ([] if since == 0 else [at(60)])


def test_no_failure_lasts_no_time() -> None:
    assert Beat(AT).lasted() == timedelta(0)
    assert timedelta(minutes=15) == PATIENCE
