"""Direct SQL against what admins asked for: it is done as it was shown, with the words it needs.

Each attack is refused by name, and succeeds once its guard is gone: so no guard is idle.
"""

from __future__ import annotations

import asyncpg
import pytest

from tests.store import attacks
from tests.store.attacks import Attack, attack, bad
from tests.store.books import ADMIN, APP, BUYER, LATER, NOW, OWNER, Step, insert

BOTH = (OWNER, APP)
GUARD = "admin_actions.action_guard"
APPROVAL_GUARD = "admin_approvals.approval_guard"
SECOND = 1002

ASKED = insert("admin_actions", id=901, cause="update:901")
LARGE = insert("admin_actions", id=902, cause="update:902", needs_second=True)


def approved(action: int = 901, admin: int | None = ADMIN) -> Step:
    return insert("admin_approvals", action_id=action, admin=admin)


def to(state: str, action: int = 901) -> Step:
    """The action moved to that state, as the program does it."""
    sets = {
        "DONE": ", outcome = '{}', done_at = now()",
        "CONFIRMED": ", second_until = now()",
    }.get(state, "")
    return f"UPDATE admin_actions SET state = '{state}'{sets} WHERE id = {action}"  # noqa: S608


WAITING = (LARGE, approved(902), to("CONFIRMED", 902))

ACTIONS: tuple[Attack, ...] = (
    attack(
        "actions are told apart by id",
        ASKED,
        insert("admin_actions", id=901),
        by="admin_actions_pkey",
    ),
    bad("admin_actions", "admin_actions_cause_check", cause=""),
    attack(
        "actions are told apart by cause",
        ASKED,
        insert("admin_actions", cause="update:901"),
        by="admin_actions_cause_key",
    ),
    bad("admin_actions", "admin_actions_kind_check", kind="Refund!"),
    bad("admin_actions", "admin_actions_target_check", target=""),
    bad("admin_actions", "admin_actions_escrow_id_fkey", escrow_id="ES0000000000"),
    bad("admin_actions", "admin_actions_currency_check", currency="EUR"),
    bad("admin_actions", "admin_actions_amount_minor_check", amount_minor=-1),
    bad("admin_actions", "admin_actions_check", expires_at=NOW),
    bad("admin_actions", "admin_actions_number_check", number=482),
    bad("admin_actions", "admin_actions_state_check", behind=(GUARD,), state="LOST"),
    bad("admin_actions", "action_asked_by_no_party", asked_by=BUYER),
    bad("admin_actions", "action_waits_until", behind=(GUARD,), state="CONFIRMED"),
    bad("admin_actions", "action_done_completely", behind=(GUARD,), state="DONE"),
    bad("admin_actions", "action_done_completely", done_at=NOW),
    bad("admin_actions", "action_wrong_thrice", behind=(GUARD,), wrong=["a", "b", "c"]),
    *(
        attack(
            f"no action begins {state}",
            insert(
                "admin_actions",
                state=state,
                second_until=LATER,
                outcome={} if state == "DONE" else None,
                done_at=NOW if state == "DONE" else None,
            ),
            by="action_begins_asked",
            guard=GUARD,
            roles=BOTH,
        )
        for state in ("CONFIRMED", "DONE", "LEFT", "EXPIRED")
    ),
    attack(
        "nothing is done that nobody confirmed",
        ASKED,
        to("DONE"),
        by="action_needs_its_admin",
        guard=GUARD,
        roles=BOTH,
    ),
    attack(
        "nothing waits for a second that the first did not confirm",
        LARGE,
        to("CONFIRMED", 902),
        by="action_needs_its_admin",
        guard=GUARD,
        roles=BOTH,
    ),
    attack(
        "what needs two is not done by one",
        *WAITING,
        to("DONE", 902),
        by="action_needs_a_second",
        guard=GUARD,
        roles=BOTH,
    ),
    *(
        attack(
            f"what was asked does not change: {change}",
            ASKED,
            f"UPDATE admin_actions SET {change} WHERE id = 901",  # noqa: S608 our own words
            by="action_frozen",
            guard=GUARD,
            roles=BOTH,
        )
        for change in (
            "cause = 'x'",
            "kind = 'send_back'",
            "target = 'SGOTHER011'",
            "escrow_id = NULL",
            """params = '{"decision": "seller"}'""",
            """facts = '{"buyer": "KES 1"}'""",
            "currency = 'USD'",
            "amount_minor = 1",
            "parties = '{}'",
            "asked_by = 1002",
            "asked_at = asked_at - interval '1 day'",
            "expires_at = expires_at + interval '1 day'",
            "number = 1000",
            "needs_second = true",
        )
    ),
    *(
        attack(
            f"what is {state} stays so",
            ASKED,
            approved(),
            to(state),
            "UPDATE admin_actions SET state = 'ASKED', outcome = NULL, done_at = NULL"
            " WHERE id = 901",
            by="action_frozen",
            guard=GUARD,
            roles=BOTH,
        )
        for state in ("DONE", "LEFT", "EXPIRED")
    ),
    attack(
        "a confirmed action is not asked anew",
        *WAITING,
        to("ASKED", 902),
        by="action_frozen",
        guard=GUARD,
        roles=BOTH,
    ),
    attack(
        "actions are kept",
        ASKED,
        "DELETE FROM admin_actions",
        by="admin_actions_append_only",
        guard="admin_actions.admin_actions_kept",
    ),
)

APPROVALS: tuple[Attack, ...] = (
    bad("admin_approvals", "admin_approvals_action_id_fkey", behind=(APPROVAL_GUARD,), action_id=7),
    attack(
        "nobody confirms twice",
        *WAITING,
        approved(902),
        by="approval_once",
    ),
    attack(
        "the host confirms once",
        *WAITING,
        approved(902, None),
        approved(902, None),
        by="approval_of_the_host_once",
    ),
    *(
        attack(
            f"nobody confirms {what}",
            *steps,
            by="approval_of_an_open_action",
            guard=APPROVAL_GUARD,
            roles=BOTH,
        )
        for what, steps in (
            ("for the one who asked", (ASKED, approved(admin=SECOND))),
            ("on the host alone", (ASKED, approved(admin=None))),
            ("as the second before the first", (LARGE, approved(902, SECOND))),
            ("as a party", (*WAITING, approved(902, BUYER))),
            ("what was left", (ASKED, to("LEFT"), approved())),
            ("what needs no second", (ASKED, approved(), to("CONFIRMED"), approved(admin=SECOND))),
        )
    ),
    attack(
        "confirmations are kept",
        ASKED,
        approved(),
        "UPDATE admin_approvals SET admin = 1002",
        by="admin_approvals_append_only",
        guard="admin_approvals.admin_approvals_append_only",
    ),
)

ATTACKS = (*ACTIONS, *APPROVALS)


@pytest.mark.parametrize(("tried", "role"), attacks.each(ATTACKS))
async def test_refused(attacked: asyncpg.Connection, tried: Attack, role: str) -> None:
    refusal = await attacks.try_attack(attacked, tried, role)
    assert refusal is not None, tried.promise
    assert attacks.name_of(refusal) == tried.refused_by


@pytest.mark.parametrize("tried", attacks.guarded(ATTACKS))
async def test_its_guard_alone_refuses_it(attacked: asyncpg.Connection, tried: Attack) -> None:
    assert await attacks.try_attack(attacked, tried, OWNER, without_guard=True) is None
