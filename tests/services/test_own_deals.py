"""Nobody buys from himself: a second account with the seller's number pays no deal of his, by
prompt, wallet or paybill.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from escrow.domain.errors import NotAllowed
from escrow.domain.model import Escrow, Evidence
from escrow.domain.phone import keep
from tests.world import ADMIN, BRIAN, JANE, PHONES, World, kes

TWIN = 4001
OTHER = "254799000001"


@pytest.fixture
async def world(dsn: str) -> AsyncIterator[World]:
    async with World.open(dsn) as opened:
        await opened.person(TWIN, "Jane again", OTHER)
        yield opened
        await opened.books()


async def by_payout_number(world: World) -> None:
    await world.people.set_phone(TWIN, PHONES[JANE], is_contact=True)


async def by_own_number(world: World) -> None:
    """The seller's payouts go elsewhere; he pays with this one."""
    await world.people.change_payout_phone(JANE, "254799000002")
    await world.people.set_phone(TWIN, PHONES[JANE], is_contact=True)


BECOMES = pytest.mark.parametrize("becomes", [by_payout_number, by_own_number])
Becoming = Callable[[World], Awaitable[None]]


@BECOMES
async def test_neither_prompt_nor_wallet_nor_reservation(world: World, becomes: Becoming) -> None:
    await world.give(TWIN, kes(10_500))
    await becomes(world)
    deal = await world.deal()
    before = await world.snapshot()
    for attempt in (
        lambda: world.prompts.start(deal.id, TWIN, "t:1"),
        lambda: world.prompts.pay_from_wallet(deal.id, TWIN, "t:2"),
        lambda: world.prompts.reserve(deal.id, TWIN),
    ):
        with pytest.raises(NotAllowed, match="own_deal"):
            await attempt()
    assert await world.snapshot() == before


async def _waits(world: World, deal: Escrow) -> None:
    assert await world.status_of(deal) == "PENDING"
    assert (await world.escrow(deal.id)).buyer_telegram_id is None
    assert await world.suspense() == 10_500
    assert (await world.notice(ADMIN, "suspense"))["why"] == "own_deal"


@BECOMES
async def test_nor_by_hand_after_he_reserved(world: World, becomes: Becoming) -> None:
    deal = await world.deal()
    await world.prompts.reserve(deal.id, TWIN)
    await becomes(world)
    await world.funds.process_escrow_payment(world.by_hand(deal, kes(10_500)), Evidence.STATUS)
    await _waits(world, deal)


@pytest.mark.parametrize("shown", [PHONES[JANE], keep(PHONES[JANE])])
async def test_nor_with_the_sellers_phone_for_another_reserver(world: World, shown: str) -> None:
    deal = await world.deal()
    await world.prompts.reserve(deal.id, BRIAN)
    receipt = world.by_hand(deal, kes(10_500), shown=shown)
    await world.funds.process_escrow_payment(receipt, Evidence.STATUS)
    await _waits(world, deal)


async def test_a_masked_number_that_may_be_both_is_the_reservers(world: World) -> None:
    deal = await world.deal()
    await world.people.set_phone(BRIAN, "254712999111", is_contact=True)  # the same when masked
    await world.prompts.reserve(deal.id, BRIAN)
    receipt = world.by_hand(deal, kes(10_500), shown=keep(PHONES[JANE]))
    await world.funds.process_escrow_payment(receipt, Evidence.STATUS)
    assert await world.status_of(deal) == "HELD"


async def test_everybody_else_still_pays_by_hand(world: World) -> None:
    deal = await world.deal()
    await world.prompts.reserve(deal.id, BRIAN)
    receipt = world.by_hand(deal, kes(10_500), shown=keep(PHONES[BRIAN]))
    await world.funds.process_escrow_payment(receipt, Evidence.STATUS)
    assert await world.status_of(deal) == "HELD"


@pytest.mark.parametrize(
    ("shown", "status"), [(PHONES[JANE], "PENDING"), (keep(PHONES[JANE]), "HELD")]
)
async def test_a_claim_of_it_pays_the_deal_only_if_it_may_be_his(
    world: World, shown: str, status: str
) -> None:
    deal = await world.deal()
    await world.people.set_phone(BRIAN, "254712999111", is_contact=True)  # the same when masked
    receipt = world.by_hand(deal, kes(10_500), shown=shown)
    await world.funds.process_escrow_payment(receipt, Evidence.STATUS)
    claimed = await world.claims.claim(deal.id, BRIAN, receipt.reference or "", "t:3")
    if claimed.claim.is_open:
        await world.claims.decide(claimed.claim.id, ADMIN, ours=True)
    assert await world.status_of(deal) == status
    assert await world.wallet(BRIAN) == (0 if status == "HELD" else 10_500)
