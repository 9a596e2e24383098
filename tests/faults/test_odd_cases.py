"""The table of odd cases of the payment path, row by row: each ends where the table says."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from escrow.domain.errors import LimitReached
from escrow.domain.model import AttemptState
from escrow.services import prompts
from tests.rail import CANCELLED, PAID, UNREACHABLE, masked, stk_body
from tests.world import ADMIN, ADMINS, BRIAN, JANE, OTIENO, PHONES, World, kes, new_reference

# -- STK amount other than asked: stored, alert, to suspense with the amount that is confirmed ---


async def test_another_amount_than_asked_is_stored_and_alerted_and_not_posted(
    world: World,
) -> None:
    deal = await world.deal()
    attempt = await world.prompt(deal)
    world.rail.query_answer = PAID
    reference = new_reference()
    assert await world.callback(attempt, reference, amount=kes(1)) == "other_amount"
    assert await world.receipt_states() == {reference: "WAITING"}
    for admin in ADMINS:
        assert await world.told(admin) == ["other_amount", "confirm_receipt"]
    assert (await world.notice(ADMIN, "other_amount"))["claimed"] == "KES 1"


async def test_the_sweep_does_not_credit_the_asked_amount_for_another_claimed_one(
    world: World,
) -> None:
    """The query says that the request was paid, not how much came."""
    deal = await world.deal()
    attempt = await world.prompt(deal)
    world.rail.query_answer = PAID
    await world.callback(attempt, new_reference(), amount=kes(1))
    for _ in range(5):
        world.clock.tick(minutes=5)
        await world.confirmations.look_due()
    assert await world.status_of(deal) == "PENDING"
    assert [row["state"] for row in await world.receipts()] == ["WAITING"]


async def test_another_amount_goes_to_suspense_with_what_transaction_status_confirms(
    world: World,
) -> None:
    world.rail.can_ask_status = True
    deal = await world.deal()
    attempt = await world.prompt(deal)
    reference = new_reference()
    await world.callback(attempt, reference, amount=kes(12_000))
    (question,) = world.rail.asked
    assert await world.status(question.token, reference, kes(11_000)) == "suspense"
    assert await world.suspense() == 11_000
    assert await world.receipt_states() == {reference: "SUSPENSE"}
    assert (await world.attempt(attempt)).state is AttemptState.PAID


async def test_another_amount_goes_to_suspense_when_an_admin_confirms_it(world: World) -> None:
    deal = await world.deal()
    attempt = await world.prompt(deal)
    await world.callback(attempt, new_reference(), amount=kes(12_000))
    (receipt,) = await world.receipts()
    await world.confirmations.confirm_receipt(receipt["id"], ADMIN, ours=True)
    assert await world.suspense() == 12_000
    assert await world.status_of(deal) == "PENDING"


# -- wrong shortcode: parked, alert, no posting --------------------------------------------------


async def test_a_payment_to_another_shortcode_is_parked_and_alerted_and_never_posted(
    world: World,
) -> None:
    deal = await world.deal(buyer=BRIAN)
    word = await world.paybill(deal.id, kes(10_500), shortcode="600999")
    assert word == "wrong_shortcode"
    assert await world.value("SELECT state FROM inbox") == "PARKED"
    assert await world.receipts() == []
    for admin in ADMINS:
        assert await world.told(admin) == ["wrong_shortcode"]


# -- second receipt on one STK attempt: suspense -------------------------------------------------


@pytest.mark.parametrize("query", [PAID, UNREACHABLE, CANCELLED], ids=lambda answer: answer.reason)
async def test_a_second_receipt_on_one_prompt_waits_in_suspense(
    world: World, query: object
) -> None:
    deal = await world.deal()
    attempt = await world.prompt(deal)
    world.rail.query_answer = PAID
    first, second = new_reference(), new_reference()
    await world.callback(attempt, first)
    world.rail.query_answer = query
    assert await world.callback(attempt, second) == "suspense"
    assert await world.receipt_states() == {first: "CREDITED", second: "SUSPENSE"}
    assert await world.suspense() == 10_500
    assert await world.accounts(deal) == (0, 10_000, 500)
    assert (await world.notice(ADMIN, "suspense"))["why"] == "second_receipt"


async def test_a_second_number_while_the_first_is_unconfirmed_is_kept_and_asked_about(
    world: World,
) -> None:
    deal = await world.deal()
    attempt = await world.prompt(deal)
    world.rail.query_answer = UNREACHABLE
    first, second = new_reference(), new_reference()
    await world.callback(attempt, first)
    await world.callback(attempt, second)
    assert await world.receipt_states() == {first: "WAITING", second: "WAITING"}
    world.rail.query_answer = PAID
    world.clock.tick(minutes=3)
    await world.confirmations.look_due()
    await world.confirmations.check_due()
    assert await world.receipt_states() == {first: "CREDITED", second: "WAITING"}
    assert (await world.notice(ADMIN, "confirm_receipt"))["reference"] == second


async def test_a_second_number_with_another_amount_on_a_paid_prompt_is_alerted(
    world: World,
) -> None:
    deal = await world.deal()
    attempt = await world.prompt(deal)
    world.rail.query_answer = PAID
    await world.callback(attempt, new_reference())
    assert await world.callback(attempt, new_reference(), amount=kes(200)) == "other_amount"
    assert (await world.notice(ADMIN, "other_amount"))["claimed"] == "KES 200"


# -- the same receipt for another deal: stored, alert, no posting --------------------------------


async def test_a_receipt_by_hand_that_names_another_deal_later_is_alerted_and_not_posted(
    world: World,
) -> None:
    first, second = await world.deal(9_000, buyer=BRIAN), await world.deal(9_000, buyer=OTIENO)
    reference = new_reference()
    await world.paybill(first.id, first.due, reference)
    assert await world.paybill(second.id, second.due, reference) == "duplicate"
    assert await world.accounts(second) == (0, 0, 0)
    assert "receipt_elsewhere" in await world.told(ADMIN)
    assert await world.value("SELECT count(*) FROM inbox") == 2


async def test_a_receipt_that_waits_and_names_another_deal_is_alerted_too(world: World) -> None:
    world.rail.can_ask_status = True
    first, second = await world.deal(buyer=BRIAN), await world.deal(buyer=OTIENO)
    reference = new_reference()
    await world.paybill(first.id, first.due, reference)
    await world.paybill(second.id, second.due, reference)
    assert await world.receipt_states() == {reference: "WAITING"}
    assert (await world.notice(ADMIN, "receipt_elsewhere"))["other"] == second.id
    await world.status(world.rail.asked[0].token, reference, first.due)
    assert await world.accounts(first) == (0, 10_000, 500)
    assert await world.accounts(second) == (0, 0, 0)


async def test_a_receipt_that_a_prompt_of_another_deal_claims_is_alerted_and_not_posted(
    world: World,
) -> None:
    first, second = await world.deal(buyer=BRIAN), await world.deal(buyer=OTIENO)
    reference = new_reference()
    await world.pay(first, 10_500, reference=reference)
    attempt = await world.prompt(second, OTIENO)
    world.rail.query_answer = PAID
    assert await world.callback(attempt, reference) == "duplicate"
    assert await world.accounts(second) == (0, 0, 0)
    assert (await world.notice(ADMIN, "receipt_elsewhere"))["other"] == second.id


# -- a payment known only by query ---------------------------------------------------------------


async def test_a_payment_known_only_by_query_is_credited_once_with_an_empty_slot(
    world: World,
) -> None:
    deal = await world.deal()
    attempt = await world.prompt(deal)
    world.rail.query_answer = PAID
    for _ in range(3):
        await world.confirmations.look(await world.attempt(attempt))
    (receipt,) = await world.receipts()
    assert (receipt["reference"], receipt["state"]) == (None, "CREDITED")
    assert await world.accounts(deal) == (0, 10_000, 500)
    assert await world.told(BRIAN) == ["funded"]


@pytest.mark.parametrize("by", ["callback", "paybill"])
async def test_the_first_number_fills_the_slot_and_credits_nothing(world: World, by: str) -> None:
    deal = await world.deal()
    attempt = await world.prompt(deal)
    world.rail.query_answer = PAID
    await world.confirmations.look(attempt)
    reference = new_reference()
    entries = await world.value("SELECT count(*) FROM ledger_entries")
    if by == "callback":
        assert await world.callback(attempt, reference) == "duplicate"
    else:
        shown = masked(PHONES[BRIAN])
        assert await world.paybill(deal.id, deal.due, reference, shown=shown) == "duplicate"
    assert await world.receipt_states() == {reference: "CREDITED"}
    assert await world.value("SELECT count(*) FROM ledger_entries") == entries


@pytest.mark.parametrize("other", ["amount", "time"])
async def test_what_does_not_fit_the_slot_is_a_payment_of_its_own(world: World, other: str) -> None:
    deal = await world.deal(9_000)
    attempt = await world.prompt(deal)
    world.rail.query_answer = PAID
    await world.confirmations.look(attempt)
    amount = kes(9_449) if other == "amount" else deal.due
    world.clock.tick(minutes=11 if other == "time" else 0)
    shown = masked(PHONES[BRIAN])
    assert await world.paybill(deal.id, amount, new_reference(), shown=shown) == "waiting"
    assert await world.wallet() == amount.to_decimal()
    assert len(await world.receipts()) == 2


async def test_what_fits_the_slot_but_for_its_number_is_a_persons_decision(world: World) -> None:
    """It may be the same money under a number that looks different, or a second payment."""
    deal = await world.deal(9_000)
    attempt = await world.prompt(deal)
    world.rail.query_answer = PAID
    await world.confirmations.look(attempt)
    reference = new_reference()
    await world.paybill(deal.id, deal.due, reference, shown=masked(PHONES[OTIENO]))
    assert (await world.receipt_states())[reference] == "WAITING"
    card = await world.notice(ADMIN, "confirm_receipt")
    assert (card["why"], card["reference"]) == ("maybe_same", reference)
    await world.confirmations.confirm_receipt(card["receipt"], ADMIN, ours=True)
    assert await world.wallet() == 9_450


async def test_what_fits_the_slot_but_for_its_number_is_credited_when_mpesa_confirms_it(
    world: World,
) -> None:
    world.rail.can_ask_status = True
    deal = await world.deal(9_000)
    attempt = await world.prompt(deal)
    world.rail.query_answer = PAID
    await world.confirmations.look(attempt)
    reference = new_reference()
    await world.paybill(deal.id, deal.due, reference, shown=masked(PHONES[OTIENO]))
    await world.status(world.rail.asked[-1].token, reference, deal.due)
    assert await world.wallet() == 9_450
    assert len(await world.receipts()) == 2


async def test_a_slot_is_filled_only_once(world: World) -> None:
    deal = await world.deal(9_000)
    attempt = await world.prompt(deal)
    world.rail.query_answer = PAID
    await world.confirmations.look(attempt)
    numbers = [new_reference(), new_reference()]
    for number in numbers:
        await world.paybill(deal.id, deal.due, number, shown=masked(PHONES[BRIAN]))
    assert await world.receipt_states() == dict.fromkeys(numbers, "CREDITED")
    assert await world.wallet() == 9_450


# -- the same receipt by STK callback and by C2B: one credit (test_orders.py has every order) ----


@pytest.mark.parametrize("first", ["callback", "paybill"])
async def test_the_same_receipt_by_both_ways_at_once_is_one_credit(
    world: World, first: str
) -> None:
    deal = await world.deal(9_000)
    attempt = await world.prompt(deal)
    world.rail.query_answer = PAID
    reference = new_reference()
    await world.post_stk(attempt, stk_body(attempt, world.clock.now(), reference=reference))
    ways = [
        world.settle_inbox(),
        world.confirmations.look(attempt),
        world.paybill(deal.id, deal.due, reference, shown=masked(PHONES[BRIAN])),
    ]
    await asyncio.gather(*(ways if first == "callback" else reversed(ways)))
    await world.settle_inbox()
    assert await world.receipt_states() == {reference: "CREDITED"}
    assert await world.accounts(deal) == (0, 9_000, 450)
    assert await world.wallet() == 0


async def test_a_number_in_suspense_that_is_a_prompts_own_goes_to_its_payer(world: World) -> None:
    """Its C2B row came first and showed another number; the callback says whose prompt it was."""
    deal = await world.deal(9_000)
    attempt = await world.prompt(deal)
    reference = new_reference()
    await world.paybill(deal.id, deal.due, reference, shown=masked(PHONES[OTIENO]))
    assert await world.suspense() == 9_450
    world.rail.query_answer = PAID
    await world.callback(attempt, reference)
    assert await world.suspense() == 0
    assert await world.receipt_states() == {reference: "CREDITED"}
    assert await world.accounts(deal) == (0, 9_000, 450)
    assert (await world.escrow(deal.id)).buyer_telegram_id == BRIAN
    assert await world.callback(attempt, reference, balance=1) == "duplicate"


async def test_one_payment_credited_under_two_names_is_told_to_the_admins(world: World) -> None:
    """By query without a number, and by TransactionStatus under a payer's number that looks
    different: only the callback shows that it was the same money.
    """
    world.rail.can_ask_status = True
    world.rail.query_answer = PAID
    deal = await world.deal(9_000)
    attempt = await world.prompt(deal)
    await world.confirmations.look(attempt)
    reference = new_reference()
    await world.paybill(deal.id, deal.due, reference, shown=masked(PHONES[OTIENO]))
    await world.status(world.rail.asked[-1].token, reference, deal.due)
    await world.callback(attempt, reference)
    for admin in ADMINS:
        assert (await world.notice(admin, "booked_twice"))["reference"] == reference


# -- failure after success, success after failure ------------------------------------------------


async def test_a_failure_after_the_success_has_no_effect(world: World) -> None:
    deal = await world.deal()
    attempt = await world.prompt(deal)
    world.rail.query_answer = PAID
    await world.callback(attempt, new_reference())
    before = await world.snapshot()
    await world.callback(attempt, code=1032)
    assert await world.snapshot() == before


@pytest.mark.parametrize("code", [1, 1032, 1019, 2001])
async def test_a_success_after_the_prompts_own_failure_is_decided_as_usual(
    world: World, code: int
) -> None:
    deal = await world.deal()
    attempt = await world.prompt(deal)
    assert await world.callback(attempt, code=code) == f"declined:{code}"
    assert (await world.attempt(attempt)).state is AttemptState.DECLINED
    world.rail.query_answer = PAID
    assert await world.callback(attempt, new_reference()) == "funded"
    assert await world.accounts(deal) == (0, 10_000, 500)
    assert (await world.attempt(attempt)).state is AttemptState.PAID


async def test_a_success_after_the_prompt_expired_is_decided_as_usual(world: World) -> None:
    deal = await world.deal()
    attempt = await world.prompt(deal)
    world.clock.tick(minutes=11)
    await world.confirmations.look_due()
    assert (await world.attempt(attempt)).state is AttemptState.EXPIRED
    world.rail.query_answer = PAID
    assert await world.callback(attempt, new_reference()) == "funded"


async def test_a_success_after_failure_on_a_deal_that_somebody_else_funded_is_the_payers(
    world: World,
) -> None:
    deal = await world.deal()
    attempt = await world.prompt(deal, OTIENO)
    await world.callback(attempt, code=1032)
    world.clock.tick(minutes=31)
    await world.pay(deal, 10_500, buyer=BRIAN)
    world.rail.query_answer = PAID
    assert await world.callback(attempt, new_reference()) == "to_wallet"
    assert await world.wallet(OTIENO) == 10_500
    assert await world.wallet(BRIAN) == 0


async def test_the_callback_that_was_lost_after_an_expiry_is_still_found_by_query(
    world: World,
) -> None:
    deal = await world.deal()
    attempt = await world.prompt(deal)
    for minutes in (2, 9):
        world.clock.tick(minutes=minutes)
        await world.confirmations.look_due()
    assert (await world.attempt(attempt)).state is AttemptState.EXPIRED
    world.rail.query_answer = PAID
    for minutes in (30, 60):
        world.clock.tick(minutes=minutes)
        await world.confirmations.look_due()
    assert await world.accounts(deal) == (0, 10_000, 500)


# -- a callback before our own row committed -----------------------------------------------------


async def test_a_callback_that_is_faster_than_our_own_row_is_kept_and_processed_with_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = "f" * 32
    like = await world.prompt(await world.deal(buyer=OTIENO), OTIENO)
    early = stk_body(replace(like, token=token), world.clock.now(), reference=new_reference())
    await world.intake.store("stk", token, "POST", "", early, "127.0.0.1")
    await world.intake.process_due()
    assert await world.value("SELECT state FROM inbox") == "NEW"
    assert await world.receipts() == []
    monkeypatch.setattr(prompts.secrets, "token_hex", lambda _: token)
    assert (await world.prompt(await world.deal())).token == token  # our row is there now
    world.rail.query_answer = PAID
    world.clock.tick(seconds=2)
    assert await world.settle_inbox() == "funded"


# -- wallet + M-Pesa -----------------------------------------------------------------------------


async def test_the_wallet_part_is_written_on_the_prompt_and_taken_with_its_receipt(
    world: World,
) -> None:
    await world.give(BRIAN, kes(4_000))
    deal = await world.deal()
    attempt = await world.prompt(deal, use_wallet=True)
    assert attempt.wallet_part == kes(4_000)
    assert await world.wallet() == 4_000
    world.rail.query_answer = PAID
    assert await world.callback(attempt, new_reference()) == "funded"
    assert await world.wallet() == 0
    assert await world.journals(deal) == ["receipt", "wallet_payment", "fund"]
    assert (await world.events(deal)).count("fund") == 1


async def test_a_wallet_that_is_enough_needs_no_prompt(world: World) -> None:
    await world.give(BRIAN, kes(10_500))
    deal = await world.deal()
    with pytest.raises(LimitReached) as refused:
        await world.prompt(deal, use_wallet=True)
    assert refused.value.reason == "wallet_is_enough"
    assert world.rail.prompts == []


async def test_a_wallet_part_is_not_taken_for_a_deal_that_cant_take_it(world: World) -> None:
    await world.give(BRIAN, kes(4_000))
    deal = await world.deal()
    attempt = await world.prompt(deal, use_wallet=True)
    await world.escrows.cancel(deal.id, JANE)
    world.rail.query_answer = PAID
    assert await world.callback(attempt, new_reference()) == "to_wallet"
    assert await world.wallet() == 10_500


@pytest.mark.parametrize("real", [True, False])
async def test_a_row_by_hand_that_a_paid_prompt_took_for_its_own_still_needs_its_own_proof(
    world: World, real: bool
) -> None:
    """Somebody who knows the paybill's address announces money on a deal while its prompt is being
    paid; the query proves the prompt, not him.
    """
    world.rail.can_ask_status = True
    deal = await world.deal(9_000)
    attempt = await world.prompt(deal)
    announced, own = new_reference(), new_reference()
    await world.paybill(deal.id, deal.due, announced)
    world.rail.query_answer = PAID
    await world.confirmations.look(attempt)
    assert await world.receipt_states() == {announced: "CREDITED"}
    await world.callback(attempt, own)
    assert await world.receipt_states() == {own: "CREDITED", announced: "WAITING"}
    assert await world.wallet() == 0
    world.clock.tick(minutes=1)
    await world.confirmations.check_due()
    answer = {} if real else {"code": 2032}
    await world.status(world.rail.asked[-1].token, announced, deal.due, **answer)
    assert await world.wallet() == (deal.due.to_decimal() if real else 0)
