"""Builders for the tests of the store: rows by plain SQL, deals with their money in every status,
and attacks on them. `town.world` makes a database of them.

Nothing here goes through the store or the services, so that what PostgreSQL itself refuses is seen
without their help. Amounts are minor units; a deal is the seed's: price 100, fee 5, due 105.
"""

# ruff: noqa: S608 (the statements are made of these modules' own constants)

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import asyncpg

from escrow.domain import codes

NOW: Final = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
LATER: Final = NOW + timedelta(hours=24)
SELLER, OTHER_SELLER, BUYER, STRANGER, ADMIN = 2001, 2002, 3001, 3002, 1001
PRICE, FEE, DUE = 100_00, 5_00, 105_00
RECEIVED = 98_00
SPARE = 50_00 + 4 * DUE  # what the stranger's wallet holds: late money and four receipts
PHONE, OTHER_PHONE = "254722000222", "254733000333"
COIN, COINS, RATE = "USDT-TRC20", Decimal("0.81"), Decimal(130)
QUOTE: Final = {
    "state": "OPEN",
    "coin_amount": COINS,
    "opened_at": NOW,
    "expires_at": LATER,
}
"""A provider's answer, but the address."""
APP: Final = "escrow_app"
OWNER: Final = "owner"


def code(number: int) -> str:
    """A valid deal code: `code(7)` is always the same one."""
    nine = f"{number:09d}"
    return f"ES{nine}{codes.check_digit(nine)}"


# One deal in each status; `town.world` makes them.
PENDING, OPEN_LINK, UNDERPAID = code(1), code(2), code(3)
HELD, SHIPPED, DELIVERED = code(4), code(5), code(6)
DISPUTED, FROZEN = code(7), code(8)
COMPLETED, REFUNDED, CANCELLED = code(9), code(10), code(11)
NEW = code(12)  # not there yet

PATHS: Final[dict[str, tuple[tuple[str, str, str], ...]]] = {
    "PENDING": (),
    "HELD": (("fund", "HELD", "payment"),),
    "SHIPPED": (("fund", "HELD", "payment"), ("ship", "SHIPPED", f"seller:{SELLER}")),
    "DELIVERED": (("fund", "HELD", "payment"), ("deliver", "DELIVERED", f"buyer:{BUYER}")),
    "DISPUTED": (
        ("fund", "HELD", "payment"),
        ("ship", "SHIPPED", f"seller:{SELLER}"),
        ("dispute", "DISPUTED", f"buyer:{BUYER}"),
    ),
    "FROZEN": (("fund", "HELD", "payment"), ("freeze", "FROZEN", f"admin:{ADMIN}")),
    "COMPLETED": (
        ("fund", "HELD", "payment"),
        ("deliver", "DELIVERED", f"buyer:{BUYER}"),
        ("release", "COMPLETED", f"buyer:{BUYER}"),
    ),
    "REFUNDED": (("fund", "HELD", "payment"), ("decline", "REFUNDED", f"seller:{SELLER}")),
    "CANCELLED": (("cancel", "CANCELLED", "timer"),),
}
"""How a deal comes to each status: (event, to, actor)."""

STAMPS: Final = {
    "fund": "funded_at",
    "ship": "shipped_at",
    "deliver": "delivered_at",
    "dispute": "disputed_at",
    "freeze": "frozen_at",
}
FINAL_STAMPS: Final = {
    "COMPLETED": "completed_at",
    "REFUNDED": "refunded_at",
    "CANCELLED": "cancelled_at",
}

# -- rows ----------------------------------------------------------------------------------------

Step = str | tuple[str, tuple[Any, ...]]
"""A statement, with its values when it has any."""

_TOKEN = "0123456789abcdef" * 2

