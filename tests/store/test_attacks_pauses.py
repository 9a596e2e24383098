"""Direct SQL against a pause: while one is open nothing moves, and what was said of it stays.

Each attack is refused by name, and succeeds once its guard is gone: so no guard is idle.
"""

from datetime import timedelta

import asyncpg
import pytest

from tests.store import attacks
from tests.store.attacks import Attack, attack, bad
from tests.store.books import (
    APP,
    BUYER,
    FROZEN,
    HELD,
    NOW,
    OWNER,
    PRICE,
    SELLER,
    SHIPPED,
    Step,
    insert,
    post,
)

BOTH = (OWNER, APP)
GUARD = "pauses.pause_guard"
PAUSED = insert("pauses", id=1)
RESUMED = "UPDATE pauses SET resumed_at = paused_at, resume_cause = 'update:2'"
ENDED = "UPDATE pauses SET ended_at = resumed_at"


def event(deal: str, event: str, to: str, actor: str, more: str = "") -> Step:
    """An event of the flow, by hand."""
    return (
        f"UPDATE escrow_transactions SET status = $2, last_event = $3, last_actor = $4,"  # noqa: S608
        f" last_data = '{{}}', updated_at = now() {more} WHERE id = $1",
        (deal, to, event, actor),
    )


PAUSES: tuple[Attack, ...] = (
    attack(
        "pauses are told apart by id",
        PAUSED,
        RESUMED,
        ENDED,
        insert("pauses", id=1, cause="update:3"),
        by="pauses_pkey",
    ),
    bad("pauses", "pauses_cause_check", cause=""),
    bad("pauses", "pauses_paused_by_check", paused_by=0),
    bad("pauses", "pauses_reason_check", reason="x" * 301),
    bad("pauses", "pauses_told_to_check", told_to=-1),
    bad("pauses", "pauses_moved_check", moved=-1),
    bad("pauses", "pauses_resume_cause_check", resumed_at=NOW, resume_cause=""),
    bad("pauses", "pauses_resumed_by_check", resumed_at=NOW, resume_cause="x", resumed_by=0),
    attack(
        "a pause has a length",
        insert("pauses", resumed_at=NOW - timedelta(minutes=1), resume_cause="update:2"),
        by="pause_has_a_length",
    ),
    bad("pauses", "pause_ends_in_order", resume_cause="update:2"),
    bad("pauses", "pause_ends_in_order", resumed_by=1001),
    bad("pauses", "pause_ends_in_order", ended_at=NOW),
    attack(
        "a cause begins one pause",
        PAUSED,
        RESUMED,
        ENDED,
        insert("pauses", id=2),
        by="pauses_cause_key",
    ),
    attack(
        "a cause ends one pause",
        PAUSED,
        RESUMED,
        ENDED,
        insert("pauses", cause="update:3", resumed_at=NOW, resume_cause="update:2"),
        by="pauses_resume_cause_key",
    ),
    attack("one pause is open", PAUSED, insert("pauses", cause="update:3"), by="pause_one_open"),
    *(
        attack(
            f"of a pause nobody changes: {change}",
            PAUSED,
            f"UPDATE pauses SET {change}",  # noqa: S608 our own words
            by="pause_frozen",
            guard=GUARD,
            roles=BOTH,
        )
        for change in (
            "cause = 'update:9'",
            "paused_at = now()",
            "paused_by = 1002",
            "reason = 'another'",
        )
    ),
    *(
        attack(
            f"what was done of a pause stays done: {change}",
            insert("pauses", told_to=5, told=True, moved_to="ES1", moved=3),
            f"UPDATE pauses SET {change}",  # noqa: S608 our own words
            by="pause_frozen",
            guard=GUARD,
            roles=BOTH,
        )
        for change in ("told_to = 4", "told = false", "moved_to = ''", "moved = 2")
    ),
    attack(
        "a promise to resume is not taken back",
        PAUSED,
        RESUMED,
        "UPDATE pauses SET resumed_at = NULL, resume_cause = NULL",
        by="pause_frozen",
        guard=GUARD,
        roles=BOTH,
    ),
    attack(
        "an ended pause is history",
        PAUSED,
        RESUMED,
        ENDED,
        "UPDATE pauses SET ended_at = NULL",
        by="pause_frozen",
        guard=GUARD,
        roles=BOTH,
    ),
    attack(
        "pauses are kept",
        "DELETE FROM pauses",
        by="pauses_append_only",
        guard="pauses.pauses_kept",
    ),
    attack(
        "no deal opens while paused",
        PAUSED,
        insert("escrow_transactions"),
        by="paused",
        guard="escrow_transactions.paused",
        roles=BOTH,
    ),
    attack(
        "no deal moves while paused",
        PAUSED,
        event(HELD, "ship", "SHIPPED", f"seller:{SELLER}", ", shipped_at = now()"),
        by="paused",
        guard="escrow_transactions.paused_event",
        roles=BOTH,
    ),
    attack(
        "no deal moves while the deadlines are being moved",
        PAUSED,
        RESUMED,
        event(SHIPPED, "deliver", "DELIVERED", f"buyer:{BUYER}", ", delivered_at = now()"),
        by="paused",
        guard="escrow_transactions.paused_event",
        roles=BOTH,
    ),
    attack(
        "nobody is prompted while paused",
        PAUSED,
        insert("payment_attempts"),
        by="paused",
        guard="payment_attempts.paused",
        roles=BOTH,
    ),
    attack(
        "no payout leaves while paused",
        PAUSED,
        insert("payout_attempts"),
        "UPDATE payouts SET state = 'SENDING' WHERE id = 2",
        by="paused",
        guard="payout_attempts.paused",
        roles=BOTH,
    ),
    attack(
        "no money moves while paused",
        PAUSED,
        post("attack", ("external", "mpesa:utility", -PRICE), ("wallet", str(SELLER), PRICE)),
        by="paused",
        guard="ledger_journals.paused",
        roles=BOTH,
    ),
)

ATTACKS = PAUSES


@pytest.mark.parametrize(("tried", "role"), attacks.each(ATTACKS))
async def test_refused(attacked: asyncpg.Connection, tried: Attack, role: str) -> None:
    refusal = await attacks.try_attack(attacked, tried, role)
    assert refusal is not None, tried.promise
    assert attacks.name_of(refusal) == tried.refused_by


@pytest.mark.parametrize("tried", attacks.guarded(ATTACKS))
async def test_its_guard_alone_refuses_it(attacked: asyncpg.Connection, tried: Attack) -> None:
    assert await attacks.try_attack(attacked, tried, OWNER, without_guard=True) is None


@pytest.mark.parametrize("role", BOTH)
async def test_a_deal_is_frozen_all_the_same(attacked: asyncpg.Connection, role: str) -> None:
    freeze = event(
        HELD, "freeze", "FROZEN", "admin:1001", ", frozen_from = 'HELD', frozen_at = now()"
    )
    allowed = attack("a freeze passes", PAUSED, freeze, by="")
    assert await attacks.try_attack(attacked, allowed, role) is None


async def test_a_deadline_moves_to_later_without_an_event(attacked: asyncpg.Connection) -> None:
    later = (
        "UPDATE escrow_transactions SET ship_by = coalesce(ship_by, now()) + interval '1 hour'"
        " WHERE id = $1",
        (FROZEN,),
    )
    assert await attacks.try_attack(attacked, attack("later", PAUSED, later, by=""), APP) is None
