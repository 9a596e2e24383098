"""An admin at 3 a.m. reads one word, why, and what to type."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest

from escrow.bot import desk
from escrow.bot.admin import health_texts
from escrow.bot.locales import LANGUAGES
from escrow.bot.page import speaking
from escrow.domain.errors import DatabaseDown
from escrow.services.floating import Float
from escrow.services.health import Health, JobHealth, Planned, judged
from escrow.services.oversight import Oversight
from escrow_automation import JOBS
from sandbox.telegram_html import parse_html, utf16
from tests.bot import samples
from tests.bot.admin import safe_samples
from tests.bot.conftest import ADMIN, Town
from tests.world import NOW, kes


def _text(look: Health) -> str:
    return parse_html(str(health_texts.health(look, samples.page())))[0]


def _look(**changes: object) -> Health:
    return judged(dataclasses.replace(safe_samples.QUIET, **changes), NOW)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("word", "changes"),
    [
        ("OK", {}),
        ("WATCH", {"critical_flags": 1}),
        ("BROKEN", {"breaks": ["account 5 is off"]}),
        ("PAUSED", {"paused_at": NOW}),
    ],
)
def test_it_begins_with_its_word_and_what_that_means(word: str, changes: dict[str, object]) -> None:
    text = _text(_look(**changes))
    assert text.startswith(f"{word} – ")
    assert ("account 5 is off" in text) == (word == "BROKEN")
    assert ("/resume" in text) == (word == "PAUSED")


def test_every_reason_has_words_and_all_but_the_host_s_a_command() -> None:
    look = safe_samples.health("x")
    assert {reason.key for reason in look.reasons} | {"database_down"} == set(health_texts.REASONS)
    for reason in look.reasons:
        text = str(health_texts.REASONS[reason.key](reason.values, samples.page()))
        deals_with_it = ("/", "main.py --check", "estart Amana", "host", "Next")
        assert any(word in text for word in deals_with_it), text


def test_a_quiet_system_names_no_trouble() -> None:
    text = _text(_look())
    assert "Books: in balance" in text
    assert "Held: nothing" in text
    assert "•" not in text
    for zero in (
        "Payouts: none waits",
        "Deals without a change for 7 days: 0",
        "Disputes open for 14 days: 0",
        "Critical flags: 0",
    ):
        assert zero in text, "what was looked at is said, also when there is nothing"
    assert "Clock: steady" in text
    assert not any(line.endswith("–") for line in text.splitlines()), "a dash says nothing"


def test_the_float_is_said_in_one_line() -> None:
    told = Float(kes(82_400), NOW, kes(120_300), kes(37_900), kes(12_300))
    text = _text(_look(float=told))
    line = "utility 82,400 · due in 24 h 120,300 · short 37,900 · yours to take 12,300"
    assert line in text
    assert "as M-Pesa said Mon 23 Nov, 12:00" in text
    assert text.startswith("WATCH")
    assert "short of KES 37,900 for the next 24 hours" in text
    assert "by the books" in _text(_look(float=dataclasses.replace(told, read_at=None)))


def test_of_many_jobs_in_trouble_the_first_are_named_and_the_rest_counted() -> None:
    bad = [JobHealth(f"job_{n}", NOW, NOW, "no money", NOW, late=False) for n in range(9)]
    text = _text(_look(jobs=bad))
    assert "Job job 0 failed: \u2068no money\u2069. Next: 12:00." in text
    assert "Jobs in trouble besides: 5" in text
    assert "Jobs: 9 of 9 in trouble" in text
    listed = str(health_texts.jobs(_look(jobs=bad), samples.page()))
    assert listed.count("✘") == 9


async def test_an_admin_asks_and_gets_it_with_the_list_of_jobs(town: Town) -> None:
    oversight = town.office.oversight
    assert isinstance(oversight, Oversight)
    oversight.planned = lambda: {
        "send_payouts": Planned(5, town.clock.at + timedelta(seconds=5), town.clock.at)
    }
    message = (await town.says(ADMIN, "/system_health"))[-1]
    assert message.text.startswith("OK – Everything is in order.")
    assert "Jobs: 1, all well" in message.text
    jobs = await town.taps(ADMIN, message, "Jobs")
    assert "✔ send payouts: never ran. Next: 12:00." in jobs[-1].text


def test_a_job_is_one_readable_line_with_the_day_only_where_it_is_another() -> None:
    old = NOW - timedelta(days=1)
    ran = [
        JobHealth("look_at_prompts", NOW, NOW, "", NOW, late=False),
        JobHealth("prove_all_books", old, old, "", old + timedelta(days=2), late=False),
    ]
    listed = parse_html(str(health_texts.jobs(_look(jobs=ran), samples.page())))[0].splitlines()
    assert listed[1:3] == [
        "✔ look at prompts: ran 12:00. Next: 12:00.",
        "✔ prove all books: ran Sun 22 Nov, 12:00. Next: Tue 24 Nov, 12:00.",
    ]


async def test_where_nobody_hears_buttons_the_jobs_stand_below_the_figures(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.application.bot_data[desk.OFFICE] = dataclasses.replace(town.office, bare=True)
    (alone,) = await town.says(ADMIN, "/system_health")
    assert "Jobs: 0" in alone.text
    oversight = town.office.oversight
    oversight.planned = lambda: {
        "send_payouts": Planned(5, town.clock.at + timedelta(seconds=5), town.clock.at)
    }
    (message,) = await town.says(ADMIN, "/system_health")
    assert message.text.startswith("OK – ")
    assert "✔ send payouts: never ran. Next: 12:00." in message.text
    # what is too long for one message comes as two
    monkeypatch.setattr(oversight, "health", lambda: _given(_everything_fails()))
    health, jobs = await town.says(ADMIN, "/system_health")
    assert health.text.startswith("BROKEN – ")
    assert jobs.text.count("✘") == len(JOBS)


async def _given(look: Health) -> Health:
    return look


def _everything_fails() -> Health:
    old = NOW - timedelta(days=1)
    jobs = [JobHealth(job.name, old, old, "x" * 200, old, late=True) for job in JOBS]
    return judged(dataclasses.replace(safe_samples.health("x" * 200), jobs=jobs), NOW)


@pytest.mark.parametrize("language", LANGUAGES)
def test_all_jobs_in_trouble_are_still_one_message(language: str) -> None:
    with speaking(language):
        text = str(health_texts.jobs(_everything_fails(), samples.page(language=language)))
    assert utf16(parse_html(text)[0]) <= 4096


async def test_stuck_deals_are_named_oldest_first_with_buttons(town: Town) -> None:
    await town.shop()
    code = await town.deal()
    town.clock.advance(days=7, seconds=1)
    message = (await town.says(ADMIN, "/system_health"))[-1]
    assert message.text.startswith("WATCH")
    assert "Deals without a change for more than 7 days: 1" in message.text
    assert code in message.labels


async def test_a_database_that_is_down_is_the_answer_and_no_apology(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def down(*_: object) -> None:
        raise DatabaseDown("PostgreSQL can't be reached: OSError")

    monkeypatch.setattr(town.office.oversight, "look", down)
    message = (await town.says(ADMIN, "/system_health"))[-1]
    assert message.text.startswith("BROKEN – ")
    assert "The database does not answer" in message.text
    assert "OSError" in message.text
    assert message.keyboard == []
