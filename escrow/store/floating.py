"""What the provider says that our accounts hold, what the books say of them, and what admins
book by hand between them and ourselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from escrow.domain.money import Currency, Money
from escrow.store import queries
from escrow.store.database import Connection

_SQL: Final = queries.load("floating")
_ROLLED: Final = 50_000
"""Entries that one step of rolling up reads at most."""
_MOVES: Final = 200
"""Movements at the provider that are looked through for a reading."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The last word of the provider on one of our accounts; `books` is what the books had at the
    provider at that moment, all of his accounts together.
    """

    account: str
    balance: Money
    books: Money
    read_at: datetime
    source: str


@dataclass(frozen=True, slots=True)
class Booking:
    """Money moved between us and our account at the provider, by his receipt."""

    kind: str
    receipt: str
    amount: Money
    booked_by: int
    booked_at: datetime


@dataclass(frozen=True, slots=True)
class OnTheWay:
    """What the provider may have and the books have not yet, and the other way round."""

    coming: Money
    gone: Money


@dataclass(frozen=True, slots=True)
class ProviderDifference:
    """How much more the provider has than the books, in minor units, and since when; what the
    admins were told of it last, and when.
    """

    off: int
    since: datetime
    told: int | None = None
    told_at: datetime | None = None


async def take_reading(conn: Connection, new: Reading) -> bool:
    """Keeps it unless a later one is there; whether it did."""
    kept = await conn.fetchval(
        _SQL["take_reading"],
        new.account,
        new.balance.currency.code,
        new.balance.minor,
        new.read_at,
        new.source,
        new.books.minor,
    )
    return kept is not None


async def on_the_way(conn: Connection, since: datetime) -> OnTheWay | None:
    """What is under way, and what moved since then, which a reading of about then may or may not
    have. None: too much to say.
    """
    row = await conn.fetchrow(_SQL["on_the_way"], since, _MOVES)
    assert row is not None  # noqa: S101 sums always come
    if row["moves"] >= _MOVES:
        return None
    return OnTheWay(Money(row["coming"], Currency.KES), Money(row["gone"], Currency.KES))


async def difference(conn: Connection) -> ProviderDifference | None:
    """What the provider and the books are apart; None: they agree."""
    row = await conn.fetchrow(_SQL["difference"])
    return (
        ProviderDifference(row["off_minor"], row["since"], row["told_minor"], row["told_at"])
        if row
        else None
    )


async def keep_difference(conn: Connection, new: ProviderDifference) -> None:
    await conn.execute(_SQL["keep_difference"], new.off, new.since, new.told, new.told_at)


async def drop_difference(conn: Connection) -> None:
    """They agree."""
    await conn.execute(_SQL["drop_difference"])


async def readings(conn: Connection) -> dict[str, Reading]:
    """Account → the last reading."""
    return {
        row["account"]: Reading(
            row["account"],
            Money(row["balance_minor"], Currency.of(row["currency"])),
            Money(row["books_minor"], Currency.of(row["currency"])),
            row["read_at"],
            row["source"],
        )
        for row in await conn.fetch(_SQL["readings"])
    }


async def roll_up(conn: Connection) -> int:
    """A step of summing up the busy accounts; how many entries it took. Outside a transaction."""
    return int(await conn.fetchval(_SQL["roll_up"], _ROLLED))


async def derived(conn: Connection) -> dict[tuple[str, str, Currency], int]:
    """(kind, owner, currency) → minor units, of the accounts that stand outside the customers'
    money: external, fees, costs, owner, and receivables as one.
    """
    rows = await conn.fetch(_SQL["derived"])
    return {
        (row["kind"], row["owner"], Currency.of(row["currency"])): row["balance_minor"]
        for row in rows
    }


async def due(conn: Connection, until: datetime, *, auto: bool) -> Money:
    """What leaves in shillings until then; `auto`: deals that end are paid out by themselves."""
    return Money(await conn.fetchval(_SQL["due"], until, auto), Currency.KES)


async def warned(conn: Connection, causes: Sequence[str]) -> bool:
    """Whether the admins were told of one of these shortages."""
    return bool(await conn.fetchval(_SQL["warned"], list(causes)))


async def lock_bookings(conn: Connection) -> None:
    """For the rest of the unit nobody else books."""
    await conn.execute(_SQL["lock_bookings"])


async def booking(conn: Connection, receipt: str) -> Booking | None:
    row = await conn.fetchrow(_SQL["booking"], receipt)
    if row is None:
        return None
    amount = Money(row["amount_minor"], Currency.of(row["currency"]))
    return Booking(row["kind"], row["receipt"], amount, row["booked_by"], row["booked_at"])


async def add_booking(conn: Connection, new: Booking) -> None:
    await conn.execute(
        _SQL["add_booking"],
        new.kind,
        new.receipt,
        new.amount.currency.code,
        new.amount.minor,
        new.booked_by,
        new.booked_at,
    )


async def add_balance_query(
    conn: Connection, token: str, shortcode: str, asked_at: datetime
) -> None:
    await conn.execute(_SQL["add_balance_query"], token, shortcode, asked_at)


async def last_balance_query(conn: Connection, shortcode: str) -> tuple[datetime, bool] | None:
    """(when a shortcode's accounts were last asked about, whether our API user was refused)."""
    row = await conn.fetchrow(_SQL["last_balance_query"], shortcode)
    return (row["asked_at"], row["refused"]) if row else None


async def answer_balance_query(
    conn: Connection, token: str, now: datetime, code: str, *, refused: bool
) -> str | None:
    """Marks the question with that token answered; the shortcode that it was about. None: nobody
    asked it, or it is answered.
    """
    shortcode: str | None = await conn.fetchval(
        _SQL["answer_balance_query"], token, now, code, refused
    )
    return shortcode
