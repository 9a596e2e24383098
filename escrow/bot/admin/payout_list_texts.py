"""The list of payouts that are not over, in an admin's words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup
from telegram import InlineKeyboardButton

from escrow.bot import dollar_texts
from escrow.bot.buttons import Button, Verb, pack
from escrow.bot.page import Page, Plain, card, code, lines, say, when, words
from escrow.bot.payout_texts import resting, why_words
from escrow.domain.payouts import PayoutState
from escrow.services.payout_guards import shown
from escrow.services.payouts import OpenCount, OpenPayout

Values = Mapping[str, Any]
Rows = list[list[InlineKeyboardButton]]


def listed(
    found: Sequence[OpenPayout], count: OpenCount, stopped: str | None, page: Page
) -> Markup:
    """A page of everything that is not over."""
    total = count.by_hand + count.unknown + count.under_way
    head = (
        say("<b>No payout waits.</b>")
        if not total
        else say(
            "<b>Payouts that are not over: {total}</b> · by hand {by_hand}, unknown {unknown}, "
            "on their way {under_way}",
            total=total,
            by_hand=count.by_hand,
            unknown=count.unknown,
            under_way=count.under_way,
        )
    )
    stop = (
        say(
            "<b>Stopped (code {code}): M-Pesa refuses our API user.</b> Put it right in the M-Pesa "
            "portal first, then press the button.",
            code=Plain(stopped),
        )
        if stopped
        else None
    )
    return card(page, head, stop, *(lines(Markup(""), _line(one, page)) for one in found))


def _line(one: OpenPayout, page: Page) -> Markup:
    payout = one.payout
    rests = payout.state is PayoutState.READY and payout.not_before and not payout.note
    return lines(
        say(
            "{payout}. <b>{amount}</b>, {state}, since {when}",
            payout=payout.id,
            amount=payout.amount,
            state=_state(payout.state),
            when=when(page, payout.created_at),
        ),
        _whose(one),
        resting(payout.not_before, page) if rests and payout.not_before else None,
        why_words({"why": payout.note}) if payout.note else None,
    )


def _state(state: PayoutState) -> Markup:
    return {
        PayoutState.READY: say("ready to be sent"),
        PayoutState.SENDING: say("asked for, no result yet"),
        PayoutState.UNKNOWN: say("nobody can say yet whether it was paid"),
        PayoutState.MANUAL: say("waits for a person"),
    }.get(state, say("over"))


def _whose(one: OpenPayout) -> Markup:
    """Whose it is, of which deal, where to."""
    payout, to = one.payout, Plain(shown(one.payout))
    if payout.receipt is not None:
        return say("back to who paid receipt {receipt}: {to}", receipt=Plain(payout.receipt), to=to)
    if payout.in_coins:
        return dollar_texts.wallet_to(payout, one.name)
    if payout.escrow_id is None:
        return say("{name}'s wallet to {to}", name=one.name, to=to)
    deal = code(payout.escrow_id)
    if payout.leg == "seller":
        return say("{name}, seller of {deal}, to {to}", name=one.name, deal=deal, to=to)
    return say("{name}, buyer of {deal}, to {to}", name=one.name, deal=deal, to=to)


def buttons(found: Sequence[OpenPayout], stopped: str | None) -> Rows:
    """What can be done with each; nothing that may be out can be sent again."""
    rows: Rows = []
    if stopped:
        go = words("The credential is fixed: go on")
        rows.append([InlineKeyboardButton(go, callback_data=pack(Button(Verb.PAYOUT_GO)))])
    for one in found:
        row = _row(one)
        if row:
            rows.append(row)
    return rows


def _row(one: OpenPayout) -> list[InlineKeyboardButton]:
    number, state = one.payout.id, one.payout.state
    stop = _button(words("{number}: don't pay", number=number), Verb.PAYOUT_FAILED, number)
    ask = _button(words("{number}: ask M-Pesa", number=number), Verb.PAYOUT_ASK, number)
    if state is PayoutState.MANUAL:
        paid = _button(words("{number}: paid", number=number), Verb.PAYOUT_PAID, number)
        return [paid, stop, ask] if one.live else [paid, stop]
    if state is PayoutState.UNKNOWN:
        return [ask]
    if state is PayoutState.READY and one.attempts:
        again = words("{number}: send it now", number=number)
        return [_button(again, Verb.PAYOUT_RETRY, number)]
    if state is PayoutState.READY and one.payout.not_before is not None:
        return [stop]
    return []


def _button(label: str, verb: Verb, number: int) -> InlineKeyboardButton:
    return InlineKeyboardButton(label, callback_data=pack(Button(verb, number=number)))


def send_soon(number: int) -> Markup:
    return say("<b>Payout {payout} is due now.</b> It is sent within a minute.", payout=number)


def asked(number: int) -> Markup:
    return say(
        "<b>I asked M-Pesa about payout {payout}.</b> Its answer decides when it comes; nothing "
        "was sent.",
        payout=number,
    )


# -- refusals ------------------------------------------------------------------------------------


def payout_not_resent(v: Values, page: Page) -> Markup:
    return say(
        "Payout {payout} is {state}: only one that M-Pesa refused for certain is sent again. "
        "Nothing changed.",
        payout=v["payout"],
        state=Plain(v["state"]),
    )


def payout_not_asked(v: Values, page: Page) -> Markup:
    return say(
        "M-Pesa can't be asked about payout {payout}. Look it up in the M-Pesa portal.",
        payout=v["payout"],
    )


REFUSALS: Final[Mapping[str, Callable[[Values, Page], Markup]]] = {
    "payout_not_resent": payout_not_resent,
    "payout_not_asked": payout_not_asked,
}
