"""Disputes, deals and cases as admins read them. The same parts make the message and the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from markupsafe import Markup
from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from escrow.bot.admin import paging
from escrow.bot.admin.action_texts import asked
from escrow.bot.admin.paging import TRANSACTIONS, Rows
from escrow.bot.buttons import Button, Verb, pack
from escrow.bot.deal_texts import status_words
from escrow.bot.dispute_texts import division
from escrow.bot.page import (
    Page,
    Plain,
    card,
    clean,
    code,
    deadline,
    lines,
    retold,
    said,
    say,
    speaking,
    when,
    words,
)
from escrow.bot.rating_texts import level_words
from escrow.bot.ruling_texts import age, template
from escrow.bot.selling_texts import one_digit
from escrow.domain import phone
from escrow.domain.actions import Action
from escrow.domain.flow import Event, Status
from escrow.domain.model import Dispute, DisputeStatus, Escrow, ReceiptState, StoredReceipt
from escrow.domain.money import Money
from escrow.domain.payouts import Payout, PayoutState
from escrow.services.cases import Case, Listed, Side
from escrow.services.payout_guards import shown

if TYPE_CHECKING:
    from escrow.store.cases import Entry

_REASON_SHOWN: Final = 60
_LAST: Final = 6
_FLAGS_SHOWN: Final = 3
_NAME_SHOWN: Final = 40
_MOVES_SHOWN: Final = 5
_WORDS_MAX: Final = 3000


# -- /disputed_transactions ----------------------------------------------------------------------


def disputes(
    found: Sequence[tuple[Dispute, Escrow, str]], count: int, page: Page, *, buttons: bool = True
) -> Markup:
    """A page of the open disputes; `buttons`: somebody hears them."""
    if not count:
        return say("No dispute is open.")
    return card(
        page,
        say("<b>Open disputes: {count}</b>", count=count),
        *(_disputed(place, *one, page) for place, one in enumerate(found, 1)),
        Markup(""),
        say("Decide by a button, or type: {form}", form=template("CODE"))
        if buttons
        else say("To decide, type: {form}", form=template("CODE")),
    )


def _disputed(place: int, dispute: Dispute, escrow: Escrow, taken: str, page: Page) -> Markup:
    who = say("the seller") if dispute.raised_role == "seller" else say("the buyer")
    return lines(
        Markup(""),
        say(
            "{place}. {code} <b>{held}</b> · {age} · by {who}",
            place=place,
            code=code(escrow.id),
            held=held(escrow),
            age=age(page.now - dispute.opened_at),
            who=who,
        ),
        say("<b>NO ANSWER</b> from the other side") if is_silent(dispute, page) else None,
        say("{reason}", reason=clean(retold(dispute.reason), _REASON_SHOWN)),
        say("{admin} has it", admin=clean(taken, _NAME_SHOWN)) if taken else say("Nobody has it"),
    )


def dispute_rows(found: Sequence[tuple[Dispute, Escrow, str]]) -> Rows:
    """Each one's case, and the quick ways to end it."""
    return [
        [
            _button(words("{place}: case", place=place), Verb.CASE, escrow.id),
            _button(words("{place}: buyer", place=place), Verb.RESOLVE, escrow.id, 1),
            _button(words("{place}: seller", place=place), Verb.RESOLVE, escrow.id, 2),
            _button(words("{place}: half", place=place), Verb.RESOLVE, escrow.id, 3),
        ]
        for place, (_, escrow, _) in enumerate(found, 1)
    ]


def held(escrow: Escrow) -> Money:
    """Everything that is, or was, held."""
    if escrow.held_price is None or escrow.held_fee is None:
        return escrow.due
    return escrow.held_price + escrow.held_fee


def silence() -> str:
    """Why a silent side loses, as it is kept: everybody reads it in his own language."""
    with speaking("en"):
        return words("The other side did not answer in 48 hours.")


def is_silent(dispute: Dispute, page: Page) -> bool:
    """Whether the other side let its time pass (flow.md 28)."""
    return dispute.is_open and dispute.answered_at is None and dispute.answer_by < page.now


