"""What the bot answers to admins."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from escrow.bot.page import Page, Plain, card, code, say
from escrow.domain.model import ReceiptState, Seller, StoredReceipt


def not_admin() -> Markup:
    return say("This is for admins of Amana only.")


def not_open() -> Markup:
    return say("Amana is not open yet. Please try again in a minute.")


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
