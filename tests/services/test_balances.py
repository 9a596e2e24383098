"""What our accounts hold is asked for hourly, and only an answer to a question of ours counts."""

from __future__ import annotations

from datetime import timedelta

import pytest

from escrow.services.intake import BALANCE, BALANCE_TIMEOUT
from escrow.services.ports import Answer, UnreadableError, Verdict
from escrow.store import payouts
from tests.account_rail import balance_body
from tests.world import NOW, World, kes


async def _heard(world: World, token: str, body: bytes) -> str:
    await world.intake.store(BALANCE, token, "POST", "", body, "127.0.0.1")
    return await world.settle_inbox()


async def _utility(world: World) -> tuple[object, object]:
    async with world.db.reading() as conn:
        found = await world.floating.figure(conn)
    return found.utility, found.read_at


async def test_the_answer_is_the_float(world: World) -> None:
    assert await world.balances.ask_due() == (1, 0)
    (token,) = world.account_rail.asked
    word = await _heard(world, token, balance_body("82400.50", NOW - timedelta(minutes=1)))
    assert word == "read"
    assert await _utility(world) == (kes("82400.50"), NOW - timedelta(minutes=1))


async def test_an_older_answer_changes_no_later_reading(world: World) -> None:
    await world.paybill("nothing", kes(100), balance="500.00")
    await world.balances.ask_due()
    (token,) = world.account_rail.asked
    assert await _heard(world, token, balance_body("1.00", NOW - timedelta(hours=2))) == "read"
    assert await _utility(world) == (kes(500), NOW)


async def test_an_answer_that_says_it_is_from_tomorrow_counts_from_when_it_came(
    world: World,
) -> None:
    await world.balances.ask_due()
    (token,) = world.account_rail.asked
    await _heard(world, token, balance_body("1.00", NOW + timedelta(days=1)))
    assert await _utility(world) == (kes(1), NOW)


async def test_what_nobody_asked_for_is_no_reading_and_no_second_answer_either(
    world: World,
) -> None:
    await world.balances.ask_due()
    (token,) = world.account_rail.asked
    assert await _heard(world, "f" * 32, balance_body("1.00", NOW)) == "unknown_token"
    assert await _heard(world, token, balance_body("2.00", NOW)) == "read"
    assert await _heard(world, token, balance_body("3.00", NOW)) == "unknown_token"
    assert await _utility(world) == (kes(2), NOW)


async def test_it_is_asked_once_an_hour_however_often_the_program_starts(world: World) -> None:
    for minutes in (0, 1, 48):
        world.clock.tick(minutes=minutes)
        await world.balances.ask_due()
    assert len(world.account_rail.asked) == 1
    world.clock.tick(minutes=2)
    assert await world.balances.ask_due() == (1, 0)


@pytest.mark.parametrize("code", [2001, "8006"])
async def test_a_refused_api_user_is_left_alone_for_a_day(world: World, code: object) -> None:
    await world.balances.ask_due()
    (token,) = world.account_rail.asked
    word = await _heard(world, token, balance_body("", NOW, code=code))  # type: ignore[arg-type]
    assert word == f"refused:{code}"
    world.clock.tick(hours=23)
    assert await world.balances.ask_due() == (0, 0)
    world.clock.tick(hours=1)
    assert await world.balances.ask_due() == (1, 0)


@pytest.mark.parametrize("code", [21, 4711])
async def test_another_failure_says_nothing_and_is_asked_again_in_an_hour(
    world: World, code: int
) -> None:
    before = await _utility(world)
    await world.balances.ask_due()
    (token,) = world.account_rail.asked
    assert await _heard(world, token, balance_body("", NOW, code=code)) == f"refused:{code}"
    assert await _utility(world) == before
    world.clock.tick(hours=1)
    assert await world.balances.ask_due() == (1, 0)


async def test_nobody_is_asked_while_the_api_user_is_refused_for_payouts(world: World) -> None:
    async with world.db.unit() as conn:
        await payouts.stop(conn, world.payout_rail.credential, "2001", NOW)
    assert await world.balances.ask_due() == (0, 0)
    assert world.account_rail.asked == []


async def test_without_keys_nobody_is_asked(world: World) -> None:
    world.account_rail.can_ask = False
    assert await world.balances.ask_due() == (0, 0)


async def test_a_question_that_was_not_taken_counts_as_failed(world: World) -> None:
    world.account_rail.answer = Answer(Verdict.DECLINED, "500.003.02", "mpesa_busy", retry=True)
    assert await world.balances.ask_due() == (1, 1)


async def test_a_queue_timeout_is_noted_and_a_body_that_says_nothing_is_kept_for_a_person(
    world: World,
) -> None:
    body = b'{"Initiator": "x"}'
    await world.intake.store(BALANCE_TIMEOUT, "a" * 32, "POST", "", body, "127.0.0.1")
    assert await world.settle_inbox() == "noted"
    with pytest.raises(UnreadableError):
        await world.intake.store(BALANCE, "a" * 32, "POST", "", body, "127.0.0.1")
    assert await world.value("SELECT count(*) FROM inbox WHERE state = 'PARKED'") == 1


async def test_the_books_say_what_mpesa_holds_for_us(world: World) -> None:
    assert await world.balances.by_the_books() == kes(0)
    deal = await world.deal()
    await world.pay(deal, 10_500)
    assert await world.balances.by_the_books() == kes(10_500)
