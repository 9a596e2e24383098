"""What a provider's statement of account says, and what was found when it lay beside the books."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from escrow.domain.money import Money


class RowKind(StrEnum):
    """What a row of a statement is about."""

    PAYMENT = "payment"  # a customer paid us
    PAYOUT = "payout"  # we paid a person
    CHARGE = "charge"  # the provider's fee
    REVERSAL = "reversal"  # a payment was taken back
    MOVED = "moved"  # between our own accounts, or our bank
    OTHER = "other"  # words that nobody has explained to us


@dataclass(frozen=True, slots=True)
class StatementRow:
    """One completed row. `amount` is below zero where money left; `linked` is the receipt that a
    reversal is of; `party` and `account` are as the provider and the payer wrote them.
    """

    line: int
    receipt: str
    at: datetime
    kind: RowKind
    words: str
    amount: Money
    balance: Money | None = None
    party: str = ""
    linked: str = ""
    account: str = ""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A line that could not be read: which field of it, a key of the words."""

    line: int
    why: str


@dataclass(frozen=True, slots=True)
class Statement:
    """A file that was read. `unfinished` rows moved no money; `shortcode` is empty where the file
    does not name one.
    """

    rows: tuple[StatementRow, ...]
    bad: tuple[BadRow, ...]
    unfinished: int = 0
    shortcode: str = ""

    @property
    def last(self) -> StatementRow | None:
        """The newest row that names a balance; of two at once, the file's own order decides."""
        named = [one for one in self.rows if one.balance is not None]
        if not named:
            return None
        newest_first = self.rows[0].at >= self.rows[-1].at
        best = named[0]
        for one in named[1:]:
            if one.at > best.at or (one.at == best.at and not newest_first):
                best = one
        return best


class BreakKind(StrEnum):
    """How statement and books differ, the gravest first."""

    MISSING_PAYMENT = "missing_payment"  # we credited it, the statement does not have it
    MISSING_PAYOUT = "missing_payout"  # we hold it paid, the statement does not have it
    OTHER_AMOUNT = "other_amount"  # both have it, the amounts differ
    REVERSED = "reversed"  # M-Pesa took back what we had credited
    REVERSED_PART = "reversed_part"  # another amount was taken back than came in: nothing posted
    UNKNOWN_PAYOUT = "unknown_payout"  # money left that we know nothing of
    PAYOUT_SHOWN = "payout_shown"  # an open payout of ours that it may show as paid
    UNKNOWN_PAYMENT = "unknown_payment"  # money came in that we had not heard of
    NO_NUMBER = "no_number"  # credited by a query, and no row fits
    UNKNOWN_REVERSAL = "unknown_reversal"  # of a receipt that we don't know
    NOT_POSTED = "not_posted"  # both know it, nobody is credited with it yet
    OTHER_CHARGE = "other_charge"  # this receipt's charge is booked with another amount
    NOT_BOOKED = "not_booked"  # money of ours that moved, and /book does not know it
    UNCLEAR = "unclear"  # a row whose words we don't know


@dataclass(frozen=True, slots=True)
class Break:
    """One difference by name. `amount` is the statement's, or ours where it has none; `ours` is
    what the books say where both speak. `note`: a key of the words; `row`: the file's line;
    `known`: our receipt's row.
    """

    kind: BreakKind
    receipt: str
    amount: Money
    at: datetime
    ours: Money | None = None
    code: str | None = None
    payout: int | None = None
    note: str = ""
    words: str = ""
    row: int | None = None
    known: int | None = None


@dataclass(frozen=True, slots=True)
class Balance:
    """The statement's last balance and what the books had at that time."""

    at: datetime
    says: Money
    books: Money

    @property
    def off(self) -> Money:
        return self.says - self.books


@dataclass(slots=True)
class Compared:
    """What came of a statement. `charges` are those booked now; `left`: payments that were not
    asked about because there were too many at once; `paused`: nothing was done, only compared.
    """

    statement: Statement
    matched: int = 0
    charges: int = 0
    charged: Money | None = None
    charges_known: int = 0
    asked: int = 0
    left: int = 0
    breaks: list[Break] = field(default_factory=list)
    balance: Balance | None = None
    paused: bool = False
