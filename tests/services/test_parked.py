"""What could not be processed is listed, and processed again when a person says so: credited then,
and never twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from escrow.rails import mpesa_parse
from escrow.services.intake import PAYBILL, STK
from escrow.services.parked import Parked
from escrow.services.ports import PaybillPayment, UnreadableError
from tests.rail import PAID, paybill_body, stk_body
from tests.world import ADMIN, ADMINS, BRIAN, World, new_reference


@pytest.fixture
async def world(dsn: str) -> AsyncIterator[World]:
    async with World.open(dsn) as opened:
        yield opened
        await opened.books()


@pytest.fixture
def parked(world: World) -> Parked:
    return Parked(world.db, world.clock)


async def _poisoned(world: World, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A deal whose payment could not be processed five times."""
    deal = await world.deal()
    attempt = await world.prompt(deal)
    world.rail.query_answer = PAID
    await world.post_stk(attempt, stk_body(attempt, world.clock.now(), reference=new_reference()))

    async def broken(*args: object) -> str:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(world.confirmations, "on_callback", broken)
        await _until_parked(world)
    return deal


async def _until_parked(world: World) -> None:
    for seconds in (2, 10, 60, 300, 0):
        assert await world.intake.process_due() == 1
        world.clock.tick(seconds=seconds)
    assert await world.value("SELECT state FROM inbox") == "PARKED"


async def test_a_parked_payment_that_is_run_again_is_credited(
    world: World, parked: Parked, monkeypatch: pytest.MonkeyPatch
) -> None:
    deal = await _poisoned(world, monkeypatch)
    (row,) = await parked.rows()
    assert (row.route, row.note, row.reruns) == (STK, "ZeroDivisionError", 0)
    assert await parked.run_again([row.id]) == {row.id}
    assert await parked.rows() == []
    assert await world.settle_inbox() == "funded"
    assert await world.accounts(deal) == (0, 10_000, 500)


async def test_a_payment_that_was_credited_before_it_was_parked_is_credited_once(
    world: World, parked: Parked, monkeypatch: pytest.MonkeyPatch
) -> None:
    deal = await world.deal()
    attempt = await world.prompt(deal)
    world.rail.query_answer = PAID
    await world.post_stk(attempt, stk_body(attempt, world.clock.now(), reference=new_reference()))
    real = world.confirmations.on_callback

    async def credits_then_fails(*args: Any) -> str:
        await real(*args)
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(world.confirmations, "on_callback", credits_then_fails)
        await _until_parked(world)
    (row,) = await parked.rows()
    for _ in range(2):
        await parked.run_again([row.id])
        assert await world.settle_inbox() == "duplicate"
    assert await world.accounts(deal) == (0, 10_000, 500)


async def test_what_fails_again_has_five_tries_anew_and_is_told_anew(
    world: World, parked: Parked, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _poisoned(world, monkeypatch)
    (row,) = await parked.rows()

    async def broken(*args: object) -> str:
        raise KeyError

    monkeypatch.setattr(world.confirmations, "on_callback", broken)
    await parked.run_again([row.id])
    await _until_parked(world)
    (row,) = await parked.rows()
    assert (row.note, row.reruns) == ("KeyError", 1)
    for admin in ADMINS:
        assert await world.told(admin) == ["request_parked"] * 2


async def test_an_unreadable_body_that_is_run_again_is_read_by_the_code_of_now(
    world: World, parked: Parked, monkeypatch: pytest.MonkeyPatch
) -> None:
    deal = await world.deal(1_000, buyer=BRIAN)
    body = paybill_body(deal.id, deal.due, new_reference(), world.clock.now())
    odd = body.replace(b'"TransTime"', b'"TransactionTime"')
    with pytest.raises(UnreadableError):
        await world.intake.store(PAYBILL, "", "POST", "", odd, "127.0.0.1")
    (row,) = await parked.rows()
    assert row.note.startswith("unreadable: ")
    # as long as nobody taught it the new name, it is parked again at once, and told
    await parked.run_again([row.id])
    assert await world.intake.process_due() == 1
    (row,) = await parked.rows()
    assert (row.note.startswith("unreadable: "), row.reruns) == (True, 1)
    assert await world.told(ADMIN) == ["request_parked"] * 2

    def taught(body: bytes) -> PaybillPayment:
        return mpesa_parse.paybill(body.replace(b'"TransactionTime"', b'"TransTime"'))

    monkeypatch.setattr(world.rail, "read_paybill", taught)
    await parked.run_again([row.id])
    await world.settle_inbox()
    assert await world.status_of(deal) == "HELD"


async def test_only_what_is_parked_is_run_again(world: World, parked: Parked) -> None:
    deal = await world.deal(1_000, buyer=BRIAN)
    await world.post_paybill(paybill_body(deal.id, deal.due, new_reference(), world.clock.now()))
    row = await world.value("SELECT id FROM inbox")
    assert await parked.run_again([row, 10**30, -1, 0]) == set()
    await world.settle_inbox()
    assert await parked.run_again([row]) == set(), "done is done"
    assert await world.accounts(deal) == (0, 1_000, 50)


async def test_a_flood_of_parked_callbacks_is_five_alerts_and_one_more_an_hour(
    world: World,
) -> None:
    for number in range(60):
        with pytest.raises(UnreadableError):
            await world.intake.store(STK, "f" * 32, "POST", "", b"%d" % number, "127.0.0.1")
        world.clock.tick(seconds=1)
    assert await world.told(ADMIN) == ["request_parked"] * 6
    world.clock.tick(hours=1)
    with pytest.raises(UnreadableError):
        await world.intake.store(STK, "f" * 32, "POST", "", b"later", "127.0.0.1")
    assert await world.told(ADMIN) == ["request_parked"] * 7
