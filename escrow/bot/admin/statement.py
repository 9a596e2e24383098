"""M-Pesa's statement, sent to the bot as a document."""

from __future__ import annotations

import asyncio
from typing import Final

from telegram import InlineKeyboardMarkup, Message, Update

from escrow.bot import desk
from escrow.bot.admin import statement_texts
from escrow.bot.desk import Desk
from escrow.bot.files import fetch_now

_TELL_SECONDS: Final = 3.0
_TYPES: Final = frozenset({"text/csv", "application/csv", "text/comma-separated-values"})


def is_sheet(message: Message | None) -> bool:
    """Whether a message carries what looks like a CSV."""
    sent = message.document if message is not None else None
    if sent is None:
        return False
    return (sent.file_name or "").lower().endswith(".csv") or sent.mime_type in _TYPES


async def statement(update: Update, context: Desk) -> None:
    """One message shows how far it is and then what was found; a long list comes as a file."""
    sent = update.message.document if update.message is not None else None
    assert sent is not None  # noqa: S101 `is_sheet` saw it
    shown = await desk.answer(update, context, statement_texts.progress(0, 0))
    context.progress = shown
    body = await fetch_now(context.bot, sent.file_id, sent.file_size or 0)
    told = asyncio.get_running_loop().time()

    async def tell(done: int, rows: int) -> None:
        nonlocal told
        now = asyncio.get_running_loop().time()
        if now - told >= _TELL_SECONDS:
            told = now
            await desk.edit(context, shown, statement_texts.progress(done, rows))

    office = desk.office(context)
    found = await office.statements.compare(body, desk.user(update).id, tell)
    rows = statement_texts.buttons(found)
    text = statement_texts.compared(found, desk.page(context))
    await desk.edit(context, shown, text, InlineKeyboardMarkup(rows) if rows else None)
    chat = update.effective_chat
    if len(found.breaks) > statement_texts.SHOWN and chat is not None:
        name = f"breaks-{office.clock.now():%Y-%m-%d}.csv"
        await context.bot.send_document(chat.id, statement_texts.every_break(found), filename=name)
