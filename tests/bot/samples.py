"""One sample of everything the bot can say, with a person's own words put wherever they go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from markupsafe import Markup, escape

from escrow.bot import admin_texts, deal_texts, texts
from escrow.bot.commands import USER_COMMANDS
from escrow.bot.notices import NOTICES
from escrow.bot.page import Page
from escrow.bot.prompt_words import REASONS
from escrow.bot.refusals import REFUSALS
from escrow.domain.flow import Status
from escrow.domain.model import (
    Attempt,
    AttemptState,
    Channel,
    Choice,
    Escrow,
    Evidence,
    ReceiptState,
    Seller,
    SellerStatus,
    StoredReceipt,
)
from escrow.domain.money import Currency, Money
from escrow.domain.terms import FeePayer, Terms
from escrow.services.choice_tokens import Action
from escrow.services.choices import Pressed
from escrow.services.oversight import Health
from escrow.services.ports import Answer, Verdict
from escrow.services.prompts import Started
from escrow_service import DealView

NOW: Final = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
CODE: Final = "ES1008257624"
OTHER: Final = "ES0000000000"
LATER: Final = (NOW + timedelta(days=3)).isoformat()
CHOICE: Final = Choice(
    3,
    CODE,
    3001,
    Money(1_050_000, Currency.KES),
    Money(980_000, Currency.KES),
    NOW + timedelta(minutes=10),
)
HEADS: Final = ("said by a person",)


def page(*, sandbox: bool = True) -> Page:
    return Page("en", ZoneInfo("Africa/Nairobi"), NOW, sandbox, "AMANA LTD", "174379", "AmanaBot")


def kes(amount: int) -> Money:
    return Money(amount * 100, Currency.KES)


def escrow(said: str, status: Status = Status.PENDING, **changes: Any) -> Escrow:
    paid = status not in (Status.PENDING, Status.CANCELLED)
    values: dict[str, Any] = {
        "id": CODE,
        "seller_id": 5,
        "seller_telegram_id": 2001,
        "shop_name": said,
        "seller_status": SellerStatus.VERIFIED,
        "buyer_telegram_id": 3001,
        "opened_by": 2001,
        "description": said,
        "currency": Currency.KES,
        "price": kes(10_000),
        "fee": kes(500),
        "due": kes(10_500),
        "fee_payer": FeePayer.BUYER,
        "held_price": kes(10_000) if paid else None,
        "held_fee": kes(500) if paid else None,
        "tiers": Terms().tiers["KES"],
        "terms": {},
        "status": status,
        "version": 1,
        "received": kes(0),
        "pay_by": NOW + timedelta(hours=24),
        "ship_by": NOW + timedelta(days=3) if paid else None,
        "release_at": None,
        "created_at": NOW,
        "funded_at": NOW if paid else None,
    }
    return Escrow(**{**values, **changes})


def view(said: str, role: str = "buyer", **changes: Any) -> DealView:
    extra = {
        key: changes.pop(key)
        for key in ("wallet", "reserved_by_other", "choice_open_until", "choice_id")
        if key in changes
    }
    values = {"wallet": kes(0), "reserved_by_other": False, **extra}
    return DealView(escrow=escrow(said, **changes), role=role, **values)


def seller(said: str, status: SellerStatus = SellerStatus.PENDING) -> Seller:
    return Seller(5, 2001, said, status, "254712345678")


def attempt(**changes: Any) -> Attempt:
    values: dict[str, Any] = {
        "id": 1,
        "token": "0" * 32,
        "escrow_id": CODE,
        "telegram_id": 3001,
        "phone": "254712345678",
        "amount": kes(10_500),
        "wallet_part": kes(0),
        "choice_id": None,
        "state": AttemptState.PROMPTED,
        "checkout_request_id": "ws_CO_1",
        "result_code": None,
        "chat_message_id": None,
        "created_at": NOW,
        "prompted_at": NOW,
        "claimed_at": None,
        "queries": 0,
    }
    return Attempt(**{**values, **changes})


def receipt(said: str, state: ReceiptState) -> StoredReceipt:
    return StoredReceipt(
        id=7,
        provider="mpesa",
        channel=Channel.C2B,
        reference=said or None,
        attempt_id=None,
        escrow_id=CODE,
        telegram_id=3001,
        amount=kes(10_500),
        state=state,
        evidence=Evidence.ADMIN,
        happened_at=NOW,
        received_at=NOW,
    )


def health(said: str, word: str = "BROKEN") -> Health:
    return Health(
        word=word,
        database_ms=1.4,
        breaks=[said] * 30,
        proved_at=NOW,
        outbox_waiting=3,
        outbox_oldest=NOW - timedelta(minutes=7),
        inbox_waiting=1,
        inbox_parked=2,
        receipts_waiting=4,
        clock_steady=False,
        held=[{"currency": "KES", "kind": "holding", "total_minor": 1_000_000}],
        jobs=[{"job": "outbox", "error": said}] * 20,
    )


def notice_values(said: str) -> dict[str, dict[str, Any]]:
    """Every kind of notice with all of its values."""
    deal = {"code": CODE, "description": said, "shop": said}
    funded = {
        **deal,
        "received": "KES 10,500",
        "held": "KES 10,000",
        "fee": "KES 500",
        "due": "KES 10,500",
        "excess": "KES 500",
        "waived": "KES 100",
        "ship_by": LATER,
    }
    held = {**deal, "gets": "KES 9,333.33", "expected": "KES 10,000", "ship_by": LATER}
    short = {
        **deal,
        "received": "KES 9,800",
        "missing": "KES 700",
        "due": "KES 10,500",
        "pay_by": LATER,
    }
    admin = {"code": CODE, "amount": "KES 10,500", "reference": said, "typed": said}
    return {
        "funded": funded,
        "funded_over": funded,
        "funded_short": funded,
        "funded_partial": funded,
        "held": held,
        "held_less": held,
        "underpaid": {**short, "choice": 3, "open": True, "expires_at": LATER},
        "too_short": short,
        "window_over": {**short, "returned": "KES 9,800"},
        "late_money": {"code": CODE, "amount": "KES 500", "status": "HELD"},
        "cancelled": {**deal, "by": "buyer", "returned": "KES 9,800"},
        "cancelled_refund": {**deal, "by": "buyer", "returned": "KES 9,800"},
        "declined": {**deal, "returned": "KES 10,500"},
        "prompt_failed": {
            "code": CODE,
            "amount": "KES 10,500",
            "reason": "no_answer",
            "choice": None,
            "shortcode": "174379",
        },
        "payment_waits": {"code": CODE, "amount": "KES 100,000"},
        "seller_waits": {"id": 5, "shop": said, "telegram_id": 2001},
        "seller_verified": {"shop": said, "codes": [CODE, OTHER]},
        "suspense": {**admin, "why": "no_deal"},
        "confirm_receipt": {**admin, "receipt": 7, "payer": said, "why": "unreachable"},
        "credited_unconfirmed": admin,
        "receipt_denied": {**admin, "why": said},
        "booked_twice": admin,
        "receipt_elsewhere": {**admin, "other": OTHER},
        "other_amount": {**admin, "asked": "KES 10,500", "claimed": "KES 1"},
        "callback_mismatch": {"code": CODE, "attempt": 9},
        "wrong_shortcode": {"got": said},
        "request_parked": {"row": 4, "route": "stk", "why": said},
        "books_broken": {"breaks": [said] * 30},
        "clock_jumped": {"seconds": -7_200},
        "notice_dead": {"row": 4, "kind": "held", "code": CODE},
    }


REFUSAL_VALUES: Final[Callable[[str], Mapping[str, Any]]] = lambda said: {  # noqa: E731
    "usage": "/newdeal 1500 Blue phone case",
    "typed": said,
    "code": said,
    "number": 99,
    "minimum": kes(100),
    "maximum": kes(250_000),
    "price": kes(1),
    "missing": kes(700),
    "wallet": kes(9_800),
    "seconds": 65,
    "limit": 3,
    "until": NOW + timedelta(minutes=20),
    "currency": "USD",
    "status": "HELD",
    "by": said,
}


def _refusal_values(reason: str, said: str) -> Mapping[str, Any]:
    values = dict(REFUSAL_VALUES(said))
    if reason.startswith("new_seller"):
        values["until"] = 5
    if reason in ("description", "shop_name"):
        values["maximum"] = 200
    return values


def answers(said: str, on: Page) -> dict[str, Markup]:
    """What the bot answers, by the function that says it (and a variant after a colon)."""
    usd = {"currency": Currency.USD, "price": Money(100_00, Currency.USD)}
    usd |= {"fee": Money(1_00, Currency.USD), "due": Money(101_00, Currency.USD)}
    quote = Terms().quote(kes(10_000), FeePayer.BUYER)
    started = Started(attempt(wallet_part=kes(300)), Answer(Verdict.PENDING))
    pending = Answer(Verdict.PENDING)
    refused = Started(attempt(), Answer(Verdict.DECLINED, "1037", "no_answer"))
    rows = [(escrow(said, status), "buyer") for status in Status] * 2
    wallet = {
        "available": [kes(9_800), Money(1, Currency.USD)],
        "held": [{"currency": "KES", "paid_minor": 1_050_000, "coming_minor": 1_000_000}],
        "entries": [
            {
                "kind": "auto_refund",
                "escrow_id": CODE,
                "happened_at": NOW,
                "amount_minor": 980_000,
                "balance_after": 980_000,
                "currency": "KES",
            }
        ]
        * 5,
    }
    d, t, a = deal_texts, texts, admin_texts
    found = {
        "greeting": t.greeting(said, on),
        "how_to_buy": t.how_to_buy(on),
        "how_to_sell": t.how_to_sell(on),
        "help_text": t.help_text(USER_COMMANDS, on),
        "unknown_words": t.unknown_words(on),
        "unknown_command": t.unknown_command(on),
        "words_only": t.words_only(on),
        "private_only": t.private_only(),
        "stopped": t.stopped(),
        "apology": t.apology("a1b2c3", later=False),
        "apology:later": t.apology("a1b2c3", later=True),
        "answer_lost": t.answer_lost(),
        "ask_number_to_pay": t.ask_number_to_pay(on),
        "ask_number_to_sell": t.ask_number_to_sell(said, on),
        "ask_number_again": t.ask_number_again(on),
        "ask_own_number": t.ask_own_number(on),
        "ask_change_number": t.ask_change_number("254712345678", "254711003001", on),
        "number_kept": t.number_kept(on),
        "no_receipts": t.no_receipts(on),
        "done_already": escape(t.done_already()),
        "number_saved": t.number_saved("254712345678", on),
        "ask_shop_name": t.ask_shop_name(on),
        "lead_to_selling": t.lead_to_selling(on),
        "wallet": t.wallet(wallet, on),
        "wallet:empty": t.wallet({"available": [], "held": [], "entries": []}, on),
        "deals": d.deals(rows, on),
        "deals:none": d.deals([], on),
        "which_deal": d.which_deal(),
        "cancelled": d.cancelled(escrow(said), on),
        "cancelled_by_buyer": d.cancelled_by_buyer(
            escrow(said, received=kes(9_800)), escrow(said), on, rings=True
        ),
        "declined": d.declined(escrow(said), on),
        "preview": d.preview(quote, said, on, SellerStatus.VERIFIED),
        "preview:waits": d.preview(quote, said, on, SellerStatus.PENDING),
        "opened": d.opened(escrow(said), "https://t.me/AmanaBot?start=" + CODE, on),
        "opened:waits": d.opened(escrow(said, pay_by=None), "https://t.me/AmanaBot", on),
        "dropped": d.dropped(),
        "one_moment": d.one_moment(),
        "prompt_unknown": d.prompt_unknown(started, on),
        "prompt_ended": d.prompt_ended(Started(attempt(state=AttemptState.PAID), pending), on),
        "prompt_ended:unpaid": d.prompt_ended(
            Started(attempt(state=AttemptState.EXPIRED), pending), on
        ),
        "decided": d.decided(Pressed(Action.PROCEED, CHOICE, escrow(said), kes(0)), on),
        "decided:cancelled": d.decided(Pressed(Action.CANCEL, CHOICE, escrow(said), kes(0)), on),
        "phone_asks": d.phone_asks(started, escrow(said), on),
        "prompt_refused": d.prompt_refused(refused, on),
        "prompt_unclear": d.prompt_unclear(started, on),
        "by_hand": d.by_hand(escrow(said), kes(10_500), on, reserved=True),
        "how_to_complete": d.how_to_complete(kes(700), kes(300), on),
        "not_admin": a.not_admin(),
        "verified": a.verified(seller(said), on, changed=True),
        "verified:before": a.verified(seller(said), on, changed=False),
        "health": a.health(health(said), on),
        "deal_card:guest": d.deal_card(view(said, "guest", buyer_telegram_id=None), on),
        "deal_card:usd": d.deal_card(view(said, **usd), on),
        "deal_card:reserved": d.deal_card(view(said, reserved_by_other=True), on),
        "deal_card:choice": d.deal_card(
            view(said, received=kes(9_800), choice_open_until=NOW, choice_id=3), on
        ),
        "deal_card:waits": d.deal_card(view(said, pay_by=None), on),
    }
    for seller_status in SellerStatus:
        found[f"registered:{seller_status}"] = t.registered(seller(said, seller_status), on)
    for status in Status:
        for role in ("buyer", "seller"):
            card = d.deal_card(view(said, role, status=status), on)
            found[f"deal_card:{status}:{role}"] = card
    for state in ReceiptState:
        found[f"receipt_decided:{state}"] = a.receipt_decided(receipt(said, state), on)
    return found


def everything(said: str) -> dict[str, Markup]:
    """Every text there is, by name."""
    on = page()
    found = {f"answer {name}": text for name, text in answers(said, on).items()}
    for kind, values in notice_values(said).items():
        found[f"notice {kind}"] = NOTICES[kind](values, on)
    closed = {**notice_values(said)["underpaid"], "open": False}
    found["notice underpaid:closed"] = NOTICES["underpaid"](closed, on)
    for reason, words in REFUSALS.items():
        found[f"refusal {reason}"] = words(_refusal_values(reason, said), on)
    for reason, words in REASONS.items():
        found[f"reason {reason}"] = words({"amount": "KES 10,500", "code": CODE}, on)
    return found
