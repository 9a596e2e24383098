"""Direct SQL against claims by receipt: a claim is decided once, and names no money but its own.

Each attack is refused by name, and succeeds once its guard is gone: so no guard is idle.
"""

import asyncpg
import pytest

from tests.store import attacks
from tests.store.attacks import Attack, attack, bad
from tests.store.books import APP, BUYER, HELD, LATER, NOW, OWNER, STRANGER, Step, insert, posted

BOTH = (OWNER, APP)
GUARD = "payment_claims.claim_guard"
MINE = "SGMINE0011"


def credited(**changes: object) -> Step:
    """A claim of the buyer that says it was credited with receipt `MINE`."""
    return (
        "INSERT INTO payment_claims (cause, token, telegram_id, reference, receipt_id, state,"
        " created_at, decided_at) SELECT $1, $2, $3, $4, r.id, 'CREDITED', now(), now()"
        " FROM receipts r WHERE r.reference = $5",
        (
            changes.get("cause", "test:credited"),
            changes.get("token", "9" * 32),
            changes.get("telegram_id", BUYER),
            changes.get("reference", MINE),
            MINE,
        ),
    )


OPEN = insert("payment_claims", id=1, cause="update:7", token="7" * 32, reference="SGCLAIMED7")
DENIED = insert(
    "payment_claims",
    id=2,
    cause="update:8",
    token="8" * 32,
    reference="SGCLAIMED8",
    state="DENIED",
    decided_at=NOW,
)
_MINE = posted(MINE, "CREDITED", telegram_id=BUYER, escrow_id=HELD)

CLAIMS: tuple[Attack, ...] = (
    attack(
        "claims are told apart by id",
        OPEN,
        insert("payment_claims", id=1),
        by="payment_claims_pkey",
    ),
    bad("payment_claims", "payment_claims_cause_check", cause=""),
    attack(
        "claims are told apart by cause",
        OPEN,
        insert("payment_claims", cause="update:7"),
        by="payment_claims_cause_key",
    ),
    bad("payment_claims", "payment_claims_token_check", token="guess"),
    attack(
        "claims are told apart by token",
        OPEN,
        insert("payment_claims", token="7" * 32),
        by="payment_claims_token_key",
    ),
    bad("payment_claims", "payment_claims_telegram_id_fkey", telegram_id=7777),
    bad("payment_claims", "payment_claims_escrow_id_fkey", escrow_id="ES0000000000"),
    bad("payment_claims", "payment_claims_receipt_id_fkey", receipt_id=7777),
    bad("payment_claims", "payment_claims_reference_check", reference="SG1"),
    bad("payment_claims", "payment_claims_state_check", state="LOST"),
    bad("payment_claims", "payment_claims_currency_check", currency="USD"),
    bad("payment_claims", "payment_claims_claimed_minor_check", claimed_minor=0),
    bad("payment_claims", "payment_claims_amount_minor_check", amount_minor=-1),
    bad("payment_claims", "claim_decided_in_time", state="DENIED"),
    bad("payment_claims", "claim_decided_in_time", decided_at=NOW),
    bad(
        "payment_claims",
        "claim_decided_is_done",
        state="DENIED",
        decided_at=NOW,
        next_check_at=LATER,
    ),
    attack(
        "claims are told apart by reference",
        OPEN,
        insert("payment_claims", reference="SGCLAIMED7"),
        by="claim_one_open",
    ),
    attack(
        "a receipt is credited to one claim",
        *_MINE,
        credited(),
        credited(cause="test:again", token="6" * 32),
        by="claim_one_credit",
    ),
    *(
        attack(
            f"a claim is not credited with {what}",
            *steps,
            by="claim_credited_with_its_receipt",
            guard=GUARD,
            roles=BOTH,
        )
        for what, steps in (
            ("nothing", (insert("payment_claims", state="CREDITED", decided_at=NOW),)),
            (
                "a receipt that waits",
                (
                    insert(
                        "payment_claims",
                        state="CREDITED",
                        decided_at=NOW,
                        receipt_id=2,
                        reference="SGWAIT0002",
                    ),
                ),
            ),
            (
                "nothing, later",
                (
                    OPEN,
                    "UPDATE payment_claims SET state = 'CREDITED', decided_at = now() WHERE id = 1",
                ),
            ),
        )
    ),
    *(
        attack(
            f"a claim is not credited with {what}",
            *_MINE,
            step,
            by="claim_credited_with_its_receipt",
            guard=GUARD,
        )
        for what, step in (
            ("somebody else's money", credited(telegram_id=STRANGER)),
            ("another receipt", credited(reference="SGOTHER011")),
        )
    ),
    *(
        attack(
            f"of a claim nobody changes: {change}",
            OPEN,
            f"UPDATE payment_claims SET {change} WHERE id = 1",  # noqa: S608 our own words
            by="claim_frozen",
            guard=GUARD,
            roles=BOTH,
        )
        for change in (
            "cause = 'x'",
            f"token = '{'a' * 32}'",
            f"telegram_id = {STRANGER}",
            f"escrow_id = '{HELD}'",
            "reference = 'SGOTHER011'",
            "claimed_minor = 1",
            "said_at = now()",
            "created_at = now()",
        )
    ),
    attack(
        "what M-Pesa said of it stays",
        OPEN,
        "UPDATE payment_claims SET amount_minor = 100 WHERE id = 1",
        "UPDATE payment_claims SET amount_minor = 200 WHERE id = 1",
        by="claim_frozen",
        guard=GUARD,
        roles=BOTH,
    ),
    attack(
        "a denied claim stays denied",
        DENIED,
        "UPDATE payment_claims SET state = 'ASKED', decided_at = NULL WHERE id = 2",
        by="claim_frozen",
        guard=GUARD,
        roles=BOTH,
    ),
    attack(
        "claims are kept",
        "DELETE FROM payment_claims",
        by="payment_claims_append_only",
        guard="payment_claims.payment_claims_kept",
    ),
)

ATTACKS = CLAIMS


@pytest.mark.parametrize(("tried", "role"), attacks.each(ATTACKS))
async def test_refused(attacked: asyncpg.Connection, tried: Attack, role: str) -> None:
    refusal = await attacks.try_attack(attacked, tried, role)
    assert refusal is not None, tried.promise
    assert attacks.name_of(refusal) == tried.refused_by


@pytest.mark.parametrize("tried", attacks.guarded(ATTACKS))
async def test_its_guard_alone_refuses_it(attacked: asyncpg.Connection, tried: Attack) -> None:
    assert await attacks.try_attack(attacked, tried, OWNER, without_guard=True) is None
