"""What DynoPay says (rails.md 3), read strictly: answers, signatures and webhooks.

Amounts are what came, never what was asked for: DynoPay repeats the full price (`base_amount`) of
a payment that was short. Messages name the place, never the value.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Final

from escrow.domain.coins import COINS, Coin
from escrow.domain.money import Currency, Money
from escrow.rails import strict_json
from escrow.services.ports import (
    Answer,
    CoinQuote,
    Deposit,
    RawRequest,
    UnreadableError,
    Verdict,
)

Fields = Mapping[str, Any]

BY_WORD: Final = {coin.dynopay: coin for coin in COINS if coin.dynopay}
"""Our coins by DynoPay's word for them."""
LEAST: Final = Money(500, Currency.USD)
"""DynoPay takes no payment below."""
FRESH: Final = timedelta(seconds=300)
"""How far a signature's time may be from ours."""
SIGNATURE: Final = "x-dynopay-signature-v2"

PENDING: Final = "payment.pending"
UNDERPAID: Final = "payment.underpaid"
CONFIRMED: Final = "payment.confirmed"
COMING: Final = (PENDING, UNDERPAID)
OF_MONEY: Final = (CONFIRMED, UNDERPAID, PENDING)
"""The events that name coins at an address."""
SILENT: Final = frozenset(
    {
        # Coins forwarded to our own wallet: confirmed before, and the hash may be the way out's.
        "payment.settled",
        "payment.settlement_failed",
        # Ordered by the account's owner: what came is said in `payment.confirmed`, too.
        "payment.overpaid",
        "payment.created",
        "payment.expired",
        # Of their embedded checkout, which we don't use.
        "payment.succeeded",
        "webhook.test",
    }
)
"""Events that say nothing of money that the others don't."""

_HEX: Final = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
_SECONDS: Final = re.compile(r"[0-9]{1,11}", re.ASCII)
_SIGNATURE_MAX: Final = 4096
_AMOUNT: Final = re.compile(r"[0-9]{1,20}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?", re.ASCII)
_MOST: Final = Decimal(10) ** 20
_WIDE: Final = Context(prec=80)
_TXID: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{3,127}", re.ASCII)
_NO_CASE: Final = re.compile(r"(0x)?[0-9a-f]{64}", re.IGNORECASE | re.ASCII)
_ID: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,127}", re.ASCII)
_ADDRESS: Final = re.compile(r"[0-9A-Za-z:]{16,128}", re.ASCII)
_WORD: Final = re.compile(r"[0-9A-Z-]{2,32}", re.ASCII)
_TAG: Final = re.compile(r"[0-9]{1,10}", re.ASCII)
_TAG_MAX: Final = 2**32 - 1
_NO_WALLETS: Final = re.compile(r"no crypto wallet configured", re.IGNORECASE)
_NO_COIN: Final = re.compile(r"no wallet configured|is not available for this", re.IGNORECASE)
_TOO_SMALL: Final = re.compile(r"greater than or equal to", re.IGNORECASE)


def creation(usd: Money, coin: Coin, token: str, callback_url: str) -> bytes:
    """The body that asks for an address: the dollars as an exact number, one URL only (with two,
    each event comes twice; none where nobody needs to hear), the token in what DynoPay repeats. The
    same every time.
    """
    fields = {"currency": coin.dynopay, "meta_data": {"token": token}}
    rest = json.dumps({**fields, "webhook_url": callback_url} if callback_url else fields)
    return f'{{"amount": {usd.to_decimal():f}, {rest[1:]}'.encode()


def quote(answer: Fields, coin: Coin, usd: Money) -> CoinQuote | Answer:
    """The quote in an answer to `creation`. `UnreadableError`.

    DECLINED `misconfigured` where the account's own currency is not the dollar: then the coins are
    the price of something else. UNKNOWN where it is the price of another amount or coin.
    """
    found = _fields(answer.get("data"), "data")
    base = _text(found.get("base_currency"), "base_currency").upper()
    if base != Currency.USD.code:
        return Answer(Verdict.DECLINED, f"base_currency:{base[:8]}", "misconfigured")
    if _number(found.get("base_amount"), "base_amount") != usd.to_decimal():
        return Answer(Verdict.UNKNOWN, "base_amount", "unknown")
    if _text(found.get("currency"), "currency").upper() != coin.dynopay:
        return Answer(Verdict.UNKNOWN, "currency", "unknown")
    tag = _tag(found.get("destination_tag"))
    if coin.needs_tag and not tag:
        raise UnreadableError("destination_tag is missing")
    return CoinQuote(
        amount=_to_digits(_number(found.get("amount"), "amount"), coin, ROUND_CEILING),
        address=_match(_ADDRESS, found.get("address"), "address"),
        tag=tag,
        reference=_match(_ID, found.get("transaction_id"), "transaction_id"),
    )


