"""One sample of everything the bot can say, with a person's own words put wherever they go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any, Final
from zoneinfo import ZoneInfo

from markupsafe import Markup, escape

from escrow.bot import (
    admin_texts,
    deal_texts,
    dispute_texts,
    paid_texts,
    rating_texts,
    ruling_texts,
    selling_texts,
    settle_texts,
    shipping_texts,
    talk_texts,
    texts,
    wallet_texts,
)
from escrow.bot.commands import USER_COMMANDS
from escrow.bot.notices import NOTICES
from escrow.bot.page import Page, speaking
from escrow.bot.prompt_words import REASONS
from escrow.bot.refusals import REFUSALS
from escrow.domain.claims import Claim, ClaimState
from escrow.domain.flow import Status
from escrow.domain.model import (
    Attempt,
    AttemptState,
    Channel,
    Choice,
    DealRecord,
    Dispute,
    DisputeStatus,
    Escrow,
    Evidence,
    Media,
    MediaKind,
    Offer,
    OfferKind,
    Purpose,
    ReceiptState,
    Seller,
    SellerStatus,
    StoredReceipt,
)
from escrow.domain.money import Currency, Money
from escrow.domain.terms import FeePayer, Level, Terms, divide_split
from escrow.services.choice_tokens import Action
from escrow.services.choices import Pressed
from escrow.services.payout_booking import BookedPayout
from escrow.services.ports import Answer, Verdict
from escrow.services.prompts import Started
from escrow.services.ratings import Rated, SellerPage
from escrow.services.records import DealRecords
from escrow.services.wallets import Withdrawal
from escrow_service import DealView
from tests.bot import (
    coin_samples,
    payout_samples,
    receipt_samples,
    refusal_samples,
    variant_samples,
)
from tests.bot.admin import (
    action_samples,
    case_samples,
    figures_samples,
    pausing_samples,
    people_samples,
    safe_samples,
    statement_samples,
    sweep_samples,
)

NOW: Final = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
CODE: Final = "ES1008257624"
OTHER: Final = "ES0000000000"
LATER: Final = (NOW + timedelta(days=3)).isoformat()
_DUE, _CAME = Money(1_050_000, Currency.KES), Money(980_000, Currency.KES)
CHOICE: Final = Choice(3, CODE, 3001, _DUE, _CAME, NOW + timedelta(minutes=10))
HEADS: Final = ("said by a person",)


def page(*, sandbox: bool = True, language: str = "en") -> Page:
    zone = ZoneInfo("Africa/Nairobi")
    return Page(language, zone, NOW, sandbox, "AMANA LTD", "174379", "AmanaBot")


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
        for key in (
            "wallet",
            "reserved_by_other",
            "choice_open_until",
            "choice_id",
            "dispute",
            "withdrawn",
            "stars",
            "shares",
            "in_coins",
            "by_mpesa",
        )
        if key in changes
    }
    values = {"wallet": kes(0), "reserved_by_other": False, "by_mpesa": True, **extra}
    return DealView(escrow=escrow(said, **changes), role=role, **values)


def dispute(said: str, raised: str) -> Dispute:
    by = {"buyer": 3001, "seller": 2001}[raised]
    until = NOW + timedelta(hours=48)
    return Dispute(4, CODE, by, raised, Status.SHIPPED, said, DisputeStatus.OPEN, NOW, until)


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


def claim(state: ClaimState, why: str = "") -> Claim:
    return Claim(
        id=9,
        token="0" * 32,
        telegram_id=3001,
        escrow_id=CODE,
        reference="SG632NMUAB",
        receipt_id=None,
        state=state,
        why=why,
        claimed=None,
        amount=None,
        payer_shown="",
        happened_at=None,
        created_at=NOW,
        checks=0,
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
    on_its_way = {"amount": "KES 10,000", "to": "0712***678"}
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
        "shipped": {
            **deal,
            "amount": "KES 10,500",
            "tracking": said,
            "shipped_at": NOW.isoformat(),
            "release_at": LATER,
            "media": {"kind": "photo", "file_id": "file-1"},
        },
        "delivered": {**deal, "gets": "KES 10,000", "release_at": LATER},
        "released": {**deal, "gets": "KES 10,000", "payout": on_its_way},
        "auto_released": {**deal, "gets": "KES 10,000", "payout": on_its_way},
        "auto_released_buyer": {**deal, "gets": "KES 10,000"},
        "auto_refunded": {**deal, "returned": "KES 10,500", "payout": None},
        "auto_refunded_seller": {**deal, "returned": "KES 10,500"},
        "remind_ship": {**deal, "gets": "KES 10,000", "ship_by": LATER},
        "remind_confirm": {**deal, "amount": "KES 10,500", "release_at": LATER},
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
        "receipt_taken_back": {
            **admin,
            "reference": "SG632NMUAB",
            "reversal": "SG632NMUAC",
            "booked": "KES 10,500",
            "owed": "KES 10,500",
            "status": "HELD",
            "frozen": True,
            "whole": True,
        },
        "receipt_not_shown": {**admin, "reference": "SG632NMUAB"},
        "payment_taken_back": {
            "reference": "SG632NMUAB",
            "amount": "KES 10,500",
            "code": CODE,
            "open": True,
            "returned": "KES 500",
        },
        "refund_covers": {
            "code": CODE,
            "part": "KES 10,500",
            "covers": "KES 10,000",
            "left": "KES 500",
        },
        "receipt_elsewhere": {**admin, "other": OTHER},
        "other_amount": {**admin, "asked": "KES 10,500", "claimed": "KES 1"},
        "callback_mismatch": {"code": CODE, "attempt": 9},
        "prompt_unlisted": {"code": CODE, "attempt": 9, "amount": "KES 10,500", "got": said},
        "wrong_shortcode": {"got": said},
        "request_parked": {"row": 4, "route": "stk", "why": said},
        "unlisted_sender": {"sender": "203.0.113.9", "row": 4, "route": "stk"},
        "books_broken": {"breaks": [said] * 30},
        "clock_jumped": {"seconds": -7_200},
        "monthly_report": figures_samples.MONTH,
        "claim_card": {
            **admin,
            "reference": "SG632NMUAB",
            "claim": 9,
            "person": 3001,
            "payer": said,
            "why": said,
            "proved": False,
            "deals": f"{CODE}, {OTHER}",
            "said_at": NOW.isoformat(),
        },
        "claim_denied": {"reference": "SG632NMUAB", "why": "unknown"},
        "claim_person": {"reference": "SG632NMUAB", "why": "no_number", "contact": True},
        "relayed": {**deal, "role": "seller", "words": said},
        "evidence_added": {**deal, "role": "buyer"},
        "help_asked": {
            **deal,
            "help": 7,
            "name": said,
            "telegram_id": 3001,
            "words": said,
            "role": "buyer",
            "status": "HELD",
            "price": "KES 10,000",
        },
        "help_answer": {"help": 7, "code": CODE, "question": said, "words": said},
        **ruled_notices(deal, said),
        "notice_dead": {"row": 4, "kind": "held", "code": CODE},
    }


def ruled_notices(deal: Mapping[str, Any], said: str) -> dict[str, dict[str, Any]]:
    """Notices of disputes, offers and rulings."""
    raised = {**deal, "role": "buyer", "reason": said, "by": "seller", "answer_by": LATER}
    parts = {"seller": "KES 3,000", "buyer": "KES 7,350", "fee": "KES 150"}
    payout = {"amount": "KES 3,000", "to": "0712***678"}
    ended = {**deal, **parts, "role": "seller", "payout": payout, "reason": said}
    moved = {**deal, "role": "buyer", "by": "seller", "status": "SHIPPED", "until": LATER}
    offered = {**deal, **parts, "role": "buyer", "by": "seller", "offer": 7}
    return {
        **_selling_notices(said),
        **payout_samples.notices(said),
        **coin_samples.notices(said),
        **action_samples.notices(said),
        **pausing_samples.notices(said),
        **sweep_samples.notices(said),
        **people_samples.notices(said),
        **receipt_samples.notices(said),
        "disputed": raised,
        "dispute_raised": raised,
        "dispute_admin": {**raised, "role": "admin", "amount": "KES 10,500"},
        "dispute_withdrawn": moved,
        "resolved": {**ended, "decision": "split", "percent": 70, "notes": said},
        "admin_released": ended,
        "admin_refunded": {**ended, "role": "buyer", "payout": None},
        "frozen": {**raised},
        "unfrozen": moved,
        "settle_offered": offered,
        "settled": ended,
        "extend_offered": {**moved, "hours": 48, "offer": 8},
        "extended": {**moved, "hours": 48},
        "offer_declined": {**moved, "kind": "settle", "offer": 7},
    }


def _selling_notices(said: str) -> dict[str, dict[str, Any]]:
    deal = {"code": CODE, "description": said, "shop": said}
    asked = {**deal, "gets": "KES 10,000", "due": "KES 10,500"}
    levels = {"shop": said, "sales": 50, "stars": "4.56", "lost": 1}
    return {
        "proposal": asked,
        "proposal_accepted": {**asked, "pay_by": LATER},
        "seller_suspended": {"shop": said, "reason": said},
        "seller_restored": {"shop": said, "codes": [CODE]},
        "level_up": {**levels, "level": "GOLD", "before": "SILVER"},
        "level_down": {**levels, "level": "NEW", "before": "BRONZE", "stars": None},
        "payout_number_changed": {"shop": said, "old": "0712***678", "new": "0733***555"},
    }


def answers(said: str, on: Page) -> dict[str, Markup]:
    """What the bot answers, by the function that says it (and a variant after a colon)."""
    usd = {"currency": Currency.USD, "price": Money(100_00, Currency.USD)}
    usd |= {"fee": Money(1_00, Currency.USD), "due": Money(101_00, Currency.USD)}
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
        "on_the_way": [(kes(500), "254712345678"), (kes(500), "a wallet address")],
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
        "done_already": escape(t.done_already()),
        "number_saved": t.number_saved("254712345678", on),
        "ask_shop_name": t.ask_shop_name(on),
        "wallet": wallet_texts.wallet(wallet, on),
        "wallet:empty": wallet_texts.wallet(
            {"available": [], "held": [], "entries": [], "on_the_way": []}, on
        ),
        "withdraw": wallet_texts.preview(Withdrawal(kes(500), "0712***678", kes(1)), on),
        "withdraw:sent": wallet_texts.sent(BookedPayout(1, None, None, kes(500), "0712***678"), on),
        "withdraw:by_hand": wallet_texts.sent(
            BookedPayout(1, None, None, kes(500), "0712***678", "no_keys"), on
        ),
        "withdraw:later": wallet_texts.sent(
            BookedPayout(1, None, None, kes(500), "0712***678", "", NOW), on
        ),
        "withdraw:later:by_hand": wallet_texts.sent(
            BookedPayout(1, None, None, kes(500), "0712***678", "no_keys", NOW), on
        ),
        "withdraw:suspended": wallet_texts.sent(
            BookedPayout(1, None, None, kes(500), "0712***678", "suspended"), on
        ),
        "withdraw:number": wallet_texts.ask_own_number(on),
        "claim:number": paid_texts.ask_own_number(on),
        "deals": d.deals(rows, {}, on),
        "deals:none": d.deals([], {}, on),
        "which_deal": d.which_deal(),
        "cancelled": d.cancelled(escrow(said), on),
        "cancelled_by_buyer": d.cancelled_by_buyer(
            escrow(said, received=kes(9_800)), escrow(said), on, rings=True
        ),
        "declined": d.declined(escrow(said), on),
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
        "not_open": a.not_open(),
        "deal_card:guest": d.deal_card(view(said, "guest", buyer_telegram_id=None), on),
        "deal_card:usd": d.deal_card(view(said, **usd), on),
        "deal_card:reserved": d.deal_card(view(said, reserved_by_other=True), on),
        "deal_card:choice": d.deal_card(
            view(said, received=kes(9_800), choice_open_until=NOW, choice_id=3), on
        ),
        "deal_card:waits": d.deal_card(view(said, pay_by=None), on),
        "deal_card:rated": d.deal_card(view(said, status=Status.COMPLETED, stars=4), on),
        "ask_proof": shipping_texts.ask_proof(escrow(said, Status.HELD), on),
        "ask_received": shipping_texts.ask_received(escrow(said, Status.HELD), on),
        "ask_received:sent": shipping_texts.ask_received(
            escrow(said, Status.SHIPPED, shipped_at=NOW), on
        ),
        "paid_out": shipping_texts.paid_out(escrow(said, Status.COMPLETED), on),
        "looking": shipping_texts.looking(escrow(said, Status.DELIVERED, release_at=NOW), on),
        "ask_decline": shipping_texts.ask_decline(escrow(said, Status.HELD), on),
        "ask_cancel": shipping_texts.ask_cancel(escrow(said), on),
    }
    for role in ("buyer", "seller"):
        proposed = view(said, role, opened_by=3001, pay_by=None)
        found[f"deal_card:proposal:{role}"] = d.deal_card(proposed, on)
        for raised in ("buyer", "seller"):
            disputed = view(said, role, status=Status.DISPUTED, dispute=dispute(said, raised))
            found[f"deal_card:dispute:{role}:{raised}"] = d.deal_card(disputed, on)
        for status in (Status.SHIPPED, Status.DELIVERED):
            going = view(
                said,
                role,
                status=status,
                release_at=NOW + timedelta(days=7),
                shipped_at=NOW,
                tracking=said,
            )
            found[f"deal_card:running:{status}:{role}"] = d.deal_card(going, on)
    for claim_state in ClaimState:
        found[f"claim:{claim_state}"] = paid_texts.outcome(claim(claim_state), on)
        found["claim_decided:counted"] = paid_texts.decided(claim(ClaimState.DENIED, "counted"), on)
        found[f"claim_decided:{claim_state}"] = paid_texts.decided(claim(claim_state), on)
    for why in ("counted", "used", "unknown", "admin"):
        found[f"claim:denied:{why}"] = paid_texts.outcome(claim(ClaimState.DENIED, why), on)
    found |= talk_answers(said, on)
    found |= payout_samples.answers(on)
    found |= coin_samples.answers(said, on)
    found |= action_samples.answers(said, on)
    found |= pausing_samples.answers(said, on)
    found |= sweep_samples.variants(said, on)
    found |= people_samples.answers(said, on)
    found |= case_samples.answers(said, on)
    found |= receipt_samples.answers(said, on)
    found |= ruled_answers(said, on)
    found |= safe_samples.answers(said, on)
    found |= statement_samples.answers(said, on)
    for status in Status:
        for role in ("buyer", "seller"):
            card = d.deal_card(view(said, role, status=status), on)
            found[f"deal_card:{status}:{role}"] = card
    for state in ReceiptState:
        found[f"receipt_decided:{state}"] = a.receipt_decided(receipt(said, state), on)
    return found


def ruled_answers(said: str, on: Page) -> dict[str, Markup]:
    """What the bot says around disputes, offers and rulings."""
    d, t, r = dispute_texts, settle_texts, ruling_texts
    held = escrow(said, Status.SHIPPED, release_at=NOW + timedelta(days=7))
    shares = divide_split(kes(10_000), kes(500), 70)
    offer = Offer(
        7, CODE, OfferKind.SETTLE, 3, 3001, NOW, shares.seller, shares.buyer, shares.fee, 70
    )
    more = Offer(8, CODE, OfferKind.EXTEND, 3, 3001, NOW, hours=48)
    found = {
        "ask_reason": d.ask_reason(held, on),
        "ask_words": d.ask_words(d.reasons("buyer")[1], on, needed=False),
        "ask_words:needed": d.ask_words("", on, needed=True),
        "dispute_opened": d.opened(CODE, on),
        "ask_withdraw": d.ask_withdraw(held, on),
        "dispute_withdrawn": d.withdrawn(held, on),
        "ask_division": t.ask_division(held, on),
        "ask_other": t.ask_other(held, on),
        "offer_sent": t.sent(offer, "buyer", on),
        "ask_hours": t.ask_hours(held, on),
        "ask_hours:held": t.ask_hours(escrow(said, Status.HELD), on),
        "extension_sent": t.extension_sent(more, on),
        "taken_back": t.taken_back(offer, on),
        "declined_by_me": t.declined_by_me(offer, on),
        "accepted": t.accepted(held, on),
        "frozen": r.frozen(escrow(said, Status.FROZEN), on),
        "unfrozen": r.unfrozen(held, on),
    }
    for role in ("buyer", "seller"):
        found[f"division:{role}"] = t.preview(held, shares, role, on)
    return found


def talk_answers(said: str, on: Page) -> dict[str, Markup]:
    """What the bot says around messages, evidence and help."""
    w = talk_texts
    found = {
        "evidence_done": w.evidence_done(CODE),
        "ask_evidence": w.ask_evidence(CODE),
        "ask_evidence:some": w.ask_evidence(CODE, 3),
        "nothing_to_see": w.nothing_to_see(CODE),
        "file_missing": w.file_missing(),
        "ask_question": w.ask_question(CODE),
        "ask_question:no deal": w.ask_question(""),
        "question_sent": w.question_sent(),
        "words_for_question": w.words_for_question(),
        "stray_file": w.stray_file(),
    }
    for to in ("seller", "buyer"):
        found[f"ask_message:{to}"] = w.ask_message(CODE, to)
        for reachable in (True, False):
            found[f"message_sent:{to}:{reachable}"] = w.message_sent(to, reachable=reachable)
            found[f"answer_sent:{reachable}"] = w.answer_sent(said, reachable=reachable)
    media = Media(MediaKind.PHOTO, "f", "u")
    for purpose in Purpose:
        for who in (2001, 3001):
            one = DealRecord(1, CODE, purpose, who, said, media, NOW)
            all_of_them = DealRecords(escrow(said), [one])
            found[f"record:{purpose}:{who}"] = w.record(one, all_of_them, 1, on)
    for note, digest in (("", b"x" * 32), ("too_large", None), ("gone", None)):
        one = DealRecord(1, CODE, Purpose.EVIDENCE, 3001, said, media, NOW, 1, digest, note)
        found[f"record:{note}"] = w.record(one, DealRecords(escrow(said), [one]), 1, on)
    return found


def selling(said: str, on: Page) -> dict[str, Markup]:
    """What sellers read, and who looks at them."""
    s, r = selling_texts, rating_texts
    quote = Terms().quote(kes(10_000), FeePayer.BUYER)
    page_of = SellerPage(
        seller(said, SellerStatus.VERIFIED),
        Level.GOLD,
        Fraction(47, 10),
        120,
        80,
        Fraction(97, 100),
        1,
        NOW,
    )
    nothing = replace(page_of, average=None, success=None, seller=seller(said))
    rated = Rated(escrow(said), 5, said, LATEST)
    found = {
        "payout number": s.ask_payout_number(on),
        "payout number same": s.payout_number_same(seller(said)),
        "which number": s.which_number("254712345678"),
        "number for deals": s.ask_number_for_deals(on),
        "amount": s.ask_amount(None),
        "amount:shop": s.ask_amount(said),
        "amount:dollars": s.ask_amount(None, dollars=True),
        "amount:dollars first": s.ask_amount(said, Currency.USD, dollars=True),
        "amount:no dollars": s.ask_amount(None, Currency.USD),
        "description": s.ask_description(),
        "fee payer": s.ask_fee_payer(kes(500)),
        "photo": s.ask_photo(),
        "proposal preview": s.proposal_preview(quote, said, said, on),
        "proposal sent": s.proposal_sent(escrow(said), on),
        "link": s.link(escrow(said), "https://t.me/AmanaBot?start=" + CODE, on),
        "page": s.shop_page(page_of, on),
        "page:waits": s.shop_page(nothing, on),
        "page:closed": s.shop_page(replace(page_of, seller=seller(said, _CLOSED)), on),
        "accepted": s.accepted(escrow(said), on),
        "refused": s.refused(escrow(said), on),
        "ask stars": r.ask_stars(escrow(said)),
        "thanks": r.thanks(rated, on),
        "thanks:final": r.thanks(replace(rated, words="", until=NOW), on),
        "ask words": r.ask_words(CODE),
    }
    for payer in FeePayer:
        found[f"preview:{payer}"] = s.preview(
            quote, said, payer, seller(said), on, photo=payer is FeePayer.SELLER
        )
    for level in Level:
        found[f"page:{level}"] = s.shop_page(replace(page_of, level=level), on)
    for status in SellerStatus:
        shop = replace(seller(said, status), suspension_reason=said)
        found[f"shop:{status}"] = s.shop(shop, on)
    return found


LATEST: Final = NOW + timedelta(hours=24)
_CLOSED: Final = SellerStatus.SUSPENDED


def everything(said: str, language: str = "en") -> dict[str, Markup]:
    """Every text there is, by name, as somebody with that language reads it."""
    with speaking(language):
        return _everything(said, page(language=language))


def _everything(said: str, on: Page) -> dict[str, Markup]:
    found = {f"answer {name}": text for name, text in answers(said, on).items()}
    found |= {f"selling {name}": text for name, text in selling(said, on).items()}
    for kind, values in notice_values(said).items():
        found[f"notice {kind}"] = NOTICES[kind](values, on)
    for reason, words in REFUSALS.items():
        found[f"refusal {reason}"] = words(refusal_samples.values(reason, said), on)
    for reason, words in REASONS.items():
        found[f"reason {reason}"] = words({"amount": "KES 10,500", "code": CODE}, on)
    found |= {f"figures {name}": text for name, text in figures_samples.texts(on).items()}
    found |= coin_samples.variants(said, on)
    return found | variant_samples.variants(said, on)
