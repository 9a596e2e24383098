"""Direct SQL against money on its way in and out, and against the edges: what PostgreSQL refuses
whoever asks (invariants I13–I17).

Each attack is refused by name, and succeeds once its guard is gone: so no guard is idle.
"""

# ruff: noqa: S608 (the statements are made of this module's own constants)

import asyncpg
import pytest

from tests.store import books
from tests.store.books import (
    APP,
    BUYER,
    COMPLETED,
    DUE,
    HELD,
    LATER,
    NEW,
    NOW,
    OPEN_LINK,
    OTHER_PHONE,
    OWNER,
    PENDING,
    PHONE,
    SELLER,
    STRANGER,
    UNDERPAID,
    Attack,
    attack,
    bad,
    insert,
)

BOTH = (OWNER, APP)
TOKEN = "0123456789abcdef" * 2
ATTEMPT_UNCHANGED = "payment_attempts.attempt_unchanged"
RECEIPT_UNCHANGED = "receipts.receipt_unchanged"
PAYOUT_UNCHANGED = "payouts.payout_unchanged"
PAYOUT_ATTEMPT_UNCHANGED = "payout_attempts.payout_attempt_unchanged"


def frozen(
    table: str, row: str, column: str, value: str, by: str, *, behind: tuple[str, ...] = ()
) -> Attack:
    """A column that keeps what was written first."""
    guards = {
        "attempt_frozen": ATTEMPT_UNCHANGED,
        "receipt_frozen": RECEIPT_UNCHANGED,
        "payout_frozen": PAYOUT_UNCHANGED,
        "payout_attempt_frozen": PAYOUT_ATTEMPT_UNCHANGED,
    }
    return attack(
        f"{column} of {table} ({row}) does not become {value}",
        f"UPDATE {table} SET {column} = {value} WHERE {row}",
        by=by,
        guard=guards[by],
        behind=behind,
        roles=BOTH,
    )


def kept(
    table: str,
    trigger: str,
    *,
    deleted: tuple[str, ...] = (),
    emptied: tuple[str, ...] = (),
) -> tuple[Attack, ...]:
    """A table that is neither deleted from nor emptied."""
    return (
        attack(
            f"{table} are not deleted",
            f"DELETE FROM {table}",
            by=f"{table}_append_only",
            guard=f"{table}.{trigger}",
            behind=deleted,
        ),
        attack(
            f"{table} are not emptied",
            f"TRUNCATE {table} CASCADE",
            by=f"{table}_append_only",
            guard=f"{table}.{trigger}",
            behind=emptied,
        ),
    )


ATTEMPTS: tuple[Attack, ...] = (
    bad("payment_attempts", "payment_attempts_cause_check", cause=""),
    bad("payment_attempts", "payment_attempts_cause_key", cause="update:2"),
    bad("payment_attempts", "payment_attempts_token_check", token="short"),
    bad("payment_attempts", "payment_attempts_token_check", token="G" * 32),
    bad("payment_attempts", "payment_attempts_token_key", token="2" * 32),
    bad("payment_attempts", "payment_attempts_phone_check", phone="0733000333"),
    bad("payment_attempts", "payment_attempts_currency_check", currency="EUR"),
    bad("payment_attempts", "payment_attempts_amount_minor_check", amount_minor=0),
    bad("payment_attempts", "payment_attempts_wallet_part_minor_check", wallet_part_minor=-1),
    bad("payment_attempts", "payment_attempts_state_check", state="LOST", closed_at=NOW),
    bad(
        "payment_attempts",
        "payment_attempts_checkout_request_id_key",
        checkout_request_id="ws_CO_2",
    ),
    bad("payment_attempts", "attempt_prompted_has_its_id", state="PROMPTED"),
    bad("payment_attempts", "attempt_closed_in_time", closed_at=NOW),
    bad("payment_attempts", "attempt_closed_in_time", state="EXPIRED"),
    bad("payment_attempts", "payment_attempts_pkey", id=1),
    bad("payment_attempts", "payment_attempts_escrow_id_fkey", escrow_id=NEW),
    bad("payment_attempts", "payment_attempts_telegram_id_fkey", telegram_id=9009),
    bad("payment_attempts", "payment_attempts_choice_id_fkey", choice_id=99),
    attack(
        "a deal has one open prompt",
        insert("payment_attempts", escrow_id=UNDERPAID),
        by="attempt_one_open_per_deal",
        roles=BOTH,
    ),
    attack(
        "a phone has one open prompt",
        insert("payment_attempts", phone=PHONE),
        by="attempt_one_open_per_phone",
        roles=BOTH,
    ),
    attack(
        "a closed prompt is not opened again beside another one",
        insert("payment_attempts", escrow_id=HELD),
        "UPDATE payment_attempts SET state = 'PROMPTED', closed_at = NULL WHERE id = 3",
        by="attempt_one_open_per_deal",
        behind=("attempt_one_open_per_phone",),
        roles=BOTH,
    ),
    *(
        frozen("payment_attempts", "id = 2", column, value, "attempt_frozen")
        for column, value in (
            ("cause", "'other'"),
            ("token", f"'{TOKEN}'"),
            ("escrow_id", f"'{PENDING}'"),
            ("telegram_id", str(BUYER)),
            ("phone", f"'{PHONE}'"),
            ("currency", "'USD'"),
            ("amount_minor", "1"),
            ("wallet_part_minor", "1"),
            ("created_at", "now()"),
            ("checkout_request_id", "'ws_CO_other'"),
            ("checkout_request_id", "NULL"),
            ("state", "'DECLINED'"),
        )
    ),
    *kept(
        "payment_attempts",
        "payment_attempts_kept",
        deleted=("receipts_attempt_id_fkey",),
        emptied=("receipts.receipts_kept",),
    ),
)

