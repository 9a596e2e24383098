"""Money paid by hand under a deal's code that nobody claims for a day goes back, once."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from escrow.domain.errors import CannotDo
from escrow.domain.model import Escrow, Evidence
from escrow.services.unclaimed import Unclaimed
from escrow.store import unmatched
from tests.reversal_rail import reversed_body
from tests.services.test_reversals import post, sent, state_of, suspense, the_payout
from tests.world import ADMIN, ADMINS, BRIAN, JANE, OTIENO, World, kes, new_reference

DAY = timedelta(hours=24)
SECOND = timedelta(seconds=1)
BRIANS = "254722***222"


def _sweep(world: World) -> Unclaimed:
    return Unclaimed(world.db, world.clock, world.booking, ADMINS)


async def _paid(
    world: World, deal: Escrow | None = None, *, amount: int = 10_500, shown: str = BRIANS
) -> tuple[Escrow, str]:
    """A payment by hand under a deal's code that has no buyer yet."""
    deal = deal or await world.deal()
    number = new_reference()
    result = await world.funds.process_escrow_payment(
        world.by_hand(deal, kes(amount), reference=number, shown=shown), Evidence.STATUS
    )
    assert str(result.outcome) == "suspense"
    await world.sql("DELETE FROM outbox")
    return deal, number


@pytest.mark.parametrize(("after", "done"), [(DAY - SECOND, 0), (DAY, 1), (DAY + SECOND, 1)])
async def test_it_goes_back_after_a_day_and_not_a_second_before(
    world: World, after: timedelta, done: int
) -> None:
    deal, number = await _paid(world)
    world.clock.at += after
    assert await _sweep(world).return_due() == (done, done, 0)
    assert await world.value("SELECT count(*) FROM payouts") == done
    assert await state_of(world, number) == "SUSPENSE", "until M-Pesa says yes"
    if done:
        assert await world.events(deal) == ["open", "payment_in_suspense", "receipt_goes_back"]


async def test_it_is_reversed_and_all_whom_it_concerns_are_told(world: World) -> None:
    deal, number = await _paid(world)
    world.clock.at += DAY
    await _sweep(world).return_due()
    assert await _sweep(world).return_due() == (0, 0, 0)
    for admin in ADMINS:
        assert (await world.notice(admin, "unclaimed_back"))["payer"] == "0722***222"
    assert (await world.notice(JANE, "unclaimed_seller"))["code"] == deal.id
    assert BRIAN not in {r["chat_id"] for r in await world.sql("SELECT chat_id FROM outbox")}
    one = await sent(world)
    assert (one.reference, one.amount) == (number, kes(10_500))
    assert await post(world, one, reversed_body(one)) == "paid"
    assert await state_of(world, number) == "RETURNED"
    assert await suspense(world) == 0
    assert await _sweep(world).return_due() == (0, 0, 0)


async def test_where_nothing_can_be_reversed_it_is_an_admins_task(world: World) -> None:
    world.reversals.can_reverse = False
    await _paid(world)
    world.clock.at += DAY
    assert await _sweep(world).return_due() == (1, 1, 0)
    payout = await the_payout(world)
    assert (str(payout.state), payout.note) == ("MANUAL", "no_keys")
    assert await world.told(ADMIN) == ["payout_manual"]
    assert await world.told(JANE) == ["unclaimed_seller"]


async def test_money_without_a_deal_and_money_of_a_prompt_stay(world: World) -> None:
    number = new_reference()
    await world.funds.process_escrow_payment(
        world.by_hand(None, kes(500), reference=number), Evidence.STATUS
    )
    deal, other = await _paid(world)
    await world.sql("UPDATE receipts SET channel = 'stk' WHERE reference = $1", other)
    world.clock.at += 10 * DAY
    assert await _sweep(world).return_due() == (0, 0, 0)
    assert deal.id


async def test_a_claim_that_came_first_gets_it_and_one_that_waits_keeps_it(world: World) -> None:
    deal, _ = await _paid(world)
    _, doubtful = await _paid(world)
    world.clock.at += DAY
    number = (await world.receipts())[0]["reference"]
    await world.claims.claim(deal.id, BRIAN, number, "test:claim")
    asked = await world.claims.claim("", OTIENO, doubtful, "test:claim:2")
    assert asked.claim.is_open
    assert await _sweep(world).return_due() == (0, 0, 0)
    assert await world.status_of(deal) == "HELD"
    assert await state_of(world, doubtful) == "SUSPENSE"


