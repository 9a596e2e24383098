"""Every notice about payouts with all of its values."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from escrow.bot import payout_texts as t
from escrow.bot.notices import NOTICES
from escrow.bot.page import Page
from escrow.domain.payouts import Payout, PayoutState
from tests.world import NOW, kes

CODE = "ES1008257624"


def notices(said: str) -> dict[str, dict[str, Any]]:
    payout = {"payout": 7, "amount": "KES 10,000", "code": CODE}
    person = {**payout, "to": "0712***678", "leg": "seller"}
    task = {**payout, "number": "254799888777", "why": "no_keys"}
    return {
        "payout_paid": {**person, "reference": "SG632NMUAB"},
        "payout_failed": {**person, "why": "unregistered", "words": said},
        "payout_waits": person,
        "payout_manual": {**task, "not_before": NOW.isoformat()},
        "payout_unknown": {**task, "why": "unknown", "ocid": "P7-00ff"},
        "payout_word_wrong": {
            **payout,
            "why": "other_amount",
            "claimed": "KES 1",
            "reference": "SG632NMUAB",
        },
        "payout_word_silent": {**payout, "reference": "SG632NMUAB"},
        "payout_late": {**payout, "state": "READY", "why": "float"},
        "payout_trouble": {"why": "float", "code": "1"},
        "payouts_stopped": {"code": "8006"},
        "payout_mismatch": {
            **payout,
            "why": "other_amount",
            "claimed": "KES 1",
            "reference": "SG632NMUAB",
        },
        "payout_contradiction": {
            **payout,
            "state": "PAID",
            "says": "declined",
            "code_said": "2040",
            "reference": "SG632NMUAB",
            "kept": "SG632NMUAC",
        },
    }


def payout(number: int, state: PayoutState, note: str = "") -> Payout:
    reference = "SG632NMUAB" if state is PayoutState.PAID else None
    return Payout(
        number, 2001, CODE, "seller", kes(10_000), "254799888777", state, note, reference, 0, NOW
    )


_ASKED = ("payout_manual", "payout_unknown")


def _back(kind: str) -> dict[str, Any]:
    """The same card of money that goes back to its payer."""
    return {**notices("x")[kind], "receipt": "SG632NMUAB"}


def answers(on: Page) -> dict[str, Markup]:
    """What an admin reads while he looks after payouts."""
    waiting = payout(7, PayoutState.MANUAL, "unknown")
    return {
        "ask_receipt": t.ask_receipt(waiting),
        "ask_reason": t.ask_reason(waiting, may_be_out=False),
        "ask_reason:out": t.ask_reason(waiting, may_be_out=True),
        "closed": t.closed(payout(7, PayoutState.PAID)),
        "closed:asked": t.closed(payout(7, PayoutState.MANUAL, "checking")),
        "closed:back": t.closed(payout(7, PayoutState.FAILED)),
        **{f"{kind}:back": NOTICES[kind](_back(kind), on) for kind in _ASKED},
        "resumed": t.resumed(changed=True),
        "resumed:not": t.resumed(changed=False),
    }
