"""How a division of the money is typed, and how a button carries it; how admins type decisions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from escrow.bot.typed import means_code
from escrow.domain.errors import InvalidInput
from escrow.domain.money import Currency, Money

_PERCENTS: Final = re.compile(r"([0-9]{1,3}) ?%? ?[/:] ?([0-9]{1,3}) ?%?", re.ASCII)
_MONEY: Final = re.compile(r"(?:KES|KSH)?\.? ?([0-9.,]{1,16}?)(?:/[-=])?", re.ASCII | re.IGNORECASE)
_SPLIT: Final = re.compile(r"split(?::([0-9]{1,2}))?", re.ASCII)
_FIXED: Final = 1000
"""Numbers from here are amounts in minor units, below it percents; no button carries a 0."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A division as somebody wants it: the buyer's percent, or the seller's fixed amount."""

    buyer_percent: int | None = None
    seller_fixed: Money | None = None


def read_division(text: str, currency: Currency) -> Wish:
    """`70/30` (buyer/seller), or an amount for the seller: `200`. `InvalidInput`."""
    said = text.strip()
    percents = _PERCENTS.fullmatch(said)
    if percents:
        buyer, seller = int(percents[1]), int(percents[2])
        if buyer + seller != 100:
            raise InvalidInput("division")
        return Wish(buyer_percent=buyer)
    amount = _MONEY.fullmatch(said)
    if amount is None:
        raise InvalidInput("division")
    try:
        return Wish(seller_fixed=Money.parse(amount[1], currency))
    except ValueError as error:
        raise InvalidInput("division") from error


def to_number(wish: Wish) -> int:
    """What a button carries; always above 0."""
    if wish.seller_fixed is not None:
        return _FIXED + wish.seller_fixed.minor
    return 1 + (wish.buyer_percent or 0)


def from_number(number: int, currency: Currency) -> Wish:
    """The inverse of `to_number`; whether it can be done is seen where it is carried out."""
    if number >= _FIXED:
        return Wish(seller_fixed=Money(number - _FIXED, currency))
    return Wish(buyer_percent=number - 1)


def split_code(args: Sequence[str]) -> tuple[str, str]:
    """(code or empty, the rest) of what stands behind a command."""
    if args and means_code(args[0]):
        return args[0], " ".join(args[1:])
    return "", " ".join(args)


@dataclass(frozen=True, slots=True)
class Decision:
    """An admin's decision as typed: `ES… split:70 the photos are clear`."""

    deal: str
    decision: str
    buyer_percent: int | None
    notes: str


def read_decision(args: Sequence[str]) -> Decision:
    """`<CODE> <buyer|seller|split|split:NN> <notes>`; the notes are needed. `InvalidInput`."""
    if len(args) < 3:
        raise InvalidInput("decision", command="resolve_dispute")
    word = args[1].lower()
    split = _SPLIT.fullmatch(word)
    percent = int(split[1]) if split and split[1] else None
    if (split is None and word not in ("buyer", "seller")) or percent == 0:
        raise InvalidInput("decision", command="resolve_dispute")
    decision = "split" if split else word
    return Decision(args[0], decision, percent, " ".join(args[2:]))


def read_ruling(args: Sequence[str], command: str) -> tuple[str, str]:
    """`<CODE> [reason]`."""
    if not args:
        raise InvalidInput("usage", command=command)
    return args[0], " ".join(args[1:])
