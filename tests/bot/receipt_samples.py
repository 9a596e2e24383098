"""Every text about receipts and the list of payouts, with all of its values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from markupsafe import Markup

from escrow.bot.admin import payout_list_texts as p
from escrow.bot.admin import receipt_texts as t
from escrow.bot.page import Page
from escrow.domain.actions import Action, ActionState
from escrow.domain.model import Channel, Escrow, Evidence, ReceiptState, StoredReceipt
from escrow.domain.payouts import Payout, PayoutState
from escrow.services.receipts import Candidate, ReceiptCard, Unmatched
from escrow.store.floating import Booking
from escrow.store.payouts import OpenCount, OpenPayout
from tests.bot import samples
from tests.bot.payout_samples import payout
from tests.world import NOW, kes

CODE = "ES1008257624"
NUMBER = "SG632NMUAB"


def notices(said: str) -> dict[str, dict[str, Any]]:
    back = {
        "payout": 7,
        "amount": "KES 10,500",
        "code": CODE,
        "receipt": NUMBER,
        "to": "0712***678",
        "leg": None,
    }
    failed = {**back, "why": "invalid_original", "words": said}
    return {
        "receipt_reversing": {
            **back,
            "role": "buyer",
            "description": said,
            "shop": said,
            "ends": True,
            "reason": said,
        },
        "back_paid": {**back, "reference": "SG632NMUAC"},
        "back_paid_admin": {**back, "reference": "SG632NMUAC"},
        "back_failed": failed,
        "back_failed_admin": failed,
    }


def _receipt(said: str, state: ReceiptState, **changes: Any) -> StoredReceipt:
    found = StoredReceipt(
        id=7,
        provider="mpesa",
        channel=Channel.C2B,
        reference=NUMBER,
        attempt_id=None,
        escrow_id=CODE,
        telegram_id=3001,
        amount=kes(10_500),
        state=state,
        evidence=Evidence.STATUS,
        happened_at=NOW,
        received_at=NOW,
        payer_shown="254722***222",
        payer_name=said,
        typed_reference=said,
        outcome={"outcome": "funded"},
    )
    return replace(found, **changes)


def _back(state: PayoutState) -> Payout:
    return replace(payout(9, state), receipt_id=7, receipt=NUMBER, leg=None)


def _action(kind: str, facts: Mapping[str, Any]) -> Action:
    return Action(
        7,
        kind,
        NUMBER,
        {},
        CODE,
        kes(10_500),
        facts,
        1001,
        NOW,
        NOW + timedelta(minutes=10),
        4821,
        False,
        ActionState.ASKED,
    )


def answers(said: str, on: Page) -> dict[str, Markup]:
    """What an admin reads about money that came in, or goes out."""
    deal = samples.escrow(said)
    return _lists(said, deal, on) | _cards(said, deal, on) | _actions(said, on)


def _lists(said: str, deal: Escrow, on: Page) -> dict[str, Markup]:
    likely = (Candidate(deal, ("code", "amount", "payer", "time")), Candidate(deal, ("amount",)))
    found = [
        Unmatched(_receipt(said, ReceiptState.SUSPENSE), (*likely, likely[0])),
        Unmatched(_receipt(said, ReceiptState.WAITING, reference=None), ()),
        Unmatched(_receipt(said, ReceiptState.SUSPENSE, payer_name="", payer_shown=""), ()),
    ]
    states = [
        (PayoutState.MANUAL, "no_keys", True),
        (PayoutState.UNKNOWN, "unknown", True),
        (PayoutState.READY, "float", False),
        (PayoutState.READY, "", False),
        (PayoutState.SENDING, "", True),
    ]
    listed = [
        OpenPayout(payout(number, state, note), said, 1, live)
        for number, (state, note, live) in enumerate(states, 1)
    ]
    listed += [
        OpenPayout(
            replace(payout(8, PayoutState.READY), leg="buyer", not_before=NOW), said, 0, False
        ),
        OpenPayout(
            replace(payout(9, PayoutState.MANUAL), escrow_id=None, leg=None), said, 0, False
        ),
        OpenPayout(_back(PayoutState.MANUAL), said, 1, True),
    ]
    return {
        "unmatched": t.unmatched(found, 1, 3, 2, on),
        "unmatched:none": t.unmatched([], 1, 0, 0, on),
        "payouts": p.listed(listed, OpenCount(2, 1, 3, NOW), "8006", on),
        "payouts:none": p.listed([], OpenCount(0, 0, 0, None), None, on),
        "payouts:soon": p.send_soon(7),
        "payouts:asked": p.asked(7),
    }


def _cards(said: str, deal: Escrow, on: Page) -> dict[str, Markup]:
    found = {}
    for state in ReceiptState:
        one = ReceiptCard(_receipt(said, state), deal, said, None)
        found[f"receipt_card:{state}"] = t.receipt_card(one, [], None, on)
    coins = _receipt(
        said,
        ReceiptState.CREDITED,
        provider="blockbee",
        channel=Channel.CRYPTO,
        reference=f"{'9f' * 32}#7",
        evidence=Evidence.QUERY,
    )
    one = ReceiptCard(coins, deal, said, None)
    found["receipt_card:coins"] = t.receipt_card(one, [], None, on)
    for proof in (None, *Evidence):
        for came in ("choice", "refunded_to_wallet", "to_wallet"):
            one = ReceiptCard(
                _receipt(said, ReceiptState.CREDITED, evidence=proof, outcome={"outcome": came}),
                None,
                said,
                _back(PayoutState.PAID),
            )
            found[f"receipt_card:{proof}:{came}"] = t.receipt_card(one, [], None, on)
    one = ReceiptCard(_receipt(said, ReceiptState.SUSPENSE), deal, "", _back(PayoutState.READY))
    found["receipt_card:back"] = t.receipt_card(one, [], None, on)
    both = [payout(7, PayoutState.PAID), _back(PayoutState.MANUAL)]
    found["receipt_card:payouts"] = t.receipt_card(None, both, None, on)
    for kind, admin in (("float", 1001), ("withdraw", 1001), ("charge", 0)):
        booked = Booking(kind, "SGL51H2K3M", kes(500), admin, NOW)
        found[f"receipt_card:{kind}"] = t.receipt_card(None, [], booked, on)
    return found


def _actions(said: str, on: Page) -> dict[str, Markup]:
    facts: dict[str, Any] = {
        "reference": NUMBER,
        "amount": "KES 10,500",
        "payer": "0722***222",
        "typed": said,
        "person": 3001,
        "name": said,
        "code": CODE,
        "description": said,
        "status": "CANCELLED",
        "due": "KES 10,500",
        "total": "KES 11,000",
        "missing": "KES 700",
        "by_hand": "",
        "refund": "KES 10,500",
        "left": "KES 0",
        "reason": said,
        "payout": 7,
    }
    found = {}
    for doubt in ("", "other_number", "sellers_number", "no_number"):
        for would in ("funded", "choice", "short", "wallet"):
            for more in ({"over": "KES 500"}, {"waived": "KES 50"}, {"code": None}, {}):
                v = {**facts, "doubt": doubt, "would": would, **more}
                name = f"assign:{doubt}:{would}:{','.join(more)}"
                found[name] = t.assign_preview(v, _action("assign_payment", v), on)
    for outcome in ("funded", "choice", "to_wallet"):
        v = {**facts, "outcome": outcome}
        found[f"assigned:{outcome}"] = t.assign_outcome(v, _action("assign_payment", v), on)
    for by_hand in ("", "no_keys", "not_whole", "other"):
        v = {**facts, "by_hand": by_hand}
        found[f"send_back:{by_hand}"] = t.send_back_preview(v, _action("send_back", v), on)
        for ends in (True, False):
            v = {**facts, "by_hand": by_hand, "ends": ends, "waits": bool(by_hand)}
            action = _action("reverse", v)
            found[f"reverse:{by_hand}:{ends}"] = t.reverse_preview(v, action, on)
            found[f"reversed:{by_hand}:{ends}"] = t.back_outcome(v, action, on)
    seller = {**notices(said)["receipt_reversing"], "role": "seller"}
    found["reversing:seller"] = t.receipt_reversing(seller, on)
    for state in ReceiptState:
        v = {"reference": NUMBER, "state": str(state), "code": CODE}
        found[f"receipt_is:{state}"] = t.receipt_is(v, on)
    return found
