"""M-Pesa (Daraja), the paying-in half: prompts, their queries, receipts asked about, callbacks.

Implements `services.ports.Rail`. Wire facts and their sources: rails.md section 1.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import httpx
from aiolimiter import AsyncLimiter
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from escrow.domain.money import Currency, Money
from escrow.domain.outages import Pulse
from escrow.domain.phone import is_msisdn
from escrow.rails import mpesa_codes, mpesa_parse
from escrow.rails.mpesa_gateway import ANSWER_LOST, NEVER_SENT, Gateway, MpesaConfig
from escrow.rails.token_store import TokenStore
from escrow.services.ports import (
    Answer,
    Clock,
    PaybillPayment,
    PromptAnswer,
    StatusResult,
    StkCallback,
    Verdict,
)

__all__ = ["Mpesa", "MpesaConfig", "password", "security_credential"]

PROMPT_PATH: Final = "/mpesa/stkpush/v1/processrequest"
QUERY_PATH: Final = "/mpesa/stkpushquery/v1/query"
STATUS_PATH: Final = "/mpesa/transactionstatus/v1/query"
REGISTER_PATH: Final = "/mpesa/c2b/v1/registerurl"

AMOUNT_MIN: Final = 1
AMOUNT_MAX: Final = 250_000
"""Shillings in one payment (rails.md 1.3)."""
SHORTCODE_IDENTIFIER: Final = "4"

_REFERENCE: Final = re.compile(r"[A-Za-z0-9]{1,12}", re.ASCII)
_RECEIPT: Final = re.compile(r"[A-Z0-9]{4,32}", re.ASCII)


class Mpesa:
    """One paybill or till. Every answer is a definite yes, a definite no, or unknown."""

    def __init__(
        self,
        config: MpesaConfig,
        http: httpx.AsyncClient,
        tokens: TokenStore,
        clock: Clock,
        *,
        pace: AsyncLimiter | None = None,
        pulse: Pulse | None = None,
    ) -> None:
        self._config = config
        self._clock = clock
        self._gateway = Gateway(config, http, tokens, clock, pace=pace, pulse=pulse)

    @property
    def shortcode(self) -> str:
        return self._config.shortcode

    @property
    def offered(self) -> bool:
        return bool(self._config.consumer_key and self._config.consumer_secret)

    @property
    def till(self) -> str:
        return self._config.till

    @property
    def numbers(self) -> frozenset[str]:
        return frozenset({self._config.shortcode, self._config.till} - {""})

    @property
    def display_name(self) -> str:
        return self._config.display_name

    @property
    def can_ask_status(self) -> bool:
        return bool(self._config.initiator_name and self._config.security_credential)

    async def prompt(
        self, *, phone: str, amount: Money, reference: str, callback_url: str
    ) -> PromptAnswer:
        """Asks for a PIN on that phone. PENDING: accepted, the phone is asking.

        DECLINED only when nothing was asked for certain. Never send UNKNOWN again: the phone may
        be asking, and M-Pesa knows no idempotency. `ValueError` for a number, an amount or a
        reference that M-Pesa would not take; `DatabaseDown`, and then the phone is not asking.
        """
        till = self._config.till
        if not is_msisdn(phone):
            raise ValueError("the phone is no Kenyan mobile number")
        if not _REFERENCE.fullmatch(reference):
            raise ValueError("the reference is not 1 to 12 letters and digits")
        body = {
            **self._signed(),
            "TransactionType": "CustomerBuyGoodsOnline" if till else "CustomerPayBillOnline",
            "Amount": _shillings(amount),
            "PartyA": phone,
            "PartyB": till or self._config.shortcode,
            "PhoneNumber": phone,
            "CallBackURL": callback_url,
            "AccountReference": reference,
            "TransactionDesc": f"Escrow {reference[-6:]}",
        }
        said = await self._gateway.post(PROMPT_PATH, body)
        if isinstance(said, Answer):
            return PromptAnswer(mpesa_codes.of_prompt(said))
        checkout = mpesa_parse.request_id(said.get("CheckoutRequestID"))
        if not _accepted(said) or not checkout:
            return PromptAnswer(_unknown(said))
        return PromptAnswer(
            Answer(Verdict.PENDING, "0", "processing"),
            checkout_request_id=checkout,
            merchant_request_id=mpesa_parse.request_id(said.get("MerchantRequestID")),
        )

    async def query(self, checkout_request_id: str) -> Answer:
        """What became of a prompt. PAID proves that this request was paid, without a receipt
        number. Code `unreachable`: M-Pesa could not be asked. `DatabaseDown`.
        """
        body = {**self._signed(), "CheckoutRequestID": checkout_request_id}
        said = await self._gateway.post(QUERY_PATH, body)
        if isinstance(said, Answer):
            return _question(said)
        about = said.get("CheckoutRequestID", checkout_request_id)
        heard = mpesa_parse.code_text(said.get("ResponseCode", "0")) == "0"
        code = mpesa_parse.code_text(said.get("ResultCode"))
        if about != checkout_request_id or not heard or not code:
            return _unknown(said)
        return mpesa_codes.of_result(code, asked=True)

    async def ask_status(self, *, reference: str, result_url: str, timeout_url: str) -> Answer:
        """Asks what became of a receipt; PENDING: the answer will come to `result_url`.

        Anything else says nothing about the payment. `ValueError` for what is no receipt number;
        `DatabaseDown`.
        """
        if not _RECEIPT.fullmatch(reference):
            raise ValueError("that is no receipt number")
        if not self.can_ask_status:
            return Answer(Verdict.UNKNOWN, "", "misconfigured")
        body = {
            "Initiator": self._config.initiator_name,
            "SecurityCredential": self._config.security_credential,
            "CommandID": "TransactionStatusQuery",
            "TransactionID": reference,
            "PartyA": self._config.shortcode,
            "IdentifierType": SHORTCODE_IDENTIFIER,
            "ResultURL": result_url,
            "QueueTimeOutURL": timeout_url,
            "Remarks": "Escrow",
            "Occasion": "Escrow",
        }
        said = await self._gateway.post(STATUS_PATH, body)
        if isinstance(said, Answer):
            return _question(said)
        return Answer(Verdict.PENDING, "0", "processing") if _accepted(said) else _unknown(said)

    async def register_c2b(
        self, confirmation_url: str, validation_url: str, response_type: str = "Completed"
    ) -> Answer:
        """Names the addresses for paybill payments. PAID: registered; reason `urls_registered`:
        others are, which production lets nobody change here. `ValueError`, `DatabaseDown`.
        """
        if response_type not in ("Completed", "Cancelled"):
            raise ValueError("the response type is Completed or Cancelled")
        body = {
            "ShortCode": self._config.shortcode,
            "ResponseType": response_type,
            "ConfirmationURL": confirmation_url,
            "ValidationURL": validation_url,
        }
        said = await self._gateway.post(REGISTER_PATH, body)
        if isinstance(said, Answer):
            return said
        return Answer(Verdict.PAID, "0", "registered") if _accepted(said) else _unknown(said)

    def read_stk_callback(self, body: bytes) -> StkCallback:
        """See `mpesa_parse.stk_callback`. `UnreadableError`."""
        return mpesa_parse.stk_callback(body)

    def read_paybill(self, body: bytes) -> PaybillPayment:
        """See `mpesa_parse.paybill`. `UnreadableError`."""
        return mpesa_parse.paybill(body)

    def read_status_result(self, body: bytes) -> StatusResult:
        """See `mpesa_parse.status_result`. `UnreadableError`."""
        return mpesa_parse.status_result(body)

    def _signed(self) -> dict[str, Any]:
        """Shortcode, password and the Nairobi time that it was made with."""
        stamp = self._clock.now().astimezone(mpesa_parse.NAIROBI).strftime("%Y%m%d%H%M%S")
        shortcode = self._config.shortcode
        return {
            "BusinessShortCode": shortcode,
            "Password": password(shortcode, self._config.passkey, stamp),
            "Timestamp": stamp,
        }


def password(shortcode: str, passkey: str, timestamp: str) -> str:
    """The Password of a prompt or query for exactly that Timestamp."""
    return base64.b64encode(f"{shortcode}{passkey}{timestamp}".encode()).decode()


def security_credential(password: str, certificate: bytes) -> str:
    """An initiator's password for M-Pesa: RSA PKCS#1 v1.5 with its certificate, in base64.

    PEM or DER. Dates are not checked: the certificates in use have expired (rails.md 1.8).
    `ValueError` when it is no RSA certificate or the password is too long for it.
    """
    read = (
        x509.load_pem_x509_certificate
        if certificate.lstrip().startswith(b"-----")
        else x509.load_der_x509_certificate
    )
    key = read(certificate).public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError("the certificate holds no RSA key")  # noqa: TRY004 a bad file, no bug
    return base64.b64encode(key.encrypt(password.encode(), padding.PKCS1v15())).decode()


def _shillings(amount: Money) -> int:
    whole, cents = divmod(amount.minor, Currency.KES.scale)
    if amount.currency is not Currency.KES or cents or not AMOUNT_MIN <= whole <= AMOUNT_MAX:
        raise ValueError(f"M-Pesa moves {AMOUNT_MIN} to {AMOUNT_MAX} whole shillings")
    return whole


def _accepted(said: Mapping[str, Any]) -> bool:
    """Whether a synchronous answer says "accepted"."""
    return mpesa_parse.code_text(said.get("ResponseCode")) == "0"


def _unknown(said: Mapping[str, Any]) -> Answer:
    return Answer(Verdict.UNKNOWN, mpesa_parse.code_text(said.get("ResponseCode")), "unknown")


def _question(said: Answer) -> Answer:
    """An error about a question; one that was never heard or answered is `unreachable`."""
    if said in (NEVER_SENT, ANSWER_LOST):
        return replace(NEVER_SENT, verdict=Verdict.UNKNOWN)
    return mpesa_codes.of_question(said)
