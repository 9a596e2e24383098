"""The figures of the dashboard are the plain truth of the tables, however days are closed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from escrow.domain.figures import Counts
from escrow.domain.flow import Actor, Event
from escrow.domain.model import By, DisputeStatus
from escrow.domain.money import Currency
from escrow.domain.terms import divide_split
from escrow.services import endings
from escrow.services.endings import Ending
from escrow.services.figures import Dashboard, Figures, MonthFigures
from escrow.store import disputes, escrows
from escrow.store.database import Connection
from tests.world import ADMIN, BRIAN, OTIENO, World, kes, usd

NAIROBI = ZoneInfo("Africa/Nairobi")
NEW_YORK = ZoneInfo("America/New_York")
JUDGE = By(Actor.ADMIN, ADMIN)

TRUTH = """
SELECT e.currency, e.status, e.held_price_minor + e.held_fee_minor AS held, e.created_at,
       e.funded_at, e.cancelled_at, e.completed_at, e.refunded_at, s.*,
       (SELECT count(*) FROM escrow_disputes d WHERE d.escrow_id = e.id) AS disputes,
       b.holding_minor + b.pending_fee_minor AS holds_now
  FROM escrow_transactions e
  JOIN escrow_balances b ON b.escrow_id = e.id
  LEFT JOIN settlements s ON s.escrow_id = e.id
"""


async def truth(world: World, currency: Currency, since: datetime, until: datetime) -> Counts:
    """Everything in [since, until), from whole tables."""
    rows = [row for row in await world.sql(TRUTH) if row["currency"] == currency.code]
    disputes = await world.sql(
        "SELECT d.opened_at FROM escrow_disputes d JOIN escrow_transactions e ON e.id = d.escrow_id"
        " WHERE e.currency = $1",
        currency.code,
    )

    def within(column: str, of: str | None = None) -> int:
        chosen = [row for row in rows if row[column] and since <= row[column] < until]
        return len(chosen) if of is None else sum(row[of] for row in chosen)

    return Counts(
        opened=within("created_at"),
        cancelled=within("cancelled_at"),
        disputed=sum(since <= row["opened_at"] < until for row in disputes),
        funded=within("funded_at"),
        funded_minor=within("funded_at", "held"),
        completed=within("completed_at"),
        refunded=within("refunded_at"),
        released_minor=within("settled_at", "seller_minor"),
        refunded_minor=within("settled_at", "buyer_minor"),
        fees_minor=within("settled_at", "fee_minor"),
    )


async def agrees(world: World, found: Dashboard, zone: ZoneInfo) -> None:
    """The dashboard says exactly what the tables say."""
    now = world.clock.now()
    last = now.astimezone(zone).date()
    first = datetime.combine(last - timedelta(days=29), datetime.min.time(), zone)
    long_ago, soon = datetime(2000, 1, 1, tzinfo=UTC), now + timedelta(days=1)
    rows = await world.sql(TRUTH)
    for currency in Currency:
        ever = await truth(world, currency, long_ago, soon)
        if not ever.opened:
            assert currency not in found.money
            continue
        one = found.money[currency]
        mine = [row for row in rows if row["currency"] == currency.code]
        assert one.ever == ever
        assert one.lately == await truth(world, currency, first, soon)
        assert one.held.minor == sum(row["holds_now"] for row in mine)
        assert [day.day for day in one.days] == [last - timedelta(days=29 - n) for n in range(30)]
        for day in one.days:
            start = datetime.combine(day.day, datetime.min.time(), zone)
            end = datetime.combine(day.day + timedelta(days=1), datetime.min.time(), zone)
            assert (
                day.released.minor == (await truth(world, currency, start, end)).released_minor
            ), day
            before = await truth(world, currency, long_ago, end)
            assert day.held.minor == before.funded_minor - before.settled_minor, day
    statuses = [row["status"] for row in rows]
    deals = found.deals
    assert deals.opened == len(rows)
    held = ("HELD", "SHIPPED", "DELIVERED", "DISPUTED", "FROZEN")
    assert deals.funded - deals.completed - deals.refunded == sum(s in held for s in statuses)
    assert (deals.completed, deals.refunded, deals.cancelled) == tuple(
        statuses.count(status) for status in ("COMPLETED", "REFUNDED", "CANCELLED")
    )
    assert (found.disputed, found.frozen) == (statuses.count("DISPUTED"), statuses.count("FROZEN"))


async def end(world: World, code: str, event: Event, percent: int = 50) -> None:
    """Ends a funded deal by an admin's word."""

    async def work(conn: Connection) -> None:
        deal = await escrows.lock(conn, code)
        dispute = await disputes.open_dispute_of(conn, code)
        if dispute is not None:
            now, how = world.clock.now(), DisputeStatus.RESOLVED
            await disputes.close(conn, dispute.id, how, JUDGE, now, resolution="split")
        if event is Event.MANUAL_RELEASE:
            ending = endings.release(deal, event, JUDGE)
        elif event is Event.MANUAL_REFUND:
            ending = endings.refund(deal, event, JUDGE)
        else:
            assert deal.held_price is not None
            assert deal.held_fee is not None
            shares = divide_split(deal.held_price, deal.held_fee, percent)
            ending = Ending(deal, event, JUDGE, shares.seller, shares.buyer, shares.fee, {})
        await endings.finish(conn, [ending], world.booking, world.clock.now())

    await world.db.run(work)


