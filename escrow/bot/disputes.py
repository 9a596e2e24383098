"""Something is wrong: a reason by buttons, a few words, the dispute; and taking it back."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from telegram import Update

from escrow.bot import asking, desk, dispute_texts
from escrow.bot.buttons import Verb
from escrow.bot.deals import with_code
from escrow.bot.desk import Desk
from escrow.bot.divisions import split_code
from escrow.domain.errors import NotAllowed, NotFound
from escrow.domain.flow import Event
from escrow.services.dividing import must_allow
from escrow_service import DealView

DISPUTE_WORDS: Final = "dispute_words"
"""The step in which the words of a dispute are typed."""


async def dispute(update: Update, context: Desk) -> None:
    """/dispute CODE reason. Without a reason the buttons ask for one."""
    typed, reason = split_code(context.args or ())
    do = partial(_open, reason=reason) if reason else _ask
    await with_code(update, context, typed, Verb.DISPUTE, do)


async def dispute_pressed(update: Update, context: Desk) -> None:
    """[Something is wrong]"""
    await _ask(update, context, desk.button(update).deal)


async def _ask(update: Update, context: Desk, typed: str) -> None:
    view = await _mine(update, context, typed)
    text = dispute_texts.ask_reason(view.escrow, desk.page(context))
    keyboard = dispute_texts.reason_buttons(view.escrow.id, view.role)
    await desk.answer(update, context, text, keyboard)


async def _mine(update: Update, context: Desk, typed: str) -> DealView:
    """One's own deal that can be disputed now: who can't reads so before he is asked anything."""
    view = await desk.office(context).escrows.deal(typed, desk.user(update).id)
    if view.role == "guest":
        raise NotFound("no_deal", code=view.escrow.id)
    must_allow(view.escrow, Event.DISPUTE)
    return view


async def reason(update: Update, context: Desk) -> None:
    """[It is broken] asks for words; [Open it without words] opens it."""
    button = desk.button(update)
    view = await _mine(update, context, button.deal)
    number = button.number % dispute_texts.WITHOUT_WORDS
    label = dispute_texts.reasons(view.role).get(number)
    if label is None:
        raise NotFound("button_gone")
    kept = dispute_texts.kept_reason(view.role, number)
    if button.number > dispute_texts.WITHOUT_WORDS:
        await _open(update, context, view.escrow.id, kept)
        await desk.replace_pressed(
            update, context, dispute_texts.opened(view.escrow.id, desk.page(context))
        )
        desk.done(update, context)
        return
    needed = number == dispute_texts.OTHER
    said = {"deal": view.escrow.id, "reason": "" if needed else kept}
    await desk.office(context).people.set_conversation(desk.user(update).id, DISPUTE_WORDS, said)
    text = dispute_texts.ask_words(label, desk.page(context), needed=needed)
    keyboard = dispute_texts.without_words(view.escrow.id, number)
    await desk.replace_pressed(update, context, text, keyboard)


async def words_typed(update: Update, context: Desk, text: str, said: Mapping[str, Any]) -> None:
    """The words are there: they open the dispute."""
    await _open(update, context, said["deal"], ": ".join(filter(None, (said["reason"], text))))


async def _open(update: Update, context: Desk, typed: str, reason: str) -> None:
    """What comes next is told to both by notices."""
    office, me = desk.office(context), desk.user(update).id
    await office.escrows.dispute(typed, me, reason, desk.cause(update))
    await asking.end(update, context, DISPUTE_WORDS)


async def withdraw(update: Update, context: Desk) -> None:
    """/withdraw_dispute CODE"""
    await with_code(update, context, desk.words(context), Verb.WITHDRAW, _withdraw)


async def _withdraw(update: Update, context: Desk, typed: str) -> None:
    escrow = await desk.office(context).escrows.withdraw_dispute(typed, desk.user(update).id)
    await desk.answer(update, context, dispute_texts.withdrawn(escrow, desk.page(context)))


async def ask_withdraw(update: Update, context: Desk, typed: str) -> None:
    """[Withdraw it]: asks once more, for whoever raised it."""
    view = await desk.office(context).escrows.deal(typed, desk.user(update).id)
    if view.dispute is None:
        raise NotFound("no_open_dispute", code=view.escrow.id)
    if view.dispute.raised_by != desk.user(update).id:
        raise NotAllowed("not_your_dispute")
    text = dispute_texts.ask_withdraw(view.escrow, desk.page(context))
    await desk.here(update, context, text, dispute_texts.withdraw_buttons(view.escrow.id))


async def withdraw_pressed(update: Update, context: Desk) -> None:
    """[Yes, withdraw it]"""
    escrow = await desk.office(context).escrows.withdraw_dispute(
        desk.button(update).deal, desk.user(update).id
    )
    await desk.here(update, context, dispute_texts.withdrawn(escrow, desk.page(context)))
    desk.done(update, context)
