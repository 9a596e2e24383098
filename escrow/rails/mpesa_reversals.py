"""M-Pesa (Daraja), sending back: Reversal of a payment into our shortcode, and questions about it.

Implements `services.ports.ReversalRail`. Wire facts and their sources: rails.md 1.8. A reversal
takes no id of ours: its result comes to a path of its own, and M-Pesa's own id of the request, once
it is known, is what can be asked about.
"""

from __future__ import annotations

import re
from typing import Final

import httpx
from aiolimiter import AsyncLimiter

from escrow.domain.money import Currency, Money
from escrow.rails import mpesa_codes, mpesa_parse
from escrow.rails.mpesa_gateway import Gateway, MpesaConfig
from escrow.rails.mpesa_payouts import asked_result, question, refused, unsure
from escrow.rails.token_store import TokenStore
from escrow.services.ports import (
    Answer,
    Clock,
    PayoutAnswer,
    PayoutResult,
    UnreadableError,
    Verdict,
)

REVERSAL_PATH: Final = "/mpesa/reversal/v1/request"
_RECEIPT: Final = re.compile(r"[A-Z0-9]{10}", re.ASCII)
_SHORTCODE_IDENTIFIER: Final = "11"


class MpesaReversals:
    """Reversals of payments into one shortcode. Every answer is a yes, a no with its blame, or
    unknown.
    """

    def __init__(
        self,
        config: MpesaConfig,
        http: httpx.AsyncClient,
        tokens: TokenStore,
        clock: Clock,
        *,
        reachable: bool,
        pace: AsyncLimiter | None = None,
    ) -> None:
        self._config = config
        self._reachable = reachable
        self._gateway = Gateway(config, http, tokens, clock, pace=pace)

    @property
    def can_reverse(self) -> bool:
        """Whether initiator keys are set and a result can reach us."""
        ours = self._config
        return bool(self._reachable and ours.initiator_name and ours.security_credential)

    @property
    def shortcode(self) -> str:
        return self._config.shortcode

    async def reverse(
        self, *, reference: str, amount: Money, remarks: str, result_url: str, timeout_url: str
    ) -> PayoutAnswer:
        """Asks M-Pesa to send a payment back to its payer. PENDING: accepted, with M-Pesa's id.

        Never send UNKNOWN again. `ValueError` for a receipt or an amount that M-Pesa would not
        take; `DatabaseDown`, and then nothing was sent.
        """
        if not _RECEIPT.fullmatch(reference):
            raise ValueError("that is no receipt of M-Pesa")
        if amount.currency is not Currency.KES or not amount.is_whole_step() or not amount:
            raise ValueError("M-Pesa moves whole shillings")
        body = {
            "Initiator": self._config.initiator_name,
            "SecurityCredential": self._config.security_credential,
            "CommandID": "TransactionReversal",
            "TransactionID": reference,
            "Amount": str(amount.minor // amount.currency.scale),
            "ReceiverParty": self._config.shortcode,
            "RecieverIdentifierType": _SHORTCODE_IDENTIFIER,  # sic
            "ResultURL": result_url,
            "QueueTimeOutURL": timeout_url,
            "Remarks": remarks,
        }
        said = await self._gateway.post(REVERSAL_PATH, body)
        if isinstance(said, Answer):
            if said.code in mpesa_codes.REVERSAL_CODES:
                return mpesa_codes.of_reversal(said.code)
            # another request was accepted under an id of M-Pesa's making: says nothing of this one
            answer = refused(said)
            if answer.verdict is Verdict.PENDING:
                return PayoutAnswer(Verdict.UNKNOWN, said.code, "unknown")
            return answer
        if mpesa_parse.code_text(said.get("ResponseCode")) != "0":
            return unsure(said)
        named = mpesa_parse.request_id(said.get("OriginatorConversationID"))
        return PayoutAnswer(Verdict.PENDING, "0", "processing", conversation_id=named)

    async def ask(self, *, ocid: str, result_url: str, timeout_url: str) -> PayoutAnswer:
        """Asks what became of a reversal, by M-Pesa's id of it. As `MpesaPayouts.ask`."""
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
        """See `reversal_result`. `UnreadableError`."""
        return reversal_result(body)

    def read_asked(self, body: bytes) -> PayoutResult:
        """See `mpesa_payouts.asked_result`. `UnreadableError`."""
        return asked_result(body)


def reversal_result(body: bytes) -> PayoutResult:
    """The result of a reversal. Done without saying which payment went back, and how much of it, is
    unreadable. `UnreadableError`.
    """
    result, code, found = mpesa_parse.result(body)
    ocid = mpesa_parse.request_id(result.get("OriginatorConversationID"))
    if not ocid:
        raise UnreadableError("OriginatorConversationID is missing or no id")
    answer = mpesa_codes.of_reversal(code)
    if answer.verdict is not Verdict.PAID:
        return PayoutResult(answer, ocid)
    return PayoutResult(
        answer,
        ocid,
        reference=mpesa_parse.receipt_number(result.get("TransactionID")),
        amount=mpesa_parse.shillings(found.get("Amount")),
        receiver=mpesa_parse.plain_text(found.get("CreditPartyPublicName")),
        original=mpesa_parse.receipt_number(found.get("OriginalTransactionID")),
    )
