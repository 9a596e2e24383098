"""The admin commands, each `(update, context)`, and ADMIN_COMMANDS: the one list of them that
menus, guide and tests are made from.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from typing import Any, Final

from telegram import Update
from telegram.ext import CallbackContext

from escrow.bot import admin_texts, desk
from escrow.bot.buttons import Verb
from escrow.bot.context import Command, Handler
from escrow.bot.typed import read_row

__all__ = ["system_health", "verify_seller"]

_LOG: Final = logging.getLogger(__name__)
Context = CallbackContext[Any, Any, Any, Any]


def admin_only(handler: Handler) -> Handler:
    """Lets only admins in, whoever they are when it runs. Others get one line."""

    @functools.wraps(handler)
    async def guarded(update: Update, context: Context) -> None:
        if desk.user(update).id in desk.office(context).admins:
            await handler(update, context)
            return
        _LOG.warning(
            "refused to somebody who is no admin",
            extra={
                "action": "not_admin",
                "command": handler.__name__,
                "person": desk.user(update).id,
            },
        )
        await desk.answer(update, context, admin_texts.not_admin())

    return guarded


@admin_only
async def verify_seller(update: Update, context: Context) -> None:
    """/verify_seller <Telegram id or row>: he may sell, and his open deals can be paid."""
    await _verify(update, context, read_row(context.args or (), "verify_seller"))


async def _verify(update: Update, context: Context, number: int) -> None:
    seller, changed = await desk.office(context).people.verify_seller(number, desk.user(update).id)
    text = admin_texts.verified(seller, desk.page(context), changed=changed)
    await desk.answer(update, context, text)


@admin_only
async def system_health(update: Update, context: Context) -> None:
    """/system_health: one word first, then the figures behind it."""
    look = await desk.office(context).oversight.look()
    await desk.answer(update, context, admin_texts.health(look, desk.page(context)))


# -- buttons -------------------------------------------------------------------------------------


@admin_only
async def _verify_pressed(update: Update, context: Context) -> None:
    await _verify(update, context, desk.button(update).number)
    await desk.strip_buttons(update, context)


@admin_only
async def _credit_pressed(update: Update, context: Context) -> None:
    await _decide(update, context, ours=True)


@admin_only
async def _not_ours_pressed(update: Update, context: Context) -> None:
    await _decide(update, context, ours=False)


async def _decide(update: Update, context: Context, *, ours: bool) -> None:
    """An admin's word on a receipt that waits. Decided before: the error says so."""
    receipt = await desk.office(context).confirmations.confirm_receipt(
        desk.button(update).number, desk.user(update).id, ours=ours
    )
    await desk.strip_buttons(update, context)
    text = admin_texts.receipt_decided(receipt, desk.page(context))
    await desk.answer(update, context, text)


ADMIN_COMMANDS: Final[tuple[Command, ...]] = (
    Command("verify_seller", "verify a seller", "/verify_seller 2001", verify_seller),
    Command(
        "system_health", "is the money safe, is anything stuck", "/system_health", system_health
    ),
)

ADMIN_BUTTONS: Final[Mapping[Verb, Handler]] = {
    Verb.VERIFY: _verify_pressed,
    Verb.CREDIT: _credit_pressed,
    Verb.NOT_OURS: _not_ours_pressed,
}
