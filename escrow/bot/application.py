"""Puts the bot together: python-telegram-bot's Application with our handlers, menus and the one
error handler. Updates come from `updates.UpdateStore`, not from the library's own Updater.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, cast

from telegram import Update
from telegram.constants import ChatType
from telegram.error import TelegramError
from telegram.ext import (
    Application,
    ApplicationBuilder,
    ApplicationHandlerStop,
    CallbackQueryHandler,
    ChatMemberHandler,
    CommandHandler,
    ContextTypes,
    ExtBot,
    MessageHandler,
    TypeHandler,
    filters,
)
from telegram.request import HTTPXRequest

from escrow.bot import buyer, common, desk, excuses, texts
from escrow.bot.admin import confirming
from escrow.bot.buttons import Verb, is_choice, unpack
from escrow.bot.commands import USER_BUTTONS
from escrow.bot.context import Command, Handler, Office
from escrow.bot.desk import Desk
from escrow.bot.limiter import Limiter
from escrow.domain.errors import (
    NotFound,
)
from escrow.services.action_tokens import is_action

_LOG: Final = logging.getLogger(__name__)
READ_SECONDS: Final = 20.0
CONNECT_SECONDS: Final = 10.0
POOL_SECONDS: Final = 10.0
CONNECTIONS: Final = 32

Bot = Application[ExtBot[int], Desk, dict[Any, Any], dict[Any, Any], dict[Any, Any], None]
_FIRST, _SECOND = -2, -1
_FILES: Final = filters.UpdateType.MESSAGE & (
    filters.PHOTO | filters.Document.ALL | filters.VOICE | filters.AUDIO | filters.VIDEO
)


def build(
    token: str,
    *,
    api_url: str,
    office: Office,
    user_commands: Sequence[Command],
    admin_commands: Sequence[Command],
    admin_buttons: Mapping[Verb, Handler] | None = None,
) -> Bot:
    """The Application, not yet initialized: `await initialize()` asks Telegram who it is.

    Needs neither `start()` nor an Updater: `UpdateStore` hands it one update at a time.
    """
    application: Bot = (
        ApplicationBuilder()
        .token(token)
        .base_url(f"{api_url}/bot")
        .base_file_url(f"{api_url}/file/bot")
        .request(_request(CONNECTIONS))
        .get_updates_request(_request(2))
        .rate_limiter(Limiter())
        .context_types(ContextTypes(context=Desk))
        .updater(None)
        .job_queue(None)
        .build()
    )
    application.bot_data.update(
        {
            desk.OFFICE: office,
            desk.USER_COMMANDS: tuple(user_commands),
            desk.ADMIN_COMMANDS: tuple(admin_commands),
            desk.BUTTONS: {**USER_BUTTONS, **(admin_buttons or {})},
        }
    )
    _register(application, [*user_commands, *admin_commands])
    return application


def _request(connections: int) -> HTTPXRequest:
    return HTTPXRequest(
        connection_pool_size=connections,
        read_timeout=READ_SECONDS,
        write_timeout=READ_SECONDS,
        connect_timeout=CONNECT_SECONDS,
        pool_timeout=POOL_SECONDS,
    )


def _register(application: Bot, commands: Sequence[Command]) -> None:
    application.add_handler(CallbackQueryHandler(answer_press), group=_FIRST)
    application.add_handler(TypeHandler(Update, common.meet), group=_SECOND)
    for command in commands:
        handler = cast(Callable[[Update, Desk], Coroutine[Any, Any, None]], command.handler)
        application.add_handler(CommandHandler(command.name, handler))
    application.add_handler(CallbackQueryHandler(on_button))
    application.add_handler(ChatMemberHandler(common.membership, ChatMemberHandler.MY_CHAT_MEMBER))
    application.add_handler(MessageHandler(filters.CONTACT, common.contact))
    application.add_handler(MessageHandler(_FILES, common.media))
    application.add_handler(MessageHandler(filters.COMMAND, common.unknown_command))
    application.add_handler(MessageHandler(filters.TEXT, common.typed))
    application.add_handler(MessageHandler(filters.ALL, common.words_only))
    application.add_error_handler(on_error)


async def answer_press(update: Update, context: Desk) -> None:
    """Telegram hears first that a button was pressed, whatever becomes of it: it waits only
    some seconds. The outcome is a message; a press that repeats one is told so, and that is all.
    """
    query = update.callback_query
    assert query is not None  # noqa: S101 registered for nothing else
    repeated = desk.done_before(update, context)
    try:
        await query.answer(texts.done_already() if repeated else None)
    except TelegramError as error:  # too old, or the network: the press counts all the same
        _LOG.info("a press was not answered: %s", error, extra={"action": "press_unanswered"})
    if repeated:
        raise ApplicationHandlerStop


async def on_button(update: Update, context: Desk) -> None:
    """Every button: signed choices, then our own wishes."""
    query = update.callback_query
    assert query is not None  # noqa: S101 registered for nothing else
    if is_choice(query.data):
        await buyer.choose(update, context)
        return
    if is_action(query.data):
        await confirming.pressed(update, context)
        return
    button = unpack(query.data)
    handler = context.bot_data[desk.BUTTONS].get(button.verb) if button else None
    if handler is None:
        raise NotFound("button_gone")
    await handler(update, context)


# -- errors --------------------------------------------------------------------------------------


async def on_error(update: object, context: Desk) -> None:
    """The one place where an error comes out. Nothing else handles the update then."""
    chat = update.effective_chat if isinstance(update, Update) else None
    if isinstance(update, Update) and chat is not None and chat.type == ChatType.PRIVATE:
        await excuses.explain(update, context, context.error)
    else:
        _LOG.error("outside a private chat", exc_info=context.error, extra={"action": "bot_failed"})
    raise ApplicationHandlerStop
