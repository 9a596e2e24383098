"""Where money goes that the seed's scenarios don't know: late, foreign, unowned, twice, at once."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from escrow.domain.errors import LimitReached, NotAllowed, NotFound
from escrow.domain.model import Channel, Evidence, PaymentOutcome, Receipt
from escrow.domain.money import Currency
from escrow.services.choice_tokens import Action
from escrow.services.trace import mask_receipt
from tests.rail import PAID, masked
from tests.world import ADMIN, ADMINS, BRIAN, JANE, OTIENO, PHONES, World, kes, new_reference

STATUS = Evidence.STATUS


# -- money that its deal can't take --------------------------------------------------------------


async def _held(world: World) -> Any:
    deal = await world.deal()
    await world.pay(deal, 10_500)
    return deal


async def _declined(world: World) -> Any:
    deal = await _held(world)
    await world.escrows.decline(deal.id, JANE)
    return deal


async def _cancelled(world: World) -> Any:
    deal = await world.deal(buyer=BRIAN)
    await world.escrows.cancel(deal.id, BRIAN)
    return deal


async def _suspended(world: World) -> Any:
    deal = await world.deal(buyer=BRIAN)
    await world.suspend()
    return deal


@pytest.mark.parametrize(
    ("made", "status"),
    [
        (_held, "HELD"),
        (_declined, "REFUNDED"),
        (_cancelled, "CANCELLED"),
        (_suspended, "PENDING"),
    ],
    ids=["funded", "refunded", "cancelled", "seller suspended"],
)
async def test_money_by_hand_for_a_deal_that_cant_take_it_goes_to_its_buyers_wallet(
    world: World, made: Any, status: str
) -> None:
    deal = await made(world)
    accounts, before = await world.accounts(deal), await world.wallet()
    result = await world.funds.process_escrow_payment(world.by_hand(deal, kes(10_500)), STATUS)
    assert result.outcome is PaymentOutcome.TO_WALLET
    assert str(result.status) == status
    assert await world.status_of(deal) == status, "it never reopens a deal"
    assert await world.accounts(deal) == accounts
    assert await world.wallet() == before + 10_500
    assert (await world.notice(BRIAN, "late_money"))["status"] == status
    assert (await world.events(deal))[-1] == "late_payment"


@pytest.mark.parametrize("status", ["SHIPPED", "DELIVERED", "DISPUTED", "FROZEN", "COMPLETED"])
async def test_late_money_goes_to_the_wallet_in_every_later_status(
    world: World, status: str
) -> None:
    deal = await _held(world)
    await _walk(world, deal.id, status)
    result = await world.funds.process_escrow_payment(world.by_hand(deal, kes(300)), STATUS)
    assert result.outcome is PaymentOutcome.TO_WALLET
    assert await world.status_of(deal) == status
    assert await world.wallet() == 300


async def _walk(world: World, code: str, status: str) -> None:
    """Takes a held deal to that status."""
    if status == "DISPUTED":
        await world.escrows.dispute(code, BRIAN, "It never came", f"test:{code}")
        return
    steps = {
        "SHIPPED": ["ship"],
        "DELIVERED": ["deliver"],
        "FROZEN": ["freeze"],
        "COMPLETED": ["deliver", "release"],
    }
    events = {
        "ship": ("SHIPPED", f"seller:{JANE}", "shipped_at"),
        "deliver": ("DELIVERED", f"buyer:{BRIAN}", "delivered_at"),
        "freeze": ("FROZEN", f"admin:{ADMIN}", "frozen_at"),
        "release": ("COMPLETED", f"buyer:{BRIAN}", "completed_at"),
    }
    async with world.db.unit() as conn:
        for event in steps[status]:
            target, actor, stamp = events[event]
            frozen = ", frozen_from = status" if event == "freeze" else ""
            if event == "release":
                await conn.execute(
                    "INSERT INTO settlements VALUES ($1, 'release', 1000000, 0, 50000, now())",
                    code,
                )
                await conn.execute(
                    "SELECT ledger_post($1)",
                    [
                        {
                            "kind": "release",
                            "key": f"settlement:{code}",
                            "hash": "x",
                            "currency": "KES",
                            "at": world.clock.now(),
                            "escrow": code,
                            "entries": [
                                ["holding", code, -1_000_000],
                                ["pending_fee", code, -50_000],
                                ["wallet", str(JANE), 1_000_000],
                                ["fees", "", 50_000],
                            ],
                        }
                    ],
                )
            if event == "dispute":
                await conn.execute(
                    "INSERT INTO escrow_disputes (escrow_id, raised_by, raised_role, disputed_from,"
                    " reason, opened_at, answer_by) VALUES ($1, $2, 'buyer', 'HELD', 'x', $3, $3)",
                    code,
                    BRIAN,
                    world.clock.now(),
                )
            await conn.execute(
                f"UPDATE escrow_transactions SET status = $2, {stamp} = $4, updated_at = $4,"  # noqa: S608
                f" last_event = $5, last_actor = $3, last_data = '{{}}'{frozen} WHERE id = $1",
                code,
                target,
                actor,
                world.clock.now(),
                event,
            )


async def test_a_prompt_paid_after_the_deal_was_cancelled_goes_to_the_payers_wallet(
    world: World,
) -> None:
    deal = await world.deal()
    attempt = await world.prompt(deal, OTIENO)
    await world.escrows.cancel(deal.id, JANE)
    world.rail.query_answer = PAID
    assert await world.callback(attempt, new_reference()) == "to_wallet"
    assert await world.wallet(OTIENO) == 10_500, "he isn't the deal's buyer, but it is his money"


async def test_a_prompt_of_somebody_who_is_not_the_buyer_goes_to_his_own_wallet(
    world: World,
) -> None:
    deal = await world.deal()
    attempt = await world.prompt(deal, OTIENO)
    await world.join(deal.id, BRIAN)
    world.rail.query_answer = PAID
    assert await world.callback(attempt, new_reference()) == "to_wallet"
    assert await world.wallet(OTIENO) == 10_500
    assert await world.accounts(deal) == (0, 0, 0)
    assert await world.status_of(deal) == "PENDING"


async def test_undecided_money_stays_when_late_money_of_another_person_comes(
    world: World,
) -> None:
    deal = await world.deal()
    attempt = await world.prompt(deal, OTIENO)
    world.clock.tick(minutes=31)
    assert (await world.pay(deal, 9_800)).outcome is PaymentOutcome.CHOICE
    world.rail.query_answer = PAID
    await world.callback(attempt, new_reference())
    assert await world.accounts(deal) == (9_800, 0, 0)
    assert await world.wallet(OTIENO) == 10_500


async def test_money_for_a_deal_of_an_unverified_seller_waits_in_suspense(world: World) -> None:
    await world.person(2002, "Mary", "254711222333")
    await world.people.register_seller(2002, "Mary Shop", "254711222333")
    deal = await world.deal(seller=2002)
    result = await world.funds.process_escrow_payment(world.by_hand(deal, kes(10_500)), STATUS)
    assert result.outcome is PaymentOutcome.SUSPENSE
    assert await world.suspense() == 10_500


# -- money without an owner ----------------------------------------------------------------------


async def test_money_for_no_deal_waits_in_suspense_and_every_admin_hears_of_it(
    world: World,
) -> None:
    receipt = world.by_hand(None, kes(700))
    result = await world.funds.process_escrow_payment(receipt, STATUS)
    assert result.outcome is PaymentOutcome.SUSPENSE
    assert result.escrow_id is None
    assert await world.suspense() == 700
    assert [await world.told(admin) for admin in ADMINS] == [["suspense"], ["suspense"]]
    assert (await world.notice(ADMIN, "suspense"))["why"] == "no_deal"
    assert await world.receipt_states() == {receipt.reference: "SUSPENSE"}


async def test_a_code_that_was_never_given_out_is_no_deal(world: World) -> None:
    result = await world.funds.process_escrow_payment(
        world.by_hand("ES1008257624", kes(700)), STATUS
    )
    assert result.outcome is PaymentOutcome.SUSPENSE
    assert await world.suspense() == 700


async def test_money_by_hand_without_a_buyer_waits_and_the_seller_is_not_told_to_ship(
    world: World,
) -> None:
    deal = await world.deal()
    result = await world.funds.process_escrow_payment(world.by_hand(deal, kes(10_500)), STATUS)
    assert result.outcome is PaymentOutcome.SUSPENSE
    assert await world.suspense() == 10_500
    assert await world.told(JANE) == []
    assert (await world.notice(ADMIN, "suspense"))["why"] == "no_buyer"
    assert await world.events(deal) == ["open", "payment_in_suspense"]


async def test_money_by_hand_of_the_reserver_is_his_and_makes_him_the_buyer(world: World) -> None:
    deal = await world.deal()
    await world.prompts.reserve(deal.id, BRIAN)
    receipt = world.by_hand(deal, kes(10_500), shown=masked(PHONES[BRIAN]))
    result = await world.funds.process_escrow_payment(receipt, STATUS)
    assert result.outcome is PaymentOutcome.FUNDED
    assert (await world.escrow(deal.id)).buyer_telegram_id == BRIAN
    assert await world.events(deal) == ["open", "join", "fund"]


async def test_the_reservation_counts_until_its_last_second(world: World) -> None:
    late, in_time = await world.deal(), await world.deal()
    for deal in (late, in_time):
        await world.prompts.reserve(deal.id, BRIAN)
    end = world.clock.now() + world.terms.reservation
    one_late = world.by_hand(late, kes(10_500), at=end + timedelta(seconds=1))
    just_in = world.by_hand(in_time, kes(10_500), at=end)
    world.clock.tick(hours=1)
    outcomes = [
        (await world.funds.process_escrow_payment(receipt, STATUS)).outcome
        for receipt in (one_late, just_in)
    ]
    assert outcomes == [PaymentOutcome.SUSPENSE, PaymentOutcome.FUNDED]


async def test_a_reservation_covers_no_money_from_before_it(world: World) -> None:
    """Else whoever sees a payment that waits for its owner could reserve the deal and take it."""
    deal = await world.deal()
    paid_at = world.clock.now()
    world.clock.tick(minutes=1)
    await world.prompts.reserve(deal.id, OTIENO)
    result = await world.funds.process_escrow_payment(
        world.by_hand(deal, kes(10_500), at=paid_at), STATUS
    )
    assert result.outcome is PaymentOutcome.SUSPENSE
    assert (await world.escrow(deal.id)).buyer_telegram_id is None


@pytest.mark.parametrize("shown", [PHONES[OTIENO], masked(PHONES[OTIENO])], ids=["clear", "masked"])
async def test_a_number_that_contradicts_the_reserver_waits_for_a_claim(
    world: World, shown: str
) -> None:
    deal = await world.deal()
    await world.prompts.reserve(deal.id, BRIAN)
    result = await world.funds.process_escrow_payment(
        world.by_hand(deal, kes(10_500), shown=shown), STATUS
    )
    assert result.outcome is PaymentOutcome.SUSPENSE
    assert (await world.escrow(deal.id)).buyer_telegram_id is None
    assert await world.told(JANE) == []


async def test_another_currency_than_the_deals_waits_in_suspense(world: World) -> None:
    deal = await world.usd_deal(buyer=BRIAN)
    result = await world.funds.process_escrow_payment(world.by_hand(deal, kes(105)), STATUS)
    assert result.outcome is PaymentOutcome.SUSPENSE
    assert await world.suspense(Currency.KES) == 105
    assert await world.accounts(deal) == (0, 0, 0)
    assert (await world.notice(ADMIN, "suspense"))["why"] == "other_currency"


async def test_a_prompt_paid_with_another_amount_waits_in_suspense(world: World) -> None:
    deal = await world.deal()
    attempt = await world.prompt(deal)
    receipt = Receipt(
        "mpesa",
        Channel.STK,
        new_reference(),
        kes(10_499),
        world.clock.now(),
        attempt_id=attempt.id,
        escrow_code=deal.id,
    )
    result = await world.funds.process_escrow_payment(receipt, Evidence.ADMIN)
    assert result.outcome is PaymentOutcome.SUSPENSE
    assert await world.suspense() == 10_499
    assert (await world.notice(ADMIN, "suspense"))["why"] == "other_amount"


# -- several receipts on one deal ----------------------------------------------------------------


async def test_the_decision_is_made_on_the_undecided_money_not_on_receipts(world: World) -> None:
    deal = await world.deal()
    await world.pay(deal, 3_000)
    await world.pay(deal, 3_000)
    result = await world.pay(deal, 9_800)
    assert result.outcome is PaymentOutcome.CHOICE, "6,000 went to the wallet and are decided"
    assert await world.accounts(deal) == (9_800, 0, 0)
    assert await world.wallet() == 6_000


async def test_a_new_receipt_replaces_the_choice_and_keeps_its_end(world: World) -> None:
    deal = await world.deal()
    await world.pay(deal, 9_700)
    old = await world.button(deal, Action.PROCEED)
    end = (await world.notice(BRIAN, "underpaid"))["expires_at"]
    world.clock.tick(minutes=4)
    result = await world.pay(deal, 100)
    assert result.outcome is PaymentOutcome.CHOICE
    assert await world.accounts(deal) == (9_800, 0, 0)
    ends = await world.sql(
        "SELECT params ->> 'expires_at' AS end FROM outbox WHERE kind = 'underpaid' ORDER BY id"
    )
    assert [row["end"] for row in ends] == [end, end]
    assert await world.button(deal, Action.PROCEED) != old


async def test_a_top_up_after_the_window_returns_everything_unless_it_is_enough(
    world: World,
) -> None:
    short, enough = await world.deal(), await world.deal()
    await world.pay(short, 9_700)
    await world.pay(enough, 9_700)
    world.clock.tick(minutes=10)
    assert (await world.pay(short, 100)).outcome is PaymentOutcome.REFUNDED_TO_WALLET
    assert (await world.pay(enough, 800)).outcome is PaymentOutcome.FUNDED
    assert await world.accounts(short) == (0, 0, 0)
    assert await world.wallet() == 9_800
    assert await world.choices.expire() == (0, 0), "neither choice is left open"


async def test_the_wallet_part_is_taken_only_with_the_prompts_own_money(world: World) -> None:
    await world.give(BRIAN, kes(4_000))
    deal = await world.deal()
    attempt = await world.prompt(deal, use_wallet=True)
    assert (attempt.amount, attempt.wallet_part) == (kes(6_500), kes(4_000))
    assert await world.callback(attempt, code=1032) == "declined:1032"
    assert await world.wallet() == 4_000, "a declined prompt moves nothing"


async def test_a_wallet_emptied_meanwhile_gives_what_is_left_and_the_engine_decides_once(
    world: World,
) -> None:
    await world.give(BRIAN, kes(4_000))
    deal, other = await world.deal(), await world.deal(3_000, fee_percent=0)
    attempt = await world.prompt(deal, use_wallet=True)
    await world.prompts.pay_from_wallet(other.id, BRIAN, "update:2")
    world.rail.query_answer = PAID
    await world.callback(attempt, new_reference())
    assert await world.status_of(deal) == "PENDING"
    assert await world.accounts(deal) == (0, 0, 0)
    assert await world.wallet() == 6_500 + 1_000, "7,500 of 10,500 is far too short"
    assert "too_short" in await world.told(BRIAN)


async def test_a_wallet_part_that_is_too_much_by_now_comes_back(world: World) -> None:
    await world.give(BRIAN, kes(4_000))
    deal = await world.deal()
    attempt = await world.prompt(deal, use_wallet=True)
    await world.pay(deal, 9_800)
    world.rail.query_answer = PAID
    await world.callback(attempt, new_reference())
    assert await world.accounts(deal) == (0, 10_000, 500)
    assert await world.wallet() == 9_800 + 6_500 + 4_000 - 10_500


# -- every money function: done, refused, repeated, raced ----------------------------------------


async def test_a_payment_repeated_gets_the_first_answer_and_moves_nothing(world: World) -> None:
    for amount in (10_500, 11_000, 10_300, 9_800, 5_000):
        deal = await world.deal()
        reference = new_reference()
        first = await world.pay(deal, amount, reference=reference)
        before = await world.snapshot()
        world.clock.tick(days=1)
        again = await world.pay(deal, amount, reference=reference)
        assert again == replace(first, outcome=PaymentOutcome.DUPLICATE)
        assert await world.snapshot() == before


async def test_a_receipt_of_another_deal_is_not_posted_again_and_the_admins_are_told(
    world: World,
) -> None:
    first, second = await world.deal(), await world.deal(buyer=OTIENO)
    reference = new_reference()
    await world.pay(first, 10_500, reference=reference)
    receipt = world.by_hand(second, kes(10_500), reference=reference)
    result = await world.funds.process_escrow_payment(receipt, STATUS)
    assert result.outcome is PaymentOutcome.DUPLICATE
    assert await world.accounts(second) == (0, 0, 0)
    for admin in ADMINS:
        said = await world.notice(admin, "receipt_elsewhere")
        assert (said["code"], said["other"]) == (first.id, second.id)


async def test_one_receipt_delivered_ten_times_at_once_is_credited_once(world: World) -> None:
    deal = await world.deal(buyer=BRIAN)
    receipt = world.by_hand(deal, kes(11_000))
    results = await asyncio.gather(
        *(world.funds.process_escrow_payment(receipt, STATUS) for _ in range(10))
    )
    outcomes = [result.outcome for result in results]
    assert outcomes.count(PaymentOutcome.FUNDED) == 1
    assert outcomes.count(PaymentOutcome.DUPLICATE) == 9
    assert {str(result.fund_breakdown) for result in results} == {str(results[0].fund_breakdown)}
    assert await world.wallet() == 500
    assert await world.told(BRIAN) == ["funded_over"]


async def test_one_unmatched_receipt_delivered_ten_times_at_once_is_booked_once(
    world: World,
) -> None:
    receipt = world.by_hand(None, kes(700))
    results = await asyncio.gather(
        *(world.funds.process_escrow_payment(receipt, STATUS) for _ in range(10))
    )
    outcomes = [result.outcome for result in results]
    assert outcomes.count(PaymentOutcome.SUSPENSE) == 1
    assert outcomes.count(PaymentOutcome.DUPLICATE) == 9
    assert await world.suspense() == 700


async def test_ten_different_receipts_at_once_fund_once_and_the_rest_is_the_buyers(
    world: World,
) -> None:
    deal = await world.deal(buyer=BRIAN)
    results = await asyncio.gather(
        *(
            world.funds.process_escrow_payment(world.by_hand(deal, kes(10_500)), STATUS)
            for _ in range(10)
        )
    )
    outcomes = [result.outcome for result in results]
    assert outcomes.count(PaymentOutcome.FUNDED) == 1
    assert outcomes.count(PaymentOutcome.TO_WALLET) == 9
    assert await world.wallet() == 9 * 10_500


async def test_ten_part_payments_at_once_add_up_to_the_cent(world: World) -> None:
    deal = await world.deal(buyer=BRIAN)
    await asyncio.gather(
        *(
            world.funds.process_escrow_payment(world.by_hand(deal, kes(9_800)), STATUS)
            for _ in range(2)
        ),
        *(
            world.funds.process_escrow_payment(world.by_hand(deal, kes("0.01")), STATUS)
            for _ in range(8)
        ),
    )
    received, holding, fee = await world.accounts(deal)
    total = received + holding + fee + await world.wallet()
    assert total == Decimal("19600.08")


async def test_paying_from_the_wallet_refused_repeated_and_raced_takes_the_money_once(
    world: World,
) -> None:
    await world.give(BRIAN, kes(30_000))
    deal = await world.deal()
    with pytest.raises(NotAllowed):
        await world.prompts.pay_from_wallet(deal.id, JANE, "update:1")
    with pytest.raises(NotFound):
        await world.prompts.pay_from_wallet("ES1008257624", BRIAN, "update:1")
    await asyncio.gather(
        *(world.prompts.pay_from_wallet(deal.id, BRIAN, f"update:{n}") for n in range(10))
    )
    await world.prompts.pay_from_wallet(deal.id, BRIAN, "update:3")
    assert await world.wallet() == 19_500
    assert await world.accounts(deal) == (0, 10_000, 500)
    assert await world.told(BRIAN) == ["late_money", "funded"]


async def test_one_wallet_pays_only_as_many_deals_as_it_can_when_all_are_tapped_at_once(
    world: World,
) -> None:
    await world.give(BRIAN, kes(25_000))
    deals = [await world.deal() for _ in range(5)]
    results = await asyncio.gather(
        *(world.prompts.pay_from_wallet(deal.id, BRIAN, f"update:{deal.id}") for deal in deals),
        return_exceptions=True,
    )
    refused = [result for result in results if isinstance(result, LimitReached)]
    assert len(refused) == 3
    assert {error.reason for error in refused} == {"wallet_short"}
    assert await world.wallet() == 4_000


async def test_two_prompts_that_count_on_one_wallet_take_it_once(world: World) -> None:
    await world.give(BRIAN, kes(4_000))
    first, second = await world.deal(), await world.deal()
    one = await world.prompt(first, use_wallet=True)
    await world.sql("UPDATE payment_attempts SET state = 'EXPIRED', closed_at = now()")
    world.clock.tick(minutes=3)
    two = await world.prompt(second, use_wallet=True)
    receipts = [
        Receipt(
            "mpesa",
            Channel.STK,
            new_reference(),
            attempt.amount,
            world.clock.now(),
            attempt_id=attempt.id,
            escrow_code=attempt.escrow_id,
        )
        for attempt in (one, two)
    ]
    results = await asyncio.gather(
        *(world.funds.process_escrow_payment(receipt, Evidence.QUERY) for receipt in receipts)
    )
    outcomes = sorted(str(result.outcome) for result in results)
    assert outcomes == ["funded", "refunded_to_wallet"]
    assert await world.wallet() == 6_500


async def test_a_deal_cancelled_while_its_money_arrives_loses_nothing(world: World) -> None:
    for _ in range(10):
        deal = await world.deal(buyer=BRIAN)
        before = await world.wallet()
        await asyncio.gather(
            world.funds.process_escrow_payment(world.by_hand(deal, kes(10_500)), STATUS),
            world.escrows.cancel(deal.id, BRIAN),
            return_exceptions=True,
        )
        status = await world.status_of(deal)
        assert status in ("HELD", "CANCELLED")
        assert await world.wallet() - before == (10_500 if status == "CANCELLED" else 0)


# -- what the log says ---------------------------------------------------------------------------


def _checkpoints(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        str(record.__dict__["action"])
        for record in caplog.records
        if record.name == "escrow.services.fund_manager"
    ]


async def test_the_log_has_every_checkpoint_of_a_funded_payment_in_order(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    deal = await world.deal()
    with caplog.at_level(logging.INFO):
        await world.pay(deal, 11_000)
    assert _checkpoints(caplog) == [
        "received",
        "confirmed",
        "locked",
        "summed",
        "decided",
        "stored",
        "holding_created",
        "wallet_credited",
        "status_changed",
        "status_changed",
        "fee_segregated",
        "holding_verified",
        "notice_queued",
        "committed",
    ]


async def test_every_checkpoint_names_deal_masked_receipt_and_duration(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    deal = await world.deal()
    reference = new_reference()
    with caplog.at_level(logging.INFO):
        await world.pay(deal, 10_500, reference=reference)
    records = [r.__dict__ for r in caplog.records if r.name == "escrow.services.fund_manager"]
    assert {record["escrow"] for record in records} == {deal.id}
    assert {record["receipt"] for record in records} == {mask_receipt(reference)}
    assert all(record["ms"] >= 0 for record in records)


@pytest.mark.parametrize(
    ("amount", "checkpoint"),
    [(10_500, "holding_verified"), (9_800, "decided"), (5_000, "wallet_credited")],
)
async def test_the_log_tells_the_outcomes_apart(
    world: World, caplog: pytest.LogCaptureFixture, amount: int, checkpoint: str
) -> None:
    deal = await world.deal()
    with caplog.at_level(logging.INFO):
        await world.pay(deal, amount)
    assert checkpoint in _checkpoints(caplog)


async def test_duplicates_unmatched_and_failed_payments_have_checkpoints(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipt = world.by_hand(None, kes(700))
    with caplog.at_level(logging.INFO):
        await world.funds.process_escrow_payment(receipt, STATUS)
        await world.funds.process_escrow_payment(receipt, STATUS)
    assert "unmatched" in _checkpoints(caplog)
    assert _checkpoints(caplog)[-2:] == ["duplicate", "committed"]
    caplog.clear()

    async def broken(*args: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("escrow.store.ledger.post", broken)
    with caplog.at_level(logging.INFO), pytest.raises(RuntimeError):
        await world.funds.process_escrow_payment(world.by_hand(None, kes(700)), STATUS)
    assert _checkpoints(caplog)[-1] == "failed"


async def test_no_phone_number_no_receipt_and_no_secret_reaches_the_log(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """A whole life: prompt, callback, query, C2B, choice, unmatched, refused."""
    references = [new_reference() for _ in range(4)]
    world.rail.query_answer = PAID
    with caplog.at_level(logging.DEBUG):
        deal = await world.deal()
        attempt = await world.prompt(deal)
        await world.callback(attempt, references[0])
        await world.callback(attempt, references[0], balance=1)
        short = await world.deal(buyer=BRIAN)
        shown = masked(PHONES[BRIAN])
        await world.paybill(short.id, kes(9_800), references[1], shown=PHONES[BRIAN])
        button = await world.button(short, Action.PROCEED)
        await world.choices.press(button, BRIAN)
        await world.paybill("rent", kes(50), references[2], shown=shown)
        await world.paybill("x", kes(50), references[3], shown=shown, shortcode="600000")
    secrets = [*PHONES.values(), *references, attempt.token, button, button.split(":")[-1]]
    secrets += [phone[3:] for phone in PHONES.values()]
    for record in caplog.records:
        text = f"{record.getMessage()} {record.__dict__}"
        found = [secret for secret in secrets if secret in text]
        assert not found, text


def test_a_receipt_is_masked_to_what_finds_it() -> None:
    assert mask_receipt("SG632NMUAB") == "SG6****UAB"
    assert mask_receipt("SHORT") == "****"
