"""Every guard of the database has an attack that it alone refuses (figure G14), and the program's
role may do exactly what is listed here.
"""

import dataclasses
import re

import asyncpg
import pytest

from escrow.store import database, migrate
from tests.store import (
    attacks,
    books,
    test_attacks_actions,
    test_attacks_claims,
    test_attacks_clock,
    test_attacks_clockwork,
    test_attacks_crypto,
    test_attacks_deals,
    test_attacks_dollars,
    test_attacks_edges,
    test_attacks_figures,
    test_attacks_float,
    test_attacks_forged,
    test_attacks_ledger,
    test_attacks_life,
    test_attacks_outages,
    test_attacks_pauses,
    test_attacks_payments,
    test_attacks_payouts,
    test_attacks_people,
    test_attacks_ratings,
    test_attacks_records,
    test_attacks_reversals,
    test_attacks_role,
    test_attacks_statement,
)
from tests.store.books import APP, BUYER, HELD, STRANGER

ATTACKS = (
    *test_attacks_ledger.ATTACKS,
    *test_attacks_deals.ATTACKS,
    *test_attacks_life.ATTACKS,
    *test_attacks_payments.ATTACKS,
    *test_attacks_payouts.ATTACKS,
    *test_attacks_dollars.ATTACKS,
    *test_attacks_people.ATTACKS,
    *test_attacks_edges.ATTACKS,
    *test_attacks_figures.ATTACKS,
    *test_attacks_float.ATTACKS,
    *test_attacks_forged.ATTACKS,
    *test_attacks_role.ATTACKS,
    *test_attacks_records.ATTACKS,
    *test_attacks_ratings.ATTACKS,
    *test_attacks_claims.ATTACKS,
    *test_attacks_clockwork.ATTACKS,
    *test_attacks_reversals.ATTACKS,
    *test_attacks_pauses.ATTACKS,
    *test_attacks_outages.ATTACKS,
    *test_attacks_actions.ATTACKS,
    *test_attacks_statement.ATTACKS,
    *test_attacks_crypto.ATTACKS,
    *test_attacks_clock.ATTACKS,
)

GUARDS = """
SELECT conname FROM pg_constraint
 WHERE connamespace = 'public'::regnamespace AND contype IN ('c', 'u', 'p', 'f', 'x')
UNION ALL
SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
 WHERE i.indisunique AND c.relnamespace = 'public'::regnamespace
   AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)
UNION ALL
SELECT tgrelid::regclass || '.' || tgname FROM pg_trigger WHERE NOT tgisinternal
"""

NOT_GOOD_ALONE = {
    "settlements",  # only with the event that ends the deal
    "flow_edges",  # filled by its migration, then closed
    "instance",  # holds its one row already
}

# What has to happen in the same transaction, for a row that is not good alone.
TOGETHER = {
    "admin_approvals": (
        books.insert("admin_actions", id=900),
        books.insert("admin_approvals"),
    ),
    "payouts": (
        books.insert("payouts", id=900, telegram_id=STRANGER),
        books.booked_payout(900, STRANGER),
    ),
    "payout_attempts": (
        books.insert("payout_attempts"),
        "UPDATE payouts SET state = 'SENDING' WHERE id = 2",
    ),
    "escrow_disputes": (
        books.insert("escrow_disputes"),
        books.move(HELD, "dispute", "DISPUTED", f"buyer:{BUYER}"),
    ),
}

