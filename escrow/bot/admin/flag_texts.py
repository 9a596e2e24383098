"""Flags in words: the rule behind each, the list, the card of a grave one, the review."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup
from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from escrow.bot.admin.seller_texts import by_and_when, case_buttons, press, suspend_button
from escrow.bot.buttons import Verb
from escrow.bot.page import Page, card, code, lines, say, when, words
from escrow.domain.model import FraudFlag

Values = Mapping[str, Any]
SEVERITIES: Final = ("CRITICAL", "HIGH", "MEDIUM", "LOW")
_DEALS_NAMED: Final = 4


def severity_words(severity: str) -> Markup:
    return {
        "CRITICAL": say("CRITICAL"),
        "HIGH": say("HIGH"),
        "MEDIUM": say("MEDIUM"),
        "LOW": say("LOW"),
    }[severity]


def rule_words(flag_type: str, count: int, rule: str) -> Markup:
    """Why it was raised; `count`: how many deals are behind it."""
    if flag_type == "unshipped_order":
        return say("Did not send a paid deal in time; the money went back to the buyer.")
    if flag_type == "reversed_payment":
        return say("M-Pesa took back a payment of a deal that is open.")
    if flag_type == "high_dispute_rate":
        return say("Buyers dispute more than 30 % of the deals paid in 60 days: {rule}", rule=rule)
    if count >= 2:
        counted = {
            "repeated_shortage": say(
                "Paid a little less than asked for, {count} times in 30 days.", count=count
            ),
            "multiple_disputes": say("Raised {count} disputes in 30 days.", count=count),
            "multiple_refunds": say("Got {count} refunds in 14 days.", count=count),
        }.get(flag_type)
        if counted is not None:
            return counted
    return say("{rule}", rule=rule)


def person_words(user_type: str, name: str, shop: str | None) -> Markup:
    if user_type != "seller":
        return say("buyer {name}", name=name[:40])
    if shop is None:
        return say("seller {name}", name=name[:40])
    return say("seller {name} ({shop})", name=name[:40], shop=shop)


def _deals(deals: Sequence[str]) -> Markup | None:
    if not deals:
        return None
    shown = Markup(", ").join(code(one) for one in deals[:_DEALS_NAMED])
    more = len(deals) - _DEALS_NAMED
    if more > 0:
        return say("Deals {deals} and {more} more", deals=shown, more=more)
    return say("Deals {deals}", deals=shown)


# -- the list ------------------------------------------------------------------------------------


def counts_words(counts: Mapping[str, int]) -> Markup:
    """`1 CRITICAL · 2 HIGH`."""
    return Markup(" · ").join(
        say("{count} {severity}", count=counts[one], severity=severity_words(one))
        for one in SEVERITIES
        if counts.get(one)
    )


def flags(found: Sequence[FraudFlag], counts: Mapping[str, int], page: Page) -> Markup:
    if not sum(counts.values()):
        return say("No flag waits for a review.")
    return card(
        page,
        say("<b>Flags nobody has reviewed:</b> {counts}", counts=counts_words(counts)),
        *(_flag(one, page) for one in found),
    )


def _flag(one: FraudFlag, page: Page) -> Markup:
    return lines(
        say(
            "<b>{severity} · No. {number}</b> · {person}",
            severity=severity_words(one.severity),
            number=one.id,
            person=person_words(one.user_type, one.first_name, one.shop_name),
        ),
        rule_words(one.flag_type, len(one.deals), one.rule),
        _deals(one.deals),
        say("Since {when}", when=when(page, one.created_at)),
    )


def flag_rows(found: Sequence[FraudFlag]) -> list[list[InlineKeyboardButton]]:
    rows = []
    for one in found:
        rows += _rows(one.id, one.deals, one.suspendable, one.shop_name)
    return rows


def _rows(
    flag_id: int, deals: Sequence[str], seller: int | None, shop: str | None
) -> list[list[InlineKeyboardButton]]:
    acts = [press(words("No. {number}: reviewed", number=flag_id), Verb.REVIEW, flag_id)]
    if seller is not None and shop is not None:
        acts.append(suspend_button(shop, seller))
    return [acts, case_buttons(deals)] if deals else [acts]


# -- one -----------------------------------------------------------------------------------------


def flag_raised(v: Values, page: Page) -> Markup:
    return card(
        page,
        say(
            "<b>{severity} flag No. {number}: {person}</b>",
            severity=severity_words(str(v["severity"])),
            number=v["flag"],
            person=person_words(str(v["user_type"]), str(v["name"]), v["shop"]),
        ),
        rule_words(str(v["flag_type"]), len(v["deals"]), str(v["rule"])),
        _deals(v["deals"]),
        say("Nothing happens by itself. Look at the deals, then review it or suspend."),
    )


NOTICES: Final[Mapping[str, Callable[[Values, Page], Markup]]] = {"flag_raised": flag_raised}


def keyboard(values: Values) -> InlineKeyboardMarkup:
    seller = values.get("seller")
    shop = values.get("shop")
    return InlineKeyboardMarkup(_rows(int(values["flag"]), values["deals"], seller, shop))


def ask_note(flag: FraudFlag, page: Page) -> Markup:
    return lines(
        say(
            "<b>What did you find?</b> Flag No. {number}, {person}",
            number=flag.id,
            person=person_words(flag.user_type, flag.first_name, flag.shop_name),
        ),
        say("Write a note for the others, or press the button. /cancel leaves it open."),
    )


def no_note(flag_id: int) -> InlineKeyboardMarkup:
    button = press(words("Reviewed, without a note"), Verb.REVIEW_PLAIN, flag_id)
    return InlineKeyboardMarkup([[button]])


def reviewed(flag: FraudFlag, reviewer: str | None, page: Page, *, changed: bool) -> Markup:
    """`reviewer`: his first name."""
    values = {
        "number": flag.id,
        "person": person_words(flag.user_type, flag.first_name, flag.shop_name),
    }
    return lines(
        say("<b>Flag No. {number} is reviewed.</b> {person}", **values)
        if changed
        else say("<b>Flag No. {number} was reviewed before.</b> Nothing changed.", **values),
        None if changed else by_and_when(flag.reviewed_by, reviewer, flag.reviewed_at, page),
        say("Note: {note}", note=flag.review_notes) if flag.review_notes else None,
    )


# -- refusals ------------------------------------------------------------------------------------


def no_flag(v: Values, page: Page) -> Markup:
    return say(
        "There is no flag {number}. /suspicious_users shows what is open.", number=v["number"]
    )


def own_flag(v: Values, page: Page) -> Markup:
    return say("This flag is about you: another admin has to look at it.")


def flag_notes(v: Values, page: Page) -> Markup:
    return say(
        "A note has {maximum} characters at most. Please write it again.", maximum=v["maximum"]
    )


REFUSALS: Final[Mapping[str, Callable[[Values, Page], Markup]]] = {
    "no_flag": no_flag,
    "own_flag": own_flag,
    "flag_notes": flag_notes,
}