# -- /transactions -------------------------------------------------------------------------------


def counts(found: Mapping[Status, int], page: Page, *, buttons: bool = True) -> Markup:
    """How many deals stand where; those that are over are counted by the dashboard."""
    shown = [
        say("{status}: {count}", status=status_words(status), count=found.get(status, 0))
        for status in Status
        if status not in _OVER
    ]
    choose = (
        say("Choose a list:")
        if buttons
        else say("Like this: <code>{usage}</code>", usage=Plain("/transactions HELD"))
    )
    return card(page, say("<b>Deals under way</b>"), *shown, choose)


_OVER: Final = (Status.COMPLETED, Status.REFUNDED, Status.CANCELLED)


def counts_back() -> InlineKeyboardButton:
    """The way from a list of deals to all of them."""
    return InlineKeyboardButton(words("All statuses"), callback_data=paging.data(TRANSACTIONS, 1))


def count_rows() -> Rows:
    """A button per status."""
    return [
        [InlineKeyboardButton(str(status_words(one)), callback_data=list_data(one))]
        for one in Status
    ]


def transactions(status: Status, found: Sequence[Listed], page: Page) -> Markup:
    """A page of the deals in a status."""
    head = say("<b>Deals: {status}</b>", status=status_words(status))
    if not found:
        return card(page, head, say("There is none."))
    return card(page, head, *(_listed(one, page) for one in found))


def _listed(one: Listed, page: Page) -> Markup:
    escrow = one.escrow
    return lines(
        Markup(""),
        say(
            "{code} <b>{held}</b> · {age}",
            code=code(escrow.id),
            held=held(escrow),
            age=age(page.now - one.since),
        ),
        say("{shop} → {buyer}", shop=escrow.shop_name, buyer=one.buyer)
        if one.buyer
        else say("{shop}, no buyer yet", shop=escrow.shop_name),
        say("{description}", description=clean(escrow.description, _REASON_SHOWN)),
    )


def transaction_rows(found: Sequence[Listed]) -> Rows:
    return [*([case_button(one.escrow.id)] for one in found), [counts_back()]]


# -- /case ---------------------------------------------------------------------------------------


def case(found: Case, page: Page) -> Markup:
    """The message: what to know before deciding."""
    short = replace(
        found, receipts=found.receipts[-_MOVES_SHOWN:], payouts=found.payouts[-_MOVES_SHOWN:]
    )
    shown = found.timeline[-_LAST:]
    left_out = len(found.timeline) - len(shown)
    return card(
        page,
        *deal(found, page),
        *dispute(found, page),
        *(waiting(one, by, page) for one, by in found.waiting),
        Markup(""),
        *money(short, page),
        *(line for side in found.sides for line in (Markup(""), *party(side, _FLAGS_SHOWN))),
        Markup(""),
        say("<b>What happened</b>"),
        say("… {count} more above: see the file", count=left_out) if left_out else None,
        *(entry(one, page, _REASON_SHOWN) for one in shown),
    )


def deal(found: Case, page: Page) -> list[Markup | None]:
    escrow = found.escrow
    return [
        say(
            "<b>{held} · {status}</b>",
            held=held(escrow),
            status=status_words(escrow.status),
        ),
        say("{description}", description=escrow.description),
        say("Deal {code}, opened {when}", code=code(escrow.id), when=when(page, escrow.created_at)),
        say("Price {price} + fee {fee}", price=escrow.price, fee=escrow.fee)
        if escrow.fee_payer == "buyer"
        else say(
            "Price {price}, the buyer pays {due}, fee {fee}",
            price=escrow.price,
            due=escrow.due,
            fee=escrow.fee,
        ),
        _clock(escrow, page),
        say("Tracking: {tracking}", tracking=escrow.tracking) if escrow.tracking else None,
    ]