RECEIPTS: tuple[Attack, ...] = (
    bad("receipts", "receipts_channel_check", channel="cash"),
    bad("receipts", "receipts_reference_check", reference=""),
    bad("receipts", "receipts_currency_check", currency="EUR"),
    bad("receipts", "receipts_amount_minor_check", amount_minor=0),
    bad("receipts", "receipts_amount_minor_check", amount_minor=-DUE),
    bad("receipts", "receipts_state_check", state="LOST", evidence="query", posted_at=NOW),
    bad("receipts", "receipts_evidence_check", evidence="a screenshot"),
    bad("receipts", "receipt_slot_only_for_prompts", reference=None),
    bad("receipts", "receipts_pkey", id=1),
    bad("receipts", "receipts_attempt_id_fkey", attempt_id=99),
    bad("receipts", "receipts_escrow_id_fkey", escrow_id=NEW),
    attack(
        "a receipt number is credited once",
        insert(
            "receipts", reference="SGCREDIT01", state="CREDITED", evidence="query", posted_at=NOW
        ),
        by="receipt_once",
        roles=BOTH,
    ),
    attack(
        "a receipt number is not taken for another deal",
        insert("receipts", reference="SGCREDIT01", escrow_id=PENDING),
        by="receipt_once",
        roles=BOTH,
    ),
    attack(
        "a prompt is paid once",
        insert("receipts", channel="stk", attempt_id=2),
        by="receipt_one_per_attempt",
        roles=BOTH,
    ),
    attack(
        "a prompt that a query proved is paid once",
        insert("receipts", channel="stk", attempt_id=2, reference=None),
        by="receipt_one_per_attempt",
        roles=BOTH,
    ),
    *(
        attack(
            f"no receipt is {state} without evidence",
            insert("receipts", state=state, posted_at=NOW),
            by="receipt_posted_with_evidence",
            roles=BOTH,
        )
        for state in ("CREDITED", "SUSPENSE", "RETURNED", "REVERSED")
    ),
    attack(
        "no receipt is credited without the time",
        insert("receipts", state="CREDITED", evidence="query"),
        by="receipt_posted_with_evidence",
        roles=BOTH,
    ),
    attack(
        "a waiting receipt is not credited on nobody's word",
        "UPDATE receipts SET state = 'CREDITED', posted_at = now() WHERE id = 2",
        by="receipt_posted_with_evidence",
        roles=BOTH,
    ),
    *(
        frozen("receipts", f"id = {row}", "state", f"'{to}'", "receipt_frozen")
        for row, states in (
            (1, ("WAITING", "SUSPENSE", "RETURNED", "IGNORED")),
            (3, ("WAITING", "IGNORED")),
            (4, ("WAITING", "CREDITED", "SUSPENSE", "REVERSED", "IGNORED")),
            (6, ("WAITING", "CREDITED", "SUSPENSE", "RETURNED", "IGNORED")),
        )
        for to in states
    ),
    *(
        frozen("receipts", f"id = {row}", column, value, "receipt_frozen")
        for row, column, value in (
            (1, "provider", "'bank'"),
            (1, "currency", "'USD'"),
            (1, "received_at", "now()"),
            (1, "amount_minor", "1"),
            (3, "amount_minor", "1"),
            (1, "reference", "'SGOTHER001'"),
            (2, "reference", "'SGOTHER001'"),
            (1, "reference", "NULL"),
            (1, "attempt_id", "NULL"),
            (1, "attempt_id", "1"),
            (1, "channel", "'c2b'"),
            (1, "escrow_id", f"'{PENDING}'"),
            (1, "telegram_id", str(STRANGER)),
            (1, "evidence", "'admin'"),
            (1, "posted_at", "now()"),
        )
    ),
    *kept(
        "receipts",
        "receipts_kept",
        deleted=("status_queries_receipt_id_fkey",),
    ),
    bad("status_queries", "status_queries_token_check", token="short"),
    bad("status_queries", "status_queries_token_key", token="4" * 32),
    bad("status_queries", "status_queries_answer_check", answer="perhaps"),
    bad("status_queries", "status_queries_receipt_id_fkey", receipt_id=99),
    bad("status_queries", "status_queries_pkey", id=1),
)

