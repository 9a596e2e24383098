"""Admins look at disputes, deals and cases, and decide from there."""

from __future__ import annotations

import io
from typing import Any, Final

from markupsafe import Markup
from telegram import InlineKeyboardMarkup, Update
from telegram.constants import ParseMode
from telegram.ext import CallbackContext

from escrow.bot import desk, ruling_texts
from escrow.bot.admin import bundle, case_texts, confirming, paging
from escrow.bot.admin.paging import TRANSACTIONS, Listed, Rows
from escrow.bot.context import Office
from escrow.bot.desk import Desk
from escrow.bot.page import Page
from escrow.domain.errors import InvalidInput, NotFound
from escrow.domain.flow import Status
from escrow.domain.model import Escrow
from escrow.services.verdicts import REFUND, RELEASE, RESOLVE

DISPUTES: Final = "disputed_transactions"
PER_PAGE: Final = 5
Context = CallbackContext[Any, Any, Any, Any]
_DECISIONS: Final = {
    1: "buyer",
    2: "seller",
    3: "split",
    4: "buyer",
    5: "seller",
}
"""What the buttons of a case decide; the last two because of silence."""
_FOR_SILENCE: Final = (4, 5)
_RULES: Final = {1: REFUND, 2: RELEASE}


# -- lists ---------------------------------------------------------------------------------------


async def disputed_transactions(update: Update, context: Context) -> None:
    """/disputed_transactions [page]"""
    number = paging.number_of(context.args or (), DISPUTES)
    await paging.answer(update, context, DISPUTES, disputes_page, number)


async def disputes_page(office: Office, page: Page, number: int) -> tuple[Markup, Rows, int]:
    """Those whose other side is silent first, then the oldest."""
    found, count = await office.cases.open_disputes((number - 1) * PER_PAGE, PER_PAGE)
    text = case_texts.disputes(found, count, page, buttons=not office.bare)
    return text, case_texts.dispute_rows(found), max(1, -(-count // PER_PAGE))


async def transactions(update: Update, context: Desk) -> None:
    """/transactions [STATUS [page]]: how many deals stand where, or those in one status."""
    if not context.args:
        await paging.answer(update, context, TRANSACTIONS, counts_page)
        return
    status = _status(context.args[0])
    name = f"{TRANSACTIONS} {status}"
    number = paging.number_of(context.args[1:], name)
    await paging.answer(update, context, name, of_status(status), number)


def of_status(status: Status) -> Listed:
    """The list of the deals in that status."""
    return lambda office, page, number: deals_page(office, page, status, number)


async def counts_page(office: Office, page: Page, number: int) -> tuple[Markup, Rows, int]:
    """One page: how many deals stand where."""
    text = case_texts.counts(await office.cases.counts(), page, buttons=not office.bare)
    return text, case_texts.count_rows(), 1


def _status(typed: str) -> Status:
    word = typed.upper()
    if word not in set(Status):
        raise InvalidInput("usage", command="transactions")
    return Status(word)


async def deals_page(
    office: Office, page: Page, status: Status, number: int
) -> tuple[Markup, Rows, int]:
    """What changed last first. How many there are nobody counts: only whether there are more."""
    found, more = await office.cases.by_status(status, (number - 1) * PER_PAGE, PER_PAGE)
    text = case_texts.transactions(status, found, page)
    pages = number + more if found else 1
    return text, case_texts.transaction_rows(found), pages


# -- one case ------------------------------------------------------------------------------------


async def case(update: Update, context: Desk) -> None:
    """/case CODE: takes its dispute, shows everything."""
    if not context.args:
        raise InvalidInput("usage", command="case")
    await _open(update, context, desk.words(context))


async def pressed(update: Update, context: Desk) -> None:
    """[Case …]"""
    await _open(update, context, desk.button(update).deal)
    desk.done(update, context, for_good=False)


async def _open(update: Update, context: Desk, typed: str) -> None:
    page = desk.page(context)
    found = await desk.office(context).cases.open(typed, desk.user(update).id)
    keyboard = InlineKeyboardMarkup(case_texts.case_rows(found, page))
    await desk.answer(update, context, case_texts.case(found, page), keyboard)


async def file_pressed(update: Update, context: Desk) -> None:
    """[The whole case as a file]"""
    office, page = desk.office(context), desk.page(context)
    found = await office.cases.look(desk.button(update).deal, desk.user(update).id)
    content = bundle.render(found, await office.cases.pictures(found), page)
    chat = update.effective_chat
    assert chat is not None  # noqa: S101 a press has one
    await context.bot.send_document(
        chat.id,
        io.BytesIO(content),
        filename=f"{found.escrow.id}.html",
        caption=str(case_texts.bundle_caption(found, page)),
        parse_mode=ParseMode.HTML,
    )
    desk.done(update, context, for_good=False)


async def resolve_pressed(update: Update, context: Desk) -> None:
    """[All to the buyer], [All to the seller], [Half and half]: the preview. [No answer: …] only
    while nobody answered.
    """
    button = desk.button(update)
    if button.number not in _DECISIONS:
        raise NotFound("button_gone")
    notes = ""
    if button.number in _FOR_SILENCE:
        found = await desk.office(context).cases.look(button.deal, desk.user(update).id)
        if not case_texts.still_silent(found, desk.page(context)):
            raise NotFound("button_gone")
        notes = case_texts.silence()
    params = {"decision": _DECISIONS[button.number], "percent": None, "notes": notes}
    await confirming.ask(update, context, RESOLVE, button.deal, params)
    desk.done(update, context, for_good=False)


async def rule_pressed(update: Update, context: Desk) -> None:
    """[Refund the buyer], [Pay the seller]: the preview; [Freeze it], [Let it go on]: at once."""
    button, escrows = desk.button(update), desk.office(context).escrows
    me, cause = desk.user(update).id, desk.cause(update)
    if button.number in _RULES:
        await confirming.ask(update, context, _RULES[button.number], button.deal, {"reason": ""})
    elif button.number == 3:
        await say_frozen(update, context, await escrows.freeze(button.deal, me, "", cause))
    elif button.number == 4:
        await say_unfrozen(update, context, await escrows.unfreeze(button.deal, me, "", cause))
    else:
        raise NotFound("button_gone")
    desk.done(update, context, for_good=False)


async def say_frozen(update: Update, context: Context, escrow: Escrow) -> None:
    """What /freeze_transaction did, and the way on from there."""
    text = ruling_texts.frozen(escrow, desk.page(context))
    await desk.answer(update, context, text, case_texts.after_freezing(escrow.id))


async def say_unfrozen(update: Update, context: Context, escrow: Escrow) -> None:
    text = ruling_texts.unfrozen(escrow, desk.page(context))
    await desk.answer(update, context, text, case_texts.to_case(escrow.id))
