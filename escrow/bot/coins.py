"""Paying in coins: which one, then amount and address in the same message."""

from __future__ import annotations

from telegram import Update

from escrow.bot import coin_texts, deal_texts, desk, keyboards
from escrow.bot.context import Office
from escrow.bot.desk import Desk
from escrow.domain.errors import LimitReached, NotAllowed
from escrow.domain.model import Choice, Escrow
from escrow.domain.money import Currency
from escrow.services.ports import Verdict
from escrow.services.work import DealView


async def choose(update: Update, context: Desk) -> None:
    """[Pay in crypto]: which coin?"""
    await offer(update, context, desk.button(update).deal)


async def offer(update: Update, context: Desk, typed: str) -> None:
    """The coins that this deal can be paid in."""
    office, page, me = desk.office(context), desk.page(context), desk.user(update).id
    view = await office.escrows.deal(typed, me)
    escrow = view.escrow
    if view.role == "seller":
        raise NotAllowed("own_deal")
    if not escrow.can_be_paid:
        raise NotAllowed("not_payable", status=str(escrow.status))
    if view.reserved_by_other:
        raise NotAllowed("reserved", deal=escrow.id)
    offered = office.coins.offers(escrow.currency)
    if not offered:
        raise _none(office, view.escrow)
    text = coin_texts.which_coin(escrow, escrow.due - escrow.received, page)
    await desk.answer(update, context, text, coin_texts.coins(escrow.id, offered))


async def complete(update: Update, context: Desk, choice: Choice, view: DealView) -> None:
    """[Complete payment] by somebody who pays in coins: in which coin, or otherwise."""
    office, page = desk.office(context), desk.page(context)
    offered = office.coins.offers(view.escrow.currency)
    others = keyboards.ways_to_complete(choice, view.wallet, by_mpesa=view.by_mpesa)
    if not offered and not others:
        raise _none(office, view.escrow)
    if offered:
        text = coin_texts.which_coin(view.escrow, choice.missing, page)
    else:
        text = deal_texts.how_to_complete(choice.missing, view.wallet, page)
    await desk.answer(update, context, text, coin_texts.coins(choice.escrow_id, offered, others))


def _none(office: Office, escrow: Escrow) -> LimitReached:
    """Why this deal can't be paid in coins: without a price, or without a provider."""
    if escrow.currency is Currency.KES and office.coins.providers:
        return LimitReached("no_rate", deal=escrow.id)
    if escrow.currency is Currency.KES:
        return LimitReached("mpesa_not_offered", deal=escrow.id)
    return LimitReached("no_coins_for_currency", currency=escrow.currency.code, deal=escrow.id)


async def picked(update: Update, context: Desk) -> None:
    """A coin, [Try again]: the list becomes the quote."""
    button, query = desk.button(update), update.callback_query
    coin = coin_texts.numbered(button.number)
    if coin is None:
        raise LimitReached("coin_not_offered", deal=button.deal)
    context.progress = query.message if query else None
    await desk.replace_pressed(update, context, coin_texts.one_moment(coin))
    office, page, me = desk.office(context), desk.page(context), desk.user(update).id
    asked = await office.coins.start(button.deal, me, coin.code, desk.cause(update))
    if asked.answer.verdict is Verdict.PENDING:
        text, keyboard = coin_texts.quote(asked, page), coin_texts.copies(asked)
    else:
        text = coin_texts.refused(asked.answer, coin, page)
        keyboard = coin_texts.again(asked.escrow.id, coin)
    await desk.replace_pressed(update, context, text, keyboard)
