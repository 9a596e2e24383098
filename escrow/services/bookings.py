"""What an admin books by hand between our account at M-Pesa and ourselves: float put in, fees taken
out, M-Pesa's charges. Each receipt once, and never customers' money.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from escrow.domain.actions import Action, Preview
from escrow.domain.errors import InvalidInput, LimitReached, NotAllowed
from escrow.domain.model import Entry, Journal
from escrow.domain.money import Currency, Money
from escrow.services.floating import UTILITY, books_of
from escrow.services.payout_guards import not_ours
from escrow.store import floating, ledger, payouts, receipts
from escrow.store.database import Connection
from escrow.store.floating import Booking

FLOAT, WITHDRAW, CHARGE = "float", "withdraw", "charge"
_KES: Final = Currency.KES
_RECEIPT: Final = re.compile(r"[A-Z0-9]{10}", re.ASCII)
_OURS: Final[Mapping[str, tuple[str, str, int]]] = {
    FLOAT: ("owner", "", 1),
    WITHDRAW: ("owner", "", -1),
    CHARGE: ("costs", "mpesa", -1),
}
"""Kind → our account (kind, owner), and the sign of its entry; the account at M-Pesa gets the
opposite, for what is there stands below zero (money.md).
"""


class Book:
    """`/book`: an effect of `Actions`. Its target is what was typed behind the command."""

    kind = "book"

    async def preview(
        self,
        conn: Connection,
        target: str,
        params: Mapping[str, Any],
        admin: int,
        now: datetime,
    ) -> Preview:
        """`params`: `what`, `minor`, `receipt`. `NotAllowed` when that receipt is booked, or is a
        customer's (a charge may be for one); `LimitReached` above what is the operator's own by the
        books (a reading may know of this withdrawal already).
        """
        what, receipt = params["what"], params["receipt"]
        if what not in _OURS or not _RECEIPT.fullmatch(receipt):
            raise InvalidInput("booking", command=self.kind)
        amount = Money(params["minor"], _KES)
        await floating.lock_bookings(conn)
        await receipts.lock_key(conn, f"mpesa:{receipt}")  # as whoever takes it for a payment
        await _unused(conn, what, receipt)
        books = await books_of(conn)
        if what == WITHDRAW and amount > (most := books.to_take(books.at_provider)):
            raise LimitReached("above_yours", amount=amount, most=most)
        owner, name, sign = _OURS[what]
        sums = await floating.derived(conn)
        before = Money(sums.get((owner, name, _KES), 0), _KES)
        after = before + Money(sign * amount.minor, _KES)
        facts = {"what": what, "receipt": receipt, "before": before.minor, "after": after.minor}
        return Preview(None, amount, facts)

    async def perform(
        self, conn: Connection, action: Action, admin: int, now: datetime
    ) -> Mapping[str, Any]:
        """The journal and the row that keeps the receipt from being booked again."""
        what, receipt = action.params["what"], action.params["receipt"]
        await ledger.post(conn, [booked(what, receipt, action.amount, now)])
        await floating.add_booking(conn, Booking(what, receipt, action.amount, admin, now))
        return dict(action.facts)


async def _unused(conn: Connection, what: str, receipt: str) -> None:
    await not_ours(conn, receipt, charge=True)
    if what == CHARGE:  # of a customer's payment or payout, under its number
        return
    if await payouts.came_in(conn, receipt) or await payouts.numbered(conn, receipt):
        raise NotAllowed("booking_of_customer", receipt=receipt)


def booked(what: str, receipt: str, amount: Money, at: datetime) -> Journal:
    """Float in: owner up, and M-Pesa has more. Fees out: the opposite. A charge: costs down."""
    kind, owner, sign = _OURS[what]
    return Journal(
        f"book_{what}",
        f"book:{receipt}",
        amount.currency,
        (Entry(kind, owner, sign * amount.minor), Entry("external", UTILITY, -sign * amount.minor)),
        at,
    )


def read(words: list[str]) -> Mapping[str, Any]:
    """`float 5,000 SGL51H2K3M` as typed behind the command: the effect's `params`. Amounts as
    everywhere, in shillings. `InvalidInput`.
    """
    if len(words) != 3 or words[0].lower() not in _OURS:
        raise InvalidInput("booking", command=Book.kind)
    receipt = words[2].upper()
    if not _RECEIPT.fullmatch(receipt):
        raise InvalidInput("booking", command=Book.kind)
    try:
        amount = Money.parse(words[1], _KES)
    except ValueError:
        raise InvalidInput("amount", typed=words[1], command=Book.kind) from None
    return {"what": words[0].lower(), "minor": amount.minor, "receipt": receipt}


def target(params: Mapping[str, Any]) -> str:
    """The same in one spelling: `float 5000 SGL51H2K3M`."""
    whole, cents = divmod(params["minor"], _KES.scale)
    amount = f"{whole}.{cents:02d}" if cents else str(whole)
    return f"{params['what']} {amount} {params['receipt']}"
