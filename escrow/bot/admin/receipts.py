"""One receipt: everything about it, and reversing it."""

from __future__ import annotations

from telegram import InlineKeyboardMarkup, Update

from escrow.bot import desk
from escrow.bot.admin import confirming, receipt_texts
from escrow.bot.desk import Desk
from escrow.domain.errors import InvalidInput
from escrow.services.receipts import read_receipt
from escrow.services.reversals import REVERSE


async def receipt(update: Update, context: Desk) -> None:
    """/receipt RECEIPT: what it is and what can be done; `reverse` and a reason sends it back"""
    args = list(context.args or ())
    if not args:
        raise InvalidInput("usage", command="receipt")
    number, confirmed = read_receipt(args[0]), confirming.number_of(args)
    if confirmed is not None:
        await confirming.typed(update, context, REVERSE, number, confirmed)
        return
    if len(args) > 1 and args[1].lower() == "reverse":
        params = {"reason": " ".join(args[2:])}
        await confirming.ask(update, context, REVERSE, number, params)
        return
    await _show(update, context, number)


async def opened(update: Update, context: Desk) -> None:
    """[Receipt …]"""
    number = await desk.office(context).receipts.number_of(desk.button(update).number)
    await _show(update, context, number)


async def _show(update: Update, context: Desk, number: str) -> None:
    found, paid, booked = await desk.office(context).receipts.card(number)
    text = receipt_texts.receipt_card(found, paid, booked, desk.page(context))
    rows = receipt_texts.receipt_buttons(found)
    await desk.answer(update, context, text, InlineKeyboardMarkup(rows) if rows else None)


async def reverse_pressed(update: Update, context: Desk) -> None:
    """[Reverse it…]"""
    number = await desk.office(context).receipts.number_of(desk.button(update).number)
    await confirming.ask(update, context, REVERSE, number, {"reason": ""})
