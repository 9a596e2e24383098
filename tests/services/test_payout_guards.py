"""What holds a payout back, and what comes back when a number was changed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from escrow.domain.errors import NotAllowed, Paused
from escrow.domain.model import Escrow
from escrow.domain.payouts import Payout, PayoutState
from escrow.services.payouts import Payouts
from tests.payout_rail import SHORT
from tests.world import ADMIN, BRIAN, JANE, OTIENO, PHONES, SECOND_ADMIN, World, kes

STRANGE = "254799000999"


@pytest.fixture
async def paying(dsn: str) -> AsyncIterator[World]:
    """A world in which settled money goes to the phone by itself."""
    async with World.open(dsn, auto_payout=True) as opened:
        yield opened
        await opened.books()


async def released(world: World, buyer: int = BRIAN) -> int:
    """Jane was paid for a deal; the number of her payout."""
    deal: Escrow = await world.deal(buyer=buyer)
    await world.pay(deal, 10_500, buyer=buyer)
    await world.escrows.receive(deal.id, buyer, "test:receive")
    return int(await world.value("SELECT max(id) FROM payouts"))


async def cards(world: World, kind: str = "payout_manual") -> dict[int, Mapping[str, Any]]:
    found = await world.sql("SELECT chat_id, params FROM outbox WHERE kind = $1", kind)
    return {row["chat_id"]: row["params"] for row in found}


def one_admin(world: World) -> None:
    """The same, with a single admin."""
    world.booking._admins = (ADMIN,)
    world.payouts = Payouts(
        world.db,
        world.clock,
        world.payout_rail,
        world.booking,
        (ADMIN,),
        callback_base="https://amana.example",
    )


# -- admins who are sides --------------------------------------------------------------------------


@pytest.mark.parametrize("as_buyer", [True, False])
async def test_an_admin_decides_nothing_about_his_own_money(paying: World, as_buyer: bool) -> None:
    one_admin(paying)
    paying.payout_rail.can_pay = False
    if as_buyer:
        number = await released(paying, buyer=ADMIN)
    else:
        await paying.person(ADMIN, "Admin", "254733000111")
        await paying.give(ADMIN, kes(500))
        number = (await paying.payouts.book_withdrawal(ADMIN, kes(500), "test:1")).id
    for act in (
        paying.payouts.mark_paid(number, ADMIN, "SGHAND0001"),
        paying.payouts.mark_failed(number, ADMIN, "no", not_sent=True),
        paying.payouts.close_on_word(number, ADMIN),
        paying.payouts.task(number, ADMIN),
    ):
        with pytest.raises(NotAllowed, match="payout_own"):
            await act
    assert (await paying.payouts.payout(number)).state is PayoutState.MANUAL
    card = (await cards(paying))[ADMIN]
    assert (card["number"], card["own"]) == (None, "none")
    assert [one.id for one in await paying.payouts.open_ones()] == [number]


async def test_another_admin_gets_the_number_and_decides(paying: World) -> None:
    paying.payout_rail.can_pay = False
    number = await released(paying, buyer=ADMIN)
    told = await cards(paying)
    assert (told[ADMIN]["number"], told[ADMIN]["own"]) == (None, "another")
    assert told[SECOND_ADMIN]["number"] == PHONES[JANE]
    assert "own" not in told[SECOND_ADMIN]
    done = await paying.payouts.mark_paid(number, SECOND_ADMIN, "SGHAND0001")
    assert done.state is PayoutState.PAID


async def test_nor_is_he_shown_the_number_of_one_that_nobody_can_say_of(paying: World) -> None:
    one_admin(paying)
    await released(paying, buyer=ADMIN)
    await paying.payouts.send_due()
    for _ in range(5):
        paying.clock.tick(minutes=6)
        await paying.payouts.ask_due()
    card = (await cards(paying, "payout_unknown"))[ADMIN]
    assert (card["number"], card["own"], card["why"]) == (None, "none", "unknown")


# -- receipts --------------------------------------------------------------------------------------


async def test_a_receipt_of_a_payment_to_us_pays_nothing_out(paying: World) -> None:
    paying.payout_rail.can_pay = False
    number = await released(paying)
    came = await paying.value("SELECT reference FROM receipts WHERE state = 'CREDITED'")
    with pytest.raises(NotAllowed, match="receipt_came_in"):
        await paying.payouts.mark_paid(number, ADMIN, came)
    paying.rail.can_ask_status = True
    await paying.claims.claim("", OTIENO, "SGCLAIM001", "test:claim")
    with pytest.raises(NotAllowed, match="receipt_came_in"):
        await paying.payouts.mark_paid(number, ADMIN, "SGCLAIM001")
    await paying.sql(
        "UPDATE payment_claims SET state = 'DENIED', decided_at = $1, next_check_at = NULL",
        paying.clock.now(),
    )
    assert (await paying.payouts.mark_paid(number, ADMIN, "SGCLAIM001")).state is PayoutState.PAID


# -- numbers that are new --------------------------------------------------------------------------


async def resting(world: World) -> Payout:
    """Somebody changed Jane's number, and then she was paid."""
    await world.people.change_payout_phone(JANE, STRANGE)
    return await world.payouts.payout(await released(world))


