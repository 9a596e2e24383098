"""Deals to pay: prepared outside the timed part, spread over many people, every trigger on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg

from benchmarks import statements
from escrow.domain.model import Channel, Receipt
from escrow.domain.money import Currency, Money
from escrow.domain.terms import FeePayer, FeeRule, Terms

_SQL: Final = statements.load("deals")

SELLERS: Final = range(10_001, 10_065)
BUYERS: Final = range(20_001, 20_129)
TERMS: Final = Terms(
    fees={code: FeeRule(500, 0, 100_000_00) for code in ("KES", "USD")}, new_seller_open_deals=0
)
QUOTE: Final = TERMS.quote(Money(10_000_00, Currency.KES), FeePayer.BUYER)


class SystemClock:
    """The machine's time: the clock that a running Amana has by way of PostgreSQL."""

    steady = True

    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass(slots=True)
class Deals:
    """Opens deals on one database. Codes are spread like real ones, so indexes grow everywhere."""

    conn: asyncpg.Connection
    opened: int = 0

    async def people(self) -> None:
        await self.conn.execute(_SQL["people"], [*SELLERS, *BUYERS])
        await self.conn.execute(_SQL["sellers"], [*SELLERS])

    async def open(self, count: int, *, reserved: bool = False) -> list[str]:
        """New deals that wait for money, with a known buyer or only somebody who reserved them."""
        numbers = range(self.opened, self.opened + count)
        self.opened += count
        codes = [f"ES{(number + 1) * 2_654_435_761 % 10**10:010d}" for number in numbers]
        sellers = [SELLERS[number % len(SELLERS)] for number in numbers]
        buyers = [BUYERS[number % len(BUYERS)] for number in numbers]
        terms = json.dumps(TERMS.deal_terms(Currency.KES))
        await self.conn.execute(
            _SQL["deals"], codes, sellers, QUOTE.price.minor, QUOTE.fee.minor, terms
        )
        await self.conn.execute(_SQL["reserve" if reserved else "join"], codes, buyers)
        return codes


def receipt(code: str) -> Receipt:
    """A confirmed payment by hand of exactly what is due, one per deal."""
    return Receipt(
        provider="mpesa",
        channel=Channel.C2B,
        reference=f"S{code[2:]}",
        amount=QUOTE.due,
        happened_at=datetime.now(UTC),
        escrow_code=code,
    )


async def books(conn: asyncpg.Connection) -> dict[str, Any]:
    """Counts of what stands in the tables of the connection's schema."""
    row = await conn.fetchrow(_SQL["books"])
    assert row is not None
    return dict(row)


async def analyze(conn: asyncpg.Connection) -> None:
    """Tells the planner what the tables look like by now."""
    await conn.execute("ANALYZE")
