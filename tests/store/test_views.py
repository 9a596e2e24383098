"""The views that outside checks read: their columns by name and type, and what they say."""

import asyncpg
import pytest

from tests.store import books
from tests.store.books import (
    BUYER,
    COMPLETED,
    DUE,
    FEE,
    HELD,
    NOW,
    OPEN_LINK,
    PENDING,
    PRICE,
    RECEIVED,
    SELLER,
    STRANGER,
    UNDERPAID,
)

COLUMNS = {
    "ledger_trial_balance": "currency text, total_minor bigint",
    "wallet_balances": "telegram_id bigint, currency text, available_minor bigint",
    "escrow_balances": "escrow_id text, status text, currency text, received_minor bigint,"
    " holding_minor bigint, pending_fee_minor bigint",
    "escrow_events": "escrow_id text, event text, from_status text, to_status text, actor text,"
    " at timestamp with time zone",
    "receipts_overview": "provider text, reference text, escrow_id text, currency text,"
    " amount_minor bigint, state text",
    "payouts_overview": "id bigint, telegram_id bigint, currency text, amount_minor bigint,"
    " state text, provider_reference text",
}


@pytest.mark.parametrize("view", COLUMNS)
async def test_a_view_has_the_columns_that_were_promised(
    attacked: asyncpg.Connection, view: str
) -> None:
    columns = await attacked.fetchval(
        "SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', '"
        " ORDER BY attnum) FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0",
        view,
    )
    assert columns == COLUMNS[view]


async def test_the_trial_balance_is_zero_in_every_currency(attacked: asyncpg.Connection) -> None:
    rows = await attacked.fetch("SELECT * FROM ledger_trial_balance ORDER BY currency")
    assert [tuple(row) for row in rows] == [("KES", 0), ("USD", 0)]


async def test_the_trial_balance_shows_what_is_wrong(attacked: asyncpg.Connection) -> None:
    transaction = attacked.transaction()
    await transaction.start()
    try:
        await books.run(attacked, books.journal(), books.entry("wallet", str(STRANGER), 7))
        rows = await attacked.fetch("SELECT * FROM ledger_trial_balance ORDER BY currency")
    finally:
        await transaction.rollback()
    assert [tuple(row) for row in rows] == [("KES", 7), ("USD", 0)]


async def test_the_wallets_say_what_is_available(attacked: asyncpg.Connection) -> None:
    rows = await attacked.fetch("SELECT * FROM wallet_balances ORDER BY telegram_id")
    assert [tuple(row) for row in rows if row["available_minor"]] == [
        (BUYER, "KES", DUE - PRICE),  # the rest is on its way out, as is all of the seller's
        (STRANGER, "KES", books.SPARE),
    ]


async def test_the_balances_of_a_deal_follow_its_status(attacked: asyncpg.Connection) -> None:
    rows = await attacked.fetch("SELECT * FROM escrow_balances")
    balances = {row["escrow_id"]: tuple(row)[1:] for row in rows}
    nothing, everything = (0, 0, 0), (0, PRICE, FEE)
    assert balances == {
        PENDING: ("PENDING", "KES", *nothing),
        OPEN_LINK: ("PENDING", "KES", *nothing),
        UNDERPAID: ("PENDING", "KES", RECEIVED, 0, 0),
        HELD: ("HELD", "KES", *everything),
        books.SHIPPED: ("SHIPPED", "KES", *everything),
        books.DELIVERED: ("DELIVERED", "KES", *everything),
        books.DISPUTED: ("DISPUTED", "KES", *everything),
        books.FROZEN: ("FROZEN", "KES", *everything),
        COMPLETED: ("COMPLETED", "KES", *nothing),
        books.REFUNDED: ("REFUNDED", "KES", *nothing),
        books.CANCELLED: ("CANCELLED", "KES", *nothing),
    }


async def test_the_events_of_a_deal_are_its_timeline_in_the_flows_words(
    attacked: asyncpg.Connection,
) -> None:
    rows = await attacked.fetch("SELECT * FROM escrow_events WHERE escrow_id = $1", COMPLETED)
    assert [tuple(row)[1:] for row in rows] == [
        ("open", None, "PENDING", f"seller:{SELLER}", NOW),
        ("fund", "PENDING", "HELD", "payment", NOW),
        ("deliver", "HELD", "DELIVERED", f"buyer:{BUYER}", NOW),
        ("release", "DELIVERED", "COMPLETED", f"buyer:{BUYER}", NOW),
    ]


async def test_the_events_come_oldest_first_by_their_own_time(
    attacked: asyncpg.Connection,
) -> None:
    transaction = attacked.transaction()
    await transaction.start()
    try:
        for event, at in (("second", books.LATER), ("first", NOW)):
            await books.run(attacked, books.insert("escrow_timeline", event=event, at=at))
        rows = await attacked.fetch("SELECT event FROM escrow_events WHERE escrow_id = $1", HELD)
    finally:
        await transaction.rollback()
    assert [row["event"] for row in rows] == ["open", "fund", "first", "second"]


async def test_the_receipts_say_what_became_of_them(attacked: asyncpg.Connection) -> None:
    rows = await attacked.fetch("SELECT * FROM receipts_overview ORDER BY provider, reference")
    assert [tuple(row) for row in rows] == [
        ("blockbee", "tx1#1", HELD, "KES", DUE, "CREDITED"),
        ("mpesa", "SGBACK0004", None, "KES", DUE, "RETURNED"),
        ("mpesa", "SGCREDIT01", HELD, "KES", DUE, "CREDITED"),
        ("mpesa", "SGFAKE0007", None, "KES", DUE, "IGNORED"),
        ("mpesa", "SGFITTED05", HELD, "KES", DUE, "CREDITED"),
        ("mpesa", "SGLOST0003", None, "KES", 20_00, "SUSPENSE"),
        ("mpesa", "SGTAKEN006", HELD, "KES", DUE, "REVERSED"),
        ("mpesa", "SGWAIT0002", PENDING, "KES", DUE, "WAITING"),
    ]


async def test_the_payouts_say_where_they_are(attacked: asyncpg.Connection) -> None:
    rows = await attacked.fetch("SELECT * FROM payouts_overview ORDER BY id")
    assert [tuple(row) for row in rows] == [
        (1, SELLER, "KES", PRICE, "SENDING", None),
        (2, BUYER, "KES", PRICE, "READY", None),
        (3, SELLER, "KES", PRICE, "PAID", "SGPAID0003"),
    ]
