"""The tolerance engine: the seed's table by name, every edge by one minor unit, exactness whatever
the caller's arithmetic, and the shapes that outside callers rely on.
"""

import json
from dataclasses import FrozenInstanceError
from decimal import ROUND_UP, Decimal, Inexact, getcontext, localcontext
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import payment_tolerance
from escrow.domain.money import MAX_MINOR, Currency
from escrow.domain.terms import DEFAULT_TIERS, Tier, parse_tiers
from payment_tolerance import (
    PaymentDecision,
    PaymentResponse,
    ToleranceResult,
    analyze_payment_variance,
    calculate_dynamic_tolerance,
)

ACCEPT, CHOOSE, REFUND = (
    PaymentResponse.AUTO_ACCEPT,
    PaymentResponse.SELF_SERVICE,
    PaymentResponse.AUTO_REFUND,
)
D = Decimal


def same(found: Decimal, expected: str) -> bool:
    """Equal, and a Decimal."""
    return type(found) is Decimal and found == D(expected)


# -- the seed's table (seed 2, scenarios 1–3c) ---------------------------------------------------


def test_scenario_1_an_exact_payment_is_accepted_and_nothing_is_left_to_do() -> None:
    decision = analyze_payment_variance(D("105"), D("105"))
    assert decision.response_type is ACCEPT
    assert same(decision.variance, "0")
    assert decision.action_options == {}


def test_scenario_2_an_overpayment_is_accepted_and_the_excess_credited() -> None:
    decision = analyze_payment_variance(D("105"), D("110"))
    assert decision.response_type is ACCEPT
    assert same(decision.variance, "5")
    assert decision.action_options == {"excess_credited": D("5")}


def test_scenario_3a_a_small_shortage_is_accepted_within_the_tolerance() -> None:
    decision = analyze_payment_variance(D("105"), D("104"))
    assert decision.response_type is ACCEPT
    assert same(decision.variance, "-1")
    assert same(decision.tolerance_result.tolerance_amount, "3.15")
    assert same(decision.tolerance_result.min_acceptable, "101.85")
    assert decision.action_options == {}
    assert decision.user_message == (
        "Payment accepted: USD 104.00 (USD 1.00 short but within tolerance)"
    )


def test_scenario_3b_a_moderate_shortage_leaves_the_buyer_three_choices() -> None:
    decision = analyze_payment_variance(D("105"), D("98"))
    assert decision.response_type is CHOOSE
    assert same(decision.variance, "-7")
    assert same(decision.tolerance_result.self_service_threshold, "95.55")
    assert decision.action_options == {
        "complete_payment": {"amount_needed": D("7"), "timeout_minutes": 10},
        "proceed_partial": {"escrow_amount": D("98")},
        "cancel_refund": {"refund_amount": D("98"), "refund_destination": "wallet"},
    }
    assert "98.00" in decision.user_message
    assert "7.00 short" in decision.user_message


def test_scenario_3c_a_large_shortage_goes_back_to_the_wallet() -> None:
    decision = analyze_payment_variance(D("105"), D("85"))
    assert decision.response_type is REFUND
    assert same(decision.variance, "-20")
    assert decision.action_options == {
        "auto_refund": {
            "refund_amount": D("85"),
            "refund_destination": "wallet",
            "reason": "significant_underpayment",
        },
        "restart_payment": {"correct_amount": D("105")},
    }
    assert "20.00 too short" in decision.user_message


# -- shapes --------------------------------------------------------------------------------------


def test_the_names_that_others_import_are_there() -> None:
    assert set(payment_tolerance.__all__) == {
        "calculate_dynamic_tolerance",
        "analyze_payment_variance",
        "PaymentResponse",
        "PaymentDecision",
        "ToleranceResult",
    }


def test_a_response_is_its_own_name() -> None:
    assert [str(response) for response in PaymentResponse] == [
        "AUTO_ACCEPT",
        "SELF_SERVICE",
        "AUTO_REFUND",
    ]
    assert PaymentResponse("SELF_SERVICE") is CHOOSE


def test_a_tolerance_has_the_promised_attributes_unrounded() -> None:
    result = calculate_dynamic_tolerance(D("49.99"))
    assert isinstance(result, ToleranceResult)
    assert result.category == "small"
    assert same(result.tolerance_percentage, "5")
    assert same(result.tolerance_amount, "2.4995")
    assert same(result.min_acceptable, "47.4905")
    assert same(result.self_service_threshold, "42.4915")


