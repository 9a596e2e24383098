"""Asks for a phone number, by contact button or typed twice; what to do then stands with the step.

The step lives in PostgreSQL: a restart or a day's pause loses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from markupsafe import Markup
from telegram import Update

from escrow.bot import desk, keyboards
from escrow.bot.desk import Desk

PHONE: Final = "phone"
KNOWN: Final = "phone_known"
"""The number is there, and what it was asked for is under way."""
SHOP_NAME: Final = "shop_name"
PAYOUT_RECEIPT: Final = "payout_receipt"
PAYOUT_REASON: Final = "payout_reason"
DRAFT: Final = "draft"

TO_PAY: Final = "pay"
TO_SELL: Final = "sell"
TO_DEAL: Final = "deal"
TO_PAYOUT: Final = "payout"
TO_WITHDRAW: Final = "withdraw"
TO_CLAIM: Final = "claim"


async def ask_number(
    update: Update, context: Desk, then: str, values: Mapping[str, Any], question: Markup
) -> None:
    """Begins the step; `then` is taken up with `values` once the number is known."""
    await desk.office(context).people.set_conversation(
        desk.user(update).id, PHONE, {**values, "then": then}
    )
    await desk.answer(update, context, question, keyboards.contact())
