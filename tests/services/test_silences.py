"""The admins hear once that a side of a dispute let its 48 hours pass; nothing is decided by it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from escrow.domain.model import Escrow
from escrow.services import silences as service
from escrow.services.silences import Silences
from tests.world import ADMIN, ADMINS, BRIAN, JANE, World

HOURS_48 = timedelta(hours=48)
SECOND = timedelta(seconds=1)


def _sweep(world: World) -> Silences:
    return Silences(world.db, world.clock, ADMINS)


async def _disputed(world: World, by: int = BRIAN, *, seller: int = JANE) -> Escrow:
    deal = await world.deal(buyer=BRIAN, seller=seller)
    await world.pay(deal, 10_500)
    await world.escrows.dispute(deal.id, by, "broken", f"test:dispute:{deal.id}")
    return deal


async def _told(world: World) -> list[tuple[int, str]]:
    rows = await world.sql(
        "SELECT chat_id, escrow_id FROM outbox WHERE kind = 'dispute_silent' ORDER BY 1, 2"
    )
    return [(row["chat_id"], row["escrow_id"]) for row in rows]


@pytest.mark.parametrize(
    ("after", "told"), [(HOURS_48 - SECOND, 0), (HOURS_48, 0), (HOURS_48 + SECOND, 1)]
)
async def test_the_admins_are_told_once_its_time_is_over(
    world: World, after: timedelta, told: int
) -> None:
    deal = await _disputed(world)
    world.clock.at += after
    assert await _sweep(world).tell_due() == told
    assert await _told(world) == [(admin, deal.id) for admin in sorted(ADMINS)] * told
    assert await _sweep(world).tell_due() == 0
    assert await world.status_of(deal) == "DISPUTED", "silence decides nothing"
    if told:
        notice = await world.notice(ADMIN, "dispute_silent")
        assert (notice["by"], notice["amount"]) == ("buyer", "KES 10,500")
        (first, _, _), *_ = (await world.cases.open_disputes(0, 5))[0]
        assert first.escrow_id == deal.id


async def test_it_stands_on_top_of_the_list(world: World) -> None:
    older = await _disputed(world)
    world.clock.tick(hours=1)
    silent = await _disputed(world)
    await world.sql(
        "UPDATE escrow_disputes SET answered_at = opened_at WHERE escrow_id = $1", older.id
    )
    world.clock.at += HOURS_48 + SECOND
    await _sweep(world).tell_due()
    listed, _ = await world.cases.open_disputes(0, 5)
    assert [escrow.id for _, escrow, _ in listed] == [silent.id, older.id]
    assert {code for _, code in await _told(world)} == {silent.id}


async def test_what_is_withdrawn_resolved_or_frozen_is_not_told(world: World) -> None:
    withdrawn, frozen = await _disputed(world), await _disputed(world)
    await world.escrows.withdraw_dispute(withdrawn.id, BRIAN)
    await world.escrows.freeze(frozen.id, ADMIN, "", "test:freeze")
    world.clock.at += HOURS_48 + SECOND
    assert await _sweep(world).tell_due() == 0
    await world.escrows.unfreeze(frozen.id, ADMIN, "", "test:unfreeze")
    assert await _sweep(world).tell_due() == 1


async def test_two_processes_and_many_batches_tell_each_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "BATCH", 2)
    deals = [await _disputed(world) for _ in range(5)]
    world.clock.at += HOURS_48 + SECOND
    done = await asyncio.gather(*(_sweep(world).tell_due() for _ in range(3)))
    done.append(await _sweep(world).tell_due())
    assert sum(done) == 5
    assert await _told(world) == sorted((admin, deal.id) for admin in ADMINS for deal in deals)


async def test_an_admin_who_is_a_side_hears_as_a_side_only(world: World) -> None:
    deal = await world.deal(buyer=ADMIN)
    await world.pay(deal, 10_500, buyer=ADMIN)
    await world.escrows.dispute(deal.id, ADMIN, "broken", "test:dispute")
    world.clock.at += HOURS_48 + SECOND
    assert await _sweep(world).tell_due() == 1
    assert ADMIN not in {chat for chat, _ in await _told(world)}
