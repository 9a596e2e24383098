"""What a monitor may rely on."""

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest

from escrow.domain.terms import Terms
from escrow.metrics import Metrics
from escrow.services.choices import UnderpaymentChoices
from escrow.services.oversight import Oversight, Planned
from escrow.services.pauses import Pauses
from escrow.store import inbox, setbacks
from escrow.store.database import Database, DatabaseClock
from escrow.web.health import Health
from escrow.web.server import Server


class Monitored:
    """The health routes on a real database; `stopped` are parts that ended."""

    def __init__(self, database: Database, clock: DatabaseClock) -> None:
        self.database = database
        self.stopped: list[str] = []
        self.clock = clock
        self.oversight = Oversight(database, clock, [])
        choices = UnderpaymentChoices(database, clock, Terms(), b"k" * 32)
        metrics = Metrics(self.oversight, choices)
        health = Health(
            self.oversight, clock, lambda: self.stopped, metrics.render, "metrics-token"
        )
        self.server = Server(health.routes())


@pytest.fixture
async def monitored(dsn: str) -> AsyncIterator[tuple[Monitored, httpx.AsyncClient]]:
    database = await Database.connect(dsn)
    clock = DatabaseClock()
    async with database.reading() as conn:
        await clock.read(conn)
    found = Monitored(database, clock)
    await found.server.start("127.0.0.1", 0)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{found.server.port}") as http:
        yield found, http
    await found.server.stop()
    await database.close()


AGE = "amana_job_success_timestamp_seconds"
Pair = tuple[Monitored, httpx.AsyncClient]


async def test_alive_names_the_parts_that_stopped(monitored: Pair) -> None:
    program, http = monitored
    assert (await http.get("/healthz")).json() == {"alive": True, "stopped": []}
    program.stopped.append("outbox")
    answer = await http.get("/healthz")
    assert (answer.status_code, answer.json()["stopped"]) == (503, ["outbox"])


async def test_ready_only_after_the_books_were_proved(monitored: Pair) -> None:
    program, http = monitored
    assert (await http.get("/readyz")).status_code == 503
    await program.oversight.look()
    answer = await http.get("/readyz")
    assert (answer.status_code, answer.json()["problems"]) == (200, [])
    assert answer.json()["word"] == "OK"


async def test_broken_books_are_named(monitored: Pair, dsn: str) -> None:
    import asyncpg

    program, http = monitored
    owner = await asyncpg.connect(dsn)
    await owner.execute("SET session_replication_role = replica")  # past every trigger
    await owner.execute(
        "INSERT INTO ledger_accounts (kind, owner, currency, balance_minor, entries) "
        "VALUES ('wallet', '3001', 'KES', 500, 1)"
    )
    await owner.close()
    health = await program.oversight.look()
    assert health.word == "BROKEN"
    answer = await http.get("/readyz")
    assert answer.status_code == 503
    assert "wallet:3001" in answer.text
    assert answer.json()["word"] == "BROKEN"
    assert 'amana_health{word="BROKEN"} 1.0' in (await http.get("/metrics")).text


async def test_an_old_proof_is_not_good_enough(monitored: Pair) -> None:
    import datetime

    program, http = monitored
    await program.oversight.look()
    assert program.clock._base is not None
    program.clock._base += datetime.timedelta(minutes=4)
    assert "too old" in (await http.get("/readyz")).text


async def test_a_database_that_is_down_is_said(monitored: Pair) -> None:
    program, http = monitored
    await program.oversight.look()
    await program.database.close()
    answer = await http.get("/readyz")
    assert answer.status_code == 503
    assert "PostgreSQL" in answer.text
    assert answer.json()["word"] == "BROKEN"
    assert (await http.get("/healthz")).status_code == 200


async def test_metrics_are_for_loopback_or_the_token(monitored: Pair) -> None:
    program, http = monitored
    await program.oversight.look()
    answer = await http.get("/metrics")
    assert "amana_books_breaks 0.0" in answer.text
    outside = {"X-Forwarded-For": "203.0.113.9"}
    assert (await http.get("/metrics", headers=outside)).status_code == 404
    with_token = {**outside, "Authorization": "Bearer metrics-token"}
    assert (await http.get("/metrics", headers=with_token)).status_code == 200


async def test_metrics_say_of_each_job_when_it_last_ran_well_and_how_often_it_failed(
    monitored: Pair,
) -> None:
    program, http = monitored
    now = program.clock.now().replace(microsecond=0)
    hour = timedelta(hours=1)
    well = {"looked_at": 1, "done": 1, "skipped": 0, "failed": 0, "error": None}
    runs = [
        ("send_payouts", now - 30 * hour, {**well, "failed": 1}),  # of yesterday
        ("send_payouts", now - 3 * hour, well),
        ("send_payouts", now - 2 * hour, {**well, "done": 0, "failed": 1}),
        ("send_payouts", now - hour, {**well, "error": "away"}),
        ("release_due", now, well),
    ]
    async with program.database.unit() as conn:
        for job, at, result in runs:
            run = await inbox.start_run(conn, job, at)
            assert run is not None
            await inbox.finish_run(conn, run, at, **result)
        await inbox.start_run(conn, "never_ends", now)
        await setbacks.note(conn, "release", "ES1008257624", now, [hour], ValueError("x"))
    program.oversight.planned = lambda: {
        "send_payouts": Planned(5, now, now - 9 * hour),
        "release_due": Planned(3600, now, now - 9 * hour),
        "never_ends": Planned(3600, now, now - 9 * hour),
    }
    await program.oversight.look()
    lines = (await http.get("/metrics")).text.splitlines()
    (succeeded,) = [line for line in lines if line.startswith(f'{AGE}{{job="send_payouts"}}')]
    assert float(succeeded.split()[1]) == (now - 3 * hour).timestamp()
    assert 'amana_job_failures{job="send_payouts"} 2.0' in lines
    assert 'amana_job_late{job="send_payouts"} 1.0' in lines
    assert 'amana_job_failures{job="release_due"} 0.0' in lines
    assert 'amana_job_late{job="release_due"} 0.0' in lines
    for what in ("looked", "done"):
        assert f'amana_job_{what}{{job="release_due"}} 1.0' in lines
    assert 'amana_job_failed{job="release_due"} 0.0' in lines
    assert not any(line.startswith("amana_job_success") and "never" in line for line in lines)
    assert "amana_deals_failing 0.0" in lines, "there is no such deal"


async def test_no_metric_names_a_person_or_a_deal(monitored: Pair) -> None:
    program, http = monitored
    await program.oversight.look()
    text = (await http.get("/metrics")).text
    assert "telegram" not in text
    assert "ES" not in text.replace("KES", "")


async def test_odd_bytes_are_a_wrong_token(monitored: Pair) -> None:
    _, http = monitored
    odd = {b"Authorization": b"Bearer \xff", b"X-Forwarded-For": b"203.0.113.9"}
    assert (await http.get("/metrics", headers=odd)).status_code == 404


async def test_a_pause_is_said_and_makes_nothing_unready(monitored: Pair) -> None:
    program, http = monitored
    pauses = Pauses(program.database, program.clock, [])
    await program.oversight.look()
    assert (await http.get("/readyz")).json()["paused_since"] is None
    assert "amana_paused 0.0" in (await http.get("/metrics")).text
    word = await pauses.pause(None, "", "host:1")
    assert word.pause is not None
    await program.oversight.look()
    answer = await http.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["paused_since"] == word.pause.paused_at.isoformat()
    assert "amana_paused 1.0" in (await http.get("/metrics")).text
    assert (await http.get("/healthz")).json()["alive"]
