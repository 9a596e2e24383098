"""Money commands in two steps: the preview with its buttons, then what was done. The words per kind
are in `action_texts.PREVIEWS` and `action_texts.OUTCOMES`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from telegram import InlineKeyboardMarkup, Update
from telegram.ext import CallbackContext

from escrow.bot import desk
from escrow.bot.admin import action_texts
from escrow.bot.admin.guard import admin_only
from escrow.bot.context import Office
from escrow.domain.actions import Action, ActionState
from escrow.domain.errors import NotAllowed
from escrow.services.action_tokens import Word

Context = CallbackContext[Any, Any, Any, Any]
_NUMBER: Final = re.compile(r"[1-9][0-9]{3}", re.ASCII)


async def ask(
    update: Update, context: Context, kind: str, target: str, params: Mapping[str, Any]
) -> None:
    """Shows what it would do, with [Confirm] and [Leave it] and the form to type. `CannotDo`."""
    office, me = desk.office(context), desk.user(update).id
    asked = await office.actions.ask(kind, target, params, me, desk.cause(update))
    text = action_texts.answer(asked, office.actions.others(asked), desk.page(context))
    open_ = asked.state is ActionState.ASKED
    await desk.answer(update, context, text, buttons(office, asked, me) if open_ else None)


def buttons(office: Office, action: Action, admin: int) -> InlineKeyboardMarkup:
    """[Confirm] [Leave it], signed for this admin."""
    signed = office.actions.buttons(action, admin)
    return action_texts.keyboard(signed[Word.YES], signed[Word.NO])


def number_of(args: Sequence[str]) -> int | None:
    """4821 when what was typed ends in `confirm 4821`."""
    if len(args) < 2 or args[-2].lower() != "confirm":
        return None
    if not _NUMBER.fullmatch(args[-1]):
        if any(char.isdigit() for char in args[-1]):  # mistyped, and no part of a reason
            raise NotAllowed("action_wrong_number")
        return None
    return int(args[-1])


async def typed(update: Update, context: Context, kind: str, target: str, number: int) -> None:
    """`/manual_refund ES… confirm 4821`: what [Confirm] does."""
    office, me = desk.office(context), desk.user(update).id
    done = await office.actions.confirm_typed(kind, target, number, me, desk.cause(update))
    text = action_texts.answer(done, office.actions.others(done), desk.page(context))
    await desk.answer(update, context, text, action_texts.way_on(done))


@admin_only
async def pressed(update: Update, context: Context) -> None:
    """[Confirm], [Leave it]: the outcome takes the place of the preview."""
    office, query = desk.office(context), update.callback_query
    assert query is not None  # noqa: S101 the dispatcher lets nothing else through
    me = desk.user(update).id
    done = await office.actions.press(query.data or "", me, desk.cause(update))
    text = action_texts.answer(done, office.actions.others(done), desk.page(context))
    await desk.replace_pressed(update, context, text, action_texts.way_on(done))
    desk.done(update, context, for_good=False)
