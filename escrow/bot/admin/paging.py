"""Long lists, a page at a time, turned in place by buttons."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from markupsafe import Markup
from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from escrow.bot.buttons import Button, Verb, pack
from escrow.bot.page import words
from escrow.domain.flow import Status

Rows = list[list[InlineKeyboardButton]]
Listed = Callable[[Any, Any, int], Awaitable[tuple[Markup, Rows, int]]]
"""(office, page, number from 1) → its words, its buttons, how many pages there are."""

TRANSACTIONS: Final = "transactions"
NAMES: Final = (
    "disputed_transactions",
    "pending_sellers",
    "suspicious_users",
    "unmatched",
    "payouts",
    *(f"{TRANSACTIONS} {status}" for status in Status),
    TRANSACTIONS,
)
"""What a list is called; its place is in its buttons, so new ones stand at the end."""
PAGES_MAX: Final = 500
_PER_LIST: Final = 10_000


def keyboard(
    name: str, number: int, pages: int, rows: Sequence[Sequence[InlineKeyboardButton]] = ()
) -> InlineKeyboardMarkup | None:
    """The buttons of a page, and below them the way to its neighbours."""
    turns = []
    if number > 1:
        turns.append(_turn(words("‹ Page {number}", number=number - 1), name, number - 1))
    if number < min(pages, PAGES_MAX):
        turns.append(_turn(words("Page {number} ›", number=number + 1), name, number + 1))
    every = [*rows, turns] if turns else list(rows)
    return InlineKeyboardMarkup(every) if every else None


def _turn(label: str, name: str, number: int) -> InlineKeyboardButton:
    return InlineKeyboardButton(label, callback_data=data(name, number))


def data(name: str, number: int) -> str:
    """The callback data that opens that page."""
    place = (NAMES.index(name) + 1) * _PER_LIST + number
    return pack(Button(Verb.PAGE, number=place))


def read(place: int) -> tuple[str, int] | None:
    """The list and the page that such a button means."""
    which, number = divmod(place, _PER_LIST)
    if not (1 <= which <= len(NAMES) and 1 <= number <= PAGES_MAX):
        return None
    return NAMES[which - 1], number
