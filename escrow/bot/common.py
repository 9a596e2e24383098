"""What everybody may do: start, help, look at deals, type codes and numbers."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from telegram import ReplyKeyboardRemove, Update
from telegram.constants import ChatType
from telegram.ext import ApplicationHandlerStop

from escrow.bot import (
    asking,
    buyer,
    deals,
    desk,
    disputes,
    dollars,
    keyboards,
    newdeal,
    paid,
    payouts,
    ratings,
    seller,
    selling_keyboards,
    selling_texts,
    settling,
    shipping,
    shop,
    talk,
    talk_texts,
    texts,
    wallet,
)
from escrow.bot.admin import flags, help_texts, sellers, statement
from escrow.bot.desk import Desk
from escrow.bot.files import read_media
from escrow.bot.page import speak
from escrow.bot.phones import looks_like_phone, looks_like_wrong_phone, read_phone
from escrow.bot.typed import means_code
from escrow.domain.claims import looks_like_message
from escrow.domain.errors import InvalidInput
from escrow.domain.model import Media

_LOG: Final = logging.getLogger(__name__)
_TOLD: Final = "told_private_only"
_HINTED: Final = "hinted_at_admin"


async def meet(update: Update, context: Desk) -> None:
    """Before any handler: who writes is known from now on. Elsewhere than in private chats the
    bot says once that it does not work there, and nothing else happens.
    """
    chat, user = update.effective_chat, update.effective_user
    if chat is None or user is None or user.is_bot:
        raise ApplicationHandlerStop
    people = desk.office(context).people
    if chat.type != ChatType.PRIVATE:
        if update.message is not None and await people.conversation(chat.id) is None:
            await people.set_conversation(chat.id, _TOLD)
            await desk.answer(update, context, texts.private_only())
        raise ApplicationHandlerStop
    if update.my_chat_member is None:
        context.person = await people.seen(
            user.id, user.first_name, user.username, user.language_code or ""
        )
        speak(context.person.language)
        await talk.leave(update, context)


async def membership(update: Update, context: Desk) -> None:
    """Somebody blocked the bot: his notices are not tried until he writes again."""
    change = update.my_chat_member
    if change is not None and change.new_chat_member.status in ("kicked", "left"):
        await desk.office(context).people.blocked(change.chat.id)


# -- commands ------------------------------------------------------------------------------------


async def start(update: Update, context: Desk) -> None:
    """The greeting, or the deal or the shop that a link names."""
    payload = desk.words(context)
    if payload.upper().startswith("ES"):
        await deals.show(update, context, payload)
        return
    if payload.startswith(shop.PAYLOAD):
        await shop.linked(update, context, payload)
        return
    _hint_at_admin(update, context)
    page = desk.page(context)
    await desk.answer(
        update, context, texts.greeting(desk.user(update).first_name, page), keyboards.greeting()
    )


def _hint_at_admin(update: Update, context: Desk) -> None:
    """An operator without admins reads in the log which number is his."""
    if desk.office(context).admins or context.bot_data.get(_HINTED):
        return
    context.bot_data[_HINTED] = True
    _LOG.warning(
        "no admins are set; the first who pressed Start has the Telegram id %d (ADMIN_CHAT_ID)",
        desk.user(update).id,
        extra={"action": "admin_hint"},
    )


async def help_(update: Update, context: Desk) -> None:
    """Every command this person may use; an admin's own ones come in a message of their own."""
    commands, page = context.bot_data[desk.USER_COMMANDS], desk.page(context)
    buttons = talk_texts.help_menu(keyboards.greeting(), somebody=bool(desk.office(context).admins))
    await desk.answer(update, context, texts.help_text(commands, page), buttons)
    if desk.user(update).id in desk.office(context).admins:
        ours = context.bot_data[desk.ADMIN_COMMANDS]
        await desk.answer(update, context, help_texts.admin_help(ours))


async def how_to_buy(update: Update, context: Desk) -> None:
    await desk.answer(update, context, texts.how_to_buy(desk.page(context)))


async def how_to_sell(update: Update, context: Desk) -> None:
    text = texts.how_to_sell(desk.page(context))
    await desk.answer(update, context, text, selling_keyboards.selling())


async def unknown_command(update: Update, context: Desk) -> None:
    await desk.answer(update, context, texts.unknown_command(desk.page(context)))


async def words_only(update: Update, context: Desk) -> None:
    await desk.answer(update, context, texts.words_only(desk.page(context)))


