"""Deals in words: cards, previews, lists, and what happens while one is paid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from markupsafe import Markup

from escrow.bot import prompt_words
from escrow.bot.deal_steps import next_step
from escrow.bot.page import Page, Plain, card, code, lines, say, typed_command, words
from escrow.domain.flow import Status
from escrow.domain.model import AttemptState, Escrow
from escrow.domain.money import Money
from escrow.domain.phone import mask
from escrow.domain.terms import Shares, Terms
from escrow.services.choice_tokens import Action
from escrow.services.choices import Pressed
from escrow.services.prompts import Started
from escrow_service import DealView

LISTED: Final = 10
_RESERVED_MINUTES: Final = int(Terms().reservation.total_seconds() // 60)


def status_words(status: Status) -> Plain:
    """Where a deal stands, in two or three words."""
    return Plain(
        {
            Status.PENDING: words("waiting for payment"),
            Status.HELD: words("paid, money held"),
            Status.SHIPPED: words("on its way"),
            Status.DELIVERED: words("delivered"),
            Status.DISPUTED: words("in dispute"),
            Status.FROZEN: words("frozen by an admin"),
            Status.COMPLETED: words("completed"),
            Status.REFUNDED: words("refunded to the buyer"),
            Status.CANCELLED: words("cancelled"),
        }[status]
    )


def deal_card(view: DealView, page: Page) -> Markup:
    """A deal as one person sees it: the amount, what it is, where it stands, the next step."""
    escrow = view.escrow
    return card(
        page,
        say(
            "<b>{amount}</b> · {status}",
            amount=_amount(view),
            status=status_words(escrow.status),
        ),
        say("{description}", description=escrow.description),
        say("Deal {code}, seller {shop}", code=code(escrow.id), shop=escrow.shop_name),
        _price_line(escrow),
        _settled_line(view.shares),
        next_step(view, page),
    )


def _amount(view: DealView) -> Money:
    """What the deal is worth to this side: what the seller gets (or got), what the buyer pays or
    paid.
    """
    escrow = view.escrow
    if view.role == "seller":
        return view.shares.seller if view.shares else escrow.held_price or escrow.due - escrow.fee
    if escrow.held_price is None or escrow.held_fee is None:
        return escrow.due
    return escrow.held_price + escrow.held_fee


def _price_line(escrow: Escrow) -> Markup | None:
    if escrow.due == escrow.price:
        return None
    return say("Price {price} + fee {fee}", price=escrow.price, fee=escrow.due - escrow.price)


def _settled_line(shares: Shares | None) -> Markup | None:
    """How a deal was divided, where both got something."""
    if shares is None or not (shares.seller and shares.buyer):
        return None
    return say(
        "It was divided: {seller} to the seller, {buyer} back to the buyer.",
        seller=shares.seller,
        buyer=shares.buyer,
    )


def deals(rows: Sequence[tuple[Escrow, str]], settled: Mapping[str, Shares], page: Page) -> Markup:
    """A page of a person's deals; `settled`: how those were divided that are over."""
    if not rows:
        return say("You have no deals yet. Open a seller's link to buy, or send /sell to sell.")
    return card(
        page,
        say("<b>Your deals</b>"),
        *(_listed(escrow, role, settled.get(escrow.id)) for escrow, role in rows),
    )


def _listed(escrow: Escrow, role: str, shares: Shares | None) -> Markup:
    amount = say("{due}", due=escrow.price if escrow.finished_at else escrow.due)
    if role == "seller" and shares and shares.seller:
        amount = say("you got {got}", got=shares.seller)
    elif role == "buyer" and shares and shares.buyer:
        amount = say("you got {got} back", got=shares.buyer)
    elif role == "seller" and escrow.finished_at is None:
        amount = say("you get {gets}", gets=escrow.held_price or escrow.due - escrow.fee)
    return say(
        "{code} {amount} · {description} · {status}",
        code=code(escrow.id),
        amount=amount,
        description=escrow.description[:40],
        status=status_words(escrow.status),
    )


def which_deal() -> Markup:
    return say("Which deal?")


def cancelled(escrow: Escrow, page: Page) -> Markup:
    return card(
        page,
        say("<b>Deal {code} is cancelled.</b>", code=code(escrow.id)),
        say("Anything paid for it is in the buyer's wallet."),
    )


def cancelled_by_buyer(before: Escrow, escrow: Escrow, page: Page, *, rings: bool) -> Markup:
    """`before`: the deal with what had come for it; `rings`: a phone may still be asking."""
    return card(
        page,
        say("<b>Deal {code} is cancelled.</b>", code=code(escrow.id)),
        say("{received} is in your wallet: /wallet", received=before.received)
        if before.received
        else say("Nothing had been paid for it."),
        say("If your phone still asks, cancel there.") if rings else None,
    )


def declined(escrow: Escrow, page: Page) -> Markup:
    return card(
        page,
        say("<b>Deal {code} is over.</b>", code=code(escrow.id)),
        say("The buyer has the money back. Please send nothing."),
    )


# -- opening -------------------------------------------------------------------------------------


def opened(escrow: Escrow, link: str, page: Page) -> Markup:
    """A new deal: its code and the link for the buyer."""
    return card(
        page,
        say("<b>Deal {code} is open.</b>", code=code(escrow.id)),
        say(
            "The buyer pays {due} for {description}.",
            due=escrow.due,
            description=escrow.description,
        ),
        say("Send your buyer this link: {link}", link=Plain(link)),
        say("Send the goods only when I tell you that the money is held.")
        if escrow.can_be_paid
        else say("The deal can be paid as soon as an admin has verified you."),
    )


