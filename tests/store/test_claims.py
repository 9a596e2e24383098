"""Claims: one open per person and receipt, moved step by step, decided once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from escrow.domain.claims import Claim, ClaimState
from escrow.domain.errors import AmanaError
from escrow.domain.money import Currency, Money
from escrow.store import claims
from escrow.store.database import Connection, Database
from tests.store.books import BUYER, HELD, NOW, PENDING, STRANGER

SOON = NOW + timedelta(minutes=1)


async def _made(
    conn: Connection, cause: str, *, who: int = BUYER, reference: str = "SGNEWCLAIM"
) -> Claim | None:
    return await claims.insert(
        conn,
        cause=cause,
        token=cause[-1] * 32,
        telegram_id=who,
        escrow_id=PENDING,
        reference=reference,
        claimed=Money(500_00, Currency.KES),
        said_at=None,
        now=NOW,
        next_check_at=SOON,
    )


async def test_a_person_has_one_open_claim_on_a_receipt(world_db: Database) -> None:
    async with world_db.unit() as conn:
        first = await _made(conn, "update:a")
        assert first is not None
        assert first.state is ClaimState.ASKED
        assert await _made(conn, "update:a", reference="SGNEWCLAI2") is None  # the same cause
        assert await _made(conn, "update:b") is None
        assert await _made(conn, "update:c", who=STRANGER) is not None
        assert await claims.open_of(conn, BUYER, "SGNEWCLAIM") == first
        assert await claims.by_cause(conn, "update:a") == first
        assert await claims.by_token(conn, "a" * 32) == first
        assert await claims.get(conn, first.id) == first
        assert await claims.count_since(conn, STRANGER, NOW - timedelta(hours=1)) == 1
        assert await claims.count_since(conn, STRANGER, NOW) == 0


async def test_it_is_decided_once(world_db: Database) -> None:
    async with world_db.unit() as conn:
        made = await _made(conn, "update:a")
        assert made is not None
        waits = await claims.step(conn, made.id, ClaimState.PERSON, "no_number", SOON)
        assert waits is not None
        assert (waits.state, waits.why) == (ClaimState.PERSON, "no_number")
        denied = await claims.decide(conn, made.id, ClaimState.DENIED, "unknown", NOW)
        assert denied is not None
        assert denied.state is ClaimState.DENIED
        assert await claims.decide(conn, made.id, ClaimState.DENIED, "again", NOW) is None
        assert await claims.step(conn, made.id, ClaimState.ASKED, "", SOON) is None
        assert await claims.open_of(conn, BUYER, "SGNEWCLAIM") is None


async def test_it_is_not_credited_without_its_money(world_db: Database) -> None:
    async with world_db.unit() as conn:
        made = await _made(conn, "update:a")
        assert made is not None
    with pytest.raises(AmanaError):
        await world_db.run(
            lambda conn: claims.decide(conn, made.id, ClaimState.CREDITED, "", NOW, receipt_id=1)
        )


async def test_the_first_word_of_mpesa_stays(world_db: Database) -> None:
    async with world_db.unit() as conn:
        made = await _made(conn, "update:a")
        assert made is not None
        await claims.told(conn, made.id, Money(100, Currency.KES), "2547***222", NOW)
        await claims.told(conn, made.id, Money(900, Currency.KES), "", None)
        told = await claims.get(conn, made.id)
    assert told is not None
    assert told.amount == Money(100, Currency.KES)
    assert (told.payer_shown, told.happened_at) == ("2547***222", NOW)


async def test_due_ones_are_taken_once(world_db: Database) -> None:
    async with world_db.unit() as conn:
        made = await _made(conn, "update:a")
        assert made is not None
        assert await claims.take_due(conn, NOW, 10) == []
        (taken,) = await claims.take_due(conn, SOON, 10)
        assert (taken.id, taken.checks) == (made.id, 1)
        assert await claims.take_due(conn, SOON, 10) == []


async def test_prompts_without_a_number_are_found_on_every_deal(world_db: Database) -> None:
    """Of the world's four prompts two have no number: one is open, one has a denied receipt."""
    async with world_db.reading() as conn:
        rows = await conn.fetch("SELECT * FROM payment_attempts ORDER BY id")
        amount = Money(rows[0]["amount_minor"], Currency.KES)
        anywhen = await claims.prompts_without_number(conn, amount, None, "")
        then = await claims.prompts_without_number(conn, amount, rows[0]["created_at"], "")
        later = rows[0]["created_at"] + timedelta(hours=1)
        assert await claims.prompts_without_number(conn, amount, later, "") == []
        other = Money(amount.minor + 100, Currency.KES)
        assert await claims.prompts_without_number(conn, other, None, "") == []
    assert {one.id for one in anywhen} == {1}  # the other one counts with its number only
    assert {one.id for one in then} == {1, 4}
    assert HELD not in {one.escrow_id for one in anywhen}


async def test_reserved_deals_are_those_without_a_buyer(world_db: Database) -> None:
    async with world_db.unit() as conn:
        before = await claims.reserved_by(conn, BUYER)
        assert PENDING not in before  # it has its buyer
