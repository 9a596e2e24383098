"""Admins read one word first, and what a decision did."""

from __future__ import annotations

import dataclasses

import pytest

from escrow.bot import admin_texts
from escrow.domain.model import ReceiptState
from sandbox.telegram_html import parse_html
from tests.bot import samples


@pytest.mark.parametrize("word", ["OK", "WATCH", "BROKEN"])
def test_health_begins_with_its_word_and_what_that_means(word: str) -> None:
    look = samples.health("account 5 is off", word)
    text = parse_html(str(admin_texts.health(look, samples.page())))[0]
    assert text.startswith(f"{word} – ")
    assert "account 5 is off" in text
    assert "Held for deals: KES 10,000" in text


def test_a_quiet_system_names_no_trouble() -> None:
    quiet = dataclasses.replace(
        samples.health("x", "OK"),
        breaks=[],
        jobs=[],
        held=[],
        clock_steady=True,
        outbox_oldest=None,
    )
    text = admin_texts.health(quiet, samples.page())
    assert "in balance" in text
    assert "Held: nothing" in text
    assert not any(line.endswith("–") for line in str(text).splitlines()), "a dash says nothing"
    assert "failed" not in text
    assert "clock" not in text


def test_unmatched_money_needs_a_look() -> None:
    held = [{"currency": "KES", "kind": "suspense", "total_minor": 100_000}]
    look = dataclasses.replace(samples.health("x", "OK"), held=held)
    text = parse_html(str(admin_texts.health(look, samples.page())))[0]
    assert text.startswith("WATCH – ")
    assert "Unmatched money waits for an admin: KES 1,000" in text
    broken = dataclasses.replace(look, word="BROKEN")
    assert str(admin_texts.health(broken, samples.page())).startswith("<b>BROKEN</b>")


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (ReceiptState.CREDITED, "credited"),
        (ReceiptState.SUSPENSE, "suspense"),
        (ReceiptState.IGNORED, "not ours"),
        (ReceiptState.REVERSED, "REVERSED"),
    ],
)
def test_a_decided_receipt_says_what_became_of_it(state: ReceiptState, words: str) -> None:
    receipt = samples.receipt("SKN0000042", state)
    text = admin_texts.receipt_decided(receipt, samples.page())
    assert words in text
    assert "SKN0000042" in text


def test_a_second_verification_says_that_nothing_changed() -> None:
    seller = samples.seller("Jane Shop")
    assert "Nothing changed" in admin_texts.verified(seller, samples.page(), changed=False)
    assert "was told so" in admin_texts.verified(seller, samples.page(), changed=True)
