"""Jobs of the clock: each planned time is run once, by one of any number of processes."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from escrow.bot.page import Page, clock_time
from escrow.domain.errors import DatabaseDown, Fault, TimedOut
from escrow.domain.schedule import parse
from escrow.services import slots as module
from escrow.services.slots import BEAT_SECONDS, MISSED_BEATS, SILENCE, Slots
from escrow.store import slots as store
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


class Endless:
    """Work that never ends by itself."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.stopped = False

    async def __call__(self) -> bool:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.stopped = True
        return True


async def taken(slots: Slots) -> Slot:
    slot = await slots.take("remind", TWICE)
    assert slot is not None
    return slot


async def taken_over(slots: Slots) -> Slot:
    """Takes it between two beats of its owner, who beats every few milliseconds here."""
    async with asyncio.timeout(10):
        while (slot := await slots.take("remind", TWICE)) is None:
            slots._clock.tick(seconds=11)  # type: ignore[attr-defined]
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
    work = Endless()
    running = asyncio.ensure_future(first.run(slot, work))
    await work.begun.wait()
    world.clock.tick(seconds=11)
    second = process(world)
    again = await taken_over(second)
    assert await running is None
    assert work.stopped
    assert await second.run(again, fine) is True


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
    world.clock.tick(seconds=59)
    assert await process(world).take("remind", TWICE) is None, "not at once, for ever"
    world.clock.tick(seconds=1)
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


async def test_a_slot_that_a_pause_meets_is_not_done_and_runs_after_it(world: World) -> None:
    slots = await installed(world)
    world.clock.at = NINE
    slot = await taken(slots)
    await world.pauses.pause(ADMIN, "test", "pause:1")

    async def stands_still() -> None:
        return None

    assert await slots.run(slot, stands_still) is None
    assert (await states(world))[NINE] == "OPEN"
    assert await slots.take("remind", TWICE) is None
    await world.pauses.resume(ADMIN, "resume:1")
    await world.pauses.carry_on()
    assert await slots.run(await taken(slots), fine) is True


async def test_who_stood_still_and_comes_back_completes_nothing(world: World) -> None:
    """Also when its slot is done by then, and when it has taken it anew itself."""
    first, second = await installed(world), process(world)
    world.clock.at = NINE
    old = await taken(first)
    world.clock.tick(seconds=11)
    newer = await taken(second)
    begun = Endless()
    assert await first.run(old, begun) is None
    assert not begun.begun.is_set(), "not even begun"
    world.clock.tick(seconds=11)
    newest = await taken(first)
    assert newest.owner == old.owner
    async with world.db.unit() as conn:
        for late in (old, newer):
            assert not await store.beat(conn, late, world.clock.now())
            assert not await store.finish(conn, late, world.clock.now())
            assert not await store.release(conn, late, None)
    assert await first.run(newest, fine) is True
    assert await first.run(old, fine) is None
    assert (await states(world))[NINE] == "DONE"


async def test_who_is_stopped_hands_his_slot_on_at_once(world: World) -> None:
    first = await installed(world)
    world.clock.at = NINE
    work = Endless()
    running = asyncio.ensure_future(first.run(await taken(first), work))
    await work.begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert work.stopped
    again = await taken(process(world))
    assert (again.planned_at, again.tries) == (NINE, 2)


async def test_who_cant_say_that_he_lives_gives_up_before_another_may_take_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots = await installed(world)
    world.clock.at = NINE
    slot, work = await taken(slots), Endless()
    tries = 0
    real = store.beat

    async def away(*args: Any) -> bool:
        nonlocal tries
        if not work.begun.is_set():
            return await real(*args)
        tries += 1
        raise DatabaseDown

    monkeypatch.setattr(store, "beat", away)
    assert await slots.run(slot, work) is None
    assert work.stopped
    assert 1 <= tries <= MISSED_BEATS
    assert timedelta(seconds=MISSED_BEATS * BEAT_SECONDS) < SILENCE
    assert (await states(world))[NINE] == "RUNNING", "whoever comes after ten seconds takes it"


