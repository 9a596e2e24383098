"""Reads what M-Pesa posts to us (rails.md 1.4, 1.6, 1.8): a domain word or `UnreadableError`.

Nothing here is believed yet: callbacks are not signed. Messages name the place, never the value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Final

from escrow.domain.money import Currency, Money
from escrow.domain.phone import is_msisdn
from escrow.rails import mpesa_codes, strict_json
from escrow.services.ports import (
    Answer,
    PaybillPayment,
    StatusResult,
    StkCallback,
    UnreadableError,
    Verdict,
)

NAIROBI: Final = timezone(timedelta(hours=3), "EAT")
"""Kenya keeps UTC+3 all year; M-Pesa writes local time and no zone."""

Fields = Mapping[str, Any]

_AMOUNT: Final = re.compile(r"[0-9]{1,13}(\.[0-9]{1,6})?", re.ASCII)
_STAMP: Final = re.compile(r"20[0-9]{12}", re.ASCII)
_RECEIPT: Final = re.compile(r"[A-Z0-9]{4,32}", re.ASCII)
_PULLED_TIME: Final = re.compile(
    r"(20[0-9]{2})-([0-9]{2})-([0-9]{2})[T ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.[0-9]{1,9})?"
    r"(?:Z|[+-][0-9]{2}:?[0-9]{2})?",
    re.ASCII,
)
_PAID_TO_US: Final = re.compile(r"c2b\b|pay ?bill\b|buy ?goods\b|customer pay", re.ASCII)
_ID: Final = re.compile(r"[\x21-\x7e]{1,128}", re.ASCII)
_TEXT_MAX: Final = 200


def stk_callback(body: bytes) -> StkCallback:
    """A prompt's callback. Paid without a receipt number or an amount is unreadable."""
    outer = _fields(_fields(strict_json.loads(body), "body").get("Body"), "Body")
    inner = _fields(outer.get("stkCallback"), "stkCallback")
    checkout = request_id(inner.get("CheckoutRequestID"))
    if not checkout:
        raise UnreadableError("CheckoutRequestID is missing or no id")
    merchant = request_id(inner.get("MerchantRequestID"))
    answer = mpesa_codes.of_result(_code(inner.get("ResultCode")), asked=False)
    if answer.verdict is not Verdict.PAID:
        return StkCallback(checkout, merchant, answer)
    metadata = _fields(inner.get("CallbackMetadata"), "CallbackMetadata")
    items = _one_each(_pairs(metadata.get("Item"), "Name"), ())
    when = items.get("TransactionDate")
    return StkCallback(
        checkout,
        merchant,
        answer,
        reference=_receipt(items.get("MpesaReceiptNumber"), "MpesaReceiptNumber"),
        amount=_amount(items.get("Amount"), "Amount"),
        happened_at=None if when is None else _instant(when, "TransactionDate"),
        phone=_text(items.get("PhoneNumber")),
    )


def paybill(body: bytes) -> PaybillPayment:
    """A C2B validation or confirmation: all that a customer types is taken as it is."""
    fields = _fields(strict_json.loads(body), "body")
    shortcode = _text(fields.get("BusinessShortCode"))
    if not shortcode:
        raise UnreadableError("BusinessShortCode is missing")
    names = (_text(fields.get(key)) for key in ("FirstName", "MiddleName", "LastName"))
    return PaybillPayment(
        reference=_receipt(fields.get("TransID"), "TransID"),
        amount=_amount(fields.get("TransAmount"), "TransAmount"),
        shortcode=shortcode,
        typed_reference=_text(fields.get("BillRefNumber")),
        happened_at=_instant(fields.get("TransTime"), "TransTime"),
        shown=_text(fields.get("MSISDN")),
        name=" ".join(" ".join(names).split()),
        balance=_text(fields.get("OrgAccountBalance")),
    )


