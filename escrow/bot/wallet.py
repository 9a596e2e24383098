"""The wallet: what is available, held and on its way, what moved; sending it to the phone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from telegram import Update

from escrow.bot import asking, desk, dollars, wallet_texts
from escrow.bot.desk import Desk
from escrow.bot.typed import read_amount
from escrow.domain.money import Currency, Money

DOLLAR_WORDS: Final = frozenset({"USD", "US$", "$"})


async def wallet(update: Update, context: Desk) -> None:
    """/wallet"""
    values = await desk.office(context).wallets.view(desk.user(update).id)
    text = wallet_texts.wallet(values, desk.page(context))
    await desk.answer(update, context, text, wallet_texts.keyboard(values))


async def turn(update: Update, context: Desk) -> None:
    """[Older], [Newer]: another page in place."""
    await _show_again(update, context, desk.button(update).number)


async def switch(update: Update, context: Desk) -> None:
    """[Automatic payouts: on], [… off]: turns them, in place. The button says to which (1 on,
    2 off), so that a press handled twice turns them once.
    """
    office, me = desk.office(context), desk.user(update).id
    await office.wallets.auto_payout(me, on=desk.button(update).number == 1)
    await _show_again(update, context, 1)


async def _show_again(update: Update, context: Desk, number: int) -> None:
    values = await desk.office(context).wallets.view(desk.user(update).id, number)
    text = wallet_texts.wallet(values, desk.page(context))
    await desk.replace_pressed(update, context, text, wallet_texts.keyboard(values))


# -- sending it to the phone ---------------------------------------------------------------------


async def withdraw(update: Update, context: Desk) -> None:
    """/withdraw [AMOUNT], /withdraw USD [AMOUNT]; bare: what there is, shillings first"""
    typed = desk.words(context)
    if typed.upper() in DOLLAR_WORDS:
        await dollars.begin(update, context)
        return
    amount = read_amount(typed, "withdraw") if typed else None
    if amount is not None and amount.currency is Currency.USD:
        await dollars.begin(update, context, amount)
    elif amount is None and await desk.office(context).wallets.only_dollars(desk.user(update).id):
        await dollars.begin(update, context)
    else:
        await _preview(update, context, amount)


async def withdraw_all(update: Update, context: Desk) -> None:
    """[Send … to …]: asks once more first."""
    await _preview(update, context, None)


async def _preview(update: Update, context: Desk, amount: Money | None) -> None:
    """What would be sent, with one button; who has no number of his own is asked for it first."""
    office, page, me = desk.office(context), desk.page(context), desk.user(update).id
    if await office.wallets.destination(me) is None:
        said = {"amount": amount.minor if amount else None}
        question = wallet_texts.ask_own_number(page)
        await asking.ask_number(update, context, asking.TO_WITHDRAW, said, question)
        return
    what = await office.wallets.preview(me, amount)
    text = wallet_texts.preview(what, page)
    await desk.answer(update, context, text, wallet_texts.confirm(what))


async def number_known(update: Update, context: Desk, msisdn: str, said: Mapping[str, Any]) -> None:
    """The number that was asked for is there. One that was only typed is asked for again."""
    minor = said["amount"]
    await _preview(update, context, Money(minor, Currency.KES) if minor else None)


async def send(update: Update, context: Desk) -> None:
    """[Yes, send]"""
    amount = Money(desk.button(update).number, Currency.KES)
    office, me = desk.office(context), desk.user(update).id
    booked = await office.payouts.book_withdrawal(me, amount, desk.question(update))
    desk.done(update, context)
    text = wallet_texts.sent(booked, desk.page(context))
    await desk.replace_pressed(update, context, text)
