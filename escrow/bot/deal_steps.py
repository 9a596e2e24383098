"""The next step of a deal in words, for each side: who does what by when, and what follows else."""

from __future__ import annotations

from markupsafe import Markup

from escrow.bot.deal_buttons import is_proposal
from escrow.bot.page import Page, Plain, clock_time, deadline, lines, retold, said, say, when
from escrow.domain.flow import Status
from escrow.domain.model import Dispute, SellerStatus
from escrow_service import DealView


def next_step(view: DealView, page: Page) -> Markup | None:
    """What stands on a deal's card below its price."""
    escrow = view.escrow
    if escrow.can_be_paid:
        return _to_be_paid(view, page)
    return {
        Status.PENDING: _waiting,
        Status.HELD: _held,
        Status.SHIPPED: _shipped,
        Status.DELIVERED: _delivered,
        Status.DISPUTED: _disputed,
        Status.FROZEN: _frozen,
        Status.COMPLETED: _completed,
        Status.REFUNDED: _refunded,
        Status.CANCELLED: _cancelled,
    }[escrow.status](view, page)


def _to_be_paid(view: DealView, page: Page) -> Markup:
    escrow = view.escrow
    assert escrow.pay_by is not None  # noqa: S101 a deal that can be paid has its time
    until = deadline(page, escrow.pay_by)
    if view.role == "seller":
        return say(
            "The buyer can pay by {until}. Send nothing until I say that the money is held.",
            until=until,
        )
    if view.choice_open_until is not None:
        return say(
            "{received} came, {missing} is missing. Please choose below, until {time}.",
            received=escrow.received,
            missing=escrow.due - escrow.received,
            time=clock_time(page, view.choice_open_until),
        )
    if view.reserved_by_other:
        return say("Somebody else is paying it just now.")
    return lines(
        say("Pay by {until}.", until=until),
        say("Amana holds your money; it does not go to the seller when you pay."),
        say("This deal can only be paid from the wallet for now.")
        if not view.in_coins and not view.by_mpesa
        else None,
    )


def _waiting(view: DealView, page: Page) -> Markup:
    escrow = view.escrow
    if is_proposal(escrow):
        if view.role == "seller":
            return lines(
                say("A buyer proposes this deal to you."),
                say(
                    "Accept it, and the buyer can pay. Send nothing until I say that the money is "
                    "held."
                ),
            )
        return say("{shop} has to accept it first. I write to you then.", shop=escrow.shop_name)
    if escrow.seller_status is SellerStatus.SUSPENDED:
        return say("It can't be paid at the moment: its seller is suspended.")
    return say("It can't be paid at the moment: its seller is not verified.")


def _held(view: DealView, page: Page) -> Markup | None:
    escrow = view.escrow
    if escrow.ship_by is None:
        return None
    until = deadline(page, escrow.ship_by)
    if view.role == "seller":
        return lines(
            say("Please send it by {deadline}.", deadline=until),
            say("Then press “Sent”, with a photo of the waybill or the tracking number."),
            say("Not sent by then, the money goes back to the buyer."),
        )
    return lines(
        say("The seller was told to send it by {deadline}.", deadline=until),
        say("Not sent by then, your money goes back to you."),
        say("Handed over in person? Press “I have it” only with the item in your hands."),
    )


def tracking(text: str | None) -> Markup | None:
    return say("Tracking: {tracking}", tracking=said(text)) if text else None


def _shipped(view: DealView, page: Page) -> Markup | None:
    escrow = view.escrow
    if escrow.release_at is None:
        return None
    until = deadline(page, escrow.release_at)
    sent = say("Sent on {when}.", when=when(page, escrow.shipped_at)) if escrow.shipped_at else None
    if view.role == "seller":
        return lines(
            sent,
            tracking(escrow.tracking),
            say("Without a word from the buyer you are paid on {deadline}.", deadline=until),
        )
    return lines(
        sent,
        tracking(escrow.tracking),
        say("Press “Received” only with the item in your hands."),
        say("Nothing came, or something is wrong? Say so before {deadline}.", deadline=until),
        say("After that the seller is paid."),
    )


def _delivered(view: DealView, page: Page) -> Markup | None:
    escrow = view.escrow
    if escrow.release_at is None:
        return None
    until = deadline(page, escrow.release_at)
    if view.role == "seller":
        return lines(
            say("The buyer has it and may look at it."),
            say("You are paid on {deadline}, unless something is wrong.", deadline=until),
        )
    return lines(
        say("You have it. Look at it until {deadline}.", deadline=until),
        say("Something is wrong? Say so before. After that the seller is paid."),
    )


def _disputed(view: DealView, page: Page) -> Markup:
    dispute = view.dispute
    if dispute is None:
        return _by_admins()
    return lines(
        say("The seller says: {reason}", reason=retold(dispute.reason))
        if dispute.raised_role == "seller"
        else say("The buyer says: {reason}", reason=retold(dispute.reason)),
        _to_answer(dispute, view, page),
        _by_admins(),
    )


def _by_admins() -> Markup:
    return lines(
        say(
            "The money stays held until an admin decides, or you settle it between the two of you."
        ),
        say("Photos and words help: “Add evidence”."),
    )


def _to_answer(dispute: Dispute, view: DealView, page: Page) -> Markup | None:
    if dispute.answered_at is not None:
        return None
    until = deadline(page, dispute.answer_by)
    if dispute.raised_role == view.role:
        return say("The other side should answer by {deadline}.", deadline=until)
    return say("Please answer by {deadline}.", deadline=until)


def _frozen(view: DealView, page: Page) -> Markup:
    return say("An admin has stopped this deal. The money stays held; nothing happens by itself.")


def _completed(view: DealView, page: Page) -> Markup:
    if view.role == "seller":
        return say("It is done. /wallet shows your money.")
    if view.stars is not None:
        return lines(say("It is done."), _given(view))
    return say("It is done. How was it?")


def _given(view: DealView) -> Markup | None:
    """What its buyer gave."""
    if view.stars is None:
        return None
    return say("You gave {stars}.", stars=Plain("★" * view.stars))


def _refunded(view: DealView, page: Page) -> Markup:
    if view.role == "seller":
        return say("It is over: the buyer has the money back.")
    return lines(say("It is over: your money is back. /wallet shows it."), _given(view))


def _cancelled(view: DealView, page: Page) -> Markup:
    return say("It is over. Please pay nothing and send nothing for it.")
