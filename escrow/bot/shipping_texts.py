"""Shipping and receiving in words: questions, results, notices, and the reminders' texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from markupsafe import Markup

from escrow.bot.deal_steps import tracking
from escrow.bot.page import Page, Plain, card, code, deadline, lines, moment, say, when
from escrow.bot.payout_texts import way
from escrow.domain.flow import Status
from escrow.domain.model import Escrow
from escrow.services.endings import whole

Values = Mapping[str, Any]
Render = Callable[[Values, Page], Markup]


# -- questions and results -------------------------------------------------------------------------


def ask_proof(escrow: Escrow, page: Page) -> Markup:
    return card(
        page,
        say("<b>Send me a photo of the waybill, or type the tracking number.</b>"),
        say("{description}, deal {code}", description=escrow.description, code=code(escrow.id)),
        say("The buyer sees it at once. By rider or bus: a name, number plate or ticket will do."),
    )


def ask_received(escrow: Escrow, page: Page) -> Markup:
    """`held_price` is what the seller gets."""
    return card(
        page,
        say(
            "<b>Pay {amount} to {shop}?</b>",
            amount=escrow.held_price,
            shop=escrow.shop_name,
        ),
        say("{description}, deal {code}", description=escrow.description, code=code(escrow.id)),
        None
        if escrow.shipped_at is not None
        else say("The seller has not said that it was sent. Was it handed to you in person?"),
        say("Only with the item in your hands. It can't be undone."),
    )


def paid_out(escrow: Escrow, page: Page) -> Markup:
    """The buyer's Yes is done. Stars stand below it."""
    return card(
        page,
        say("<b>Done: {amount} for {shop}.</b>", amount=escrow.held_price, shop=escrow.shop_name),
        say("{description}, deal {code}", description=escrow.description, code=code(escrow.id)),
        say("How was it?"),
    )


def looking(escrow: Escrow, page: Page) -> Markup:
    """The buyer has it and may look at it first."""
    over = escrow.release_at or page.now
    return card(
        page,
        say(
            "<b>{amount} stays held while you look at it.</b>",
            amount=escrow.held_price,
        ),
        say("{description}, deal {code}", description=escrow.description, code=code(escrow.id)),
        say(
            "{shop} is paid on {deadline}. Something is wrong? Say so before.",
            shop=escrow.shop_name,
            deadline=deadline(page, over),
        ),
    )


def ask_decline(escrow: Escrow, page: Page) -> Markup:
    return card(
        page,
        say("<b>Give {amount} back to the buyer?</b>", amount=whole(escrow)),
        say("{description}, deal {code}", description=escrow.description, code=code(escrow.id)),
        say("The deal is over then. It can't be undone."),
    )


def ask_cancel(escrow: Escrow, page: Page) -> Markup:
    return card(
        page,
        say("<b>Cancel the deal of {amount}?</b>", amount=escrow.due),
        say("{description}, deal {code}", description=escrow.description, code=code(escrow.id)),
        say("What was paid for it goes to the buyer's wallet."),
    )


# -- notices ---------------------------------------------------------------------------------------


def about(v: Values) -> Markup:
    return say("{description}, deal {code}", description=v["description"], code=code(v["code"]))


def payout_line(v: Values, page: Page) -> Markup:
    """Where the money of an end is: on its way to a number, or in the wallet."""
    payout = v.get("payout")
    if payout:
        return way(payout, page)
    return say("It is in your wallet: /wallet")


def _by(page: Page, stored: object) -> Markup:
    at = moment(stored)
    return deadline(page, at) if at else say("the deal ends")


def shipped(v: Values, page: Page) -> Markup:
    """To the buyer; the proof's photo stands above it."""
    at = moment(v.get("shipped_at"))
    return card(
        page,
        say(
            "<b>{shop} sent it. Your {amount} stays held.</b>",
            shop=v["shop"],
            amount=Plain(v["amount"]),
        ),
        about(v),
        say("Sent on {when}.", when=when(page, at)) if at else None,
        tracking(v.get("tracking")),
        say("Press “Received” only with the item in your hands."),
        say(
            "Nothing came, or something is wrong? Say so before {deadline}.",
            deadline=_by(page, v["release_at"]),
        ),
        say("After that the seller is paid."),
    )


def delivered(v: Values, page: Page) -> Markup:
    """To the seller, while the buyer looks at it."""
    return card(
        page,
        say("<b>{gets}: the buyer has the item and looks at it.</b>", gets=Plain(v["gets"])),
        about(v),
        say(
            "You are paid on {deadline}, unless something is wrong.",
            deadline=_by(page, v["release_at"]),
        ),
    )


