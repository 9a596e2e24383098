"""The life of a deal but for its funding: who may open, see, cancel and decline it, and when."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from escrow.domain import codes
from escrow.domain.errors import (
    EscrowMoved,
    IllegalMove,
    InvalidInput,
    LimitReached,
    NotAllowed,
    NotFound,
)
from escrow.domain.model import Escrow, PaymentOutcome
from escrow.domain.terms import FeePayer
from tests.rail import PAID
from tests.world import ADMIN, BRIAN, JANE, OTIENO, World, kes, new_reference, usd

MARY = 2_002


async def _open(world: World, cause: str = "update:1", **kwargs: object) -> Escrow:
    values = {"telegram_id": JANE, "price": kes(10_000), "description": "Blue phone case"}
    return await world.escrows.open_deal(cause=cause, **{**values, **kwargs})  # type: ignore[arg-type]


async def _mary(world: World) -> None:
    """A seller whom no admin has verified yet."""
    await world.person(MARY, "Mary", "254711222333")
    await world.people.register_seller(MARY, "Mary Shop", "254711222333")


# -- opening -------------------------------------------------------------------------------------


async def test_a_verified_seller_opens_a_deal_that_can_be_paid_at_once(world: World) -> None:
    deal = await _open(world)
    assert codes.is_code(deal.id)
    assert (deal.price, deal.fee, deal.due) == (kes(10_000), kes(500), kes(10_500))
    assert deal.pay_by == world.clock.now() + world.terms.pay_window
    assert deal.can_be_paid
    assert deal.buyer_telegram_id is None
    assert await world.events(deal) == ["open"]


async def test_the_same_cause_opens_one_deal(world: World) -> None:
    first = await _open(world)
    assert (await _open(world)).id == first.id
    same = await asyncio.gather(*(_open(world, "update:2") for _ in range(10)))
    assert len({deal.id for deal in same}) == 1
    assert await world.value("SELECT count(*) FROM escrow_transactions") == 2


async def test_a_repeat_gets_the_first_deal_even_when_no_more_could_be_opened(
    world: World,
) -> None:
    limited = world.configured(new_seller_open_deals=1)
    first = await _open(limited)
    with pytest.raises(LimitReached):
        await _open(limited, "update:2")
    assert (await _open(limited)).id == first.id
    await world.suspend()
    assert (await _open(limited)).id == first.id


async def test_a_deal_keeps_the_terms_it_was_opened_with(world: World) -> None:
    deal = await _open(world)
    world.terms = world.configured(pay_window=timedelta(hours=1)).terms
    after = await world.escrow(deal.id)
    assert (after.due, after.terms) == (deal.due, deal.terms)


@pytest.mark.parametrize("words", ["", "   ", "x" * 201])
async def test_a_description_has_one_to_two_hundred_characters(world: World, words: str) -> None:
    with pytest.raises(InvalidInput):
        await _open(world, description=words)
    assert (await _open(world, description=" Blue \n case ")).description == "Blue case"


@pytest.mark.parametrize(
    ("price", "reason"),
    [
        (kes(99), "deal_too_small"),
        (kes("100.50"), "not_whole"),
        (kes(238_096), "deal_too_large"),
        (usd("4.99"), "deal_too_small"),
    ],
    ids=str,
)
async def test_prices_outside_the_limits_are_refused(
    world: World, price: object, reason: str
) -> None:
    with pytest.raises(LimitReached) as refused:
        await _open(world, price=price)
    assert refused.value.reason == reason


async def test_the_largest_deal_is_one_mpesa_payment(world: World) -> None:
    assert (await _open(world, price=kes(238_095))).due == kes(250_000)
    largest = await _open(world, "update:2", price=kes(250_000), fee_payer=FeePayer.SELLER)
    assert largest.due == kes(250_000)


async def test_strangers_and_suspended_sellers_open_nothing(world: World) -> None:
    with pytest.raises(NotFound):
        await _open(world, telegram_id=BRIAN)
    await world.suspend()
    with pytest.raises(NotAllowed):
        await _open(world)
    assert await world.value("SELECT count(*) FROM escrow_transactions") == 0


async def test_a_new_seller_has_three_open_deals_of_ten_thousand_at_most(world: World) -> None:
    limited = world.configured(new_seller_open_deals=3)
    with pytest.raises(LimitReached) as refused:
        await _open(limited, price=kes(10_001))
    assert refused.value.reason == "new_seller_amount"
    for number in range(3):
        await _open(limited, f"update:{number}")
    with pytest.raises(LimitReached) as refused:
        await _open(limited, "update:9")
    assert refused.value.reason == "new_seller_deals"
    newest = (await world.escrows.deals(JANE))[0][0]
    await world.escrows.cancel(newest.id, JANE)
    await _open(limited, "update:9")


async def test_ten_deals_opened_at_once_stay_within_the_new_sellers_limit(world: World) -> None:
    limited = world.configured(new_seller_open_deals=3)
    results = await asyncio.gather(
        *(_open(limited, f"update:{number}") for number in range(10)), return_exceptions=True
    )
    assert sum(isinstance(result, Escrow) for result in results) == 3


# -- seeing --------------------------------------------------------------------------------------


async def test_a_deal_is_seen_by_its_parties_and_by_guests_while_it_waits_for_a_buyer(
    world: World,
) -> None:
    deal = await _open(world)
    assert (await world.escrows.deal(deal.id, JANE)).role == "seller"
    assert (await world.escrows.deal(deal.id.lower()[2:], OTIENO)).role == "guest"
    await world.pay(deal, 10_500)
    assert (await world.escrows.deal(deal.id, BRIAN)).role == "buyer"
    with pytest.raises(NotFound) as hidden:
        await world.escrows.deal(deal.id, OTIENO)
    with pytest.raises(NotFound) as missing:
        await world.escrows.deal("ES1008257624", OTIENO)
    assert hidden.value.reason == missing.value.reason, "whether it exists stays unknown"


async def test_a_view_tells_its_reader_what_he_can_do_with_it(world: World) -> None:
    deal = await _open(world)
    await world.pay(deal, 9_800)
    view = await world.escrows.deal(deal.id, BRIAN)
    assert view.choice_open_until == world.clock.now() + world.terms.choice_window
    assert view.choice_id is not None
    other = await world.escrows.deal(deal.id, JANE)
    assert (other.choice_id, other.choice_open_until) == (None, None)


async def test_a_wallet_shows_what_is_there_what_is_held_and_what_moved(world: World) -> None:
    deal = await _open(world)
    await world.pay(deal, 11_000)
    brian, jane = await world.wallets.view(BRIAN), await world.wallets.view(JANE)
    assert brian["available"] == [kes(500)]
    assert brian["held"] == [{"currency": "KES", "paid_minor": 1_050_000, "coming_minor": 0}]
    assert [entry["kind"] for entry in brian["entries"]] == ["overpayment"]
    assert jane["held"] == [{"currency": "KES", "paid_minor": 0, "coming_minor": 1_000_000}]
    assert jane["available"] == []


# -- cancelling ----------------------------------------------------------------------------------


@pytest.mark.parametrize("who", [BRIAN, JANE])
async def test_each_party_cancels_an_unpaid_deal_and_the_other_is_told(
    world: World, who: int
) -> None:
    deal = await world.deal(buyer=BRIAN)
    after = await world.escrows.cancel(deal.id, who)
    assert str(after.status) == "CANCELLED"
    other = JANE if who == BRIAN else BRIAN
    assert await world.told(other) == ["cancelled"]
    assert await world.told(who) == []
    assert (await world.events(deal))[-1] == "cancel"


@pytest.mark.parametrize("who", [BRIAN, JANE])
async def test_undecided_money_goes_to_the_buyer_whoever_cancels(world: World, who: int) -> None:
    deal = await _open(world)
    await world.pay(deal, 9_800)
    await world.escrows.cancel(deal.id, who)
    assert await world.wallet(BRIAN) == 9_800
    assert await world.wallet(JANE) == 0
    assert await world.accounts(deal) == (0, 0, 0)


async def test_a_deal_without_a_buyer_is_cancelled_by_its_seller_only(world: World) -> None:
    deal = await _open(world)
    for stranger in (BRIAN, OTIENO, ADMIN):
        with pytest.raises(NotFound):
            await world.escrows.cancel(deal.id, stranger)
    await world.escrows.cancel(deal.id, JANE)


async def test_a_funded_or_finished_deal_is_not_cancelled(world: World) -> None:
    deal = await _open(world)
    await world.pay(deal, 10_500)
    before = await world.snapshot()
    for who in (BRIAN, JANE):
        with pytest.raises((IllegalMove, NotAllowed)):
            await world.escrows.cancel(deal.id, who)
    assert await world.snapshot() == before
    with pytest.raises(NotFound):
        await world.escrows.cancel("rent", JANE)


async def test_cancelled_by_both_at_once_is_cancelled_once(world: World) -> None:
    for _ in range(5):
        deal = await world.deal(buyer=BRIAN)
        await world.pay(deal, 9_800)
        before = await world.wallet()
        results = await asyncio.gather(
            *(world.escrows.cancel(deal.id, who) for who in (BRIAN, JANE) * 5),
            return_exceptions=True,
        )
        assert sum(isinstance(result, Escrow) for result in results) == 1
        assert await world.wallet() - before == 9_800
        assert (await world.events(deal)).count("cancel") == 1


# -- declining -----------------------------------------------------------------------------------


async def test_declining_returns_price_fee_and_all_and_settles_once(world: World) -> None:
    deal = await _open(world)
    await world.pay(deal, 10_500)
    after = await world.escrows.decline(deal.id, JANE)
    assert str(after.status) == "REFUNDED"
    assert await world.wallet() == 10_500
    assert await world.accounts(deal) == (0, 0, 0)
    (settled,) = await world.sql("SELECT * FROM settlements")
    assert (settled["buyer_minor"], settled["seller_minor"], settled["fee_minor"]) == (
        1_050_000,
        0,
        0,
    )
    assert "declined" in await world.told(BRIAN)


async def test_only_the_seller_declines_and_only_what_is_held(world: World) -> None:
    deal = await _open(world)
    with pytest.raises(IllegalMove):
        await world.escrows.decline(deal.id, JANE)
    await world.pay(deal, 10_500)
    with pytest.raises(NotAllowed):
        await world.escrows.decline(deal.id, BRIAN)
    with pytest.raises(NotFound):
        await world.escrows.decline(deal.id, OTIENO)
    assert await world.accounts(deal) == (0, 10_000, 500)


async def test_declining_ten_times_at_once_refunds_once(world: World) -> None:
    deal = await _open(world)
    await world.pay(deal, 10_500)
    results = await asyncio.gather(
        *(world.escrows.decline(deal.id, JANE) for _ in range(10)), return_exceptions=True
    )
    lost = [result for result in results if isinstance(result, IllegalMove | EscrowMoved)]
    assert len(lost) == 9
    assert await world.wallet() == 10_500


# -- the time to pay -----------------------------------------------------------------------------


async def test_a_deal_is_cancelled_at_its_pay_by_and_not_a_second_before(world: World) -> None:
    deal = await _open(world)
    assert deal.pay_by is not None
    world.clock.at = deal.pay_by - timedelta(seconds=1)
    assert await world.escrows.cancel_overdue() == (0, 0)
    world.clock.tick(seconds=1)
    assert await world.escrows.cancel_overdue() == (1, 1)
    assert await world.status_of(deal) == "CANCELLED"
    assert await world.told(JANE) == ["cancelled"]
    assert await world.value("SELECT actor FROM escrow_timeline WHERE event = 'cancel'") == "timer"
    assert await world.escrows.cancel_overdue() == (0, 0)


async def test_a_deal_one_second_after_its_pay_by_is_cancelled_too(world: World) -> None:
    deal = await _open(world)
    assert deal.pay_by is not None
    world.clock.at = deal.pay_by + timedelta(seconds=1)
    assert await world.escrows.cancel_overdue() == (1, 1)


async def test_what_may_still_bring_money_keeps_a_deal_open_past_its_time(world: World) -> None:
    prompted, short = await _open(world), await _open(world, "update:2")
    claimed = await world.deal(buyer=OTIENO)
    world.clock.tick(hours=23, minutes=59)
    attempt = await world.prompt(prompted)
    await world.pay(short, 9_800)
    world.rail.can_ask_status = True
    await world.paybill(claimed.id, claimed.due)
    world.clock.tick(minutes=2)
    assert await world.escrows.cancel_overdue() == (0, 0)
    world.rail.query_answer = PAID
    await world.callback(attempt, new_reference())
    assert await world.status_of(prompted) == "HELD"
    world.clock.tick(minutes=10)
    await world.choices.expire()
    assert await world.escrows.cancel_overdue() == (1, 1), "the window is over now"
    assert await world.status_of(short) == "CANCELLED"


async def test_one_overdue_deal_that_cant_be_ended_stops_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = await _open(world)
    fine = [await _open(world, f"update:{number}") for number in range(2, 6)]
    world.clock.tick(days=2)
    real = world.escrows._cancel

    async def broken(conn: object, escrow: Escrow, by: object) -> None:
        if escrow.id == stuck.id:
            raise RuntimeError("a bug")
        await real(conn, escrow, by)  # type: ignore[arg-type]

    monkeypatch.setattr(world.escrows, "_cancel", broken)
    assert await world.escrows.cancel_overdue() == (5, 4)
    assert await world.status_of(stuck) == "PENDING"
    assert {await world.status_of(deal) for deal in fine} == {"CANCELLED"}
    monkeypatch.undo()
    assert await world.escrows.cancel_overdue() == (0, 0), "it rests until its next try"
    world.clock.tick(minutes=1)
    assert await world.escrows.cancel_overdue() == (1, 1)


async def test_a_payment_and_the_timer_at_the_same_moment_are_one_outcome(world: World) -> None:
    for _ in range(10):
        deal = await world.deal(buyer=BRIAN)
        assert deal.pay_by is not None
        before = await world.wallet()
        world.clock.at = deal.pay_by
        paid, _ = await asyncio.gather(
            world.pay(deal, 10_500, buyer=BRIAN), world.escrows.cancel_overdue()
        )
        status = await world.status_of(deal)
        if paid.outcome is PaymentOutcome.FUNDED:
            assert (status, await world.wallet() - before) == ("HELD", 0)
        else:
            assert (status, await world.wallet() - before) == ("CANCELLED", 10_500)
