"""Who may use the admins' desk."""

from __future__ import annotations

import functools
import logging
from typing import Any, Final

from telegram import Update
from telegram.ext import CallbackContext

from escrow.bot import admin_texts, desk
from escrow.bot.context import Handler

_LOG: Final = logging.getLogger(__name__)
Context = CallbackContext[Any, Any, Any, Any]


def admin_only(handler: Handler) -> Handler:
    """Lets only admins in, whoever they are when it runs. Others get one line."""

    @functools.wraps(handler)
    async def guarded(update: Update, context: Context) -> None:
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

    return guarded
