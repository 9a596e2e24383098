"""Reads what BlockBee calls us with and what it answers (rails.md 2): a word of ours or
`UnreadableError`, whatever bytes come. Messages name the place, never the value.

Whether a request is BlockBee's at all is asked elsewhere (`blockbee_keys`).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from escrow.domain import crypto
from escrow.domain.coins import COINS, Coin
from escrow.rails import strict_json
from escrow.services.ports import CoinAsked, Deposit, RawRequest, UnreadableError

_LOG: Final = logging.getLogger(__name__)

Fields = Mapping[str, Any]

QUERY_CHARACTERS_MAX: Final = 8192
BODY_BYTES_MAX: Final = 65536
LOGS_BYTES_MAX: Final = 1_048_576
FIELDS_MAX: Final = 64

OFFERED: Final[tuple[Coin, ...]] = tuple(coin for coin in COINS if coin.blockbee)
_BY_TICKER: Final = {coin.blockbee: coin for coin in OFFERED}

_NAME: Final = re.compile(r"[A-Za-z0-9_.\[\]-]{1,64}", re.ASCII)
_AMOUNT: Final = re.compile(r"[0-9]{1,30}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,2})?", re.ASCII)
_UUID: Final = re.compile(r"[A-Za-z0-9_-]{8,64}", re.ASCII)
_TXID: Final = re.compile(r"[A-Za-z0-9_-]{8,128}", re.ASCII)
_HASH: Final = re.compile(r"(0x)?[0-9a-f]{64}", re.ASCII | re.IGNORECASE)
_ADDRESS: Final = re.compile(r"[A-Za-z0-9_.:-]{8,128}", re.ASCII)
_COIN: Final = re.compile(r"[A-Za-z0-9._/-]{1,40}", re.ASCII)
_UPDATED: Final = re.compile(r"\d{2}/\d{2}/\d{4} \d{2}:\d{2}:\d{2}", re.ASCII)

_BASE58: Final = "[1-9A-HJ-NP-Za-km-z]"
_OF_NETWORK: Final = {
    "btc": re.compile(rf"bc1[0-9a-z]{{11,87}}|[13]{_BASE58}{{24,34}}", re.ASCII),
    "ltc": re.compile(rf"ltc1[0-9a-z]{{11,87}}|[LM3]{_BASE58}{{24,34}}", re.ASCII),
    "eth": re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII),
    "erc20": re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII),
    "trx": re.compile(rf"T{_BASE58}{{33}}", re.ASCII),
    "trc20": re.compile(rf"T{_BASE58}{{33}}", re.ASCII),
}
"""What an address looks like, by the first part of the ticker."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What BlockBee says of a coin: less than `minimum` is ignored and lost; `usd` is one coin's
    price where it was asked for and is known.
    """

    minimum: Decimal
    usd: Decimal | None


def callback(request: RawRequest) -> Sequence[Deposit]:
    """The deposit that a callback tells of: from the query of a GET, from the body of a POST.

    None for the dashboard's test callback, and for coins whose amount isn't known yet or is
    nothing. `UnreadableError`.
    """
    if request.method == "GET":
        fields = _form(request.query)
    elif request.method == "POST":
        fields = _body(request.body)
    else:
        raise UnreadableError("a callback is a GET or a POST")
    uuid = _matching(_UUID, fields.get("uuid"), "uuid")
    txid = _txid(fields.get("txid_in"))
    address = _matching(_ADDRESS, fields.get("address_in"), "address_in")
    coin = _coin(fields.get("coin"))
    pending = _pending(fields.get("pending"))
    if not pending and fields.get("result") == "pending":
        raise UnreadableError("result and pending say different things")
    amount = _deposited(fields, pending=pending)
    deposit = Deposit(
        txid,
        coin,
        amount,
        pending,
        address=address,
        cost=_cost(fields, amount),
        usd=_price(fields, amount),
    )
    test = uuid.startswith("TEST_") or txid.startswith("TEST_")
    return () if test or not amount else (deposit,)


def logged(fields: Fields, asked: CoinAsked) -> Sequence[Deposit]:
    """What the logs of an attempt's callback URL list; none: nothing came yet.

    One entry that can't be read doesn't hide the others. `UnreadableError` when none can be read,
    or when the answer is about something else.
    """
    address = _matching(_ADDRESS, fields.get("address_in"), "address_in")
    if not crypto.same_address(address, asked.address):
        raise UnreadableError("the logs are another address's")
    _check_callback_url(fields, asked.callback_url)
    entries = fields.get("callbacks")
    if not isinstance(entries, list):
        raise UnreadableError("callbacks is not a list")
    found: list[Deposit] = []
    unreadable = 0
    for entry in entries:
        try:
            found += _log_entry(entry, address, asked.coin)
        except UnreadableError as error:
            unreadable += 1
            _LOG.warning(
                "an entry of BlockBee's logs can't be read",
                extra={"action": "blockbee_logs", "why": str(error)},
            )
    if unreadable and not found:
        raise UnreadableError("no entry of the logs can be read")
    return tuple(found)


def _log_entry(entry: object, address: str, asked: Coin) -> Sequence[Deposit]:
    """A deposit of the logs. The new ones name no coin: without `multi_token` others are ignored,
    so that it is the one that was asked for.
    """
    fields = _fields(entry, "an entry")
    word = fields.get("result")
    if word not in ("pending", "sent", "done"):
        raise UnreadableError("result is none that is documented")
    pending = word == "pending"
    amount = _deposited(fields, pending=pending)
    if not amount:
        return ()
    deposit = Deposit(
        _txid(fields.get("txid_in")),
        asked.code if fields.get("coin") is None else _coin(fields["coin"]),
        amount,
        pending,
        address=address,
        cost=_cost(fields, amount),
        usd=_price(fields, amount),
        at=_updated(fields.get("last_update")),
    )
    return (deposit,)


def terms(fields: Fields) -> Terms:
    """The answer to `/{ticker}/info/`. `UnreadableError`."""
    prices = fields.get("prices")
    usd = _fields(prices, "prices").get("USD") if prices is not None else None
    return Terms(minimum_of(fields), None if usd is None else _above_zero(usd, "prices.USD"))


def minimum_of(fields: Fields) -> Decimal:
    """The smallest payment that is not ignored. `UnreadableError`."""
    return _amount(fields.get("minimum_transaction_coin"), "minimum_transaction_coin")


def converted(fields: Fields) -> Decimal:
    """How many coins `/{ticker}/convert/` says the value is; its `exchange_rate` means one thing
    here and another there, and is left alone. `UnreadableError`.
    """
    return _above_zero(fields.get("value_coin"), "value_coin")


def created(fields: Fields, coin: Coin, callback_url: str) -> str:
    """The address of `/{ticker}/create/`, which must be one of that network, for that callback
    URL. `UnreadableError`.
    """
    _check_callback_url(fields, callback_url)
    network = coin.blockbee.partition("/")[0]
    return _matching(_OF_NETWORK[network], fields.get("address_in"), "address_in")


def _check_callback_url(fields: Fields, ours: str) -> None:
    """Where the answer says which callback it is about, it is ours, however it is escaped."""
    theirs = fields.get("callback_url")
    if theirs is not None and (not isinstance(theirs, str) or unquote(theirs) != unquote(ours)):
        raise UnreadableError("callback_url is not ours")


def _body(body: bytes) -> Fields:
    """JSON or a form, whichever it is: the Content-Type is not signed."""
    if len(body) > BODY_BYTES_MAX:
        raise UnreadableError(f"the body is longer than {BODY_BYTES_MAX} bytes")
    if body.lstrip()[:1] in (b"{", b"["):
        return _fields(strict_json.loads(body, limit=BODY_BYTES_MAX), "the body")
    try:
        text = body.decode("ascii")
    except UnicodeDecodeError:
        raise UnreadableError("the body is no form") from None
    return _form(text, limit=BODY_BYTES_MAX)


def _form(text: str, *, limit: int = QUERY_CHARACTERS_MAX) -> Fields:
    """The fields of a query or form. A name twice is refused, and so is one that no field has:
    a signed URL of somebody else's, sent as a form, begins with such a one.
    """
    if len(text) > limit or not text.isascii():
        raise UnreadableError("the fields are too long or not ASCII")
    try:
        pairs = parse_qsl(
            text,
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=FIELDS_MAX,
        )
    except ValueError:  # without its cause, which quotes the fields
        raise UnreadableError("the fields are no form") from None
    found = dict(pairs)
    if len(found) != len(pairs):
        raise UnreadableError("a field is there twice")
    if not all(_NAME.fullmatch(name) for name in found):
        raise UnreadableError("a field has a name that none has")
    return found


def _fields(value: object, where: str) -> Fields:
    if not isinstance(value, dict):
        raise UnreadableError(f"{where} is not an object")
    return value


def _matching(pattern: re.Pattern[str], value: object, where: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise UnreadableError(f"{where} is missing or none")
    return value


def _txid(value: object) -> str:
    """A transaction's name on its chain; a hash in one spelling, so that one payment has one."""
    text = _matching(_TXID, value, "txid_in")
    return text.lower() if _HASH.fullmatch(text) else text