async def history(world: World, dice: random.Random, steps: int) -> None:
    """Deals of both currencies that go all ways, at any time of the day, midnight above all."""
    open_ones: list[Any] = []
    for number in range(steps):
        world.clock.tick(minutes=dice.choice((0, 1, 30, 300, 700, 2000)))
        if dice.random() < 0.3:  # to the last or first moment of a day in Nairobi
            here = world.clock.at.astimezone(NAIROBI)
            midnight = datetime.combine(
                here.date() + timedelta(days=1), datetime.min.time(), NAIROBI
            )
            world.clock.at = midnight.astimezone(UTC) - dice.choice(
                (timedelta(microseconds=1), timedelta(0))
            )
        if not open_ones or dice.random() < 0.45:
            currency = dice.choice((Currency.KES, Currency.KES, Currency.USD))
            buyer = dice.choice((BRIAN, OTIENO))
            open_ones.append(
                await world.deal(dice.randint(100, 1_800), currency=currency, buyer=buyer)
            )
            continue
        deal = open_ones.pop(dice.randrange(len(open_ones)))
        state = (await world.escrow(deal.id)).status
        if state == "PENDING":
            if dice.random() < 0.25:
                await world.escrows.cancel(deal.id, deal.buyer_telegram_id)
                continue
            await world.pay(deal, deal.due.to_decimal(), buyer=deal.buyer_telegram_id)
        elif state == "HELD" and dice.random() < 0.4:
            await world.escrows.dispute(
                deal.id, deal.buyer_telegram_id, "not as described", f"d:{number}"
            )
        elif state == "HELD" and dice.random() < 0.2:
            await world.escrows.freeze(deal.id, ADMIN)
        else:
            event = dice.choice((Event.MANUAL_RELEASE, Event.MANUAL_REFUND))
            if state == "DISPUTED" and dice.random() < 0.6:
                event = Event.RESOLVE
            await end(world, deal.id, event, dice.randint(1, 99))
            continue
        open_ones.append(deal)


@pytest.mark.parametrize("seed", range(8))
async def test_closed_days_and_the_rest_are_the_plain_truth(world: World, seed: int) -> None:
    """Whether days are closed often, late or never, and by the dashboard or the job."""
    dice = random.Random(seed)  # noqa: S311
    figures = Figures(world.db, world.clock, NAIROBI)
    for _ in range(5):
        await history(world, dice, 12)
        if dice.random() < 0.5:
            await figures.close_days(dice.choice((1, 100)))
        if dice.random() < 0.7:
            await agrees(world, await figures.dashboard(), NAIROBI)
    world.clock.tick(days=dice.choice((0, 2, 40)))
    await agrees(world, await figures.dashboard(), NAIROBI)
    await figures.close_days()
    await agrees(world, await figures.dashboard(), NAIROBI)


async def test_a_day_is_closed_an_hour_after_its_end_and_what_came_late_is_in_it(
    world: World,
) -> None:
    figures = Figures(world.db, world.clock, NAIROBI)
    world.clock.at = datetime(2026, 11, 23, 23, 59, 59, tzinfo=NAIROBI).astimezone(UTC)
    deal = await world.deal(buyer=BRIAN)
    decided = world.clock.now()
    world.clock.tick(seconds=3600)
    assert await figures.close_days() == 0
    # a unit that read the clock before midnight commits only now
    slow, world.clock.at = world.clock.at, decided
    await world.pay(deal, 10_500)
    world.clock.at = slow + timedelta(seconds=1)
    assert await figures.close_days() == 1
    assert await figures.close_days() == 0
    (kept,) = await world.sql("SELECT * FROM daily_figures WHERE currency = 'KES'")
    assert (kept["opened"], kept["funded"], kept["funded_minor"]) == (1, 1, 1_050_000)
    await agrees(world, await figures.dashboard(), NAIROBI)


async def test_days_are_closed_once_however_many_close_them(world: World) -> None:
    await world.deal()
    world.clock.tick(days=20)
    several = [Figures(world.db, world.clock, NAIROBI) for _ in range(6)]
    closed = await asyncio.gather(*(one.close_days(7) for one in several))
    assert sum(closed) == 20
    assert await world.value("SELECT count(*) FROM daily_figures") == 2 * 20
    await agrees(world, await several[0].dashboard(), NAIROBI)


