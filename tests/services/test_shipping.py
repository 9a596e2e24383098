"""From paid to paid out: sent, received, released, declined, and what timers do when nobody acts.

Each way of ending has its four: done, refused, repeated, raced.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest

from escrow.domain.errors import CannotDo, IllegalMove, InvalidInput, NotAllowed, NotFound
from escrow.domain.model import Escrow, Media, MediaKind
from escrow.services.shipping import Received
from tests.world import ADMIN, BRIAN, JANE, NOW, OTIENO, World

PHOTO = Media(MediaKind.PHOTO, "file-1", "unique-1", 51_200, "G4S Kisumu")
VOICE = Media(MediaKind.VOICE, "file-2", "unique-2", 1_024)


async def _held(world: World, **kwargs: Any) -> Escrow:
    deal = await world.deal(buyer=BRIAN, **kwargs)
    await world.pay(deal, 10_500)
    return await world.escrow(deal.id)


async def _ship(world: World, deal: Escrow, cause: str = "update:10", **kwargs: Any) -> Escrow:
    values: dict[str, Any] = {"tracking": "G4S 12345", "proof": None, **kwargs}
    return await world.escrows.ship(deal.id, values.pop("who", JANE), cause=cause, **values)


async def _shipped(world: World, **kwargs: Any) -> Escrow:
    return await _ship(world, await _held(world, **kwargs))


async def _delivered(world: World) -> Escrow:
    """In the buyer's hands, who has two days to look at it."""
    looked_at = world.configured(inspection=timedelta(days=2))
    deal = await _shipped(looked_at)
    result = await world.escrows.receive(deal.id, BRIAN, "update:20")
    assert not result.released
    return result.escrow


# -- sent ----------------------------------------------------------------------------------------


async def test_sending_starts_the_buyers_seven_days_and_shows_him_the_proof(world: World) -> None:
    deal = await _held(world)
    world.clock.tick(hours=5)
    after = await _ship(world, deal, tracking=" G4S \n 12345 ", proof=PHOTO)
    assert str(after.status) == "SHIPPED"
    assert after.tracking == "G4S 12345"
    assert after.shipped_at == NOW + timedelta(hours=5)
    assert after.release_at == NOW + timedelta(hours=5 + 168)
    assert await world.accounts(deal) == (0, 10_000, 500)
    told = await world.notice(BRIAN, "shipped")
    assert told["amount"] == "KES 10,500"
    assert (told["tracking"], told["media"]) == (
        "G4S 12345",
        {"kind": "photo", "file_id": "file-1"},
    )
    assert datetime.fromisoformat(told["release_at"]) == after.release_at
    (kept,) = await world.sql("SELECT * FROM deal_records")
    assert (kept["purpose"], kept["telegram_id"], kept["file_id"]) == ("shipping", JANE, "file-1")


async def test_a_caption_is_the_tracking_text_when_none_was_typed(world: World) -> None:
    after = await _ship(world, await _held(world), tracking=None, proof=PHOTO)
    assert after.tracking == "G4S Kisumu"


async def test_a_tracking_text_alone_is_kept_as_the_proof(world: World) -> None:
    await _shipped(world)
    (kept,) = await world.sql("SELECT * FROM deal_records")
    assert (kept["purpose"], kept["kind"], kept["words"]) == ("shipping", "text", "G4S 12345")
    assert (await world.notice(BRIAN, "shipped"))["media"] is None


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"tracking": None}, "no_proof"),
        ({"tracking": "  \n "}, "no_proof"),
        ({"proof": VOICE}, "no_proof"),
        ({"tracking": "x" * 201}, "tracking"),
    ],
)
async def test_sending_needs_a_proof_that_can_be_shown(
    world: World, values: dict[str, Any], reason: str
) -> None:
    deal = await _held(world)
    before = await world.snapshot()
    with pytest.raises(InvalidInput) as refused:
        await _ship(world, deal, **values)
    assert refused.value.reason == reason
    assert await world.snapshot() == before


async def test_without_the_setting_her_word_is_enough(world: World) -> None:
    easy = world.configured(require_shipping_proof=False)
    after = await _ship(easy, await _held(easy), tracking=None)
    assert str(after.status) == "SHIPPED"
    assert await world.value("SELECT count(*) FROM deal_records") == 0


async def test_two_hundred_characters_of_tracking_fit(world: World) -> None:
    after = await _ship(world, await _held(world), tracking="x" * 200)
    assert after.tracking == "x" * 200


async def test_only_the_seller_sends_and_only_what_is_paid(world: World) -> None:
    deal = await world.deal(buyer=BRIAN)
    with pytest.raises(IllegalMove):
        await _ship(world, deal)
    await world.pay(deal, 10_500)
    before = await world.snapshot()
    with pytest.raises(NotAllowed):
        await _ship(world, deal, who=BRIAN)
    for stranger in (OTIENO, ADMIN):
        with pytest.raises(NotFound):
            await _ship(world, deal, who=stranger)
    assert await world.snapshot() == before


