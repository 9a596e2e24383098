"""Direct SQL against money on its way in and out (invariants I13, I14, I16 and I17): each attack is
refused by name, and succeeds once its guard is gone: so no guard is idle.
"""

# ruff: noqa: S608 (the statements are made of this module's own constants)

from dataclasses import replace

import asyncpg
import pytest

from tests.store import attacks, books, test_attacks_dollars
from tests.store.attacks import Attack, attack, bad
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
    STRANGER,
    UNDERPAID,
    booked,
    insert,
    post,
)

BOTH = (OWNER, APP)
TOKEN = "0123456789abcdef" * 2
ATTEMPT_UNCHANGED = "payment_attempts.attempt_unchanged"
RECEIPT_UNCHANGED = "receipts.receipt_unchanged"
BOOKED, BOOKED_LATER = "receipts.receipt_booked", "receipts.receipt_booked_later"
CHOICE_UNCHANGED = "underpayment_choices.choice_unchanged"
PAYOUT_UNCHANGED = "payouts.payout_unchanged"
PAYOUT_ATTEMPT_UNCHANGED = "payout_attempts.payout_attempt_unchanged"

COINS_KEPT = ("crypto_attempts.crypto_attempts_kept", "crypto_deposits.crypto_deposits_kept")
PAYOUTS = ("payouts.payouts_kept", "payout_attempts.payout_attempts_kept")


def frozen(
    table: str, row: str, column: str, value: str, by: str, *, behind: tuple[str, ...] = ()
) -> Attack:
    """A column that keeps what was written first."""
    guards = {
        "attempt_frozen": ATTEMPT_UNCHANGED,
        "receipt_frozen": RECEIPT_UNCHANGED,
        "choice_frozen": CHOICE_UNCHANGED,
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
        emptied=("receipts.receipts_kept", "payment_claims.payment_claims_kept", *PAYOUTS),
    ),
)

