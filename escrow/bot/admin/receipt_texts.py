"""Money that came in, in an admin's words: what nobody is credited with, one receipt, what would be
done with it and what was; and what its owner hears when it goes back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup
from telegram import InlineKeyboardButton

from escrow.bot.buttons import Button, Verb, pack
from escrow.bot.deal_texts import status_words
from escrow.bot.page import Page, Plain, card, code, lines, say, when, words
from escrow.domain import phone
from escrow.domain.actions import Action
from escrow.domain.flow import Status
from escrow.domain.model import Channel, Evidence, ReceiptState, StoredReceipt
from escrow.domain.payouts import Payout, PayoutState
from escrow.services.receipts import Candidate, ReceiptCard, Unmatched

if TYPE_CHECKING:
    from escrow.store.floating import Booking

Values = Mapping[str, Any]
Rows = list[list[InlineKeyboardButton]]


# -- /unmatched ----------------------------------------------------------------------------------


def unmatched(
    found: Sequence[Unmatched], first: int, count: int, going_back: int, page: Page
) -> Markup:
    """A page of what nobody is credited with; `first` is the place of the first of them."""
    head = (
        say("<b>All money is somebody's.</b> No receipt waits.")
        if not count
        else say("<b>Money that nobody is credited with: {count}</b>", count=count)
    )
    back = (
        say("{count} more on the way back to who paid it: /payouts", count=going_back)
        if going_back
        else None
    )
    each = [
        lines(Markup(""), _unmatched(place, one, page)) for place, one in enumerate(found, first)
    ]
    return card(page, head, back, *each)


def _unmatched(place: int, one: Unmatched, page: Page) -> Markup:
    receipt = one.receipt
    return lines(
        say(
            "{place}. <b>{amount}</b> · {reference} · {when}",
            place=place,
            amount=receipt.amount,
            reference=_number(receipt),
            when=when(page, receipt.happened_at),
        ),
        _payer(receipt),
        say("Typed: {typed}", typed=receipt.typed_reference) if receipt.typed_reference else None,
        say("Not credited yet: M-Pesa did not confirm it.")
        if receipt.state is ReceiptState.WAITING
        else None,
        *(_candidate(each) for each in one.candidates),
    )


def _number(receipt: StoredReceipt) -> Markup:
    if receipt.reference is None:
        return say("number not known yet")
    return say("<code>{reference}</code>", reference=Plain(receipt.reference))


def _payer(receipt: StoredReceipt) -> Markup | None:
    shown = phone.mask_shown(receipt.payer_shown)
    if receipt.payer_name:
        return say("Payer: {shown} {name}", shown=Plain(shown), name=receipt.payer_name)
    return say("Payer: {shown}", shown=Plain(shown)) if shown else None


def _candidate(one: Candidate) -> Markup:
    why = {
        "code": say("the code fits"),
        "amount": say("the amount fits"),
        "payer": say("the payer's number fits"),
        "time": say("it was about to be paid then"),
    }
    return say(
        "→ {code}, {due} due, {shop}: {why}",
        code=code(one.escrow.id),
        due=one.escrow.due,
        shop=one.escrow.shop_name,
        why=Markup(", ").join(why[word] for word in one.why),
    )


def unmatched_buttons(found: Sequence[Unmatched], first: int) -> Rows:
    """Under each of them what can be done with it."""
    rows: Rows = []
    for place, one in enumerate(found, first):
        row = one.receipt.id
        if one.receipt.state is ReceiptState.WAITING:
            credit = words("{place}: credit it", place=place)
            not_ours = words("{place}: not ours", place=place)
            rows.append([_button(credit, Verb.CREDIT, row), _button(not_ours, Verb.NOT_OURS, row)])
            continue
        rows += [
            [
                InlineKeyboardButton(
                    words(
                        "{place}: assign to {code} ({due})",
                        place=place,
                        code=each.escrow.id,
                        due=each.escrow.due,
                    ),
                    callback_data=pack(Button(Verb.ASSIGN, each.escrow.id, row)),
                )
            ]
            for each in one.candidates
        ]
        if one.receipt.reference is not None:
            rows.append([_button(words("{place}: send it back", place=place), Verb.SEND_BACK, row)])
    return rows


def _button(label: str, verb: Verb, number: int) -> InlineKeyboardButton:
    return InlineKeyboardButton(label, callback_data=pack(Button(verb, number=number)))


# -- /receipt ------------------------------------------------------------------------------------


def receipt_card(
    found: ReceiptCard | None, paid: Sequence[Payout], booked: Booking | None, page: Page
) -> Markup:
    """All about a receipt that came in, the payout that has its number, and what was booked so."""
    parts = [] if found is None else [_card(found, page)]
    parts += [
        lines(
            say("<b>It paid payout {payout}: {amount}</b>", payout=one.id, amount=one.amount)
            if one.state is PayoutState.PAID
            else say(
                "<b>An admin says that it paid payout {payout}: {amount}</b>",
                payout=one.id,
                amount=one.amount,
            ),
            say("Receipt {receipt} went back by it.", receipt=Plain(one.receipt))
            if one.receipt
            else None,
            say("Deal {code}", code=code(one.escrow_id)) if one.escrow_id else None,
        )
        for one in paid
    ]
    if booked is not None:
        parts.append(_booked(booked, page))
    return card(page, *parts)


def _booked(booked: Booking, page: Page) -> Markup:
    """`/book`: money of ours."""
    amount, receipt = booked.amount, Plain(booked.receipt)
    return lines(
        {
            "float": say("<b>{amount} · float that was put in</b>", amount=amount),
            "withdraw": say("<b>{amount} · taken out for us</b>", amount=amount),
            "charge": say("<b>{amount} · M-Pesa's charge</b>", amount=amount),
        }[booked.kind],
        say(
            "Receipt {receipt}, booked by admin {by}, {when}",
            receipt=receipt,
            by=booked.booked_by,
            when=when(page, booked.booked_at),
        )
        if booked.booked_by
        else say(
            "Receipt {receipt}, booked on the host, {when}",
            receipt=receipt,
            when=when(page, booked.booked_at),
        ),
        say("No customer's money: it can't be reversed here.") if booked.kind != "charge" else None,
    )


def _card(found: ReceiptCard, page: Page) -> Markup:
    receipt, escrow = found.receipt, found.escrow
    return lines(
        say(
            "<b>{amount} · {state}</b>",
            amount=receipt.amount,
            state=_state(receipt, found.back),
        ),
        say(
            "Receipt {reference}, paid {when}",
            reference=_number(receipt),
            when=when(page, receipt.happened_at),
        ),
        _payer(receipt),
        say("Typed: {typed}", typed=receipt.typed_reference) if receipt.typed_reference else None,
        _proof(receipt),
        say(
            "Credited to {name} (Telegram id {person})",
            name=found.owner,
            person=receipt.telegram_id,
        )
        if receipt.telegram_id
        else None,
        say(
            "Deal {code}: {status}",
            code=code(escrow.id),
            status=status_words(escrow.status),
        )
        if escrow
        else None,
        _done_with(receipt),
        _back(found.back),
    )


def _state(receipt: StoredReceipt, back: Payout | None) -> Markup:
    if back is not None and back.is_open:
        return say("on its way back")
    return {
        ReceiptState.WAITING: say("not confirmed yet, not credited"),
        ReceiptState.CREDITED: say("credited"),
        ReceiptState.SUSPENSE: say("in suspense: nobody is credited with it"),
        ReceiptState.RETURNED: say("sent back to who paid it"),
        ReceiptState.REVERSED: say("reversed: it went back to who paid it"),
        ReceiptState.IGNORED: say("not ours: never credited"),
    }[receipt.state]


def _proof(receipt: StoredReceipt) -> Markup | None:
    if receipt.evidence is None:
        return None
    if receipt.channel is Channel.CRYPTO and receipt.evidence is Evidence.QUERY:
        return say("Proved by: the provider's answer")
    return {
        Evidence.QUERY: say("Proved by: M-Pesa's answer about the prompt"),
        Evidence.STATUS: say("Proved by: M-Pesa's answer about the receipt"),
        Evidence.LIMIT: say("Not proved: below the limit up to which it is believed"),
        Evidence.UNCHECKED: say("Not proved: callbacks are believed at once"),
        Evidence.ADMIN: say("Proved by: an admin's word"),
        Evidence.SIGNED: say("Proved by: the provider's signature"),
    }[receipt.evidence]


def _done_with(receipt: StoredReceipt) -> Markup | None:
    return {
        "funded": say("It completed the deal's payment."),
        "choice": say("It was short: the buyer was asked what to do."),
        "refunded_to_wallet": say("It was far too short: it went to the wallet."),
        "to_wallet": say("The deal could not take it: it went to the wallet."),
    }.get(str(receipt.outcome.get("outcome")))


def _back(back: Payout | None) -> Markup | None:
    if back is None:
        return None
    if back.state is PayoutState.PAID:
        return say(
            "It went back as payout {payout}, receipt {reference}.",
            payout=back.id,
            reference=Plain(back.provider_reference or ""),
        )
    return say("It goes back as payout {payout}: /payouts", payout=back.id)


def receipt_buttons(found: ReceiptCard | None) -> Rows:
    """What can be done with it."""
    if found is None:
        return []
    rows: Rows = []
    receipt, escrow = found.receipt, found.escrow
    if escrow is not None:
        open_case = words("Open case {code}", code=escrow.id)
        rows.append(
            [InlineKeyboardButton(open_case, callback_data=pack(Button(Verb.CASE, escrow.id)))]
        )
    if found.back is not None:
        return rows
    if receipt.state is ReceiptState.CREDITED and receipt.channel is not Channel.CRYPTO:
        rows.append([_button(words("Reverse it…"), Verb.REVERSE, receipt.id)])
    if receipt.state is ReceiptState.SUSPENSE:
        if escrow is not None:
            data = pack(Button(Verb.ASSIGN, escrow.id, receipt.id))
            label = words("Assign to {code}", code=escrow.id)
            rows.append([InlineKeyboardButton(label, callback_data=data)])
        rows.append([_button(words("Send it back"), Verb.SEND_BACK, receipt.id)])
    if receipt.state is ReceiptState.WAITING:
        rows.append(
            [
                _button(words("Credit it"), Verb.CREDIT, receipt.id),
                _button(words("Not ours"), Verb.NOT_OURS, receipt.id),
            ]
        )
    return rows


# -- previews and outcomes -----------------------------------------------------------------------


def assign_preview(v: Values, action: Action, page: Page) -> Markup:
    return lines(
        say(
            "<b>Credit {amount} of receipt {reference} to {name}</b>",
            amount=Plain(v["amount"]),
            reference=Plain(v["reference"]),
            name=v["name"],
        ),
        say("Deal {code}: {what}", code=code(v["code"]), what=v["description"])
        if v["code"]
        else None,
        _would(v),
        say("Payer: {shown}", shown=Plain(v["payer"])) if v["payer"] else None,
        say("Typed: {typed}", typed=v["typed"]) if v["typed"] else None,
        _doubt(v),
    )


def _would(v: Values) -> Markup:
    if v["would"] == "funded":
        done = say(
            "The deal is funded: {due} was due, {total} is there.",
            due=Plain(v["due"]),
            total=Plain(v["total"]),
        )
        if v.get("over"):
            over = say("{over} too much goes to the buyer's wallet.", over=Plain(v["over"]))
            return lines(done, over)
        if v.get("waived"):
            return lines(done, say("{waived} is missing and waived.", waived=Plain(v["waived"])))
        return done
    if v["would"] == "choice":
        return say(
            "Short by {missing} of {due}: the buyer gets 10 minutes to choose.",
            missing=Plain(v["missing"]),
            due=Plain(v["due"]),
        )
    if v["would"] == "short":
        return say(
            "Far too short, {missing} of {due} are missing: it goes to the buyer's wallet.",
            missing=Plain(v["missing"]),
            due=Plain(v["due"]),
        )
    if v["code"]:
        return say(
            "The deal can't take it ({status}): it goes to the wallet of {name}.",
            status=status_words(Status(v["status"])),
            name=v["name"],
        )
    return say("It goes to the wallet of {name}.", name=v["name"])


def _doubt(v: Values) -> Markup | None:
    return {
        "other_number": say("<b>Careful: the payer's number is not {name}'s.</b>", name=v["name"]),
        "sellers_number": say("<b>Careful: it was paid with the seller's own number.</b>"),
        "no_number": say("Careful: {name} shared no number to compare.", name=v["name"]),
    }.get(str(v["doubt"]))


def assign_outcome(v: Values, action: Action, page: Page) -> Markup:
    amount, name = Plain(v["amount"]), v["name"]
    head = {
        "funded": say("<b>{amount} credited: the deal is funded.</b>", amount=amount),
        "choice": say("<b>{amount} credited: the buyer chooses now.</b>", amount=amount),
    }.get(
        str(v["outcome"]),
        say("<b>{amount} is in the wallet of {name}.</b>", amount=amount, name=name),
    )
    return lines(
        head,
        say("Deal {code}", code=code(v["code"])) if v["code"] else None,
        say("Receipt {reference}. {name} was told.", reference=Plain(v["reference"]), name=name),
    )


def send_back_preview(v: Values, action: Action, page: Page) -> Markup:
    return lines(
        say(
            "<b>Send {amount} of receipt {reference} back to who paid it</b>",
            amount=Plain(v["amount"]),
            reference=Plain(v["reference"]),
        ),
        say("Payer: {shown}", shown=Plain(v["payer"])) if v["payer"] else None,
        say("It lies under deal {code}.", code=code(v["code"])) if v["code"] else None,
        _way(v),
    )


def _way(v: Values) -> Markup:
    return {
        "": say("M-Pesa reverses the payment."),
        "no_keys": say("By hand: the program has no keys to reverse it. You get a card."),
        "not_whole": say("By hand: M-Pesa reverses whole shillings only. You get a card."),
    }.get(str(v["by_hand"]), say("By hand. You get a card."))


def back_outcome(v: Values, action: Action, page: Page) -> Markup:
    return lines(
        say(
            "<b>{amount} of receipt {reference} begins its way back.</b>",
            amount=Plain(v["amount"]),
            reference=Plain(v["reference"]),
        ),
        say("Deal {code} is refunded.", code=code(v["code"])) if v.get("ends") else None,
        say("It waits for an admin to send it by hand: payout {payout}.", payout=v["payout"])
        if v["waits"]
        else say("It is payout {payout}: you hear when it is there.", payout=v["payout"]),
    )


def reverse_preview(v: Values, action: Action, page: Page) -> Markup:
    return lines(
        say(
            "<b>Reverse {amount}: receipt {reference} of {name}</b>",
            amount=Plain(v["amount"]),
            reference=Plain(v["reference"]),
            name=v["name"],
        ),
        say("Payer: {shown}", shown=Plain(v["payer"])) if v["payer"] else None,
        say(
            "Deal {code} ends as refunded ({refund}). It is now: {status}",
            code=code(v["code"]),
            refund=Plain(v["refund"]),
            status=status_words(Status(v["status"])),
        )
        if v["ends"]
        else say("It comes out of the wallet. No deal ends by it."),
        say("{left} stays in the buyer's wallet.", left=Plain(v["left"])),
        _way(v),
        say("Your reason, which both sides read: {reason}", reason=v["reason"])
        if v["reason"]
        else None,
    )


PREVIEWS: Final[Mapping[str, Callable[[Values, Action, Page], Markup]]] = {
    "assign_payment": assign_preview,
    "send_back": send_back_preview,
    "reverse": reverse_preview,
}
OUTCOMES: Final[Mapping[str, Callable[[Values, Action, Page], Markup]]] = {
    "assign_payment": assign_outcome,
    "send_back": back_outcome,
    "reverse": back_outcome,
}


# -- notices -------------------------------------------------------------------------------------


def receipt_reversing(v: Values, page: Page) -> Markup:
    """An admin begins to reverse a payment: to both sides of the deal that ends with it."""
    deal = say("Deal {code}", code=code(v["code"])) if v["code"] else None
    reason = say("Reason: {reason}", reason=v["reason"]) if v["reason"] else None
    if v["role"] == "seller":
        return card(
            page,
            say("<b>An admin ended the deal: the buyer gets the money back.</b>"),
            deal,
            say("{description}", description=v["description"]),
            reason,
            say("Please don't ship, or ask for it back."),
        )
    return card(
        page,
        say("<b>{amount} goes back to the number that paid it.</b>", amount=Plain(v["amount"])),
        say("An admin reverses receipt {receipt}.", receipt=Plain(v["receipt"])),
        say("The deal ends by it.") if v["ends"] else None,
        deal,
        reason,
        say("You hear when it is there."),
    )


def back_paid(v: Values, page: Page) -> Markup:
    return card(
        page,
        say(
            "<b>{amount} went back to the number that paid it.</b>",
            amount=Plain(v["amount"]),
        ),
        say(
            "Receipt {receipt} was reversed by {reference}.",
            receipt=Plain(v["receipt"]),
            reference=Plain(v["reference"]),
        ),
        say("Deal {code}", code=code(v["code"])) if v.get("code") else None,
    )


def back_failed(v: Values, page: Page) -> Markup:
    return card(
        page,
        say(
            "<b>{amount} could not go back to the number that paid it. It is in your wallet.</b>",
            amount=Plain(v["amount"]),
        ),
        say("An admin says: {words}", words=str(v["words"])) if v.get("words") else None,
        say("Deal {code}", code=code(v["code"])) if v.get("code") else None,
        say("To send it to your phone: /withdraw"),
    )


def back_paid_admin(v: Values, page: Page) -> Markup:
    return card(
        page,
        say(
            "<b>{amount} of receipt {receipt} went back to who paid it.</b>",
            amount=Plain(v["amount"]),
            receipt=Plain(v["receipt"]),
        ),
        say("M-Pesa receipt {reference}", reference=Plain(v["reference"])),
    )


def back_failed_admin(v: Values, page: Page) -> Markup:
    return card(
        page,
        say(
            "<b>{amount} of receipt {receipt} could not be sent back.</b>",
            amount=Plain(v["amount"]),
            receipt=Plain(v["receipt"]),
        ),
        say("M-Pesa says that there is no such payment to reverse.")
        if v["why"] == "invalid_original"
        else None,
        say("An admin says: {words}", words=str(v["words"])) if v.get("words") else None,
        say("It is in suspense again: /unmatched"),
    )


NOTICES: Final[Mapping[str, Callable[[Values, Page], Markup]]] = {
    "receipt_reversing": receipt_reversing,
    "back_paid": back_paid,
    "back_failed": back_failed,
    "back_paid_admin": back_paid_admin,
    "back_failed_admin": back_failed_admin,
}


# -- refusals ------------------------------------------------------------------------------------


def unknown_receipt(v: Values, page: Page) -> Markup:
    return say(
        "Nobody here knows a receipt {reference}: no payment came in or went out under it.",
        reference=Plain(v["reference"]),
    )


def goes_back(v: Values, page: Page) -> Markup:
    return say(
        "The money of receipt {reference} goes back to who paid it, or went: /receipt {reference}",
        reference=Plain(v["reference"]),
    )


def receipt_is(v: Values, page: Page) -> Markup:
    """It is not in the state that the wish needs."""
    reference = Plain(v["reference"])
    return {
        "WAITING": say(
            "Receipt {reference} is not confirmed yet: credit it first, or say that it is not "
            "ours. /unmatched",
            reference=reference,
        ),
        "CREDITED": say(
            "Receipt {reference} is credited already. Nothing changed.", reference=reference
        ),
        "SUSPENSE": say(
            "Receipt {reference} is credited to nobody: assign it, or send it back. /unmatched",
            reference=reference,
        ),
        "RETURNED": say("Receipt {reference} was sent back before.", reference=reference),
        "REVERSED": say("Receipt {reference} was reversed before.", reference=reference),
    }.get(
        str(v["state"]),
        say(
            "Receipt {reference} was said to be not ours: no money of it is here.",
            reference=reference,
        ),
    )


def assign_to_whom(v: Values, page: Page) -> Markup:
    return say(
        "Nobody is the buyer of deal {code} yet, and nobody holds it. Whose money is it? Add his "
        "Telegram id, like 3001: <code>/assign_payment {reference} {code} 3001</code>",
        code=Plain(v["code"]),
        reference=Plain(v["reference"]),
    )


def assign_other_buyer(v: Values, page: Page) -> Markup:
    return say(
        "Deal {code} has another buyer than {person}. For his wallet leave the code out: "
        "/assign_payment RECEIPT {person}",
        code=code(v["code"]),
        person=v["person"],
    )


def nobody_so(v: Values, page: Page) -> Markup:
    return say("Nobody with Telegram id {person} ever pressed Start here.", person=v["person"])


def reverse_settled(v: Values, page: Page) -> Markup:
    return say(
        "Deal {code} is over ({status}): its money was paid out or is in a wallet. Receipt "
        "{reference} can't be reversed any more.",
        code=code(v["code"]),
        status=status_words(Status(v["status"])),
        reference=Plain(v["reference"]),
    )


def reverse_undecided(v: Values, page: Page) -> Markup:
    return say(
        "The buyer of deal {code} is choosing what to do with that money. Wait 10 minutes, then "
        "try again.",
        code=code(v["code"]),
    )


def reverse_wallet_part(v: Values, page: Page) -> Markup:
    return say(
        "Deal {code} was partly paid from a wallet, so one receipt can't be taken out of it. "
        "Refund all of it: /manual_refund {code}",
        code=code(v["code"]),
    )


def reverse_short(v: Values, page: Page) -> Markup:
    return say(
        "The wallet has {wallet}, less than the {amount} of receipt {reference}. Nothing changed.",
        wallet=v["wallet"],
        amount=v["amount"],
        reference=Plain(v["reference"]),
    )


def reverse_crypto(v: Values, page: Page) -> Markup:
    return say(
        "Receipt {reference} did not come by M-Pesa: only M-Pesa payments can be sent back.",
        reference=Plain(v["reference"]),
    )


def reverse_unsure(v: Values, page: Page) -> Markup:
    return say(
        "The number {reference} was only fitted to that payment, so M-Pesa might reverse another "
        "one. Nothing changed. Refund the deal instead: /manual_refund",
        reference=Plain(v["reference"]),
    )


REFUSALS: Final[Mapping[str, Callable[[Values, Page], Markup]]] = {
    words_.__name__: words_
    for words_ in (
        unknown_receipt,
        goes_back,
        receipt_is,
        assign_to_whom,
        assign_other_buyer,
        nobody_so,
        reverse_settled,
        reverse_undecided,
        reverse_wallet_part,
        reverse_short,
        reverse_crypto,
        reverse_unsure,
    )
}
"""The reason is the function's name."""
