"""Whatever fell due while Amana or M-Pesa was down for over an hour falls due as much later."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest

from escrow.domain.errors import DatabaseDown
from escrow.domain.model import Escrow
from escrow.services import outages as service
from escrow.services.outages import Outages
from escrow.store import outages as rows
from escrow.store.database import Connection
from tests.world import ADMIN, ADMINS, BRIAN, JANE, World

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


async def _held(world: World) -> Escrow:
    deal = await world.deal(buyer=BRIAN)
    await world.pay(deal, 10_500)
    return await world.escrow(deal.id)


async def _shipped(world: World) -> Escrow:
    deal = await _held(world)
    await world.escrows.ship(
        deal.id, JANE, tracking="G4S 12345", proof=None, cause=f"test:ship:{deal.id}"
    )
    return await world.escrow(deal.id)


def _started(world: World) -> Outages:
    """A process that starts now."""
    return Outages(world.db, world.clock, ADMINS, world.pauses, world.pulse)


async def _due(world: World, deal: Escrow) -> datetime:
    now = await world.escrow(deal.id)
    found = {"PENDING": now.pay_by, "HELD": now.ship_by}.get(str(now.status), now.release_at)
    assert found is not None
    return found


async def _outages(world: World) -> list[tuple[str, datetime, datetime | None, int]]:
    found = await world.sql("SELECT source, began_at, ended_at, moved FROM outages ORDER BY id")
    return [(row["source"], row["began_at"], row["ended_at"], row["moved"]) for row in found]


async def _told(world: World, kind: str) -> list[tuple[int, str | None]]:
    found = await world.sql(
        "SELECT chat_id, escrow_id FROM outbox WHERE kind = $1 ORDER BY chat_id, escrow_id", kind
    )
    return [(row["chat_id"], row["escrow_id"]) for row in found]


# -- of the bot ------------------------------------------------------------------------------------


async def test_three_days_down_move_every_open_deadline_by_three_days_before_anything_runs(
    world: World,
) -> None:
    deals = [await world.deal(buyer=BRIAN), await _held(world), await _shipped(world)]
    due = [await _due(world, deal) for deal in deals]
    await world.outages.beat()
    down = world.clock.now()
    world.clock.tick(days=3)
    await _started(world).ready()
    assert [await _due(world, deal) for deal in deals] == [at + 3 * 24 * HOUR for at in due]
    assert await _outages(world) == [("bot", down, world.clock.now(), 3)]
    assert await world.escrows.cancel_overdue() == (0, 0)
    assert await world.escrows.refund_due() == (0, 0)
    everybody = sorted((person, deal.id) for person in (BRIAN, JANE) for deal in deals)
    assert await _told(world, "outage_moved") == everybody
    assert await _told(world, "outage_over") == [(admin, None) for admin in sorted(ADMINS)]
    notice = await world.notice(ADMIN, "outage_over")
    assert (notice["seconds"], notice["moved"], notice["source"]) == (3 * 86_400, 3, "bot")


@pytest.mark.parametrize(("gap", "moved"), [(-SECOND, 0), (timedelta(0), 0), (SECOND, 1)])
async def test_an_hour_is_no_outage_and_a_second_more_is(
    world: World, gap: timedelta, moved: int
) -> None:
    held = await _held(world)
    due = await _due(world, held)
    await world.outages.beat()
    world.clock.at += HOUR + gap
    await _started(world).ready()
    assert len(await _outages(world)) == moved
    assert await _due(world, held) == due + moved * (HOUR + gap)


@pytest.mark.parametrize("late", [-SECOND, timedelta(0), SECOND])
async def test_what_was_due_when_it_began_is_acted_on_at_once_and_the_rest_waits(
    world: World, late: timedelta
) -> None:
    held = await _held(world)
    due = await _due(world, held)
    world.clock.at = due + late
    await world.outages.beat()
    world.clock.tick(hours=5)
    await _started(world).ready()
    over = late >= timedelta(0)
    assert await world.escrows.refund_due() == ((1, 1) if over else (0, 0))
    if not over:
        assert await _due(world, held) == due + 5 * HOUR
        world.clock.at = due + 5 * HOUR - SECOND
        assert await world.escrows.refund_due() == (0, 0)
        world.clock.tick(seconds=1)
        assert await world.escrows.refund_due() == (1, 1)


async def test_what_is_disputed_frozen_or_waits_for_a_choice_keeps_its_times(world: World) -> None:
    disputed, frozen = await _shipped(world), await _held(world)
    short = await world.deal(buyer=BRIAN)
    await world.pay(short, 9_800)
    await world.escrows.dispute(disputed.id, BRIAN, "it never came", "test:dispute")
    await world.escrows.freeze(frozen.id, ADMIN, "", "test:freeze")
    ends = await world.value("SELECT expires_at FROM underpayment_choices")
    await world.outages.beat()
    world.clock.tick(hours=5)
    await _started(world).ready()
    assert (await world.escrow(disputed.id)).release_at == disputed.release_at
    assert (await world.escrow(frozen.id)).ship_by == frozen.ship_by
    assert await world.value("SELECT expires_at FROM underpayment_choices") == ends
    await world.escrows.unfreeze(frozen.id, ADMIN, "", "test:unfreeze")
    assert frozen.ship_by is not None
    assert (await world.escrow(frozen.id)).ship_by == frozen.ship_by + 5 * HOUR


async def test_a_first_start_a_short_stop_and_an_idle_process_are_no_outages(world: World) -> None:
    await world.outages.ready()
    for _ in range(5):
        world.clock.tick(minutes=55)
        await world.outages.beat()
    assert await _outages(world) == []


async def test_of_two_processes_only_the_silence_of_both_counts(world: World) -> None:
    held = await _held(world)
    due = await _due(world, held)
    one, two = _started(world), _started(world)
    await one.beat()
    await two.beat()
    for _ in range(4):
        world.clock.tick(minutes=50)
        await two.beat()
    await _started(world).ready()  # the first one again
    assert await _outages(world) == []
    world.clock.tick(hours=2)
    await asyncio.gather(*(_started(world).ready() for _ in range(4)))
    assert len(await _outages(world)) == 1
    assert await _due(world, held) == due + 2 * HOUR


async def test_while_postgresql_is_away_nobody_beats_and_that_is_an_outage_too(
    world: World,
) -> None:
    held = await _held(world)
    due = await _due(world, held)
    await world.outages.ready()
    world.clock.tick(hours=3)
    await world.outages.ready()  # before the next job of the same process
    assert await _due(world, held) == due + 3 * HOUR


async def test_a_process_killed_between_two_batches_is_carried_on_and_no_deal_moves_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    deals = [await _held(world) for _ in range(5)]
    due = [await _due(world, deal) for deal in deals]
    await world.outages.beat()
    world.clock.tick(hours=5)
    monkeypatch.setattr(service, "DEALS", 2)
    real, calls = rows.moved, []

    async def killed(conn: Connection, outage: int, up_to: str, count: int) -> None:
        calls.append(up_to)
        await real(conn, outage, up_to, count)
        if len(calls) == 2:
            raise DatabaseDown("killed")

    monkeypatch.setattr(rows, "moved", killed)
    dying = _started(world)
    with pytest.raises(DatabaseDown):
        await dying.ready()
    assert await world.escrows.refund_due() == (0, 0), "nothing is due while they are moved"
    monkeypatch.setattr(rows, "moved", real)
    world.clock.tick(minutes=3)
    await _started(world).ready()
    assert [await _due(world, deal) for deal in deals] == [at + 5 * HOUR for at in due]
    assert len(await _told(world, "outage_moved")) == 10
    assert [one[3] for one in await _outages(world)] == [5]


async def test_while_an_outage_is_moved_what_was_due_before_it_is_not_held_up(
    world: World,
) -> None:
    early = await _held(world)
    world.clock.tick(hours=1)
    late = await _held(world)
    began = await _due(world, early)
    world.clock.at = began + 10 * HOUR
    async with world.db.unit() as conn:
        await rows.begin(conn, "bot", began, world.clock.now())
    assert await world.escrows.refund_due() == (1, 1)
    assert await world.status_of(late) == "HELD"
    assert await world.status_of(early) == "REFUNDED"


async def test_a_clock_that_jumped_is_no_outage_and_releases_nothing(world: World) -> None:
    shipped = await _shipped(world)
    due = await _due(world, shipped)
    await world.outages.ready()
    world.clock.steady = False
    world.clock.tick(hours=48)
    await world.outages.ready()
    assert await world.outages.beat() == 0
    assert await _outages(world) == []
    assert await _due(world, shipped) == due


async def test_a_restart_on_a_clock_that_jumped_loses_nobody_his_time(world: World) -> None:
    """It can't be told from two days down: whatever is due moves with the clock."""
    shipped = await _shipped(world)
    due = await _due(world, shipped)
    await world.outages.ready()
    world.clock.steady = False
    world.clock.tick(hours=48)
    await world.outages.beat()
    world.clock.steady = True
    await _started(world).ready()
    assert await _due(world, shipped) == due + 48 * HOUR


