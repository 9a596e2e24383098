"""Before a large release leaves, M-Pesa is asked once more whether its money still stands."""

from collections.abc import AsyncIterator

import pytest

from escrow.domain.model import Escrow
from escrow.domain.payouts import Payout, PayoutState
from tests.rail import status_body
from tests.world import ADMIN, BRIAN, World, kes

LARGE = "SGLARGE001"


@pytest.fixture
async def world(dsn: str) -> AsyncIterator[World]:
    async with World.open(dsn, auto_payout=True) as opened:
        opened.rail.can_ask_status = True
        yield opened
        await opened.books()


async def released(world: World, price: int = 20_000) -> Escrow:
    deal = await world.deal(price, buyer=BRIAN)
    await world.pay(deal, price * 105 // 100, reference=LARGE)
    await world.escrows.receive(deal.id, BRIAN, "test:receive")
    await world.payouts.send_due()
    return deal


async def payout(world: World) -> Payout:
    return await world.payouts.payout(await world.value("SELECT max(id) FROM payouts"))


async def says(world: World, word: str) -> None:
    body = status_body(LARGE, kes(21_000), word=word)
    await world.post_status(world.rail.asked[-1].token, body)
    await world.settle_inbox()
    await world.payouts.send_due()


async def test_it_leaves_once_mpesa_says_that_the_money_is_there(world: World) -> None:
    deal = await released(world)
    assert [one.reference for one in world.rail.asked] == [LARGE]
    assert (await payout(world)).state is PayoutState.READY
    assert await world.status_of(deal) == "COMPLETED", "a release never waits"
    await world.payouts.send_due()
    assert len(world.rail.asked) == 1
    await says(world, "Completed")
    assert len(world.payout_rail.sent) == 1
    assert (await world.receipts())[-1]["state"] == "CREDITED"


async def test_a_reversed_payment_is_for_a_person_and_wakes_all_admins(world: World) -> None:
    await released(world)
    await says(world, "Reversed")
    after = await payout(world)
    assert (after.state, after.note) == (PayoutState.MANUAL, "funding_reversed")
    assert (await world.notice(ADMIN, "payout_manual"))["why"] == "funding_reversed"
    assert world.payout_rail.sent == []


async def test_after_half_an_hour_without_an_answer_a_person_decides(world: World) -> None:
    await released(world)
    for minutes in (9, 2, 10):
        world.clock.tick(minutes=minutes)
        await world.payouts.send_due()
    assert (await payout(world)).state is PayoutState.READY
    assert len(world.rail.asked) == 3
    world.clock.tick(minutes=9)
    await world.payouts.send_due()
    after = await payout(world)
    assert (after.state, after.note) == (PayoutState.MANUAL, "funding_unknown")
    assert world.payout_rail.sent == []


async def test_small_deals_refunds_and_rails_without_keys_do_not_wait(world: World) -> None:
    await released(world, 19_999)
    assert len(world.payout_rail.sent) == 1
    deal = await world.deal(20_000, buyer=BRIAN)
    await world.pay(deal, 21_000)
    await world.escrows.decline(deal.id, deal.seller_telegram_id)
    await world.payouts.send_due()
    assert len(world.payout_rail.sent) == 2
    world.rail.can_ask_status = False
    deal = await world.deal(20_000, buyer=BRIAN)
    await world.pay(deal, 21_000)
    await world.escrows.receive(deal.id, BRIAN, "test:receive:2")
    await world.payouts.send_due()
    assert (len(world.payout_rail.sent), world.rail.asked) == (3, [])
