"""Exact money: a whole number of minor units and its currency. Nothing rounds silently."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Final

MAX_MINOR: Final = 10**15
"""No amount is larger (ten thousand milliards): far above any limit, far below a bigint's end."""

_TYPED: Final = re.compile(r"[1-9][0-9]{0,2}(,?[0-9]{3}){0,2}(\.[0-9]{1,2})?", re.ASCII)


class Currency(Enum):
    """A currency of the books: its code, its minor digits, the step a rail can move."""

    KES = ("KES", 2, 100)  # M-Pesa moves whole shillings
    USD = ("USD", 2, 1)

    def __init__(self, code: str, digits: int, step_minor: int) -> None:
        self.code = code
        self.digits = digits
        self.step_minor = step_minor
        self.scale: int = 10**digits

    @classmethod
    def of(cls, code: str) -> Currency:
        """The currency of that code. `ValueError` when the books know none."""
        found = cls.__members__.get(code) if isinstance(code, str) else None
        if found is None:
            raise ValueError(f"unknown currency {code!r}: use one of {', '.join(cls.__members__)}")
        return found

    def __str__(self) -> str:
        return self.code


@dataclass(frozen=True, slots=True)
class Money:
    """`minor` units (cents) of `currency`. Refuses float, bool and a mix of currencies."""

    minor: int
    currency: Currency

    def __post_init__(self) -> None:
        if type(self.minor) is not int:
            raise TypeError(f"money is a whole number of minor units, not {self.minor!r}")
        if abs(self.minor) > MAX_MINOR:
            raise ValueError(f"{self.minor} minor units are more than the books can hold")
        if type(self.currency) is not Currency:
            raise TypeError(f"not a currency: {self.currency!r}")

    @classmethod
    def zero(cls, currency: Currency) -> Money:
        return cls(0, currency)

    @classmethod
    def from_decimal(cls, amount: Decimal, currency: Currency) -> Money:
        """Exact or `ValueError`: 1.005 KES is refused, 1.00000 is 1."""
        return cls(decimal_to_minor(amount, currency), currency)

    @classmethod
    def parse(cls, text: str, currency: Currency) -> Money:
        """An amount as people type it: `1500`, `1,500`, `1500.50` (flow.md 24).

        ASCII digits only, nothing below one unit. `ValueError` otherwise.
        """
        if not _TYPED.fullmatch(text):
            raise ValueError(f"not an amount: {text[:40]!r}")
        return cls.from_decimal(Decimal(text.replace(",", "")), currency)

    def to_decimal(self) -> Decimal:
        """Major units with the currency's digits: 10_500 KES minor is `Decimal('105.00')`."""
        return minor_to_decimal(self.minor, self.currency)

    def is_whole_step(self) -> bool:
        """Whether a rail can move exactly this (M-Pesa: whole shillings)."""
        return self.minor % self.currency.step_minor == 0

    def up_to_step(self) -> Money:
        """The next amount a rail can move, this one or more."""
        step = self.currency.step_minor
        return Money(-(-self.minor // step) * step, self.currency)

    def _same(self, other: Money) -> None:
        if not isinstance(other, Money):
            raise TypeError(f"money can't be mixed with {other!r}")
        if other.currency is not self.currency:
            raise ValueError(f"{self.currency} and {other.currency} can't be mixed")

    def __add__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.minor + other.minor, self.currency)

    def __sub__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.minor - other.minor, self.currency)

    def __neg__(self) -> Money:
        return Money(-self.minor, self.currency)

    def __lt__(self, other: Money) -> bool:
        self._same(other)
        return self.minor < other.minor

    def __le__(self, other: Money) -> bool:
        self._same(other)
        return self.minor <= other.minor

    def __gt__(self, other: Money) -> bool:
        self._same(other)
        return self.minor > other.minor

    def __ge__(self, other: Money) -> bool:
        self._same(other)
        return self.minor >= other.minor

    def __bool__(self) -> bool:
        return self.minor != 0

    def __str__(self) -> str:
        """`KES 10,500` or `USD 104.50`: the minor digits only when there are some."""
        sign = "-" if self.minor < 0 else ""
        whole, rest = divmod(abs(self.minor), self.currency.scale)
        tail = f".{rest:0{self.currency.digits}d}" if rest else ""
        return f"{sign}{self.currency.code} {whole:,}{tail}"


def decimal_to_minor(amount: Decimal, currency: Currency) -> int:
    """Major units to minor units, exactly.

    `TypeError` for anything but a Decimal; `ValueError` for NaN, infinity, more digits than the
    currency has, or a value beyond the books. Independent of the caller's decimal context.
    """
    if type(amount) is not Decimal:
        raise TypeError(f"amounts are Decimal, not {type(amount).__name__}: {amount!r}")
    if not amount.is_finite():
        raise ValueError(f"not a finite amount: {amount}")
    if not amount:
        return 0
    if not -12 <= amount.adjusted() <= 15 or len(amount.as_tuple().digits) > 60:
        raise ValueError("the amount is out of range or has too many digits")
    numerator, denominator = amount.as_integer_ratio()
    minor, left = divmod(numerator * int(currency.scale), denominator)
    if left:
        raise ValueError(f"{amount} has more than {currency.digits} decimals")
    if abs(minor) > MAX_MINOR:
        raise ValueError(f"{amount} is more than the books can hold")
    return minor


def minor_to_decimal(minor: int, currency: Currency) -> Decimal:
    """Minor units as an exact Decimal in major units."""
    return Decimal(f"{minor}E-{currency.digits}")


def half_up(numerator: int, denominator: int) -> int:
    """numerator / denominator to the nearest whole number, halves up; both not negative."""
    if numerator < 0 or denominator <= 0:
        raise ValueError("half_up takes a fraction that is not negative")
    return (2 * numerator + denominator) // (2 * denominator)
