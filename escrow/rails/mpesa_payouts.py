"""M-Pesa (Daraja), the paying-out half: B2C v3 and questions about it by our own id.

Implements `services.ports.PayoutRail`. Wire facts and their sources: rails.md 1.7 and 1.8.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import httpx
from aiolimiter import AsyncLimiter

from escrow.domain.money import Money
from escrow.domain.payouts import LEAST, MOST
from escrow.domain.phone import is_msisdn
from escrow.rails import mpesa_codes, mpesa_parse
from escrow.rails.mpesa_gateway import Gateway, MpesaConfig
from escrow.rails.token_store import TokenStore
from escrow.services.ports import (
    Answer,
    Blame,
    Clock,
    PayoutAnswer,
    PayoutResult,
    StatusResult,
    UnreadableError,
    Verdict,
)

PAY_PATH: Final = "/mpesa/b2c/v3/paymentrequest"
STATUS_PATH: Final = "/mpesa/transactionstatus/v1/query"
_OCID: Final = re.compile(r"[A-Za-z0-9_-]{1,36}", re.ASCII)


class MpesaPayouts:
    """Payments to customers from one shortcode. Every answer is a yes, a no with its blame, or
    unknown.
    """

    def __init__(
        self,
        config: MpesaConfig,
        http: httpx.AsyncClient,
        tokens: TokenStore,
        clock: Clock,
        *,
        credential: str = "",
        pace: AsyncLimiter | None = None,
    ) -> None:
        self._config = config
        self._credential = credential
        self._gateway = Gateway(config, http, tokens, clock, pace=pace)

    @property
    def can_pay(self) -> bool:
        ours = self._config
        return bool(
            ours.shortcode
            and ours.consumer_key
            and ours.initiator_name
            and ours.security_credential
            and self._credential
        )

    @property
    def credential(self) -> str:
        return self._credential

    @property
    def shortcode(self) -> str:
        return self._config.shortcode

    async def pay(
        self, *, ocid: str, phone: str, amount: Money, result_url: str, timeout_url: str
    ) -> PayoutAnswer:
        """Asks M-Pesa to pay. PENDING: accepted, or accepted before under this id.

        Never send UNKNOWN again, not even under the same id. `ValueError` for an id, a number or an
        amount that M-Pesa would not take; `DatabaseDown`, and then nothing was sent.
        """
        if not _OCID.fullmatch(ocid):
            raise ValueError("the id is not 1 to 36 letters, digits, - and _")
        if not is_msisdn(phone):
            raise ValueError("the destination is no Kenyan mobile number")
        if amount.currency is not LEAST.currency or not amount.is_whole_step():
            raise ValueError("M-Pesa pays whole shillings")
        if not LEAST <= amount <= MOST:
            raise ValueError(f"M-Pesa pays {LEAST} to {MOST}")
        body = {
            "OriginatorConversationID": ocid,
            "InitiatorName": self._config.initiator_name,
            "SecurityCredential": self._config.security_credential,
            "CommandID": "BusinessPayment",
            "Amount": amount.minor // amount.currency.scale,
            "PartyA": self._config.shortcode,
            "PartyB": phone,
            "Remarks": "Escrow payout",
            "QueueTimeOutURL": timeout_url,
            "ResultURL": result_url,
            "Occassion": "Escrow",  # sic
        }
        said = await self._gateway.post(PAY_PATH, body)
        if isinstance(said, Answer):
            return refused(said)
        if mpesa_parse.code_text(said.get("ResponseCode")) != "0":
            return unsure(said)
        named = mpesa_parse.request_id(said.get("ConversationID"))
        return PayoutAnswer(Verdict.PENDING, "0", "processing", conversation_id=named)

    async def ask(self, *, ocid: str, result_url: str, timeout_url: str) -> PayoutAnswer:
        """Asks what became of a payment; PENDING: the answer will come to `result_url`. Anything
        else says nothing about the payment, but STOP that our API user is refused. `DatabaseDown`.
        """
        return await question(
            self._gateway, self._config, {"OriginalConversationID": ocid}, result_url, timeout_url
        )

    async def ask_receipt(
        self, *, reference: str, result_url: str, timeout_url: str
    ) -> PayoutAnswer:
        """The same about a payment that a person made, by its receipt number."""
        return await question(
            self._gateway, self._config, {"TransactionID": reference}, result_url, timeout_url
        )

    def read_result(self, body: bytes) -> PayoutResult:
        """See `payout_result`. `UnreadableError`."""
        return payout_result(body)

    def read_receipt(self, body: bytes) -> StatusResult:
        """What M-Pesa says of a receipt. `UnreadableError`."""
        return mpesa_parse.status_result(body)

    def read_asked(self, body: bytes) -> PayoutResult:
        """See `asked_result`. `UnreadableError`."""
        return asked_result(body)


async def question(
    gateway: Gateway,
    config: MpesaConfig,
    about: Mapping[str, str],
    result_url: str,
    timeout_url: str,
) -> PayoutAnswer:
    """Asks TransactionStatus about a payment of ours."""
    body = {
        "Initiator": config.initiator_name,
        "SecurityCredential": config.security_credential,
        "CommandID": "TransactionStatusQuery",
        **about,
        "PartyA": config.shortcode,
        "IdentifierType": "4",
        "ResultURL": result_url,
        "QueueTimeOutURL": timeout_url,
        "Remarks": "Escrow",
        "Occasion": "Escrow",
    }
    said = await gateway.post(STATUS_PATH, body)
    if isinstance(said, Answer):
        return PayoutAnswer(Verdict.UNKNOWN, said.code, said.reason)
    if mpesa_parse.code_text(said.get("ResponseCode")) != "0":
        return unsure(said)
    return PayoutAnswer(Verdict.PENDING, "0", "processing")


def payout_result(body: bytes) -> PayoutResult:
    """The result of a payment. Paid without a receipt or an amount is unreadable; a refused
    one's TransactionID only looks like a receipt. `UnreadableError`.
    """
    result, code, found = mpesa_parse.result(body)
    ocid = mpesa_parse.request_id(result.get("OriginatorConversationID"))
    if not ocid:
        raise UnreadableError("OriginatorConversationID is missing or no id")
    answer = mpesa_codes.of_payout(code)
    if answer.verdict is not Verdict.PAID:
        return PayoutResult(answer, ocid)
    number = found.get("TransactionReceipt") or result.get("TransactionID")
    return PayoutResult(
        answer,
        ocid,
        reference=mpesa_parse.receipt_number(number),
        amount=mpesa_parse.shillings(found.get("TransactionAmount")),
        receiver=mpesa_parse.plain_text(found.get("ReceiverPartyPublicName")),
    )


def asked_result(body: bytes) -> PayoutResult:
    """What TransactionStatus says of a payment. How the question failed says nothing about it,
    except that our API user may be refused. DECLINED (it was not completed) is nobody's blame:
    a person looks. `UnreadableError`.
    """
    _, code, found = mpesa_parse.result(body)
    if code != "0":
        known = mpesa_codes.PAYOUT_CODES.get(code)
        stop = Blame.STOP if known and known.blame is Blame.STOP else None
        return PayoutResult(PayoutAnswer(Verdict.UNKNOWN, code, "unknown", stop), "")
    word = mpesa_parse.plain_text(found.get("TransactionStatus")).lower()
    verdict, reason = mpesa_codes.TRANSACTION_STATUS.get(word, (Verdict.UNKNOWN, "unknown"))
    names = ("OriginatorConversationID", "OriginalConversationID")
    ocid = next((one for key in names if (one := mpesa_parse.request_id(found.get(key)))), "")
    paid = verdict is Verdict.PAID
    return PayoutResult(
        PayoutAnswer(verdict, code, reason),
        ocid,
        reference=mpesa_parse.receipt_number(found.get("ReceiptNo")) if paid else "",
        amount=mpesa_parse.shillings(found.get("Amount")) if paid else None,
        receiver=mpesa_parse.plain_text(found.get("CreditPartyName")),
    )


def refused(said: Answer) -> PayoutAnswer:
    """An error envelope, or silence. "Duplicate OriginatorConversationID" means accepted before."""
    if said.code in mpesa_codes.PAYOUT_CODES:
        return mpesa_codes.of_payout(said.code)
    if said.verdict is Verdict.DECLINED:
        return PayoutAnswer(Verdict.DECLINED, said.code, said.reason, Blame.OURS)
    if said.verdict is Verdict.PENDING and said.code == "500.002.1001":
        return PayoutAnswer(Verdict.PENDING, said.code, "processing")
    return PayoutAnswer(Verdict.UNKNOWN, said.code, "unknown")


def unsure(said: Mapping[str, Any]) -> PayoutAnswer:
    """A 200 that does not accept: what it means is documented nowhere."""
    code = mpesa_parse.code_text(said.get("ResponseCode"))
    return PayoutAnswer(Verdict.UNKNOWN, code, "unknown")
