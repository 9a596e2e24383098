"""The buttons of the morning's digest: each is its list's command."""

from __future__ import annotations

from telegram import Update

from escrow.bot import desk
from escrow.bot.admin import digest_texts
from escrow.bot.desk import Desk
from escrow.domain.errors import NotFound


async def listed(update: Update, context: Desk) -> None:
    """[Disputes], [Payouts] …: the list as it stands now, below the digest."""
    place = desk.button(update).number
    names = digest_texts.LISTS[place - 1 : place]
    for command in context.bot_data[desk.ADMIN_COMMANDS]:
        if command.name in names:
            await command.handler(update, context)
            return
    raise NotFound("button_gone")
