"""Prompts, reservations and choices in the store: one at a time, each taken once."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from escrow.domain.crypto import HOLD
from escrow.domain.errors import EscrowMoved, LimitReached
from escrow.domain.model import Attempt, AttemptState
from escrow.domain.money import Currency, Money
from escrow.store import payments
from escrow.store.database import Connection, Database
from tests.store.books import (
    BUYER,
    DUE,
    LATER,
    NOW,
    OPEN_LINK,
    OTHER_PHONE,
    PENDING,
    PHONE,
    RECEIVED,
    STRANGER,
    UNDERPAID,
)

KES = Currency.KES
TOKEN = "0123456789abcdef" * 2
MINUTE = timedelta(minutes=1)


async def started(conn: Connection, **changes: Any) -> tuple[Attempt, bool]:
    return await payments.insert_attempt(
        conn,
        **{
            "cause": "update:17",
            "token": TOKEN,
            "escrow_id": PENDING,
            "telegram_id": STRANGER,
            "phone": OTHER_PHONE,
            "own_number": True,
            "amount": Money(DUE, KES),
            "wallet_part": Money(5_00, KES),
            "choice_id": None,
            "now": NOW,
            "next_query_at": NOW + MINUTE,
            **changes,
        },
    )


async def test_a_prompt_reads_back_as_it_was_written(world_db: Database) -> None:
    async with world_db.unit() as conn:
        attempt, new = await started(conn)
        assert new
        assert await payments.attempt(conn, attempt.id) == attempt
        assert await payments.attempt_by_token(conn, TOKEN) == attempt
        assert await payments.attempt_by_cause(conn, "update:17") == attempt
        assert await payments.open_attempt(conn, PENDING) == attempt
    assert attempt.state is AttemptState.CREATED
    assert attempt.is_open
    assert (attempt.amount, attempt.wallet_part) == (Money(DUE, KES), Money(5_00, KES))
    assert (attempt.checkout_request_id, attempt.prompted_at, attempt.queries) == (None, None, 0)


async def test_nothing_is_found_where_nothing_is(world_db: Database) -> None:
    async with world_db.reading() as conn:
        assert await payments.attempt(conn, 99) is None
        assert await payments.attempt_by_token(conn, TOKEN) is None
        assert await payments.attempt_by_cause(conn, "update:99") is None
        assert await payments.open_attempt(conn, PENDING) is None
        assert await payments.choice(conn, 99) is None
        assert await payments.open_choice(conn, PENDING) is None


async def test_the_same_cause_prompts_nobody_twice(world_db: Database) -> None:
    async with world_db.unit() as conn:
        first, new = await started(conn)
        again, new_again = await started(conn, token="f" * 32, phone=PHONE)
    assert (new, new_again) == (True, False)
    assert again == first


@pytest.mark.parametrize(
    "second", [{"escrow_id": UNDERPAID}, {"phone": PHONE}], ids=["of the deal", "of the phone"]
)
async def test_a_second_open_prompt_is_a_limit(world_db: Database, second: dict[str, Any]) -> None:
    with pytest.raises(LimitReached) as caught:
        async with world_db.unit() as conn:
            await started(conn, **second)
    assert caught.value.reason == "prompt_open"


async def test_of_twenty_prompts_at_once_for_a_deal_one_is_made(world_db: Database) -> None:
    async def one(number: int) -> None:
        async with world_db.unit() as conn:
            phone = f"2547330003{number:02d}"
            await started(conn, cause=f"update:{number}", token=f"{number:032x}", phone=phone)

    done = await asyncio.gather(*(one(n) for n in range(10, 30)), return_exceptions=True)
    assert sorted(type(result).__name__ for result in done) == ["LimitReached"] * 19 + ["NoneType"]


async def test_an_accepted_prompt_has_its_ids(world_db: Database) -> None:
    async with world_db.unit() as conn:
        attempt, _ = await started(conn)
        prompted = await payments.prompted(conn, attempt.id, "ws_CO_9", "29115-9", LATER)
        again = await payments.prompted(conn, attempt.id, "ws_CO_other", "29115-x", NOW)
    assert prompted.state is AttemptState.PROMPTED
    assert (prompted.checkout_request_id, prompted.prompted_at) == ("ws_CO_9", LATER)
    assert again == prompted, "the first answer stays"


async def test_an_answer_that_comes_after_the_callback_reopens_nothing(world_db: Database) -> None:
    async with world_db.unit() as conn:
        attempt, _ = await started(conn)
        assert await payments.close_attempt(conn, attempt.id, AttemptState.DECLINED, "1032", NOW)
        late = await payments.prompted(conn, attempt.id, "ws_CO_9", "29115-9", LATER)
    assert late.state is AttemptState.DECLINED
    assert late.checkout_request_id == "ws_CO_9"


async def test_a_prompt_that_is_not_there_was_moved(world_db: Database) -> None:
    async with world_db.unit() as conn:
        with pytest.raises(EscrowMoved):
            await payments.prompted(conn, 99, "ws_CO_9", "29115-9", NOW)


async def test_a_prompt_is_closed_once_and_late_money_still_pays_it(world_db: Database) -> None:
    async with world_db.unit() as conn:
        assert await payments.close_attempt(conn, 1, AttemptState.EXPIRED, "", NOW)
        assert not await payments.close_attempt(conn, 1, AttemptState.DECLINED, "1", NOW)
        await payments.attempt_paid(conn, 1, LATER)
        await payments.attempt_paid(conn, 1, LATER)
        assert not await payments.close_attempt(conn, 1, AttemptState.DECLINED, "1", NOW)
        paid = await payments.attempt(conn, 1)
    assert paid is not None
    assert (paid.state, paid.result_code) == (AttemptState.PAID, "0")


async def test_a_claim_asks_for_a_query_at_once_and_keeps_the_first_time(
    world_db: Database,
) -> None:
    async with world_db.unit() as conn:
        attempt, _ = await started(conn)
        await payments.claimed(conn, attempt.id, NOW, "ws_CO_9", "29115-9")
        await payments.claimed(conn, attempt.id, LATER, "", "")
        found = await payments.attempt(conn, attempt.id)
        due = [one.id for one in await payments.claim_queries(conn, LATER, 10)]
    assert found is not None
    assert (found.claimed_at, found.checkout_request_id) == (NOW, "ws_CO_9")
    assert due == [attempt.id]


async def test_nobody_is_asked_about_a_paid_prompt_any_more(world_db: Database) -> None:
    async with world_db.unit() as conn:
        await payments.claimed(conn, 2, NOW, "", "")
        await payments.query_again(conn, 2, NOW)
        assert await payments.claim_queries(conn, LATER, 10) == []


async def test_a_query_is_taken_by_one_and_pushed_on(world_db: Database) -> None:
    async with world_db.unit() as conn:
        await payments.query_again(conn, 1, NOW)
    async with world_db.unit() as one, world_db.unit() as other:
        assert await payments.claim_queries(one, NOW - MINUTE, 10) == []
        first = await payments.claim_queries(one, NOW, 10)
        assert await payments.claim_queries(other, NOW, 10) == []
    assert [(attempt.id, attempt.queries) for attempt in first] == [(1, 1)]
    async with world_db.unit() as conn:
        assert await payments.claim_queries(conn, NOW + timedelta(seconds=59), 10) == []
        assert len(await payments.claim_queries(conn, NOW + MINUTE, 10)) == 1
        await payments.query_again(conn, 1, None)
        assert await payments.claim_queries(conn, LATER, 10) == []


async def test_the_message_of_a_prompt_is_kept(world_db: Database) -> None:
    async with world_db.unit() as conn:
        await payments.set_message(conn, 1, 4711)
        found = await payments.attempt(conn, 1)
    assert found is not None
    assert found.chat_message_id == 4711


async def test_the_prompts_of_the_last_hour_are_counted(world_db: Database) -> None:
    hour = timedelta(hours=1)
    async with world_db.unit() as conn:
        attempt, _ = await started(conn, own_number=False, now=NOW + MINUTE)
        await payments.prompted(conn, attempt.id, "ws_CO_9", "29115-9", NOW + MINUTE)

        async def recent(
            person: int, phone: str, amount: int, now: datetime
        ) -> tuple[int, int, datetime | None]:
            found = await payments.recent_prompts(conn, person, phone, Money(amount, KES), now)
            return found.by_person, found.to_foreign_number, found.same_amount_at

        # the world's two closed prompts to this number were its owner's, at NOW
        assert await recent(STRANGER, OTHER_PHONE, DUE, LATER) == (0, 0, None)
        just_after = NOW + MINUTE + hour - timedelta(seconds=1)
        assert await recent(STRANGER, OTHER_PHONE, DUE, just_after) == (1, 1, NOW + MINUTE)
        assert await recent(STRANGER, OTHER_PHONE, DUE, NOW + 2 * MINUTE) == (3, 1, NOW + MINUTE)
        assert await recent(BUYER, OTHER_PHONE, DUE - 1, NOW + 2 * MINUTE) == (1, 1, None)
        assert await recent(BUYER, PHONE, DUE, NOW + 2 * MINUTE) == (1, 0, None)


# -- reservations --------------------------------------------------------------------------------


async def test_a_deal_is_reserved_for_one_until_the_time_is_over(world_db: Database) -> None:
    until = NOW + 30 * MINUTE
    async with world_db.unit() as conn:
        assert await payments.reserve(conn, OPEN_LINK, BUYER, until, NOW)
        assert not await payments.reserve(conn, OPEN_LINK, STRANGER, LATER, NOW + MINUTE)
        assert await payments.reservation(conn, OPEN_LINK, NOW) == (BUYER, until)
        assert await payments.reserve(conn, OPEN_LINK, BUYER, until + MINUTE, NOW + MINUTE)
        assert await payments.reservation(conn, OPEN_LINK, until) == (BUYER, until + MINUTE)
        assert await payments.reservation(conn, OPEN_LINK, until + MINUTE) is None
        assert await payments.reserve(conn, OPEN_LINK, STRANGER, LATER, until + MINUTE)
        assert await payments.reservation(conn, OPEN_LINK, until + MINUTE) == (STRANGER, LATER)


async def test_of_ten_who_reserve_at_once_one_does(world_db: Database) -> None:
    async def one(person: int) -> bool:
        async with world_db.unit() as conn:
            return await payments.reserve(conn, OPEN_LINK, person, LATER, NOW)

    people = [BUYER, STRANGER, 1001, 2001, 2002]
    done = await asyncio.gather(*(one(person) for person in people))
    assert sorted(done) == [False, False, False, False, True]


async def test_reservations_without_money_are_counted_per_person_and_deal(
    world_db: Database,
) -> None:
    async with world_db.unit() as conn:
        counts = [await payments.count_reservation(conn, OPEN_LINK, BUYER) for _ in range(3)]
        assert counts == [1, 2, 3]
        assert await payments.count_reservation(conn, OPEN_LINK, STRANGER) == 1


# -- choices -------------------------------------------------------------------------------------


async def offer(conn: Connection, expires: datetime = LATER) -> int:
    return await payments.insert_choice(
        conn, PENDING, BUYER, Money(DUE, KES), Money(RECEIVED, KES), NOW, expires
    )


async def test_an_open_choice_reads_back_as_it_was_offered(world_db: Database) -> None:
    async with world_db.unit() as conn:
        choice_id = await offer(conn)
        choice = await payments.choice(conn, choice_id)
        assert await payments.open_choice(conn, PENDING) == choice
    assert choice is not None
    assert (choice.due, choice.received) == (Money(DUE, KES), Money(RECEIVED, KES))
    assert (choice.escrow_id, choice.telegram_id, choice.expires_at) == (PENDING, BUYER, LATER)
    assert choice.missing == Money(7_00, KES)
    assert (choice.used_at, choice.voided_at) == (None, None)


async def test_a_second_open_choice_lost_the_race(world_db: Database) -> None:
    async def second() -> None:
        async with world_db.unit() as conn:
            await offer(conn)

    await second()
    with pytest.raises(EscrowMoved):
        await second()


async def test_a_choice_is_taken_once_and_never_after_its_time(world_db: Database) -> None:
    async with world_db.unit() as conn:
        choice_id = await offer(conn)
        assert not await payments.use_choice(conn, choice_id, "proceed", LATER)
        assert await payments.use_choice(conn, choice_id, "proceed", LATER - MINUTE)
        assert not await payments.use_choice(conn, choice_id, "cancel", NOW)
        assert not await payments.use_choice(conn, choice_id, "cancel", NOW, even_late=True)
        assert await payments.open_choice(conn, PENDING) is None
        used = await payments.choice(conn, choice_id)
    assert used is not None
    assert used.used_at == LATER - MINUTE


async def test_a_late_payment_may_complete_a_choice(world_db: Database) -> None:
    async with world_db.unit() as conn:
        choice_id = await offer(conn)
        late = LATER + MINUTE
        assert await payments.use_choice(conn, choice_id, "completed", late, even_late=True)


async def test_a_voided_choice_is_not_taken(world_db: Database) -> None:
    async with world_db.unit() as conn:
        choice_id = await offer(conn)
        await payments.void_choice(conn, PENDING, NOW)
        assert not await payments.use_choice(conn, choice_id, "proceed", NOW)
        assert await payments.open_choice(conn, PENDING) is None
        voided = await payments.choice(conn, choice_id)
        assert voided is not None
        assert (voided.used_at, voided.voided_at) == (None, NOW)
        assert await offer(conn) > choice_id


async def test_of_ten_taps_at_once_one_takes_the_choice(world_db: Database) -> None:
    async with world_db.unit() as conn:
        choice_id = await offer(conn)

    async def tap(number: int) -> bool:
        async with world_db.unit() as conn:
            action = "proceed" if number % 2 else "cancel"
            return await payments.use_choice(conn, choice_id, action, NOW)

    assert sum(await asyncio.gather(*(tap(number) for number in range(10)))) == 1


async def test_an_expired_choice_waits_for_an_open_prompt_and_not_longer_than_the_grace(
    world_db: Database,
) -> None:
    grace = 3 * MINUTE
    async with world_db.unit() as conn:
        await conn.execute("UPDATE receipts SET state = 'IGNORED' WHERE state = 'WAITING'")
        choice_id = await offer(conn, NOW + 10 * MINUTE)
        await conn.execute("UPDATE underpayment_choices SET voided_at = now() WHERE id = 1")

        async def expired(at: datetime) -> list[tuple[int, str]]:
            return await payments.expired_choices(conn, at, 10, grace, HOLD)

        over = NOW + 10 * MINUTE
        assert await expired(over - MINUTE) == []
        assert await expired(over) == [(choice_id, PENDING)]
        await started(conn)
        assert await expired(over) == []
        assert await expired(over + grace - timedelta(seconds=1)) == []
        assert await expired(over + grace) == [(choice_id, PENDING)]
        await payments.use_choice(conn, choice_id, "expired", over, even_late=True)
        assert await expired(LATER) == []


@pytest.mark.parametrize(
    ("happened", "waits"),
    [(NOW + 10 * MINUTE, True), (NOW + 11 * MINUTE, False)],
    ids=["money that came in time", "money that came late"],
)
async def test_an_expired_choice_waits_for_money_that_is_being_confirmed(
    world_db: Database, happened: datetime, *, waits: bool
) -> None:
    over, grace = NOW + 10 * MINUTE, 3 * MINUTE
    async with world_db.unit() as conn:
        await conn.execute("UPDATE underpayment_choices SET voided_at = now() WHERE id = 1")
        await conn.execute("UPDATE receipts SET happened_at = $1 WHERE id = 2", happened)
        choice_id = await offer(conn, over)
        expired = [] if waits else [(choice_id, PENDING)]
        assert await payments.expired_choices(conn, over, 10, grace, HOLD) == expired
        over += grace
        assert await payments.expired_choices(conn, over, 10, grace, HOLD) == [(choice_id, PENDING)]
