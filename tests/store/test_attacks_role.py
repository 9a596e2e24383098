"""What the program's own role may not even try, and what a session can put before our tables.

Each attack is refused by name, and succeeds once its guard is gone: so no guard is idle.
"""

# ruff: noqa: S608 (the statements are made of this module's own constants)

import asyncpg
import pytest

from tests.store import attacks
from tests.store.attacks import Attack, attack
from tests.store.books import (
    APP,
    BUYER,
    CANCELLED,
    FEE,
    HELD,
    OWNER,
    PENDING,
    PRICE,
    REFUNDED,
    SHIPPED,
    STRANGER,
    entry,
    insert,
    journal,
    move,
    post,
)

BOTH = (OWNER, APP)
DEALS = "escrow_transactions"
EDGE = "flow_edge_missing"
ENTRIES_KEPT = "ledger_entries.ledger_entries_append_only"
JOURNALS_KEPT = "ledger_journals.ledger_journals_append_only"
ACCOUNTS_KEPT = "ledger_accounts.ledger_accounts_kept"
ACCOUNT_GUARD = "ledger_accounts.ledger_account_guard"
ENTRY_WRITTEN = "ledger_entries.ledger_entry_written"
BALANCED = "ledger_journals.ledger_journal_balanced"
SETTLEMENTS_KEPT = "settlements.settlements_append_only"
OUT = "mpesa:utility"
WALLET = str(STRANGER)
BUYER_ACTS = f"buyer:{BUYER}"
NO_RIGHT = "sqlstate:42501"

# The triggers are taken away, so that the missing right is all that refuses; with the right
# nothing would.
LEDGER: tuple[Attack, ...] = tuple(
    attack(
        f"the program may not {verb} {table}",
        *steps,
        by=NO_RIGHT,
        guard=f"GRANT {verb} ON {table} TO {APP}",
        behind=behind,
        roles=(APP,),
    )
    for verb, table, steps, behind in (
        ("INSERT", "ledger_journals", (journal(),), (BALANCED,)),
        ("UPDATE", "ledger_journals", ("UPDATE ledger_journals SET kind = 'x'",), (JOURNALS_KEPT,)),
        (
            "DELETE",
            "ledger_journals",
            ("DELETE FROM ledger_journals",),
            (JOURNALS_KEPT, "ledger_entries_journal_id_fkey"),
        ),
        ("INSERT", "ledger_entries", (entry("external", OUT, 1, key="late"),), (ENTRY_WRITTEN,)),
        (
            "UPDATE",
            "ledger_entries",
            ("UPDATE ledger_entries SET amount_minor = 1",),
            (ENTRIES_KEPT,),
        ),
        ("DELETE", "ledger_entries", ("DELETE FROM ledger_entries",), (ENTRIES_KEPT,)),
        ("TRUNCATE", "ledger_entries", ("TRUNCATE ledger_entries",), (ENTRIES_KEPT,)),
        ("INSERT", "ledger_accounts", (insert("ledger_accounts"),), ()),
        (
            "UPDATE",
            "ledger_accounts",
            (f"UPDATE ledger_accounts SET balance_minor = 1 WHERE owner = '{WALLET}'",),
            (ACCOUNT_GUARD,),
        ),
        (
            "DELETE",
            "ledger_accounts",
            ("DELETE FROM ledger_accounts WHERE owner = '4004'",),
            (ACCOUNTS_KEPT,),
        ),
        (
            "UPDATE",
            "settlements",
            ("UPDATE settlements SET settled_at = now()",),
            (SETTLEMENTS_KEPT,),
        ),
        (
            "DELETE",
            "settlements",
            (f"DELETE FROM settlements WHERE escrow_id = '{REFUNDED}'",),
            (SETTLEMENTS_KEPT,),
        ),
    )
)

DEALS_AND_PEOPLE: tuple[Attack, ...] = tuple(
    attack(
        f"the program may not {verb} {table}",
        sql,
        by=NO_RIGHT,
        guard=f"GRANT {verb} ON {table} TO {APP}",
        behind=behind,
        roles=(APP,),
    )
    for verb, table, sql, behind in (
        (
            "UPDATE",
            "escrow_timeline",
            "UPDATE escrow_timeline SET actor = 'system'",
            ("escrow_timeline.escrow_timeline_append_only",),
        ),
        (
            "DELETE",
            "escrow_timeline",
            "DELETE FROM escrow_timeline",
            ("escrow_timeline.escrow_timeline_append_only",),
        ),
        (
            "DELETE",
            DEALS,
            f"DELETE FROM {DEALS} WHERE id = '{CANCELLED}'",
            (f"{DEALS}.escrow_transactions_kept", "escrow_timeline_escrow_id_fkey"),
        ),
        (
            "UPDATE",
            "seller_history",
            "UPDATE seller_history SET reason = ''",
            ("seller_history.seller_history_append_only",),
        ),
        (
            "DELETE",
            "flow_edges",
            "DELETE FROM flow_edges",
            ("flow_edges.flow_edges_append_only",),
        ),
    )
)

