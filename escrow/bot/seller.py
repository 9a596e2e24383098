"""Selling: registering a shop, opening deals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from telegram import Update

from escrow.bot import asking, deal_texts, desk, keyboards, texts
from escrow.bot.desk import Desk
from escrow.bot.typed import quoted, read_offer, read_shop_name
from escrow.domain.errors import NotFound
from escrow.domain.model import Escrow
from escrow.domain.money import Currency, Money


async def sell(update: Update, context: Desk) -> None:
    """/sell Shop Name"""
    office, me = desk.office(context), desk.user(update).id
    known = await office.people.seller_of(me)
    if known is not None:
        await desk.answer(update, context, texts.registered(known, desk.page(context)))
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
    await office.people.set_conversation(me, None)
    await desk.answer(update, context, texts.registered(seller, desk.page(context)))


# -- deals ---------------------------------------------------------------------------------------


async def newdeal(update: Update, context: Desk) -> None:
    """/newdeal 1500 Blue phone case: shows who pays and who gets what, before anything opens."""
    office, page, me = desk.office(context), desk.page(context), desk.user(update).id
    offer = read_offer(context.args or ())
    seller = await office.people.seller_of(me)
    if seller is None:
        await desk.answer(update, context, texts.lead_to_selling(page))
        return
    quote = quoted(office.escrows.quote, offer.price)
    number = update.update_id
    await office.people.set_conversation(
        me,
        asking.DRAFT,
        {
            "number": number,
            "currency": offer.price.currency.code,
            "price_minor": offer.price.minor,
            "description": offer.description,
        },
    )
    text = deal_texts.preview(quote, offer.description, page, seller.status)
    await desk.answer(update, context, text, keyboards.draft(number))


async def create(update: Update, context: Desk) -> None:
    """[Create]: opens the deal that was previewed, once for any number of taps."""
    office, me = desk.office(context), desk.user(update).id
    draft = await _draft(update, context)
    escrow = await office.escrows.open_deal(
        telegram_id=me,
        price=Money(draft["price_minor"], Currency.of(draft["currency"])),
        description=draft["description"],
        cause=f"draft:{me}:{draft['number']}",
    )
    await desk.strip_buttons(update, context)
    await _opened(update, context, escrow)
    desk.done(update, context)


async def _opened(update: Update, context: Desk, escrow: Escrow) -> None:
    link = keyboards.deal_link(context.bot.username, escrow.id)
    words = deal_texts.invitation(escrow.description, escrow.due)
    text = deal_texts.opened(escrow, link, desk.page(context))
    await desk.answer(update, context, text, keyboards.share(link, words))


async def drop(update: Update, context: Desk) -> None:
    """[Cancel]: forgets the preview."""
    await _draft(update, context)
    await desk.office(context).people.set_conversation(desk.user(update).id, None)
    await desk.strip_buttons(update, context)
    await desk.answer(update, context, deal_texts.dropped())
    desk.done(update, context)


async def _draft(update: Update, context: Desk) -> Mapping[str, Any]:
    """The preview that this button belongs to. `NotFound` when there is a newer one, or none."""
    step = await desk.office(context).people.conversation(desk.user(update).id)
    fits = step is not None and step[0] == asking.DRAFT
    if step is None or not fits or step[1]["number"] != desk.button(update).number:
        raise NotFound("draft_gone")
    return step[1]
