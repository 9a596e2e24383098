"""Disputes in words, for both sides: raising one, its notices, its end. Also what admins' rulings
tell both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from markupsafe import Markup
from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from escrow.bot.buttons import Button, Verb, pack
from escrow.bot.deal_texts import status_words
from escrow.bot.page import (
    Page,
    Plain,
    card,
    code,
    deadline,
    lines,
    moment,
    retold,
    say,
    speaking,
    when,
    words,
)
from escrow.bot.payout_texts import way
from escrow.domain.flow import Status
from escrow.domain.model import Escrow

Values = Mapping[str, Any]
Render = Callable[[Values, Page], Markup]

OTHER: Final = 9
"""The reason that needs words."""
WITHOUT_WORDS: Final = 100
"""Added to a reason's number: open it now, no words."""


def button(label: str, verb: Verb, deal: str, number: int = 0) -> InlineKeyboardButton:
    return InlineKeyboardButton(label, callback_data=pack(Button(verb, deal, number)))


def rows(*buttons: InlineKeyboardButton) -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup([[one] for one in buttons])


# -- raising one ---------------------------------------------------------------------------------


def reasons(role: str) -> dict[int, str]:
    """Number → what is wrong, in the reader's language."""
    if role == "seller":
        return {
            5: words("The buyer wants to cancel"),
            6: words("Buyer has it, doesn't confirm"),
            OTHER: words("Something else"),
        }
    return {
        1: words("It has not arrived"),
        2: words("It is not as described"),
        3: words("It is broken"),
        4: words("It is the wrong item"),
        OTHER: words("Something else"),
    }


def kept_reason(role: str, number: int) -> str:
    """The same as it is kept: everybody reads it in his own language (`page.retold`)."""
    with speaking("en"):
        return reasons(role)[number]


def ask_reason(escrow: Escrow, page: Page) -> Markup:
    return card(
        page,
        say("<b>What is wrong with deal {code}?</b>", code=code(escrow.id)),
        say("{description}", description=escrow.description),
        say("A dispute stops the clock: nobody gets the money until it is decided."),
        say("You can also settle it between the two of you."),
    )


def reason_buttons(deal: str, role: str) -> InlineKeyboardMarkup:
    return rows(
        *(button(label, Verb.REASON, deal, number) for number, label in reasons(role).items()),
        button(words("Offer to settle"), Verb.SETTLE, deal),
        button(words("Back to the deal"), Verb.SHOW, deal),
    )


def ask_words(reason: str, page: Page, *, needed: bool) -> Markup:
    if needed:
        return card(
            page,
            say("<b>What is wrong?</b>"),
            say("Write it in one message. It opens the dispute; the other side reads it."),
            say("To leave it: /cancel"),
        )
    return card(
        page,
        say("<b>{reason}</b>", reason=Plain(reason)),
        say("Write in one message what happened. It opens the dispute; the other side reads it."),
        say("To leave it: /cancel"),
    )


def without_words(deal: str, reason: int) -> InlineKeyboardMarkup | None:
    if reason == OTHER:
        return None
    label = words("Open it without words")
    return rows(button(label, Verb.REASON, deal, WITHOUT_WORDS + reason))


def opened(deal: str, page: Page) -> Markup:
    return card(page, say("Dispute opened on deal {code}.", code=code(deal)))


def ask_withdraw(escrow: Escrow, page: Page) -> Markup:
    """Before a dispute is taken back."""
    return card(
        page,
        say("<b>Withdraw your dispute on deal {code}?</b>", code=code(escrow.id)),
        say("The deal goes on where it was. This works once: a second one can't be withdrawn."),
    )


def withdraw_buttons(deal: str) -> InlineKeyboardMarkup:
    return rows(
        button(words("Yes, withdraw it"), Verb.WITHDRAW, deal),
        button(words("Back"), Verb.BACK, deal),
    )


