"""Payouts and the requests made for them. Only posting moves their money: `store/ledger`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from escrow.domain.money import Currency, Money
from escrow.domain.payouts import Payout, PayoutAttempt, PayoutState
from escrow.store import queries
from escrow.store.database import Connection, Row

_SQL: Final = queries.load("payouts")


@dataclass(frozen=True, slots=True)
class NewPayout:
    """A payout to be made; `cause` makes it once. `receipt` goes back, which was `about` a deal."""

    cause: str
    telegram_id: int | None
    amount: Money
    destination: str
    state: PayoutState
    note: str = ""
    not_before: datetime | None = None
    escrow_id: str | None = None
    leg: str | None = None
    receipt_id: int | None = None
    receipt: str | None = None
    about: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """Where a person's money may go. `funding_phone`: the one prompt that paid his deal.
    `payout_phone_since`: when it was changed; `shop_since`: when the first one was named.
    """

    phone: str | None
    phone_is_contact: bool
    payout_phone: str | None
    payout_phone_since: datetime | None
    suspended: bool
    shop_since: datetime | None = None
    auto_payout: bool = True
    funding_phone: str | None = None

    @property
    def own_number(self) -> str | None:
        """A seller's payout number, else the one that Telegram vouches for; his money goes to no
        other.
        """
        return self.payout_phone or (self.phone if self.phone_is_contact else None)


@dataclass(frozen=True, slots=True)
class OpenPayout:
    """One that is not over, as the admins' list shows it: what its owner is called, how often it
    was asked for, and whether one request may have gone out.
    """

    payout: Payout
    name: str
    attempts: int
    live: bool


@dataclass(frozen=True, slots=True)
class OpenCount:
    """How many payouts are not over."""

    by_hand: int
    unknown: int
    under_way: int
    oldest: datetime | None


def from_row(row: Row) -> Payout:
    """A row of payouts as a Payout."""
    return Payout(
        id=row["id"],
        telegram_id=row["telegram_id"],
        escrow_id=row["escrow_id"] or row["about"],
        leg=row["leg"],
        amount=Money(row["amount_minor"], Currency.of(row["currency"])),
        destination=row["destination"],
        state=PayoutState(row["state"]),
        note=row["note"],
        provider_reference=row["provider_reference"],
        looks=row["looks"],
        created_at=row["created_at"],
        not_before=row["not_before"],
        named_reference=row["named_reference"],
        named_by=row["named_by"],
        named_token=row["named_token"],
        receipt_id=row["receipt_id"],
        receipt=row["receipt"],
    )


def _attempt(row: Row) -> PayoutAttempt:
    return PayoutAttempt(
        id=row["id"],
        payout_id=row["payout_id"],
        ocid=row["originator_conversation_id"],
        token=row["token"],
        state=PayoutState(row["state"]),
        conversation_id=row["conversation_id"],
        result_code=row["result_code"],
    )


async def settled_facts(
    conn: Connection, legs: Sequence[tuple[str, int]]
) -> list[tuple[int, Facts]]:
    """(place in the list, facts) for each (deal, person) who is known."""
    rows = await conn.fetch(
        _SQL["settled_facts"], [deal for deal, _ in legs], [person for _, person in legs]
    )
    return [(row["n"] - 1, _facts(row)) for row in rows]


async def person_facts(conn: Connection, telegram_id: int) -> Facts | None:
    row = await conn.fetchrow(_SQL["person_facts"], telegram_id)
    return _facts(row) if row else None


def _facts(row: Row) -> Facts:
    return Facts(**{name: row[name] for name in row.keys() if name != "n"})  # noqa: SIM118 a Row


async def insert(conn: Connection, new: Sequence[NewPayout], now: datetime) -> list[Payout]:
    """Writes payouts; those whose cause was used before are left out of the answer."""
    rows: list[Mapping[str, Any]] = [
        {
            "cause": one.cause,
            "telegram_id": one.telegram_id,
            "escrow_id": one.escrow_id,
            "leg": one.leg,
            "receipt_id": one.receipt_id,
            "receipt": one.receipt,
            "about": one.about,
            "currency": one.amount.currency.code,
            "amount_minor": one.amount.minor,
            "destination": one.destination,
            "state": one.state,
            "note": one.note,
            "not_before": one.not_before,
        }
        for one in new
    ]
    return [from_row(row) for row in await conn.fetch(_SQL["insert"], rows, now)]


async def by_cause(conn: Connection, cause: str) -> Payout | None:
    row = await conn.fetchrow(_SQL["by_cause"], cause)
    return from_row(row) if row else None


async def payout(conn: Connection, payout_id: int, *, lock: bool = False) -> Payout | None:
    row = await conn.fetchrow(_SQL["lock" if lock else "one"], payout_id)
    return from_row(row) if row else None


async def claim_ready(
    conn: Connection,
    now: datetime,
    limit: int,
    proved_from: int | None = None,
    *,
    pay: bool = True,
    reverse: bool = True,
) -> list[Payout]:
    """Locks payouts that are due; those of suspended sellers are not, nor those of deals of
    `proved_from` (minor units) and more whose receipts M-Pesa did not confirm since, nor what can't
    be paid, or sent back (`reverse`), from here.
    """
    rows = await conn.fetch(_SQL["claim_ready"], now, limit, proved_from, pay, reverse)
    return [from_row(row) for row in rows]


async def claim_questions(
    conn: Connection, now: datetime, proved_from: int, asked_since: datetime, limit: int
) -> list[tuple[int, str]]:
    """(id, reference) of receipts that M-Pesa has to be asked about before their deal is paid."""
    rows = await conn.fetch(_SQL["claim_questions"], now, proved_from, asked_since, limit)
    return [(row["id"], row["reference"]) for row in rows]


async def hold_doubtful(conn: Connection, proved_from: int, asked_before: datetime) -> list[Payout]:
    """Payouts whose deal's money was reversed, or that nobody confirms, become a person's task."""
    rows = await conn.fetch(_SQL["hold_doubtful"], proved_from, asked_before)
    return [from_row(row) for row in rows]


async def hold_reversed(conn: Connection) -> list[Payout]:
    """Payouts whose deal's money stands in the books as taken back become a person's task."""
    return [from_row(row) for row in await conn.fetch(_SQL["hold_reversed"])]


async def name_receipt(
    conn: Connection, payout_id: int, reference: str, admin: int, token: str, look_at: datetime
) -> Payout:
    """Keeps an admin's word on a locked payout until M-Pesa was asked about it."""
    row = await conn.fetchrow(_SQL["name_receipt"], payout_id, reference, admin, token, look_at)
    assert row is not None  # noqa: S101 it is locked
    return from_row(row)


