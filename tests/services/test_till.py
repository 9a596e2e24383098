"""A till: paid by prompts, and confirmed whether M-Pesa names the till or its store."""

from __future__ import annotations

import pytest

from tests.rail import PAID, SHORTCODE, status_body
from tests.world import BRIAN, World, new_reference

LARGE = 10_000


@pytest.mark.parametrize("named", [SHORTCODE, "600123"], ids=["store", "till"])
async def test_a_tills_payment_is_ours_under_either_of_its_numbers(
    world: World, named: str
) -> None:
    """M-Pesa may name the store or the till as the one that was paid."""
    world.rail.till = "600123"
    world.rail.can_ask_status = True
    deal = await world.deal(LARGE, buyer=BRIAN)
    reference = new_reference()
    await world.paybill(deal.id, deal.due, reference, shortcode=named)
    (asked,) = world.rail.asked
    word = await world.status(asked.token, reference, deal.due, party=f"{named} - Amana")
    assert word == "funded"
    assert await world.accounts(deal) == (0, 10_000, 500)


async def test_a_tills_prompt_is_confirmed_by_its_query_and_its_failure_names_no_paybill(
    world: World,
) -> None:
    world.rail.till = "600123"
    deal = await world.deal(LARGE)
    first = await world.prompt(deal)
    await world.callback(first, code=1032)
    assert (await world.notice(BRIAN, "prompt_failed"))["shortcode"] == ""
    world.clock.tick(minutes=3)
    attempt = await world.prompt(deal)
    world.rail.query_answer = PAID
    await world.callback(attempt, new_reference())
    assert await world.accounts(deal) == (0, 10_000, 500)


async def test_another_number_is_still_not_ours_with_a_till(world: World) -> None:
    world.rail.till = "600123"
    world.rail.can_ask_status = True
    deal = await world.deal(LARGE, buyer=BRIAN)
    reference = new_reference()
    assert await world.paybill(deal.id, deal.due, shortcode="600999") == "wrong_shortcode"
    await world.paybill(deal.id, deal.due, reference)
    (asked,) = world.rail.asked
    word = await world.status(asked.token, reference, deal.due, party="600999 - Other")
    assert word == "not_ours"


@pytest.mark.parametrize("named", [SHORTCODE, "600123"], ids=["store", "till"])
async def test_a_claim_of_a_tills_receipt_counts_under_either_number(
    world: World, named: str
) -> None:
    world.rail.till = "600123"
    world.rail.can_ask_status = True
    deal = await world.deal(LARGE, buyer=BRIAN)
    reference = new_reference()
    await world.claims.claim(deal.id, BRIAN, reference, "test:claim")
    (asked,) = world.rail.asked
    body = status_body(reference, deal.due, party=f"{named} - Amana")
    await world.claim_status(asked.token, body)
    assert await world.accounts(deal) == (0, 10_000, 500)
