"""LISTS: every list that is turned page by page, each once; and the turning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from telegram import Update

from escrow.bot import desk, payouts
from escrow.bot.admin import cases, flags, paging, sellers, unmatched
from escrow.bot.admin.paging import TRANSACTIONS, Listed
from escrow.bot.desk import Desk
from escrow.domain.errors import NotFound
from escrow.domain.flow import Status

LISTS: Final[Mapping[str, Listed]] = {
    cases.DISPUTES: cases.disputes_page,
    sellers.PENDING: sellers.pending_page,
    flags.FLAGS: flags.flags_page,
    "unmatched": unmatched.listed,
    "payouts": payouts.listed,
    **{f"{TRANSACTIONS} {status}": cases.of_status(status) for status in Status},
    TRANSACTIONS: cases.counts_page,
}
"""Name → a page of it."""


async def turned(update: Update, context: Desk) -> None:
    """[Page 2 ›]: in place. A page that is gone by now is the last one."""
    meant = paging.read(desk.button(update).number)
    if meant is None:
        raise NotFound("button_gone")
    name, number = meant
    office, page = desk.office(context), desk.page(context)
    text, keyboard = await paging.shown(office, page, name, LISTS[name], number)
    await desk.here(update, context, text, keyboard)