async def cancel(update: Update, context: Desk) -> None:
    """`/cancel CODE` ends a deal; bare, it stops the question that is open, if any."""
    if context.args:
        await deals.cancel(update, context, desk.words(context))
        return
    office = desk.office(context)
    step = await office.people.conversation(desk.user(update).id)
    if step is not None and step[0] in _STEPS:
        await office.people.set_conversation(desk.user(update).id, None)
        await desk.answer(update, context, texts.stopped(), ReplyKeyboardRemove())
        return
    await deals.cancel(update, context, "")


# -- what is not a command -----------------------------------------------------------------------


async def typed(update: Update, context: Desk) -> None:
    """Free text: a receipt, a code, an answer to an open question, a number, or nothing we know.
    A code shows its deal while a number is asked for, too; the question stays open.
    """
    assert update.message is not None  # noqa: S101 filters let nothing else through
    text = update.message.text or ""
    step = await asking.open_step(update, context)
    if await talk.replied(update, context, text):
        return
    naming = step is not None and _takes(step[0], text)
    if not naming and looks_like_message(text):
        await paid.pasted(update, context, text)
    elif not naming and means_code(text):
        await deals.show(update, context, text)
    elif step is not None and step[0] in _STEPS:
        context.step = step[0]
        await _STEPS[step[0]](update, context, text, step[1])
    elif looks_like_phone(text):
        await _new_number(update, context, read_phone(text))
    elif looks_like_wrong_phone(text):
        raise InvalidInput("not_a_phone")
    else:
        await desk.answer(
            update, context, texts.unknown_words(desk.page(context)), keyboards.greeting()
        )


def _takes(step: str, text: str) -> bool:
    """Whether a code or a receipt in these words is part of the answer to that question."""
    return step in _FREE and not (step == shipping.PROOF and shipping.means_no_proof(text))


async def media(update: Update, context: Desk) -> None:
    """A file: a reply to one of our messages, the answer to an open question, an admin's statement,
    or none of these.
    """
    sent = read_media(update.message)
    assert sent is not None  # noqa: S101 filters let nothing else through
    step = await asking.open_step(update, context)
    if await talk.replied(update, context, sent):
        return
    if step is not None and step[0] in _MEDIA_STEPS:
        context.step = step[0]
        await _MEDIA_STEPS[step[0]](update, context, sent, step[1])
    elif statement.is_sheet(update.message) and _is_admin(update, context):
        await statement.statement(update, context)
    else:
        await talk.stray(update, context)


def _is_admin(update: Update, context: Desk) -> bool:
    return desk.user(update).id in desk.office(context).admins


async def _shop_named(update: Update, context: Desk, text: str, said: Mapping[str, Any]) -> None:
    await seller.ask_number(update, context, text)


async def _number_typed(update: Update, context: Desk, text: str, said: Mapping[str, Any]) -> None:
    """The first time it is kept with the step, the second time it has to be the same."""
    msisdn = read_phone(text)
    people = desk.office(context).people
    me = desk.user(update).id
    first = said.get("first")
    if first is None or said.get("first_update") == update.update_id:
        said = {**said, "first": msisdn, "first_update": update.update_id}
        await people.set_conversation(me, asking.PHONE, said)
        again_text = texts.ask_number_again(desk.page(context))
        await desk.answer(update, context, again_text, ReplyKeyboardRemove())
        return
    if first != msisdn:
        again = {key: said[key] for key in said if not key.startswith("first")}
        await people.set_conversation(me, asking.PHONE, again)
        raise InvalidInput("phone_mismatch")
    await _number_known(update, context, msisdn, said, is_contact=False)


_STEPS: Final[dict[str, Callable[[Update, Desk, str, Mapping[str, Any]], Awaitable[None]]]] = {
    **talk.STEPS,
    **shipping.STEPS,
    disputes.DISPUTE_WORDS: disputes.words_typed,
    settling.SETTLE_OTHER: settling.division_typed,
    **newdeal.STEPS,
    **ratings.STEPS,
    **dollars.STEPS,
    asking.SHOP_NAME: _shop_named,
    asking.PAYOUT_RECEIPT: payouts.receipt_typed,
    asking.PAYOUT_REASON: payouts.reason_typed,
    asking.SUSPEND_REASON: sellers.reason_typed,
    asking.FLAG_NOTE: flags.note_typed,
    asking.PHONE: _number_typed,
}
"""Step → what takes the next words."""