async def by_named_token(conn: Connection, token: str) -> Payout | None:
    """Locks the payout whose named receipt was asked about under this path."""
    row = await conn.fetchrow(_SQL["by_named_token"], token)
    return from_row(row) if row else None


async def by_reference(conn: Connection, reference: str) -> Payout | None:
    """The payout that this receipt paid."""
    row = await conn.fetchrow(_SQL["by_reference"], reference)
    return from_row(row) if row else None


async def came_in(conn: Connection, reference: str) -> bool:
    """Whether a payment to us has this receipt, or somebody says so and was not refused."""
    return bool(await conn.fetchval(_SQL["came_in"], reference))


async def coins_came_in(conn: Connection, txid: str) -> bool:
    """Whether this transaction (its hash without 0x) brought coins to us."""
    return bool(await conn.fetchval(_SQL["coins_came_in"], txid))


async def address_of_ours(conn: Connection, address: str) -> bool:
    """Whether somebody was given this address to pay us."""
    return bool(await conn.fetchval(_SQL["address_of_ours"], address))


async def sides(conn: Connection, payout_ids: Sequence[int]) -> dict[int, set[int]]:
    """Who gets each payout, and the two sides of its deal."""
    rows = await conn.fetch(_SQL["sides"], list(payout_ids))
    return {row["id"]: set(row["people"]) for row in rows}


