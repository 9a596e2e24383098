"""A shop of one's own: registering it, its name, the number that gets the money; what buyers
propose to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from telegram import ReplyKeyboardRemove, Update

from escrow.bot import asking, desk, selling_keyboards, selling_texts, texts
from escrow.bot.desk import Desk
from escrow.bot.typed import read_shop_name


async def sell(update: Update, context: Desk) -> None:
    """/sell Shop Name: registers a shop, or gives one that waits another name. Bare: shows it."""
    office, me = desk.office(context), desk.user(update).id
    known = await office.people.seller_of(me)
    if known is not None:
        if context.args:
            known = await office.people.rename_shop(me, read_shop_name(desk.words(context)))
        text = selling_texts.shop(known, desk.page(context))
        await desk.answer(update, context, text, selling_keyboards.shop(known))
    elif context.args:
        await ask_number(update, context, desk.words(context))
    else:
        await office.people.set_conversation(me, asking.SHOP_NAME)
        await desk.answer(update, context, texts.ask_shop_name(desk.page(context)))


async def ask_number(update: Update, context: Desk, name: str) -> None:
    """The shop has a name; its number is next."""
    shop = read_shop_name(name)
    question = texts.ask_number_to_sell(shop, desk.page(context))
    await asking.ask_number(update, context, asking.TO_SELL, {"shop": shop}, question)


async def number_known(update: Update, context: Desk, msisdn: str, said: Mapping[str, Any]) -> None:
    """Name and number are there: the shop waits for an admin."""
    office, me = desk.office(context), desk.user(update).id
    seller = await office.people.register_seller(me, said["shop"], msisdn)
    text = selling_texts.shop(seller, desk.page(context))
    await desk.answer(update, context, text, selling_keyboards.shop(seller))


async def payout_number(update: Update, context: Desk) -> None:
    """[Change payout number], [Getting my money]: asks for it."""
    question = selling_texts.ask_payout_number(desk.page(context))
    await asking.ask_number(update, context, asking.TO_PAYOUT, {}, question)


async def payout_number_known(
    update: Update, context: Desk, msisdn: str, said: Mapping[str, Any]
) -> None:
    """A change is told by its notice; the same number again right here."""
    office, me = desk.office(context), desk.user(update).id
    seller, changed = await office.people.change_payout_phone(me, msisdn)
    if not changed:
        text = selling_texts.payout_number_same(seller)
        await desk.answer(update, context, text, ReplyKeyboardRemove())


# -- what buyers propose ---------------------------------------------------------------------------


async def accept(update: Update, context: Desk) -> None:
    """[Accept]"""
    escrows, me = desk.office(context).escrows, desk.user(update).id
    escrow = await escrows.accept(desk.button(update).deal, me)
    text = selling_texts.accepted(escrow, desk.page(context))
    await desk.replace_pressed(update, context, text)
    desk.done(update, context)


async def refuse(update: Update, context: Desk) -> None:
    """[Refuse]"""
    escrows, me = desk.office(context).escrows, desk.user(update).id
    escrow = await escrows.refuse(desk.button(update).deal, me)
    await desk.replace_pressed(update, context, selling_texts.refused(escrow, desk.page(context)))
    desk.done(update, context)
