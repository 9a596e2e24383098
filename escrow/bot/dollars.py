"""Withdrawing dollars: which coin, which address, one question, and an admin sends it by hand.

Each step stands in PostgreSQL with what was said so far. [Yes, send] bears a number of the whole
question, so that it books what was shown above it or nothing, and that once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from telegram import Update

from escrow.bot import asking, desk, dollar_texts
from escrow.bot.desk import Desk
from escrow.domain.addresses import read_address
from escrow.domain.coins import BY_CODE, STABLE
from escrow.domain.errors import InvalidInput, NotAllowed
from escrow.domain.money import Currency, Money
from escrow.domain.payouts import InCoins

Said = Mapping[str, Any]
COIN: Final = "dollars_coin"
ADDRESS: Final = "dollars_address"
SHOWN: Final = "dollars_shown"


async def begin(update: Update, context: Desk, amount: Money | None = None) -> None:
    """/withdraw USD 25, or all of them: which coin? `LimitReached`."""
    office, me = desk.office(context), desk.user(update).id
    dollars = await office.wallets.dollars(me, amount)
    said = {"asked": update.update_id, "amount": dollars.minor}
    await office.people.set_conversation(me, COIN, said)
    text = dollar_texts.ask_coin(dollars, desk.page(context))
    await desk.answer(update, context, text, dollar_texts.coins())


async def all_pressed(update: Update, context: Desk) -> None:
    """[Withdraw USD …] below the wallet"""
    await begin(update, context)


async def coin_pressed(update: Update, context: Desk) -> None:
    """[USDT · Tron (TRC-20)]: which address? Another coin may be chosen until it is sent."""
    office, me, number = desk.office(context), desk.user(update).id, desk.button(update).number
    step = await asking.open_step(update, context)
    if step is None or step[0] not in STEPS or not 1 <= number <= len(STABLE):
        raise NotAllowed("dollars_over")
    coin, amount = STABLE[number - 1], _amount(step[1])
    said = {"asked": step[1]["asked"], "amount": amount.minor, "coin": coin.code}
    await office.people.set_conversation(me, ADDRESS, said)
    text = dollar_texts.ask_address(amount, coin, desk.page(context))
    await desk.replace_pressed(update, context, text, dollar_texts.coins(chosen=coin))


async def _pressing(update: Update, context: Desk, text: str, said: Said) -> None:
    raise InvalidInput("press_a_button")


async def _address_typed(update: Update, context: Desk, text: str, said: Said) -> None:
    """The address, or another one after it was shown: it is shown whole before anything is sent."""
    office, me = desk.office(context), desk.user(update).id
    coin = BY_CODE[said["coin"]]
    wish = InCoins(_amount(said), coin, read_address(coin, text))
    stays = await office.wallets.preview_coins(me, wish)
    shown = {**said, "address": wish.address}
    await office.people.set_conversation(me, SHOWN, shown)
    question = dollar_texts.preview(wish, stays, desk.page(context))
    await desk.answer(update, context, question, dollar_texts.confirm(_number(shown)))


async def send(update: Update, context: Desk) -> None:
    """[Yes, send]: exactly what stands above it. Pressed again it gets the first answer."""
    office, me, number = desk.office(context), desk.user(update).id, desk.button(update).number
    step = await asking.open_step(update, context)
    wish = None
    if step is not None and step[0] == SHOWN and _number(step[1]) == number:
        wish = InCoins(_amount(step[1]), BY_CODE[step[1]["coin"]], step[1]["address"])
    booked = await office.payouts.book_dollars(me, wish, f"dollars:{number}")
    if wish is not None:
        await asking.end(update, context, SHOWN)
    desk.done(update, context)
    await desk.replace_pressed(update, context, dollar_texts.sent(booked, desk.page(context)))


STEPS: Final[Mapping[str, Callable[[Update, Desk, str, Said], Awaitable[None]]]] = {
    COIN: _pressing,
    ADDRESS: _address_typed,
    SHOWN: _address_typed,
}
"""Step → what takes the next words."""


def _amount(said: Said) -> Money:
    return Money(said["amount"], Currency.USD)


def _number(shown: Said) -> int:
    """A number of this question and everything that it shows: other words, another number."""
    whole = ":".join(str(shown[one]) for one in ("asked", "amount", "coin", "address"))
    return int.from_bytes(hashlib.sha256(whole.encode()).digest()[:7], "big") + 1
