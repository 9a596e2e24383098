"""What every handler has at hand: the office, the reader's page, answering, editing.

An update's own number is the `cause` of whatever it starts, so that handling it again after a
crash starts nothing twice.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from markupsafe import Markup
from telegram import (
    ForceReply,
    InlineKeyboardMarkup,
    LinkPreviewOptions,
    MaybeInaccessibleMessage,
    Message,
    ReplyKeyboardMarkup,
    ReplyKeyboardRemove,
    Update,
    User,
)
from telegram.constants import ParseMode
from telegram.error import BadRequest, TelegramError
from telegram.ext import CallbackContext, ExtBot

from escrow.bot.buttons import Button, unpack
from escrow.bot.context import Command, Office
from escrow.bot.files import fits_caption, plain, send_file
from escrow.bot.page import Page, language, lines, speak
from escrow.domain.errors import Fault
from escrow.domain.model import Media, Person

_LOG: Final = logging.getLogger(__name__)
OFFICE: Final = "office"
USER_COMMANDS: Final = "user_commands"
ADMIN_COMMANDS: Final = "admin_commands"
BUTTONS: Final = "buttons"
_PRESSED: Final = "pressed"
_PRESSES_KEPT: Final = 10_000
_SAME_PRESS: Final = timedelta(minutes=1)
NO_PREVIEW: Final = LinkPreviewOptions(is_disabled=True)

Keyboard = InlineKeyboardMarkup | ReplyKeyboardMarkup | ReplyKeyboardRemove | ForceReply
_Base = CallbackContext[ExtBot[int], dict[Any, Any], dict[Any, Any], dict[Any, Any]]


class Desk(_Base):
    """One update's context. `person` wrote it; `progress` is a message of ours that shows how
    the work goes, and that the outcome replaces; `step` is the open question it answers.
    """

    person: Person | None = None
    progress: MaybeInaccessibleMessage | None = None
    step: str | None = None
    handled: object = None

    @classmethod
    def from_update(cls, update: object, application: Any) -> Desk:
        made = super().from_update(update, application)
        made.handled = update
        _CURRENT.set(made)
        writer = update.effective_user if isinstance(update, Update) else None
        speak((writer.language_code if writer else None) or "")  # until he is met
        return made

    @classmethod
    def from_error(
        cls,
        update: object,
        error: Exception,
        application: Any,
        job: Any = None,
        coroutine: Any = None,
    ) -> Desk:
        """The library makes a new context for an error; it goes on with what the old one knew."""
        before, spoken = _CURRENT.get(), language()
        made = super().from_error(update, error, application, job, coroutine)
        if before is not None and before.handled is update:
            made.person, made.progress, made.step = before.person, before.progress, before.step
            speak(spoken)
        return made


_CURRENT: Final[ContextVar[Desk | None]] = ContextVar("desk", default=None)
"""The context of the update that this task handles."""


class NotOpenError(Fault):
    """Nobody opened the office: `await start_automation(application.bot)` comes first."""


@dataclass(slots=True)
class _Lent:
    """The Quick Start's office: on an Application of somebody else's making, whose own data are
    left alone.
    """

    office: Office | None = None
    commands: Sequence[Command] = ()


_LENT: Final = _Lent()


def lend(office: Office | None, commands: Sequence[Command] = ()) -> None:
    """From now on handlers on an Application without an office work in this one, or in none."""
    _LENT.office, _LENT.commands = office, commands


def office(context: _Base) -> Office:
    """`NotOpenError`."""
    found = context.bot_data.get(OFFICE, _LENT.office)
    if not isinstance(found, Office):
        raise NotOpenError
    return found


def commands(context: _Base) -> Sequence[Command]:
    """Every command that there is."""
    data = context.bot_data
    if OFFICE not in data:
        return _LENT.commands
    return [*data[USER_COMMANDS], *data[ADMIN_COMMANDS]]


def page(context: _Base) -> Page:
    """The page of whoever this update is from."""
    return Page.of(office(context), language(), context.bot.username)


def user(update: Update) -> User:
    """Who wrote or pressed. Handlers are registered for such updates only."""
    found = update.effective_user
    assert found is not None  # noqa: S101 filters let nothing else through
    return found


def person(context: Desk) -> Person:
    assert context.person is not None  # noqa: S101 met before any other handler
    return context.person


def cause(update: Update) -> str:
    """The idempotency key of what this update starts."""
    return f"update:{update.update_id}"


def question(update: Update) -> str:
    """The idempotency key of what a question is answered with: pressed twice, it is one answer."""
    query = update.callback_query
    if query is None or query.message is None:
        return cause(update)
    return f"{query.from_user.id}:{query.message.message_id}"


def button(update: Update) -> Button:
    """The wish of a pressed button; the dispatcher has read it before."""
    found = unpack(update.callback_query.data if update.callback_query else None)
    assert found is not None  # noqa: S101 the dispatcher lets nothing else through
    return found


def done(update: Update, context: _Base, *, for_good: bool = True) -> None:
    """This press did its work: pressing again (`for_good`: any button of that message; else the
    same one within a minute) only says so, in the language of the first time. Memory forgets it at
    a restart; nothing depends on it.
    """
    pressed = context.bot_data.setdefault(_PRESSED, OrderedDict())
    place, data = _pressed(update)
    if for_good:
        pressed[place, ""] = datetime.max.replace(tzinfo=UTC), language()
    else:
        pressed[place, data] = office(context).clock.now() + _SAME_PRESS, language()
    while len(pressed) > _PRESSES_KEPT:
        pressed.popitem(last=False)


def done_before(update: Update, context: _Base) -> bool:
    """Whether this press repeats one that is done. It comes before the presser is met."""
    pressed = context.bot_data.get(_PRESSED) or {}
    place, data = _pressed(update)
    until, spoke = pressed.get((place, "")) or pressed.get((place, data)) or (None, "")
    if until is None or office(context).clock.now() >= until:
        return False
    speak(spoke)
    return True


def _pressed(update: Update) -> tuple[tuple[int, int, int], str]:
    """(who, chat, message) and the data of a press."""
    query = update.callback_query
    assert query is not None  # noqa: S101 only presses are asked about
    chat, message = (query.message.chat.id, query.message.message_id) if query.message else (0, 0)
    return (query.from_user.id, chat, message), query.data or query.id


def words(context: _Base) -> str:
    """What stands behind a command, on one line."""
    return " ".join(context.args or ())


async def answer(
    update: Update, context: _Base, text: Markup, keyboard: Keyboard | None = None
) -> Message:
    """A new message in the chat of this update; without buttons where nobody would hear them."""
    chat = update.effective_chat
    assert chat is not None  # noqa: S101 filters let nothing else through
    keyboard = None if office(context).bare else keyboard
    return await context.bot.send_message(
        chat.id,
        str(text),
        parse_mode=ParseMode.HTML,
        reply_markup=keyboard,
        link_preview_options=NO_PREVIEW,
    )


async def show(
    update: Update,
    context: _Base,
    text: Markup,
    media: Media | None,
    keyboard: InlineKeyboardMarkup | None,
    missing: Markup,
) -> None:
    """Words, below a file where there is one; `missing` says that Telegram does not give it."""
    if media is None:
        await answer(update, context, text, keyboard)
        return
    chat = update.effective_chat
    assert chat is not None  # noqa: S101 filters let nothing else through
    whole = fits_caption(plain(text))
    try:
        await send_file(
            context.bot,
            chat.id,
            media.kind,
            media.file_id,
            text if whole else None,
            keyboard if whole else None,
        )
    except BadRequest as error:
        _LOG.warning("a file was not taken: %s", error, extra={"action": "file_refused"})
        await answer(update, context, lines(text, missing), keyboard)
        return
    if not whole:
        await answer(update, context, text, keyboard)


async def thumb_up(update: Update, context: _Base) -> bool:
    """Marks what was sent as taken, without a message. False when Telegram does not do it."""
    message = update.effective_message
    assert message is not None  # noqa: S101 filters let nothing else through
    try:
        return await context.bot.set_message_reaction(message.chat.id, message.message_id, "👍")
    except TelegramError as error:
        _LOG.info("no reaction: %s", error, extra={"action": "no_reaction"})
        return False


async def edit(
    context: _Base,
    message: MaybeInaccessibleMessage,
    text: Markup,
    keyboard: InlineKeyboardMarkup | None = None,
) -> None:
    """Replaces one of our messages, or the caption of a file; says it anew when that can't be."""
    try:
        await _rewrite(context, message, text, keyboard)
    except BadRequest as error:
        if "not modified" in str(error).lower():
            return
        _LOG.info("a message can't be edited: %s", error, extra={"action": "edit_refused"})
        await context.bot.send_message(
            message.chat.id,
            str(text),
            parse_mode=ParseMode.HTML,
            reply_markup=keyboard,
            link_preview_options=NO_PREVIEW,
        )