# -- beside pauses ---------------------------------------------------------------------------------


async def test_an_outage_within_a_pause_counts_once(world: World) -> None:
    held = await _held(world)
    due = await _due(world, held)
    await world.pauses.pause(ADMIN, "", "update:1")
    world.clock.tick(hours=1)
    await world.outages.beat()
    world.clock.tick(hours=5)
    await _started(world).ready()
    assert await _due(world, held) == due
    world.clock.tick(hours=1)
    await world.pauses.resume(ADMIN, "update:2")
    assert await _due(world, held) == due + 7 * HOUR


@pytest.mark.parametrize("left", [timedelta(minutes=30), timedelta(hours=72)])
async def test_a_pause_within_an_outage_counts_once(world: World, left: timedelta) -> None:
    """The host may pause, and resume, while no process runs."""
    held = await _held(world)
    due = await _due(world, held)
    world.clock.at = due - left
    await world.outages.beat()
    world.clock.tick(hours=1)
    await world.pauses.pause(None, "", "host:1")
    world.clock.tick(hours=2)
    await world.pauses.resume(None, "host:2")
    world.clock.tick(hours=1)
    await _started(world).ready()
    assert await _due(world, held) == due + 4 * HOUR


async def test_a_pause_that_began_in_an_outage_and_goes_on_counts_once(world: World) -> None:
    held = await _held(world)
    due = await _due(world, held)
    await world.outages.beat()
    world.clock.tick(hours=2)
    await world.pauses.pause(None, "", "host:1")
    world.clock.tick(hours=2)
    await _started(world).ready()
    assert await _due(world, held) == due + 2 * HOUR
    world.clock.tick(hours=1)
    await world.pauses.resume(ADMIN, "update:2")
    assert await _due(world, held) == due + 5 * HOUR


