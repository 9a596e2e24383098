"""Coins on their way: they hold windows open, are found when their callback is lost, and come in
beside pauses, M-Pesa and other people.
"""

from datetime import timedelta
from decimal import Decimal

import pytest

from escrow.domain.errors import CannotDo
from escrow.domain.money import Currency
from escrow.services.ports import Deposit
from tests.coin_rail import busy
from tests.services.test_crypto import shillings
from tests.world import ADMIN, BRIAN, OTIENO, World

# -- windows -------------------------------------------------------------------------------------


async def test_coins_on_their_way_hold_the_choice_open_for_a_day_at_most(world: World) -> None:
    deal = await world.usd_deal()
    asked = await world.ask_coins(deal)
    await world.send_coins(asked, "98")
    world.clock.tick(minutes=9)
    await world.send_coins(asked, "7", "rest", pending=True)
    world.clock.tick(hours=20)
    assert await world.choices.expire() == (0, 0)
    assert await world.send_coins(asked, "7", "rest") == "funded"
    assert await world.accounts(deal) == (0, 100, 5)


@pytest.mark.parametrize(("hours", "done"), [(23, 0), (24, 1)])
async def test_coins_that_never_arrive_hold_it_no_longer(
    world: World, hours: int, done: int
) -> None:
    deal = await world.usd_deal()
    asked = await world.ask_coins(deal)
    await world.send_coins(asked, "98")
    await world.send_coins(asked, "7", "rest", pending=True)
    world.clock.tick(hours=hours)
    assert (await world.choices.expire())[1] == done


async def test_coins_seen_after_the_window_do_not_hold_it(world: World) -> None:
    deal = await world.usd_deal()
    asked = await world.ask_coins(deal)
    await world.send_coins(asked, "98")
    world.clock.tick(minutes=10, seconds=1)
    await world.send_coins(asked, "7", "rest", pending=True)
    assert (await world.choices.expire())[1] == 1
    assert await world.wallet(BRIAN, Currency.USD) == 98


async def test_coins_seen_in_time_keep_a_deal_from_running_out(world: World) -> None:
    deal = await world.usd_deal(buyer=BRIAN)
    asked = await world.ask_coins(deal)
    world.clock.tick(hours=23, minutes=59)
    await world.send_coins(asked, "105", "tx1", pending=True)
    world.clock.tick(hours=2)
    assert await world.escrows.cancel_overdue() == (0, 0)
    assert await world.send_coins(asked, "105", "tx1") == "funded"


# -- lost callbacks ------------------------------------------------------------------------------


async def test_coins_whose_callback_was_lost_are_found_by_asking(world: World) -> None:
    deal = await world.usd_deal()
    asked = await world.ask_coins(deal)
    rail = world.coin_rails[0]
    rail.found = {
        asked.attempt.token: [
            Deposit("tx1", "USDT-TRC20", Decimal(105), False, address=asked.attempt.address)
        ]
    }
    assert await world.coins.look_due() == (0, 0), "not yet"
    world.clock.tick(minutes=1)
    assert await world.coins.look_due() == (1, 0)
    assert await world.accounts(deal) == (0, 100, 5)
    assert (await world.receipts())[0]["evidence"] == "query"
    assert await world.send_coins(asked, "105", "tx1") == "duplicate", "and the callback after all"
    world.clock.tick(days=30)
    for _ in range(20):
        await world.coins.look_due()
    assert len(await world.receipts()) == 1


async def test_a_provider_that_does_not_answer_is_asked_again_and_stops_nobody(
    world: World,
) -> None:
    one, other = await world.usd_deal(), await world.usd_deal()
    await world.ask_coins(one)
    await world.ask_coins(other, OTIENO)
    world.coin_rails[0].found = busy()
    world.clock.tick(minutes=1)
    assert await world.coins.look_due() == (2, 0)
    assert await world.coins.look_due() == (0, 0)
    world.clock.tick(minutes=5)
    assert (await world.coins.look_due())[0] == 2


