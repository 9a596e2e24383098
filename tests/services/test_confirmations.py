"""What is believed, when, and on whose word: nothing is credited because somebody claims it."""

from __future__ import annotations

import asyncio
from itertools import product

import pytest

from escrow.domain.errors import EscrowMoved, NotAllowed, NotFound
from escrow.domain.model import AttemptState
from escrow.services.ports import Answer, Verdict
from tests.rail import (
    ANSWERS,
    CANCELLED,
    PAID,
    PENDING,
    SHORTCODE,
    UNREACHABLE,
    masked,
    near_miss,
)
from tests.world import (
    ADMIN,
    ADMINS,
    BRIAN,
    JANE,
    OTIENO,
    PHONES,
    SECOND_ADMIN,
    World,
    kes,
    new_reference,
)

SMALL, LARGE = 9_000, 10_000
"""Prices whose dues, 9,450 and 10,500, stand below and above the unconfirmed limit of 10,000."""

NO_WORDS = Answer(Verdict.UNKNOWN, "12345", "unknown")
"""M-Pesa can be asked and says something that nobody knows."""


async def _sweep(world: World, minutes: int, *, every: int = 1) -> None:
    """The sweeps run every so many minutes for that long."""
    for _ in range(minutes // every):
        world.clock.tick(minutes=every)
        await world.settle_inbox()
        await world.confirmations.look_due()
        await world.confirmations.check_due()


# -- a prompt's callback and its query -----------------------------------------------------------

MATRIX = list(product(Verdict, (True, False), (True, False), (True, False), (SMALL, LARGE)))


def _expected(verdict: Verdict, confirm: bool, right: bool) -> tuple[str, str]:
    """(the word on the callback's row, the state of the receipt) right after the callback."""
    if not right:
        return "other_amount", "WAITING"
    if not confirm or verdict is Verdict.PAID:
        return "funded", "CREDITED"
    if verdict is Verdict.DECLINED:
        return "contradicted:1032", "WAITING"
    return "waiting", "WAITING"


async def test_a_callback_is_believed_as_far_as_its_query_confirms_it(dsn: str) -> None:
    """Every cell: the query's verdict × amount as asked × confirmation on × initiator keys × below
    and above the limit.
    """
    cells = 0
    async with World.open(dsn, prompts_per_user_hour=1_000) as world:
        for number, (verdict, right, confirm, keys, price) in enumerate(MATRIX):
            buyer, phone = 4_000 + number, f"2547110{number:05d}"
            await world.person(buyer, "Somebody", phone)
            world.rail.can_ask_status = keys
            world.rail.query_answer = ANSWERS[verdict]
            deal = await world.deal(price)
            attempt = await world.prompt(deal, buyer)
            reference, asked = new_reference(), len(world.rail.asked)
            amount = attempt.amount if right else kes(1)
            cell = (verdict, right, confirm, keys, price)
            place = world.configured(confirm=confirm)
            word = await place.callback(attempt, reference, amount=amount)
            state = (await world.receipt_states())[reference]
            assert (word, state) == _expected(verdict, confirm, right), cell
            funded = state == "CREDITED"
            assert await world.status_of(deal) == ("HELD" if funded else "PENDING"), cell
            assert len(world.rail.asked) - asked == int(keys and not right), cell
            cells += 1
        await world.books()
    assert cells == 64


@pytest.mark.parametrize("keys", [False, True])
async def test_an_unreachable_query_credits_small_amounts_after_two_minutes_with_a_note(
    world: World, keys: bool
) -> None:
    world.rail.can_ask_status = keys
    world.rail.query_answer = UNREACHABLE
    deal = await world.deal(SMALL)
    attempt = await world.prompt(deal)
    await world.callback(attempt, new_reference())
    await _sweep(world, 1)
    assert await world.status_of(deal) == "PENDING", "not before two minutes"
    await _sweep(world, 1)
    assert await world.status_of(deal) == "HELD"
    assert [row["evidence"] for row in await world.receipts()] == ["limit"]
    assert [await world.told(admin) for admin in ADMINS] == [["credited_unconfirmed"]] * 2


async def test_an_unreachable_query_above_the_limit_waits_for_a_person_and_the_buyer_is_told(
    world: World,
) -> None:
    world.rail.query_answer = UNREACHABLE
    deal = await world.deal(LARGE)
    attempt = await world.prompt(deal)
    await world.callback(attempt, new_reference())
    await _sweep(world, 30)
    assert await world.status_of(deal) == "PENDING"
    assert [await world.told(admin) for admin in ADMINS] == [["confirm_receipt"]] * 2
    assert await world.told(BRIAN) == ["payment_waits"]
    world.rail.query_answer = PAID
    await _sweep(world, 2)
    assert await world.status_of(deal) == "HELD", "M-Pesa's own word comes before the person's"


async def test_the_limit_itself_is_still_small(world: World) -> None:
    world.rail.query_answer = UNREACHABLE
    at, above = await world.deal(10_000, fee_percent=0), await world.deal(10_001, fee_percent=0)
    for deal, buyer in ((at, BRIAN), (above, OTIENO)):
        await world.callback(await world.prompt(deal, buyer), new_reference())
    await _sweep(world, 4)
    assert await world.status_of(at) == "HELD"
    assert await world.status_of(above) == "PENDING"


@pytest.mark.parametrize("answer", [PENDING, NO_WORDS], ids=["pending", "no known code"])
async def test_the_limit_is_only_for_an_mpesa_that_cant_be_asked(
    world: World, answer: Answer
) -> None:
    world.rail.query_answer = answer
    deal = await world.deal(SMALL)
    attempt = await world.prompt(deal)
    await world.callback(attempt, new_reference())
    await _sweep(world, 30)
    assert await world.status_of(deal) == "PENDING"
    assert await world.told(ADMIN) == ["confirm_receipt"]


async def test_a_query_that_confirms_within_the_two_minutes_credits_with_its_word(
    world: World,
) -> None:
    world.rail.query_answer = UNREACHABLE
    deal = await world.deal(LARGE)
    attempt = await world.prompt(deal)
    reference = new_reference()
    await world.callback(attempt, reference)
    world.rail.query_answer = PAID
    await _sweep(world, 1)
    (receipt,) = await world.receipts()
    assert (receipt["reference"], receipt["evidence"]) == (reference, "query")
    assert await world.status_of(deal) == "HELD"


async def test_a_callback_that_its_query_contradicts_is_a_card_for_the_admins(
    world: World,
) -> None:
    world.rail.query_answer = CANCELLED
    deal = await world.deal(SMALL)
    attempt = await world.prompt(deal)
    reference = new_reference()
    assert await world.callback(attempt, reference) == "contradicted:1032"
    await _sweep(world, 60)
    assert await world.status_of(deal) == "PENDING"
    for admin in ADMINS:
        card = await world.notice(admin, "confirm_receipt")
        assert (card["reference"], card["code"]) == (reference, deal.id)
        assert card["why"] == "query_says_no"
        assert PHONES[BRIAN] not in str(card)


async def test_a_callback_with_another_request_id_is_parked_and_alerted(world: World) -> None:
    deal = await world.deal()
    attempt = await world.prompt(deal)
    world.rail.query_answer = PAID
    word = await world.callback(attempt, new_reference(), checkout="ws_CO_somebody_elses")
    assert word == "other_request_id"
    assert await world.value("SELECT state FROM inbox") == "PARKED"
    assert await world.receipts() == []
    assert world.rail.queries == [], "nobody is asked about somebody else's prompt"
    assert await world.told(ADMIN) == ["callback_mismatch"]


@pytest.mark.parametrize("paid", [True, False])
async def test_a_callback_before_our_answer_was_stored_brings_the_request_id(
    world: World, paid: bool
) -> None:
    """Its answer to our request was lost; the token in the path still finds the attempt."""
    world.rail.prompt_answers = [UNREACHABLE]
    deal = await world.deal()
    attempt = await world.prompt(deal)
    assert attempt.checkout_request_id is None
    world.rail.query_answer = PAID
    reference, code = (new_reference(), 0) if paid else (None, 1032)
    await world.callback(attempt, reference, code=code)
    after = await world.attempt(attempt)
    assert after.checkout_request_id is not None
    assert after.state is (AttemptState.PAID if paid else AttemptState.DECLINED)
    assert await world.status_of(deal) == ("HELD" if paid else "PENDING")


@pytest.mark.parametrize("again", ["query", "callback"])
async def test_a_claim_that_was_denied_is_credited_when_mpesa_proves_it_after_all(
    world: World, again: str
) -> None:
    world.rail.query_answer = CANCELLED
    deal = await world.deal(SMALL)
    attempt = await world.prompt(deal)
    reference = new_reference()
    await world.callback(attempt, reference)
    card = await world.notice(ADMIN, "confirm_receipt")
    await world.confirmations.confirm_receipt(card["receipt"], ADMIN, ours=False)
    assert await world.receipt_states() == {reference: "IGNORED"}
    world.rail.query_answer = PAID
    if again == "query":
        await world.confirmations.look(await world.attempt(attempt))
    else:
        await world.callback(attempt, reference, balance=1)
    assert await world.receipt_states() == {reference: "CREDITED"}
    assert await world.accounts(deal) == (0, SMALL, 450)


# -- declined and unanswered prompts -------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "reason"),
    [(1, "balance"), (1032, "cancelled"), (2001, "wrong_pin"), (17, "rule_limited")],
)
async def test_a_declined_prompt_tells_the_payer_why_and_leaves_his_reservation(
    world: World, code: int, reason: str
) -> None:
    deal = await world.deal()
    attempt = await world.prompt(deal)
    assert await world.callback(attempt, code=code) == f"declined:{code}"
    said = await world.notice(BRIAN, "prompt_failed")
    assert (said["reason"], said["code"], said["shortcode"]) == (reason, deal.id, SHORTCODE)
    view = await world.escrows.deal(deal.id, OTIENO)
    assert view.reserved_by_other, "money paid to the paybill under the code is his"


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (CANCELLED, AttemptState.DECLINED),
        (PAID, AttemptState.PAID),
        (PENDING, AttemptState.PROMPTED),
    ],
    ids=lambda value: str(value)[:8],
)
async def test_no_answer_on_the_phone_is_asked_about_before_anybody_is_told(
    world: World, answer: Answer, state: AttemptState
) -> None:
    """1037 says that the phone was not reached; a PIN may still be on its way."""
    deal = await world.deal()
    attempt = await world.prompt(deal)
    world.rail.query_answer = answer
    await world.callback(attempt, code=1037)
    assert (await world.attempt(attempt)).state is state
    assert world.rail.queries == [attempt.checkout_request_id]


