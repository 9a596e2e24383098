"""The statement that an operator downloads from M-Pesa's organisation portal, a CSV, into rows.

Safaricom documents neither the file nor its words. What is here was seen in the files and readers
of others, so it is a careful guess, and nothing that it says is believed: a row that is unknown to
us is asked about, and only what is the same on both sides counts as matched.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from escrow.domain.money import Currency, Money
from escrow.domain.statements import BadRow, RowKind, Statement, StatementRow
from escrow.rails.mpesa_parse import NAIROBI
from escrow.services.ports import UnreadableError

BYTES_MAX: Final = 16 * 1024 * 1024
ROWS_MAX: Final = 50_000
HEADER_WITHIN: Final = 20
LINE_MAX: Final = 4_000
_CELL_MAX: Final = 200
_AMOUNT_MAX: Final = 15
"""Characters: 999,999,999.99 and its sign, with a little room."""
COLUMNS: Final = (
    "receipt no.",
    "completion time",
    "details",
    "transaction status",
    "paid in",
    "withdrawn",
    "balance",
    "reason type",
    "other party info",
    "linked transaction id",
    "a/c no.",
)
"""What has to be in the header, in any order. `Initiation Time` and `Balance Confirmed` are there,
too, and not read.
"""
_LINES: Final = re.compile(r"\r\n|\n|\r")
_RECEIPT: Final = re.compile(r"[A-Z0-9]{10}", re.ASCII)
_AMOUNT: Final = re.compile(r"-?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]{1,2})?", re.ASCII)
_TIMES: Final = (
    re.compile(r"(?P<d>\d{2})-(?P<m>\d{2})-(?P<y>20\d{2}) (?P<t>\d{2}:\d{2}:\d{2})", re.ASCII),
    re.compile(r"(?P<y>20\d{2})-(?P<m>\d{2})-(?P<d>\d{2}) (?P<t>\d{2}:\d{2}:\d{2})", re.ASCII),
)
_SHORTCODE: Final = re.compile(r"\b[0-9]{5,7}\b", re.ASCII)
_NAMES_US: Final = re.compile(r"short\s*code|pay\s*bill|till|organi[sz]ation", re.IGNORECASE)


class _BadCellError(Exception):
    """A field that can't be read; its message is the field's key."""


def read(body: bytes) -> Statement:
    """The rows of a file, in its order. A line that can't be read is named and the others count.
    `UnreadableError`: `too_large`, `no_header`, `too_many_rows`.
    """
    if len(body) > BYTES_MAX:
        raise UnreadableError("too_large")
    lines = _LINES.split(_text(body))
    start, places, shortcode = _header(lines)
    if len(lines) - start > ROWS_MAX + 2:
        raise UnreadableError("too_many_rows")
    rows: list[StatementRow] = []
    bad: list[BadRow] = []
    unfinished = 0
    for number, line in enumerate(lines[start:], start + 1):
        if not line.strip(" ,\t\x00\ufeff"):
            continue
        try:
            row = _row(number, line, places)
        except _BadCellError as error:
            bad.append(BadRow(number, str(error)))
            continue
        if row is None:
            unfinished += 1
        else:
            rows.append(row)
    return Statement(tuple(rows), tuple(bad), unfinished, shortcode)


def _text(body: bytes) -> str:
    """UTF-8 with or without its mark, else what Excel writes when it saves such a file again."""
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return body.decode("cp1252", errors="replace")


def _header(lines: Sequence[str]) -> tuple[int, dict[str, int], str]:
    """(the line after the header, column → place, the shortcode that stands above it)."""
    shortcode = ""
    for number, line in enumerate(lines[:HEADER_WITHIN]):
        try:
            cells = _cells(line)
        except _BadCellError:
            continue
        names = [" ".join(cell.split()).lower() for cell in cells]
        if all(names.count(one) == 1 for one in COLUMNS):
            return number + 1, {one: names.index(one) for one in COLUMNS}, shortcode
        found = _SHORTCODE.findall(line) if _NAMES_US.search(line) else []
        if len(found) == 1 and not shortcode:
            shortcode = found[0]
    raise UnreadableError("no_header")


def _cells(line: str) -> list[str]:
    """One line is one row: a quote that is never closed spoils its own line, not the rest."""
    if len(line) > LINE_MAX:
        raise _BadCellError("columns")
    try:
        return next(csv.reader([line.replace("\x00", " ")], strict=True), [])
    except csv.Error as error:
        raise _BadCellError("columns") from error


def _row(number: int, line: str, places: dict[str, int]) -> StatementRow | None:
    """None for a row that moved nothing: failed, cancelled, still going on."""
    cells = _cells(line)
    if len(cells) <= max(places.values()):
        raise _BadCellError("columns")

    def cell(name: str) -> str:
        return " ".join(cells[places[name]].split())[:_CELL_MAX]

    receipt = cell("receipt no.").upper()
    if not _RECEIPT.fullmatch(receipt):
        raise _BadCellError("receipt")
    at = _time(cell("completion time"))
    paid_in, withdrawn = _amount(cell("paid in")), _amount(cell("withdrawn"))
    status = cell("transaction status").lower()
    if not status:
        raise _BadCellError("status")
    if status != "completed":
        return None
    if bool(paid_in) is bool(withdrawn) or paid_in.minor < 0:
        raise _BadCellError("amount")
    # Withdrawn comes below zero from the portal and above it from some exports
    amount = paid_in - Money(abs(withdrawn.minor), Currency.KES)
    balance = cell("balance")
    linked = cell("linked transaction id").upper()
    reason, details = cell("reason type"), cell("details")
    return StatementRow(
        line=number,
        receipt=receipt,
        at=at,
        kind=kind_of(reason, details, amount),
        words=reason or details,
        amount=amount,
        balance=_amount(balance) if balance else None,
        party=cell("other party info"),
        linked=linked if _RECEIPT.fullmatch(linked) else "",
        account=cell("a/c no."),
    )


def _amount(text: str) -> Money:
    """`1,234.00`; nothing is zero."""
    if text in ("", "-"):
        return Money.zero(Currency.KES)
    if not _AMOUNT.fullmatch(text) or len(text) > _AMOUNT_MAX:
        raise _BadCellError("amount")
    return Money.from_decimal(Decimal(text.replace(",", "")), Currency.KES)


def _time(text: str) -> datetime:
    """Both ways in which the portal writes it, on a clock in Nairobi."""
    for form in _TIMES:
        found = form.fullmatch(text)
        if found is None:
            continue
        try:
            local = datetime.fromisoformat(f"{found['y']}-{found['m']}-{found['d']}T{found['t']}")
            return local.replace(tzinfo=NAIROBI).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise _BadCellError("time") from error
    raise _BadCellError("time")


_PAID_WITH_ITS_CHARGE: Final = "withdrawal charge paid"
"""`Business Payment to Customer Withdrawal Charge Paid` is a payment to a person, not a charge."""
_TO_PERSONS: Final = ("business payment", "salary payment", "promotion payment", "b2c")
_FROM_PERSONS: Final = (
    "pay bill",  # Pay Bill Online, Pay Bill from 2547… - NAME Acc. …
    "pay utility",  # the reason of the same in files of 2017
    "pay merchant",
    "merchant payment",
    "buy goods",  # Customer Buy Goods Online
    "customer payment",
    "customer transfer",
)
_OUR_OWN: Final = (
    "settle",  # Organization Settle to Bank, Organization Settlement
    "withdraw funds",  # … to Bank
    "organization",
    "organisation",
    "business pay bill",
    "working account",
    "utility account",
    "float",
    "bank",
)


def kind_of(reason: str, details: str, amount: Money) -> RowKind:
    """What a row is, by its reason, else by its details, and by the way that its money went."""
    for words in (reason.lower(), details.lower()):
        found = _kind(words, came_in=amount.minor > 0)
        if found is not RowKind.OTHER:
            return found
    return RowKind.OTHER


def _kind(words: str, *, came_in: bool) -> RowKind:
    if "reversal" in words or "reversed" in words:
        return RowKind.REVERSAL
    if _PAID_WITH_ITS_CHARGE not in words and re.search(r"\b(charges?|fees?)\b", words):
        # a charge that was given back is nothing that we book by ourselves
        return RowKind.OTHER if came_in else RowKind.CHARGE
    if words.startswith("business pay bill"):
        return RowKind.MOVED
    if any(one in words for one in _FROM_PERSONS) and came_in:
        return RowKind.PAYMENT
    if any(one in words for one in _TO_PERSONS) and not came_in:
        return RowKind.PAYOUT
    if any(one in words for one in _OUR_OWN):
        return RowKind.MOVED
    return RowKind.OTHER
