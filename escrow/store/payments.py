"""Prompts, reservations and underpayment choices."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from escrow.domain.errors import EscrowMoved
from escrow.domain.model import Attempt, AttemptState, Choice
from escrow.domain.money import Currency, Money
from escrow.store import queries
from escrow.store.database import Connection, Row

_SQL: Final = queries.load("payments")


@dataclass(frozen=True, slots=True)
class RecentPrompts:
    """Prompts of the last hour, for the caps."""

    by_person: int
    to_foreign_number: int
    same_amount_at: datetime | None


def from_row(row: Row) -> Attempt:
    currency = Currency.of(row["currency"])
    return Attempt(
        id=row["id"],
        token=row["token"],
        escrow_id=row["escrow_id"],
        telegram_id=row["telegram_id"],
        phone=row["phone"],
        amount=Money(row["amount_minor"], currency),
        wallet_part=Money(row["wallet_part_minor"], currency),
        choice_id=row["choice_id"],
        state=AttemptState(row["state"]),
        checkout_request_id=row["checkout_request_id"],
        result_code=row["result_code"],
        chat_message_id=row["chat_message_id"],
        created_at=row["created_at"],
        prompted_at=row["prompted_at"],
        claimed_at=row["claimed_at"],
        queries=row["queries"],
    )


def choice_from_row(row: Row, currency: Currency) -> Choice:
    return Choice(
        id=row["id"],
        escrow_id=row["escrow_id"],
        telegram_id=row["telegram_id"],
        due=Money(row["due_minor"], currency),
        received=Money(row["received_minor"], currency),
        expires_at=row["expires_at"],
        used_at=row["used_at"],
        voided_at=row["voided_at"],
    )


async def insert_attempt(
    conn: Connection,
    *,
    cause: str,
    token: str,
    escrow_id: str,
    telegram_id: int,
    phone: str,
    own_number: bool,
    amount: Money,
    wallet_part: Money,
    choice_id: int | None,
    now: datetime,
    next_query_at: datetime,
) -> tuple[Attempt, bool]:
    """(attempt, whether it is new). `LimitReached` when the deal or the phone has an open one."""
    row = await conn.fetchrow(
        _SQL["insert_attempt"],
        cause,
        token,
        escrow_id,
        telegram_id,
        phone,
        own_number,
        amount.currency.code,
        amount.minor,
        wallet_part.minor,
        choice_id,
        now,
        next_query_at,
    )
    if row is not None:
        return from_row(row), True
    row = await conn.fetchrow(_SQL["attempt_by_cause"], cause)
    if row is None:
        raise EscrowMoved
    return from_row(row), False


async def attempt_by_cause(conn: Connection, cause: str) -> Attempt | None:
    row = await conn.fetchrow(_SQL["attempt_by_cause"], cause)
    return from_row(row) if row else None


async def attempt_by_token(conn: Connection, token: str) -> Attempt | None:
    row = await conn.fetchrow(_SQL["attempt_by_token"], token)
    return from_row(row) if row else None


async def attempt(conn: Connection, attempt_id: int) -> Attempt | None:
    row = await conn.fetchrow(_SQL["attempt_by_id"], attempt_id)
    return from_row(row) if row else None


async def open_attempt(conn: Connection, escrow_id: str) -> Attempt | None:
    row = await conn.fetchrow(_SQL["open_attempt"], escrow_id)
    return from_row(row) if row else None


async def prompted(
    conn: Connection, attempt_id: int, checkout_id: str, merchant_id: str, now: datetime
) -> Attempt:
    """M-Pesa accepted the request."""
    row = await conn.fetchrow(_SQL["prompted"], attempt_id, checkout_id, merchant_id, now)
    if row is None:
        raise EscrowMoved
    return from_row(row)


async def close_attempt(
    conn: Connection,
    attempt_id: int,
    state: AttemptState,
    code: str,
    now: datetime,
    *,
    next_query_at: datetime | None = None,
) -> bool:
    """Ends an open attempt without money; False when it was closed already."""
    done = await conn.fetchval(_SQL["close_attempt"], attempt_id, state, code, now, next_query_at)
    return done is not None


async def attempt_paid(conn: Connection, attempt_id: int, now: datetime) -> None:
    """Marks an attempt as paid, also one that was closed without money before."""
    await conn.execute(_SQL["attempt_paid"], attempt_id, now)


async def claimed(
    conn: Connection, attempt_id: int, now: datetime, checkout_id: str, merchant_id: str
) -> None:
    """A callback says paid: the next query decides."""
    await conn.execute(_SQL["claimed"], attempt_id, now, checkout_id or None, merchant_id or None)


async def set_message(conn: Connection, attempt_id: int, message_id: int) -> None:
    """The message in the payer's chat that shows this attempt's progress."""
    await conn.execute(_SQL["set_message"], attempt_id, message_id)


async def claim_queries(conn: Connection, now: datetime, limit: int) -> list[Attempt]:
    """Takes attempts that are due for a query."""
    return [from_row(row) for row in await conn.fetch(_SQL["claim_queries"], now, limit)]


async def query_again(conn: Connection, attempt_id: int, at: datetime | None) -> None:
    """Sets when an attempt is asked about again; None: not any more."""
    await conn.execute(_SQL["query_again"], attempt_id, at)


async def recent_prompts(
    conn: Connection, telegram_id: int, phone: str, amount: Money, now: datetime
) -> RecentPrompts:
    row = await conn.fetchrow(
        _SQL["recent_prompts"], telegram_id, phone, now - timedelta(hours=1), amount.minor
    )
    assert row is not None  # noqa: S101 three counts always come
    return RecentPrompts(row["by_person"], row["to_foreign_number"], row["same_amount_at"])


async def reserve(
    conn: Connection, escrow_id: str, telegram_id: int, until: datetime, now: datetime
) -> bool:
    """Reserves a deal without a buyer; False when somebody else holds it."""
    holder = await conn.fetchval(_SQL["reserve"], escrow_id, telegram_id, until, now)
    return bool(holder == telegram_id)


async def reservation(
    conn: Connection, escrow_id: str, now: datetime
) -> tuple[int, datetime] | None:
    """(who, until) of a live reservation."""
    row = await conn.fetchrow(_SQL["reservation"], escrow_id, now)
    return (row["telegram_id"], row["until"]) if row else None


async def count_reservation(conn: Connection, escrow_id: str, telegram_id: int) -> int:
    """Counts a new reservation of this person on this deal; returns how many he made."""
    return int(await conn.fetchval(_SQL["count_reservation"], escrow_id, telegram_id))


async def insert_choice(
    conn: Connection,
    escrow_id: str,
    telegram_id: int,
    due: Money,
    received: Money,
    now: datetime,
    expires_at: datetime,
) -> int:
    """Opens a choice; the deal has no other open one."""
    return int(
        await conn.fetchval(
            _SQL["insert_choice"],
            escrow_id,
            telegram_id,
            due.minor,
            received.minor,
            now,
            expires_at,
        )
    )


async def void_choice(conn: Connection, escrow_id: str, now: datetime) -> None:
    """A newer receipt replaces the open choice."""
    await conn.execute(_SQL["void_choice"], escrow_id, now)


async def use_choice(
    conn: Connection, choice_id: int, action: str, now: datetime, *, even_late: bool = False
) -> bool:
    """Takes a choice, once; False when it was taken, voided or (unless `even_late`) is over."""
    done = await conn.fetchval(_SQL["use_choice"], choice_id, action, now, even_late)
    return done is not None


async def choice(conn: Connection, choice_id: int) -> Choice | None:
    row = await conn.fetchrow(_SQL["choice"], choice_id)
    return choice_from_row(row, Currency.of(row["currency"])) if row else None


async def open_choice(conn: Connection, escrow_id: str) -> Choice | None:
    row = await conn.fetchrow(_SQL["open_choice"], escrow_id)
    return choice_from_row(row, Currency.of(row["currency"])) if row else None


async def expired_choices(
    conn: Connection,
    now: datetime,
    limit: int,
    grace: timedelta,
    coins: timedelta,
    only: int | None = None,
) -> list[tuple[int, str]]:
    """(choice, deal) of choices whose time is over. `coins`: how long coins that were seen in time
    may be on their way; `only`: that choice alone.
    """
    rows = await conn.fetch(_SQL["expired_choices"], now, limit, grace, coins, only)
    return [(row["id"], row["escrow_id"]) for row in rows]
