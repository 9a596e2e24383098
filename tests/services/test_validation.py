"""C2B validation: what M-Pesa is told to refuse, to the cent, and that nothing relies on it."""

from __future__ import annotations

import pytest

from escrow.domain.money import Currency, Money
from tests.rail import SHORTCODE, near_miss, paybill_body
from tests.world import BRIAN, World, kes, new_reference

SMALL, LARGE = 9_000, 10_000


async def _validate(
    world: World, typed: str, amount: int | Money, shortcode: str = SHORTCODE
) -> object:
    money = amount if isinstance(amount, Money) else kes(amount)
    body = paybill_body(typed, money, new_reference(), world.clock.now(), shortcode=shortcode)
    return await world.intake.validate(body)


async def test_validation_accepts_what_the_deal_can_take(world: World) -> None:
    deal = await world.deal(LARGE)
    for amount in (9_555, 9_800, 10_500, 12_000):
        assert await _validate(world, deal.id, amount) is None
    assert await _validate(world, near_miss(deal.id), 10_500) is None


async def test_validation_refuses_an_account_that_is_no_open_deal(world: World) -> None:
    closed = await world.deal(LARGE, buyer=BRIAN)
    await world.pay(closed, 10_500)
    for typed in ("", "rent", "ES1008257624", closed.id):
        assert await _validate(world, typed, 10_500) == "C2B00012"
    open_one = await world.deal(LARGE)
    assert await _validate(world, open_one.id, 10_500, shortcode="600999") == "C2B00012"


@pytest.mark.parametrize(
    ("price", "floor"),
    [
        (2_000, "1785.00"),
        (10_000, "9555.00"),
        (200_000, "207000.00"),
    ],
)
async def test_validation_draws_its_line_exactly_at_the_self_service_floor(
    world: World, price: int, floor: str
) -> None:
    """One cent below the floor would only come back; at the floor and above it is taken, also far
    too much of it.
    """
    deal = await world.deal(price)
    cent = Money(1, Currency.KES)
    assert await _validate(world, deal.id, kes(floor) - cent) == "C2B00013"
    for amount in (kes(floor), kes(floor) + cent, deal.due - cent, deal.due, deal.due + cent):
        assert await _validate(world, deal.id, amount) is None
    assert await _validate(world, deal.id, deal.due + deal.due) is None


async def test_validation_counts_what_is_there_already(world: World) -> None:
    deal = await world.deal(LARGE)
    cent = Money(1, Currency.KES)
    await world.pay(deal, 9_555)
    assert await _validate(world, deal.id, cent) is None


async def test_validation_reads_a_hand_typed_account_as_the_payment_will_be_read(
    world: World,
) -> None:
    deal = await world.deal(LARGE)
    for typed in (deal.id.lower(), f" {deal.id[:4]} {deal.id[4:]} ", deal.id[2:]):
        assert await _validate(world, typed, 10_500) is None


async def test_without_validation_every_payment_still_finds_its_place(world: World) -> None:
    """What validation would refuse comes as a confirmation all the same where it is off."""
    deal = await world.deal(SMALL, buyer=BRIAN)
    await world.paybill("rent", kes(700))
    await world.paybill(deal.id, kes(50))
    assert await world.suspense() == 700
    assert await world.wallet(BRIAN) == 50
    assert await world.status_of(deal) == "PENDING"


async def test_validation_stores_nothing(world: World) -> None:
    deal = await world.deal(LARGE)
    before = await world.snapshot()
    await _validate(world, deal.id, 10_500)
    await _validate(world, "rent", 1)
    assert await world.snapshot() == before
    assert await world.value("SELECT count(*) FROM inbox") == 0
