"""Paying: by a prompt on the phone, by hand, from the wallet; and the underpayment choice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from telegram import (
    Chat,
    InaccessibleMessage,
    InlineKeyboardMarkup,
    MaybeInaccessibleMessage,
    Update,
)
from telegram.constants import ChatType

from escrow.bot import asking, coins, deal_texts, desk, keyboards, texts
from escrow.bot.buttons import Verb
from escrow.bot.deals import show, with_code
from escrow.bot.desk import Desk
from escrow.bot.page import Page
from escrow.domain.errors import NotAllowed
from escrow.domain.model import Escrow
from escrow.domain.money import Money
from escrow.services.choice_tokens import Action
from escrow.services.ports import Verdict
from escrow.services.prompts import Started
from escrow_service import DealView


async def pay(update: Update, context: Desk) -> None:
    """/pay CODE"""
    await with_code(update, context, desk.words(context), Verb.PAY, prompt)


async def pay_pressed(update: Update, context: Desk) -> None:
    """[Pay … from …], [Try again]: the card becomes the prompt's progress"""
    await prompt(update, context, desk.button(update).deal, place=_pressed(update))


async def prompt(
    update: Update,
    context: Desk,
    typed: str,
    *,
    choice_id: int | None = None,
    use_wallet: bool = False,
    at_most: Money | None = None,
    place: MaybeInaccessibleMessage | None = None,
) -> None:
    """Asks the phone for what the deal still needs; one message shows how that goes: the one that
    was pressed (`place`), or a new one. Whoever has no number yet is asked for it first, once.
    """
    office, page, me = desk.office(context), desk.page(context), desk.user(update).id
    view = await office.escrows.deal(typed, me)
    if not view.by_mpesa:
        await coins.offer(update, context, typed)
        return
    phone = desk.person(context).phone
    if phone is None:
        _open_to_me(view)
        said = {
            "deal": view.escrow.id,
            "choice": choice_id,
            "wallet": use_wallet,
            "place": place.message_id if place is not None else None,
        }
        question = texts.ask_number_to_pay(page)
        await asking.ask_number(update, context, asking.TO_PAY, said, question)
        return
    if place is None:
        context.progress = await desk.answer(update, context, deal_texts.one_moment())
    else:
        context.progress = place
        await desk.edit(context, place, deal_texts.one_moment())
    started = await office.prompts.start(
        view.escrow.id,
        me,
        desk.cause(update),
        choice_id=choice_id,
        use_wallet=use_wallet,
        at_most=at_most,
    )
    await office.prompts.remember_message(started.attempt.id, context.progress.message_id)
    text, keyboard = _outcome(started, view.escrow, page)
    await desk.edit(context, context.progress, text, keyboard)


def _pressed(update: Update) -> MaybeInaccessibleMessage | None:
    """The message whose button was pressed."""
    return update.callback_query.message if update.callback_query else None


def _open_to_me(view: DealView) -> None:
    """Who can't pay this deal reads so before he is asked for anything."""
    if view.role == "seller":
        raise NotAllowed("own_deal")
    if not view.escrow.can_be_paid:
        raise NotAllowed("not_payable", status=str(view.escrow.status))
    if view.reserved_by_other:
        raise NotAllowed("reserved")


def _outcome(
    started: Started, escrow: Escrow, page: Page
) -> tuple[Any, InlineKeyboardMarkup | None]:
    """M-Pesa's first word on a prompt, with what can be done next. Of a prompt that was started
    before, only what is known of it.
    """
    if started.repeated and not started.attempt.is_open:
        return deal_texts.prompt_ended(started, page), None
    if started.repeated and started.attempt.checkout_request_id is None:
        return deal_texts.prompt_unknown(started, page), None
    if started.answer.verdict is Verdict.PENDING:
        return deal_texts.phone_asks(started, escrow, page), None
    if started.answer.verdict is Verdict.DECLINED:
        again = keyboards.retry(
            escrow.id, started.attempt.choice_id, wait=False, by_hand=bool(page.paybill)
        )
        return deal_texts.prompt_refused(started, page), again
    only = keyboards.paybill_only(escrow.id) if page.paybill else None
    return deal_texts.prompt_unclear(started, page), only


async def number_known(update: Update, context: Desk, msisdn: str, said: Mapping[str, Any]) -> None:
    """The number that was asked for is there: paying goes on by itself."""
    me = desk.user(update)
    place = None
    if said.get("place"):  # the card that was pressed before
        place = InaccessibleMessage(Chat(me.id, ChatType.PRIVATE), int(said["place"]))
    await prompt(
        update,
        context,
        said["deal"],
        choice_id=said["choice"],
        use_wallet=said["wallet"],
        place=place,
    )