async def test_the_same_cause_sends_once_and_gets_the_first_answer(world: World) -> None:
    deal = await _held(world)
    first = await _ship(world, deal)
    world.clock.tick(days=1)
    again = await _ship(world, deal, tracking="another", proof=PHOTO)
    assert (again.tracking, again.release_at) == (first.tracking, first.release_at)
    with pytest.raises(IllegalMove):
        await _ship(world, deal, "update:11")
    assert (await world.told(BRIAN)).count("shipped") == 1


async def test_sending_from_many_devices_is_sent_once(world: World) -> None:
    deal = await _held(world)
    results = await asyncio.gather(
        *(_ship(world, deal, f"update:{number}") for number in range(10)), return_exceptions=True
    )
    assert sum(isinstance(result, Escrow) for result in results) == 1
    assert sum(isinstance(result, IllegalMove) for result in results) == 9
    assert (await world.events(deal)).count("ship") == 1
    assert (await world.told(BRIAN)).count("shipped") == 1


async def test_sending_and_declining_at_once_is_one_of_the_two(world: World) -> None:
    for _ in range(10):
        deal = await _held(world)
        await asyncio.gather(
            _ship(world, deal), world.escrows.decline(deal.id, JANE), return_exceptions=True
        )
        status = await world.status_of(deal)
        assert (await world.events(deal))[-1] == {"SHIPPED": "ship", "REFUNDED": "decline"}[status]


# -- received ------------------------------------------------------------------------------------


async def test_receiving_pays_the_seller_at_once(world: World) -> None:
    deal = await _shipped(world)
    result = await world.escrows.receive(deal.id, BRIAN, "update:20")
    assert result.released
    assert str(result.escrow.status) == "COMPLETED"
    assert (await world.events(deal))[-2:] == ["deliver", "release"]
    assert await world.wallet(JANE) == 10_000
    assert await world.accounts(deal) == (0, 0, 0)
    (settled,) = await world.sql("SELECT * FROM settlements")
    assert (settled["seller_minor"], settled["buyer_minor"], settled["fee_minor"]) == (
        1_000_000,
        0,
        50_000,
    )
    told = await world.notice(JANE, "released")
    assert (told["gets"], told["payout"]) == ("KES 10,000", None)
    assert "released" not in await world.told(BRIAN), "he reads it where he pressed"


async def test_handed_over_in_person_works_without_sending(world: World) -> None:
    deal = await _held(world)
    result = await world.escrows.receive(deal.id, BRIAN, "update:20")
    assert result.released
    assert (await world.events(deal))[-3:] == ["fund", "deliver", "release"]
    assert await world.wallet(JANE) == 10_000


async def test_with_an_inspection_the_seller_waits_for_its_end(world: World) -> None:
    deal = await _delivered(world)
    assert str(deal.status) == "DELIVERED"
    assert deal.release_at == world.clock.now() + timedelta(days=2)
    assert await world.wallet(JANE) == 0
    told = await world.notice(JANE, "delivered")
    assert datetime.fromisoformat(told["release_at"]) == deal.release_at


async def test_only_the_buyer_receives_and_only_what_is_paid(world: World) -> None:
    deal = await world.deal(buyer=BRIAN)
    with pytest.raises(IllegalMove):
        await world.escrows.receive(deal.id, BRIAN, "update:20")
    await world.pay(deal, 10_500)
    before = await world.snapshot()
    with pytest.raises(NotAllowed):
        await world.escrows.receive(deal.id, JANE, "update:20")
    for stranger in (OTIENO, ADMIN):
        with pytest.raises(NotFound):
            await world.escrows.receive(deal.id, stranger, "update:20")
    assert await world.snapshot() == before


async def test_the_same_cause_receives_once_and_gets_the_first_answer(world: World) -> None:
    deal = await _shipped(world)
    await world.escrows.receive(deal.id, BRIAN, "update:20")
    before = await world.snapshot()
    again = await world.escrows.receive(deal.id, BRIAN, "update:20")
    assert again.released
    with pytest.raises(IllegalMove):
        await world.escrows.receive(deal.id, BRIAN, "update:21")
    assert await world.snapshot() == before
    waiting = await _delivered(world)
    assert not (await world.escrows.receive(waiting.id, BRIAN, "update:20")).released


async def test_receiving_on_two_devices_pays_once(world: World) -> None:
    for _ in range(10):
        deal = await _shipped(world)
        before = await world.wallet(JANE)
        results = await asyncio.gather(
            *(world.escrows.receive(deal.id, BRIAN, f"update:{n}") for n in range(20, 24)),
            return_exceptions=True,
        )
        assert sum(isinstance(result, Received) for result in results) == 1
        assert sum(isinstance(result, IllegalMove) for result in results) == 3
        assert await world.wallet(JANE) - before == 10_000


