"""What stands behind a command is read, or refused with the usage that helps."""

from __future__ import annotations

import pytest

from escrow.bot.typed import read_offer, read_row, read_shop_name
from escrow.domain.errors import CannotDo


@pytest.mark.parametrize(
    ("words", "price", "description"),
    [
        ("1500 Blue phone case", "KES 1,500", "Blue phone case"),
        ("1,500 Case", "KES 1,500", "Case"),
        ("USD 100 Logo design", "USD 100", "Logo design"),
        ("usd 99.50 Logo", "USD 99.50", "Logo"),
        ("kes 1500.50 Case", "KES 1,500.50", "Case"),
    ],
)
def test_an_offer_is_read(words: str, price: str, description: str) -> None:
    offer = read_offer(words.split())
    assert (str(offer.price), offer.description) == (price, description)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("", "usage"),
        ("1500", "usage"),
        ("USD 100", "usage"),
        ("Blue case", "amount"),
        ("-5 case", "amount"),
        ("0 case", "amount"),
        ("1e9 case", "amount"),
        ("١٥٠٠ case", "amount"),
        ("15OO case", "amount"),
        ("1500.505 case", "amount"),
        ("1500 " + "x" * 201, "description"),
    ],
)
def test_a_wrong_offer_says_what_is_wrong(words: str, reason: str) -> None:
    with pytest.raises(CannotDo) as caught:
        read_offer(words.split())
    assert caught.value.reason == reason


@pytest.mark.parametrize("words", [[], ["x"], ["0"], ["-1"], ["٣"], ["1" * 19], ["1.5"]])
def test_a_row_is_a_positive_number(words: list[str]) -> None:
    with pytest.raises(CannotDo):
        read_row(words, "verify_seller")


def test_names_and_rows_are_read() -> None:
    assert read_row(["2001", "rest"], "verify_seller") == 2001
    assert read_shop_name("  Jane \n Shop ") == "Jane Shop"
    for name in ("", "J", "x" * 61):
        with pytest.raises(CannotDo):
            read_shop_name(name)