async def test_what_an_admin_is_about_to_assign_waits_for_him(world: World) -> None:
    _, number = await _paid(world)
    world.clock.at += DAY
    action = await world.actions.ask("send_back", number, {}, ADMIN, "test:ask")
    assert await _sweep(world).return_due() == (0, 0, 0)
    await world.actions.leave(action.id, ADMIN)
    assert await _sweep(world).return_due() == (1, 1, 0)


async def test_what_could_not_go_back_is_not_tried_again_by_itself(world: World) -> None:
    _, number = await _paid(world)
    world.clock.at += DAY
    await _sweep(world).return_due()
    one = await sent(world)
    await post(world, one, reversed_body(one, code="R000002"))
    assert str((await the_payout(world)).state) == "FAILED"
    world.clock.at += DAY
    assert await _sweep(world).return_due() == (0, 0, 0)
    assert await world.value("SELECT count(*) FROM payouts") == 1
    assert await state_of(world, number) == "SUSPENSE"


async def test_hours_in_which_nobody_could_claim_do_not_count(world: World) -> None:
    await _paid(world)
    world.clock.tick(hours=1)
    await world.pauses.pause(ADMIN, "", "update:1")
    world.clock.tick(hours=5)
    await world.pauses.resume(ADMIN, "update:2")
    await world.outages.beat()
    world.clock.tick(hours=6)
    await world.outages.beat()
    world.clock.tick(hours=22, minutes=59, seconds=59)
    assert await _sweep(world).return_due() == (0, 0, 0)
    world.clock.tick(seconds=1)
    assert await _sweep(world).return_due() == (1, 1, 0)


@pytest.mark.parametrize("turn", range(6))
async def test_raced_by_its_claimant_an_admin_and_itself_it_goes_one_way(
    world: World, turn: int
) -> None:
    deal, number = await _paid(world)
    world.clock.at += DAY
    await asyncio.gather(
        _sweep(world).return_due(),
        _sweep(world).return_due(),
        world.claims.claim(deal.id, BRIAN, number, "test:claim"),
        world.rules("assign_payment", number, ADMIN, code=deal.id, person=BRIAN),
        return_exceptions=True,
    )
    back = await world.value("SELECT count(*) FROM payouts")
    held = await world.status_of(deal) == "HELD"
    assert (back, held) in ((1, False), (0, True))
    assert await suspense(world) == 0


@pytest.mark.parametrize("turn", range(3))
async def test_an_admin_who_assigns_it_in_the_same_instant_wins_or_loses_whole(
    world: World, turn: int
) -> None:
    deal, number = await _paid(world)
    world.clock.at += DAY
    await asyncio.gather(
        world.rules("assign_payment", number, ADMIN, code=deal.id, person=BRIAN),
        _sweep(world).return_due(),
        return_exceptions=True,
    )
    back = await world.value("SELECT count(*) FROM payouts")
    assert (back, await world.status_of(deal)) in ((1, "PENDING"), (0, "HELD"))


async def test_one_that_fails_stops_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    _, poison = await _paid(world)
    await _paid(world)
    world.clock.at += DAY
    real = unmatched.paid_from
    broken = [await world.value("SELECT id FROM receipts WHERE reference = $1", poison)]

    async def paid_from(conn: object, receipt: int) -> tuple[str, bool]:
        if receipt in broken:
            raise ValueError("poison")
        return await real(conn, receipt)  # type: ignore[arg-type]

    monkeypatch.setattr(unmatched, "paid_from", paid_from)
    assert await _sweep(world).return_due() == (2, 1, 1)
    broken.clear()
    assert await _sweep(world).return_due() == (1, 1, 0)


async def test_after_it_went_back_a_claim_is_refused(world: World) -> None:
    deal, number = await _paid(world)
    world.clock.at += DAY
    await _sweep(world).return_due()
    try:
        claimed = await world.claims.claim(deal.id, BRIAN, number, "test:claim")
    except CannotDo:
        pass
    else:
        assert str(claimed.claim.state) != "CREDITED"
    assert await world.status_of(deal) == "PENDING"


async def test_a_claim_that_comes_between_the_look_and_the_lock_keeps_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, number = await _paid(world)
    world.clock.at += DAY
    real, looks = unmatched.unclaimed, []

    async def claimed_after(conn: object, *args: object, **more: object) -> list[str]:
        found = await real(conn, *args, **more)  # type: ignore[arg-type]
        if not looks:
            await world.claims.claim("", OTIENO, number, "test:claim")
        looks.append(found)
        return found

    monkeypatch.setattr(unmatched, "unclaimed", claimed_after)
    assert await _sweep(world).return_due() == (1, 0, 0)
    assert looks == [[number], []]
    assert await world.value("SELECT count(*) FROM payouts") == 0
