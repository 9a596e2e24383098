"""/language: in which of our languages the bot writes to a person."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from telegram import Update

from escrow.bot import desk, keyboards, menus, texts
from escrow.bot.desk import Desk
from escrow.bot.locales import LANGUAGES
from escrow.bot.page import speak
from escrow.domain.errors import NotFound

NUMBERS: Final = dict(enumerate(LANGUAGES, start=1))
"""What a button's number means."""


async def language(update: Update, context: Desk) -> None:
    """/language"""
    await desk.answer(update, context, texts.ask_language(), keyboards.languages())


async def chosen(update: Update, context: Desk) -> None:
    """[English], [Kiswahili]: from this answer on, and for every notice that is still to come."""
    code = NUMBERS.get(desk.button(update).number)
    if code is None:
        raise NotFound("button_gone")
    user = desk.user(update)
    await desk.office(context).people.set_language(user.id, code)
    context.person = replace(desk.person(context), language=code)
    speak(code)
    page = desk.page(context)
    text = texts.language_chosen(user.first_name, page)
    await desk.replace_pressed(update, context, text, keyboards.greeting())
    await menus.publish_for(context.bot, context.bot_data, user.id, user.language_code)