def released(v: Values, page: Page) -> Markup:
    return card(
        page,
        say("<b>{gets} is yours: the buyer has the item.</b>", gets=Plain(v["gets"])),
        about(v),
        payout_line(v, page),
    )


def auto_released(v: Values, page: Page) -> Markup:
    return card(
        page,
        say("<b>{gets} is yours: the buyer's time is over.</b>", gets=Plain(v["gets"])),
        about(v),
        payout_line(v, page),
    )


def auto_released_buyer(v: Values, page: Page) -> Markup:
    return card(
        page,
        say(
            "<b>{gets} was paid to {shop}: your time to object is over.</b>",
            gets=Plain(v["gets"]),
            shop=v["shop"],
        ),
        about(v),
        say("How was it? If something is wrong, press Help."),
    )


def auto_refunded(v: Values, page: Page) -> Markup:
    return card(
        page,
        say(
            "<b>{returned} is yours again: {shop} did not send it in time.</b>",
            returned=Plain(v["returned"]),
            shop=v["shop"],
        ),
        about(v),
        payout_line(v, page),
    )


def auto_refunded_seller(v: Values, page: Page) -> Markup:
    return card(
        page,
        say(
            "<b>{returned} went back to the buyer: it was not sent in time.</b>",
            returned=Plain(v["returned"]),
        ),
        about(v),
        say("Please send nothing for it any more."),
    )


def declined(v: Values, page: Page) -> Markup:
    return card(
        page,
        say(
            "<b>{returned} is back: {shop} declined.</b>",
            returned=Plain(v["returned"]),
            shop=v["shop"],
        ),
        about(v),
        payout_line(v, page),
    )


def remind_ship(v: Values, page: Page) -> Markup:
    return card(
        page,
        say("<b>{gets} waits for you: please send it.</b>", gets=Plain(v["gets"])),
        about(v),
        say(
            "Not sent by {deadline}, the money goes back to the buyer.",
            deadline=_by(page, v["ship_by"]),
        ),
        say("Sent already? Press “Sent”. You can write to the buyer below."),
    )


def remind_confirm(v: Values, page: Page) -> Markup:
    return card(
        page,
        say("<b>{amount}: did it come?</b>", amount=Plain(v["amount"])),
        about(v),
        say(
            "{shop} is paid on {deadline}, unless you say that something is wrong.",
            shop=v["shop"],
            deadline=_by(page, v["release_at"]),
        ),
        say(
            "Press “Received” only with the item in your hands. You can write to the seller below."
        ),
    )


NOTICES: Final[Mapping[str, Render]] = {
    "shipped": shipped,
    "delivered": delivered,
    "released": released,
    "auto_released": auto_released,
    "auto_released_buyer": auto_released_buyer,
    "auto_refunded": auto_refunded,
    "auto_refunded_seller": auto_refunded_seller,
    "declined": declined,
    "remind_ship": remind_ship,
    "remind_confirm": remind_confirm,
}


# -- refusals --------------------------------------------------------------------------------------


def illegal_move(v: Values, page: Page) -> Markup:
    if v.get("status") == Status.FROZEN:
        return say("An admin has stopped this deal: nothing can be done until he lets it go on.")
    return lines(say("The deal is past that point. /deal shows where it stands."), _why(v))


def _why(v: Values) -> Markup | None:
    """Where it stands, for whoever was too late."""
    found: dict[str, Markup] = {
        Status.SHIPPED: say("It is on its way."),
        Status.DELIVERED: say("The buyer has it already."),
        Status.DISPUTED: say("It is in dispute."),
        Status.COMPLETED: say("It is done."),
        Status.REFUNDED: say("It is over: the buyer has the money back."),
        Status.CANCELLED: say("It was cancelled."),
    }
    return found.get(str(v.get("status")))


def no_proof(v: Values, page: Page) -> Markup:
    return say(
        "The buyer needs to see that it was sent: a photo of the waybill, or the tracking number."
    )


def tracking_(v: Values, page: Page) -> Markup:
    return say(
        "That has {length} characters; {maximum} is the limit.",
        length=v["length"],
        maximum=v["maximum"],
    )


def tracking_number(v: Values, page: Page) -> Markup:
    return say(
        "I wait for the proof that it was sent, and see no number in that. Send a photo of the "
        "waybill or the tracking number; /cancel leaves this question."
    )


REFUSALS: Final[Mapping[str, Render]] = {
    "illegal_move": illegal_move,
    "no_proof": no_proof,
    "tracking": tracking_,
    "tracking_number": tracking_number,
}
