"""Money that arrived: each receipt once, whatever it came by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from escrow.domain.model import (
    Attempt,
    Channel,
    Choice,
    Escrow,
    Evidence,
    Receipt,
    ReceiptState,
    StoredReceipt,
)
from escrow.domain.money import Currency, Money
from escrow.store import escrows, payments, queries
from escrow.store.database import Connection, Row

_SQL: Final = queries.load("receipts")


@dataclass(frozen=True, slots=True)
class Context:
    """What is known about a payment, read under the deal's lock."""

    escrow: Escrow | None
    attempt: Attempt | None
    by_number: StoredReceipt | None
    by_attempt: StoredReceipt | None
    attempt_number_fitted: bool
    choice: Choice | None
    reserver: int | None
    reserved_since: datetime | None
    reserved_until: datetime | None
    reserver_phone: str | None
    buyer_phone: str | None
    seller_numbers: tuple[str, ...]
    has_slot: bool
    has_prompt: bool


@dataclass(frozen=True, slots=True)
class Posting:
    """How a receipt is booked: its state, whose it became, the answer to keep."""

    state: ReceiptState
    evidence: Evidence
    telegram_id: int | None
    outcome: Mapping[str, Any]


def from_row(row: Row) -> StoredReceipt:
    return StoredReceipt(
        id=row["id"],
        provider=row["provider"],
        channel=Channel(row["channel"]),
        reference=row["reference"],
        attempt_id=row["attempt_id"],
        escrow_id=row["escrow_id"],
        telegram_id=row["telegram_id"],
        amount=Money(row["amount_minor"], Currency.of(row["currency"])),
        state=ReceiptState(row["state"]),
        evidence=Evidence(row["evidence"]) if row["evidence"] else None,
        happened_at=row["happened_at"],
        received_at=row["received_at"],
        payer_shown=row["payer_shown"],
        payer_name=row["payer_name"],
        typed_reference=row["typed_reference"],
        outcome=row["outcome"],
        from_statement=row["from_statement"],
    )


async def context(conn: Connection, escrow_id: str | None, receipt: Receipt) -> Context:
    """Reads what the payment path decides on. Call it under the deal's lock."""
    row = await conn.fetchrow(
        _SQL["context"],
        escrow_id,
        receipt.attempt_id,
        receipt.provider,
        receipt.reference,
        receipt.amount.minor,
    )
    assert row is not None  # noqa: S101 the query starts from one row
    by_attempt = row["by_attempt"]
    reservation = row["reservation"]
    return Context(
        escrow=escrows.from_row(row) if row["id"] else None,
        attempt=payments.from_row(row["attempt"]) if row["attempt"] else None,
        by_number=from_row(row["by_number"]) if row["by_number"] else None,
        by_attempt=from_row(by_attempt) if by_attempt else None,
        attempt_number_fitted=bool(by_attempt and by_attempt["reference_fitted"]),
        choice=payments.choice_from_row(row["choice"], receipt.amount.currency)
        if row["choice"]
        else None,
        reserver=reservation["telegram_id"] if reservation else None,
        reserved_since=reservation["since"] if reservation else None,
        reserved_until=reservation["until"] if reservation else None,
        reserver_phone=row["reserver_phone"],
        buyer_phone=row["buyer_phone"],
        seller_numbers=tuple(row["seller_numbers"]),
        has_slot=row["has_slot"],
        has_prompt=row["has_prompt"],
    )


async def insert(
    conn: Connection,
    receipt: Receipt,
    escrow_id: str | None,
    now: datetime,
    posting: Posting | None,
    *,
    next_check_at: datetime | None = None,
    fitted: bool = False,
) -> int | None:
    """Stores a receipt, waiting or posted; None when its number or attempt is taken."""
    coins = receipt.coins
    found = await conn.fetchval(
        _SQL["insert"],
        receipt.provider,
        receipt.channel,
        receipt.reference,
        receipt.attempt_id,
        escrow_id,
        posting.telegram_id if posting else None,
        receipt.amount.currency.code,
        receipt.amount.minor,
        posting.state if posting else ReceiptState.WAITING,
        posting.evidence if posting else None,
        receipt.happened_at,
        now,
        now if posting else None,
        receipt.payer_shown,
        receipt.payer_name,
        receipt.typed_reference,
        receipt.inbox_id,
        dict(posting.outcome) if posting else {},
        next_check_at,
        fitted,
        coins.attempt_id if coins else None,
        coins.coin if coins else None,
        coins.amount if coins else None,
        coins.cost.minor if coins else 0,
    )
    return None if found is None else int(found)


async def post_waiting(
    conn: Connection,
    receipt_id: int,
    posting: Posting,
    now: datetime,
    *,
    escrow_id: str | None,
    attempt_id: int | None,
    fitted: bool,
    amount: Money,
) -> bool:
    """Turns a waiting receipt into a posted one; False when it no longer waits."""
    done = await conn.fetchval(
        _SQL["post_waiting"],
        receipt_id,
        posting.state,
        posting.evidence,
        now,
        posting.telegram_id,
        attempt_id,
        fitted,
        escrow_id,
        dict(posting.outcome),
        amount.minor,
    )
    return done is not None


async def lock_key(conn: Connection, key: str) -> None:
    """Locks a payment that has no deal to be locked, for the rest of the unit."""
    await conn.execute(_SQL["lock_key"], key)


