"""What the business did: the dashboard's figures and the month's settlements.

Days that are over are counted once and kept (`close_days`); the rest is counted when it is asked
for, so no payment has to touch a counter. What is held now is what was ever funded less what was
ever settled: a settlement divides all that its deal held.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from escrow.domain.figures import Counts, Days, Settled
from escrow.domain.flow import Status
from escrow.domain.money import Currency, Money, half_up
from escrow.services.ports import Clock
from escrow.store import figures
from escrow.store.database import Connection, Database

DAYS: Final = 30
SETTLE_DOWN: Final = timedelta(hours=1)
"""A unit of work takes a minute at most; a day that ended so long ago gets nothing more."""
AT_A_TIME: Final = 100
_LAZILY: Final = 3
_PAGE: Final = 1000
_AHEAD: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class DayMoney:
    """A day of one currency: held when it ended (or by now), and what went where in it."""

    day: date
    held: Money
    released: Money


@dataclass(frozen=True, slots=True)
class CurrencyFigures:
    """One currency: `held` now, everything so far, the last 30 days, and each of them."""

    held: Money
    ever: Counts
    lately: Counts
    days: Sequence[DayMoney]

    @property
    def average(self) -> Money:
        """What a funded deal of the last 30 days held; 0 when there was none."""
        minor = half_up(self.lately.funded_minor, self.lately.funded) if self.lately.funded else 0
        return Money(minor, self.held.currency)


@dataclass(frozen=True, slots=True)
class Dashboard:
    """The business as it stands at `at`; currencies that were never used are left out."""

    at: datetime
    money: Mapping[Currency, CurrencyFigures]
    sellers: Mapping[str, int]
    disputed: int
    frozen: int

    @property
    def deals(self) -> Counts:
        """All deals of all currencies: counts, no amounts."""
        together = sum((one.ever for one in self.money.values()), Counts())
        return replace(together, funded_minor=0, released_minor=0, refunded_minor=0, fees_minor=0)


class Figures:
    """Closes days, and answers `/escrow_dashboard` and `/report`."""

    def __init__(self, database: Database, clock: Clock, zone: ZoneInfo) -> None:
        self._db = database
        self._clock = clock
        self._zone = zone

    async def close_days(self, limit: int = AT_A_TIME) -> int:
        """Keeps the figures of days that are over, oldest first; returns of how many."""
        for done in range(limit):
            if not await self._db.run(self._close_next):
                return done
        return limit

    async def _close_next(self, conn: Connection) -> bool:
        await figures.lock(conn)
        _, since = await figures.totals(conn)
        if since is None:
            first = await figures.first_event(conn)
            if first is None:
                return False
            since = self._midnight(first.astimezone(self._zone).date())
        until = self._midnight(since.astimezone(self._zone).date() + timedelta(days=1))
        if self._clock.now() < until + SETTLE_DOWN:
            return False
        counts: dict[Currency, Counts] = {}
        for (_, currency), found in (await self._between(conn, since, until)).items():
            counts[currency] = counts.get(currency, Counts()) + found
        await figures.close_day(conn, since, until, counts)
        return True

    async def dashboard(self) -> Dashboard:
        """Everything at once; closes the last days first when the job has not come to it."""
        await self.close_days(_LAZILY)
        now = self._clock.now()
        last = now.astimezone(self._zone).date()
        window = [last - timedelta(days=back) for back in range(DAYS)]
        async with self._db.reading() as conn:
            ever, until = await figures.totals(conn)
            days: Days = {}
            since = self._midnight(window[-1])
            if until is not None:
                days = await figures.closed_days(conn, since, until, self._zone.key)
            live = await self._between(conn, until or since - timedelta(days=36_500), now + _AHEAD)
            sellers, deals = await figures.standing(conn)
        for (day, currency), found in live.items():
            ever[currency] = ever.get(currency, Counts()) + found
            days[day, currency] = days.get((day, currency), Counts()) + found
        return Dashboard(
            at=now,
            money={
                currency: _of_currency(currency, ever[currency], days, window)
                for currency in Currency
                if ever.get(currency, Counts()).opened
            },
            sellers=sellers,
            disputed=deals.get(Status.DISPUTED, 0),
            frozen=deals.get(Status.FROZEN, 0),
        )

    async def settled(self, first: date, after: date) -> AsyncIterator[Sequence[Settled]]:
        """The settlements from the day `first` until before `after`, oldest first, in pages."""
        since, until = self._midnight(first), self._midnight(after)
        last: Settled | None = None
        while True:
            async with self._db.reading() as conn:
                page = await figures.settled_page(conn, since, until, last, _PAGE)
            if not page:
                return
            yield page
            last = page[-1]

    async def _between(self, conn: Connection, since: datetime, until: datetime) -> Days:
        return await figures.between(conn, since, until, self._zone.key)

    def _midnight(self, day: date) -> datetime:
        """When the day begins; where clocks skip midnight, the first moment there is."""
        return datetime.combine(day, time(), self._zone).astimezone(UTC)


def _of_currency(
    currency: Currency, ever: Counts, days: Days, window: Sequence[date]
) -> CurrencyFigures:
    """`window` is newest first: what was held at the end of a day is what is held at the end of the
    next one, less what came in and plus what went out on that.
    """
    now = held = ever.funded_minor - ever.settled_minor
    shown: list[DayMoney] = []
    lately = Counts()
    for day in window:
        counts = days.get((day, currency), Counts())
        shown.append(DayMoney(day, Money(held, currency), Money(counts.released_minor, currency)))
        held += counts.settled_minor - counts.funded_minor
        lately += counts
    return CurrencyFigures(Money(now, currency), ever, lately, shown[::-1])


@dataclass(slots=True)
class MonthMoney:
    """One currency of a month: where the money of the deals that ended went, in all and by day."""

    to_seller: Money
    to_buyer: Money
    fees: Money
    count: int = 0
    volume_by_day: dict[date, int] = field(default_factory=dict)
    fees_by_day: dict[date, int] = field(default_factory=dict)

    @property
    def held(self) -> Money:
        return self.to_seller + self.to_buyer + self.fees


class MonthFigures:
    """Adds up settlements as they pass, so that picture, words and file say the same."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self.money: dict[Currency, MonthMoney] = {}

    def add(self, page: Sequence[Settled]) -> None:
        for one in page:
            currency = one.fee.currency
            zero = Money.zero(currency)
            sums = self.money.setdefault(currency, MonthMoney(zero, zero, zero))
            sums.to_seller += one.to_seller
            sums.to_buyer += one.to_buyer
            sums.fees += one.fee
            sums.count += 1
            day = one.at.astimezone(self._zone).date()
            sums.volume_by_day[day] = sums.volume_by_day.get(day, 0) + one.held.minor
            sums.fees_by_day[day] = sums.fees_by_day.get(day, 0) + one.fee.minor
