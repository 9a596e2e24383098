"""What people type after a command → values. `InvalidInput` names the command whose usage helps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from escrow.domain.errors import InvalidInput
from escrow.domain.money import Currency, Money
from escrow_service import DESCRIPTION_CHARS, SHOP_NAME_CHARS


@dataclass(frozen=True, slots=True)
class Offer:
    """A deal as its seller typed it."""

    price: Money
    description: str


def read_offer(words: Sequence[str]) -> Offer:
    """`1500 Blue phone case` or `USD 100 Logo design`."""
    rest = list(words)
    currency = Currency.KES
    if rest and rest[0].upper() in Currency.__members__:
        currency = Currency.of(rest.pop(0).upper())
    if len(rest) < 2:
        raise InvalidInput("usage", command="newdeal")
    try:
        price = Money.parse(rest[0], currency)
    except ValueError as error:
        raise InvalidInput("amount", typed=rest[0], command="newdeal") from error
    description = " ".join(rest[1:])
    if len(description) > DESCRIPTION_CHARS:
        raise InvalidInput("description", maximum=DESCRIPTION_CHARS)
    return Offer(price, description)


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
