"""Opening a deal: in one line, or guided step by step; a seller's own, or a buyer's proposal.

Every step stands in PostgreSQL with what was said so far: a restart or a day's pause loses
nothing, and an update that is handled again asks the same question again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from markupsafe import Markup
from telegram import InlineKeyboardMarkup, Update

from escrow.bot import asking, deal_texts, desk, keyboards, selling_keyboards, selling_texts
from escrow.bot.context import Office
from escrow.bot.desk import Desk
from escrow.bot.typed import (
    quoted,
    read_description,
    read_offer,
    read_price,
    shop_name_of,
)
from escrow.domain.errors import InvalidInput, LimitReached, NotFound
from escrow.domain.model import Media, MediaKind
from escrow.domain.money import Currency, Money
from escrow.domain.terms import FeePayer

Said = Mapping[str, Any]
AMOUNT: Final = "deal_amount"
WORDS: Final = "deal_words"
FEE: Final = "deal_fee"
PHOTO: Final = "deal_photo"
DRAFT: Final = asking.DRAFT
OPENED: Final = "deal_opened"
_OPENING: Final = (AMOUNT, WORDS, FEE, PHOTO, DRAFT)
_PROPOSING: Final = (AMOUNT, WORDS, DRAFT)


def _steps(said: Said) -> tuple[str, ...]:
    return _PROPOSING if said.get("seller") else _OPENING


# -- where it begins -----------------------------------------------------------------------------


async def newdeal(update: Update, context: Desk) -> None:
    """/newdeal 1500 Blue phone case: the preview at once. Bare: step by step."""
    if not context.args:
        await begin(update, context)
        return
    offer = read_offer(context.args, desk.office(context).currency)
    _can_be_paid(desk.office(context), offer.price)
    said = _priced({"description": offer.description}, offer.price)
    quoted(desk.office(context).escrows.quote, offer.price)
    await _to(update, context, DRAFT, said)


async def begin(update: Update, context: Desk) -> None:
    """[Open a deal]"""
    await _to(update, context, AMOUNT, {}, new=True)


async def propose(update: Update, context: Desk) -> None:
    """[Propose a deal]: a buyer's, to the seller whose page it stands on."""
    me, number = desk.user(update).id, desk.button(update).number
    seller = await desk.office(context).escrows.may_propose(me, number)
    said = {"seller": seller.id, "shop": seller.shop_name}
    await _to(update, context, AMOUNT, said, new=True)


async def again(update: Update, context: Desk) -> None:
    """[Same again]: the same price and words; from the buyer a proposal."""
    office, me = desk.office(context), desk.user(update).id
    escrow = await office.escrows.again(desk.button(update).deal, me)
    _can_be_paid(office, escrow.price)
    said = _priced({"description": escrow.description}, escrow.price)
    said = {**said, "fee_payer": escrow.fee_payer}
    if escrow.buyer_telegram_id == me:
        seller = await office.escrows.may_propose(me, escrow.seller_id, escrow.price)
        said = {**said, "seller": seller.id, "shop": seller.shop_name}
    await _to(update, context, DRAFT, said, new=True)


def _can_be_paid(office: Office, price: Money) -> None:
    """Dollars are paid in coins, shillings by M-Pesa or in coins. `LimitReached` where the rails
    that there are don't take them.
    """
    if office.coins.offers(price.currency):
        return
    if price.currency is Currency.USD:
        raise LimitReached("dollars_later")
    if office.coins.providers and not office.rail.offered:
        raise LimitReached("shillings_later")


# -- the steps -----------------------------------------------------------------------------------


async def _amount(update: Update, context: Desk, text: str, said: Said) -> None:
    office = desk.office(context)
    price = read_price(text, office.currency)
    _can_be_paid(office, price)
    escrows = office.escrows
    quoted(escrows.quote, price)
    if said.get("seller"):
        await escrows.may_propose(desk.user(update).id, said["seller"], price)
    await _to(update, context, WORDS, _priced(said, price))


async def _described(update: Update, context: Desk, text: str, said: Said) -> None:
    after = _steps(said)[_steps(said).index(WORDS) + 1]
    await _to(update, context, after, {**said, "description": read_description(text)})


async def _pressing(update: Update, context: Desk, text: str, said: Said) -> None:
    raise InvalidInput("press_a_button")


async def _no_photo(update: Update, context: Desk, text: str, said: Said) -> None:
    raise InvalidInput("only_a_photo")


async def _photo(update: Update, context: Desk, sent: Media, said: Said) -> None:
    if sent.kind is not MediaKind.PHOTO:
        raise InvalidInput("only_a_photo")
    photo = {
        "file_id": sent.file_id,
        "file_unique_id": sent.file_unique_id,
        "file_size": sent.file_size,
    }
    await _to(update, context, DRAFT, {**said, "photo": photo})


