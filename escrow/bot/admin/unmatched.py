"""Money that nobody is credited with: the list, assigning it, sending it back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from markupsafe import Markup
from telegram import Update

from escrow.bot import desk
from escrow.bot.admin import confirming, paging, receipt_texts
from escrow.bot.context import Office
from escrow.bot.desk import Desk
from escrow.bot.page import Page
from escrow.domain import codes
from escrow.domain.errors import InvalidInput
from escrow.services.assignments import ASSIGN
from escrow.services.receipts import read_receipt
from escrow.services.reversals import SEND_BACK

PER_PAGE: Final = 4
_FORM: Final = 2


async def unmatched(update: Update, context: Desk) -> None:
    """/unmatched [page]: what nobody is credited with, with likely deals as buttons"""
    args = list(context.args or ())
    confirmed = confirming.number_of(args)
    if confirmed is not None and len(args) > _FORM:
        await confirming.typed(update, context, SEND_BACK, read_receipt(args[0]), confirmed)
        return
    number = paging.number_of(args, "unmatched")
    await paging.answer(update, context, "unmatched", listed, number)


async def listed(office: Office, page: Page, number: int) -> tuple[Markup, receipt_texts.Rows, int]:
    """A page of it: its words, its buttons, how many pages there are."""
    first = (number - 1) * PER_PAGE
    found, count, going_back = await office.receipts.unmatched(first, PER_PAGE)
    text = receipt_texts.unmatched(found, first + 1, count, going_back, page)
    rows = receipt_texts.unmatched_buttons(found, first + 1)
    return text, rows, max(1, -(-count // PER_PAGE))


async def assign_payment(update: Update, context: Desk) -> None:
    """/assign_payment RECEIPT CODE [Telegram id], or RECEIPT and the id alone for his wallet"""
    args = list(context.args or ())
    confirmed = confirming.number_of(args)
    if confirmed is not None:
        target = read_receipt(args[0])
        await confirming.typed(update, context, ASSIGN, target, confirmed)
        return
    if not _FORM <= len(args) <= _FORM + 1:
        raise InvalidInput("usage", command="assign_payment")
    deal, person = _deal_and_person(list(args)[1:])
    params = {"code": deal, "person": person}
    await confirming.ask(update, context, ASSIGN, read_receipt(args[0]), params)


def _deal_and_person(said: Sequence[str]) -> tuple[str, int | None]:
    """`ES1008257624`, `ES1008257624 3001`, `3001`. Ten digits with a right check digit are a deal's
    code before they are somebody's id. `InvalidInput`.
    """
    code = codes.read_code(said[0]) or ""
    named = said[1:] if code else said
    if len(named) > 1 or any(not one.isascii() or not one.isdigit() for one in named):
        raise InvalidInput("usage", command="assign_payment")
    return code, int(named[0]) if named else None


async def assign_pressed(update: Update, context: Desk) -> None:
    """[Assign to ES…]"""
    pressed = desk.button(update)
    number = await desk.office(context).receipts.number_of(pressed.number)
    params = {"code": pressed.deal, "person": None}
    await confirming.ask(update, context, ASSIGN, number, params)


async def send_back_pressed(update: Update, context: Desk) -> None:
    """[Send it back]"""
    number = await desk.office(context).receipts.number_of(desk.button(update).number)
    await confirming.ask(update, context, SEND_BACK, number, {})
