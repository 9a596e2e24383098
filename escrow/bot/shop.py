"""A seller's page: what everybody may know of him, and the way to a deal."""

from __future__ import annotations

from typing import Final

from telegram import Update

from escrow.bot import desk, selling_keyboards, selling_texts
from escrow.bot.desk import Desk
from escrow.domain.errors import NotFound

PAYLOAD: Final = "s_"
"""How a link to a page begins; the seller's row follows."""
_DIGITS: Final = 18


async def linked(update: Update, context: Desk, payload: str) -> None:
    """/start s_5"""
    row = payload.removeprefix(PAYLOAD)
    if not (row.isascii() and row.isdigit() and len(row) <= _DIGITS):
        raise NotFound("no_shop")
    await show(update, context, int(row))


async def pressed(update: Update, context: Desk) -> None:
    """[My page]"""
    await show(update, context, desk.button(update).number)


async def show(update: Update, context: Desk, seller_id: int) -> None:
    found = await desk.office(context).ratings.seller_page(seller_id)
    link = selling_keyboards.shop_link(context.bot.username, seller_id)
    invitation = selling_texts.shop_invitation(found.seller.shop_name)
    mine = found.seller.telegram_id == desk.user(update).id
    keyboard = selling_keyboards.shop_page(found, link, invitation, mine=mine)
    await desk.answer(update, context, selling_texts.shop_page(found, desk.page(context)), keyboard)
