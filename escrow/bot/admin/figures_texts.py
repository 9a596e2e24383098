"""What is said of figures: the dashboard, the month's report, and the words in their pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any, Final

from babel.dates import format_date
from markupsafe import Markup

from escrow.bot.charts import Panel
from escrow.bot.page import Page, Plain, card, language, lines, say, words
from escrow.domain.figures import Counts
from escrow.domain.money import Currency, Money
from escrow.services.figures import CurrencyFigures, Dashboard, MonthFigures

Values = Mapping[str, Any]
_NOTHING: Final = Plain("–")


def dashboard(found: Dashboard, page: Page) -> Markup:
    """`/escrow_dashboard`: the money first, then deals, sellers and the last 30 days."""
    deals = found.deals
    return card(
        page,
        *(_standing(one) for one in found.money.values()),
        None if found.money else say("<b>No deals yet.</b>"),
        say(
            "\nDeals: {total} · held {held} · completed {completed} · disputed {disputed}",
            total=_number(deals.opened),
            held=_number(deals.funded - deals.completed - deals.refunded),
            completed=_number(deals.completed),
            disputed=_number(found.disputed),
        ),
        say(
            "Waiting for money {pending} · refunded {refunded} · cancelled {cancelled}"
            " · frozen {frozen}",
            pending=_number(deals.opened - deals.cancelled - deals.funded),
            refunded=_number(deals.refunded),
            cancelled=_number(deals.cancelled),
            frozen=_number(found.frozen),
        ),
        say(
            "Sellers: {total} · verified {verified} · pending {pending} · suspended {suspended}",
            total=_number(sum(found.sellers.values())),
            verified=_number(found.sellers.get("VERIFIED", 0)),
            pending=_number(found.sellers.get("PENDING", 0)),
            suspended=_number(found.sellers.get("SUSPENDED", 0)),
        ),
        say("\n<b>Last 30 days</b>") if found.money else None,
        *(_lately(one) for one in found.money.values()),
    )


def _standing(one: CurrencyFigures) -> Markup:
    return say(
        "<b>{held} held now</b>\nReleased so far: {released}\nRefunded so far: {refunded}",
        held=one.held,
        released=_sum(one.ever.released_minor, one),
        refunded=_sum(one.ever.refunded_minor, one),
    )


def _lately(one: CurrencyFigures) -> Markup:
    """The last 30 days of one currency."""
    lately = one.lately
    return lines(
        say(
            "{currency}: opened {opened}, funded {funded}\nFunded: {paid}",
            currency=Plain(one.held.currency.code),
            opened=_number(lately.opened),
            funded=_number(lately.funded),
            paid=_sum(lately.funded_minor, one),
        ),
        say("Released: {amount}", amount=_sum(lately.released_minor, one)),
        say("Refunded: {amount}", amount=_sum(lately.refunded_minor, one)),
        say("Fees earned: {amount}", amount=_sum(lately.fees_minor, one)),
        say("Average deal: {amount}", amount=one.average if lately.funded else _NOTHING),
    )


def dashboard_panels(found: Dashboard) -> list[Panel]:
    """Held and released per day, of every currency that was used."""
    panels = []
    for currency, one in found.money.items():
        code = Plain(currency.code)
        panels += [
            Panel(
                words("Held at the end of each day, {currency}", currency=code),
                [_whole(day.held) for day in one.days],
                area=True,
            ),
            Panel(
                words("Released per day, {currency}", currency=code),
                [_whole(day.released) for day in one.days],
            ),
        ]
    return panels


def dashboard_title(days: Sequence[date]) -> str:
    """Above the dashboard's picture."""
    return words(
        "Amana, {first} - {last}",
        first=Plain(day_label(days[0])),
        last=Plain(format_date(days[-1], "d MMM y", locale=language())),
    )


def report(found: MonthFigures, first: date, page: Page) -> Markup:
    """`/report`: the month's settlements in figures; the CSV file has them one by one."""
    return card(
        page,
        say("<b>Report {month}</b>", month=Plain(month_name(first))),
        *(
            say(
                "<b>{seller} to sellers</b>\nBack to buyers: {buyer}\nFees earned: {fees}\n"
                "Deals ended: {count}, together {held}",
                seller=one.to_seller,
                buyer=one.to_buyer,
                fees=one.fees,
                count=one.count,
                held=one.held,
            )
            for one in found.money.values()
        ),
        say("The file has every deal that ended, a row each."),
    )