def pulled(body: bytes, asked: str) -> PaybillPayment:
    """A row of Pull, asked for by the shortcode `asked`, as the payment by hand that it lists. Its
    time is Nairobi's, whatever its Z says. `UnreadableError` for what is no payment to us.
    """
    fields = _fields(strict_json.loads(body), "the row")
    kind = _text(fields.get("transactiontype")).lower()
    if not _PAID_TO_US.match(kind):
        raise UnreadableError("transactiontype is no payment to a business")
    return PaybillPayment(
        reference=_receipt(fields.get("transactionId"), "transactionId"),
        amount=_amount(fields.get("amount"), "amount"),
        shortcode=_shortcode_of(fields) or asked,
        typed_reference=_text(fields.get("billreference")),
        happened_at=_pulled_instant(fields.get("trxDate")),
        shown=_number_shown(fields.get("msisdn")),
        name=_text(fields.get("sender")),
    )


def _shortcode_of(fields: Fields) -> str:
    """The shortcode that a row names, where it names one at all."""
    spelled = {key.lower().replace(" ", ""): value for key, value in fields.items()}
    return _text(spelled.get("shortcode")) or _text(spelled.get("businessshortcode"))


def _number_shown(value: object) -> str:
    """A payer's number as a row shows it. Digits that are no Kenyan number say nothing."""
    text = _text(value).replace(" ", "")
    digits = f"254{text[-9:]}" if len(text) in (9, 10) and text.isdigit() else text
    return "" if digits.isdigit() and not is_msisdn(digits) else digits


def _pulled_instant(value: object) -> datetime:
    """`2020-08-05T10:13:00Z`, which is Nairobi's time, to UTC."""
    found = _PULLED_TIME.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise UnreadableError("trxDate is missing or no time")
    return _instant("".join(found.groups()), "trxDate")


def status_result(body: bytes) -> StatusResult:
    """What TransactionStatus found. A failed question is unknown and names no receipt: its
    TransactionID only looks like one.
    """
    outer = _spaceless(_fields(strict_json.loads(body), "body"))
    result = _spaceless(_fields(outer.get("Result"), "Result"))
    code = _code(result.get("ResultCode"))
    if code != "0":
        reason = mpesa_codes.STATUS_QUESTION_FAILED.get(code, "unknown")
        return StatusResult(Answer(Verdict.UNKNOWN, code, reason))
    pairs = _parameters(result.get("ResultParameters"))
    parties = [_text(value) for key, value in pairs if key in _PARTIES and value is not None]
    found = _one_each(pairs, _PARTIES)
    word = _text(found.get("TransactionStatus")).lower()
    verdict, reason = mpesa_codes.TRANSACTION_STATUS.get(word, (Verdict.UNKNOWN, "unknown"))
    paid = verdict is Verdict.PAID
    number, amount = found.get("ReceiptNo"), found.get("Amount")
    return StatusResult(
        Answer(verdict, code, reason),
        reference=_receipt(number, "ReceiptNo") if paid or number is not None else "",
        amount=_amount(amount, "Amount") if paid or amount is not None else None,
        parties=tuple(parties),
        payers=_named(pairs, "DebitPartyName"),
        receivers=_named(pairs, "CreditPartyName"),
        happened_at=_moment_of(found),
    )


def result(body: bytes) -> tuple[Fields, str, Fields]:
    """(fields of the Result, its ResultCode, name → value of its parameters) of an asynchronous
    answer. Of a party that is named twice the first stands.
    """
    outer = _spaceless(_fields(strict_json.loads(body), "body"))
    inner = _spaceless(_fields(outer.get("Result"), "Result"))
    pairs = _parameters(inner.get("ResultParameters"))
    return inner, _code(inner.get("ResultCode")), _one_each(pairs, _PARTIES)


def receipt_number(value: object) -> str:
    """A receipt number in capitals. `UnreadableError`."""
    return _receipt(value, "the receipt")


def shillings(value: object) -> Money:
    """An amount above zero. `UnreadableError`."""
    return _amount(value, "the amount")


def plain_text(value: object) -> str:
    """Free text, trimmed and cut."""
    return _text(value)


def _named(pairs: Sequence[tuple[str, Any]], role: str) -> tuple[str, ...]:
    """Everybody who stands in that role, without empty ones."""
    return tuple(text for key, value in pairs if key == role and (text := _text(value)))


