"""An M-Pesa that answers what the test says, and the bodies that the real one posts."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from escrow.domain.model import Attempt
from escrow.domain.money import Money
from escrow.rails import mpesa_parse
from escrow.services.ports import (
    Answer,
    PaybillPayment,
    PromptAnswer,
    StatusResult,
    StkCallback,
    Verdict,
)

SHORTCODE = "174379"

PAID = Answer(Verdict.PAID, "0", "paid")
PENDING = Answer(Verdict.PENDING, "4999", "processing")
CANCELLED = Answer(Verdict.DECLINED, "1032", "cancelled")
UNREACHABLE = Answer(Verdict.UNKNOWN, "unreachable", "mpesa_unreachable")
ASKED = Answer(Verdict.PENDING, "0", "processing")
ANSWERS = {
    Verdict.PAID: PAID,
    Verdict.PENDING: PENDING,
    Verdict.DECLINED: CANCELLED,
    Verdict.UNKNOWN: UNREACHABLE,
}


@dataclass
class Asked:
    """A question to TransactionStatus; `token` stands in the path of its answer."""

    reference: str
    token: str


@dataclass
class FakeRail:
    """An M-Pesa that says what it is told to say and reads bodies like the real one.

    `query_answers` by CheckoutRequestID, else `query_answer`; `prompt_answers` are taken one by
    one, then every prompt is accepted. `on_prompt` and `on_query` see the world at that moment.
    """

    shortcode: str = SHORTCODE
    offered: bool = True
    till: str = ""
    display_name: str = "Amana"
    can_ask_status: bool = False
    query_answer: Answer = PENDING
    query_answers: dict[str, Answer] = field(default_factory=dict)
    prompt_answers: list[Answer] = field(default_factory=list)
    status_answer: Answer = ASKED
    prompts: list[Mapping[str, Any]] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    on_prompt: Callable[[str], Awaitable[None]] | None = None
    on_query: Callable[[str], Awaitable[None]] | None = None

    @property
    def numbers(self) -> frozenset[str]:
        return frozenset({self.shortcode, self.till} - {""})

    async def prompt(
        self, *, phone: str, amount: Money, reference: str, callback_url: str
    ) -> PromptAnswer:
        token = callback_url.rsplit("/", 1)[1]
        self.prompts.append({"phone": phone, "amount": amount, "reference": reference})
        if self.on_prompt is not None:
            await self.on_prompt(token)
        answer = self.prompt_answers.pop(0) if self.prompt_answers else PENDING
        if answer.verdict is not Verdict.PENDING:
            return PromptAnswer(answer)
        return PromptAnswer(answer, checkout_id(token), f"29115-{token[:8]}-1")

    async def query(self, checkout_request_id: str) -> Answer:
        self.queries.append(checkout_request_id)
        if self.on_query is not None:
            await self.on_query(checkout_request_id)
        return self.query_answers.get(checkout_request_id, self.query_answer)

    async def ask_status(self, *, reference: str, result_url: str, timeout_url: str) -> Answer:
        self.asked.append(Asked(reference, result_url.rsplit("/", 1)[1]))
        return self.status_answer

    def read_stk_callback(self, body: bytes) -> StkCallback:
        return mpesa_parse.stk_callback(body)

    def read_paybill(self, body: bytes) -> PaybillPayment:
        return mpesa_parse.paybill(body)

    def read_status_result(self, body: bytes) -> StatusResult:
        return mpesa_parse.status_result(body)


def checkout_id(token: str) -> str:
    """The CheckoutRequestID that the fake gives the prompt with this path token."""
    return f"ws_CO_{token[:20]}"


def stamp(at: datetime) -> str:
    """A time as M-Pesa writes it."""
    return at.astimezone(mpesa_parse.NAIROBI).strftime("%Y%m%d%H%M%S")


def stk_body(
    attempt: Attempt,
    at: datetime,
    *,
    reference: str | None = None,
    amount: Money | None = None,
    code: int | str = 0,
    checkout: str | None = None,
    phone: str | None = None,
    balance: int = 0,
) -> bytes:
    """A prompt's callback in Daraja's wire form: paid when it has a reference. Another `balance`
    is another body about the same payment.
    """
    inner: dict[str, Any] = {
        "MerchantRequestID": f"29115-{attempt.token[:8]}-1",
        "CheckoutRequestID": checkout or checkout_id(attempt.token),
        "ResultCode": code,
        "ResultDesc": "The service request is processed successfully." if reference else "No.",
    }
    if reference is not None:
        paid = amount or attempt.amount
        items = [
            {"Name": "Amount", "Value": str(paid.to_decimal())},
            {"Name": "MpesaReceiptNumber", "Value": reference},
            {"Name": "Balance", "Value": balance},
            {"Name": "TransactionDate", "Value": int(stamp(at))},
            {"Name": "PhoneNumber", "Value": int(phone or attempt.phone)},
        ]
        inner["CallbackMetadata"] = {"Item": items}
    return json.dumps({"Body": {"stkCallback": inner}}).encode()


def masked(phone: str) -> str:
    """A payer's number as a C2B confirmation shows it: `2547 ***** 149`."""
    return f"{phone[:4]} ***** {phone[-3:]}"


def paybill_body(
    typed: str,
    amount: Money,
    reference: str,
    at: datetime,
    *,
    shortcode: str = SHORTCODE,
    shown: str = "",
    balance: str = "0.00",
) -> bytes:
    """A C2B confirmation (or validation) in Daraja's wire form."""
    return json.dumps(
        {
            "TransactionType": "Pay Bill",
            "TransID": reference,
            "TransTime": stamp(at),
            "TransAmount": str(amount.to_decimal()),
            "BusinessShortCode": shortcode,
            "BillRefNumber": typed,
            "InvoiceNumber": "",
            "OrgAccountBalance": balance,
            "ThirdPartyTransID": "",
            "MSISDN": shown,
            "FirstName": "JOHN",
            "MiddleName": "",
            "LastName": "",
        }
    ).encode()


def status_body(
    reference: str,
    amount: Money,
    *,
    word: str = "Completed",
    party: str = f"{SHORTCODE} - Amana",
    code: int = 0,
) -> bytes:
    """A TransactionStatus result in Daraja's wire form; with another `code` the question failed."""
    result: dict[str, Any] = {"ResultType": 0, "ResultCode": code, "ResultDesc": "", "AG": "x"}
    if code == 0:
        pairs = {
            "ReceiptNo": reference,
            "TransactionStatus": word,
            "Amount": str(amount.to_decimal()),
            "CreditPartyName": party,
            "DebitPartyName": "254722000222 - John Doe",
        }
        items = [{"Key": key, "Value": value} for key, value in pairs.items()]
        result["ResultParameters"] = {"ResultParameter": items}
    return json.dumps({"Result": result}).encode()


def near_miss(code: str) -> str:
    """The code with one wrong digit, as somebody types it into M-Pesa."""
    wrong = (int(code[5]) + 1) % 10
    return f"{code[:5]}{wrong}{code[6:]}"
