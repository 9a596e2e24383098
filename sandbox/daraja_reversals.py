"""The stand-in Daraja sends payments back: Reversal, of payments into our shortcode only."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from typing import Any

from sandbox.daraja_money import Payment, ReversalPlan
from sandbox.daraja_results import DarajaResults, Work, echo
from sandbox.daraja_wire import (
    URL,
    Json,
    Number,
    invalid_field,
    merchant_id,
    result_envelope,
    stamp,
)

_IN = ("stk", "paybill")


class DarajaReversals(DarajaResults):
    """Each payment is sent back once: the second time the result is R000001, of a payment that is
    none of ours R000002.
    """

    def next_reversal(self, plan: ReversalPlan | None = None, **changes: Any) -> None:
        """How the next reversal goes: `next_reversal(result=21)`."""
        self.reversal_plans.append(replace(plan or ReversalPlan(), **changes))

    def reverse(self, body: Json) -> tuple[Json, Work]:
        """The acknowledgement of a reversal, and what happens after it. Raises Refusal."""
        for field in ("Initiator", "SecurityCredential"):
            if not str(body.get(field) or ""):
                raise invalid_field(field)
        if body.get("CommandID") != "TransactionReversal":
            raise invalid_field("CommandID")
        if not re.fullmatch(r"[A-Z0-9]{10}", str(body.get("TransactionID", ""))):
            raise invalid_field("TransactionID")
        amount = str(body.get("Amount", ""))
        if not re.fullmatch(r"[1-9]\d{0,6}", amount, re.ASCII):
            raise invalid_field("Amount")
        if str(body.get("ReceiverParty", "")) != self.shortcode:
            raise invalid_field("ReceiverParty")
        if str(body.get("RecieverIdentifierType", "")) != "11":  # sic
            raise invalid_field("RecieverIdentifierType")
        for field in ("ResultURL", "QueueTimeOutURL"):
            if not URL.fullmatch(str(body.get(field, ""))):
                raise invalid_field(field)
        if not 2 <= len(str(body.get("Remarks", ""))) <= 100:
            raise invalid_field("Remarks")
        plan = self.reversal_plans.pop(0) if self.reversal_plans else ReversalPlan()
        ack = self._ack(merchant_id())
        original = self.payments.get(str(body["TransactionID"]))
        payment = Payment(
            self.new_receipt(),
            "reversal",
            original.phone if original else "254700000000",
            Decimal(amount),
            "",
            self.clock(),
            originator_id=ack["OriginatorConversationID"],
            conversation_id=ack["ConversationID"],
            original=str(body["TransactionID"]),
        )
        self.reversals.append(payment)
        outcome = plan.result
        if self.initiator not in (None, body.get("Initiator")):
            outcome = 2001
        elif outcome == 0:
            outcome = self._may_reverse(payment, original)

        async def answer() -> None:
            if str(outcome) == "0" and original is not None:
                self._send_back(payment, original)
            else:
                payment.accepted, payment.status = False, "Declined"
            if plan.deliver == "timeout":
                await self.post("timeout", str(body["QueueTimeOutURL"]), echo(body))
                return
            result = self._reversal_result(payment, outcome, plan.desc)
            url = str(body["ResultURL"])

            async def post() -> None:
                await self.post("reversal", url, result)

            await self.deliver(plan.deliver, post)
            if plan.then is not None:
                await self.post("reversal", url, self._reversal_result(payment, plan.then, ""))

        return ack, answer

    def _may_reverse(self, payment: Payment, original: Payment | None) -> int | str:
        if original is None or original.kind not in _IN or original.amount != payment.amount:
            return "R000002"
        if original.status == "Reversed":
            return "R000001"
        return 1 if payment.amount > self.till else 0

    def _send_back(self, payment: Payment, original: Payment) -> None:
        if original.status == "Reversed":
            raise AssertionError("sent back twice")
        phone = self.phone(original.phone)
        phone.balance += payment.amount
        self.till -= payment.amount
        original.status = "Reversed"
        self.payments[payment.receipt] = payment
        self.send_sms(
            phone,
            f"{payment.receipt} Confirmed. Transaction {original.receipt} of "
            f"Ksh{payment.amount:,.2f} to {self.business_name} has been reversed. "
            f"New M-PESA balance is Ksh{phone.balance:,.2f}.",
        )

    def _reversal_result(self, payment: Payment, outcome: int | str, desc: str) -> Json:
        till = f"Utility Account|KES|{self.till:.2f}|{self.till:.2f}|0.00|0.00"
        items: list[Json] = [
            {"Key": "DebitAccountBalance", "Value": till},
            {"Key": "Amount", "Value": Number(f"{payment.amount:.2f}")},
            {"Key": "TransCompletedTime", "Value": Number(stamp(payment.at))},
            {"Key": "OriginalTransactionID", "Value": payment.original},
            {"Key": "Charge", "Value": Number("0.00")},
            {"Key": "CreditPartyPublicName", "Value": self.phone(payment.phone).public_name},
            {"Key": "DebitPartyPublicName", "Value": f"{self.shortcode} - {self.business_name}"},
        ]
        return result_envelope(
            result=outcome,
            desc=desc or self.text_of(outcome),
            originator=payment.originator_id,
            conversation=payment.conversation_id,
            transaction=payment.receipt,
            parameters=items if str(outcome) == "0" else None,
            reference={
                "Key": "QueueTimeoutURL",
                "Value": "https://internalsandbox.safaricom.co.ke/mpesa/reversalresults/v1/submit",
            },
        )
