"""People's words can't break a sentence; dates and countdowns read as people speak."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from escrow.bot.page import Page, Plain, clean, countdown, deadline, lines, moment, said, say
from sandbox.telegram_html import parse_html
from tests.bot import samples


@given(st.text(max_size=400))
def test_any_text_becomes_one_clean_line(text: str) -> None:
    line = clean(text, 50)
    assert 1 <= len(line) <= 50
    assert "\n" not in line
    assert clean(line, 50) == line
    read, entities = parse_html(str(say("<b>{x}</b>", x=text)))
    assert read == f"\u2068{clean(text)}\u2069"
    assert [entity["type"] for entity in entities] == ["bold"]


def test_words_of_people_are_isolated_and_ours_are_not() -> None:
    assert say("{a} {b}", a="a<b", b=Plain("<&>")) == Markup("\u2068a&lt;b\u2069 &lt;&amp;&gt;")


def test_nothing_goes_into_a_sentence_that_has_no_words() -> None:
    with pytest.raises(TypeError):
        say("{x}", x=datetime.now(UTC))
    assert say("{x}", x=None) == "–"


def test_a_phone_number_is_masked_wherever_somebody_wrote_it() -> None:
    assert said("call +254 712-345-678!") == "\u2068call 0712***678!\u2069"
    assert clean("ES0712345678") == "ES0712345678"


def test_marks_are_thinned_out_and_letters_kept() -> None:
    assert clean("e" + "\u0301" * 50 + "x") == "e\u0301\u0301\u0301x"


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (timedelta(seconds=-1), "over"),
        (timedelta(seconds=20), "in 1 minute"),
        (timedelta(minutes=9, seconds=58), "in 10 minutes"),
        (timedelta(hours=23, minutes=59), "in 24 hours"),
        (timedelta(days=2, hours=23, minutes=59), "in 3 days"),
        (timedelta(days=7), "in 7 days"),
    ],
)
def test_countdowns_are_words(left: timedelta, words: str) -> None:
    assert countdown(left) == words


def test_a_deadline_is_in_the_readers_zone() -> None:
    at = samples.NOW + timedelta(days=3)
    assert deadline(samples.page(), at) == "Thu 26 Nov, 12:00 (in 3 days)"


def test_stored_times_are_read_back() -> None:
    assert moment("2026-11-23T09:00:00+00:00") == samples.NOW
    assert moment(None) is None


def test_lines_leave_out_what_is_not_there() -> None:
    assert lines(Markup("a"), None, Markup("b")) == "a\nb"


def test_a_language_without_texts_reads_the_first_one() -> None:
    class _Rail:
        display_name, shortcode, till, offered = "AMANA", "174379", "", True

    class _Clock:
        def now(self) -> datetime:
            return samples.NOW

    class _Office:
        zone, sandbox = samples.page().zone, False
        rail, clock = _Rail(), _Clock()

    page = Page.of(_Office(), "fr", "AmanaBot")  # type: ignore[arg-type]
    assert dataclasses.replace(samples.page(sandbox=False), business="AMANA") == page
