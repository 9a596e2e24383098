"""How an admin ends a deal, in his words: what would happen, and what did."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from markupsafe import Markup

from escrow.bot.deal_texts import status_words
from escrow.bot.page import Page, Plain, code, lines, retold, say
from escrow.domain.actions import Action
from escrow.domain.flow import Status

Values = Mapping[str, Any]
_SIDES: Final = ("buyer", "seller")


def resolve(v: Values, action: Action, page: Page) -> Markup:
    head = {
        "buyer": say("<b>Resolve deal {code}: all to the buyer</b>", code=code(v["code"])),
        "seller": say("<b>Resolve deal {code}: the seller is paid</b>", code=code(v["code"])),
    }.get(
        v["decision"],
        say(
            "<b>Resolve deal {code}: {percent} % for the buyer</b>",
            code=code(v["code"]),
            percent=v["percent"],
        ),
    )
    return _preview(head, v)


def manual_refund(v: Values, action: Action, page: Page) -> Markup:
    head = say("<b>Refund deal {code}: all back to the buyer</b>", code=code(v["code"]))
    return _preview(head, v)


def manual_release(v: Values, action: Action, page: Page) -> Markup:
    head = say("<b>Release deal {code}: the seller is paid</b>", code=code(v["code"]))
    return _preview(head, v)


def _preview(head: Markup, v: Values) -> Markup:
    return lines(
        head,
        *(_would_get(v, side) for side in _SIDES),
        say("Amana's fee: {fee}", fee=Plain(v["fee"])),
        say("What: {description}", description=v["description"]),
        say("It is now: {status}", status=status_words(Status(v["status"]))),
        _dispute(v),
        _owed(v),
        *(_waiting(v, side) for side in _SIDES),
        say("Your reason, which both sides read: {reason}", reason=v["reason"])
        if v["reason"]
        else None,
    )


def _would_get(v: Values, side: str) -> Markup:
    amount, way = str(v[side]), v["ways"].get(side)
    values = {"name": str(v["names"].get(side) or "–"), "amount": Plain(amount)}
    if _nothing(amount):
        return (
            say("Buyer {name} gets nothing.", name=values["name"])
            if side == "buyer"
            else say("Seller {name} gets nothing.", name=values["name"])
        )
    gets = (
        say("Buyer {name} gets {amount}", **values)
        if side == "buyer"
        else say("Seller {name} gets {amount}", **values)
    )
    return say("{gets} · {way}", gets=gets, way=_planned(amount, way))


def _planned(amount: str, way: Values | None) -> Markup:
    if way is None:
        return say("into the wallet")
    to, part = Plain(way["to"]), Plain(way["amount"])
    if way.get("why") == "suspended":
        return say("for {to}, held while the account is suspended", to=to)
    if way.get("why"):
        return say("an admin pays it to {to} by hand", to=to)
    if part != amount:
        return say("{part} of it goes to {to}, the rest into the wallet", part=part, to=to)
    return say("goes to {to}", to=to)


def _dispute(v: Values) -> Markup | None:
    dispute = v["dispute"]
    if dispute is None:
        return None
    reason = retold(str(dispute["reason"]))
    if dispute["by"] == "seller":
        return say("Closes the seller's dispute: {reason}", reason=reason)
    return say("Closes the buyer's dispute: {reason}", reason=reason)


def _owed(v: Values) -> Markup | None:
    if not v.get("owed"):
        return None
    return say("Beware: M-Pesa took {owed} of this deal's payment back.", owed=Plain(v["owed"]))


def _waiting(v: Values, side: str) -> Markup | None:
    numbers = v["waiting"].get(side)
    if not numbers:
        return None
    shown = Plain(", ".join(map(str, numbers[:5])))
    return say(
        "Payouts to {name} that wait for an admin: {numbers}. /payouts",
        name=str(v["names"].get(side) or "–"),
        numbers=shown,
    )


def ended(v: Values, action: Action, page: Page) -> Markup:
    return lines(
        say(
            "<b>Deal {code} is {status}.</b>",
            code=code(v["code"]),
            status=status_words(Status(v["status"])),
        ),
        *(_gets(v, side) for side in _SIDES),
        say("Amana's fee: {fee}", fee=Plain(v["fee"])),
        say("Both sides are told."),
    )


def _gets(v: Values, side: str) -> Markup | None:
    amount, payout = str(v[side]), v["payouts"].get(side)
    if _nothing(amount):
        return None
    name = str(v["names"].get(side) or "–")
    if payout is None:
        return say("{name}'s {amount} is in the wallet.", name=name, amount=Plain(amount))
    values = {"name": name, "amount": Plain(payout["amount"]), "to": Plain(payout["to"])}
    if payout.get("why") == "suspended":
        return say(
            "{name}'s {amount} for {to} waits for an admin: the account is suspended. /payouts",
            **values,
        )
    if payout.get("why"):
        return say("{name}'s {amount} is to be paid to {to} by hand. /payouts", **values)
    if payout.get("when"):
        return say("{name}'s {amount} goes to {to} a day after that number was named.", **values)
    return say("{name}'s {amount} is on its way to {to}.", **values)


def _nothing(amount: str) -> bool:
    return not any(digit in amount for digit in "123456789")


Words = Callable[[Values, Action, Page], Markup]
PREVIEWS: Final[Mapping[str, Words]] = {
    "resolve": resolve,
    "manual_refund": manual_refund,
    "manual_release": manual_release,
}
OUTCOMES: Final[Mapping[str, Words]] = dict.fromkeys(PREVIEWS, ended)
