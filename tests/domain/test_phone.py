"""Numbers: only a Kenyan mobile is one; a masked or hashed number contradicts only what it can."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from escrow.domain.phone import is_msisdn, keep, mask, mask_shown, may_be, proves

NUMBER = "254722000222"
HASH = hashlib.sha256(NUMBER.encode()).hexdigest()
numbers = st.from_regex(r"254[17][0-9]{8}", fullmatch=True).filter(str.isascii)


@pytest.mark.parametrize("text", ["254722000222", "254110000222", "254712345678"])
def test_twelve_digits_of_a_kenyan_mobile_are_a_number(text: str) -> None:
    assert is_msisdn(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0722000222",
        "722000222",
        "+254722000222",
        "254222000222",
        "25472200022",
        "2547220002222",
        "254722000222\n",
        "255722000222",
        "254722***222",
        "٢٥٤٧٢٢٠٠٠٢٢٢",
        HASH,
    ],
)
def test_nothing_else_is_a_number(text: str) -> None:
    assert not is_msisdn(text)


def test_a_mask_is_enough_for_its_owner_only() -> None:
    assert mask(NUMBER) == "0722***222"
    assert mask("not a number") == "***"


@settings(deadline=None)
@given(numbers)
def test_a_mask_hides_at_least_three_digits(number: str) -> None:
    assert mask(number) == f"0{number[3:6]}***{number[-3:]}"
    assert len(number) - len("254") - 6 == 3


@pytest.mark.parametrize(
    "shown",
    [
        "254722000222",
        "+254722000222",
        "254 722 000 222",
        "0722000222",
        "2547 ***** 222",
        "2547*****222",
        "254722***222",
        "2547******22",
        "************",
        HASH,
        HASH.upper(),
        "",
        "JOHN",
        "unknown",
    ],
)
def test_a_number_that_is_shown_may_be_its_owners(shown: str) -> None:
    assert may_be(shown, NUMBER)


@pytest.mark.parametrize(
    "shown",
    [
        "254722000223",
        "0722000223",
        "722000222",
        "2547 ***** 223",
        "2541 ***** 222",
        "254733***222",
        hashlib.sha256(b"254722000223").hexdigest(),
        "1",
    ],
)
def test_a_number_that_contradicts_is_somebody_elses(shown: str) -> None:
    assert not may_be(shown, NUMBER)


@pytest.mark.parametrize(
    ("shown", "kept"),
    [
        ("254722000222", "254722***222"),
        ("+254 722 000 222", "254722***222"),
        ("0722000222", "254722***222"),
        ("2547 ***** 222", "2547*****222"),
        (HASH, HASH),
        ("", ""),
        ("x" * 100, "x" * 64),
    ],
)
def test_a_clear_number_is_kept_masked_and_the_rest_as_it_came(shown: str, kept: str) -> None:
    assert keep(shown) == kept


@settings(deadline=None)
@given(number=numbers, other=numbers)
def test_what_is_kept_still_answers(number: str, other: str) -> None:
    assert may_be(keep(number), number)
    assert number not in keep(number)
    same_ends = (number[:6], number[-3:]) == (other[:6], other[-3:])
    assert may_be(keep(number), other) is same_ends


@pytest.mark.parametrize(
    ("kept", "shown"),
    [
        ("254722000222", "0722***222"),
        ("254722***222", "0722***222"),
        ("2547*****222", "07*****222"),
        (HASH, f"#{HASH[:8]}"),
        (HASH.upper(), f"#{HASH[:8]}"),
        ("JOHN", "JOHN"),
    ],
)
def test_people_are_shown_a_masked_number_or_the_start_of_a_hash(kept: str, shown: str) -> None:
    assert mask_shown(kept) == shown


@settings(deadline=None)
@given(shown=st.text(), number=numbers)
def test_any_text_is_taken_without_an_error(shown: str, number: str) -> None:
    assert may_be(shown, number) in (True, False)
    assert len(keep(shown)) <= 64
    mask_shown(shown)


@pytest.mark.parametrize(
    ("shown", "is_proof"),
    [
        ("254722000222", True),
        ("0722000222", False),  # M-Pesa never writes it like that
        ("2547 ***** 222", False),  # fits a hundred thousand phones
        ("25472***222", False),
        ("2547220*0222", True),
        ("254722***222", True),
        (hashlib.sha256(b"254722000222").hexdigest(), True),
        (hashlib.sha256(b"254722000223").hexdigest(), False),
        ("254722000223", False),
        ("2547 ***** 223", False),
        ("254***222", False),
        ("254722***22", False),
        ("254722***", False),
        ("***", False),
        ("", False),
        ("John Doe 222", False),
    ],
)
def test_only_a_number_that_shows_enough_is_proof(shown: str, is_proof: bool) -> None:
    assert proves(shown, "254722000222") is is_proof