PAYMENTS: tuple[Attack, ...] = tuple(
    attack(
        f"the program may not {verb} {table}",
        sql,
        by=NO_RIGHT,
        guard=f"GRANT {verb} ON {table} TO {APP}",
        behind=behind,
        roles=(APP,),
    )
    for verb, table, sql, behind in (
        (
            "DELETE",
            "receipts",
            "DELETE FROM receipts",
            ("receipts.receipts_kept", "status_queries_receipt_id_fkey"),
        ),
        (
            "DELETE",
            "payouts",
            "DELETE FROM payouts WHERE id = 2",
            ("payouts.payouts_kept",),
        ),
        (
            "DELETE",
            "payment_attempts",
            "DELETE FROM payment_attempts WHERE id = 1",
            ("payment_attempts.payment_attempts_kept",),
        ),
        (
            "UPDATE",
            "instance",
            "UPDATE instance SET environment = 'live'",
            ("instance.instance_kept",),
        ),
        (
            "DELETE",
            "underpayment_choices",
            "DELETE FROM underpayment_choices WHERE id = 2",
            ("underpayment_choices.underpayment_choices_kept",),
        ),
        (
            "INSERT",
            "schema_migrations",
            "INSERT INTO schema_migrations VALUES (9000, 'x', 'x')",
            (),
        ),
    )
)

# A session's temporary table comes before ours of the same name, unless a function says otherwise.
SHADOWS: tuple[Attack, ...] = (
    attack(
        "a temporary table does not hide what a deal holds",
        "CREATE TEMP TABLE ledger_accounts (id bigint, kind text, owner text, currency text,"
        " balance_minor bigint, entries bigint)",
        move(PENDING, "fund", "HELD", "payment", held_price_minor=PRICE, held_fee_minor=FEE),
        f"INSERT INTO pg_temp.ledger_accounts VALUES (1, 'holding', '{PENDING}', 'KES', {PRICE}),"
        f" (2, 'pending_fee', '{PENDING}', 'KES', {FEE})",
        by="deal_money_matches",
        guard="ALTER FUNCTION escrow_money_check(text) RESET search_path;"
        " ALTER FUNCTION escrow_money_check_deal() RESET search_path",
        roles=BOTH,
    ),
    attack(
        "a temporary table does not open a closed journal",
        "CREATE TEMP TABLE ledger_journals AS SELECT kind, escrow_id, idempotency_key,"
        " inputs_hash, happened_at FROM public.ledger_journals LIMIT 0",
        "ALTER TABLE pg_temp.ledger_journals ADD UNIQUE (idempotency_key),"
        " ADD id bigint DEFAULT 1, ADD xid xid8 DEFAULT pg_current_xact_id()",
        post("attack", ("wallet", WALLET, 1_000_000_00)),
        "DO $$ BEGIN IF (SELECT balance_minor FROM public.ledger_accounts WHERE kind = 'wallet'"
        f" AND owner = '{WALLET}') < 100000000 THEN RAISE check_violation USING"
        " CONSTRAINT = 'nothing_was_posted'; END IF; END $$",
        by="journal_balanced",
        guard="ALTER FUNCTION ledger_post(jsonb) RESET search_path;"
        " ALTER FUNCTION ledger_entry_written() RESET search_path",
        roles=BOTH,
    ),
    attack(
        "a temporary table adds no edge to the flow",
        "CREATE TEMP TABLE flow_edges AS SELECT 'beam' AS event, 'HELD' AS from_status,"
        " 'DELIVERED' AS to_status, 'timer' AS actor",
        move(HELD, "beam", "DELIVERED", "timer"),
        by=EDGE,
        guard="ALTER FUNCTION flow_check(escrow_transactions, text) RESET search_path;"
        " ALTER FUNCTION escrow_event() RESET search_path",
        roles=BOTH,
    ),
    attack(
        "a temporary table does not take the timeline's place",
        "CREATE TEMP TABLE escrow_timeline (id bigint, escrow_id text, version int, event text,"
        " from_status text, to_status text, actor text, at timestamptz, data jsonb)",
        move(SHIPPED, "deliver", "DELIVERED", BUYER_ACTS),
        "DO $$ BEGIN IF EXISTS (SELECT FROM public.escrow_timeline WHERE event = 'deliver'"
        f" AND escrow_id = '{SHIPPED}') THEN"
        " RAISE check_violation USING CONSTRAINT = 'it_is_in_ours'; END IF; END $$",
        by="it_is_in_ours",
        guard="ALTER FUNCTION escrow_event() RESET search_path;"
        " ALTER FUNCTION escrow_unchanged() RESET search_path",
        roles=BOTH,
    ),
)

ATTACKS = (*LEDGER, *DEALS_AND_PEOPLE, *PAYMENTS, *SHADOWS)


@pytest.mark.parametrize(("tried", "role"), attacks.each(ATTACKS))
async def test_is_refused(attacked: asyncpg.Connection, tried: Attack, role: str) -> None:
    refusal = await attacks.try_attack(attacked, tried, role)
    assert refusal is not None, "PostgreSQL let it pass"
    assert attacks.name_of(refusal) == tried.refused_by


@pytest.mark.parametrize("tried", attacks.guarded(ATTACKS))
async def test_no_guard_is_idle(attacked: asyncpg.Connection, tried: Attack) -> None:
    refusal = await attacks.try_attack(attacked, tried, tried.roles[-1], without_guard=True)
    assert refusal is None, f"refused by {attacks.name_of(refusal)} as well"
