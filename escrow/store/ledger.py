"""Posting journals and reading balances. What may never happen is refused by the triggers."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from escrow.domain.model import Journal
from escrow.domain.money import Currency, Money
from escrow.store import queries
from escrow.store.database import Connection, Row

_SQL: Final = queries.load("ledger")
_PAGES: Final = {
    "journals": _SQL["journal_page"],
    "accounts": _SQL["account_page"],
    "deals": _SQL["deal_page"],
    "receipts": _SQL["receipt_page"],
    "payouts": _SQL["payout_page"],
    "actions": _SQL["action_page"],
}
PARTS: Final = tuple(_PAGES)
"""What the books are proved by."""
PAGE: Final = 5000
"""Rows of the full proof in one piece."""
PIECE: Final = 100_000
"""Rows that one statement adds up."""
_FEW: Final = 2000
"""Entries of a busy account that a look reads at most."""
_NEWEST: Final = 200
"""Actions of admins that every look reads."""
_SHOWN: Final = 20
_DEAL: Final = {
    "money": "does not hold what its status says",
    "settlement": "is not settled as its status says",
    "funding": "holds money that nobody paid",
    "timeline": "is not where its timeline says",
    "flow": "took a step that the flow does not have",
}


async def post(conn: Connection, journals: Sequence[Journal]) -> dict[tuple[str, str], int]:
    """Writes journals in one statement; returns (kind, owner) → balance after in minor units of
    every touched account that keeps a balance.

    A journal whose key exists with the same inputs is skipped. `Conflict` when the inputs differ,
    `BooksBroken` when an account would go below zero.
    """
    rows = await conn.fetch(_SQL["post"], [_as_json(journal) for journal in journals])
    return {(row["kind"], row["owner"]): row["balance_minor"] for row in rows}


def _as_json(journal: Journal) -> dict[str, Any]:
    inputs = {
        "kind": journal.kind,
        "currency": journal.currency.code,
        "escrow": journal.escrow_id,
        "entries": [[e.kind, e.owner, e.minor] for e in journal.entries],
    }
    digest = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
    return {**inputs, "key": journal.key, "hash": digest, "at": journal.happened_at}


async def balance(conn: Connection, kind: str, owner: str, currency: Currency) -> Money:
    """The balance of an account that keeps one; 0 when it was never used."""
    minor = await conn.fetchval(_SQL["balance"], kind, owner, currency.code)
    return Money(minor or 0, currency)


async def held(conn: Connection, escrow_id: str, currency: Currency) -> tuple[Money, Money]:
    """(holding, pending fee) of a deal, in one look."""
    row = await conn.fetchrow(_SQL["held"], escrow_id, currency.code)
    assert row is not None  # noqa: S101 two sums always come
    return Money(row["holding"], currency), Money(row["pending_fee"], currency)


async def owed(conn: Connection, escrow_ids: Sequence[str], currency: Currency) -> dict[str, Money]:
    """Deal → what it owes us since a payment of its was taken back; only those that owe."""
    rows = await conn.fetch(_SQL["owed"], list(escrow_ids), currency.code)
    return {row["owner"]: Money(row["owed_minor"], currency) for row in rows}


async def lock_wallet(conn: Connection, telegram_id: int, currency: Currency) -> Money:
    """Locks a person's wallet for the rest of the unit and returns what is in it."""
    minor = await conn.fetchval(_SQL["lock_wallet"], str(telegram_id), currency.code)
    return Money(minor or 0, currency)


async def wallets(conn: Connection, telegram_id: int) -> list[Money]:
    """What a person has available, per currency."""
    return [
        Money(row["available_minor"], Currency.of(row["currency"]))
        for row in await conn.fetch(_SQL["wallet"], str(telegram_id))
    ]


async def held_in_deals(conn: Connection, telegram_id: int) -> list[Mapping[str, Any]]:
    """Per currency: paid into open deals as buyer, coming from open deals as seller."""
    return [dict(row) for row in await conn.fetch(_SQL["held_in_deals"], telegram_id)]


async def proof(conn: Connection) -> list[str]:
    """Proves the books whole, in one go: an empty list, or one line per break, naming the rows.

    `Oversight` does the same in pieces, for books that have grown.
    """
    trial = [
        f"trial balance {row['currency']} is {row['total_minor']}"
        for row in await conn.fetch(_SQL["trial_balance"])
        if row["total_minor"] != 0
    ]
    found = Broken()
    for part in ("accounts", "deals", "receipts", "payouts", "actions"):
        last: int | str | None = None
        while page := await next_page(conn, part, last):
            found.add(await broken_among(conn, part, page))
            last = page[-1]
    count = Recount()
    while await recount(conn, count):
        pass
    found.add(await broken_rollups(conn))
    return trial + found.lines() + await suspense_breaks(conn)


