"""What one payment is going to write: journals, moves, events, notices. Filled by the decision,
written in one go by the fund manager; the answer of a payment is kept and given again from here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from escrow.domain import flow
from escrow.domain.flow import Event, Status
from escrow.domain.model import (
    Attempt,
    By,
    Escrow,
    Journal,
    Notice,
    PaymentOutcome,
    PaymentResult,
    Receipt,
    ReceiptState,
    StoredReceipt,
)
from escrow.domain.money import Currency, Money
from escrow.domain.terms import Division
from escrow.services import postings
from escrow.store import escrows


def underpaid(
    cause: str, escrow: Escrow, buyer: int, total: Money, choice_id: int, expires: datetime
) -> Notice:
    """The three buttons of an open choice."""
    values = {
        "code": escrow.id,
        "received": str(total),
        "missing": str(escrow.due - total),
        "due": str(escrow.due),
        "choice": choice_id,
        "expires_at": expires.isoformat(),
        "description": escrow.description,
    }
    return Notice(cause, "underpaid", buyer, values, escrow.id)


class Booking:
    """What one unit is going to write. Filled by the decision, written in one go."""

    def __init__(
        self, receipt: Receipt, key: str, now: Any, *, from_suspense: bool = False
    ) -> None:
        self.receipt = receipt
        self.source = postings.suspense() if from_suspense else postings.external(receipt.provider)
        self.key = key
        self.now = now
        self.journals: list[Journal] = []
        self.moves: list[escrows.Move] = []
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.notices: list[Notice] = []
        self.outcome = PaymentOutcome.SUSPENSE
        self.division: Division | None = None
        self.choice_id: int | None = None

    def _tell(self, kind: str, recipient: int, escrow_id: str | None, **values: Any) -> None:
        self.notices.append(Notice(f"receipt:{self.key}", kind, recipient, values, escrow_id))

    def fund(
        self,
        escrow: Escrow,
        buyer: int,
        division: Division,
        total: Money,
        by: By,
        evidence: str,
    ) -> None:
        """Enough: the deal is HELD."""
        self.outcome = PaymentOutcome.FUNDED
        self.division = division
        self.journals += postings.accepted(escrow.id, buyer, division, self.now)
        move = fund_move(escrow, division, total, by, self.now, evidence=evidence)
        self.moves.append(move)
        self.notices += funded_notices(
            f"receipt:{self.key}", escrow, buyer, division, total, move.ship_by
        )

    def offer_choice(
        self, escrow: Escrow, buyer: int, total: Money, choice_id: int, expires: datetime
    ) -> None:
        """Moderately short: three buttons (seed 2, scenario 3b)."""
        self.outcome = PaymentOutcome.CHOICE
        self.choice_id = choice_id
        self.events.append(
            ("choice_offered", {"received_minor": total.minor, "due_minor": escrow.due.minor})
        )
        cause = f"receipt:{self.key}"
        self.notices.append(underpaid(cause, escrow, buyer, total, choice_id, expires))

    def auto_refund(self, escrow: Escrow, buyer: int, total: Money) -> None:
        """Far too short: all to the buyer's wallet, the deal stays open (scenario 3c)."""
        self.outcome = PaymentOutcome.REFUNDED_TO_WALLET
        self.journals.append(
            postings.returned("auto_refund", self.key, escrow.id, buyer, total, self.now)
        )
        self.events.append(
            ("auto_refund", {"received_minor": total.minor, "due_minor": escrow.due.minor})
        )
        self._tell(
            "too_short",
            buyer,
            escrow.id,
            code=escrow.id,
            received=str(total),
            missing=str(escrow.due - total),
            due=str(escrow.due),
            pay_by=escrow.pay_by.isoformat() if escrow.pay_by else None,
        )

    def to_wallet(self, escrow: Escrow | None, owner: int) -> None:
        """The deal can't take it: the payer's wallet (flow.md 10)."""
        self.outcome = PaymentOutcome.TO_WALLET
        self.journals.append(
            postings.to_wallet(
                self.source,
                self.key,
                escrow.id if escrow else None,
                owner,
                self.receipt.amount,
                self.now,
            )
        )
        if escrow is not None:
            self.events.append(("late_payment", {"amount_minor": self.receipt.amount.minor}))
        self._tell(
            "late_money",
            owner,
            escrow.id if escrow else None,
            code=escrow.id if escrow else None,
            amount=str(self.receipt.amount),
            status=str(escrow.status) if escrow else None,
        )

    def to_suspense(self, escrow: Escrow | None, why: str, admins: Sequence[int]) -> None:
        """Nobody can be credited: the suspense account, and the admins hear of it."""
        self.outcome = PaymentOutcome.SUSPENSE
        self.journals.append(
            postings.to_suspense(
                self.source,
                self.key,
                escrow.id if escrow else None,
                self.receipt.amount,
                self.now,
            )
        )
        if escrow is not None:
            self.events.append(
                ("payment_in_suspense", {"amount_minor": self.receipt.amount.minor, "why": why})
            )
        for admin in admins:
            self._tell(
                "suspense",
                admin,
                escrow.id if escrow else None,
                code=escrow.id if escrow else None,
                amount=str(self.receipt.amount),
                reference=self.receipt.reference,
                typed=self.receipt.typed_reference,
                why=why or "no_deal",
            )

    def unconfirmed(self, escrow: Escrow | None, admins: Sequence[int]) -> None:
        """Believed because it is small and nobody could be asked: the admins know of it."""
        for admin in admins:
            self._tell(
                "credited_unconfirmed",
                admin,
                escrow.id if escrow else None,
                code=escrow.id if escrow else None,
                amount=str(self.receipt.amount),
                reference=self.receipt.reference,
            )

    def told(self, attempt: Attempt | None) -> list[Notice]:
        """The notices; the payer's ones end the message that shows how his prompt goes."""
        if attempt is None or attempt.chat_message_id is None:
            return self.notices
        progress = {"progress": attempt.chat_message_id}
        return [
            replace(one, values={**one.values, **progress})
            if one.recipient == attempt.telegram_id
            else one
            for one in self.notices
        ]

    def answer(self, escrow: Escrow | None) -> dict[str, Any]:
        """The answer to keep with the receipt, and to give again."""
        status = None
        if escrow is not None:
            status = self.moves[-1].edge.target if self.moves else escrow.status
        division = self.division
        return {
            "outcome": str(self.outcome),
            "escrow_id": escrow.id if escrow else None,
            "status": str(status) if status else None,
            "currency": self.receipt.amount.currency.code,
            "held_minor": division.holding.minor if division else 0,
            "fee_minor": division.fee.minor if division else 0,
            "excess_minor": division.excess.minor if division else 0,
            "waived_minor": division.waived.minor if division else 0,
            "choice_id": self.choice_id,
        }