async def lock_resting(
    conn: Connection, telegram_id: int, destination: str, now: datetime
) -> list[Payout]:
    """Locks a person's payouts that wait because this number of his is new."""
    rows = await conn.fetch(_SQL["lock_resting"], telegram_id, destination, now)
    return [from_row(row) for row in rows]


async def word_unproved(conn: Connection, payout_id: int) -> Payout:
    """M-Pesa says nothing about the receipt that was named on a locked payout."""
    row = await conn.fetchrow(_SQL["word_unproved"], payout_id)
    assert row is not None  # noqa: S101 it is locked
    return from_row(row)


async def forget_word(conn: Connection, payout_id: int) -> Payout:
    """M-Pesa contradicts the receipt that was named on a locked payout."""
    row = await conn.fetchrow(_SQL["forget_word"], payout_id)
    assert row is not None  # noqa: S101 it is locked
    return from_row(row)


async def claim_words(conn: Connection, now: datetime, limit: int) -> list[Payout]:
    """Locks payouts whose named receipt M-Pesa has not spoken about."""
    return [from_row(row) for row in await conn.fetch(_SQL["claim_words"], now, limit)]


async def start_attempts(
    conn: Connection, new: Sequence[tuple[int, str, str]], now: datetime, look_at: datetime
) -> list[PayoutAttempt]:
    """Writes (payout, our id, path token) and marks the payouts as being sent."""
    ids, ocids, tokens = ([one[n] for one in new] for n in range(3))
    rows = await conn.fetch(_SQL["start_attempts"], ids, ocids, tokens, now)
    await conn.execute(_SQL["sending"], ids, look_at)
    return [_attempt(row) for row in rows]


async def hold_by_hand(conn: Connection, *, pay: bool, reverse: bool) -> list[Payout]:
    """READY ones that nothing will send become a person's task: what can't be paid, and what can't
    be sent back (`reverse`), and a suspended seller's.
    """
    return [from_row(row) for row in await conn.fetch(_SQL["hold_by_hand"], pay, reverse)]


async def way_back(conn: Connection, receipt_id: int) -> Payout | None:
    """The payout that sends this receipt's money back, or did; not one that failed."""
    row = await conn.fetchrow(_SQL["way_back"], receipt_id)
    return from_row(row) if row else None


async def numbered(conn: Connection, reference: str) -> list[Payout]:
    """The payouts that this receipt paid, or is said to have paid."""
    return [from_row(row) for row in await conn.fetch(_SQL["numbered"], reference)]


async def turn_receipt(conn: Connection, payout_id: int) -> None:
    """The receipt of a payout that was paid has gone back."""
    await conn.execute(_SQL["turn_receipt"], payout_id)


async def attempt_by_token(conn: Connection, token: str) -> PayoutAttempt | None:
    row = await conn.fetchrow(_SQL["attempt_by_token"], token)
    return _attempt(row) if row else None


async def attempt(conn: Connection, attempt_id: int) -> PayoutAttempt | None:
    row = await conn.fetchrow(_SQL["attempt"], attempt_id)
    return _attempt(row) if row else None


async def live_attempt(conn: Connection, payout_id: int) -> PayoutAttempt | None:
    """The attempt that was not definitely refused."""
    row = await conn.fetchrow(_SQL["live_attempt"], payout_id)
    return _attempt(row) if row else None


async def attempts_made(conn: Connection, payout_id: int) -> int:
    return int(await conn.fetchval(_SQL["attempts_made"], payout_id))