async def test_a_pause_that_ended_in_an_outage_counts_once(world: World) -> None:
    held = await _held(world)
    due = await _due(world, held)
    await world.pauses.pause(ADMIN, "", "update:1")
    world.clock.tick(hours=2)
    await world.outages.beat()
    world.clock.tick(hours=2)
    await world.pauses.resume(None, "host:2")
    world.clock.tick(hours=3)
    await _started(world).ready()
    assert await _due(world, held) == due + 7 * HOUR


async def test_a_pause_that_was_cut_while_it_ended_gives_its_time_first(world: World) -> None:
    held = await _held(world)
    due = await _due(world, held)
    world.clock.at = due - HOUR
    await world.pauses.pause(ADMIN, "", "update:1")
    world.clock.tick(hours=2)
    await world.sql("UPDATE pauses SET resumed_at = $1, resume_cause = 'x'", world.clock.now())
    await world.outages.beat()
    world.clock.tick(hours=4)
    await _started(world).ready()
    assert await world.pauses.current() is None
    assert await _due(world, held) == due + 6 * HOUR


# -- of the rail -----------------------------------------------------------------------------------


async def _ask(world: World, *, minutes: int, every: int = 10, good: bool = False) -> None:
    """M-Pesa is asked every so many minutes, for so long."""
    for _ in range(0, minutes, every):
        world.clock.tick(minutes=every)
        world.pulse.heard(world.clock.now(), good=good)
        await world.outages.beat()


