"""Terms: fees, quotes and divisions, exact to the minor unit, with parts that sum to the whole."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from escrow.domain.errors import LimitReached
from escrow.domain.money import Currency, Money
from escrow.domain.terms import (
    DEFAULT_TIERS,
    FeePayer,
    FeeRule,
    Level,
    Terms,
    choice_expires,
    divide_accepted,
    divide_fixed,
    divide_partial,
    divide_split,
    level,
    tiers_from_json,
    tiers_to_json,
)

KES, USD = Currency.KES, Currency.USD
FIVE_PERCENT = Terms(
    fees={"KES": FeeRule(500, 0, 10**12), "USD": FeeRule(500, 0, 10**12)},
    deal_min_minor={"KES": 0, "USD": 0},
    deal_max_due_minor={"KES": 10**13, "USD": 10**13},
)
currencies = st.sampled_from(list(Currency))
payers = st.sampled_from(list(FeePayer))


def kes(shillings: float) -> Money:
    return Money(round(shillings * 100), KES)


def usd(dollars: float) -> Money:
    return Money(round(dollars * 100), USD)


# -- fees ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("price", "fee"),
    [
        # 1 %, at least 20, at most 1,000, whole shillings, never above 20 % of the price
        (kes(100), kes(20)),
        (kes(99), kes(19)),  # 20 % is 19.80
        (kes(50), kes(10)),
        (kes(4), kes(0)),
        (kes(1), kes(0)),
        (kes(1_999), kes(20)),
        (kes(2_000), kes(20)),
        (kes(2_049), kes(20)),  # 20.49
        (kes(2_050), kes(21)),  # 20.50: half up
        (kes(2_051), kes(21)),
        (kes(10_000), kes(100)),
        (kes(99_949), kes(999)),
        (kes(99_950), kes(1_000)),
        (kes(100_000), kes(1_000)),
        (kes(249_000), kes(1_000)),
        # 1 %, at most 10, cents
        (usd(5), usd(0.05)),
        (usd(0.49), usd(0)),
        (usd(0.50), usd(0.01)),
        (usd(105.49), usd(1.05)),
        (usd(105.50), usd(1.06)),
        (usd(999.49), usd(9.99)),
        (usd(999.50), usd(10)),
        (usd(2_000), usd(10)),
    ],
)
def test_the_default_fee_at_its_edges(price: Money, fee: Money) -> None:
    assert Terms().fee(price) == fee


@settings(deadline=None)
@given(
    minor=st.integers(1, 10**12),
    currency=currencies,
    points=st.integers(0, 3_000),
    low=st.integers(0, 10**6),
    high=st.integers(0, 10**8),
)
def test_a_fee_is_whole_steps_within_its_bounds(
    minor: int, currency: Currency, points: int, low: int, high: int
) -> None:
    step = currency.step_minor
    low, high = sorted((low * step, high * step))
    fee = Terms(fees={currency.code: FeeRule(points, low, high)}).fee(Money(minor, currency))
    assert fee.is_whole_step()
    assert 0 <= fee.minor <= high
    assert fee.minor * 5 <= minor
    exact = minor * points
    if low * 10_000 <= exact <= high * 10_000 and exact <= minor * 2_000 - step * 10_000:
        assert abs(fee.minor * 10_000 - exact) * 2 <= step * 10_000


@settings(deadline=None)
@given(one=st.integers(1, 10**9), other=st.integers(1, 10**9), currency=currencies)
def test_a_higher_price_never_has_a_lower_fee(one: int, other: int, currency: Currency) -> None:
    low, high = sorted((one, other))
    assert Terms().fee(Money(low, currency)) <= Terms().fee(Money(high, currency))


# -- quotes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payer", "due", "holding"),
    [
        (FeePayer.BUYER, 105, 100),
        (FeePayer.SELLER, 100, 95),
        (FeePayer.SPLIT, 102.5, 97.5),
    ],
)
def test_who_bears_the_fee_of_a_hundred_dollars(
    payer: FeePayer, due: float, holding: float
) -> None:
    quote = FIVE_PERCENT.quote(usd(100), payer)
    assert (quote.price, quote.fee) == (usd(100), usd(5))
    assert (quote.due, quote.holding) == (usd(due), usd(holding))


def test_of_an_odd_fee_the_buyer_bears_the_larger_half_in_whole_steps() -> None:
    quote = FIVE_PERCENT.quote(kes(100), FeePayer.SPLIT)
    assert (quote.fee, quote.due, quote.holding) == (kes(5), kes(103), kes(98))
    quote = FIVE_PERCENT.quote(usd(100.20), FeePayer.SPLIT)
    assert (quote.fee, quote.due, quote.holding) == (usd(5.01), usd(102.71), usd(97.70))


@settings(deadline=None)
@given(steps=st.integers(1, 10**8), payer=payers, currency=currencies)
def test_a_quotes_parts_are_the_whole(steps: int, payer: FeePayer, currency: Currency) -> None:
    price = Money(steps * currency.step_minor, currency)
    quote = FIVE_PERCENT.quote(price, payer)
    assert quote.holding + quote.fee == quote.due
    assert price <= quote.due <= price + quote.fee
    assert quote.due.is_whole_step()
    assert quote.holding.minor > 0
    if payer is FeePayer.BUYER:
        assert quote.holding == price
    if payer is FeePayer.SELLER:
        assert quote.due == price
    if payer is FeePayer.SPLIT:
        buyers, sellers = quote.due - price, price - quote.holding
        assert Money(0, currency) <= buyers - sellers <= Money(currency.step_minor, currency)


@pytest.mark.parametrize(
    ("price", "reason", "named"),
    [
        (kes(99), "deal_too_small", {"minimum": kes(100)}),
        (usd(4.99), "deal_too_small", {"minimum": usd(5)}),
        (kes(100.50), "not_whole", {"price": kes(100.50)}),
        (kes(249_001), "deal_too_large", {"maximum": kes(250_000)}),
        (usd(1_990.01), "deal_too_large", {"maximum": usd(2_000)}),
    ],
)
def test_a_deal_outside_the_limits_is_refused_with_the_limit(
    price: Money, reason: str, named: dict[str, Any]
) -> None:
    with pytest.raises(LimitReached) as caught:
        Terms().quote(price, FeePayer.BUYER)
    assert caught.value.reason == reason
    assert caught.value.values == named


@pytest.mark.parametrize("price", [kes(100), kes(249_000), usd(5), usd(1_990), usd(5.01)])
def test_a_deal_at_the_limits_is_taken(price: Money) -> None:
    assert Terms().quote(price, FeePayer.BUYER).price == price


def test_the_limit_is_on_what_is_due_not_on_the_price() -> None:
    assert Terms().quote(kes(250_000), FeePayer.SELLER).due == kes(250_000)
    with pytest.raises(LimitReached):
        Terms().quote(kes(250_000), FeePayer.SPLIT)


# -- accepted money ------------------------------------------------------------------------------


def parts(received: Money, due: Money, fee: Money) -> tuple[Money, Money, Money, Money]:
    division = divide_accepted(received, due, fee)
    return division.holding, division.fee, division.excess, division.waived


def test_an_exact_payment_is_price_and_fee() -> None:
    assert parts(usd(105), usd(105), usd(5)) == (usd(100), usd(5), usd(0), usd(0))


def test_an_overpayment_is_excess_from_the_first_minor_unit() -> None:
    assert parts(usd(110), usd(105), usd(5)) == (usd(100), usd(5), usd(5), usd(0))
    assert parts(usd(105.01), usd(105), usd(5)) == (usd(100), usd(5), usd(0.01), usd(0))


@pytest.mark.parametrize(
    ("received", "fee", "holding", "kept"),
    [
        (104, 5, 100, 4),  # with a fee the seller loses nothing
        (104, 0, 104, 0),  # without one he bears it, as the seed says
        (100, 5, 100, 0),  # the whole fee
        (99.99, 5, 99.99, 0),  # then the price
        (101.85, 1, 101.85, 0),
    ],
)
def test_a_tolerated_shortage_is_waived_from_the_fee_first(
    received: float, fee: float, holding: float, kept: float
) -> None:
    found = parts(usd(received), usd(105), usd(fee))
    assert found == (usd(holding), usd(kept), usd(0), usd(105) - usd(received))


@settings(deadline=None)
@given(
    due=st.integers(2, 10**10),
    fee=st.integers(0, 10**9),
    received=st.integers(1, 10**11),
    currency=currencies,
)
def test_everything_accepted_is_somewhere(
    due: int, fee: int, received: int, currency: Currency
) -> None:
    assume(fee < due)
    money = Money(received, currency)
    division = divide_accepted(money, Money(due, currency), Money(fee, currency))
    assert division.holding + division.fee + division.excess == money
    assert division.waived.minor == max(due - received, 0)
    assert 0 <= division.fee.minor <= fee
    assert 0 <= division.holding.minor <= due - fee
    assert division.excess.minor == max(received - due, 0)
    if division.holding.minor < due - fee:
        assert not division.fee, "the seller bears nothing before the fee is used up"


@pytest.mark.parametrize("received", [0, -1])
def test_nothing_is_not_accepted(received: int) -> None:
    with pytest.raises(ValueError, match="above zero"):
        divide_accepted(Money(received, KES), kes(105), kes(5))


def test_money_of_another_currency_is_not_divided() -> None:
    with pytest.raises(ValueError, match="mixed"):
        divide_accepted(usd(105), kes(105), kes(5))


# -- partial by choice ---------------------------------------------------------------------------


def test_a_partial_payment_scales_fee_and_price_as_the_design_reckons() -> None:
    division = divide_partial(kes(9_800), kes(10_500), kes(500))
    assert division.fee == kes(466.67)
    assert division.holding == kes(9_333.33)
    assert (division.excess, division.waived) == (kes(0), kes(0))


def test_without_a_fee_the_seller_gets_what_was_received() -> None:
    assert divide_partial(usd(98), usd(105), usd(0)).holding == usd(98)


def test_the_whole_is_the_part_that_was_agreed() -> None:
    division = divide_partial(usd(105), usd(105), usd(5))
    assert (division.holding, division.fee) == (usd(100), usd(5))


@pytest.mark.parametrize(("received", "fee"), [(3, 0), (4, 1), (5, 1), (12, 2)])
def test_the_fees_share_is_rounded_half_up(received: int, fee: int) -> None:
    """Of a due of 16 with a fee of 2: 3/16 × 2 = 0.375, 4/16 × 2 = 0.5, 12/16 × 2 = 1.5."""
    division = divide_partial(Money(received, KES), Money(16, KES), Money(2, KES))
    assert division.fee.minor == fee


@settings(deadline=None)
@given(
    due=st.integers(2, 10**10),
    fee=st.integers(0, 10**9),
    received=st.integers(1, 10**10),
    currency=currencies,
)
def test_a_partial_payments_parts_are_the_whole(
    due: int, fee: int, received: int, currency: Currency
) -> None:
    assume(fee < due)
    assume(received <= due)
    money = Money(received, currency)
    division = divide_partial(money, Money(due, currency), Money(fee, currency))
    assert division.holding + division.fee == money
    assert 0 <= division.fee.minor <= fee
    assert 0 <= division.holding.minor <= due - fee
    assert abs(division.fee.minor * due - fee * received) * 2 <= due, "the nearest minor unit"


@pytest.mark.parametrize("received", [0, -1, 10_501])
def test_a_part_is_more_than_nothing_and_at_most_the_whole(received: int) -> None:
    with pytest.raises(ValueError, match="partial amount"):
        divide_partial(Money(received, KES), Money(10_500, KES), Money(500, KES))


# -- what a deal keeps ---------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["KES", "USD"])
def test_a_deal_keeps_its_tiers_as_they_were(code: str) -> None:
    assert tiers_from_json(tiers_to_json(DEFAULT_TIERS[code])) == tuple(DEFAULT_TIERS[code])


def test_a_deal_keeps_its_windows_in_seconds() -> None:
    kept = Terms().deal_terms(KES)
    assert kept["tiers"] == tiers_to_json(DEFAULT_TIERS["KES"])
    assert {key: value for key, value in kept.items() if key != "tiers"} == {
        "pay_seconds": 24 * 3600,
        "ship_seconds": 72 * 3600,
        "release_seconds": 168 * 3600,
        "inspection_seconds": 0,
        "choice_seconds": 600,
    }
    assert Terms(pay_window=timedelta(hours=1.5)).deal_terms(USD)["pay_seconds"] == 5400


def test_a_choice_ends_ten_minutes_after_the_first_money() -> None:
    start = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
    assert choice_expires(start, Terms().choice_window) == start + timedelta(minutes=10)


@pytest.mark.parametrize(
    ("sales", "stars", "lost", "expected"),
    [
        (0, None, 0, Level.NEW),
        (4, 5, 0, Level.NEW),
        (5, None, 1, Level.BRONZE),
        (19, 5, 0, Level.BRONZE),
        (20, "3.99", 0, Level.BRONZE),
        (20, None, 0, Level.BRONZE),
        (20, 4, 1, Level.SILVER),
        (50, "4.49", 0, Level.SILVER),
        (50, "4.5", 1, Level.GOLD),
        (99, 5, 0, Level.GOLD),
        (100, "4.79", 0, Level.GOLD),
        (100, "4.8", "0.05", Level.GOLD),
        (100, "4.8", "0.0499", Level.DIAMOND),
        (1000, 5, 0, Level.DIAMOND),
    ],
)
def test_levels_begin_exactly_where_flow_says(
    sales: int, stars: str | int | None, lost: str | int, expected: Level
) -> None:
    average = None if stars is None else Fraction(stars)
    assert level(sales, average, Fraction(lost)) is expected


# -- dividing everything held --------------------------------------------------------------------


def test_the_seeds_split_of_105() -> None:
    shares = divide_split(usd(100), usd(5), 50)
    assert (shares.buyer.minor, shares.seller.minor, shares.fee.minor) == (52_50, 50_00, 2_50)


def test_a_fixed_amount_earns_the_fee_in_proportion() -> None:
    shares = divide_fixed(kes(10_000), kes(500), kes(200))
    assert (shares.seller, shares.fee, shares.buyer) == (kes(200), kes(10), kes(10_290))


@given(st.integers(1, 10**9), st.integers(0, 10**8), st.integers(0, 100))
def test_a_split_sums_to_the_whole_and_takes_from_nobody(
    holding: int, fee: int, percent: int
) -> None:
    shares = divide_split(Money(holding, KES), Money(fee, KES), percent)
    parts = (shares.seller.minor, shares.buyer.minor, shares.fee.minor)
    assert sum(parts) == holding + fee
    assert min(parts) >= 0
    wanted = Fraction((holding + fee) * percent, 100)
    assert 0 <= shares.buyer.minor - wanted < 1, "the buyer's share is rounded up"
    if 4 * fee <= holding:
        earned = Fraction(fee * (100 - percent), 100)
        assert -Fraction(1, 2) < shares.fee.minor - earned <= Fraction(1, 2), "half up"


@given(st.integers(1, 10**9), st.integers(0, 10**8), st.data())
def test_a_fixed_division_sums_to_the_whole_and_takes_from_nobody(
    holding: int, fee: int, data: st.DataObject
) -> None:
    seller = data.draw(st.integers(0, holding))
    shares = divide_fixed(Money(holding, KES), Money(fee, KES), Money(seller, KES))
    parts = (shares.seller.minor, shares.buyer.minor, shares.fee.minor)
    assert sum(parts) == holding + fee
    assert min(parts) >= 0
    assert shares.seller.minor == seller
    assert -Fraction(1, 2) < shares.fee.minor - Fraction(fee * seller, holding) <= Fraction(1, 2)


@pytest.mark.parametrize("percent", [-1, 101])
def test_no_share_is_outside_the_whole(percent: int) -> None:
    with pytest.raises(ValueError, match="percent"):
        divide_split(kes(100), kes(5), percent)


@pytest.mark.parametrize("seller", [-1, 100_01])
def test_no_seller_gets_more_than_is_held_for_him(seller: int) -> None:
    with pytest.raises(ValueError, match="held for him"):
        divide_fixed(kes(100), kes(5), Money(seller, KES))