def report_empty(first: date, page: Page) -> Markup:
    """`/report` of a month in which no deal ended."""
    return card(
        page,
        say(
            "<b>Report {month}: nothing.</b>\nNo deal with money ended in that month.",
            month=Plain(month_name(first)),
        ),
    )


def monthly_report(v: Values, page: Page) -> Markup:
    """What admins read by themselves of a month that is over."""
    first = date.fromisoformat(str(v["month"]))
    disputes: Mapping[str, int] = v["disputes"]
    found = {Currency.of(code): Counts(**counts) for code, counts in v["money"].items()}
    paid = {currency: counts for currency, counts in found.items() if counts.funded}
    deals = sum(found.values(), Counts())
    return card(
        page,
        say("<b>{month} is over: the report</b>", month=Plain(month_name(first))),
        *(
            say(
                "Deals paid: {count}, together {volume}",
                count=_number(counts.funded),
                volume=Money(counts.funded_minor, currency),
            )
            for currency, counts in paid.items()
        ),
        None if paid else say("No deal was paid."),
        say(
            "Different buyers: {buyers} · different sellers: {sellers}",
            buyers=_number(v["buyers"]),
            sellers=_number(v["sellers"]),
        ),
        say(
            "Opened {opened} · completed {completed} · refunded {refunded} · cancelled {cancelled}",
            opened=_number(deals.opened),
            completed=_number(deals.completed),
            refunded=_number(deals.refunded),
            cancelled=_number(deals.cancelled),
        ),
        say(
            "Disputes opened: {opened} · still open at its end: {open}",
            opened=_number(disputes["opened"]),
            open=_number(disputes["open"]),
        ),
        say(
            "Disputes closed: for the buyer {buyer} · for the seller {seller} · split {split}"
            " · settled {settled} · taken back {withdrawn}",
            **{
                how: _number(disputes[how])
                for how in ("buyer", "seller", "split", "settled", "withdrawn")
            },
        ),
        say(
            "Every deal that ended: <code>/report {month}</code>",
            month=Plain(f"{first:%Y-%m}"),
        ),
    )


NOTICES: Final[Mapping[str, Callable[[Values, Page], Markup]]] = {"monthly_report": monthly_report}


def report_file(part: int, parts: int) -> Markup:
    """Below the file; a very long month comes in parts."""
    if parts == 1:
        return say("Every deal that ended, for a spreadsheet.")
    return say(
        "Every deal that ended, for a spreadsheet: part {part} of {parts}.", part=part, parts=parts
    )


def report_panels(found: MonthFigures, days: Sequence[date]) -> list[Panel]:
    """Volume and fees per day of the month, of every currency that was used."""
    panels = []
    for currency, one in found.money.items():
        code = Plain(currency.code)
        volume = [_of_day(one.volume_by_day, day, currency) for day in days]
        fees = [_of_day(one.fees_by_day, day, currency) for day in days]
        panels += [
            Panel(words("Money of deals that ended, {currency}", currency=code), volume),
            Panel(words("Fees earned, {currency}", currency=code), fees),
        ]
    return panels


def report_title(first: date) -> str:
    """Above the report's picture."""
    return words("Amana, {month}", month=Plain(month_name(first)))


def month_name(first: date) -> str:
    """`November 2026` in the reader's language."""
    return format_date(first, "LLLL y", locale=language())


def day_label(day: date) -> str:
    """`23 Nov` in the reader's language."""
    return format_date(day, "d MMM", locale=language())


def _of_day(found: Mapping[date, int], day: date, currency: Currency) -> int:
    return found.get(day, 0) // currency.scale


def _whole(amount: Money) -> int:
    """Whole shillings or dollars, as a picture shows them."""
    return amount.minor // amount.currency.scale


def _sum(minor: int, one: CurrencyFigures) -> Money:
    return Money(minor, one.held.currency)


def _number(count: int) -> Plain:
    return Plain(f"{count:,}")
