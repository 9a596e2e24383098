"""What the stand-in BlockBee writes: addresses, callbacks, signatures, errors."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal
from urllib.parse import quote, urlencode

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from sandbox.daraja_wire import Json, Number, dump

Mode = Literal["get", "post", "json"]
Form = Literal["plain", "exponent"]
Sign = Literal["good", "bad", "none", "other"]

KEY_BITS: Final = 1024
BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
BECH32: Final = "023456789acdefghjklmnpqrstuvwxyz"
ERRORS: Final[dict[str, tuple[int, str]]] = {
    "coin": (200, "Coin/Address is invalid"),
    "no_key": (401, "API key not provided"),
    "wrong_key": (401, "Invalid API key"),
    "callback": (400, "Callback URL is invalid"),
    "convert": (400, "Conversion not available"),
    "unknown_callback": (404, "Callback not found"),
    "none_yet": (404, "No callbacks found"),
    "too_many": (429, "Too many requests"),
    "internal": (500, "Internal server error"),
}
"""name → (HTTP status, words). BlockBee documents the envelope and no words: these are ours."""
HTML_FAULT: Final = "<html><head><title>502 Bad Gateway</title></head><body></body></html>"


class Refused(Exception):
    """An error answer, by its name in ERRORS."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.status, self.words = ERRORS[name]


@dataclass(slots=True)
class Receiver:
    """An address that was handed out, and what its callback URL wants."""

    ticker: str
    callback_url: str
    address: str
    pending: bool
    mode: Mode
    convert: bool
    multi_token: bool
    created_at: datetime


@dataclass(slots=True)
class CoinPayment:
    """Coins sent to an address. `ignored`: below the minimum, or another coin without
    `multi_token`; nobody hears of it.
    """

    uuid: str
    receiver: Receiver
    ticker: str
    amount: Decimal
    txid: str
    price: Decimal
    fee: Decimal
    forwarded: Decimal
    at: datetime
    ignored: bool = False
    confirmed: bool = False
    acknowledged: bool = False
    updated_at: datetime | None = None
    deliveries: list[CoinDelivery] = field(default_factory=list)


@dataclass(slots=True)
class CoinDelivery:
    """One callback, with its fate. `acknowledged`: 200 and exactly `*ok*`."""

    kind: Literal["pending", "confirmed"]
    method: Literal["GET", "POST"]
    url: str
    body: str
    headers: dict[str, str]
    at: datetime
    status: int | None = None  # None: nobody answered
    answer: str = ""
    error: str = ""
    seq: int = 0

    @property
    def acknowledged(self) -> bool:
        return self.status == 200 and self.answer == "*ok*"


@dataclass(slots=True)
class CoinCall:
    """One request of the bot."""

    endpoint: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    at: datetime
    status: int | None = None  # None: still open, or cut
    answer: str = ""


def address_of(ticker: str, callback_url: str) -> str:
    """An address that looks like that network's: always the same for one callback URL."""
    network = ticker.partition("/")[0]
    seed = hashlib.sha512(f"{network}\n{callback_url}".encode()).digest()
    if network in ("trx", "trc20"):
        return "T" + _letters(seed, BASE58, 33)
    if network in ("btc", "ltc"):
        return {"btc": "bc1q", "ltc": "ltc1q"}[network] + _letters(seed, BECH32, 38)
    mixed = zip(seed.hex()[:40], seed[20:60], strict=True)
    return "0x" + "".join(one.upper() if upper % 2 else one for one, upper in mixed)


def _letters(seed: bytes, alphabet: str, count: int) -> str:
    return "".join(alphabet[byte % len(alphabet)] for byte in seed[:count])


def new_txid(ticker: str) -> str:
    """A transaction hash nobody has."""
    bare = ticker.partition("/")[0] in ("btc", "ltc", "trx", "trc20")
    return ("" if bare else "0x") + secrets.token_hex(32)