_TakesText = Callable[[Update, Desk, str, Said], Awaitable[None]]
_TakesFile = Callable[[Update, Desk, Media, Said], Awaitable[None]]


def _once(take: _TakesText) -> _TakesText:
    """The words that brought a dialogue to a step are not taken again as its answer."""

    async def taken(update: Update, context: Desk, text: str, said: Said) -> None:
        if said.get("update") == update.update_id:
            await _ask_again(update, context)
            return
        await take(update, context, text, said)

    return taken


STEPS: Final[Mapping[str, _TakesText]] = {
    AMOUNT: _once(_amount),
    WORDS: _once(_described),
    FEE: _once(_pressing),
    PHOTO: _once(_no_photo),
}
"""Step → what takes the next words."""
MEDIA_STEPS: Final[Mapping[str, _TakesFile]] = {PHOTO: _photo}
"""Step → what takes the next file."""
FREE: Final = frozenset({WORDS})
"""Any words are an answer there, a code or a number too."""


async def chosen(update: Update, context: Desk) -> None:
    """A choice of the step that is open: who pays the fee, no photo, another one pays the fee."""
    step, said = await _open_step(update, context)
    number = desk.button(update).number
    if said.get("update") == update.update_id:
        await _ask_again(update, context)
    elif step == FEE and number in selling_keyboards.FEE_STEPS:
        payer = selling_keyboards.FEE_STEPS[number]
        await _to(update, context, PHOTO, {**said, "fee_payer": str(payer)})
    elif step == PHOTO and number == selling_keyboards.SKIP:
        await _to(update, context, DRAFT, {**said, "photo": None})
    elif step == DRAFT and number == selling_keyboards.CHANGE_FEE and not said.get("seller"):
        payer = selling_keyboards.next_payer(_payer(said))
        await _to(update, context, DRAFT, {**said, "fee_payer": str(payer)})
    else:
        await _ask_again(update, context)


async def back(update: Update, context: Desk) -> None:
    """[Back]: the step before."""
    step, said = await _open_step(update, context)
    steps = _steps(said)
    if said.get("update") != update.update_id and steps.index(step) > 0:
        step = steps[steps.index(step) - 1]
    await _to(update, context, step, said)


async def stop(update: Update, context: Desk) -> None:
    """[Cancel]: nothing opens."""
    await _open_step(update, context)
    await desk.office(context).people.set_conversation(desk.user(update).id, None)
    await desk.replace_pressed(update, context, deal_texts.dropped())
    desk.done(update, context)


async def _open_step(update: Update, context: Desk) -> tuple[str, Said]:
    """The step that a button belongs to. `NotFound` when the dialogue is over."""
    step = await desk.office(context).people.conversation(desk.user(update).id)
    if step is None or step[0] not in _OPENING:
        raise NotFound("draft_gone")
    return step


async def _ask_again(update: Update, context: Desk) -> None:
    step, said = await _open_step(update, context)
    await _to(update, context, step, said)


async def _to(update: Update, context: Desk, step: str, said: Said, *, new: bool = False) -> None:
    """Goes to a step and asks its question; in place of the pressed message unless it is `new`."""
    said = {**said, "update": update.update_id}
    if step == DRAFT and not said.get("seller") and await _needs_number(update, context, said):
        return
    if step == DRAFT:
        said = {"number": update.update_id, **said}
        text, keyboard = await _preview(update, context, said)
    else:
        text, keyboard = _question(step, said, desk.office(context))
        said = {key: said[key] for key in said if key != "number"}
    await desk.office(context).people.set_conversation(desk.user(update).id, step, said)
    if new or update.callback_query is None:
        await desk.answer(update, context, text, keyboard)
    else:
        await desk.replace_pressed(update, context, text, keyboard)


def _question(step: str, said: Said, office: Office) -> tuple[Markup, InlineKeyboardMarkup]:
    if step == AMOUNT:
        dollars = bool(office.coins.offers(Currency.USD))
        text = selling_texts.ask_amount(said.get("shop"), office.currency, dollars=dollars)
        return text, selling_keyboards.step(back=False)
    if step == WORDS:
        return selling_texts.ask_description(), selling_keyboards.step(back=True)
    if step == FEE:
        text = selling_texts.ask_fee_payer(office.escrows.quote(_price(said)).fee)
        return text, selling_keyboards.fee_payer()
    return selling_texts.ask_photo(), selling_keyboards.photo()


# -- the first deal of somebody --------------------------------------------------------------------