NOBODY_KNOWS = Answer(Verdict.UNKNOWN, "7777", "unlisted")


@pytest.mark.parametrize("asked", [NOBODY_KNOWS, PENDING, UNREACHABLE], ids=lambda a: a.reason)
async def test_a_code_that_nobody_knows_ends_in_review_and_never_as_a_no(
    world: World, asked: Answer
) -> None:
    """Each admin sees it once, the payer is not told that he did not pay, and paid late is paid."""
    deal = await world.deal()
    attempt = await world.prompt(deal)
    world.rail.query_answer = asked
    await world.callback(attempt, code=7777)
    await world.callback(attempt, code=7777, balance=1)
    assert (await world.attempt(attempt)).state is AttemptState.PROMPTED
    for admin in (ADMIN, SECOND_ADMIN):
        said = await world.notice(admin, "prompt_unlisted")
        assert (said["code"], said["got"], said["attempt"]) == (deal.id, "7777", attempt.id)
    await _sweep(world, 12)
    assert (await world.attempt(attempt)).state is AttemptState.EXPIRED
    told = await world.notice(BRIAN, "prompt_failed")
    assert told["reason"] == ("unlisted" if asked is NOBODY_KNOWS else "prompt_expired")
    assert (await world.told(ADMIN)).count("prompt_unlisted") == 1
    world.rail.query_answer = PAID
    await _sweep(world, 60, every=5)
    assert await world.accounts(deal) == (0, 10_000, 500)