GOOD: Final[dict[str, dict[str, Any]]] = {
    "daily_figures": {
        "starts_at": NOW,
        "ends_at": NOW + timedelta(days=1),
        "currency": "KES",
        **dict.fromkeys(
            ("opened", "cancelled", "disputed", "funded", "funded_minor", "completed", "refunded"),
            0,
        ),
        **dict.fromkeys(("released_minor", "refunded_minor", "fees_minor"), 0),
    },
    "reminders": {"escrow_id": HELD, "kind": "ship_day_1", "at": NOW},
    "monthly_reports": {
        "month": date(2026, 10, 1),
        "starts_at": NOW - timedelta(days=54),
        "ends_at": NOW - timedelta(days=23),
        "figures": {},
        "made_at": NOW,
    },
    "people": {"telegram_id": 9001, "first_name": "New", "started_at": NOW},
    "escrow_sellers": {
        "telegram_id": STRANGER,
        "shop_name": "New Shop",
        "payout_phone": PHONE,
        "created_at": NOW,
    },
    "seller_history": {"seller_id": 1, "status": "VERIFIED", "actor": f"admin:{ADMIN}", "at": NOW},
    "escrow_transactions": {
        "id": NEW,
        "cause": "test:new",
        "seller_id": 1,
        "seller_telegram_id": SELLER,
        "buyer_telegram_id": BUYER,
        "opened_by": SELLER,
        "description": "Blue phone case",
        "currency": "KES",
        "price_minor": PRICE,
        "fee_minor": FEE,
        "due_minor": DUE,
        "fee_payer": "buyer",
        "terms": {"tiers": []},
        "status": "PENDING",
        "last_event": "open",
        "last_actor": f"seller:{SELLER}",
        "last_data": {},
        "pay_by": LATER,
        "created_at": NOW,
        "updated_at": NOW,
    },
    "escrow_timeline": {
        "escrow_id": HELD,
        "event": "reminder",
        "from_status": "HELD",
        "to_status": "HELD",
        "actor": "timer",
        "at": NOW,
    },
    "escrow_disputes": {
        "escrow_id": HELD,
        "raised_by": BUYER,
        "raised_role": "buyer",
        "disputed_from": "HELD",
        "reason": "It never came",
        "opened_at": NOW,
        "answer_by": LATER,
    },
    "offers": {
        "cause": "test:offer",
        "escrow_id": DISPUTED,
        "kind": "settle",
        "version": 4,
        "offered_by": BUYER,
        "buyer_percent": 50,
        "seller_minor": 50_00,
        "buyer_minor": 52_50,
        "fee_minor": 2_50,
        "created_at": NOW,
    },
    "seller_ratings": {
        "escrow_id": REFUNDED,
        "seller_id": 1,
        "buyer_telegram_id": BUYER,
        "stars": 5,
        "created_at": NOW,
    },
    "fraud_flags": {
        "telegram_id": STRANGER,
        "user_type": "buyer",
        "flag_type": "multiple_disputes",
        "severity": "HIGH",
        "rule": "3 in 30 days",
        "created_at": NOW,
    },
    "ledger_accounts": {"kind": "wallet", "owner": "9001", "currency": "KES"},
    "payment_attempts": {
        "cause": "test:attempt",
        "token": _TOKEN,
        "escrow_id": PENDING,
        "telegram_id": STRANGER,
        "phone": OTHER_PHONE,
        "own_number": True,
        "currency": "KES",
        "amount_minor": DUE,
        "created_at": NOW,
    },
    "receipts": {
        "provider": "mpesa",
        "channel": "c2b",
        "reference": "SGNEW00001",
        "currency": "KES",
        "amount_minor": DUE,
        "state": "WAITING",
        "happened_at": NOW,
        "received_at": NOW,
    },
    "fx_rates": {"kes_per_usd": RATE, "source": "host", "set_at": NOW},
    "crypto_attempts": {
        "cause": "test:coins",
        "token": _TOKEN,
        "provider": "blockbee",
        "escrow_id": HELD,
        "telegram_id": STRANGER,
        "coin": COIN,
        "currency": "KES",
        "amount_minor": DUE,
        "usd_minor": 81,
        "kes_per_usd": RATE,
        "callback_url": "https://amana.example/hooks/b/0/1",
        "created_at": NOW,
    },
    "crypto_deposits": {
        "attempt_id": 1,
        "txid": "tx-new",
        "coin": COIN,
        "amount": COINS,
        "seen_at": NOW,
    },
    "payment_claims": {
        "cause": "test:claim",
        "token": _TOKEN,
        "telegram_id": BUYER,
        "escrow_id": PENDING,
        "reference": "SGCLAIMED1",
        "state": "ASKED",
        "created_at": NOW,
    },
    "admin_actions": {
        "cause": "test:action",
        "kind": "manual_refund",
        "target": HELD,
        "escrow_id": HELD,
        "params": {"reason": ""},
        "facts": {"buyer": "KES 105"},
        "currency": "KES",
        "amount_minor": DUE,
        "parties": [SELLER, BUYER],
        "asked_by": ADMIN,
        "asked_at": NOW,
        "expires_at": LATER,
        "number": 4821,
        "needs_second": False,
        "state": "ASKED",
    },
    "admin_approvals": {"action_id": 900, "admin": ADMIN, "at": NOW},
    "status_queries": {"token": _TOKEN, "receipt_id": 1, "asked_at": NOW},
    "underpayment_choices": {
        "escrow_id": PENDING,
        "telegram_id": BUYER,
        "due_minor": DUE,
        "received_minor": RECEIVED,
        "created_at": NOW,
        "expires_at": LATER,
    },
    "reservations": {"escrow_id": OPEN_LINK, "telegram_id": BUYER, "since": NOW, "until": LATER},
    "reservation_counts": {"escrow_id": OPEN_LINK, "telegram_id": BUYER, "made": 1},
    "payouts": {
        "cause": "test:payout",
        "telegram_id": SELLER,
        "currency": "KES",
        "amount_minor": PRICE,
        "destination": PHONE,
        "created_at": NOW,
    },
    "payout_attempts": {
        "payout_id": 2,
        "originator_conversation_id": "test-conversation",
        "token": "e" * 32,
        "sent_at": NOW,
    },
    "provider_balances": {
        "account": "mpesa:utility",
        "currency": "KES",
        "balance_minor": 8_240_000,
        "books_minor": 8_240_000,
        "read_at": NOW,
        "source": "inbox:1",
    },
    "provider_differences": {
        "provider": "mpesa",
        "currency": "KES",
        "off_minor": -300,
        "since": NOW,
    },
    "balance_queries": {"token": "b" * 32, "shortcode": "600997", "asked_at": NOW},
    "bookings": {
        "kind": "float",
        "receipt": "SGFLOAT001",
        "currency": "KES",
        "amount_minor": 5_000,
        "booked_by": 1001,
        "booked_at": NOW,
    },
    "admin_menus": {"chat_id": ADMIN, "set_at": NOW},
    "heartbeats": {"source": "rail", "at": NOW},
    "broken_rows": {"part": "receipts", "id": "1", "found_at": NOW},
    "outages": {"source": "bot", "began_at": NOW - timedelta(hours=3), "ended_at": NOW},
    "pauses": {"cause": "test:pause", "paused_at": NOW, "reason": ""},
    "payout_stops": {"credential": "c" * 32, "code": "2001", "stopped_at": NOW},
    "provider_tokens": {"provider": "mpesa:new"},
    "inbox": {
        "digest": b"n" * 32,
        "route": "stk",
        "method": "POST",
        "body": b"{}",
        "received_at": NOW,
    },
    "telegram_updates": {"update_id": 900, "chat_id": BUYER, "body": {}, "received_at": NOW},
    "conversations": {"telegram_id": BUYER, "step": "sell", "updated_at": NOW},
    "outbox": {
        "cause": "test:notice",
        "kind": "held",
        "chat_id": BUYER,
        "next_try_at": NOW,
        "created_at": NOW,
    },
    "job_runs": {"job": "windows", "started_at": NOW},
    "job_slots": {"job": "windows", "planned_at": NOW, "state": "OPEN"},
    "deal_setbacks": {
        **{"job": "release", "escrow_id": HELD, "version": 3, "tries": 1, "error": "why"},
        **dict.fromkeys(("first_at", "next_try_at"), NOW),
    },
    "path_secrets": {"route": "new", "secret": _TOKEN},
    "settlements": {
        "escrow_id": HELD,
        "event": "release",
        "seller_minor": PRICE,
        "buyer_minor": 0,
        "fee_minor": FEE,
        "settled_at": NOW,
    },
    "flow_edges": {
        "event": "release",
        "from_status": "CANCELLED",
        "to_status": "COMPLETED",
        "actor": "timer",
    },
    "instance": {"environment": "live"},
    "schema_migrations": {"number": 9000, "name": "9000_x.sql", "digest": "x"},
}
"""For every table a row that it takes beside what `town.world` made."""


