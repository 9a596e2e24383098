"""Every number of policy and the pure decisions on them. Times are arguments, never read here.

Decisions: flow.md 1–9 and 11. Defaults are the design's; `settings.py` may replace each.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any, Final

from escrow.domain.errors import LimitReached
from escrow.domain.money import Currency, Money, decimal_to_minor, half_up

FEE_CAP_PERCENT: Final = 20
"""No fee is more than this share of the price (flow.md 1)."""

TOLERANCE_CAP_PERCENT: Final = 10
"""No tolerance is more than this share of what is due (flow.md 6)."""

REMIND_FROM: Final = time(9)
REMIND_UNTIL: Final = time(21)
"""Reminders that were missed are made up between these, both included (flow.md 22)."""


class FeePayer(StrEnum):
    """Who bears the platform's fee (`escrow_transactions.fee_payer`)."""

    BUYER = "buyer"
    SELLER = "seller"
    SPLIT = "split"


@dataclass(frozen=True, slots=True)
class Tier:
    """One tolerance tier: for dues below `below_minor` (None: any), `basis_points` of what is due,
    but at least `at_least_minor` and at most `at_most_minor` where given.
    """

    category: str
    below_minor: int | None
    basis_points: int
    at_least_minor: int | None = None
    at_most_minor: int | None = None


Tiers = Mapping[str, Sequence[Tier]]
"""Currency code → its tiers, smallest first; the last one has no upper end."""

DEFAULT_TIERS: Final[Tiers] = {
    "USD": (
        Tier("small", 50_00, 500, at_least_minor=50),
        Tier("medium", 500_00, 300),
        Tier("large", None, 100, at_most_minor=10_00),
    ),
    "KES": (
        Tier("small", 5_000_00, 500, at_least_minor=50_00),
        Tier("medium", 50_000_00, 300),
        Tier("large", None, 100, at_most_minor=1_000_00),
    ),
}

_CATEGORIES: Final = ("small", "medium", "large")


def parse_tiers(text: str) -> Tiers:
    """`TOLERANCE_TIERS` as JSON, per currency a list of {below, percent, at_least, at_most} in
    major units, the last without `below`. `ValueError` says what is wrong.
    """
    try:
        raw = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from error
    if not isinstance(raw, dict) or not raw:
        raise ValueError('expected {"KES": [{"below": 5000, "percent": 5, "at_least": 50}, …]}')
    tiers = dict(DEFAULT_TIERS)
    for code, rows in raw.items():
        currency = Currency.of(code)
        if not isinstance(rows, list) or not 1 <= len(rows) <= len(_CATEGORIES):
            raise ValueError(f"{code}: one to three tiers")
        tiers[code] = tuple(
            _tier(currency, row, category, last=index == len(rows) - 1)
            for index, (row, category) in enumerate(
                zip(rows, _CATEGORIES[-len(rows) :], strict=True)
            )
        )
        edges = [tier.below_minor for tier in tiers[code] if tier.below_minor is not None]
        if edges != sorted(set(edges)):
            raise ValueError(f"{code}: 'below' must rise from tier to tier")
    return tiers


def _tier(currency: Currency, row: Any, category: str, *, last: bool) -> Tier:
    if not isinstance(row, dict) or set(row) - {"below", "percent", "at_least", "at_most"}:
        raise ValueError(f"{currency}: a tier has below, percent, at_least and at_most")

    def minor(key: str) -> int | None:
        value = row.get(key)
        if value is None:
            return None
        if not isinstance(value, Decimal) or value <= 0:
            raise ValueError(f"{currency}: {key} must be a number above 0")
        return decimal_to_minor(value, currency)

    percent = row.get("percent")
    if (
        not isinstance(percent, Decimal)
        or not 0 <= percent <= TOLERANCE_CAP_PERCENT
        or (percent * 100) % 1
    ):
        raise ValueError(
            f"{currency}: every tier needs a percent between 0 and {TOLERANCE_CAP_PERCENT}, in 0.01"
        )
    if last == (row.get("below") is not None):
        raise ValueError(f"{currency}: every tier but the last has 'below'")
    points = int(percent * 100)
    return Tier(category, minor("below"), points, minor("at_least"), minor("at_most"))


def tiers_to_json(tiers: Sequence[Tier]) -> list[dict[str, Any]]:
    """The tiers a deal keeps for its whole life (`escrow_transactions.terms`)."""
    return [
        {
            "category": tier.category,
            "below_minor": tier.below_minor,
            "basis_points": tier.basis_points,
            "at_least_minor": tier.at_least_minor,
            "at_most_minor": tier.at_most_minor,
        }
        for tier in tiers
    ]


def tiers_from_json(rows: Sequence[Mapping[str, Any]]) -> tuple[Tier, ...]:
    """The inverse of `tiers_to_json`."""
    return tuple(Tier(**row) for row in rows)


@dataclass(frozen=True, slots=True)
class FeeRule:
    """fee = clamp(price × percent, min, max), rounded half up to the rail's step."""

    basis_points: int
    min_minor: int
    max_minor: int