def _clock(escrow: Escrow, page: Page) -> Markup | None:
    """What happens by itself, and when."""
    if escrow.status is Status.PENDING and escrow.pay_by:
        return say("To be paid by {deadline}", deadline=deadline(page, escrow.pay_by))
    if escrow.status is Status.HELD and escrow.ship_by:
        return say(
            "Back to the buyer, unless sent by {deadline}", deadline=deadline(page, escrow.ship_by)
        )
    if escrow.status in (Status.SHIPPED, Status.DELIVERED) and escrow.release_at:
        return say(
            "By itself the seller is paid on {deadline}",
            deadline=deadline(page, escrow.release_at),
        )
    return None


def waiting(action: Action, by: str, page: Page) -> Markup:
    """What somebody asked for and a second one has to confirm."""
    return lines(
        Markup(""),
        say(
            "<b>{admin} confirmed {form}.</b> It waits for a second admin, or for the host:",
            admin=clean(by, _NAME_SHOWN),
            form=asked(action),
        ),
        say("<code>python main.py approve {id}</code>", id=action.id),
    )


def dispute(found: Case, page: Page) -> list[Markup | None]:
    one = found.dispute
    if one is None:
        return []
    head = (
        say("<b>The seller says:</b> {reason}", reason=retold(one.reason))
        if one.raised_role == "seller"
        else say("<b>The buyer says:</b> {reason}", reason=retold(one.reason))
    )
    return [Markup(""), head, _answer(one, page), _taken(found, page)]


def _answer(one: Dispute, page: Page) -> Markup | None:
    if one.status is DisputeStatus.WITHDRAWN:
        return say("The dispute was withdrawn.")
    if one.answered_at is not None:
        return say("The other side answered {when}.", when=when(page, one.answered_at))
    if not one.is_open:
        return None
    if is_silent(one, page):
        return say("<b>NO ANSWER</b>: the other side let its 48 hours pass.")
    return say("The other side has until {deadline}.", deadline=deadline(page, one.answer_by))


def _taken(found: Case, page: Page) -> Markup | None:
    one = found.dispute
    if one is None or not found.taken_by:
        return None
    if not one.is_open:
        return say("{admin} had it.", admin=clean(found.taken_by, _NAME_SHOWN))
    if found.mine:
        return say("You decide it: {form}", form=template(found.escrow.id))
    return say(
        "{admin} has it since {when} and decides; you can read it.",
        admin=clean(found.taken_by, _NAME_SHOWN),
        when=when(page, one.taken_at or one.opened_at),
    )


def money(found: Case, page: Page) -> list[Markup | None]:
    """What came in, what is held, what went out."""
    names = {
        "received": say("being decided"),
        "holding": say("held for the seller"),
        "pending_fee": say("fee of the open deal"),
        "receivable": say("taken back by M-Pesa and missing"),
    }
    kept = [
        say("{amount} {what}", amount=amount, what=names[kind])
        for kind, amount in found.balances.items()
        if amount
    ]
    shares = found.shares
    over = found.overpaid
    return [
        say("<b>Money</b>"),
        *(_receipt(one, page) for one in found.receipts),
        say("{amount} of it too much: into the buyer's wallet", amount=over) if over else None,
        *kept,
        division(
            {
                "role": "admin",
                "seller": str(shares.seller),
                "buyer": str(shares.buyer),
                "fee": str(shares.fee),
            }
        )
        if shares
        else None,
        *(_payout(one, page) for one in found.payouts),
        None if found.receipts else say("Nothing came in."),
    ]


def _receipt(one: StoredReceipt, page: Page) -> Markup:
    state = {
        ReceiptState.WAITING: say("not confirmed yet"),
        ReceiptState.CREDITED: say("credited"),
        ReceiptState.SUSPENSE: say("in suspense"),
        ReceiptState.RETURNED: say("sent back"),
        ReceiptState.REVERSED: say("reversed"),
        ReceiptState.IGNORED: say("not ours"),
    }[one.state]
    return say(
        "In: {amount} · {reference} · {payer} · {state}, {when}",
        amount=one.amount,
        reference=Plain(one.reference) if one.reference else say("number not known yet"),
        payer=Plain(phone.mask_shown(one.payer_shown) or "–"),
        state=state,
        when=when(page, one.happened_at),
    )


