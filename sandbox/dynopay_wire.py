"""DynoPay's bodies, signatures and errors. Pure functions over what the stand-in remembers.

Numbers are written as JavaScript writes them: without trailing zeros, small ones with an exponent.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import random
import re
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal

from sandbox.daraja_wire import Json, Number

Manner = Literal["signed", "unsigned", "v1", "stale", "forged", "lost"]
"""How a webhook comes. `v1`: with the old signature only; `stale`: signed 301 s ago; `forged`:
signed with another secret; `lost`: nobody hears it, DynoPay counts it as failed."""

STALE_SECONDS: Final = 301
MINIMUM: Final = Decimal(5)
META_BYTES_MAX: Final = 2048

PENDING: Final = "payment.pending"
UNDERPAID: Final = "payment.underpaid"
CONFIRMED: Final = "payment.confirmed"
SETTLED: Final = "payment.settled"

SUPPORTED: Final = (
    *("BTC", "ETH", "LTC", "DOGE", "TRX", "BCH", "USDT-TRC20", "USDT-ERC20", "USDC-ERC20"),
    *("SOL", "XRP", "RLUSD", "RLUSD-ERC20", "POLYGON", "USDT-POLYGON"),
)
PRICES: Final = {
    "BTC": Decimal(60_000),
    "ETH": Decimal(2500),
    "LTC": Decimal(70),
    "TRX": Decimal("0.125"),
    "XRP": Decimal("0.5"),
    "USDT-TRC20": Decimal(1),
    "USDT-ERC20": Decimal(1),
    "USDC-ERC20": Decimal(1),
}
"""Dollars for one coin."""
SHARED_ADDRESS: Final = "rPT1Sjq2YGrBMTttX4GZHjKu9dyfzbpAYe"
TAGGED: Final = ("XRP", "RLUSD")

ERRORS: Final[dict[str, tuple[int, str, str]]] = {
    "api_key_missing": (401, "api_key_missing", "API key is required in x-api-key header"),
    "api_key_invalid": (401, "api_key_invalid", "Invalid API key"),
    "amount_invalid": (400, "amount_invalid", "Valid payment amount is required"),
    "amount_below_minimum": (
        400,
        "amount_below_minimum",
        "Amount must be greater than or equal to 5",
    ),
    "currency_required": (400, "currency_required", "Currency is required"),
    "currency_not_available": (
        400,
        "currency_not_available",
        "DOGE is not available for this payment. Available currencies: BTC",
    ),
    "no_wallet_for": (400, "", "No wallet configured for: LTC. Available currencies: BTC"),
    "no_wallet_configured": (
        400,
        "no_wallet_configured",
        "No crypto wallet configured. Please add at least one crypto wallet address before "
        "creating a payment.",
    ),
    "meta_too_large": (400, "", "meta_data is too large"),
    "invalid_json": (400, "", "Invalid JSON"),
    "idempotency_key_reused": (
        409,
        "idempotency_key_reused",
        "This Idempotency-Key was already used with a different request. Use a new key for a new "
        "request.",
    ),
    "idempotency_request_in_progress": (
        409,
        "idempotency_request_in_progress",
        "A request with this Idempotency-Key is still being processed. Retry in a moment.",
    ),
    "payment_not_found": (404, "", "Please provide a valid payment_id!"),
    "event_not_found": (404, "", "Event not found"),
    "not_found": (404, "", "Not found"),
    "rate_unavailable": (500, "rate_unavailable", "Failed to get currency rates"),
    "internal": (500, "", "Internal server error"),
}
"""Error envelopes by name: HTTP status, code (empty: none), message."""

_RANDOM: Final = random.SystemRandom()


class Refusal(Exception):
    """A request that is answered with an error envelope of ERRORS."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.status = ERRORS[name][0]
        self.body = error_body(name)


@dataclass(slots=True)
class CoinPayment:
    """One address that somebody was given, and what came to it."""

    id: str
    address: str
    currency: str
    amount: Decimal  # expected, in the coin
    base_amount: Decimal
    base_currency: str
    urls: tuple[str, ...]
    meta: Any
    at: datetime
    tag: int | None = None
    status: str = "waiting"
    incoming: str = ""  # the newest hash
    received: Decimal = Decimal(0)  # what the last deposit really was


@dataclass(frozen=True, slots=True)
class Coins:
    """What somebody sent: the truth, which webhooks repeat or contradict."""

    txid: str
    amount: Decimal
    fee: Decimal = Decimal(0)


@dataclass(slots=True)
class Hook:
    """One delivery of a webhook, as DynoPay's list keeps it, with its payload."""

    id: int
    event: str
    url: str
    payload: Json
    at: datetime
    webhook_id: str = ""
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    status: int | None = None  # what was answered; None: nothing
    answer: str = ""
    error: str = ""
    seq: int = 0

    @property
    def delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


@dataclass(slots=True)
class DynoPayCall:
    """One request of the bot."""

    endpoint: str
    at: datetime
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    status: int | None = None  # None: still open, or cut
    answer: str = ""


