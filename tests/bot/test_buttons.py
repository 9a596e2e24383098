"""A button says only what it was packed with; any other data is not ours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escrow.bot.buttons import (
    _NEEDS,
    DATA_BYTES,
    FROM_WALLET,
    Button,
    Verb,
    is_choice,
    pack,
    unpack,
)
from tests.bot.hostile import CORPUS

CODE = "ES1008257624"
LARGEST = 10**18 - 1


def _fitting(verb: Verb) -> Button:
    deal, number = _NEEDS[verb]
    wallet = LARGEST if verb in FROM_WALLET else 0
    return Button(verb, CODE if deal else "", LARGEST if number else 0, wallet)


@pytest.mark.parametrize("verb", list(Verb))
def test_every_button_is_read_back_and_fits(verb: Verb) -> None:
    button = _fitting(verb)
    data = pack(button)
    assert unpack(data) == button
    assert len(data.encode()) <= DATA_BYTES


@pytest.mark.parametrize("verb", list(Verb))
def test_a_button_without_what_it_needs_is_not_packed(verb: Verb) -> None:
    deal, number = _NEEDS[verb]
    with pytest.raises(ValueError, match="read back"):
        pack(Button(verb, "" if deal else CODE, 0 if number else 5))


@pytest.mark.parametrize(
    "data",
    [
        None,
        5,
        b"b:show:ES1008257624",
        "",
        "b:",
        "b:show",
        "b:show:ES100825762",
        "b:show:ES10082576245",
        "b:show:es1008257624",
        f"b:show:{CODE}:5",
        f"b:fly:{CODE}",
        f"b:show:{CODE}\n",
        f" b:show:{CODE}",
        f"b:wallet:{CODE}",
        f"b:wallet:{CODE}:5",
        f"b:wallet:{CODE}:w0",
        f"b:pay:{CODE}:w5",
        f"b:top_up:{CODE}",
        f"b:top_up:{CODE}:0",
        f"b:top_up:{CODE}:05",
        f"b:top_up:{CODE}:1٢",
        f"b:top_up:{CODE}:1234567890123456789",
        f"v1:c:5:{'0' * 20}",
    ],
)
def test_other_data_is_not_ours(data: object) -> None:
    assert unpack(data) is None


def test_no_hostile_text_is_ours() -> None:
    assert [text for text in CORPUS if unpack(text) or is_choice(text)] == []


@given(st.text(max_size=64))
def test_any_text_is_answered_without_an_error(text: str) -> None:
    unpack(text)
    is_choice(text)


def test_signed_choices_are_told_apart() -> None:
    assert is_choice(f"v1:c:5:{'0' * 20}")
    assert not is_choice("b:deals")
    assert not is_choice(None)
    assert not is_choice("v1:" + "x" * 62)
