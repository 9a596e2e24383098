"""Does what M-Pesa says of a receipt fit the payout that it is said to have paid? Pure."""

from __future__ import annotations

from escrow.domain import phone
from escrow.domain.payouts import Payout
from escrow.services.ports import StatusResult, Verdict


def says_nothing(said: StatusResult) -> bool:
    """The question failed, or nobody is named who got a completed payment."""
    paid = said.answer.verdict is Verdict.PAID
    return said.answer.verdict is Verdict.UNKNOWN or (paid and not said.receivers)


def refutes(said: StatusResult, payout: Payout, *ours: str) -> str:
    """What contradicts that this receipt, sent from a shortcode of ours, paid this payout; empty:
    nothing does. M-Pesa names us among the payers of receipts that came in, too: there we are the
    receiver. Of money that goes back its payer's number is rarely known whole: it refutes nothing.
    """
    if said.reference and said.reference != payout.named_reference:
        return "other_receipt"
    if said.answer.verdict is not Verdict.PAID:
        return "not_completed"
    if not set(ours) & set(map(_party, said.payers)):
        return "not_ours"
    if said.amount != payout.amount:
        return "other_amount"
    if set(ours) & set(map(_party, said.receivers)):
        return "other_receiver"
    known = payout.receipt is None or phone.is_msisdn(payout.destination)
    if known and not all(may_be_paid_to(one, payout.destination) for one in said.receivers):
        return "other_receiver"
    return ""


def may_be_paid_to(shown: str, destination: str) -> bool:
    """Whether the receiver, `254… - NAME` as M-Pesa shows him, may be this number."""
    return phone.may_be(_party(shown), destination)


def _party(shown: str) -> str:
    return shown.partition(" - ")[0].strip()
