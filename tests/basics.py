"""What every test counts with: people, amounts, terms, and a clock that is moved.

Amounts in these tests are whole shillings or dollars; the fee is 5 %, so that a price of 10,000 is
10,500 due, and 100 dollars are 105 (the seed's example).
"""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from escrow.domain.money import Currency, Money
from escrow.domain.terms import FeeRule, Terms

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
ADMIN, SECOND_ADMIN, JANE, BRIAN, OTIENO = 1001, 1002, 2001, 3001, 3002
ADMINS = (ADMIN, SECOND_ADMIN)
PHONES = {
    ADMIN: "254700000001",
    SECOND_ADMIN: "254700000002",
    JANE: "254712000111",
    BRIAN: "254722000222",
    OTIENO: "254733000333",
}
NAMES = {
    ADMIN: "Amina",
    SECOND_ADMIN: "Abdi",
    JANE: "Jane",
    BRIAN: "Brian",
    OTIENO: "Otieno",
}
SECRET = b"a secret that is only used by tests."

numbers = itertools.count(1)


def kes(amount: int | str) -> Money:
    """`kes(10_500)`, `kes("466.67")`."""
    return Money.from_decimal(Decimal(amount), Currency.KES)


def usd(amount: int | str) -> Money:
    return Money.from_decimal(Decimal(amount), Currency.USD)


def new_reference() -> str:
    """A receipt number that no other receipt of this run has."""
    return f"SG{next(numbers):08d}"


def terms(fee_percent: int = 5, **changes: Any) -> Terms:
    """Terms of the tests: a plain percentage, no limits on new sellers."""
    fees = {code: FeeRule(fee_percent * 100, 0, 100_000_00) for code in ("KES", "USD")}
    return Terms(**{"fees": fees, "new_seller_open_deals": 0, **changes})


class MovableClock:
    """Stands still until it is moved."""

    def __init__(self, at: datetime = NOW) -> None:
        self.at = at
        self.steady = True

    def now(self) -> datetime:
        return self.at

    def tick(self, **span: float) -> None:
        """`clock.tick(minutes=10)`."""
        self.at += timedelta(**span)


def flip(text: str, place: int) -> str:
    """The text with one character changed to a neighbour of its own kind."""
    swap = {"0": "1", "9": "8", "f": "e"}
    old = text[place]
    new = swap.get(old) or (chr(ord(old) + 1) if old.isalnum() else "x")
    return text[:place] + new + text[place + 1 :]
