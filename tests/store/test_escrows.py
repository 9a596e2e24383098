"""Deals in the store: opened once per cause, moved from where they stand or not at all."""

import asyncio
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from escrow.domain.errors import EscrowMoved, IllegalMove, NotAllowed, NotFound
from escrow.domain.flow import FLOW, Actor, Edge, Event, Status, next_edge
from escrow.domain.model import By, SellerStatus
from escrow.domain.money import Currency, Money
from escrow.domain.terms import FeePayer, Terms
from escrow.store import escrows, flags
from escrow.store.database import Connection, Database
from escrow.store.escrows import Move, Settlement
from tests.store import books
from tests.store.books import (
    ADMIN,
    BUYER,
    DUE,
    FEE,
    HELD,
    LATER,
    NOW,
    OPEN_LINK,
    PENDING,
    PRICE,
    SELLER,
    STRANGER,
    UNDERPAID,
    code,
)

KES = Currency.KES
TERMS = Terms()


async def opened(conn: Connection, escrow_id: str, cause: str, **changes: Any) -> str:
    values: dict[str, Any] = {
        "codes": [escrow_id],
        "cause": cause,
        "seller_id": 1,
        "seller_telegram_id": SELLER,
        "buyer_telegram_id": None,
        "by": By(Actor.SELLER, SELLER),
        "description": "Blue phone case",
        "quote": TERMS.quote(Money(10_000_00, KES), FeePayer.BUYER),
        "fee_payer": FeePayer.BUYER,
        "terms": TERMS.deal_terms(KES),
        "pay_by": LATER,
        "now": NOW,
    }
    return await escrows.insert(conn, **{**values, **changes})


def edge(source: Status, event: Event, target: Status | None = None) -> Edge:
    found = [
        row
        for row in FLOW
        if row.source is source and row.event is event and target in (None, row.target)
    ]
    assert len(found) == 1
    return found[0]


async def test_a_deal_reads_back_as_it_was_opened(world_db: Database) -> None:
    async with world_db.unit() as conn:
        assert await opened(conn, books.NEW, "update:17") == books.NEW
        deal = await escrows.get(conn, books.NEW)
    assert (deal.price, deal.fee, deal.due) == (
        Money(10_000_00, KES),
        Money(100_00, KES),
        Money(10_100_00, KES),
    )
    assert deal.tiers == tuple(TERMS.tiers["KES"])
    assert deal.terms["ship_seconds"] == 72 * 3600
    assert (deal.status, deal.version, deal.received) == (Status.PENDING, 1, Money(0, KES))
    assert (deal.seller_telegram_id, deal.buyer_telegram_id, deal.opened_by) == (
        SELLER,
        None,
        SELLER,
    )
    assert deal.seller_status is SellerStatus.VERIFIED
    assert deal.can_be_paid
    assert (deal.pay_by, deal.created_at, deal.held_price) == (LATER, NOW, None)


async def test_the_same_cause_opens_one_deal(world_db: Database) -> None:
    async with world_db.unit() as conn:
        assert await opened(conn, code(70), "update:17") == code(70)
        assert await opened(conn, code(71), "update:17") == code(70)
        with pytest.raises(NotFound):
            await escrows.get(conn, code(71))


async def test_a_deal_that_is_not_there_is_not_found(world_db: Database) -> None:
    async with world_db.unit() as conn:
        for look in (escrows.get, escrows.lock):
            with pytest.raises(NotFound) as caught:
                await look(conn, books.NEW)
            assert caught.value.values == {"code": books.NEW}


async def test_undecided_and_held_money_is_read_with_the_deal(world_db: Database) -> None:
    async with world_db.unit() as conn:
        underpaid = await escrows.lock(conn, UNDERPAID)
        held = await escrows.get(conn, HELD)
    assert underpaid.received == Money(books.RECEIVED, KES)
    assert (held.held_price, held.held_fee) == (Money(PRICE, KES), Money(FEE, KES))
    assert not held.can_be_paid


async def test_a_locked_deal_is_read_as_it_is_after_the_wait(world_db: Database) -> None:
    waiting = asyncio.Event()

    async def second() -> Status:
        async with world_db.unit() as conn:
            waiting.set()
            return (await escrows.lock(conn, PENDING)).status

    async with world_db.unit() as conn:
        await escrows.lock(conn, PENDING)
        task = asyncio.create_task(second())
        await waiting.wait()
        cancel = Move(PENDING, edge(Status.PENDING, Event.CANCEL), By(Actor.TIMER), NOW)
        await escrows.move(conn, [cancel])
    assert await task is Status.CANCELLED


