"""M-Pesa's statement beside the books: every break by its name, and nothing done twice."""

import asyncio
import json
import time
import tracemalloc
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from benchmarks import due
from escrow.domain.errors import InvalidInput, NotAllowed
from escrow.domain.model import Escrow
from escrow.domain.payouts import PayoutState
from escrow.domain.statements import BreakKind, Compared
from escrow.services.bookings import read as read_booking
from escrow.services.bookings import target
from escrow.services.intake import PAYOUT_WORD
from escrow.services.ports import Answer, Verdict
from escrow.services.statements import ASKED_MAX
from escrow.store import queries
from escrow.store.statements import booked_after
from tests.payout_rail import word_body
from tests.rail import paybill_body, status_body
from tests.statement import charge, file, line, payout, reversal
from tests.world import ADMIN, BRIAN, NOW, PHONES, World, kes, new_reference

BLOCKS_MAX = 200
"""What the sum of a few payments may touch."""
EARLY, LATE = timedelta(hours=-12), timedelta(hours=12)


@pytest.fixture
async def world(dsn: str) -> AsyncIterator[World]:
    async with World.open(dsn) as opened:
        opened.rail.can_ask_status = True
        yield opened
        await opened.books()


async def sent(world: World, *rows: str, by: int | None = ADMIN, shortcode: str = "") -> Compared:
    """An admin sends these rows as a file; two charges stretch its time to half a day around."""
    ends = [
        charge("SZEDGE0001", world.clock.now() + EARLY, 1),
        charge("SZEDGE0002", world.clock.now() + LATE, 1),
    ]
    return await compare(world, file([*ends, *rows], shortcode=shortcode), by)


async def compare(world: World, body: bytes, by: int | None = ADMIN) -> Compared:
    async def tell(done: int, of: int) -> None:
        assert done <= of

    return await world.statements.compare(body, by, tell)


def kinds(found: Compared) -> list[str]:
    return [str(one.kind) for one in found.breaks]