async def test_a_beat_that_is_lost_now_and_then_loses_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MISSED_BEATS", 500)  # of these fast ones, on a slow machine
    slots = process(world)
    await installed(world)
    world.clock.at = NINE
    slot = await taken(slots)
    beats = 0
    enough = asyncio.Event()
    real = store.beat

    async def flickers(*args: Any) -> bool:
        nonlocal beats
        beats += 1
        if beats > 8:
            enough.set()
        if beats % 2 == 0:
            raise DatabaseDown
        return await real(*args)

    monkeypatch.setattr(store, "beat", flickers)

    async def long() -> bool:
        await enough.wait()
        return True

    assert await slots.run(slot, long) is True


async def test_what_was_done_while_postgresql_was_away_is_completed_when_it_is_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", (0, 0, 0))
    slots = await installed(world)
    world.clock.at = NINE
    away = [DatabaseDown(), TimedOut()]
    real = store.finish

    async def finish(*args: Any) -> bool:
        if away:
            raise away.pop()
        return await real(*args)

    monkeypatch.setattr(store, "finish", finish)
    assert await slots.run(await taken(slots), fine) is True
    assert (await states(world))[NINE] == "DONE"
    world.clock.tick(hours=12)
    away += [DatabaseDown()] * 4
    with pytest.raises(DatabaseDown):
        await slots.run(await taken(slots), fine)


async def test_a_clock_that_was_set_back_misses_no_slot(world: World) -> None:
    """Slots that were planned while it was two days ahead do not keep the ones before away."""
    await installed(world)
    world.clock.at = NINE + timedelta(days=2)
    ahead = process(world)
    await taken(ahead)
    world.clock.at = NINE - timedelta(hours=1)
    slots, done = process(world), list[Slot]()
    assert await slots.take("remind", TWICE) is None
    for hours in (0, 12, 24, 36):
        world.clock.at = NINE + timedelta(hours=hours, minutes=1)
        done.append(slot := await taken(slots))
        assert await slots.run(slot, fine) is True
    assert [slot.planned_at for slot in done] == [
        NINE + timedelta(hours=hours) for hours in (0, 12, 24, 36)
    ]
    world.clock.at = NINE + timedelta(days=2, seconds=11)
    assert (await taken(slots)).tries == 2, "nobody has completed it"


async def test_who_looks_while_another_looks_does_not_wait_for_him(world: World) -> None:
    slots = await installed(world)
    world.clock.at = NINE
    async with world.db.unit() as conn:
        assert await store.lock_job(conn, "remind")
        assert await slots.take("remind", TWICE) is None
    assert (await taken(slots)).planned_at == NINE


@pytest.fixture(params=["America/New_York", "Europe/Helsinki", "Pacific/Apia"])
def host_zone(request: pytest.FixtureRequest) -> Iterator[str]:
    """The zone that the host is set to; it is nobody's business."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = request.param
    time.tzset()
    yield request.param
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.parametrize(
    "since",
    # nights in which the clocks of New York, Helsinki and Apia change, or changed
    ["2026-03-07", "2026-03-28", "2026-10-24", "2026-10-31", "2011-12-29", "2021-04-03"],
)
async def test_the_hosts_zone_and_its_nights_change_no_slot_and_no_time_that_is_shown(
    world: World, host_zone: str, since: str
) -> None:
    assert time.tzname != ("UTC", "UTC")
    begin = datetime.fromisoformat(since).replace(tzinfo=UTC)
    world.clock.at = begin
    slots, schedule = process(world), parse("6:00,9:00,21:00")
    await slots.take("remind", schedule)
    run = []
    for _ in range(3 * 48):
        world.clock.tick(minutes=30)
        if slot := await slots.take("remind", schedule):
            assert slot.planned_at == world.clock.now(), "at its own half hour"
            assert await slots.run(slot, fine) is True
            run.append(slot.planned_at)
    midnight = [begin + timedelta(days=day) for day in range(3)]
    assert run == [day + timedelta(hours=hour) for day in midnight for hour in (3, 6, 18)]
    page = Page("en", NAIROBI, world.clock.now(), sandbox=True, business="", paybill="")
    assert [clock_time(page, at) for at in run[:3]] == ["06:00", "09:00", "21:00"]


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
