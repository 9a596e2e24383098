"""Whatever M-Pesa answers to a prompt, the payer reads words that help."""

from __future__ import annotations

import dataclasses

import pytest

from escrow.bot.prompt_words import REASONS, needs_two_minutes, says_unpaid, why
from escrow.rails.mpesa_codes import ERROR_CODES, RESULT_CODES
from escrow.services.ports import Verdict
from tests.bot import samples

_VALUES = {"amount": "KES 10,500", "code": samples.CODE, "shortcode": "600000"}
_NOT_FOR_PAYERS = {"paid", "processing", "urls_registered"}


def test_every_answer_of_mpesa_has_words_and_none_are_left_over() -> None:
    given = {row.reason for row in RESULT_CODES.values()}
    given |= {row.answer.reason for row in ERROR_CODES if row.answer.verdict is not Verdict.PENDING}
    given |= {"prompt_lost", "prompt_expired", "unknown", "unlisted", "taken_back"}
    assert given - _NOT_FOR_PAYERS - set(REASONS) == set()
    assert set(REASONS) - given == set()


def test_a_phone_that_does_not_answer_gets_all_three_ways_out() -> None:
    text = why("no_answer", _VALUES, samples.page())
    for way in ("Unlock it", "*234*1*6#", "business no. <code>600000</code>", samples.CODE):
        assert way in text


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("balance", "balance was too low"),
        ("wrong_pin", "PIN was wrong"),
        ("cancelled", "cancelled"),
    ],
)
def test_common_reasons_are_named(reason: str, words: str) -> None:
    assert words in why(reason, _VALUES, samples.page())


def test_an_unknown_reason_gets_general_words() -> None:
    assert "no clear reason" in why("from_the_future", _VALUES, samples.page())


def test_the_two_minutes_are_named_where_they_apply() -> None:
    assert needs_two_minutes("wrong_pin")
    assert not needs_two_minutes("prompt_expired")


@pytest.mark.parametrize("reason", REASONS)
def test_with_a_till_no_reason_speaks_of_a_paybill(reason: str) -> None:
    page = dataclasses.replace(samples.page(), paybill="")
    text = why(reason, {**_VALUES, "shortcode": ""}, page)
    assert text
    assert "paybill" not in text.lower()


def test_only_what_mpesa_refused_is_said_to_be_unpaid() -> None:
    assert says_unpaid("cancelled")
    for reason in ("unlisted", "prompt_expired", "prompt_lost", "unknown", "from_the_future"):
        assert not says_unpaid(reason)
