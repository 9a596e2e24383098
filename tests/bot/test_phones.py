"""Kenyan mobile numbers are read however they are written; nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escrow.bot.phones import looks_like_phone, looks_like_wrong_phone, read_phone
from escrow.domain.errors import InvalidInput
from escrow.domain.phone import is_msisdn
from tests.bot.hostile import CORPUS


@pytest.mark.parametrize(
    "typed",
    [
        "0712345678",
        "0712 345 678",
        " 0712-345-678 ",
        "(0712) 345678",
        "712345678",
        "254712345678",
        "+254712345678",
        "+254 712 345 678",
        "+254.712.345.678",
    ],
)
def test_a_mobile_number_is_read_in_every_common_form(typed: str) -> None:
    assert read_phone(typed) == "254712345678"


@pytest.mark.parametrize("typed", ["0110345678", "254110345678", "0708374149", "254711003001"])
def test_newer_prefixes_are_mobile_numbers_too(typed: str) -> None:
    assert is_msisdn(read_phone(typed))


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "0712",
        "071234567",
        "07123456789",
        "0202345678",  # a landline in Nairobi
        "+255712345678",  # Tanzania
        "+447911123456",
        "+1 202 555 0143",
        "٠٧١٢٣٤٥٦٧٨",
        "0712345678x",
        "tel:0712345678",
        "0712345678;ext=5",
        "ES1008257624",
        "-712345678",
        "0712345678 0712345678",
    ],
)
def test_anything_else_is_refused(typed: str) -> None:
    with pytest.raises(InvalidInput):
        read_phone(typed)


def test_no_hostile_text_is_an_error_of_another_kind() -> None:
    for text in CORPUS:
        looks_like_phone(text)
        try:
            assert is_msisdn(read_phone(text))
        except InvalidInput:
            continue


@given(st.text(alphabet="0123456789+ -().", max_size=24))
def test_whatever_is_read_is_twelve_digits(text: str) -> None:
    try:
        assert is_msisdn(read_phone(text))
    except InvalidInput:
        return


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("0712 345 678", True),
        ("+254712345678", True),
        ("1008257624", False),
        ("ES0712345678", False),
        ("hello", False),
    ],
)
def test_a_number_is_told_from_a_code(text: str, means: bool) -> None:
    assert looks_like_phone(text) is means


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("0812345678", True),
        ("+255712345678", True),
        ("0712345678", False),
        ("1008257624", False),
        ("hello", False),
    ],
)
def test_a_wrong_number_is_known_as_one(text: str, wrong: bool) -> None:
    assert looks_like_wrong_phone(text) is wrong
