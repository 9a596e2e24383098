"""Whose money a receipt is, and which of the receipts we know it repeats. Pure decisions on what
was read under the deal's lock (flow.md 10 and 26).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from escrow.domain import phone
from escrow.domain.model import Attempt, Escrow, Receipt, ReceiptState, StoredReceipt
from escrow.store.receipts import Context

CLOCKS_APART: Final = timedelta(seconds=2)
"""How far M-Pesa's clock may be off ours."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a receipt goes. `decide`: the engine looks at the deal's undecided money."""

    decide: bool = False
    buyer: int | None = None
    joins: bool = False
    suspense: str = ""


def still_open(known: StoredReceipt, attempt: Attempt | None, mine: StoredReceipt | None) -> bool:
    """Whether a known receipt can still be booked: it waits, was denied (and is proved now), or
    lies in suspense while its own prompt says whose it is.
    """
    if known.state in (ReceiptState.WAITING, ReceiptState.IGNORED):
        return True
    return (
        known.state is ReceiptState.SUSPENSE
        and known.attempt_id is None
        and attempt is not None
        and mine is None
        and attempt.amount == known.amount
        and known.escrow_id == attempt.escrow_id
    )


def is_second_number(known: StoredReceipt, receipt: Receipt) -> bool:
    """Whether a prompt's waiting receipt has another number than this one."""
    return (
        known.state is ReceiptState.WAITING
        and None not in (known.reference, receipt.reference)
        and known.reference != receipt.reference
    )


def credit_key(receipt: Receipt) -> str:
    """What a payment is credited under, once."""
    return f"{receipt.provider}:{receipt.reference or f'attempt-{receipt.attempt_id}'}"


def target_of(
    escrow: Escrow | None, context: Context, attempt: Attempt | None, receipt: Receipt
) -> Target:
    """Whose money it is (flow.md 10 and 26)."""
    if escrow is None:
        return Target(suspense="no_deal")
    if attempt is not None and attempt.amount != receipt.amount:
        return Target(suspense="other_amount")
    if receipt.amount.currency is not escrow.currency:
        return Target(suspense="other_currency")
    payer = attempt.telegram_id if attempt is not None else escrow.buyer_telegram_id
    if not escrow.can_be_paid:
        return Target(buyer=payer, suspense="deal_closed")
    if escrow.buyer_telegram_id is not None:
        return Target(decide=payer == escrow.buyer_telegram_id, buyer=payer)
    if payer is None and _holds_reservation(context, receipt):
        payer = context.reserver
    if payer is None or payer == escrow.seller_telegram_id:
        return Target(suspense="no_buyer")
    return Target(decide=True, buyer=payer, joins=True)


def claimable(known: StoredReceipt) -> bool:
    """Whether a known receipt can be claimed: it lies in suspense, or was denied before and is
    proved now.
    """
    return known.state in (ReceiptState.SUSPENSE, ReceiptState.IGNORED)


def target_of_claim(escrow: Escrow | None, claimant: int, receipt: Receipt) -> Target:
    """Where a proved claim goes: to the deal if it can be paid and has no other buyer, else to the
    claimant's wallet (flow.md 26).
    """
    if (
        escrow is None
        or not escrow.can_be_paid
        or receipt.amount.currency is not escrow.currency
        or escrow.seller_telegram_id == claimant
        or escrow.buyer_telegram_id not in (None, claimant)
    ):
        return Target(buyer=claimant)
    return Target(decide=True, buyer=claimant, joins=escrow.buyer_telegram_id is None)


def _holds_reservation(context: Context, receipt: Receipt) -> bool:
    """Whether money by hand is the reserver's: in his time, and not from another number."""
    if context.reserver is None or context.reserved_until is None:
        return False
    if context.reserved_since is None or not (
        context.reserved_since - CLOCKS_APART <= receipt.happened_at <= context.reserved_until
    ):
        return False
    return context.reserver_phone is None or phone.may_be(
        receipt.payer_shown, context.reserver_phone
    )
