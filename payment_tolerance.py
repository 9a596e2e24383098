"""The tolerance engine: is this payment enough, nearly enough, or too little? Pure and exact.

Seed 2, scenarios 1–3c. With tolerance t on what is due: received ≥ due − t is accepted,
received ≥ due − 3t lets the buyer choose, anything less goes back to the buyer's wallet.
Both bounds are inclusive; nothing is rounded before a comparison.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from escrow.domain.money import Currency, decimal_to_minor, minor_to_decimal
from escrow.domain.terms import DEFAULT_TIERS, TOLERANCE_CAP_PERCENT, Tier, Tiers

__all__ = [
    "PaymentDecision",
    "PaymentResponse",
    "ToleranceResult",
    "analyze_payment_variance",
    "calculate_dynamic_tolerance",
]

CHOICE_MINUTES: Final = 10
_FINE: Final = 10_000
"""Tolerances are counted in ten-thousandths of a minor unit: a basis point of one is whole."""


class PaymentResponse(StrEnum):
    """What happens with a payment."""

    AUTO_ACCEPT = "AUTO_ACCEPT"  # enough, or short within the tolerance
    SELF_SERVICE = "SELF_SERVICE"  # the buyer chooses: complete, go on, cancel
    AUTO_REFUND = "AUTO_REFUND"  # too little: to the buyer's wallet


@dataclass(frozen=True, slots=True)
class ToleranceResult:
    """The tolerance on what is due; every Decimal is exact, in major units."""

    category: str
    currency: Currency
    expected_minor: int
    basis_points: int
    tolerance_fine: int

    @property
    def tolerance_percentage(self) -> Decimal:
        """The tier's nominal percentage: `Decimal('3')`."""
        whole, rest = divmod(self.basis_points, 100)
        return Decimal(whole) if not rest else Decimal(f"{self.basis_points}E-2")

    @property
    def tolerance_amount(self) -> Decimal:
        return self._major(self.tolerance_fine)

    @property
    def min_acceptable(self) -> Decimal:
        """The least that is accepted by itself: due − tolerance."""
        return self._major(self.expected_minor * _FINE - self.tolerance_fine)

    @property
    def self_service_threshold(self) -> Decimal:
        """The least that leaves the buyer a choice: due − 3 × tolerance (flow.md 5)."""
        return self._major(self.expected_minor * _FINE - 3 * self.tolerance_fine)

    def _major(self, fine: int) -> Decimal:
        exponent = self.currency.digits + 4
        while exponent > self.currency.digits and fine % 10 == 0:
            fine //= 10
            exponent -= 1
        return Decimal(f"{fine}E-{exponent}")


@dataclass(frozen=True, slots=True)
class PaymentDecision:
    """The engine's answer. `variance` is received − expected: negative when short."""

    response_type: PaymentResponse
    tolerance_result: ToleranceResult
    variance_minor: int

    @property
    def variance(self) -> Decimal:
        return minor_to_decimal(self.variance_minor, self.tolerance_result.currency)

    @property
    def expected(self) -> Decimal:
        result = self.tolerance_result
        return minor_to_decimal(result.expected_minor, result.currency)

    @property
    def received(self) -> Decimal:
        result = self.tolerance_result
        return minor_to_decimal(result.expected_minor + self.variance_minor, result.currency)

    @property
    def shortage(self) -> Decimal:
        short = max(-self.variance_minor, 0)
        return minor_to_decimal(short, self.tolerance_result.currency)

    @property
    def user_message(self) -> str:
        """The decision in one plain English sentence (the bot has its own texts)."""
        code = self.tolerance_result.currency.code
        if self.response_type is PaymentResponse.SELF_SERVICE:
            return (
                f"Payment received: {code} {self.received} ({code} {self.shortage} short). "
                f"Choose: complete the payment, go on with {code} {self.received}, "
                "or cancel and get it back."
            )
        if self.response_type is PaymentResponse.AUTO_REFUND:
            return (
                f"Payment {code} {self.shortage} too short. "
                f"{code} {self.received} refunded to your wallet."
            )
        if self.variance_minor > 0:
            return (
                f"Payment accepted: {code} {self.received}. "
                f"{code} {self.variance} more than due, credited to your wallet."
            )
        if self.variance_minor < 0:
            return (
                f"Payment accepted: {code} {self.received} "
                f"({code} {self.shortage} short but within tolerance)"
            )
        return f"Payment accepted: {code} {self.received}"

    @property
    def action_options(self) -> dict[str, Any]:
        """What the buyer can do next, in the seed's shape; empty when nothing is left to do."""
        if self.response_type is PaymentResponse.SELF_SERVICE:
            return {
                "complete_payment": {
                    "amount_needed": self.shortage,
                    "timeout_minutes": CHOICE_MINUTES,
                },
                "proceed_partial": {"escrow_amount": self.received},
                "cancel_refund": {
                    "refund_amount": self.received,
                    "refund_destination": "wallet",
                },
            }
        if self.response_type is PaymentResponse.AUTO_REFUND:
            return {
                "auto_refund": {
                    "refund_amount": self.received,
                    "refund_destination": "wallet",
                    "reason": "significant_underpayment",
                },
                "restart_payment": {"correct_amount": self.expected},
            }
        return {"excess_credited": self.variance} if self.variance_minor > 0 else {}