def _payout(one: Payout, page: Page) -> Markup:
    return say(
        "Out: {amount} to {to} · {state}{reference}",
        amount=one.amount,
        to=Plain(shown(one)),
        state=_state(one.state),
        reference=say(" · {receipt}", receipt=Plain(one.provider_reference))
        if one.provider_reference
        else Markup(""),
    )


def _state(state: PayoutState) -> Markup:
    return {
        PayoutState.READY: say("to be sent"),
        PayoutState.SENDING: say("on its way"),
        PayoutState.PAID: say("paid"),
        PayoutState.FAILED: say("not paid, back in the payee's wallet"),
        PayoutState.UNKNOWN: say("nobody can say yet whether it was paid"),
        PayoutState.MANUAL: say("waits for an admin"),
    }[state]


def party(side: Side, flags_max: int) -> list[Markup | None]:
    """A side and its record."""
    person = side.person
    name = clean(person.first_name, _NAME_SHOWN) if person else ""
    number = person.telegram_id if person else None
    record: list[Markup | None]
    if side.seller is not None:
        seller = side.seller
        head = say(
            "<b>Seller {shop}</b> ({name}, {number})",
            shop=clean(seller.seller.shop_name, _NAME_SHOWN),
            name=name,
            number=number,
        )
        record = [
            say(
                "{level} · sales: {sales} · {stars} · disputes lost: {lost}",
                level=level_words(seller.level),
                sales=seller.sales,
                stars=_stars(seller.average, seller.ratings),
                lost=seller.lost,
            ),
            say("Suspended: {reason}", reason=clean(seller.seller.suspension_reason, 100))
            if seller.seller.suspension_reason
            else None,
        ]
    else:
        head = say("<b>Buyer {name}</b> ({number})", name=name, number=number)
        bought = side.buyer
        record = (
            [
                say(
                    "Deals paid: {deals} (completed {completed}, refunded {refunded}, "
                    "disputed {disputed})",
                    deals=bought.deals,
                    completed=bought.completed,
                    refunded=bought.refunded,
                    disputed=bought.disputed,
                )
            ]
            if bought
            else []
        )
    flags = ", ".join(f"{kind} ({severity})" for kind, severity in side.flags[:flags_max])
    return [
        head,
        *record,
        say("Open flags: {flags}", flags=Plain(flags)) if flags else None,
        None if side.reachable else say("The bot can't write to this side: it is blocked there."),
    ]


def _stars(average: Fraction | None, count: int) -> Plain:
    if average is None:
        return Plain(words("no stars yet"))
    return Plain(words("{stars} ★ of {count}", stars=one_digit(average), count=count))


def entry(one: Entry, page: Page, words_max: int) -> Markup:
    """A line of the timeline: when, what, who, and the reason where one was given."""
    reason = one.data.get("reason") or one.data.get("notes")
    second = one.second or one.data.get("second")
    return say(
        "{when} · {event} · {who}{second}{reason}",
        when=when(page, one.at),
        event=event_words(one.event),
        who=_who(one),
        second=say(" with {admin}", admin=clean(str(second), 20)) if second else Markup(""),
        reason=say(": {reason}", reason=said(str(reason), words_max)) if reason else Markup(""),
    )


def _who(one: Entry) -> Markup:
    role = one.actor.partition(":")[0]
    roles = {
        "buyer": say("buyer"),
        "seller": say("seller"),
        "admin": say("admin"),
        "timer": say("by itself"),
        "system": say("Amana"),
        "payment": say("payment"),
        "choice": say("buyer's choice"),
        "parties": say("both sides"),
    }
    word = roles.get(role, say("{role}", role=Plain(role)))
    return say("{word} {name}", word=word, name=clean(one.name, 30)) if one.name else word


