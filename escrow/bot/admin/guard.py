"""Who may use the admins' desk, also on an Application of somebody else's making, where nothing but
the ten commands of the Quick Start is heard.
"""

from __future__ import annotations

import functools
import logging
from typing import Any, Final

from telegram import Update
from telegram.constants import ChatType
from telegram.ext import CallbackContext

from escrow.bot import admin_texts, desk, excuses, texts
from escrow.bot.context import Handler
from escrow.bot.desk import Desk, NotOpenError
from escrow.bot.page import speak
from escrow.domain.errors import CannotDo

_LOG: Final = logging.getLogger(__name__)
Context = CallbackContext[Any, Any, Any, Any]


def admin_only(handler: Handler) -> Handler:
    """Lets only admins in, whoever they are when it runs. Others get one line.

    Our own Application meets people and answers errors itself; on another one (a plain
    CallbackContext) both is done here.
    """

    @functools.wraps(handler)
    async def guarded(update: Update, context: Context) -> None:
        if isinstance(context, Desk):
            await _let_in(handler, update, context)
        else:
            await _alone(handler, update, context)

    return guarded


async def _let_in(handler: Handler, update: Update, context: Context) -> None:
    if desk.user(update).id in desk.office(context).admins:
        await handler(update, context)
        return
    _LOG.warning(
        "refused to somebody who is no admin",
        extra={
            "action": "not_admin",
            "command": handler.__name__,
            "person": desk.user(update).id,
        },
    )
    await desk.answer(update, context, admin_texts.not_admin())


async def _alone(handler: Handler, update: Update, context: Context) -> None:
    """What our Application does around a handler."""
    chat, user = update.effective_chat, update.effective_user
    if chat is None or user is None or user.is_bot:
        return
    speak(user.language_code or "")
    try:
        office = desk.office(context)
        if chat.type != ChatType.PRIVATE:
            await desk.answer(update, context, texts.private_only())
            return
        person = await office.people.seen(
            user.id, user.first_name, user.username, user.language_code or ""
        )
        speak(person.language)
        await _let_in(handler, update, context)
    except NotOpenError as error:
        _LOG.error("%s", error, extra={"action": "not_open", "command": handler.__name__})
        await context.bot.send_message(chat.id, str(admin_texts.not_open()))
    except CannotDo as refused:
        await excuses.explain(update, context, refused)
    except Exception as error:  # noqa: BLE001 every error becomes words
        _LOG.warning("%s ended early", handler.__name__, extra={"action": "excused"})
        await excuses.explain(update, context, error)
