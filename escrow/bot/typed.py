"""What people type after a command → values. `InvalidInput` names the command whose usage helps."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from escrow.domain import codes
from escrow.domain.errors import InvalidInput, LimitReached
from escrow.domain.money import Currency, Money
from escrow.domain.terms import Quote
from escrow_service import DESCRIPTION_CHARS, SHOP_NAME_CHARS

_SHILLINGS: Final = frozenset({"KES", "KSH"})
_DOLLARS: Final = re.compile(r"USD|US\$|\$", re.IGNORECASE | re.ASCII)
_BEFORE: Final = re.compile(r"^(?:KES|KSH)\.?", re.IGNORECASE | re.ASCII)
_AFTER: Final = re.compile(r"/[-=]$")
_RECEIPT: Final = re.compile(r"(?!ES[0-9]+$)(?=.*[0-9])[A-Z][A-Z0-9]{9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Offer:
    """A deal as its seller typed it."""

    price: Money
    description: str


def read_offer(words: Sequence[str]) -> Offer:
    """`1500 Blue phone case`, also `KSh 1,500/- Blue phone case`."""
    rest = list(words)
    if rest and _DOLLARS.match(rest[0]):
        raise LimitReached("dollars_later")
    if rest and rest[0].upper().rstrip(".") in _SHILLINGS:
        rest.pop(0)
    if len(rest) < 2:
        raise InvalidInput("usage", command="newdeal")
    try:
        price = Money.parse(_bare_amount(rest[0]), Currency.KES)
    except ValueError as error:
        raise InvalidInput("amount", typed=rest[0], command="newdeal") from error
    description = " ".join(rest[1:])
    if len(description) > DESCRIPTION_CHARS:
        raise InvalidInput("description", maximum=DESCRIPTION_CHARS, length=len(description))
    return Offer(price, description)


def _bare_amount(word: str) -> str:
    """`KES1500`, `Ksh.1,500/-` → the digits; what is left is read strictly."""
    return _AFTER.sub("", _BEFORE.sub("", word))


def quoted(quote: Callable[[Money], Quote], price: Money) -> Quote:
    """What a deal of that price costs; one that is too large hears the largest price there is."""
    try:
        return quote(price)
    except LimitReached as error:
        if error.reason == "deal_too_large":
            error.values["price"] = _largest(quote, error.values["maximum"])
        raise


def _largest(quote: Callable[[Money], Quote], maximum: Money) -> Money:
    """The largest whole price whose total is allowed, found by halving."""
    step = maximum.currency.step_minor
    low, high = 0, maximum.minor // step
    while low < high:
        middle = (low + high + 1) // 2
        try:
            quote(Money(middle * step, maximum.currency))
        except LimitReached as error:
            if error.reason == "deal_too_large":
                high = middle - 1
                continue
        low = middle
    return Money(low * step, maximum.currency)


def looks_like_receipt(text: str) -> bool:
    """Whether that is an M-Pesa message or a receipt number alone."""
    said = text.lower()
    if "confirmed" in said and "ksh" in said:
        return True
    return bool(_RECEIPT.fullmatch(text.strip()))


def means_code(text: str) -> bool:
    """Whether somebody means a deal by that. Without ES, ten digits that begin like a phone
    number are meant as one, right or wrong.
    """
    digits = codes.ten_digits(text)
    if digits is None:
        return False
    named = text.strip().upper().startswith("E")
    return named or not digits.startswith(("01", "07", "08"))


def read_shop_name(text: str) -> str:
    """A shop's name on one line."""
    name = " ".join(text.split())
    if not 2 <= len(name) <= SHOP_NAME_CHARS:
        raise InvalidInput("shop_name", maximum=SHOP_NAME_CHARS)
    return name


def read_row(words: Sequence[str], command: str) -> int:
    """A row or Telegram id."""
    text = words[0] if words else ""
    if not (text.isascii() and text.isdigit() and 0 < len(text) <= 18 and int(text)):
        raise InvalidInput("usage", command=command)
    return int(text)