def withdrawn(escrow: Escrow, page: Page) -> Markup:
    return card(
        page,
        say("<b>Your dispute on deal {code} is withdrawn.</b>", code=code(escrow.id)),
        say("The deal goes on: {status}.", status=status_words(escrow.status)),
        _clock(escrow.status, page, _until(escrow)),
        say("A second one can't be withdrawn any more."),
    )


def _until(escrow: Escrow) -> str | None:
    at = escrow.ship_by if escrow.status is Status.HELD else escrow.release_at
    return at.isoformat() if at else None


def _clock(status: Status, page: Page, until: object) -> Markup | None:
    """What happens next by itself, and when."""
    at = moment(until)
    if at is None:
        return None
    if status is Status.HELD:
        return say("The seller sends it by {deadline}.", deadline=deadline(page, at))
    return say("The seller is paid on {deadline}.", deadline=deadline(page, at))


# -- notices -------------------------------------------------------------------------------------


def about(v: Values) -> Markup:
    return say("{description}, deal {code}.", description=v["description"], code=code(v["code"]))


def _by(v: Values, page: Page) -> Markup:
    at = moment(v["answer_by"]) or page.now
    return deadline(page, at)


def disputed(v: Values, page: Page) -> Markup:
    """To the side that did not raise it."""
    head = (
        say("<b>The seller opened a dispute.</b>")
        if v["role"] == "buyer"
        else say("<b>The buyer opened a dispute.</b>")
    )
    return card(
        page,
        head,
        about(v),
        say("Reason: {reason}", reason=retold(v["reason"])),
        say("Please answer by {deadline}.", deadline=_by(v, page)),
        say("Answer this message with photos, documents, voice notes or words: all is kept."),
        say("The money stays held until you settle it or an admin decides."),
    )


def dispute_raised(v: Values, page: Page) -> Markup:
    """To whoever raised it."""
    return card(
        page,
        say("<b>Your dispute is open. The money stays held.</b>"),
        about(v),
        say("Reason: {reason}", reason=retold(v["reason"])),
        say("The other side was asked to answer by {deadline}.", deadline=_by(v, page)),
        say("Answer this message with photos, documents, voice notes or words: all is kept."),
        say("Then an admin decides, unless the two of you settle it before."),
    )


def dispute_withdrawn(v: Values, page: Page) -> Markup:
    head = (
        say("<b>The seller withdrew the dispute.</b>")
        if v["by"] == "seller"
        else say("<b>The buyer withdrew the dispute.</b>")
    )
    status = Status(v["status"])
    return card(
        page,
        head,
        about(v),
        say("The deal goes on: {status}.", status=status_words(status)),
        _clock(status, page, v.get("until")),
    )


def division(v: Values) -> Markup:
    """Who gets exactly what, from the reader's side."""
    parts = {name: Plain(v[name]) for name in ("seller", "buyer", "fee")}
    if v["role"] == "seller":
        return say("The buyer gets {buyer}, Amana's fee is {fee}.", **parts)
    if v["role"] == "buyer":
        return say("The seller gets {seller}, Amana's fee is {fee}.", **parts)
    return say("Buyer: {buyer}, seller: {seller}, Amana's fee: {fee}.", **parts)


def mine(v: Values) -> Plain:
    """What the reader gets."""
    return Plain(v["seller"] if v["role"] == "seller" else v["buyer"])


def where(v: Values, page: Page) -> Markup | None:
    """Where the reader's money is now."""
    payout = v.get("payout")
    if payout:
        return way(payout, page)
    if _nothing(mine(v)):
        return None
    return say("It is in your wallet: /wallet")


def _nothing(amount: str) -> bool:
    return not any(digit in amount for digit in "123456789")


def resolved(v: Values, page: Page) -> Markup:
    decision = {
        "buyer": say("An admin decided for the buyer."),
        "seller": say("An admin decided for the seller."),
    }.get(str(v["decision"]))
    return card(
        page,
        say("<b>Dispute decided: you get {amount}.</b>", amount=mine(v)),
        about(v),
        decision
        or say("An admin divided it: {percent} % to the buyer.", percent=int(v["percent"])),
        say("Why: {notes}", notes=retold(v["notes"])) if v.get("notes") else None,
        division(v),
        where(v, page),
    )


