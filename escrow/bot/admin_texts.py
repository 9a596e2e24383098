"""What the bot answers to admins."""

from __future__ import annotations

from typing import Final

from markupsafe import Markup

from escrow.bot.page import Page, Plain, card, code, say, when
from escrow.domain.model import ReceiptState, Seller, StoredReceipt
from escrow.domain.money import Currency, Money
from escrow.services.oversight import Health

_SHOWN: Final = 4
_WORD: Final = {
    "OK": "Everything is in order.",
    "WATCH": "The money is safe; something needs a look.",
    "BROKEN": "Look at once: the books or the clock can't be trusted.",
}


def not_admin() -> Markup:
    return say("This is for admins of Amana only.")


def verified(seller: Seller, page: Page, *, changed: bool) -> Markup:
    if not changed:
        return say("{shop} was verified before. Nothing changed.", shop=seller.shop_name)
    return card(page, say("<b>{shop} is verified</b> and was told so.", shop=seller.shop_name))


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
    oldest = look.outbox_oldest
    return card(
        page,
        say("<b>{word}</b> – {meaning}", word=Plain(look.word), meaning=Plain(_WORD[look.word])),
        say("Books: {state}, proved {when}", **_books(look, page)),
        *(say("• {line}", line=line) for line in look.breaks[:_SHOWN]),
        say("Held: {sums}", sums=_held(look)),
        say("Database: {ms} ms", ms=Plain(f"{look.database_ms:.0f}")),
        say(
            "Notices waiting: {count}, the oldest was due {when}",
            count=look.outbox_waiting,
            when=when(page, oldest) if oldest else Plain("–"),
        ),
        say(
            "Callbacks waiting: {waiting}, parked: {parked}",
            waiting=look.inbox_waiting,
            parked=look.inbox_parked,
        ),
        say("Receipts that wait for confirmation: {count}", count=look.receipts_waiting),
        None if look.clock_steady else say("The clock jumped: timers stand still."),
        *(
            say("Job {job} failed: {error}", job=Plain(job["job"]), error=str(job["error"]))
            for job in errors[:_SHOWN]
        ),
    )


def _books(look: Health, page: Page) -> dict[str, object]:
    state = "in balance" if not look.breaks else f"{len(look.breaks)} breaks"
    return {"state": Plain(state), "when": when(page, look.proved_at)}


def _held(look: Health) -> Plain:
    sums = [
        f"{row['kind']} {Money(row['total_minor'], Currency.of(row['currency']))}"
        for row in look.held
        if row["total_minor"]
    ]
    return Plain(", ".join(sums) or "nothing")