async def test_a_night_without_a_question_is_no_outage(world: World) -> None:
    await _ask(world, minutes=10, good=True)
    for _ in range(20):
        world.clock.tick(minutes=30)
        await world.outages.beat()
    assert await _outages(world) == []


async def test_mpesa_down_for_more_than_an_hour_holds_the_timers_and_gives_the_time_back(
    world: World,
) -> None:
    held = await _held(world)
    due = await _due(world, held)
    world.clock.at = due - 2 * HOUR
    await world.outages.beat()
    world.pulse.heard(world.clock.now(), good=False)
    began = world.clock.now()
    await _ask(world, minutes=60)
    assert await _outages(world) == [], "an hour is no outage"
    await _ask(world, minutes=80)
    assert await _outages(world) == [("rail", began, None, 0)]
    assert await _told(world, "outage_began") == [(admin, None) for admin in sorted(ADMINS)]
    assert world.clock.now() > due
    assert await world.escrows.refund_due() == (0, 0), "it waits"
    await _ask(world, minutes=10, good=True)
    assert await _outages(world) == [("rail", began, world.clock.now(), 1)]
    assert await _due(world, held) == due + (world.clock.now() - began)
    assert await world.escrows.refund_due() == (0, 0)
    world.clock.at = await _due(world, held)
    assert await world.escrows.refund_due() == (1, 1)


async def test_failures_that_are_far_apart_say_nothing(world: World) -> None:
    await _ask(world, minutes=20 * 16, every=16)
    assert await _outages(world) == []


async def test_one_answer_in_between_is_no_outage(world: World) -> None:
    await _ask(world, minutes=50)
    await _ask(world, minutes=10, good=True)
    await _ask(world, minutes=60)
    await _ask(world, minutes=10, good=True)
    assert await _outages(world) == []


async def test_when_nobody_asks_any_more_it_ended_with_the_last_failure(world: World) -> None:
    held = await _held(world)
    due = await _due(world, held)
    began = world.clock.now() + timedelta(minutes=10)
    await _ask(world, minutes=100)
    last = world.clock.now()
    world.clock.tick(minutes=15)
    await world.outages.beat()
    assert (await _outages(world))[0][2] is None
    world.clock.tick(seconds=1)
    await world.outages.beat()
    assert await _outages(world) == [("rail", began, last, 1)]
    assert await _due(world, held) == due + (last - began)


async def test_what_was_sent_during_it_gets_only_the_rest(world: World) -> None:
    deal = await _held(world)
    world.pulse.heard(world.clock.now(), good=False)
    began = world.clock.now()
    await _ask(world, minutes=90)
    await world.escrows.ship(deal.id, JANE, tracking="G4S 12345", proof=None, cause="test:ship")
    shipped = world.clock.now()
    due = await _due(world, deal)
    await _ask(world, minutes=60)
    await _ask(world, minutes=10, good=True)
    assert (await _outages(world))[0][1] == began
    assert await _due(world, deal) == due + (world.clock.now() - shipped)