@dataclass(frozen=True, slots=True)
class Marks:
    """How far the books had been written at some moment. See `marks` in ledger.sql."""

    journal: int = 0
    entry: int = 0
    account: int = 0
    event: int = 0
    receipt: int = 0
    horizon: int = 0
    ceiling: int = 0

    def back(self, rows: int) -> Marks:
        """So many rows earlier."""
        return Marks(
            max(self.journal - rows, 0),
            max(self.entry - rows, 0),
            max(self.account - rows, 0),
            max(self.event - rows, 0),
            max(self.receipt - rows, 0),
        )


@dataclass(slots=True)
class Broken:
    """Rows that do not prove, each with the words for it."""

    journals: dict[int, str] = field(default_factory=dict)
    accounts: dict[int, str] = field(default_factory=dict)
    deals: dict[str, str] = field(default_factory=dict)
    receipts: dict[int, str] = field(default_factory=dict)
    payouts: dict[int, str] = field(default_factory=dict)
    actions: dict[int, str] = field(default_factory=dict)

    def add(self, other: Broken) -> None:
        self.journals |= other.journals
        self.accounts |= other.accounts
        self.deals |= other.deals
        self.receipts |= other.receipts
        self.payouts |= other.payouts
        self.actions |= other.actions

    def lines(self) -> list[str]:
        """What to tell, at most twenty of a sort."""
        parts = tuple(getattr(self, part) for part in PARTS)
        return [words for part in parts for words in list(part.values())[:_SHOWN]]


async def known_broken(conn: Connection) -> dict[str, list[Any]]:
    """Part of the books → ids that were found broken, by whatever process, and not mended yet."""
    known: dict[str, list[Any]] = {part: [] for part in PARTS}
    for row in await conn.fetch(_SQL["known_broken"]):
        known[row["part"]].append(row["id"] if row["part"] == "deals" else int(row["id"]))
    return known


async def remember_broken(
    conn: Connection, known: Mapping[str, Sequence[Any]], broken: Broken, now: datetime
) -> None:
    """Keeps what is broken beyond this process, and drops what was `known` and is mended."""
    for part in PARTS:
        found = getattr(broken, part)
        new = [str(row) for row in found if row not in known.get(part, ())]
        mended = [str(row) for row in known.get(part, ()) if row not in found]
        if new or mended:
            await conn.execute(_SQL["remember_broken"], part, new, mended, now)


async def marks(conn: Connection) -> Marks:
    """How far the books are written now."""
    row = await conn.fetchrow(_SQL["marks"])
    assert row is not None  # noqa: S101 sums always come
    return Marks(**dict(row))


async def next_page(
    conn: Connection, part: str, after: int | str | None, rows: int = PAGE
) -> list[Any]:
    """The next ids of one of `PARTS`; None begins."""
    start = ("" if part == "deals" else 0) if after is None else after
    return [row["id"] for row in await conn.fetch(_PAGES[part], start, rows)]


async def broken_among(conn: Connection, part: str, ids: Sequence[Any]) -> Broken:
    """Which of these rows of one of `PARTS` do not prove, each looked at whole."""
    if not ids:
        return Broken()
    if part == "journals":
        rows = await conn.fetch(_SQL["broken_journals"], ids)
        return Broken(journals={row["id"]: _journal_words(row) for row in rows})
    if part == "accounts":
        rows = await conn.fetch(_SQL["broken_balances"], ids)
        return Broken(accounts={row["id"]: _account_words(row) for row in rows})
    if part == "receipts":
        rows = await conn.fetch(_SQL["broken_receipts"], ids)
        return Broken(receipts={row["id"]: _receipt_words(row) for row in rows})
    if part == "payouts":
        rows = await conn.fetch(_SQL["broken_payouts"], ids)
        return Broken(payouts={r["id"]: f"payout {r['id']} is not as it is booked" for r in rows})
    if part == "actions":
        rows = await conn.fetch(_SQL["broken_actions"], ids)
        return Broken(actions={row["id"]: _action_words(row) for row in rows})
    rows = await conn.fetch(_SQL["broken_deals"], ids)
    return Broken(deals={row["id"]: f"deal {row['id']} {_DEAL[row['why']]}" for row in rows})


