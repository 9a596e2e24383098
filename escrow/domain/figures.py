"""What happened in some span of time, counted, and how a deal that held money ended."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Final

from escrow.domain.money import Currency, Money


@dataclass(frozen=True, slots=True)
class Counts:
    """What happened in some span of time, in one currency; amounts in minor units.

    `completed` and `refunded` count deals by how they ended; the amounts are where the money went,
    so that a split is in both of them.
    """

    opened: int = 0
    cancelled: int = 0
    disputed: int = 0
    funded: int = 0
    funded_minor: int = 0
    completed: int = 0
    refunded: int = 0
    released_minor: int = 0
    refunded_minor: int = 0
    fees_minor: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f) + getattr(other, f) for f in _FIELDS))

    @property
    def settled_minor(self) -> int:
        """What left the deals: every settlement divides all that was held."""
        return self.released_minor + self.refunded_minor + self.fees_minor


_FIELDS: Final = tuple(field.name for field in fields(Counts))

Days = dict[tuple[date, Currency], Counts]


@dataclass(frozen=True, slots=True)
class Settled:
    """A settlement with the receipts of its deal. `charge` is None where none was recorded."""

    at: datetime
    escrow_id: str
    event: str
    price: Money
    to_seller: Money
    to_buyer: Money
    fee: Money
    charge: Money | None
    receipts_in: str
    receipts_out: str

    @property
    def held(self) -> Money:
        return self.to_seller + self.to_buyer + self.fee
