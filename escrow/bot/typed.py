"""What people type after a command → values. `InvalidInput` names the command whose usage helps."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from escrow.bot.page import clean
from escrow.bot.phones import looks_like_phone
from escrow.domain import codes
from escrow.domain.errors import InvalidInput, LimitReached
from escrow.domain.money import Currency, Money
from escrow.domain.terms import Quote
from escrow_service import DESCRIPTION_CHARS, SHOP_NAME_CHARS

_SHILLINGS: Final = frozenset({"KES", "KSH"})
_DOLLARS: Final = re.compile(r"USD|US\$|\$", re.IGNORECASE | re.ASCII)
_BEFORE: Final = re.compile(r"^(?:KES|KSH)\.?", re.IGNORECASE | re.ASCII)
_LAST: Final = re.compile(r"^([0-9].*?) ?(KES|KSH|USD|US\$|\$)$", re.IGNORECASE | re.ASCII)
"""A currency behind its amount: it must never be read as part of what is sold."""
_AFTER: Final = re.compile(r"/[-=]$")


@dataclass(frozen=True, slots=True)
class Offer:
    """A deal as its seller typed it."""

    price: Money
    description: str


def read_offer(words: Sequence[str], currency: Currency = Currency.KES) -> Offer:
    """`1500 Blue phone case`, also `KSh 1,500/- Blue phone case`, `USD 100 Logo`. `currency` where
    none is named.
    """
    rest = list(words)
    size = 2 if any(_is_currency(word) for word in rest[:2]) else 1  # of the amount, in words
    if len(rest) <= size:
        raise InvalidInput("usage", command="newdeal")
    price = read_amount(" ".join(rest[:size]), "newdeal", currency)
    description = " ".join(rest[size:])
    if len(description) > DESCRIPTION_CHARS:
        raise InvalidInput("description", maximum=DESCRIPTION_CHARS, length=len(description))
    return Offer(price, description)


def _is_currency(word: str) -> bool:
    return word.upper().rstrip(".") in _SHILLINGS or bool(_DOLLARS.fullmatch(word))


def read_amount(typed: str, command: str, currency: Currency = Currency.KES) -> Money:
    """An amount: `500` in that currency, `KES 1,500`, `USD 100`, `100 USD`."""
    text = _LAST.sub(r"\2 \1", typed.strip())
    if _DOLLARS.match(text):
        currency, text = Currency.USD, _DOLLARS.sub("", text, count=1).strip()
    elif _BEFORE.match(text):
        currency, text = Currency.KES, _BEFORE.sub("", text, count=1).strip()
    try:
        return Money.parse(_AFTER.sub("", text).strip(), currency)
    except ValueError as error:
        raise InvalidInput("amount", typed=typed, command=command) from error


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


def means_code(text: str) -> bool:
    """Whether somebody means a deal by that. Without ES, ten digits that begin like a phone
    number are meant as one, right or wrong.
    """
    digits = codes.ten_digits(text)
    if digits is None:
        return False
    named = text.strip().upper().startswith("E")
    return named or not digits.startswith(("01", "07", "08"))


def split_code(words: Sequence[str]) -> tuple[str, str]:
    """`ES1008257624 G4S 12345` → the code and the rest; the code may stand in pieces (`ES 1008
    257624`), be wrong, or be missing (empty).
    """
    for count in range(1, min(len(words), 4) + 1):
        code = codes.read_code(" ".join(words[:count]))
        if code is not None:
            return code, " ".join(words[count:])
    if words and words[0].upper().startswith("ES") and codes.ten_digits(words[0]):
        return words[0], " ".join(words[1:])
    return "", " ".join(words)


def names_tracking(text: str) -> bool:
    """Whether a tracking number can stand in that."""
    return any(char.isdigit() for char in text) and not looks_like_phone(text)


def read_tracking(text: str) -> str:
    """A tracking number with whatever stands around it. What has no digit in it was meant for
    somebody else, and so was a phone number.
    """
    if not names_tracking(text):
        raise InvalidInput("tracking_number")
    return " ".join(text.split())


def read_shop_name(text: str) -> str:
    """A shop's name on one line."""
    name = " ".join(text.split())
    if not 2 <= len(name) <= SHOP_NAME_CHARS:
        raise InvalidInput("shop_name", maximum=SHOP_NAME_CHARS)
    return name


def read_price(text: str, currency: Currency = Currency.KES) -> Money:
    """A price alone; `currency` where none is named."""
    return read_amount(text, "newdeal", currency)


def read_description(text: str) -> str:
    """What is sold, on one line."""
    description = " ".join(text.split())
    if not 1 <= len(description) <= DESCRIPTION_CHARS:
        raise InvalidInput("description", maximum=DESCRIPTION_CHARS, length=len(description))
    return description


def shop_name_of(first_name: str) -> str:
    """What a shop is called whose seller has not named it: like himself."""
    name = clean(first_name, SHOP_NAME_CHARS)
    if any(char.isalnum() for char in name):
        return name if len(name) >= 2 else f"{name} Shop"
    return "New Shop"


@dataclass(frozen=True, slots=True)
class TypedRating:
    """What stands behind /rate, as far as it was typed."""

    code: str | None
    stars: int | None
    words: str | None


def read_rating(words: Sequence[str]) -> TypedRating:
    """`ES1008257624 5 good`, without the code, or nothing at all."""
    rest = list(words)
    code = rest.pop(0) if rest and means_code(rest[0]) else None
    if not rest:
        return TypedRating(code, None, None)
    if rest[0] not in ("1", "2", "3", "4", "5"):
        raise InvalidInput("usage", command="rate")
    return TypedRating(code, int(rest[0]), " ".join(rest[1:]) or None)


def read_row(words: Sequence[str], command: str) -> int:
    """A row or Telegram id."""
    text = words[0] if words else ""
    if not (text.isascii() and text.isdigit() and 0 < len(text) <= 18 and int(text)):
        raise InvalidInput("usage", command=command)
    return int(text)
