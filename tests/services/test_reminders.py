"""Reminders come on their day, once, while people are awake, and only for deals that wait for their
reader; they say what is left of the deadline as it stands.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from escrow.bot.notices import NOTICES
from escrow.bot.page import speaking
from escrow.domain.model import Escrow
from escrow.services.reminders import Reminders
from escrow.store import outbox, reminders
from escrow.store.reminders import Turn
from sandbox.telegram_html import parse_html
from tests.bot import samples
from tests.world import ADMIN, BRIAN, JANE, World

NAIROBI = ZoneInfo("Africa/Nairobi")
DAY = timedelta(hours=24)
SECOND = timedelta(seconds=1)


def _reminders(world: World, zone: str = "Africa/Nairobi") -> Reminders:
    return Reminders(world.db, world.clock, world.terms, ZoneInfo(zone))


async def _run(world: World, at: datetime | None = None, zone: str = "Africa/Nairobi") -> int:
    """Runs the job at that time; how many reminders it made."""
    if at is not None:
        world.clock.at = at
    tally = await _reminders(world, zone).queue_due()
    assert tally.failed == 0
    return tally.done


async def _held(world: World) -> Escrow:
    """A deal that was paid now, at noon in Nairobi."""
    deal = await world.deal(buyer=BRIAN)
    await world.pay(deal, 10_500)
    return await world.escrow(deal.id)


async def _shipped(world: World) -> Escrow:
    """A deal that was sent now."""
    deal = await _held(world)
    await world.escrows.ship(deal.id, JANE, tracking="G4S 1234", proof=None, cause="test:ship")
    return await world.escrow(deal.id)


async def _kinds(world: World) -> list[str]:
    rows = await world.sql("SELECT kind FROM reminders ORDER BY escrow_id, at, kind")
    return [row["kind"] for row in rows]


async def _reminded(world: World, telegram_id: int) -> int:
    told = await world.told(telegram_id)
    return told.count("remind_ship") + told.count("remind_confirm")


_EDGES = {
    "a second before": (-SECOND, False),
    "at its first moment": (timedelta(0), True),
    "a second after": (SECOND, True),
    "a second before its end": (DAY - SECOND, True),
    "at its end": (DAY, False),
    "a second after its end": (DAY + SECOND, False),
}


@pytest.mark.parametrize("edge", _EDGES)
@pytest.mark.parametrize(
    ("turn", "day", "person"),
    [("ship", 1, JANE), ("ship", 2, JANE), ("confirm", 5, BRIAN), ("confirm", 6, BRIAN)],
)
async def test_each_comes_on_its_day_and_not_a_second_outside_of_it(
    world: World, turn: str, day: int, person: int, edge: str
) -> None:
    deal = await (_held(world) if turn == "ship" else _shipped(world))
    began = deal.funded_at if turn == "ship" else deal.shipped_at
    assert began is not None
    offset, made = _EDGES[edge]
    await _run(world, began + day * DAY + offset)
    assert (f"{turn}_day_{day}" in await _kinds(world)) == made
    if made:
        assert (await world.told(person))[-1] == (
            "remind_ship" if person == JANE else "remind_confirm"
        )


async def test_of_all_days_only_these_four_have_a_reminder(world: World) -> None:
    deal = await _held(world)
    for hours in range(0, 73, 12):
        await _run(world, deal.funded_at + timedelta(hours=hours, seconds=1))  # type: ignore[operator]
    assert await _kinds(world) == ["ship_day_1", "ship_day_2"]
    sent = await _shipped(world)
    for hours in range(0, 169, 12):
        await _run(world, sent.shipped_at + timedelta(hours=hours, seconds=1))  # type: ignore[operator]
    kinds = await world.sql(
        "SELECT kind FROM reminders WHERE escrow_id = $1 ORDER BY kind", sent.id
    )
    assert [row["kind"] for row in kinds] == ["confirm_day_5", "confirm_day_6"]
    assert await _reminded(world, JANE) == 2
    assert await _reminded(world, BRIAN) == 2


@pytest.mark.parametrize(
    ("hour", "minute", "second", "sent"),
    [
        (8, 59, 59, 0),
        (9, 0, 0, 1),
        (9, 0, 1, 1),
        (15, 30, 0, 1),
        (20, 59, 59, 1),
        (21, 0, 0, 1),
        (21, 0, 1, 1),  # the run of nine o'clock, a second late
        (21, 5, 0, 1),
        (21, 5, 1, 0),
        (23, 0, 0, 0),
        (2, 0, 0, 0),
    ],
)
async def test_nobody_is_woken(
    world: World, hour: int, minute: int, second: int, sent: int
) -> None:
    world.clock.at = datetime(2026, 11, 24, 1, 0, tzinfo=NAIROBI).astimezone(UTC)
    await _held(world)
    at = datetime(2026, 11, 25, hour, minute, second, tzinfo=NAIROBI)
    assert await _run(world, at.astimezone(UTC)) == sent


@pytest.mark.parametrize(
    ("zone", "local"),
    [
        ("Pacific/Apia", (2026, 11, 25, 9)),
        ("America/New_York", (2026, 11, 25, 9)),
        ("Asia/Kathmandu", (2026, 11, 25, 9)),
        ("America/New_York", (2026, 11, 1, 9)),  # the night before, clocks went back
        ("Europe/Helsinki", (2026, 3, 29, 9)),  # and here ahead
    ],
)
async def test_the_hours_are_those_of_the_zone(
    world: World, zone: str, local: tuple[int, int, int, int]
) -> None:
    opens = datetime(*local, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    world.clock.at = opens - timedelta(hours=30)
    await _held(world)
    assert await _run(world, opens - SECOND, zone) == 0
    assert await _run(world, opens, zone) == 1
    closes = datetime(*local[:3], 21, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    world.clock.at = closes - timedelta(hours=30)
    await _held(world)
    assert await _run(world, closes, zone) == 1


async def test_a_missed_one_is_not_made_up_on_another_day(world: World) -> None:
    deal = await _held(world)
    assert deal.funded_at is not None
    assert await _run(world, deal.funded_at + 2 * DAY + timedelta(hours=3)) == 1
    assert await _kinds(world) == ["ship_day_2"]


async def test_repeated_and_raced_runs_remind_once(world: World) -> None:
    deals = [await _held(world) for _ in range(5)]
    world.clock.at = deals[0].funded_at + DAY  # type: ignore[operator]
    async with world.restarted() as other:
        await asyncio.gather(
            *(_reminders(one).queue_due() for one in (world, other) for _ in "123")
        )
    assert await _run(world) == 0
    assert await _reminded(world, JANE) == 5
    assert await world.value("SELECT count(*) FROM escrow_timeline WHERE event = 'reminded'") == 5


async def test_a_reminder_stands_on_the_timeline_and_moves_nothing(world: World) -> None:
    deal = await _held(world)
    await _run(world, deal.funded_at + DAY)  # type: ignore[operator]
    (row,) = await world.sql("SELECT * FROM escrow_timeline WHERE event = 'reminded'")
    assert (row["actor"], row["version"], row["data"]) == ("timer", None, {"kind": "ship_day_1"})
    after = await world.escrow(deal.id)
    assert (after.version, after.status, after.ship_by) == (
        deal.version,
        deal.status,
        deal.ship_by,
    )


async def test_no_reminder_for_what_does_not_wait_for_its_reader(world: World) -> None:
    frozen, disputed, declined, moved_on = [await _held(world) for _ in range(4)]
    await world.escrows.freeze(frozen.id, ADMIN, "look at it", cause="test:f")
    await world.escrows.dispute(disputed.id, BRIAN, "It is a fake", cause="test:d")
    await world.escrows.decline(declined.id, JANE)
    await world.escrows.ship(moved_on.id, JANE, tracking="G4S 1", proof=None, cause="test:s")
    for days in range(4):
        assert await _run(world, frozen.funded_at + days * DAY) == 0  # type: ignore[operator]
    sent = [await _shipped(world) for _ in range(3)]
    await world.escrows.freeze(sent[0].id, ADMIN, "look at it", cause="test:f2")
    await world.escrows.dispute(sent[1].id, BRIAN, "It is a fake", cause="test:d2")
    await world.escrows.receive(sent[2].id, BRIAN, cause="test:r2")
    await world.escrows.receive(moved_on.id, BRIAN, cause="test:r1")
    for days in range(8):
        assert await _run(world, sent[0].shipped_at + days * DAY) == 0  # type: ignore[operator]
    assert await _kinds(world) == []


async def test_none_while_the_buyer_looks_at_what_came(world: World) -> None:
    slow = world.configured(inspection=timedelta(hours=168))
    deal = await _held(slow)
    await slow.escrows.receive(deal.id, BRIAN, cause="test:r")
    for days in range(8):
        assert await _run(slow, deal.funded_at + days * DAY) == 0  # type: ignore[operator]


async def test_none_when_the_deadline_is_over_and_the_timer_is_late(world: World) -> None:
    short = world.configured(ship_window=timedelta(hours=36))
    deal = await _held(short)
    assert deal.ship_by is not None
    assert await _run(short, deal.ship_by - timedelta(hours=1)) == 0, "it is night"
    assert await _run(short, deal.ship_by + timedelta(hours=9)) == 0


async def test_a_deadline_that_was_moved_moves_the_days(world: World) -> None:
    deal = await _held(world)
    world.clock.tick(hours=26)
    await _run(world)
    assert await _kinds(world) == ["ship_day_1"]
    offer = await world.escrows.offer_extension(deal.id, JANE, 48, cause="test:o")
    await world.escrows.accept_offer(offer.id, BRIAN)
    moved = (await world.escrow(deal.id)).ship_by
    assert moved is not None
    assert deal.ship_by is not None
    assert moved - deal.ship_by == timedelta(hours=48)
    assert await _run(world, deal.funded_at + 2 * DAY) == 0  # type: ignore[operator]
    assert await _run(world, moved - DAY - SECOND) == 0, "day 1 again, and it had its reminder"
    assert await _run(world, moved - DAY) == 1
    values = (await world.sql("SELECT params FROM outbox WHERE cause LIKE 'ship_day_2%'"))[0]
    assert values["params"]["ship_by"] == moved.isoformat()


async def test_a_frozen_deal_gets_its_days_back(world: World) -> None:
    deal = await _shipped(world)
    assert deal.release_at is not None
    world.clock.tick(days=3)
    await world.escrows.freeze(deal.id, ADMIN, "look at it", cause="test:f")
    world.clock.tick(days=2)
    await world.escrows.unfreeze(deal.id, ADMIN, cause="test:u")
    assert await _run(world, deal.release_at - 2 * DAY) == 0
    assert await _run(world, deal.release_at) == 1
    assert await _kinds(world) == ["confirm_day_5"]
    world.clock.tick(days=1)
    assert await _run(world) == 1
    assert await _kinds(world) == ["confirm_day_5", "confirm_day_6"]


@pytest.mark.parametrize(("language", "countdown"), [("en", "in 24 hours"), ("sw", "bado saa 24")])
async def test_they_say_what_is_left_and_what_happens_then(
    world: World, language: str, countdown: str
) -> None:
    deal = await _held(world)
    await _run(world, deal.funded_at + 2 * DAY)  # type: ignore[operator]
    values = await world.notice(JANE, "remind_ship")
    page = samples.page(language=language)
    page = replace(page, now=world.clock.at)
    with speaking(language):
        text = parse_html(str(NOTICES["remind_ship"](values, page)))[0]
    assert text.startswith("KES 10,000")
    assert countdown in text
    assert deal.id in text
    sent = await _shipped(world)
    await _run(world, sent.shipped_at + 6 * DAY)  # type: ignore[operator]
    values = await world.notice(BRIAN, "remind_confirm")
    page = replace(page, now=world.clock.at)
    with speaking(language):
        text = parse_html(str(NOTICES["remind_confirm"](values, page)))[0]
    assert text.startswith("KES 10,500")
    assert countdown in text
    assert "Jane Shop" in text


async def test_what_changed_between_the_look_and_the_lock_is_left_alone(world: World) -> None:
    sent, disputed, longer = [await _held(world) for _ in range(3)]
    world.clock.at = sent.funded_at + DAY  # type: ignore[operator]
    async with world.db.reading() as conn:
        seen = await reminders.due(conn, Turn.SHIP, (1, 2), world.clock.at, None, 10)
    assert {one.escrow_id for one in seen} == {sent.id, disputed.id, longer.id}
    await world.escrows.ship(sent.id, JANE, tracking="G4S 1", proof=None, cause="test:s")
    await world.escrows.dispute(disputed.id, BRIAN, "It is a fake", cause="test:d")
    offer = await world.escrows.offer_extension(longer.id, JANE, 72, cause="test:o")
    await world.escrows.accept_offer(offer.id, BRIAN)
    async with world.db.unit() as conn:
        assert await reminders.lock(conn, Turn.SHIP, seen) == set()


async def test_one_bad_deal_among_many_stops_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    deals = [await _held(world) for _ in range(7)]
    bad = deals[3].id

    async def poisoned(conn, notices, now):  # type: ignore[no-untyped-def]
        assert not [one for one in notices if one.escrow_id == bad], "poison"
        return await real(conn, notices, now)

    real = outbox.queue
    monkeypatch.setattr(outbox, "queue", poisoned)
    world.clock.at = deals[0].funded_at + DAY  # type: ignore[operator]
    tally = await _reminders(world).queue_due()
    assert (tally.looked, tally.done, tally.failed) == (7, 6, 1)
    assert await _reminded(world, JANE) == 6
    monkeypatch.undo()
    assert await _run(world) == 1, "and it is tried again"
