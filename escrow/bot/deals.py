"""Looking at deals and ending them: both parties' commands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from markupsafe import Markup
from telegram import InlineKeyboardMarkup, Update

from escrow.bot import deal_texts, desk, keyboards
from escrow.bot.buttons import Verb
from escrow.bot.desk import Desk
from escrow.bot.fitting import ASKS_FIRST, fitting
from escrow.bot.talk_texts import file_missing
from escrow.domain.errors import NotFound

Do = Callable[[Update, Desk, str], Awaitable[None]]


async def show(update: Update, context: Desk, typed: str) -> None:
    """A deal's card, with what this person can press."""
    office, page = desk.office(context), desk.page(context)
    view = await office.escrows.deal(typed, desk.user(update).id)
    choice = await office.choices.buttons(view.choice_id) if view.choice_id else None
    await desk.answer(
        update,
        context,
        deal_texts.deal_card(view, page),
        keyboards.deal(view, choice, by_hand=bool(page.paybill)),
    )


async def listed(update: Update, context: Desk) -> None:
    """/deals: those under way first, newest first."""
    await desk.answer(update, context, *await _page(update, context, 1))


async def turned(update: Update, context: Desk) -> None:
    """[Older], [Newer]: another page of the list, in place."""
    await desk.here(update, context, *await _page(update, context, desk.button(update).number))


async def _page(
    update: Update, context: Desk, number: int
) -> tuple[Markup, InlineKeyboardMarkup | None]:
    escrows = desk.office(context).escrows
    rows = await escrows.deals(desk.user(update).id)
    pages = max(1, -(-len(rows) // deal_texts.LISTED))
    shown = min(number, pages)
    first = (shown - 1) * deal_texts.LISTED
    part = rows[first : first + deal_texts.LISTED]
    settled = await escrows.settled([escrow for escrow, _ in part])
    text = deal_texts.deals(part, settled, desk.page(context))
    return text, keyboards.deal_page(part, shown, pages) if part else None


async def with_code(update: Update, context: Desk, typed: str, verb: Verb, do: Do) -> None:
    """Does it for the deal that was named; without a name for the only one that fits, or lets
    the person pick.
    """
    if typed:
        await do(update, context, typed)
        return
    rows = fitting(await desk.office(context).escrows.deals(desk.user(update).id), verb)
    if not rows:
        raise NotFound("nothing_fits")
    if len(rows) == 1 and verb not in ASKS_FIRST:
        await do(update, context, rows[0][0].id)
        return
    await desk.answer(update, context, deal_texts.which_deal(), keyboards.deals(rows, verb))


async def deal(update: Update, context: Desk) -> None:
    """/deal CODE"""
    await with_code(update, context, desk.words(context), Verb.SHOW, show)


async def cancel(update: Update, context: Desk, typed: str) -> None:
    """/cancel CODE, for a deal that nobody has funded."""
    await with_code(update, context, typed, Verb.CANCEL, _cancel)


async def _cancel(update: Update, context: Desk, typed: str) -> None:
    office, me = desk.office(context), desk.user(update).id
    before = await office.escrows.deal(typed, me)
    escrow = await office.escrows.cancel(typed, me)
    if before.role == "seller":
        text = deal_texts.cancelled(escrow, desk.page(context))
    else:
        rings = await office.prompts.may_ask(escrow.id, me)
        text = deal_texts.cancelled_by_buyer(before.escrow, escrow, desk.page(context), rings=rings)
    await desk.here(update, context, text)


async def decline(update: Update, context: Desk) -> None:
    """/decline CODE: the seller gives the money back."""
    await with_code(update, context, desk.words(context), Verb.DECLINE, _decline)


async def _decline(update: Update, context: Desk, typed: str) -> None:
    escrows, me = desk.office(context).escrows, desk.user(update).id
    escrow = await escrows.decline(typed, me, desk.cause(update))
    await desk.here(update, context, deal_texts.declined(escrow, desk.page(context)))


def pressed(do: Do) -> Callable[[Update, Desk], Awaitable[None]]:
    """The handler of a button that names a deal."""

    async def handler(update: Update, context: Desk) -> None:
        await do(update, context, desk.button(update).deal)

    return handler


async def _photo(update: Update, context: Desk, typed: str) -> None:
    """[See the photo]: what is sold, as its seller shows it."""
    view = await desk.office(context).escrows.deal(typed, desk.user(update).id)
    text = deal_texts.photo_of(view.escrow)
    await desk.show(update, context, text, view.photo, None, file_missing())
    desk.done(update, context, for_good=False)


photo_pressed: Final = pressed(_photo)
show_pressed: Final = pressed(show)
cancel_pressed: Final = pressed(_cancel)
decline_pressed: Final = pressed(_decline)
