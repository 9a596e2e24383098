"""Somebody says that he has paid: what stands in the M-Pesa message he sends, and what becomes of
his claim. The message proves nothing; it only names what M-Pesa can be asked about.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Final

from escrow.domain import codes
from escrow.domain.money import Currency, Money

_WORD: Final = re.compile(r"(?!ES[0-9]+$)(?=.*[0-9])[A-Z][A-Z0-9]{9}", re.ASCII)
_LETTERS: Final = re.compile(r"[A-Z]{10}", re.ASCII)
"""A receipt may be without a digit: believed as one where somebody says that it is one."""
_FIRST: Final = re.compile(r"[^A-Za-z0-9]*([A-Za-z0-9]{10})(?![A-Za-z0-9])", re.ASCII)
_AMOUNT: Final = re.compile(
    r"(?:Ksh|KES)\.?\s*([0-9][0-9,]{0,12}(?:\.[0-9]{2})?)", re.ASCII | re.IGNORECASE
)
_ACCOUNT: Final = re.compile(
    r"(?:account|akaunti)(?:\s+(?:no|number|nambari|namba))?\.?\s*(ES ?[0-9]{10}|[0-9]{10})\b"
    r"|\b(ES[0-9]{10})\b",
    re.ASCII | re.IGNORECASE,
)
_TIME: Final = re.compile(
    r"\b([0-9]{1,2}/[0-9]{1,2}/[0-9]{2})\s+(?:at|saa)\s+([0-9]{1,2}:[0-9]{2})\s*([AP]M)\b",
    re.ASCII | re.IGNORECASE,
)
_NAIROBI: Final = timezone(timedelta(hours=3))
_CONFIRMED: Final = ("confirmed", "imethibitishwa")
_TEXT_MAX: Final = 1000


class ClaimState(StrEnum):
    """`payment_claims.state`."""

    ASKED = "ASKED"  # M-Pesa is asked about the receipt
    WAITING = "WAITING"  # the receipt is known and waits for its own confirmation
    PERSON = "PERSON"  # an admin decides
    CREDITED = "CREDITED"
    DENIED = "DENIED"


@dataclass(frozen=True, slots=True)
class Message:
    """What an M-Pesa message names: the receipt, and the amount, deal and time where it says so."""

    reference: str
    amount: Money | None = None
    deal: str | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A row of `payment_claims`. `claimed` and `said_at` are what the message said, `amount`,
    `payer_shown` and `happened_at` what M-Pesa said of the receipt; `why` is how it was decided, or
    why a person has to.
    """

    id: int
    token: str
    telegram_id: int
    escrow_id: str | None
    reference: str
    receipt_id: int | None
    state: ClaimState
    why: str
    claimed: Money | None
    amount: Money | None
    payer_shown: str
    happened_at: datetime | None
    created_at: datetime
    checks: int
    said_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        return self.state not in (ClaimState.CREDITED, ClaimState.DENIED)


def read_message(text: str) -> Message | None:
    """The receipt in a pasted M-Pesa message (English or Kiswahili) or in a receipt number alone;
    None when there is none at its beginning.
    """
    cut = text[:_TEXT_MAX]
    first = _FIRST.match(cut)
    if first is None:
        return None
    if not (_WORD.fullmatch(first[1].upper()) or _LETTERS.fullmatch(first[1])):
        return None
    rest = cut[first.end() :]
    amount = _AMOUNT.search(rest)
    account = _ACCOUNT.search(rest)
    deal = codes.read_code(account[1] or account[2]) if account else None
    time = _TIME.search(rest)
    return Message(
        first[1].upper(),
        _shillings(amount[1]) if amount else None,
        deal,
        _time(" ".join(time.groups())) if time else None,
    )


def _time(words: str) -> datetime | None:
    """`23/11/26 12:05 PM` on a clock in Nairobi."""
    try:
        read = datetime.strptime(words.upper(), "%d/%m/%y %I:%M %p")  # noqa: DTZ007 its zone is next
    except ValueError:
        return None
    return read.replace(tzinfo=_NAIROBI).astimezone(UTC)


def _shillings(digits: str) -> Money | None:
    try:
        amount = Money.parse(digits, Currency.KES)
    except ValueError:
        return None
    return amount if amount.minor > 0 else None


def looks_like_message(text: str) -> bool:
    """Whether that is an M-Pesa message, or a receipt number alone."""
    said = text.lower()
    if any(word in said for word in _CONFIRMED) and ("ksh" in said or "kes" in said):
        return True
    return bool(_WORD.fullmatch(text.strip()))
