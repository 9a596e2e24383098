"""What people see behind the menu button, in their language; admins see their commands too.

A menu that can't be set (an admin who never pressed Start) is logged and stops nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from telegram import BotCommand, BotCommandScopeChat
from telegram.error import TelegramError
from telegram.ext import ExtBot

from escrow.bot import desk
from escrow.bot.locales import LANGUAGES
from escrow.bot.page import known_language, language, speaking, spoken

_LOG: Final = logging.getLogger(__name__)


async def publish(bot: ExtBot[int], data: Mapping[Any, Any]) -> None:
    """Everybody's by the language of his Telegram, the admins' as each of them has chosen. Who is
    no admin any more gets everybody's.
    """
    for code in LANGUAGES:
        with speaking(code):
            menu = _menu(data, admin=False)
            await _set(bot, menu, code=None if code == LANGUAGES[0] else code)
    office = data[desk.OFFICE]
    for admin in office.admins:
        person = await office.people.person(admin)
        with speaking(person.language if person else LANGUAGES[0]):
            await _set_admins(bot, data, admin)
    for former in set(await office.people.admin_menus()) - set(office.admins):
        if await _set(bot, [], chat=former):
            await office.people.keep_menu(former, shown=False)


async def publish_for(
    bot: ExtBot[int], data: Mapping[Any, Any], chat: int, telegrams: str | None
) -> None:
    """One person's, in the language that is spoken now. Where his Telegram (`telegrams`) has the
    same one, he sees what everybody sees.
    """
    admin = chat in data[desk.OFFICE].admins
    if admin:
        await _set_admins(bot, data, chat)
    elif known_language(telegrams or "") == language():
        await _set(bot, [], chat=chat)
    else:
        await _set(bot, _menu(data, admin=False), chat=chat)


async def _set_admins(bot: ExtBot[int], data: Mapping[Any, Any], chat: int) -> None:
    """Sets an admin's, and remembers it: a later start takes it from who is none any more."""
    if await _set(bot, _menu(data, admin=True), chat=chat):
        await data[desk.OFFICE].people.keep_menu(chat, shown=True)


def _menu(data: Mapping[Any, Any], *, admin: bool) -> list[BotCommand]:
    commands = [*data[desk.USER_COMMANDS], *(data[desk.ADMIN_COMMANDS] if admin else ())]
    return [BotCommand(command.name, spoken(command.menu)) for command in commands]


async def _set(
    bot: ExtBot[int], menu: list[BotCommand], *, chat: int | None = None, code: str | None = None
) -> bool:
    """Sets a menu; an empty one gives way to the one that holds otherwise. False when Telegram
    does not do it.
    """
    scope = BotCommandScopeChat(chat) if chat is not None else None
    try:
        if menu:
            await bot.set_my_commands(menu, scope=scope, language_code=code)
        else:
            await bot.delete_my_commands(scope=scope, language_code=code)
    except TelegramError as error:
        _LOG.warning(
            "a menu was not set: %s", error, extra={"action": "menu_not_set", "chat": chat}
        )
        return False
    return True
