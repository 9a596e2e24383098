"""What the bot answers to admins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from markupsafe import Markup

from escrow.bot.page import Page, Plain, card, code, say, when
from escrow.domain.model import ReceiptState, Seller, StoredReceipt
from escrow.domain.money import Currency, Money
from escrow.services.oversight import Health

_SHOWN: Final = 4


def not_admin() -> Markup:
    return say("This is for admins of Amana only.")


def verified(seller: Seller, page: Page, *, changed: bool, held: Sequence[int] = ()) -> Markup:
    """`held`: payouts that became a person's task while he was suspended; they stay one."""
    if not changed:
        return say("{shop} was verified before. Nothing changed.", shop=seller.shop_name)
    numbers = Plain(", ".join(map(str, held)))
    return card(
        page,
        say("<b>{shop} is verified</b> and was told so.", shop=seller.shop_name),
        say(
            "Held while he was suspended, and now to be paid by hand: payouts {numbers}. /payouts",
            numbers=numbers,
        )
        if held
        else None,
    )


def receipt_decided(receipt: StoredReceipt, page: Page) -> Markup:
    """What became of a receipt after an admin's word."""
    words = {
        ReceiptState.CREDITED: say("credited"),
        ReceiptState.SUSPENSE: say("booked to suspense: nobody can be credited yet"),
        ReceiptState.IGNORED: say("closed as not ours, nothing booked"),
    }.get(receipt.state, say("{state}", state=Plain(receipt.state)))
    return card(
        page,
        say("<b>{amount}: {what}.</b>", amount=receipt.amount, what=words),
        say("Receipt {reference}", reference=receipt.reference or "–"),
        say("Deal {code}", code=code(receipt.escrow_id)) if receipt.escrow_id else None,
    )


def health(look: Health, page: Page) -> Markup:
    """One word first, then what it is made of."""
    errors = [job for job in look.jobs if job["error"]]
    unmatched = _unmatched(look)
    word = "WATCH" if unmatched and look.word == "OK" else look.word
    meaning = {
        "OK": say("Everything is in order."),
        "WATCH": say("The money is safe; something needs a look."),
        "BROKEN": say("Look at once: the books or the clock can't be trusted."),
    }[word]
    return card(
        page,
        say("<b>{word}</b> – {meaning}", word=Plain(word), meaning=meaning),
        say("Unmatched money waits for an admin: {sums}", sums=unmatched) if unmatched else None,
        _books(look, page),
        *(say("• {line}", line=line) for line in look.breaks[:_SHOWN]),
        *_held(look),
        say("Database: {ms} ms", ms=Plain(f"{look.database_ms:.0f}")),
        _notices(look, page),
        say(
            "Callbacks waiting: {waiting}, parked: {parked}",
            waiting=look.inbox_waiting,
            parked=look.inbox_parked,
        ),
        _payouts(look),
        say("Receipts that wait for confirmation: {count}", count=look.receipts_waiting),
        None if look.clock_steady else say("The clock jumped: timers stand still."),
        *(
            say("Job {job} failed: {error}", job=Plain(job["job"]), error=str(job["error"]))
            for job in errors[:_SHOWN]
        ),
    )


def _books(look: Health, page: Page) -> Markup:
    at = when(page, look.proved_at)
    if look.breaks:
        return say("Books: {count} breaks, proved {when}", count=len(look.breaks), when=at)
    return say("Books: in balance, proved {when}", when=at)


def _notices(look: Health, page: Page) -> Markup:
    if look.outbox_oldest is None:
        return say("Notices waiting: {count}", count=look.outbox_waiting)
    return say(
        "Notices waiting: {count}, the oldest was due {when}",
        count=look.outbox_waiting,
        when=when(page, look.outbox_oldest),
    )


def _payouts(look: Health) -> Markup | None:
    leaving = look.payouts
    if leaving is None or leaving.oldest is None:
        return None
    return say(
        "Payouts: {under_way} under way, {unknown} unknown, {by_hand} wait for an admin (/payouts)",
        under_way=leaving.under_way,
        unknown=leaving.unknown,
        by_hand=leaving.by_hand,
    )


def _sums(look: Health, kind: str) -> str:
    return ", ".join(
        str(Money(row["total_minor"], Currency.of(row["currency"])))
        for row in look.held
        if row["kind"] == kind and row["total_minor"]
    )


def _unmatched(look: Health) -> Plain | None:
    sums = _sums(look, "suspense")
    return Plain(sums) if sums else None


def _held(look: Health) -> list[Markup]:
    """One line per purpose that money is held for."""
    purposes = {
        "holding": say("Held for deals"),
        "pending_fee": say("Fees of open deals"),
        "received": say("Being decided"),
        "suspense": say("Unmatched"),
        "wallet": say("In wallets"),
        "payable": say("On the way out"),
    }
    found = [
        say("{what}: {sums}", what=what, sums=Plain(sums))
        for kind, what in purposes.items()
        if (sums := _sums(look, kind))
    ]
    return found or [say("Held: nothing")]
