"""Ratings in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from markupsafe import Markup

from escrow.bot.page import Page, Plain, code, deadline, lines, say
from escrow.domain.model import Escrow
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