CHOICES: tuple[Attack, ...] = (
    attack(
        "a deal has one open choice",
        insert("underpayment_choices", escrow_id=UNDERPAID),
        by="choice_one_open",
        roles=BOTH,
    ),
    bad("underpayment_choices", "underpayment_choices_check", received_minor=DUE),
    bad("underpayment_choices", "underpayment_choices_check", received_minor=0),
    bad("underpayment_choices", "underpayment_choices_check1", expires_at=NOW),
    bad(
        "underpayment_choices",
        "underpayment_choices_used_action_check",
        used_at=NOW,
        used_action="keep",
    ),
    bad("underpayment_choices", "choice_used_for_something", used_at=NOW),
    bad("underpayment_choices", "choice_used_for_something", used_action="cancel"),
    bad(
        "underpayment_choices",
        "choice_used_or_voided",
        used_at=NOW,
        used_action="cancel",
        voided_at=NOW,
    ),
    bad("underpayment_choices", "underpayment_choices_pkey", id=1),
    bad("underpayment_choices", "underpayment_choices_escrow_id_fkey", escrow_id=NEW),
    bad("underpayment_choices", "underpayment_choices_telegram_id_fkey", telegram_id=9009),
    bad("reservations", "reservations_pkey", escrow_id=PENDING),
    bad("reservations", "reservations_escrow_id_fkey", escrow_id=NEW),
    bad("reservations", "reservations_telegram_id_fkey", telegram_id=9009),
    bad("reservation_counts", "reservation_counts_made_check", made=0),
    bad("reservation_counts", "reservation_counts_pkey", escrow_id=PENDING),
    bad("reservation_counts", "reservation_counts_escrow_id_fkey", escrow_id=NEW),
    bad("reservation_counts", "reservation_counts_telegram_id_fkey", telegram_id=9009),
)