def calculate_dynamic_tolerance(
    expected: Decimal, currency: str = "USD", tiers: Tiers | None = None
) -> ToleranceResult:
    """The tolerance on `expected` (major units, above zero) by the currency's tiers (flow.md 6).

    `TypeError` for anything but Decimal; `ValueError` for NaN, infinity, zero or less, more digits
    than the currency has, an unknown currency.
    """
    known = Currency.of(currency)
    return _tolerance(_positive(expected, known), known, tiers)


def analyze_payment_variance(
    expected: Decimal, received: Decimal, currency: str = "USD", tiers: Tiers | None = None
) -> PaymentDecision:
    """What to do with `received` when `expected` was due. Errors as `calculate_dynamic_tolerance`:
    zero or negative money is an error, never an acceptance.
    """
    known = Currency.of(currency)
    due = _positive(expected, known)
    got = _positive(received, known)
    return decide(due, got, known, tiers)


def decide(
    due_minor: int, received_minor: int, currency: Currency, tiers: Tiers | None = None
) -> PaymentDecision:
    """`analyze_payment_variance` on minor units, for callers that hold `Money`."""
    if due_minor <= 0 or received_minor <= 0:
        raise ValueError("what is due and what was received are above zero")
    tolerance = _tolerance(due_minor, currency, tiers)
    short_fine = (due_minor - received_minor) * _FINE
    if short_fine <= tolerance.tolerance_fine:
        response = PaymentResponse.AUTO_ACCEPT
    elif short_fine <= 3 * tolerance.tolerance_fine:
        response = PaymentResponse.SELF_SERVICE
    else:
        response = PaymentResponse.AUTO_REFUND
    return PaymentDecision(response, tolerance, received_minor - due_minor)


def _positive(amount: Decimal, currency: Currency) -> int:
    minor = decimal_to_minor(amount, currency)
    if minor <= 0:
        raise ValueError(f"an amount is above zero, not {amount}")
    return minor


def _tolerance(due_minor: int, currency: Currency, tiers: Tiers | None) -> ToleranceResult:
    rows = (tiers or DEFAULT_TIERS).get(currency.code)
    if not rows:
        raise ValueError(f"no tolerance tiers for {currency.code}")
    tier = _tier_of(due_minor, rows)
    fine = due_minor * tier.basis_points
    if tier.at_least_minor is not None:
        fine = max(fine, tier.at_least_minor * _FINE)
    if tier.at_most_minor is not None:
        fine = min(fine, tier.at_most_minor * _FINE)
    fine = min(fine, due_minor * TOLERANCE_CAP_PERCENT * 100)
    return ToleranceResult(tier.category, currency, due_minor, tier.basis_points, fine)


def _tier_of(due_minor: int, rows: Any) -> Tier:
    for tier in rows:
        if tier.below_minor is None or due_minor < tier.below_minor:
            return tier  # type: ignore[no-any-return]
    raise ValueError("the last tier has no upper end")