async def broken_since(conn: Connection, since: Marks) -> Broken:
    """What was touched since then and does not prove; what was there before is taken as proved."""
    journals = await conn.fetch(_SQL["touched_journals"], since.journal, since.entry)
    deals = await conn.fetch(_SQL["touched_deals"], since.event, since.entry)
    carries = await conn.fetch(_SQL["broken_carries"], since.account, since.entry)
    found = Broken(accounts={row["id"]: _account_words(row) for row in carries})
    found.add(await broken_among(conn, "journals", [row["id"] for row in journals]))
    found.add(await broken_among(conn, "deals", [row["id"] for row in deals]))
    receipts = await conn.fetch(_SQL["touched_receipts"], since.receipt, since.journal)
    found.add(await broken_among(conn, "receipts", [row["id"] for row in receipts]))
    payouts = await conn.fetch(_SQL["touched_payouts"], since.entry)
    found.add(await broken_among(conn, "payouts", [row["id"] for row in payouts]))
    actions = await conn.fetch(_SQL["newest_actions"], _NEWEST)
    found.add(await broken_among(conn, "actions", [row["id"] for row in actions]))
    found.add(await broken_rollups(conn))
    return found


# -- the busy accounts -----------------------------------------------------------------------------


async def busy_sums(conn: Connection, after: int, upto: int) -> dict[int, int]:
    """What these entries say of the accounts that keep no balance: id → minor units."""
    rows = await conn.fetch(_SQL["busy"], after, upto)
    return {row["account_id"]: row["minor"] for row in rows}


@dataclass(slots=True)
class Recount:
    """What the entries up to `upto` say of the busy accounts, counted from the first one."""

    upto: int = 0
    sums: Counter[int] = field(default_factory=Counter)


async def recount(conn: Connection, count: Recount) -> bool:
    """Counts the next piece of what is rolled up; False: that was all, and the count is kept."""
    upto = min(await conn.fetchval(_SQL["rolled_up"]), count.upto + PIECE)
    if upto > count.upto:
        count.sums.update(await busy_sums(conn, count.upto, upto))
        count.upto = upto
        return True
    accounts, minors = list(count.sums), list(count.sums.values())
    await conn.execute(_SQL["keep_recount"], count.upto, accounts, minors)
    return False


async def count_on(conn: Connection) -> bool:
    """The proof's own count goes on from where it stopped, a piece of every busy account; whether
    one is still behind the roll-ups.
    """
    await conn.execute(_SQL["begin_recounts"])
    return bool(await conn.fetchval(_SQL["count_on"], PIECE))


async def broken_rollups(conn: Connection) -> Broken:
    """Which busy accounts are rolled up to another sum than the proof's own count and the few
    entries after it.
    """
    rows = await conn.fetch(_SQL["broken_rollups"], _FEW)
    return Broken(accounts={row["id"]: _rollup_words(row) for row in rows})


async def suspense_breaks(conn: Connection) -> list[str]:
    """A line per currency whose suspense is not the receipts that wait there."""
    return [
        f"suspense {row['currency']} is off its receipts by {row['off_minor']}"
        for row in await conn.fetch(_SQL["suspense_difference"])
        if row["off_minor"] != 0
    ]


async def allow_long_statements(conn: Connection) -> None:
    """In a unit: 25 s a statement, for a page of the full proof."""
    await conn.execute(_SQL["long_statements"])


def _journal_words(row: Row) -> str:
    if row["off"]:
        return f"journal {row['id']} does not balance"
    return f"journal {row['id']} moved money in or out and nothing says why"


def _receipt_words(row: Row) -> str:
    number = row["reference"] or "without a number"
    return f"receipt {row['id']} ({number}) is not booked as it says"


def _account_words(row: Row) -> str:
    return f"account {row['id']} ({row['kind']}:{row['owner']}) is not the sum of its entries"


def _rollup_words(row: Row) -> str:
    account = f"account {row['id']} ({row['kind']}:{row['owner']})"
    return f"{account} is rolled up to another sum than its entries"


def _action_words(row: Row) -> str:
    return f"action {row['id']} was done without those who have to confirm it"


async def held_totals(conn: Connection) -> list[Mapping[str, Any]]:
    """What is held for customers, per currency and kind of account."""
    return [dict(row) for row in await conn.fetch(_SQL["held_totals"])]
