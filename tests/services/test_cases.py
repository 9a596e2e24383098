"""An admin reads everything about a deal, and whoever opens its case first has its dispute."""

from __future__ import annotations

import asyncio

import pytest

from escrow.domain.errors import NotAllowed, NotFound
from escrow.domain.flow import Event, Status
from escrow.domain.model import Media, MediaKind
from escrow.services.cases import FILE_BYTES, Cases
from escrow.services.ports import FileGone
from escrow.services.ratings import Ratings
from tests.services.test_disputes import dispute, funded
from tests.world import ADMIN, ADMINS, BRIAN, JANE, SECOND_ADMIN, World, kes


class Pictures:
    """Telegram's files by id; what is missing is gone."""

    def __init__(self, **files: bytes) -> None:
        self.files = files

    async def fetch(self, file_id: str) -> bytes:
        if file_id not in self.files:
            raise FileGone("wrong file_id")
        return self.files[file_id]


async def test_a_case_holds_deal_money_both_sides_and_what_happened(world: World) -> None:
    deal = await funded(world, "SHIPPED")
    await dispute(world, deal)
    case = await world.cases.open(deal.id.lower(), ADMIN)
    assert case.escrow.status is Status.DISPUTED
    assert case.dispute is not None
    assert case.dispute.reason == "It never came"
    assert {kind: money for kind, money in case.balances.items() if money} == {
        "holding": kes(10_000),
        "pending_fee": kes(500),
    }
    assert [one.amount for one in case.receipts] == [kes(10_500)]
    assert [side.role for side in case.sides] == ["seller", "buyer"]
    assert case.sides[1].buyer is not None
    assert (case.sides[1].buyer.deals, case.sides[1].buyer.disputed) == (1, 1)
    assert [one.event for one in case.timeline][-2:] == ["dispute", "dispute_taken"]
    assert Event.RESOLVE in case.moves
    assert Event.UNFREEZE not in case.moves
    await world.resolve(deal.id, ADMIN, "split", 70, "half of it was there")
    over = await world.cases.open(deal.id, ADMIN)
    assert over.shares is not None
    assert over.shares.buyer == kes(7_350)
    assert over.moves == frozenset()


async def test_opening_a_case_again_takes_nothing_twice(world: World) -> None:
    deal = await funded(world)
    await dispute(world, deal)
    assert (await world.cases.open(deal.id, ADMIN)).mine
    before = await world.snapshot()
    assert (await world.cases.open(deal.id, ADMIN)).mine
    other = await world.cases.open(deal.id, SECOND_ADMIN)
    assert (other.mine, other.taken_by) == (False, "Amina")
    assert await world.snapshot() == before


async def test_two_admins_at_once_one_has_the_dispute(world: World) -> None:
    deal = await funded(world)
    await dispute(world, deal)
    found = await asyncio.gather(
        *(world.cases.open(deal.id, admin) for admin in (ADMIN, SECOND_ADMIN) * 4)
    )
    assert sorted(case.mine for case in found) == [False] * 4 + [True] * 4
    assert len({case.taken_by for case in found}) == 1
    taken = (await world.cases.look(deal.id, ADMIN)).timeline
    assert [one.event for one in taken].count("dispute_taken") == 1


async def test_what_somebody_took_who_is_no_admin_any_more_is_nobodys(world: World) -> None:
    deal = await funded(world)
    await dispute(world, deal)
    await world.cases.open(deal.id, SECOND_ADMIN)
    later = Cases(world.db, world.clock, (ADMIN,), Ratings(world.db, world.clock))
    rows, _ = await later.open_disputes(0, 5)
    assert [taken for _, _, taken in rows] == [""]
    assert (await later.look(deal.id, ADMIN)).taken_by == ""
    case = await later.open(deal.id, ADMIN)
    assert (case.mine, case.taken_by) == (True, "Amina")
    assert [one.name for one in case.timeline if one.event == "dispute_taken"] == ["Abdi", "Amina"]


async def test_who_had_a_dispute_that_is_closed_is_named_for_good(world: World) -> None:
    deal = await funded(world)
    await dispute(world, deal)
    await world.cases.open(deal.id, SECOND_ADMIN)
    await world.resolve(deal.id, SECOND_ADMIN, "buyer", None, "seen")
    later = Cases(world.db, world.clock, (ADMIN,), Ratings(world.db, world.clock))
    assert (await later.open(deal.id, ADMIN)).taken_by == "Abdi"


async def test_looking_takes_nothing(world: World) -> None:
    deal = await funded(world)
    await dispute(world, deal)
    case = await world.cases.look(deal.id, ADMIN)
    assert case.dispute is not None
    assert case.dispute.taken_by is None


async def test_only_an_admin_who_is_no_party_reads_a_case(world: World) -> None:
    deal = await world.deal()
    await world.pay(deal, 10_500, buyer=ADMIN)
    for who, reason in ((ADMIN, "admin_is_party"), (JANE, "not_allowed"), (BRIAN, "not_allowed")):
        for read in (world.cases.open, world.cases.look):
            with pytest.raises(NotAllowed) as refused:
                await read(deal.id, who)
            assert refused.value.reason == reason
    with pytest.raises(NotFound):
        await world.cases.open("ES0000000000", SECOND_ADMIN)


async def test_lists_come_in_pages_what_changed_last_first(world: World) -> None:
    deals = []
    for _ in range(5):
        deals.append(await funded(world))
        world.clock.tick(minutes=1)
    first, more = await world.cases.by_status(Status.HELD, 0, 3)
    assert [one.escrow.id for one in first] == [deal.id for deal in deals[:1:-1]]
    assert more
    last, more = await world.cases.by_status(Status.HELD, 3, 3)
    assert [one.escrow.id for one in last] == [deal.id for deal in deals[1::-1]]
    assert not more
    assert (await world.cases.counts())[Status.HELD] == 5


async def test_disputes_come_in_pages_with_whoever_has_them(world: World) -> None:
    deals = [await funded(world) for _ in range(3)]
    for number, deal in enumerate(deals):
        await dispute(world, deal, cause=f"update:{number}")
        world.clock.tick(minutes=1)
    await world.cases.open(deals[1].id, SECOND_ADMIN)
    rows, count = await world.cases.open_disputes(1, 2)
    assert count == 3
    assert [deal.id for _, deal, _ in rows] == [deal.id for deal in deals[1:]]
    assert [taken for _, _, taken in rows] == ["Abdi", ""]


async def test_pictures_are_fetched_as_far_as_they_can_be_had(world: World) -> None:
    deal = await funded(world)
    await dispute(world, deal)
    sent = [
        Media(MediaKind.PHOTO, "good", "u1", 4),
        Media(MediaKind.PHOTO, "gone", "u2", 4),
        Media(MediaKind.PHOTO, "large", "u3", FILE_BYTES + 1),
        Media(MediaKind.VOICE, "voice", "u4", 4),
    ]
    for number, media in enumerate(sent):
        await world.records.keep_evidence(deal.id, BRIAN, media, f"update:evidence{number}")
    case = await world.cases.look(deal.id, ADMIN)
    assert await world.cases.pictures(case) == {}
    world.cases.use(Pictures(good=b"jpeg", large=b"jpeg", voice=b"ogg"))
    assert await world.cases.pictures(case) == {case.records[0].id: b"jpeg"}


async def test_every_admin_reads_a_deal_that_nobody_disputes(world: World) -> None:
    deal = await world.deal()
    for admin in ADMINS:
        case = await world.cases.open(deal.id, admin)
        assert case.dispute is None
        assert [side.role for side in case.sides] == ["seller"]