def insert(table: str, **changes: Any) -> Step:
    """An INSERT of the table's good row with these columns changed."""
    row = {**GOOD.get(table, {}), **changes}
    columns = ", ".join(row)
    values = ", ".join(f"${number}" for number in range(1, len(row) + 1))
    return (
        f"INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE VALUES ({values})",
        tuple(json.dumps(value) if isinstance(value, dict) else value for value in row.values()),
    )


async def run(conn: asyncpg.Connection, *steps: Step) -> None:
    for step in steps:
        if isinstance(step, str):
            await conn.execute(step)
        else:
            await conn.execute(step[0], *step[1])


def entries_json(
    key: str,
    *entries: tuple[str, str, int],
    kind: str = "attack",
    currency: str = "KES",
    escrow: str | None = None,
    digest: str | None = None,
) -> dict[str, Any]:
    """A journal as `ledger_post` takes it."""
    return {
        "kind": kind,
        "key": key,
        "hash": digest or json.dumps(entries),
        "currency": currency,
        "escrow": escrow,
        "at": NOW.isoformat(),
        "entries": [list(entry) for entry in entries],
    }


def post(key: str, *entries: tuple[str, str, int], **more: Any) -> Step:
    """One journal through `ledger_post`."""
    journal = entries_json(key, *entries, **more)
    return ("SELECT ledger_post($1::text::jsonb)", (json.dumps([journal]),))


