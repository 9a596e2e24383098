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
OVER: Final = "over"
"""No question is open; which one the last update ended stands with it."""
SHOP_NAME: Final = "shop_name"
PAYOUT_RECEIPT: Final = "payout_receipt"
PAYOUT_REASON: Final = "payout_reason"
DRAFT: Final = "draft"
SUSPEND_REASON: Final = "suspend_reason"
FLAG_NOTE: Final = "flag_note"

Step = tuple[str, Mapping[str, Any]]
TO_PAY: Final = "pay"
TO_SELL: Final = "sell"
TO_DEAL: Final = "deal"
TO_PAYOUT: Final = "payout"
TO_WITHDRAW: Final = "withdraw"
TO_CLAIM: Final = "claim"


async def open_step(update: Update, context: Desk) -> Step | None:
    """The question that is open, and what stands with it. One that this very update has ended
    counts: handled again after a crash, it gets the first answer.
    """
    step = await desk.office(context).people.conversation(desk.user(update).id)
    if step is None or step[0] != OVER:
        return step
    ended = step[1]
    return (ended["step"], ended["said"]) if ended["by"] == update.update_id else None


async def end(update: Update, context: Desk, *steps: str) -> None:
    """Ends one of these questions, and no other."""
    people, me = desk.office(context).people, desk.user(update).id
    now = await people.conversation(me)
    if now is not None and now[0] in steps:
        ended = {"step": now[0], "said": dict(now[1]), "by": update.update_id}
        await people.set_conversation(me, OVER, ended)


async def ask_number(
    update: Update, context: Desk, then: str, values: Mapping[str, Any], question: Markup
) -> None:
    """Begins the step; `then` is taken up with `values` once the number is known."""
    await desk.office(context).people.set_conversation(
        desk.user(update).id, PHONE, {**values, "then": then}
    )
    await desk.answer(update, context, question, keyboards.contact())
