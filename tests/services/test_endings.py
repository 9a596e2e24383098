"""The one way a funded deal ends: all that is held goes somewhere, once, for one deal or many."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest

from escrow.domain.errors import AmanaError, IllegalMove, NotAllowed
from escrow.domain.flow import Actor, Event
from escrow.domain.model import By, Escrow
from escrow.services import endings
from escrow.services.endings import Ending
from escrow.services.payout_booking import BookedPayout, SettledLeg
from escrow.services.sweeps import sweep
from escrow.store import escrows
from escrow.store.database import Connection
from tests.world import ADMIN, BRIAN, JANE, World, kes

SELLER = By(Actor.SELLER, JANE)
JUDGE = By(Actor.ADMIN, ADMIN)


class Booking:
    """Notes what it is given, and books a payout for every leg."""

    def __init__(self) -> None:
        self.legs: list[SettledLeg] = []

    async def book_settled(
        self, conn: Connection, legs: Sequence[SettledLeg], now: datetime
    ) -> list[BookedPayout]:
        self.legs += legs
        return [
            BookedPayout(number, leg.escrow_id, leg.leg, leg.amount, "0712***111")
            for number, leg in enumerate(legs)
        ]


async def _held(world: World) -> Escrow:
    deal = await world.deal(buyer=BRIAN)
    await world.pay(deal, 10_500)
    return await world.escrow(deal.id)


async def _finish(world: World, *found: Ending, booking: Any = None) -> Any:
    """Ends them in a unit of its own, each locked first, as it was read before."""

    async def work(conn: Connection) -> Any:
        for one in found:
            await escrows.lock_row(conn, one.escrow.id)
        return await endings.finish(conn, found, booking or Booking(), world.clock.now())

    return await world.db.run(work)


async def test_a_release_pays_the_seller_and_earns_the_fee(world: World) -> None:
    deal = await _held(world)
    await _finish(world, endings.release(deal, Event.MANUAL_RELEASE, JUDGE))
    assert (await world.wallet(JANE), await world.wallet()) == (10_000, 0)
    assert await world.status_of(deal) == "COMPLETED"


async def test_a_refund_gives_all_back(world: World) -> None:
    deal = await _held(world)
    assert endings.whole(deal) == kes(10_500)
    await _finish(world, endings.refund(deal, Event.DECLINE, SELLER, cause="update:9"))
    assert (await world.wallet(JANE), await world.wallet()) == (0, 10_500)
    data = await world.value("SELECT data FROM escrow_timeline WHERE event = 'decline'")
    assert (data["cause"], data["buyer_minor"]) == ("update:9", 1_050_000)


async def test_every_leg_of_a_division_may_be_paid_out(world: World) -> None:
    deal, booking = await _held(world), Booking()
    parts = Ending(deal, Event.MANUAL_RELEASE, JUDGE, kes(7_000), kes(3_150), kes(350))
    booked = await _finish(world, parts, booking=booking)
    assert [(leg.leg, leg.telegram_id, leg.amount) for leg in booking.legs] == [
        ("seller", JANE, kes(7_000)),
        ("buyer", BRIAN, kes(3_150)),
    ]
    assert set(booked) == {(deal.id, "seller"), (deal.id, "buyer")}
    assert endings.payout_values(booked[deal.id, "buyer"]) == {
        "amount": "KES 3,150",
        "to": "0712***111",
    }
    assert endings.payout_values(None) is None


async def test_what_holds_nothing_does_not_end(world: World) -> None:
    deal = await world.deal(buyer=BRIAN)
    for make in (endings.release, endings.refund):
        with pytest.raises(IllegalMove):
            make(deal, Event.MANUAL_REFUND, JUDGE)


async def test_parts_that_are_not_the_whole_are_refused(world: World) -> None:
    deal = await _held(world)
    for parts in (
        (kes(10_001), kes(0), kes(500)),
        (kes(9_999), kes(0), kes(500)),
        (kes(0), kes(10_000), kes(0)),
    ):
        with pytest.raises((ValueError, AmanaError)):
            await _finish(world, Ending(deal, Event.MANUAL_RELEASE, JUDGE, *parts))
    assert await world.accounts(deal) == (0, 10_000, 500)


async def test_nobody_ends_a_deal_by_an_event_that_is_not_his(world: World) -> None:
    deal = await _held(world)
    with pytest.raises(NotAllowed):
        await _finish(world, endings.refund(deal, Event.DECLINE, By(Actor.BUYER, BRIAN)))
    with pytest.raises(IllegalMove):
        await _finish(world, endings.release(deal, Event.RELEASE, By(Actor.TIMER)))
    assert await world.accounts(deal) == (0, 10_000, 500)


async def test_an_ending_is_once(world: World) -> None:
    deal = await _held(world)
    ending = endings.refund(deal, Event.DECLINE, SELLER)
    await _finish(world, ending)
    for again in (ending, endings.release(deal, Event.MANUAL_RELEASE, JUDGE)):
        with pytest.raises(AmanaError):
            await _finish(world, again)
    assert (await world.wallet(JANE), await world.wallet()) == (0, 10_500)


async def test_two_different_endings_at_once_are_one_of_them(world: World) -> None:
    for _ in range(10):
        deal = await _held(world)
        before = await world.wallet() + await world.wallet(JANE)
        results = await asyncio.gather(
            _finish(world, endings.refund(deal, Event.DECLINE, SELLER)),
            _finish(world, endings.release(deal, Event.MANUAL_RELEASE, JUDGE)),
            return_exceptions=True,
        )
        assert sum(isinstance(result, AmanaError) for result in results) == 1
        gained = await world.wallet() + await world.wallet(JANE) - before
        assert gained == {"REFUNDED": 10_500, "COMPLETED": 10_000}[await world.status_of(deal)]


async def test_of_a_list_with_one_that_moved_none_ends(world: World) -> None:
    deals = [await _held(world) for _ in range(3)]
    await world.escrows.decline(deals[1].id, JANE)
    with pytest.raises(AmanaError):
        await _finish(
            world, *(endings.refund(deal, Event.REFUND, By(Actor.TIMER)) for deal in deals)
        )
    assert [await world.status_of(deal) for deal in deals] == ["HELD", "REFUNDED", "HELD"]
    assert await world.wallet() == 10_500


# -- sweeps --------------------------------------------------------------------------------------


async def test_a_sweep_that_finds_nothing_does_nothing(world: World) -> None:
    async def never(*_: Any) -> None:
        raise AssertionError("nothing is due")

    found = await sweep("refund", world.db, world.clock, escrows.due_to_refund, never)
    assert found == (0, 0)


async def test_a_deal_that_somebody_works_on_waits_for_the_next_sweep(world: World) -> None:
    busy, free = await _held(world), await _held(world)
    world.clock.tick(days=4)
    async with world.db.unit() as conn:
        await escrows.lock_row(conn, busy.id)
        assert await world.escrows.refund_due() == (1, 1)
    assert (await world.status_of(busy), await world.status_of(free)) == ("HELD", "REFUNDED")
    assert await world.escrows.refund_due() == (1, 1)
