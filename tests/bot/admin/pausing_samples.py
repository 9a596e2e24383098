"""Everything that is said of a pause."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from markupsafe import Markup

from escrow.bot.admin import pausing_texts as t
from escrow.bot.page import Page
from escrow.domain.pauses import Pause
from escrow.services.pauses import Word
from tests.world import ADMIN, NOW

DEAL = {"code": "ES1008257624", "shop": "Jane Shop"}


def notices(said: str) -> dict[str, dict[str, Any]]:
    moved = {**DEAL, "description": said, "until": (NOW + timedelta(days=2)).isoformat()}
    return {
        "paused": {},
        "resumed": {},
        "pause_began": {"by": said, "reason": said},
        "pause_ended": {"by": said, "seconds": 4_000, "moved": 12},
        "deadline_moved": {**moved, "role": "buyer", "status": "HELD"},
    }


def _pause(reason: str, *, resumed: bool = False, ended: bool = False) -> Pause:
    over = NOW + timedelta(minutes=13)
    return Pause(
        id=1,
        paused_at=NOW,
        paused_by=ADMIN,
        reason=reason,
        told=True,
        told_to=3001,
        resumed_at=over if resumed or ended else None,
        resumed_by=ADMIN if resumed or ended else None,
        moved_to="",
        moved=12,
        ended_at=over if ended else None,
    )


def answers(said: str, on: Page) -> dict[str, Markup]:
    spans = {"second": 10, "minutes": 780, "hours": 20_000, "days": 400_000}
    found = {
        "paused_now": t.paused_now(Word(_pause(said), True, said), on),
        "paused_now before": t.paused_now(Word(_pause(""), False, ""), on),
        "paused_now over": t.paused_now(Word(_pause(said, ended=True), False, said), on),
        "resumed_now": t.resumed_now(Word(_pause(said, ended=True), True, said), on),
        "resumed_now ending": t.resumed_now(Word(_pause(said, resumed=True), False, said), on),
        "resumed_now before": t.resumed_now(Word(_pause(said, ended=True), False, said), on),
        "resumed_now never": t.resumed_now(Word(None, False), on),
        "refused": t.refused({"admin": False}, on),
        "refused to an admin": t.refused({"admin": True}, on),
        **{
            f"lasted {name}": Markup("{}").format(t.lasted(timedelta(seconds=span)))
            for name, span in spans.items()
        },
    }
    for role in ("buyer", "seller"):
        for status in ("PENDING", "HELD", "SHIPPED"):
            values = {**notices(said)["deadline_moved"], "role": role, "status": status}
            found[f"deadline_moved {role} {status}"] = t.deadline_moved(values, on)
    return found
