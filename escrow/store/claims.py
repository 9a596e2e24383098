"""Claims by receipt: what people say they paid."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from escrow.domain import phone
from escrow.domain.claims import Claim, ClaimState
from escrow.domain.model import Attempt
from escrow.domain.money import Currency, Money
from escrow.store import payments, queries
from escrow.store.database import Connection, Row

_SQL: Final = queries.load("claims")


def from_row(row: Row) -> Claim:
    currency = Currency.of(row["currency"])

    def money(minor: int | None) -> Money | None:
        return None if minor is None else Money(minor, currency)

    return Claim(
        id=row["id"],
        token=row["token"],
        telegram_id=row["telegram_id"],
        escrow_id=row["escrow_id"],
        reference=row["reference"],
        receipt_id=row["receipt_id"],
        state=ClaimState(row["state"]),
        why=row["why"],
        claimed=money(row["claimed_minor"]),
        amount=money(row["amount_minor"]),
        payer_shown=row["payer_shown"],
        happened_at=row["happened_at"],
        created_at=row["created_at"],
        checks=row["checks"],
        said_at=row["said_at"],
    )


def _found(row: Row | None) -> Claim | None:
    return from_row(row) if row else None


async def insert(
    conn: Connection,
    *,
    cause: str,
    token: str,
    telegram_id: int,
    escrow_id: str | None,
    reference: str,
    claimed: Money | None,
    said_at: datetime | None,
    now: datetime,
    next_check_at: datetime,
) -> Claim | None:
    """A new claim; None when this cause made one, or the person has one open on that receipt."""
    return _found(
        await conn.fetchrow(
            _SQL["insert"],
            cause,
            token,
            telegram_id,
            escrow_id,
            reference,
            ClaimState.ASKED,
            claimed.minor if claimed else None,
            now,
            next_check_at,
            said_at,
        )
    )


async def by_cause(conn: Connection, cause: str) -> Claim | None:
    return _found(await conn.fetchrow(_SQL["by_cause"], cause))


async def by_token(conn: Connection, token: str) -> Claim | None:
    """The claim that M-Pesa's answer to this path is about."""
    return _found(await conn.fetchrow(_SQL["by_token"], token))


async def get(conn: Connection, claim_id: int) -> Claim | None:
    return _found(await conn.fetchrow(_SQL["by_id"], claim_id))


async def open_of(conn: Connection, telegram_id: int, reference: str) -> Claim | None:
    """A person's undecided claim on that receipt."""
    return _found(await conn.fetchrow(_SQL["open_of"], telegram_id, reference))


async def count_since(conn: Connection, telegram_id: int, since: datetime) -> int:
    """How often he claimed since then."""
    return int(await conn.fetchval(_SQL["since"], telegram_id, since))


async def told(
    conn: Connection, claim_id: int, amount: Money, payer_shown: str, happened_at: datetime | None
) -> None:
    """Keeps what M-Pesa said of the receipt; the first word stays."""
    await conn.execute(_SQL["told"], claim_id, amount.minor, payer_shown, happened_at)


async def step(
    conn: Connection, claim_id: int, state: ClaimState, why: str, next_check_at: datetime | None
) -> Claim | None:
    """Moves an undecided claim on; None when it is decided."""
    return _found(await conn.fetchrow(_SQL["step"], claim_id, state, why, next_check_at))


async def decide(
    conn: Connection,
    claim_id: int,
    state: ClaimState,
    why: str,
    now: datetime,
    *,
    receipt_id: int | None = None,
    by: int | None = None,
) -> Claim | None:
    """Closes a claim as CREDITED or DENIED, once; None when it was decided before. `by`: the admin
    who did.
    """
    return _found(await conn.fetchrow(_SQL["decide"], claim_id, state, why, receipt_id, now, by))


async def take_due(conn: Connection, now: datetime, limit: int) -> list[Claim]:
    """Takes claims that are due for another look."""
    return [from_row(row) for row in await conn.fetch(_SQL["take_due"], now, limit)]


async def prompts_without_number(
    conn: Connection, amount: Money, at: datetime | None, shown: str
) -> list[Attempt]:
    """Prompts on any deal that such a payment may be of, and that no number stands for yet: about
    that time, or at any time when it is not known, and asked of a phone that `shown` may be.
    """
    rows = await conn.fetch(_SQL["prompts_without_number"], amount.minor, at)
    prompts = [payments.from_row(row) for row in rows]
    return [one for one in prompts if phone.may_be(shown, one.phone)]


async def reserved_by(conn: Connection, telegram_id: int) -> list[str]:
    """The codes of unpaid deals that this person reserved, newest first."""
    return [row["escrow_id"] for row in await conn.fetch(_SQL["reserved_by"], telegram_id)]
