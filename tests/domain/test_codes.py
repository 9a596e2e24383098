"""Deal codes: random, short enough for an M-Pesa reference, and no single wrong digit passes."""

import random
import secrets

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from escrow.domain.codes import (
    check_digit,
    is_code,
    near_codes,
    new_code,
    read_code,
    ten_digits,
)

GOOD = "ES1008257626"
nines = st.integers(0, 10**9 - 1).map(lambda number: f"{number:09d}")


def of(nine: str) -> str:
    return f"ES{nine}{check_digit(nine)}"


@pytest.mark.parametrize(
    ("nine", "digit"),
    # reckoned by hand
    [("992739871", 0), ("000000000", 0), ("000000001", 8), ("100825762", 6)],
)
def test_the_check_digit_is_luhns(nine: str, digit: int) -> None:
    assert check_digit(nine) == digit
    total = sum(
        int(char) if place % 2 == 0 else sum(divmod(2 * int(char), 10))
        for place, char in enumerate(reversed(nine + str(digit)))
    )
    assert total % 10 == 0


@settings(deadline=None)
@given(nines)
def test_every_single_wrong_digit_is_caught(nine: str) -> None:
    code = of(nine)
    assert is_code(code)
    for place in range(2, 12):
        for other in "0123456789":
            if other != code[place]:
                assert not is_code(code[:place] + other + code[place + 1 :])


@settings(deadline=None)
@given(nines)
def test_swapped_neighbours_are_caught_but_for_zero_and_nine(nine: str) -> None:
    code = of(nine)
    for place in range(2, 11):
        left, right = code[place], code[place + 1]
        swapped = code[:place] + right + left + code[place + 2 :]
        if {left, right} != {"0", "9"} and left != right:
            assert not is_code(swapped)


def test_a_new_code_is_whole_random_and_fits_an_mpesa_reference() -> None:
    drawn = {new_code(secrets.randbelow) for _ in range(2000)}
    assert len(drawn) > 1990
    assert all(is_code(code) and len(code) == 12 for code in drawn)
    assert new_code(lambda _: 0) == "ES0000000000"
    assert new_code(lambda below: below - 1) == of("999999999")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ES",
        "ES1008257625",
        "es1008257626",
        "1008257626",
        "ES10082576264",
        "ES100825762",
        "ES1008257626 ",
        "ES100825762\u0666",
        "ES１００８２５７６２６",
        "ES-100825762",
    ],
)
def test_nothing_else_is_a_code(text: str) -> None:
    assert not is_code(text)


@pytest.mark.parametrize(
    "typed",
    [
        "ES1008257626",
        "es1008257626",
        "Es 1008 257 626",
        "1008257626",
        " 1008257626\n",
        "ES-1008-257-626",
        "ES.1008.257.626",
        "ES_1008257626",
        "#ES1008257626",
        "ES/1008257626",
        "ESIOO8257626",
        "es1oo8257626",
        "lOO8257626",
        "E S 1 0 0 8 2 5 7 6 2 6",
        "E51008257626",
    ],
)
def test_a_code_is_understood_as_people_type_it(typed: str) -> None:
    assert read_code(typed) == GOOD


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "ES",
        "ES1008257625",
        "1008257625",
        "ES10082576",
        "ES10082576261",
        "XX1008257626",
        "ESES1008257626",
        "ES100825762x",
        "ES100825762\u0666",
        "１００８２５７６２６",
        "0712345678 ",  # a phone number with a wrong check digit for a code
        "ES" + " " * 80 + "1008257626",
        "x" * 100_000,
    ],
)
def test_what_is_no_code_reads_as_none(typed: str) -> None:
    assert read_code(typed) is None


@settings(deadline=None)
@given(st.text())
def test_any_text_is_read_without_an_error(text: str) -> None:
    code = read_code(text)
    assert code is None or is_code(code)
    digits = ten_digits(text)
    assert digits is None or (len(digits) == 10 and digits.isascii() and digits.isdigit())


def test_ten_digits_say_nothing_about_the_check_digit() -> None:
    assert ten_digits("ES1008257625") == "1008257625"
    assert ten_digits("es 1008 257625") == "1008257625"
    assert ten_digits("ES100825762") is None


@settings(deadline=None)
@given(nine=nines, place=st.integers(0, 9), step=st.integers(1, 9))
def test_the_code_that_was_meant_is_among_the_near_ones(nine: str, place: int, step: int) -> None:
    digits = of(nine)[2:]
    wrong = digits[:place] + str((int(digits[place]) + step) % 10) + digits[place + 1 :]
    near = near_codes(wrong)
    assert f"ES{digits}" in near
    assert len(near) == len(set(near)) == 10, "one for each place"
    for code in near:
        assert is_code(code)
        assert sum(a != b for a, b in zip(code[2:], wrong, strict=True)) == 1


@pytest.mark.parametrize("typed", ["ES1008257626", "1008257626", "hello", "", "ES10082576"])
def test_a_right_code_and_no_code_have_no_near_ones(typed: str) -> None:
    assert near_codes(typed) == ()


def test_codes_are_spread_over_all_numbers() -> None:
    dice = random.Random(7)  # noqa: S311 the same draws in every run
    firsts = {new_code(dice.randrange)[2] for _ in range(300)}
    assert firsts == set("0123456789")