async def test_what_rests_is_not_paid_by_hand_before_its_time(paying: World) -> None:
    paying.payout_rail.can_pay = False
    waiting = await resting(paying)
    with pytest.raises(NotAllowed, match="payout_rests") as refused:
        await paying.payouts.mark_paid(waiting.id, ADMIN, "SGHAND0001")
    assert refused.value.values["until"] == waiting.not_before
    paying.clock.tick(hours=24)
    done = await paying.payouts.mark_paid(waiting.id, ADMIN, "SGHAND0001")
    assert done.state is PayoutState.PAID


@pytest.mark.parametrize("by_hand", [True, False])
async def test_the_owner_who_names_his_number_again_gets_back_what_was_on_its_way(
    paying: World, by_hand: bool
) -> None:
    paying.payout_rail.can_pay = not by_hand
    waiting = await resting(paying)
    paying.clock.tick(hours=1)
    await paying.people.change_payout_phone(JANE, PHONES[JANE])
    after = await paying.payouts.payout(waiting.id)
    assert (after.state, after.note) == (PayoutState.FAILED, "number_changed")
    assert await paying.wallet(JANE) == 10_000
    told = await paying.notice(JANE, "payout_failed")
    assert (told["amount"], told["why"]) == ("KES 10,000", "number_changed")
    paying.clock.tick(hours=48)
    await paying.payouts.send_due()
    assert paying.payout_rail.sent == []
    # again: nothing more comes back
    await paying.people.change_payout_phone(JANE, STRANGE)
    assert await paying.wallet(JANE) == 10_000


async def test_a_pause_uses_up_none_of_the_time_to_notice_a_changed_number(paying: World) -> None:
    waiting = await resting(paying)
    await paying.pauses.pause(ADMIN, "", "update:900")
    paying.clock.tick(hours=30)
    with pytest.raises(Paused):
        await paying.people.change_payout_phone(JANE, PHONES[JANE])
    await paying.pauses.resume(ADMIN, "update:901")
    await paying.payouts.send_due()
    assert paying.payout_rail.sent == []
    await paying.people.change_payout_phone(JANE, PHONES[JANE])
    after = await paying.payouts.payout(waiting.id)
    assert (after.state, after.note) == (PayoutState.FAILED, "number_changed")


async def test_what_is_on_its_way_to_the_old_number_goes_on(paying: World) -> None:
    paying.payout_rail.answers = [SHORT]
    number = await released(paying)
    await paying.payouts.send_due()
    assert (await paying.payouts.payout(number)).not_before is not None  # tried again later
    await paying.people.change_payout_phone(JANE, STRANGE)
    assert (await paying.payouts.payout(number)).state is PayoutState.READY
    assert await paying.wallet(JANE) == 0


async def test_an_admin_can_stop_what_rests_and_nothing_else_that_is_ready(paying: World) -> None:
    waiting = await resting(paying)
    assert await paying.payouts.task(waiting.id, ADMIN, to_stop=True) == waiting
    with pytest.raises(NotAllowed, match="payout_not_yours"):
        await paying.payouts.task(waiting.id, ADMIN)
    done = await paying.payouts.mark_failed(waiting.id, ADMIN, "that is not her number")
    assert done.state is PayoutState.FAILED
    assert await paying.wallet(JANE) == 10_000
    due = await paying.payouts.payout(await released(paying))
    paying.clock.tick(hours=24)
    for act in (
        paying.payouts.task(due.id, ADMIN, to_stop=True),
        paying.payouts.mark_failed(due.id, ADMIN, "no"),
    ):
        with pytest.raises(NotAllowed, match="payout_not_yours"):
            await act
