"""Claims by receipt in words: what became of one, for the one who claims and for the admins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from markupsafe import Markup
from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from escrow.bot.buttons import Button, Verb, pack
from escrow.bot.page import Page, Plain, card, code, lines, moment, say, when, words
from escrow.domain.claims import Claim, ClaimState

Values = Mapping[str, Any]


def outcome(claim: Claim, page: Page) -> Markup:
    """How a claim stands, in answer to it."""
    reference = Plain(claim.reference)
    if claim.state is ClaimState.ASKED:
        return card(
            page,
            say("<b>I asked M-Pesa about {reference}.</b>", reference=reference),
            say("I write here as soon as it answers. Please don't pay again."),
        )
    if claim.state is ClaimState.WAITING:
        return card(
            page,
            say("<b>{reference} is being checked.</b>", reference=reference),
            say("I write as soon as it is settled. Please don't pay again."),
        )
    if claim.state is ClaimState.PERSON:
        return card(page, _a_person_looks(claim.reference))
    if claim.state is ClaimState.CREDITED:
        return card(page, say("<b>{reference} is found and counted.</b>", reference=reference))
    return card(page, _denied(claim.why, claim.reference))


def _a_person_looks(reference: str) -> Markup:
    return lines(
        say("<b>A person at Amana looks at {reference}.</b>", reference=Plain(reference)),
        say("I write as soon as it is settled. Please don't pay again."),
    )


def _denied(why: str, reference: str) -> Markup:
    if why == "counted":
        return lines(
            say("<b>{reference} is already counted.</b>", reference=Plain(reference)),
            say("/deals and /wallet show where your money is."),
        )
    if why == "used":
        return lines(
            say("<b>{reference} can't be counted for you.</b>", reference=Plain(reference)),
            say("If you paid it yourself, write to our people: /help"),
        )
    if why == "admin":
        return lines(
            say("<b>{reference} was not counted.</b>", reference=Plain(reference)),
            say("A person looked, and it is not a payment of yours to Amana. Questions: /help"),
        )
    return say("M-Pesa doesn't know this code. An SMS or screenshot is not payment.")


def ask_own_number(page: Page) -> Markup:
    return say(
        "It goes faster if I know your own number: share the one that paid with the button below."
    )


# -- notices -------------------------------------------------------------------------------------


def claim_denied(v: Values, page: Page) -> Markup:
    return card(
        page,
        _denied(str(v["why"]), str(v["reference"])),
        say("Receipt {reference}", reference=Plain(v["reference"])),
    )


def claim_person(v: Values, page: Page) -> Markup:
    return card(
        page,
        _a_person_looks(str(v["reference"])),
        say(
            "It goes faster if you share your own number: send /paid {reference} again.",
            reference=Plain(v["reference"]),
        )
        if v.get("contact")
        else None,
    )


def claim_card(v: Values, page: Page) -> Markup:
    """For the admins: [Credit] and [Not ours] stand below it."""
    known: dict[str, Callable[[], Markup]] = {
        "no_number": lambda: say("He has given no number of his own."),
        "number_not_vouched": lambda: say("His number was only typed: Telegram vouches for none."),
        "other_number": lambda: say("<b>The payer's number is not the claimant's.</b>"),
        "payer_unknown": lambda: say("M-Pesa does not show who paid."),
        "other_deal": lambda: say("It was paid under another deal's code."),
        "maybe_prompt": lambda: say(
            "<b>It may be the money of a prompt without a receipt number: {deals}.</b> Compare "
            "time and payer. If the prompt is his, nothing is counted twice.",
            deals=Plain(v.get("deals") or "–"),
        ),
        "old": lambda: say("The payment is old: it may have been for something else."),
        "nobody_to_ask": lambda: say("M-Pesa can't be asked: there are no initiator keys."),
        "no_answer": lambda: say("M-Pesa was asked several times and did not answer."),
        "no_party": lambda: say("M-Pesa says it is completed, but not whom it was paid to."),
        "other_amount": lambda: say("M-Pesa names another amount than was booked for it."),
        "status_refused": lambda: say(
            "M-Pesa refuses our API user: check its name and credential."
        ),
    }
    why = known.get(str(v["why"]), lambda: say("Reason: {why}", why=str(v["why"])))
    said_at = moment(v.get("said_at"))
    return card(
        page,
        say("<b>Is this payment his? {amount}</b>", amount=Plain(v["amount"])),
        say("Receipt {reference}", reference=Plain(v["reference"])),
        say("Deal {code}", code=code(v["code"])) if v.get("code") else say("No deal: his wallet"),
        say("Claimed by Telegram id {person}", person=v["person"]),
        say("Payer: {payer}", payer=str(v["payer"])) if v.get("payer") else None,
        why(),
        None if v.get("proved") else _unproved(said_at, page),
        say("Look it up in the M-Pesa portal first. Nothing is booked until somebody decides."),
    )


def _unproved(said_at: datetime | None, page: Page) -> Markup:
    if said_at is None:
        return say(
            "<b>The amount is only what he says.</b> Credit it only if M-Pesa's portal shows "
            "exactly this amount, paid to us."
        )
    return say(
        "<b>Amount and time ({time}) are only what he says.</b> Credit it only if M-Pesa's portal "
        "shows exactly this amount and time, paid to us.",
        time=when(page, said_at),
    )


NOTICES: Final[Mapping[str, Callable[[Values, Page], Markup]]] = {
    "claim_denied": claim_denied,
    "claim_person": claim_person,
    "claim_card": claim_card,
}


def keyboard(kind: str, values: Values) -> InlineKeyboardMarkup | None:
    """The buttons of these notices."""
    if kind != "claim_card":
        return None
    number = int(values["claim"])
    yes = pack(Button(Verb.CLAIM_YES, number=number))
    no = pack(Button(Verb.CLAIM_NO, number=number))
    return InlineKeyboardMarkup(
        [
            [
                InlineKeyboardButton(words("Credit"), callback_data=yes),
                InlineKeyboardButton(words("Not ours"), callback_data=no),
            ]
        ]
    )


# -- admins ----------------------------------------------------------------------------------------


def decided(claim: Claim, page: Page) -> Markup:
    if claim.state is ClaimState.CREDITED:
        return say(
            "Receipt {reference} is credited to {person}.",
            reference=Plain(claim.reference),
            person=claim.telegram_id,
        )
    if claim.why == "counted":
        return say(
            "Receipt {reference} is the number of a prompt of {person} that was counted before. "
            "Nothing more is booked, and that is what I told.",
            reference=Plain(claim.reference),
            person=claim.telegram_id,
        )
    return say(
        "Receipt {reference} is refused. {person} is told.",
        reference=Plain(claim.reference),
        person=claim.telegram_id,
    )


# -- refusals --------------------------------------------------------------------------------------


def receipt(v: Values, page: Page) -> Markup:
    return say(
        "I see no receipt number there. Paste the whole M-Pesa message, or its first ten letters "
        "and digits: <code>/paid SG632NMUAB</code>"
    )


def claim_needs_message(v: Values, page: Page) -> Markup:
    return say("Please paste the whole M-Pesa message, so that I see the amount as well.")


def claim_which(v: Values, page: Page) -> Markup:
    return say(
        "You have several deals to pay. Please name the one you mean: "
        "<code>/paid ES1008257624 SG632NMUAB</code>"
    )


def too_many_claims(v: Values, page: Page) -> Markup:
    return say(
        "That is all for this hour: I look up {limit} receipts per person and hour.",
        limit=v["limit"],
    )


def claim_decided(v: Values, page: Page) -> Markup:
    return say("This claim is decided. Nothing changed.")


def claim_receipt_waits(v: Values, page: Page) -> Markup:
    return say("The payment itself waits for confirmation: decide its own card first.")


def claim_no_amount(v: Values, page: Page) -> Markup:
    return say("Nobody knows the amount of this receipt. Ask him for the whole M-Pesa message.")


def maybe_prompt(v: Values, page: Page) -> Markup:
    return lines(
        say(
            "<b>Not credited: {reference} may be counted already.</b>",
            reference=Plain(v["reference"]),
        ),
        say(
            "Prompts of this amount whose receipt number is not known: {deals}. Look up in the "
            "M-Pesa portal who paid {reference} and when.",
            deals=Plain(v["deals"]),
            reference=Plain(v["reference"]),
        ),
        say(
            "If it is the money of such a prompt, press [Not ours]: that counts by itself. Else "
            "press it too, and let him send the whole M-Pesa message: its time tells them apart."
        ),
    )


def other_deal(v: Values, page: Page) -> Markup:
    return say("It was paid under another deal's code: a person has to look at it first.")


REFUSALS: Final[Mapping[str, Callable[[Values, Page], Markup]]] = {
    words_.__name__: words_
    for words_ in (
        receipt,
        claim_needs_message,
        claim_which,
        too_many_claims,
        claim_decided,
        claim_receipt_waits,
        claim_no_amount,
        maybe_prompt,
        other_deal,
    )
}
"""The reason is the function's name."""