def dropped() -> Markup:
    return say("All right, nothing was opened.")


def invitation(description: str, due: Money) -> str:
    """What goes with a shared link. Plain text: it leaves Telegram."""
    return words(
        "{description} – {due}, paid safely through Amana:", description=description, due=due
    )


# -- paying --------------------------------------------------------------------------------------


def _before_paying(escrow: Escrow, amount: Money, page: Page) -> Markup:
    return lines(
        say(
            "M-Pesa asks: pay {amount} to {business}, account {code}. It adds its own charge.",
            amount=amount,
            business=page.business,
            code=code(escrow.id),
        ),
        say("Does another name show? Then cancel on the phone: that is not us."),
    )


def photo_of(escrow: Escrow) -> Markup:
    """Below the photo that the seller put to his deal."""
    return say(
        "The seller's photo of {description}, deal {code}",
        description=escrow.description,
        code=code(escrow.id),
    )


def prompt_over() -> Markup:
    """In place of "enter your PIN" once a request is paid or over; what came of it is a message of
    its own.
    """
    return say("M-Pesa's request is over. What came of it stands below.")


def one_moment() -> Markup:
    """Stands there until it is known whether anybody is asked for anything."""
    return say("One moment …")


def phone_asks(started: Started, escrow: Escrow, page: Page) -> Markup:
    """M-Pesa accepted the request."""
    attempt = started.attempt
    return card(
        page,
        say(
            "<b>Look at your phone: {phone} is asked for {amount}.</b>",
            phone=Plain(mask(attempt.phone)),
            amount=attempt.amount,
        ),
        _before_paying(escrow, attempt.amount, page),
        say("{part} comes from your wallet.", part=attempt.wallet_part)
        if attempt.wallet_part
        else None,
        say("Enter your PIN there. I write here as soon as the money has arrived."),
    )


def prompt_refused(started: Started, page: Page) -> Markup:
    """M-Pesa refused the request at once."""
    attempt = started.attempt
    values = {"amount": str(attempt.amount), "code": attempt.escrow_id}
    return card(
        page,
        say("<b>{amount} was not asked for.</b>", amount=attempt.amount),
        prompt_words.why(started.answer.reason, values, page),
    )


def prompt_unclear(started: Started, page: Page) -> Markup:
    """M-Pesa's answer to the request was lost or can't be read."""
    return card(
        page,
        say("<b>M-Pesa gave no clear answer.</b>"),
        say(
            "If {phone} asks for {amount}, you can enter your PIN: I write when M-Pesa tells me.",
            phone=Plain(mask(started.attempt.phone)),
            amount=started.attempt.amount,
        ),
        say("If nothing shows, pay by paybill, or try again in 10 minutes.")
        if page.paybill
        else say("If nothing shows, try again in 10 minutes."),
    )


def prompt_unknown(started: Started, page: Page) -> Markup:
    """A request that was started before, and nobody knows whether it left."""
    return card(
        page,
        say("<b>I asked M-Pesa and don't know yet whether your phone rings.</b>"),
        say(
            "If {phone} asks for {amount}, enter your PIN; else try again in a few minutes.",
            phone=Plain(mask(started.attempt.phone)),
            amount=started.attempt.amount,
        ),
    )


def prompt_ended(started: Started, page: Page) -> Markup:
    """A request that was started before and is over by now."""
    attempt = started.attempt
    if attempt.state is AttemptState.PAID:
        head = say("<b>{amount} is paid.</b>", amount=attempt.amount)
    else:
        head = say("<b>The request for {amount} is over.</b>", amount=attempt.amount)
    show = typed_command("deal", attempt.escrow_id)
    return card(page, head, say("{show} shows how the deal stands.", show=show))


def by_hand(escrow: Escrow, amount: Money, page: Page, *, reserved: bool) -> Markup:
    """How to pay by paybill."""
    return card(
        page,
        say("<b>Pay {amount} by paybill</b>", amount=amount),
        say("M-Pesa → Lipa na M-Pesa → Pay Bill"),
        say("Business no. <code>{paybill}</code> ({business})", **_paybill(page)),
        say("Account no. {code}", code=code(escrow.id)),
        say("Amount {amount}; M-Pesa adds its own charge.", amount=amount),
        say("Does another name show? Then cancel. Please pay from your own number."),
        say("The deal is kept for you for {minutes} minutes.", minutes=_RESERVED_MINUTES)
        if reserved
        else None,
        say("Paid and nothing happens? Send me M-Pesa's message, or its receipt with /paid."),
    )


def decided(pressed: Pressed, page: Page) -> Markup:
    """What stands in place of the choice once it was made."""
    choice, escrow = pressed.choice, pressed.escrow
    if pressed.action is Action.CANCEL:
        what = say("You cancelled: {received} is in your wallet.", received=choice.received)
    else:
        what = say("You chose to go on with {received}.", received=choice.received)
    return card(
        page,
        say(
            "<b>Payment received: {received} ({missing} short)</b>",
            received=choice.received,
            missing=choice.missing,
        ),
        say("{description}, deal {code}.", description=escrow.description, code=code(escrow.id)),
        what,
    )


def _paybill(page: Page) -> dict[str, object]:
    return {"paybill": Plain(page.paybill), "business": page.business}


def how_to_complete(missing: Money, wallet: Money, page: Page) -> Markup:
    """The buyer completes a short payment and has money in his wallet."""
    return card(
        page,
        say("<b>{missing} is missing.</b>", missing=missing),
        say("Your wallet holds {wallet}. From where shall it come?", wallet=wallet),
    )
