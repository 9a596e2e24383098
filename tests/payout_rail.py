"""An M-Pesa that pays out as it is told, and the bodies of its results in Daraja's wire form."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from escrow.domain.money import Currency, Money
from escrow.domain.payouts import Payout
from escrow.rails import mpesa_parse, mpesa_payouts
from escrow.services.ports import Blame, PayoutAnswer, PayoutResult, StatusResult, Verdict

ACCEPTED = PayoutAnswer(Verdict.PENDING, "0", "processing", conversation_id="AG_1")
LOST = PayoutAnswer(Verdict.UNKNOWN, "lost", "unknown")
SHORT = PayoutAnswer(Verdict.DECLINED, "1", "float", Blame.OURS)
UNREGISTERED = PayoutAnswer(Verdict.DECLINED, "2040", "unregistered", Blame.PAYEE)
LOCKED = PayoutAnswer(Verdict.DECLINED, "8006", "api_user_locked", Blame.STOP)


@dataclass
class SentPayout:
    """A request that reached M-Pesa."""

    ocid: str
    phone: str
    amount: Money
    token: str


@dataclass
class FakePayoutRail:
    """`answers` are taken one by one, then every payment is accepted. `on_pay` sees the world at
    the moment of sending.
    """

    can_pay: bool = True
    credential: str = "c0ffee" * 6
    answers: list[PayoutAnswer] = field(default_factory=list)
    sent: list[SentPayout] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    receipts: list[tuple[str, str]] = field(default_factory=list)
    shortcode: str = "600997"
    on_pay: Callable[[SentPayout], Awaitable[None]] | None = None

    async def pay(
        self, *, ocid: str, phone: str, amount: Money, result_url: str, timeout_url: str
    ) -> PayoutAnswer:
        one = SentPayout(ocid, phone, amount, result_url.rsplit("/", 1)[1])
        self.sent.append(one)
        if self.on_pay is not None:
            await self.on_pay(one)
        return self.answers.pop(0) if self.answers else ACCEPTED

    async def ask(self, *, ocid: str, result_url: str, timeout_url: str) -> PayoutAnswer:
        self.asked.append(ocid)
        return ACCEPTED

    async def ask_receipt(
        self, *, reference: str, result_url: str, timeout_url: str
    ) -> PayoutAnswer:
        self.receipts.append((reference, result_url.rsplit("/", 1)[1]))
        return ACCEPTED

    def read_receipt(self, body: bytes) -> StatusResult:
        return mpesa_parse.status_result(body)

    def read_result(self, body: bytes) -> PayoutResult:
        return mpesa_payouts.payout_result(body)

    def read_asked(self, body: bytes) -> PayoutResult:
        return mpesa_payouts.asked_result(body)


class Bank(FakePayoutRail):
    """An M-Pesa that writes what reaches it into a file, for those who live longer than we."""

    path: str

    async def pay(self, **asked: Any) -> PayoutAnswer:
        answer = await super().pay(**asked)
        one = self.sent[-1]
        line = json.dumps([one.ocid, one.phone, one.amount.minor, one.token])
        with Path(self.path).open("a") as book:  # noqa: ASYNC230 one short line
            book.write(line + "\n")
        return answer

    def book(self) -> list[SentPayout]:
        """Every request that reached M-Pesa, oldest first."""
        path = Path(self.path)
        lines = path.read_text().splitlines() if path.exists() else []
        return [
            SentPayout(ocid, phone, Money(minor, Currency.KES), token)
            for ocid, phone, minor, token in map(json.loads, lines)
        ]


def result_body(
    sent: SentPayout,
    reference: str = "SGOUT00001",
    *,
    code: int | str = 0,
    amount: Money | None = None,
    ocid: str | None = None,
    receiver: str | None = None,
) -> bytes:
    """The result of a payment: paid, or with another `code` refused."""
    result: dict[str, Any] = {
        "ResultType": 0,
        "ResultCode": code,
        "ResultDesc": "",
        "OriginatorConversationID": ocid or sent.ocid,
        "ConversationID": "AG_1",
        "TransactionID": reference,
    }
    if code == 0:
        paid = amount or sent.amount
        result["ResultParameters"] = _items(
            TransactionAmount=paid.minor // 100,
            TransactionReceipt=reference,
            ReceiverPartyPublicName=receiver or f"{sent.phone} - Jane Doe",
        )
    return json.dumps({"Result": result}).encode()


def asked_body(
    sent: SentPayout, reference: str = "SGOUT00001", *, word: str = "Completed", code: int = 0
) -> bytes:
    """TransactionStatus about a payment; with another `code` the question failed."""
    result: dict[str, Any] = {
        "ResultType": 0,
        "ResultCode": code,
        "ResultDesc": "",
        "OriginatorConversationID": "the-question",
    }
    if code == 0:
        result["ResultParameters"] = _items(
            OriginatorConversationID=sent.ocid,
            TransactionStatus=word,
            Amount=str(sent.amount.minor // 100),
            ReceiptNo=reference,
            CreditPartyName=f"{sent.phone} - Jane Doe",
        )
    return json.dumps({"Result": result}).encode()


def word_body(
    payout: Payout,
    reference: str,
    *,
    amount: Money | None = None,
    word: str = "Completed",
    payer: str = "600997 - Amana",
    receiver: str | None = None,
    code: int = 0,
) -> bytes:
    """TransactionStatus about a receipt that an admin named."""
    result: dict[str, Any] = {"ResultType": 0, "ResultCode": code, "ResultDesc": ""}
    if code == 0:
        to = f"{payout.destination} - Jane Doe" if receiver is None else receiver
        result["ResultParameters"] = _items(
            ReceiptNo=reference,
            TransactionStatus=word,
            Amount=str((amount or payout.amount).to_decimal()),
            DebitPartyName=payer,
            CreditPartyName=to,
        )
    return json.dumps({"Result": result}).encode()


def _items(**pairs: Any) -> dict[str, Any]:
    return {"ResultParameter": [{"Key": key, "Value": value} for key, value in pairs.items()]}