async def test_coins_without_a_price_keep_no_others_of_their_address_waiting(world: World) -> None:
    deal = await world.usd_deal()
    asked = await world.ask_coins(deal)
    rail, token = world.coin_rails[0], asked.attempt.token
    odd = Deposit("tx1", "BTC", Decimal("0.001"), False)
    rail.found = {token: [odd, Deposit("tx2", "USDT-TRC20", Decimal(105), False)]}
    world.clock.tick(minutes=1)
    assert await world.coins.look_due() == (1, 1)
    assert await world.accounts(deal) == (0, 100, 5)
    looked = "SELECT next_look_at - $1 FROM crypto_attempts"
    assert await world.value(looked, world.clock.now()) < timedelta(minutes=5), "not put off"
    world.clock.tick(days=8)
    assert await world.coins.look_due() == (1, 1)
    world.clock.tick(days=1)
    rail.prices["BTC"] = Decimal(100_000)
    assert await world.coins.look_due() == (1, 0), "not forgotten, however long nobody knew it"
    assert await world.wallet(BRIAN, Currency.USD) == 100
    assert await world.value("SELECT next_look_at FROM crypto_attempts") is None


async def test_a_callback_waits_for_the_price_of_one_of_its_coins_and_the_others_dont(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    deal = await world.usd_deal()
    asked = await world.ask_coins(deal)
    rail = world.coin_rails[0]
    odd = Deposit("tx1", "BTC", Decimal("0.001"), False)
    monkeypatch.setattr(
        rail, "read", lambda _: [odd, Deposit("tx2", "USDT-TRC20", Decimal(105), False)]
    )
    await world.send_coins(asked, "105")
    assert await world.accounts(deal) == (0, 100, 5)
    assert await world.value("SELECT state FROM inbox") == "NEW"
    rail.prices["BTC"] = Decimal(100_000)
    world.clock.tick(minutes=10)
    await world.settle_inbox()
    assert await world.value("SELECT state FROM inbox") == "DONE"
    assert await world.wallet(BRIAN, Currency.USD) == 100


async def test_an_address_is_looked_at_for_a_week_and_its_callbacks_are_heard_for_ever(
    world: World,
) -> None:
    asked = await world.ask_coins(await world.usd_deal())
    looks = 0
    for _ in range(24 * 10):
        looks += (await world.coins.look_due())[0]
        world.clock.tick(hours=1)
    assert 8 <= looks <= 20
    assert await world.coins.look_due() == (0, 0)
    assert await world.send_coins(asked, "105") == "funded", "a deal that is open still"


# -- beside the rest -----------------------------------------------------------------------------


async def test_everything_stands_still_while_amana_is_paused(world: World) -> None:
    deal = await world.usd_deal()
    asked = await world.ask_coins(deal)
    await world.pauses.pause(ADMIN, "test", "pause:1")
    await world.send_coins(asked, "105")
    assert await world.receipts() == []
    with pytest.raises(CannotDo):
        await world.ask_coins(deal)
    await world.pauses.resume(ADMIN, "resume:1")
    while await world.pauses.current() is not None:
        await world.pauses.carry_on()
    world.clock.tick(minutes=1)
    await world.settle_inbox()
    assert await world.accounts(deal) == (0, 100, 5)


async def test_coins_and_mpesa_can_pay_one_deal_together(world: World) -> None:
    await shillings(world, "100")
    deal = await world.deal()
    asked = await world.ask_coins(deal)
    assert await world.send_coins(asked, "98") == "choice"
    result = await world.pay(deal, 700)
    assert str(result.outcome) == "funded"
    assert await world.accounts(deal) == (0, 10_000, 500)


async def test_two_people_who_got_addresses_the_first_confirmed_coins_bind(world: World) -> None:
    deal = await world.usd_deal()
    first = await world.ask_coins(deal, OTIENO)
    world.clock.tick(minutes=31)  # his reservation is over
    second = await world.ask_coins(deal, BRIAN)
    assert await world.send_coins(second, "105") == "funded"
    assert await world.send_coins(first, "105") == "to_wallet"
    assert (await world.escrow(deal.id)).buyer_telegram_id == BRIAN
    assert await world.wallet(OTIENO, Currency.USD) == 105
