"""Errors become words, in one place: what can't be done says why, anything else apologises with a
number that stands in the log.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from typing import Any, Final

from markupsafe import Markup
from telegram import InlineKeyboardMarkup, ReplyKeyboardMarkup, Update
from telegram.error import BadRequest, Forbidden, NetworkError, RetryAfter
from telegram.ext import CallbackContext

from escrow.bot import asking, desk, keyboards, refusals, texts
from escrow.bot.desk import Desk
from escrow.domain.errors import (
    CannotDo,
    DatabaseDown,
    IllegalMove,
    NotAllowed,
    NotFound,
    OutcomeUnknown,
    TimedOut,
)
from escrow.services.action_tokens import is_action

Context = CallbackContext[Any, Any, Any, Any]

_LOG: Final = logging.getLogger(__name__)
_SPENT: Final = frozenset(
    {
        "receipt_decided",
        "claim_decided",
        "draft_gone",
        "decided_before",
        "action_gone",
        "action_moved",
        "action_expired",
        "action_left",
    }
)
"""After these nothing on the pressed message works any more."""
_ASK_ON: Final = frozenset(
    {"payout_may_be_out", "receipt_used", "receipt_came_in", "booked_before"}
)
"""After these another answer to the same question can be right."""


async def explain(update: Update, context: Context, error: BaseException | None) -> None:
    """Tells whoever wrote or pressed, in his private chat, what became of it."""
    if isinstance(error, CannotDo):
        await _refuse(update, context, error)
    else:
        await _apologise(update, context, error)


async def _refuse(update: Update, context: Context, error: CannotDo) -> None:
    _LOG.info(
        "refused: %s",
        error.reason,
        extra={"action": "refused", "reason": error.reason, "update": update.update_id},
    )
    values = _values(update, context, error)
    page = desk.page(context)
    text = refusals.refusal(error.reason, values, page)
    keyboard = keyboards.for_refusal(error.reason, values, by_hand=bool(page.paybill))
    if error.reason in _SPENT and _is_preview(update):  # it would go on saying: nothing is done yet
        assert not isinstance(keyboard, ReplyKeyboardMarkup)  # noqa: S101 those ask for numbers
        await desk.here(update, context, text, keyboard)
        return
    await _say(update, context, text, keyboard)
    if error.reason in _SPENT:
        await desk.strip_buttons(update, context)
    if isinstance(context, Desk) and context.step is not None and _is_over(error):
        await asking.end(update, context, context.step)


def _is_preview(update: Update) -> bool:
    query = update.callback_query
    return query is not None and is_action(query.data)


def _values(update: Update, context: Context, error: CannotDo) -> Mapping[str, Any]:
    """What the words name: beside the error's own values the usage line of its command, and whether
    an admin reads.
    """
    values = {"admin": desk.user(update).id in desk.office(context).admins, **error.values}
    command = values.get("command")
    if command:
        known = desk.commands(context)
        values["usage"] = next((one.usage for one in known if one.name == command), None)
    return values


def _is_over(error: CannotDo) -> bool:
    """Whether no answer to the open question can be right any more: it outlived its deal."""
    final = isinstance(error, IllegalMove | NotFound | NotAllowed)
    return final and error.reason not in _ASK_ON


async def _say(
    update: Update,
    context: Context,
    text: Markup,
    keyboard: InlineKeyboardMarkup | ReplyKeyboardMarkup | None = None,
) -> None:
    """In place of a progress message, where there is one."""
    progress = context.progress if isinstance(context, Desk) else None
    if progress is not None and not isinstance(keyboard, ReplyKeyboardMarkup):
        await desk.edit(context, progress, text, keyboard)
    else:
        await desk.answer(update, context, text, keyboard)


async def _apologise(update: Update, context: Context, error: BaseException | None) -> None:
    number = secrets.token_hex(3)
    extra = {"action": "handler_failed", "incident": number, "update": update.update_id}
    if isinstance(error, Forbidden):
        _LOG.info("a person can't be reached: %s", error, extra=extra)
        await desk.office(context).people.blocked(desk.user(update).id)
        return
    if isinstance(error, NetworkError | RetryAfter) and not isinstance(error, BadRequest):
        _LOG.warning("an answer did not reach Telegram: %s", error, extra=extra)
        await desk.answer(update, context, texts.answer_lost())
        return
    _LOG.error("a handler failed", exc_info=error, extra=extra)
    later = isinstance(error, DatabaseDown | TimedOut | OutcomeUnknown)
    await _say(update, context, texts.apology(number, later=later))
