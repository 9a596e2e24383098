"""What stands behind a command is read, or refused with the usage that helps."""

from __future__ import annotations

import pytest

from escrow.bot.typed import (
    means_code,
    quoted,
    read_amount,
    read_offer,
    read_row,
    read_shop_name,
)
from escrow.domain.errors import CannotDo
from escrow.domain.money import Currency, Money
from escrow.domain.terms import FeePayer, Quote, Terms
from tests.bot import samples


@pytest.mark.parametrize(
    ("words", "price", "description"),
    [
        ("1500 Blue phone case", "KES 1,500", "Blue phone case"),
        ("1,500 Case", "KES 1,500", "Case"),
        ("KES1500 Case", "KES 1,500", "Case"),
        ("Ksh 1,500/= Case", "KES 1,500", "Case"),
        ("KSh.1500/- Case", "KES 1,500", "Case"),
        ("kes 1500.50 Case", "KES 1,500.50", "Case"),
        ("USD 100 Logo design", "USD 100", "Logo design"),
        ("usd100 Logo", "USD 100", "Logo"),
        ("$100 Logo", "USD 100", "Logo"),
        ("$ 1,000.50 Logo", "USD 1,000.50", "Logo"),
        ("US$ 100 Logo", "USD 100", "Logo"),
        ("100 USD Logo", "USD 100", "Logo"),
        ("100usd Logo", "USD 100", "Logo"),
        ("100$ Logo", "USD 100", "Logo"),
        ("1,500 KSh Case", "KES 1,500", "Case"),
        ("1500/- Case of USD bills", "KES 1,500", "Case of USD bills"),
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
        ("KES 100", "usage"),
        ("USD 100", "usage"),
        ("USD", "usage"),
        ("100 USD", "usage"),
        ("USD 100USD case", "amount"),
        ("USD KES 100 case", "amount"),
        ("KES USD100 case", "amount"),
        ("$$100 case", "amount"),
        ("EUR 100 case", "amount"),
        ("1500/-/- case", "amount"),
        ("KESKES1500 case", "amount"),
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


def test_a_price_that_is_too_large_names_the_largest() -> None:
    def quote(price: Money) -> Quote:
        return Terms().quote(price, FeePayer.BUYER)

    with pytest.raises(CannotDo) as caught:
        quoted(quote, samples.kes(300_000))
    largest = caught.value.values["price"]
    assert quote(largest).due <= samples.kes(250_000)
    with pytest.raises(CannotDo):
        quote(largest + samples.kes(1))
    with pytest.raises(CannotDo) as caught:
        quoted(quote, samples.kes(50))
    assert caught.value.reason == "deal_too_small"


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("ES0812345678", True),
        ("1008257624", True),
        ("0812345678", False),
        ("0712345678", False),
        ("hello", False),
    ],
)
def test_codes_are_told_from_wrong_numbers(text: str, is_one: bool) -> None:
    assert means_code(text) is is_one


def test_an_amount_to_withdraw_is_read_like_a_price() -> None:
    for text in ("500", "KES 500", "Ksh.500", "500/-"):
        assert read_amount(text, "withdraw") == samples.kes(500)
    assert read_amount("USD 5", "withdraw").currency is Currency.USD
    for text in ("5", "$5", "usd 5", "USD5"):
        assert read_amount(text, "withdraw", Currency.USD) == Money(5_00, Currency.USD)
    assert read_amount("5 USD", "withdraw") == Money(5_00, Currency.USD)
    assert read_amount("Ksh 5", "withdraw", Currency.USD) == samples.kes(5)
    for text in ("", "all", "-5", "0", "5e3"):
        with pytest.raises(CannotDo) as caught:
            read_amount(text, "withdraw")
        assert caught.value.reason == "amount"
