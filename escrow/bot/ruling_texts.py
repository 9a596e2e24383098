"""Disputes and rulings in words for admins: the card of a new dispute, the list, what a command
did.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from markupsafe import Markup
from telegram import InlineKeyboardMarkup

from escrow.bot.buttons import Verb
from escrow.bot.deal_texts import status_words
from escrow.bot.dispute_texts import about, button, division, rows
from escrow.bot.page import Page, Plain, card, clean, code, deadline, moment, retold, say, words
from escrow.bot.payout_texts import way
from escrow.domain.model import Dispute, Escrow, Seller
from escrow.services.dividing import Ended
from escrow.services.endings import payout_values

Values = Mapping[str, Any]
_SHOWN: Final = 8
_REASON_SHOWN: Final = 60


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
        button(words("I take it"), Verb.TAKE_DISPUTE, deal),
        button(words("See the evidence"), Verb.SEE_EVIDENCE, deal),
    )


def taken(dispute: Dispute, page: Page) -> Markup:
    return card(
        page,
        say("<b>You decide the dispute on deal {code}.</b>", code=code(dispute.escrow_id)),
        say("Reason: {reason}", reason=retold(dispute.reason)),
        say("buyer, seller, split or split:70 (70 % for the buyer):"),
        template(dispute.escrow_id),
    )


def disputes(listed: Sequence[tuple[Dispute, Escrow]], count: int, page: Page) -> Markup:
    """Open disputes, those with a silent other side first."""
    if not count:
        return say("No dispute is open.")
    more = count - min(len(listed), _SHOWN)
    return card(
        page,
        say("<b>Open disputes: {count}</b>", count=count),
        *(_listed(dispute, escrow, page) for dispute, escrow in listed[:_SHOWN]),
        say("and {more} more", more=more) if more else None,
        say("<code>/resolve_dispute CODE split:50 your reason</code>"),
    )


def _listed(dispute: Dispute, escrow: Escrow, page: Page) -> Markup:
    held = (
        escrow.held_price + escrow.held_fee
        if escrow.held_price is not None and escrow.held_fee is not None
        else escrow.due
    )
    values: dict[str, Any] = {
        "code": code(escrow.id),
        "held": held,
        "age": age(page.now - dispute.opened_at),
        "reason": clean(retold(dispute.reason), _REASON_SHOWN),
    }
    if dispute.answered_at is None and dispute.answer_by < page.now:
        return say("{code} {held} · {age} · NO ANSWER · {reason}", **values)
    return say("{code} {held} · {age} · {reason}", **values)


def age(since: timedelta) -> Plain:
    """How long that is: `5 h`, `3 d`."""
    hours = int(since.total_seconds() // 3600)
    if hours < 48:
        return Plain(words("{hours} h", hours=hours))
    return Plain(words("{days} d", days=hours // 24))


def ended(done: Ended, page: Page) -> Markup:
    """Who got exactly what."""
    values = {
        "role": "admin",
        "seller": str(done.shares.seller),
        "buyer": str(done.shares.buyer),
        "fee": str(done.shares.fee),
    }
    payouts = [way(payout_values(one) or {}, page) for one in done.payouts.values()]
    return card(
        page,
        say(
            "<b>Deal {code} is {status}.</b>",
            code=code(done.escrow.id),
            status=status_words(done.escrow.status),
        ),
        division(values),
        *payouts,
        say("Both sides are told."),
    )


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


def suspended(seller: Seller, page: Page, *, changed: bool) -> Markup:
    if not changed:
        return say("{shop} was suspended before. Nothing changed.", shop=seller.shop_name)
    return card(
        page,
        say("<b>{shop} is suspended</b> and was told why.", shop=seller.shop_name),
        say("Funded deals go on; unpaid ones can't be paid. /verify_seller lifts it."),
    )