def journal(key: str = "attack", *, kind: str = "attack", digest: str = "x") -> Step:
    """A journal by hand, still without entries."""
    return (
        "INSERT INTO ledger_journals (kind, idempotency_key, inputs_hash, happened_at)"
        " VALUES ($1, $2, $3, $4)",
        (kind, key, digest, NOW),
    )


def entry(kind: str, owner: str, minor: int, *, key: str = "attack", currency: str = "KES") -> Step:
    """An entry by hand, in the journal of that key."""
    return (
        "INSERT INTO ledger_entries (journal_id, account_id, amount_minor)"
        " SELECT j.id, a.id, $1::bigint FROM ledger_journals j, ledger_accounts a"
        " WHERE j.idempotency_key = $2 AND a.kind = $3 AND a.owner = $4 AND a.currency = $5",
        (minor, key, kind, owner, currency),
    )


# -- deals ---------------------------------------------------------------------------------------


def open_deal(escrow_id: str, **changes: Any) -> Step:
    return insert("escrow_transactions", id=escrow_id, cause=f"open:{escrow_id}", **changes)


def move(escrow_id: str, event: str, to: str, actor: str, **sets: Any) -> Step:
    """An event as one UPDATE, with the time it stamps."""
    stamps = {STAMPS.get(event), FINAL_STAMPS.get(to)} - {None}
    changes = {
        "status": to,
        "last_event": event,
        "last_actor": actor,
        "last_data": "{}",
        "updated_at": NOW,
        **{str(stamp): NOW for stamp in stamps},
        **sets,
    }
    columns = ", ".join(f"{name} = ${number}" for number, name in enumerate(changes, start=2))
    return (
        f"UPDATE escrow_transactions SET {columns} WHERE id = $1",
        (escrow_id, *changes.values()),
    )


def change(escrow_id: str, **sets: Any) -> Step:
    """An UPDATE of a deal that is no event."""
    columns = ", ".join(f"{name} = ${number}" for number, name in enumerate(sets, start=2))
    return (f"UPDATE escrow_transactions SET {columns} WHERE id = $1", (escrow_id, *sets.values()))


def fund(
    escrow_id: str, *, holding: int = PRICE, fee: int = FEE, actor: str = "payment"
) -> list[Step]:
    """received → holding and pending fee, and the event."""
    return [
        post(
            f"receipt:{escrow_id}",
            ("external", "mpesa:utility", -holding - fee),
            ("received", escrow_id, holding + fee),
            escrow=escrow_id,
        ),
        post(
            f"fund:{escrow_id}",
            ("received", escrow_id, -holding - fee),
            ("holding", escrow_id, holding),
            *([("pending_fee", escrow_id, fee)] if fee else []),
            escrow=escrow_id,
        ),
        move(escrow_id, "fund", "HELD", actor, held_price_minor=holding, held_fee_minor=fee),
    ]


def booked(reference: str, amount: int = DUE, *, provider: str = "mpesa") -> Step:
    """The journal that stands for a receipt: outside → the stranger's wallet."""
    return post(
        f"receipt:{provider}:{reference}",
        ("external", "mpesa:utility", -amount),
        ("wallet", str(STRANGER), amount),
    )


def booked_payout(number: int, person: int = SELLER) -> Step:
    """The journal of a payout's beginning: his wallet → payable."""
    return post(
        f"payout:{number}", ("wallet", str(person), -PRICE), ("payable", str(number), PRICE)
    )


def paid_payout(number: int) -> Step:
    """The journal of a payout that arrived: payable → outside."""
    return post(
        f"payout_paid:{number}",
        ("payable", str(number), -PRICE),
        ("external", "mpesa:utility", PRICE),
    )


