"""The half of M-Pesa that tells of our own accounts, as a test wants it; it reads bodies like the
real one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from escrow.domain.money import Money
from escrow.rails import mpesa_balances, mpesa_parse
from escrow.services.ports import AccountBalances, Answer, PaybillPayment, PulledRow, Verdict
from tests.rail import ASKED, SHORTCODE, stamp

NAMES = {"Utility Account": "mpesa:utility", "Working Account": "mpesa:working"}


@dataclass
class FakeAccountRail:
    """A shortcode whose accounts are asked about; `asked` are the paths of the answers."""

    shortcode: str = SHORTCODE
    can_ask: bool = True
    answer: Answer = ASKED
    asked: list[str] = field(default_factory=list)

    async def ask_balance(self, *, result_url: str, timeout_url: str) -> Answer:
        self.asked.append(result_url.rsplit("/", 1)[1])
        return self.answer

    def read_balances(self, body: bytes) -> AccountBalances:
        return mpesa_balances.account_balances(body, NAMES)


@dataclass
class FakePullRail:
    """Gives `pages` one by one, then empty ones; `forever`: the last page again and again."""

    can_pull: bool = True
    pages: list[list[Any] | Answer] = field(default_factory=list)
    forever: bool = False
    offsets: list[int] = field(default_factory=list)
    spans: list[tuple[datetime, datetime]] = field(default_factory=list)

    async def pull(
        self, since: datetime, until: datetime, offset: int
    ) -> Sequence[PulledRow] | Answer:
        self.spans.append((since, until))
        self.offsets.append(offset)
        place = len(self.offsets) - 1
        if self.forever and self.pages:
            place = min(place, len(self.pages) - 1)
        page = self.pages[place] if place < len(self.pages) else []
        if isinstance(page, Answer):
            return page
        return [PulledRow(json.dumps(row).encode(), _named(row)) for row in page]

    def read_pulled(self, body: bytes) -> PaybillPayment:
        return mpesa_parse.pulled(body, SHORTCODE)


def _named(row: Any) -> str:
    return str(row.get("transactionId", "")) if isinstance(row, dict) else ""


def pulled_row(
    typed: str, amount: Money, reference: str, at: datetime, /, **changes: Any
) -> dict[str, Any]:
    """A row of Pull in Daraja's wire form (pull-query-response)."""
    local = at.astimezone(mpesa_parse.NAIROBI)
    return {
        "transactionId": reference,
        "trxDate": f"{local:%Y-%m-%dT%H:%M:%S}Z",
        "msisdn": 722000222,
        "sender": "BRIAN",
        "transactiontype": "c2b-pay-bill-debit",
        "billreference": typed,
        "amount": str(amount.to_decimal()),
        "organizationname": "Amana",
        **changes,
    }


def balance_body(utility: str, at: datetime, *, code: int | str = "0") -> bytes:
    """A result of AccountBalance in Daraja's wire form (account-balance-result)."""
    result: dict[str, Any] = {"ResultType": "0", "ResultCode": code, "ResultDesc": "x"}
    if str(code) == "0":
        packed = f"Working Account|KES|10.00|10.00|0.00|0.00&Utility Account|KES|{utility}|0|0|0"
        items = [
            {"Key": "AccountBalance", "Value": packed},
            {"Key": "BOCompletedTime", "Value": stamp(at)},
        ]
        result["ResultParameters"] = {"ResultParameter": items}
    return json.dumps({"Result": result}).encode()


REFUSED = Answer(Verdict.DECLINED, "404.001.01", "misconfigured")