def admin_released(v: Values, page: Page) -> Markup:
    return _ruled(v, page, say("An admin paid the seller; the deal is over."))


def admin_refunded(v: Values, page: Page) -> Markup:
    return _ruled(v, page, say("An admin gave the buyer everything back; the deal is over."))


def _ruled(v: Values, page: Page, what: Markup) -> Markup:
    return card(
        page,
        say("<b>You get {amount}.</b>", amount=mine(v)),
        about(v),
        what,
        say("Why: {reason}", reason=v["reason"]) if v.get("reason") else None,
        division(v),
        where(v, page),
    )


def frozen(v: Values, page: Page) -> Markup:
    return card(
        page,
        say("<b>This deal is frozen. The money stays held.</b>"),
        about(v),
        say("Why: {reason}", reason=v["reason"]) if v.get("reason") else None,
        say("Nothing happens until an admin has looked at it; please send nothing."),
    )


def unfrozen(v: Values, page: Page) -> Markup:
    status = Status(v["status"])
    return card(
        page,
        say("<b>This deal goes on: {status}.</b>", status=status_words(status)),
        about(v),
        _clock(status, page, v.get("until")),
    )


NOTICES: Final[Mapping[str, Render]] = {
    "disputed": disputed,
    "dispute_raised": dispute_raised,
    "dispute_withdrawn": dispute_withdrawn,
    "resolved": resolved,
    "admin_released": admin_released,
    "admin_refunded": admin_refunded,
    "frozen": frozen,
    "unfrozen": unfrozen,
}


def keyboard(kind: str, values: Values) -> InlineKeyboardMarkup | None:
    """The buttons of these notices."""
    deal = str(values["code"])
    evidence = button(words("Add evidence"), Verb.EVIDENCE, deal)
    settle = button(words("Offer to settle"), Verb.SETTLE, deal)
    if kind == "disputed":
        return rows(evidence, settle)
    if kind == "dispute_raised":
        return rows(evidence, settle, button(words("Withdraw it"), Verb.WITHDRAW_ASK, deal))
    if kind in ("dispute_withdrawn", "unfrozen"):
        return rows(button(words("Show the deal"), Verb.SHOW, deal))
    return None


# -- refusals ------------------------------------------------------------------------------------


def wrong_status(v: Values, page: Page) -> Markup:
    return say(
        "Deal {code} is “{status}”: that can't be done now.",
        code=code(v["code"]),
        status=status_words(Status(v["status"])),
    )


def dispute_open(v: Values, page: Page) -> Markup:
    return say("A dispute is open on this deal already.")


def no_open_dispute(v: Values, page: Page) -> Markup:
    return say("Deal {code} has no open dispute.", code=code(v["code"]))


def not_your_dispute(v: Values, page: Page) -> Markup:
    return say("Only the one who opened the dispute can withdraw it. You can offer to settle.")


def withdrawn_before(v: Values, page: Page) -> Markup:
    return lines(
        say("A dispute was withdrawn on this deal before; that works once."),
        say("You can still offer to settle, or an admin decides."),
    )


def dispute_taken(v: Values, page: Page) -> Markup:
    return say(
        "Admin {by} took this dispute {when} and decides it. "
        "/manual_release and /manual_refund work.",
        by=str(v["by"]),
        when=when(page, v["at"]),
    )


def dispute_reason(v: Values, page: Page) -> Markup:
    return say(
        "Please say in 1 to {maximum} characters what is wrong: "
        "<code>/dispute ES1008257624 It never came</code>",
        maximum=v["maximum"],
    )


def too_long(v: Values, page: Page) -> Markup:
    return say("That is too long: {maximum} characters at most.", maximum=v["maximum"])


REFUSALS: Final[Mapping[str, Render]] = {
    words_.__name__: words_
    for words_ in (
        wrong_status,
        dispute_open,
        no_open_dispute,
        not_your_dispute,
        withdrawn_before,
        dispute_taken,
        dispute_reason,
        too_long,
    )
}
