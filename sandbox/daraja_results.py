"""The asynchronous half of the stand-in Daraja: acknowledged now, answered later by a Result."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from sandbox.daraja_money import B2cPlan, Payment, StatusPlan
from sandbox.daraja_people import DarajaPeople
from sandbox.daraja_wire import (
    MSISDN,
    URL,
    Json,
    Number,
    amount_number,
    conversation_id,
    invalid_field,
    merchant_id,
    named_refusal,
    result_envelope,
    stamp,
)
from sandbox.pulse import NAIROBI

B2C_MIN: Final = 10
B2C_MAX: Final = 250_000
UNKNOWN_RECEIPT: Final = 2032
"""Our choice for a receipt nobody knows; no source names the code, any but 0 will do."""
QUEUED: Final = "Accept the service request successfully."
_COMMANDS: Final = ("BusinessPayment", "SalaryPayment", "PromotionPayment")

Work = Callable[[], Coroutine[Any, Any, Any]]


class DarajaResults(DarajaPeople):
    """TransactionStatus and B2C. `initiator` (None: any) must match, or the result is 2001."""

    initiator: str | None = None

    def next_status(self, plan: StatusPlan | None = None, **changes: Any) -> None:
        """How the next TransactionStatus query goes: `next_status(status="Declined")`."""
        self.status_plans.append(replace(plan or StatusPlan(), **changes))

    def next_b2c(self, plan: B2cPlan | None = None, **changes: Any) -> None:
        """How the next payout goes: `next_b2c(result=2040)`, `next_b2c(deliver="timeout")`."""
        self.b2c_plans.append(replace(plan or B2cPlan(), **changes))

    # -- TransactionStatus ---------------------------------------------------------------------

    def status_query(self, body: Json) -> tuple[Json, Work]:
        """The acknowledgement, and what happens after it. Raises Refusal."""
        self._check_asynchronous(body, "Initiator")
        if body.get("CommandID") != "TransactionStatusQuery":
            raise invalid_field("CommandID")
        if str(body.get("IdentifierType", "")) != "4":
            raise invalid_field("IdentifierType")
        wanted = str(body.get("TransactionID") or "")
        originals = {
            str(body[key])
            for key in ("OriginalConversationID", "OriginatorConversationID")
            if body.get(key)
        }
        if not wanted and not originals:
            raise invalid_field("TransactionID")
        if wanted and not re.fullmatch(r"[A-Z0-9]{10}", wanted):
            raise invalid_field("TransactionID")
        plan = self.status_plans.pop(0) if self.status_plans else StatusPlan()
        ack = self._ack(merchant_id())
        asked = [*self.payments.values(), *self.reversals]
        payment = self.payments.get(wanted) or next(
            (one for one in asked if one.originator_id in originals), None
        )

        async def answer() -> None:
            if plan.deliver == "timeout":
                await self.post("timeout", str(body["QueueTimeOutURL"]), echo(body))
                return
            result = self._status_result(body, ack, plan, payment)
            url = str(body["ResultURL"])

            async def post() -> None:
                await self.post("status", url, result)

            await self.deliver(plan.deliver, post)

        return ack, answer

    def _status_result(
        self, body: Json, ack: Json, plan: StatusPlan, payment: Payment | None
    ) -> Json:
        outcome: int | str = plan.result
        if self.initiator not in (None, body.get("Initiator")):
            outcome = 2001
        desc = self.text_of(outcome)
        if payment is None and outcome == 0:
            outcome, desc = UNKNOWN_RECEIPT, "The transaction receipt number does not exist."
        occasion: Json = {"Key": "Occasion"}
        if body.get("Occasion"):
            occasion["Value"] = body["Occasion"]
        known = payment is not None and outcome == 0
        return result_envelope(
            result=outcome,
            desc=desc,
            originator=ack["OriginatorConversationID"],
            conversation=ack["ConversationID"],
            transaction=f"{self.new_receipt()[:3]}0000000",
            parameters=self._status_items(payment, plan) if payment and known else None,
            reference=occasion,
        )

    def _status_items(self, payment: Payment, plan: StatusPlan) -> list[Json]:
        """The sample's keys: DebitPartyName twice, TransactionReason without Value, all strings."""
        ours = f"{self.shortcode} - {self.business_name}"
        theirs = self.phone(payment.phone).public_name
        amount = payment.amount if plan.amount is None else plan.amount
        whole = amount == amount.to_integral_value()
        outgoing = payment.kind in ("b2c", "reversal")
        values: list[tuple[str, str | None]] = [
            ("DebitPartyName", ours),
            ("DebitPartyName", theirs),
            ("CreditPartyName", theirs if outgoing else ours),
            ("OriginatorConversationID", payment.originator_id or merchant_id()),
            ("InitiatedTime", stamp(payment.at)),
            ("DebitAccountType", "Utility Account" if outgoing else "MMF Account For Customer"),
            ("DebitPartyCharges", "Fee For B2C Payment|KES|13.00" if outgoing else ""),
            ("TransactionReason", None),
            (
                "ReasonType",
                "Business Payment to Customer via API" if outgoing else "Pay Bill Online",
            ),
            ("TransactionStatus", plan.status or payment.status),
            ("FinalisedTime", stamp(payment.at)),
            ("Amount", str(int(amount)) if whole else f"{amount:.2f}"),
            ("ConversationID", payment.conversation_id or conversation_id(payment.at)),
            ("ReceiptNo", payment.receipt),
        ]
        return [
            {"Key": key} if value is None else {"Key": key, "Value": value} for key, value in values
        ]

    # -- B2C -----------------------------------------------------------------------------------

    def pay_out(self, body: Json, version: str) -> tuple[Json, Work]:
        """The acknowledgement of a payout, and what happens after it. Raises Refusal."""
        self._check_asynchronous(body, "InitiatorName")
        originator = str(body.get("OriginatorConversationID") or "")
        if version == "v1" and not originator:
            originator = merchant_id()
        if not originator:
            raise invalid_field("OriginatorConversationID")
        if any(one.originator_id == originator for one in self.payouts):
            raise named_refusal("duplicate_originator")
        if body.get("CommandID") not in _COMMANDS:
            raise invalid_field("CommandID")
        amount = str(body.get("Amount", ""))
        if not re.fullmatch(r"\d{1,7}", amount) or not B2C_MIN <= int(amount) <= B2C_MAX:
            raise invalid_field("Amount")
        if not MSISDN.fullmatch(str(body.get("PartyB", ""))):
            raise invalid_field("PartyB")
        if not 2 <= len(str(body.get("Remarks", ""))) <= 100:
            raise invalid_field("Remarks")
        plan = self.b2c_plans.pop(0) if self.b2c_plans else B2cPlan()
        ack = self._ack(originator)
        payment = Payment(
            self.new_receipt(),
            "b2c",
            str(body["PartyB"]),
            Decimal(amount),
            "",
            self.clock(),
            originator_id=originator,
            conversation_id=ack["ConversationID"],
        )
        self.payouts.append(payment)
        outcome = plan.result
        if self.initiator not in (None, body.get("InitiatorName")):
            outcome = 2001
        elif outcome == 0 and payment.amount > self.till:
            outcome = 1

        async def answer() -> None:
            if str(outcome) == "0":
                self._settle_payout(payment)
            else:
                payment.accepted, payment.status = False, "Declined"
            if plan.deliver == "timeout":
                await self.post("timeout", str(body["QueueTimeOutURL"]), echo(body))
                return
            result = self._b2c_result(payment, outcome, plan.desc)
            url = str(body["ResultURL"])

            async def post() -> None:
                await self.post("b2c", url, result)

            await self.deliver(plan.deliver, post)
            if plan.then is not None:
                await self.post("b2c", url, self._b2c_result(payment, plan.then, ""))

        return ack, answer

    def _settle_payout(self, payment: Payment) -> None:
        phone = self.phone(payment.phone)
        phone.balance += payment.amount
        self.till -= payment.amount
        self.payments[payment.receipt] = payment
        local = payment.at.astimezone(NAIROBI)
        self.send_sms(
            phone,
            f"{payment.receipt} Confirmed. You have received Ksh{payment.amount:,.2f} from "
            f"{self.business_name} on {local.day}/{local.month}/{local:%y} at {local:%I:%M %p}. "
            f"New M-PESA balance is Ksh{phone.balance:,.2f}.",
        )

    def _b2c_result(self, payment: Payment, outcome: int | str, desc: str) -> Json:
        at = payment.at.astimezone(NAIROBI)
        items: list[Json] = [
            {"Key": "TransactionAmount", "Value": amount_number(payment.amount, "integer")},
            {"Key": "TransactionReceipt", "Value": payment.receipt},
            {
                "Key": "ReceiverPartyPublicName",
                "Value": self.phone(payment.phone).public_name,
            },
            {"Key": "TransactionCompletedDateTime", "Value": f"{at:%d.%m.%Y %H:%M:%S}"},
            {"Key": "B2CUtilityAccountAvailableFunds", "Value": Number(f"{self.till:.2f}")},
            {"Key": "B2CWorkingAccountAvailableFunds", "Value": Number("0.00")},
            {"Key": "B2CRecipientIsRegisteredCustomer", "Value": "Y"},
            {"Key": "B2CChargesPaidAccountAvailableFunds", "Value": Number("-1980.00")},
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
                "Value": "https://internalsandbox.safaricom.co.ke/mpesa/b2cresults/v1/submit",
            },
        )

    # -- both ----------------------------------------------------------------------------------

    def _check_asynchronous(self, body: Json, initiator: str) -> None:
        for field in (initiator, "SecurityCredential"):
            if not str(body.get(field) or ""):
                raise invalid_field(field)
        if not re.fullmatch(r"\d{5,7}", str(body.get("PartyA", ""))):
            raise invalid_field("PartyA")
        for field in ("ResultURL", "QueueTimeOutURL"):
            if not URL.fullmatch(str(body.get(field, ""))):
                raise invalid_field(field)

    def _ack(self, originator: str) -> Json:
        return {
            "OriginatorConversationID": originator,
            "ConversationID": conversation_id(self.clock()),
            "ResponseCode": "0",
            "ResponseDescription": QUEUED,
        }


def echo(body: Json) -> Json:
    """The body of a queue timeout, which is documented nowhere: the request, credential and all."""
    return dict(body)
