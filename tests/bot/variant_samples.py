"""What else the same texts say when something about the deal or the person is different."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from markupsafe import Markup

from escrow.bot import (
    deal_texts,
    dispute_texts,
    dollar_texts,
    payout_texts,
    texts,
    wallet_texts,
)
from escrow.bot.notices import NOTICES
from escrow.bot.page import Page
from escrow.bot.refusals import REFUSALS
from escrow.domain.coins import STABLE
from escrow.domain.flow import Status
from escrow.domain.model import SellerStatus
from escrow.domain.money import Currency, Money
from escrow.domain.payouts import InCoins, Payout, PayoutState
from escrow.domain.terms import Shares
from escrow.services.payout_booking import BookedPayout
from escrow.services.ports import Answer, Verdict
from escrow.services.prompts import Started
from tests.bot import refusal_samples, samples
from tests.coin_addresses import TRON, txid

Changes = Mapping[str, Any]

_CLAIMS: Final = (
    "no_number",
    "number_not_vouched",
    "other_number",
    "payer_unknown",
    "other_deal",
    "maybe_prompt",
    "old",
    "nobody_to_ask",
    "no_answer",
    "no_party",
    "other_amount",
    "status_refused",
)
_NOTICES: Final[tuple[tuple[str, Changes], ...]] = (
    ("prompt_failed", {"reason": "cancelled"}),
    ("underpaid", {"open": False}),
    ("window_over", {"pay_by": None}),
    ("payout_manual", {"why": "funding_reversed"}),
    *(("payout_manual", {"number": None, "own": own}) for own in ("another", "none")),
    ("payout_unknown", {"number": None, "own": "another"}),
    ("payout_failed", {"why": "number_changed", "words": ""}),
    *(
        (kind, {"coin": "USDT-TRC20", "number": TRON, "to": f"{TRON} (USDT-TRC20)", **more})
        for kind, more in (
            ("payout_manual", {"why": "in_coins", "code": None}),
            ("payout_manual", {"why": "suspended", "code": None}),
            ("payout_manual", {"why": "in_coins", "code": None, "own": "none", "number": None}),
            ("payout_paid", {"code": None, "reference": txid(1)}),
            ("payout_failed", {"code": None, "why": "by_admin"}),
            ("payout_failed", {"code": None, "why": "by_admin", "words": ""}),
            ("payout_waits", {"code": None}),
            ("payout_late", {"code": None, "state": "MANUAL"}),
        )
    ),
    ("late_money", {"code": None}),
    *(("claim_card", {"why": why, "code": None}) for why in _CLAIMS),
    ("claim_card", {"said_at": None}),
    *(("suspense", {"why": why, "reference": None}) for why in ("no_buyer", "second_receipt")),
    *(("suspense", {"why": why}) for why in ("other_amount", "other_currency", "deal_closed")),
    ("suspense", {"why": "own_deal"}),
    ("suspense", {"why": "from the future"}),
    *(
        ("confirm_receipt", {"why": why})
        for why in ("query_says_no", "no_answer", "other_amount", "query_unsure", "maybe_same")
    ),
    *(
        ("confirm_receipt", {"why": why})
        for why in ("status_refused", "no_party", "statement", "unlisted_sender", "else")
    ),
    ("request_parked", {"many": 5}),
    ("prompt_failed", {"reason": "unlisted"}),
    ("receipt_taken_back", {"whole": False, "frozen": False, "owed": "", "code": None}),
    ("receipt_not_shown", {"code": None}),
    ("payment_taken_back", {"code": None, "open": False, "returned": ""}),
    *(("receipt_denied", {"why": why}) for why in ("not_completed", "not_ours", "admin:1001")),
    ("receipt_elsewhere", {"code": None}),
    *(("cancelled", {"by": by, "returned": None}) for by in ("seller", "timer", "admin")),
    *(("disputed", {"role": role}) for role in ("buyer", "seller")),
    *(("dispute_admin", {"by": by}) for by in ("buyer", "seller")),
    *(("dispute_withdrawn", {"by": by, "status": "HELD"}) for by in ("buyer", "seller")),
    *(("settle_offered", {"by": by}) for by in ("buyer", "seller")),
    *(("extend_offered", {"by": by}) for by in ("buyer", "seller")),
    *(("extended", {"status": status}) for status in ("HELD", "SHIPPED")),
    *(("offer_declined", {"kind": kind}) for kind in ("settle", "extend")),
    *(("relayed", {"role": role}) for role in ("buyer", "seller")),
    *(("evidence_added", {"role": role}) for role in ("buyer", "seller")),
    *(("help_asked", {"role": role}) for role in ("buyer", "seller")),
    ("help_asked", {"code": None}),
)
_PHONE: Final = "0712***678"
_REFUSALS: Final[tuple[tuple[str, Changes], ...]] = (
    ("usage", {"usage": None}),
    ("description", {"length": None}),
    ("not_payable", {"status": "PENDING"}),
    ("not_payable", {"status": "CANCELLED"}),
    ("not_payable", {"status": ""}),
    ("reserved", {"until": None}),
    ("illegal_move", {"status": "FROZEN"}),
    ("receipt_decided", {"by": None}),
    ("deal_too_large", {"price": None}),
    ("prompt_open", {"phone": _PHONE, "rings": True}),
    ("prompt_open", {"phone": _PHONE, "rings": False}),
)
_MOVES: Final = (
    "wallet_payment",
    "overpayment",
    "auto_refund",
    "cancel",
    "window_over",
    "late_payment",
    "refund",
    "release",
    "split",
    "payout",
    "payout_returned",
    "reversal",
    "else",
)


def variants(said: str, on: Page) -> dict[str, Markup]:
    """Texts by name."""
    notices = samples.notice_values(said)
    found = {
        f"notice {kind}:{number}": NOTICES[kind]({**notices[kind], **changes}, on)
        for number, (kind, changes) in enumerate(_NOTICES)
    }
    for number, (reason, changes) in enumerate(_REFUSALS):
        values = {**refusal_samples.values(reason, said), **changes}
        found[f"refusal {reason}:{number}"] = REFUSALS[reason](values, on)
    found["wallet:moves"] = _wallet(on)
    found |= _with_a_till(said, replace(on, paybill=""))
    suspended = samples.view(said, seller_status=SellerStatus.SUSPENDED)
    found["deal_card:suspended"] = deal_texts.deal_card(suspended, on)
    held = samples.escrow(said, Status.HELD)
    found["withdrawn:held"] = dispute_texts.withdrawn(held, on)
    found["deals:seller"] = deal_texts.deals([(held, "seller")], {}, on)
    over = samples.escrow(said, Status.COMPLETED, finished_at=samples.NOW)
    divided = {samples.CODE: Shares(samples.kes(4_750), samples.kes(5_250), samples.kes(250))}
    for role in ("buyer", "seller"):
        found[f"deals:over:{role}"] = deal_texts.deals([(over, role)], divided, on)
        view = samples.view(said, role, status=Status.COMPLETED, shares=divided[samples.CODE])
        found[f"deal_card:divided:{role}"] = deal_texts.deal_card(view, on)
    empty = samples.escrow(said)
    found["cancelled_by_buyer:unpaid"] = deal_texts.cancelled_by_buyer(
        empty, empty, on, rings=False
    )
    found["prompt_over"] = deal_texts.prompt_over()
    found |= _dollars(on)
    found["photo_of"] = deal_texts.photo_of(held)
    found["ask_language"] = texts.ask_language()
    found["language_chosen"] = texts.language_chosen(said, on)
    return found


def _dollars(on: Page) -> dict[str, Markup]:
    """Everything that is said about dollars on their way out, beside notices and refusals."""
    coin, amount = STABLE[0], Money(25_00, Currency.USD)
    wish = InCoins(amount, coin, TRON)
    waits = Payout(
        7, 3001, None, None, amount, wish.destination, PayoutState.MANUAL, "in_coins", None, 0,
        samples.NOW,
    )  # fmt: skip
    paid = replace(waits, state=PayoutState.PAID, provider_reference=txid(1))
    booked = BookedPayout(7, None, None, amount, f"{TRON} (USDT-TRC20)", "in_coins")
    moved = {"kind": "payout", "escrow_id": None, "happened_at": samples.NOW, "currency": "USD"}
    values = {
        "available": [amount],
        "held": [],
        "on_the_way": [],
        "entries": [{**moved, "amount_minor": -25_00}],
    }
    return {
        "dollars:coin": dollar_texts.ask_coin(amount, on),
        "dollars:address": dollar_texts.ask_address(amount, coin, on),
        "dollars:preview": dollar_texts.preview(wish, amount, on),
        "dollars:preview:all": dollar_texts.preview(wish, Money.zero(Currency.USD), on),
        "dollars:sent": dollar_texts.sent(booked, on),
        "dollars:suspended": dollar_texts.sent(replace(booked, why="suspended"), on),
        "dollars:hash": payout_texts.ask_receipt(waits),
        "dollars:closed": payout_texts.closed(paid),
        "dollars:line": dollar_texts.wallet_to(waits, "Brian"),
        "wallet:dollars": wallet_texts.wallet(values, on),
    }


def _with_a_till(said: str, on: Page) -> dict[str, Markup]:
    """What reads otherwise where nobody can pay by hand."""
    notices = samples.notice_values(said)
    found = {
        f"till:{kind}": NOTICES[kind](notices[kind], on)
        for kind in ("prompt_failed", "wrong_shortcode")
    }
    for reason in ("too_many_prompts", "too_many_prompts_to_number"):
        found[f"till:{reason}"] = REFUSALS[reason](refusal_samples.values(reason, said), on)
    started = Started(samples.attempt(), Answer(Verdict.UNKNOWN))
    found["till:prompt_unclear"] = deal_texts.prompt_unclear(started, on)
    return found


def _wallet(on: Page) -> Markup:
    entries = [
        {
            "kind": kind,
            "escrow_id": None,
            "happened_at": samples.NOW,
            "amount_minor": amount,
            "balance_after": 980_000,
            "currency": "KES",
        }
        for kind in _MOVES
        for amount in (500, -500)
    ]
    values = {"available": [], "held": [], "on_the_way": [], "entries": entries}
    return wallet_texts.wallet(values, on)