# Columns that may be empty; every other one may not.
MAY_BE_EMPTY = {
    "people": "username phone unreachable_at",
    "escrow_sellers": "verified_at verified_by suspended_at suspended_by suspension_reason"
    " average_rating success_rate dispute_rate payout_phone_since counted_at",
    "seller_history": "cause",
    "escrow_transactions": "buyer_telegram_id held_price_minor held_fee_minor pay_by ship_by"
    " release_at frozen_from tracking joined_at funded_at shipped_at delivered_at disputed_at"
    " frozen_at extended_at completed_at refunded_at cancelled_at archived_at",
    "escrow_timeline": "version from_status",
    "escrow_disputes": "answered_at taken_by taken_at resolution buyer_percent notes closed_by"
    " closed_at silence_told_at",
    "seller_ratings": "replaced_at",
    "fraud_flags": "escrow_id reviewed_at reviewed_by review_notes review_cause",
    "admin_menus": "",
    "flow_edges": "",
    "provider_balances": "",
    "balance_queries": "answered_at code",
    "provider_differences": "told_minor told_at",
    "bookings": "",
    "provider_reversals": "told_by",
    "ledger_rollups": "",
    "ledger_recounts": "",
    "ledger_rollup_mark": "",
    "daily_figures": "",
    "monthly_reports": "",
    "reminders": "",
    "offers": "buyer_percent seller_minor buyer_minor fee_minor hours closed_at closed_as"
    " closed_by",
    "deal_records": "dispute_id file_id file_unique_id file_size",
    "fingerprints": "sha256",
    "help_requests": "escrow_id answered_at answered_by",
    "ledger_accounts": "",
    "ledger_journals": "escrow_id",
    "ledger_entries": "balance_after account_seq",
    "settlements": "",
    "payment_attempts": "choice_id merchant_request_id checkout_request_id result_code"
    " chat_message_id prompted_at claimed_at closed_at next_query_at",
    "receipts": "reference attempt_id escrow_id telegram_id evidence posted_at inbox_id"
    " next_check_at crypto_attempt_id coin coin_amount",
    "fx_rates": "",
    "crypto_attempts": "kes_per_usd choice_id coin_amount opened_at expires_at next_look_at",
    "crypto_deposits": "confirmed_at",
    "status_queries": "answered_at answer looked_at",
    "admin_actions": "escrow_id second_until outcome done_at closed_by",
    "admin_approvals": "admin",
    "payment_claims": "escrow_id receipt_id claimed_minor said_at amount_minor happened_at"
    " decided_at decided_by next_check_at",
    "underpayment_choices": "used_at used_action voided_at",
    "reservations": "",
    "reservation_counts": "",
    "payouts": "telegram_id escrow_id leg provider_reference finalized_at not_before next_look_at"
    " closed_by named_reference named_by named_token receipt_id receipt about",
    "heartbeats": "failing_since failed_at",
    "broken_rows": "",
    "outages": "ended_at done_at",
    "pauses": "paused_by resume_cause resumed_at resumed_by ended_at",
    "payout_stops": "lifted_at lifted_by",
    "payout_attempts": "conversation_id result_code closed_at",
    "provider_tokens": "token expires_at lease_until",
    "instance": "",
    "path_secrets": "",
    "inbox": "next_try_at processed_at",
    "telegram_updates": "done_at",
    "conversations": "",
    "outbox": "escrow_id closed_at message_id error",
    "job_runs": "finished_at error",
    "job_slots": "owner beat_at next_try_at finished_at",
    "deal_setbacks": "",
    "schema_migrations": "",
}

READ, ADD, KEEP = "SELECT", "INSERT SELECT", "INSERT SELECT UPDATE"
ALL = "DELETE INSERT SELECT UPDATE"
RIGHTS = {
    "people": KEEP,
    "escrow_sellers": KEEP,
    "seller_history": ADD,
    "escrow_transactions": KEEP,
    "escrow_timeline": ADD,
    "escrow_disputes": KEEP,
    "seller_ratings": KEEP,
    "fraud_flags": ALL,
    "admin_menus": "DELETE INSERT SELECT",
    "flow_edges": READ,
    "provider_balances": KEEP,
    "balance_queries": KEEP,
    "provider_differences": ALL,
    "bookings": ADD,
    "provider_reversals": ADD,
    "ledger_rollups": READ,
    "ledger_recounts": KEEP,
    "ledger_rollup_mark": READ,
    "ledger_derived_balances": READ,
    "daily_figures": ADD,
    "monthly_reports": ADD,
    "reminders": ADD,
    "offers": KEEP,
    "deal_records": ADD,
    "fingerprints": ADD,
    "help_requests": KEEP,
    "ledger_accounts": READ,
    "ledger_journals": READ,
    "ledger_entries": READ,
    "settlements": ADD,
    "payment_attempts": KEEP,
    "receipts": KEEP,
    "fx_rates": ADD,
    "crypto_attempts": KEEP,
    "crypto_deposits": KEEP,
    "status_queries": KEEP,
    "payment_claims": KEEP,
    "admin_actions": KEEP,
    "admin_approvals": ADD,
    "underpayment_choices": KEEP,
    "reservations": ALL,
    "reservation_counts": ALL,
    "payouts": KEEP,
    "payout_attempts": KEEP,
    "heartbeats": KEEP,
    "broken_rows": "DELETE INSERT SELECT",
    "outages": KEEP,
    "pauses": KEEP,
    "payout_stops": KEEP,
    "provider_tokens": KEEP,
    "instance": ADD,
    "path_secrets": KEEP,
    "inbox": ALL,
    "telegram_updates": ALL,
    "conversations": ALL,
    "outbox": ALL,
    "job_runs": ALL,
    "job_slots": ALL,
    "deal_setbacks": ALL,
    "schema_migrations": READ,
    # views
    "ledger_trial_balance": READ,
    "wallet_balances": READ,
    "escrow_balances": READ,
    "escrow_events": READ,
    "receipts_overview": READ,
    "payouts_overview": READ,
}


async def test_every_guard_has_an_attack_that_it_alone_refuses(
    attacked: asyncpg.Connection,
) -> None:
    there = {row[0] for row in await attacked.fetch(GUARDS)}
    tried = {attack.guarded_by for attack in ATTACKS}
    assert there - tried == set(), "guards that nothing attacks"
    named = {name for name in tried if name and " " not in name}
    assert named - there == set(), "attacks on guards that are not there"


async def test_every_refusal_that_a_migration_words_itself_is_met_by_an_attack() -> None:
    raised = {
        name
        for _, path in migrate.files()
        for name in re.findall(r"CONSTRAINT = '([a-z_]+)'", path.read_text(encoding="utf-8"))
    }
    assert raised - {attack.refused_by for attack in ATTACKS} == set()


