"""Offers in words: a division before it is sent, what the other side reads, what became of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from markupsafe import Markup
from telegram import InlineKeyboardMarkup

from escrow.bot.buttons import Verb
from escrow.bot.dispute_texts import about, button, division, mine, rows, where
from escrow.bot.page import Page, card, code, deadline, moment, say, words
from escrow.domain.flow import Status
from escrow.domain.model import Escrow, Offer
from escrow.domain.money import Money
from escrow.domain.terms import Shares

Values = Mapping[str, Any]
Render = Callable[[Values, Page], Markup]

REFUND, REFUND_BUT, PAY, OTHER = 1, 2, 3, 4
"""The presets."""
HOURS: Final = (24, 48, 72)


# -- offering ------------------------------------------------------------------------------------


def ask_division(escrow: Escrow, page: Page) -> Markup:
    return card(
        page,
        say("<b>How shall the money of deal {code} be divided?</b>", code=code(escrow.id)),
        say("{description}", description=escrow.description),
        say("You see the exact amounts before anything is sent."),
        say("The other side has to accept; then it is done at once."),
    )


def presets(escrow: Escrow, delivery: Money) -> InlineKeyboardMarkup:
    buttons = [button(words("Full refund"), Verb.SETTLE_PRESET, escrow.id, REFUND)]
    if escrow.held_price is not None and delivery < escrow.held_price:
        label = words("Refund, but {amount} for delivery", amount=delivery)
        buttons.append(button(label, Verb.SETTLE_PRESET, escrow.id, REFUND_BUT))
    return rows(
        *buttons,
        button(words("Pay the seller"), Verb.SETTLE_PRESET, escrow.id, PAY),
        button(words("Something else"), Verb.SETTLE_PRESET, escrow.id, OTHER),
    )


def ask_other(escrow: Escrow, page: Page) -> Markup:
    return card(
        page,
        say("<b>Type how it is divided.</b>"),
        say("<code>70/30</code>: 70 % for the buyer, 30 % for the seller."),
        say("Or only an amount, like <code>200</code>: that is what the seller gets."),
        say("Deal {code}. To leave it: /cancel", code=code(escrow.id)),
    )


def _shown(shares: Shares, role: str) -> dict[str, Any]:
    parts = {"seller": str(shares.seller), "buyer": str(shares.buyer), "fee": str(shares.fee)}
    return {**parts, "role": role}


def preview(escrow: Escrow, shares: Shares, role: str, page: Page) -> Markup:
    values = _shown(shares, role)
    return card(
        page,
        say("<b>Your offer: you get {amount}.</b>", amount=mine(values)),
        division(values),
        say("{description}", description=escrow.description),
        say("Deal {code}. Nothing is sent yet.", code=code(escrow.id)),
    )


def send_buttons(deal: str, number: int) -> InlineKeyboardMarkup:
    return rows(
        button(words("Send offer"), Verb.SETTLE_SEND, deal, number),
        button(words("Other division"), Verb.SETTLE, deal),
    )


def sent(offer: Offer, role: str, page: Page) -> Markup:
    """In place of the preview: the offer is with the other side."""
    assert offer.seller is not None and offer.buyer is not None  # noqa: S101, PT018 a settlement
    assert offer.fee is not None  # noqa: S101
    values = _shown(Shares(offer.seller, offer.buyer, offer.fee), role)
    return card(
        page,
        say("<b>Offer sent: you get {amount}.</b>", amount=mine(values)),
        division(values),
        say("Deal {code}. I write when the other side answers.", code=code(offer.escrow_id)),
    )


def take_back(offer: Offer) -> InlineKeyboardMarkup:
    label = words("Take it back")
    return rows(button(label, Verb.DECLINE_OFFER, offer.escrow_id, offer.id))


def ask_hours(escrow: Escrow, page: Page) -> Markup:
    what = (
        say("<b>How much more time to send it?</b>")
        if escrow.status is Status.HELD
        else say("<b>How much more time until the seller is paid?</b>")
    )
    return card(
        page,
        what,
        say("Deal {code}. The other side has to accept. Works once.", code=code(escrow.id)),
    )


def hour_buttons(deal: str) -> InlineKeyboardMarkup:
    return rows(
        *(
            button(words("{hours} hours more", hours=hours), Verb.EXTEND_BY, deal, hours)
            for hours in HOURS
        )
    )


def extension_sent(offer: Offer, page: Page) -> Markup:
    return card(
        page,
        say("<b>Asked for {hours} hours more.</b>", hours=offer.hours),
        say("Deal {code}. I write when the other side answers.", code=code(offer.escrow_id)),
    )


def taken_back(offer: Offer, page: Page) -> Markup:
    return card(page, say("Your offer on deal {code} is taken back.", code=code(offer.escrow_id)))


def declined_by_me(offer: Offer, page: Page) -> Markup:
    return card(page, say("You declined the offer on deal {code}.", code=code(offer.escrow_id)))


def accepted(escrow: Escrow, page: Page) -> Markup:
    """In place of the offer; the amounts come in a message of their own."""
    return card(page, say("You accepted the offer on deal {code}.", code=code(escrow.id)))


# -- notices -------------------------------------------------------------------------------------


def _offerer(v: Values) -> Markup:
    if v["by"] == "seller":
        return say("The seller offers this.")
    return say("The buyer offers this.")


def settle_offered(v: Values, page: Page) -> Markup:
    return card(
        page,
        say("<b>An offer to settle: you get {amount}.</b>", amount=mine(v)),
        division(v),
        about(v),
        _offerer(v),
        say("Accept, and it is done at once. It can't be undone."),
    )


def settled(v: Values, page: Page) -> Markup:
    return card(
        page,
        say("<b>Settled: you get {amount}.</b>", amount=mine(v)),
        about(v),
        division(v),
        where(v, page),
    )


def extend_offered(v: Values, page: Page) -> Markup:
    return card(
        page,
        say("<b>{hours} hours more?</b>", hours=v["hours"]),
        about(v),
        say("The seller asks for more time.")
        if v["by"] == "seller"
        else say("The buyer asks for more time."),
        _new_clock(v, page),
    )


def extended(v: Values, page: Page) -> Markup:
    return card(
        page,
        say("<b>{hours} hours more are agreed.</b>", hours=v["hours"]),
        about(v),
        _new_clock(v, page),
    )


def _new_clock(v: Values, page: Page) -> Markup | None:
    at = moment(v.get("until"))
    if at is None:
        return None
    if v["status"] == Status.HELD:
        return say("The seller then sends it by {deadline}.", deadline=deadline(page, at))
    return say("The seller is then paid on {deadline}.", deadline=deadline(page, at))


def offer_declined(v: Values, page: Page) -> Markup:
    head = (
        say("<b>Your offer was declined.</b>")
        if v["kind"] == "settle"
        else say("<b>More time was declined.</b>")
    )
    return card(page, head, about(v), say("The deal stands as before."))


NOTICES: Final[Mapping[str, Render]] = {
    "settle_offered": settle_offered,
    "settled": settled,
    "extend_offered": extend_offered,
    "extended": extended,
    "offer_declined": offer_declined,
}


def keyboard(kind: str, values: Values) -> InlineKeyboardMarkup | None:
    """The buttons of these notices."""
    deal = str(values["code"])
    if kind in ("settle_offered", "extend_offered"):
        number = int(values["offer"])
        buttons = [
            button(words("Accept"), Verb.ACCEPT_OFFER, deal, number),
            button(words("Decline"), Verb.DECLINE_OFFER, deal, number),
        ]
        if kind == "settle_offered":
            buttons.append(button(words("Counter"), Verb.SETTLE, deal))
        return rows(*buttons)
    if kind in ("extended", "offer_declined"):
        return rows(button(words("Show the deal"), Verb.SHOW, deal))
    return None


# -- refusals ------------------------------------------------------------------------------------


def offer_gone(v: Values, page: Page) -> Markup:
    return say("This offer no longer stands: the deal changed, or it was closed. See /deals")


def own_offer(v: Values, page: Page) -> Markup:
    return say("That is your own offer: the other side has to accept it.")


def division_(v: Values, page: Page) -> Markup:
    return say("Like this: 70/30 (buyer/seller, together 100), or the amount the seller gets: 200")


def division_amount(v: Values, page: Page) -> Markup:
    return say("The seller can get {maximum} at most here.", maximum=v["maximum"])


def extend_hours(v: Values, page: Page) -> Markup:
    return say("More time is 1 to {maximum} hours.", maximum=v["maximum"])


def extended_before(v: Values, page: Page) -> Markup:
    return say("This deal had more time before; that works once.")


def too_many_offers(v: Values, page: Page) -> Markup:
    return say(
        "You made {limit} offers on this deal in a day. You can offer again tomorrow.",
        limit=v["limit"],
    )


REFUSALS: Final[Mapping[str, Render]] = {
    "too_many_offers": too_many_offers,
    "offer_gone": offer_gone,
    "own_offer": own_offer,
    "division": division_,
    "division_amount": division_amount,
    "extend_hours": extend_hours,
    "extended_before": extended_before,
}
