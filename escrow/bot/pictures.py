"""Words below a picture of ours. The words arrive whatever becomes of the picture."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from typing import Any, Final

from markupsafe import Markup
from telegram import Update
from telegram.constants import ParseMode
from telegram.error import TelegramError
from telegram.ext import CallbackContext

from escrow.bot.desk import answer
from escrow.bot.files import fits_caption, plain

Context = CallbackContext[Any, Any, Any, Any]

_LOG: Final = logging.getLogger(__name__)


async def show(
    update: Update, context: Context, text: Markup, drawing: Awaitable[bytes] | None
) -> None:
    """The picture with its words below; words too long for a caption follow it, and stand alone
    where the picture can't be drawn or sent, or there is none.
    """
    whole = fits_caption(plain(text))
    picture = None if drawing is None else await _drawn(drawing)
    if picture is None or not await _sent(update, context, picture, text if whole else None):
        whole = False
    if not whole:
        await answer(update, context, text)


async def _drawn(drawing: Awaitable[bytes]) -> bytes | None:
    try:
        return await drawing
    except Exception:  # noqa: BLE001 no picture is worth the figures
        _LOG.exception("a picture can't be drawn", extra={"action": "picture_failed"})
        return None


async def _sent(update: Update, context: Context, picture: bytes, caption: Markup | None) -> bool:
    chat = update.effective_chat
    assert chat is not None  # noqa: S101 filters let nothing else through
    try:
        await context.bot.send_photo(
            chat.id,
            picture,
            caption=None if caption is None else str(caption),
            parse_mode=ParseMode.HTML,
        )
    except TelegramError as error:
        _LOG.warning("a picture was not taken: %s", error, extra={"action": "picture_refused"})
        return False
    return True
