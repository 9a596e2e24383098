"""What the bot answers to admins."""

from __future__ import annotations

from markupsafe import Markup

from escrow.bot.page import Page, Plain, card, code, say
from escrow.domain.model import ReceiptState, StoredReceipt


def not_admin() -> Markup:
    return say("This is for admins of Amana only.")


def not_open() -> Markup:
    return say("Amana is not open yet. Please try again in a minute.")


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