def number(amount: Decimal, form: Form) -> str:
    """Digits as callbacks write them: `0.05`, or `5E-2`."""
    if form == "exponent":
        return f"{amount.normalize():E}"
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def fields_of(payment: CoinPayment, *, pending: bool, form: Form) -> Json:
    """The fields of a callback. A pending one has no txid_out, confirmations or forwarded value."""
    told: Json = {
        "uuid": payment.uuid,
        "address_in": payment.receiver.address,
        "address_out": address_of(payment.receiver.ticker, "our own wallet"),
        "txid_in": payment.txid,
    }
    if not pending:
        told |= {
            "txid_out": new_txid(payment.ticker),
            "confirmations": 1,
            "fee_coin": Number(number(payment.fee, form)),
            "fee_percent": Number("1.000"),
            "value_forwarded_coin": Number(number(payment.forwarded, form)),
            "result": "sent",
        }
    told |= {
        "value_coin": Number(number(payment.amount, form)),
        "coin": payment.ticker.replace("/", "_"),
        "price": Number(number(payment.price, "plain")),
        "pending": int(pending),
    }
    if payment.receiver.convert:
        told |= {"value_coin_convert": _in_dollars(payment.amount, payment.price)}
        if not pending:
            told |= {"value_forwarded_coin_convert": _in_dollars(payment.forwarded, payment.price)}
    return told


def _in_dollars(amount: Decimal, price: Decimal) -> str:
    """A JSON-encoded string, as BlockBee writes it."""
    return json.dumps({"USD": f"{amount * price:.2f}", "EUR": f"{amount * price:.2f}"})


def request_of(
    receiver_url: str, told: Json, mode: Mode
) -> tuple[Literal["GET", "POST"], str, str, str]:
    """(method, URL, body, content type). Spaces are `%20` and slashes are escaped, in capitals."""
    if mode == "json":
        return "POST", receiver_url, dump(told), "application/json"
    plain = {k: v.digits if isinstance(v, Number) else str(v) for k, v in told.items()}
    text = urlencode(plain, quote_via=quote, safe="")
    if mode == "post":
        return "POST", receiver_url, text, "application/x-www-form-urlencoded"
    return "GET", f"{receiver_url}{'&' if '?' in receiver_url else '?'}{text}", "", ""


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)


def pem_of(key: rsa.RSAPrivateKey) -> str:
    """The public half, as `/pubkey/` gives it."""
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return public.decode()


def signature(key: rsa.RSAPrivateKey, signed: str) -> str:
    """`x-ca-signature`: RSA-SHA256 with PKCS#1 v1.5, in base64."""
    return base64.b64encode(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()


def log_of(payment: CoinPayment) -> Json:
    """A payment as `/logs/` lists it: no uuid, no coin."""
    at = payment.updated_at or payment.at
    result = "pending" if not payment.confirmed else "done" if payment.acknowledged else "sent"
    entry: Json = {
        "txid_in": payment.txid,
        "txid_out": new_txid(payment.ticker) if payment.confirmed else "",
        "value_coin": Number(number(payment.amount, "plain")),
        "value_forwarded_coin": Number(number(payment.forwarded, "plain")),
        "confirmations": int(payment.confirmed),
        "last_update": f"{at:%d/%m/%Y %H:%M:%S}",
        "result": result,
        "fee_percent": Number("1.000"),
        "fee_coin": Number(number(payment.fee, "plain")),
    }
    if not payment.confirmed:
        del entry["value_forwarded_coin"]
    entry["logs"] = [
        {
            "request_url": one.url,
            "responses": one.answer,
            "response_status": str(one.status or ""),
            "pending": int(one.kind == "pending"),
            "confirmed": int(one.kind == "confirmed"),
        }
        for one in payment.deliveries[-10:]
    ]
    return entry


def envelope(words: str) -> dict[str, Any]:
    return {"status": "error", "error": words}
