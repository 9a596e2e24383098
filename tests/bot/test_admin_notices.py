"""Admins read why something needs them, and what was booked so far."""

from __future__ import annotations

import pytest

from escrow.bot.admin_notices import NOTICES
from sandbox.telegram_html import parse_html
from tests.bot import samples


def _text(kind: str, **changes: object) -> str:
    values = {**samples.notice_values("SKN0000042")[kind], **changes}
    return parse_html(str(NOTICES[kind](values, samples.page())))[0]


@pytest.mark.parametrize(
    "why",
    ["no_deal", "no_buyer", "second_receipt", "other_amount", "other_currency", "deal_closed"],
)
def test_admins_read_why_money_waits(why: str) -> None:
    assert "reason:" not in _text("suspense", why=why)


@pytest.mark.parametrize("why", ["query_says_no", "unreachable", "no_answer", "other_amount"])
def test_admins_read_why_a_receipt_needs_them(why: str) -> None:
    assert "Reason:" not in _text("confirm_receipt", why=why)


def test_a_payment_without_a_number_yet_says_so() -> None:
    assert "not known yet" in _text("confirm_receipt", reference=None)


def test_a_typed_number_is_masked_for_admins_too() -> None:
    assert "Typed: \u20680712***678\u2069" in _text("suspense", typed="0712345678")


@pytest.mark.parametrize(
    ("why", "words"),
    [
        ("not_completed", "not completed"),
        ("not_ours", "not paid to us"),
        ("admin:1001", "Admin \u20681001\u2069 decided so."),
    ],
)
def test_a_closed_receipt_says_who_closed_it(why: str, words: str) -> None:
    assert words in _text("receipt_denied", why=why)


def test_many_breaks_are_counted_and_the_first_ones_named() -> None:
    text = _text("books_broken", breaks=[f"account {number} is off" for number in range(30)])
    assert "add up: 30" in text
    assert "account 5 is off" in text
    assert "and 24 more" in text
    assert "more" not in _text("books_broken", breaks=["account 1 is off"])
