"""A prompt's own paybill row is the prompt's money, whatever comes first and whatever changed in
between; and a denied or suspected claim is neither lost nor taken by somebody else.
"""

from __future__ import annotations

import hashlib

import pytest

from escrow.domain.model import Attempt, Escrow
from tests.rail import CANCELLED, PAID, masked
from tests.world import ADMIN, BRIAN, JANE, OTIENO, PHONES, World, kes, new_reference


async def external(world: World) -> int:
    """What the provider owes us, in shillings: what really came in."""
    found = await world.value(
        "SELECT coalesce(sum(amount_minor), 0) FROM ledger_entries e "
        "JOIN ledger_accounts a ON a.id = e.account_id WHERE a.kind = 'external'"
    )
    return -int(found) // 100


async def _asked(world: World, start: str) -> tuple[Escrow, Attempt]:
    """An open-link deal whose prompt is on Brian's phone, and what happened meanwhile."""
    deal = await world.deal(9_000)
    if start == "reservation over":
        await world.prompts.reserve(deal.id, BRIAN)
        world.clock.tick(minutes=29, seconds=50)
    attempt = await world.prompt(deal)
    if start == "cancelled":
        await world.escrows.cancel(deal.id, JANE)
    if start == "number changed":
        await world.people.set_phone(BRIAN, "254799999999", is_contact=True)
    world.clock.tick(seconds=25)
    return deal, attempt


@pytest.mark.parametrize("order", ["cq", "cqk", "ck", "qck", "kqc", "kcq"])
@pytest.mark.parametrize("start", ["cancelled", "reservation over", "number changed"])
@pytest.mark.parametrize("keys", [False, True], ids=["no keys", "keys"])
async def test_every_order_is_one_credit_to_the_prompts_payer(
    world: World, order: str, start: str, keys: bool
) -> None:
    world.rail.can_ask_status = keys
    deal, attempt = await _asked(world, start)
    reference = new_reference()
    world.rail.query_answer = PAID
    for step in order:
        if step == "c":
            shown = masked(PHONES[BRIAN])
            await world.paybill(deal.id, attempt.amount, reference, shown=shown)
            if keys and world.rail.asked:
                await world.status(world.rail.asked[-1].token, reference, attempt.amount)
        elif step == "q":
            world.clock.tick(minutes=2)
            await world.confirmations.look_due()
        else:
            await world.callback(attempt, reference)
    world.clock.tick(minutes=3)
    await world.confirmations.look_due()
    await world.confirmations.check_due()
    await world.settle_inbox()
    assert await external(world) == 9_450
    assert await world.suspense() == 0
    if start == "cancelled":
        assert (await world.status_of(deal), await world.wallet()) == ("CANCELLED", 9_450)
    else:
        assert (await world.status_of(deal), await world.wallet()) == ("HELD", 0)
    assert (await world.attempt(attempt)).state == "PAID"


async def test_the_wallet_part_counts_when_the_paybill_row_comes_first(world: World) -> None:
    await world.give(BRIAN, kes(9_800))
    deal = await world.deal()
    attempt = await world.prompt(deal, use_wallet=True)
    assert attempt.amount == kes(700)
    reference = new_reference()
    await world.paybill(deal.id, attempt.amount, reference, shown=masked(PHONES[BRIAN]))
    world.rail.query_answer = PAID
    await world.callback(attempt, reference)
    assert await world.accounts(deal) == (0, 10_000, 500)
    assert await world.wallet() == 0
    assert await external(world) == 10_500


@pytest.mark.parametrize("shown", ["another hash", "another number"])
async def test_a_row_that_may_be_a_numberless_prompts_waits_for_a_person(
    world: World, shown: str
) -> None:
    deal = await world.deal(9_000)
    attempt = await world.prompt(deal)
    world.rail.query_answer = PAID
    world.clock.tick(minutes=2)
    await world.confirmations.look_due()
    number = "2547 ***** 999"
    if shown == "another hash":
        number = hashlib.sha256(f"+{PHONES[BRIAN]}".encode()).hexdigest()
    reference = new_reference()
    await world.paybill(deal.id, attempt.amount, reference, shown=number)
    assert await external(world) == 9_450
    assert await world.told(ADMIN) == ["confirm_receipt"]


