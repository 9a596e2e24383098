"""Sending, receiving, giving back: the two sides' steps between paid and paid out.

What asks once more stands in place of the message that was pressed, and so does what came of it.
The proof is asked for by a step in PostgreSQL: a restart in between loses nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from markupsafe import Markup
from telegram import InaccessibleMessage, InlineKeyboardMarkup, Update

from escrow.bot import asking, deal_buttons, deal_texts, desk, keyboards, shipping_texts
from escrow.bot.buttons import Verb
from escrow.bot.deals import show, with_code
from escrow.bot.desk import Desk
from escrow.bot.fitting import may
from escrow.bot.typed import names_tracking, read_tracking, split_code
from escrow.domain import codes, flow
from escrow.domain.claims import looks_like_message
from escrow.domain.flow import Actor, Event
from escrow.domain.model import Media
from escrow.services.shipping import Received
from escrow_service import DealView

PROOF: Final = "proof"
Said = Mapping[str, Any]
_Act = Callable[[str, int, str], Awaitable[Received]]


async def _may(update: Update, context: Desk, typed: str, *events: Event) -> DealView:
    """The deal, if this person may do one of that with it now. `IllegalMove`, `NotAllowed`."""
    view = await desk.office(context).escrows.deal(typed, desk.user(update).id)
    if not any(may(view.escrow, view.role, event) for event in events):
        actor = Actor(view.role) if view.role in ("buyer", "seller") else Actor.SYSTEM
        flow.next_edge(view.escrow.status, events[0], actor)
    return view


# -- sent ------------------------------------------------------------------------------------------


async def ship(update: Update, context: Desk) -> None:
    """/ship CODE tracking"""
    code, words = split_code(context.args or ())

    async def do(update: Update, context: Desk, typed: str) -> None:
        await _ship(update, context, typed, words)

    await with_code(update, context, code, Verb.SENT, do)


async def _ship(update: Update, context: Desk, typed: str, words: str) -> None:
    office, me = desk.office(context), desk.user(update).id
    if not words:
        await sent(update, context, typed)
        return
    cause = desk.cause(update)
    escrow = await office.escrows.ship(typed, me, tracking=words, proof=None, cause=cause)
    await asking.end(update, context, PROOF)
    await show(update, context, escrow.id)


async def sent(update: Update, context: Desk, typed: str) -> None:
    """[Sent]: asks for the proof; where none is needed it is sent."""
    office, me = desk.office(context), desk.user(update).id
    view = await _may(update, context, typed, Event.SHIP)
    deal = view.escrow.id
    if not office.escrows.needs_proof:
        await office.escrows.ship(deal, me, tracking=None, proof=None, cause=desk.cause(update))
        await back(update, context, deal)
        return
    text = shipping_texts.ask_proof(view.escrow, desk.page(context))
    asked = await desk.here(update, context, text, deal_buttons.back(deal))
    await office.people.set_conversation(me, PROOF, {"deal": deal, "asked": asked})


async def _proof(update: Update, context: Desk, given: Media | str, said: Said) -> None:
    """The proof: the message that asked for it becomes the deal's card."""
    office, me = desk.office(context), desk.user(update).id
    if isinstance(given, str) and not names_tracking(given):
        await _may(update, context, said["deal"], Event.SHIP)  # else no proof is waited for
    photo = given if isinstance(given, Media) else None
    words = read_tracking(given) if isinstance(given, str) else None
    await office.escrows.ship(
        said["deal"], me, tracking=words, proof=photo, cause=desk.cause(update)
    )
    await desk.thumb_up(update, context)
    view = await office.escrows.deal(said["deal"], me)
    text, keyboard = (
        deal_texts.deal_card(view, desk.page(context)),
        keyboards.deal(view, by_hand=bool(desk.page(context).paybill)),
    )
    chat = update.effective_chat
    if said.get("asked") and chat is not None:
        await desk.edit(context, InaccessibleMessage(chat, said["asked"]), text, keyboard)
    else:
        await desk.answer(update, context, text, keyboard)
    await asking.end(update, context, PROOF)


def means_no_proof(text: str) -> bool:
    """Whether that is meant otherwise than as a tracking number: a whole M-Pesa message, which
    would show the buyer somebody's name and balance, or a deal's code.
    """
    is_message = len(text.split()) > 1 and looks_like_message(text)
    return is_message or codes.read_code(text) is not None


STEPS: Final[dict[str, Callable[[Update, Desk, Any, Said], Awaitable[None]]]] = {PROOF: _proof}
"""Step → what takes the next words or the next file."""


# -- received --------------------------------------------------------------------------------------


async def received(update: Update, context: Desk) -> None:
    """/received CODE"""
    await with_code(update, context, desk.words(context), Verb.RECEIVED, ask_received)


async def ask_received(update: Update, context: Desk, typed: str) -> None:
    """[Received], [I have it], [Pay the seller now]: asks once more, with what and for whom."""
    view = await _may(update, context, typed, Event.DELIVER, Event.RELEASE)
    text = shipping_texts.ask_received(view.escrow, desk.page(context))
    await desk.here(update, context, text, deal_buttons.pay_seller(view.escrow))


async def pay_seller(update: Update, context: Desk, typed: str) -> None:
    """[Yes, pay …] to whether he has it: the question becomes what came of it."""
    await _paid(update, context, typed, desk.office(context).escrows.receive)


async def pay_now(update: Update, context: Desk, typed: str) -> None:
    """[Yes, pay …] to whether to end the time to look."""
    await _paid(update, context, typed, desk.office(context).escrows.release)


async def _paid(update: Update, context: Desk, typed: str, act: _Act) -> None:
    done = await act(typed, desk.user(update).id, desk.cause(update))
    desk.done(update, context, for_good=False)
    text, keyboard = _outcome(done, desk.page(context))
    await desk.here(update, context, text, keyboard)


def _outcome(done: Received, page: Any) -> tuple[Markup, InlineKeyboardMarkup]:
    deal = done.escrow.id
    if done.released:
        return shipping_texts.paid_out(done.escrow, page), deal_buttons.stars(deal)
    return shipping_texts.looking(done.escrow, page), deal_buttons.looking(deal)


# -- ending it -------------------------------------------------------------------------------------


async def ask_decline(update: Update, context: Desk, typed: str) -> None:
    """[Can't send it]: asks once more."""
    view = await _may(update, context, typed, Event.DECLINE)
    text = shipping_texts.ask_decline(view.escrow, desk.page(context))
    await desk.here(update, context, text, deal_buttons.give_back(view.escrow.id))


async def ask_cancel(update: Update, context: Desk, typed: str) -> None:
    """[Cancel the deal]: asks once more."""
    view = await _may(update, context, typed, Event.CANCEL)
    text = shipping_texts.ask_cancel(view.escrow, desk.page(context))
    await desk.here(update, context, text, deal_buttons.cancel(view.escrow.id))


async def back(update: Update, context: Desk, typed: str) -> None:
    """[Back], [Not yet]: the card again, as the deal stands now; no question is open any more."""
    await asking.end(update, context, PROOF)
    office, page = desk.office(context), desk.page(context)
    view = await office.escrows.deal(typed, desk.user(update).id)
    choice = await office.choices.buttons(view.choice_id) if view.choice_id else None
    await desk.here(
        update,
        context,
        deal_texts.deal_card(view, page),
        keyboards.deal(view, choice, by_hand=bool(page.paybill)),
    )