PAYOUTS: tuple[Attack, ...] = (
    bad("payouts", "payouts_cause_check", cause=""),
    bad("payouts", "payouts_cause_key", cause="withdraw:2"),
    bad("payouts", "payouts_currency_check", currency="EUR"),
    bad("payouts", "payouts_amount_minor_check", amount_minor=0),
    bad("payouts", "payouts_destination_check", destination=""),
    bad("payouts", "payouts_state_check", state="LOST"),
    bad("payouts", "payouts_leg_check", escrow_id=COMPLETED, leg="fee"),
    bad("payouts", "payout_of_a_deal_names_its_leg", leg="buyer"),
    bad("payouts", "payout_of_a_deal_names_its_leg", escrow_id=COMPLETED),
    bad("payouts", "payout_paid_has_a_receipt", state="PAID", finalized_at=NOW),
    bad("payouts", "payout_finalized_in_time", finalized_at=NOW),
    bad("payouts", "payout_finalized_in_time", state="FAILED"),
    bad("payouts", "payouts_pkey", id=1),
    bad("payouts", "payouts_telegram_id_fkey", telegram_id=9009),
    attack(
        "a part of a deal is paid out once",
        insert("payouts", escrow_id=COMPLETED, leg="seller"),
        by="payouts_escrow_id_leg_key",
        roles=BOTH,
    ),
    attack(
        "no part of a deal is paid out before it is settled",
        insert("payouts", escrow_id=HELD, leg="seller"),
        by="payouts_escrow_id_fkey",
        roles=BOTH,
    ),
    *(
        frozen("payouts", f"id = {row}", column, value, "payout_frozen", behind=behind)
        for row, column, value, behind in (
            (1, "cause", "'other'", ()),
            (1, "telegram_id", str(STRANGER), ()),
            (1, "leg", "'buyer'", ()),
            (1, "escrow_id", f"'{books.REFUNDED}'", ()),
            (1, "currency", "'USD'", ()),
            (1, "amount_minor", "1", ()),
            (1, "destination", f"'{OTHER_PHONE}'", ()),
            (1, "created_at", "now()", ()),
            (3, "state", "'READY'", ("payout_finalized_in_time",)),
            (3, "state", "'FAILED'", ()),
            (3, "state", "'UNKNOWN'", ("payout_finalized_in_time",)),
        )
    ),
    *kept(
        "payouts",
        "payouts_kept",
        deleted=("payout_attempts_payout_id_fkey",),
        emptied=("payout_attempts.payout_attempts_kept",),
    ),
    bad(
        "payout_attempts",
        "payout_attempts_originator_conversation_id_check",
        originator_conversation_id="",
    ),
    bad(
        "payout_attempts",
        "payout_attempts_originator_conversation_id_key",
        originator_conversation_id="out-1",
    ),
    bad("payout_attempts", "payout_attempts_state_check", state="READY"),
    bad("payout_attempts", "payout_attempts_pkey", id=1),
    bad("payout_attempts", "payout_attempts_payout_id_fkey", payout_id=99),
    *(
        attack(
            f"a payout that {is_so} is not sent again",
            *steps,
            insert("payout_attempts", payout_id=payout, state="SENDING"),
            by="payout_one_live_attempt",
            roles=BOTH,
        )
        for is_so, payout, steps in (
            ("is on its way", 1, ()),
            (
                "may have left",
                1,
                ("UPDATE payout_attempts SET state = 'UNKNOWN' WHERE payout_id = 1",),
            ),
            ("was paid", 3, ()),
        )
    ),
    *(
        frozen("payout_attempts", f"payout_id = {row}", column, value, "payout_attempt_frozen")
        for row, column, value in (
            (1, "originator_conversation_id", "'out-other'"),
            (1, "payout_id", "2"),
            (1, "sent_at", "now()"),
            (3, "state", "'FAILED'"),
            (3, "state", "'SENDING'"),
            (3, "state", "'UNKNOWN'"),
        )
    ),
    attack(
        "a definite no does not become a payment",
        insert("payout_attempts"),
        "UPDATE payout_attempts SET state = 'PAID' WHERE payout_id = 2",
        by="payout_attempt_frozen",
        guard=PAYOUT_ATTEMPT_UNCHANGED,
        roles=BOTH,
    ),
    attack(
        "an unknown payout is not taken for one that is being sent",
        "UPDATE payout_attempts SET state = 'UNKNOWN' WHERE payout_id = 1",
        "UPDATE payout_attempts SET state = 'SENDING' WHERE payout_id = 1",
        by="payout_attempt_frozen",
        guard=PAYOUT_ATTEMPT_UNCHANGED,
        roles=BOTH,
    ),
    *kept("payout_attempts", "payout_attempts_kept"),
)

EDGES: tuple[Attack, ...] = (
    bad("inbox", "inbox_digest_check", digest=b"short"),
    bad("inbox", "inbox_digest_key", digest=b"w" * 32),
    bad("inbox", "inbox_body_check", body=b"x" * 65_537),
    bad("inbox", "inbox_state_check", state="LOST", processed_at=NOW),
    bad("inbox", "inbox_processed_in_time", state="DONE"),
    bad("inbox", "inbox_processed_in_time", processed_at=NOW),
    bad("inbox", "inbox_pkey", id=1),
    bad("telegram_updates", "telegram_updates_pkey", update_id=1),
    bad("telegram_updates", "telegram_updates_state_check", state="LOST"),
    bad("conversations", "conversations_pkey", telegram_id=SELLER),
    bad("outbox", "outbox_cause_check", cause=""),
    bad("outbox", "outbox_kind_check", kind="Not a kind"),
    bad("outbox", "outbox_state_check", state="LOST", closed_at=NOW),
    bad("outbox", "notice_once", cause="receipt:1"),
    bad("outbox", "notice_closed_in_time", state="SENT"),
    bad("outbox", "notice_closed_in_time", closed_at=NOW),
    bad("outbox", "outbox_pkey", id=1),
    bad("job_runs", "job_runs_pkey", id=1),
    bad("path_secrets", "path_secrets_pkey", route="m"),
    bad("path_secrets", "path_secrets_secret_check", secret="guess"),
    bad("provider_tokens", "provider_tokens_pkey", provider="mpesa"),
    bad("schema_migrations", "schema_migrations_pkey", number=1),
    bad("instance", "instance_pkey"),
    bad("instance", "instance_environment_check", behind=("instance_pkey",), environment="test"),
    bad("instance", "instance_only_row_check", only_row=False),
    *(
        attack(
            f"what a database is for is not {done}",
            sql,
            by="instance_append_only",
            guard="instance.instance_kept",
        )
        for done, sql in (
            ("changed", "UPDATE instance SET environment = 'live'"),
            ("deleted", "DELETE FROM instance"),
            ("emptied away", "TRUNCATE instance"),
        )
    ),
)

