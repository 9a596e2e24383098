"""Direct SQL against money on its way out (I17, I18): its account, its proof, its attempts, and the
stop of a refused API user.
"""

# ruff: noqa: S608 (the statements are made of this module's own constants)

import asyncpg
import pytest

from tests.store import attacks
from tests.store.attacks import Attack, attack, bad
from tests.store.books import ADMIN, APP, NOW, OWNER, PRICE, SELLER, STRANGER, insert, post

BOTH = (OWNER, APP)
ROW, ATTEMPT, ACCOUNT = (
    "payouts.payout_check",
    "payout_attempts.payout_check",
    "ledger_accounts.payout_check",
)
ALL = (ROW, ATTEMPT, ACCOUNT)
OUT = ("external", "mpesa:utility")


def without(*guards: str) -> tuple[str, ...]:
    """The checks but these."""
    return tuple(one for one in ALL if one not in guards)


def by_hand(number: int, state: str, **more: object) -> str:
    """A payout that an admin closes."""
    sets = "".join(f", {column} = {value}" for column, value in more.items())
    finished = ", finalized_at = now()" if state in ("PAID", "FAILED") else ""
    return f"UPDATE payouts SET state = '{state}'{finished}{sets} WHERE id = {number}"


PAID = ("payable", "2", -PRICE), (*OUT, PRICE)