async def test_a_move_stamps_its_time_and_writes_the_timeline(world_db: Database) -> None:
    ship = Move(
        HELD,
        edge(Status.HELD, Event.SHIP),
        By(Actor.SELLER, SELLER),
        LATER,
        data={"note": "bus"},
        release_at=LATER + timedelta(hours=168),
        tracking="G4S 12345",
    )
    async with world_db.unit() as conn:
        assert await escrows.move(conn, [ship]) == {HELD: 3}
        deal = await escrows.get(conn, HELD)
        last = (await escrows.timeline(conn, HELD))[-1]
        shipped = await conn.fetchrow("SELECT * FROM escrow_transactions WHERE id = $1", HELD)
    assert deal.status is Status.SHIPPED
    assert deal.release_at == LATER + timedelta(hours=168)
    assert (shipped["shipped_at"], shipped["tracking"]) == (LATER, "G4S 12345")
    assert dict(last) == {
        "event": "ship",
        "from_status": "HELD",
        "to_status": "SHIPPED",
        "actor": f"seller:{SELLER}",
        "at": LATER,
        "data": {"note": "bus"},
    }


@pytest.mark.parametrize("row", FLOW, ids=lambda row: f"{row.event} {row.source}-{row.target}")
def test_every_time_that_the_flow_stamps_is_written_by_the_move(row: Edge) -> None:
    if row.source is None:
        assert row.stamps == "created_at"
    elif row.stamps is not None:
        assert f"CASE m.stamp WHEN '{row.stamps}' THEN m.at" in escrows._SQL["move"]


async def test_a_deal_that_moved_meanwhile_is_not_moved(world_db: Database) -> None:
    ship = Move(HELD, edge(Status.HELD, Event.SHIP), By(Actor.SELLER, SELLER), NOW)
    async with world_db.unit() as conn:
        await escrows.move(conn, [ship])
    with pytest.raises(EscrowMoved):
        async with world_db.unit() as conn:
            await escrows.move(conn, [ship])


async def test_of_many_moves_all_are_made_or_none(world_db: Database) -> None:
    moves = [
        Move(deal, edge(Status.PENDING, Event.CANCEL), By(Actor.TIMER), NOW)
        for deal in (PENDING, books.CANCELLED)
    ]
    with pytest.raises(EscrowMoved):
        async with world_db.unit() as conn:
            await escrows.move(conn, moves)
    async with world_db.reading() as conn:
        assert (await escrows.get(conn, PENDING)).status is Status.PENDING


@pytest.mark.parametrize(
    ("by", "error"),
    [
        (By(Actor.SELLER, STRANGER), NotAllowed),
        (By(Actor.BUYER, BUYER), IllegalMove),
        (By(Actor.TIMER), IllegalMove),
    ],
    ids=str,
)
async def test_the_database_has_the_last_word_on_who(
    world_db: Database, by: By, error: type[Exception]
) -> None:
    with pytest.raises(error):
        async with world_db.unit() as conn:
            await escrows.move(conn, [Move(HELD, edge(Status.HELD, Event.SHIP), by, NOW)])


async def test_of_ten_who_move_a_deal_at_once_one_wins(world_db: Database) -> None:
    def move(number: int) -> Move:
        if number % 2:
            return Move(PENDING, edge(Status.PENDING, Event.CANCEL), By(Actor.TIMER), NOW)
        by = By(Actor.BUYER, BUYER)
        return Move(PENDING, next_edge(Status.PENDING, Event.CANCEL, Actor.BUYER), by, NOW)

    async def attempt(number: int) -> None:
        async with world_db.unit() as conn:
            await escrows.move(conn, [move(number)])

    done = await asyncio.gather(*(attempt(number) for number in range(10)), return_exceptions=True)
    assert sorted(type(one).__name__ for one in done) == ["EscrowMoved"] * 9 + ["NoneType"]
    async with world_db.reading() as conn:
        assert [row["event"] for row in await escrows.timeline(conn, PENDING)] == ["open", "cancel"]


async def test_a_buyer_joins_an_open_link(world_db: Database) -> None:
    join = Move(
        OPEN_LINK,
        edge(Status.PENDING, Event.JOIN),
        By(Actor.BUYER, STRANGER),
        NOW,
        buyer=STRANGER,
    )
    async with world_db.unit() as conn:
        await escrows.move(conn, [join])
        assert (await escrows.get(conn, OPEN_LINK)).buyer_telegram_id == STRANGER


async def test_a_note_is_on_the_timeline_and_moves_nothing(world_db: Database) -> None:
    async with world_db.unit() as conn:
        await escrows.note(conn, HELD, "reminder", By(Actor.TIMER), NOW, kind="ship_day_1")
        deal = await escrows.get(conn, HELD)
        last = (await escrows.timeline(conn, HELD))[-1]
    assert (deal.status, deal.version) == (Status.HELD, 2)
    assert (last["event"], last["from_status"], last["to_status"]) == ("reminder", "HELD", "HELD")
    assert last["data"] == {"kind": "ship_day_1"}


async def test_a_deal_is_settled_with_the_event_that_ends_it(world_db: Database) -> None:
    settlement = Settlement(HELD, Event.DECLINE, 0, DUE, 0, NOW)
    decline = Move(HELD, edge(Status.HELD, Event.DECLINE), By(Actor.SELLER, SELLER), NOW)
    async with world_db.unit() as conn:
        await books.run(conn, books.drain(HELD, seller=0, buyer=DUE, fee=0))
        await escrows.settle(conn, [settlement])
        await escrows.move(conn, [decline])
    with pytest.raises(EscrowMoved):
        async with world_db.unit() as conn:
            await escrows.settle(conn, [settlement])


