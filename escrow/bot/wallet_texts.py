"""The wallet in words: what is there, what moved, sending it to the phone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup
from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from escrow.bot import dollar_texts
from escrow.bot.buttons import Button, Verb, pack
from escrow.bot.page import Page, Plain, card, code, say, when, words
from escrow.bot.payout_texts import way
from escrow.domain.money import Currency, Money
from escrow.domain.phone import is_msisdn, mask
from escrow.services.endings import payout_values
from escrow.services.payout_booking import BookedPayout
from escrow.services.wallets import Withdrawal

Values = Mapping[str, Any]


# -- the wallet ----------------------------------------------------------------------------------


def wallet(values: Values, page: Page) -> Markup:
    """What a person has, what is held in his deals, what is on its way, a page of movements."""
    available: Sequence[Money] = values["available"]
    entries: Sequence[Values] = values["entries"]
    return card(
        page,
        say("<b>In your wallet: {amount}</b>", amount=_sums(available)),
        *_held(values["held"]),
        *(_on_the_way(amount, to) for amount, to in values["on_the_way"]),
        say("Last entries:") if entries else None,
        *(_entry(row, page) for row in entries),
        _use_of(available),
    )


def _use_of(available: Sequence[Money]) -> Markup | None:
    if any(one for one in available if one.currency is Currency.KES):
        return say("You can pay deals with it, or send it to your M-Pesa.")
    if any(available):
        return say("You can pay deals with it, or have it sent as USDT or USDC.")
    return None


def _sums(amounts: Sequence[Money]) -> Plain:
    return Plain(", ".join(str(one) for one in amounts if one) or str(Money.zero(Currency.KES)))


def _held(rows: Sequence[Values]) -> list[Markup]:
    found = []
    for row in rows:
        currency = Currency.of(row["currency"])
        if row["paid_minor"]:
            paid = Money(row["paid_minor"], currency)
            found.append(say("Held in deals you paid: {amount}", amount=paid))
        if row["coming_minor"]:
            coming = Money(row["coming_minor"], currency)
            found.append(say("Held for you as seller: {amount}", amount=coming))
    return found


def _on_the_way(amount: Money, to: str) -> Markup:
    if is_msisdn(to):
        return say("On its way to {phone}: {amount}", phone=Plain(mask(to)), amount=amount)
    return say("On its way to you: {amount}", amount=amount)


def _entry(row: Values, page: Page) -> Markup:
    amount = Money(row["amount_minor"], Currency.of(row["currency"]))
    at = when(page, row["happened_at"])
    signed = Plain(f"+{amount}" if amount.minor > 0 else str(amount))
    what = _what(str(row["kind"]), came=amount.minor > 0)
    if row["kind"] == "payout" and amount.currency is Currency.USD:
        what = say("sent to you as coins")
    if row["escrow_id"] is None:
        return say("{when}: {amount} · {what}", when=at, amount=signed, what=what)
    return say(
        "{when}: {amount} · {what} {code}",
        when=at,
        amount=signed,
        what=what,
        code=code(row["escrow_id"]),
    )


def _what(kind: str, *, came: bool) -> Markup:
    """What moved the money; `came`: into the wallet."""
    known = {
        "wallet_payment": lambda: say("paid a deal"),
        "overpayment": lambda: say("paid too much"),
        "auto_refund": lambda: say("payment too short"),
        "cancel": lambda: say("deal cancelled"),
        "window_over": lambda: say("time to choose over"),
        "late_payment": lambda: say("payment that no deal took"),
        "refund": lambda: say("deal refunded"),
        "release": lambda: say("deal completed"),
        "split": lambda: say("deal divided"),
        "payout": lambda: say("sent to your phone"),
        "payout_returned": lambda: say("could not be sent, back here"),
        "reversal": lambda: say("payment taken back"),
    }
    if kind in known:
        return known[kind]()
    return say("came in") if came else say("went out")


# -- sending it ----------------------------------------------------------------------------------


def preview(what: Withdrawal, page: Page) -> Markup:
    return card(
        page,
        say("<b>Send {amount} to {phone}?</b>", amount=what.amount, phone=Plain(what.to)),
        say("{stays} stays in your wallet.", stays=what.stays) if what.stays else None,
        say("It goes to your own M-Pesa number and can't be called back."),
    )


def sent(booked: BookedPayout, page: Page) -> Markup:
    """The withdrawal is booked; its outcome is a notice."""
    return card(
        page,
        say("<b>{way}</b>", way=way(payout_values(booked) or {}, page)),
        say("I write as soon as M-Pesa has paid it out."),
    )


def ask_own_number(page: Page) -> Markup:
    return say(
        "<b>Money goes only to your own number.</b> Share it with the button below; "
        "then I ask once more before anything is sent."
    )


# -- buttons -------------------------------------------------------------------------------------


def keyboard(values: Values) -> InlineKeyboardMarkup:
    """Below the wallet: send it, automatic payouts, older and newer entries."""
    rows = []
    sendable: Money | None = values["sendable"]
    if sendable is not None:
        label = words("Send {amount} to my M-Pesa", amount=sendable)
        if values["to"]:
            label = words("Send {amount} to {phone}", amount=sendable, phone=Plain(values["to"]))
        rows.append([_button(label, Button(Verb.WITHDRAW_ALL))])
    if values["dollars"] is not None:
        rows.append([dollar_texts.withdraw_all(values["dollars"])])
    switch = words("Automatic payouts: off")
    if values["auto_payout"]:
        switch = words("Automatic payouts: on")
    wanted = 2 if values["auto_payout"] else 1
    rows.append([_button(switch, Button(Verb.AUTO_PAYOUT, number=wanted))])
    turn = []
    if values["more"]:
        turn.append(_button(words("Older"), Button(Verb.WALLET_PAGE, number=values["page"] + 1)))
    if values["page"] > 1:
        turn.append(_button(words("Newer"), Button(Verb.WALLET_PAGE, number=values["page"] - 1)))
    return InlineKeyboardMarkup([*rows, turn] if turn else rows)


def confirm(what: Withdrawal) -> InlineKeyboardMarkup:
    """Sends exactly what was shown."""
    button = Button(Verb.WITHDRAW_YES, number=what.amount.minor)
    return InlineKeyboardMarkup([[_button(words("Yes, send"), button)]])


def _button(label: str, button: Button) -> InlineKeyboardButton:
    return InlineKeyboardButton(label, callback_data=pack(button))


# -- refusals ------------------------------------------------------------------------------------


def withdraw_dollars(v: Values, page: Page) -> Markup:
    return say(
        "You have {amount}. M-Pesa can't send dollars; an admin sends them as USDT or USDC: "
        "<code>/withdraw USD 25</code>",
        amount=v["amount"],
    )


def withdraw_cents(v: Values, page: Page) -> Markup:
    return say("M-Pesa sends whole shillings only. Please leave out the cents.")


def withdraw_short(v: Values, page: Page) -> Markup:
    return say("Your wallet holds {wallet}, so no more than that can be sent.", wallet=v["wallet"])


def withdraw_small(v: Values, page: Page) -> Markup:
    return say(
        "M-Pesa sends {minimum} at least. Your wallet holds {wallet}; it stays there, and you can "
        "pay deals with it.",
        minimum=v["minimum"],
        wallet=v["wallet"],
    )


def sent_before(v: Values, page: Page) -> Markup:
    return say(
        "You answered this question before: nothing more was sent. To send {amount} again: "
        "/withdraw",
        amount=v["amount"],
    )


def no_own_number(v: Values, page: Page) -> Markup:
    return say("Money goes only to your own number. Please share it: /withdraw")


REFUSALS: Final[Mapping[str, Callable[[Values, Page], Markup]]] = {
    words_.__name__: words_
    for words_ in (
        withdraw_dollars,
        withdraw_cents,
        withdraw_short,
        withdraw_small,
        sent_before,
        no_own_number,
    )
}
"""The reason is the function's name."""
