"""The clockwork: every job runs, says what it did, and stops for nobody but the clock."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Self

import pytest
from apscheduler.schedulers import base as scheduling

import escrow_automation
from benchmarks import due
from escrow import bootstrap
from escrow.bootstrap import Services, open_services_on
from escrow.domain.errors import DatabaseDown, Paused
from escrow.domain.schedule import parse
from escrow.settings import load
from escrow.store import database, outages
from escrow_automation import JOBS, Job, run_job, start_automation, stop_automation, turn
from tests.world import BRIAN, JANE, NOW, MovableClock, World


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


async def test_a_run_that_found_something_is_in_the_log_with_its_counts(
    services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    async def partly(_: Services) -> tuple[int, int, int]:
        return 7, 4, 1

    async def nothing(_: Services) -> tuple[int, int, int]:
        return 0, 0, 0

    caplog.set_level("INFO", "escrow_automation")
    await run_job(services, Job("idle", "finds nothing", lambda _: 1, nothing))
    await run_job(services, Job("partly", "fails once", lambda _: 1, partly))
    (said,) = [one for one in caplog.records if getattr(one, "action", "") == "job_ran"]
    counts = (said.looked, said.done, said.skipped, said.failed)  # type: ignore[attr-defined]
    assert (said.job, counts) == ("partly", (7, 4, 2, 1))  # type: ignore[attr-defined]
    assert said.levelname == "WARNING"


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


async def test_a_slot_that_is_two_hours_late_is_said(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def note(_: Services) -> tuple[int, int, int]:
        return 1, 1, 0

    job = _daily(note)
    monkeypatch.setattr(escrow_automation, "JOBS", (job,))
    await run_job(services, job)
    automation = await start_automation(None, services)
    try:
        (began,) = (run["started_at"] for run in (await _runs(services)).values())
        assert isinstance(began, datetime)
        for late in (False, True):
            automation._since = began - timedelta(days=9)
            ago = timedelta(hours=14, seconds=30 if late else -30)
            async with services.database.reading() as conn:
                now = services.clock.now()
                await conn.execute("UPDATE job_runs SET started_at = $1", now - ago)
            (found,) = (await services.oversight.look()).jobs
            assert found.late == late
            assert found.next_at in (
                now.replace(hour=h, minute=0, second=0, microsecond=0) + timedelta(days=d)
                for h in (6, 18)
                for d in (0, 1)
            )
    finally:
        await stop_automation()


# -- jobs of the clock ---------------------------------------------------------------------------


class Hand(MovableClock):
    """A clock that is moved by hand, where the program would read PostgreSQL's."""

    drift = timedelta(0)

    async def read(self, _: object) -> None:
        pass


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Hand:
    found = Hand()
    monkeypatch.setattr(bootstrap, "DatabaseClock", lambda: found)
    return found


def _daily(run: Any, **changes: Any) -> Job:
    """A job at nine and twenty-one of TIMEZONE: six and eighteen of UTC."""
    return Job(
        "daily", "twice a day", lambda _: 1, run, schedule=lambda _: parse("9:00,21:00"), **changes
    )


async def _slots(services: Services) -> dict[datetime, str]:
    async with services.database.reading() as conn:
        rows = await conn.fetch("SELECT planned_at, state FROM job_slots WHERE job = 'daily'")
    return {row["planned_at"]: row["state"] for row in sorted(rows)}


async def test_a_slot_that_a_pause_meets_is_run_after_it(clock: Hand, services: Services) -> None:
    ran: list[datetime] = []

    async def note(_: Services) -> tuple[int, int, int]:
        ran.append(clock.now())
        return 1, 1, 0

    async def meets_a_pause(_: Services) -> tuple[int, int, int]:
        await services.pauses.pause(None, "", "host:1")
        raise Paused

    assert await turn(services, _daily(note)) is None, "a new installation has missed nothing"
    clock.tick(hours=9)
    slot = clock.now().replace(hour=18)
    assert await turn(services, _daily(meets_a_pause)) is None
    assert (await _slots(services))[slot] == "OPEN", "what stood still is not done"
    assert await turn(services, _daily(note)) is None
    await services.pauses.resume(None, "host:2")
    await services.pauses.carry_on()
    assert await turn(services, _daily(note)) is True
    assert await turn(services, _daily(note)) is None
    assert (await _slots(services))[slot] == "DONE"
    assert ran == [clock.now()]


