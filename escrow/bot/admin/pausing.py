"""/pause and /resume: at once, without a question first; stopping must be quick."""

from __future__ import annotations

from telegram import Update

from escrow.bot import desk
from escrow.bot.admin import pausing_texts
from escrow.bot.desk import Desk


async def pause(update: Update, context: Desk) -> None:
    """/pause [reason]: nothing moves money from now on."""
    word = await desk.office(context).pauses.pause(
        desk.user(update).id, desk.words(context), desk.cause(update)
    )
    await desk.answer(update, context, pausing_texts.paused_now(word, desk.page(context)))


async def resume(update: Update, context: Desk) -> None:
    """/resume: deadlines are moved, then everything goes on."""
    word = await desk.office(context).pauses.resume(desk.user(update).id, desk.cause(update))
    await desk.answer(update, context, pausing_texts.resumed_now(word, desk.page(context)))