def _moment_of(found: Fields) -> datetime | None:
    """When the payment was done, where M-Pesa says so in a form that we know."""
    for key in ("FinalisedTime", "FinalizedTime", "InitiatedTime"):
        try:
            return _instant(found.get(key), key)
        except UnreadableError:
            continue
    return None


_PARTIES: Final = ("DebitPartyName", "CreditPartyName")


def request_id(value: object) -> str:
    """A MerchantRequestID or CheckoutRequestID as opaque text; empty when it is none."""
    return value if isinstance(value, str) and _ID.fullmatch(value) else ""


def code_text(value: object) -> str:
    """A code that came as number or text, as text; empty when it is none. `False` is not 0."""
    text = str(value) if type(value) is int else value
    return text if isinstance(text, str) and mpesa_codes.is_code(text) else ""


def _code(value: object) -> str:
    code = code_text(value)
    if not code:
        raise UnreadableError("ResultCode is missing or no code")
    return code


def _fields(value: object, where: str) -> Fields:
    if not isinstance(value, dict):
        raise UnreadableError(f"{where} is not an object")
    return value


def _spaceless(fields: Fields) -> Fields:
    """Keys without their spaces: old bodies say "Conversation ID"."""
    return _one_each([(key.replace(" ", ""), value) for key, value in fields.items()], ())


def _parameters(value: object) -> list[tuple[str, Any]]:
    if value is None or value == "":
        return []
    inner = _spaceless(_fields(value, "ResultParameters")).get("ResultParameter")
    return [(key.replace(" ", ""), item) for key, item in _pairs(inner, "Key")]


def _pairs(value: object, key: str) -> list[tuple[str, Any]]:
    """(name, value or None) of a list of items, or of the single item that stands for one."""
    items = value if isinstance(value, list) else [] if value is None else [value]
    pairs: list[tuple[str, Any]] = []
    for item in items:
        fields = _fields(item, "an item")
        name = fields.get(key)
        if not isinstance(name, str):
            raise UnreadableError(f"an item has no {key}")
        pairs.append((name, fields.get("Value")))
    return pairs


def _one_each(pairs: Sequence[tuple[str, Any]], several: Sequence[str]) -> dict[str, Any]:
    """name → value. Two values under one name are no value, except where `several` are usual."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name not in several and name in found and found[name] != value:
            raise UnreadableError("one name has two values")
        found.setdefault(name, value)
    return found


def _text(value: object) -> str:
    """Free text, trimmed and cut; a number as its digits; anything else is nothing."""
    text = str(value) if type(value) in (int, Decimal) else value
    return text.strip()[:_TEXT_MAX] if isinstance(text, str) else ""


def _receipt(value: object, where: str) -> str:
    """A receipt number in capitals, so that one payment has one."""
    number = value.strip() if isinstance(value, str) else ""
    if not number.isascii() or not _RECEIPT.fullmatch(number.upper()):
        raise UnreadableError(f"{where} is missing or no receipt number")
    return number.upper()


def _amount(value: object, where: str) -> Money:
    """Shillings above zero, as number or text: 1, 1.0, 1.00, "1.00". Cents are legal."""
    if isinstance(value, str) and _AMOUNT.fullmatch(value.strip()):
        exact = Decimal(value.strip())
    elif type(value) is int:
        exact = Decimal(value)
    elif isinstance(value, Decimal):
        exact = value
    else:
        raise UnreadableError(f"{where} is missing or no amount")
    try:
        amount = Money.from_decimal(exact, Currency.KES)
    except ValueError:
        raise UnreadableError(f"{where} is no amount that the books can hold") from None
    if amount.minor <= 0:
        raise UnreadableError(f"{where} is not above zero")
    return amount


def _instant(value: object, where: str) -> datetime:
    """`YYYYMMDDHHmmss` in Nairobi, as number or text, to UTC."""
    text = str(value) if type(value) is int else value
    if not isinstance(text, str) or not _STAMP.fullmatch(text.strip()):
        raise UnreadableError(f"{where} is missing or no time")
    try:
        local = datetime.strptime(text.strip(), "%Y%m%d%H%M%S").replace(tzinfo=NAIROBI)
    except ValueError:
        raise UnreadableError(f"{where} is no time of any calendar") from None
    return local.astimezone(UTC)
