"""The wallet: what is available, held, and what moved last."""

from __future__ import annotations

from telegram import Update

from escrow.bot import desk, texts
from escrow.bot.desk import Desk


async def wallet(update: Update, context: Desk) -> None:
    """/wallet"""
    values = await desk.office(context).wallets.view(desk.user(update).id)
    await desk.answer(update, context, texts.wallet(values, desk.page(context)))
