"""The buttons' signature: over everything that the buyer was shown, within Telegram's 64 bytes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escrow.domain.model import Choice
from escrow.services import choice_tokens
from escrow.services.choice_tokens import Action
from tests.world import BRIAN, NOW, OTIENO, SECRET, flip, kes, usd

CHOICE = Choice(17, "ES1008257624", BRIAN, kes(10_500), kes(9_800), NOW)


@pytest.mark.parametrize("action", Action)
def test_a_signed_button_reads_back_and_verifies(action: Action) -> None:
    token = choice_tokens.sign(SECRET, action, CHOICE)
    parsed = choice_tokens.read(token)
    assert parsed is not None
    assert parsed[:2] == (action, 17)
    assert choice_tokens.verify(SECRET, action, CHOICE, parsed[2])


def test_a_button_fits_into_64_bytes_whatever_its_number() -> None:
    longest = choice_tokens.sign(SECRET, Action.COMPLETE, replace(CHOICE, id=10**18 - 1))
    assert len(longest.encode()) <= 64
    assert choice_tokens.read(longest) is not None


@pytest.mark.parametrize(
    "changed",
    [
        {"id": 18},
        {"escrow_id": "ES1008257632"},
        {"telegram_id": OTIENO},
        {"due": kes("10500.01")},
        {"due": usd(10_500), "received": usd(9_800)},
        {"received": kes("9800.01")},
        {"expires_at": NOW + timedelta(microseconds=1)},
    ],
    ids=lambda changed: " and ".join(changed),
)
def test_the_signature_covers_every_field(changed: dict[str, object]) -> None:
    signature = choice_tokens.sign(SECRET, Action.PROCEED, CHOICE).split(":")[3]
    other = replace(CHOICE, **changed)  # type: ignore[arg-type]
    assert not choice_tokens.verify(SECRET, Action.PROCEED, other, signature)


def test_the_signature_covers_the_action_and_the_secret() -> None:
    signature = choice_tokens.sign(SECRET, Action.PROCEED, CHOICE).split(":")[3]
    assert not choice_tokens.verify(SECRET, Action.CANCEL, CHOICE, signature)
    assert not choice_tokens.verify(SECRET[::-1], Action.PROCEED, CHOICE, signature)


def test_every_other_digit_of_the_signature_is_refused() -> None:
    signature = choice_tokens.sign(SECRET, Action.PROCEED, CHOICE).split(":")[3]
    assert len(signature) >= 16
    for place in range(len(signature)):
        wrong = flip(signature, place)
        assert not choice_tokens.verify(SECRET, Action.PROCEED, CHOICE, wrong)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "v1",
        "v1:p:17",
        "v1:p:17:",
        "v2:p:17:" + "a" * 20,
        "v1:q:17:" + "a" * 20,
        "v1:p:017:" + "a" * 20,
        "v1:p:0:" + "a" * 20,
        "v1:p:-1:" + "a" * 20,
        "v1:p:١٧:" + "a" * 20,
        "v1:p:17:" + "A" * 20,
        "v1:p:17:" + "a" * 19,
        "v1:p:17:" + "a" * 21,
        "v1:p:17:" + "a" * 20 + "\n",
        "v1:p:" + "9" * 19 + ":" + "a" * 20,
    ],
)
def test_anything_of_another_form_is_no_button(token: str) -> None:
    assert choice_tokens.read(token) is None


@given(st.text(max_size=64))
def test_junk_never_raises(token: str) -> None:
    choice_tokens.read(token)
