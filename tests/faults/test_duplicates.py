"""50 deliveries at once of each of 200 receipts: 200 credits, 200 fundings, one notice each."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import pytest

from escrow.domain.model import Attempt, Escrow, Evidence, PaymentOutcome
from tests.rail import PAID, paybill_body, stk_body
from tests.world import JANE, World, new_reference

RECEIPTS, DELIVERIES, AT_ONCE = 200, 50, 10
FIRST_BUYER = 10_000


async def _deals(world: World) -> list[Escrow]:
    """A deal for each receipt, each with a buyer of its own."""
    deals = []
    for number in range(RECEIPTS):
        buyer = FIRST_BUYER + number
        await world.person(buyer, "Buyer", f"2547{number:08d}")
        deals.append(await world.deal(1_000, buyer=buyer))
    return deals


async def _deliver(receipts: Sequence[Callable[[], Awaitable[object]]]) -> list[list[object]]:
    """Every receipt 50 times: all deliveries of one start together, of ten receipts at once."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(deliver: Callable[[], Awaitable[object]]) -> list[object]:
        async with gate:
            return list(await asyncio.gather(*(deliver() for _ in range(DELIVERIES))))

    return list(await asyncio.gather(*(one(deliver) for deliver in receipts)))


async def _credited_once_each(world: World, deals: Sequence[Escrow]) -> None:
    counts = await world.sql(
        "SELECT (SELECT count(*) FROM receipts WHERE state = 'CREDITED') AS credited,"
        " (SELECT count(*) FROM receipts) AS receipts,"
        " (SELECT count(*) FROM escrow_timeline WHERE event = 'fund') AS fundings,"
        " (SELECT count(DISTINCT escrow_id) FROM escrow_timeline WHERE event = 'fund') AS funded,"
        " (SELECT count(*) FROM ledger_journals WHERE kind = 'receipt') AS journals"
    )
    assert counts == [dict.fromkeys(counts[0], RECEIPTS)]
    for deal in deals:
        assert await world.accounts(deal) == (0, 1_000, 50)
    notices = Counter(
        (row["kind"], row["chat_id"], row["escrow_id"])
        for row in await world.sql("SELECT kind, chat_id, escrow_id FROM outbox")
    )
    expected = {("funded", FIRST_BUYER + n, deal.id) for n, deal in enumerate(deals)}
    expected |= {("held", JANE, deal.id) for deal in deals}
    assert set(notices) == expected
    assert set(notices.values()) == {1}


@pytest.mark.slow
async def test_200_receipts_delivered_50_times_at_once_are_200_credits(world: World) -> None:
    deals = await _deals(world)
    receipts = [world.by_hand(deal, deal.due) for deal in deals]
    answers = await _deliver(
        [
            lambda receipt=receipt: world.funds.process_escrow_payment(receipt, Evidence.STATUS)
            for receipt in receipts
        ]
    )
    assert len(answers) * len(answers[0]) == 10_000
    for of_one in answers:
        outcomes = Counter(answer.outcome for answer in of_one)  # type: ignore[attr-defined]
        assert outcomes == {PaymentOutcome.FUNDED: 1, PaymentOutcome.DUPLICATE: 49}
    await _credited_once_each(world, deals)


@pytest.mark.slow
async def test_200_callbacks_delivered_50_times_at_once_are_200_credits(world: World) -> None:
    """Through the door: half of them answers to prompts, half payments by hand. Every body comes
    in five forms, so that the inbox alone can't tell that it is one payment.
    """
    world = world.configured(unconfirmed_limit_minor=10_000_00)
    world.rail.query_answer = PAID
    deals = await _deals(world)
    senders = []
    for number, deal in enumerate(deals):
        if number % 2:
            attempt = await world.prompt(deal, FIRST_BUYER + number)
            senders.append(_prompt_sender(world, attempt))
        else:
            senders.append(_paybill_sender(world, deal))
    stop = asyncio.Event()
    workers = [asyncio.create_task(_work(world, stop)) for _ in range(2)]
    stored = await _deliver(senders)
    stop.set()
    await asyncio.gather(*workers)
    assert [sum(map(bool, of_one)) for of_one in stored] == [5] * RECEIPTS
    inbox = await world.sql("SELECT state, count(*) AS rows FROM inbox GROUP BY state")
    assert inbox == [{"state": "DONE", "rows": 5 * RECEIPTS}]
    await world.sql("DELETE FROM outbox WHERE kind = 'credited_unconfirmed'")
    await _credited_once_each(world, deals)


def _prompt_sender(world: World, attempt: Attempt) -> Callable[[], Awaitable[object]]:
    now, reference = world.clock.now(), new_reference()
    bodies = [stk_body(attempt, now, reference=reference, balance=n) for n in range(5)]
    turns = iter(bodies * (DELIVERIES // 5))
    return lambda: world.post_stk(attempt, next(turns))


def _paybill_sender(world: World, deal: Escrow) -> Callable[[], Awaitable[object]]:
    now, reference = world.clock.now(), new_reference()
    bodies = [paybill_body(deal.id, deal.due, reference, now, balance=f"{n}.00") for n in range(5)]
    turns = iter(bodies * (DELIVERIES // 5))
    return lambda: world.post_paybill(next(turns))


async def _work(world: World, stop: asyncio.Event) -> None:
    """Processes while deliveries still come, then what is left."""
    while await world.intake.process_due() or not stop.is_set():
        continue
