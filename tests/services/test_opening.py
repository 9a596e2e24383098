"""What buyers propose: asked, accepted, refused; nobody floods a seller or deals with himself. And
what a seller opens: its photo, and the limits told before.
"""

from __future__ import annotations

import asyncio

import pytest

from escrow.domain.errors import IllegalMove, LimitReached, NotAllowed, NotFound
from escrow.domain.model import Escrow, Media, MediaKind
from escrow.domain.terms import FeePayer
from tests.world import ADMIN, BRIAN, JANE, OTIENO, PHONES, World, kes


async def _jane(world: World) -> int:
    return int(await world.value("SELECT id FROM escrow_sellers WHERE telegram_id = $1", JANE))


async def _propose(world: World, cause: str = "update:1", buyer: int = BRIAN) -> Escrow:
    shop = await _jane(world)
    return await world.escrows.propose(buyer, shop, kes(10_000), "Blue phone case", cause)


# -- proposed ------------------------------------------------------------------------------------


async def test_a_proposal_asks_the_seller_and_cant_be_paid_before_he_accepts(
    world: World,
) -> None:
    deal = await _propose(world)
    assert (deal.buyer_telegram_id, deal.opened_by, deal.pay_by) == (BRIAN, BRIAN, None)
    assert not deal.can_be_paid
    assert (await world.notice(JANE, "proposal"))["gets"] == "KES 10,000"
    with pytest.raises(NotAllowed):
        await world.prompts.reserve(deal.id, BRIAN)


async def test_accepted_it_can_be_paid_from_that_moment_and_the_buyer_is_told(
    world: World,
) -> None:
    deal = await _propose(world)
    world.clock.tick(days=2)
    accepted = await world.escrows.accept(deal.id, JANE)
    assert accepted.can_be_paid
    assert accepted.pay_by == world.clock.now() + world.terms.pay_window
    assert accepted.joined_at == world.clock.now()
    assert await world.told(BRIAN) == ["proposal_accepted"]
    assert await world.events(deal) == ["open", "join"]
    await world.pay(accepted, 10_500)
    assert await world.status_of(deal) == "HELD"


async def test_the_same_cause_proposes_once_and_a_second_accept_changes_nothing(
    world: World,
) -> None:
    deal = await _propose(world)
    assert (await _propose(world)).id == deal.id
    first = await world.escrows.accept(deal.id, JANE)
    world.clock.tick(hours=1)
    assert (await world.escrows.accept(deal.id, JANE)).pay_by == first.pay_by
    assert (await world.told(BRIAN), await world.told(JANE)) == (
        ["proposal_accepted"],
        ["proposal"],
    )


async def test_accepted_ten_times_at_once_is_accepted_once(world: World) -> None:
    deal = await _propose(world)
    await asyncio.gather(*(world.escrows.accept(deal.id, JANE) for _ in range(10)))
    assert await world.events(deal) == ["open", "join"]
    assert await world.told(BRIAN) == ["proposal_accepted"]


async def test_a_refused_proposal_is_over_and_the_buyer_is_told(world: World) -> None:
    deal = await _propose(world)
    assert str((await world.escrows.refuse(deal.id, JANE)).status) == "CANCELLED"
    assert await world.told(BRIAN) == ["cancelled"]
    with pytest.raises(IllegalMove):
        await world.escrows.accept(deal.id, JANE)


async def test_what_was_accepted_is_not_refused_by_an_old_button(world: World) -> None:
    deal = await _propose(world)
    await world.escrows.accept(deal.id, JANE)
    with pytest.raises(IllegalMove):
        await world.escrows.refuse(deal.id, JANE)
    assert await world.status_of(deal) == "PENDING"


async def test_only_the_seller_who_was_asked_answers(world: World) -> None:
    deal = await _propose(world)
    own = await world.deal()
    for who, code in ((BRIAN, deal.id), (OTIENO, deal.id), (JANE, own.id)):
        with pytest.raises(NotFound):
            await world.escrows.accept(code, who)
        with pytest.raises(NotFound):
            await world.escrows.refuse(code, who)