async def paid(world: World, price: int = 1_000) -> tuple[Escrow, str]:
    deal = await world.deal(price, buyer=BRIAN)
    number = new_reference()
    await world.pay(deal, price * 105 // 100, reference=number)
    await world.sql("DELETE FROM outbox")
    return await world.escrow(deal.id), number


async def book(world: World, *words: str) -> Any:
    params = read_booking(list(words))
    return await world.rules("book", target(params), ADMIN, **params)


def now(world: World) -> datetime:
    return world.clock.now()


# -- what both have ------------------------------------------------------------------------------


async def test_payments_payouts_and_bookings_that_both_have_are_matched(world: World) -> None:
    _, number = await paid(world)
    await world.give(BRIAN, kes(500))
    booked = await world.payouts.book_withdrawal(BRIAN, kes(200), "test:out")
    world.payout_rail.can_pay = False
    await world.payouts.send_due()
    await world.sql(
        "UPDATE payouts SET state = 'MANUAL' WHERE id = $1 AND state = 'READY'", booked.id
    )
    await world.payouts.mark_paid(booked.id, ADMIN, "SGOUT00001")
    await book(world, "float", "5,000", "SGFLOAT001")
    given = [one["reference"] for one in await world.receipts() if one["reference"] != number]
    found = await sent(
        world,
        line(number, now(world), 1050),
        payout("SGOUT00001", now(world), 200),
        line("SGFLOAT001", now(world), 5000, "Organization Settlement"),
        *(line(one, now(world), 500) for one in given),
    )
    assert (kinds(found), found.matched) == ([], 3 + len(given))


# -- each break ----------------------------------------------------------------------------------


async def test_a_payment_that_we_had_not_heard_of_is_asked_about_and_then_credited(
    world: World,
) -> None:
    deal = await world.deal(1_000, buyer=BRIAN)
    row = line("SGNEW00001", now(world), 1050, account=deal.id)
    found = await sent(world, row)
    assert (kinds(found), found.asked) == (["unknown_payment"], 1)
    assert await world.receipt_states() == {"SGNEW00001": "WAITING"}
    await world.confirmations.check_due()
    (token,) = [one.token for one in world.rail.asked]
    said = world.rail.read_status_result(status_body("SGNEW00001", kes(1050)))
    assert await world.confirmations.on_status_result(token, said) == "funded"
    assert str((await world.escrow(deal.id)).status) == "HELD"
    again = await sent(world, row)
    assert (kinds(again), again.matched) == ([], 1)


async def test_without_keys_a_person_is_asked_and_the_limit_for_small_sums_does_not_count(
    world: World,
) -> None:
    world.rail.can_ask_status = False
    deal = await world.deal(1_000, buyer=BRIAN)
    await sent(world, line("SGNEW00001", now(world), 1050, account=deal.id))
    await world.confirmations.check_due()
    assert str((await world.escrow(deal.id)).status) == "PENDING"
    assert (await world.notice(ADMIN, "confirm_receipt"))["why"] == "statement"


async def test_a_file_credits_nothing_while_mpesa_refuses_to_answer(world: World) -> None:
    deal = await world.deal(1_000, buyer=BRIAN)
    await sent(world, line("SGNEW00001", now(world), 1050, account=deal.id))
    world.rail.can_ask_status = False
    for _ in range(5):
        world.clock.tick(minutes=3)
        await world.confirmations.check_due()
    assert str((await world.escrow(deal.id)).status) == "PENDING"


async def test_a_confirmation_that_comes_after_the_file_is_credited_once(world: World) -> None:
    deal = await world.deal(1_000, buyer=BRIAN)
    row = line("SGNEW00001", now(world), 1050, account=deal.id)
    body = paybill_body(deal.id, kes(1050), "SGNEW00001", now(world), shown=PHONES[BRIAN])
    payment = world.rail.read_paybill(body)
    await asyncio.gather(
        sent(world, row), world.confirmations.on_paybill(payment, None), sent(world, row)
    )
    assert len(await world.receipts()) == 1
    await world.confirmations.check_due()
    assert world.rail.asked
    for one in world.rail.asked:
        said = world.rail.read_status_result(status_body("SGNEW00001", kes(1050)))
        await world.confirmations.on_status_result(one.token, said)
    assert str((await world.escrow(deal.id)).status) == "HELD"


async def test_another_amount_is_named_with_both(world: World) -> None:
    deal, number = await paid(world)
    found = await sent(world, line(number, now(world), 1000))
    (one,) = found.breaks
    assert (one.kind, one.amount, one.ours) == (BreakKind.OTHER_AMOUNT, kes(1000), kes(1050))
    assert one.code == deal.id


async def test_money_that_we_credited_and_mpesa_does_not_show_is_told_to_every_admin_once(
    world: World,
) -> None:
    deal, number = await paid(world)
    for _ in range(2):
        found = await sent(world)
        assert kinds(found) == ["missing_payment"]
    assert (await world.notice(ADMIN, "receipt_not_shown"))["reference"] == number
    assert found.breaks[0].code == deal.id


async def test_what_happened_outside_the_files_time_is_not_looked_for(world: World) -> None:
    await paid(world)
    world.clock.tick(hours=13)
    assert kinds(await sent(world)) == []


async def test_a_statement_of_the_paying_shortcode_is_not_asked_for_payments(world: World) -> None:
    await paid(world)
    assert kinds(await sent(world, shortcode=world.payout_rail.shortcode)) == []
    assert kinds(await sent(world, shortcode=world.rail.shortcode)) == ["missing_payment"]


async def test_money_that_left_and_that_we_know_nothing_of_is_named(world: World) -> None:
    found = await sent(world, payout("SGOUT00009", now(world), 700))
    assert kinds(found) == ["unknown_payout"]


async def open_payout(world: World) -> int:
    await world.give(BRIAN, kes(500))
    world.payout_rail.can_pay = False
    booked = await world.payouts.book_withdrawal(BRIAN, kes(200), "test:out")
    world.payout_rail.can_pay = True
    await world.sql("DELETE FROM outbox")
    return booked.id


def given(world: World, rows: list[Any]) -> list[str]:
    return [line(one["reference"], now(world), one["amount_minor"] // 100) for one in rows]


async def test_a_payout_that_waits_for_a_person_is_named_and_asked_about(world: World) -> None:
    number = await open_payout(world)
    party = f"{PHONES[BRIAN]} - BRIAN OTIENO"
    rows = [payout("SGOUT00001", now(world), 200, party=party)]
    rows += given(world, list(await world.receipts()))
    found = await sent(world, *rows)
    (one,) = found.breaks
    assert (one.kind, one.payout, one.note) == (BreakKind.PAYOUT_SHOWN, number, "asked")
    waiting = await world.payouts.payout(number)
    assert (waiting.state, waiting.named_reference) == (PayoutState.MANUAL, "SGOUT00001")
    assert waiting.named_token is not None
    body = word_body(waiting, "SGOUT00001", receiver="2547***222 - B")
    await world.intake.store(PAYOUT_WORD, waiting.named_token, "POST", "", body, "127.0.0.1")
    assert await world.settle_inbox() == "paid"
    assert kinds(await sent(world, *rows)) == []


async def test_where_nobody_can_be_asked_a_file_closes_no_payout(world: World) -> None:
    number = await open_payout(world)
    world.payout_rail.can_pay = False
    party = f"{PHONES[BRIAN]} - BRIAN OTIENO"
    rows = [payout("SGOUT00001", now(world), 200, party=party)]
    rows += given(world, list(await world.receipts()))
    (one,) = (await sent(world, *rows)).breaks
    assert (one.payout, one.note) == (number, "MANUAL")
    assert (await world.payouts.payout(number)).named_reference is None


async def test_two_rows_that_fit_one_payout_name_none(world: World) -> None:
    await open_payout(world)
    party = f"{PHONES[BRIAN]} - BRIAN OTIENO"
    rows = [payout(f"SGOUT0000{n}", now(world), 200, party=party) for n in range(2)]
    rows += given(world, list(await world.receipts()))
    assert kinds(await sent(world, *rows)) == ["unknown_payout"] * 2


async def test_own_money_that_moved_without_a_booking_is_named(world: World) -> None:
    await book(world, "float", "5,000", "SGFLOAT001")
    found = await sent(
        world,
        line("SGMOVE0001", now(world), -4000, "Withdraw Funds to Bank"),
        line("SGFLOAT001", now(world), 4000, "Organization Settlement"),
        line("SGODD00001", now(world), 7, "Words of tomorrow"),
    )
    assert kinds(found) == ["other_amount", "not_booked", "unclear"]


async def test_a_receipt_that_waits_is_named(world: World) -> None:
    number = new_reference()
    await world.funds.register_waiting(
        world.by_hand(None, kes(500), reference=number), next_check_after=None
    )
    (one,) = (await sent(world, line(number, now(world), 500))).breaks
    assert (one.kind, one.note) == (BreakKind.NOT_POSTED, "WAITING")


async def test_a_row_fills_the_slot_of_a_prompt_that_only_a_query_proved(world: World) -> None:
    deal = await world.deal(1_000, buyer=BRIAN)
    attempt = await world.prompt(deal)
    world.clock.tick(seconds=30)
    world.rail.query_answer = Answer(Verdict.PAID)
    await world.confirmations.look(await world.attempt(attempt))
    assert str((await world.escrow(deal.id)).status) == "HELD"
    (one,) = (await sent(world)).breaks
    assert one.kind is BreakKind.NO_NUMBER
    row = line("SGSLOT0001", now(world), 1050, account=deal.id, party="2547***222 - B")
    found = await sent(world, row)
    assert (kinds(found), found.matched) == ([], 1)
    assert await world.receipt_states() == {"SGSLOT0001": "CREDITED"}


# -- charges -------------------------------------------------------------------------------------


async def test_charges_are_booked_once_whatever_files_they_come_in(world: World) -> None:
    _, number = await paid(world)
    rows = [line(number, now(world), 1050), charge(number, now(world), "5.50")]
    first = await sent(world, *rows)
    assert (first.charges, first.charged, first.charges_known) == (3, kes("7.50"), 0)
    again = await asyncio.gather(*(sent(world, *rows) for _ in range(5)))
    assert {(one.charges, one.charges_known) for one in again} == {(0, 3)}
    assert await world.value("SELECT sum(amount_minor) FROM bookings") == 750
    with pytest.raises(NotAllowed, match="booked_before"):
        await book(world, "charge", "5.50", number)


async def test_files_at_once_book_a_charge_once(world: World) -> None:
    rows = [charge(f"SGCHG{n:05d}", now(world), 5) for n in range(150)]
    found = await asyncio.gather(*(sent(world, *rows) for _ in range(4)))
    assert sum(one.charges for one in found) == 152


async def test_two_charges_under_one_number_are_one_booking(world: World) -> None:
    rows = [charge("SGCHG00001", now(world), 5), charge("SGCHG00001", now(world), 7)]
    assert (await sent(world, *rows)).charged == kes(14)
    (one,) = (await sent(world, rows[0])).breaks
    assert (one.kind, one.ours) == (BreakKind.OTHER_CHARGE, kes(-12))


# -- reversals -----------------------------------------------------------------------------------


async def test_a_reversal_in_the_file_freezes_its_deal_once(world: World) -> None:
    deal, number = await paid(world)
    rows = [line(number, now(world), 1050), reversal("SGREV00001", now(world), 1050, number)]
    assert kinds(await sent(world, *rows)) == ["reversed"]
    assert str((await world.escrow(deal.id)).status) == "FROZEN"
    again = await sent(world, *rows)
    assert (kinds(again), again.matched) == ([], 2)


async def test_a_payment_and_its_reversal_that_we_never_heard_of_credit_nobody(
    world: World,
) -> None:
    deal = await world.deal(1_000, buyer=BRIAN)
    rows = [
        line("SGNEW00001", now(world), 1050, account=deal.id),
        reversal("SGREV00001", now(world), 1050, "SGNEW00001"),
    ]
    assert kinds(await sent(world, *rows)) == ["unknown_reversal"]
    assert await world.receipt_states() == {"SGNEW00001": "IGNORED"}
    await world.confirmations.check_due()
    assert world.rail.asked == []


# -- the balance, and the whole of it ------------------------------------------------------------


async def test_the_balance_is_laid_beside_the_books_of_that_time(world: World) -> None:
    _, number = await paid(world)
    at = now(world)
    rows = [line(number, at, 1050, balance="1,050.00"), charge("SGCHG00001", at, 5)]
    body = file([rows[1], line(number, at + timedelta(seconds=1), 1050, balance="1,045.00")])
    world.clock.tick(hours=2)
    await world.pay(await world.deal(1_000, buyer=BRIAN), 1050)
    found = await compare(world, body)
    assert found.balance is not None
    assert (found.balance.books, found.balance.off) == (kes(1045), kes(0))


async def test_while_everything_is_paused_it_only_compares(world: World) -> None:
    deal, number = await paid(world)
    await world.pauses.pause(ADMIN, "restore", "test:pause")
    rows = [
        line(number, now(world), 1050),
        reversal("SGREV00001", now(world), 1050, number),
        line("SGNEW00001", now(world), 10),
        charge("SGCHG00001", now(world), 5),
    ]
    before = await world.snapshot()
    found = await sent(world, *rows)
    assert found.paused
    assert (kinds(found), found.charges) == (["reversed", "unknown_payment"], 0)
    assert await world.snapshot() == before
    assert str((await world.escrow(deal.id)).status) == "HELD"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "statement_no_header"),
        (b"\xff\xfe\x00", "statement_no_header"),
        (file([]), "statement_empty"),
        (file([line("SGNEW00001", NOW, 1)], shortcode="999999"), "statement_other_account"),
    ],
)
async def test_what_is_no_statement_of_ours_is_refused_by_name(
    world: World, body: bytes, reason: str
) -> None:
    before = await world.snapshot()
    with pytest.raises(InvalidInput, match=reason):
        await compare(world, body)
    assert await world.snapshot() == before


