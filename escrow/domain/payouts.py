"""Money on its way out: what a payout is, and the limits of the rail that carries it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from escrow.domain.coins import Coin
from escrow.domain.money import Currency, Money

LEAST: Final = Money(10_00, Currency.KES)
MOST: Final = Money(250_000_00, Currency.KES)
"""What M-Pesa sends in one payment (rails.md 1.7)."""
LEAST_DOLLARS: Final = Money(10_00, Currency.USD)
"""Less is not worth a network's fee and a person's work."""
COOL_OFF: Final = timedelta(hours=24)
"""Nothing is sent to a changed number before its owner had a day to notice the change."""


class PayoutState(StrEnum):
    """READY → SENDING → PAID | FAILED | UNKNOWN; MANUAL: a person pays it, or finds out."""

    READY = "READY"
    SENDING = "SENDING"
    PAID = "PAID"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"
    MANUAL = "MANUAL"


@dataclass(frozen=True, slots=True)
class Payout:
    """A payout. `note` is a key of the words that say why it waits or how it ended. `named_…`: the
    receipt that an admin says paid it, while M-Pesa is asked. `receipt`: the one whose money goes
    back to its payer; nobody's money then, where `telegram_id` is None.
    """

    id: int
    telegram_id: int | None
    escrow_id: str | None
    leg: str | None
    amount: Money
    destination: str
    state: PayoutState
    note: str
    provider_reference: str | None
    looks: int
    created_at: datetime
    not_before: datetime | None = None
    named_reference: str | None = None
    named_by: int | None = None
    named_token: str | None = None
    receipt_id: int | None = None
    receipt: str | None = None

    @property
    def in_coins(self) -> bool:
        """Dollars: an admin sends coins by hand, and nothing of it is M-Pesa's."""
        return self.amount.currency is Currency.USD and self.receipt_id is None

    @property
    def coin(self) -> str:
        """The code of the coin that it is paid in; empty for shillings."""
        return self.destination.partition(":")[0] if self.in_coins else ""

    @property
    def address(self) -> str:
        """The address that the coins are sent to; empty for shillings."""
        return self.destination.partition(":")[2] if self.in_coins else ""

    @property
    def held(self) -> bool:
        """It became a person's task because its seller was suspended."""
        return self.state is PayoutState.MANUAL and self.note == "suspended"

    @property
    def is_open(self) -> bool:
        return self.state not in (PayoutState.PAID, PayoutState.FAILED)


@dataclass(frozen=True, slots=True)
class PayoutAttempt:
    """One request to the rail. `ocid` is our name for it, kept for its life."""

    id: int
    payout_id: int
    ocid: str
    token: str
    state: PayoutState
    conversation_id: str | None
    result_code: str | None


@dataclass(frozen=True, slots=True)
class InCoins:
    """Dollars that somebody wants as coins, at an address that was read (`addresses`)."""

    amount: Money
    coin: Coin
    address: str

    @property
    def destination(self) -> str:
        """What is frozen: `USDT-TRC20:T…`."""
        return f"{self.coin.code}:{self.address}"


def sendable(amount: Money) -> Money | None:
    """The whole shillings of it that M-Pesa can send; None when it can't."""
    if amount.currency is not Currency.KES:
        return None
    whole = Money(amount.minor - amount.minor % amount.currency.step_minor, amount.currency)
    return min(whole, MOST) if whole >= LEAST else None
