"""What an admin is told while the database is down: his update waits with everybody's, but whether
the money is safe he must know at once. When the database is back the same update is handled, too.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from telegram.constants import ParseMode
from telegram.error import TelegramError

from escrow.bot import desk
from escrow.bot.admin import health_texts
from escrow.bot.page import Page

_LOG: Final = logging.getLogger(__name__)
_COMMAND: Final = "/system_health"


async def tell(application: Any, body: Mapping[str, Any]) -> None:
    """Answers an admin's /system_health that can't be stored; anything else waits in silence."""
    office = application.bot_data[desk.OFFICE]
    admin = asking(body)
    if admin is None or admin not in office.admins:
        return
    look = await office.oversight.health()
    page = Page.of(office, "en", application.bot.username)
    try:
        await application.bot.send_message(
            admin, str(health_texts.health(look, page)), parse_mode=ParseMode.HTML
        )
    except TelegramError as error:
        _LOG.warning("an admin was not told: %s", error, extra={"action": "outage_untold"})


def asking(body: Mapping[str, Any]) -> int | None:
    """Who asks for it in his own chat. Nothing of a raw update can be relied on."""
    message = body.get("message")
    if not isinstance(message, dict) or not isinstance(message.get("text"), str):
        return None
    words = message["text"].split(maxsplit=1)
    chat, writer = message.get("chat"), message.get("from")
    if not words or words[0].partition("@")[0] != _COMMAND:
        return None
    if not isinstance(chat, dict) or not isinstance(writer, dict):
        return None
    known = type(writer.get("id")) is int and chat.get("id") == writer["id"]
    return int(writer["id"]) if known else None