async def test_verifying_a_seller_accepts_nothing_in_his_place(world: World) -> None:
    deal = await _propose(world)
    await world.people.suspend_seller(JANE, ADMIN, "Sold fakes")
    with pytest.raises(NotAllowed):
        await world.escrows.accept(deal.id, JANE)
    await world.people.verify_seller(JANE, ADMIN)
    assert (await world.escrow(deal.id)).pay_by is None
    await world.escrows.accept(deal.id, JANE)
    assert (await world.escrow(deal.id)).can_be_paid


async def test_a_suspended_shop_gets_no_proposals(world: World) -> None:
    await world.people.suspend_seller(JANE, ADMIN, "Sold fakes")
    with pytest.raises(NotAllowed) as closed:
        await _propose(world)
    assert closed.value.reason == "shop_closed"


async def test_nobody_proposes_to_his_own_shop_by_id_or_by_number(world: World) -> None:
    with pytest.raises(NotAllowed) as own:
        await _propose(world, buyer=JANE)
    await world.people.set_phone(BRIAN, PHONES[JANE], is_contact=True)
    with pytest.raises(NotAllowed) as same:
        await _propose(world)
    assert own.value.reason == same.value.reason == "own_shop"


async def test_five_unanswered_proposals_are_enough_even_at_once(world: World) -> None:
    done = await asyncio.gather(
        *(_propose(world, f"update:{number}") for number in range(10)), return_exceptions=True
    )
    assert sum(isinstance(one, Escrow) for one in done) == 5
    assert sum(isinstance(one, LimitReached) for one in done) == 5
    code = next(one.id for one in done if isinstance(one, Escrow))
    await world.escrows.accept(code, JANE)
    await _propose(world, "update:11")


async def test_proposals_dont_use_up_what_a_new_seller_may_open(world: World) -> None:
    small = world.configured(new_seller_open_deals=3)
    for number in range(5):
        await _propose(small, f"update:{number}")
    await small.escrows.may_open(JANE, kes(1_000))
    with pytest.raises(LimitReached) as large:
        await small.escrows.may_open(JANE, kes(10_001))
    assert large.value.reason == "new_seller_amount"


# -- opened --------------------------------------------------------------------------------------


async def test_a_photo_is_kept_with_the_deal_once(world: World) -> None:
    photo = Media(MediaKind.PHOTO, "file-1", "unique-1", 1000, "a caption nobody agreed on")
    for _ in range(2):
        deal = await world.escrows.open_deal(
            telegram_id=JANE,
            price=kes(1_000),
            description="Case",
            cause="update:1",
            fee_payer=FeePayer.SPLIT,
            photo=photo,
        )
    rows = await world.sql("SELECT purpose, kind, file_id, words FROM deal_records")
    assert [dict(row) for row in rows] == [
        {"purpose": "photo", "kind": "photo", "file_id": "file-1", "words": ""}
    ]
    assert deal.fee_payer == "split"


async def test_only_what_is_over_is_opened_again_by_its_parties(world: World) -> None:
    deal = await world.deal()
    with pytest.raises(IllegalMove):
        await world.escrows.again(deal.id, JANE)
    await world.escrows.cancel(deal.id, JANE)
    assert (await world.escrows.again(deal.id, JANE)).id == deal.id
    with pytest.raises(NotFound):
        await world.escrows.again(deal.id, OTIENO)


async def test_a_code_that_another_deal_has_is_not_given_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With many deals it is drawn sooner or later."""
    drawn = iter([7, 7, 7, 8, *range(100, 200)])
    monkeypatch.setattr("escrow.services.opening.secrets.randbelow", lambda _: next(drawn))
    monkeypatch.setattr("escrow.services.opening._CODES", 2)
    first, second = await world.deal(), await world.deal()
    assert (first.id[2:11], second.id[2:11]) == ("000000007", "000000008")
