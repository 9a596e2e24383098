"""What is old makes room: finished deals leave the lists and stay in every report, bodies go and
what they are known by stays, and no money row and no timeline row is touched.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from escrow.domain.model import Escrow
from escrow.domain.schedule import parse
from escrow.services.batches import Tally
from escrow.services.cleanup import Cleanup
from escrow.services.figures import Figures
from escrow.services.monthly import MonthlyReports
from escrow.services.ratings import Ratings
from escrow.services.slots import Slots
from escrow.store import cases, inbox
from escrow.store import cleanup as store
from escrow.store.cleanup import BIG_TABLES
from escrow.store.database import Database
from tests.rail import PAID
from tests.services.test_flags import _raise
from tests.world import (
    ADMIN,
    ADMINS,
    BRIAN,
    JANE,
    NOW,
    MovableClock,
    World,
    new_reference,
    terms,
)

NAIROBI = ZoneInfo("Africa/Nairobi")
SECOND = timedelta(seconds=1)
KEPT = (
    "escrow_transactions",
    "escrow_timeline",
    "escrow_disputes",
    "settlements",
    "receipts",
    "payouts",
    "ledger_accounts",
    "ledger_journals",
    "ledger_entries",
    "underpayment_choices",
    "payment_attempts",
    "seller_ratings",
    "deal_records",
)
"""Money, and what was said and done: not a row of it goes."""


def _cleanup(world: World) -> Cleanup:
    months = MonthlyReports(world.db, world.clock, ADMINS, NAIROBI)
    return Cleanup(world.db, world.clock, world.terms, months)


async def _finished(world: World, how: str = "completed") -> Escrow:
    deal = await world.deal(1_000, buyer=BRIAN)
    if how == "cancelled":
        await world.escrows.cancel(deal.id, BRIAN)
        return deal
    await world.pay(deal, 1_050)
    if how == "refunded":
        await world.escrows.decline(deal.id, JANE)
    else:
        await world.escrows.receive(deal.id, BRIAN, cause=f"test:{deal.id}")
    return deal


async def _archived(world: World) -> set[str]:
    rows = await world.sql("SELECT id FROM escrow_transactions WHERE archived_at IS NOT NULL")
    return {row["id"] for row in rows}


# -- the archive ---------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["completed", "refunded", "cancelled"])
@pytest.mark.parametrize(
    ("passed", "archived"),
    [
        (timedelta(days=90) - SECOND, False),
        (timedelta(days=90), False),
        (timedelta(days=90) + SECOND, True),
    ],
)
async def test_a_finished_deal_older_than_ninety_days_is_archived(
    world: World, how: str, passed: timedelta, archived: bool
) -> None:
    deal = await _finished(world, how)
    world.clock.at += passed
    assert await _cleanup(world).archive() == (Tally(1, 1) if archived else Tally())
    assert await _archived(world) == ({deal.id} if archived else set())


async def test_what_is_not_over_is_never_archived(world: World) -> None:
    held, frozen, disputed = [await world.deal(1_000, buyer=BRIAN) for _ in range(3)]
    for deal in (held, frozen, disputed):
        await world.pay(deal, 1_050)
    await world.escrows.freeze(frozen.id, ADMIN, "look", cause="test:f")
    await world.escrows.dispute(disputed.id, BRIAN, "It is a fake", cause="test:d")
    await world.deal(500, buyer=BRIAN)
    world.clock.tick(days=1_000)
    assert await _cleanup(world).archive() == Tally()


async def test_an_archived_deal_leaves_the_lists_and_stays_in_reports(world: World) -> None:
    deal = await _finished(world)
    await Ratings(world.db, world.clock).rate(deal.id, BRIAN, 5)
    seller = await world.value("SELECT id FROM escrow_sellers")
    page = await Ratings(world.db, world.clock).seller_page(seller)
    record = await world.sql("SELECT * FROM escrow_timeline ORDER BY id")
    world.clock.tick(days=91)
    figures = Figures(world.db, world.clock, NAIROBI)
    board = await figures.dashboard()
    await _cleanup(world).archive()
    assert await world.escrows.deals(BRIAN) == []
    assert await world.sql("SELECT * FROM escrow_timeline ORDER BY id") == record
    assert await Ratings(world.db, world.clock).seller_page(seller) == page
    assert (await figures.dashboard()).money == board.money
    assert (await world.escrow(deal.id)).status == "COMPLETED", "its code still finds it"
    async with world.db.reading() as conn:
        assert (await cases.buyer_record(conn, BRIAN)).completed == 1


async def test_repeated_and_raced_runs_archive_once(world: World) -> None:
    deals = {(await _finished(world)).id for _ in range(5)}
    world.clock.tick(days=91)
    async with world.restarted() as other:
        found = await asyncio.gather(
            *(_cleanup(one).archive() for one in (world, other) for _ in "12")
        )
    assert sum(tally.done for tally in found) == 5
    assert all(not tally.failed for tally in found)
    stamped = await world.sql("SELECT DISTINCT archived_at FROM escrow_transactions")
    world.clock.tick(days=1)
    assert await _cleanup(world).archive() == Tally()
    assert await world.sql("SELECT DISTINCT archived_at FROM escrow_transactions") == stamped
    assert await _archived(world) == deals


async def test_one_bad_deal_stops_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    deals = [await _finished(world) for _ in range(5)]
    world.clock.tick(days=91)
    real = store.archive

    async def poisoned(conn: Any, codes: Any, now: datetime) -> int:
        if deals[2].id in codes:
            raise ValueError("poison")
        return await real(conn, codes, now)

    monkeypatch.setattr(store, "archive", poisoned)
    assert await _cleanup(world).archive() == Tally(5, 4, 1)
    assert await _archived(world) == {deal.id for deal in deals} - {deals[2].id}


# -- flags ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("passed", "gone"),
    [
        (timedelta(days=30) - SECOND, False),
        (timedelta(days=30), True),
        (timedelta(days=30) + SECOND, True),
    ],
)
async def test_a_flag_goes_thirty_days_after_its_review(
    world: World, passed: timedelta, gone: bool
) -> None:
    row = await _raise(world)
    open_one = await _raise(world, JANE)
    assert row is not None
    world.clock.tick(days=100)
    await world.flags.review(row, ADMIN, None, "update:1")
    world.clock.at += passed
    await _cleanup(world).drop_flags()
    left = [one["id"] for one in await world.sql("SELECT id FROM fraud_flags ORDER BY id")]
    assert left == ([open_one] if gone else [row, open_one])


# -- side rows -----------------------------------------------------------------------------------


async def _callback(world: World, body: bytes, at: datetime, query: str = "") -> tuple[int, bool]:
    async with world.db.unit() as conn:
        return await inbox.store_request(
            conn,
            route="stk",
            token="t",
            method="POST",
            query=query,
            body=body,
            sender="127.0.0.1",
            now=at,
        )


async def test_the_body_of_a_callback_goes_and_its_digest_stays_for_ever(world: World) -> None:
    rows = {}
    for state in ("DONE", "PARKED", "NEW"):
        rows[state], new = await _callback(world, state.encode(), world.clock.at, "a=b")
        assert new
        if state != "NEW":
            async with world.db.unit() as conn:
                await inbox.finish_request(conn, rows[state], state, "done with", world.clock.at)
    world.clock.at += timedelta(days=90)
    await _cleanup(world).drop_side_rows()
    assert await world.value("SELECT count(*) FROM inbox WHERE body = ''") == 0
    world.clock.at += SECOND
    await _cleanup(world).drop_side_rows()
    bodies = {
        row["id"]: (row["body"], row["query"]) for row in await world.sql("SELECT * FROM inbox")
    }
    assert bodies == {
        rows["DONE"]: (b"", ""),
        rows["PARKED"]: (b"PARKED", "a=b"),
        rows["NEW"]: (b"NEW", "a=b"),
    }
    world.clock.tick(days=3_650)
    again, new = await _callback(world, b"DONE", world.clock.at, "a=b")
    assert (again, new) == (rows["DONE"], False), "the same request in ten years"


async def test_a_payment_that_is_told_again_years_later_is_paid_once(world: World) -> None:
    deal = await world.deal(1_000, buyer=BRIAN)
    attempt = await world.prompt(deal)
    world.rail.query_answer = PAID
    reference = new_reference()
    await world.callback(attempt, reference)
    wallet, receipts = await world.wallet(), await world.receipts()
    await world.escrows.receive(deal.id, BRIAN, cause="test:r")
    told_at = world.clock.at
    world.clock.tick(days=800)
    await _cleanup(world).run()
    assert await world.value("SELECT body FROM inbox") == b""
    now, world.clock.at = world.clock.at, told_at  # the very same bytes
    await world.callback(attempt, reference)
    world.clock.at = now
    assert await world.value("SELECT count(*) FROM inbox") == 1
    assert await world.wallet() == wallet
    assert len(await world.receipts()) == len(receipts)


async def test_the_body_of_an_update_goes_and_the_update_stays_known(world: World) -> None:
    async with world.db.unit() as conn:
        said = [{"update_id": n, "chat_id": BRIAN, "body": {"n": n}} for n in (1, 2, 3)]
        await inbox.store_updates(conn, said, world.clock.at)
        await inbox.update_done(conn, 1, "DONE", "", world.clock.at)
        await inbox.update_done(conn, 2, "PARKED", "", world.clock.at)
    world.clock.at += timedelta(days=30)
    assert (await _cleanup(world).drop_side_rows()).done == 0
    world.clock.at += SECOND
    assert (await _cleanup(world).drop_side_rows()).done == 1
    rows = await world.sql("SELECT update_id, body FROM telegram_updates ORDER BY update_id")
    assert [row["body"] for row in rows] == [{}, {"n": 2}, {"n": 3}]


@pytest.mark.parametrize(
    ("passed", "gone"), [(timedelta(days=30), False), (timedelta(days=30) + SECOND, True)]
)
async def test_a_dialogue_that_nobody_came_back_to_goes(
    world: World, passed: timedelta, gone: bool
) -> None:
    await world.sql(
        "INSERT INTO conversations (telegram_id, step, updated_at) VALUES ($1, 'sell', $2)",
        BRIAN,
        world.clock.at,
    )
    world.clock.at += passed
    await _cleanup(world).drop_side_rows()
    assert await world.value("SELECT count(*) FROM conversations") == int(not gone)


async def test_notices_go_when_they_are_old_and_their_deal_is_archived(world: World) -> None:
    await world.sql("DELETE FROM outbox")
    open_deal = await world.deal(1_000, buyer=BRIAN)
    await world.pay(open_deal, 1_050)
    deal = await _finished(world)
    await world.sql(
        "INSERT INTO outbox (cause, kind, chat_id, next_try_at, created_at)"
        " VALUES ('test:1', 'late_money', 3001, $1, $1), ('test:2', 'late_money', 3001, $1, $1)",
        world.clock.at,
    )
    await world.sql(
        "UPDATE outbox SET state = 'SENT', closed_at = $1 WHERE cause <> 'test:2'", world.clock.at
    )
    world.clock.at += timedelta(days=180)
    await _cleanup(world).archive()
    assert (await _cleanup(world).drop_side_rows()).done == 0
    world.clock.at += SECOND
    await _cleanup(world).drop_side_rows()
    left = await world.sql("SELECT DISTINCT escrow_id, state FROM outbox ORDER BY 1")
    assert [tuple(row.values()) for row in left] == [(open_deal.id, "SENT"), (None, "QUEUED")]
    assert await _archived(world) == {deal.id}


async def test_many_old_notices_that_stay_do_not_hide_those_that_go(world: World) -> None:
    await world.sql("DELETE FROM outbox")
    deal = await world.deal(1_000, buyer=BRIAN)
    await world.sql(
        "INSERT INTO outbox (cause, kind, chat_id, escrow_id, state, closed_at, next_try_at,"
        " created_at) SELECT 'test:' || n, 'held', 3001, CASE WHEN n % 500 <> 0 THEN $2::text END,"
        " 'SENT', $1, $1, $1 FROM generate_series(1, 2000) AS n",
        world.clock.at,
        deal.id,
    )
    world.clock.at += timedelta(days=181)
    assert (await _cleanup(world).drop_side_rows()).done == 4
    assert await world.value("SELECT count(*) FROM outbox") == 1_996


async def test_old_slots_of_jobs_go_but_never_the_last(world: World) -> None:
    slots = Slots(world.db, world.clock, NAIROBI)
    assert await slots.take("test", parse("3:00")) is None
    for _ in range(3):
        world.clock.tick(days=1)
        slot = await slots.take("test", parse("3:00"))
        assert slot is not None
        await slots.run(slot, _fine)
    world.clock.tick(days=100)
    await _cleanup(world).drop_side_rows()
    assert await world.value("SELECT count(*) FROM job_slots") == 1


async def _fine() -> bool:
    return True


# -- the whole -----------------------------------------------------------------------------------


async def test_not_a_row_of_money_or_history_goes(world: World) -> None:
    for how in ("completed", "refunded", "cancelled"):
        deal = await _finished(world, how)
    disputed = await world.deal(1_000, buyer=BRIAN)
    await world.pay(disputed, 1_050)
    await world.escrows.dispute(disputed.id, BRIAN, "It is a fake", cause="test:d")
    await world.resolve(disputed.id, ADMIN, "split")
    await world.prompt(await world.deal(1_000, buyer=BRIAN))
    assert deal is not None
    before = {table: await world.value(f"SELECT count(*) FROM {table}") for table in KEPT}  # noqa: S608
    assert all(before[table] for table in KEPT[:4])
    for _ in range(5):
        world.clock.tick(days=400)
        tally = await _cleanup(world).run()
        assert tally.failed == 0
    after = {table: await world.value(f"SELECT count(*) FROM {table}") for table in KEPT}  # noqa: S608
    assert after == before


async def test_a_part_that_fails_stops_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    deal = await _finished(world)
    row = await _raise(world)
    assert row is not None
    await world.flags.review(row, ADMIN, None, "update:1")
    world.clock.tick(days=100)
    job = _cleanup(world)

    async def broken() -> Tally:
        raise ValueError("poison")

    monkeypatch.setattr(job, "archive", broken)
    tally = await job.run()
    assert tally.failed == 1
    assert await world.value("SELECT count(*) FROM fraud_flags") == 0
    assert (await world.told(ADMIN)).count("monthly_report") == 1
    monkeypatch.undo()
    await job.run()
    assert await _archived(world) == {deal.id}
    assert (await world.told(ADMIN)).count("monthly_report") == 1


# -- upkeep --------------------------------------------------------------------------------------


async def test_the_program_counts_values_and_leaves_the_room_to_the_server(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await _finished(world)
    with caplog.at_level(logging.INFO):
        assert await _cleanup(world).tend_tables() == Tally(len(BIG_TABLES), len(BIG_TABLES))
    assert "VACUUM is left to the server" in caplog.text
    counted = await world.value(
        "SELECT count(*) FROM pg_stat_user_tables"
        " WHERE last_analyze IS NOT NULL AND relname = ANY ($1::text[])",
        list(BIG_TABLES),
    )
    assert counted == len(BIG_TABLES)


async def test_whoever_owns_the_tables_gives_back_their_room(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    pool = asyncpg.create_pool(dsn, min_size=1, max_size=2)
    async with pool:
        database = Database(pool)
        clock = MovableClock(NOW)
        job = Cleanup(database, clock, terms(), MonthlyReports(database, clock, (), NAIROBI))
        with caplog.at_level(logging.INFO):
            assert await job.tend_tables() == Tally(len(BIG_TABLES), len(BIG_TABLES))
        assert "VACUUM" not in caplog.text
        vacuumed = await pool.fetchval(
            "SELECT count(*) FROM pg_stat_user_tables WHERE last_vacuum IS NOT NULL"
        )
    assert vacuumed == len(BIG_TABLES)
