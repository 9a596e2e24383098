"""Claims by receipt: /paid, and M-Pesa messages that are simply pasted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from telegram import Update

from escrow.bot import asking, deal_texts, desk, paid_texts
from escrow.bot.desk import Desk
from escrow.domain import codes
from escrow.domain.errors import InvalidInput
from escrow.services.claims import Claimed


async def paid(update: Update, context: Desk) -> None:
    """/paid [CODE] RECEIPT, or the pasted M-Pesa message behind it"""
    said = list(context.args or ())
    if not said:
        raise InvalidInput("usage", command="paid")
    deal = ""
    if len(said) > 1 and codes.read_code(said[0]) is not None:
        deal = said.pop(0)
    await _claim(update, context, deal, " ".join(said))


async def pasted(update: Update, context: Desk, text: str) -> None:
    """An M-Pesa message or a receipt number without a command."""
    await _claim(update, context, "", text)


async def _claim(update: Update, context: Desk, deal: str, text: str) -> None:
    office, me = desk.office(context), desk.user(update).id
    context.progress = await desk.answer(update, context, deal_texts.one_moment())
    await _tell(update, context, await office.claims.claim(deal, me, text, desk.cause(update)))


async def _tell(update: Update, context: Desk, claimed: Claimed) -> None:
    """How it stands, in place of the progress; what it came to follows as a notice."""
    page = desk.page(context)
    text = paid_texts.outcome(claimed.claim, page)
    if context.progress is not None:
        await desk.edit(context, context.progress, text)
    else:
        await desk.answer(update, context, text)
    if claimed.contact_helps and not desk.person(context).phone_is_contact:
        said = {"claim": claimed.claim.id}
        question = paid_texts.ask_own_number(page)
        await asking.ask_number(update, context, asking.TO_CLAIM, said, question)


async def number_known(update: Update, context: Desk, msisdn: str, said: Mapping[str, Any]) -> None:
    """His number is there: the claim is looked at again. One that was typed proves nothing, and is
    not asked for again.
    """
    office, me = desk.office(context), desk.user(update).id
    claimed = await office.claims.again(me, int(said["claim"]))
    text = paid_texts.outcome(claimed.claim, desk.page(context))
    await desk.answer(update, context, text)


# -- admins ----------------------------------------------------------------------------------------


async def credit_pressed(update: Update, context: Desk) -> None:
    """[Credit] below a claim's card"""
    await _decide(update, context, ours=True)


async def refuse_pressed(update: Update, context: Desk) -> None:
    """[Not ours] below a claim's card"""
    await _decide(update, context, ours=False)


async def _decide(update: Update, context: Desk, *, ours: bool) -> None:
    claim = await desk.office(context).claims.decide(
        desk.button(update).number, desk.user(update).id, ours=ours
    )
    await desk.strip_buttons(update, context)
    await desk.answer(update, context, paid_texts.decided(claim, desk.page(context)))
