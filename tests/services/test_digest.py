"""The morning's digest: once per local day and admin, at its hour, whoever runs the job."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from escrow.domain.model import Evidence
from escrow.services.digest import Digest
from tests.services.test_flags import _raise
from tests.world import ADMIN, ADMINS, BRIAN, JANE, SECOND_ADMIN, World, kes

NAIROBI = ZoneInfo("Africa/Nairobi")
EMPTY = {
    "disputes": 0,
    "unanswered": 0,
    "questions": 0,
    "by_hand": 0,
    "unknown": 0,
    "sellers": 0,
    "flags": {},
    "unmatched": 0,
}


def _digest(world: World, zone: str = "Africa/Nairobi", hour: int = 8) -> Digest:
    return Digest(world.db, world.clock, ADMINS, ZoneInfo(zone), hour)


async def _here_for_long(world: World) -> None:
    await world.sql("UPDATE people SET started_at = $1", world.clock.now() - timedelta(days=30))


def _local(hour: int, minute: int = 0, second: int = 0, day: int = 24) -> datetime:
    return datetime(2026, 11, day, hour, minute, second, tzinfo=NAIROBI).astimezone(UTC)


async def _digests(world: World, admin: int = ADMIN) -> list[str]:
    rows = await world.sql(
        "SELECT cause FROM outbox WHERE kind = 'digest' AND chat_id = $1 ORDER BY id", admin
    )
    return [row["cause"] for row in rows]


async def test_it_comes_at_its_hour_and_not_a_second_before(world: World) -> None:
    await _here_for_long(world)
    world.clock.at = _local(7, 59, 59)
    assert await _digest(world).queue_due() == 0
    world.clock.at = _local(8)
    assert await _digest(world).queue_due() == 2
    for admin in ADMINS:
        assert await _digests(world, admin) == ["digest:2026-11-24"]


async def test_a_repeated_job_and_two_processes_send_one(world: World) -> None:
    await _here_for_long(world)
    world.clock.at = _local(8)
    async with world.restarted() as other:
        await asyncio.gather(*(_digest(one).queue_due() for one in (world, other) for _ in "123"))
    world.clock.tick(hours=5)
    assert await _digest(world).queue_due() == 0
    assert await _digests(world) == ["digest:2026-11-24"]
    world.clock.at = _local(8, day=25)
    await _digest(world).queue_due()
    assert await _digests(world) == ["digest:2026-11-24", "digest:2026-11-25"]


async def test_a_missed_one_is_made_up_on_its_day_but_not_at_night(world: World) -> None:
    await _here_for_long(world)
    world.clock.at = _local(21)
    assert await _digest(world).queue_due() == 0
    world.clock.at = _local(0, 30, day=25)
    assert await _digest(world).queue_due() == 0
    world.clock.at = _local(20, 59, 59, day=25)
    assert await _digest(world).queue_due() == 2
    assert await _digests(world) == ["digest:2026-11-25"]


@pytest.mark.parametrize(
    ("zone", "at", "day"),
    [
        ("Pacific/Auckland", datetime(2026, 11, 23, 19, 0, tzinfo=UTC), "2026-11-24"),
        ("America/New_York", datetime(2026, 11, 23, 13, 0, tzinfo=UTC), "2026-11-23"),
        ("Asia/Kolkata", datetime(2026, 11, 23, 2, 30, tzinfo=UTC), "2026-11-23"),
    ],
)
async def test_the_hour_and_the_day_are_those_of_the_zone(
    world: World, zone: str, at: datetime, day: str
) -> None:
    await _here_for_long(world)
    world.clock.at = at - timedelta(seconds=1)
    assert await _digest(world, zone).queue_due() == 0
    world.clock.at = at
    assert await _digest(world, zone).queue_due() == 2
    assert await _digests(world) == [f"digest:{day}"]


async def test_a_late_hour_is_kept(world: World) -> None:
    await _here_for_long(world)
    world.clock.at = _local(22, 59, 59)
    assert await _digest(world, hour=23).queue_due() == 0
    world.clock.at = _local(23)
    assert await _digest(world, hour=23).queue_due() == 2


async def test_who_came_after_its_hour_reads_his_first_one_tomorrow(world: World) -> None:
    await _here_for_long(world)
    await world.sql(
        "UPDATE people SET started_at = $1 WHERE telegram_id = $2", _local(9), SECOND_ADMIN
    )
    world.clock.at = _local(10)
    assert await _digest(world).queue_due() == 1
    assert await _digests(world, SECOND_ADMIN) == []
    world.clock.at = _local(8, day=25)
    assert await _digest(world).queue_due() == 2


async def test_when_nothing_waits_it_says_so(world: World) -> None:
    await _here_for_long(world)
    world.clock.at = _local(8)
    await _digest(world).queue_due()
    assert await world.notice(ADMIN, "digest") == EMPTY


async def test_it_counts_everything_that_waits_for_a_person(world: World) -> None:
    await _here_for_long(world)
    deals = []
    for _ in range(2):
        deals.append(await world.deal(1_000, buyer=BRIAN))
        await world.pay(deals[-1], 1_050)
    await world.escrows.dispute(deals[0].id, BRIAN, "It is broken", cause="test:1")
    world.clock.tick(hours=49)
    await world.escrows.dispute(deals[1].id, BRIAN, "It is broken", cause="test:2")
    await world.help.ask(JANE, None, "Where is my money?", "test:3")
    await _raise(world, BRIAN, severity="CRITICAL")
    await _raise(world, JANE, severity="LOW", user_type="seller")
    await world.person(2_002, "Mary", "254711222333")
    await world.people.register_seller(2_002, "Mary Shop", "254711222333")
    await world.funds.process_escrow_payment(world.by_hand(None, kes(500)), Evidence.STATUS)
    world.clock.at = _local(8, day=26)
    await _digest(world).queue_due()
    assert await world.notice(ADMIN, "digest") == {
        **EMPTY,
        "disputes": 2,
        "unanswered": 1,
        "questions": 1,
        "sellers": 1,
        "flags": {"CRITICAL": 1, "LOW": 1},
        "unmatched": 1,
    }
