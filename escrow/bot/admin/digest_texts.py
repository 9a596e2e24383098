"""The morning's digest in words, and its ways to the lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from markupsafe import Markup
from telegram import InlineKeyboardMarkup

from escrow.bot.admin.flag_texts import counts_words
from escrow.bot.admin.seller_texts import press
from escrow.bot.buttons import Verb
from escrow.bot.page import Page, card, say, words

Values = Mapping[str, Any]
LISTS: Final = (
    "disputed_transactions",
    "payouts",
    "suspicious_users",
    "pending_sellers",
    "unmatched",
)
"""The commands that a digest's buttons stand for, by their place."""


def digest(v: Values, page: Page) -> Markup:
    said = [
        _disputes(v),
        say("Questions without an answer: {count}", count=v["questions"])
        if v["questions"]
        else None,
        _payouts(v),
        say("Flags to review: {counts}", counts=counts_words(v["flags"])) if v["flags"] else None,
        say("Sellers to verify: {count}", count=v["sellers"]) if v["sellers"] else None,
        say("Unmatched payments: {count}", count=v["unmatched"]) if v["unmatched"] else None,
    ]
    if not any(said):
        return say("<b>Good morning.</b> Nothing waits.")
    return card(page, say("<b>Good morning. This waits for you:</b>"), *said)


def _disputes(v: Values) -> Markup | None:
    if not v["disputes"]:
        return None
    if not v["unanswered"]:
        return say("Open disputes: {count}", count=v["disputes"])
    return say(
        "Open disputes: {count}, without the other side's answer: {silent}",
        count=v["disputes"],
        silent=v["unanswered"],
    )


def _payouts(v: Values) -> Markup | None:
    if not v["by_hand"] and not v["unknown"]:
        return None
    return say(
        "Payouts: {by_hand} to be paid by hand, {unknown} without M-Pesa's answer",
        by_hand=v["by_hand"],
        unknown=v["unknown"],
    )


NOTICES: Final[Mapping[str, Callable[[Values, Page], Markup]]] = {"digest": digest}


def keyboard(v: Values) -> InlineKeyboardMarkup | None:
    """A button for each list that is not empty."""
    labels = {
        "disputed_transactions": (v["disputes"], words("Disputes")),
        "payouts": (v["by_hand"] or v["unknown"], words("Payouts")),
        "suspicious_users": (v["flags"], words("Flags")),
        "pending_sellers": (v["sellers"], words("New sellers")),
        "unmatched": (v["unmatched"], words("Unmatched payments")),
    }
    rows = [
        [press(labels[name][1], Verb.WAITING, place)]
        for place, name in enumerate(LISTS, 1)
        if labels[name][0]
    ]
    return InlineKeyboardMarkup(rows) if rows else None


def to_unmatched() -> InlineKeyboardMarkup:
    """From one payment that nobody is credited with to the list of them."""
    place = LISTS.index("unmatched") + 1
    return InlineKeyboardMarkup([[press(words("Unmatched payments"), Verb.WAITING, place)]])
