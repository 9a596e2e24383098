"""Admins look at flags: the list, and the review of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from markupsafe import Markup
from telegram import InlineKeyboardButton, Update

from escrow.bot import asking, desk
from escrow.bot.admin import flag_texts, paging
from escrow.bot.admin.guard import Context
from escrow.bot.context import Office
from escrow.bot.desk import Desk
from escrow.bot.page import Page
from escrow.bot.typed import read_row
from escrow.domain.errors import NotAllowed
from escrow.domain.model import FraudFlag

PER_PAGE: Final = 5
FLAGS: Final = "suspicious_users"
Rows = list[list[InlineKeyboardButton]]


async def suspicious_users(update: Update, context: Context) -> None:
    """/suspicious_users [page]: what nobody has reviewed, the worst first"""
    number = paging.number_of(context.args or (), FLAGS)
    await paging.answer(update, context, FLAGS, flags_page, number)


async def flags_page(office: Office, page: Page, number: int) -> tuple[Markup, Rows, int]:
    """A page of it: its words, its buttons, how many pages there are."""
    found, counts = await office.flags.open_ones((number - 1) * PER_PAGE, PER_PAGE)
    text = flag_texts.flags(found, counts, page)
    return text, flag_texts.flag_rows(found), max(1, -(-sum(counts.values()) // PER_PAGE))


async def review_flag(update: Update, context: Desk) -> None:
    """/review_flag <number> [notes]"""
    args = context.args or ()
    number = read_row(args, "review_flag")
    await desk.answer(update, context, await _review(update, context, number, " ".join(args[1:])))


async def review_pressed(update: Update, context: Desk) -> None:
    """[Reviewed]: with a note?"""
    office, me, page = desk.office(context), desk.user(update).id, desk.page(context)
    flag = await office.flags.open_one(desk.button(update).number, me)
    if flag.reviewed_at is not None:
        await desk.answer(update, context, await _reviewed(context, flag, changed=False))
        return
    await office.people.set_conversation(me, asking.FLAG_NOTE, {"flag": flag.id})
    keyboard = flag_texts.no_note(flag.id)
    await desk.answer(update, context, flag_texts.ask_note(flag, page), keyboard)


async def plain_pressed(update: Update, context: Desk) -> None:
    """[Reviewed, without a note]"""
    number = desk.button(update).number
    text = await _review(update, context, number, "")
    step = await asking.open_step(update, context)
    if step is not None and step[1].get("flag") == number:
        await asking.end(update, context, asking.FLAG_NOTE)
    await desk.replace_pressed(update, context, text)


async def note_typed(update: Update, context: Desk, text: str, said: Mapping[str, Any]) -> None:
    """What an admin found."""
    if desk.user(update).id not in desk.office(context).admins:
        raise NotAllowed
    answer = await _review(update, context, int(said["flag"]), text)
    await asking.end(update, context, asking.FLAG_NOTE)
    await desk.answer(update, context, answer)


async def _review(update: Update, context: Desk, number: int, notes: str) -> Markup:
    flag, changed = await desk.office(context).flags.review(
        number, desk.user(update).id, notes, desk.cause(update)
    )
    return await _reviewed(context, flag, changed=changed)


async def _reviewed(context: Desk, flag: FraudFlag, *, changed: bool) -> Markup:
    people = desk.office(context).people
    by = await people.person(flag.reviewed_by) if flag.reviewed_by is not None else None
    name = by.first_name if by else None
    return flag_texts.reviewed(flag, name, desk.page(context), changed=changed)