async def test_another_zone_goes_on_where_the_last_day_ended(world: World) -> None:
    """Days of 23 and 25 hours, and a change of TIMEZONE: nothing is lost or counted twice."""
    world.clock.at = datetime(2026, 10, 28, 9, 0, tzinfo=UTC)
    dice = random.Random(99)  # noqa: S311
    for zone in (NEW_YORK, NAIROBI, NEW_YORK, ZoneInfo("UTC")):
        figures = Figures(world.db, world.clock, zone)
        await history(world, dice, 14)
        world.clock.tick(hours=30)
        await figures.close_days()
        ever = await truth(world, Currency.KES, datetime(2000, 1, 1, tzinfo=UTC), world.clock.now())
        assert (await figures.dashboard()).money[Currency.KES].ever == ever
    gaps = await world.value(
        "SELECT count(*) FROM daily_figures d WHERE NOT EXISTS (SELECT FROM daily_figures n"
        " WHERE n.currency = d.currency AND n.starts_at = d.ends_at)"
    )
    assert gaps == 2  # the last day of either currency


async def test_no_day_is_closed_before_the_first_deal(world: World) -> None:
    assert await world.figures.close_days() == 0
    found = await world.figures.dashboard()
    assert (found.money, found.deals, found.sellers) == ({}, Counts(), {"VERIFIED": 1})


async def test_sellers_are_counted_by_their_status(world: World) -> None:
    await world.people.register_seller(BRIAN, "Brian Shop", "254722000222")
    await world.suspend()
    assert (await world.figures.dashboard()).sellers == {"PENDING": 1, "SUSPENDED": 1}


async def test_the_average_is_of_what_was_paid(world: World) -> None:
    for price in (100, 201):
        deal = await world.usd_deal(price, buyer=BRIAN)
        await world.pay(deal, deal.due.to_decimal())
    one = (await world.figures.dashboard()).money[Currency.USD]
    assert one.average == usd("158.03")  # 105 and 211.05


# -- the month ------------------------------------------------------------------------------------


async def read(figures: Figures, first: date, after: date) -> tuple[MonthFigures, Sequence[Any]]:
    month, rows = MonthFigures(NAIROBI), []
    async for page in figures.settled(first, after):
        month.add(page)
        rows += page
    return month, rows


async def test_a_months_settlements_are_all_there_once_and_add_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Page by page, also where many ended at the same moment, and none of another month."""
    monkeypatch.setattr("escrow.services.figures._PAGE", 3)
    world.clock.at = datetime(2026, 10, 31, 20, 59, tzinfo=UTC)  # 23:59 in Nairobi
    for number in range(11):
        deal = await world.deal(1000 + number, buyer=BRIAN)
        await world.pay(deal, deal.due.to_decimal())
        if number == 2:
            world.clock.tick(minutes=1)
        await end(world, deal.id, Event.MANUAL_RELEASE if number % 3 else Event.MANUAL_REFUND)
    month, rows = await read(world.figures, date(2026, 11, 1), date(2026, 12, 1))
    plain = await world.sql(
        "SELECT sum(seller_minor)::bigint AS seller, sum(buyer_minor)::bigint AS buyer,"
        " sum(fee_minor)::bigint AS fee, count(*) AS count FROM settlements"
        " WHERE settled_at >= '2026-10-31 21:00Z'"
    )
    one = month.money[Currency.KES]
    assert len({row.escrow_id for row in rows}) == len(rows) == plain[0]["count"] == 9
    assert one.to_seller.minor == plain[0]["seller"] == sum(row.to_seller.minor for row in rows)
    assert one.to_buyer.minor == plain[0]["buyer"]
    assert one.fees.minor == plain[0]["fee"]
    assert sum(one.volume_by_day.values()) == one.held.minor
    assert all(row.held == row.to_seller + row.to_buyer + row.fee for row in rows)
    before, _ = await read(world.figures, date(2026, 10, 1), date(2026, 11, 1))
    assert before.money[Currency.KES].count == 2


async def test_a_settlement_names_its_receipts(world: World) -> None:
    deal = await world.deal(buyer=BRIAN)
    await world.pay(deal, 10_500, reference="SGIN000001")
    await end(world, deal.id, Event.MANUAL_RELEASE)
    _, (row,) = await read(world.figures, date(2026, 11, 1), date(2026, 12, 1))
    assert (row.receipts_in, row.receipts_out, row.charge) == ("SGIN000001", "", None)
    assert (row.price, row.to_seller, row.fee) == (kes(10_000), kes(10_000), kes(500))
