"""Attacks on what is kept of the operator's own money."""

from __future__ import annotations

import asyncpg
import pytest

from tests.store import attacks
from tests.store.attacks import Attack, attack, bad
from tests.store.books import APP, NOW, OWNER, insert, posted

BOTH = (OWNER, APP)
BOOKED = insert("bookings", receipt="SGBOOKED01")
READ = insert("provider_balances", account="mpesa:working")

FLOAT: tuple[Attack, ...] = (
    bad("provider_balances", "provider_balances_account_check", account="mpesa:bank"),
    bad("provider_balances", "provider_balances_currency_check", currency="USD"),
    bad("provider_balances", "provider_balances_balance_minor_check", balance_minor=10**15 + 1),
    bad("provider_balances", "provider_balances_source_check", source=""),
    attack(
        "an account has one last reading",
        READ,
        READ,
        by="provider_balances_pkey",
    ),
    bad("bookings", "bookings_kind_check", kind="gift"),
    bad("bookings", "bookings_receipt_check", receipt="SG1"),
    bad("bookings", "bookings_currency_check", currency="USD"),
    bad("bookings", "bookings_amount_minor_check", amount_minor=0),
    attack(
        "bookings are told apart by id",
        insert("bookings", id=1, receipt="SGBOOKED01"),
        insert("bookings", id=1, receipt="SGBOOKED02"),
        by="bookings_pkey",
    ),
    attack(
        "a receipt is booked once, whatever as",
        BOOKED,
        insert("bookings", receipt="SGBOOKED01", kind="charge", booked_at=NOW),
        by="booking_receipt_once",
        roles=BOTH,
    ),
    *(
        attack(
            f"what is booked as ours is nobody's payment: {state}",
            BOOKED,
            *posted("SGBOOKED01", state),
            by="receipt_is_booked",
            guard="receipts.receipt_is_not_booked",
        )
        for state in ("SUSPENSE", "CREDITED")
    ),
    *(
        attack(
            f"bookings stay: {sql}",
            BOOKED,
            sql,
            by="bookings_append_only",
            guard="bookings.bookings_append_only",
        )
        for sql in (
            "UPDATE bookings SET amount_minor = 1",
            "DELETE FROM bookings",
            "TRUNCATE bookings",
        )
    ),
    bad("balance_queries", "balance_queries_token_check", token="short"),
    bad("balance_queries", "balance_queries_shortcode_check", shortcode="ours"),
    bad("balance_queries", "balance_queries_code_check", answered_at=NOW, code="a code"),
    bad("balance_queries", "balance_answer_is_whole", code="0"),
    bad("balance_queries", "balance_answer_is_whole", answered_at=NOW),
    bad("balance_queries", "balance_answer_is_whole", refused=True),
    attack(
        "a path belongs to one question",
        insert("balance_queries"),
        insert("balance_queries"),
        by="balance_queries_pkey",
        roles=BOTH,
    ),
    *(
        attack(
            f"what was asked about our accounts stays: {changed}",
            insert("balance_queries", **given),
            changed,
            by="balance_query_frozen",
            guard="balance_queries.balance_query_unchanged",
            roles=BOTH,
        )
        for changed, given in (
            ("UPDATE balance_queries SET shortcode = '600998'", {}),
            ("UPDATE balance_queries SET asked_at = asked_at + interval '1 hour'", {}),
            ("UPDATE balance_queries SET code = '1'", {"answered_at": NOW, "code": "0"}),
        )
    ),
    *(
        attack(
            f"questions stay: {sql}",
            insert("balance_queries"),
            sql,
            by="balance_queries_append_only",
            guard="balance_queries.balance_queries_kept",
        )
        for sql in ("DELETE FROM balance_queries", "TRUNCATE balance_queries")
    ),
    bad("provider_differences", "provider_differences_provider_check", provider="bank"),
    bad("provider_differences", "provider_differences_currency_check", currency="USD"),
    bad("provider_differences", "provider_differences_off_minor_check", off_minor=0),
    bad("provider_differences", "difference_told_completely", told_at=NOW),
    attack(
        "one difference is known of a provider",
        insert("provider_differences"),
        insert("provider_differences"),
        by="provider_differences_pkey",
    ),
    attack(
        "a sum of an account is kept once",
        "INSERT INTO ledger_rollups SELECT id, 1 FROM ledger_accounts WHERE kind = 'external'",
        "INSERT INTO ledger_rollups SELECT id, 1 FROM ledger_accounts WHERE kind = 'external'",
        by="ledger_rollups_pkey",
    ),
    attack(
        "a sum is of an account",
        "INSERT INTO ledger_rollups VALUES (7777777, 1)",
        by="ledger_rollups_account_id_fkey",
    ),
    attack(
        "there is one mark",
        "INSERT INTO ledger_rollup_mark DEFAULT VALUES",
        by="ledger_rollup_mark_pkey",
    ),
    attack(
        "there is no second mark",
        "INSERT INTO ledger_rollup_mark (only_row) VALUES (false)",
        by="ledger_rollup_mark_only_row_check",
    ),
    attack(
        "the mark is no negative number",
        "UPDATE ledger_rollup_mark SET upto = -1",
        by="ledger_rollup_mark_upto_check",
    ),
    attack(
        "the next piece comes after the mark",
        "UPDATE ledger_rollup_mark SET upto = 5, entry = 4",
        by="ledger_rollup_mark_check",
    ),
    *(
        attack(
            f"the program writes no sum by itself: {sql}",
            sql,
            by="sqlstate:42501",
            guard="",
            roles=(APP,),
        )
        for sql in (
            "UPDATE ledger_rollups SET total_minor = 0",
            "UPDATE ledger_rollup_mark SET upto = 0",
            "DELETE FROM ledger_rollups",
            "INSERT INTO ledger_rollups VALUES (1, 1)",
        )
    ),
    attack(
        "nobody rolls up within a transaction that writes",
        "UPDATE people SET language = language",
        "SELECT ledger_roll_up(10)",
        by="sqlstate:25001",
        guard="",
    ),
)

ATTACKS = FLOAT


@pytest.mark.parametrize(("tried", "role"), attacks.each(ATTACKS))
async def test_refused(attacked: asyncpg.Connection, tried: Attack, role: str) -> None:
    refusal = await attacks.try_attack(attacked, tried, role)
    assert refusal is not None, tried.promise
    assert attacks.name_of(refusal) == tried.refused_by


@pytest.mark.parametrize("tried", attacks.guarded(ATTACKS))
async def test_its_guard_alone_refuses_it(attacked: asyncpg.Connection, tried: Attack) -> None:
    assert await attacks.try_attack(attacked, tried, OWNER, without_guard=True) is None
