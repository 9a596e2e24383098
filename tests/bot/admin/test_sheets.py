"""The month's file: every row once, sums that match, nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from escrow.bot.admin.sheets import HEADER, Sheets, text
from escrow.domain.figures import Settled
from tests.world import kes, usd

NAIROBI = ZoneInfo("Africa/Nairobi")
ONE = Settled(
    at=datetime(2026, 11, 22, 21, 30, 5, 123456, tzinfo=UTC),
    escrow_id="ES1008257624",
    event="release",
    price=kes(10_000),
    to_seller=kes(10_000),
    to_buyer=kes(0),
    fee=kes(500),
    charge=None,
    receipts_in="SG632NMUAB SG632NMUAC",
    receipts_out="SG632NMUAD",
)


def rows_of(sheets: Sheets) -> list[list[list[str]]]:
    found = []
    for file in sheets.files:
        file.seek(0)
        raw = file.read()
        assert raw.startswith(b"\xef\xbb\xbf"), "Excel would take it for another encoding"
        found.append(list(csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline=""))))
    return found


def test_a_row_says_what_went_where() -> None:
    with Sheets(NAIROBI) as sheets:
        sheets.add([ONE])
        ((header, row),) = rows_of(sheets)
    assert header == list(HEADER)
    assert dict(zip(header, row, strict=True)) == {
        "released at": "2026-11-23T00:30:05+03:00",
        "code": "ES1008257624",
        "price": "10000.00",
        "fee": "500.00",
        "M-Pesa charge": "",
        "receipt in": "SG632NMUAB SG632NMUAC",
        "receipt out": "SG632NMUAD",
        "event": "release",
        "currency": "KES",
        "held": "10500.00",
        "to seller": "10000.00",
        "to buyer": "0.00",
    }


def test_a_charge_and_dollars_are_shown_exactly() -> None:
    split = replace(
        ONE, to_seller=usd("50.01"), to_buyer=usd("52.50"), fee=usd("2.49"), charge=usd("0.23")
    )
    with Sheets(NAIROBI) as sheets:
        sheets.add([replace(split, price=usd(100))])
        ((_, row),) = rows_of(sheets)
    shown = dict(zip(HEADER, row, strict=True))
    assert (shown["M-Pesa charge"], shown["currency"]) == ("0.23", "USD")
    parts = [Decimal(shown[name]) for name in ("to seller", "to buyer", "fee")]
    assert sum(parts) == Decimal(shown["held"]) == 105


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_nothing_is_a_formula(start: str) -> None:
    evil = f'{start}HYPERLINK("http://evil.example";"click")'
    assert text(evil) == "'" + evil
    with Sheets(NAIROBI) as sheets:
        sheets.add([replace(ONE, receipts_in=evil, receipts_out=evil, event=evil)])
        ((_, row),) = rows_of(sheets)
    assert [cell for cell in row if cell.startswith(start)] == []
    assert text("SG632NMUAB") == "SG632NMUAB"


def test_a_month_too_long_for_one_file_comes_in_parts() -> None:
    many = [replace(ONE, escrow_id=f"ES{number:010d}") for number in range(25)]
    with Sheets(NAIROBI, rows=10) as sheets:
        for start in (0, 7, 14, 21):
            sheets.add(many[start : start + 7])
        parts = rows_of(sheets)
    assert all(part[0] == list(HEADER) for part in parts)
    assert all(len(part) <= 11 for part in parts)
    assert [row[1] for part in parts for row in part[1:]] == [one.escrow_id for one in many]


def test_the_files_are_gone_afterwards() -> None:
    with Sheets(NAIROBI) as sheets:
        sheets.add([ONE])
        (file,) = sheets.files
    assert file.closed