def _coin(value: object) -> str:
    """Our code. Another coin is the provider's word in small letters, which no code of ours has."""
    word = _matching(_COIN, value, "coin").lower()
    known = _BY_TICKER.get(word.replace("_", "/"))
    return word if known is None else known.code


def _pending(value: object) -> bool:
    text = str(value) if type(value) is int else value
    if text not in ("0", "1"):
        raise UnreadableError("pending is missing or neither 0 nor 1")
    return text == "1"


def _deposited(fields: Fields, *, pending: bool) -> Decimal:
    """What the payer sent, before anybody kept a part of it. It need not be known while the coins
    are on their way.
    """
    if pending and fields.get("value_coin") is None:
        return Decimal(0)
    return _amount(fields.get("value_coin"), "value_coin")


def _amount(value: object, where: str) -> Decimal:
    """Coins or dollars, zero or more, as number or text: at most 18 decimals, what is below is cut
    off.
    """
    if type(value) is int or (isinstance(value, str) and _AMOUNT.fullmatch(value)):
        exact = Decimal(value)
    elif isinstance(value, Decimal):
        exact = value
    else:
        raise UnreadableError(f"{where} is missing or no amount")
    try:
        return crypto.coins(exact)
    except ValueError:
        raise UnreadableError(f"{where} is negative or out of range") from None