async def _needs_number(update: Update, context: Desk, said: Said) -> bool:
    """Registers a seller on the way. True: his number is asked for first. One that Telegram
    vouches for is taken as it is.
    """
    office, me = desk.office(context), desk.user(update)
    if await office.people.seller_of(me.id) is not None:
        return False
    person = desk.person(context)
    if person.phone is not None and person.phone_is_contact:
        await office.people.register_seller(me.id, shop_name_of(me.first_name), person.phone)
        return False
    question = selling_texts.ask_number_for_deals(desk.page(context))
    await asking.ask_number(update, context, asking.TO_DEAL, {"draft": dict(said)}, question)
    return True


async def number_known(update: Update, context: Desk, msisdn: str, said: Said) -> None:
    """The number is there: the preview appears by itself."""
    me = desk.user(update)
    name = shop_name_of(me.first_name)
    await desk.office(context).people.register_seller(me.id, name, msisdn)
    await _to(update, context, DRAFT, said["draft"])


# -- preview and opening ---------------------------------------------------------------------------


async def _preview(
    update: Update, context: Desk, said: Said
) -> tuple[Markup, InlineKeyboardMarkup]:
    office, page, me = desk.office(context), desk.page(context), desk.user(update).id
    price, payer = _price(said), _payer(said)
    quote = quoted(lambda one: office.escrows.quote(one, payer), price)
    if said.get("seller"):
        text = selling_texts.proposal_preview(quote, said["description"], said["shop"], page)
        return text, selling_keyboards.proposal_preview(said["number"])
    await office.escrows.may_open(me, price)
    seller = await office.people.seller_of(me)
    assert seller is not None  # noqa: S101 may_open has said so
    photo = bool(said.get("photo"))
    text = selling_texts.preview(quote, said["description"], payer, seller, page, photo=photo)
    return text, selling_keyboards.preview(said["number"], payer)


async def create(update: Update, context: Desk) -> None:
    """[Create], [Send]: opens what was previewed, once for any number of taps; the preview becomes
    the card.
    """
    office, page, me = desk.office(context), desk.page(context), desk.user(update).id
    said = await _draft(update, context)
    cause = f"draft:{me}:{said['number']}"
    price, description, payer = _price(said), said["description"], _payer(said)
    if said.get("seller"):
        escrow = await office.escrows.propose(me, said["seller"], price, description, cause, payer)
        text, keyboard = selling_texts.proposal_sent(escrow, page), None
    else:
        escrow = await office.escrows.open_deal(
            telegram_id=me,
            price=price,
            description=description,
            cause=cause,
            fee_payer=payer,
            photo=_kept(said),
        )
        link = keyboards.deal_link(context.bot.username, escrow.id)
        text = deal_texts.opened(escrow, link, page)
        words = deal_texts.invitation(escrow.description, escrow.due)
        keyboard = selling_keyboards.share(link, words)
    await office.people.set_conversation(me, OPENED, said)
    await desk.replace_pressed(update, context, text, keyboard)
    desk.done(update, context)


async def drop(update: Update, context: Desk) -> None:
    """[Cancel]: forgets the preview."""
    await _draft(update, context)
    await desk.office(context).people.set_conversation(desk.user(update).id, None)
    await desk.replace_pressed(update, context, deal_texts.dropped())
    desk.done(update, context)


async def share(update: Update, context: Desk) -> None:
    """[Share]: the link of a deal again."""
    view = await desk.office(context).escrows.deal(desk.button(update).deal, desk.user(update).id)
    escrow = view.escrow
    link = keyboards.deal_link(context.bot.username, escrow.id)
    text = selling_texts.link(escrow, link, desk.page(context))
    words = deal_texts.invitation(escrow.description, escrow.due)
    await desk.answer(update, context, text, selling_keyboards.share(link, words))


async def _draft(update: Update, context: Desk) -> Said:
    """The preview that this button belongs to, opened or not. `NotFound` when there is a newer
    one, or none.
    """
    step = await desk.office(context).people.conversation(desk.user(update).id)
    if step is None or step[0] not in (DRAFT, OPENED):
        raise NotFound("draft_gone")
    if step[1]["number"] != desk.button(update).number:
        raise NotFound("draft_gone")
    return step[1]


# -- what stands with the step ---------------------------------------------------------------------


def _priced(said: Said, price: Money) -> dict[str, Any]:
    return {**said, "currency": price.currency.code, "price_minor": price.minor}


def _price(said: Said) -> Money:
    return Money(said["price_minor"], Currency.of(said["currency"]))


def _payer(said: Said) -> FeePayer:
    return FeePayer(said.get("fee_payer") or FeePayer.BUYER)


def _kept(said: Said) -> Media | None:
    """The photo that was sent on the way."""
    photo = said.get("photo")
    return Media(MediaKind.PHOTO, **photo) if photo else None
