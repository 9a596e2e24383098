"""The float: what M-Pesa says, what is due, and what of it is the operator's own."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from escrow.domain.money import Currency, Money
from escrow.services import floating as module
from escrow.services.bookings import booked
from escrow.services.floating import Float, Floating
from escrow.store import floating, ledger
from tests.world import BRIAN, JANE, NOW, OTIENO, World, kes

ZERO = kes(0)


async def _figure(world: World) -> Float:
    async with world.db.reading() as conn:
        return await world.floating.figure(conn)


async def _put_in(world: World, amount: Money, receipt: str = "SGFLOAT001") -> None:
    async with world.db.unit() as conn:
        await ledger.post(conn, [booked("float", receipt, amount, NOW)])


async def _sum(world: World, kind: str) -> int:
    """What the entries themselves say, in minor units."""
    (row,) = await world.sql(
        "SELECT coalesce(sum(e.amount_minor), 0)::bigint AS minor FROM ledger_entries e"
        " JOIN ledger_accounts a ON a.id = e.account_id WHERE a.kind = $1",
        kind,
    )
    return int(row["minor"])


async def test_without_a_reading_the_books_are_believed_and_it_is_said(world: World) -> None:
    deal = await world.deal(buyer=BRIAN)
    await world.pay(deal, 10_500)
    await _put_in(world, kes(2_000))
    found = await _figure(world)
    assert found == Float(kes(12_500), None, ZERO, ZERO, kes(2_000))


async def test_what_m_pesa_says_with_a_payment_by_hand_is_the_float(world: World) -> None:
    deal = await world.deal(buyer=BRIAN)
    await world.paybill(deal.id, deal.due, balance="82400.00")
    found = await _figure(world)
    assert (found.utility, found.read_at) == (kes(82_400), NOW)


async def test_an_older_word_changes_nothing_and_a_payment_is_taken_without_one(
    world: World,
) -> None:
    deal = await world.deal(buyer=BRIAN)
    await world.paybill(deal.id, deal.due, balance="82400.00")
    world.clock.at -= timedelta(hours=1)
    await world.paybill("nothing", kes(300), balance="1.00")
    world.clock.at += timedelta(hours=2)
    await world.paybill("nothing", kes(400), balance="no number")
    assert (await _figure(world)).utility == kes(82_400)
    (row,) = await world.sql("SELECT count(*) FROM inbox WHERE state = 'DONE'")
    assert row["count"] == 3


async def test_a_balance_that_cannot_be_kept_disturbs_no_payment(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def breaks(*_: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(floating, "take_reading", breaks)
    deal = await world.deal(buyer=BRIAN)
    with caplog.at_level(logging.ERROR):
        word = await world.paybill(deal.id, deal.due, balance="82400.00")
    assert "balance_not_kept" in {getattr(record, "action", "") for record in caplog.records}
    (row,) = await world.sql("SELECT state, note FROM inbox")
    assert (row["state"], row["note"]) == ("DONE", word)


async def test_what_is_due_in_a_day_is_what_leaves_by_itself(world: World) -> None:
    sent = await world.deal(2_000, buyer=BRIAN)
    await world.pay(sent, 2_100)
    await world.escrows.ship(sent.id, JANE, tracking="G4S 1", proof=None, cause="test:s")
    unsent = await world.deal(1_000, buyer=OTIENO)
    await world.pay(unsent, 1_050, buyer=OTIENO)
    await _put_in(world, kes(10))
    assert (await _figure(world)).due == ZERO
    world.clock.tick(hours=49)  # unsent goes back within a day
    assert (await _figure(world)).due == kes(1_050)
    world.clock.tick(hours=168 - 24 - 49)
    found = await _figure(world)
    assert found.due == kes(3_050)
    assert found.short == ZERO
    await world.sql("UPDATE people SET auto_payout = false WHERE telegram_id = $1", JANE)
    assert (await _figure(world)).due == kes(1_050)
    nothing = Floating(world.db, world.clock, lambda body: [], auto_payout=False)
    async with world.db.reading() as conn:
        assert (await nothing.figure(conn)).due == ZERO


async def test_what_is_on_its_way_out_is_due_and_the_shortage_is_named(world: World) -> None:
    await world.give(BRIAN, kes(5_000))
    await world.payouts.book_withdrawal(BRIAN, kes(4_000), "test:out")
    await world.paybill("nothing", kes(100), balance="1000.00")
    found = await _figure(world)
    assert (found.due, found.short, found.to_take) == (kes(4_000), kes(3_000), ZERO)


async def test_only_fees_earned_and_own_money_may_be_taken_never_customers(world: World) -> None:
    deal = await world.deal(buyer=BRIAN)
    await world.pay(deal, 10_500)
    assert (await _figure(world)).to_take == ZERO, "the fee is not earned yet"
    await world.escrows.ship(deal.id, JANE, tracking="G4S 1", proof=None, cause="test:s")
    await world.escrows.receive(deal.id, BRIAN, "test:got it")
    assert (await _figure(world)).to_take == kes(500)
    async with world.db.unit() as conn:
        await ledger.post(conn, [booked("charge", "SGCHARGE01", kes(60), NOW)])
    assert (await _figure(world)).to_take == kes(440)
    await world.paybill("nothing", kes(100), balance="10300.00")  # less than the books have
    found = await _figure(world)
    assert found.to_take == kes(200)


async def test_customers_money_is_known_without_reading_their_accounts(world: World) -> None:
    """What the busy accounts leave of zero is what people's accounts hold, added up one by one."""
    await world.give(OTIENO, kes(700))
    await world.give(OTIENO, Money(5_000, Currency.USD))
    deal = await world.deal(buyer=BRIAN)
    await world.pay(deal, 10_700)
    await world.payouts.book_withdrawal(OTIENO, kes(300), "test:out")
    await world.paybill("nothing", kes(100))
    await _put_in(world, kes(50))
    async with world.db.reading() as conn:
        books = await module.books_of(conn)
        held = {
            (r["kind"], r["currency"]): r["total_minor"] for r in await ledger.held_totals(conn)
        }
    rows = await world.sql(
        "SELECT kind, currency, sum(balance_minor)::bigint AS minor FROM ledger_accounts"
        " WHERE balance_minor > 0 GROUP BY 1, 2"
    )
    exact = {(row["kind"], row["currency"]): row["minor"] for row in rows}
    assert held == exact
    assert books.customers.minor == sum(m for (_, one), m in exact.items() if one == "KES")
    assert books.at_provider.minor == books.customers.minor + 5_000