async def test_a_code_that_nobody_knows_may_also_come_from_a_question(world: World) -> None:
    deal = await world.deal()
    attempt = await world.prompt(deal)
    world.rail.query_answer = NOBODY_KNOWS
    await _sweep(world, 2)
    assert (await world.notice(ADMIN, "prompt_unlisted"))["attempt"] == attempt.id


async def test_a_code_that_nobody_knows_after_the_end_is_shown_too(world: World) -> None:
    deal = await world.deal()
    attempt = await world.prompt(deal)
    await _sweep(world, 12)
    assert (await world.attempt(attempt)).state is AttemptState.EXPIRED
    assert await world.callback(attempt, code="X99") == "unknown:X99"
    assert (await world.notice(ADMIN, "prompt_unlisted"))["got"] == "X99"


async def test_a_lost_callback_is_found_by_the_sweep(world: World) -> None:
    deal = await world.deal()
    attempt = await world.prompt(deal)
    world.rail.query_answer = PAID
    world.clock.tick(seconds=74)
    assert await world.confirmations.look_due() == (0, 0), "the phone gets its time"
    world.clock.tick(seconds=1)
    assert await world.confirmations.look_due() == (1, 0)
    assert await world.accounts(deal) == (0, 10_000, 500)
    assert (await world.attempt(attempt)).state is AttemptState.PAID
    assert await world.told(JANE) == ["held"]


