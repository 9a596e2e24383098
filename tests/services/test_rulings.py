"""What an admin rules is done once, told to both, and never by a party of the deal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from escrow.domain.errors import CannotDo, InvalidInput, NotAllowed, NotFound
from escrow.domain.model import Escrow
from escrow.services.actions import Action
from tests.services.test_disputes import dispute, funded, settlement
from tests.world import ADMIN, ADMINS, BRIAN, JANE, SECOND_ADMIN, World

EVERYWHERE = ["HELD", "SHIPPED", "DELIVERED", "DISPUTED", "FROZEN", "FROZEN_DISPUTE"]


async def brought(world: World, status: str) -> Escrow:
    """A funded deal in that status."""
    deal = await funded(world, status if status in ("HELD", "DELIVERED") else "SHIPPED")
    if "DISPUTE" in status:
        await dispute(world, deal)
    if status.startswith("FROZEN"):
        await world.escrows.freeze(deal.id, ADMIN, "a look")
    return await world.escrow(deal.id)


# -- freezing ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["HELD", "SHIPPED", "DELIVERED", "DISPUTED"])
async def test_a_frozen_deal_stands_still_and_goes_on_where_it_was(
    world: World, status: str
) -> None:
    deal = await brought(world, status)
    frozen = await world.escrows.freeze(deal.id, ADMIN, "A reversed receipt?")
    assert (str(frozen.status), frozen.frozen_from) == ("FROZEN", deal.status)
    for who in (JANE, BRIAN):
        assert (await world.notice(who, "frozen"))["reason"] == "A reversed receipt?"
    world.clock.tick(days=30)
    acts: list[Callable[[], Awaitable[Any]]] = [
        lambda: world.escrows.decline(deal.id, JANE),
        lambda: world.escrows.dispute(deal.id, BRIAN, "x", "update:9"),
        lambda: world.escrows.offer_settlement(deal.id, JANE, buyer_percent=50, cause="o"),
        lambda: world.escrows.offer_extension(deal.id, JANE, 1, "e"),
        lambda: world.escrows.withdraw_dispute(deal.id, BRIAN),
        lambda: world.resolve(deal.id, ADMIN, "buyer", None, ""),
    ]
    for act in acts:
        with pytest.raises(CannotDo):
            await act()
    assert await world.escrows.release_due() == (0, 0)
    assert await world.escrows.refund_due() == (0, 0)
    after = await world.escrows.unfreeze(deal.id, SECOND_ADMIN, "All is well")
    assert after.status is deal.status
    assert "unfrozen" in await world.told(BRIAN)


@pytest.mark.parametrize(("status", "clock"), [("HELD", "ship_by"), ("SHIPPED", "release_at")])
async def test_unfreezing_gives_the_frozen_time_back(world: World, status: str, clock: str) -> None:
    deal = await brought(world, status)
    world.clock.tick(hours=5)
    await world.escrows.freeze(deal.id, ADMIN)
    world.clock.tick(days=9)
    after = await world.escrows.unfreeze(deal.id, ADMIN)
    assert getattr(after, clock) == getattr(deal, clock) + timedelta(days=9)


async def test_time_frozen_in_a_dispute_counts_once_when_the_dispute_is_withdrawn(
    world: World,
) -> None:
    deal = await brought(world, "SHIPPED")
    assert deal.release_at is not None
    await dispute(world, deal)
    world.clock.tick(days=1)
    await world.escrows.freeze(deal.id, ADMIN)
    world.clock.tick(days=3)
    frozen = await world.escrows.unfreeze(deal.id, ADMIN)
    assert (str(frozen.status), frozen.release_at) == ("DISPUTED", deal.release_at)
    world.clock.tick(days=1)
    after = await world.escrows.withdraw_dispute(deal.id, BRIAN)
    assert after.release_at == deal.release_at + timedelta(days=5)


async def test_the_system_freezes_too_and_nobody_freezes_twice(world: World) -> None:
    deal = await brought(world, "HELD")
    await world.escrows.freeze(deal.id, None, "receipt reversed")
    assert await world.value("SELECT actor FROM escrow_timeline WHERE event = 'freeze'") == "system"
    with pytest.raises(NotAllowed) as refused:
        await world.escrows.freeze(deal.id, ADMIN)
    assert refused.value.reason == "decided_before"
    assert refused.value.values["role"] == "system"
    await world.escrows.unfreeze(deal.id, ADMIN)
    with pytest.raises(NotAllowed) as refused:
        await world.escrows.unfreeze(deal.id, SECOND_ADMIN)
    assert refused.value.values["by"] == "Amina"


@pytest.mark.parametrize("event", ["freeze", "unfreeze"])
async def test_freezing_repeated_after_a_crash_gets_the_first_answer(
    world: World, event: str
) -> None:
    deal = await brought(world, "HELD")
    if event == "unfreeze":
        await world.escrows.freeze(deal.id, ADMIN)
    act = getattr(world.escrows, event)
    first = await act(deal.id, ADMIN, "a look", "update:9")
    before = await world.snapshot()
    assert await act(deal.id, ADMIN, "a look", "update:9") == first
    assert await world.snapshot() == before
    data = await world.value("SELECT data FROM escrow_timeline WHERE event = $1", event)
    assert data["reason"] == "a look"


async def test_freezing_and_unfreezing_ten_times_at_once_happens_once(world: World) -> None:
    deal = await brought(world, "HELD")
    for act, event in ((world.escrows.freeze, "freeze"), (world.escrows.unfreeze, "unfreeze")):
        results = await asyncio.gather(
            *(act(deal.id, admin) for admin in ADMINS * 5), return_exceptions=True
        )
        assert sum(isinstance(result, Escrow) for result in results) == 1
        assert (await world.events(deal)).count(event) == 1


# -- release and refund --------------------------------------------------------------------------


@pytest.mark.parametrize("status", EVERYWHERE)
async def test_a_manual_release_pays_the_seller_whatever_stands_in_the_way(
    world: World, status: str
) -> None:
    deal = await brought(world, status)
    done = await world.manual_release(deal.id, SECOND_ADMIN, "Delivery is proved")
    assert done.outcome["status"] == "COMPLETED"
    assert (await world.wallet(JANE), await world.wallet(BRIAN)) == (10_000, 0)
    assert await settlement(world, deal) == ("manual_release", 1_000_000, 0, 50_000)
    for who in (JANE, BRIAN):
        assert (await world.notice(who, "admin_released"))["reason"] == "Delivery is proved"
    closed = await world.sql("SELECT status, resolution FROM escrow_disputes")
    assert [row["resolution"] for row in closed] == (["seller"] if "DISPUTE" in status else [])


@pytest.mark.parametrize("status", EVERYWHERE)
async def test_a_manual_refund_gives_everything_back_the_fee_too(world: World, status: str) -> None:
    deal = await brought(world, status)
    done = await world.manual_refund(deal.id, ADMIN)
    assert done.outcome["status"] == "REFUNDED"
    assert (await world.wallet(JANE), await world.wallet(BRIAN)) == (0, 10_500)
    assert await settlement(world, deal) == ("manual_refund", 0, 1_050_000, 0)
    closed = await world.sql("SELECT status, resolution FROM escrow_disputes")
    assert [row["resolution"] for row in closed] == (["buyer"] if "DISPUTE" in status else [])


async def test_unpaid_and_finished_deals_are_ruled_on_by_nobody(world: World) -> None:
    unpaid, over = await world.deal(buyer=BRIAN), await brought(world, "HELD")
    await world.manual_refund(over.id, ADMIN)
    before = await world.snapshot()
    for deal in (unpaid, over):
        for act in (
            world.manual_release,
            world.manual_refund,
            world.escrows.freeze,
            world.escrows.unfreeze,
        ):
            with pytest.raises(CannotDo) as refused:
                await act(deal.id, ADMIN, "")
            decided = "decided_before" if deal is over else "wrong_status"
            assert refused.value.reason == decided
    with pytest.raises(NotFound):
        await world.manual_refund("ES1008257624", ADMIN)
    assert await world.snapshot() == before


async def test_only_an_admin_who_is_no_party_rules(world: World) -> None:
    deal = await world.deal()
    await world.pay(deal, 10_500, buyer=ADMIN)
    for act in (
        world.escrows.freeze,
        world.escrows.unfreeze,
        world.manual_release,
        world.manual_refund,
    ):
        for who, reason in ((ADMIN, "admin_is_party"), (JANE, "not_allowed"), (77, "not_allowed")):
            with pytest.raises(NotAllowed) as refused:
                await act(deal.id, who, "")
            assert refused.value.reason == reason
    with pytest.raises(InvalidInput):
        await world.manual_refund(deal.id, SECOND_ADMIN, "x" * 1001)
    assert await world.status_of(deal) == "HELD"


async def test_both_rulings_at_once_are_one(world: World) -> None:
    for _ in range(20):
        deal = await brought(world, "DISPUTED")
        results = await asyncio.gather(
            *(
                act(deal.id, admin, "")
                for admin in ADMINS
                for act in (world.manual_release, world.manual_refund)
            ),
            return_exceptions=True,
        )
        assert sum(isinstance(result, Action) for result in results) == 1
        lost = [result for result in results if isinstance(result, CannotDo)]
        assert [error.reason for error in lost] == ["decided_before"] * 3