# -- lists ---------------------------------------------------------------------------------------


async def test_a_persons_deals_come_newest_first_and_without_archived_ones(
    world_db: Database,
) -> None:
    async with world_db.unit() as conn:
        for number, minutes in ((70, 2), (71, 1), (72, 3)):
            now = NOW + timedelta(minutes=minutes)
            await opened(conn, code(number), f"update:{number}", now=now)
        ours = [deal.id for deal in await escrows.deals_of(conn, SELLER, limit=3)]
        assert ours == [code(72), code(70), code(71)]
        assert len(await escrows.deals_of(conn, BUYER, limit=99)) == 10
        assert await escrows.deals_of(conn, STRANGER) == []
        await conn.execute(
            "UPDATE escrow_transactions SET archived_at = now() WHERE status = 'COMPLETED'"
        )
        assert len(await escrows.deals_of(conn, BUYER, limit=99)) == 9


async def test_which_codes_wait_for_money(world_db: Database) -> None:
    async with world_db.reading() as conn:
        found = await escrows.open_codes(conn, [PENDING, HELD, books.NEW, OPEN_LINK])
    assert sorted(found) == sorted([PENDING, OPEN_LINK])


async def test_how_many_deals_of_a_seller_are_under_way(world_db: Database) -> None:
    async with world_db.reading() as conn:
        assert await escrows.open_deals_of_seller(conn, 1) == 8
        assert await escrows.open_deals_of_seller(conn, 2) == 0


async def test_a_seller_who_is_verified_can_be_paid_from_then_on(world_db: Database) -> None:
    async with world_db.unit() as conn:
        await opened(conn, books.NEW, "update:1", pay_by=None)
        assert not (await escrows.get(conn, books.NEW)).can_be_paid
        assert await escrows.start_paying(conn, 1, NOW) == [books.NEW]
        assert await escrows.start_paying(conn, 1, LATER) == []
        deal = await escrows.get(conn, books.NEW)
    assert deal.pay_by == NOW + timedelta(hours=24)
    assert deal.can_be_paid


async def test_deals_nobody_paid_are_due_when_their_time_is_over(world_db: Database) -> None:
    late = LATER + timedelta(seconds=1)
    async with world_db.unit() as conn:
        assert await escrows.due_to_cancel(conn, LATER - timedelta(seconds=1), 10) == []
        # a waiting receipt, an open choice and an open prompt hold a deal
        assert await escrows.due_to_cancel(conn, late, 10) == [OPEN_LINK]
        await conn.execute("UPDATE receipts SET state = 'IGNORED' WHERE state = 'WAITING'")
        assert sorted(await escrows.due_to_cancel(conn, late, 10)) == sorted([PENDING, OPEN_LINK])
        assert len(await escrows.due_to_cancel(conn, late, 1)) == 1


@pytest.mark.parametrize(
    ("freed", "is_due"),
    [
        ("UPDATE payment_attempts SET state = 'EXPIRED', closed_at = now() WHERE id = 1", False),
        ("UPDATE underpayment_choices SET voided_at = now() WHERE id = 1", False),
        (
            "UPDATE payment_attempts SET state = 'EXPIRED', closed_at = now() WHERE id = 1;"
            " UPDATE underpayment_choices SET voided_at = now() WHERE id = 1",
            True,
        ),
    ],
    ids=["an open choice holds it", "an open prompt holds it", "nothing holds it"],
)
async def test_a_deal_that_waits_for_something_is_not_cancelled(
    world_db: Database, freed: str, *, is_due: bool
) -> None:
    async with world_db.unit() as conn:
        await conn.execute(freed)
        assert (UNDERPAID in await escrows.due_to_cancel(conn, LATER, 10)) is is_due


async def test_two_sweeps_never_take_the_same_deal(world_db: Database) -> None:
    async with world_db.unit() as one, world_db.unit() as other:
        first = await escrows.due_to_cancel(one, LATER, 10)
        second = await escrows.due_to_cancel(other, LATER, 10)
    assert first == [OPEN_LINK]
    assert second == []


async def test_tolerated_shortages_of_a_buyer_are_counted_since_a_time(
    db: Database, conn: asyncpg.Connection
) -> None:
    async with conn.transaction():
        await books.run(conn, *books.people())
        for number, waived in ((70, 0), (71, 100), (72, 5)):
            await books.run(conn, books.open_deal(code(number)), *books.fund(code(number))[:2])
            fund = books.move(
                code(number),
                "fund",
                "HELD",
                "payment",
                held_price_minor=PRICE,
                held_fee_minor=FEE,
                last_data=f'{{"waived_minor": {waived}}}',
            )
            await books.run(conn, fund)
    async with db.reading() as reading:
        assert set(await flags.shortages_since(reading, BUYER, NOW)) == {code(71), code(72)}
        assert await flags.shortages_since(reading, BUYER, LATER) == []
        assert await flags.shortages_since(reading, ADMIN, NOW) == []
