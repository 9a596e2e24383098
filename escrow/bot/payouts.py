"""Admins and payouts: the list, and the two buttons of one that waits for a person."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from markupsafe import Markup
from telegram import Update

from escrow.bot import asking, desk, payout_texts
from escrow.bot.admin import paging, payout_list_texts
from escrow.bot.context import Office
from escrow.bot.desk import Desk
from escrow.bot.page import Page
from escrow.domain.errors import NotAllowed

_NOT_SENT: Final = re.compile(r"\s*not\s+sent\b[\s:,.–-]*", re.IGNORECASE)
PER_PAGE: Final = 6


async def payouts(update: Update, context: Desk) -> None:
    """/payouts [page] lists what is not over; /payouts resume ends a stop"""
    if desk.words(context).lower() == "resume":
        await resume_pressed(update, context)
        return
    number = paging.number_of(context.args or (), "payouts")
    await paging.answer(update, context, "payouts", listed, number)


async def listed(
    office: Office, page: Page, number: int
) -> tuple[Markup, payout_list_texts.Rows, int]:
    """A page of the list: its words, its buttons, how many pages there are."""
    found = await office.payouts.open_page((number - 1) * PER_PAGE, PER_PAGE)
    count, stopped = await office.payouts.open_count(), await office.payouts.stopped()
    total = count.by_hand + count.unknown + count.under_way
    text = payout_list_texts.listed(found, count, stopped, page)
    return text, payout_list_texts.buttons(found, stopped), max(1, -(-total // PER_PAGE))


async def resume_pressed(update: Update, context: Desk) -> None:
    """[The credential is fixed: go on]"""
    changed = await desk.office(context).payouts.resume(desk.user(update).id)
    await desk.answer(update, context, payout_texts.resumed(changed=changed))


async def retry_pressed(update: Update, context: Desk) -> None:
    """[Send it now]"""
    office, me = desk.office(context), desk.user(update).id
    due = await office.payouts.send_now(desk.button(update).number, me)
    await desk.answer(update, context, payout_list_texts.send_soon(due.id))
    desk.done(update, context, for_good=False)


async def ask_pressed(update: Update, context: Desk) -> None:
    """[Ask M-Pesa again]"""
    office, me = desk.office(context), desk.user(update).id
    asked = await office.payouts.ask_now(desk.button(update).number, me)
    await desk.answer(update, context, payout_list_texts.asked(asked.id))
    desk.done(update, context, for_good=False)


async def paid_pressed(update: Update, context: Desk) -> None:
    """[Paid]: which receipt?"""
    await _ask(update, context, asking.PAYOUT_RECEIPT)


async def failed_pressed(update: Update, context: Desk) -> None:
    """[Can't be paid], [It did not go out]: why?"""
    await _ask(update, context, asking.PAYOUT_REASON)


async def sure_pressed(update: Update, context: Desk) -> None:
    """[Close it on my word]"""
    office, me = desk.office(context), desk.user(update).id
    done = await office.payouts.close_on_word(desk.button(update).number, me)
    await desk.replace_pressed(update, context, payout_texts.closed(done))
    desk.done(update, context)


async def _ask(update: Update, context: Desk, step: str) -> None:
    office, me = desk.office(context), desk.user(update).id
    receipt = step == asking.PAYOUT_RECEIPT
    payout = await office.payouts.task(desk.button(update).number, me, to_stop=not receipt)
    await office.people.set_conversation(me, step, {"payout": payout.id})
    if receipt:
        text = payout_texts.ask_receipt(payout)
    else:
        may_be_out = await office.payouts.may_be_out(payout.id)
        text = payout_texts.ask_reason(payout, may_be_out=may_be_out)
    await desk.answer(update, context, text)


async def receipt_typed(update: Update, context: Desk, text: str, said: Mapping[str, Any]) -> None:
    """The receipt of a payment that an admin made."""
    office, me = _admin(update, context)
    done = await office.payouts.mark_paid(int(said["payout"]), me, text)
    await asking.end(update, context, asking.PAYOUT_RECEIPT)
    await desk.answer(update, context, payout_texts.closed(done))


async def reason_typed(update: Update, context: Desk, text: str, said: Mapping[str, Any]) -> None:
    """Why it can't be paid; `not sent` before it states what the portal shows."""
    office, me = _admin(update, context)
    stated = _NOT_SENT.match(text)
    done = await office.payouts.mark_failed(
        int(said["payout"]), me, _NOT_SENT.sub("", text, count=1), not_sent=stated is not None
    )
    await asking.end(update, context, asking.PAYOUT_REASON)
    await desk.answer(update, context, payout_texts.closed(done))


def _admin(update: Update, context: Desk) -> tuple[Any, int]:
    """Who answers is an admin still. `NotAllowed`."""
    office, me = desk.office(context), desk.user(update).id
    if me not in office.admins:
        raise NotAllowed
    return office, me