@dataclass(frozen=True, slots=True)
class Quote:
    """Who pays what: `due` from the buyer, `holding` for the seller, `fee` for the platform."""

    price: Money
    fee: Money
    due: Money
    holding: Money


@dataclass(frozen=True, slots=True)
class Terms:
    """The platform's terms today. A deal keeps the part it was opened with (`deal_terms`)."""

    fees: Mapping[str, FeeRule] = field(
        default_factory=lambda: {
            "KES": FeeRule(100, 20_00, 1_000_00),
            "USD": FeeRule(100, 0, 10_00),
        }
    )
    deal_min_minor: Mapping[str, int] = field(default_factory=lambda: {"KES": 100_00, "USD": 5_00})
    deal_max_due_minor: Mapping[str, int] = field(
        default_factory=lambda: {"KES": 250_000_00, "USD": 2_000_00}
    )
    tiers: Tiers = field(default_factory=lambda: DEFAULT_TIERS)
    pay_window: timedelta = timedelta(hours=24)
    ship_window: timedelta = timedelta(hours=72)
    release_window: timedelta = timedelta(hours=168)
    inspection: timedelta = timedelta(0)
    require_shipping_proof: bool = True
    choice_window: timedelta = timedelta(minutes=10)
    answer_window: timedelta = timedelta(hours=48)  # for the other side of a dispute
    new_seller_open_deals: int = 3
    new_seller_deal_max_minor: int = 10_000_00
    new_seller_until: int = 5
    unconfirmed_limit_minor: int = 10_000_00
    reservation: timedelta = timedelta(minutes=30)
    reservations_per_user: int = 2
    prompt_grace: timedelta = timedelta(minutes=3)  # an open prompt holds the choice window
    repeat_prompt_after: timedelta = timedelta(minutes=2)  # Safaricom's rule 17
    prompt_life: timedelta = timedelta(minutes=10)  # then an unanswered attempt is closed
    query_after: timedelta = timedelta(seconds=75)  # rails.md 1.10
    unreachable_after: timedelta = timedelta(minutes=2)  # then the unconfirmed limit decides
    prompts_per_user_hour: int = 10
    prompts_per_foreign_number_hour: int = 3
    coin_quote: timedelta = timedelta(minutes=30)  # a quoted coin amount stands for so long
    rate_life: timedelta = timedelta(hours=24)  # a price of the dollar counts for so long
    addresses_per_user_hour: int = 10
    shortages_before_flag: int = 3
    shortage_days: int = 30
    unshipped_before_proposal: int = 3
    unshipped_days: int = 30
    remind_seller_days: tuple[int, ...] = (1, 2)  # after the deal was paid (flow.md 22)
    remind_buyer_days: tuple[int, ...] = (5, 6)  # after it was sent
    remind_from: time = REMIND_FROM  # of the local day; nobody is woken for a reminder
    remind_until: time = REMIND_UNTIL
    disputes_before_flag: int = 3  # flow.md 19
    dispute_days: int = 30
    dispute_rate_percent: int = 30  # more than that
    dispute_rate_deals: int = 5  # of so many or more
    dispute_rate_days: int = 60
    refunds_before_flag: int = 3
    refund_days: int = 14
    archive_after: timedelta = timedelta(days=90)  # flow.md 23
    reviewed_flag_life: timedelta = timedelta(days=30)
    raw_body_life: timedelta = timedelta(days=90)  # of callbacks that were processed
    update_body_life: timedelta = timedelta(days=30)
    conversation_life: timedelta = timedelta(days=30)
    notice_life: timedelta = timedelta(days=180)
    slot_life: timedelta = timedelta(days=90)

    def quote(self, price: Money, fee_payer: FeePayer) -> Quote:
        """What a deal of that price costs (flow.md 1). `LimitReached` outside the limits."""
        code = price.currency.code
        if price.minor < self.deal_min_minor[code]:
            raise LimitReached(
                "deal_too_small", minimum=Money(self.deal_min_minor[code], price.currency)
            )
        if not price.is_whole_step():
            raise LimitReached("not_whole", price=price)
        fee = self.fee(price)
        due = price
        if fee_payer is FeePayer.BUYER:
            due = price + fee
        elif fee_payer is FeePayer.SPLIT:
            due = price + _larger_half(fee)
        if due.minor > self.deal_max_due_minor[code]:
            raise LimitReached(
                "deal_too_large", maximum=Money(self.deal_max_due_minor[code], price.currency)
            )
        return Quote(price=price, fee=fee, due=due, holding=due - fee)

    def fee(self, price: Money) -> Money:
        """The platform's fee on that price, whole steps, never above 20 % of it."""
        rule = self.fees[price.currency.code]
        step = price.currency.step_minor
        raw = half_up(price.minor * rule.basis_points, 10_000 * step) * step
        cap = price.minor * FEE_CAP_PERCENT // 100 // step * step
        return Money(min(max(raw, rule.min_minor), rule.max_minor, cap), price.currency)

    def deal_terms(self, currency: Currency) -> dict[str, Any]:
        """What a deal opened today keeps, as JSON."""
        return {
            "tiers": tiers_to_json(self.tiers[currency.code]),
            "pay_seconds": int(self.pay_window.total_seconds()),
            "ship_seconds": int(self.ship_window.total_seconds()),
            "release_seconds": int(self.release_window.total_seconds()),
            "inspection_seconds": int(self.inspection.total_seconds()),
            "choice_seconds": int(self.choice_window.total_seconds()),
        }


