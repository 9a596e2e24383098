"""A payment by prompt whose number nobody told us is counted once, also when its receipt is claimed
and an admin credits the claim: before the query finds it paid, or after.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from escrow.domain.claims import Claim, ClaimState
from escrow.domain.errors import NotAllowed
from escrow.domain.model import Attempt, Escrow
from escrow.domain.money import Money
from tests.rail import PAID, stamp
from tests.world import (
    ADMIN,
    BRIAN,
    JANE,
    OTIENO,
    PHONES,
    SECOND_ADMIN,
    World,
    kes,
    new_reference,
)

WHOLE = kes(10_500)


@pytest.fixture
async def world(dsn: str) -> AsyncIterator[World]:
    """Without initiator keys: nobody can be asked about a receipt."""
    async with World.open(dsn) as opened:
        yield opened
        await opened.books()


def sms(world: World, deal: Escrow | None, reference: str, *, ago: timedelta | None = None) -> str:
    """What M-Pesa wrote to the payer of the whole price, `ago`; without it a text with no time."""
    account = f" for account {deal.id}" if deal else ""
    at = ""
    if ago is not None:
        day = stamp(world.clock.now() - ago)
        hour = int(day[8:10])
        clock = f"{hour % 12 or 12}:{day[10:12]} {'AM' if hour < 12 else 'PM'}"
        at = f" on {day[6:8]}/{day[4:6]}/{day[2:4]} at {clock}"
    return f"{reference} Confirmed. Ksh10,500.00 sent to AMANA LTD{account}{at}."


async def claimed(
    world: World,
    deal: Escrow | None,
    *,
    who: int = BRIAN,
    ago: timedelta | None = None,
    named: bool = True,
) -> Claim:
    text = sms(world, deal if named else None, new_reference(), ago=ago)
    typed = deal.id if deal and named else ""
    claim = (await world.claims.claim(typed, who, text, f"test:{new_reference()}")).claim
    assert claim.state is ClaimState.PERSON
    return claim


async def paid_without_number(world: World, deal: Escrow, who: int = BRIAN) -> Attempt:
    attempt = await world.prompt(deal, who)
    world.clock.tick(minutes=2)
    world.rail.query_answer = PAID
    await world.confirmations.look(attempt)
    assert await world.status_of(deal) == "HELD"
    return attempt


async def counted_once(world: World, deal: Escrow, claim: Claim, price: Money = WHOLE) -> None:
    assert await world.status_of(deal) == "HELD"
    assert await world.wallet(BRIAN) == await world.suspense() == 0
    assert await world.receipt_states() == {claim.reference: "CREDITED"}
    sums = await world.value("SELECT sum(amount_minor) FROM receipts")
    assert sums == price.minor


@pytest.mark.parametrize("ago", [None, timedelta(minutes=7)], ids=["no time", "his time"])
@pytest.mark.parametrize("named", [True, False])
async def test_a_credited_prompts_receipt_is_its_number(
    world: World, ago: timedelta | None, named: bool
) -> None:
    deal = await world.deal(buyer=BRIAN)
    attempt = await paid_without_number(world, deal)
    world.clock.tick(minutes=5)
    claim = await claimed(world, deal, ago=ago, named=named)
    card = await world.notice(ADMIN, "claim_card")
    assert (card["why"], card["deals"]) == ("maybe_prompt", deal.id)
    after = await world.claims.decide(claim.id, ADMIN, ours=True)
    assert (after.state, after.why) == (ClaimState.DENIED, "counted")
    assert (await world.notice(BRIAN, "claim_denied"))["why"] == "counted"
    await counted_once(world, deal, claim)
    await world.callback(attempt, claim.reference)
    await counted_once(world, deal, claim)


@pytest.mark.parametrize("ago", [None, timedelta(minutes=15)], ids=["no time", "his time"])
async def test_a_claim_credited_first_is_what_the_query_finds_paid(
    world: World, ago: timedelta | None
) -> None:
    deal = await world.deal(buyer=BRIAN)
    attempt = await world.prompt(deal)
    world.clock.tick(minutes=15)
    claim = await claimed(world, deal, ago=ago)
    after = await world.claims.decide(claim.id, ADMIN, ours=True)
    assert after.state is ClaimState.CREDITED
    await counted_once(world, deal, claim)
    world.rail.query_answer = PAID
    assert await world.confirmations.look(attempt) == "duplicate"
    await counted_once(world, deal, claim)
    await world.callback(attempt, claim.reference)
    await counted_once(world, deal, claim)


async def test_the_query_and_the_admin_at_once(world: World) -> None:
    deal = await world.deal(buyer=BRIAN)
    attempt = await world.prompt(deal)
    world.clock.tick(minutes=15)
    claim = await claimed(world, deal)
    world.rail.query_answer = PAID
    await asyncio.gather(
        world.confirmations.look(attempt),
        world.claims.decide(claim.id, ADMIN, ours=True),
        world.claims.decide(claim.id, SECOND_ADMIN, ours=True),
        return_exceptions=True,
    )
    await counted_once(world, deal, claim)


async def test_a_callback_with_another_number_shows_that_it_was_money_of_its_own(
    world: World,
) -> None:
    deal = await world.deal(buyer=BRIAN)
    attempt = await world.prompt(deal)
    world.clock.tick(minutes=15)
    claim = await claimed(world, deal)
    await world.claims.decide(claim.id, ADMIN, ours=True)
    world.rail.query_answer = PAID
    await world.callback(attempt, new_reference())
    assert await world.accounts(deal) == (0, 10_000, 500)
    assert await world.wallet(BRIAN) == 10_500


async def test_his_prompt_on_another_deal_gets_it(world: World) -> None:
    paid, other = await world.deal(buyer=BRIAN), await world.deal(buyer=BRIAN)
    await paid_without_number(world, paid)
    claim = await claimed(world, other)
    after = await world.claims.decide(claim.id, ADMIN, ours=True)
    assert after.why == "counted"
    assert await world.status_of(other) == "PENDING"
    await counted_once(world, paid, claim)


async def test_somebody_elses_prompt_stops_an_admin_too(world: World) -> None:
    theirs, mine = await world.deal(buyer=OTIENO), await world.deal(buyer=BRIAN)
    await paid_without_number(world, theirs, OTIENO)
    claim = await claimed(world, mine)
    assert (await world.notice(ADMIN, "claim_card"))["why"] == "maybe_prompt"
    before = await world.snapshot()
    with pytest.raises(NotAllowed, match="maybe_prompt") as refused:
        await world.claims.decide(claim.id, ADMIN, ours=True)
    assert refused.value.values["deals"] == theirs.id
    assert await world.snapshot() == before
    await world.claims.decide(claim.id, ADMIN, ours=False)


async def test_two_prompts_of_his_stop_an_admin_too(world: World) -> None:
    first, second = await world.deal(buyer=BRIAN), await world.deal(buyer=BRIAN)
    await paid_without_number(world, first)
    world.clock.tick(minutes=30)
    await paid_without_number(world, second)
    claim = await claimed(world, second)
    with pytest.raises(NotAllowed, match="maybe_prompt"):
        await world.claims.decide(claim.id, ADMIN, ours=True)
    await world.claims.decide(claim.id, ADMIN, ours=False)
    timed = await claimed(world, second, ago=timedelta(minutes=1))
    assert (await world.claims.decide(timed.id, ADMIN, ours=True)).why == "counted"
    assert await world.value(
        "SELECT escrow_id FROM receipts WHERE reference = $1", timed.reference
    ) == (second.id)


async def test_a_payment_at_another_time_is_money_of_its_own(world: World) -> None:
    paid, other = await world.deal(buyer=BRIAN), await world.deal(buyer=BRIAN)
    await paid_without_number(world, paid)
    world.clock.tick(hours=3)
    claim = await claimed(world, other, ago=timedelta(minutes=1))
    cards = await world.notice(ADMIN, "claim_card")
    assert (cards["why"], "said_at" in cards) == ("nobody_to_ask", True)
    after = await world.claims.decide(claim.id, ADMIN, ours=True)
    assert after.state is ClaimState.CREDITED
    assert await world.status_of(other) == "HELD"


async def test_a_prompt_that_can_no_longer_be_found_paid_stands_in_nobodys_way(
    world: World,
) -> None:
    deal, other = await world.deal(buyer=OTIENO), await world.deal(buyer=BRIAN)
    await world.prompt(deal, OTIENO)
    for _ in range(40):
        world.clock.tick(hours=1)
        await world.confirmations.look_due()
    claim = await claimed(world, other)
    assert (await world.claims.decide(claim.id, ADMIN, ours=True)).state is ClaimState.CREDITED


# -- who decides -----------------------------------------------------------------------------------


@pytest.mark.parametrize("ours", [True, False])
async def test_an_admin_who_reserved_the_deal_does_not_decide(world: World, ours: bool) -> None:
    deal = await world.deal()
    await world.prompts.reserve(deal.id, ADMIN)
    claim = await claimed(world, deal)
    before = await world.snapshot()
    with pytest.raises(NotAllowed, match="admin_is_party"):
        await world.claims.decide(claim.id, ADMIN, ours=ours)
    assert await world.snapshot() == before
    await world.claims.decide(claim.id, SECOND_ADMIN, ours=ours)


async def test_an_admin_who_became_the_buyer_meanwhile_does_not_decide(world: World) -> None:
    deal = await world.deal()
    claim = await claimed(world, deal)
    await world.pay(deal, 10_500, buyer=ADMIN)
    for ours in (True, False):
        with pytest.raises(NotAllowed, match="admin_is_party"):
            await world.claims.decide(claim.id, ADMIN, ours=ours)
    assert await world.wallet(BRIAN) == 0


# -- the seller's own number -----------------------------------------------------------------------


async def test_the_sellers_number_claims_nothing_for_his_deal(world: World) -> None:
    """He shares it only after he claimed; the money is his, the deal is not paid."""
    await world.person(4002, "Jane again", "254799000001")
    deal = await world.deal()
    claim = await claimed(world, deal, who=4002)
    await world.people.set_phone(4002, PHONES[JANE], is_contact=True)
    await world.claims.decide(claim.id, ADMIN, ours=True)
    assert await world.status_of(deal) == "PENDING"
    assert await world.wallet(4002) == 10_500