async def test_a_payment_booked_twice_is_told_when_its_callback_proves_it(world: World) -> None:
    deal = await world.deal(9_000)
    attempt = await world.prompt(deal)
    world.rail.query_answer = PAID
    world.clock.tick(minutes=2)
    await world.confirmations.look_due()
    world.clock.tick(minutes=9)  # M-Pesa's clock is far off ours
    reference = new_reference()
    await world.paybill(deal.id, attempt.amount, reference, shown=masked(PHONES[BRIAN]))
    await world.callback(attempt, reference)
    assert "booked_twice" in await world.told(ADMIN)


async def test_a_reservation_takes_no_money_that_was_on_its_way_before(world: World) -> None:
    await world.sql(
        "UPDATE people SET phone = NULL, phone_is_contact = false WHERE telegram_id = $1", OTIENO
    )
    world.rail.can_ask_status = True
    deal = await world.deal()
    reference = new_reference()
    await world.paybill(deal.id, deal.due, reference, shown=masked(PHONES[BRIAN]))
    world.clock.tick(seconds=5)
    await world.prompts.reserve(deal.id, OTIENO)
    await world.status(world.rail.asked[-1].token, reference, deal.due)
    assert (await world.escrow(deal.id)).buyer_telegram_id is None
    assert await world.suspense() == 10_500


async def test_a_denied_claim_that_is_proved_later_is_credited_once(world: World) -> None:
    deal = await world.deal()
    attempt = await world.prompt(deal)
    world.rail.query_answer = CANCELLED
    reference = new_reference()
    await world.callback(attempt, reference)
    (row,) = await world.receipts()
    await world.confirmations.confirm_receipt(row["id"], ADMIN, ours=False)
    world.rail.query_answer = PAID
    world.clock.tick(minutes=31)
    await world.confirmations.look_due()
    await world.paybill(deal.id, attempt.amount, reference, shown=masked(PHONES[BRIAN]))
    assert await world.accounts(deal) == (0, 10_000, 500)
    assert await external(world) == 10_500
    assert await world.receipt_states() == {reference: "CREDITED"}


async def test_a_denied_false_claim_leaves_its_prompt_to_the_true_one(world: World) -> None:
    deal = await world.deal()
    attempt = await world.prompt(deal)
    await world.callback(attempt, new_reference(), amount=kes(10))
    (row,) = await world.receipts()
    await world.confirmations.confirm_receipt(row["id"], ADMIN, ours=False)
    world.rail.query_answer = PAID
    await world.callback(attempt, new_reference())
    assert await world.accounts(deal) == (0, 10_000, 500)
    assert await external(world) == 10_500


async def test_an_undecided_claim_blocks_neither_the_deal_nor_the_phone(world: World) -> None:
    deal = await world.deal()
    attempt = await world.prompt(deal)
    await world.callback(attempt, new_reference(), amount=kes(10))
    world.clock.tick(minutes=11)
    await world.confirmations.look_due()
    other = await world.deal(9_000)
    assert (await world.prompt(other)).id != attempt.id


async def test_a_top_up_by_hand_in_time_counts_though_its_answer_comes_late(world: World) -> None:
    world.rail.can_ask_status = True
    deal = await world.deal(buyer=BRIAN)
    first, second = new_reference(), new_reference()
    await world.paybill(deal.id, kes(9_800), first)
    await world.status(world.rail.asked[-1].token, first, kes(9_800))
    world.clock.tick(minutes=9, seconds=50)
    await world.paybill(deal.id, kes(700), second)
    world.clock.tick(seconds=15)
    assert await world.choices.expire() == (0, 0)
    await world.status(world.rail.asked[-1].token, second, kes(700))
    assert await world.accounts(deal) == (0, 10_000, 500)


async def test_a_status_that_names_only_the_payer_is_left_to_a_person(world: World) -> None:
    world.rail.can_ask_status = True
    deal = await world.deal(buyer=BRIAN)
    reference = new_reference()
    await world.paybill(deal.id, deal.due, reference)
    word = await world.status(world.rail.asked[-1].token, reference, deal.due, party=PHONES[BRIAN])
    assert word == "no_party"
    assert await world.receipt_states() == {reference: "WAITING"}
    assert await world.told(ADMIN) == ["confirm_receipt"]
