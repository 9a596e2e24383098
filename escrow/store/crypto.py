"""Quotes and deposits in coins, and the operator's price of a dollar."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from escrow.domain.errors import EscrowMoved
from escrow.domain.model import CryptoAttempt, CryptoState
from escrow.domain.money import Currency, Money
from escrow.store import queries
from escrow.store.database import Connection, Row

_SQL: Final = queries.load("crypto")


@dataclass(frozen=True, slots=True)
class Rate:
    """Shillings for a dollar, and since when."""

    kes_per_usd: Decimal
    set_at: datetime


@dataclass(frozen=True, slots=True)
class StoredDeposit:
    """Coins at an address as we know them; `confirmed_at` is None while they are on their way,
    `known_before` when they were never told of before.
    """

    attempt_id: int
    txid: str
    coin: str
    amount: Decimal
    seen_at: datetime
    confirmed_at: datetime | None
    counted: bool
    dust: bool
    known_before: Decimal | None


def from_row(row: Row) -> CryptoAttempt:
    return CryptoAttempt(
        id=row["id"],
        token=row["token"],
        provider=row["provider"],
        escrow_id=row["escrow_id"],
        telegram_id=row["telegram_id"],
        coin=row["coin"],
        amount=Money(row["amount_minor"], Currency.of(row["currency"])),
        usd=Money(row["usd_minor"], Currency.USD),
        kes_per_usd=row["kes_per_usd"],
        choice_id=row["choice_id"],
        callback_url=row["callback_url"],
        state=CryptoState(row["state"]),
        coin_amount=row["coin_amount"],
        address=row["address"],
        tag=row["tag"],
        reference=row["provider_reference"],
        refusal=row["refusal"],
        created_at=row["created_at"],
        opened_at=row["opened_at"],
        expires_at=row["expires_at"],
        looks=row["looks"],
    )


async def insert_attempt(
    conn: Connection,
    *,
    cause: str,
    token: str,
    provider: str,
    escrow_id: str,
    telegram_id: int,
    coin: str,
    amount: Money,
    usd: Money,
    kes_per_usd: Decimal | None,
    choice_id: int | None,
    callback_url: str,
    now: datetime,
) -> tuple[CryptoAttempt, bool]:
    """(attempt, whether it is new)."""
    row = await conn.fetchrow(
        _SQL["insert_attempt"],
        cause,
        token,
        provider,
        escrow_id,
        telegram_id,
        coin,
        amount.currency.code,
        amount.minor,
        usd.minor,
        kes_per_usd,
        choice_id,
        now,
        callback_url,
    )
    if row is not None:
        return from_row(row), True
    known = await attempt_by_cause(conn, cause)
    if known is None:
        raise EscrowMoved
    return known, False


async def attempt_by_cause(conn: Connection, cause: str) -> CryptoAttempt | None:
    row = await conn.fetchrow(_SQL["by_cause"], cause)
    return from_row(row) if row else None


async def attempt_by_token(conn: Connection, token: str) -> CryptoAttempt | None:
    row = await conn.fetchrow(_SQL["by_token"], token)
    return from_row(row) if row else None


async def attempt(conn: Connection, attempt_id: int) -> CryptoAttempt | None:
    row = await conn.fetchrow(_SQL["by_id"], attempt_id)
    return from_row(row) if row else None


async def reusable(
    conn: Connection,
    escrow_id: str,
    telegram_id: int,
    coin: str,
    amount: Money,
    *,
    good_until: datetime,
    created_since: datetime,
) -> CryptoAttempt | None:
    """A quote of this person for the same deal, coin and amount that stands until `good_until` and
    got no coins yet, or one made since `created_since` that the provider has not answered.
    """
    row = await conn.fetchrow(
        _SQL["reusable"], escrow_id, telegram_id, coin, amount.minor, good_until, created_since
    )
    return from_row(row) if row else None


async def asked_since(conn: Connection, telegram_id: int, since: datetime) -> int:
    """How many addresses this person asked for."""
    return int(await conn.fetchval(_SQL["asked_since"], telegram_id, since))


async def asked_for(conn: Connection, escrow_id: str, telegram_id: int) -> bool:
    """Whether this person was given an address for that deal."""
    return bool(await conn.fetchval(_SQL["asked_for"], escrow_id, telegram_id))


async def opened(
    conn: Connection,
    attempt_id: int,
    *,
    coin_amount: Decimal,
    address: str,
    tag: str,
    reference: str,
    now: datetime,
    expires_at: datetime,
    next_look_at: datetime | None,
) -> None:
    """The provider's quote; nothing happens when he was heard already."""
    await conn.execute(
        _SQL["opened"],
        attempt_id,
        coin_amount,
        address,
        tag,
        reference,
        now,
        expires_at,
        next_look_at,
    )


async def refused(conn: Connection, attempt_id: int, refusal: str) -> None:
    """The provider gives no address; nothing happens when he was heard already."""
    await conn.execute(_SQL["refused"], attempt_id, refusal)


async def claim_looks(conn: Connection, now: datetime, limit: int) -> list[CryptoAttempt]:
    """Takes attempts whose provider is to be asked what he saw."""
    return [from_row(row) for row in await conn.fetch(_SQL["claim_looks"], now, limit)]


async def look_again(
    conn: Connection,
    attempt_id: int,
    at: datetime | None,
    *,
    pending_at: datetime,
    pending_since: datetime,
) -> None:
    """Sets when the provider is asked again (None: not any more); at `pending_at` at the latest
    while coins that were seen after `pending_since` are on their way.
    """
    await conn.execute(_SQL["look_again"], attempt_id, at, pending_at, pending_since)


async def before(conn: Connection, attempt_id: int, txid: str, coin: str) -> tuple[Decimal, bool]:
    """(what was counted at that address in this coin beside that deposit, whether it is counted
    itself). Locks the address, so that deposits follow each other.
    """
    await conn.execute(_SQL["lock"], attempt_id)
    row = await conn.fetchrow(_SQL["before"], attempt_id, txid, coin)
    assert row is not None  # noqa: S101 sums always come
    return row["amount"], row["known"]


async def any_deposit(conn: Connection, attempt_id: int) -> bool:
    """Whether anything was seen at that address."""
    return bool(await conn.fetchval(_SQL["any_deposit"], attempt_id))


async def saw(
    conn: Connection,
    attempt_id: int,
    txid: str,
    coin: str,
    amount: Decimal,
    seen_at: datetime,
    *,
    counts: bool,
) -> StoredDeposit:
    """Keeps coins that were seen (`counts`: confirmed, says their provider), and returns how they
    are known: since when, how much at least, and since when they are credited.
    """
    row = await conn.fetchrow(_SQL["saw"], attempt_id, txid, coin, amount, seen_at, counts)
    assert row is not None  # noqa: S101 an upsert always answers
    return StoredDeposit(**dict(row))


async def confirmed(
    conn: Connection, attempt_id: int, txid: str, coin: str, now: datetime, *, dust: bool
) -> None:
    """They are ours now, and credited; `dust` is worth nothing, and was not."""
    await conn.execute(_SQL["confirmed"], attempt_id, txid, coin, now, dust)


async def add_rate(conn: Connection, kes_per_usd: Decimal, source: str, now: datetime) -> bool:
    """Keeps a price of the dollar; False when the environment says nothing new."""
    return await conn.fetchval(_SQL["add_rate"], kes_per_usd, source, now) is not None


async def newest_rate(conn: Connection) -> Rate | None:
    row = await conn.fetchrow(_SQL["newest_rate"])
    return Rate(**dict(row)) if row else None