async def test_a_stop_in_the_middle_of_a_slot_leaves_it_to_the_next_start(
    clock: Hand, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()

    async def long(_: Services) -> tuple[int, int, int]:
        begun.set()
        await asyncio.Event().wait()
        return 1, 1, 0

    async def short(_: Services) -> tuple[int, int, int]:
        return 1, 1, 0

    monkeypatch.setattr(escrow_automation, "STOP_SECONDS", 0.01)
    for cut in (True, False):
        begun.clear()
        await turn(services, _daily(short))
        clock.tick(hours=12)
        monkeypatch.setattr(escrow_automation, "JOBS", (_daily(long, cut=cut),))
        await start_automation(None, services)
        await asyncio.wait_for(begun.wait(), 10)
        await stop_automation()
        assert list((await _slots(services)).values())[-1] == "OPEN"
        assert await turn(services, _daily(short)) is True, (
            "at once, without ten seconds of silence"
        )


async def test_while_the_clock_can_not_be_trusted_no_slot_is_taken(
    clock: Hand, services: Services
) -> None:
    async def note(_: Services) -> tuple[int, int, int]:
        return 1, 1, 0

    await turn(services, _daily(note))
    clock.tick(hours=12)
    clock.steady = False
    assert await turn(services, _daily(note)) is None
    assert "OPEN" not in (await _slots(services)).values()
    assert await turn(services, _daily(note, timer=False)) is True


async def test_after_three_days_of_outage_what_was_due_is_done_once(
    clock: Hand, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deals that fell due in every way, and every job of the clock. No outage counts here:
    else these deals had got their time back (flow.md 31).
    """
    ran: list[str] = []

    async def note(_: Services) -> tuple[int, int, int]:
        ran.append("daily")
        return 1, 1, 0

    monkeypatch.setattr(escrow_automation, "JOBS", (*JOBS, _daily(note)))
    async with World.open(dsn, clock=clock) as world:
        settings = load({"HTTP_PORT": "0", "OUTAGE_HOURS": "720"})
        before = await open_services_on(settings, dsn, b"k" * 32)
        for job in escrow_automation.JOBS:
            await turn(before, job)
        unpaid, short = await world.deal(buyer=BRIAN), await world.deal(buyer=BRIAN)
        await world.pay(short, 9_800)
        unsent = await world.deal(buyer=BRIAN)
        await world.pay(unsent, 10_500)
        sent = await due.make(dsn, 1, 250, NOW + timedelta(days=2))
        await before.close()
        assert await world.value("SELECT count(*) FROM settlements") == 0

        clock.tick(days=3)
        after = await open_services_on(settings, dsn, b"k" * 32)
        for _ in range(2):
            for job in escrow_automation.JOBS:
                assert await turn(after, job) is not False, job.name
            rows = await world.sql("SELECT event, count(*) FROM escrow_timeline GROUP BY event")
            events = {row["event"]: row["count"] for row in rows}
            assert (events["release"], events["refund"]) == (len(sent), 1)
            assert (events["cancel"], events["choice_expired"]) == (2, 1)
            clock.tick(minutes=1)
        assert await world.value("SELECT count(*) FROM settlements") == len(sent) + 1
        assert [await world.status_of(deal) for deal in (unpaid, short, unsent)] == [
            "CANCELLED",
            "CANCELLED",
            "REFUNDED",
        ]
        assert (await world.told(JANE)).count("auto_refunded_seller") == 1
        assert ran == ["daily"], "the newest slot, once"
        assert list((await _slots(after)).values()) == [*["SUPERSEDED"] * 6, "DONE"]
        rows = await world.sql(
            "SELECT job, count(*) FILTER (WHERE state = 'DONE') AS done, count(*) FILTER"
            " (WHERE state NOT IN ('DONE', 'SUPERSEDED')) AS others FROM job_slots GROUP BY job"
        )
        assert {row["job"] for row in rows} == {
            job.name for job in escrow_automation.JOBS if job.schedule is not None
        }
        weekly = {"clean_up"}  # not due in these three days
        assert {row["job"]: (row["done"], row["others"]) for row in rows} == {
            row["job"]: (int(row["job"] not in weekly), 0) for row in rows
        }
        await after.close()
        await world.books()


class HostClock(datetime):
    """The host's clock as APScheduler reads it."""

    ahead = timedelta(0)

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return super().now(tz) + cls.ahead


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> type[HostClock]:
    """Moved by `ahead`; PostgreSQL, on the same host, goes with it."""
    monkeypatch.setattr(HostClock, "ahead", timedelta(0))
    monkeypatch.setattr(scheduling, "datetime", HostClock)
    for module in ("triggers.interval", "executors.base"):
        monkeypatch.setattr(f"apscheduler.{module}.datetime", HostClock)
    return HostClock


async def test_a_host_clock_that_jumps_two_days_ahead_releases_nothing(
    dsn: str, host: type[HostClock], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither between the jump and its discovery, when all turns come at once, nor after it."""
    services = await open_services_on(load({"HTTP_PORT": "0"}), dsn, b"k" * 32)
    turned: dict[str, asyncio.Event] = {job.name: asyncio.Event() for job in JOBS}
    real = turn

    async def noted(services: Services, job: Job) -> bool | None:
        found = await real(services, job)
        turned[job.name].set()
        return found

    monkeypatch.setattr(escrow_automation, "turn", noted)
    try:
        await due.make(dsn, 1, 20, services.clock.now() + timedelta(days=1))
        async with services.database.reading() as conn:
            await conn.execute(
                "UPDATE escrow_transactions SET pay_by = release_at, ship_by = release_at"
            )
        automation = await start_automation(None, services)
        for seen in turned.values():
            await asyncio.wait_for(seen.wait(), 30)
        slots = await _all_slots(services)

        host.ahead = timedelta(hours=48)
        monkeypatch.setitem(
            database._SQL, "clock", "SELECT clock_timestamp() + interval '48 hours'"
        )
        for job in JOBS:  # before anybody read the clock again
            if job.name != "read_clock":
                await turn(services, job)
        await _sweeps_find_nothing(services)
        for seen in turned.values():
            seen.clear()
        for job in JOBS:
            automation._scheduler.modify_job(job.name, next_run_time=host.now(UTC))
        for seen in turned.values():
            await asyncio.wait_for(seen.wait(), 30)
        assert not services.clock.steady
        await _sweeps_find_nothing(services)
        assert await _all_slots(services) == slots
        async with services.database.reading() as conn:
            assert await conn.fetchval("SELECT count(*) FROM settlements") == 0
    finally:
        await stop_automation()
        await services.close()


async def _sweeps_find_nothing(services: Services) -> None:
    assert await services.escrows.release_due() == (0, 0)
    assert await services.escrows.refund_due() == (0, 0)
    assert await services.escrows.cancel_overdue() == (0, 0)
    assert await services.choices.expire() == (0, 0)


async def _all_slots(services: Services) -> list[tuple[object, ...]]:
    async with services.database.reading() as conn:
        rows = await conn.fetch("SELECT job, planned_at, state FROM job_slots ORDER BY 1, 2")
    return [tuple(row) for row in rows]


async def test_a_host_clock_that_is_set_back_does_not_stop_the_turns(
    services: Services, host: type[HostClock], monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = asyncio.Event()

    async def note(_: Services) -> tuple[int, int, int]:
        turns.set()
        return 1, 1, 0

    monkeypatch.setattr(
        escrow_automation, "JOBS", (Job("often", "turns", lambda _: 3600, note, timer=False),)
    )
    automation = await start_automation(None, services)
    try:
        await asyncio.wait_for(turns.wait(), 10)
        await asyncio.wait(list(automation._under_way))
        turns.clear()
        automation.look_after_turns()
        first = automation._scheduler.get_job("often").next_run_time
        host.ahead = timedelta(hours=-48)
        automation._turned -= 3 * 3600  # as if that long no turn had come
        automation.look_after_turns()
        await asyncio.wait_for(turns.wait(), 10)
        again = automation._scheduler.get_job("often").next_run_time
        assert again - first < timedelta(hours=-47)
    finally:
        await stop_automation()


async def test_the_first_turns_come_at_once_whatever_the_host_and_postgresql_say(
    services: Services, host: type[HostClock], monkeypatch: pytest.MonkeyPatch
) -> None:
    for ahead in (timedelta(hours=-5), timedelta(hours=5)):
        turns = asyncio.Event()

        async def note(_: Services, turns: asyncio.Event = turns) -> tuple[int, int, int]:
            turns.set()
            return 1, 1, 0

        host.ahead = ahead
        monkeypatch.setattr(
            escrow_automation, "JOBS", (Job("often", "turns", lambda _: 3600, note, timer=False),)
        )
        await start_automation(None, services)
        await asyncio.wait_for(turns.wait(), 10)
        await stop_automation()


async def test_a_long_run_is_not_doubled_and_fills_no_log(
    services: Services, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    begun = 0
    enough = asyncio.Event()

    async def long(_: Services) -> tuple[int, int, int]:
        nonlocal begun
        begun += 1
        await enough.wait()
        return 1, 1, 0

    looks = 0

    async def look(_: Services) -> tuple[int, int, int]:
        nonlocal looks
        looks += 1
        if looks == 4:
            enough.set()
        return 1, 1, 0

    jobs = [
        Job(name, "turns", lambda _: 0.05, run, timer=False)
        for name, run in (("long", long), ("look", look))
    ]
    monkeypatch.setattr(escrow_automation, "JOBS", jobs)
    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # as the program does it
    await start_automation(None, services)
    await asyncio.wait_for(enough.wait(), 10)
    assert begun == 1
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []
    await stop_automation()
