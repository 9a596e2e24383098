"""The clockwork: every job runs, says what it did, and stops for nobody but the clock."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

import escrow_automation
from escrow.bootstrap import Services, open_services_on
from escrow.domain.errors import DatabaseDown, Paused
from escrow.settings import load
from escrow.store import outages
from escrow_automation import JOBS, Job, run_job, start_automation, stop_automation


@pytest.fixture
async def services(dsn: str) -> AsyncIterator[Services]:
    found = await open_services_on(load({"HTTP_PORT": "0"}), dsn, b"k" * 32)
    yield found
    await found.close()


async def _runs(services: Services) -> dict[str, dict[str, object]]:
    async with services.database.reading() as conn:
        rows = await conn.fetch("SELECT * FROM job_runs ORDER BY id")
    return {row["job"]: dict(row) for row in rows}


def test_job_names_are_unique_and_say_what_they_do() -> None:
    assert len({job.name for job in JOBS}) == len(JOBS)
    assert all(job.words for job in JOBS)


async def test_every_job_runs_on_an_empty_database_and_is_recorded(services: Services) -> None:
    for job in JOBS:
        assert await run_job(services, job), job.name
    runs = await _runs(services)
    assert set(runs) == {job.name for job in JOBS}
    for run in runs.values():
        assert run["finished_at"] is not None
        assert (run["failed"], run["error"]) == (0, None)


async def test_a_failing_job_is_recorded_and_does_not_raise(services: Services) -> None:
    async def broken(_: Services) -> tuple[int, int, int]:
        raise ValueError("it broke")

    job = Job("broken", "fails", lambda _: 1, broken)
    assert not await run_job(services, job)
    assert (await _runs(services))["broken"]["error"] == "ValueError: it broke"


async def test_a_job_that_looked_and_failed_counts_both(services: Services) -> None:
    async def partly(_: Services) -> tuple[int, int, int]:
        return 5, 3, 1

    assert not await run_job(services, Job("partly", "fails once", lambda _: 1, partly))
    run = (await _runs(services))["partly"]
    assert [run[key] for key in ("looked_at", "done", "skipped", "failed")] == [5, 3, 1, 1]


async def test_a_database_that_is_away_only_means_later(services: Services) -> None:
    async def away(_: Services) -> tuple[int, int, int]:
        raise DatabaseDown

    assert not await run_job(services, Job("away", "waits", lambda _: 1, away))


async def test_timers_stand_still_while_the_clock_can_not_be_trusted(services: Services) -> None:
    ran: list[str] = []

    async def note(_: Services) -> tuple[int, int, int]:
        ran.append("x")
        return 1, 1, 0

    services.clock.drift = timedelta(seconds=61)
    assert not await run_job(services, Job("timer", "moves money", lambda _: 1, note))
    assert await run_job(services, Job("watch", "only looks", lambda _: 1, note, timer=False))
    assert ran == ["x"]


async def test_a_jump_of_the_clock_is_noticed_and_keeps_the_old_line(services: Services) -> None:
    before = services.clock.now()
    assert services.clock._base is not None
    services.clock._base -= timedelta(hours=48)  # as if the host's clock had jumped ahead
    async with services.database.reading() as conn:
        await services.clock.read(conn)
    assert not services.clock.steady
    assert services.clock.now() < before - timedelta(hours=47)


async def test_the_scheduler_starts_once_and_stops_cleanly(services: Services) -> None:
    first = await start_automation(None, services)
    assert await start_automation(None, services) is first
    assert first.running
    await stop_automation()
    assert not first.running
    await stop_automation()
    assert escrow_automation._running is None


async def test_old_runs_are_forgotten_but_never_the_last(services: Services) -> None:
    prove = next(job for job in JOBS if job.name == "prove_books")
    clock = next(job for job in JOBS if job.name == "read_clock")
    await run_job(services, prove)
    async with services.database.reading() as conn:
        await conn.execute("UPDATE job_runs SET started_at = started_at - interval '2 days'")
    await run_job(services, prove)
    await run_job(services, clock)
    async with services.database.reading() as conn:
        left = await conn.fetch("SELECT job, count(*) AS n FROM job_runs GROUP BY job")
    assert {row["job"]: row["n"] for row in left} == {"prove_books": 1, "read_clock": 1}


async def test_the_proof_tells_the_admins_what_broke(services: Services, dsn: str) -> None:
    import asyncpg

    watched = dataclasses.replace(services)
    watched.oversight._admins = (1001,)
    owner = await asyncpg.connect(dsn)
    await owner.execute("SET session_replication_role = replica")
    await owner.execute(
        "INSERT INTO ledger_accounts (kind, owner, currency, balance_minor, entries) "
        "VALUES ('wallet', '3001', 'KES', 500, 1)"
    )
    await owner.close()
    for _ in range(3):
        assert await watched.oversight.prove() == (1, 1)
    async with services.database.reading() as conn:
        rows = await conn.fetch("SELECT kind, chat_id FROM outbox")
    assert [tuple(row) for row in rows] == [("books_broken", 1001)]


async def test_a_stop_does_not_wait_for_a_job_that_only_reads(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = asyncio.Event()

    async def long(_: Services) -> tuple[int, int, int]:
        reading.set()
        await asyncio.sleep(60)
        return 0, 0, 0

    job = Job("long", "reads everything", lambda _: 60, long, timer=False, cut=True)
    monkeypatch.setattr(escrow_automation, "JOBS", (job,))
    await start_automation(None, services)
    await asyncio.wait_for(reading.wait(), 10)
    began = asyncio.get_running_loop().time()
    await stop_automation()
    assert asyncio.get_running_loop().time() - began < 1


async def test_a_clockwork_that_no_longer_beats_is_said(services: Services) -> None:
    automation = await start_automation(None, services)
    assert automation.running
    automation._beat = asyncio.get_running_loop().time() - escrow_automation.BEAT_SECONDS
    assert not automation.running
    await stop_automation()


async def test_while_paused_only_what_moves_nothing_runs_and_the_rest_is_quiet(
    services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    await services.pauses.pause(None, "", "host:1")
    caplog.clear()
    for job in JOBS:
        assert await run_job(services, job), job.name
    runs = await _runs(services)
    assert set(runs) == {job.name for job in JOBS if job.in_pause}
    assert {"prove_books", "carry_on_pause", "read_clock"} <= set(runs)
    assert not {"release_due", "refund_due", "cancel_overdue", "expire_choices"} & set(runs)
    assert not {"send_payouts", "ask_payouts", "look_at_prompts"} & set(runs)
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


async def test_a_job_that_a_pause_meets_half_way_has_not_failed(
    services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    async def stopped(_: Services) -> tuple[int, int, int]:
        raise Paused

    assert await run_job(services, Job("met", "moves money", lambda _: 1, stopped))
    assert (await _runs(services))["met"]["error"] is None
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


async def test_a_resume_that_was_promised_is_finished_by_the_clockwork(
    services: Services,
) -> None:
    await services.pauses.pause(None, "", "host:1")
    async with services.database.reading() as conn:
        await conn.execute("UPDATE pauses SET resumed_at = paused_at, resume_cause = 'host:2'")
    carry_on = next(job for job in JOBS if job.name == "carry_on_pause")
    assert await run_job(services, carry_on)
    assert await services.pauses.current() is None


async def test_whoever_looks_at_the_health_knows_every_jobs_turns(services: Services) -> None:
    assert services.oversight.planned() == {}
    await start_automation(None, services)
    try:
        planned = services.oversight.planned()
        assert planned.keys() == {job.name for job in JOBS}
        assert all(turn.next_at is not None and turn.seconds > 0 for turn in planned.values())
        look = await services.oversight.look()
        assert {job.name for job in look.jobs} == planned.keys()
    finally:
        await stop_automation()
    assert services.oversight.planned() == {}


async def _last_beat(services: Services, hours: int) -> None:
    at = services.clock.now() - timedelta(hours=hours)
    async with services.database.unit() as conn:
        await outages.beat(conn, "bot", await outages.lock_beat(conn, "bot", at))


async def test_no_job_runs_before_an_outage_was_looked_for(services: Services) -> None:
    await _last_beat(services, 72)
    seen: list[int] = []

    async def look(_: Services) -> tuple[int, int, int]:
        async with services.database.reading() as conn:
            seen.append(await conn.fetchval("SELECT count(done_at) FROM outages"))
        return 0, 0, 0

    for name in ("one", "two"):
        await escrow_automation.turn(services, Job(name, "looks", lambda _: 1, look))
    assert seen == [1, 1]


async def test_while_an_outage_can_not_be_looked_for_jobs_wait_and_the_clock_is_read(
    services: Services, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    problem: list[Exception] = [DatabaseDown("away"), ValueError("odd")]

    async def down() -> None:
        raise problem[0]

    monkeypatch.setattr(services.outages, "ready", down)
    for _ in range(2):
        for job in JOBS:
            await escrow_automation.turn(services, job)
        problem.pop(0)
        if not problem:
            break
    assert set(await _runs(services)) == {"read_clock"}


async def test_a_clock_that_jumped_is_no_outage_for_the_clockwork(services: Services) -> None:
    await _last_beat(services, 72)
    services.clock.drift = timedelta(hours=48)
    for job in JOBS:
        await escrow_automation.turn(services, job)
    async with services.database.reading() as conn:
        assert await conn.fetchval("SELECT count(*) FROM outages") == 0
    assert not {job.name for job in JOBS if job.timer} & set(await _runs(services))