def many(world: World) -> list[str]:
    rows = [line(f"SGB{n:07d}", now(world), 10) for n in range(16_000)]
    return rows + [charge(f"SGB{n:07d}", now(world), 1) for n in range(4_000)]


async def test_twenty_thousand_rows_take_seconds(world: World) -> None:
    rows = many(world)
    began = time.monotonic()
    found = await sent(world, *rows)
    took = time.monotonic() - began
    assert (found.asked, found.left, found.charges) == (ASKED_MAX, 16_000 - ASKED_MAX, 4_002)
    assert took < 20, took


async def test_twenty_thousand_rows_take_little_memory(world: World) -> None:
    body = file(many(world)[:16_000])
    tracemalloc.start()
    found = await compare(world, body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found.breaks) == 16_000
    assert peak < 64 * 1024 * 1024, peak


async def test_what_came_after_a_time_is_summed_without_all_that_came_before(world: World) -> None:
    """All payments went through one account: the sum of the newest must not begin there."""
    await due.make(world.dsn, 1, 30_000, world.clock.now())
    async with world.db.unit() as conn:
        await conn.execute("SET LOCAL ROLE NONE")
        await conn.execute("ANALYZE")
        made = await conn.fetchval("SELECT clock_timestamp()")
    world.clock.at = made + timedelta(seconds=1)
    for _ in range(3):
        await paid(world)
    async with world.db.reading() as conn:
        assert await booked_after(conn, made) == kes(3 * 1_050)
        (row,) = await conn.fetch(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {queries.load('statements')['after']}", made
        )
    top = json.loads(row[0])[0]["Plan"]
    assert top["Shared Hit Blocks"] + top["Shared Read Blocks"] < BLOCKS_MAX
