"""Sellers in words for admins: who waits, what was decided about one, what hangs on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from markupsafe import Markup
from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from escrow.bot.buttons import Button, Verb, pack
from escrow.bot.page import Page, Plain, card, clean, code, lines, moment, say, when, words
from escrow.bot.ruling_texts import age
from escrow.domain.model import PendingSeller, Seller, SellerChange, SellerStatus
from escrow.domain.payouts import PayoutState
from escrow.domain.phone import mask
from escrow.services.people import Standing

Values = Mapping[str, Any]
_HISTORY_SHOWN: Final = 6
_DEALS_SHOWN: Final = 3


def press(label: str, verb: Verb, number: int = 0, deal: str = "") -> InlineKeyboardButton:
    return InlineKeyboardButton(label, callback_data=pack(Button(verb, deal, number)))


def suspend_button(shop: str, seller_id: int) -> InlineKeyboardButton:
    label = words("Suspend {shop}…", shop=Plain(clean(shop, 18)))
    return press(label, Verb.SUSPEND, seller_id)


def case_buttons(deals: Sequence[str]) -> list[InlineKeyboardButton]:
    return [press(deal, Verb.CASE, deal=deal) for deal in deals[:_DEALS_SHOWN]]


def who(telegram_id: int | None, name: str | None) -> Markup:
    """An admin by his first name and number."""
    if telegram_id is None:
        return say("an admin")
    if not name:
        return say("admin {number}", number=telegram_id)
    return say("{name} ({number})", name=name[:40], number=telegram_id)


def by_and_when(
    telegram_id: int | None, name: str | None, at: datetime | None, page: Page
) -> Markup:
    if at is None:
        return say("By {who}.", who=who(telegram_id, name))
    return say("By {who}, {when}.", who=who(telegram_id, name), when=when(page, at))


# -- verified ------------------------------------------------------------------------------------


def verified(standing: Standing, page: Page, cause: str, *, changed: bool) -> Markup:
    """What a command did; a seller who was verified before is shown with his history."""
    seller, judged = standing.seller, standing.judged
    if not changed:
        return lines(
            say("<b>{shop} was verified before.</b> Nothing changed.", shop=seller.shop_name),
            by_and_when(judged.verified_by, judged.verified_name, judged.verified_at, page),
            *_history(standing.history, page),
        )
    change = standing.by_cause(cause)
    held = [one.id for one in standing.payouts if one.held]
    return card(
        page,
        say("<b>The suspension of {shop} is lifted.</b> He was told so.", shop=seller.shop_name)
        if change is not None and change.reason == "lifted"
        else say("<b>{shop} is verified</b> and was told so.", shop=seller.shop_name),
        say(
            "Held while he was suspended, and now to be paid by hand: payouts {numbers}. /payouts",
            numbers=Plain(", ".join(map(str, held))),
        )
        if held
        else None,
        *(_history(standing.history, page) if len(standing.history) > 2 else ()),
    )


def _history(history: Sequence[SellerChange], page: Page) -> list[Markup]:
    more = len(history) - _HISTORY_SHOWN
    return [
        say("<b>History</b>"),
        *(_change(one, page) for one in history[:_HISTORY_SHOWN]),
        *([say("and {more} more", more=more)] if more > 0 else []),
    ]


def _change(one: SellerChange, page: Page) -> Markup:
    by_admin = one.actor.startswith("admin:")
    if by_admin and one.status is SellerStatus.SUSPENDED:
        what = say("suspended: {reason}", reason=clean(one.reason, 80))
    else:
        what = {
            "registered": say("registered"),
            "renamed": say("renamed his shop"),
            "verified": say("verified"),
            "lifted": say("suspension lifted"),
        }.get(one.reason) or say("{reason}", reason=clean(one.reason, 80))
    if not by_admin:
        return say("• {when}: {what}", when=when(page, one.at), what=what)
    return say("• {when}: {what}, by {who}", when=when(page, one.at), what=what, who=_admin(one))


def _admin(one: SellerChange) -> Markup:
    """Who of the admins changed it."""
    number = one.actor.partition(":")[2]
    return who(int(number) if number.isdigit() else None, one.name)


def card_verified(seller: Seller, first: SellerChange, page: Page) -> Markup:
    """In place of the card that said that he waits: who let him in, whatever came later."""
    return card(
        page,
        say(
            "<b>Verified by {who}, {when}: {shop}</b>",
            who=_admin(first),
            when=when(page, first.at),
            shop=seller.shop_name,
        ),
        say("Row {row}, Telegram id {person}", row=seller.id, person=seller.telegram_id),
    )


# -- suspended -----------------------------------------------------------------------------------


def suspended(standing: Standing, page: Page, *, changed: bool) -> Markup:
    seller, judged = standing.seller, standing.judged
    if not changed:
        return lines(
            say("<b>{shop} was suspended before.</b> Nothing changed.", shop=seller.shop_name),
            by_and_when(judged.suspended_by, judged.suspended_name, judged.suspended_at, page),
            say("Reason: {reason}", reason=seller.suspension_reason),
        )
    return card(
        page,
        say("<b>{shop} is suspended</b> and was told why.", shop=seller.shop_name),
        say("Reason: {reason}", reason=seller.suspension_reason),
        _what_hangs(standing),
        _payouts(standing),
        say("New deals can't be opened."),
    )


def _what_hangs(standing: Standing) -> Markup:
    funded = sum(one.funded for one in standing.deals)
    unpaid = sum(one.unpaid for one in standing.deals)
    held = Plain(", ".join(str(one.held) for one in standing.deals if one.funded))
    goes_on = {
        0: say("No funded deal is open"),
        1: say("1 funded deal goes on ({held})", held=held),
    }.get(funded, say("{count} funded deals go on ({held})", count=funded, held=held))
    if not unpaid:
        return say("{goes_on}, no unpaid one is open.", goes_on=goes_on)
    return say("{goes_on}, {count} unpaid can't be paid.", goes_on=goes_on, count=unpaid)


def _payouts(standing: Standing) -> Markup:
    rest = [
        one for one in standing.payouts if one.state is PayoutState.READY and one.leg != "buyer"
    ]
    if not rest:
        return say("His payouts wait from now on; none is waiting yet.")
    sums = Plain(", ".join(str(one.amount) for one in rest[:5]))
    return say("His payouts wait from now on: {count} ({sums}).", count=len(rest), sums=sums)


def lift(standing: Standing) -> InlineKeyboardMarkup | None:
    if not standing.suspended:
        return None
    button = press(words("Lift the suspension"), Verb.LIFT, standing.seller.id)
    return InlineKeyboardMarkup([[button]])


def ask_reason(standing: Standing, page: Page) -> Markup:
    return lines(
        say("<b>Why is {shop} to be suspended?</b>", shop=standing.seller.shop_name),
        say("He will read your words. {what}", what=_what_hangs(standing)),
        say("Write one sentence, or /cancel to leave it."),
    )


# -- the list ------------------------------------------------------------------------------------


def pending(found: Sequence[PendingSeller], count: int, page: Page) -> Markup:
    if not count:
        return say("No seller waits for you.")
    return card(
        page,
        say("<b>Sellers who wait: {count}</b>, the oldest first", count=count),
        *(_pending(one, page) for one in found),
    )


def _pending(one: PendingSeller, page: Page) -> Markup:
    return lines(
        say("<b>{shop}</b> · {name}", shop=one.shop_name, name=one.first_name[:40]),
        say(
            "{phone} · waits {age}, since {when}",
            phone=Plain(mask(one.payout_phone)),
            age=age(page.now - one.created_at),
            when=when(page, one.created_at),
        ),
        say(
            "Row {row}, Telegram id {person} · deals opened {deals}, photos {photos}",
            row=one.id,
            person=one.telegram_id,
            deals=one.deals,
            photos=one.photos,
        ),
    )


def pending_rows(found: Sequence[PendingSeller]) -> list[list[InlineKeyboardButton]]:
    return [
        [press(words("Verify {shop}", shop=Plain(clean(one.shop_name, 20))), Verb.VERIFY, one.id)]
        for one in found
    ]


# -- notices and refusals ------------------------------------------------------------------------


def suspension_proposed(v: Values, page: Page) -> Markup:
    deals = Markup(", ").join(code(one) for one in v["deals"][:6])
    return card(
        page,
        say(
            "<b>Suspend {shop}? {count} deals not sent in {days} days.</b>",
            shop=v["shop"],
            count=v["count"],
            days=v["days"],
        ),
        say("The money of each went back to its buyer: {deals}", deals=deals),
        say("Nobody is suspended by itself: you decide."),
    )


NOTICES: Final[Mapping[str, Callable[[Values, Page], Markup]]] = {
    "suspension_proposed": suspension_proposed
}


def keyboard(values: Values) -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup(
        [
            [suspend_button(str(values["shop"]), int(values["seller"]))],
            case_buttons(values["deals"]),
        ]
    )


def seller_is_suspended(v: Values, page: Page) -> Markup:
    at = v.get("at")
    at = moment(at) if isinstance(at, str) else at
    return lines(
        say("<b>{shop} is suspended.</b> This button only verifies new sellers.", shop=v["shop"]),
        by_and_when(v.get("by"), v.get("name"), at, page),
        say("To lift it: /verify_seller {row}", row=v["seller"]),
    )


REFUSALS: Final[Mapping[str, Callable[[Values, Page], Markup]]] = {
    "seller_is_suspended": seller_is_suspended
}
