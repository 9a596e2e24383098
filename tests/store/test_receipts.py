"""Receipts in the store: stored once, by number and by prompt; posted once, with evidence."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from escrow.domain.model import Channel, Evidence, Receipt, ReceiptState
from escrow.domain.money import Currency, Money
from escrow.store import receipts
from escrow.store.database import Connection, Database
from escrow.store.receipts import Posting
from tests.store import books
from tests.store.books import (
    BUYER,
    DUE,
    HELD,
    LATER,
    NOW,
    OPEN_LINK,
    PENDING,
    PHONE,
    UNDERPAID,
)

KES = Currency.KES
CREDITED = Posting(ReceiptState.CREDITED, Evidence.QUERY, BUYER, {"outcome": "funded"})


def receipt(**changes: Any) -> Receipt:
    return Receipt(
        **{
            "provider": "mpesa",
            "channel": Channel.C2B,
            "reference": "SGNEW00001",
            "amount": Money(DUE, KES),
            "happened_at": NOW,
            **changes,
        }
    )


async def stored(conn: Connection, receipt_id: int) -> dict[str, Any]:
    row = await conn.fetchrow("SELECT * FROM receipts WHERE id = $1", receipt_id)
    assert row is not None
    return dict(row)


async def test_a_posted_receipt_reads_back_as_it_was_stored(world_db: Database) -> None:
    one = receipt(
        channel=Channel.STK,
        attempt_id=1,
        payer_shown="254722***222",
        payer_name="JOHN",
        typed_reference="es 17",
    )
    async with world_db.unit() as conn:
        row = await receipts.insert(conn, one, UNDERPAID, LATER, CREDITED)
        await books.run(conn, books.booked("SGNEW00001"))
        assert row is not None
        found = await receipts.get(conn, row)
        assert found == await receipts.get(conn, row, lock=True)
        raw = await stored(conn, row)
    assert found is not None
    assert (found.channel, found.reference, found.attempt_id) == (Channel.STK, "SGNEW00001", 1)
    assert (found.amount, found.state) == (Money(DUE, KES), ReceiptState.CREDITED)
    assert (found.evidence, found.telegram_id) == (Evidence.QUERY, BUYER)
    assert (found.escrow_id, found.outcome) == (UNDERPAID, {"outcome": "funded"})
    assert (found.happened_at, found.received_at, raw["posted_at"]) == (NOW, LATER, LATER)
    assert (found.payer_shown, found.payer_name) == ("254722***222", "JOHN")
    assert found.typed_reference == "es 17"


async def test_a_claimed_receipt_waits_unposted(world_db: Database) -> None:
    async with world_db.unit() as conn:
        row = await receipts.insert(conn, receipt(), None, NOW, None, next_check_at=LATER)
        raw = await stored(conn, row or 0)
        assert await receipts.waiting_count(conn) == 2
    assert (raw["state"], raw["evidence"], raw["posted_at"]) == ("WAITING", None, None)
    assert raw["next_check_at"] == LATER


@pytest.mark.parametrize(
    "again",
    [
        receipt(reference="SGCREDIT01"),
        receipt(reference="SGCREDIT01", channel=Channel.STK, attempt_id=1),
        receipt(channel=Channel.STK, attempt_id=2),
        receipt(channel=Channel.STK, attempt_id=2, reference=None),
    ],
    ids=["the number", "the number by another prompt", "the prompt", "the prompt, by query"],
)
async def test_what_is_known_is_not_stored_again(world_db: Database, again: Receipt) -> None:
    async with world_db.unit() as conn:
        assert await receipts.insert(conn, again, HELD, NOW, CREDITED) is None


async def test_a_receipt_is_found_by_its_number_else_by_its_prompt(world_db: Database) -> None:
    async with world_db.reading() as conn:

        async def find(*key: Any) -> int | None:
            found = await receipts.find(conn, *key)
            return found.id if found else None

        assert await find("mpesa", "SGCREDIT01", None) == 1
        assert await find("mpesa", None, 2) == 1
        assert await find("mpesa", "SGWAIT0002", 2) == 2, "the number is the key where there is one"
        assert await find("mpesa", "SGNOWHERE1", 2) is None
        assert await find("bank", "SGCREDIT01", None) is None
        assert await find("mpesa", None, None) is None
        assert await receipts.get(conn, 99) is None


async def test_the_context_of_a_payment_is_everything_that_decides(world_db: Database) -> None:
    async with world_db.unit() as conn:
        one = receipt(channel=Channel.STK, attempt_id=1, reference="SGCREDIT01")
        context = await receipts.context(conn, UNDERPAID, one)
        assert context.attempt is not None
        assert (context.attempt.id, context.attempt.phone) == (1, PHONE)
        assert context.by_number is not None
        assert context.by_number.id == 1
        assert context.by_attempt is None
        assert context.choice is not None
        assert context.choice.missing == Money(DUE - books.RECEIVED, KES)
        assert context.reserver is None
        fitted = await receipts.context(conn, HELD, receipt(attempt_id=3, reference=None))
        assert fitted.by_attempt is not None
        assert (fitted.by_attempt.id, fitted.attempt_number_fitted) == (5, True)
        await conn.execute("UPDATE people SET phone = $1 WHERE telegram_id = $2", PHONE, BUYER)
        reserved = await receipts.context(conn, PENDING, receipt())
        assert (reserved.reserver, reserved.reserved_until) == (BUYER, LATER)
        assert reserved.reserver_phone == PHONE
        assert (reserved.attempt, reserved.by_number, reserved.choice) == (None, None, None)


async def test_a_payment_of_no_deal_has_an_empty_context(world_db: Database) -> None:
    async with world_db.reading() as conn:
        context = await receipts.context(conn, None, receipt())
    assert context == receipts.Context(
        None,
        None,
        None,
        None,
        False,
        None,
        None,
        None,
        None,
        None,
        buyer_phone=None,
        seller_numbers=(),
        has_slot=False,
        has_prompt=False,
    )


async def post_waiting(conn: Connection, row: int, **changes: Any) -> bool:
    values: dict[str, Any] = {
        "escrow_id": PENDING,
        "attempt_id": None,
        "fitted": False,
        "amount": Money(DUE, KES),
        **changes,
    }
    return await receipts.post_waiting(conn, row, CREDITED, LATER, **values)


async def test_a_waiting_receipt_is_posted_once(world_db: Database) -> None:
    async with world_db.unit() as conn:
        await books.run(conn, books.booked("SGWAIT0002", 1_00))
        assert await post_waiting(conn, 2, attempt_id=1, fitted=True, amount=Money(1_00, KES))
        assert not await post_waiting(conn, 2)
        raw = await stored(conn, 2)
    assert (raw["state"], raw["evidence"], raw["posted_at"]) == ("CREDITED", "query", LATER)
    assert (raw["attempt_id"], raw["reference_fitted"], raw["amount_minor"]) == (1, True, 1_00)
    assert (raw["telegram_id"], raw["next_check_at"]) == (BUYER, None)


async def test_a_prompt_keeps_the_receipt_that_it_claimed(world_db: Database) -> None:
    """Else a query could credit the same prompt once more, without a number."""
    claimed = receipt(channel=Channel.STK, attempt_id=1)
    async with world_db.unit() as conn:
        row = await receipts.insert(conn, claimed, UNDERPAID, NOW, None)
        await books.run(conn, books.booked("SGNEW00001"))
        assert await post_waiting(conn, row or 0, attempt_id=None)
        by_query = receipt(channel=Channel.STK, attempt_id=1, reference=None)
        assert await receipts.insert(conn, by_query, UNDERPAID, NOW, CREDITED) is None
        assert (await stored(conn, row or 0))["attempt_id"] == 1


async def test_a_loose_receipt_is_given_to_its_prompt_once(world_db: Database) -> None:
    async with world_db.unit() as conn:
        await receipts.link_attempt(conn, 2, 1, fitted=True)
        await receipts.link_attempt(conn, 2, 2, fitted=True)
        assert (await stored(conn, 2))["attempt_id"] == 1


async def test_an_empty_slot_takes_a_number_and_a_fitted_one_is_replaced(
    world_db: Database,
) -> None:
    async with world_db.unit() as conn:
        by_query = receipt(channel=Channel.STK, attempt_id=1, reference=None)
        row = await receipts.insert(conn, by_query, UNDERPAID, NOW, CREDITED)
        await books.run(conn, books.booked("attempt-1"))
        await receipts.fill_slot(conn, row or 0, "SGFITS0001", fitted=True)
        await receipts.fill_slot(conn, row or 0, "SGTRUE0001", fitted=False)
        assert (await stored(conn, row or 0))["reference"] == "SGTRUE0001"


MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("at", "fits"),
    [
        (NOW - 2 * MINUTE, True),
        (NOW - 2.1 * MINUTE, False),
        (NOW + 10 * MINUTE, True),
        (NOW + 10.1 * MINUTE, False),
    ],
)
async def test_a_payment_fits_a_prompt_of_about_its_time(
    world_db: Database, at: datetime, *, fits: bool
) -> None:
    async with world_db.unit() as conn:
        by_query = receipt(channel=Channel.STK, attempt_id=1, reference=None)
        row = await receipts.insert(conn, by_query, UNDERPAID, NOW, CREDITED)
        await books.run(conn, books.booked("attempt-1"))
        slots = await receipts.slots(conn, UNDERPAID, Money(DUE, KES), at)
        assert [(slot.id, prompted) for slot, prompted in slots] == ([(row, PHONE)] if fits else [])
        assert await receipts.slots(conn, UNDERPAID, Money(DUE - 1, KES), NOW) == []
        assert await receipts.slots(conn, HELD, Money(DUE, KES), NOW) == []


@pytest.mark.parametrize(
    ("changes", "fits"),
    [
        ({}, True),
        ({"happened_at": NOW + 10 * MINUTE}, True),
        ({"happened_at": NOW + 10.1 * MINUTE}, False),
        ({"amount": Money(DUE - 1, KES)}, False),
        ({"channel": Channel.STK}, False),
        ({"channel": Channel.STK, "attempt_id": 2}, None),
    ],
)
async def test_a_payment_by_hand_may_be_the_one_of_a_prompt(
    world_db: Database, changes: dict[str, Any], *, fits: bool | None
) -> None:
    async with world_db.unit() as conn:
        row = await receipts.insert(conn, receipt(**changes), UNDERPAID, NOW, None)
        assert (row is None) is (fits is None)
        found = [one.id for one in await receipts.loose(conn, UNDERPAID, 1)]
        assert found == ([row] if fits else [])


async def test_waiting_receipts_are_looked_at_when_due_by_one_only(world_db: Database) -> None:
    async with world_db.unit() as conn:
        await receipts.check_again(conn, 2, NOW)
    async with world_db.unit() as one, world_db.unit() as other:
        assert await receipts.claim_checks(one, NOW - MINUTE, 5) == []
        first = await receipts.claim_checks(one, NOW, 5)
        second = await receipts.claim_checks(other, NOW, 5)
    assert [(row.id, checks) for row, checks in first] == [(2, 1)]
    assert second == []
    async with world_db.unit() as conn:
        assert (await stored(conn, 2))["next_check_at"] == NOW + 2 * MINUTE
        await receipts.check_again(conn, 2, None)
        assert await receipts.claim_checks(conn, LATER, 5) == []


async def test_a_denied_receipt_is_closed_without_posting(world_db: Database) -> None:
    async with world_db.unit() as conn:
        assert await receipts.ignore(conn, 2, Evidence.STATUS, {"why": "not_ours"})
        assert not await receipts.ignore(conn, 2, Evidence.ADMIN, {"why": "late"})
        assert not await receipts.ignore(conn, 1, Evidence.ADMIN, {"why": "credited"})
        found = await receipts.get(conn, 2)
        assert await receipts.waiting_count(conn) == 0
    assert found is not None
    assert (found.state, found.evidence) == (ReceiptState.IGNORED, Evidence.STATUS)
    assert found.outcome == {"why": "not_ours"}


async def test_a_question_is_answered_once(world_db: Database) -> None:
    token = "5" * 32
    async with world_db.unit() as conn:
        await receipts.add_status_query(conn, token, 2, NOW)
        assert await receipts.status_query(conn, token) == (2, None)
        await receipts.answer_status_query(conn, token, LATER, "completed")
        await receipts.answer_status_query(conn, token, NOW, "denied")
        assert await receipts.status_query(conn, token) == (2, LATER)
        assert await receipts.status_query(conn, "6" * 32) is None
        answers = "SELECT answer FROM status_queries WHERE token = $1"
        assert await conn.fetchval(answers, token) == "completed"


async def test_a_deal_without_a_receipt_has_no_slots(world_db: Database) -> None:
    async with world_db.reading() as conn:
        assert await receipts.slots(conn, OPEN_LINK, Money(DUE, KES), NOW) == []
        assert await receipts.loose(conn, OPEN_LINK, 1) == []


async def test_a_denied_receipt_that_is_claimed_again_waits_again(world_db: Database) -> None:
    async with world_db.unit() as conn:
        await receipts.reopen(conn, 1)
        assert (await stored(conn, 1))["state"] == "CREDITED", "only a denied one"
        await receipts.reopen(conn, 7)
        raw = await stored(conn, 7)
    assert (raw["state"], raw["evidence"], raw["outcome"], raw["checks"]) == (
        "WAITING",
        None,
        {},
        0,
    )


async def test_a_denied_claim_lets_go_of_its_prompt(world_db: Database) -> None:
    async with world_db.unit() as conn:
        await receipts.detach(conn, 1)
        assert (await stored(conn, 1))["attempt_id"] == 2, "only a denied one"
        await receipts.detach(conn, 7)
        assert (await stored(conn, 7))["attempt_id"] is None


async def test_a_receipt_that_an_admin_believes_says_so_before_it_is_credited(
    world_db: Database,
) -> None:
    async with world_db.unit() as conn:
        await receipts.believe(conn, 2, Evidence.ADMIN, LATER)
        await receipts.believe(conn, 1, Evidence.ADMIN, LATER)
        believed, other = await stored(conn, 2), await stored(conn, 1)
    assert (believed["state"], believed["evidence"]) == ("WAITING", "admin")
    assert believed["next_check_at"] == LATER
    assert other["evidence"] == "query", "only a waiting one"


async def test_a_payment_by_hand_may_be_of_a_prompt_that_no_money_stands_for(
    world_db: Database,
) -> None:
    async with world_db.unit() as conn:

        async def fitting(deal: str, amount: int = DUE, at: datetime = NOW) -> list[int]:
            found = await receipts.fitting_prompts(conn, deal, Money(amount, KES), at)
            return [prompt.id for prompt in found]

        assert await fitting(UNDERPAID) == [1]
        assert await fitting(UNDERPAID, DUE - 1) == []
        assert await fitting(UNDERPAID, at=NOW - 2.1 * MINUTE) == []
        assert await fitting(UNDERPAID, at=NOW + 10.1 * MINUTE) == []
        assert await fitting(HELD) == [], "one is paid, one was declined"
        assert await fitting(books.DELIVERED) == [4], "its claim was denied"
