"""Admins decide about sellers: verify, suspend, who waits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from markupsafe import Markup
from telegram import InlineKeyboardButton, Update

from escrow.bot import asking, desk
from escrow.bot.admin import cards, paging, seller_texts
from escrow.bot.admin.guard import Context
from escrow.bot.context import Office
from escrow.bot.desk import Desk
from escrow.bot.page import Page
from escrow.bot.typed import read_row
from escrow.domain.errors import InvalidInput, NotAllowed
from escrow.services.people import Standing

PER_PAGE: Final = 6
Rows = list[list[InlineKeyboardButton]]


async def verify_seller(update: Update, context: Context) -> None:
    """/verify_seller <Telegram id or row>"""
    await _verify(update, context, read_row(context.args or (), "verify_seller"), lift=True)


async def verify_pressed(update: Update, context: Desk) -> None:
    """[Verify X], on the card of a new seller or in the list. A suspension it does not lift: the
    card may be older.
    """
    standing = await _verify(update, context, desk.button(update).number, lift=False)
    if not await _is_card(update, context, standing):
        text, rows, pages = await pending_page(desk.office(context), desk.page(context), 1)
        keyboard = paging.keyboard(PENDING, 1, pages, rows)
        await desk.replace_pressed(update, context, text, keyboard)


async def lift_pressed(update: Update, context: Desk) -> None:
    """[Lift the suspension]"""
    await _verify(update, context, desk.button(update).number, lift=True)
    await desk.strip_buttons(update, context)


async def _verify(update: Update, context: Context, number: int, *, lift: bool) -> Standing:
    people, me, cause = desk.office(context).people, desk.user(update).id, desk.cause(update)
    _, changed = await people.verify_seller(number, me, cause, lift=lift)
    standing = await people.judged_by(number, me)
    first = standing.first_verified
    if first is not None:
        await cards.rewrite(
            context,
            await people.cards_of(standing),
            lambda page: seller_texts.card_verified(standing.seller, first, page),
        )
    text = seller_texts.verified(standing, desk.page(context), cause, changed=changed)
    await desk.answer(update, context, text)
    return standing


async def _is_card(update: Update, context: Desk, standing: Standing) -> bool:
    """Whether what was pressed is a card that says that he waits."""
    query = update.callback_query
    pressed = query.message if query is not None else None
    if pressed is None:
        return True
    place = (pressed.chat.id, pressed.message_id)
    found = await desk.office(context).people.cards_of(standing)
    return place in {(one.chat_id, one.message_id) for one in found}


async def suspend_seller(update: Update, context: Context) -> None:
    """/suspend_seller <Telegram id or row> <reason>"""
    number = read_row(context.args or (), "suspend_seller")
    reason = " ".join((context.args or ())[1:])
    if not reason:
        raise InvalidInput("usage", command="suspend_seller")
    await _suspend(update, context, number, reason)


async def suspend_pressed(update: Update, context: Desk) -> None:
    """[Suspend X…]: why?"""
    office, me = desk.office(context), desk.user(update).id
    standing = await office.people.judged_by(desk.button(update).number, me)
    page = desk.page(context)
    if standing.suspended:
        text = seller_texts.suspended(standing, page, changed=False)
        await desk.answer(update, context, text, seller_texts.lift(standing))
        return
    said = {"seller": standing.seller.id}
    await office.people.set_conversation(me, asking.SUSPEND_REASON, said)
    await desk.answer(update, context, seller_texts.ask_reason(standing, page))


async def reason_typed(update: Update, context: Desk, text: str, said: Mapping[str, Any]) -> None:
    """Why a seller is suspended."""
    if desk.user(update).id not in desk.office(context).admins:
        raise NotAllowed
    await _suspend(update, context, int(said["seller"]), text)
    await asking.end(update, context, asking.SUSPEND_REASON)


async def _suspend(update: Update, context: Context, number: int, reason: str) -> None:
    office, me, cause = desk.office(context), desk.user(update).id, desk.cause(update)
    _, changed = await office.people.suspend_seller(number, me, reason, cause)
    standing = await office.people.judged_by(number, me)
    text = seller_texts.suspended(standing, desk.page(context), changed=changed)
    keyboard = None if office.bare else seller_texts.lift(standing)
    await desk.answer(update, context, text, keyboard)


# -- who waits -----------------------------------------------------------------------------------

PENDING: Final = "pending_sellers"


async def pending_sellers(update: Update, context: Desk) -> None:
    """/pending_sellers [page]: who wants to sell, the oldest first"""
    number = paging.number_of(context.args or (), PENDING)
    await paging.answer(update, context, PENDING, pending_page, number)


async def pending_page(office: Office, page: Page, number: int) -> tuple[Markup, Rows, int]:
    """A page of it: its words, its buttons, how many pages there are."""
    found, count = await office.people.pending_sellers((number - 1) * PER_PAGE, PER_PAGE)
    text = seller_texts.pending(found, count, page)
    return text, seller_texts.pending_rows(found), max(1, -(-count // PER_PAGE))