def test_a_decision_has_the_promised_attributes() -> None:
    decision = analyze_payment_variance(D("105"), D("98"), "USD")
    assert isinstance(decision, PaymentDecision)
    assert isinstance(decision.response_type, PaymentResponse)
    assert isinstance(decision.tolerance_result, ToleranceResult)
    assert type(decision.variance) is Decimal
    assert type(decision.user_message) is str
    assert type(decision.action_options) is dict


@pytest.mark.parametrize("received", ["105", "110", "104", "98", "85"])
def test_every_amount_in_the_options_is_an_exact_decimal(received: str) -> None:
    def amounts(node: Any) -> list[Any]:
        if isinstance(node, dict):
            return [leaf for value in node.values() for leaf in amounts(value)]
        return [] if isinstance(node, str) else [node]

    options = analyze_payment_variance(D("105"), D(received)).action_options
    found = [leaf for leaf in amounts(options) if leaf != 10 or type(leaf) is not int]
    assert all(type(leaf) is Decimal for leaf in found)


def test_results_do_not_change() -> None:
    decision = analyze_payment_variance(D("105"), D("98"))
    with pytest.raises(FrozenInstanceError):
        decision.response_type = ACCEPT  # type: ignore[misc]
    decision.action_options.clear()
    assert decision.action_options, "each access computes its own"


def test_dollars_are_the_default_and_shillings_are_told_in_shillings() -> None:
    assert calculate_dynamic_tolerance(D("105")) == calculate_dynamic_tolerance(D("105"), "USD")
    decision = analyze_payment_variance(D("10500"), D("9800"), currency="KES")
    assert decision.response_type is CHOOSE
    assert "KES 9800.00 (KES 700.00 short)" in decision.user_message


@pytest.mark.parametrize("received", ["105", "110", "104", "98", "85"])
def test_every_message_says_what_was_received_or_is_missing(received: str) -> None:
    decision = analyze_payment_variance(D("105"), D(received))
    assert f"USD {D(received):.2f}" in decision.user_message


# -- every edge, one minor unit below, at and above ----------------------------------------------

CENT = D("0.01")


@pytest.mark.parametrize(
    ("currency", "expected", "category", "percent", "tolerance"),
    [
        # USD: below 50 5 %, at least 0.50; below 500 3 %; from 500 1 %, at most 10
        ("USD", "0.01", "small", "5", "0.001"),  # capped at 10 %
        ("USD", "4.99", "small", "5", "0.499"),  # the cap of 10 % ends …
        ("USD", "5.00", "small", "5", "0.50"),  # … where the minimum of 0.50 is 10 %
        ("USD", "5.01", "small", "5", "0.50"),
        ("USD", "9.99", "small", "5", "0.50"),
        ("USD", "10.00", "small", "5", "0.50"),  # 5 % reaches the minimum
        ("USD", "10.01", "small", "5", "0.5005"),
        ("USD", "49.99", "small", "5", "2.4995"),
        ("USD", "50.00", "medium", "3", "1.50"),
        ("USD", "50.01", "medium", "3", "1.5003"),
        ("USD", "105", "medium", "3", "3.15"),
        ("USD", "499.99", "medium", "3", "14.9997"),
        ("USD", "500.00", "large", "1", "5.00"),
        ("USD", "500.01", "large", "1", "5.0001"),
        ("USD", "999.99", "large", "1", "9.9999"),
        ("USD", "1000.00", "large", "1", "10.00"),  # 1 % reaches the maximum
        ("USD", "1000.01", "large", "1", "10.00"),
        ("USD", "2000.00", "large", "1", "10.00"),
        # KES: below 5,000 5 %, at least 50; below 50,000 3 %; from 50,000 1 %, at most 1,000
        ("KES", "0.01", "small", "5", "0.001"),
        ("KES", "499.99", "small", "5", "49.999"),
        ("KES", "500.00", "small", "5", "50.00"),
        ("KES", "500.01", "small", "5", "50.00"),
        ("KES", "999.99", "small", "5", "50.00"),
        ("KES", "1000.00", "small", "5", "50.00"),
        ("KES", "1000.01", "small", "5", "50.0005"),
        ("KES", "4999.99", "small", "5", "249.9995"),
        ("KES", "5000.00", "medium", "3", "150.00"),
        ("KES", "5000.01", "medium", "3", "150.0003"),
        ("KES", "49999.99", "medium", "3", "1499.9997"),
        ("KES", "50000.00", "large", "1", "500.00"),
        ("KES", "50000.01", "large", "1", "500.0001"),
        ("KES", "99999.99", "large", "1", "999.9999"),
        ("KES", "100000.00", "large", "1", "1000.00"),
        ("KES", "100000.01", "large", "1", "1000.00"),
        ("KES", "250000", "large", "1", "1000.00"),
    ],
)
def test_the_tolerance_at_every_edge_of_the_tiers(
    currency: str, expected: str, category: str, percent: str, tolerance: str
) -> None:
    result = calculate_dynamic_tolerance(D(expected), currency)
    assert result.category == category
    assert same(result.tolerance_percentage, percent)
    assert same(result.tolerance_amount, tolerance)
    assert result.min_acceptable == D(expected) - D(tolerance)
    assert result.self_service_threshold == D(expected) - 3 * D(tolerance)


