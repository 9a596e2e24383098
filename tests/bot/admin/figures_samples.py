"""Every text about figures."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from markupsafe import Markup, escape

from escrow.bot.admin import figures_texts as t
from escrow.bot.page import Page
from escrow.domain.figures import Counts
from escrow.domain.money import Currency, Money
from escrow.services.figures import (
    CurrencyFigures,
    Dashboard,
    DayMoney,
    MonthFigures,
    MonthMoney,
)
from tests.world import NOW

EVER = Counts(
    1_000_000, 90_000, 8_000, 900_000, 10**13, 800_000, 99_000, 8 * 10**12, 10**11, 10**11
)
FIRST = date(2026, 11, 1)
MONTH = {
    "month": "2026-10-01",
    "money": {"KES": asdict(EVER), "USD": asdict(Counts(3, 1, 0, 2, 200_00))},
    "buyers": 1_234,
    "sellers": 56,
    "disputes": dict.fromkeys(
        ("opened", "buyer", "seller", "split", "settled", "withdrawn", "open"), 7
    ),
}
NO_MONTH = {**MONTH, "money": {}, "buyers": 0, "sellers": 0}


def _money(currency: Currency) -> CurrencyFigures:
    days = [
        DayMoney(FIRST + timedelta(days=n), Money(n * 10**8, currency), Money(10**7, currency))
        for n in range(30)
    ]
    return CurrencyFigures(Money(18 * 10**11, currency), EVER, EVER, days)


def board(*currencies: Currency) -> Dashboard:
    sellers = {"VERIFIED": 20_000, "PENDING": 300, "SUSPENDED": 41} if currencies else {}
    return Dashboard(NOW, {one: _money(one) for one in currencies}, sellers, 12, 3)


def month(*currencies: Currency) -> MonthFigures:
    found = MonthFigures(ZoneInfo("Africa/Nairobi"))
    for one in currencies:
        found.money[one] = MonthMoney(
            Money(10**11, one), Money(10**9, one), Money(10**9, one), 83_333
        )
    return found


def texts(on: Page) -> dict[str, Markup]:
    both = tuple(Currency)
    days = [day.day for day in board(*both).money[Currency.KES].days]
    drawn = [
        *(panel.title for panel in t.dashboard_panels(board(*both))),
        *(panel.title for panel in t.report_panels(month(*both), days)),
        t.dashboard_title(days),
        t.report_title(FIRST),
        t.day_label(FIRST),
    ]
    return {
        "dashboard": t.dashboard(board(*both), on),
        "dashboard:shillings": t.dashboard(board(Currency.KES), on),
        "dashboard:empty": t.dashboard(board(), on),
        "report": t.report(month(*both), FIRST, on),
        "report:empty": t.report_empty(FIRST, on),
        "month:nothing": t.monthly_report(NO_MONTH, on),
        "report file": t.report_file(1, 1),
        "report file:parts": t.report_file(2, 3),
        **{f"picture:{number}": escape(words) for number, words in enumerate(drawn)},
    }