async def attempt_accepted(conn: Connection, attempt_id: int, conversation_id: str) -> None:
    """M-Pesa took the request; its own id, where it named one."""
    await conn.execute(_SQL["attempt_accepted"], attempt_id, conversation_id)


async def close_attempt(
    conn: Connection, attempt_id: int, state: PayoutState, code: str, now: datetime
) -> None:
    await conn.execute(_SQL["close_attempt"], attempt_id, state, code, now)


async def set_state(
    conn: Connection,
    payout_id: int,
    state: PayoutState,
    *,
    note: str = "",
    not_before: datetime | None = None,
    next_look_at: datetime | None = None,
) -> Payout:
    """Moves a locked payout that is not over yet."""
    row = await conn.fetchrow(_SQL["set_state"], payout_id, state, note, not_before, next_look_at)
    assert row is not None  # noqa: S101 it is locked
    return from_row(row)


async def finish(
    conn: Connection,
    payout_id: int,
    state: PayoutState,
    now: datetime,
    *,
    note: str = "",
    reference: str | None = None,
    closed_by: int | None = None,
) -> Payout:
    """Ends a locked payout: PAID with M-Pesa's receipt, or FAILED."""
    row = await conn.fetchrow(_SQL["finish"], payout_id, state, note, reference, closed_by, now)
    assert row is not None  # noqa: S101 it is locked
    return from_row(row)


async def claim_looks(conn: Connection, now: datetime, limit: int) -> list[Payout]:
    """Locks payouts that nobody has answered for in time."""
    return [from_row(row) for row in await conn.fetch(_SQL["claim_looks"], now, limit)]


async def looked(conn: Connection, payout_id: int, again_at: datetime) -> None:
    await conn.execute(_SQL["looked"], payout_id, again_at)


async def look_at(conn: Connection, payout_id: int, at: datetime) -> None:
    """Looks at one that is under way at that time."""
    await conn.execute(_SQL["look_at"], payout_id, at)


async def open_ones(conn: Connection, limit: int) -> list[Payout]:
    """What is not over, a person's tasks first."""
    return [from_row(row) for row in await conn.fetch(_SQL["open_ones"], limit)]


async def open_page(conn: Connection, offset: int, limit: int) -> list[OpenPayout]:
    """What is not over, a person's tasks first, then what nobody can say; each oldest first."""
    return [
        OpenPayout(from_row(row), row["name"] or "", row["attempts"], row["live"])
        for row in await conn.fetch(_SQL["open_page"], offset, limit)
    ]


async def open_count(conn: Connection) -> OpenCount:
    row = await conn.fetchrow(_SQL["open_count"])
    assert row is not None  # noqa: S101 counts always come
    return OpenCount(**dict(row))


async def of_person(conn: Connection, telegram_id: int) -> list[Payout]:
    """What is on its way to somebody, newest first."""
    return [from_row(row) for row in await conn.fetch(_SQL["of_person"], telegram_id)]


async def late(
    conn: Connection, since: datetime, limit: int, dollars_since: datetime
) -> list[Payout]:
    """Open since before then (dollars: before `dollars_since`), and nobody was told so yet."""
    rows = await conn.fetch(_SQL["late"], since, limit, dollars_since)
    return [from_row(row) for row in rows]


async def stopped(conn: Connection, credential: str) -> str | None:
    """The code that stopped everything sent with this credential, or None."""
    code = await conn.fetchval(_SQL["stopped"], credential)
    return None if code is None else str(code)


async def stop(conn: Connection, credential: str, code: str, now: datetime) -> bool:
    """Stops everything sent with this credential; False when it is stopped already."""
    return await conn.fetchval(_SQL["stop"], credential, code, now) is not None


async def lift(conn: Connection, credential: str, admin: int, now: datetime) -> bool:
    """Lets it send again; False when it was not stopped."""
    return await conn.fetchval(_SQL["lift"], credential, now, admin) is not None
