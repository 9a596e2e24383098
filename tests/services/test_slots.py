"""Jobs of the clock: each planned time is run once, by one of any number of processes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from escrow.domain.errors import Fault
from escrow.domain.schedule import parse
from escrow.services.slots import Slots
from escrow.store.slots import Slot
from tests.world import ADMIN, World

NAIROBI = ZoneInfo("Africa/Nairobi")
NINE = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
DAILY, TWICE = parse("9:00"), parse("9:00,21:00")


def process(world: World) -> Slots:
    """A process with a clockwork of its own."""
    return Slots(world.db, world.clock, NAIROBI, beat_seconds=0.01)


async def installed(world: World, at: datetime = NINE - timedelta(hours=1)) -> Slots:
    """Before nine, a process that has looked once."""
    world.clock.at = at
    slots = process(world)
    assert await slots.take("remind", TWICE) is None
    return slots


async def states(world: World) -> dict[datetime, str]:
    rows = await world.sql("SELECT planned_at, state FROM job_slots ORDER BY planned_at")
    return {row["planned_at"]: row["state"] for row in rows}


async def fine() -> bool:
    return True


async def taken(slots: Slots) -> Slot:
    slot = await slots.take("remind", TWICE)
    assert slot is not None
    return slot


async def test_a_new_installation_has_missed_nothing(world: World) -> None:
    await installed(world)
    assert list((await states(world)).values()) == ["SUPERSEDED"]


async def test_a_slot_is_run_at_its_second_and_once(world: World) -> None:
    slots = await installed(world, NINE - timedelta(seconds=1))
    assert await slots.take("remind", TWICE) is None
    world.clock.tick(seconds=1)
    slot = await taken(slots)
    assert (slot.planned_at, slot.tries) == (NINE, 1)
    assert await slots.take("remind", TWICE) is None, "it is being run"
    assert await slots.run(slot, fine) is True
    assert await slots.take("remind", TWICE) is None, "it is done"
    world.clock.tick(hours=11, minutes=59, seconds=59)
    assert await slots.take("remind", TWICE) is None
    world.clock.tick(seconds=1)
    assert (await taken(slots)).planned_at == NINE + timedelta(hours=12)


async def test_of_ten_processes_one_runs_it(world: World) -> None:
    await installed(world)
    world.clock.at = NINE
    found = await asyncio.gather(*(process(world).take("remind", TWICE) for _ in range(10)))
    assert len([one for one in found if one is not None]) == 1


async def test_after_three_days_of_outage_the_newest_runs_and_the_others_are_recorded(
    world: World,
) -> None:
    await installed(world)
    world.clock.at = NINE + timedelta(days=3, hours=1)
    slot = await taken(process(world))
    assert slot.planned_at == NINE + timedelta(days=3)
    assert list((await states(world)).values()) == ["SUPERSEDED"] * 7 + ["RUNNING"]


async def test_a_silent_owner_is_followed_after_ten_seconds_not_before(world: World) -> None:
    first = await installed(world)
    world.clock.at = NINE
    slot = await taken(first)
    second = process(world)
    world.clock.tick(seconds=10)
    assert await second.take("remind", TWICE) is None
    world.clock.tick(seconds=1)
    again = await taken(second)
    assert (again.planned_at, again.owner, again.tries) == (NINE, second.owner, 2)
    assert await first.run(slot, fine) is None, "it is not the first one's any more"
    assert await second.run(again, fine) is True
    assert (await states(world))[NINE] == "DONE"


async def test_who_is_slow_but_alive_keeps_his_slot(world: World) -> None:
    slots = await installed(world)
    world.clock.at = NINE
    slot = await taken(slots)
    beats = asyncio.Event()

    async def slow() -> bool:
        for _ in range(3):
            world.clock.tick(seconds=9)
            while await world.value("SELECT beat_at FROM job_slots WHERE state = 'RUNNING'") != (
                world.clock.now()
            ):
                await asyncio.wait_for(asyncio.to_thread(lambda: None), 1)
            assert await process(world).take("remind", TWICE) is None
        beats.set()
        return True

    assert await slots.run(slot, slow) is True
    assert beats.is_set()


async def test_whose_slot_was_taken_over_is_stopped(world: World) -> None:
    first = await installed(world)
    world.clock.at = NINE
    slot = await taken(first)
    stopped = asyncio.Event()

    async def endless() -> bool:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return True

    world.clock.tick(seconds=11)
    await taken(process(world))
    assert await first.run(slot, endless) is None
    assert stopped.is_set()


async def test_a_slot_that_failed_is_tried_again_later_and_later(world: World) -> None:
    slots = await installed(world)
    world.clock.at = NINE

    async def fails() -> bool:
        return False

    for minutes in (1, 5, 15, 60, 60):
        assert await slots.run(await taken(slots), fails) is False
        world.clock.tick(minutes=minutes, seconds=-1)
        assert await slots.take("remind", TWICE) is None
        world.clock.tick(seconds=1)
    assert await slots.run(await taken(slots), fine) is True


async def test_an_exception_leaves_the_slot_to_whoever_comes_next(world: World) -> None:
    slots = await installed(world)
    world.clock.at = NINE

    async def dies() -> bool:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await slots.run(await taken(slots), dies)
    world.clock.tick(seconds=11)
    assert (await taken(process(world))).tries == 2


async def test_a_failing_slot_makes_way_for_the_next_one(world: World) -> None:
    slots = await installed(world)
    world.clock.at = NINE

    async def fails() -> bool:
        return False

    assert await slots.run(await taken(slots), fails) is False
    world.clock.tick(hours=12)
    assert (await taken(slots)).planned_at == NINE + timedelta(hours=12)
    assert (await states(world))[NINE] == "SUPERSEDED"


async def test_a_slot_that_still_runs_is_not_doubled_by_the_next_one(world: World) -> None:
    slots = await installed(world)
    world.clock.at = NINE
    slot = await taken(slots)
    world.clock.tick(hours=12)
    await world.sql("UPDATE job_slots SET beat_at = $1 WHERE state = 'RUNNING'", world.clock.now())
    assert await process(world).take("remind", TWICE) is None
    assert await slots.run(slot, fine) is True
    assert (await taken(slots)).planned_at == NINE + timedelta(hours=12)


async def test_in_a_pause_slots_wait_for_its_end(world: World) -> None:
    slots = await installed(world)
    await world.pauses.pause(ADMIN, "test", "pause:1")
    world.clock.at = NINE
    assert await slots.take("remind", TWICE) is None
    assert await slots.take("close", DAILY, in_pause=True) is None, "new, nothing missed"
    await world.pauses.resume(ADMIN, "resume:1")
    await world.pauses.carry_on()
    assert (await taken(slots)).planned_at == NINE


async def test_jobs_do_not_wait_for_each_other(world: World) -> None:
    slots = await installed(world)
    assert await slots.take("rate", DAILY) is None
    world.clock.at = NINE
    await taken(slots)
    assert await slots.take("rate", DAILY) is not None


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE job_slots SET state = 'OPEN', finished_at = NULL WHERE state = 'DONE'",
        "UPDATE job_slots SET planned_at = planned_at - interval '1h' WHERE state = 'DONE'",
    ],
)
async def test_what_is_over_stays_over(world: World, change: str) -> None:
    slots = await installed(world)
    world.clock.at = NINE
    await slots.run(await taken(slots), fine)
    with pytest.raises(Fault, match="job_slot_over"):
        await world.sql(change)
