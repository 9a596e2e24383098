"""M-Pesa is asked about the payments of large deals again; a deal whose money is gone is frozen."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from escrow.domain.errors import DatabaseDown
from escrow.domain.model import Escrow
from escrow.services.funding_looks import FundingLooks
from escrow.store import funding
from tests.rail import status_body
from tests.world import ADMIN, ADMINS, BRIAN, JANE, World, kes, new_reference

DAY = timedelta(hours=24)
SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True)
def keys(world: World) -> None:
    world.rail.can_ask_status = True


def _looks(world: World) -> FundingLooks:
    checks = world.payouts._funding
    assert checks is not None
    return FundingLooks(world.db, world.clock, checks, ADMINS)


async def _shipped(world: World, price: int = 20_000) -> Escrow:
    deal = await world.deal(price, buyer=BRIAN)
    await world.pay(deal, price * 105 // 100, reference=new_reference())
    await world.escrows.ship(
        deal.id, JANE, tracking="G4S 12345", proof=None, cause=f"test:ship:{deal.id}"
    )
    return await world.escrow(deal.id)


async def _answer(world: World, word: str, *, code: int = 0, ask: int = -1) -> None:
    asked = world.rail.asked[ask]
    await world.post_status(
        asked.token, status_body(asked.reference, kes(21_000), word=word, code=code)
    )
    await world.settle_inbox()


async def _frozen_notice(world: World) -> bool:
    return bool((await world.notice(ADMIN, "funding_refused"))["frozen"])


async def test_it_is_asked_at_shipping_and_a_day_before_the_release(world: World) -> None:
    deal = await _shipped(world)
    assert await _looks(world).look_due() == (1, 1, 0)
    await _answer(world, "Completed")
    assert await _looks(world).look_due() == (0, 0, 0)
    assert deal.release_at is not None
    world.clock.at = deal.release_at - DAY - SECOND
    assert await _looks(world).look_due() == (0, 0, 0)
    world.clock.tick(seconds=1)
    assert await _looks(world).look_due() == (1, 1, 0)
    await _answer(world, "Completed")
    world.clock.tick(hours=20)
    assert await _looks(world).look_due() == (0, 0, 0)
    assert len(world.rail.asked) == 2


async def test_small_deals_unsent_ones_and_rails_without_keys_are_not_asked_about(
    world: World,
) -> None:
    await _shipped(world, 19_999)
    held = await world.deal(20_000, buyer=BRIAN)
    await world.pay(held, 21_000)
    assert await _looks(world).look_due() == (0, 0, 0)
    await _shipped(world, 20_000)
    world.rail.can_ask_status = False
    assert await _looks(world).look_due() == (0, 0, 0)
    assert world.rail.asked == []


async def test_no_answer_is_asked_again_twice_and_no_more(world: World) -> None:
    await _shipped(world)
    for minutes in (0, 9, 1, 10, 10, 60):
        world.clock.tick(minutes=minutes)
        await _looks(world).look_due()
    assert len(world.rail.asked) == 3


async def test_a_question_that_failed_is_asked_again(world: World) -> None:
    await _shipped(world)
    await _looks(world).look_due()
    await _answer(world, "", code=2032)
    world.clock.tick(minutes=10)
    assert await _looks(world).look_due() == (1, 1, 0)


async def test_a_payment_that_was_taken_back_freezes_the_deal_once(world: World) -> None:
    deal = await _shipped(world)
    await _looks(world).look_due()
    await _answer(world, "Reversed")
    assert await _looks(world).look_due() == (1, 1, 0)
    assert await world.status_of(deal) == "FROZEN"
    (flag,) = await world.sql("SELECT telegram_id, flag_type, severity, escrow_id FROM fraud_flags")
    assert tuple(flag.values()) == (BRIAN, "reversed_payment", "CRITICAL", deal.id)
    assert await _frozen_notice(world)
    told = await world.sql("SELECT chat_id FROM outbox WHERE kind = 'funding_refused'")
    assert sorted(row["chat_id"] for row in told) == sorted(ADMINS)
    assert "frozen" in await world.told(BRIAN)
    assert "frozen" in await world.told(JANE)
    # an admin who looked it up lets it go on: the same answer freezes nothing again
    await world.escrows.unfreeze(deal.id, ADMIN, "it is there", "test:unfreeze")
    assert await _looks(world).look_due() == (0, 0, 0)
    assert await world.status_of(deal) == "SHIPPED"
    assert (await world.receipts())[0]["state"] == "CREDITED", "nothing is booked by it"


async def test_a_no_from_before_the_credit_freezes_nothing(world: World) -> None:
    """A claim was turned down, and its money came in later after all: the deal is paid."""
    deal = await _shipped(world)
    receipt = (await world.receipts())[0]
    await world.sql(
        "INSERT INTO status_queries (token, receipt_id, asked_at, answered_at, answer)"
        " VALUES ($1, $2, $3, $3, 'denied')",
        "8" * 32,
        receipt["id"],
        receipt["posted_at"] - SECOND,
    )
    await _looks(world).look_due()
    assert await world.status_of(deal) == "SHIPPED"
    assert await world.sql("SELECT * FROM fraud_flags") == []
    assert await world.value("SELECT count(*) FROM status_queries WHERE looked_at IS NULL") == 1
    # asked again now that it is credited, a no counts
    await _answer(world, "Reversed")
    await _looks(world).look_due()
    assert await world.status_of(deal) == "FROZEN"


async def test_a_release_does_not_wait_for_the_answer_and_one_after_it_wakes_the_admins(
    world: World,
) -> None:
    deal = await _shipped(world)
    await _looks(world).look_due()
    assert deal.release_at is not None
    world.clock.at = deal.release_at
    assert await world.escrows.release_due() == (1, 1)
    await _answer(world, "Reversed")
    await _looks(world).look_due()
    assert await world.status_of(deal) == "COMPLETED"
    assert not await _frozen_notice(world)
    assert await world.sql("SELECT * FROM fraud_flags") == []


async def test_an_answer_to_the_question_before_the_payout_is_left_to_the_payout(
    world: World,
) -> None:
    deal = await _shipped(world)
    await _looks(world).look_due()
    await _answer(world, "Completed")
    world.clock.tick(hours=1)
    await world.escrows.receive(deal.id, BRIAN, "test:receive")
    receipt = (await world.receipts())[0]["id"]
    await world.sql(
        "INSERT INTO status_queries (token, receipt_id, asked_at, answered_at, answer)"
        " VALUES ($1, $2, $3, $3, 'denied')",
        "9" * 32,
        receipt,
        world.clock.now(),
    )
    await _looks(world).look_due()
    assert "funding_refused" not in await world.told(ADMIN)


async def test_a_disputed_deal_is_frozen_too_and_a_frozen_one_stays_and_is_told(
    world: World,
) -> None:
    disputed, frozen = await _shipped(world), await _shipped(world)
    await _looks(world).look_due()
    await world.escrows.dispute(disputed.id, BRIAN, "broken", "test:dispute")
    await world.escrows.freeze(frozen.id, ADMIN, "", "test:freeze")
    for ask in (0, 1):
        await _answer(world, "Reversed", ask=ask)
    assert await _looks(world).look_due() == (2, 2, 0)
    assert await world.status_of(disputed) == await world.status_of(frozen) == "FROZEN"
    told = await world.sql("SELECT params FROM outbox WHERE kind = 'funding_refused'")
    assert len(told) == 2 * len(ADMINS)
    assert all(row["params"]["frozen"] for row in told)


@pytest.mark.parametrize("turn", range(10))
async def test_a_freeze_and_a_release_in_the_same_instant_are_never_both(
    world: World, turn: int
) -> None:
    deal = await _shipped(world)
    await _looks(world).look_due()
    await _answer(world, "Reversed")
    assert deal.release_at is not None
    world.clock.at = deal.release_at
    await asyncio.gather(
        world.escrows.release_due(),
        _looks(world).look_due(),
        _looks(world).look_due(),
    )
    status = await world.status_of(deal)
    settlements = await world.value("SELECT count(*) FROM settlements")
    assert (status, settlements) in (("FROZEN", 0), ("COMPLETED", 1))
    assert (await world.events(deal)).count("freeze") == (status == "FROZEN")
    assert await _frozen_notice(world) is (status == "FROZEN")


async def test_one_that_can_not_be_acted_upon_stops_no_other_and_is_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison, other = await _shipped(world), await _shipped(world)
    await _looks(world).look_due()
    for ask in (0, 1):
        await _answer(world, "Reversed", ask=ask)
    real, broken = funding.looked, [True]

    async def looked(conn: object, query: int, now: object) -> bool:
        if query == 1 and broken:
            raise ValueError("poison")
        return await real(conn, query, now)  # type: ignore[arg-type]

    monkeypatch.setattr(funding, "looked", looked)
    assert await _looks(world).look_due() == (2, 1, 1)
    assert await world.status_of(poison) == "SHIPPED"
    assert await world.status_of(other) == "FROZEN"
    broken.clear()
    assert await _looks(world).look_due() == (1, 1, 0)
    assert await world.status_of(poison) == "FROZEN"


async def test_a_database_that_goes_away_ends_the_look(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _shipped(world)
    await _looks(world).look_due()
    await _answer(world, "Reversed")

    async def down(conn: object, query: int, now: object) -> bool:
        raise DatabaseDown

    monkeypatch.setattr(funding, "looked", down)
    with pytest.raises(DatabaseDown):
        await _looks(world).look_due()


async def test_a_process_that_is_late_does_not_act_upon_the_same_no_again(world: World) -> None:
    deal = await _shipped(world)
    await _looks(world).look_due()
    await _answer(world, "Reversed")
    async with world.db.reading() as conn:
        (stale,) = await funding.refused(conn, [], 5)
    await _looks(world).look_due()
    await world.escrows.unfreeze(deal.id, ADMIN, "", "test:unfreeze")
    async with world.db.unit() as conn:
        await _looks(world)._refused(conn, stale)
    assert await world.status_of(deal) == "SHIPPED"