@pytest.mark.parametrize("steps", [0, 1, 2, 5])
async def test_the_busy_accounts_are_the_same_however_far_they_are_rolled_up(
    world: World, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(floating, "_ROLLED", 3)
    for _ in range(2):
        await world.give(OTIENO, kes(700))
    await _put_in(world, kes(50))
    for _ in range(steps):
        async with world.db.reading() as conn:
            await floating.roll_up(conn)
    await world.give(OTIENO, kes(11))
    async with world.db.reading() as conn:
        derived = await floating.derived(conn)
    for kind in ("external", "owner"):
        found = sum(minor for (one, _, _), minor in derived.items() if one == kind)
        assert found == await _sum(world, kind)
    (mark,) = await world.sql("SELECT upto FROM ledger_rollup_mark")
    assert (mark["upto"] > 0) == (steps > 1)


async def test_an_entry_that_commits_late_is_never_left_out(world: World) -> None:
    """Its number is lower than those of entries that were rolled up meanwhile, were they."""
    await world.give(OTIENO, kes(700))
    async with world.db.unit() as slow:
        await ledger.post(slow, [booked("float", "SGSLOW0001", kes(50), NOW)])
        await world.give(OTIENO, kes(900))
        for _ in range(4):
            async with world.db.reading() as conn:
                await floating.roll_up(conn)
    for _ in range(4):
        async with world.db.reading() as conn:
            await floating.roll_up(conn)
    async with world.db.reading() as conn:
        derived = await floating.derived(conn)
    assert derived["external", "mpesa:utility", Currency.KES] == await _sum(world, "external")
    assert derived["owner", "", Currency.KES] == 5_000
    (mark,) = await world.sql(
        "SELECT upto, (SELECT max(id) FROM ledger_entries) AS last FROM ledger_rollup_mark"
    )
    assert mark["upto"] == mark["last"]


async def test_two_who_roll_up_at_once_count_nothing_twice(world: World) -> None:
    import asyncio

    for _ in range(3):
        await world.give(OTIENO, kes(700))

    async def step() -> None:
        async with world.db.reading() as conn:
            await floating.roll_up(conn)

    for _ in range(5):
        await asyncio.gather(*(step() for _ in range(4)))
    async with world.db.reading() as conn:
        derived = await floating.derived(conn)
    assert sum(m for (kind, _, _), m in derived.items() if kind == "external") == await _sum(
        world, "external"
    )
