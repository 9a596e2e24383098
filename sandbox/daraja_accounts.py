"""The stand-in Daraja tells of our accounts: AccountBalance, and Pull with the last two days."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from sandbox.daraja_money import BalancePlan, Payment
from sandbox.daraja_results import Work, echo
from sandbox.daraja_reversals import DarajaReversals
from sandbox.daraja_wire import (
    URL,
    Json,
    invalid_field,
    merchant_id,
    result_envelope,
    stamp,
)
from sandbox.pulse import NAIROBI

PULL_HOURS: Final = 48
_IN: Final = ("stk", "paybill")


class DarajaAccounts(DarajaReversals):
    """Balances are those of `till`; a pulled row says Z and means Nairobi."""

    def next_balance(self, plan: BalancePlan | None = None, **changes: Any) -> None:
        """How the next AccountBalance query goes: `next_balance(result=2001)`."""
        self.balance_plans.append(replace(plan or BalancePlan(), **changes))

    # -- AccountBalance ------------------------------------------------------------------------

    def balance_query(self, body: Json) -> tuple[Json, Work]:
        """The acknowledgement, and what happens after it. Raises Refusal."""
        self._check_asynchronous(body, "Initiator")
        if body.get("CommandID") != "AccountBalance":
            raise invalid_field("CommandID")
        if str(body.get("IdentifierType", "")) != "4":
            raise invalid_field("IdentifierType")
        if not 2 <= len(str(body.get("Remarks", ""))) <= 100:
            raise invalid_field("Remarks")
        plan = self.balance_plans.pop(0) if self.balance_plans else BalancePlan()
        ack = self._ack(merchant_id())

        async def answer() -> None:
            if plan.deliver == "timeout":
                await self.post("timeout", str(body["QueueTimeOutURL"]), echo(body))
                return
            result = self._balance_result(body, ack, plan)
            url = str(body["ResultURL"])

            async def post() -> None:
                await self.post("balance", url, result)

            await self.deliver(plan.deliver, post)

        return ack, answer

    def _balance_result(self, body: Json, ack: Json, plan: BalancePlan) -> Json:
        outcome: int | str = plan.result
        if self.initiator not in (None, body.get("Initiator")):
            outcome = 2001
        packed = "&".join(
            f"{name}|KES|{held}|{held}|0.00|0.00"
            for name, held in (
                ("Working Account", "0.00"),
                ("Float Account", "0.00"),
                ("Utility Account", f"{self.till:.2f}"),
                ("Charges Paid Account", "-1980.00"),
                ("Organization Settlement Account", "0.00"),
            )
        )
        items: list[Json] = [
            {"Key": "AccountBalance", "Value": packed if plan.value is None else plan.value},
            {"Key": "BOCompletedTime", "Value": stamp(self.clock())},
        ]
        return result_envelope(
            result=outcome,
            desc=self.text_of(outcome),
            originator=ack["OriginatorConversationID"],
            conversation=ack["ConversationID"],
            transaction=f"{self.new_receipt()[:3]}0000000",
            parameters=items if str(outcome) == "0" else None,
            reference={
                "Key": "QueueTimeoutURL",
                "Value": "https://internalsandbox.safaricom.co.ke/mpesa/abresults/v1/submit",
            },
            kind="0",
        )

    # -- Pull ----------------------------------------------------------------------------------

    def pull_register(self, body: Json) -> Json:
        """Once per shortcode; the second time its keys have spaces. Raises Refusal."""
        shortcode = str(body.get("ShortCode", ""))
        if shortcode != self.shortcode:
            raise invalid_field("ShortCode")
        if body.get("RequestType") != "Pull":
            raise invalid_field("RequestType")
        if not re.fullmatch(r"(0|254)[17]\d{8}", str(body.get("NominatedNumber", "")), re.ASCII):
            raise invalid_field("NominatedNumber")
        if not URL.fullmatch(str(body.get("CallBackURL", ""))):
            raise invalid_field("CallBackURL")
        reference = merchant_id()
        if shortcode in self.pull_registered:
            return {
                "ResponseRefID": reference,
                "Response Status": "1001",
                "ShortCode": shortcode,
                "Response Description": "ShortCode already Registered",
            }
        self.pull_registered.add(shortcode)
        return {
            "ResponseRefID": reference,
            "ResponseStatus": "1000",
            "ShortCode": shortcode,
            "ResponseDescription": "Shortcode Registered Successfully",
        }

    def pull(self, body: Json) -> Json:
        """A page of payments into our shortcode, as an array in an array. Raises Refusal."""
        if str(body.get("ShortCode", "")) != self.shortcode or not self.pull_registered:
            raise invalid_field("ShortCode")
        since, until = _local(body, "StartDate"), _local(body, "EndDate")
        since = max(since, self.clock() - timedelta(hours=PULL_HOURS))
        offset = str(body.get("OffSetValue", ""))
        if not re.fullmatch(r"\d{1,9}", offset, re.ASCII):
            raise invalid_field("OffSetValue")
        rows: list[Any] = [
            self._pulled(one)
            for one in self.payments.values()
            if one.kind in _IN and since <= one.at <= until
        ]
        rows += self.pull_extra
        page = rows[int(offset) : int(offset) + self.pull_page]
        return {
            "ResponseRefID": merchant_id(),
            "ResponseCode": "1000",
            "ResponseMessage": "Success",
            "Response": [page],
        }

    def _pulled(self, payment: Payment) -> Json:
        return {
            "transactionId": payment.receipt,
            "trxDate": f"{payment.at.astimezone(NAIROBI):%Y-%m-%dT%H:%M:%S}Z",
            "msisdn": int(payment.phone),
            "sender": self.phone(payment.phone).first_name,
            "transactiontype": "c2b-pay-bill-debit",
            "billreference": payment.account,
            "amount": f"{payment.amount:.2f}",
            "organizationname": self.business_name,
        }


def _local(body: Json, field: str) -> datetime:
    try:
        return datetime.strptime(f"{body.get(field)}+0300", "%Y-%m-%d %H:%M:%S%z")
    except ValueError:
        raise invalid_field(field) from None
