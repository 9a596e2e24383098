"""Stars come from the buyer of a deal that was paid and is over, once, changeable for a day; a
seller's page counts what is so now.
"""

from __future__ import annotations

import asyncio
from fractions import Fraction

import pytest

from escrow.domain.errors import IllegalMove, InvalidInput, NotAllowed, NotFound
from escrow.domain.model import Escrow
from escrow.domain.terms import Level
from escrow.services.ratings import Ratings
from tests.world import BRIAN, JANE, OTIENO, PHONES, World


def _ratings(world: World) -> Ratings:
    return Ratings(world.db, world.clock)


async def _over(world: World) -> Escrow:
    """A deal that was paid, declined, and so is over."""
    deal = await world.deal()
    await world.pay(deal, 10_500)
    await world.escrows.decline(deal.id, JANE)
    return deal


async def _kept(world: World) -> list[tuple[int, str, bool]]:
    rows = await world.sql("SELECT stars, words, replaced_at FROM seller_ratings ORDER BY id")
    return [(row["stars"], row["words"], row["replaced_at"] is not None) for row in rows]


async def _page(world: World):  # type: ignore[no-untyped-def]
    row = await world.value("SELECT id FROM escrow_sellers WHERE telegram_id = $1", JANE)
    return await _ratings(world).seller_page(row)


async def test_a_buyer_rates_once_and_a_repeat_is_the_same_rating(world: World) -> None:
    deal = await _over(world)
    for _ in range(2):
        rated = await _ratings(world).rate(deal.id, BRIAN, 4, "Good  seller")
    assert (rated.stars, rated.words) == (4, "Good seller")
    assert await _kept(world) == [(4, "Good seller", False)]


async def test_a_rating_changes_for_a_day_and_what_was_said_before_is_kept(world: World) -> None:
    deal = await _over(world)
    await _ratings(world).rate(deal.id, BRIAN, 4, "Good")
    world.clock.tick(hours=24)
    rated = await _ratings(world).rate(deal.id, BRIAN, 2)
    assert rated.words == "Good"
    world.clock.tick(seconds=1)
    with pytest.raises(NotAllowed) as late:
        await _ratings(world).rate(deal.id, BRIAN, 5)
    assert late.value.reason == "rating_final"
    assert await _kept(world) == [(4, "Good", True), (2, "Good", False)]


async def test_words_are_added_to_stars_and_not_without_them(world: World) -> None:
    deal = await _over(world)
    with pytest.raises(NotFound):
        await _ratings(world).add_words(deal.id, BRIAN, "Good")
    await _ratings(world).rate(deal.id, BRIAN, 5)
    await _ratings(world).add_words(deal.id, BRIAN, "Good")
    assert await _kept(world) == [(5, "", True), (5, "Good", False)]
    with pytest.raises(InvalidInput):
        await _ratings(world).add_words(deal.id, BRIAN, "x" * 501)


async def test_rated_ten_times_at_once_one_rating_counts(world: World) -> None:
    deal = await _over(world)
    await asyncio.gather(
        *(_ratings(world).rate(deal.id, BRIAN, 1 + number % 5) for number in range(10))
    )
    assert sum(not replaced for _, _, replaced in await _kept(world)) == 1


@pytest.mark.parametrize("stars", [0, 6, -1])
async def test_stars_are_one_to_five(world: World, stars: int) -> None:
    deal = await _over(world)
    with pytest.raises(InvalidInput):
        await _ratings(world).rate(deal.id, BRIAN, stars)


async def test_only_the_buyer_of_a_paid_deal_that_is_over_rates(world: World) -> None:
    deal = await _over(world)
    with pytest.raises(NotAllowed):
        await _ratings(world).rate(deal.id, JANE, 5)
    with pytest.raises(NotFound):
        await _ratings(world).rate(deal.id, OTIENO, 5)
    running = await world.deal()
    await world.pay(running, 10_500)
    with pytest.raises(IllegalMove):
        await _ratings(world).rate(running.id, BRIAN, 5)
    assert await _kept(world) == []


async def test_nobody_rates_a_seller_with_his_own_number(world: World) -> None:
    deal = await _over(world)
    await world.people.set_phone(BRIAN, PHONES[JANE], is_contact=True)
    with pytest.raises(NotAllowed) as own:
        await _ratings(world).rate(deal.id, BRIAN, 5)
    assert own.value.reason == "own_shop"


async def test_what_waits_for_stars_is_listed_until_it_has_them(world: World) -> None:
    deal = await _over(world)
    assert [one.id for one in await _ratings(world).to_rate(BRIAN)] == [deal.id]
    assert await _ratings(world).to_rate(JANE) == []
    await _ratings(world).rate(deal.id, BRIAN, 3)
    assert await _ratings(world).to_rate(BRIAN) == []


async def test_a_new_sellers_page_promises_nothing(world: World) -> None:
    page = await _page(world)
    assert (page.level, page.average, page.ratings, page.sales) == (Level.NEW, None, 0, 0)
    assert (page.success, page.lost) == (None, 0)


async def test_a_page_counts_refunds_by_the_sellers_fault_and_ratings_that_count(
    world: World,
) -> None:
    deal = await _over(world)
    await _ratings(world).rate(deal.id, BRIAN, 5)
    await _ratings(world).rate(deal.id, BRIAN, 2)
    page = await _page(world)
    assert (page.sales, page.success) == (0, Fraction(0))
    assert (page.average, page.ratings) == (Fraction(2), 1)
    with pytest.raises(NotFound):
        await _ratings(world).seller_page(999_999)
