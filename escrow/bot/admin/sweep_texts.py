"""What the sweeps say by themselves: outages, payments that do not stand or that nobody claims,
silent sides, a float that will not do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

from markupsafe import Markup
from telegram import InlineKeyboardMarkup

from escrow.bot.admin.pausing_texts import lasted, until_words
from escrow.bot.buttons import Verb
from escrow.bot.dispute_texts import about, button, rows
from escrow.bot.page import Page, Plain, card, code, deadline, moment, retold, say, when, words
from escrow.bot.ruling_texts import template
from escrow.domain.flow import Status

Values = Mapping[str, Any]


# -- outages ---------------------------------------------------------------------------------------


def outage_moved(v: Values, page: Page) -> Markup:
    """To both sides of a deal whose deadline moved."""
    at = moment(v["until"])
    assert at is not None  # noqa: S101 it moved
    head = (
        say("<b>Amana was out of service. That time does not count.</b>")
        if v["source"] == "bot"
        else say("<b>M-Pesa was out of service. That time does not count.</b>")
    )
    return card(
        page,
        head,
        say("{description}, deal {code}.", description=v["description"], code=code(v["code"])),
        until_words(Status(v["status"]), deadline(page, at), buyer=v["role"] == "buyer"),
    )


def _since(v: Values, page: Page) -> Plain:
    return when(page, moment(v["began_at"]) or page.now)


def outage_began(v: Values, page: Page) -> Markup:
    """To the admins: M-Pesa does not answer, and has not for more than an hour."""
    return card(
        page,
        say("<b>M-Pesa does not answer since {when}.</b>", when=_since(v, page)),
        say("Deadlines after that stand still, and move once it answers again."),
    )


def outage_over(v: Values, page: Page) -> Markup:
    """To the admins."""
    length = lasted(timedelta(seconds=v["seconds"]))
    head = (
        say(
            "<b>Amana was out of service for {length}</b>, from {when}.",
            length=length,
            when=_since(v, page),
        )
        if v["source"] == "bot"
        else say(
            "<b>M-Pesa was out of service for {length}</b>, from {when}.",
            length=length,
            when=_since(v, page),
        )
    )
    return card(
        page,
        head,
        say("Deals whose deadline moved: {deals}. Both sides are told.", deals=v["moved"]),
    )


# -- money -----------------------------------------------------------------------------------------


def funding_refused(v: Values, page: Page) -> Markup:
    """To the admins: a payment that was counted does not stand any more."""
    what = (
        say("The deal is frozen, and its buyer is flagged.")
        if v["frozen"]
        else say("The deal is over. Its money may be gone.")
    )
    return card(
        page,
        say(
            "<b>M-Pesa says that a payment of {amount} does not stand.</b>",
            amount=Plain(v["amount"]),
        ),
        say("Receipt {reference}", reference=v["reference"]),
        say("Deal {code}", code=code(v["code"])),
        what,
        say("Look it up in the M-Pesa portal. Nothing is booked yet."),
    )


def unclaimed_back(v: Values, page: Page) -> Markup:
    """To the admins: M-Pesa reverses it."""
    return card(
        page,
        say(
            "<b>Nobody claimed {amount}: it goes back to the payer.</b>", amount=Plain(v["amount"])
        ),
        say("Receipt {reference}", reference=v["receipt"]),
        say("Payer: {payer}", payer=v["payer"]) if v["payer"] else None,
        say("Deal {code}", code=code(v["code"])),
    )


def unclaimed_seller(v: Values, page: Page) -> Markup:
    """To the seller: it was paid under his deal's code, and is not his deal's money."""
    return card(
        page,
        say(
            "<b>{amount} under your deal's code goes back to the payer.</b>",
            amount=Plain(v["amount"]),
        ),
        say("{description}, deal {code}.", description=v["description"], code=code(v["code"])),
        say("Nobody said in time who paid it. Do not send anything for it."),
    )


def float_short(v: Values, page: Page) -> Markup:
    """To the admins, while there is time."""
    at = moment(v["read_at"])
    return card(
        page,
        say(
            "<b>The float will be short of {amount} in the next 24 hours.</b>",
            amount=Plain(v["short"]),
        ),
        say(
            "Due {due}, in the utility account {utility}.",
            due=Plain(v["due"]),
            utility=Plain(v["utility"]),
        ),
        say("As M-Pesa said {when}", when=when(page, at)) if at else say("By the books"),
        say("Top it up, then /book float. Payouts wait until then; nobody loses anything."),
    )


def provider_off(v: Values, page: Page) -> Markup:
    """To the admins: what is at M-Pesa has not been what the books say for a while."""
    amount = Plain(v["off"])
    head, what = (
        (
            say("<b>M-Pesa holds {amount} more than the books say.</b>", amount=amount),
            say("Is a payment missing (/unmatched), or float that was put in (/book float)?"),
        )
        if v["more"]
        else (
            say("<b>M-Pesa holds {amount} less than the books say.</b>", amount=amount),
            say("Is a charge (/book charge) or a withdrawal (/book withdraw) missing?"),
        )
    )
    at = moment(v["read_at"])
    assert at is not None  # noqa: S101 it was read
    return card(
        page,
        head,
        say(
            "M-Pesa said {says} {when}; the books had {books}. What is under way does not explain "
            "it.",
            says=Plain(v["says"]),
            books=Plain(v["books"]),
            when=when(page, at),
        ),
        what,
        say("If not, look it up in the M-Pesa portal, and send /audit."),
    )


# -- disputes --------------------------------------------------------------------------------------


def dispute_silent(v: Values, page: Page) -> Markup:
    """To the admins: the other side let its time pass."""
    head = (
        say("<b>NO ANSWER from the buyer: {amount} is held.</b>", amount=Plain(v["amount"]))
        if v["by"] == "seller"
        else say("<b>NO ANSWER from the seller: {amount} is held.</b>", amount=Plain(v["amount"]))
    )
    return card(
        page,
        head,
        about(v),
        say("Reason: {reason}", reason=retold(v["reason"])),
        say("The time to answer is over. Nothing happens by itself: please decide."),
        template(str(v["code"])),
    )


NOTICES: Final[Mapping[str, Callable[[Values, Page], Markup]]] = {
    "outage_moved": outage_moved,
    "outage_began": outage_began,
    "outage_over": outage_over,
    "funding_refused": funding_refused,
    "unclaimed_back": unclaimed_back,
    "unclaimed_seller": unclaimed_seller,
    "float_short": float_short,
    "provider_off": provider_off,
    "dispute_silent": dispute_silent,
}


def keyboard(kind: str, values: Values) -> InlineKeyboardMarkup | None:
    """The case, and what an admin may propose because of the silence."""
    if kind not in ("dispute_silent", "funding_refused"):
        return None
    deal = str(values["code"])
    case = button(words("Take the case"), Verb.CASE, deal)
    if kind == "funding_refused":
        return rows(case)
    if values["by"] == "buyer":
        return rows(button(words("No answer: refund the buyer"), Verb.RESOLVE, deal, 4), case)
    return rows(button(words("No answer: pay the seller"), Verb.RESOLVE, deal, 5), case)