def refusal(status: int, answer: Fields) -> Answer:
    """What an error envelope with an HTTP status of 4xx amounts to: nothing was created."""
    code, words = answer.get("code"), answer.get("message")
    code = code if isinstance(code, str) and _ID.fullmatch(code) else f"http_{status}"
    words = words if isinstance(words, str) else ""
    if code == "idempotency_request_in_progress":
        # Our own first request is still at work; asked again, its answer is given.
        return Answer(Verdict.UNKNOWN, code, "unknown", retry=True)
    if code == "amount_below_minimum" or _TOO_SMALL.search(words):
        return Answer(Verdict.DECLINED, code, "too_small")
    if code == "no_wallet_configured" or _NO_WALLETS.search(words):
        return Answer(Verdict.DECLINED, code, "misconfigured")
    if code == "currency_not_available" or _NO_COIN.search(words):
        return Answer(Verdict.DECLINED, code, "coin_unavailable")
    # 401 and 403: keys. 409: a token used for something else. The rest: our request is wrong.
    return Answer(Verdict.DECLINED, code, "misconfigured")


def payment_status(answer: Fields) -> str:
    """The word for how far a payment is. Its amounts are the expected ones: they are not read.
    `UnreadableError`.
    """
    return _text(_fields(answer.get("data"), "data").get("payment_status"), "payment_status")


@dataclass(frozen=True, slots=True)
class Sent:
    """One delivery of a webhook, as DynoPay keeps it; it keeps no payload for us."""

    id: int
    event: str
    url: str
    delivered: bool


def deliveries(answer: Fields) -> tuple[tuple[Sent, ...], str]:
    """(a page of deliveries, newest first; where the next page starts, empty at the end).
    `UnreadableError`.
    """
    rows = answer.get("data")
    if not isinstance(rows, list):
        raise UnreadableError("data is not a list")
    page = tuple(_sent(_fields(row, "an event")) for row in rows)
    if answer.get("has_more") is not True:
        return page, ""
    return page, _match(_ID, answer.get("next_cursor"), "next_cursor")


def _sent(row: Fields) -> Sent:
    number, url = row.get("id"), row.get("url")
    if type(number) is not int or number < 0:
        raise UnreadableError("an event has no id")
    return Sent(
        id=number,
        event=_text(row.get("event"), "event"),
        url=url if isinstance(url, str) else "",
        delivered=row.get("status") == "success",
    )


def signed(header: str, body: bytes, secret: bytes, now: datetime) -> bool:
    """Whether `header` (`t=<unix>,v1=<hex>[,v1=…]`) signs exactly this body within `FRESH` of
    `now`. While a secret is changed there are two v1: any may fit. Never raises.
    """
    if len(header) > _SIGNATURE_MAX:
        return False
    times: list[str] = []
    claims: list[str] = []
    for part in header.split(","):
        key, _, value = part.strip().partition("=")
        if key == "t":
            times.append(value)
        elif key == "v1" and _HEX.fullmatch(value):
            claims.append(value.lower())
    if len(times) != 1 or not _SECONDS.fullmatch(times[0]):
        return False
    message = times[0].encode() + b"." + body
    right = hmac.new(secret, message, hashlib.sha256).hexdigest()
    fits = [hmac.compare_digest(right, claim) for claim in claims]
    at = datetime.fromtimestamp(int(times[0]), UTC)
    return any(fits) and abs(now - at) <= FRESH


def webhook(request: RawRequest, *, simulated: bool) -> Sequence[Deposit]:
    """The coins that a webhook names; none where it says nothing of money. `UnreadableError`, also
    for an event that nobody lists: it may be about money.

    `simulated`: whether play money of DynoPay's own simulator is taken (test keys).
    """
    fields = _fields(strict_json.loads(request.body), "body")
    event = _text(fields.get("event"), "event")
    if event in SILENT:
        return ()
    if event not in OF_MONEY:
        raise UnreadableError("event is none that is documented")
    kind = fields.get("payment_type")
    if kind == "payment_link":
        return ()  # we make no links: whatever it pays is no attempt of ours
    if kind != "direct_api" or fields.get("link_id") is not None:
        raise UnreadableError("payment_type is neither a link nor a direct payment")
    if fields.get("simulated") is True and not simulated:
        raise UnreadableError("a simulated payment without a test key")
    _check_token(fields.get("meta_data"), request.target)
    return (_deposit(event, fields),)