@pytest.mark.parametrize(
    ("currency", "expected", "least_accepted", "least_chosen"),
    [
        # both bounds are inclusive; where a bound lies between two cents, the cent above it
        ("USD", "105", "101.85", "95.55"),
        ("USD", "49.99", "47.50", "42.50"),
        ("USD", "50.00", "48.50", "45.50"),
        ("USD", "499.99", "485.00", "455.00"),
        ("USD", "500.00", "495.00", "485.00"),
        ("USD", "1000.00", "990.00", "970.00"),
        ("USD", "2000.00", "1990.00", "1970.00"),
        ("USD", "10.00", "9.50", "8.50"),
        ("USD", "5.00", "4.50", "3.50"),
        ("USD", "4.99", "4.50", "3.50"),
        ("USD", "0.50", "0.45", "0.35"),
        ("KES", "100", "90", "70"),
        ("KES", "500", "450", "350"),
        ("KES", "1000", "950", "850"),
        ("KES", "4999.99", "4750.00", "4250.00"),
        ("KES", "5000", "4850", "4550"),
        ("KES", "10500", "10185", "9555"),
        ("KES", "49999.99", "48500.00", "45500.00"),
        ("KES", "50000", "49500", "48500"),
        ("KES", "100000", "99000", "97000"),
        ("KES", "250000", "249000", "247000"),
    ],
)
def test_the_decision_one_cent_below_at_and_above_both_bounds(
    currency: str, expected: str, least_accepted: str, least_chosen: str
) -> None:
    def decide(received: Decimal) -> PaymentResponse:
        return analyze_payment_variance(D(expected), received, currency).response_type

    accepted, chosen = D(least_accepted), D(least_chosen)
    assert [decide(accepted + step * CENT) for step in (-1, 0, 1)] == [CHOOSE, ACCEPT, ACCEPT]
    assert [decide(chosen + step * CENT) for step in (-1, 0, 1)] == [REFUND, CHOOSE, CHOOSE]
    assert [decide(D(expected) + step * CENT) for step in (-1, 0, 1)] == [ACCEPT, ACCEPT, ACCEPT]


def test_nothing_is_rounded_before_a_comparison() -> None:
    """49.99 has a tolerance of 2.4995: rounding it either way would let 47.49 pass."""
    decision = analyze_payment_variance(D("49.99"), D("47.49"))
    assert decision.tolerance_result.min_acceptable == D("47.4905")
    assert decision.response_type is CHOOSE


def test_the_smallest_amounts_are_decided_too() -> None:
    assert analyze_payment_variance(CENT, CENT).response_type is ACCEPT
    assert analyze_payment_variance(D("0.02"), CENT).response_type is REFUND
    assert analyze_payment_variance(D("0.10"), D("0.09")).response_type is ACCEPT
    assert analyze_payment_variance(D("0.10"), D("0.07")).response_type is CHOOSE
    assert analyze_payment_variance(D("0.10"), D("0.06")).response_type is REFUND


# -- what is refused -----------------------------------------------------------------------------

