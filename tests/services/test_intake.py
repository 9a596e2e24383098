"""The one door: stored before it is answered, processed until it is done, parked with an alert."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import asyncpg
import pytest

from escrow.domain.errors import DatabaseDown
from escrow.services.intake import PAYBILL, STATUS_TIMEOUT, STK
from escrow.services.ports import UnreadableError
from escrow.store import inbox
from tests.rail import PAID, UNREACHABLE, paybill_body, stk_body
from tests.world import ADMIN, ADMINS, BRIAN, World, new_reference

BACK_OFF_SECONDS = (2, 10, 60, 300)


async def _row(world: World) -> Any:
    (row,) = await world.sql("SELECT * FROM inbox")
    return row


async def _paid_body(world: World) -> tuple[Any, Any, bytes]:
    deal = await world.deal()
    attempt = await world.prompt(deal)
    world.rail.query_answer = PAID
    return deal, attempt, stk_body(attempt, world.clock.now(), reference=new_reference())


# -- storing -------------------------------------------------------------------------------------


async def test_a_callback_is_stored_raw_before_anything_is_done_with_it(world: World) -> None:
    deal, attempt, body = await _paid_body(world)
    assert await world.post_stk(attempt, body)
    row = await _row(world)
    assert (bytes(row["body"]), row["state"], row["tries"]) == (body, "NEW", 0)
    assert (row["route"], row["token"], row["method"]) == (STK, attempt.token, "POST")
    assert await world.receipts() == []
    assert world.rail.queries == []
    assert await world.settle_inbox() == "funded"
    assert (await _row(world))["state"] == "DONE"
    assert await world.status_of(deal) == "HELD"


async def test_the_same_body_twice_is_one_row(world: World) -> None:
    _, attempt, body = await _paid_body(world)
    assert await world.post_stk(attempt, body)
    assert not await world.post_stk(attempt, body)
    await world.settle_inbox()
    assert not await world.post_stk(attempt, body)
    assert await world.settle_inbox() == "funded"
    assert await world.value("SELECT count(*) FROM inbox") == 1


async def test_the_same_body_fifty_times_at_once_is_one_row(world: World) -> None:
    _, attempt, body = await _paid_body(world)
    stored = await asyncio.gather(*(world.post_stk(attempt, body) for _ in range(50)))
    assert sum(stored) == 1
    assert await world.value("SELECT count(*) FROM inbox") == 1


async def test_route_token_method_and_query_make_it_another_request(world: World) -> None:
    _, attempt, body = await _paid_body(world)
    places = [
        (STK, attempt.token, "POST", ""),
        (STK, "f" * 32, "POST", ""),
        (STK, attempt.token, "PUT", ""),
        (STK, attempt.token, "POST", "a=1"),
    ]
    for route, token, method, query in places * 2:
        await world.intake.store(route, token, method, query, body, "127.0.0.1")
    assert await world.value("SELECT count(*) FROM inbox") == 4


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"Body": {}}', b"\x00", b"NaN"])
async def test_what_cant_be_read_is_parked_for_a_person_and_refused(
    world: World, body: bytes
) -> None:
    for _ in range(2):
        with pytest.raises(UnreadableError):
            await world.intake.store(STK, "f" * 32, "POST", "", body, "127.0.0.1")
    row = await _row(world)
    assert (row["state"], bytes(row["body"])) == ("PARKED", body)
    assert row["note"].startswith("unreadable")
    assert await world.intake.process_due() == 0


async def test_the_paths_secret_is_known_and_no_other(world: World) -> None:
    assert world.intake.knows("0" * 32)
    for other in ("", "0" * 31, "0" * 33, "1" * 32, "é" * 32):
        assert not world.intake.knows(other)


# -- processing ----------------------------------------------------------------------------------


async def test_a_row_that_keeps_failing_is_tried_five_times_with_back_off_then_parked_with_alert(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, attempt, body = await _paid_body(world)
    await world.post_stk(attempt, body)

    async def broken(*args: object) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr(world.confirmations, "on_callback", broken)
    for seconds in BACK_OFF_SECONDS:
        assert await world.intake.process_due() == 1
        assert await world.told(ADMIN) == []
        world.clock.tick(seconds=seconds - 1)
        assert await world.intake.process_due() == 0, "not before its time"
        world.clock.tick(seconds=1)
    assert await world.intake.process_due() == 1
    row = await _row(world)
    assert (row["state"], row["tries"], row["note"]) == ("PARKED", 5, "ZeroDivisionError")
    for admin in ADMINS:
        assert await world.told(admin) == ["request_parked"]
    world.clock.tick(days=1)
    assert await world.intake.process_due() == 0


async def test_a_poisoned_row_stops_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    deal, attempt, body = await _paid_body(world)
    other = await world.deal(9_000, buyer=3_002)
    real = world.confirmations.on_callback

    async def broken(found: Any, *args: Any) -> str:
        if found.id == attempt.id:
            raise ZeroDivisionError
        return await real(found, *args)

    monkeypatch.setattr(world.confirmations, "on_callback", broken)
    second = await world.prompt(other, 3_002)
    await world.post_stk(attempt, body)
    await world.post_stk(second, stk_body(second, world.clock.now(), reference=new_reference()))
    await world.intake.process_due()
    assert await world.status_of(deal) == "PENDING"
    assert await world.status_of(other) == "HELD"


async def test_a_row_that_failed_and_then_works_is_credited_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    deal, attempt, body = await _paid_body(world)
    await world.post_stk(attempt, body)
    real = world.confirmations.on_callback

    async def credits_then_fails(*args: Any) -> str:
        await real(*args)
        raise ZeroDivisionError

    monkeypatch.setattr(world.confirmations, "on_callback", credits_then_fails)
    await world.intake.process_due()
    monkeypatch.undo()
    world.clock.tick(seconds=2)
    assert await world.settle_inbox() == "duplicate"
    assert await world.accounts(deal) == (0, 10_000, 500)
    assert await world.told(BRIAN) == ["funded"]


async def test_an_outage_of_the_database_parks_nothing_however_long_it_is(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    deal, attempt, body = await _paid_body(world)
    await world.post_stk(attempt, body)

    async def down(*args: object) -> str:
        raise DatabaseDown

    monkeypatch.setattr(world.confirmations, "on_callback", down)
    for _ in range(12):
        assert await world.intake.process_due() == 1
        world.clock.tick(minutes=10)
    monkeypatch.undo()
    assert await world.settle_inbox() == "funded"
    assert await world.status_of(deal) == "HELD"


async def test_an_unknown_token_is_kept_for_its_attempt_then_parked_with_an_alert(
    world: World,
) -> None:
    *_, body = await _paid_body(world)
    await world.intake.store(STK, "f" * 32, "POST", "", body, "127.0.0.1")
    for seconds in (*BACK_OFF_SECONDS, 0):
        assert await world.intake.process_due() == 1
        world.clock.tick(seconds=seconds)
    row = await _row(world)
    assert row["state"] == "PARKED"
    assert await world.receipts() == []
    assert await world.told(ADMIN) == ["request_parked"], "money may have come with it"


async def test_a_queue_timeout_says_nothing_and_the_receipt_waits_on(world: World) -> None:
    world.rail.can_ask_status = True
    deal = await world.deal(buyer=BRIAN)
    await world.paybill(deal.id, deal.due)
    token = world.rail.asked[0].token
    await world.intake.store(STATUS_TIMEOUT, token, "POST", "", b"anything", "127.0.0.1")
    assert await world.settle_inbox() == "noted"
    assert [row["state"] for row in await world.receipts()] == ["WAITING"]
    world.clock.tick(minutes=2)
    assert await world.confirmations.check_due() == (1, 0)
    assert len(world.rail.asked) == 2


async def test_what_a_killed_process_had_taken_is_due_at_the_next_start(world: World) -> None:
    deal, attempt, body = await _paid_body(world)
    await world.post_stk(attempt, body)
    await world.sql("UPDATE inbox SET tries = 1, next_try_at = next_try_at + interval '1 hour'")
    async with world.restarted() as after:
        assert await after.intake.process_due() == 0
        await after.intake.recover()
        assert await after.intake.process_due() == 1
    assert await world.status_of(deal) == "HELD"


async def test_two_processes_take_each_row_once(world: World) -> None:
    for _ in range(20):
        deal = await world.deal(100, buyer=BRIAN)
        await world.post_paybill(
            paybill_body(deal.id, deal.due, new_reference(), world.clock.now())
        )
    async with world.restarted() as other:
        taken = 0
        while True:
            counts = await asyncio.gather(
                *(place.intake.process_due() for place in (world, other, world, other))
            )
            taken += sum(counts)
            if not any(counts):
                break
    assert taken == 20
    assert await world.value("SELECT count(*) FROM inbox WHERE state = 'DONE'") == 20


async def test_what_arrives_while_it_runs_is_processed_at_once(world: World) -> None:
    deal, attempt, body = await _paid_body(world)
    done = asyncio.Event()
    real = world.confirmations.on_callback

    async def watched(*args: Any) -> str:
        word = await real(*args)
        done.set()
        return word

    world.confirmations.on_callback = watched  # type: ignore[method-assign]
    running = asyncio.create_task(world.intake.run())
    await world.post_stk(attempt, body)
    await asyncio.wait_for(done.wait(), 10)
    assert await world.status_of(deal) == "HELD"
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def test_a_database_that_is_down_does_not_end_the_loop(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    deal, attempt, body = await _paid_body(world)
    calls = 0
    back = asyncio.Event()
    real = world.intake.process_due

    async def flaky() -> int:
        nonlocal calls
        calls += 1
        if calls <= 2:
            world.intake._wake.set()
            raise DatabaseDown
        count = await real()
        if count:
            back.set()
        return count

    monkeypatch.setattr(world.intake, "process_due", flaky)
    running = asyncio.create_task(world.intake.run())
    await world.post_stk(attempt, body)
    await asyncio.wait_for(back.wait(), 10)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert await world.status_of(deal) == "HELD"


async def test_no_error_at_all_ends_the_loop(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    _, attempt, body = await _paid_body(world)
    errors: list[Exception] = [asyncpg.DiskFullError("no space"), KeyError("odd")]
    real, back = inbox.claim_requests, asyncio.Event()

    async def flaky(*arguments: Any) -> Any:
        world.intake._wake.set()
        if errors:
            raise errors.pop(0)
        taken = await real(*arguments)
        if taken:
            back.set()
        return taken

    monkeypatch.setattr(inbox, "claim_requests", flaky)
    running = asyncio.create_task(world.intake.run())
    await world.post_stk(attempt, body)
    await asyncio.wait_for(back.wait(), 10)
    assert not running.done()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def test_a_paybill_body_is_read_when_it_is_stored(world: World) -> None:
    with pytest.raises(UnreadableError):
        await world.intake.store(PAYBILL, "", "POST", "", b'{"TransID": 1}', "127.0.0.1")


# -- the second fence ------------------------------------------------------------------------------


async def _from_elsewhere(world: World, route: str, token: str, body: bytes) -> str:
    await world.intake.store(route, token, "POST", "", body, "203.0.113.9", listed=False)
    return await world.settle_inbox()


async def test_a_payment_told_from_an_unlisted_address_waits_for_a_person(world: World) -> None:
    """Without keys to ask, a small one from a listed address is believed; this one is not."""
    deal = await world.deal(1_000, buyer=BRIAN)
    body = paybill_body(deal.id, deal.due, new_reference(), world.clock.now())
    assert await _from_elsewhere(world, PAYBILL, "", body) == "waiting"
    assert await world.status_of(deal) == "PENDING"
    assert await world.told(ADMIN) == ["unlisted_sender", "confirm_receipt"]
    assert (await world.notice(ADMIN, "confirm_receipt"))["why"] == "unlisted_sender"
    (receipt,) = await world.receipts()
    await world.confirmations.confirm_receipt(receipt["id"], ADMIN, ours=True)
    assert await world.status_of(deal) == "HELD"


async def test_nor_is_it_believed_where_callbacks_are_believed_at_once(world: World) -> None:
    world = world.configured(confirm=False)
    deal, attempt, body = await _paid_body(world)
    world.rail.query_answer = UNREACHABLE
    assert await _from_elsewhere(world, STK, attempt.token, body) == "waiting"
    other = await world.deal(1_000, buyer=3_002)
    by_hand = paybill_body(other.id, other.due, new_reference(), world.clock.now())
    assert await _from_elsewhere(world, PAYBILL, "", by_hand) == "waiting"
    assert (await world.status_of(deal), await world.status_of(other)) == ("PENDING", "PENDING")


async def test_a_prompt_whose_query_is_away_is_not_believed_from_an_unlisted_address(
    world: World,
) -> None:
    deal = await world.deal(1_000)
    attempt = await world.prompt(deal)
    world.rail.query_answer = UNREACHABLE
    body = stk_body(attempt, world.clock.now(), reference=new_reference())
    await _from_elsewhere(world, STK, attempt.token, body)
    world.clock.tick(minutes=5)
    await world.confirmations.look_due()
    assert await world.status_of(deal) == "PENDING"
    assert (await world.notice(ADMIN, "confirm_receipt"))["why"] == "unlisted_sender"


async def test_what_mpesa_confirms_is_credited_whatever_address_told_of_it(world: World) -> None:
    """A list goes out of date: no money may be lost by that."""
    deal, attempt, body = await _paid_body(world)
    assert await _from_elsewhere(world, STK, attempt.token, body) == "funded"
    world.rail.can_ask_status = True
    other = await world.deal(1_000, buyer=3_002)
    reference = new_reference()
    by_hand = paybill_body(other.id, other.due, reference, world.clock.now())
    await _from_elsewhere(world, PAYBILL, "", by_hand)
    assert await world.status(world.rail.asked[0].token, reference, other.due) == "funded"
    assert (await world.status_of(deal), await world.status_of(other)) == ("HELD", "HELD")


async def test_unlisted_addresses_are_told_once_an_hour_however_many_call(world: World) -> None:
    deal = await world.deal(1_000, buyer=BRIAN)
    for hour in range(2):
        for number in range(20):
            sender = f"203.0.113.{number}"
            body = paybill_body(deal.id, deal.due, new_reference(), world.clock.now())
            await world.intake.store(PAYBILL, "", "POST", "", body, sender, listed=False)
        assert await world.told(ADMIN) == ["unlisted_sender"] * (hour + 1)
        world.clock.tick(hours=1)
