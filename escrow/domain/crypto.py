"""What coins are worth to a deal. Pure and exact: fractions inside, rounded once, in the books'
favour never by more than a minor unit.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Final

from escrow.domain.model import CryptoAttempt
from escrow.domain.money import MAX_MINOR, Currency, Money

COIN_DIGITS: Final = 18
"""Decimals of a coin amount that are kept (`numeric(38, 18)`)."""
_MOST_COINS: Final = Decimal(10) ** 20
_LOOKS: Final = tuple(
    timedelta(minutes=minutes)
    for minutes in (1, 5, 15, 60, 6 * 60, *(24 * 60 * day for day in range(1, 9)))
)
"""How long after its opening an attempt's provider is asked what he saw: at last daily for
eight days.
"""
PENDING_LOOK: Final = timedelta(minutes=15)
"""How often while coins are on their way."""
HOLD: Final = timedelta(hours=24)
"""How long coins on their way keep a window open, at most (flow.md 8)."""


def coins(amount: Decimal) -> Decimal:
    """A provider's coin amount as we keep it: at most 18 decimals, what is below is cut off.
    `ValueError` for NaN, infinity, a negative or an absurd amount.
    """
    if not amount.is_finite() or amount < 0 or amount >= _MOST_COINS:
        raise ValueError(f"not an amount of coins: {str(amount)[:40]}")
    if amount.adjusted() < -COIN_DIGITS:
        return Decimal(0)
    return cut(Fraction(amount))


def cut(value: Fraction) -> Decimal:
    """To the 18 decimals that are kept, the rest cut off; independent of any decimal context."""
    units = value * 10**COIN_DIGITS
    return Decimal(f"{units.numerator // units.denominator}E-{COIN_DIGITS}")


def dollars(amount: Money, kes_per_usd: Decimal | None) -> Money:
    """What has to be asked for in dollars so that `amount` is covered: rounded up to the cent.
    `ValueError` for shillings without a price.
    """
    if amount.currency is Currency.USD:
        return amount
    if kes_per_usd is None:
        raise ValueError("shillings need a price")
    major = Fraction(amount.minor * Currency.USD.scale, amount.currency.scale)
    exact = Fraction(major, Fraction(kes_per_usd))
    return Money(-(-exact.numerator // exact.denominator), Currency.USD)


def at_quote(attempt: CryptoAttempt, amount: Decimal) -> Money:
    """What that many coins are credited as within the quote's window: the same part of what was
    asked for as of the quoted coins, rounded down. Exactly the quote is exactly what was asked.
    """
    if attempt.coin_amount is None:
        raise ValueError(f"crypto attempt {attempt.id} has no quote")
    part = Fraction(Fraction(amount), Fraction(attempt.coin_amount))
    exact = attempt.amount.minor * part
    return _down(exact, attempt.amount.currency)


def at_price(currency: Currency, usd: Fraction, kes_per_usd: Decimal | None) -> Money:
    """What coins worth that many dollars are credited as, rounded down. `ValueError` for shillings
    without a price.
    """
    if currency is Currency.KES:
        if kes_per_usd is None:
            raise ValueError("shillings need a price")
        usd *= Fraction(kes_per_usd)
    return _down(usd * currency.scale, currency)


def _down(minor: Fraction, currency: Currency) -> Money:
    whole = minor.numerator // minor.denominator
    if whole < 0 or whole > MAX_MINOR:
        raise ValueError("the value is out of range")
    return Money(whole, currency)


def in_window(attempt: CryptoAttempt, seen_at: datetime) -> bool:
    """Whether coins first seen then are taken at the quote."""
    return attempt.expires_at is not None and seen_at <= attempt.expires_at


def next_look(opened_at: datetime, now: datetime) -> datetime | None:
    """When the provider is asked next what he saw; None: not any more."""
    return next((opened_at + after for after in _LOOKS if opened_at + after > now), None)


_NO_CASE: Final = re.compile(r"0x[0-9a-f]{40}|(bc1|ltc1)[0-9a-z]+", re.IGNORECASE | re.ASCII)


def same_address(one: str, other: str) -> bool:
    """Whether two spellings are one address: Ethereum's and bech32 have no case, base58 has."""
    if _NO_CASE.fullmatch(one) and _NO_CASE.fullmatch(other):
        return one.lower() == other.lower()
    return one == other


def reference(txid: str, attempt_id: int, coin: str, *, other: bool) -> str:
    """The receipt number of coins: one chain transaction may pay several of our addresses."""
    return f"{txid}#{attempt_id}" + (f":{coin}" if other else "")