async def by_hand(update: Update, context: Desk) -> None:
    """[Pay by paybill]: reserves the deal and shows what to type."""
    office, page, me = desk.office(context), desk.page(context), desk.user(update).id
    if not page.paybill:  # a button from before we had a till
        raise NotAllowed("no_paybill")
    escrow = await office.prompts.reserve(desk.button(update).deal, me)
    amount = (escrow.due - escrow.received).up_to_step()
    text = deal_texts.by_hand(escrow, amount, page, reserved=escrow.buyer_telegram_id is None)
    await desk.answer(update, context, text, keyboards.by_hand(escrow.id, amount, page.paybill))
    desk.done(update, context, for_good=False)


async def share(update: Update, context: Desk) -> None:
    """[Share my number] below a refusal: the number is asked for, then paying goes on."""
    view = await desk.office(context).escrows.deal(desk.button(update).deal, desk.user(update).id)
    said = {"deal": view.escrow.id, "choice": view.choice_id, "wallet": False}
    question = texts.ask_own_number(desk.page(context))
    await asking.ask_number(update, context, asking.TO_PAY, said, question)


async def from_wallet(update: Update, context: Desk) -> None:
    """[Use wallet …]: all of it, or what is there and the rest by a prompt."""
    office, me = desk.office(context), desk.user(update).id
    view = await office.escrows.deal(desk.button(update).deal, me)
    at_most = _shown(update, view)
    if _takes_other(view, at_most):
        await show(update, context, view.escrow.id)
        return
    if _needs_more(view):
        await prompt(
            update,
            context,
            view.escrow.id,
            use_wallet=True,
            at_most=at_most,
            place=_pressed(update),
        )
        return
    await office.prompts.pay_from_wallet(view.escrow.id, me, desk.cause(update), at_most=at_most)
    await desk.strip_buttons(update, context)
    desk.done(update, context)


def _shown(update: Update, view: DealView) -> Money:
    """What the label of the pressed button takes from the wallet."""
    return Money(desk.button(update).wallet, view.escrow.currency)


def _takes_other(view: DealView, shown: Money) -> bool:
    """Whether the wallet would give something else now than the label said."""
    now = min(view.wallet, view.escrow.due - view.escrow.received)
    return view.escrow.can_be_paid and now != shown


def _needs_more(view: DealView) -> bool:
    """Whether the wallet alone can't pay what is missing. A deal that was paid needs nothing: a
    repeated press finds it so.
    """
    return view.escrow.can_be_paid and view.wallet < view.escrow.due - view.escrow.received


# -- the underpayment choice ---------------------------------------------------------------------


async def choose(update: Update, context: Desk) -> None:
    """A signed button. What Proceed and Cancel did is told by notices."""
    office, page = desk.office(context), desk.page(context)
    query = update.callback_query
    assert query is not None  # noqa: S101 the dispatcher lets nothing else through
    pressed = await office.choices.press(query.data or "", desk.user(update).id)
    choice = pressed.choice
    if pressed.action is not Action.COMPLETE:
        await desk.replace_pressed(update, context, deal_texts.decided(pressed, page))
        desk.done(update, context)
        return
    view = await office.escrows.deal(choice.escrow_id, choice.telegram_id)
    if not view.by_mpesa or await office.coins.pays(choice.escrow_id, choice.telegram_id):
        await coins.complete(update, context, choice, view)
    elif pressed.wallet:
        text = deal_texts.how_to_complete(choice.missing, pressed.wallet, page)
        await desk.answer(update, context, text, keyboards.complete(choice, pressed.wallet))
    else:
        await prompt(update, context, choice.escrow_id, choice_id=choice.id)


async def top_up(update: Update, context: Desk) -> None:
    """[From M-Pesa], [Try again]: a prompt for the missing amount."""
    button = desk.button(update)
    place = _pressed(update)
    await prompt(update, context, button.deal, choice_id=button.number, place=place)


async def top_up_from_wallet(update: Update, context: Desk) -> None:
    """[From wallet], [M-Pesa … + wallet …]"""
    office, me = desk.office(context), desk.user(update).id
    button = desk.button(update)
    view = await office.escrows.deal(button.deal, me)
    at_most = _shown(update, view)
    if _takes_other(view, at_most):
        await show(update, context, button.deal)
        return
    if _needs_more(view):
        await prompt(
            update,
            context,
            button.deal,
            choice_id=button.number,
            use_wallet=True,
            at_most=at_most,
            place=_pressed(update),
        )
        return
    await office.prompts.pay_from_wallet(
        button.deal, me, desk.cause(update), choice_id=button.number, at_most=at_most
    )
    await desk.strip_buttons(update, context)
    desk.done(update, context)
