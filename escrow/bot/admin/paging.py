"""Long lists, a page at a time: turned in place by buttons, or asked for by the page's number."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from markupsafe import Markup
from telegram import InlineKeyboardButton, InlineKeyboardMarkup, Update
from telegram.ext import CallbackContext

from escrow.bot import desk
from escrow.bot.buttons import Button, Verb, pack
from escrow.bot.context import Office
from escrow.bot.page import Page, Plain, lines, say, words
from escrow.domain.errors import InvalidInput
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
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,2}", re.ASCII)


def number_of(args: Sequence[str], name: str) -> int:
    """The page that is typed behind a list's command, the first where none is. `InvalidInput` with
    an example.
    """
    if not args:
        return 1
    if len(args) != 1 or not _NUMBER.fullmatch(args[0]) or int(args[0]) > PAGES_MAX:
        raise InvalidInput("list_page", usage=f"/{name} 2", maximum=PAGES_MAX)
    return int(args[0])


async def answer(
    update: Update,
    context: CallbackContext[Any, Any, Any, Any],
    name: str,
    listed: Listed,
    number: int = 1,
) -> None:
    """That page in answer to its command."""
    text, buttons = await shown(desk.office(context), desk.page(context), name, listed, number)
    await desk.answer(update, context, text, buttons)


async def shown(
    office: Office, page: Page, name: str, listed: Listed, number: int
) -> tuple[Markup, InlineKeyboardMarkup | None]:
    """That page and its buttons; one that is gone by now is the last one. Where nobody hears
    buttons, the words say what to type for the next.
    """
    text, rows, pages = await listed(office, page, number)
    if number > pages:
        number = pages
        text, rows, pages = await listed(office, page, number)
    if office.bare:
        text = lines(text, place(name, number, min(pages, PAGES_MAX)))
    return text, keyboard(name, number, pages, rows)


def place(name: str, number: int, pages: int) -> Markup | None:
    """Which page this is, and how the next one is typed; nothing where there is only one."""
    if pages == 1:
        return None
    if number == pages:
        return say("Page {number}, the last one.", number=number)
    further = say("<code>/{list} {number}</code>", list=Plain(name), number=number + 1)
    return say("Page {number}. The next one: {command}", number=number, command=further)


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