async def link_attempt(conn: Connection, receipt_id: int, attempt_id: int, *, fitted: bool) -> None:
    """Gives an unowned receipt to the attempt it belongs to."""
    await conn.execute(_SQL["link_attempt"], receipt_id, attempt_id, fitted)


async def fill_slot(conn: Connection, receipt_id: int, reference: str, *, fitted: bool) -> None:
    """Writes the number of a payment that was known without one."""
    await conn.execute(_SQL["fill_slot"], receipt_id, reference, fitted)


async def get(conn: Connection, receipt_id: int, *, lock: bool = False) -> StoredReceipt | None:
    row = await conn.fetchrow(_SQL["lock_by_id" if lock else "by_id"], receipt_id)
    return from_row(row) if row else None


async def find(
    conn: Connection, provider: str, reference: str | None, attempt_id: int | None
) -> StoredReceipt | None:
    """The receipt of that number, else of that attempt: the key a payment is credited under."""
    row = None
    if reference is not None:
        row = await conn.fetchrow(_SQL["by_number"], provider, reference)
    elif attempt_id is not None:
        row = await conn.fetchrow(_SQL["by_attempt"], attempt_id)
    return from_row(row) if row else None


async def slots(
    conn: Connection, escrow_id: str, amount: Money, at: datetime
) -> list[tuple[StoredReceipt, str]]:
    """Credited prompts without a number that such a payment may be, with the prompted phone."""
    rows = await conn.fetch(_SQL["slots"], escrow_id, amount.minor, at)
    return [(from_row(row), row["phone"]) for row in rows]


async def loose(conn: Connection, escrow_id: str, attempt_id: int) -> list[StoredReceipt]:
    """Receipts by hand that may be the payment of this attempt."""
    return [from_row(row) for row in await conn.fetch(_SQL["loose"], escrow_id, attempt_id)]


async def claim_checks(
    conn: Connection, now: datetime, limit: int
) -> list[tuple[StoredReceipt, int]]:
    """Takes waiting receipts that are due for another look, with how often they were looked at."""
    rows = await conn.fetch(_SQL["claim_checks"], now, limit)
    return [(from_row(row), row["checks"]) for row in rows]


async def check_again(conn: Connection, receipt_id: int, at: datetime | None) -> None:
    """Sets when a waiting receipt is looked at again; None leaves it to a person."""
    await conn.execute(_SQL["check_again"], receipt_id, at)


async def from_statement(conn: Connection, receipt_id: int, check_at: datetime | None) -> None:
    """Notes that only a statement told of a waiting receipt, and when to ask about it."""
    await conn.execute(_SQL["from_statement"], receipt_id, check_at)


async def ignore(
    conn: Connection, receipt_id: int, evidence: Evidence, outcome: Mapping[str, Any]
) -> bool:
    """Closes a waiting receipt without posting; False when it no longer waits."""
    return await conn.fetchval(_SQL["ignore"], receipt_id, evidence, dict(outcome)) is not None


async def believe(
    conn: Connection, receipt_id: int, evidence: Evidence, check_at: datetime
) -> None:
    """Notes why a waiting receipt is going to be credited, before it is, and when to look whether
    it was.
    """
    await conn.execute(_SQL["believe"], receipt_id, evidence, check_at)


async def reopen(conn: Connection, receipt_id: int) -> None:
    """A denied receipt that is claimed again waits again."""
    await conn.execute(_SQL["reopen"], receipt_id)


async def detach(conn: Connection, receipt_id: int) -> None:
    """A denied claim no longer stands for its prompt."""
    await conn.execute(_SQL["detach"], receipt_id)


async def fitting_prompts(
    conn: Connection, escrow_id: str, amount: Money, at: datetime
) -> list[Attempt]:
    """Prompts that such a payment may be of, and that no money stands for yet."""
    rows = await conn.fetch(_SQL["fitting_prompts"], escrow_id, amount.minor, at)
    return [payments.from_row(row) for row in rows]


async def add_status_query(conn: Connection, token: str, receipt_id: int, now: datetime) -> None:
    """Remembers a question to the provider before it is asked."""
    await conn.execute(_SQL["add_status_query"], token, receipt_id, now)


async def status_query(conn: Connection, token: str) -> tuple[int, datetime | None] | None:
    """(receipt id, answered at) of the question with this token."""
    row = await conn.fetchrow(_SQL["status_query"], token)
    return (row["receipt_id"], row["answered_at"]) if row else None


async def answer_status_query(conn: Connection, token: str, now: datetime, answer: str) -> None:
    await conn.execute(_SQL["answer_status_query"], token, now, answer)


async def waiting_count(conn: Connection) -> int:
    """How many receipts wait for confirmation."""
    return int(await conn.fetchval(_SQL["waiting_count"]))


async def sender_listed(conn: Connection, receipt_id: int) -> bool:
    """Whether what told of a receipt came from an address that callbacks may come from."""
    return bool(await conn.fetchval(_SQL["sender_listed"], receipt_id))


async def known(conn: Connection, provider: str, references: Sequence[str]) -> frozenset[str]:
    """Those of these receipt numbers that we have, whatever became of them."""
    rows = await conn.fetch(_SQL["known"], provider, [one for one in references if one])
    return frozenset(row["reference"] for row in rows)
