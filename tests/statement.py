"""Statements of M-Pesa's portal, of our own making: the header and the words as they were seen in
public readers of such files, numbers and names made up.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from escrow.rails.mpesa_parse import NAIROBI

HEADER = (
    "Receipt No.,Completion Time,Initiation Time,Details,Transaction Status,Paid In,Withdrawn,"
    "Balance,Balance Confirmed,Reason Type,Other Party Info,Linked Transaction ID,A/C No."
)
OTHERS = "SZ0000000"


def line(
    receipt: str,
    at: datetime,
    amount: int | str,
    reason: str = "Pay Bill Online",
    *,
    details: str = "",
    status: str = "Completed",
    balance: str = "",
    party: str = "254722***222 - BRIAN OTIENO",
    linked: str = "",
    account: str = "",
    iso: bool = False,
) -> str:
    """One row; money that left stands below zero in `Withdrawn`."""
    local = at.astimezone(NAIROBI)
    stamp = local.strftime("%Y-%m-%d %H:%M:%S" if iso else "%d-%m-%Y %H:%M:%S")
    money = Decimal(amount)
    shown = f"{money:,.2f}"
    paid_in, withdrawn = (shown, "") if money > 0 else ("", shown)
    out = io.StringIO(newline="")
    row = [receipt, stamp, stamp, details or reason, status, paid_in, withdrawn, balance, "true"]
    csv.writer(out, lineterminator="").writerow([*row, reason, party, linked, account])
    return out.getvalue()


def charge(receipt: str, at: datetime, amount: int | str, **more: str) -> str:
    return line(receipt, at, -Decimal(amount), "Pay Bill Charge", **more)  # type: ignore[arg-type]


def payout(receipt: str, at: datetime, amount: int | str, **more: str) -> str:
    reason = "Business Payment to Customer via API"
    return line(receipt, at, -Decimal(amount), reason, **more)  # type: ignore[arg-type]


def reversal(receipt: str, at: datetime, amount: int | str, linked: str, **more: str) -> str:
    return line(  # type: ignore[arg-type]
        receipt, at, -Decimal(amount), "Transaction Reversal", linked=linked, **more
    )


def file(rows: Sequence[str], *, shortcode: str = "", end: str = "\r\n") -> bytes:
    """A whole file as the portal sends it: its mark, lines about us, the header, the rows."""
    about = ["Organization Name,JANE LTD", f"Short Code,{shortcode}", "Time Period,November", ""]
    return ("\ufeff" + end.join([*about, HEADER, *rows]) + end).encode()


def around(at: datetime) -> list[str]:
    """Two rows of no money of ours that stretch a file's time half a day to both sides."""
    return [
        line(f"{OTHERS}1", at - timedelta(hours=12), 1, "Pay Bill Online", status="Completed"),
        line(f"{OTHERS}2", at + timedelta(hours=12), 1, "Pay Bill Online", status="Completed"),
    ]
