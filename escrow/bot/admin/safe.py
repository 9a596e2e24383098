"""Is the money safe? /system_health, /audit, /book."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import Any, Final

from markupsafe import Markup
from telegram import Update
from telegram.ext import CallbackContext

from escrow.bot import desk
from escrow.bot.admin import audit_texts, confirming, health_texts
from escrow.bot.files import fits_message, plain
from escrow.bot.page import lines
from escrow.services import bookings

Context = CallbackContext[Any, Any, Any, Any]
_LOG: Final = logging.getLogger(__name__)
AUDIT_SECONDS: Final = 20.0
"""So long the admin's chat waits for an audit; a longer one goes on by itself."""
_TELL_SECONDS: Final = 3.0
_UNDER_WAY: Final[set[asyncio.Task[None]]] = set()


async def system_health(update: Update, context: Context) -> None:
    """/system_health: one word first, why, and the figures behind it."""
    office, page = desk.office(context), desk.page(context)
    look = await office.oversight.health()
    text = health_texts.health(look, page)
    if not (office.bare and look.jobs):
        await desk.answer(update, context, text, health_texts.keyboard(look))
        return
    jobs = health_texts.jobs(look, page)  # there is no [Jobs] to press
    whole = lines(text, Markup(""), jobs)
    for part in [whole] if fits_message(plain(whole)) else [text, jobs]:
        await desk.answer(update, context, part)


async def jobs_pressed(update: Update, context: Context) -> None:
    """[Jobs]: each with its last run and its next."""
    look = await desk.office(context).oversight.health()
    await desk.answer(update, context, health_texts.jobs(look, desk.page(context)))


async def book(update: Update, context: Context) -> None:
    """/book float|withdraw|charge AMOUNT RECEIPT: once confirmed, it is in the books."""
    args = list(context.args or [])
    number = confirming.number_of(args)
    params = bookings.read(args if number is None else args[:-2])
    target = bookings.target(params)
    if number is not None:
        await confirming.typed(update, context, bookings.Book.kind, target, number)
    else:
        await confirming.ask(update, context, bookings.Book.kind, target, params)


async def audit(update: Update, context: Context) -> None:
    """/audit: the whole of the books. A message shows how far it is, another one what was found."""
    task = asyncio.create_task(_audit(update, context))
    _UNDER_WAY.add(task)
    task.add_done_callback(_ended)
    done, _ = await asyncio.wait({task}, timeout=AUDIT_SECONDS)
    for one in done:
        one.result()


def _ended(task: asyncio.Task[None]) -> None:
    """What went wrong after the chat was let go stands in the log."""
    _UNDER_WAY.discard(task)
    if not task.cancelled() and task.exception() is not None:
        _LOG.warning("an audit ended", exc_info=task.exception(), extra={"action": "audit_ended"})


async def _audit(update: Update, context: Context) -> None:
    office, page = desk.office(context), desk.page(context)
    office.audits.check()
    counts: Counter[str] = Counter()
    shown = await desk.answer(update, context, audit_texts.progress(counts, page))
    told = asyncio.get_running_loop().time()

    async def tell(part: str, rows: int) -> None:
        nonlocal told
        counts[part] = rows
        now = asyncio.get_running_loop().time()
        if now - told >= _TELL_SECONDS:
            told = now
            await desk.edit(context, shown, audit_texts.progress(counts, page))

    found = await office.audits.run(tell)
    await desk.answer(update, context, audit_texts.audited(found, page))
    chat = update.effective_chat
    if len(found.breaks) > audit_texts.SHOWN and chat is not None:
        await context.bot.send_document(
            chat.id, audit_texts.all_breaks(found), filename=f"audit-{found.at:%Y-%m-%d}.txt"
        )