def number(amount: Decimal) -> Number:
    """As JavaScript prints it: 15, 0.015, 2.45e-7."""
    plain = amount.normalize()
    small = plain and abs(plain) < Decimal("1e-6")
    return Number(f"{plain:e}" if small else f"{plain:f}")


def dump(body: Any) -> str:
    """JSON as JavaScript writes it, `Number`s as they stand."""
    text = json.dumps(
        body,
        separators=(",", ":"),
        ensure_ascii=False,
        default=lambda one: f"\x00{one.digits}\x00",
    )
    return re.sub(r'"\\u0000([^"\\]*)\\u0000"', r"\1", text)


def success(message: str, found: Any, **more: Any) -> Json:
    return {"success": True, "message": message, "data": found, **more}


def error_body(name: str) -> Json:
    _, code, message = ERRORS[name]
    return {"success": False, "message": message} | ({"code": code} if code else {})


def rate_limited(seconds: int) -> Json:
    """The limiter stands before the API, and has an envelope of its own."""
    return {
        "error": "Too Many Requests",
        "message": f"Rate limit exceeded. Please retry after {seconds} seconds.",
        "retryAfter": seconds,
    }


def new_address(currency: str) -> str:
    if currency in TAGGED:
        return SHARED_ADDRESS
    digits = f"{_RANDOM.getrandbits(160):040x}"
    if currency == "BTC":
        return f"bc1q{digits[:38]}"
    if currency == "LTC":
        return f"ltc1q{digits[:38]}"
    if currency in ("TRX", "USDT-TRC20"):
        return f"T{digits[:33]}"
    return f"0x{digits}"


def new_txid(currency: str) -> str:
    digits = f"{_RANDOM.getrandbits(256):064x}"
    if currency in TAGGED:
        return digits.upper()
    return digits if currency in ("BTC", "LTC", "TRX", "USDT-TRC20") else f"0x{digits}"


def iso(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def event_fields(event: str, payment: CoinPayment, coins: Coins, at: datetime) -> Json:
    """A webhook of a direct payment: webhook-direct-pending, -underpaid, -confirmed; settled as
    the sender's code has it.
    """
    common: Json = {
        "event": event,
        "payment_type": "direct_api",
        "payment_id": payment.id,
        "currency": payment.currency,
        "base_amount": number(payment.base_amount),
        "base_currency": payment.base_currency,
        "customer_name": "API Customer",
        "customer_email": "api-customer@example.com",
        "description": None,
        "link_id": None,
        "fee_payer": "company",
    }
    if payment.tag is not None:
        common |= {"destination_tag": payment.tag, "network": "XRP Ledger"}
    coming: Json = {"address": payment.address, "txId": coins.txid, "timestamp": iso(at)}
    if event == UNDERPAID:
        return {
            **common,
            **coming,
            "status": "underpaid",
            "amount_received": number(coins.amount),
            "amount_expected": number(payment.amount),
            "amount_remaining": number(max(Decimal(0), payment.amount - coins.amount)),
            "note": "Direct API: processing with actual received amount",
        }
    if event in (CONFIRMED, SETTLED):
        return {
            **common,
            "transaction_reference": coins.txid,
            "status": "processing" if event == CONFIRMED else "settled",
            "amount": number(coins.amount),
            "merchant_amount": number(coins.amount - coins.fee),
            "total_fee": number(coins.fee),
            "tax_info": None,
            "overpayment": None,
            "meta_data": payment.meta,
            "completed_at": iso(at),
        }
    status = event.partition(".")[2]
    return {**common, **coming, "status": status, "amount": number(coins.amount)}


def signature(secret: str, seconds: int, body: str) -> str:
    """Version 2: over the time and the raw body."""
    return hmac.new(secret.encode(), f"{seconds}.{body}".encode(), hashlib.sha256).hexdigest()


def old_signature(secret: str, seconds: int, body: str) -> str:
    """Version 1: over the body with the time as its last field."""
    text = f'{body[:-1]},"timestamp":{seconds}}}'
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def headers(
    event: str, webhook_id: str, body: str, at: datetime, secrets: tuple[str, ...], manner: Manner
) -> dict[str, str]:
    """The headers of a delivery; while a secret is changed, one v1 for each."""
    seconds = int(at.timestamp()) - (STALE_SECONDS if manner == "stale" else 0)
    said = {
        "Content-Type": "application/json",
        "User-Agent": "Dynopay-Webhook/1.0",
        "X-DynoPay-Event": event,
        "X-DynoPay-Timestamp": str(seconds),
        "X-DynoPay-Webhook-Id": webhook_id,
        "X-DynoPay-Type": "direct_api",
    }
    if manner == "unsigned":
        return said
    if manner == "forged":
        secrets = tuple(f"not {secret}" for secret in secrets)
    said["X-DynoPay-Signature"] = old_signature(secrets[0], seconds, body)
    if manner != "v1":
        claims = [f"v1={signature(secret, seconds, body)}" for secret in secrets]
        said["X-Dynopay-Signature-V2"] = ",".join([f"t={seconds}", *claims])
    return said


def new_id() -> str:
    return str(uuid.UUID(int=_RANDOM.getrandbits(128), version=4))