WRONG_TYPES = [105.0, 105, "105", True, None, 1j, b"105", (0, (1, 0, 5), 0), ["105"]]
WRONG_VALUES = [
    "NaN",
    "-NaN",
    "sNaN",
    "NaN123",
    "Infinity",
    "-Infinity",
    "0",
    "-0",
    "0.00",
    "0E+5",
    "-0.01",
    "-105",
    "0.001",
    "104.999",
    "104.9999999999999999999999999999999999999",
    "1E-3",
    "1E-30",
    "1E+16",
    str(MAX_MINOR),  # in minor units too much by a hundred
]
ABSURD = [
    "1E+999999999",
    "1E-999999999",
    "0E+999999999",
    "-1E+999999999",
    "9" * 5000,
    "1." + "1" * 5000,
]


@pytest.mark.parametrize("wrong", WRONG_TYPES, ids=repr)
def test_what_is_no_decimal_is_a_type_error(wrong: Any) -> None:
    for call in (
        lambda: calculate_dynamic_tolerance(wrong),
        lambda: analyze_payment_variance(wrong, D("105")),
        lambda: analyze_payment_variance(D("105"), wrong),
    ):
        with pytest.raises(TypeError):
            call()


@pytest.mark.parametrize("wrong", WRONG_VALUES)
def test_a_decimal_that_is_no_amount_is_a_value_error(wrong: str) -> None:
    for call in (
        lambda: calculate_dynamic_tolerance(D(wrong)),
        lambda: analyze_payment_variance(D(wrong), D("105")),
        lambda: analyze_payment_variance(D("105"), D(wrong)),
    ):
        with pytest.raises(ValueError):
            call()


@pytest.mark.parametrize("wrong", ABSURD, ids=lambda text: text[:14])
@pytest.mark.timeout(5)
def test_an_absurd_number_is_refused_at_once(wrong: str) -> None:
    """`int()` of 1E+999999999 would fill the memory and never come back."""
    with pytest.raises(ValueError) as caught:
        analyze_payment_variance(D("105"), D(wrong))
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("currency", ["EUR", "usd", "", "US", "KES ", None, 5, "__class__", "of"])
def test_an_unknown_currency_is_a_value_error(currency: Any) -> None:
    for call in (
        lambda: calculate_dynamic_tolerance(D("105"), currency),
        lambda: analyze_payment_variance(D("105"), D("105"), currency),
    ):
        with pytest.raises(ValueError, match="unknown currency"):
            call()


class Odd(Decimal):
    """A Decimal that may compare as it likes."""


def test_a_subclass_of_decimal_is_not_trusted() -> None:
    with pytest.raises(TypeError):
        analyze_payment_variance(D("105"), Odd("105"))


# -- exactness, whatever the caller does ---------------------------------------------------------


@pytest.mark.parametrize("received", ["105", "110", "101.85", "101.84", "95.55", "95.54", "85"])
def test_the_callers_decimal_context_changes_nothing(received: str) -> None:
    def everything() -> list[Any]:
        decision = analyze_payment_variance(D("105"), D(received))
        result = decision.tolerance_result
        return [
            str(value)
            for value in (
                decision.response_type,
                decision.variance,
                decision.user_message,
                decision.action_options,
                result.tolerance_amount,
                result.tolerance_percentage,
                result.min_acceptable,
                result.self_service_threshold,
            )
        ]

    plain = everything()
    with localcontext():
        context = getcontext()
        context.prec = 3
        context.rounding = ROUND_UP
        context.Emax, context.Emin = 5, -5
        context.traps[Inexact] = True
        narrow = everything()
    assert narrow == plain


@pytest.mark.parametrize("written", ["105", "105.0", "105.00", "105.0000", "1.05E2", "1.0500E+2"])
def test_equal_values_get_the_same_answer_however_they_are_written(written: str) -> None:
    for received in ("104", "98", "85"):
        plain = analyze_payment_variance(D("105"), D(received))
        assert analyze_payment_variance(D(written), D(received)) == plain
    assert analyze_payment_variance(D("105"), D(written)).action_options == {}


