"""What coins are worth: exact, rounded once, never above what they are, and a quote that is met is
met exactly.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from escrow.domain.crypto import (
    COIN_DIGITS,
    at_price,
    at_quote,
    coins,
    dollars,
    in_window,
    next_look,
    reference,
    same_address,
)
from escrow.domain.model import CryptoAttempt, CryptoState
from escrow.domain.money import MAX_MINOR, Currency, Money

KES, USD = Currency.KES, Currency.USD
NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
CENT = Fraction(1, 100)
LEAST = Decimal(1).scaleb(-COIN_DIGITS)

minors = st.integers(min_value=1, max_value=10**9)
rates = st.decimals(Decimal("0.0001"), Decimal(10_000), places=4)
amounts = st.decimals(LEAST, Decimal(10**12), places=18)


def attempt(**changes: Any) -> CryptoAttempt:
    values: dict[str, Any] = {
        "id": 7,
        "token": "0" * 32,
        "provider": "blockbee",
        "escrow_id": "ES1008257624",
        "telegram_id": 3001,
        "coin": "BTC",
        "amount": Money(105_00, USD),
        "usd": Money(105_00, USD),
        "kes_per_usd": None,
        "choice_id": None,
        "callback_url": "https://amana.example/hooks/b/0/1",
        "state": CryptoState.OPEN,
        "coin_amount": Decimal("0.0021"),
        "address": "bc1q",
        "tag": "",
        "reference": "",
        "refusal": "",
        "created_at": NOW,
        "opened_at": NOW,
        "expires_at": NOW + timedelta(minutes=30),
        "looks": 0,
    }
    return CryptoAttempt(**{**values, **changes})


# -- coin amounts as they are kept ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("105", "105"),
        ("1.05e2", "105"),
        ("0E-8", "0"),
        ("-0", "0"),
        ("0.000000000000000001", "0.000000000000000001"),
        ("0.0000000000000000019", "0.000000000000000001"),
        ("0.0000000000000000009", "0"),
        ("1E-999999", "0"),
        ("99999999999999999999.999999999999999999", "99999999999999999999.999999999999999999"),
        ("1." + "3" * 5_000, "1." + "3" * 18),
    ],
)
def test_what_a_provider_names_is_kept_to_18_decimals(said: str, kept: str) -> None:
    assert coins(Decimal(said)) == Decimal(kept)


@pytest.mark.parametrize(
    "said", ["NaN", "sNaN", "Infinity", "-Infinity", "-1", "-1E-18", "1E20", "1E+999999"]
)
def test_what_is_no_amount_of_coins_is_refused(said: str) -> None:
    with pytest.raises(ValueError, match="not an amount of coins"):
        coins(Decimal(said))


@given(st.decimals(Decimal(0), Decimal(10**19), allow_nan=False))
def test_less_than_the_last_decimal_is_cut_off_and_never_added(said: Decimal) -> None:
    kept = coins(said)
    assert 0 <= Fraction(said) - Fraction(kept) < Fraction(1, 10**COIN_DIGITS)
    assert coins(kept) == kept


# -- what is asked for ---------------------------------------------------------------------------


@given(minors, rates)
@example(10_500_00, Decimal("128.37"))
@example(1, Decimal(10_000))
def test_the_dollars_asked_for_cover_the_shillings_by_less_than_a_cent(
    minor: int, rate: Decimal
) -> None:
    asked = dollars(Money(minor, KES), rate)
    needed = Fraction(minor, 100) / Fraction(rate)
    assert asked.currency is USD
    assert 0 <= Fraction(asked.minor, 100) - needed < CENT


@given(minors)
def test_dollars_are_asked_for_as_they_are(minor: int) -> None:
    assert dollars(Money(minor, USD), None) == Money(minor, USD)
    assert dollars(Money(minor, USD), Decimal(130)) == Money(minor, USD)


def test_shillings_without_a_price_are_no_dollars() -> None:
    with pytest.raises(ValueError, match="price"):
        dollars(Money(1, KES), None)
    with pytest.raises(ValueError, match="price"):
        at_price(KES, Fraction(1), None)


# -- what arrived --------------------------------------------------------------------------------


@given(minors, amounts, st.sampled_from([KES, USD]))
def test_exactly_the_quote_is_exactly_what_was_asked(
    minor: int, quoted: Decimal, currency: Currency
) -> None:
    asked = Money(minor, currency)
    assert at_quote(attempt(amount=asked, coin_amount=quoted), quoted) == asked


@given(minors, amounts, amounts)
def test_a_part_of_the_quote_is_worth_its_share_and_never_more(
    minor: int, quoted: Decimal, came: Decimal
) -> None:
    share = minor * Fraction(came) / Fraction(quoted)
    if share > MAX_MINOR:
        with pytest.raises(ValueError, match="out of range"):
            at_quote(attempt(amount=Money(minor, KES), coin_amount=quoted), came)
        return
    worth = at_quote(attempt(amount=Money(minor, KES), coin_amount=quoted), came)
    assert 0 <= share - worth.minor < 1


@given(minors, amounts, st.lists(st.integers(1, 10**6), min_size=1, max_size=6))
def test_several_deposits_are_together_never_worth_more_than_all_at_once(
    minor: int, quoted: Decimal, parts: list[int]
) -> None:
    asked = attempt(amount=Money(minor, USD), coin_amount=quoted)
    pieces = [coins(Decimal(str(quoted)) * part * Decimal("1E-6")) for part in parts]
    one_by_one = sum(at_quote(asked, piece).minor for piece in pieces)
    at_once = at_quote(asked, coins(sum(pieces, Decimal(0)))).minor
    assert at_once - len(pieces) < one_by_one <= at_once


def test_without_a_quote_coins_have_no_share() -> None:
    with pytest.raises(ValueError, match="no quote"):
        at_quote(attempt(coin_amount=None), Decimal(1))


@given(st.fractions(0, 10**9), rates)
def test_coins_at_their_price_are_rounded_down_by_less_than_a_cent(
    usd: Fraction, rate: Decimal
) -> None:
    assert 0 <= usd - Fraction(at_price(USD, usd, None).minor, 100) < CENT
    shillings = usd * Fraction(rate)
    if shillings * 100 <= MAX_MINOR:
        assert 0 <= shillings - Fraction(at_price(KES, usd, rate).minor, 100) < CENT


def test_a_value_that_no_book_holds_is_refused() -> None:
    assert at_price(USD, Fraction(MAX_MINOR, 100), None).minor == MAX_MINOR
    for usd in (Fraction(MAX_MINOR + 1, 100), Fraction(-1, 100)):
        with pytest.raises(ValueError, match="out of range"):
            at_price(USD, usd, None)


# -- times ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "counts"),
    [(-86_400, True), (0, True), (30 * 60, True), (30 * 60 + 0.000001, False)],
)
def test_the_quote_counts_to_its_last_moment(seconds: float, counts: bool) -> None:
    assert in_window(attempt(), NOW + timedelta(seconds=seconds)) is counts


def test_without_a_quote_nothing_is_in_time() -> None:
    assert not in_window(attempt(expires_at=None), NOW)


def test_a_provider_is_asked_less_and_less_often_and_then_no_more() -> None:
    looks = []
    now: datetime | None = NOW
    while (now := next_look(NOW, now)) is not None:
        looks.append(now - NOW)
        assert len(looks) < 100
    assert looks[0] == timedelta(minutes=1)
    assert timedelta(days=7) <= looks[-1] <= timedelta(days=8)
    gaps = [later - earlier for earlier, later in pairwise(looks)]
    assert all(gap > timedelta(0) for gap in gaps)
    assert max(gaps) <= timedelta(days=1)
    assert next_look(NOW, NOW + looks[-1]) is None
    assert next_look(NOW, NOW + timedelta(days=400)) is None


@given(st.timedeltas(timedelta(0), timedelta(days=30)))
def test_the_next_look_is_always_ahead(passed: timedelta) -> None:
    found = next_look(NOW, NOW + passed)
    assert found is None or found > NOW + passed


# -- names ---------------------------------------------------------------------------------------

ETHER = "0x52908400098527886E0F7030069857D2E4169EE7"
SEGWIT = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
TRON = "TJRabPrwbZy45sbavfcjinPJC18kjpRTv8"


@pytest.mark.parametrize("address", [ETHER, SEGWIT, "ltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kgmn4n9"])
def test_case_means_nothing_where_an_address_has_none(address: str) -> None:
    for spelled in (address, address.lower(), address.upper().replace("0X", "0x")):
        assert same_address(address, spelled)
        assert same_address(spelled, address)
    assert not same_address(address, f"{address[:-1]}z")


def test_case_counts_where_it_tells_addresses_apart() -> None:
    assert same_address(TRON, TRON)
    assert not same_address(TRON, TRON.lower())
    assert not same_address(TRON, f" {TRON}")
    assert not same_address(ETHER, SEGWIT)
    assert not same_address("", TRON)


@given(st.text(max_size=50), st.text(max_size=50))
def test_what_reads_differently_without_case_is_never_one_address(one: str, other: str) -> None:
    assert same_address(one, one)
    if one.lower() != other.lower():
        assert not same_address(one, other)


def test_one_payment_to_several_addresses_has_a_number_for_each() -> None:
    numbers = {
        reference("tx", attempt_id, coin, other=coin != "BTC")
        for attempt_id in (1, 2, 11)
        for coin in ("BTC", "TRX", "ETH")
    }
    assert len(numbers) == 9
    assert reference("tx", 7, "BTC", other=False) == "tx#7"
    assert reference("tx", 7, "TRX", other=True) == "tx#7:TRX"