_FREE: Final = frozenset(
    {
        asking.SHOP_NAME,
        asking.PAYOUT_RECEIPT,
        asking.PAYOUT_REASON,
        asking.SUSPEND_REASON,
        asking.FLAG_NOTE,
        disputes.DISPUTE_WORDS,
        *newdeal.FREE,
        *ratings.STEPS,
        dollars.ADDRESS,
        dollars.SHOWN,
        *talk.STEPS,
        *shipping.STEPS,
    }
)
"""Steps that take any words: a code or a receipt in them is part of what is said."""

_TakesFile = Callable[[Update, Desk, Media, Mapping[str, Any]], Awaitable[None]]
_MEDIA_STEPS: Final[dict[str, _TakesFile]] = {
    **talk.STEPS,
    **shipping.STEPS,
    **newdeal.MEDIA_STEPS,
}
"""Step → what takes the next photo, document, voice note, audio or video."""


async def contact(update: Update, context: Desk) -> None:
    """A shared contact: only one's own counts."""
    assert update.message is not None  # noqa: S101 filters let nothing else through
    shared = update.message.contact
    assert shared is not None  # noqa: S101
    if shared.user_id != desk.user(update).id:
        raise InvalidInput("foreign_contact")
    msisdn = read_phone(shared.phone_number)
    step = await asking.open_step(update, context)
    if step is not None and step[0] == asking.PHONE:
        await _number_known(update, context, msisdn, step[1], is_contact=True)
    else:
        await _save(update, context, msisdn, is_contact=True)


async def _number_known(
    update: Update, context: Desk, msisdn: str, said: Mapping[str, Any], *, is_contact: bool
) -> None:
    """What the number was asked for goes on by itself, and names it. One that gets a seller's money
    does not change what he pays with. A repeat after a crash finds what is under way.
    """
    await asking.end(update, context, asking.PHONE)
    if said["then"] not in _FOR_MONEY or desk.person(context).phone is None:
        await _keep(update, context, msisdn, is_contact=is_contact)
    await _THEN[said["then"]](update, context, msisdn, said)


async def _new_number(update: Update, context: Desk, msisdn: str) -> None:
    """A number typed without a question: in place of another one only after a Yes."""
    old = desk.person(context).phone
    if old is None or old == msisdn:
        await _save(update, context, msisdn, is_contact=False)
        return
    if await desk.office(context).people.seller_of(desk.user(update).id) is not None:
        keyboard = selling_keyboards.which_number(msisdn)
        await desk.answer(update, context, selling_texts.which_number(msisdn), keyboard)
        return
    text = texts.ask_change_number(old, msisdn, desk.page(context))
    await desk.answer(update, context, text, keyboards.new_number(msisdn))


async def number_changed(update: Update, context: Desk) -> None:
    """[Yes]: the typed number in place of the stored one."""
    msisdn = read_phone(str(desk.button(update).number))
    await _save(update, context, msisdn, is_contact=False)
    await desk.strip_buttons(update, context)
    desk.done(update, context)


async def number_kept(update: Update, context: Desk) -> None:
    """[No]"""
    await desk.replace_pressed(update, context, texts.number_kept(desk.page(context)))
    desk.done(update, context)


async def _keep(update: Update, context: Desk, msisdn: str, *, is_contact: bool) -> None:
    await desk.office(context).people.set_phone(desk.user(update).id, msisdn, is_contact=is_contact)
    before = desk.person(context)
    vouched = is_contact or (before.phone == msisdn and before.phone_is_contact)
    context.person = replace(before, phone=msisdn, phone_is_contact=vouched)


async def _save(update: Update, context: Desk, msisdn: str, *, is_contact: bool) -> None:
    """A number that nothing asked for: kept, and said so."""
    await _keep(update, context, msisdn, is_contact=is_contact)
    text = texts.number_saved(msisdn, desk.page(context))
    await desk.answer(update, context, text, ReplyKeyboardRemove())


_THEN: Final[dict[str, Callable[[Update, Desk, str, Mapping[str, Any]], Awaitable[None]]]] = {
    asking.TO_PAY: buyer.number_known,
    asking.TO_SELL: seller.number_known,
    asking.TO_DEAL: newdeal.number_known,
    asking.TO_PAYOUT: seller.payout_number_known,
    asking.TO_WITHDRAW: wallet.number_known,
    asking.TO_CLAIM: paid.number_known,
}
"""What a number was asked for → how it goes on."""
_FOR_MONEY: Final = frozenset({asking.TO_SELL, asking.TO_DEAL, asking.TO_PAYOUT})
"""These ask where a seller's money goes."""