@pytest.mark.parametrize(
    ("tried", "role"), attacks.each([attack for attack in ATTACKS if attack.behind])
)
async def test_what_one_guard_refuses_is_refused_with_all_of_them_in_place(
    attacked: asyncpg.Connection, tried: attacks.Attack, role: str
) -> None:
    """Many attacks are made with other guards taken away; the database has them all."""
    whole = dataclasses.replace(tried, behind=())
    assert await attacks.try_attack(attacked, whole, role) is not None, "PostgreSQL let it pass"


@pytest.mark.parametrize("table", sorted(books.GOOD.keys() - NOT_GOOD_ALONE))
async def test_the_row_that_attacks_are_made_from_is_good(
    attacked: asyncpg.Connection, table: str
) -> None:
    good = attacks.attack(table, *TOGETHER.get(table, (books.insert(table),)), by="")
    assert await attacks.try_attack(attacked, good, books.OWNER) is None


async def test_only_listed_columns_may_be_empty(attacked: asyncpg.Connection) -> None:
    rows = await attacked.fetch(
        "SELECT c.relname AS table, coalesce(string_agg(a.attname, ' ' ORDER BY a.attnum)"
        " FILTER (WHERE NOT a.attnotnull), '') AS empty"
        "  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
        " WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace"
        "   AND a.attnum > 0 AND NOT a.attisdropped GROUP BY c.relname"
    )
    assert {row["table"]: row["empty"] for row in rows} == MAY_BE_EMPTY


async def test_the_programs_role_may_do_exactly_this(attacked: asyncpg.Connection) -> None:
    rows = await attacked.fetch(
        "SELECT c.relname, string_agg(v.verb, ' ' ORDER BY v.verb) AS verbs FROM pg_class c,"
        " unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES',"
        " 'TRIGGER']) AS v (verb)"
        " WHERE c.relkind IN ('r', 'v', 'S') AND c.relnamespace = 'public'::regnamespace"
        "   AND c.relkind <> 'S' AND has_table_privilege($1, c.oid, v.verb) GROUP BY c.relname",
        APP,
    )
    assert {row["relname"]: row["verbs"] for row in rows} == RIGHTS


async def test_no_right_is_given_to_single_columns(attacked: asyncpg.Connection) -> None:
    given = await attacked.fetch(
        "SELECT attrelid::regclass::text, attname FROM pg_attribute WHERE attacl IS NOT NULL"
        " AND attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)"
    )
    assert given == []


async def test_the_programs_role_owns_nothing_and_cannot_log_in(
    attacked: asyncpg.Connection,
) -> None:
    role = await attacked.fetchrow("SELECT * FROM pg_roles WHERE rolname = $1", APP)
    assert role is not None
    assert not any(
        role[right]
        for right in ("rolsuper", "rolcreaterole", "rolcreatedb", "rolcanlogin", "rolbypassrls")
    )
    owned = "SELECT count(*) FROM pg_class WHERE relowner = $1::regrole"
    assert await attacked.fetchval(owned, APP) == 0
    assert not await attacked.fetchval("SELECT has_schema_privilege($1, 'public', 'CREATE')", APP)


async def test_nobody_but_the_program_may_post(attacked: asyncpg.Connection) -> None:
    await attacked.execute("BEGIN")
    try:
        await attacked.execute("CREATE ROLE amana_test_stranger")
        for function in ("ledger_post(jsonb)", "ledger_lock_wallet(text, text)"):
            asked = "SELECT has_function_privilege($1, $2, 'EXECUTE')"
            assert not await attacked.fetchval(asked, "amana_test_stranger", function)
            assert await attacked.fetchval(asked, APP, function)
    finally:
        await attacked.execute("ROLLBACK")


async def test_no_function_looks_where_a_session_can_put_things(
    attacked: asyncpg.Connection,
) -> None:
    paths = await attacked.fetch(
        "SELECT proname, coalesce(proconfig, '{}') AS settings FROM pg_proc"
        " WHERE pronamespace = 'public'::regnamespace"
    )
    assert len(paths) > 10
    wrong = [row["proname"] for row in paths if row["settings"] != ["search_path=public, pg_temp"]]
    assert wrong == []


async def test_every_translated_constraint_exists(attacked: asyncpg.Connection) -> None:
    there = {row[0] for row in await attacked.fetch(GUARDS)}
    raised = set(
        re.findall(
            r"CONSTRAINT = '([a-z_]+)'",
            "".join(path.read_text(encoding="utf-8") for _, path in migrate.files()),
        )
    )
    assert set(database.CONSTRAINTS) <= there | raised


async def test_the_world_is_in_balance_and_stays_so(attacked: asyncpg.Connection) -> None:
    totals = await attacked.fetch("SELECT * FROM ledger_trial_balance ORDER BY currency")
    assert [tuple(row) for row in totals] == [("KES", 0), ("USD", 0)]