RECEIPTS: tuple[Attack, ...] = (
    bad("receipts", "receipts_channel_check", channel="cash"),
    bad("receipts", "receipts_reference_check", reference=""),
    bad("receipts", "receipts_currency_check", currency="EUR"),
    bad("receipts", "receipts_amount_minor_check", amount_minor=0),
    bad("receipts", "receipts_amount_minor_check", amount_minor=-DUE),
    bad(
        "receipts",
        "receipts_state_check",
        behind=(BOOKED,),
        state="LOST",
        evidence="query",
        posted_at=NOW,
    ),
    bad("receipts", "receipts_reference_check", reference="attempt-1"),
    bad("receipts", "receipts_evidence_check", evidence="a screenshot"),
    bad("receipts", "receipt_slot_only_for_prompts", reference=None),
    bad("receipts", "receipts_pkey", id=1),
    bad("receipts", "receipts_attempt_id_fkey", attempt_id=99),
    bad("receipts", "receipts_escrow_id_fkey", escrow_id=NEW),
    attack(
        "a receipt number is credited once",
        *books.posted("SGCREDIT01", "CREDITED")[:1],
        by="receipt_once",
        behind=(BOOKED,),
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
            behind=(BOOKED,),
            roles=BOTH,
        )
        for state in ("CREDITED", "SUSPENSE", "RETURNED", "REVERSED")
    ),
    attack(
        "no receipt is credited without the time",
        insert("receipts", state="CREDITED", evidence="query"),
        by="receipt_posted_with_evidence",
        behind=(BOOKED,),
        roles=BOTH,
    ),
    attack(
        "a waiting receipt is not credited on nobody's word",
        "UPDATE receipts SET state = 'CREDITED', posted_at = now() WHERE id = 2",
        by="receipt_posted_with_evidence",
        behind=(BOOKED_LATER,),
        roles=BOTH,
    ),
    *(
        frozen(
            "receipts",
            f"id = {row}",
            "state",
            f"'{to}'",
            "receipt_frozen",
            behind=("receipts.receipt_goes_back", "receipts.receipt_reversed_booked"),
        )
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
            (1, "telegram_id", str(BUYER)),
            (1, "evidence", "'admin'"),
            (1, "posted_at", "now()"),
        )
    ),
    *(
        attack(
            f"no receipt is credited {how}",
            *books.posted("SGNEW00001", "CREDITED")[:1],
            *journals,
            by="receipt_has_its_journal",
            guard=BOOKED,
            roles=BOTH,
        )
        for how, journals in (
            ("without its journal", ()),
            ("on another one's journal", (booked("SGOTHER001", DUE),)),
            ("on another provider's journal", (booked("SGNEW00001", DUE, provider="bank"),)),
            ("with less than it says", (booked("SGNEW00001", DUE - 1),)),
            ("with more than it says", (booked("SGNEW00001", DUE + 1),)),
            (
                "with money that came from nowhere new",
                (
                    post(
                        "receipt:mpesa:SGNEW00001",
                        ("wallet", str(STRANGER), -DUE),
                        ("wallet", str(BUYER), DUE),
                    ),
                ),
            ),
        )
    ),
    attack(
        "no receipt in shillings is credited with dollars",
        *books.posted("SGNEW00001", "CREDITED")[:1],
        post(
            "receipt:mpesa:SGNEW00001",
            ("external", "mpesa:utility", -DUE),
            ("wallet", str(STRANGER), DUE),
            currency="USD",
        ),
        by="receipt_has_its_journal",
        guard=BOOKED,
        roles=BOTH,
    ),
    attack(
        "no receipt is credited with a journal that was there before",
        *books.posted("SGEARLY008", "CREDITED")[:1],
        by="receipt_has_its_journal",
        guard=BOOKED,
        roles=BOTH,
    ),
    attack(
        "a prompt's number and its attempt do not credit it twice",
        *books.posted("SGNEW00001", "CREDITED", channel="stk", attempt_id=1),
        booked("attempt-1", DUE),
        by="receipt_has_its_journal",
        guard=BOOKED,
        roles=BOTH,
    ),
    *(
        attack(
            f"a receipt that {was} is not credited without its journal",
            f"UPDATE receipts SET state = 'CREDITED', evidence = 'admin', posted_at = now(),"
            f" telegram_id = {BUYER} WHERE id = {row}",
            by="receipt_has_its_journal",
            guard=BOOKED_LATER,
            roles=BOTH,
        )
        for was, row in (("waited", 2), ("lay in suspense", 3), ("was denied", 7))
    ),
    *kept(
        "receipts",
        "receipts_kept",
        deleted=("status_queries_receipt_id_fkey",),
        emptied=("payment_claims.payment_claims_kept", *PAYOUTS),
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
    *(
        frozen("underpayment_choices", f"id = {row}", column, value, "choice_frozen", behind=behind)
        for row, column, value, behind in (
            (1, "escrow_id", f"'{PENDING}'", ()),
            (1, "telegram_id", str(STRANGER), ()),
            (1, "due_minor", "due_minor + 1", ()),
            (1, "received_minor", "received_minor - 1", ()),
            (1, "created_at", "created_at - interval '1 hour'", ()),
            (1, "expires_at", "expires_at + interval '1 hour'", ()),
            (2, "used_at", "NULL, used_action = NULL", ()),
            (2, "used_action", "'cancel'", ()),
            (2, "voided_at", "now()", ("choice_used_or_voided",)),
        )
    ),
    attack(
        "a voided choice is not used",
        "UPDATE underpayment_choices SET voided_at = now() WHERE id = 1",
        "UPDATE underpayment_choices SET voided_at = NULL WHERE id = 1",
        by="choice_frozen",
        guard=CHOICE_UNCHANGED,
        roles=BOTH,
    ),
    *kept(
        "underpayment_choices",
        "underpayment_choices_kept",
        deleted=("payment_attempts_choice_id_fkey",),
        emptied=(
            "payment_attempts.payment_attempts_kept",
            *COINS_KEPT,
            "receipts.receipts_kept",
            *PAYOUTS,
            "payment_claims.payment_claims_kept",
        ),
    ),
    bad("reservations", "reservations_check", until=NOW),
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
    bad(
        "payouts",
        "payout_paid_has_a_receipt",
        behind=(PAYOUT_UNCHANGED,),
        state="PAID",
        finalized_at=NOW,
    ),
    bad("payouts", "payout_finalized_in_time", finalized_at=NOW),
    bad("payouts", "payout_finalized_in_time", behind=(PAYOUT_UNCHANGED,), state="FAILED"),
    *(
        attack(
            f"a payout does not begin as {state}",
            insert("payouts", state=state, **more),
            by="payout_step",
            guard=PAYOUT_UNCHANGED,
            roles=BOTH,
        )
        for state, more in (
            ("SENDING", {}),
            ("UNKNOWN", {}),
            ("PAID", {"provider_reference": "SGPAID0009", "finalized_at": NOW}),
            ("FAILED", {"finalized_at": NOW}),
        )
    ),
    *(
        attack(
            f"a payout that is {' then '.join(path)} does not become {to}",
            *(f"UPDATE payouts SET state = '{step}' WHERE id = 2" for step in path[1:]),
            f"UPDATE payouts SET state = '{to}', provider_reference = 'SGPAID0002',"
            f" finalized_at = {'now()' if to in ('PAID', 'FAILED') else 'NULL'} WHERE id = 2",
            by="payout_step",
            guard=PAYOUT_UNCHANGED,
            roles=BOTH,
        )
        for path, to in (
            (("READY",), "PAID"),
            (("READY",), "FAILED"),
            (("READY",), "UNKNOWN"),
            (("READY", "SENDING"), "MANUAL"),
            (("READY", "SENDING", "UNKNOWN"), "READY"),
            (("READY", "SENDING", "UNKNOWN"), "SENDING"),
            (("READY", "MANUAL"), "READY"),
            (("READY", "MANUAL"), "SENDING"),
            (("READY", "MANUAL"), "UNKNOWN"),
        )
    ),
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
            (3, "provider_reference", "'SGOTHER003'", ()),
            (3, "finalized_at", "now() + interval '1 hour'", ()),
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
            (3, "result_code", "'2001'"),
            (3, "closed_at", "now()"),
        )
    ),
    *(
        attack(
            f"an attempt at a payout does not begin as {state}",
            insert("payout_attempts", state=state),
            by="payout_attempt_frozen",
            guard=PAYOUT_ATTEMPT_UNCHANGED,
            roles=BOTH,
        )
        for state in ("PAID", "FAILED", "UNKNOWN")
    ),
    attack(
        "a definite no does not become a payment",
        insert("payout_attempts"),
        "UPDATE payout_attempts SET state = 'FAILED' WHERE payout_id = 2",
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
# what else stands around them is attacked in test_attacks_payouts.py and test_attacks_dollars.py
PAYOUTS = tuple(
    replace(
        one,
        behind=(
            *one.behind,
            "payouts.payout_check",
            *test_attacks_dollars.AROUND,
            "payout_attempts.payout_check",
            "ledger_accounts.payout_check",
            "payout_attempts.payout_may_be_sent",
            "payout_closed_by_word",
        ),
    )
    for one in PAYOUTS
)


ATTACKS = (*ATTEMPTS, *RECEIPTS, *CHOICES, *PAYOUTS)


@pytest.mark.parametrize(("tried", "role"), attacks.each(ATTACKS))
async def test_is_refused(attacked: asyncpg.Connection, tried: Attack, role: str) -> None:
    refusal = await attacks.try_attack(attacked, tried, role)
    assert refusal is not None, "PostgreSQL let it pass"
    assert attacks.name_of(refusal) == tried.refused_by


@pytest.mark.parametrize("tried", attacks.guarded(ATTACKS))
async def test_no_guard_is_idle(attacked: asyncpg.Connection, tried: Attack) -> None:
    refusal = await attacks.try_attack(attacked, tried, tried.roles[-1], without_guard=True)
    assert refusal is None, f"refused by {attacks.name_of(refusal)} as well"


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
        booked("SGWAIT0002", 1),
    ),
    "money in suspense is assigned": (
        f"UPDATE receipts SET state = 'CREDITED', escrow_id = '{OPEN_LINK}',"
        f" telegram_id = {BUYER} WHERE id = 3",
        post(
            "claim:mpesa:SGLOST0003",
            ("suspense", "", -20_00),
            ("received", OPEN_LINK, 20_00),
        ),
    ),
    "a number that was fitted gives way to the true one": (
        "UPDATE receipts SET reference = 'SGTRUE0005', reference_fitted = false WHERE id = 5",
    ),
    "a receipt is linked to its prompt": ("UPDATE receipts SET attempt_id = 1 WHERE id = 2",),
    "a denied receipt turns out to be ours": (
        "UPDATE receipts SET state = 'CREDITED', evidence = 'admin', posted_at = now()"
        " WHERE id = 7",
        booked("SGFAKE0007", DUE),
    ),
    "a denied claim lets go of its prompt": ("UPDATE receipts SET attempt_id = NULL WHERE id = 7",),
    "a payment that only a query knows is booked by its prompt": (
        *books.posted("attempt-1", "CREDITED", channel="stk", attempt_id=1)[1:],
        insert(
            "receipts",
            channel="stk",
            reference=None,
            attempt_id=1,
            state="CREDITED",
            evidence="query",
            posted_at=NOW,
        ),
    ),
    "a reviewed flag and a finished callback may go": (
        "UPDATE fraud_flags SET reviewed_at = now(), reviewed_by = 1001",
        "DELETE FROM fraud_flags",
        "UPDATE inbox SET state = 'DONE', processed_at = now()",
        "DELETE FROM inbox",
    ),
    "a payout that may have left becomes a person's task": (
        "UPDATE payouts SET state = 'UNKNOWN' WHERE id = 1",
        "UPDATE payout_attempts SET state = 'UNKNOWN' WHERE payout_id = 1",
        "UPDATE payouts SET state = 'MANUAL' WHERE id = 1",
        books.paid_payout(1),
        "UPDATE payouts SET state = 'PAID', provider_reference = 'SGPAID0001',"
        " finalized_at = now(), closed_by = 1001 WHERE id = 1",
    ),
    "a payout is sent again after a definite no": (
        "UPDATE payout_attempts SET state = 'FAILED' WHERE payout_id = 1",
        insert("payout_attempts", payout_id=1),
    ),
    "an unknown payout turns out to be paid": (
        "UPDATE payout_attempts SET state = 'UNKNOWN' WHERE payout_id = 1",
        "UPDATE payout_attempts SET state = 'PAID' WHERE payout_id = 1",
        "UPDATE payouts SET state = 'UNKNOWN' WHERE id = 1",
        books.paid_payout(1),
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
    lawful = attacks.Attack(promise, LAWFUL[promise], "", guard="")
    assert await attacks.try_attack(attacked, lawful, APP) is None
