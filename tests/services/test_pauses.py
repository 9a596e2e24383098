"""A pause stops everything that moves money, at once; going on gives everybody his time back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from escrow.domain.errors import InvalidInput, Paused, TimedOut
from escrow.domain.model import Escrow
from escrow.domain.pauses import Pause
from escrow.services import pauses as service
from escrow.services.choice_tokens import Action
from escrow.services.pauses import Word
from escrow.store import pauses as rows
from escrow.store import payments
from tests.rail import PAID, paybill_body, stk_body
from tests.world import ADMIN, BRIAN, JANE, OTIENO, SECOND_ADMIN, World, kes, new_reference


async def _stop(world: World, by: int | None = ADMIN, cause: str = "update:900") -> Pause:
    word = await world.pauses.pause(by, "looking at something", cause)
    assert word.changed
    assert word.pause is not None
    return word.pause


async def _go_on(world: World, by: int | None = ADMIN, cause: str = "update:901") -> Word:
    word = await world.pauses.resume(by, cause)
    assert word.changed
    assert word.pause is not None
    assert word.pause.ended_at is not None
    return word


async def _held(world: World) -> Escrow:
    deal = await world.deal(buyer=BRIAN)
    await world.pay(deal, 10_500)
    return await world.escrow(deal.id)


async def _shipped(world: World) -> Escrow:
    deal = await _held(world)
    return await _ship(world, deal)


async def _ship(world: World, deal: Escrow) -> Escrow:
    return await world.escrows.ship(
        deal.id, JANE, tracking="G4S 12345", proof=None, cause=f"test:ship:{deal.id}"
    )


async def _told(world: World, kind: str) -> list[tuple[int, str | None]]:
    found = await world.sql(
        "SELECT chat_id, escrow_id FROM outbox WHERE kind = $1 ORDER BY chat_id, escrow_id", kind
    )
    return [(row["chat_id"], row["escrow_id"]) for row in found]


async def _expires(world: World, deal: Escrow) -> tuple[int, datetime]:
    async with world.db.reading() as conn:
        choice = await payments.open_choice(conn, deal.id)
    assert choice is not None
    return choice.id, choice.expires_at


# -- what stands still -----------------------------------------------------------------------------


async def test_nothing_that_moves_money_or_a_deal_is_done_while_paused(world: World) -> None:
    waiting, held, shipped = (
        await world.deal(buyer=BRIAN),
        await _held(world),
        await _shipped(world),
    )
    short = await world.deal(buyer=OTIENO)
    await world.pay(short, 9_800)
    await world.give(BRIAN, kes(500))
    offer = await world.escrows.offer_extension(held.id, JANE, 24, "test:offer")
    proceed = await world.button(short, Action.PROCEED)
    cancel = await world.button(short, Action.CANCEL)
    refund = await world.actions.ask("manual_refund", held.id, {"reason": ""}, ADMIN, "test:ask")
    await _stop(world)
    before = await world.snapshot()
    tries: dict[str, Callable[[], Awaitable[Any]]] = {
        "a new deal": world.deal,
        "a prompt": lambda: world.prompt(waiting),
        "a payment": lambda: world.pay(waiting, 10_500),
        "cancelling": lambda: world.escrows.cancel(waiting.id, BRIAN),
        "shipping": lambda: _ship(world, held),
        "declining": lambda: world.escrows.decline(held.id, JANE),
        "receiving": lambda: world.escrows.receive(shipped.id, BRIAN, "test:receive"),
        "accepting": lambda: world.escrows.accept_offer(offer.id, BRIAN),
        "going on with less": lambda: world.choices.press(proceed, OTIENO),
        "cancelling by button": lambda: world.choices.press(cancel, OTIENO),
        "sending the wallet": lambda: world.payouts.book_withdrawal(BRIAN, kes(500), "test:out"),
        "an admin's refund": lambda: world.actions.confirm(refund.id, ADMIN, "test:yes"),
    }
    for what, attempt in tries.items():
        with pytest.raises(Paused):
            pytest.fail(f"{what}: {await attempt()}")
    assert await world.snapshot() == before


async def test_a_deal_can_be_frozen_while_paused(world: World) -> None:
    deal = await _held(world)
    await _stop(world)
    await world.escrows.freeze(deal.id, ADMIN, "a stolen phone", "test:freeze")
    assert await world.status_of(deal) == "FROZEN"


async def test_reading_goes_on_while_paused(world: World) -> None:
    deal = await _held(world)
    await _stop(world)
    assert (await world.escrows.deal(deal.id, BRIAN)).role == "buyer"
    assert [one.id for one, _ in await world.escrows.deals(BRIAN)] == [deal.id]


async def test_what_came_in_while_paused_is_kept_and_counted_afterwards(world: World) -> None:
    world.rail.query_answer = PAID
    deal, by_hand = await world.deal(buyer=BRIAN), await world.deal(buyer=OTIENO)
    attempt = await world.prompt(deal)
    await _stop(world)
    await world.post_stk(attempt, stk_body(attempt, world.clock.now(), reference=new_reference()))
    body = paybill_body(by_hand.id, kes(10_500), new_reference(), world.clock.now())
    assert await world.post_paybill(body)
    assert await world.intake.process_due() == 0
    tries = await world.sql("SELECT state, tries FROM inbox")
    assert [(row["state"], row["tries"]) for row in tries] == [("NEW", 0)] * 2
    await _go_on(world)
    await world.settle_inbox()
    assert await world.status_of(deal) == "HELD"


async def test_a_callback_that_was_taken_a_moment_before_the_pause_is_not_lost(
    world: World,
) -> None:
    world.rail.query_answer = PAID
    deal = await world.deal(buyer=BRIAN)
    attempt = await world.prompt(deal)

    async def then_paused(_: str) -> None:
        if not await world.pauses.current():
            await _stop(world)

    world.rail.on_query = then_paused
    await world.callback(attempt, new_reference())
    assert await world.status_of(deal) == "PENDING"
    assert await world.value("SELECT state FROM inbox") == "NEW"
    world.rail.on_query = None
    await _go_on(world)
    world.clock.tick(minutes=5)
    await world.settle_inbox()
    assert await world.status_of(deal) == "HELD"


# -- pausing ---------------------------------------------------------------------------------------


async def test_a_pause_says_who_when_and_why(world: World) -> None:
    pause = await _stop(world)
    assert (pause.paused_by, pause.paused_at) == (ADMIN, world.clock.now())
    assert pause.reason == "looking at something"
    assert await world.pauses.current() is not None


async def test_a_second_pause_changes_nothing_and_names_the_first(world: World) -> None:
    first = await _stop(world)
    world.clock.tick(minutes=3)
    word = await world.pauses.pause(SECOND_ADMIN, "me too", "update:902")
    assert not word.changed
    assert word.by == "Amina"
    assert word.pause is not None
    assert (word.pause.id, word.pause.reason) == (first.id, "looking at something")


async def test_a_repeated_update_does_not_pause_again_once_it_is_over(world: World) -> None:
    await _stop(world)
    await _go_on(world)
    word = await world.pauses.pause(ADMIN, "looking at something", "update:900")
    assert not word.changed
    assert await world.pauses.current() is None


async def test_a_repeated_update_does_not_end_a_later_pause(world: World) -> None:
    await _stop(world)
    await _go_on(world)
    await _stop(world, cause="update:905")
    assert not (await world.pauses.resume(ADMIN, "update:901")).changed
    assert await world.pauses.current() is not None


async def test_a_reason_that_is_too_long_pauses_nothing(world: World) -> None:
    with pytest.raises(InvalidInput):
        await world.pauses.pause(ADMIN, "x" * 301, "update:900")
    assert await world.pauses.current() is None


async def test_of_ten_who_pause_at_once_one_does(world: World) -> None:
    words = await asyncio.gather(
        *(world.pauses.pause(ADMIN, "", f"update:{number}") for number in range(910, 920))
    )
    assert sum(word.changed for word in words) == 1
    assert len({word.pause.id for word in words if word.pause}) == 1


async def test_people_with_money_here_and_the_other_admins_are_told_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "PEOPLE", 1)
    await _held(world)
    await _held(world)
    await world.deal(buyer=OTIENO)
    await _stop(world)
    await world.pauses.carry_on()
    assert await _told(world, "paused") == [(JANE, None), (BRIAN, None)]
    assert await _told(world, "pause_began") == [(SECOND_ADMIN, None)]


# -- going on --------------------------------------------------------------------------------------


async def test_every_deadline_moves_by_the_length_of_the_pause(world: World) -> None:
    waiting, held, shipped = (
        await world.deal(buyer=BRIAN),
        await _held(world),
        await _shipped(world),
    )
    await _stop(world)
    world.clock.tick(hours=5)
    await _go_on(world)
    by = timedelta(hours=5)
    assert waiting.pay_by is not None
    assert held.ship_by is not None
    assert shipped.release_at is not None
    assert (await world.escrow(waiting.id)).pay_by == waiting.pay_by + by
    assert (await world.escrow(held.id)).ship_by == held.ship_by + by
    assert (await world.escrow(shipped.id)).release_at == shipped.release_at + by
    for deal in (waiting, held, shipped):
        rows_ = await world.sql(
            "SELECT actor, data FROM escrow_timeline"
            " WHERE escrow_id = $1 AND event = 'deadline_moved'",
            deal.id,
        )
        assert [(row["actor"], row["data"]["seconds"]) for row in rows_] == [("system", 18_000)]
    everybody = sorted((p, d.id) for p in (BRIAN, JANE) for d in (waiting, held, shipped))
    assert await _told(world, "deadline_moved") == everybody
    assert await _told(world, "resumed") == []
    (told,) = await world.sql("SELECT params FROM outbox WHERE kind = 'pause_ended' LIMIT 1")
    assert told["params"] == {"by": "Amina", "seconds": 18_000, "moved": 3}


async def test_a_deadline_that_was_over_before_is_acted_on_at_once(world: World) -> None:
    held = await _held(world)
    world.clock.tick(hours=73)
    await _stop(world)
    world.clock.tick(hours=5)
    await _go_on(world)
    assert (await world.escrow(held.id)).ship_by == held.ship_by
    assert await world.escrows.refund_due() == (1, 1)


async def test_what_is_disputed_or_frozen_keeps_its_deadline_and_its_people_hear_the_end(
    world: World,
) -> None:
    disputed, frozen = await _shipped(world), await _held(world)
    await world.escrows.dispute(disputed.id, BRIAN, "it never came", "test:dispute")
    await world.escrows.freeze(frozen.id, ADMIN, "", "test:freeze")
    await _stop(world)
    world.clock.tick(hours=5)
    await _go_on(world)
    assert (await world.escrow(disputed.id)).release_at == disputed.release_at
    assert (await world.escrow(frozen.id)).ship_by == frozen.ship_by
    assert await _told(world, "resumed") == [(JANE, None), (BRIAN, None)]
    await world.escrows.unfreeze(frozen.id, ADMIN, "", "test:unfreeze")
    assert frozen.ship_by is not None
    assert (await world.escrow(frozen.id)).ship_by == frozen.ship_by + timedelta(hours=5)


async def test_a_deal_frozen_during_the_pause_loses_no_minute_and_wins_none(world: World) -> None:
    held = await _held(world)
    await _stop(world)
    world.clock.tick(hours=2)
    await world.escrows.freeze(held.id, ADMIN, "", "test:freeze")
    world.clock.tick(hours=3)
    await _go_on(world)
    world.clock.tick(hours=1)
    await world.escrows.unfreeze(held.id, ADMIN, "", "test:unfreeze")
    assert held.ship_by is not None
    assert (await world.escrow(held.id)).ship_by == held.ship_by + timedelta(hours=6)


async def test_an_open_choice_is_asked_again_with_its_whole_time(world: World) -> None:
    deal = await world.deal()
    await world.pay(deal, 9_800)
    first, _ = await _expires(world, deal)
    old = await world.button(deal, Action.PROCEED)
    await _stop(world)
    world.clock.tick(hours=1)
    await _go_on(world)
    second, expires = await _expires(world, deal)
    assert second != first
    assert expires == world.clock.now() + timedelta(minutes=10)
    told = await world.sql("SELECT params FROM outbox WHERE kind = 'underpaid' ORDER BY id")
    assert [row["params"]["choice"] for row in told] == [first, second]
    with pytest.raises(Exception, match="choice_refused"):
        await world.choices.press(old, BRIAN)
    await world.press(deal, Action.PROCEED)
    assert await world.status_of(deal) == "HELD"


async def test_every_open_choice_of_a_buyer_is_asked_again(world: World) -> None:
    deals = [await world.deal(buyer=BRIAN), await world.deal(buyer=BRIAN)]
    for deal in deals:
        await world.pay(deal, 9_800)
    await world.sql("DELETE FROM outbox")
    await _stop(world)
    await _go_on(world)
    assert await _told(world, "underpaid") == sorted((BRIAN, deal.id) for deal in deals)


async def test_a_receipt_that_can_not_be_credited_now_is_not_believed(world: World) -> None:
    deal = await world.deal(buyer=BRIAN)
    stored, _ = await world.funds.register_waiting(
        world.by_hand(deal, kes(10_500)), next_check_after=None
    )
    await _stop(world)
    with pytest.raises(Paused):
        await world.confirmations.confirm_receipt(stored.id, ADMIN, ours=True)
    assert await world.value("SELECT evidence FROM receipts") is None
    await _go_on(world)
    await world.confirmations.confirm_receipt(stored.id, ADMIN, ours=False)
    assert await world.status_of(deal) == "PENDING"


async def test_without_a_pause_resume_changes_nothing(world: World) -> None:
    word = await world.pauses.resume(ADMIN, "update:901")
    assert word == Word(None, False, "")
    await _stop(world, by=None)
    await _go_on(world, by=SECOND_ADMIN)
    again = await world.pauses.resume(ADMIN, "update:903")
    assert (again.changed, again.by) == (False, "Abdi")


async def test_of_ten_who_resume_at_once_each_deal_moves_once(world: World) -> None:
    held = await _held(world)
    await _stop(world)
    world.clock.tick(hours=1)
    words = await asyncio.gather(
        *(world.pauses.resume(ADMIN, f"update:{number}") for number in range(930, 940))
    )
    assert sum(word.changed for word in words) == 1
    assert held.ship_by is not None
    assert (await world.escrow(held.id)).ship_by == held.ship_by + timedelta(hours=1)


async def test_a_resume_that_waits_for_a_deal_is_promised_and_done_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _held(world)
    await _stop(world)

    async def locked(*_: Any) -> list[str]:
        raise TimedOut("PostgreSQL cut a statement")

    with monkeypatch.context() as patched:
        patched.setattr(rows, "next_deals", locked)
        word = await world.pauses.resume(ADMIN, "update:901")
    assert word.changed
    assert word.pause is not None
    assert word.pause.resumed_at is not None
    assert word.pause.ended_at is None
    await world.pauses.carry_on()
    assert await world.pauses.current() is None
    told = await _told(world, "pause_ended")
    assert told == [(one, None) for one in sorted((ADMIN, SECOND_ADMIN))], (
        "his answer could not say it"
    )


async def test_a_resume_that_is_killed_in_the_middle_is_finished_by_the_next_start(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    deals = [await _held(world) for _ in range(5)]
    monkeypatch.setattr(service, "DEALS", 2)
    await _stop(world)
    world.clock.tick(hours=4)
    moved, batches = rows.moved, []

    async def killed(*args: Any) -> None:
        await moved(*args)
        batches.append(args)
        if len(batches) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(rows, "moved", killed)
    with pytest.raises(KeyboardInterrupt):
        await world.pauses.resume(ADMIN, "update:901")
    monkeypatch.setattr(rows, "moved", moved)
    # two deals have their time back, none is free before all have
    with pytest.raises(Paused):
        await _ship(world, deals[0])
    assert (await world.escrows.refund_due())[0] == 0
    async with world.restarted() as again:
        again.clock.tick(minutes=30)
        await again.pauses.carry_on()
        assert await again.pauses.current() is None
    for deal in deals:
        assert deal.ship_by is not None
        assert (await world.escrow(deal.id)).ship_by == deal.ship_by + timedelta(hours=4)
    assert await world.value("SELECT moved FROM pauses") == 5
    assert len(await _told(world, "deadline_moved")) == 10


async def test_a_pause_while_one_is_ending_begins_when_that_one_is_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = await _held(world)
    first = await _stop(world)
    world.clock.tick(hours=1)

    async def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(rows, "moved", killed)
        with pytest.raises(KeyboardInterrupt):
            await world.pauses.resume(ADMIN, "update:901")
    second = await _stop(world, cause="update:902")
    assert second.id > first.id
    assert held.ship_by is not None
    assert (await world.escrow(held.id)).ship_by == held.ship_by + timedelta(hours=1)


# -- raced -----------------------------------------------------------------------------------------


async def test_payments_that_race_with_a_pause_are_counted_once_now_or_afterwards(
    world: World,
) -> None:
    deals = [await world.deal(buyer=BRIAN) for _ in range(20)]
    references = [new_reference() for _ in deals]

    async def pay(number: int) -> bool:
        try:
            await world.pay(deals[number], 10_500, reference=references[number])
        except Paused:
            return False
        return True

    racing = [asyncio.create_task(pay(number)) for number in range(20)]
    stop = asyncio.create_task(_stop(world))
    paid = await asyncio.gather(*racing)
    await stop
    for deal, done in zip(deals, paid, strict=True):
        assert await world.status_of(deal) == ("HELD" if done else "PENDING")
    await _go_on(world)
    assert all(await asyncio.gather(*(pay(number) for number in range(20))))
    assert {await world.status_of(deal) for deal in deals} == {"HELD"}
    assert await world.value("SELECT count(*) FROM receipts") == 20


async def test_timers_that_race_with_a_pause_end_a_deal_whole_or_not_at_all(world: World) -> None:
    deals = [await _held(world) for _ in range(8)]
    world.clock.tick(hours=73)

    async def sweep() -> None:
        try:
            await world.escrows.refund_due()
        except Paused:
            return

    await asyncio.gather(sweep(), _stop(world), sweep())
    ended = {await world.status_of(deal) for deal in deals}
    assert ended <= {"HELD", "REFUNDED"}
    await _go_on(world)
    await world.escrows.refund_due()
    assert {await world.status_of(deal) for deal in deals} == {"REFUNDED"}
