"""The audit that an admin asks for: the whole of the books, against themselves, against the rows
that money stands for, and against what the provider says.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from escrow.domain.errors import Fault, NotAllowed
from escrow.domain.money import Currency, Money
from escrow.services.floating import PAYBILL, UTILITY
from escrow.services.oversight import Oversight
from escrow.services.ports import Clock
from escrow.store import auditing, floating, ledger
from escrow.store.auditing import Sums
from escrow.store.database import Connection, Database

_AGAINST_ROWS: Final = ("holding", "pending_fee", "received", "wallet", "payable", "suspense")
_AT_PROVIDER: Final = (UTILITY, PAYBILL)
"""The accounts that the books know as one; what lies in the working account was taken out."""

Tell = Callable[[str, int], Awaitable[None]]
"""Hears how far it is: which part, how many rows of it."""


@dataclass(frozen=True, slots=True)
class Break:
    """Something that is not as it must be: the kind of its sentence, which one, off by how much."""

    kind: str
    name: str
    off: Money | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """What the provider says of his accounts, the oldest of it at `read_at`, and what the books had
    when the last of it was read here: what moves later is no difference.
    """

    says: Money
    books: Money
    read_at: datetime

    @property
    def off(self) -> Money:
        return self.says - self.books


@dataclass(slots=True)
class Audit:
    """What was found. `failed`: why it could not be finished."""

    counts: dict[str, int] = field(default_factory=Counter)
    trial: Sums = field(default_factory=dict)
    breaks: list[Break] = field(default_factory=list)
    provider: Difference | None = None
    at: datetime | None = None
    took: timedelta = timedelta(0)
    failed: str = ""


class Audits:
    """One audit at a time: it reads everything."""

    def __init__(self, database: Database, clock: Clock, oversight: Oversight) -> None:
        self._db = database
        self._clock = clock
        self._oversight = oversight
        self._running = False

    def check(self) -> None:
        """`NotAllowed` while one is running."""
        if self._running:
            raise NotAllowed("audit_running")

    async def run(self, tell: Tell) -> Audit:
        """Reads all of the books. `NotAllowed` while another one does."""
        self.check()
        self._running = True
        audit, started = Audit(at=self._clock.now()), time.monotonic()
        try:
            await self._audit(audit, tell)
        except Fault as fault:
            audit.failed = str(fault)
        finally:
            self._running = False
            audit.took = timedelta(seconds=time.monotonic() - started)
        return audit

    async def _audit(self, audit: Audit, tell: Tell) -> None:
        async def count(part: str, rows: int) -> None:
            audit.counts[part] = rows
            await tell(part, rows)

        await self._oversight.search_all(count)
        look = await self._oversight.look()
        broken = self._oversight.broken
        audit.breaks += [Break("journal", str(one)) for one in broken.journals]
        audit.breaks += [Break("account", words) for words in broken.accounts.values()]
        audit.breaks += [Break("deal", code) for code in broken.deals]
        audit.breaks += [Break("other", words) for words in broken.receipts.values()]
        audit.breaks += [Break("other", words) for words in broken.actions.values()]
        audit.breaks += [Break("other", line) for line in look.breaks if line not in broken.lines()]
        await self._payouts(audit, count)
        named = {one.name for one in audit.breaks if one.kind == "payout"}
        audit.breaks += [
            Break("other", words)
            for payout, words in broken.payouts.items()
            if str(payout) not in named
        ]
        await tell("trial", 0)
        async with self._db.unit() as conn:
            await auditing.snapshot(conn)
            await self._totals(conn, audit)
            audit.provider = await _difference(conn)

    async def _payouts(self, audit: Audit, count: Tell) -> None:
        last = rows = 0
        while True:
            async with self._db.reading() as conn:
                page = await auditing.next_payouts(conn, last)
                found = await auditing.broken_payouts(conn, page) if page else []
            audit.breaks += [
                Break("payout", str(row["id"]), _money(row["off_minor"], row["currency"]))
                for row in found
            ]
            if not page:
                return
            last, rows = page[-1], rows + len(page)
            await count("payouts", rows)

    async def _totals(self, conn: Connection, audit: Audit) -> None:
        """The trial balance, and the sums of accounts against the rows that they stand for."""
        audit.trial, off = await auditing.trial_balance(conn)
        for currency in Currency:
            left = sum(minor for (_, one), minor in audit.trial.items() if one is currency)
            if left:
                audit.breaks.append(Break("trial", currency.code, Money(left, currency)))
        audit.breaks += [
            Break("kept", f"{row['kind']}:{row['owner']}", _money(row["off"], row["currency"]))
            for row in off
        ]
        rows = {
            (row["kind"], Currency.of(row["currency"])): row["total_minor"]
            for row in await ledger.held_totals(conn)
        }
        for currency in Currency:
            for kind in _AGAINST_ROWS:
                key = (kind, currency)
                difference = audit.trial.get(key, 0) - rows.get(key, 0)
                if difference:
                    audit.breaks.append(Break("total", kind, Money(difference, currency)))


async def _difference(conn: Connection) -> Difference | None:
    read = await floating.readings(conn)
    ours: Sequence[floating.Reading] = [read[one] for one in _AT_PROVIDER if one in read]
    if not ours:
        return None
    newest = max(ours, key=lambda one: one.read_at)
    says = sum((one.balance for one in ours[1:]), start=ours[0].balance)
    return Difference(says, newest.books, min(one.read_at for one in ours))


def _money(minor: int, currency: str) -> Money:
    return Money(minor, Currency.of(currency))
