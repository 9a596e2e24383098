"""What admins ask for, with a million deals behind it and with a thousand."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from benchmarks import million
from benchmarks.deals import SystemClock
from benchmarks.pairs import AT_MOST, Bar, Figure, Sample, columns, interleaved
from benchmarks.server import Server
from escrow.bot import charts
from escrow.bot.admin import figures_texts
from escrow.services.figures import Figures
from escrow.services.oversight import Oversight
from escrow.store.database import Database

_BAR: Final = Bar(AT_MOST, 2)
_ZONE: Final = ZoneInfo("Africa/Nairobi")


@dataclass(frozen=True, slots=True)
class Scale:
    rounds: int
    deals: int
    few: int


FULL: Final = Scale(rounds=15, deals=1_000_000, few=1_000)
QUICK: Final = Scale(rounds=2, deals=5_000, few=1_000)


async def run(server: Server, scale: Scale = FULL) -> list[Figure]:
    """The same two questions to both databases in turn."""
    many = await _place(server, "figures_many", scale.deals)
    few = await _place(server, "figures_few", scale.few)
    beside = f"with {scale.few:,} deals"
    try:
        figures = []
        for what, ask, bar in (
            ("`/escrow_dashboard` with its picture", _dashboard, _BAR),
            ("`/escrow_dashboard`, the figures alone", _figures, None),
            ("`/system_health`", _health, _BAR),
        ):
            samples = [_timed(ask(database)) for database in (many, few)]
            for sample in samples:
                await sample()  # connections and plans are made once
            found = await interleaved(scale.rounds, *samples)
            pairs = columns(found, 0, 1)
            figures.append(Figure(f"{what}, {scale.deals:,} deals", beside, "ms", pairs, bar))
        return figures
    finally:
        await few.close()
        await many.close()


async def _place(server: Server, name: str, deals: int) -> Database:
    """A database with so many deals, its days closed as the job does it."""
    dsn = await server.database(name)
    await million.load(dsn, deals, datetime.now(UTC))
    database = await Database.connect(dsn, minimum=2, maximum=2)
    figures = Figures(database, SystemClock(), _ZONE)
    while await figures.close_days():
        pass
    return database


def _timed(work: Callable[[], Awaitable[object]]) -> Sample:
    async def sample() -> float:
        began = time.perf_counter()
        await work()
        return (time.perf_counter() - began) * 1000

    return sample


def _figures(database: Database) -> Callable[[], Awaitable[object]]:
    return Figures(database, SystemClock(), _ZONE).dashboard


def _dashboard(database: Database) -> Callable[[], Awaitable[object]]:
    figures = Figures(database, SystemClock(), _ZONE)

    async def ask() -> bytes:
        found = await figures.dashboard()
        days = [day.day for day in next(iter(found.money.values())).days]
        labels = [figures_texts.day_label(day) for day in days]
        title = figures_texts.dashboard_title(days)
        return await charts.picture(title, labels, figures_texts.dashboard_panels(found))

    return ask


def _health(database: Database) -> Callable[[], Awaitable[object]]:
    return Oversight(database, SystemClock(), ()).look
