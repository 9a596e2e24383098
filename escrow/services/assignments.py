"""An admin says whose money in suspense is: a deal's, or somebody's wallet. An `Effect`: shown
first, done when it is confirmed, by the same code that credits a claim.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import payment_tolerance as engine
from escrow.domain import phone, terms
from escrow.domain.actions import Action, Preview
from escrow.domain.errors import EscrowMoved, NotAllowed, NotFound
from escrow.domain.flow import Actor
from escrow.domain.model import (
    By,
    Evidence,
    PaymentOutcome,
    PaymentResult,
    Person,
    Receipt,
    ReceiptState,
    StoredReceipt,
)
from escrow.services.dividing import sides
from escrow.services.fund_manager import EscrowFundManager
from escrow.services.matching import target_of_claim
from escrow.services.receipts import locked_receipt, must_be
from escrow.services.trace import Trace
from escrow.services.work import read_code
from escrow.store import escrows, people, receipts
from escrow.store.database import Connection
from escrow.store.receipts import Context

_LOG: Final = logging.getLogger(__name__)
ASSIGN: Final = "assign_payment"


class Assignment:
    """`/assign_payment`. Target: the receipt; `params`: `code` (or empty) and `person` (or None),
    the Telegram id of whose money it is.
    """

    kind = ASSIGN

    def __init__(self, funds: EscrowFundManager) -> None:
        self._funds = funds

    async def preview(
        self, conn: Connection, target: str, params: Mapping[str, Any], admin: int, now: datetime
    ) -> Preview:
        """What the deal, or the wallet, would come to. `NotFound`, `NotAllowed` (not in suspense,
        on its way back, nobody or somebody else is the deal's buyer).
        """
        receipt, context, person = await self._look(conn, target, params, now)
        escrow = context.escrow
        facts = {
            "reference": receipt.reference,
            "amount": str(receipt.amount),
            "payer": phone.mask_shown(receipt.payer_shown),
            "typed": receipt.typed_reference,
            "person": person.telegram_id,
            "name": person.first_name,
            "code": escrow.id if escrow else None,
            "description": escrow.description if escrow else "",
            "status": str(escrow.status) if escrow else None,
            "doubt": _doubt(context, person, receipt),
            **_outcome(context, person, receipt, now),
        }
        parties = {person.telegram_id, context.reserver}
        for code in {receipt.escrow_id, escrow.id if escrow else None} - {None}:
            parties |= {one for _, one in sides(await escrows.get(conn, str(code)))}
        people_ = frozenset(one for one in parties if one is not None)
        return Preview(escrow.id if escrow else None, receipt.amount, facts, people_)

    async def perform(
        self, conn: Connection, action: Action, admin: int, now: datetime
    ) -> Mapping[str, Any]:
        """suspense → received and the engine decides, or suspense → wallet."""
        receipt, context, person = await self._look(conn, action.target, action.params, now)
        code = context.escrow.id if context.escrow else None

        async def close(conn: Connection, result: PaymentResult) -> None:
            if code is not None:
                by = By(Actor.ADMIN, admin)
                said = {"receipt": receipt.reference, **action.signed}
                await escrows.note(conn, code, "payment_assigned", by, now, **said)

        result = await self._funds.post_claim(
            conn,
            _of_suspense(receipt, code),
            Evidence.ADMIN,
            person.telegram_id,
            close,
            receipt.happened_at,
            Trace(_LOG, code or "-", receipt.reference or "-"),
        )
        if result.outcome in (PaymentOutcome.DUPLICATE, PaymentOutcome.SUSPENSE):
            raise EscrowMoved("action_moved")
        return {**action.facts, "outcome": str(result.outcome)}

    async def _look(
        self, conn: Connection, typed: str, params: Mapping[str, Any], now: datetime
    ) -> tuple[StoredReceipt, Context, Person]:
        """The locked receipt, its deal as it is now, and whose money it would be."""
        code = read_code(str(params["code"])) if params.get("code") else None
        if code is not None:
            await escrows.lock(conn, code)
        receipt = await locked_receipt(conn, typed, code)
        must_be(receipt, ReceiptState.SUSPENSE)
        context = await receipts.context(conn, code, _of_suspense(receipt, code))
        named = params.get("person")
        wanted = _whose(context, receipt, int(named) if named else None, now)
        person = await people.person(conn, wanted)
        if person is None:
            raise NotFound("nobody_so", person=wanted)
        return receipt, context, person


def _whose(context: Context, receipt: StoredReceipt, named: int | None, now: datetime) -> int:
    """Whose money it is: the one who is named, else the deal's buyer, else who holds it now."""
    escrow = context.escrow
    buyer = escrow.buyer_telegram_id if escrow else None
    if named is not None:
        if escrow is not None and buyer not in (None, named):
            raise NotAllowed("assign_other_buyer", code=escrow.id, person=named)
        return named
    held = context.reserved_until is not None and context.reserved_until > now
    found = buyer or (context.reserver if held else None)
    if found is None:
        code = escrow.id if escrow else ""
        raise NotAllowed("assign_to_whom", code=code, reference=receipt.reference)
    return found


def _of_suspense(receipt: StoredReceipt, code: str | None) -> Receipt:
    return Receipt(
        provider=receipt.provider,
        channel=receipt.channel,
        reference=receipt.reference,
        amount=receipt.amount,
        happened_at=receipt.happened_at,
        escrow_code=code,
        typed_reference=receipt.typed_reference,
        payer_shown=receipt.payer_shown,
        payer_name=receipt.payer_name,
    )


def _outcome(
    context: Context, person: Person, receipt: StoredReceipt, now: datetime
) -> dict[str, Any]:
    """What the engine would say now: `would` is funded, choice, short or wallet."""
    escrow = context.escrow
    target = target_of_claim(context, person, _of_suspense(receipt, escrow.id if escrow else None))
    if escrow is None or not target.decide:
        return {"would": "wallet"}
    total = escrow.received + receipt.amount
    sums = {"due": str(escrow.due), "total": str(total)}
    decision = engine.decide(
        escrow.due.minor, total.minor, escrow.currency, {escrow.currency.code: escrow.tiers}
    )
    if decision.response_type is engine.PaymentResponse.AUTO_ACCEPT:
        division = terms.divide_accepted(total, escrow.due, escrow.fee)
        over, waived = division.excess, division.waived
        return {
            **sums,
            "would": "funded",
            "over": str(over) if over else None,
            "waived": str(waived) if waived else None,
        }
    missing = {**sums, "missing": str(escrow.due - total)}
    late = context.choice is not None and context.choice.expires_at <= now
    choice = decision.response_type is engine.PaymentResponse.SELF_SERVICE and not late
    return {**missing, "would": "choice" if choice else "short"}


def _doubt(context: Context, person: Person, receipt: StoredReceipt) -> str:
    """What speaks against it: the payer's number is not his, or is the seller's."""
    shown = receipt.payer_shown
    if any(phone.proves(shown, one) for one in context.seller_numbers):
        return "sellers_number"
    if person.phone is not None and not phone.may_be(shown, person.phone):
        return "other_number"
    return "" if person.phone is not None else "no_number"
