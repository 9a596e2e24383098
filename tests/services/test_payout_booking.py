"""What leaves a wallet by itself or by /withdraw: booked once, to a number that is his, or not at
all.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from escrow.domain.errors import Conflict, LimitReached, NotAllowed, NotFound
from escrow.domain.model import Escrow, Evidence
from escrow.domain.money import Money
from escrow.services.choice_tokens import Action
from tests.rail import PAID
from tests.world import ADMIN, BRIAN, JANE, PHONES, World, kes, usd


@pytest.fixture
async def paying(dsn: str) -> AsyncIterator[World]:
    """A world in which settled money goes to the phone by itself."""
    async with World.open(dsn, auto_payout=True) as opened:
        yield opened
        await opened.books()


async def funded(world: World, price: int | str = 10_000) -> Escrow:
    deal = await world.deal(price, buyer=BRIAN)
    await world.pay(deal, deal.due.to_decimal())
    return deal


async def rows(world: World) -> list[tuple[object, ...]]:
    found = await world.sql(
        "SELECT telegram_id, leg, amount_minor, destination, state, note FROM payouts ORDER BY id"
    )
    return [tuple(row.values()) for row in found]


async def test_a_release_goes_to_the_sellers_payout_number(paying: World) -> None:
    deal = await funded(paying)
    await paying.escrows.receive(deal.id, BRIAN, "test:receive")
    assert await rows(paying) == [(JANE, "seller", 10_000_00, PHONES[JANE], "READY", "")]
    assert await paying.wallet(JANE) == 0


async def test_a_refund_goes_to_the_phone_that_paid_else_to_the_buyers_own(paying: World) -> None:
    by_prompt = await paying.deal(buyer=BRIAN)
    await paying.people.set_phone(BRIAN, "254799000999", is_contact=False)
    attempt = await paying.prompt(by_prompt)
    paying.rail.query_answer = PAID
    await paying.callback(attempt, "SGSTK00001")
    await paying.people.set_phone(BRIAN, PHONES[BRIAN], is_contact=True)
    await paying.escrows.decline(by_prompt.id, JANE)
    by_hand = await funded(paying)
    await paying.escrows.decline(by_hand.id, JANE)
    assert await rows(paying) == [
        (BRIAN, "buyer", 10_500_00, "254799000999", "READY", ""),
        (BRIAN, "buyer", 10_500_00, PHONES[BRIAN], "READY", ""),
    ]


async def test_what_came_out_of_a_wallet_goes_to_no_other_phone_that_paid_the_rest(
    paying: World,
) -> None:
    await paying.give(BRIAN, kes(9_800))
    deal = await paying.deal(buyer=BRIAN)
    await paying.people.set_phone(BRIAN, "254799000999", is_contact=False)
    attempt = await paying.prompt(deal, use_wallet=True)
    paying.rail.query_answer = PAID
    await paying.callback(attempt, "SGSTK00001")
    await paying.people.set_phone(BRIAN, PHONES[BRIAN], is_contact=True)
    await paying.escrows.decline(deal.id, JANE)
    assert [row[3] for row in await rows(paying)] == [PHONES[BRIAN]]


async def test_a_prompt_that_came_too_late_gets_no_refund_of_the_wallet(paying: World) -> None:
    await paying.give(BRIAN, kes(10_500))
    deal = await paying.deal(buyer=BRIAN)
    await paying.people.set_phone(BRIAN, "254799000999", is_contact=False)
    attempt = await paying.prompt(deal)
    await paying.prompts.pay_from_wallet(deal.id, BRIAN, "test:wallet")
    paying.rail.query_answer = PAID
    await paying.callback(attempt, "SGSTK00001")
    await paying.escrows.decline(deal.id, JANE)
    assert await rows(paying) == []
    assert await paying.wallet(BRIAN) == 21_000


async def test_without_a_number_of_his_own_it_stays_in_the_wallet(paying: World) -> None:
    await paying.sql("UPDATE people SET phone_is_contact = false WHERE telegram_id = $1", BRIAN)
    deal = await funded(paying)
    await paying.escrows.decline(deal.id, JANE)
    assert await rows(paying) == []
    assert await paying.wallet(BRIAN) == 10_500


async def test_only_whole_shillings_leave(paying: World) -> None:
    await paying.give(BRIAN, kes("9.50"))
    deal = await paying.deal(buyer=BRIAN)
    await paying.funds.process_escrow_payment(paying.by_hand(deal, kes(9_800)), Evidence.STATUS)
    await paying.press(deal, Action.PROCEED)
    await paying.escrows.receive(deal.id, BRIAN, "test:receive")
    assert [row[2] for row in await rows(paying)] == [9_333_00]
    assert str(await paying.wallet(JANE)) in ("0.33", "0.34")


async def test_he_who_turned_it_off_and_dollars_keep_it_in_the_wallet(paying: World) -> None:
    await paying.wallets.auto_payout(JANE, on=False)
    deal = await funded(paying)
    await paying.escrows.receive(deal.id, BRIAN, "test:receive")
    dollars = await paying.usd_deal(buyer=BRIAN)
    await paying.pay(dollars, 105)
    await paying.escrows.decline(dollars.id, JANE)
    assert await rows(paying) == []


async def test_by_hand_without_keys_and_for_a_suspended_seller(paying: World) -> None:
    deal, other = await funded(paying), await funded(paying)
    paying.payout_rail.can_pay = False
    await paying.escrows.decline(deal.id, JANE)
    paying.payout_rail.can_pay = True
    await paying.suspend()
    await paying.escrows.receive(other.id, BRIAN, "test:receive")
    assert [(row[0], row[4], row[5]) for row in await rows(paying)] == [
        (BRIAN, "MANUAL", "no_keys"),
        (JANE, "MANUAL", "suspended"),
    ]
    assert (await paying.notice(BRIAN, "declined"))["payout"]["why"] == "no_keys"
    assert (await paying.notice(JANE, "released"))["payout"]["why"] == "suspended"
    card = (await paying.sql("SELECT params FROM outbox WHERE kind = 'payout_manual'"))[0]["params"]
    assert (card["number"], card["amount"]) == (PHONES[BRIAN], "KES 10,500")
    assert (await paying.told(ADMIN)).count("payout_manual") == 2


async def test_a_changed_number_waits_a_day(paying: World) -> None:
    deal = await funded(paying)
    changed = paying.clock.now() - timedelta(hours=2)
    await paying.sql(
        "UPDATE escrow_sellers SET payout_phone = '254712000999', payout_phone_since = $1", changed
    )
    await paying.escrows.receive(deal.id, BRIAN, "test:receive")
    assert await paying.value("SELECT not_before FROM payouts") == changed + timedelta(hours=24)
    told = (await paying.notice(JANE, "released"))["payout"]
    assert told["when"] == (changed + timedelta(hours=24)).isoformat()
    assert "why" not in told
    assert await paying.payouts.send_due() == (0, 0)
    paying.clock.tick(hours=23)
    assert await paying.payouts.send_due() == (1, 0)


# -- /withdraw -------------------------------------------------------------------------------------


async def test_a_withdrawal_moves_the_wallet_to_his_own_number(world: World) -> None:
    await world.give(BRIAN, kes(700))
    booked = await world.payouts.book_withdrawal(BRIAN, kes(500), "update:1")
    assert (booked.amount, booked.to) == (kes(500), "0722***222")
    assert await world.wallet(BRIAN) == 200
    assert [one.id for one in await world.payouts.of_person(BRIAN)] == [booked.id]


@pytest.mark.parametrize(
    ("amount", "reason"),
    [
        (kes("10.50"), "withdraw_cents"),
        (kes(9), "withdraw_small"),
        (kes(701), "withdraw_short"),
        (usd(5), "withdraw_dollars"),
    ],
)
async def test_what_can_not_be_sent_is_refused(world: World, amount: Money, reason: str) -> None:
    await world.give(BRIAN, kes(700))
    with pytest.raises(LimitReached) as refused:
        await world.payouts.book_withdrawal(BRIAN, amount, "update:1")
    assert refused.value.reason == reason
    assert await world.wallet(BRIAN) == 700


async def test_more_than_mpesa_sends_at_once_is_refused(world: World) -> None:
    await world.give(BRIAN, kes(250_001))
    with pytest.raises(LimitReached, match="withdraw_large"):
        await world.payouts.book_withdrawal(BRIAN, kes(250_001), "update:1")


async def test_no_number_of_his_own_no_withdrawal(world: World) -> None:
    await world.give(BRIAN, kes(700))
    await world.sql("UPDATE people SET phone_is_contact = false WHERE telegram_id = $1", BRIAN)
    with pytest.raises(NotFound, match="no_own_number"):
        await world.payouts.book_withdrawal(BRIAN, kes(500), "update:1")


async def test_the_same_cause_again_gives_the_first_answer(world: World) -> None:
    await world.give(BRIAN, kes(700))
    first = await world.payouts.book_withdrawal(BRIAN, kes(500), "update:1")
    assert await world.payouts.book_withdrawal(BRIAN, kes(500), "update:1") == first
    with pytest.raises(Conflict):
        await world.payouts.book_withdrawal(BRIAN, kes(100), "update:1")
    assert await world.wallet(BRIAN) == 200


async def test_what_is_over_is_not_said_to_be_on_its_way_again(world: World) -> None:
    await world.give(BRIAN, kes(700))
    world.payout_rail.can_pay = False
    first = await world.payouts.book_withdrawal(BRIAN, kes(500), "update:1")
    await world.payouts.mark_failed(first.id, ADMIN, "test")
    with pytest.raises(NotAllowed, match="sent_before"):
        await world.payouts.book_withdrawal(BRIAN, kes(500), "update:1")
    assert await world.wallet(BRIAN) == 700


@pytest.mark.parametrize("typed_before", [True, False])
async def test_a_shop_opened_with_another_number_does_not_empty_the_wallet_at_once(
    world: World, typed_before: bool
) -> None:
    await world.give(BRIAN, kes(700))
    if typed_before:
        await world.people.set_phone(BRIAN, "254799000999", is_contact=False)
    await world.people.register_seller(BRIAN, "Another shop", "254799000999")
    opened = world.clock.now()
    booked = await world.payouts.book_withdrawal(BRIAN, kes(500), "update:1")
    assert booked.not_before == opened + timedelta(hours=24)
    if not typed_before:
        told = await world.notice(BRIAN, "payout_number_changed")
        assert (told["old"], told["new"]) == ("0722***222", "0799***999")


async def test_a_sellers_own_number_waits_for_nothing(world: World) -> None:
    deal = await funded(world)
    await world.escrows.receive(deal.id, BRIAN, "test:receive")
    booked = await world.payouts.book_withdrawal(JANE, kes(500), "update:1")
    assert booked.not_before is None
    assert "payout_number_changed" not in await world.told(JANE)


async def test_ten_withdrawals_at_once_take_no_more_than_there_is(world: World) -> None:
    await world.give(BRIAN, kes(700))
    answers = await asyncio.gather(
        *(world.payouts.book_withdrawal(BRIAN, kes(300), f"update:{n}") for n in range(10)),
        return_exceptions=True,
    )
    assert sum(not isinstance(one, Exception) for one in answers) == 2
    assert await world.wallet(BRIAN) == 100


async def test_one_update_raced_by_its_repeat_books_once(world: World) -> None:
    await world.give(BRIAN, kes(700))
    answers = await asyncio.gather(
        *(world.payouts.book_withdrawal(BRIAN, kes(100), "update:1") for _ in range(6))
    )
    assert len(set(answers)) == 1
    assert await world.wallet(BRIAN) == 600
