"""Everything that is said of sellers, flags and the morning to admins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from markupsafe import Markup

from escrow.bot.admin import digest_texts, flag_texts, help_texts, seller_texts
from escrow.bot.page import Page
from escrow.domain.model import (
    FraudFlag,
    JudgedBy,
    OpenDeals,
    PendingSeller,
    Seller,
    SellerChange,
    SellerStatus,
)
from escrow.domain.payouts import Payout, PayoutState
from escrow.services.people import Standing
from escrow_handlers_admin import ADMIN_COMMANDS
from sandbox.telegram_chats import Message
from tests.world import ADMIN, NOW, kes

DEALS = tuple(f"ES{number:010}" for number in range(1, 7))
WAITING = {
    "disputes": 3,
    "unanswered": 1,
    "questions": 2,
    "by_hand": 1,
    "unknown": 1,
    "sellers": 1,
    "flags": {"CRITICAL": 1, "LOW": 4},
    "unmatched": 2,
}
NOTHING: dict[str, Any] = {**dict.fromkeys(WAITING, 0), "flags": {}}


def read(message: Message) -> str:
    """A message as it is read: without the signs that keep people's words apart."""
    return message.text.replace("\u2068", "").replace("\u2069", "")


def flag(said: str, number: int = 12, **changes: Any) -> FraudFlag:
    values: dict[str, Any] = {
        "id": number,
        "telegram_id": 2001,
        "user_type": "seller",
        "flag_type": "unshipped_order",
        "severity": "CRITICAL",
        "rule": said,
        "deals": DEALS[:1],
        "created_at": NOW,
        "first_name": said,
        "seller_id": 5,
        "shop_name": said,
        "seller_status": SellerStatus.VERIFIED,
    }
    return FraudFlag(**{**values, **changes})


def flags(said: str) -> list[FraudFlag]:
    """One of every rule, by people of every kind."""
    buyer: dict[str, Any] = {
        "user_type": "buyer",
        "seller_id": None,
        "shop_name": None,
        "seller_status": None,
        "deals": DEALS,
    }
    return [
        flag(said),
        flag(said, 13, severity="HIGH", flag_type="high_dispute_rate", shop_name=None),
        flag(said, 17, **buyer, severity="CRITICAL", flag_type="reversed_payment"),
        flag(said, 14, **buyer, severity="MEDIUM", flag_type="multiple_disputes"),
        flag(said, 15, **buyer, severity="LOW", flag_type="repeated_shortage"),
        flag(said, 16, **{**buyer, "deals": ()}, flag_type="multiple_refunds"),
    ]


def standing(
    said: str,
    status: SellerStatus,
    history: Sequence[SellerChange] = (),
    *,
    by: int | None = ADMIN,
    at: bool = True,
    **changes: Any,
) -> Standing:
    when = NOW if at else None
    seller = Seller(5, 2001, said, status, "254712345678", suspension_reason=said)
    values: dict[str, Any] = {"deals": (), "payouts": (), **changes}
    return Standing(
        seller,
        JudgedBy(when, by, said, when, by, said),
        tuple(history),
        **values,
    )


def _change(said: str, reason: str, actor: str = "admin:1001", **changes: Any) -> SellerChange:
    values: dict[str, Any] = {
        "status": SellerStatus.VERIFIED,
        "actor": actor,
        "reason": reason,
        "at": NOW,
        "cause": f"update:{reason}",
        "name": said,
    }
    return SellerChange(**{**values, **changes})


def _payout(state: PayoutState, note: str = "") -> Payout:
    return Payout(7, 2001, DEALS[0], "seller", kes(500), "254712345678", state, note, None, 0, NOW)


def notices(said: str) -> dict[str, dict[str, Any]]:
    about = {"telegram_id": 2001, "shop": said, "deals": list(DEALS)}
    return {
        "flag_raised": {
            **about,
            "flag": 12,
            "severity": "HIGH",
            "user_type": "seller",
            "flag_type": "high_dispute_rate",
            "rule": "4 of 9 deals",
            "name": said,
            "seller": 5,
        },
        "suspension_proposed": {**about, "seller": 5, "count": 6, "days": 30},
        "digest": WAITING,
    }


def answers(said: str, on: Page) -> dict[str, Markup]:
    s, f, d = seller_texts, flag_texts, digest_texts
    history = [
        _change(said, said, status=SellerStatus.SUSPENDED),
        *(_change(said, one) for one in ("lifted", "verified")),
        _change(said, "payout number 0712***678 -> 0712***679", "seller:2001"),
        _change(said, "renamed", "admin", status=SellerStatus.PENDING),
        _change(said, "registered", "seller:2001", status=SellerStatus.PENDING),
        _change(said, "verified"),
    ]
    held = _payout(PayoutState.MANUAL, "suspended")
    good = standing(said, SellerStatus.VERIFIED, history[1:], payouts=(held,))
    bad = standing(
        said,
        SellerStatus.SUSPENDED,
        deals=(OpenDeals(1, 2, kes(10_500)),),
        payouts=(_payout(PayoutState.READY),),
    )
    waits = PendingSeller(5, 2001, said, "254712345678", NOW - timedelta(hours=3), said, 2, 1)
    one = replace(bad, deals=(OpenDeals(0, 1, kes(5_250)),), payouts=())
    counts = {"CRITICAL": 2, "HIGH": 1, "MEDIUM": 1, "LOW": 1}
    reviewed = flag(said, reviewed_at=NOW, reviewed_by=ADMIN, review_notes=said)
    calm = {**NOTHING, "disputes": 2}
    return {
        "listed verified": s.verified(good, on, "update:verified", changed=True),
        "listed lifted": s.verified(good, on, "update:lifted", changed=True),
        "listed verified:before": s.verified(good, on, "update:9", changed=False),
        "listed history": s.verified(
            standing(said, SellerStatus.VERIFIED, history), on, "update:9", changed=False
        ),
        "card_verified": s.card_verified(good.seller, history[-1], on),
        "card_verified:nobody": s.card_verified(
            good.seller, _change("", "verified", actor="admin"), on
        ),
        "suspended": s.suspended(bad, on, changed=True),
        "suspended:one": s.suspended(one, on, changed=True),
        "suspended:none": s.suspended(replace(one, deals=()), on, changed=True),
        "suspended:before": s.suspended(bad, on, changed=False),
        "ask_reason": s.ask_reason(bad, on),
        "who:unnamed": s.who(ADMIN, None),
        "listed pending": s.pending([waits], 1, on),
        "listed pending:none": s.pending([], 0, on),
        "listed flags": f.flags(flags(said), counts, on),
        "listed flags:none": f.flags([], {}, on),
        "ask_note": f.ask_note(flag(said), on),
        "reviewed": f.reviewed(replace(reviewed, review_notes=None), said, on, changed=True),
        "reviewed:before": f.reviewed(reviewed, said, on, changed=False),
        "rule:refunds": f.rule_words("multiple_refunds", 3, said),
        "by:unknown_time": s.by_and_when(ADMIN, said, None, on),
        "digest:nothing": d.digest(NOTHING, on),
        "digest:calm": d.digest(calm, on),
        "help_text admins": help_texts.admin_help(ADMIN_COMMANDS),
    }