# What the program's role may not even try, with the triggers out of the way.
RIGHTS: tuple[Attack, ...] = tuple(
    attack(
        f"the program may not {verb} {table}",
        sql,
        by="sqlstate:42501",
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
        ("DELETE", "underpayment_choices", "DELETE FROM underpayment_choices WHERE id = 2", ()),
        ("INSERT", "schema_migrations", "INSERT INTO schema_migrations VALUES (9, 'x', 'x')", ()),
    )
)

ATTACKS = (*ATTEMPTS, *RECEIPTS, *CHOICES, *PAYOUTS, *EDGES, *RIGHTS)


@pytest.mark.parametrize(("tried", "role"), books.each(ATTACKS))
async def test_is_refused(attacked: asyncpg.Connection, tried: Attack, role: str) -> None:
    refusal = await books.try_attack(attacked, tried, role)
    assert refusal is not None, "PostgreSQL let it pass"
    assert books.name_of(refusal) == tried.refused_by


@pytest.mark.parametrize("tried", books.guarded(ATTACKS))
async def test_no_guard_is_idle(attacked: asyncpg.Connection, tried: Attack) -> None:
    refusal = await books.try_attack(attacked, tried, tried.roles[-1], without_guard=True)
    assert refusal is None, f"refused by {books.name_of(refusal)} as well"


LAWFUL = {
    "a prompt gets its request id": (
        "UPDATE payment_attempts SET state = 'PAID', closed_at = now() WHERE id = 1",
    ),
    "late money pays a declined prompt": (
        "UPDATE payment_attempts SET state = 'PAID' WHERE id = 3",
    ),
    "a waiting receipt is credited with evidence": (
        "UPDATE receipts SET state = 'CREDITED', evidence = 'status', posted_at = now(),"
        f" telegram_id = {BUYER}, amount_minor = 1 WHERE id = 2",
    ),
    "money in suspense is assigned": (
        f"UPDATE receipts SET state = 'CREDITED', escrow_id = '{OPEN_LINK}',"
        f" telegram_id = {BUYER} WHERE id = 3",
    ),
    "money in suspense is sent back": ("UPDATE receipts SET state = 'RETURNED' WHERE id = 3",),
    "a credited receipt is reversed": ("UPDATE receipts SET state = 'REVERSED' WHERE id = 1",),
    "a number that was fitted gives way to the true one": (
        "UPDATE receipts SET reference = 'SGTRUE0005', reference_fitted = false WHERE id = 5",
    ),
    "a receipt is linked to its prompt": ("UPDATE receipts SET attempt_id = 1 WHERE id = 2",),
    "a payout is sent again after a definite no": (
        "UPDATE payout_attempts SET state = 'FAILED' WHERE payout_id = 1",
        insert("payout_attempts", payout_id=1, state="SENDING"),
    ),
    "an unknown payout turns out to be paid": (
        "UPDATE payout_attempts SET state = 'UNKNOWN' WHERE payout_id = 1",
        "UPDATE payout_attempts SET state = 'PAID' WHERE payout_id = 1",
        "UPDATE payouts SET state = 'PAID', provider_reference = 'SGPAID0001',"
        " finalized_at = now() WHERE id = 1",
    ),
    "a voided choice makes room for the next one": (
        "UPDATE underpayment_choices SET voided_at = now() WHERE id = 1",
        insert("underpayment_choices", escrow_id=UNDERPAID, expires_at=LATER),
    ),
}


@pytest.mark.parametrize("promise", LAWFUL)
async def test_what_is_lawful_passes(attacked: asyncpg.Connection, promise: str) -> None:
    lawful = books.Attack(promise, LAWFUL[promise], "", guard="")
    assert await books.try_attack(attacked, lawful, APP) is None