async def test_a_lost_decline_is_found_by_the_sweep(world: World) -> None:
    deal = await world.deal()
    attempt = await world.prompt(deal)
    world.rail.query_answer = CANCELLED
    await _sweep(world, 2)
    assert (await world.attempt(attempt)).state is AttemptState.DECLINED
    assert (await world.notice(BRIAN, "prompt_failed"))["reason"] == "cancelled"


async def test_a_prompt_that_nobody_answers_for_expires_once_and_is_asked_about_for_a_day(
    world: World,
) -> None:
    deal = await world.deal()
    attempt = await world.prompt(deal)
    await _sweep(world, 12)
    assert (await world.attempt(attempt)).state is AttemptState.EXPIRED
    assert await world.told(BRIAN) == ["prompt_failed"]
    asked = len(world.rail.queries)
    await _sweep(world, 26 * 60, every=10)
    assert 3 <= len(world.rail.queries) - asked <= 5, "ever more rarely"
    assert await world.told(BRIAN) == ["prompt_failed"]
    assert (
        await world.value("SELECT next_query_at FROM payment_attempts WHERE id = $1", attempt.id)
        is None
    )


async def test_a_prompt_whose_answer_was_lost_expires_and_frees_the_phone(world: World) -> None:
    world.rail.prompt_answers = [UNREACHABLE]
    deal = await world.deal()
    attempt = await world.prompt(deal)
    await _sweep(world, 12)
    assert (await world.attempt(attempt)).state is AttemptState.EXPIRED
    assert world.rail.queries == [], "there is no id to ask for"
    assert (await world.prompt(deal)).id != attempt.id


async def test_a_sweep_whose_question_fails_goes_on_with_the_next_and_comes_back(
    world: World,
) -> None:
    first, second = await world.deal(), await world.deal()
    one, two = await world.prompt(first), await world.prompt(second, OTIENO)

    async def broken(checkout: str) -> None:
        if checkout == one.checkout_request_id:
            raise RuntimeError("a bug")

    world.rail.on_query = broken
    world.rail.query_answer = PAID
    world.clock.tick(minutes=2)
    assert await world.confirmations.look_due() == (2, 1)
    assert await world.status_of(second) == "HELD"
    assert (await world.attempt(two)).state is AttemptState.PAID
    world.rail.on_query = None
    await _sweep(world, 2)
    assert await world.status_of(first) == "HELD"


async def test_two_sweeps_at_once_ask_about_each_prompt_once(world: World) -> None:
    for buyer in (BRIAN, OTIENO):
        await world.prompt(await world.deal(), buyer)
    world.clock.tick(minutes=2)
    looked = await asyncio.gather(*(world.confirmations.look_due() for _ in range(5)))
    assert sum(count for count, _ in looked) == 2
    assert len(set(world.rail.queries)) == len(world.rail.queries) == 2


# -- payments by hand ----------------------------------------------------------------------------


async def test_a_payment_by_hand_with_the_code_is_credited_after_transaction_status(
    world: World,
) -> None:
    world.rail.can_ask_status = True
    deal = await world.deal(LARGE, buyer=BRIAN)
    reference = new_reference()
    assert await world.paybill(deal.id, deal.due, reference) == "waiting"
    assert await world.status_of(deal) == "PENDING"
    (question,) = world.rail.asked
    assert question.reference == reference
    assert await world.status(question.token, reference, deal.due) == "funded"
    assert [row["evidence"] for row in await world.receipts()] == ["status"]