async def _rewrite(
    context: _Base,
    message: MaybeInaccessibleMessage,
    text: Markup,
    keyboard: InlineKeyboardMarkup | None,
) -> None:
    if isinstance(message, Message) and message.effective_attachment is not None:
        await context.bot.edit_message_caption(
            chat_id=message.chat.id,
            message_id=message.message_id,
            caption=str(text),
            parse_mode=ParseMode.HTML,
            reply_markup=keyboard,
        )
        return
    await context.bot.edit_message_text(
        str(text),
        chat_id=message.chat.id,
        message_id=message.message_id,
        parse_mode=ParseMode.HTML,
        reply_markup=keyboard,
        link_preview_options=NO_PREVIEW,
    )


async def replace_pressed(
    update: Update,
    context: _Base,
    text: Markup,
    keyboard: InlineKeyboardMarkup | None = None,
) -> None:
    """Puts other words and buttons in place of the message that was pressed; says them anew below
    it when that can't be edited.
    """
    query = update.callback_query
    if query is not None and query.message is not None:
        await edit(context, query.message, text, keyboard)
    elif query is not None:  # too old for Telegram to say where
        await answer(update, context, text, keyboard)


async def here(
    update: Update,
    context: _Base,
    text: Markup,
    keyboard: InlineKeyboardMarkup | None = None,
) -> int | None:
    """In place of the message that was pressed, or in answer to what was typed; the number of that
    message, where Telegram names it.
    """
    query = update.callback_query
    if query is None:
        return (await answer(update, context, text, keyboard)).message_id
    await replace_pressed(update, context, text, keyboard)
    return query.message.message_id if query.message is not None else None


async def strip_buttons(update: Update, context: _Base) -> None:
    """Takes the buttons off the message that was pressed. What was done stays done if not."""
    query = update.callback_query
    if query is None or query.message is None:
        return
    try:
        await context.bot.edit_message_reply_markup(
            chat_id=query.message.chat.id, message_id=query.message.message_id, reply_markup=None
        )
    except TelegramError as error:
        _LOG.info("buttons stay: %s", error, extra={"action": "buttons_stay"})