def _deposit(event: str, fields: Fields) -> Deposit:
    word = _match(_WORD, _text(fields.get("currency"), "currency").upper(), "currency")
    coin = BY_WORD.get(word)
    # Underpaid has no `amount`; in the others `amount` is what came.
    name = "amount_received" if event == UNDERPAID else "amount"
    amount = _number(fields.get(name), name)
    if coin is not None:
        amount = _to_digits(amount, coin, ROUND_HALF_EVEN)
    if not amount:
        raise UnreadableError(f"{name} is below what the coin knows")
    address = fields.get("address")
    return Deposit(
        txid=_txid(event, fields),
        coin=coin.code if coin else word,
        amount=amount,
        pending=event in COMING,
        address="" if address is None else _match(_ADDRESS, address, "address"),
        tag=_tag(fields.get("destination_tag")),
        cost=_cost(fields, coin, amount) if event == CONFIRMED else Decimal(0),
        at=_instant(fields.get("completed_at") or fields.get("timestamp")),
    )


def _txid(event: str, fields: Fields) -> str:
    """The hash on the chain: `txId` while it is coming, `transaction_reference` then. Newer
    senders write both; two different ones would be two payments.
    """
    name, other = "txId", "transaction_reference"
    if event == CONFIRMED:
        name, other = other, name
    txid = _one_case(_match(_TXID, fields.get(name), name))
    again = fields.get(other)
    if again is not None and _one_case(_match(_TXID, again, other)) != txid:
        raise UnreadableError("there are two hashes")
    return txid


def _one_case(txid: str) -> str:
    """A hash of 64 hex digits has no case; others may have."""
    return txid.lower() if _NO_CASE.fullmatch(txid) else txid


def _cost(fields: Fields, coin: Coin | None, amount: Decimal) -> Decimal:
    """What did not reach our wallet, in the coin: what came less `merchant_amount`, or the fee
    that is named.
    """
    if fields.get("merchant_amount") is not None:
        reached = _number(fields["merchant_amount"], "merchant_amount", zero=True)
        kept = _WIDE.subtract(amount, reached)
    elif fields.get("total_fee") is not None:
        kept = _number(fields["total_fee"], "total_fee", zero=True)
    else:
        return Decimal(0)
    if coin is not None:
        kept = _to_digits(kept, coin, ROUND_HALF_EVEN)
    if not 0 <= kept <= amount:
        raise UnreadableError("more was kept or passed on than came")
    return kept


def _check_token(meta: object, target: str) -> None:
    """A signature covers the body, not the path it is posted to: where the body repeats a token,
    it must be the path's.
    """
    if isinstance(meta, str):
        meta = strict_json.loads(meta.encode("utf-8", "surrogatepass"))
    if meta is None:
        return
    token = _fields(meta, "meta_data").get("token")
    if token is not None and (not token or token not in re.split(r"[/?&=]", target)):
        raise UnreadableError("meta_data names another payment than the path")


def _fields(value: object, where: str) -> Fields:
    if not isinstance(value, dict):
        raise UnreadableError(f"{where} is not an object")
    return value


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 128:
        raise UnreadableError(f"{where} is missing or no text")
    return value


def _match(pattern: re.Pattern[str], value: object, where: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise UnreadableError(f"{where} is missing or of another form")
    return value


def _number(value: object, where: str, *, zero: bool = False) -> Decimal:
    """An amount above zero, as number or text, exactly. `zero`: nothing is an amount, too."""
    if type(value) is int or (isinstance(value, str) and _AMOUNT.fullmatch(value)):
        exact = Decimal(value)
    elif isinstance(value, Decimal):
        exact = value
    else:
        raise UnreadableError(f"{where} is missing or no amount")
    if exact < 0 or exact >= _MOST or not (exact or zero):
        raise UnreadableError(f"{where} is out of range")
    return exact


def _to_digits(amount: Decimal, coin: Coin, rounding: str) -> Decimal:
    """In the coin's digits. DynoPay counts in floats: what is finer than the network knows is
    noise (0.30000000000000004), and a cent could hang on it.
    """
    return amount.quantize(Decimal(1).scaleb(-coin.digits), rounding, _WIDE)


def _tag(value: object) -> str:
    """A destination tag, number or text; empty where there is none."""
    if value is None:
        return ""
    text = str(value) if type(value) is int else value
    if not isinstance(text, str) or not _TAG.fullmatch(text) or int(text) > _TAG_MAX:
        raise UnreadableError("destination_tag is no tag")
    return str(int(text))


def _instant(value: object) -> datetime | None:
    """ISO 8601 with its zone; anything else is no time, and ours counts."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        read = datetime.fromisoformat(value)
        return read.astimezone(UTC) if read.tzinfo else None
    except (ValueError, OverflowError):
        return None