class Level(StrEnum):
    """What a seller has shown so far (`escrow_sellers.level`)."""

    NEW = "NEW"
    BRONZE = "BRONZE"
    SILVER = "SILVER"
    GOLD = "GOLD"
    DIAMOND = "DIAMOND"


def level(sales: int, average: Fraction | None, lost_rate: Fraction) -> Level:
    """A seller's level (flow.md 20): `sales` are COMPLETED deals, `average` is of his stars (None:
    nobody rated), `lost_rate` the disputes he lost over the deals that ended with him.
    """
    stars = average or Fraction(0)
    if sales >= 100 and stars >= Fraction("4.8") and lost_rate < Fraction("0.05"):
        return Level.DIAMOND
    if sales >= 50 and stars >= Fraction("4.5"):
        return Level.GOLD
    if sales >= 20 and stars >= 4:
        return Level.SILVER
    return Level.BRONZE if sales >= 5 else Level.NEW


def _larger_half(fee: Money) -> Money:
    """The buyer's half of a split fee: the larger one, in whole steps."""
    step = fee.currency.step_minor
    return Money(-(-fee.minor // (2 * step)) * step, fee.currency)


@dataclass(frozen=True, slots=True)
class Division:
    """How the money of a funded deal is booked: `holding` for the seller, `fee` pending,
    `excess` to the buyer's wallet, `waived` borne by the platform.
    """

    holding: Money
    fee: Money
    excess: Money
    waived: Money


def divide_accepted(received: Money, due: Money, fee: Money) -> Division:
    """Money that the engine accepts: exact, over, or a tolerated shortage.

    A shortage is the platform's waiver: from the fee first, then from the price (flow.md 3).
    """
    zero = Money.zero(due.currency)
    if received <= zero:
        raise ValueError("an accepted amount is above zero")
    if received >= due:
        return Division(due - fee, fee, received - due, zero)
    short = due - received
    kept_fee = fee - short if short <= fee else zero
    return Division(received - kept_fee, kept_fee, zero, short)


def divide_partial(received: Money, due: Money, fee: Money) -> Division:
    """Money that the buyer chose to go on with: fee and price scaled by received / due
    (flow.md 4): the fee half up to the minor unit, the price takes the rest.
    """
    if not 0 < received.minor <= due.minor:
        raise ValueError("a partial amount is above zero and at most what is due")
    kept_fee = Money(half_up(fee.minor * received.minor, due.minor), due.currency)
    zero = Money.zero(due.currency)
    return Division(received - kept_fee, kept_fee, zero, zero)


@dataclass(frozen=True, slots=True)
class Shares:
    """Who gets what of everything held when a deal is divided; the three sum to the whole."""

    seller: Money
    buyer: Money
    fee: Money


def divide_split(holding: Money, fee: Money, buyer_percent: int) -> Shares:
    """Everything held by percent (flow.md 15): the buyer's share of holding and pending fee
    rounded up, the fee earned on the seller's share half up, the seller gets the rest.
    `ValueError` outside 0 to 100.
    """
    if not 0 <= buyer_percent <= 100:
        raise ValueError("a share is 0 to 100 percent")
    whole = holding + fee
    buyer = -(-whole.minor * buyer_percent // 100)
    earned = min(half_up(fee.minor * (100 - buyer_percent), 100), whole.minor - buyer)
    return _shares(whole, buyer, earned)


def divide_fixed(holding: Money, fee: Money, seller: Money) -> Shares:
    """A fixed amount for the seller (flow.md 15): the fee is earned in proportion, half up, the
    buyer gets the rest. `ValueError` when it is negative or more than is held for him.
    """
    if not 0 <= seller.minor <= holding.minor:
        raise ValueError("the seller gets between nothing and all that is held for him")
    whole = holding + fee
    earned = half_up(fee.minor * seller.minor, holding.minor)
    return _shares(whole, whole.minor - seller.minor - earned, earned)


def _shares(whole: Money, buyer: int, fee: int) -> Shares:
    currency = whole.currency
    return Shares(
        Money(whole.minor - buyer - fee, currency), Money(buyer, currency), Money(fee, currency)
    )


def choice_expires(first_money_at: datetime, window: timedelta) -> datetime:
    """The end of the underpayment window: it starts when `received` leaves 0 (flow.md 7)."""
    return first_money_at + window
