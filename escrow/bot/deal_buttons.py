"""The buttons of a deal's card: what one side may do now, read from FLOW; and those of shipping."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from escrow.bot.buttons import Button, Verb, pack
from escrow.bot.fitting import may
from escrow.bot.page import clean, words
from escrow.bot.selling_keyboards import star_row
from escrow.domain import flow
from escrow.domain.flow import Event, Status
from escrow.domain.model import Escrow
from escrow_service import DealView

Rows = list[list[InlineKeyboardButton]]
_SHOP_CHARS: Final = 20


def button(label: str, verb: Verb, deal: str, number: int = 0) -> InlineKeyboardButton:
    return InlineKeyboardButton(label, callback_data=pack(Button(verb, deal, number)))


# -- single ones, as they stand in several places --------------------------------------------------


def _sent(deal: str) -> InlineKeyboardButton:
    return button(words("Sent"), Verb.SENT, deal)


def _received(deal: str) -> InlineKeyboardButton:
    return button(words("Received"), Verb.RECEIVED, deal)


def _in_hand(deal: str) -> InlineKeyboardButton:
    return button(words("I have it"), Verb.RECEIVED, deal)


def _release(deal: str) -> InlineKeyboardButton:
    return button(words("Pay the seller now"), Verb.RELEASE, deal)


def _wrong(deal: str) -> InlineKeyboardButton:
    return button(words("Something is wrong"), Verb.DISPUTE, deal)


def _cant_send(deal: str) -> InlineKeyboardButton:
    return button(words("Can't send it"), Verb.DECLINE_ASK, deal)


def _more_time(deal: str) -> InlineKeyboardButton:
    return button(words("More time"), Verb.EXTEND, deal)


def message_seller(deal: str) -> InlineKeyboardButton:
    return button(words("Message seller"), Verb.MESSAGE, deal)


def message_buyer(deal: str) -> InlineKeyboardButton:
    return button(words("Message buyer"), Verb.MESSAGE, deal)


def _help(deal: str) -> InlineKeyboardButton:
    return button(words("Help"), Verb.HELP_DEAL, deal)


def _settle(deal: str) -> InlineKeyboardButton:
    return button(words("Settle"), Verb.SETTLE, deal)


# -- the card --------------------------------------------------------------------------------------


def rows(view: DealView) -> Rows:
    """Everything but paying, for whoever the card is shown to; a guest can only pay."""
    if view.role == "guest":
        return []
    escrow = view.escrow
    deal = escrow.id
    if escrow.status in flow.FINAL:
        return _finished(view)
    if may(escrow, view.role, Event.CANCEL):
        return _unpaid(view)
    if may(escrow, view.role, Event.WITHDRAW_DISPUTE):
        return _disputed(view)
    found: Rows = []
    if may(escrow, view.role, Event.SHIP):
        found.append([_sent(deal)])
    if may(escrow, view.role, Event.RELEASE):
        found.append([_release(deal)])
    if may(escrow, view.role, Event.DELIVER):
        found.append([_received(deal) if escrow.shipped_at is not None else _in_hand(deal)])
    if may(escrow, view.role, Event.DISPUTE):
        found.append([_wrong(deal)])
    found.append(_talk(view))
    if _wants_time(view):
        found.append([_more_time(deal)])
    if may(escrow, view.role, Event.DECLINE):
        found.append([_cant_send(deal)])
    found.append([_settle(deal), _help(deal)] if _may_settle(view) else [_help(deal)])
    return found


def _talk(view: DealView) -> list[InlineKeyboardButton]:
    deal = view.escrow.id
    return [message_buyer(deal) if view.role == "seller" else message_seller(deal)]


def _may_settle(view: DealView) -> bool:
    return may(view.escrow, view.role, Event.SETTLE)


def _wants_time(view: DealView) -> bool:
    """Whether this side's own time is running, and was not extended before: to send it, or to say
    that it came.
    """
    escrow = view.escrow
    if escrow.extended_at is not None or not may(escrow, view.role, Event.EXTEND):
        return False
    return (view.role == "seller") == may(escrow, "seller", Event.SHIP)


def is_proposal(escrow: Escrow) -> bool:
    """Whether a buyer opened it and its seller has not accepted it."""
    return escrow.opened_by != escrow.seller_telegram_id and escrow.joined_at is None


def _unpaid(view: DealView) -> Rows:
    escrow, deal = view.escrow, view.escrow.id
    if is_proposal(escrow) and view.role == "seller":
        accept = button(words("Accept"), Verb.ACCEPT, deal)
        return [
            [accept, button(words("Refuse"), Verb.REFUSE, deal)],
            [message_buyer(deal)],
            [_help(deal)],
        ]
    found: Rows = []
    if view.role == "seller" and escrow.buyer_telegram_id is None:
        found.append([button(words("Share the link"), Verb.SHARE_DEAL, deal)])
    if escrow.buyer_telegram_id is not None:
        found.append(_talk(view))
    return [
        *found,
        [button(words("Cancel the deal"), Verb.CANCEL_ASK, deal)],
        [_help(deal)],
    ]


def _disputed(view: DealView) -> Rows:
    deal, dispute = view.escrow.id, view.dispute
    found = [
        [button(words("Add evidence"), Verb.EVIDENCE, deal)],
        [button(words("See evidence"), Verb.SEE_EVIDENCE, deal)],
        [button(words("Offer to settle"), Verb.SETTLE, deal)],
    ]
    if dispute is not None and dispute.raised_role == view.role and not view.withdrawn:
        found.append([button(words("Withdraw the dispute"), Verb.WITHDRAW_ASK, deal)])
    return [*found, _talk(view), [_help(deal)]]


def _finished(view: DealView) -> Rows:
    deal = view.escrow.id
    again = [button(words("Same again"), Verb.AGAIN, deal)]
    if view.escrow.held_price is None:
        return [again, [_help(deal)]]
    stars = [star_row(deal)] if view.role == "buyer" and view.may_rate else []
    return [*stars, again, _talk(view), [_help(deal)]]


# -- questions and notices ------------------------------------------------------------------------


def _markup(*found: list[InlineKeyboardButton]) -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup(list(found))


def back(deal: str) -> InlineKeyboardMarkup:
    return _markup([button(words("Back"), Verb.BACK, deal)])


def pay_seller(escrow: Escrow) -> InlineKeyboardMarkup:
    """Yes says what it was asked about: pressed twice, it does not end the time to look, too."""
    shop = clean(escrow.shop_name, _SHOP_CHARS)
    yes = Verb.RELEASE_YES if escrow.status is Status.DELIVERED else Verb.RECEIVED_YES
    return _markup(
        [button(words("Yes, pay {shop}", shop=shop), yes, escrow.id)],
        [button(words("Not yet"), Verb.BACK, escrow.id)],
    )


def give_back(deal: str) -> InlineKeyboardMarkup:
    return _markup(
        [button(words("Yes, give it back"), Verb.DECLINE, deal)],
        [button(words("No, back to the deal"), Verb.BACK, deal)],
    )


def cancel(deal: str) -> InlineKeyboardMarkup:
    return _markup(
        [button(words("Yes, cancel it"), Verb.CANCEL, deal)],
        [button(words("No, back to the deal"), Verb.BACK, deal)],
    )


def stars(deal: str) -> InlineKeyboardMarkup:
    return _markup(star_row(deal))


def looking(deal: str) -> InlineKeyboardMarkup:
    """While the buyer looks at what came."""
    return _markup([_release(deal)], [_wrong(deal)], [message_seller(deal)])


_NOTICES: Final = {
    "held": lambda deal: _markup([_sent(deal)], [_cant_send(deal)], [message_buyer(deal)]),
    "funded": lambda deal: _markup([_in_hand(deal)], [message_seller(deal)]),
    "shipped": lambda deal: _markup([_received(deal)], [_wrong(deal)], [message_seller(deal)]),
    "delivered": lambda deal: _markup([message_buyer(deal)]),
    "auto_released_buyer": lambda deal: _markup(star_row(deal), [_help(deal)]),
    "auto_refunded": lambda deal: _markup(star_row(deal)),
    "auto_refunded_seller": lambda deal: _markup([message_buyer(deal)], [_help(deal)]),
    "remind_ship": lambda deal: _markup(
        [_sent(deal)], [_more_time(deal)], [_cant_send(deal)], [message_buyer(deal)]
    ),
    "remind_confirm": lambda deal: _markup(
        [_received(deal)], [_wrong(deal)], [_more_time(deal)], [message_seller(deal)]
    ),
}
_NOTICES.update(
    held_less=_NOTICES["held"],
    funded_over=_NOTICES["funded"],
    funded_short=_NOTICES["funded"],
    funded_partial=_NOTICES["funded"],
)


def for_notice(kind: str, values: Mapping[str, Any]) -> InlineKeyboardMarkup | None:
    """The buttons of a notice on a deal's way from paid to paid out."""
    made = _NOTICES.get(kind)
    return made(str(values["code"])) if made else None
