"""Ratings in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from markupsafe import Markup

from escrow.bot.page import Page, Plain, card, code, deadline, lines, say, words
from escrow.domain.model import Escrow
from escrow.domain.terms import Level
from escrow.services.ratings import Rated

Values = Mapping[str, Any]


def ask_stars(escrow: Escrow) -> Markup:
    return say(
        "How was {shop}? Deal {code}: {description}",
        shop=escrow.shop_name,
        code=code(escrow.id),
        description=escrow.description,
    )


def thanks(rated: Rated, page: Page) -> Markup:
    return lines(
        say(
            "<b>{stars} Thank you.</b> Deal {code}",
            stars=Plain("★" * rated.stars),
            code=code(rated.escrow.id),
        ),
        say("“{words}”", words=rated.words) if rated.words else None,
        say("You can change it until {until}.", until=deadline(page, rated.until))
        if rated.until > page.now
        else None,
    )


def ask_words(escrow_id: str) -> Markup:
    return say(
        "What shall other buyers know? Deal {code}. Send me a few words.", code=code(escrow_id)
    )


# -- levels --------------------------------------------------------------------------------------


def level_words(level: Level) -> Plain:
    if level is Level.DIAMOND:
        return Plain(words("Diamond seller"))
    if level is Level.GOLD:
        return Plain(words("Gold seller"))
    if level is Level.SILVER:
        return Plain(words("Silver seller"))
    if level is Level.BRONZE:
        return Plain(words("Bronze seller"))
    return Plain(words("New seller"))


def level_up(v: Values, page: Page) -> Markup:
    return card(
        page,
        say("<b>{shop} has risen: {level}.</b>", shop=v["shop"], level=_level(v["level"])),
        _figures(v),
        say("Buyers see it on your page. Thank you for selling well."),
    )


def level_down(v: Values, page: Page) -> Markup:
    return card(
        page,
        say(
            "<b>{shop} has fallen: {level}, no longer {before}.</b>",
            shop=v["shop"],
            level=_level(v["level"]),
            before=_level(v["before"]),
        ),
        _figures(v),
        say("With good deals it rises again. Is something wrong here? Write to our people: /help"),
    )


def _level(name: object) -> Plain:
    return level_words(Level(str(name)))


def _figures(v: Values) -> Markup:
    """What the level comes from."""
    return say(
        "Deals completed: {sales} · stars: {stars} · disputes lost: {lost}",
        sales=v["sales"],
        stars=Plain(v["stars"] or "–"),
        lost=v["lost"],
    )


NOTICES: Final[Mapping[str, Callable[[Values, Page], Markup]]] = {
    "level_up": level_up,
    "level_down": level_down,
}


# -- refusals --------------------------------------------------------------------------------------


def stars(v: Values, page: Page) -> Markup:
    return say("Please give one to five stars.")


def rating_words(v: Values, page: Page) -> Markup:
    return say(
        "That has {length} characters; {maximum} is the limit.",
        length=v["length"],
        maximum=v["maximum"],
    )


def only_buyers_rate(v: Values, page: Page) -> Markup:
    return say("Only the buyer can rate a deal.")


def not_rated(v: Values, page: Page) -> Markup:
    return say("Please give stars first: /rate")


def rating_final(v: Values, page: Page) -> Markup:
    return say("Your rating can't be changed any more: 24 hours are over.")


REFUSALS: Final[Mapping[str, Callable[[Values, Page], Markup]]] = {
    text.__name__: text for text in (stars, rating_words, only_buyers_rate, not_rated, rating_final)
}