# -- released ------------------------------------------------------------------------------------


async def test_a_buyer_ends_his_inspection_early(world: World) -> None:
    deal = await _delivered(world)
    with pytest.raises(NotAllowed):
        await world.escrows.release(deal.id, JANE)
    with pytest.raises(NotFound):
        await world.escrows.release(deal.id, OTIENO)
    result = await world.escrows.release(deal.id, BRIAN, "update:30")
    assert str(result.escrow.status) == "COMPLETED"
    assert await world.wallet(JANE) == 10_000
    assert "released" in await world.told(JANE)
    assert (await world.escrows.release(deal.id, BRIAN, "update:30")).released
    with pytest.raises(IllegalMove):
        await world.escrows.release(deal.id, BRIAN, "update:31")
    assert await world.wallet(JANE) == 10_000


async def test_what_is_on_its_way_is_not_released_by_hand(world: World) -> None:
    deal = await _shipped(world)
    with pytest.raises(NotAllowed):
        await world.escrows.release(deal.id, BRIAN)
    assert await world.status_of(deal) == "SHIPPED"


# -- declined again ------------------------------------------------------------------------------


async def test_the_same_cause_declines_once_and_gets_the_first_answer(world: World) -> None:
    deal = await _held(world)
    await world.escrows.decline(deal.id, JANE, "update:40")
    again = await world.escrows.decline(deal.id, JANE, "update:40")
    assert str(again.status) == "REFUNDED"
    with pytest.raises(IllegalMove):
        await world.escrows.decline(deal.id, JANE, "update:41")
    assert await world.wallet() == 10_500


# -- timers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "done"), [(-1, 0), (0, 1), (1, 1)])
async def test_silence_pays_the_seller_at_release_at(world: World, seconds: int, done: int) -> None:
    deal = await _shipped(world)
    assert deal.release_at is not None
    world.clock.at = deal.release_at + timedelta(seconds=seconds)
    assert await world.escrows.release_due() == (done, done)
    assert await world.status_of(deal) == ("COMPLETED" if done else "SHIPPED")
    assert await world.wallet(JANE) == 10_000 * done


async def test_both_are_told_of_a_release_by_time(world: World) -> None:
    deal = await _shipped(world)
    world.clock.tick(days=8)
    await world.escrows.release_due()
    assert (await world.notice(JANE, "auto_released"))["gets"] == "KES 10,000"
    assert (await world.notice(BRIAN, "auto_released_buyer"))["code"] == deal.id
    actor = await world.value("SELECT actor FROM escrow_timeline WHERE event = 'release'")
    assert actor == "timer"
    assert await world.escrows.release_due() == (0, 0)


@pytest.mark.parametrize(("seconds", "done"), [(-1, 0), (0, 1), (1, 1)])
async def test_the_end_of_an_inspection_pays_the_seller(
    world: World, seconds: int, done: int
) -> None:
    deal = await _delivered(world)
    assert deal.release_at is not None
    world.clock.at = deal.release_at + timedelta(seconds=seconds)
    assert await world.escrows.release_due() == (done, done)
    assert await world.wallet(JANE) == 10_000 * done


@pytest.mark.parametrize(("seconds", "done"), [(-1, 0), (0, 1), (1, 1)])
async def test_what_is_not_sent_by_ship_by_goes_back(world: World, seconds: int, done: int) -> None:
    deal = await _held(world)
    assert deal.ship_by is not None
    world.clock.at = deal.ship_by + timedelta(seconds=seconds)
    assert await world.escrows.refund_due() == (done, done)
    assert await world.status_of(deal) == ("REFUNDED" if done else "HELD")
    assert await world.wallet() == 10_500 * done
    assert await world.value("SELECT count(*) FROM fraud_flags") == done


async def test_an_unsent_deal_flags_its_seller_once_per_deal(world: World) -> None:
    deals = [await _held(world), await _held(world)]
    world.clock.tick(days=4)
    assert await world.escrows.refund_due() == (2, 2)
    flags = await world.sql("SELECT * FROM fraud_flags ORDER BY escrow_id")
    assert [flag["escrow_id"] for flag in flags] == sorted(deal.id for deal in deals)
    assert {(f["telegram_id"], f["flag_type"], f["severity"]) for f in flags} == {
        (JANE, "unshipped_order", "MEDIUM")
    }
    assert (await world.told(BRIAN)).count("auto_refunded") == 2
    assert (await world.told(JANE)).count("auto_refunded_seller") == 2
    assert await world.escrows.refund_due() == (0, 0)


