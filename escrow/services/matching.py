"""Whose money a receipt is, and which of the receipts we know it repeats. Pure decisions on what
was read under the deal's lock (flow.md 10 and 26).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from escrow.domain import phone
from escrow.domain.model import Attempt, Escrow, Person, Receipt, ReceiptState, StoredReceipt
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


def credit_key_of(stored: StoredReceipt) -> str:
    """The same of a receipt that we know."""
    return f"{stored.provider}:{stored.reference or f'attempt-{stored.attempt_id}'}"


def as_receipt(stored: StoredReceipt) -> Receipt:
    """A stored receipt as the payment path takes it."""
    return Receipt(
        provider=stored.provider,
        channel=stored.channel,
        reference=stored.reference,
        amount=stored.amount,
        happened_at=stored.happened_at,
        attempt_id=stored.attempt_id,
        escrow_code=stored.escrow_id,
        typed_reference=stored.typed_reference,
        payer_shown=stored.payer_shown,
        payer_name=stored.payer_name,
    )


def target_of(
    escrow: Escrow | None, context: Context, attempt: Attempt | None, receipt: Receipt
) -> Target:
    """Whose money it is (flow.md 10 and 26)."""
    if escrow is None:
        return Target(suspense="no_deal")
    if attempt is not None and attempt.amount != receipt.amount:
        return Target(suspense="other_amount")
    if receipt.amount.currency is not escrow.currency:
        return Target(buyer=receipt.payer, suspense="other_currency")
    asked = attempt.telegram_id if attempt is not None else receipt.payer
    payer = asked or escrow.buyer_telegram_id
    if not escrow.can_be_paid or asked == escrow.seller_telegram_id:
        return Target(buyer=payer, suspense="deal_closed")
    if asked is None and _is_sellers(context, receipt):
        return Target(suspense="own_deal")
    if escrow.buyer_telegram_id is not None:
        return Target(decide=payer == escrow.buyer_telegram_id, buyer=payer)
    if payer is None and _holds_reservation(context, receipt):
        payer = context.reserver
    if payer is None or payer == escrow.seller_telegram_id:
        return Target(suspense="no_buyer")
    return Target(decide=True, buyer=payer, joins=True)


def _is_sellers(context: Context, receipt: Receipt) -> bool:
    """Whether the seller pays himself by hand: the deal's buyer or reserver carries one of his
    numbers, or nobody is bound yet and the payer's number is proved to be one.
    """
    escrow = context.escrow
    if escrow is not None and escrow.buyer_telegram_id is not None:
        return context.buyer_phone in context.seller_numbers
    reserver = context.reserver_phone
    if reserver is not None and phone.may_be(receipt.payer_shown, reserver):
        return reserver in context.seller_numbers  # a mask that fits both is the reserver's
    return any(phone.proves(receipt.payer_shown, number) for number in context.seller_numbers)


def prompt_claimed(
    prompts: Sequence[Attempt], claimant: int, code: str | None, *, by_admin: bool, timed: bool
) -> Attempt | None:
    """The prompt whose payment is claimed, out of all that it may be; None when that can't be told.
    It must be the claimant's only one (`timed`, about that time: on that deal) and, where the time
    is not known, nobody else's may fit. Of another deal than he names only for an admin.
    """
    own = [one for one in prompts if one.telegram_id == claimant]
    if timed:
        own = [one for one in own if one.escrow_id == code] or own
    elif len(own) < len(prompts):
        return None
    if len(own) != 1 or not (by_admin or code in (None, own[0].escrow_id)):
        return None
    return own[0]


def claimable(known: StoredReceipt) -> bool:
    """Whether a known receipt can be claimed: it lies in suspense, or was denied before and is
    proved now.
    """
    return known.state in (ReceiptState.SUSPENSE, ReceiptState.IGNORED)


def target_of_claim(context: Context, person: Person, receipt: Receipt) -> Target:
    """Where a proved claim goes: to the deal if it can be paid, has no other buyer and is not paid
    by its seller, else to the claimant's wallet (flow.md 26). A mask that fits both the seller and
    the claimant, whom Telegram vouches for, is the claimant's.
    """
    escrow, claimant = context.escrow, person.telegram_id
    shown = receipt.payer_shown
    sure = person.phone_is_contact and phone.proves(shown, person.phone or "")
    own = person.phone in context.seller_numbers or (
        not sure and any(phone.proves(shown, one) for one in context.seller_numbers)
    )
    if (
        escrow is None
        or not escrow.can_be_paid
        or receipt.amount.currency is not escrow.currency
        or escrow.seller_telegram_id == claimant
        or own
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
