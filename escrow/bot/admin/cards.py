"""Our older messages in admins' chats, brought up to date when somebody has decided."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

from markupsafe import Markup
from telegram.constants import ParseMode
from telegram.error import TelegramError

from escrow.bot import desk
from escrow.bot.admin.guard import Context
from escrow.bot.page import Page, speaking
from escrow.domain.model import Card

_LOG: Final = logging.getLogger(__name__)


async def rewrite(context: Context, cards: Sequence[Card], text: Callable[[Page], Markup]) -> None:
    """Puts these words in place of each card and its buttons, in its reader's language. One that
    Telegram does not change stays: the decision stands without it.
    """
    office = desk.office(context)
    for card in cards:
        with speaking(card.language):
            page = Page.of(office, card.language, context.bot.username)
            try:
                await context.bot.edit_message_text(
                    str(text(page)),
                    chat_id=card.chat_id,
                    message_id=card.message_id,
                    parse_mode=ParseMode.HTML,
                    link_preview_options=desk.NO_PREVIEW,
                )
            except TelegramError as error:
                _LOG.info("a card stays: %s", error, extra={"action": "card_stays"})