def _above_zero(value: object, where: str) -> Decimal:
    amount = _amount(value, where)
    if not amount:
        raise UnreadableError(f"{where} is not above zero")
    return amount


def _cost(fields: Fields, amount: Decimal) -> Decimal:
    """What was kept on the way to us, of what the payer sent: BlockBee's fee and the network's.

    The difference to what was forwarded holds the fee already; a fee that is more counts alone.
    """
    fee, forwarded = fields.get("fee_coin"), fields.get("value_forwarded_coin")
    kept = Fraction(0) if fee is None else Fraction(_amount(fee, "fee_coin"))
    if forwarded is not None:
        arrived = Fraction(_amount(forwarded, "value_forwarded_coin"))
        kept = max(kept, Fraction(amount) - arrived)
    return crypto.cut(min(kept, Fraction(amount)))


def _price(fields: Fields, amount: Decimal) -> Decimal | None:
    """One coin in dollars: `price`, else what `convert=1` adds, else nobody says."""
    price = fields.get("price")
    if price is not None and price != "":
        return _amount(price, "price") or None
    dollars = _in_dollars(fields.get("value_coin_convert"))
    if not dollars or not amount:
        return None
    return crypto.cut(Fraction(dollars) / Fraction(amount)) or None


def _in_dollars(value: object) -> Decimal | None:
    """The dollars of a `…_convert` field: an object, or its JSON as text."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        value = strict_json.loads(value.encode("utf-8", "surrogatepass"), limit=BODY_BYTES_MAX)
    usd = _fields(value, "value_coin_convert").get("USD")
    return None if usd is None else _amount(usd, "value_coin_convert.USD")


def _updated(value: object) -> datetime | None:
    """`dd/mm/yyyy hh:mm:ss` in UTC; a day alone is no time."""
    if not isinstance(value, str) or not _UPDATED.fullmatch(value):
        return None
    try:
        return datetime.strptime(value, "%d/%m/%Y %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None
