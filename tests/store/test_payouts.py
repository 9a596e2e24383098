"""Payouts in the store: claimed once, listed until they are over."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from escrow.domain.money import Currency, Money
from escrow.domain.payouts import PayoutState
from escrow.services import postings
from escrow.store import ledger, payouts
from escrow.store.database import Connection, Database
from escrow.store.payouts import NewPayout
from tests.store.books import ADMIN, BUYER, COMPLETED, NOW, OTHER_PHONE, PHONE, SELLER, STRANGER

TEN = Money(10_00, Currency.KES)
LATER = NOW + timedelta(minutes=3)


@pytest.fixture
async def conn(world_db: Database) -> AsyncIterator[Connection]:
    """A connection to the world of `books`: payout 1 is being sent, 2 is ready, 3 was paid."""
    async with world_db.unit() as opened:
        yield opened


async def new(conn: Connection, cause: str = "withdraw:new", **more: object) -> list[int]:
    fields = {"state": PayoutState.READY, "destination": PHONE, **more}
    made = await payouts.insert(conn, [NewPayout(cause, STRANGER, TEN, **fields)], NOW)  # type: ignore[arg-type]
    await ledger.post(conn, [postings.payout_booked(one, NOW) for one in made])
    return [one.id for one in made]


async def test_a_cause_makes_one_payout(conn: Connection) -> None:
    (number,) = await new(conn)
    assert await new(conn) == []
    found = await payouts.by_cause(conn, "withdraw:new")
    assert found is not None
    assert (found.id, found.amount, found.destination) == (number, TEN, PHONE)
    assert found.is_open


async def test_ready_ones_are_claimed_oldest_first_and_not_before_their_time(
    conn: Connection,
) -> None:
    await conn.execute("UPDATE payouts SET not_before = $1 WHERE id = 2", LATER)
    (number,) = await new(conn)
    assert [one.id for one in await payouts.claim_ready(conn, NOW, 10)] == [number]
    assert [one.id for one in await payouts.claim_ready(conn, LATER, 10)] == [number, 2]


async def test_an_attempt_is_written_with_its_payout_under_way(conn: Connection) -> None:
    (made,) = await payouts.start_attempts(conn, [(2, "P2-ff", "c" * 32)], NOW, LATER)
    assert (made.ocid, made.state) == ("P2-ff", PayoutState.SENDING)
    assert await payouts.attempt_by_token(conn, "c" * 32) == made
    assert await payouts.attempt(conn, made.id) == made
    assert await payouts.live_attempt(conn, 2) == made
    assert await payouts.attempts_made(conn, 2) == 1
    await payouts.attempt_accepted(conn, made.id, "AG_1")
    await payouts.attempt_accepted(conn, made.id, "")
    accepted = await payouts.live_attempt(conn, 2)
    assert accepted is not None
    assert accepted.conversation_id == "AG_1"
    assert await payouts.claim_looks(conn, NOW, 10) == []
    (due,) = await payouts.claim_looks(conn, LATER, 10)
    await payouts.looked(conn, due.id, LATER + timedelta(minutes=5))
    assert await payouts.claim_looks(conn, LATER, 10) == []


async def test_a_definite_no_makes_room_for_another_attempt(conn: Connection) -> None:
    live = await payouts.live_attempt(conn, 1)
    assert live is not None
    await payouts.close_attempt(conn, live.id, PayoutState.FAILED, "1", NOW)
    waiting = await payouts.set_state(conn, 1, PayoutState.READY, note="float", not_before=LATER)
    assert (waiting.state, waiting.note, waiting.not_before) == (PayoutState.READY, "float", LATER)
    assert await payouts.live_attempt(conn, 1) is None


async def test_what_nothing_will_send_is_a_persons_task(conn: Connection) -> None:
    assert await payouts.hold_by_hand(conn, pay=True, reverse=True) == []
    (held,) = await payouts.hold_by_hand(conn, pay=False, reverse=True)
    assert (held.id, held.state, held.note) == (2, PayoutState.MANUAL, "no_keys")


async def test_what_is_open_is_listed_a_persons_tasks_first(conn: Connection) -> None:
    await payouts.hold_by_hand(conn, pay=False, reverse=True)
    assert [one.id for one in await payouts.open_ones(conn, 10)] == [2, 1]
    count = await payouts.open_count(conn)
    assert (count.by_hand, count.unknown, count.under_way, count.oldest) == (1, 0, 1, NOW)
    assert [one.id for one in await payouts.of_person(conn, BUYER)] == [2]
    assert {one.id for one in await payouts.late(conn, NOW, 10, NOW)} == {1, 2}
    assert await payouts.late(conn, NOW - timedelta(minutes=1), 10, NOW) == []


async def test_one_that_is_over_has_its_receipt_and_whose_word_it_was(conn: Connection) -> None:
    (held,) = await payouts.hold_by_hand(conn, pay=False, reverse=True)
    await ledger.post(conn, [postings.payout_paid(held, NOW)])
    done = await payouts.finish(
        conn, held.id, PayoutState.PAID, NOW, reference="SGX0000001", closed_by=ADMIN
    )
    assert (done.state, done.provider_reference) == (PayoutState.PAID, "SGX0000001")
    assert await payouts.payout(conn, held.id, lock=True) == done
    assert await payouts.payout(conn, 99) is None


async def test_a_stop_holds_for_one_credential_until_it_is_lifted(conn: Connection) -> None:
    assert await payouts.stop(conn, "e" * 32, "8006", NOW)
    assert not await payouts.stop(conn, "e" * 32, "2001", NOW)
    assert await payouts.stopped(conn, "e" * 32) == "8006"
    assert await payouts.stopped(conn, "f" * 32) is None
    assert await payouts.lift(conn, "e" * 32, ADMIN, NOW)
    assert not await payouts.lift(conn, "e" * 32, ADMIN, NOW)
    assert await payouts.stopped(conn, "e" * 32) is None


async def test_where_money_may_go_is_known_per_person(conn: Connection) -> None:
    seller = await payouts.person_facts(conn, SELLER)
    assert seller is not None
    assert seller.payout_phone in (PHONE, OTHER_PHONE)
    assert not seller.suspended
    assert await payouts.person_facts(conn, 99) is None
    found = await payouts.settled_facts(conn, [(COMPLETED, BUYER), (COMPLETED, SELLER)])
    assert [place for place, _ in found] == [0, 1]
    assert [one.payout_phone for _, one in found] == [None, seller.payout_phone]
    assert [one.funding_phone for _, one in found] == [None, None]
