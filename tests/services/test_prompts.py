"""Asking a phone for money: committed before it is sent, once per cause, never a flood."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from escrow.domain.errors import ChoiceRefused, DatabaseDown, LimitReached, NotAllowed, NotFound
from escrow.domain.model import AttemptState
from escrow.domain.money import Currency
from escrow.services.choice_tokens import Action
from escrow.services.ports import Answer, Verdict
from tests.rail import CANCELLED, UNREACHABLE, checkout_id
from tests.world import BRIAN, JANE, OTIENO, PHONES, World, kes, usd

BUSY = Answer(Verdict.DECLINED, "500.003.02", "mpesa_busy", retry=True)


# -- before and after the request leaves ---------------------------------------------------------


async def test_the_attempt_is_committed_before_the_request_leaves(world: World) -> None:
    deal = await world.deal()
    seen: list[tuple[str, str | None]] = []

    async def look(token: str) -> None:
        async with world.db.reading() as conn:  # another connection sees only what is committed
            row = await conn.fetchrow("SELECT * FROM payment_attempts WHERE token = $1", token)
        seen.append((row["state"], row["checkout_request_id"]))

    world.rail.on_prompt = look
    started = await world.start(deal)
    assert seen == [("CREATED", None)]
    assert started.attempt.state is AttemptState.PROMPTED
    assert started.attempt.checkout_request_id == checkout_id(started.attempt.token)
    assert world.rail.prompts == [
        {"phone": PHONES[BRIAN], "amount": kes(10_500), "reference": deal.id}
    ]


async def test_no_connection_is_held_while_mpesa_is_asked(world: World) -> None:
    deal = await world.deal()
    idle: list[int] = []

    async def look(token: str) -> None:
        idle.append(world.db.pool.get_size() - world.db.pool.get_idle_size())

    world.rail.on_prompt = look
    await world.prompt(deal)
    assert idle == [0]


async def test_the_path_token_is_new_for_every_attempt_and_long_enough(world: World) -> None:
    deal = await world.deal()
    tokens = set()
    for _ in range(3):
        attempt = await world.prompt(deal)
        await world.callback(attempt, code=1032)
        tokens.add(attempt.token)
        world.clock.tick(minutes=3)
    assert len(tokens) == 3
    assert all(len(token) == 32 for token in tokens), "128 bits"


async def test_a_repeated_cause_prompts_once_and_answers_with_the_first_attempt(
    world: World,
) -> None:
    deal = await world.deal()
    first = await world.prompts.start(deal.id, BRIAN, "update:17")
    again = await world.prompts.start(deal.id, BRIAN, "update:17")
    assert again.repeated
    assert not first.repeated
    assert again.attempt.id == first.attempt.id
    assert len(world.rail.prompts) == 1


async def test_ten_taps_at_once_prompt_once(world: World) -> None:
    deal = await world.deal()
    results = await asyncio.gather(
        *(world.prompts.start(deal.id, BRIAN, f"update:{n % 2}") for n in range(10)),
        return_exceptions=True,
    )
    refused = [result for result in results if isinstance(result, LimitReached)]
    assert len(world.rail.prompts) == 1
    assert len(refused) == 5, "one cause is the first, the other meets its open prompt"
    assert {error.reason for error in refused} == {"prompt_open"}


async def test_a_definite_no_closes_the_attempt_and_frees_the_phone(world: World) -> None:
    world.rail.prompt_answers = [BUSY]
    deal = await world.deal()
    started = await world.start(deal)
    assert started.answer == BUSY
    assert (await world.attempt(started.attempt)).state is AttemptState.DECLINED
    assert (await world.prompt(deal)).state is AttemptState.PROMPTED, "nothing was asked before"


async def test_a_lost_answer_leaves_the_attempt_open_and_is_never_sent_again(
    world: World,
) -> None:
    world.rail.prompt_answers = [UNREACHABLE]
    deal = await world.deal()
    started = await world.prompts.start(deal.id, BRIAN, "update:17")
    assert started.answer is UNREACHABLE
    assert (await world.attempt(started.attempt)).state is AttemptState.CREATED
    await world.prompts.start(deal.id, BRIAN, "update:17")
    with pytest.raises(LimitReached):
        await world.prompts.start(deal.id, BRIAN, "update:18")
    assert len(world.rail.prompts) == 1


async def test_a_rail_that_fails_leaves_a_committed_attempt_that_a_callback_finds(
    world: World,
) -> None:
    async def down(token: str) -> None:
        raise DatabaseDown

    world.rail.on_prompt = down
    deal = await world.deal()
    with pytest.raises(DatabaseDown):
        await world.prompt(deal)
    (row,) = await world.sql("SELECT state FROM payment_attempts")
    assert row["state"] == "CREATED"


async def test_the_chat_message_of_an_attempt_is_remembered(world: World) -> None:
    attempt = await world.prompt(await world.deal())
    await world.prompts.remember_message(attempt.id, 77)
    assert (await world.attempt(attempt)).chat_message_id == 77


# -- who may pay, and how much -------------------------------------------------------------------


async def test_only_the_missing_amount_is_asked_for(world: World) -> None:
    deal = await world.deal()
    await world.pay(deal, 9_800)
    assert (await world.prompt(deal)).amount == kes(700)


async def test_a_prompt_asks_for_whole_shillings_and_the_rest_comes_back(world: World) -> None:
    deal = await world.deal()
    await world.pay(deal, "9799.50")
    assert (await world.prompt(deal)).amount == kes(701)


async def test_a_wallet_part_of_cents_is_rounded_so_that_mpesa_moves_shillings(
    world: World,
) -> None:
    await world.give(BRIAN, kes("999.50"))
    attempt = await world.prompt(await world.deal(), use_wallet=True)
    assert (attempt.amount, attempt.wallet_part) == (kes(9_501), kes("999.50"))


async def test_the_own_deal_is_refused_by_id(world: World) -> None:
    deal = await world.deal()
    for call in (
        world.prompt(deal, JANE),
        world.prompts.reserve(deal.id, JANE),
        world.prompts.pay_from_wallet(deal.id, JANE, "update:1"),
    ):
        with pytest.raises(NotAllowed) as refused:
            await call
        assert refused.value.reason == "own_deal"


async def test_the_own_deal_is_refused_by_the_sellers_number(world: World) -> None:
    await world.person(3_003, "Jane's other account", PHONES[JANE])
    deal = await world.deal()
    with pytest.raises(NotAllowed) as refused:
        await world.prompt(deal, 3_003)
    assert refused.value.reason == "own_deal"
    assert world.rail.prompts == []


async def test_somebody_elses_deal_is_no_deal(world: World) -> None:
    deal = await world.deal(buyer=BRIAN)
    with pytest.raises(NotFound):
        await world.prompt(deal, OTIENO)
    with pytest.raises(NotFound):
        await world.prompts.reserve("no code", OTIENO)


async def test_a_deal_that_cant_be_paid_prompts_nobody(world: World) -> None:
    funded, cancelled = await world.deal(), await world.deal(buyer=BRIAN)
    await world.pay(funded, 10_500)
    await world.escrows.cancel(cancelled.id, BRIAN)
    waiting = await world.deal(buyer=BRIAN)
    await world.suspend()
    for deal in (funded, cancelled, waiting):
        with pytest.raises(NotAllowed) as refused:
            await world.prompt(deal)
        assert refused.value.reason == "not_payable"
    assert world.rail.prompts == []


async def test_mpesa_asks_for_shillings_only(world: World) -> None:
    with pytest.raises(LimitReached) as refused:
        await world.prompt(await world.usd_deal())
    assert refused.value.reason == "no_mpesa_for_currency"


async def test_without_a_number_nobody_is_prompted(world: World) -> None:
    await world.person(3_003, "Wanjiku")
    with pytest.raises(NotFound) as refused:
        await world.prompt(await world.deal(), 3_003)
    assert refused.value.reason == "no_phone"


async def test_a_prompt_for_a_choice_that_is_over_or_replaced_is_refused(world: World) -> None:
    deal = await world.deal()
    await world.pay(deal, 9_700)
    first = (await world.press(deal, Action.COMPLETE)).choice.id
    await world.pay(deal, 100)
    second = (await world.press(deal, Action.COMPLETE)).choice.id
    for choice_id, minutes in ((first, 0), (second, 10)):
        world.clock.tick(minutes=minutes)
        with pytest.raises(ChoiceRefused):
            await world.prompt(deal, choice_id=choice_id)
        with pytest.raises(ChoiceRefused):
            await world.prompts.pay_from_wallet(deal.id, BRIAN, "update:1", choice_id=choice_id)
    assert world.rail.prompts == []


# -- one at a time, and not too many -------------------------------------------------------------


async def test_one_open_prompt_per_deal(world: World) -> None:
    deal = await world.deal()
    await world.prompt(deal)
    for minutes in (0, 3):
        world.clock.tick(minutes=minutes)
        with pytest.raises(LimitReached) as refused:
            await world.prompt(deal)
        assert refused.value.reason == "prompt_open"


async def test_one_open_prompt_per_phone(world: World) -> None:
    await world.person(3_003, "Brian's other account", PHONES[BRIAN])
    await world.prompt(await world.deal())
    with pytest.raises(LimitReached) as refused:
        await world.prompt(await world.deal(5_000), 3_003)
    assert refused.value.reason == "prompt_open"


async def test_the_same_amount_to_the_same_phone_only_after_two_minutes(world: World) -> None:
    deal = await world.deal()
    await world.callback(await world.prompt(deal), code=1032)
    for seconds in (0, 119):
        world.clock.tick(seconds=seconds)
        with pytest.raises(LimitReached) as refused:
            await world.prompt(deal)
        assert refused.value.reason == "same_amount_too_soon"
        assert refused.value.values["seconds"] in (121, 2)
    world.clock.tick(seconds=1)
    await world.prompt(deal)


async def test_another_amount_may_be_asked_for_at_once(world: World) -> None:
    await world.callback(await world.prompt(await world.deal(9_000)), code=1032)
    await world.prompt(await world.deal(10_000))


async def test_a_person_is_prompted_at_most_ten_times_an_hour(world: World) -> None:
    start = world.clock.now()
    for number in range(world.terms.prompts_per_user_hour):
        attempt = await world.prompt(await world.deal(1_000 + number))
        await world.callback(attempt, code=1032)
        world.clock.tick(minutes=3)
    with pytest.raises(LimitReached) as refused:
        await world.prompt(await world.deal(5_000))
    assert refused.value.reason == "too_many_prompts"
    world.clock.at = start + timedelta(hours=1)
    await world.prompt(await world.deal(5_000))


async def test_a_number_that_nobody_vouches_for_is_prompted_at_most_three_times_an_hour(
    world: World,
) -> None:
    victim = "254799999999"
    for number in range(3):
        await world.person(3_100 + number, "Prankster", victim, is_contact=False)
        attempt = await world.prompt(await world.deal(1_000 + number), 3_100 + number)
        await world.callback(attempt, code=1032)
    await world.person(3_200, "Prankster", victim, is_contact=False)
    with pytest.raises(LimitReached) as refused:
        await world.prompt(await world.deal(5_000), 3_200)
    assert refused.value.reason == "too_many_prompts_to_number"
    await world.person(3_300, "The owner", victim)
    await world.prompt(await world.deal(6_000), 3_300)


async def test_the_caps_live_in_the_database_and_outlive_a_restart(world: World) -> None:
    deal = await world.deal()
    await world.callback(await world.prompt(deal), code=1032)
    async with world.restarted() as after:
        with pytest.raises(LimitReached):
            await after.prompt(deal)


# -- reservations --------------------------------------------------------------------------------


async def test_a_prompt_reserves_the_deal_and_others_are_refused_until_it_ends(
    world: World,
) -> None:
    deal = await world.deal()
    await world.callback(await world.prompt(deal), code=1032)
    for call in (
        world.prompt(deal, OTIENO),
        world.prompts.reserve(deal.id, OTIENO),
        world.prompts.pay_from_wallet(deal.id, OTIENO, "update:1"),
    ):
        with pytest.raises((NotAllowed, LimitReached)) as refused:
            await call
        assert refused.value.reason in ("reserved", "wallet_short")
    world.clock.tick(minutes=30)
    await world.prompts.reserve(deal.id, OTIENO)


async def test_a_reservation_binds_nobody(world: World) -> None:
    deal = await world.deal()
    await world.prompts.reserve(deal.id, BRIAN)
    assert (await world.escrow(deal.id)).buyer_telegram_id is None
    assert await world.events(deal) == ["open"]


async def test_a_person_reserves_a_deal_twice_and_not_more(world: World) -> None:
    deal = await world.deal()
    for _ in range(2):
        await world.prompts.reserve(deal.id, BRIAN)
        world.clock.tick(minutes=30)
    with pytest.raises(LimitReached) as refused:
        await world.prompts.reserve(deal.id, BRIAN)
    assert refused.value.reason == "too_many_reservations"
    await world.prompts.reserve(deal.id, OTIENO)


async def test_a_person_cant_hold_a_deal_without_money_for_more_than_two_half_hours(
    world: World,
) -> None:
    deal = await world.deal()
    held = 0
    for _ in range(120):
        try:
            await world.prompts.reserve(deal.id, BRIAN)
        except LimitReached:
            break
        world.clock.tick(minutes=1)
        held += 1
    assert held <= 60, "reserving again and again prolongs nothing"
    await world.prompts.reserve(deal.id, OTIENO)


async def test_two_buyers_at_once_reserve_a_deal_once(world: World) -> None:
    for _ in range(10):
        deal = await world.deal()
        results = await asyncio.gather(
            world.prompts.reserve(deal.id, BRIAN),
            world.prompts.reserve(deal.id, OTIENO),
            return_exceptions=True,
        )
        assert sum(isinstance(result, NotAllowed) for result in results) == 1


async def test_a_refused_prompt_counts_as_no_reservation(world: World) -> None:
    await world.prompt(await world.deal(9_000))
    deal = await world.deal()
    for _ in range(3):
        with pytest.raises(LimitReached):
            await world.prompt(deal)
    assert await world.value("SELECT count(*) FROM reservations WHERE escrow_id = $1", deal.id) == 0


async def test_a_deal_with_a_buyer_needs_no_reservation(world: World) -> None:
    deal = await world.deal(buyer=BRIAN)
    await world.prompts.reserve(deal.id, BRIAN)
    assert await world.value("SELECT count(*) FROM reservations") == 0


# -- from the wallet -----------------------------------------------------------------------------


async def test_the_wallet_pays_dollars_and_the_prompts_choice_is_closed_with_it(
    world: World,
) -> None:
    await world.give(BRIAN, usd(50))
    deal = await world.usd_deal()
    await world.pay(deal, 98)
    await world.prompts.pay_from_wallet(deal.id, BRIAN, "update:1")
    assert await world.accounts(deal) == (0, 100, 5)
    assert await world.wallet(BRIAN, Currency.USD) == 43
    world.clock.tick(minutes=10)
    assert await world.choices.expire() == (0, 0)


async def test_a_prompt_left_open_beside_the_wallet_brings_late_money_not_a_second_funding(
    world: World,
) -> None:
    deal = await world.deal()
    attempt = await world.prompt(deal)
    await world.give(BRIAN, kes(10_500))
    await world.prompts.pay_from_wallet(deal.id, BRIAN, "update:1")
    await world.callback(attempt, code=CANCELLED.code)
    assert await world.accounts(deal) == (0, 10_000, 500)
    assert await world.wallet() == 0
