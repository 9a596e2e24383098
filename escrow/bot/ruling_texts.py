"""Disputes and rulings in words for admins: the card of a new dispute, the list, what a command
did.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

from markupsafe import Markup
from telegram import InlineKeyboardMarkup

from escrow.bot.buttons import Verb
from escrow.bot.deal_texts import status_words
from escrow.bot.dispute_texts import about, button, rows
from escrow.bot.page import Page, Plain, card, code, deadline, moment, retold, say, words
from escrow.domain.model import Escrow

Values = Mapping[str, Any]


def dispute_admin(v: Values, page: Page) -> Markup:
    head = (
        say("<b>The seller disputes: {amount} is held.</b>", amount=Plain(v["amount"]))
        if v["by"] == "seller"
        else say("<b>The buyer disputes: {amount} is held.</b>", amount=Plain(v["amount"]))
    )
    return card(
        page,
        head,
        about(v),
        say("Seller {shop}", shop=v["shop"]),
        say("Reason: {reason}", reason=retold(v["reason"])),
        say(
            "The other side was asked to answer by {deadline}.",
            deadline=deadline(page, moment(v["answer_by"]) or page.now),
        ),
        template(str(v["code"])),
    )


def template(deal: str) -> Markup:
    """The command to copy."""
    return say("<code>/resolve_dispute {deal} split:50 your reason</code>", deal=Plain(deal))


NOTICES: Final[Mapping[str, Callable[[Values, Page], Markup]]] = {"dispute_admin": dispute_admin}


def keyboard(kind: str, values: Values) -> InlineKeyboardMarkup:
    deal = str(values["code"])
    return rows(
        button(words("Take the case"), Verb.CASE, deal),
        button(words("See the evidence"), Verb.SEE_EVIDENCE, deal),
    )


def age(since: timedelta) -> Plain:
    """How long that is: `5 h`, `3 d`."""
    hours = int(since.total_seconds() // 3600)
    if hours < 48:
        return Plain(words("{hours} h", hours=hours))
    return Plain(words("{days} d", days=hours // 24))


def frozen(escrow: Escrow, page: Page) -> Markup:
    return card(
        page,
        say("<b>Deal {code} is frozen.</b>", code=code(escrow.id)),
        say("Nothing happens to it until an admin acts. Both sides are told."),
        say("<code>/unfreeze_transaction {deal}</code>", deal=Plain(escrow.id)),
    )


def unfrozen(escrow: Escrow, page: Page) -> Markup:
    return card(
        page,
        say(
            "<b>Deal {code} goes on: {status}.</b>",
            code=code(escrow.id),
            status=status_words(escrow.status),
        ),
        say("Both sides are told."),
    )
