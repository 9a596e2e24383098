"""An offer needs both sides, is carried out once and at once, and dies when the deal moves on."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from typing import Any

import pytest

from escrow.domain.errors import (
    CannotDo,
    EscrowMoved,
    IllegalMove,
    InvalidInput,
    LimitReached,
    NotAllowed,
    NotFound,
)
from escrow.domain.model import Escrow, Offer
from escrow.domain.money import Money
from tests.services.test_disputes import ROUNDS, dispute, funded, settlement
from tests.world import ADMIN, BRIAN, JANE, OTIENO, World, kes, usd


async def offer(
    world: World,
    deal: Escrow,
    who: int = BRIAN,
    percent: int | None = 70,
    *,
    fixed: Money | None = None,
    cause: str = "update:1",
) -> Offer:
    return await world.escrows.offer_settlement(
        deal.id, who, buyer_percent=percent, seller_fixed=fixed, cause=cause
    )


async def more_time(
    world: World, deal: Escrow, who: int = JANE, hours: int = 48, cause: str = "update:1"
) -> Offer:
    return await world.escrows.offer_extension(deal.id, who, hours, cause)


# -- settling ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["HELD", "SHIPPED", "DELIVERED", "DISPUTED"])
@pytest.mark.parametrize("who", [BRIAN, JANE])
async def test_an_accepted_offer_divides_the_money_at_once(
    world: World, status: str, who: int
) -> None:
    deal = await funded(world, "SHIPPED" if status == "DISPUTED" else status)
    if status == "DISPUTED":
        await dispute(world, deal)
    made = await offer(world, deal, who)
    other = JANE if who == BRIAN else BRIAN
    told = await world.notice(other, "settle_offered")
    assert (told["buyer"], told["seller"], told["fee"]) == ("KES 7,350", "KES 3,000", "KES 150")
    assert told["offer"] == made.id
    assert await world.wallet(BRIAN) == 0, "an offer moves nothing"
    after = await world.escrows.accept_offer(made.id, other)
    assert str(after.status) == "COMPLETED"
    assert (await world.wallet(BRIAN), await world.wallet(JANE)) == (7_350, 3_000)
    assert await settlement(world, deal) == ("settle", 300_000, 735_000, 15_000)
    for person in (JANE, BRIAN):
        assert (await world.notice(person, "settled"))["seller"] == "KES 3,000"
    closed = await world.sql("SELECT resolution, closed_by FROM escrow_disputes")
    assert [tuple(row.values()) for row in closed] == (
        [("settled", "parties")] if status == "DISPUTED" else []
    )


@pytest.mark.parametrize(
    ("percent", "fixed", "status", "seller", "buyer", "fee"),
    [
        (100, None, "REFUNDED", 0, 10_500, 0),
        (0, None, "COMPLETED", 10_000, 0, 500),
        (None, 200, "COMPLETED", 200, 10_290, 10),
        (None, 0, "REFUNDED", 0, 10_500, 0),
        (None, 10_000, "COMPLETED", 10_000, 0, 500),
    ],
)
async def test_every_division_comes_out_as_it_was_shown(
    world: World,
    percent: int | None,
    fixed: int | None,
    status: str,
    seller: int,
    buyer: int,
    fee: int,
) -> None:
    deal = await funded(world)
    money = None if fixed is None else kes(fixed)
    shown = world.escrows.preview_division(deal, buyer_percent=percent, seller_fixed=money)
    assert (shown.seller, shown.buyer, shown.fee) == (kes(seller), kes(buyer), kes(fee))
    made = await offer(world, deal, BRIAN, percent, fixed=money)
    after = await world.escrows.accept_offer(made.id, JANE)
    assert str(after.status) == status
    assert (await world.wallet(BRIAN), await world.wallet(JANE)) == (buyer, seller)


async def test_divisions_that_are_none_are_refused(world: World) -> None:
    deal, unpaid = await funded(world), await world.deal(buyer=BRIAN)
    wrong: list[dict[str, Any]] = [
        {"percent": 101},
        {"percent": -1},
        {"percent": None},
        {"percent": 50, "fixed": kes(1)},
        {"percent": None, "fixed": kes("10000.01")},
        {"percent": None, "fixed": kes(0) - kes(1)},
        {"percent": None, "fixed": usd(1)},
    ]
    for division in wrong:
        with pytest.raises(InvalidInput):
            await offer(world, deal, **division)
    with pytest.raises(IllegalMove):
        await offer(world, unpaid)
    for stranger in (OTIENO, ADMIN):
        with pytest.raises(NotFound):
            await offer(world, deal, stranger)
    assert await world.value("SELECT count(*) FROM offers") == 0


async def test_only_the_other_side_accepts_and_a_repeat_changes_nothing(world: World) -> None:
    deal = await funded(world)
    made = await offer(world, deal)
    with pytest.raises(NotAllowed) as own:
        await world.escrows.accept_offer(made.id, BRIAN)
    assert own.value.reason == "own_offer"
    for stranger in (OTIENO, ADMIN):
        with pytest.raises(NotFound):
            await world.escrows.accept_offer(made.id, stranger)
    with pytest.raises(NotFound):
        await world.escrows.accept_offer(made.id + 1, JANE)
    await world.escrows.accept_offer(made.id, JANE)
    before = await world.snapshot()
    assert (await world.escrows.accept_offer(made.id, JANE)).finished_at is not None
    assert await world.snapshot() == before


async def test_the_same_cause_and_the_same_standing_offer_are_one(world: World) -> None:
    deal = await funded(world)
    made = await offer(world, deal)
    assert (await offer(world, deal)).id == made.id, "the same cause"
    assert (await offer(world, deal, cause="update:2")).id == made.id, "a second tap"
    assert await world.told(JANE) == [*(await world.told(JANE))[:-1], "settle_offered"]
    assert await world.value("SELECT count(*) FROM offers") == 1


async def test_a_counter_takes_the_place_of_the_offer(world: World) -> None:
    deal = await funded(world)
    first = await offer(world, deal)
    counter = await offer(world, deal, JANE, 40, cause="update:2")
    with pytest.raises(EscrowMoved) as gone:
        await world.escrows.accept_offer(first.id, JANE)
    assert gone.value.reason == "offer_gone"
    await world.escrows.accept_offer(counter.id, BRIAN)
    assert (await world.wallet(BRIAN), await world.wallet(JANE)) == (4_200, 6_000)


async def test_an_offer_dies_with_the_next_change_of_the_deal(world: World) -> None:
    deal = await funded(world)
    made = await offer(world, deal)
    await dispute(world, deal)
    before = await world.snapshot()
    for act in (world.escrows.accept_offer, world.escrows.decline_offer):
        with pytest.raises(EscrowMoved) as gone:
            await act(made.id, JANE)
        assert gone.value.reason == "offer_gone"
    assert await world.snapshot() == before
    again = await offer(world, deal, cause="update:2")
    assert again.id != made.id, "the same division is a new offer now"
    await world.escrows.accept_offer(again.id, JANE)


async def test_declining_tells_the_one_who_offered_and_leaves_the_deal(world: World) -> None:
    deal = await funded(world)
    made = await offer(world, deal)
    for _ in range(2):
        assert (await world.escrows.decline_offer(made.id, JANE)).closed_as == "declined"
    assert (await world.told(BRIAN)).count("offer_declined") == 1
    with pytest.raises(EscrowMoved):
        await world.escrows.accept_offer(made.id, JANE)
    mine = await offer(world, deal, cause="update:2")
    assert (await world.escrows.decline_offer(mine.id, BRIAN)).closed_as == "withdrawn"
    assert (await world.told(BRIAN)).count("offer_declined") == 1
    assert await world.accounts(deal) == (0, 10_000, 500)


async def test_ten_accepts_at_once_settle_once(world: World) -> None:
    deal = await funded(world)
    made = await offer(world, deal)
    results = await asyncio.gather(*(world.escrows.accept_offer(made.id, JANE) for _ in range(10)))
    assert {str(result.status) for result in results} == {"COMPLETED"}
    assert await world.wallet(BRIAN) == 7_350


async def test_offers_accepts_and_declines_at_once_are_one_outcome(world: World) -> None:
    chance = random.Random(20261123)  # noqa: S311 a shuffled order, no secret
    for number in range(ROUNDS // 4):
        deal = await funded(world, price=100)
        made = await offer(world, deal, cause=f"{number}")
        acts = [
            world.escrows.accept_offer(made.id, JANE),
            world.escrows.accept_offer(made.id, JANE),
            world.escrows.decline_offer(made.id, JANE),
            world.escrows.decline_offer(made.id, BRIAN),
            offer(world, deal, JANE, 10, cause=f"{number}:jane"),
            offer(world, deal, BRIAN, 90, cause=f"{number}:brian"),
            dispute(world, deal, cause=f"{number}:dispute"),
        ]
        chance.shuffle(acts)
        results = await asyncio.gather(*acts, return_exceptions=True)
        wrong = [one for one in results if isinstance(one, BaseException)]
        assert [one for one in wrong if not isinstance(one, CannotDo)] == []
        settled = await world.value(
            "SELECT count(*) FROM settlements WHERE escrow_id = $1", deal.id
        )
        assert settled == ((await world.escrow(deal.id)).finished_at is not None)


# -- more time -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "clock"), [("HELD", "ship_by"), ("SHIPPED", "release_at")])
@pytest.mark.parametrize("who", [BRIAN, JANE])
async def test_more_time_is_given_by_both(world: World, status: str, clock: str, who: int) -> None:
    deal = await funded(world, status)
    other = JANE if who == BRIAN else BRIAN
    made = await more_time(world, deal, who)
    wanted = getattr(deal, clock) + timedelta(hours=48)
    assert (await world.notice(other, "extend_offered"))["until"] == wanted.isoformat()
    after = await world.escrows.accept_offer(made.id, other)
    assert (str(after.status), getattr(after, clock)) == (status, wanted)
    for person in (JANE, BRIAN):
        assert (await world.notice(person, "extended"))["until"] == wanted.isoformat()
    assert (await world.events(deal))[-1] == "extend"


async def test_more_time_is_given_once_per_deal(world: World) -> None:
    deal = await funded(world)
    made = await more_time(world, deal)
    await world.escrows.accept_offer(made.id, BRIAN)
    assert (await world.escrows.accept_offer(made.id, BRIAN)).extended_at is not None
    with pytest.raises(LimitReached) as refused:
        await more_time(world, deal, cause="update:2")
    assert refused.value.reason == "extended_before"
    assert (await world.events(deal)).count("extend") == 1


async def test_more_time_is_one_to_72_hours_while_a_clock_runs(world: World) -> None:
    deal, done = await funded(world), await funded(world, "DELIVERED")
    for hours in (0, -1, 73):
        with pytest.raises(InvalidInput):
            await more_time(world, deal, hours=hours)
    with pytest.raises(IllegalMove):
        await more_time(world, done)
    with pytest.raises(NotFound):
        await more_time(world, deal, OTIENO)
    assert (await more_time(world, deal, hours=72)).hours == 72
    assert (await more_time(world, deal, hours=72, cause="update:2")).hours == 72
    assert await world.value("SELECT count(*) FROM offers") == 1


async def test_ten_accepts_at_once_extend_once(world: World) -> None:
    deal = await funded(world)
    assert deal.ship_by is not None
    made = await more_time(world, deal)
    await asyncio.gather(*(world.escrows.accept_offer(made.id, BRIAN) for _ in range(10)))
    after = await world.escrow(deal.id)
    assert after.ship_by == deal.ship_by + timedelta(hours=48)


async def test_a_side_makes_at_most_five_offers_a_day_on_a_deal(world: World) -> None:
    deal = await funded(world)
    for number in range(5):
        await offer(world, deal, BRIAN, 50 + number, cause=f"update:{number}")
    for more in (
        offer(world, deal, BRIAN, 70, cause="update:7"),
        world.escrows.offer_extension(deal.id, BRIAN, 24, "update:8"),
    ):
        with pytest.raises(LimitReached) as refused:
            await more
        assert refused.value.reason == "too_many_offers"
    again = await offer(world, deal, BRIAN, 54, cause="update:4")
    assert again.buyer_percent == 54, "a repeat is no new offer"
    await offer(world, deal, JANE, 70, cause="update:9")
    world.clock.tick(hours=25)
    await offer(world, deal, BRIAN, 70, cause="update:10")


@pytest.mark.parametrize("late", [30, 80])
async def test_time_agreed_after_the_deadline_counts_from_now(world: World, late: int) -> None:
    deal = await funded(world)
    assert deal.ship_by is not None
    made = await more_time(world, deal)
    world.clock.tick(hours=late)
    after = await world.escrows.accept_offer(made.id, BRIAN)
    wanted = max(deal.ship_by, world.clock.now()) + timedelta(hours=48)
    assert after.ship_by == wanted
    assert (await world.notice(JANE, "extended"))["until"] == wanted.isoformat()
    assert await world.escrows.refund_due() == (0, 0), "nothing goes back while time is left"


async def test_time_offered_after_the_deadline_names_what_is_true(world: World) -> None:
    deal = await funded(world)
    world.clock.tick(hours=80)
    await more_time(world, deal)
    wanted = world.clock.now() + timedelta(hours=48)
    assert (await world.notice(BRIAN, "extend_offered"))["until"] == wanted.isoformat()
