"""What a person sees of his own money, and what of it M-Pesa can send."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from escrow.domain.errors import LimitReached, NotFound
from escrow.domain.money import Currency, Money
from tests.world import BRIAN, JANE, World, kes, usd

OPEN = 5001


@pytest.fixture
async def world(dsn: str) -> AsyncIterator[World]:
    async with World.open(dsn) as opened:
        yield opened
        await opened.books()


async def test_a_wallet_that_was_never_used_is_empty(world: World) -> None:
    view = await world.wallets.view(BRIAN)
    assert (view["available"], view["entries"], view["on_the_way"]) == ([], [], [])
    assert (view["sendable"], view["more"], view["to"]) == (None, False, "0722***222")
    assert view["auto_payout"] is True


async def test_movements_come_page_by_page(world: World) -> None:
    for amount in range(1, 8):
        await world.give(BRIAN, kes(amount * 10))
    first = await world.wallets.view(BRIAN)
    second = await world.wallets.view(BRIAN, 2)
    assert [row["amount_minor"] for row in first["entries"]] == [7000, 6000, 5000, 4000, 3000]
    assert [row["amount_minor"] for row in second["entries"]] == [2000, 1000]
    assert (first["more"], second["more"]) == (True, False)
    assert (await world.wallets.view(BRIAN, -3))["page"] == 1
    assert (await world.wallets.view(BRIAN, 99))["entries"] == []


async def test_what_is_held_is_not_available(world: World) -> None:
    deal = await world.deal()
    await world.pay(deal, 10_500)
    (bought,) = (await world.wallets.view(BRIAN))["held"]
    (sold,) = (await world.wallets.view(JANE))["held"]
    assert (bought["paid_minor"], sold["coming_minor"]) == (1_050_000, 1_000_000)
    assert (await world.wallets.view(BRIAN))["available"] == []


async def test_cents_stay_in_the_wallet(world: World) -> None:
    await world.give(BRIAN, kes("500.75"))
    what = await world.wallets.preview(BRIAN)
    assert (what.amount, what.stays, what.to) == (kes(500), kes("0.75"), "0722***222")
    assert (await world.wallets.preview(BRIAN, kes(10))).stays == kes("490.75")


@pytest.mark.parametrize(
    ("amount", "reason"),
    [
        (kes("10.50"), "withdraw_cents"),
        (kes(501), "withdraw_short"),
        (kes(9), "withdraw_small"),
        (usd(5), "withdraw_dollars"),
    ],
)
async def test_what_mpesa_cannot_send_is_refused(world: World, amount: Money, reason: str) -> None:
    await world.give(BRIAN, kes(500))
    with pytest.raises(LimitReached) as caught:
        await world.wallets.preview(BRIAN, amount)
    assert caught.value.reason == reason


async def test_less_than_mpesa_sends_stays(world: World) -> None:
    await world.give(BRIAN, kes(9))
    with pytest.raises(LimitReached, match="withdraw_small"):
        await world.wallets.preview(BRIAN)
    assert (await world.wallets.view(BRIAN))["sendable"] is None


async def test_dollars_are_paid_out_by_hand(world: World) -> None:
    await world.give(BRIAN, Money(5_00, Currency.USD))
    with pytest.raises(LimitReached, match="withdraw_dollars"):
        await world.wallets.preview(BRIAN)


async def test_more_than_one_payment_takes_is_told(world: World) -> None:
    for _ in range(3):
        await world.give(BRIAN, kes(100_000))
    assert (await world.wallets.preview(BRIAN)).amount == kes(250_000)
    with pytest.raises(LimitReached, match="withdraw_large"):
        await world.wallets.preview(BRIAN, kes(250_001))


async def test_a_number_that_was_only_typed_gets_no_money(world: World) -> None:
    await world.person(OPEN, "Wanjiru", "254712000444", is_contact=False)
    await world.give(OPEN, kes(500))
    assert await world.wallets.destination(OPEN) is None
    with pytest.raises(NotFound, match="no_own_number"):
        await world.wallets.preview(OPEN)
    await world.people.set_phone(OPEN, "254712000444", is_contact=True)
    assert await world.wallets.destination(OPEN) == "0712***444"


async def test_a_sellers_money_goes_to_the_payout_number(world: World) -> None:
    await world.people.set_phone(JANE, "254799000999", is_contact=True)
    assert await world.wallets.destination(JANE) == "0712***111"
    assert await world.wallets.destination(99) is None


async def test_what_is_shown_before_is_where_the_money_goes(world: World) -> None:
    await world.person(OPEN, "Wanjiru", "254712000444", is_contact=True)
    await world.people.set_phone(JANE, "254799000999", is_contact=True)
    await world.people.change_payout_phone(JANE, "254712000555")
    for who, number in ((BRIAN, "0722***222"), (JANE, "0712***555"), (OPEN, "0712***444")):
        if who == JANE:  # nobody buys from himself
            sold = await world.deal(500, buyer=BRIAN)
            await world.pay(sold, 525)
            await world.escrows.receive(sold.id, BRIAN, "test:receive")
        else:
            await world.give(who, kes(500))
        shown = await world.wallets.preview(who)
        booked = await world.payouts.book_withdrawal(who, shown.amount, f"update:{who}")
        assert (shown.to, booked.to, booked.amount) == (number, number, shown.amount)
        assert (await world.wallets.view(who))["to"] == number


async def test_automatic_payouts_are_turned_off_and_on(world: World) -> None:
    assert await world.wallets.auto_payout(BRIAN, on=False) is False
    assert (await world.wallets.view(BRIAN))["auto_payout"] is False
    assert (await world.wallets.view(JANE))["auto_payout"] is True
    await world.wallets.auto_payout(BRIAN, on=True)
    assert (await world.wallets.view(BRIAN))["auto_payout"] is True
