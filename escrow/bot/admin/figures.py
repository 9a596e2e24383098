"""`/escrow_dashboard` and `/report`: the business in figures, with a picture."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Final

from telegram import InputFile, Update
from telegram.constants import ParseMode
from telegram.ext import CallbackContext

from escrow.bot import charts, desk, pictures
from escrow.bot.admin import figures_texts
from escrow.bot.admin.sheets import Sheets
from escrow.domain.errors import InvalidInput
from escrow.services.figures import MonthFigures

Context = CallbackContext[Any, Any, Any, Any]

_MONTH: Final = re.compile(r"(20[0-9]{2})-(0[1-9]|1[0-2])", re.ASCII)


async def escrow_dashboard(update: Update, context: Context) -> None:
    """/escrow_dashboard: money, deals, sellers and the last 30 days, with a picture of them."""
    found = await desk.office(context).figures.dashboard()
    text = figures_texts.dashboard(found, desk.page(context))
    drawing = None
    if found.money:
        days = [day.day for day in next(iter(found.money.values())).days]
        drawing = charts.picture(
            figures_texts.dashboard_title(days),
            [figures_texts.day_label(day) for day in days],
            figures_texts.dashboard_panels(found),
        )
    await pictures.show(update, context, text, drawing)


async def report(update: Update, context: Context) -> None:
    """/report [YYYY-MM]: what the deals that ended in a month brought, and each of them in a file;
    without a month this one, up to now.
    """
    office, page = desk.office(context), desk.page(context)
    today = page.now.astimezone(page.zone).date()
    first = read_month(context.args or (), today)
    after = (first + timedelta(days=31)).replace(day=1)
    with Sheets(page.zone) as sheets:
        found = MonthFigures(page.zone)
        async for settled in office.figures.settled(first, after):
            found.add(settled)
            sheets.add(settled)
        if not found.money:
            await desk.answer(update, context, figures_texts.report_empty(first, page))
            return
        days = _days(first, min(after, today + timedelta(days=1)))
        drawing = charts.picture(
            figures_texts.report_title(first),
            [figures_texts.day_label(day) for day in days],
            figures_texts.report_panels(found, days),
        )
        await pictures.show(update, context, figures_texts.report(found, first, page), drawing)
        await _send(update, context, sheets, f"amana-{first:%Y-%m}")


async def _send(update: Update, context: Context, sheets: Sheets, name: str) -> None:
    for number, file in enumerate(sheets.files, start=1):
        file.seek(0)
        part = f"-part-{number}" if len(sheets.files) > 1 else ""
        await context.bot.send_document(
            desk.user(update).id,
            InputFile(file, f"{name}{part}.csv", read_file_handle=False),
            caption=str(figures_texts.report_file(number, len(sheets.files))),
            parse_mode=ParseMode.HTML,
        )


def read_month(args: Sequence[str], today: date) -> date:
    """The first day of the month that was asked for. `InvalidInput` with the usage line for what
    can't be read, or has not begun.
    """
    if not args:
        return today.replace(day=1)
    read = _MONTH.fullmatch(args[0]) if len(args) == 1 else None
    if read is None:
        raise InvalidInput("usage", command="report")
    first = date(int(read[1]), int(read[2]), 1)
    if first > today:
        raise InvalidInput("usage", command="report")
    return first


def _days(first: date, after: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((after - first).days)]