async def test_what_unfreezing_or_withdrawing_gave_back_within_it_is_not_given_again(
    world: World,
) -> None:
    frozen, both, disputed = await _held(world), await _held(world), await _shipped(world)
    deals = [frozen, both, disputed]
    due = [await _due(world, deal) for deal in deals]
    await _ask(world, minutes=10)
    began = world.clock.now()
    await world.escrows.freeze(both.id, ADMIN, "", "freeze:before")
    await _ask(world, minutes=60)
    await world.escrows.freeze(frozen.id, ADMIN, "", "freeze:1")
    await world.escrows.dispute(disputed.id, BRIAN, "it never came", "test:dispute")
    await _ask(world, minutes=30)
    await world.escrows.freeze(disputed.id, ADMIN, "", "freeze:disputed")
    await world.escrows.unfreeze(both.id, ADMIN, "", "unfreeze:before")
    await _ask(world, minutes=30)
    await world.escrows.unfreeze(disputed.id, ADMIN, "", "unfreeze:disputed")
    await world.escrows.unfreeze(frozen.id, ADMIN, "", "unfreeze:1")
    await _ask(world, minutes=30)
    await world.escrows.withdraw_dispute(disputed.id, BRIAN)
    await world.escrows.freeze(frozen.id, ADMIN, "", "freeze:2")
    await _ask(world, minutes=60)
    await _ask(world, minutes=10, good=True)
    ended = world.clock.now()
    assert await _outages(world) == [("rail", began, ended, 3)]
    world.clock.tick(hours=1)
    await world.escrows.unfreeze(frozen.id, ADMIN, "", "unfreeze:2")
    gave = [await _due(world, deal) - at for deal, at in zip(deals, due, strict=True)]
    assert gave == [ended - began + HOUR, ended - began, ended - began]


async def test_unfreezing_before_anybody_knows_that_it_is_over_counts_every_minute_once(
    world: World,
) -> None:
    held = await _held(world)
    due = await _due(world, held)
    await _ask(world, minutes=10)
    began = world.clock.now()
    await _ask(world, minutes=90)
    await world.escrows.freeze(held.id, ADMIN, "", "freeze:1")
    await _ask(world, minutes=30)
    world.clock.tick(minutes=10)
    await world.escrows.unfreeze(held.id, ADMIN, "", "unfreeze:1")
    world.clock.tick(minutes=10)
    await world.outages.beat()
    assert (await _outages(world))[0][2] == began + 2 * HOUR, "the last failure"
    assert await _due(world, held) == due + 2 * HOUR + timedelta(minutes=10)


async def test_a_pause_and_a_freeze_at_once_within_it_are_taken_off_once(world: World) -> None:
    held = await _held(world)
    due = await _due(world, held)
    began = world.clock.now() + timedelta(minutes=10)
    await _ask(world, minutes=100)
    await world.pauses.pause(ADMIN, "", "update:1")
    await _ask(world, minutes=30)
    await world.escrows.freeze(held.id, ADMIN, "", "freeze:1")
    await _ask(world, minutes=30)
    await world.pauses.resume(ADMIN, "update:2")
    while await world.pauses.current() is not None:
        await world.pauses.carry_on()
    await _ask(world, minutes=30)
    await world.escrows.unfreeze(held.id, ADMIN, "", "unfreeze:1")
    await _ask(world, minutes=30)
    await _ask(world, minutes=10, good=True)
    assert await _due(world, held) == due + (world.clock.now() - began)


async def test_the_bot_going_down_within_an_outage_of_mpesa_counts_every_minute_once(
    world: World,
) -> None:
    held = await _held(world)
    due = await _due(world, held)
    world.pulse.heard(world.clock.now(), good=False)
    began = world.clock.now()
    await _ask(world, minutes=100)
    world.clock.tick(hours=10)
    world.pulse.heard(world.clock.now(), good=False)
    await _started(world).ready()
    assert [one[0] for one in await _outages(world)] == ["rail", "bot"]
    assert await _due(world, held) == due + (world.clock.now() - began)