def event_words(event: str) -> Plain:
    """What happened, in a word or two."""
    known = {
        "open": words("opened"),
        "join": words("joined"),
        "fund": words("paid, money held"),
        "cancel": words("cancelled"),
        "ship": words("sent"),
        "decline": words("declined by the seller"),
        "deliver": words("received"),
        "release": words("seller paid"),
        "refund": words("buyer refunded"),
        "dispute": words("disputed"),
        "withdraw_dispute": words("dispute withdrawn"),
        "resolve": words("dispute resolved"),
        "settle": words("settled"),
        "freeze": words("frozen"),
        "unfreeze": words("goes on"),
        "extend": words("more time"),
        "manual_release": words("released by an admin"),
        "manual_refund": words("refunded by an admin"),
        "dispute_taken": words("dispute taken"),
        "deadline_moved": words("deadline moved"),
        "reminded": words("reminded"),
        "settle_offered": words("offer to settle"),
        "extend_offered": words("offer of more time"),
        "offer_declined": words("offer declined"),
        "choice_offered": words("paid too little: choice offered"),
        "choice_expired": words("no choice made in time"),
        "payment_assigned": words("payment assigned"),
        "receipt_goes_back": words("payment goes back"),
        "receipt_taken_back": words("payment taken back by M-Pesa"),
    }
    return Plain(known.get(event, event.replace("_", " ")))


# -- buttons -------------------------------------------------------------------------------------


def case_button(deal: str) -> InlineKeyboardButton:
    return _button(words("Case {deal}", deal=deal), Verb.CASE, deal)


def to_case(deal: str) -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup([[case_button(deal)]])


def after_freezing(deal: str) -> InlineKeyboardMarkup:
    thaw = _button(words("Let it go on"), Verb.RULE, deal, 4)
    return InlineKeyboardMarkup([[thaw], [case_button(deal)]])


def list_data(status: Status) -> str:
    """The first page of the deals in a status."""
    return paging.data(f"{TRANSACTIONS} {status}", 1)


def case_rows(found: Case, page: Page) -> Rows:
    """What an admin may do now, most likely first."""
    deal, moves = found.escrow.id, found.moves
    rows: Rows = []
    open_ = found.dispute is not None and found.dispute.is_open
    mine = found.mine or not (open_ and found.taken_by)  # else a command can still overrule
    if mine and Event.RESOLVE in moves:
        if found.dispute is not None and still_silent(found, page):
            rows.append([_proposal(found.dispute, deal)])
        rows += [
            [
                _button(words("All to the buyer"), Verb.RESOLVE, deal, 1),
                _button(words("All to the seller"), Verb.RESOLVE, deal, 2),
            ],
            [_button(words("Half and half"), Verb.RESOLVE, deal, 3)],
        ]
    elif mine and Event.MANUAL_REFUND in moves:
        rows.append(
            [
                _button(words("Refund the buyer"), Verb.RULE, deal, 1),
                _button(words("Pay the seller"), Verb.RULE, deal, 2),
            ]
        )
    if found.records:
        label = words("Evidence and messages ({count})", count=len(found.records))
        rows.append([_button(label, Verb.SEE_EVIDENCE, deal)])
    if Event.FREEZE in moves:
        rows.append([_button(words("Freeze it"), Verb.RULE, deal, 3)])
    if Event.UNFREEZE in moves:
        rows.append([_button(words("Let it go on"), Verb.RULE, deal, 4)])
    rows.append([_button(words("The whole case as a file"), Verb.BUNDLE, deal)])
    return rows


def still_silent(found: Case, page: Page) -> bool:
    """Whether the proposal still holds: nobody answered the dispute that is open now."""
    return found.dispute is not None and is_silent(found.dispute, page)


def _proposal(one: Dispute, deal: str) -> InlineKeyboardButton:
    """A silent side loses, if the admin says so."""
    if one.raised_role == "buyer":
        return _button(words("No answer: refund the buyer"), Verb.RESOLVE, deal, 4)
    return _button(words("No answer: pay the seller"), Verb.RESOLVE, deal, 5)


def _button(label: str, verb: Verb, deal: str, number: int = 0) -> InlineKeyboardButton:
    return InlineKeyboardButton(label, callback_data=pack(Button(verb, deal, number)))


def bundle_caption(found: Case, page: Page) -> Markup:
    stood = when(page, page.now)
    return say("Case {code}, as it stood {when}", code=code(found.escrow.id), when=stood)


def quoted(text: str) -> Markup:
    """All that somebody said, on one line."""
    return said(text, _WORDS_MAX)
