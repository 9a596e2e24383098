"""Stars for a deal that is over: by button or command, with words when somebody has some."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from telegram import Update

from escrow.bot import asking, deal_texts, desk, keyboards, rating_texts, selling_keyboards
from escrow.bot.desk import Desk
from escrow.bot.typed import read_rating
from escrow.domain.errors import NotFound

WORDS: Final = "rating_words"


async def rate(update: Update, context: Desk) -> None:
    """/rate CODE 1-5 words; without a code the only deal that waits for stars."""
    office, me = desk.office(context), desk.user(update).id
    typed = read_rating(context.args or ())
    code = typed.code
    if code is None:
        waiting = await office.ratings.to_rate(me)
        if not waiting:
            raise NotFound("nothing_fits")
        if len(waiting) > 1:
            rows = [(escrow, "buyer") for escrow in waiting]
            await desk.answer(update, context, deal_texts.which_deal(), keyboards.deals(rows))
            return
        code = waiting[0].id
    if typed.stars is None:
        view = await office.escrows.deal(code, me)
        text = rating_texts.ask_stars(view.escrow)
        await desk.answer(update, context, text, selling_keyboards.stars(view.escrow.id))
        return
    rated = await office.ratings.rate(code, me, typed.stars, typed.words)
    text = rating_texts.thanks(rated, desk.page(context))
    keyboard = None if rated.words else selling_keyboards.rated(rated.escrow.id)
    await desk.answer(update, context, text, keyboard)


async def stars(update: Update, context: Desk) -> None:
    """[3 ★]: the message becomes the thanks."""
    office, me, button = desk.office(context), desk.user(update).id, desk.button(update)
    rated = await office.ratings.rate(button.deal, me, button.number)
    text = rating_texts.thanks(rated, desk.page(context))
    await desk.replace_pressed(update, context, text, selling_keyboards.rated(button.deal))


async def add_words(update: Update, context: Desk) -> None:
    """[Add words]: asks for them."""
    deal = desk.button(update).deal
    await desk.office(context).people.set_conversation(desk.user(update).id, WORDS, {"deal": deal})
    await desk.answer(update, context, rating_texts.ask_words(deal))


async def _words(update: Update, context: Desk, text: str, said: Mapping[str, Any]) -> None:
    office, me = desk.office(context), desk.user(update).id
    rated = await office.ratings.add_words(said["deal"], me, text)
    await asking.end(update, context, WORDS)
    await desk.answer(update, context, rating_texts.thanks(rated, desk.page(context)))


STEPS: Final[Mapping[str, Callable[[Update, Desk, str, Mapping[str, Any]], Awaitable[None]]]] = {
    WORDS: _words
}
"""Step → what takes the next words; any are an answer there."""
