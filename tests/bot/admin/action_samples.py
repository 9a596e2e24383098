"""What is said of actions, with a person's own words wherever they go."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from markupsafe import Markup

from escrow.bot.admin import action_texts as t
from escrow.bot.page import Page
from escrow.domain.actions import Action, ActionState
from tests.world import NOW, kes

CODE: Final = "ES1008257624"


def facts(said: str, **changes: Any) -> dict[str, Any]:
    """A preview of a resolved dispute."""
    found = {
        "code": CODE,
        "description": said,
        "status": "DISPUTED",
        "decision": "split",
        "percent": 70,
        "reason": said,
        "names": {"buyer": said, "seller": said},
        "seller": "KES 3,000",
        "buyer": "KES 7,350",
        "fee": "KES 150",
        "ways": {"seller": {"amount": "KES 3,000", "to": "0712***678"}},
        "dispute": {"by": "buyer", "reason": said},
        "owed": "KES 500",
        "waiting": {"seller": [7, 8]},
    }
    return {**found, **changes}


def outcome(said: str, **payout: Any) -> dict[str, Any]:
    way = {"amount": "KES 3,000", "to": "0712***678", **payout}
    return {
        "code": CODE,
        "status": "COMPLETED",
        "names": {"buyer": said, "seller": said},
        "seller": "KES 3,000",
        "buyer": "KES 7,350",
        "fee": "KES 150",
        "payouts": {"seller": way},
    }


def action(said: str, kind: str = "resolve", **changes: Any) -> Action:
    made = Action(
        id=17,
        kind=kind,
        target=CODE,
        params={},
        escrow_id=CODE,
        amount=kes(10_500),
        facts=facts(said),
        asked_by=1001,
        asked_at=NOW,
        expires_at=NOW + timedelta(minutes=10),
        number=4821,
        needs_second=False,
        state=ActionState.ASKED,
    )
    return replace(made, **changes)


def notices(said: str) -> dict[str, dict[str, Any]]:
    waits = action(
        said,
        needs_second=True,
        state=ActionState.CONFIRMED,
        second_until=NOW + timedelta(hours=24),
    )
    done = replace(waits, state=ActionState.DONE, outcome=outcome(said), done_at=NOW)
    return {
        "second_wanted": {"action": waits.to_values(), "by": said},
        "action_done": {"action": done.to_values(), "by": said},
        "action_left_by": {"action": waits.to_values(), "by": said},
        "action_over": {"action": waits.to_values()},
        "action_stale": {"action": waits.to_values()},
    }


def answers(said: str, on: Page) -> dict[str, Markup]:
    """What an admin reads while he confirms."""
    asked = action(said)
    large = replace(asked, needs_second=True, second_until=NOW + timedelta(hours=24))
    found = {
        "second": t.preview(large, [1002], on),
        "second:host": t.preview(large, [], on),
        "waiting": t.waiting(large, [1002], on),
        "waiting:host": t.waiting(large, [], on),
        "left": t.left(on),
        "left by nobody": t.action_left_by({**notices(said)["action_left_by"], "by": None}, on),
        "done on the host": t.action_done({**notices(said)["action_done"], "by": "host"}, on),
    }
    shapes: dict[str, dict[str, Any]] = {
        "plain": {},
        "buyer": {"decision": "buyer", "seller": "KES 0", "ways": {}, "waiting": {}, "owed": None},
        "seller": {"decision": "seller", "buyer": "KES 0", "reason": "", "dispute": None},
        "by seller": {"dispute": {"by": "seller", "reason": said}},
        "part": {"ways": {"seller": {"amount": "KES 2,999", "to": "0712***678"}}},
    }
    for why in ("suspended", "no_keys"):
        way = {"amount": "KES 3,000", "to": "0712***678", "why": why}
        shapes[why] = {"ways": {"seller": way}}
    for name, changes in shapes.items():
        for kind in ("resolve", "manual_refund", "manual_release"):
            shown = action(said, kind, facts=facts(said, **changes))
            found[f"preview {kind}:{name}"] = t.preview(shown, [], on)
    ways: dict[str, dict[str, Any]] = {
        "sent": {},
        "suspended": {"why": "suspended"},
        "by hand": {"why": "no_keys"},
        "later": {"when": NOW.isoformat()},
    }
    for name, way in ways.items():
        done = replace(asked, state=ActionState.DONE, outcome=outcome(said, **way))
        found[f"done:{name}"] = t.done(done, on)
    events = (
        "resolve manual_refund manual_release release refund decline settle withdraw_dispute"
        " freeze unfreeze cancel assign_payment"
    )
    for event in events.split():
        values = {"event": event, "role": "admin", "by": said, "at": NOW}
        found[f"decided before:{event}"] = t.decided_before(values, on)
    for role, by in (
        ("admin", "host"),
        ("buyer", said),
        ("seller", said),
        ("parties", ""),
        ("timer", ""),
        ("system", ""),
    ):
        values = {"event": "settle", "role": role, "by": by, "at": NOW}
        found[f"decided before by {role}"] = t.decided_before(values, on)
    found["left:wrong"] = t.action_left({"by": None}, on)
    return {f"action {name}": text for name, text in found.items()}
