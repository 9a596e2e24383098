"""Everything that is said about payouts: to those who wait for them and to admins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from markupsafe import Markup
from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from escrow.bot import dollar_texts
from escrow.bot.buttons import Button, Verb, pack
from escrow.bot.page import Page, Plain, card, code, moment, say, when, words
from escrow.domain.payouts import Payout, PayoutState

Values = Mapping[str, Any]
_SHOWN: Final = 15


def _deal(v: Values) -> Markup | None:
    return say("Deal {code}", code=code(v["code"])) if v.get("code") else None


# -- people --------------------------------------------------------------------------------------


def way(payout: Values, page: Page) -> Markup:
    """Where booked money goes, who sends it, and when (`endings.payout_values`)."""
    where = {"amount": Plain(payout["amount"]), "to": Plain(payout["to"])}
    since = moment(payout.get("when"))
    if payout.get("why") == "suspended":
        return say(
            "{amount} for {to} waits for an admin: the seller's account is suspended.", **where
        )
    if payout.get("why") and since:
        return say(
            "An admin sends {amount} to {to}, not before {when}: that number is new.",
            when=when(page, since),
            **where,
        )
    if payout.get("why"):
        return say("An admin sends {amount} to {to} by hand.", **where)
    if since:
        return say(
            "{amount} goes to {to} on {when}: that number is new, so it waits a day.",
            when=when(page, since),
            **where,
        )
    return say("{amount} is on its way to {to}.", **where)


def payout_paid(v: Values, page: Page) -> Markup:
    return card(
        page,
        say("<b>{amount} sent to {to}.</b>", amount=Plain(v["amount"]), to=Plain(v["to"])),
        dollar_texts.transaction(v)
        if v.get("coin")
        else say("M-Pesa receipt {reference}", reference=Plain(v["reference"])),
        _deal(v),
    )


def payout_failed(v: Values, page: Page) -> Markup:
    why = {
        "unregistered": say("That number has no M-Pesa account."),
        "no_such_number": say("That number does not exist."),
        "payee_limit": say("Your M-Pesa account can't take that much now: its limit is reached."),
        "payee_account": say("M-Pesa says that your account can't receive money now."),
        "below_minimum": say("M-Pesa does not send so little."),
        "above_maximum": say("M-Pesa does not send so much at once."),
    }.get(str(v["why"]), say("M-Pesa could not send it."))
    if v.get("words"):
        why = say("An admin says: {words}", words=str(v["words"]))
    elif v.get("coin"):
        why = say("It can't be sent as coins.")
    if str(v["why"]) == "number_changed":
        return _taken_back(v, page)
    return card(
        page,
        say(
            "<b>{amount} could not be sent to {to}. It is in your wallet.</b>",
            amount=Plain(v["amount"]),
            to=Plain(v["to"]),
        ),
        why,
        _deal(v),
        say("To send it again: /withdraw"),
    )


def _taken_back(v: Values, page: Page) -> Markup:
    return card(
        page,
        say(
            "<b>{amount} is not sent to {to}. It is in your wallet.</b>",
            amount=Plain(v["amount"]),
            to=Plain(v["to"]),
        ),
        say("Your payout number was changed before it left."),
        _deal(v),
        say("To send it again: /withdraw"),
    )


def payout_waits(v: Values, page: Page) -> Markup:
    return card(
        page,
        say(
            "<b>{amount} to {to} takes longer than usual.</b>",
            amount=Plain(v["amount"]),
            to=Plain(v["to"]),
        ),
        say("The money is safe. We look after it and tell you when it is sent."),
        _deal(v),
    )


# -- admins --------------------------------------------------------------------------------------


def why_words(v: Values) -> Markup:
    """Why one waits, by its note."""
    return {
        "in_coins": say("Dollars are sent as coins, by hand."),
        "no_keys": say("No keys for payouts are set: payouts are made by hand."),
        "suspended": say("Its seller was suspended: it waits for an admin."),
        "unknown": say("M-Pesa does not say whether it was paid."),
        "not_completed": say("M-Pesa was asked and says it was not completed."),
        "reversed": say("M-Pesa was asked and says it was reversed."),
        "float": say("Our M-Pesa account has too little money."),
        "mpesa_busy": say("M-Pesa is busy."),
        "mpesa_unreachable": say("M-Pesa can't be reached."),
        "rule_limited": say("M-Pesa refuses the same amount to the same number so soon."),
        "our_account": say("M-Pesa says that our account is in no good state."),
        "funding_unknown": say(
            "A large deal: M-Pesa does not say whether the buyer's payment still stands."
        ),
        "funding_reversed": say("<b>CRITICAL: M-Pesa says the buyer's payment was reversed.</b>"),
        "checking": say("An admin named a receipt: M-Pesa is asked about it."),
        "no_word": say("An admin named a receipt, and M-Pesa gives no answer about it."),
        "not_confirmed": say("M-Pesa did not confirm the receipt that an admin named."),
        "not_whole": say("M-Pesa reverses whole shillings only."),
        "already_reversed": say("M-Pesa says that it was reversed before, by somebody."),
        "misconfigured": say("M-Pesa refuses our set-up: check the keys and the API user's roles."),
    }.get(str(v["why"]), say("Reason: {why}", why=str(v["why"])))


def _number(v: Values) -> Markup | None:
    if not v.get("number"):
        return None
    return say("Number <code>{number}</code>", number=Plain(v["number"]))


def _own(v: Values, page: Page) -> Markup:
    """For an admin who is a side: he decides nothing about it."""
    task = {"amount": Plain(v["amount"]), "payout": v["payout"]}
    alone = v["own"] == "none"
    return card(
        page,
        say("<b>{amount} waits for an admin, but not for you (payout {payout}).</b>", **task),
        _deal(v),
        why_words(v),
        say(
            "It is yours, or of a deal of yours, and there is no other admin. It stays where it is "
            "until the operator names one more (ADMIN_CHAT_ID)."
        )
        if alone
        else say("It is yours, or of a deal of yours: another admin decides it."),
    )


def resting(until: datetime, page: Page) -> Markup:
    return say("The number is new: not before {when}.", when=when(page, until))


def payout_manual(v: Values, page: Page) -> Markup:
    if v.get("own"):
        return _own(v, page)
    if v.get("receipt"):
        return _back_by_hand(v, page)
    if v.get("coin"):
        return dollar_texts.by_hand(v, why_words(v), page)
    since = moment(v.get("not_before"))
    return card(
        page,
        say(
            "<b>Please pay {amount} by hand (payout {payout}).</b>",
            amount=Plain(v["amount"]),
            payout=v["payout"],
        ),
        _number(v),
        _deal(v),
        why_words(v),
        resting(since, page) if since else None,
        say("Do not pay it before you know that the buyer's money is here.")
        if str(v["why"]).startswith("funding_")
        else None,
        say("Pay it in the M-Pesa portal, press Paid and type the receipt number."),
    )


def _back_by_hand(v: Values, page: Page) -> Markup:
    """Money that goes back to its payer, whose number M-Pesa may show masked."""
    return card(
        page,
        say(
            "<b>Please send {amount} back by hand (payout {payout}).</b>",
            amount=Plain(v["amount"]),
            payout=v["payout"],
        ),
        say("It came in as receipt <code>{receipt}</code>.", receipt=Plain(v["receipt"])),
        say("Payer <code>{number}</code>", number=Plain(v["number"])) if v.get("number") else None,
        _deal(v),
        why_words(v),
        say(
            "Reverse that receipt in the M-Pesa portal, or pay its payer, press Paid and type the "
            "new receipt number."
        ),
    )


def payout_unknown(v: Values, page: Page) -> Markup:
    if v.get("own"):
        return _own(v, page)
    if v.get("receipt"):
        return _back_unknown(v, page)
    return card(
        page,
        say(
            "<b>Was {amount} paid? Nobody can say (payout {payout}).</b>",
            amount=Plain(v["amount"]),
            payout=v["payout"],
        ),
        _number(v),
        say("Our id for it: <code>{ocid}</code>", ocid=Plain(v["ocid"])),
        _deal(v),
        why_words(v),
        say(
            "It is not sent again by itself. Look it up in the M-Pesa portal: Paid if it is there, "
            "the other button if it is not."
        ),
    )


def _back_unknown(v: Values, page: Page) -> Markup:
    return card(
        page,
        say(
            "<b>Did {amount} go back? Nobody can say (payout {payout}).</b>",
            amount=Plain(v["amount"]),
            payout=v["payout"],
        ),
        say("It came in as receipt <code>{receipt}</code>.", receipt=Plain(v["receipt"])),
        _deal(v),
        why_words(v),
        say(
            "It is not sent again by itself. Look in the M-Pesa portal whether that receipt was "
            "reversed: Paid if it was, the other button if it was not."
        ),
    )


def payout_late(v: Values, page: Page) -> Markup:
    return card(
        page,
        dollar_texts.late(v)
        if v.get("coin")
        else say(
            "<b>{amount} waits for more than an hour (payout {payout}).</b>",
            amount=Plain(v["amount"]),
            payout=v["payout"],
        ),
        _deal(v),
        say("It is {state}. All of them: /payouts", state=Plain(v["state"])),
    )


def payout_trouble(v: Values, page: Page) -> Markup:
    return card(
        page,
        say("<b>M-Pesa refuses payouts for a reason of ours.</b>"),
        why_words(v),
        say("Code {code}. They are tried again by themselves: /payouts", code=Plain(v["code"])),
    )


def payouts_stopped(v: Values, page: Page) -> Markup:
    return card(
        page,
        say(
            "<b>All payouts are stopped: M-Pesa refuses our API user (code {code}).</b>",
            code=Plain(v["code"]),
        ),
        say("Trying on would lock it. Nothing is lost: what is ready waits."),
        say(
            "Put the API user right in the M-Pesa portal. With another credential in the settings "
            "payouts go on after a restart; with the same one, type <code>/payouts resume</code>"
        ),
    )


def payout_mismatch(v: Values, page: Page) -> Markup:
    why = {
        "other_id": say("It names another request than ours."),
        "other_amount": say("It names another amount: {claimed}", claimed=Plain(v["claimed"])),
        "other_receiver": say("It names another receiver."),
    }.get(str(v["why"]), say("Reason: {why}", why=str(v["why"])))
    return card(
        page,
        say(
            "<b>A result does not fit payout {payout} ({amount}).</b>",
            payout=v["payout"],
            amount=Plain(v["amount"]),
        ),
        why,
        _deal(v),
        say("It was kept and changed nothing."),
    )


def payout_contradiction(v: Values, page: Page) -> Markup:
    return card(
        page,
        say(
            "<b>CRITICAL: two answers about payout {payout} ({amount}) differ.</b>",
            payout=v["payout"],
            amount=Plain(v["amount"]),
        ),
        say("It is {state}.", state=Plain(v["state"])),
        say(
            "Now M-Pesa says {says}, code {code_said}.",
            says=Plain(v["says"]),
            code_said=Plain(v["code_said"]),
        ),
        say("Receipt {reference}", reference=Plain(v["reference"])) if v.get("reference") else None,
        _deal(v),
        say("The first answer stands. Look in the M-Pesa portal now: it may be paid twice."),
    )


def payout_word_wrong(v: Values, page: Page) -> Markup:
    why = {
        "not_completed": say("M-Pesa says that this payment was not completed."),
        "not_ours": say("M-Pesa says that this payment was not sent from our account."),
        "other_amount": say("M-Pesa says that it was {claimed}.", claimed=Plain(v["claimed"])),
        "other_receiver": say("M-Pesa says that it went to another number."),
        "receipt_used": say("That receipt belongs to another payout."),
    }.get(str(v["why"]), say("M-Pesa speaks of another receipt."))
    return card(
        page,
        say(
            "<b>Receipt {reference} did not pay payout {payout} ({amount}).</b>",
            reference=Plain(v["reference"]),
            payout=v["payout"],
            amount=Plain(v["amount"]),
        ),
        why,
        _deal(v),
        say("The payout still waits. Look in the M-Pesa portal before you pay it."),
    )


def payout_word_silent(v: Values, page: Page) -> Markup:
    return card(
        page,
        say(
            "<b>M-Pesa gives no answer about receipt {reference} (payout {payout}, {amount}).</b>",
            reference=Plain(v["reference"]),
            payout=v["payout"],
            amount=Plain(v["amount"]),
        ),
        _deal(v),
        say("Close it on your word? Look in the M-Pesa portal first."),
    )


NOTICES: Final[Mapping[str, Callable[[Values, Page], Markup]]] = {
    "payout_paid": payout_paid,
    "payout_failed": payout_failed,
    "payout_waits": payout_waits,
    "payout_manual": payout_manual,
    "payout_unknown": payout_unknown,
    "payout_late": payout_late,
    "payout_trouble": payout_trouble,
    "payouts_stopped": payouts_stopped,
    "payout_mismatch": payout_mismatch,
    "payout_contradiction": payout_contradiction,
    "payout_word_wrong": payout_word_wrong,
    "payout_word_silent": payout_word_silent,
}


def keyboard(kind: str, values: Values) -> InlineKeyboardMarkup | None:
    """What an admin can answer to a payout that waits for him."""
    if kind not in ("payout_manual", "payout_unknown", "payout_word_wrong", "payout_word_silent"):
        return None
    if values.get("own"):
        return None
    number = int(values["payout"])
    if kind == "payout_word_silent":
        return InlineKeyboardMarkup(
            [
                [_button(words("Close it on my word"), Verb.PAYOUT_SURE, number)],
                [_button(words("Another receipt"), Verb.PAYOUT_PAID, number)],
                [_button(words("It did not go out"), Verb.PAYOUT_FAILED, number)],
            ]
        )
    other = words("It did not go out") if kind == "payout_unknown" else words("Can't be paid")
    return InlineKeyboardMarkup(
        [
            [_button(words("Paid"), Verb.PAYOUT_PAID, number)],
            [_button(other, Verb.PAYOUT_FAILED, number)],
        ]
    )


def _button(label: str, verb: Verb, number: int) -> InlineKeyboardButton:
    return InlineKeyboardButton(label, callback_data=pack(Button(verb, number=number)))


# -- the admin's dialogue ------------------------------------------------------------------------


def ask_receipt(payout: Payout) -> Markup:
    if payout.in_coins:
        return dollar_texts.ask_hash(payout)
    return say(
        "Payout {payout}, {amount}: please type M-Pesa's receipt number. /cancel stops.",
        payout=payout.id,
        amount=payout.amount,
    )


def ask_reason(payout: Payout, *, may_be_out: bool) -> Markup:
    if may_be_out:
        return say(
            "<b>Payout {payout}, {amount} may have been paid.</b> Only if the M-Pesa portal shows "
            "that it was not, type <code>not sent</code> and why. It goes back to the wallet. "
            "/cancel stops.",
            payout=payout.id,
            amount=payout.amount,
        )
    return say(
        "Payout {payout}, {amount}: why can't it be paid? The person reads your words, and the "
        "money goes back to the wallet. /cancel stops.",
        payout=payout.id,
        amount=payout.amount,
    )


def closed(payout: Payout) -> Markup:
    if payout.state is PayoutState.MANUAL:
        return say(
            "<b>I ask M-Pesa about receipt {reference}.</b> Payout {payout} is closed when M-Pesa "
            "says that it was paid.",
            reference=Plain(payout.named_reference or ""),
            payout=payout.id,
        )
    if payout.state is PayoutState.PAID and payout.in_coins:
        return dollar_texts.closed(payout)
    if payout.state is PayoutState.PAID:
        return say(
            "<b>Payout {payout} is paid</b>, receipt {reference}.",
            payout=payout.id,
            reference=Plain(payout.provider_reference or ""),
        )
    return say(
        "<b>Payout {payout} is closed:</b> {amount} is back in the wallet.",
        payout=payout.id,
        amount=payout.amount,
    )


def resumed(*, changed: bool) -> Markup:
    return say("Payouts go on.") if changed else say("Payouts were not stopped.")


# -- refusals ------------------------------------------------------------------------------------


def no_payout(v: Values, page: Page) -> Markup:
    return say("There is no payout {payout}.", payout=v["payout"])


def payout_not_yours(v: Values, page: Page) -> Markup:
    return say(
        "Payout {payout} waits for no answer. Nothing changed: /payouts shows what is open.",
        payout=v["payout"],
    )


def payout_may_be_out(v: Values, page: Page) -> Markup:
    return say(
        "Payout {payout} may have been paid. Look in the M-Pesa portal; only if it is not there, "
        "type <code>not sent</code> and why.",
        payout=v["payout"],
    )


def not_a_receipt(v: Values, page: Page) -> Markup:
    return say("That is no receipt number: it has ten letters and digits, like SG632NMUAB.")


def payout_own(v: Values, page: Page) -> Markup:
    return say(
        "Payout {payout} is yours, or of a deal of yours: another admin decides it. "
        "Nothing changed.",
        payout=v["payout"],
    )


def payout_rests(v: Values, page: Page) -> Markup:
    return say(
        "Payout {payout} goes to a number that is new: not before {when}. Nothing changed.",
        payout=v["payout"],
        when=when(page, v["until"]),
    )


def receipt_came_in(v: Values, page: Page) -> Markup:
    return say("That is the receipt of a payment that came in. Nothing changed.")


def receipt_used(v: Values, page: Page) -> Markup:
    return say("That receipt or hash belongs to another payout. Nothing changed.")


def withdraw_large(v: Values, page: Page) -> Markup:
    return say("M-Pesa sends at most {maximum} at once.", maximum=v["maximum"])


REFUSALS: Final[Mapping[str, Callable[[Values, Page], Markup]]] = {
    words_.__name__: words_
    for words_ in (
        no_payout,
        payout_not_yours,
        payout_may_be_out,
        not_a_receipt,
        payout_own,
        payout_rests,
        receipt_came_in,
        receipt_used,
        withdraw_large,
    )
}
"""The reason is the function's name."""
