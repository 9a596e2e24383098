"""Sellers are counted when something happened to them; whose level changes reads it once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from escrow.domain.model import Escrow
from escrow.domain.terms import Level
from escrow.services.batches import Tally
from escrow.services.ratings import Ratings
from escrow.services.standing import Standings
from escrow.store import ratings as store
from escrow.store.ratings import Standing
from tests.world import ADMIN, BRIAN, JANE, NOW, World


def _standings(world: World) -> Standings:
    return Standings(world.db, world.clock)


async def _count(world: World) -> Tally:
    return await _standings(world).count()


async def _paid(world: World) -> Escrow:
    deal = await world.deal(1_000, buyer=BRIAN)
    await world.pay(deal, 1_050)
    return deal


async def _sold(world: World, count: int = 1, stars: int | None = None) -> None:
    for _ in range(count):
        deal = await _paid(world)
        await world.escrows.receive(deal.id, BRIAN, cause=f"test:{deal.id}")
        if stars is not None:
            await Ratings(world.db, world.clock).rate(deal.id, BRIAN, stars)


async def _row(world: World, telegram_id: int = JANE) -> Mapping[str, Any]:
    (row,) = await world.sql(
        "SELECT id, average_rating, success_rate, dispute_rate, total_sales, level, counted_at"
        " FROM escrow_sellers WHERE telegram_id = $1",
        telegram_id,
    )
    return row


async def test_a_sellers_row_keeps_what_he_has_shown(world: World) -> None:
    await _sold(world, 2, stars=5)
    await _sold(world, 1, stars=4)
    declined = await _paid(world)
    await world.escrows.decline(declined.id, JANE)
    lost = await _paid(world)
    await world.escrows.dispute(lost.id, BRIAN, "It is a fake", cause="test:1")
    await world.resolve(lost.id, ADMIN, "buyer")
    won = await _paid(world)
    await world.escrows.dispute(won.id, BRIAN, "I want more", cause="test:2")
    await world.resolve(won.id, ADMIN, "seller")
    await _paid(world)
    await _count(world)
    row = await _row(world)
    assert row["average_rating"] == Decimal("4.66"), "cut, not rounded"
    assert row["total_sales"] == 4
    assert row["success_rate"] == Decimal("66.66"), "4 of 4 + 1 declined + 1 lost"
    assert row["dispute_rate"] == Decimal("14.28"), "1 of 7 paid deals: the lost one is no reason"
    assert row["level"] == "NEW"
    assert row["counted_at"] == world.clock.at


async def test_what_is_kept_is_what_the_page_shows(world: World) -> None:
    await _sold(world, 6, stars=5)
    await _count(world)
    row = await _row(world)
    page = await Ratings(world.db, world.clock).seller_page(row["id"])
    assert (page.level, page.sales) == (Level(row["level"]), row["total_sales"])
    assert page.average == Decimal(row["average_rating"])
    assert page.success is not None
    assert page.success * 100 == Decimal(row["success_rate"])


async def test_a_new_seller_has_nothing_to_go_by(world: World) -> None:
    assert await _count(world) == Tally(1, 1)
    row = await _row(world)
    assert [row[name] for name in ("average_rating", "success_rate", "dispute_rate")] == [None] * 3
    assert (row["total_sales"], row["level"]) == (0, "NEW")
    assert await world.told(JANE) == []


async def test_who_rises_is_told_once(world: World) -> None:
    await _sold(world, 4)
    await _count(world)
    assert "level_up" not in await world.told(JANE)
    await _sold(world, 1, stars=3)
    for _ in range(3):
        world.clock.tick(hours=24)
        await _count(world)
    assert (await world.told(JANE)).count("level_up") == 1
    assert await world.notice(JANE, "level_up") == {
        "shop": "Jane Shop",
        "level": "BRONZE",
        "before": "NEW",
        "sales": 5,
        "stars": "3",
        "lost": 0,
    }


async def test_who_falls_is_told_and_who_rises_again_too(world: World) -> None:
    await _sold(world, 5)
    await world.sql("UPDATE escrow_sellers SET level = 'GOLD'")
    await _count(world)
    assert (await world.notice(JANE, "level_down"))["before"] == "GOLD"
    await world.sql("UPDATE escrow_sellers SET level = 'NEW', counted_at = NULL")
    world.clock.tick(hours=24)
    await _count(world)
    assert [kind for kind in await world.told(JANE) if kind.startswith("level")] == [
        "level_down",
        "level_up",
    ]


async def test_raced_counts_tell_once(world: World) -> None:
    await _sold(world, 5)
    async with world.restarted() as other:
        await asyncio.gather(*(_standings(one).count() for one in (world, other) for _ in "123"))
    assert (await world.told(JANE)).count("level_up") == 1


async def test_only_who_has_changed_is_counted_again(world: World) -> None:
    await _sold(world, 1)
    assert await _count(world) == Tally(1, 1)
    world.clock.tick(hours=24)
    assert await _count(world) == Tally(1, 1), "the sale was too near to the count"
    world.clock.tick(hours=24)
    assert await _count(world) == Tally()
    await _sold(world, 1)
    assert await _count(world) == Tally(1, 1)


async def test_what_was_committed_around_the_last_count_is_not_lost(world: World) -> None:
    await _sold(world, 1)
    world.clock.tick(minutes=60)
    assert await _count(world) == Tally(1, 1)
    world.clock.tick(hours=5)
    assert await _count(world) == Tally(1, 1), "an hour before the count may have been under way"
    assert await _count(world) == Tally()


async def test_stars_that_come_later_count(world: World) -> None:
    deal = await _paid(world)
    await world.escrows.receive(deal.id, BRIAN, cause="test:r")
    await _count(world)
    world.clock.tick(hours=10)
    await Ratings(world.db, world.clock).rate(deal.id, BRIAN, 2)
    world.clock.tick(hours=14)
    assert await _count(world) == Tally(1, 1)
    assert (await _row(world))["average_rating"] == 2


async def test_one_bad_seller_stops_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.person(2_002, "Mary", "254711222333")
    await world.people.register_seller(2_002, "Mary Shop", "254711222333")
    bad = (await _row(world))["id"]
    real = store.standings

    async def poisoned(conn: Any, sellers: Any) -> dict[int, Standing]:
        found = await real(conn, sellers)
        if bad in found:
            raise ValueError("poison")
        return found

    monkeypatch.setattr(store, "standings", poisoned)
    assert await _count(world) == Tally(2, 1, 1)
    assert (await _row(world, 2_002))["counted_at"] == world.clock.at
    monkeypatch.undo()
    assert await _count(world) == Tally(1, 1), "the bad one is tried again"


@pytest.mark.parametrize(
    ("sales", "ratings", "stars", "lost", "level"),
    [
        (4, 0, 0, 0, Level.NEW),
        (5, 0, 0, 0, Level.BRONZE),
        (19, 1, 5, 0, Level.BRONZE),
        (20, 100, 399, 0, Level.BRONZE),
        (20, 100, 400, 0, Level.SILVER),
        (49, 10, 50, 0, Level.SILVER),
        (50, 100, 449, 0, Level.SILVER),
        (50, 100, 450, 0, Level.GOLD),
        (100, 100, 479, 0, Level.GOLD),
        (100, 100, 480, 0, Level.DIAMOND),
        (100, 100, 480, 6, Level.GOLD),
        (95, 100, 500, 5, Level.GOLD),
        (100, 100, 500, 5, Level.DIAMOND),
        (114, 100, 500, 6, Level.GOLD),
        (115, 100, 500, 6, Level.DIAMOND),
    ],
)
def test_levels_have_these_edges(
    sales: int, ratings: int, stars: int, lost: int, level: Level
) -> None:
    assert Standing(NOW - timedelta(days=1), sales, 0, lost, ratings, stars).level is level