def posted(reference: str, state: str, *, amount: int = DUE, **changes: Any) -> list[Step]:
    """A receipt that was posted, with its journal: to suspense, else to the stranger's wallet."""
    to = ("suspense", "") if state == "SUSPENSE" else ("wallet", str(STRANGER))
    return [
        insert(
            "receipts",
            reference=reference,
            state=state,
            amount_minor=amount,
            evidence="query",
            posted_at=NOW,
            **changes,
        ),
        post(
            f"receipt:mpesa:{reference}",
            ("external", "mpesa:utility", -amount),
            (*to, amount),
        ),
    ]


def in_coins(reference: str, **changes: Any) -> list[Step]:
    """A receipt for coins of attempt 1, with its journal."""
    row = {
        "provider": "blockbee",
        "channel": "crypto",
        "reference": reference,
        "state": "CREDITED",
        "evidence": "signed",
        "posted_at": NOW,
        "escrow_id": HELD,
        "telegram_id": STRANGER,
        "crypto_attempt_id": 1,
        "coin": COIN,
        "coin_amount": COINS,
        **changes,
    }
    provider, amount = row["provider"], row.get("amount_minor", DUE)
    return [
        insert("receipts", **row),
        post(
            f"receipt:{provider}:{reference}",
            ("external", str(provider), -amount),
            ("owner", "", amount),
            currency=row.get("currency", "KES"),
        ),
    ]


def drain(escrow_id: str, *, seller: int, buyer: int, fee: int) -> Step:
    """Everything held goes where the settlement says, in one journal."""
    parts = (
        ("holding", escrow_id, -PRICE),
        ("pending_fee", escrow_id, -FEE),
        ("wallet", str(SELLER), seller),
        ("wallet", str(BUYER), buyer),
        ("fees", "", fee),
    )
    return post(f"settlement:{escrow_id}", *(part for part in parts if part[2]), escrow=escrow_id)


def settle(escrow_id: str, event: str, *, seller: int, buyer: int, fee: int) -> list[Step]:
    """The postings and the settlement row of a deal's end, without the event."""
    return [
        drain(escrow_id, seller=seller, buyer=buyer, fee=fee),
        insert(
            "settlements",
            escrow_id=escrow_id,
            event=event,
            seller_minor=seller,
            buyer_minor=buyer,
            fee_minor=fee,
        ),
    ]


def parts_of_the_end(to: str) -> dict[str, int]:
    """Who gets what when a deal of the seed ends there."""
    if to == "REFUNDED":
        return {"seller": 0, "buyer": PRICE + FEE, "fee": 0}
    return {"seller": PRICE, "buyer": 0, "fee": FEE}


def event(escrow_id: str, name: str, to: str, actor: str, came_from: str) -> list[Step]:
    """Everything that belongs to one event: postings, settlement, dispute row, UPDATE."""
    if name == "fund":
        return fund(escrow_id, actor=actor)
    steps: list[Step] = []
    sets: dict[str, Any] = {}
    if name == "dispute":
        role, _, who = actor.partition(":")
        steps.append(
            insert(
                "escrow_disputes",
                escrow_id=escrow_id,
                raised_by=int(who),
                raised_role=role,
                disputed_from=came_from,
            )
        )
    if name == "freeze":
        sets["frozen_from"] = came_from
    if to in ("COMPLETED", "REFUNDED"):
        steps += settle(escrow_id, name, **parts_of_the_end(to))
    return [*steps, move(escrow_id, name, to, actor, **sets)]


def bring_to(escrow_id: str, status: str) -> list[Step]:
    """Takes a new deal to that status, by the flow."""
    steps: list[Step] = []
    came_from = "PENDING"
    for name, to, actor in PATHS[status]:
        steps += event(escrow_id, name, to, actor, came_from)
        came_from = to
    return steps


# -- people --------------------------------------------------------------------------------------


def people() -> list[Step]:
    """A seller (row 1) and another one (row 2), a buyer, a stranger, an admin."""
    ids = (SELLER, OTHER_SELLER, BUYER, STRANGER, ADMIN)
    return [
        *(insert("people", telegram_id=person) for person in ids),
        insert(
            "escrow_sellers",
            telegram_id=SELLER,
            status="VERIFIED",
            verified_at=NOW,
            verified_by=ADMIN,
        ),
        insert("escrow_sellers", telegram_id=OTHER_SELLER),
    ]
