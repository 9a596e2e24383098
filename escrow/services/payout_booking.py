"""Decides and books money that leaves a wallet: wallet → payable, and the row of the payout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from escrow.domain.money import Money
from escrow.store.database import Connection


@dataclass(frozen=True, slots=True)
class SettledLeg:
    """One side's money from the end of a deal, already in its wallet; `leg` is buyer or seller."""

    escrow_id: str
    leg: str
    telegram_id: int
    amount: Money


@dataclass(frozen=True, slots=True)
class BookedPayout:
    """A payout on its way: `to` is the masked number."""

    id: int
    escrow_id: str | None
    leg: str | None
    amount: Money
    to: str


class PayoutBooking:
    """Books payouts inside the unit that settles a deal."""

    async def book_settled(
        self, conn: Connection, legs: Sequence[SettledLeg], now: datetime
    ) -> list[BookedPayout]:
        """Settled money goes to the phone by itself (flow.md 16). What stays in the wallet is
        simply not in the answer.
        """
        return []
