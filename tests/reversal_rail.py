"""An M-Pesa that sends payments back as it is told, and the bodies of its results."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from escrow.domain.money import Currency, Money
from escrow.rails import mpesa_payouts, mpesa_reversals
from escrow.services.ports import PayoutAnswer, PayoutResult, Verdict


@dataclass
class SentReversal:
    """A request that reached M-Pesa, and the id that M-Pesa gave it."""

    reference: str
    amount: Money
    token: str
    ocid: str


@dataclass
class FakeReversalRail:
    """`answers` are taken one by one, then every reversal is accepted."""

    can_reverse: bool = True
    shortcode: str = "174379"
    answers: list[PayoutAnswer] = field(default_factory=list)
    sent: list[SentReversal] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    receipts: list[tuple[str, str]] = field(default_factory=list)
    on_reverse: Callable[[SentReversal], Awaitable[None]] | None = None

    async def reverse(
        self, *, reference: str, amount: Money, remarks: str, result_url: str, timeout_url: str
    ) -> PayoutAnswer:
        token = result_url.rsplit("/", 1)[1]
        one = SentReversal(reference, amount, token, f"rev-{token[:8]}")
        self.sent.append(one)
        if self.on_reverse is not None:
            await self.on_reverse(one)
        if self.answers:
            return self.answers.pop(0)
        return PayoutAnswer(Verdict.PENDING, "0", "processing", conversation_id=one.ocid)

    async def ask(self, *, ocid: str, result_url: str, timeout_url: str) -> PayoutAnswer:
        self.asked.append(ocid)
        return PayoutAnswer(Verdict.PENDING, "0", "processing")

    async def ask_receipt(
        self, *, reference: str, result_url: str, timeout_url: str
    ) -> PayoutAnswer:
        self.receipts.append((reference, result_url.rsplit("/", 1)[1]))
        return PayoutAnswer(Verdict.PENDING, "0", "processing")

    def read_result(self, body: bytes) -> PayoutResult:
        return mpesa_reversals.reversal_result(body)

    def read_asked(self, body: bytes) -> PayoutResult:
        return mpesa_payouts.asked_result(body)


class ReversalBank(FakeReversalRail):
    """An M-Pesa that writes what reaches it into a file, for those who live longer than we."""

    path: str

    async def reverse(self, **asked: Any) -> PayoutAnswer:
        answer = await super().reverse(**asked)
        one = self.sent[-1]
        line = json.dumps([one.reference, one.amount.minor, one.token, one.ocid])
        with Path(self.path).open("a") as book:  # noqa: ASYNC230 one short line
            book.write(line + "\n")
        return answer

    def book(self) -> list[SentReversal]:
        """Every request that reached M-Pesa, oldest first."""
        path = Path(self.path)
        lines = path.read_text().splitlines() if path.exists() else []
        return [
            SentReversal(reference, Money(minor, Currency.KES), token, ocid)
            for reference, minor, token, ocid in map(json.loads, lines)
        ]


def reversed_body(
    sent: SentReversal,
    reference: str = "SGBACK0001",
    *,
    code: int | str = 0,
    amount: Money | None = None,
    original: str | None = None,
    ocid: str | None = None,
) -> bytes:
    """The result of a reversal: done, or with another `code` not."""
    result: dict[str, Any] = {
        "ResultType": 0,
        "ResultCode": code,
        "ResultDesc": "The service request is processed successfully.",
        "OriginatorConversationID": ocid or sent.ocid,
        "ConversationID": "AG_1",
        "TransactionID": reference,
    }
    if code == 0:
        pairs = {
            "DebitAccountBalance": "Utility Account|KES|7722179.62|7722179.62|0.00|0.00",
            "Amount": str((amount or sent.amount).to_decimal()),
            "TransCompletedTime": 20261123132711,
            "OriginalTransactionID": original or sent.reference,
            "Charge": "0.00",
            "CreditPartyPublicName": "254708374149 - John Doe",
            "DebitPartyPublicName": "174379 - Amana",
        }
        items = [{"Key": key, "Value": value} for key, value in pairs.items()]
        result["ResultParameters"] = {"ResultParameter": items}
    return json.dumps({"Result": result}).encode()


def asked_reversal_body(
    sent: SentReversal, reference: str = "SGBACK0001", *, word: str = "Completed", code: int = 0
) -> bytes:
    """TransactionStatus about a reversal; with another `code` the question failed."""
    result: dict[str, Any] = {
        "ResultType": 0,
        "ResultCode": code,
        "ResultDesc": "",
        "OriginatorConversationID": "the-question",
    }
    if code == 0:
        pairs = {
            "OriginatorConversationID": sent.ocid,
            "TransactionStatus": word,
            "Amount": str(sent.amount.minor // 100),
            "ReceiptNo": reference,
            "CreditPartyName": "254708374149 - John Doe",
        }
        items = [{"Key": key, "Value": value} for key, value in pairs.items()]
        result["ResultParameters"] = {"ResultParameter": items}
    return json.dumps({"Result": result}).encode()