ATTACKS: tuple[Attack, ...] = (
    attack(
        "no payout without its money",
        insert("payouts", cause="attack"),
        by="payout_money_matches",
        guard=ROW,
        roles=BOTH,
    ),
    attack(
        "money on its way stays on its way",
        post("attack", ("payable", "2", -1), ("wallet", str(SELLER), 1)),
        by="payout_money_matches",
        guard=ACCOUNT,
        roles=BOTH,
    ),
    attack(
        "a named receipt is somebody's word, and asked about",
        "UPDATE payouts SET named_reference = 'SGX0000001' WHERE id = 2",
        by="payout_named_whole",
        guard="payout_named_whole",
        roles=BOTH,
    ),
    attack(
        "one answer is about one named receipt",
        "UPDATE payouts SET named_reference = 'SGX0000001', named_by = 1, named_token = 't'"
        " WHERE id IN (1, 2)",
        by="payout_named_token_once",
        guard="payout_named_token_once",
        roles=BOTH,
    ),
    attack(
        "no money on its way for nothing",
        post("attack", ("wallet", str(STRANGER), -1), ("payable", "99", 1)),
        by="payout_money_matches",
        guard=ACCOUNT,
        roles=BOTH,
    ),
    attack(
        "a payout in shillings holds no dollars",
        post("attack", (*OUT, -1), ("payable", "2", 1), currency="USD"),
        by="payout_money_matches",
        guard=ACCOUNT,
        roles=BOTH,
    ),
    attack(
        "nobody is paid without the journal",
        by_hand(2, "MANUAL"),
        by_hand(2, "PAID", provider_reference="'SGX0000001'", closed_by=ADMIN),
        by="payout_money_matches",
        guard=ROW,
        behind=("payouts.payout_leaves_by_its_rail",),
        roles=BOTH,
    ),
    attack(
        "nobody's payout goes into somebody else's wallet",
        by_hand(2, "MANUAL"),
        post("payout_failed:2", ("payable", "2", -PRICE), ("wallet", str(SELLER), PRICE)),
        by_hand(2, "FAILED", closed_by=ADMIN),
        by="payout_has_its_journals",
        guard=ROW,
        behind=without(ROW),
        roles=BOTH,
    ),
    attack(
        "nobody is paid without a paid attempt or an admin's word",
        by_hand(2, "MANUAL"),
        post("payout_paid:2", *PAID),
        by_hand(2, "PAID", provider_reference="'SGX0000001'"),
        by="payout_fits_its_attempt",
        guard=ROW,
        behind=without(ROW),
        roles=BOTH,
    ),
    attack(
        "nothing that may be out goes back by itself",
        by_hand(1, "UNKNOWN"),
        "UPDATE payout_attempts SET state = 'UNKNOWN' WHERE payout_id = 1",
        post("payout_failed:1", ("payable", "1", -PRICE), ("wallet", str(SELLER), PRICE)),
        by_hand(1, "FAILED"),
        by="payout_fits_its_attempt",
        guard=ROW,
        behind=without(ROW),
        roles=BOTH,
    ),
    attack(
        "nothing is on its way without a request",
        by_hand(2, "SENDING"),
        by="payout_fits_its_attempt",
        guard=ROW,
        roles=BOTH,
    ),
    attack(
        "a request that was paid has paid its payout",
        "UPDATE payout_attempts SET state = 'PAID' WHERE payout_id = 1",
        by="payout_fits_its_attempt",
        guard=ATTEMPT,
        roles=BOTH,
    ),
    attack(
        "a request makes its payout under way",
        insert("payout_attempts", payout_id=2),
        by="payout_fits_its_attempt",
        guard=ATTEMPT,
        roles=BOTH,
    ),
    *(
        attack(
            f"nothing is sent for a payout that is {is_so}",
            *steps,
            insert("payout_attempts", payout_id=number),
            by="payout_may_be_sent",
            guard="payout_attempts.payout_may_be_sent",
            behind=(*ALL, "payout_one_live_attempt"),
            roles=BOTH,
        )
        for is_so, number, steps in (
            ("a person's task", 2, (by_hand(2, "MANUAL"),)),
            ("paid", 3, ()),
            (
                "a suspended seller's",
                1,
                (
                    "UPDATE escrow_sellers SET status = 'SUSPENDED', suspended_at = now(),"
                    f" suspended_by = {ADMIN}, suspension_reason = 'test'"
                    f" WHERE telegram_id = {SELLER}",
                ),
            ),
        )
    ),
    bad("payouts", "payouts_looks_check", behind=ALL, looks=-1),
    bad("payouts", "payout_closed_by_word", behind=ALL, closed_by=ADMIN),
    attack(
        "one payment of M-Pesa pays one payout",
        "UPDATE payouts SET provider_reference = 'SGPAID0003' WHERE id = 2",
        by="payout_reference_once",
        roles=BOTH,
    ),
    bad("payout_attempts", "payout_attempts_token_key", behind=ALL, token="a" * 32),
    bad("payout_attempts", "payout_attempts_token_check", behind=ALL, token="guess"),
    bad("payout_stops", "payout_stops_pkey", id=1),
    bad("payout_stops", "payout_stops_credential_check", credential="secret"),
    bad("payout_stops", "payout_stops_code_check", code=""),
    bad("payout_stops", "payout_stop_lifted_by_somebody", lifted_at=NOW),
    bad("payout_stops", "payout_one_stop", credential="d" * 32),
    *(
        attack(
            f"a stop is not {done}",
            sql,
            by="payout_stops_append_only",
            guard="payout_stops.payout_stops_kept",
        )
        for done, sql in (
            ("deleted", "DELETE FROM payout_stops"),
            ("emptied away", "TRUNCATE payout_stops"),
        )
    ),
)


@pytest.mark.parametrize(("tried", "role"), attacks.each(ATTACKS))
async def test_is_refused(attacked: asyncpg.Connection, tried: Attack, role: str) -> None:
    refusal = await attacks.try_attack(attacked, tried, role)
    assert refusal is not None, "PostgreSQL let it pass"
    assert attacks.name_of(refusal) == tried.refused_by


@pytest.mark.parametrize("tried", attacks.guarded(ATTACKS))
async def test_no_guard_is_idle(attacked: asyncpg.Connection, tried: Attack) -> None:
    refusal = await attacks.try_attack(attacked, tried, tried.roles[-1], without_guard=True)
    assert refusal is None, f"refused by {attacks.name_of(refusal)} as well"
