"""Settling without an admin, and more time: one side offers, the other accepts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from telegram import Update

from escrow.bot import asking, desk, settle_texts
from escrow.bot.buttons import Verb
from escrow.bot.deals import with_code
from escrow.bot.desk import Desk
from escrow.bot.divisions import Wish, from_number, read_division, split_code, to_number
from escrow.domain.errors import InvalidInput, NotFound
from escrow.domain.flow import Event
from escrow.domain.model import Escrow
from escrow.domain.money import Money
from escrow.domain.terms import Shares
from escrow.services.dividing import must_allow
from escrow.services.offers import must_extend
from escrow_service import DealView

SETTLE_OTHER: Final = "settle_other"
"""The step in which a division is typed."""
_DELIVERY: Final = 200_00
"""What the preset keeps for the delivery, in minor units."""


async def settle(update: Update, context: Desk) -> None:
    """/settle CODE 70/30, /settle CODE 200; without a division the presets ask for one."""
    typed, said = split_code(context.args or ())
    do = partial(_preview_typed, said=said) if said else _ask
    await with_code(update, context, typed, Verb.SETTLE, do)


async def settle_pressed(update: Update, context: Desk) -> None:
    """[Offer to settle], [Counter]"""
    await _ask(update, context, desk.button(update).deal)


async def _ask(update: Update, context: Desk, typed: str) -> None:
    view = await _mine(update, context, typed, Event.SETTLE)
    text = settle_texts.ask_division(view.escrow, desk.page(context))
    delivery = Money(_DELIVERY, view.escrow.currency)
    await desk.answer(update, context, text, settle_texts.presets(view.escrow, delivery))


async def _mine(update: Update, context: Desk, typed: str, event: Event) -> DealView:
    """One's own deal for which that can be offered now."""
    view = await desk.office(context).escrows.deal(typed, desk.user(update).id)
    if view.role == "guest":
        raise NotFound("no_deal", code=view.escrow.id)
    must_allow(view.escrow, event)
    return view


async def preset(update: Update, context: Desk) -> None:
    """A preset shows who gets exactly what; [Something else] asks for it."""
    button = desk.button(update)
    view = await _mine(update, context, button.deal, Event.SETTLE)
    escrow = view.escrow
    if button.number == settle_texts.OTHER:
        await desk.office(context).people.set_conversation(
            desk.user(update).id, SETTLE_OTHER, {"deal": escrow.id}
        )
        text = settle_texts.ask_other(escrow, desk.page(context))
        await desk.replace_pressed(update, context, text)
        return
    wish = {
        settle_texts.REFUND: Wish(buyer_percent=100),
        settle_texts.REFUND_BUT: Wish(seller_fixed=Money(_DELIVERY, escrow.currency)),
        settle_texts.PAY: Wish(buyer_percent=0),
    }.get(button.number)
    if wish is None:
        raise NotFound("button_gone")
    text = settle_texts.preview(
        escrow, _division(context, escrow, wish), view.role, desk.page(context)
    )
    keyboard = settle_texts.send_buttons(escrow.id, to_number(wish))
    await desk.replace_pressed(update, context, text, keyboard)


async def division_typed(update: Update, context: Desk, text: str, said: Mapping[str, Any]) -> None:
    """The typed division is shown; the step ends when it can be read."""
    await _preview_typed(update, context, said["deal"], text)
    await asking.end(update, context, SETTLE_OTHER)


async def _preview_typed(update: Update, context: Desk, typed: str, said: str) -> None:
    view = await _mine(update, context, typed, Event.SETTLE)
    wish = read_division(said, view.escrow.currency)
    shares = _division(context, view.escrow, wish)
    text = settle_texts.preview(view.escrow, shares, view.role, desk.page(context))
    keyboard = settle_texts.send_buttons(view.escrow.id, to_number(wish))
    await desk.answer(update, context, text, keyboard)


def _division(context: Desk, escrow: Escrow, wish: Wish) -> Shares:
    """Who would get exactly what."""
    return desk.office(context).escrows.preview_division(
        escrow, buyer_percent=wish.buyer_percent, seller_fixed=wish.seller_fixed
    )


async def send(update: Update, context: Desk) -> None:
    """[Send offer]: what was shown goes to the other side."""
    office, me = desk.office(context), desk.user(update).id
    button = desk.button(update)
    view = await _mine(update, context, button.deal, Event.SETTLE)
    wish = from_number(button.number, view.escrow.currency)
    offer = await office.escrows.offer_settlement(
        view.escrow.id,
        me,
        buyer_percent=wish.buyer_percent,
        seller_fixed=wish.seller_fixed,
        cause=desk.cause(update),
    )
    text = settle_texts.sent(offer, view.role, desk.page(context))
    await desk.replace_pressed(update, context, text, settle_texts.take_back(offer))


# -- more time -----------------------------------------------------------------------------------


async def extend(update: Update, context: Desk) -> None:
    """/extend CODE [hours]"""
    typed, said = split_code(context.args or ())
    do = partial(_offer_hours, hours=_hours(said)) if said else _ask_hours
    await with_code(update, context, typed, Verb.EXTEND, do)


def _hours(said: str) -> int:
    if not (said.isascii() and said.isdigit() and len(said) <= 4):
        raise InvalidInput("usage", command="extend")
    return int(said)


async def extend_pressed(update: Update, context: Desk) -> None:
    """[More time]"""
    await _ask_hours(update, context, desk.button(update).deal)


async def _ask_hours(update: Update, context: Desk, typed: str) -> None:
    view = await _mine(update, context, typed, Event.EXTEND)
    must_extend(view.escrow)
    text = settle_texts.ask_hours(view.escrow, desk.page(context))
    await desk.answer(update, context, text, settle_texts.hour_buttons(view.escrow.id))


async def extend_by(update: Update, context: Desk) -> None:
    """[48 hours more]"""
    button = desk.button(update)
    offer = await desk.office(context).escrows.offer_extension(
        button.deal, desk.user(update).id, button.number, desk.cause(update)
    )
    text = settle_texts.extension_sent(offer, desk.page(context))
    await desk.replace_pressed(update, context, text, settle_texts.take_back(offer))


async def _offer_hours(update: Update, context: Desk, typed: str, hours: int) -> None:
    offer = await desk.office(context).escrows.offer_extension(
        typed, desk.user(update).id, hours, desk.cause(update)
    )
    text = settle_texts.extension_sent(offer, desk.page(context))
    await desk.answer(update, context, text, settle_texts.take_back(offer))


# -- the other side ------------------------------------------------------------------------------


async def accept(update: Update, context: Desk) -> None:
    """[Accept]: done at once; the amounts come as notices to both."""
    escrow = await desk.office(context).escrows.accept_offer(
        desk.button(update).number, desk.user(update).id
    )
    text = settle_texts.accepted(escrow, desk.page(context))
    await desk.replace_pressed(update, context, text)
    desk.done(update, context)


async def decline(update: Update, context: Desk) -> None:
    """[Decline], [Take it back]"""
    offer = await desk.office(context).escrows.decline_offer(
        desk.button(update).number, desk.user(update).id
    )
    words = {"withdrawn": settle_texts.taken_back}.get(
        str(offer.closed_as), settle_texts.declined_by_me
    )
    await desk.replace_pressed(update, context, words(offer, desk.page(context)))
    desk.done(update, context)
