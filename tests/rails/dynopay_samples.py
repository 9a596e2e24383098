"""Bodies in the shapes of the collected DynoPay samples, under the samples' own names.

The shapes are theirs; ids, names and amounts are made up.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import datetime

from escrow.services.ports import RawRequest
from tests.rails.fakes import NOW

SECRET = "whsec_of_the_tests"
TOKEN = "5f" * 16
PATH = f"/hooks/dynopay/{TOKEN}"
HASH = "0x" + "ab12" * 16
DUE = 'from "Pay" of ES1008257624'

_DIRECT = {
    "payment_type": "direct_api",
    "payment_id": "pay_1f0c5a52-63b2-4c39-8a7e-0c5a5263b24c",
    "currency": "BTC",
    "base_amount": 500,
    "base_currency": "USD",
    "customer_name": "API Customer",
    "customer_email": "api@amana.test",
    "description": DUE,
    "link_id": None,
    "fee_payer": "customer",
}
_LINK = {**_DIRECT, "payment_type": "payment_link", "currency": "ETH", "link_id": 411}
_ADDRESS = "0xabcdef1234567890abcdef1234567890abcdef12"
_COMING = {"address": _ADDRESS, "timestamp": "2021-06-28T06:24:00.000Z"}
_DONE = {
    "status": "processing",
    "tax_info": None,
    "overpayment": None,
    "completed_at": "2021-06-28T06:29:00.000Z",
}

WEBHOOKS = {
    "webhook-direct-pending": {
        "event": "payment.pending",
        **_DIRECT,
        **_COMING,
        "txId": HASH,
        "amount": 0.015,
        "status": "pending",
    },
    "webhook-direct-underpaid": {
        "event": "payment.underpaid",
        **_DIRECT,
        **_COMING,
        "txId": "0xpartial789...",
        "amount_received": 0.01,
        "amount_expected": 0.015,
        "amount_remaining": 0.005,
        "status": "underpaid",
        "note": "Direct API: processing with actual received amount",
    },
    "webhook-direct-confirmed": {
        "event": "payment.confirmed",
        **_DIRECT,
        **_DONE,
        "transaction_reference": HASH,
        "amount": 0.015,
        "merchant_amount": 0.01425,
        "total_fee": 0.00075,
        "total_fee_usd": 25.0,
        "meta_data": {"invoice_id": "INV-1", "customer_id": "CUST-1"},
    },
    "webhook-link-pending": {
        "event": "payment.pending",
        **_LINK,
        **_COMING,
        "txId": HASH,
        "amount": 0.042,
        "status": "pending",
    },
    "webhook-link-underpaid": {
        "event": "payment.underpaid",
        **_LINK,
        **_COMING,
        "txId": "0xpartial123...",
        "amount_received": 0.03,
        "amount_expected": 0.042,
        "amount_remaining": 0.012,
        "status": "underpaid",
        "grace_period_minutes": 30,
    },
    "webhook-link-confirmed": {
        "event": "payment.confirmed",
        **_LINK,
        **_DONE,
        "transaction_reference": HASH,
        "amount": 0.042,
        "merchant_amount": 0.0399,
        "total_fee": 0.0021,
        "total_fee_usd": 5.0,
        "meta_data": {"order_id": "12345"},
    },
    "webhook-link-overpaid": {
        "event": "payment.confirmed",
        **_LINK,
        **_DONE,
        "transaction_reference": "0xghi012...",
        "amount": 0.055,
        "merchant_amount": 0.0499,
        "total_fee": 0.0021,
        "total_fee_usd": 5.0,
        "overpayment": {"amount_crypto": 0.003, "amount_usd": 7.5},
        "meta_data": None,
    },
    "webhook-legacy-shape": {
        "id": "dynopay_tx_12345",
        "paid_amount": 0.001,
        "paid_currency": "BTC",
        "status": "confirmed",
        "meta_data": {"refId": "EXC_1", "operation_type": "exchange_deposit"},
    },
}

QUOTED = {
    "success": True,
    "message": "Payment Created!",
    "data": {
        "transaction_id": "a1b2c3d4-e5f6-4000-8000-000000000000",
        "qr_code": "data:image/png;base64,AAAA",
        "address": "bc1qxy2kgdygjrsqtzq2n0yrf2493p83kkfjhx0wlh",
        "amount": 0.000245,
        "currency": "BTC",
        "base_amount": 15.0,
        "base_currency": "USD",
        "redirect_uri": "https://amana.test/success",
    },
}
"""cryptopayment-response"""
LINKED = {
    "success": True,
    "message": "Link Generated!",
    "data": {
        "redirect_url": "https://checkout.dynopay.com/pay?d=abc123",
        "fee_payer": "company",
        "available_currencies": ["BTC", "ETH", "LTC", "USDT-TRC20"],
        "webhook_url": "configured",
    },
}
"""createpayment-response"""
NO_KEY = {"success": False, "message": "API key is required", "code": "api_key_missing"}
"""error-api-key-missing"""
STATUS = {
    "success": True,
    "message": "Payment status retrieved",
    "data": {
        "payment_id": "0f3a89a2-0000-4000-8000-000000000000",
        "payment_status": "settled",
        "status": "PAYOUT_COMPLETE",
        "is_paid": True,
        "amount": 0.015,
        "currency": "BTC",
        "amount_received": 0.015,
        "amount_remaining": 0,
        "base_amount": 500,
        "base_currency": "USD",
        "incoming_tx_hash": "0x1",
        "outgoing_tx_hash": "0x2",
        "created_at": "2021-06-28T06:24:00.000Z",
    },
}
"""paymentstatus-response"""
SUPPORTED = {
    "success": True,
    "message": "Supported currencies retrieved",
    "data": {
        "currencies": ["BTC", "ETH", "USDT-TRC20", "DOGE"],
        "all_supported": ["BTC", "ETH", "LTC", "DOGE", "TRX", "USDT-TRC20", "XRP"],
    },
}
"""supported-currencies"""


def webhook(name: str, **changes: object) -> dict[str, object]:
    """A sample with changes; `...` drops a field."""
    fields = {**WEBHOOKS[name], **changes}
    return {key: value for key, value in fields.items() if value is not ...}


def v2(body: bytes, secret: str = SECRET, at: datetime = NOW) -> str:
    """The hex of one v1 of a V2 signature."""
    message = f"{int(at.timestamp())}.".encode() + body
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def posted(body: object, header: str | None = None, path: str = PATH) -> RawRequest:
    """A request as the door hands it over, signed unless told otherwise."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    if header is None:
        header = f"t={int(NOW.timestamp())},v1={v2(raw)}"
    headers = {"content-type": "application/json", "x-dynopay-signature-v2": header}
    return RawRequest("POST", path, "", headers, raw)
