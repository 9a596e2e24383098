"""The month's report: once per month of the zone that is over, with what happened in it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from escrow.domain.money import Currency
from escrow.services.batches import Tally
from escrow.services.monthly import MonthlyReports
from tests.world import ADMIN, ADMINS, BRIAN, JANE, OTIENO, SECOND_ADMIN, World

NAIROBI = ZoneInfo("Africa/Nairobi")
SECOND = timedelta(seconds=1)


def _months(world: World, zone: str = "Africa/Nairobi") -> MonthlyReports:
    return MonthlyReports(world.db, world.clock, ADMINS, ZoneInfo(zone))


def _local(
    year: int, month: int, day: int, hour: int = 0, zone: str = "Africa/Nairobi"
) -> datetime:
    return datetime(year, month, day, hour, tzinfo=ZoneInfo(zone)).astimezone(UTC)


async def _reports(world: World, admin: int = ADMIN) -> list[Mapping[str, Any]]:
    rows = await world.sql(
        "SELECT params FROM outbox WHERE kind = 'monthly_report' AND chat_id = $1 ORDER BY id",
        admin,
    )
    return [row["params"] for row in rows]


async def _paid(world: World, buyer: int = BRIAN, price: int = 1_000) -> Any:
    deal = await world.deal(price, buyer=buyer)
    await world.pay(deal, price * 105 // 100, buyer=buyer)
    return deal


async def test_it_comes_when_the_month_is_over_and_settled_down(world: World) -> None:
    await _paid(world)
    over = _local(2026, 12, 1)
    for at in (over - SECOND, over, over + timedelta(hours=1) - SECOND):
        world.clock.at = at
        assert await _months(world).report_due() == Tally()
    world.clock.at = over + timedelta(hours=1)
    assert await _months(world).report_due() == Tally(1, 1)
    for admin in ADMINS:
        assert [one["month"] for one in await _reports(world, admin)] == ["2026-11-01"]
    assert "monthly_report" not in await world.told(JANE)


async def test_repeated_and_raced_runs_report_once(world: World) -> None:
    await _paid(world)
    world.clock.at = _local(2026, 12, 6, 3)
    async with world.restarted() as other:
        await asyncio.gather(*(_months(one).report_due() for one in (world, other) for _ in "123"))
    assert await _months(world).report_due() == Tally()
    await world.sql("DELETE FROM outbox")  # as the cleanup does in half a year
    assert await _months(world).report_due() == Tally()
    assert await _reports(world) == []


async def test_months_that_were_missed_are_made_up_one_by_one(world: World) -> None:
    await _paid(world)
    world.clock.at = _local(2026, 12, 6, 3)
    await _months(world).report_due()
    world.clock.at = _local(2027, 3, 7, 3)
    assert await _months(world).report_due() == Tally(3, 3)
    assert [one["month"] for one in await _reports(world, SECOND_ADMIN)] == [
        "2026-11-01",
        "2026-12-01",
        "2027-01-01",
        "2027-02-01",
    ]


async def test_no_report_of_a_time_before_the_first_deal(world: World) -> None:
    world.clock.at = _local(2026, 11, 29, 3)
    assert await _months(world).report_due() == Tally(), "nothing was ever opened"
    await _paid(world)
    assert await _months(world).report_due() == Tally(), "October had no deal"
    world.clock.at = _local(2026, 12, 6, 3)
    assert await _months(world).report_due() == Tally(1, 1)


async def test_a_quiet_month_is_reported_as_quiet(world: World) -> None:
    await _paid(world)
    world.clock.at = _local(2027, 1, 3, 3)
    await _months(world).report_due()
    (report,) = await _reports(world)
    assert (report["month"], report["money"], report["buyers"]) == ("2026-12-01", {}, 0)


async def test_it_says_count_volume_people_and_disputes(world: World) -> None:
    await world.person(2_002, "Mary", "254711222333")
    await world.people.register_seller(2_002, "Mary Shop", "254711222333")
    await world.people.verify_seller(2_002, ADMIN)
    before = await _paid(world)
    await world.escrows.dispute(before.id, BRIAN, "It is a fake", cause="test:0")
    world.clock.at = _local(2026, 12, 1)
    won, lost, split, other, settled, back, waits = [await _paid(world) for _ in range(7)]
    dollars = await world.deal(100, currency=Currency.USD, buyer=OTIENO, seller=2_002)
    await world.pay(dollars, 105, buyer=OTIENO)
    unpaid = await world.deal(500, buyer=BRIAN)
    await world.escrows.cancel(unpaid.id, BRIAN)
    for number, deal in enumerate((won, lost, split, other, settled, back, waits)):
        await world.escrows.dispute(deal.id, BRIAN, "It is a fake", cause=f"test:{number}x")
    await world.resolve(won.id, ADMIN, "buyer")
    await world.resolve(lost.id, ADMIN, "seller")
    for deal in (split, other):
        await world.resolve(deal.id, ADMIN, "split")
    offer = await world.escrows.offer_settlement(settled.id, JANE, buyer_percent=10, cause="test:o")
    await world.escrows.accept_offer(offer.id, BRIAN)
    await world.escrows.withdraw_dispute(back.id, BRIAN)
    world.clock.at = _local(2027, 1, 1)
    await world.resolve(before.id, ADMIN, "buyer")
    await _paid(world)
    world.clock.at = _local(2027, 1, 3, 3)
    await _months(world).report_due()
    (report,) = await _reports(world)
    assert report["month"] == "2026-12-01"
    assert (report["buyers"], report["sellers"]) == (2, 2)
    kes, usd = report["money"]["KES"], report["money"]["USD"]
    assert (kes["opened"], kes["funded"], kes["funded_minor"]) == (8, 7, 7 * 1_050_00)
    assert (kes["completed"], kes["refunded"], kes["cancelled"]) == (4, 1, 1)
    assert (usd["funded"], usd["funded_minor"]) == (1, 105_00)
    assert report["disputes"] == {
        "opened": 7,
        "buyer": 1,
        "seller": 1,
        "split": 2,
        "settled": 1,
        "withdrawn": 1,
        "open": 2,
    }


@pytest.mark.parametrize("offset", [-SECOND, timedelta(0)])
async def test_a_deal_belongs_to_the_month_of_its_local_day(
    world: World, offset: timedelta
) -> None:
    world.clock.at = _local(2026, 12, 1) + offset
    await _paid(world)
    world.clock.at = _local(2027, 1, 3, 3)
    await _paid(world)
    await _months(world).report_due()
    found = await _reports(world)
    assert [one["buyers"] for one in found if one["month"] == "2026-12-01"] == [int(not offset)]


async def test_a_changed_zone_counts_nothing_twice_and_leaves_nothing_out(world: World) -> None:
    world.clock.at = _local(2026, 11, 20)
    await _paid(world)
    world.clock.at = _local(2026, 12, 1, 5)
    await _months(world).report_due()
    world.clock.at = _local(2027, 1, 3, 3)
    assert await _months(world, "Pacific/Apia").report_due() == Tally(1, 1)
    rows = await world.sql("SELECT * FROM monthly_reports ORDER BY month")
    assert rows[1]["starts_at"] == rows[0]["ends_at"]
    assert rows[1]["ends_at"] == _local(2027, 1, 1, zone="Pacific/Apia")
