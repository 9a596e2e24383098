"""Money that came in goes back to whoever paid it: out of suspense, or with the deal that it paid.
Both are an `Effect`: shown first, booked when it is confirmed, then sent like every payout.

What a receipt brought in goes back whole, or not at all. Its row becomes RETURNED or REVERSED when
the provider said yes, or an admin named the receipt of his own payment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from escrow.domain import flow, phone
from escrow.domain.actions import Action, Preview
from escrow.domain.errors import LimitReached, NotAllowed
from escrow.domain.flow import Actor, Event, Status
from escrow.domain.model import By, Escrow, Notice, PaymentOutcome, ReceiptState, StoredReceipt
from escrow.domain.money import Money
from escrow.domain.payouts import Payout, PayoutState
from escrow.domain.terms import Terms
from escrow.services import endings
from escrow.services.actions import Effect
from escrow.services.assignments import Assignment
from escrow.services.dividing import Dividing, facts, noted, parts, sides
from escrow.services.fund_manager import EscrowFundManager
from escrow.services.payout_booking import PayoutBooking
from escrow.services.ports import Clock
from escrow.services.receipts import locked_receipt, must_be
from escrow.store import escrows, ledger, outbox, people, unmatched
from escrow.store.database import Connection, Database

SEND_BACK: Final = "send_back"
REVERSE: Final = "reverse"
_IN_WALLET: Final = frozenset(
    {str(PaymentOutcome.TO_WALLET), str(PaymentOutcome.REFUNDED_TO_WALLET)}
)


def receipt_effects(
    database: Database,
    clock: Clock,
    platform: Terms,
    admins: Sequence[int],
    booking: PayoutBooking,
    funds: EscrowFundManager,
) -> list[Effect]:
    """What admins may do with a receipt."""
    reverse = Reverse(database, clock, platform, admins, booking)
    return [Assignment(funds), SendBack(booking), reverse]


@dataclass(frozen=True, slots=True)
class _Found:
    """A locked receipt that may go back: `ends` its funded deal."""

    receipt: StoredReceipt
    paid_from: str
    escrow: Escrow | None
    ends: Escrow | None = None


class SendBack:
    """A receipt in suspense goes back to its payer. Target: the receipt."""

    kind = SEND_BACK

    def __init__(self, booking: PayoutBooking) -> None:
        self._booking = booking

    async def preview(
        self, conn: Connection, target: str, params: Mapping[str, Any], admin: int, now: datetime
    ) -> Preview:
        """How much, to whom, by what. `NotFound`, `NotAllowed` (not in suspense, on its way)."""
        found = await self._look(conn, target)
        amount = found.receipt.amount
        return Preview(_code(found), amount, _shown(found, self._booking), _parties(found))

    async def perform(
        self, conn: Connection, action: Action, admin: int, now: datetime
    ) -> Mapping[str, Any]:
        """suspense → payable."""
        found = await self._look(conn, action.target)
        payout = await _book(conn, self._booking, found, action, admin, now)
        return {**action.facts, **_booked(payout)}

    async def _look(self, conn: Connection, target: str) -> _Found:
        receipt = await locked_receipt(conn, target)
        must_be(receipt, ReceiptState.SUSPENSE)
        paid_from, _ = await _may_go_back(conn, receipt)
        escrow = await escrows.get(conn, receipt.escrow_id) if receipt.escrow_id else None
        return _Found(receipt, paid_from, escrow)


class Reverse(Dividing):
    """A credited receipt goes back to its payer, and the funded deal that it paid ends as refunded:
    without a payout of its own, because the money leaves by the reversal. Target: the receipt;
    `params`: `reason`.
    """

    kind = REVERSE

    def __init__(
        self,
        database: Database,
        clock: Clock,
        platform: Terms,
        admins: Sequence[int],
        booking: PayoutBooking,
    ) -> None:
        super().__init__(database, clock, platform, admins, PayoutBooking())
        self._booking = booking

    async def preview(
        self, conn: Connection, target: str, params: Mapping[str, Any], admin: int, now: datetime
    ) -> Preview:
        """What ends, what goes back, what stays in the wallet. `NotFound`; `NotAllowed` when it was
        not credited, did its work already, or can't be taken apart; `LimitReached` when the wallet
        is short.
        """
        found = await self._look(conn, target)
        amount, ends = found.receipt.amount, found.ends
        owner = found.receipt.telegram_id
        assert owner is not None  # noqa: S101 a credited receipt has one
        person = await people.person(conn, owner)
        held = endings.whole(ends) if ends else Money.zero(amount.currency)
        wallet = await ledger.lock_wallet(conn, owner, amount.currency)
        if wallet + held < amount:
            raise LimitReached(
                "reverse_short",
                reference=found.receipt.reference,
                wallet=wallet + held,
                amount=amount,
            )
        said = {
            **_shown(found, self._booking),
            "person": owner,
            "name": person.first_name if person else "",
            "ends": ends is not None,
            "status": str(found.escrow.status) if found.escrow else None,
            "refund": str(held),
            "left": str(wallet + held - amount),
            "reason": noted(str(params.get("reason") or "")),
        }
        return Preview(_code(found), max(amount, held), said, _parties(found))

    async def perform(
        self, conn: Connection, action: Action, admin: int, now: datetime
    ) -> Mapping[str, Any]:
        """holding and pending fee → wallet, wallet → payable, in this unit."""
        found = await self._look(conn, action.target)
        reason = noted(str(action.params.get("reason") or ""))
        told: list[tuple[str, int, Mapping[str, str]]] = []
        if found.ends is not None:
            by = self._judge(found.ends, admin)
            shares = self.preview_division(found.ends, buyer_percent=100)
            ended = await self._divide(
                conn,
                found.ends,
                Event.MANUAL_REFUND,
                by,
                shares,
                now,
                resolution="buyer",
                buyer_percent=100,
                notes=reason,
                data={"cause": action.cause, "receipt": action.target, **action.signed},
            )
            told = [(role, one, parts(ended.shares)) for role, one in sides(found.ends)]
        elif found.receipt.telegram_id is not None:
            told = [("buyer", found.receipt.telegram_id, {})]
        payout = await _book(conn, self._booking, found, action, admin, now)
        values = {
            "amount": str(payout.amount),
            "receipt": payout.receipt,
            "ends": found.ends is not None,
            "reason": reason,
        }
        notices = [
            Notice(
                action.cause,
                "receipt_reversing",
                person,
                {
                    **(facts(found.escrow, role) if found.escrow else {"role": role, "code": None}),
                    **shared,
                    **values,
                },
                _code(found),
            )
            for role, person, shared in told
        ]
        await outbox.queue(conn, notices, now)
        return {**action.facts, **_booked(payout)}

    async def _look(self, conn: Connection, target: str) -> _Found:
        receipt = await locked_receipt(conn, target)
        must_be(receipt, ReceiptState.CREDITED)
        paid_from, fitted = await _may_go_back(conn, receipt)
        if fitted:
            raise NotAllowed("reverse_unsure", reference=receipt.reference)
        escrow = await escrows.get(conn, receipt.escrow_id) if receipt.escrow_id else None
        ends = await self._ends(conn, receipt, escrow)
        return _Found(receipt, paid_from, escrow, ends)

    async def _ends(
        self, conn: Connection, receipt: StoredReceipt, escrow: Escrow | None
    ) -> Escrow | None:
        """The funded deal that has to end with it; None where its money lies in the wallet."""
        if escrow is None or receipt.outcome.get("outcome") in _IN_WALLET:
            return None
        if await unmatched.went_to_wallet(conn, receipt.id):
            return None  # nobody chose in time, or it was cancelled; what came later paid it
        if escrow.status in flow.sources_of(Event.MANUAL_REFUND):
            if await unmatched.used_wallet(conn, escrow.id):
                raise NotAllowed("reverse_wallet_part", code=escrow.id)
            return escrow
        if escrow.status is Status.PENDING and escrow.received:
            raise NotAllowed("reverse_undecided", code=escrow.id)
        if escrow.held_price is not None:
            raise NotAllowed(
                "reverse_settled",
                reference=receipt.reference,
                code=escrow.id,
                status=str(escrow.status),
            )
        return None


async def _may_go_back(conn: Connection, receipt: StoredReceipt) -> tuple[str, bool]:
    """(the payer's number as far as it is known, whether the receipt's own is only fitted).
    `NotAllowed` for what M-Pesa did not bring.
    """
    if receipt.provider != "mpesa":
        raise NotAllowed("reverse_crypto", reference=receipt.reference)
    return await unmatched.paid_from(conn, receipt.id)


async def _book(
    conn: Connection,
    booking: PayoutBooking,
    found: _Found,
    action: Action,
    admin: int,
    now: datetime,
) -> Payout:
    payout = await booking.book_back(conn, found.receipt, found.paid_from, action.cause, now)
    if found.escrow is not None:
        said = {"receipt": payout.receipt, "payout": payout.id, **action.signed}
        by = By(Actor.ADMIN, admin)
        await escrows.note(conn, found.escrow.id, "receipt_goes_back", by, now, **said)
    return payout


def _shown(found: _Found, booking: PayoutBooking) -> dict[str, Any]:
    receipt = found.receipt
    return {
        "reference": receipt.reference,
        "amount": str(receipt.amount),
        "payer": phone.mask_shown(found.paid_from),
        "code": _code(found),
        "by_hand": booking.way_back(receipt),
    }


def _booked(payout: Payout) -> dict[str, Any]:
    return {"payout": payout.id, "waits": payout.state is PayoutState.MANUAL}


def _code(found: _Found) -> str | None:
    return found.escrow.id if found.escrow else None


def _parties(found: _Found) -> frozenset[int]:
    both = [one for _, one in sides(found.escrow)] if found.escrow else []
    owner = found.receipt.telegram_id
    return frozenset(both if owner is None else [*both, owner])