async def test_timers_leave_alone_what_is_not_theirs(world: World) -> None:
    unpaid, sent = await world.deal(buyer=BRIAN), await _shipped(world)
    held = await _held(world)
    world.clock.tick(days=4)
    assert await world.escrows.refund_due() == (1, 1)
    world.clock.tick(days=4)
    assert await world.escrows.release_due() == (1, 1)
    states = [await world.status_of(deal) for deal in (unpaid, sent, held)]
    assert states == ["PENDING", "COMPLETED", "REFUNDED"]


async def test_a_long_list_is_done_in_one_sweep(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("escrow.services.sweeps.BATCH", 3)
    for _ in range(8):
        await _held(world)
    world.clock.tick(days=4)
    assert await world.escrows.refund_due() == (8, 8)


@asynccontextmanager
async def _poisoned(dsn: str, codes: Sequence[str]) -> AsyncIterator[None]:
    """PostgreSQL refuses to end these deals, as it would where something is broken."""
    owner = await asyncpg.connect(dsn)
    listed = ", ".join(f"'{code}'" for code in codes)
    try:
        await owner.execute(
            "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'poison'; END $$;"
            "CREATE TRIGGER poison BEFORE INSERT ON settlements FOR EACH ROW"
            f" WHEN (NEW.escrow_id IN ({listed})) EXECUTE FUNCTION poison()"
        )
        yield
        await owner.execute("DROP TRIGGER poison ON settlements; DROP FUNCTION poison()")
    finally:
        await owner.close()


@pytest.mark.parametrize("batch", [100, 2])
async def test_deals_that_cant_be_ended_stop_no_others(
    world: World, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr("escrow.services.sweeps.BATCH", batch)
    sent = [await _shipped(world) for _ in range(5)]
    unsent = [await _held(world) for _ in range(5)]
    stuck = [sent[0].id, sent[1].id, unsent[0].id, unsent[2].id]
    world.clock.tick(days=8)
    async with _poisoned(world.dsn, stuck):
        assert await world.escrows.release_due() == (5, 3)
        assert await world.escrows.refund_due() == (5, 3)
        assert {await world.status_of(deal) for deal in sent if deal.id in stuck} == {"SHIPPED"}
        assert {await world.status_of(deal) for deal in unsent if deal.id in stuck} == {"HELD"}
        assert await world.wallet(JANE) == 30_000
        assert await world.wallet() == 31_500
        await world.books()
        assert await world.escrows.release_due() == (0, 0), "they rest until their next try"
    world.clock.tick(minutes=1)
    assert await world.escrows.release_due() == (2, 2)
    assert await world.escrows.refund_due() == (2, 2)
    assert (await world.wallet(JANE), await world.wallet()) == (50_000, 52_500)


# -- at the same instant -------------------------------------------------------------------------


async def test_a_receipt_and_the_timer_at_the_same_instant_pay_once(world: World) -> None:
    for _ in range(50):
        deal = await _shipped(world)
        assert deal.release_at is not None
        before = await world.wallet(JANE)
        world.clock.at = deal.release_at
        received, swept = await asyncio.gather(
            world.escrows.receive(deal.id, BRIAN, "update:20"),
            world.escrows.release_due(),
            return_exceptions=True,
        )
        by_timer = swept == (1, 1)
        assert isinstance(received, IllegalMove if by_timer else Received)
        assert await world.status_of(deal) == "COMPLETED"
        assert await world.wallet(JANE) - before == 10_000
        assert (await world.events(deal)).count("release") == 1


async def test_everything_at_the_last_moment_of_a_paid_deal_is_one_outcome(world: World) -> None:
    for _ in range(20):
        deal = await _held(world)
        assert deal.ship_by is not None
        before = (await world.wallet(), await world.wallet(JANE))
        world.clock.at = deal.ship_by
        results = await asyncio.gather(
            _ship(world, deal),
            world.escrows.decline(deal.id, JANE),
            world.escrows.receive(deal.id, BRIAN, "update:20"),
            world.escrows.refund_due(),
            return_exceptions=True,
        )
        for result in results:
            assert not isinstance(result, Exception) or isinstance(result, CannotDo), result
        moved = (await world.wallet() - before[0], await world.wallet(JANE) - before[1])
        outcome = {"SHIPPED": (0, 0), "COMPLETED": (0, 10_000), "REFUNDED": (10_500, 0)}
        assert moved == outcome[await world.status_of(deal)]


async def test_two_sweeps_at_once_share_the_work(world: World) -> None:
    deals = [await _held(world) for _ in range(6)]
    world.clock.tick(days=4)
    swept = await asyncio.gather(*(world.escrows.refund_due() for _ in range(4)))
    assert sum(done for _, done in swept) == 6
    assert {await world.status_of(deal) for deal in deals} == {"REFUNDED"}
    assert await world.wallet() == 6 * 10_500