@pytest.mark.parametrize("typed", ["{0}", "{0} ", "  es {1}", "{1}", "ES-{1}"])
async def test_a_code_is_understood_as_people_type_it(world: World, typed: str) -> None:
    deal = await world.deal(SMALL, buyer=BRIAN)
    await world.paybill(typed.format(deal.id, deal.id[2:]), deal.due)
    assert await world.status_of(deal) == "HELD"


async def test_a_code_with_one_wrong_digit_finds_the_one_open_deal_it_may_mean(
    world: World,
) -> None:
    deal = await world.deal(SMALL, buyer=BRIAN)
    await world.paybill(near_miss(deal.id), deal.due)
    assert await world.status_of(deal) == "HELD"
    (receipt,) = await world.receipts()
    assert receipt["typed_reference"] == near_miss(deal.id)


async def test_a_mistyped_code_of_a_deal_that_is_not_open_finds_none(world: World) -> None:
    deal = await world.deal(SMALL, buyer=BRIAN)
    await world.escrows.cancel(deal.id, BRIAN)
    await world.paybill(near_miss(deal.id), deal.due)
    assert await world.suspense() == 9_450
    assert await world.wallet() == 0


async def test_a_mistyped_code_that_may_mean_two_open_deals_finds_none(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await world.deal(SMALL, buyer=BRIAN), await world.deal(SMALL, buyer=OTIENO)
    monkeypatch.setattr("escrow.domain.codes.near_codes", lambda typed: (first.id, second.id))
    await world.paybill("ES0000000001", kes(9_450))
    assert await world.suspense() == 9_450


@pytest.mark.parametrize("typed", ["", "rent", "ES12", "1008257624", "ES00000000000000"])
async def test_a_reference_that_means_no_deal_waits_in_suspense(world: World, typed: str) -> None:
    await world.paybill(typed, kes(50))
    assert await world.suspense() == 50
    said = await world.notice(ADMIN, "suspense")
    assert (said["typed"], said["why"]) == (typed, "no_deal")


async def test_without_keys_a_small_payment_by_hand_is_credited_with_a_note(world: World) -> None:
    deal = await world.deal(SMALL, buyer=BRIAN)
    await world.paybill(deal.id, deal.due)
    assert await world.status_of(deal) == "HELD"
    assert [row["evidence"] for row in await world.receipts()] == ["limit"]
    assert await world.told(ADMIN) == ["credited_unconfirmed"]


async def test_without_keys_a_large_payment_by_hand_waits_unposted_for_an_admin(
    world: World,
) -> None:
    deal = await world.deal(LARGE, buyer=BRIAN)
    reference = new_reference()
    await world.paybill(deal.id, deal.due, reference, shown=masked(PHONES[BRIAN]))
    await _sweep(world, 60)
    assert await world.receipt_states() == {reference: "WAITING"}
    assert await world.value("SELECT count(*) FROM ledger_entries") == 0
    for admin in ADMINS:
        assert await world.told(admin) == ["confirm_receipt"]


async def test_without_confirmation_a_payment_by_hand_is_credited_at_once_without_limit(
    world: World,
) -> None:
    deal = await world.deal(LARGE, buyer=BRIAN)
    assert await world.configured(confirm=False).paybill(deal.id, deal.due) == "funded"
    assert [row["evidence"] for row in await world.receipts()] == ["unchecked"]


@pytest.mark.parametrize("word", ["Cancelled", "Declined", "Expired", "Failed", "Reversed"])
async def test_a_receipt_that_mpesa_denies_is_never_posted_and_the_admins_see_why(
    world: World, word: str
) -> None:
    world.rail.can_ask_status = True
    deal = await world.deal(SMALL, buyer=BRIAN)
    reference = new_reference()
    await world.paybill(deal.id, deal.due, reference)
    await world.status(world.rail.asked[0].token, reference, deal.due, word=word)
    assert await world.receipt_states() == {reference: "IGNORED"}
    assert await world.status_of(deal) == "PENDING"
    assert (await world.notice(ADMIN, "receipt_denied"))["why"] == "not_completed"


async def test_a_receipt_of_another_shortcode_is_never_posted(world: World) -> None:
    world.rail.can_ask_status = True
    deal = await world.deal(SMALL, buyer=BRIAN)
    for party in ("600999 - Somebody", f"{SHORTCODE}0 - A longer one"):
        reference = new_reference()
        await world.paybill(deal.id, deal.due, reference)
        question = world.rail.asked[-1]
        await world.status(question.token, reference, deal.due, party=party)
        assert (await world.receipt_states())[reference] == "IGNORED", party
    assert await world.status_of(deal) == "PENDING"
    whys = await world.sql("SELECT params ->> 'why' AS why FROM outbox WHERE chat_id = $1", ADMIN)
    assert [row["why"] for row in whys] == ["not_ours", "not_ours"]


async def test_an_answer_about_another_receipt_changes_nothing(world: World) -> None:
    world.rail.can_ask_status = True
    deal = await world.deal(SMALL, buyer=BRIAN)
    reference = new_reference()
    await world.paybill(deal.id, deal.due, reference)
    token = world.rail.asked[0].token
    assert await world.status(token, new_reference(), deal.due) == "other_receipt"
    assert await world.receipt_states() == {reference: "WAITING"}
    assert await world.status(token, reference, deal.due) == "funded"


async def test_the_amount_that_transaction_status_confirms_is_what_counts(world: World) -> None:
    world.rail.can_ask_status = True
    deal = await world.deal(SMALL, buyer=BRIAN)
    reference = new_reference()
    await world.paybill(deal.id, kes(9_450), reference)
    await world.status(world.rail.asked[0].token, reference, kes(9_500))
    assert await world.accounts(deal) == (0, 9_000, 450)
    assert await world.wallet() == 50
    assert [row["amount_minor"] for row in await world.receipts()] == [950_000]


async def test_a_question_that_failed_says_nothing_and_is_asked_again_then_a_person_is(
    world: World,
) -> None:
    world.rail.can_ask_status = True
    deal = await world.deal(SMALL, buyer=BRIAN)
    reference = new_reference()
    await world.paybill(deal.id, deal.due, reference)
    word = await world.status(world.rail.asked[0].token, reference, deal.due, code=1)
    assert word == "unknown"
    assert await world.receipt_states() == {reference: "WAITING"}
    await _sweep(world, 60)
    assert len(world.rail.asked) == 4, "three more times, then nobody asks any more"
    assert await world.told(ADMIN) == ["confirm_receipt"]
    assert await world.status(world.rail.asked[-1].token, reference, deal.due) == "funded"


async def test_a_refused_api_user_is_not_tried_again_and_the_admins_hear_why(
    world: World,
) -> None:
    """A few more tries would lock it."""
    world.rail.can_ask_status = True
    deal, other = await world.deal(LARGE, buyer=BRIAN), await world.deal(LARGE, buyer=OTIENO)
    reference = new_reference()
    await world.paybill(deal.id, deal.due, reference)
    await world.status(world.rail.asked[0].token, reference, deal.due, code=2001)
    await world.paybill(other.id, other.due)
    await _sweep(world, 60)
    assert len(world.rail.asked) == 1
    whys = await world.sql(
        "SELECT params ->> 'why' AS why FROM outbox WHERE chat_id = $1 AND escrow_id = $2",
        ADMIN,
        deal.id,
    )
    assert "status_refused" in [row["why"] for row in whys]
    assert {row["state"] for row in await world.receipts()} == {"WAITING"}


async def test_an_answer_to_a_question_that_nobody_asked_changes_nothing(world: World) -> None:
    assert await world.status("a" * 32, new_reference(), kes(5)) == "unknown_token"
    assert await world.receipts() == []


async def test_an_answer_that_comes_twice_is_one_credit(world: World) -> None:
    world.rail.can_ask_status = True
    deal = await world.deal(SMALL, buyer=BRIAN)
    reference = new_reference()
    await world.paybill(deal.id, deal.due, reference)
    token = world.rail.asked[0].token
    await world.status(token, reference, deal.due)
    assert await world.status(token, reference, deal.due, party=f"{SHORTCODE} - Other") == "late"
    assert await world.accounts(deal) == (0, 9_000, 450)


async def test_a_confirmation_that_comes_twice_while_it_waits_is_one_receipt(
    world: World,
) -> None:
    world.rail.can_ask_status = True
    deal = await world.deal(SMALL, buyer=BRIAN)
    reference = new_reference()
    await world.paybill(deal.id, deal.due, reference)
    await world.paybill(deal.id, deal.due, reference, balance="17.00")
    assert len(await world.receipts()) == 1
    for question in world.rail.asked:
        await world.status(question.token, reference, deal.due)
    assert await world.accounts(deal) == (0, 9_000, 450)


# -- an admin decides ----------------------------------------------------------------------------


async def _waiting(world: World) -> tuple[object, int]:
    deal = await world.deal(LARGE, buyer=BRIAN)
    await world.paybill(deal.id, deal.due)
    return deal, (await world.receipts())[-1]["id"]


async def test_an_admin_credits_a_waiting_receipt(world: World) -> None:
    deal, row = await _waiting(world)
    after = await world.confirmations.confirm_receipt(row, ADMIN, ours=True)
    assert str(after.state) == "CREDITED"
    assert str(after.evidence) == "admin"
    assert await world.accounts(deal) == (0, 10_000, 500)
    assert "receipt_confirmed" in await world.events(deal)


async def test_an_admin_says_that_a_receipt_is_not_ours(world: World) -> None:
    deal, row = await _waiting(world)
    after = await world.confirmations.confirm_receipt(row, ADMIN, ours=False)
    assert str(after.state) == "IGNORED"
    assert await world.status_of(deal) == "PENDING"
    assert await world.value("SELECT count(*) FROM ledger_entries") == 0
    assert "receipt_refused" in await world.events(deal)


@pytest.mark.parametrize("ours", [True, False])
async def test_an_admin_who_is_a_party_decides_nothing(world: World, ours: bool) -> None:
    deal, row = await _waiting(world)
    for party in (BRIAN, JANE):
        with pytest.raises(NotAllowed):
            await world.confirmations.confirm_receipt(row, party, ours=ours)
    assert await world.status_of(deal) == "PENDING"


async def test_an_admin_who_paid_it_himself_decides_nothing_though_he_is_no_party_yet(
    world: World,
) -> None:
    world.rail.query_answer = UNREACHABLE
    prompted, reserved = await world.deal(LARGE), await world.deal(LARGE)
    await world.callback(await world.prompt(prompted, ADMIN), new_reference())
    await world.prompts.reserve(reserved.id, ADMIN)
    await world.paybill(reserved.id, reserved.due)
    rows = [row["id"] for row in await world.receipts()]
    for row in rows:
        with pytest.raises(NotAllowed):
            await world.confirmations.confirm_receipt(row, ADMIN, ours=True)
        await world.confirmations.confirm_receipt(row, SECOND_ADMIN, ours=True)
    assert await world.status_of(prompted) == "HELD"
    assert await world.status_of(reserved) == "HELD"


async def test_a_receipt_is_decided_once(world: World) -> None:
    deal, row = await _waiting(world)
    await world.confirmations.confirm_receipt(row, ADMIN, ours=True)
    before = await world.snapshot()
    for ours in (True, False):
        with pytest.raises(EscrowMoved):
            await world.confirmations.confirm_receipt(row, SECOND_ADMIN, ours=ours)
    assert await world.snapshot() == before
    with pytest.raises(NotFound):
        await world.confirmations.confirm_receipt(row + 1, ADMIN, ours=True)
    assert await world.status_of(deal) == "HELD"


async def test_two_admins_at_once_opposite_ways_are_one_decision_and_the_loser_is_told(
    world: World,
) -> None:
    for _ in range(10):
        deal, row = await _waiting(world)
        results = await asyncio.gather(
            world.confirmations.confirm_receipt(row, ADMIN, ours=True),
            world.confirmations.confirm_receipt(row, SECOND_ADMIN, ours=False),
            return_exceptions=True,
        )
        lost = [result for result in results if isinstance(result, EscrowMoved)]
        assert len(lost) == 1, results
        credited = not isinstance(results[0], EscrowMoved)
        assert await world.status_of(deal) == ("HELD" if credited else "PENDING")
        words = {"receipt_confirmed", "receipt_refused"} & set(await world.events(deal))
        assert words == {"receipt_confirmed" if credited else "receipt_refused"}