def fund_move(
    escrow: Escrow, division: Division, total: Money, by: By, now: Any, *, evidence: str
) -> escrows.Move:
    """The move to HELD, with what is held and until when the seller has to ship."""
    return escrows.Move(
        escrow.id,
        flow.next_edge(escrow.status, Event.FUND, by.actor),
        by,
        now,
        data={
            "received_minor": total.minor,
            "holding_minor": division.holding.minor,
            "fee_minor": division.fee.minor,
            "excess_minor": division.excess.minor,
            "waived_minor": division.waived.minor,
            "evidence": evidence,
        },
        held_price_minor=division.holding.minor,
        held_fee_minor=division.fee.minor,
        ship_by=now + timedelta(seconds=int(escrow.terms["ship_seconds"])),
    )


def funded_notices(
    cause: str,
    escrow: Escrow,
    buyer: int,
    division: Division,
    total: Money,
    ship_by: Any,
    *,
    partial: bool = False,
) -> list[Notice]:
    """What buyer and seller hear when a deal is funded: one message each."""
    kind = "funded"
    if partial:
        kind = "funded_partial"
    elif division.excess:
        kind = "funded_over"
    elif division.waived:
        kind = "funded_short"
    expected = escrow.due - escrow.fee
    values = {
        "code": escrow.id,
        "description": escrow.description,
        "shop": escrow.shop_name,
        "received": str(total),
        "held": str(division.holding),
        "fee": str(division.fee),
        "due": str(escrow.due),
        "excess": str(division.excess),
        "waived": str(division.waived),
        "ship_by": ship_by.isoformat(),
    }
    return [
        Notice(cause, kind, buyer, values, escrow.id),
        Notice(
            cause,
            "held_less" if division.holding < expected else "held",
            escrow.seller_telegram_id,
            {
                "code": escrow.id,
                "description": escrow.description,
                "gets": str(division.holding),
                "expected": str(expected),
                "ship_by": ship_by.isoformat(),
            },
            escrow.id,
        ),
    ]


def result_of(answer: dict[str, Any], receipt_id: int, outcome: PaymentOutcome) -> PaymentResult:
    currency = Currency.of(answer["currency"])

    def major(key: str) -> Decimal:
        return Money(answer[key], currency).to_decimal()

    return PaymentResult(
        outcome=outcome,
        escrow_id=answer["escrow_id"],
        status=Status(answer["status"]) if answer["status"] else None,
        receipt_id=receipt_id,
        fund_breakdown={
            "escrow_held": major("held_minor"),
            "platform_fee": major("fee_minor"),
            "overpayment_credited": major("excess_minor"),
            "shortage_waived": major("waived_minor"),
        },
        choice_id=answer["choice_id"],
    )


def answer_again(known: StoredReceipt, *, first: bool = False) -> PaymentResult:
    """The answer that the first delivery got. `first`: it was ours, read back after a cut."""
    if known.state is ReceiptState.WAITING or not known.outcome.get("currency"):
        return PaymentResult(
            PaymentOutcome.WAITING
            if known.state is ReceiptState.WAITING
            else PaymentOutcome.DUPLICATE,
            known.escrow_id,
            None,
            known.id,
        )
    answer = dict(known.outcome)
    outcome = PaymentOutcome(answer["outcome"]) if first else PaymentOutcome.DUPLICATE
    return result_of(answer, known.id, outcome)