amounts = st.integers(min_value=1, max_value=MAX_MINOR // 10).map(lambda minor: D(minor) / 100)
small = st.integers(min_value=1, max_value=600_000_00).map(lambda minor: D(minor) / 100)
either = st.sampled_from(["USD", "KES"])


def rank(response: PaymentResponse) -> int:
    return [REFUND, CHOOSE, ACCEPT].index(response)


@settings(deadline=None)
@given(expected=small, one=small, other=small, currency=either)
def test_more_money_is_never_worse(
    expected: Decimal, one: Decimal, other: Decimal, currency: str
) -> None:
    less, more = sorted((one, other))
    lower = analyze_payment_variance(expected, less, currency).response_type
    higher = analyze_payment_variance(expected, more, currency).response_type
    assert rank(lower) <= rank(higher)


@settings(deadline=None)
@given(expected=small, received=small, currency=either)
def test_the_three_regions_share_all_amounts_between_them(
    expected: Decimal, received: Decimal, currency: str
) -> None:
    decision = analyze_payment_variance(expected, received, currency)
    result = decision.tolerance_result
    if received >= result.min_acceptable:
        region = ACCEPT
    elif received >= result.self_service_threshold:
        region = CHOOSE
    else:
        region = REFUND
    assert decision.response_type is region
    assert decision.variance == received - expected
    assert (decision.expected, decision.received) == (expected, received)


@settings(deadline=None)
@given(
    expected=small,
    received=st.integers(min_value=-(10**12), max_value=0).map(lambda minor: D(minor) / 100),
    currency=either,
)
def test_nothing_or_less_is_never_accepted(
    expected: Decimal, received: Decimal, currency: str
) -> None:
    with pytest.raises(ValueError):
        analyze_payment_variance(expected, received, currency)


@settings(deadline=None)
@given(expected=amounts, currency=either)
def test_the_bounds_follow_from_the_tolerance_which_is_a_tenth_at_most(
    expected: Decimal, currency: str
) -> None:
    result = calculate_dynamic_tolerance(expected, currency)
    assert 0 < result.tolerance_amount <= expected / 10
    assert result.min_acceptable == expected - result.tolerance_amount
    assert result.self_service_threshold == result.min_acceptable - 2 * result.tolerance_amount
    assert result.self_service_threshold > 0


@settings(deadline=None)
@given(expected=small, received=small, zeros=st.integers(0, 6), currency=either)
def test_trailing_zeros_and_exponents_change_nothing(
    expected: Decimal, received: Decimal, zeros: int, currency: str
) -> None:
    def rewritten(amount: Decimal) -> Decimal:
        sign, digits, exponent = amount.as_tuple()
        assert isinstance(exponent, int)
        return Decimal((sign, (*digits, *[0] * zeros), exponent - zeros))

    plain = analyze_payment_variance(expected, received, currency)
    assert analyze_payment_variance(rewritten(expected), rewritten(received), currency) == plain
    assert analyze_payment_variance(expected.normalize(), received.normalize(), currency) == plain


@settings(deadline=None)
@given(expected=small, received=small, currency=either)
def test_the_options_give_back_everything_and_ask_for_no_more_than_is_missing(
    expected: Decimal, received: Decimal, currency: str
) -> None:
    decision = analyze_payment_variance(expected, received, currency)
    options = decision.action_options
    if decision.response_type is CHOOSE:
        assert options["complete_payment"]["amount_needed"] + received == expected
        assert options["proceed_partial"]["escrow_amount"] == received
        assert options["cancel_refund"]["refund_amount"] == received
    elif decision.response_type is REFUND:
        assert options["auto_refund"]["refund_amount"] == received
        assert options["restart_payment"]["correct_amount"] == expected
    else:
        assert options.get("excess_credited", D(0)) == max(received - expected, D(0))


# -- tiers of one's own --------------------------------------------------------------------------


def test_the_tiers_are_an_argument() -> None:
    strict = parse_tiers('{"USD": [{"percent": 0}]}')
    assert analyze_payment_variance(D("105"), D("105"), tiers=strict).response_type is ACCEPT
    assert analyze_payment_variance(D("105"), D("104.99"), tiers=strict).response_type is REFUND
    loose = parse_tiers('{"USD": [{"percent": 10}]}')
    assert analyze_payment_variance(D("105"), D("94.50"), tiers=loose).response_type is ACCEPT
    assert calculate_dynamic_tolerance(D("105"), tiers=loose).category == "large"


def test_tiers_of_a_deal_may_know_one_currency_only() -> None:
    only = {"KES": DEFAULT_TIERS["KES"]}
    assert calculate_dynamic_tolerance(D("105"), "KES", only).tolerance_amount == D("10.5")
    with pytest.raises(ValueError, match="no tolerance tiers for USD"):
        calculate_dynamic_tolerance(D("105"), "USD", only)


def test_tiers_that_end_somewhere_are_refused_beyond() -> None:
    ending = {"USD": (Tier("small", 50_00, 500),)}
    assert calculate_dynamic_tolerance(D("49.99"), tiers=ending).category == "small"
    with pytest.raises(ValueError, match="no upper end"):
        calculate_dynamic_tolerance(D("50"), tiers=ending)


def test_parsed_tiers_are_read_from_the_top_down_with_all_their_bounds() -> None:
    tiers = parse_tiers(
        json.dumps(
            {
                "KES": [
                    {"below": 1000, "percent": 2.5, "at_least": 20.5},
                    {"percent": 1, "at_most": 40},
                ]
            }
        )
    )
    assert tiers["USD"] == DEFAULT_TIERS["USD"], "what is not named stays"
    assert tiers["KES"] == (
        Tier("medium", 1000_00, 250, at_least_minor=20_50),
        Tier("large", None, 100, at_most_minor=40_00),
    )
    result = calculate_dynamic_tolerance(D("999.99"), "KES", tiers)
    assert same(result.tolerance_percentage, "2.5")
    assert same(result.tolerance_amount, "24.99975")
    assert same(calculate_dynamic_tolerance(D("500"), "KES", tiers).tolerance_amount, "20.5")
    assert same(calculate_dynamic_tolerance(D("1000"), "KES", tiers).tolerance_amount, "10")
    assert same(calculate_dynamic_tolerance(D("9000"), "KES", tiers).tolerance_amount, "40")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "expected"),
        ("{}", "expected"),
        ('"KES"', "expected"),
        ('{"EUR": [{"percent": 1}]}', "unknown currency"),
        ('{"KES": []}', "one to three tiers"),
        ('{"KES": {}}', "one to three tiers"),
        ('{"KES": [{"percent": 1}, {"percent": 1}, {"percent": 1}, {"percent": 1}]}', "to three"),
        ('{"KES": [5]}', "a tier has"),
        ('{"KES": [{"percent": 1, "cap": 5}]}', "a tier has"),
        ('{"KES": [{}]}', "percent between 0 and 10"),
        ('{"KES": [{"percent": "5"}]}', "percent between 0 and 10"),
        ('{"KES": [{"percent": true}]}', "percent between 0 and 10"),
        ('{"KES": [{"percent": null}]}', "percent between 0 and 10"),
        ('{"KES": [{"percent": NaN}]}', "percent between 0 and 10"),
        ('{"KES": [{"percent": Infinity}]}', "percent between 0 and 10"),
        ('{"KES": [{"percent": 1e999999}]}', "percent between 0 and 10"),
        ('{"KES": [{"percent": -1}]}', "percent between 0 and 10"),
        ('{"KES": [{"percent": 10.01}]}', "percent between 0 and 10"),
        ('{"KES": [{"percent": 2.505}]}', "in 0.01"),
        ('{"KES": [{"below": 50, "percent": 1}]}', "but the last"),
        ('{"KES": [{"percent": 1}, {"percent": 1}]}', "but the last"),
        ('{"KES": [{"below": null, "percent": 5}, {"percent": 1}]}', "but the last"),
        (
            '{"KES": [{"below": 50, "percent": 5}, {"below": 9, "percent": 3}, {"percent": 1}]}',
            "must rise",
        ),
        (
            '{"KES": [{"below": 50, "percent": 5}, {"below": 50, "percent": 3}, {"percent": 1}]}',
            "must rise",
        ),
        ('{"KES": [{"below": -50, "percent": 5}, {"percent": 1}]}', "below must be a number above"),
        ('{"KES": [{"below": "50", "percent": 5}, {"percent": 1}]}', "must be a number above 0"),
        ('{"KES": [{"percent": 1, "at_least": 0}]}', "at_least must be a number above 0"),
        ('{"KES": [{"percent": 1, "at_most": NaN}]}', "at_most must be a number above 0"),
        ('{"KES": [{"percent": 1, "at_most": 0.001}]}', "more than 2 decimals"),
        ('{"KES": [{"percent": 1, "at_most": 1e999999}]}', "out of range"),
    ],
)
def test_tiers_that_cannot_be_read_are_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_tiers(text)


def test_deciding_on_minor_units_is_the_same_decision() -> None:
    decision = payment_tolerance.decide(105_00, 98_00, Currency.USD)
    assert decision == analyze_payment_variance(D("105"), D("98"))
    for due, received in ((0, 1), (1, 0), (-1, 1), (1, -1)):
        with pytest.raises(ValueError, match="above zero"):
            payment_tolerance.decide(due, received, Currency.USD)
