"""The admins hear before the float is short: once a day, again when it has doubled."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from escrow.domain.money import Money
from escrow.services.float_watch import FloatWatch
from escrow.store import floating
from escrow.store.floating import Reading
from tests.world import ADMIN, ADMINS, BRIAN, JANE, NOW, World, kes

SECOND = timedelta(seconds=1)


@pytest.fixture
def watch(world: World) -> FloatWatch:
    return FloatWatch(world.db, world.clock, world.floating, ADMINS, ZoneInfo("Africa/Nairobi"))


async def _there(world: World, amount: Money) -> None:
    """M-Pesa says how much there is."""
    async with world.db.unit() as conn:
        reading = Reading("mpesa:utility", amount, kes(0), world.clock.now(), "test")
        await floating.take_reading(conn, reading)


async def _shipped(world: World) -> timedelta:
    """Jane's 10,000 fall due; in how long."""
    deal = await world.deal(buyer=BRIAN)
    await world.pay(deal, 10_500)
    await world.escrows.ship(
        deal.id, JANE, tracking="G4S 12345", proof=None, cause=f"test:ship:{deal.id}"
    )
    found = (await world.escrow(deal.id)).release_at
    assert found is not None
    return found - world.clock.now()


async def _told(world: World) -> list[str]:
    rows = await world.sql(
        "SELECT params FROM outbox WHERE kind = 'float_short' AND chat_id = $1 ORDER BY id", ADMIN
    )
    return [row["params"]["short"] for row in rows]


async def test_what_falls_due_within_a_day_counts_and_not_a_second_earlier(
    world: World, watch: FloatWatch
) -> None:
    due_in = await _shipped(world)
    await _there(world, kes(9_000))
    world.clock.at += due_in - timedelta(hours=24) - SECOND
    assert await watch.warn_due() == (1, 0)
    world.clock.tick(seconds=1)
    assert await watch.warn_due() == (1, 1)
    assert await _told(world) == ["KES 1,000"]


async def test_enough_is_enough(world: World, watch: FloatWatch) -> None:
    due_in = await _shipped(world)
    await _there(world, kes(10_000))
    world.clock.at += due_in
    assert await watch.warn_due() == (1, 0)


async def test_once_a_day_and_again_when_it_doubled(world: World, watch: FloatWatch) -> None:
    world.clock.at += await _shipped(world)
    for amount, told in ((9_000, 1), (8_980, 0), (9_500, 0), (7_900, 1), (9_990, 0)):
        world.clock.tick(minutes=1)
        await _there(world, kes(amount))
        assert await watch.warn_due() == (1, told), amount
    assert await _told(world) == ["KES 1,000", "KES 2,100"]
    world.clock.tick(days=1)
    assert await watch.warn_due() == (1, 1)
    assert len(await _told(world)) == 3


async def test_the_day_is_the_zones(world: World, watch: FloatWatch) -> None:
    world.clock.at += await _shipped(world)
    world.clock.at = world.clock.at.replace(hour=20, minute=59, second=59)
    await _there(world, kes(0))
    assert await watch.warn_due() == (1, 1)
    world.clock.tick(seconds=1)  # midnight in Nairobi
    assert await watch.warn_due() == (1, 1)


async def test_two_processes_tell_it_once(world: World, watch: FloatWatch) -> None:
    world.clock.at += await _shipped(world)
    await _there(world, kes(1))
    await asyncio.gather(*(watch.warn_due() for _ in range(4)))
    assert len(await _told(world)) == 1
    assert world.clock.now() > NOW
