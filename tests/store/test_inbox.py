"""What comes in: kept once, taken by one, never lost; and what a database is for."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from escrow.domain.errors import Fault
from escrow.store import inbox
from escrow.store.database import Connection, Database
from escrow.store.inbox import StoredRequest, StoredUpdate
from tests.store.books import BUYER, LATER, NOW, SELLER

MINUTE = timedelta(minutes=1)
REQUEST: dict[str, Any] = {
    "route": "stk",
    "token": "ab",
    "method": "POST",
    "query": "x=1",
    "body": b'{"Body": 1}',
    "sender": "127.0.0.1",
}


async def keep(conn: Connection, **changes: Any) -> tuple[int, bool]:
    return await inbox.store_request(conn, **{**REQUEST, "now": NOW, **changes})


async def test_a_request_comes_out_as_it_was_sent(db: Database) -> None:
    body = b"\xff\x00 not even text"
    async with db.unit() as conn:
        row, new = await keep(conn, body=body)
        assert new
        assert await inbox.claim_requests(conn, NOW, 5) == [
            StoredRequest(row, "stk", "ab", "POST", "x=1", body, NOW, 1)
        ]


async def test_the_same_request_is_kept_once(db: Database) -> None:
    async with db.unit() as conn:
        row, _ = await keep(conn)
        assert await keep(conn, sender="127.0.0.2", now=LATER) == (row, False)
        assert await inbox.backlog(conn) == (1, 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"route": "c2b"},
        {"token": "cd"},
        {"method": "GET"},
        {"query": "x=2"},
        {"body": b""},
        # the same bytes, cut elsewhere
        {"token": "a", "method": "bPOST"},
    ],
    ids=str,
)
async def test_another_request_is_another_row(db: Database, changes: dict[str, Any]) -> None:
    async with db.unit() as conn:
        first, _ = await keep(conn)
        second, new = await keep(conn, **changes)
    assert new
    assert second != first


async def test_a_request_is_taken_by_one_and_pushed_on(db: Database) -> None:
    async with db.unit() as conn:
        await keep(conn)
    async with db.unit() as one, db.unit() as other:
        assert len(await inbox.claim_requests(one, NOW, 5)) == 1
        assert await inbox.claim_requests(other, NOW, 5) == []
    async with db.unit() as conn:
        assert await inbox.claim_requests(conn, NOW + MINUTE - timedelta(seconds=1), 5) == []
        (again,) = await inbox.claim_requests(conn, NOW + MINUTE, 5)
        assert again.tries == 2
        assert await inbox.claim_requests(conn, NOW + 2 * MINUTE, 5) == [], "each time longer"


async def test_what_a_killed_process_had_taken_is_due_at_the_next_start(db: Database) -> None:
    async with db.unit() as conn:
        await keep(conn)
        await inbox.claim_requests(conn, NOW, 5)
        await inbox.recover_requests(conn, NOW)
        assert len(await inbox.claim_requests(conn, NOW, 5)) == 1


@pytest.mark.parametrize(("state", "backlog"), [("DONE", (0, 0)), ("PARKED", (0, 1))])
async def test_a_request_is_finished_once(
    db: Database, state: str, backlog: tuple[int, int]
) -> None:
    async with db.unit() as conn:
        row, _ = await keep(conn)
        await inbox.finish_request(conn, row, state, "n" * 1000, LATER)
        await inbox.finish_request(conn, row, "DONE", "other", NOW)
        await inbox.retry_request(conn, row, NOW, "again")
        found = await conn.fetchrow("SELECT * FROM inbox WHERE id = $1", row)
        assert found is not None
        assert (found["state"], found["note"], found["processed_at"]) == (state, "n" * 300, LATER)
        assert await inbox.claim_requests(conn, LATER, 5) == []
        assert await inbox.backlog(conn) == backlog


async def test_a_request_that_failed_is_tried_again_when_it_is_time(db: Database) -> None:
    async with db.unit() as conn:
        row, _ = await keep(conn)
        await inbox.retry_request(conn, row, LATER, "database down")
        assert await inbox.claim_requests(conn, LATER - MINUTE, 5) == []
        assert len(await inbox.claim_requests(conn, LATER, 5)) == 1


async def test_parked_requests_are_shown_and_run_again_and_counted(db: Database) -> None:
    async with db.unit() as conn:
        parked, _ = await keep(conn)
        waiting, _ = await keep(conn, body=b"2")
        done, _ = await keep(conn, body=b"3")
        await inbox.claim_requests(conn, NOW, 5)
        await inbox.finish_request(conn, parked, "PARKED", "odd", LATER)
        await inbox.finish_request(conn, done, "DONE", "funded", LATER)
        (shown,) = await inbox.parked(conn, 5)
        assert (shown.id, shown.note, shown.received_at) == (parked, "odd", NOW)
        assert (shown.parked_at, shown.reruns) == (LATER, 0)
        assert await inbox.parked_since(conn, NOW, 5) == 1
        assert await inbox.parked_since(conn, LATER, 5) == 0
        assert await inbox.parked_since(conn, NOW, 0) == 0, "no more than asked for is counted"
        assert await inbox.run_again(conn, [parked, waiting, done, 10**18], LATER) == {parked}
        assert await inbox.run_again(conn, [parked], LATER) == set()
        assert await inbox.parked(conn, 5) == []
        (again,) = [row for row in await inbox.claim_requests(conn, LATER, 5) if row.id == parked]
        assert (again.tries, again.reruns) == (1, 1)


async def test_whether_its_sender_is_listed_stays_with_a_request(db: Database) -> None:
    async with db.unit() as conn:
        row, _ = await keep(conn, listed=False)
        assert not await inbox.is_listed(conn, row)
        assert await keep(conn, listed=True) == (row, False)
        assert not await inbox.is_listed(conn, row), "as the first one that came"
        other, _ = await keep(conn, body=b"2")
        assert await inbox.is_listed(conn, other)


async def test_a_path_secret_is_made_once(db: Database) -> None:
    async with db.unit() as conn:
        assert await inbox.path_secret(conn, "m", "a" * 32) == "a" * 32
        assert await inbox.path_secret(conn, "m", "b" * 32) == "a" * 32
        assert await inbox.path_secret(conn, "t", "b" * 32) == "b" * 32


async def test_a_database_stays_what_it_was_made_for(db: Database) -> None:
    async with db.unit() as conn:
        await inbox.claim_environment(conn, "sandbox")
        await inbox.claim_environment(conn, "sandbox")
        with pytest.raises(Fault, match="belongs to a sandbox Amana, this program is live"):
            await inbox.claim_environment(conn, "live")


# -- Telegram updates ----------------------------------------------------------------------------


def update(number: int, chat: int = BUYER) -> dict[str, Any]:
    return {"update_id": number, "chat_id": chat, "body": {"update_id": number, "text": "📦"}}


async def test_updates_are_kept_once_and_read_oldest_first(db: Database) -> None:
    async with db.unit() as conn:
        await inbox.store_updates(conn, [update(8), update(7, SELLER)], NOW)
        await inbox.store_updates(conn, [update(7), update(9)], LATER)
        pending = await inbox.pending_updates(conn, 2)
        assert len(await inbox.pending_updates(conn, 9)) == 3
    assert pending == [
        StoredUpdate(7, SELLER, {"update_id": 7, "text": "📦"}, 0),
        StoredUpdate(8, BUYER, {"update_id": 8, "text": "📦"}, 0),
    ]


async def test_a_try_is_counted_before_it_is_made_and_never_after_the_end(db: Database) -> None:
    async with db.unit() as conn:
        await inbox.store_updates(conn, [update(7)], NOW)
        assert await inbox.update_started(conn, 7) == 1
        assert await inbox.update_started(conn, 7) == 2
        await inbox.update_done(conn, 7, "DONE", "", LATER)
        assert await inbox.update_started(conn, 7) is None
        assert await inbox.update_started(conn, 99) is None
        assert await inbox.pending_updates(conn, 9) == []


async def test_a_parked_update_says_why(db: Database) -> None:
    async with db.unit() as conn:
        await inbox.store_updates(conn, [update(7)], NOW)
        await inbox.update_done(conn, 7, "PARKED", "n" * 1000, LATER)
        found = await conn.fetchrow("SELECT * FROM telegram_updates WHERE update_id = 7")
    assert found is not None
    assert (found["state"], found["note"], found["done_at"]) == ("PARKED", "n" * 300, LATER)


# -- jobs ----------------------------------------------------------------------------------------


async def ran(conn: Connection, job: str, at: datetime, **result: Any) -> int:
    row = await inbox.start_run(conn, job, at)
    values = {"looked_at": 0, "done": 0, "skipped": 0, "failed": 0, "error": None, **result}
    await inbox.finish_run(conn, row, at + MINUTE, **values)
    return row


async def test_each_jobs_last_run_is_shown(db: Database) -> None:
    async with db.unit() as conn:
        await ran(conn, "windows", NOW, looked_at=5, done=4, failed=1, error="one broke")
        await ran(conn, "windows", LATER, looked_at=2, done=2)
        await inbox.start_run(conn, "pay_by", NOW)
        runs = {row["job"]: row for row in await inbox.last_runs(conn, NOW - MINUTE)}
        later = {row["job"]: row for row in await inbox.last_runs(conn, NOW)}
    assert runs.keys() == {"windows", "pay_by"}
    assert (runs["windows"]["looked_at"], runs["windows"]["done"]) == (2, 2)
    assert (runs["windows"]["failed"], runs["windows"]["error"]) == (0, None)
    assert (runs["windows"]["started_at"], runs["windows"]["finished_at"]) == (
        LATER,
        LATER + MINUTE,
    )
    assert runs["pay_by"]["finished_at"] is None
    assert (runs["windows"]["failures"], later["windows"]["failures"]) == (1, 0)
    assert runs["windows"]["succeeded_at"] == LATER + MINUTE
    assert (runs["pay_by"]["failures"], runs["pay_by"]["succeeded_at"]) == (0, None)


async def test_a_jobs_last_good_run_is_never_forgotten(db: Database) -> None:
    async with db.unit() as conn:
        await ran(conn, "windows", NOW - MINUTE)
        await ran(conn, "windows", NOW)
        await ran(conn, "windows", LATER, failed=1)
        await ran(conn, "windows", LATER + MINUTE, error="away")
        await inbox.prune_runs(conn, LATER + 2 * MINUTE)
        (run,) = await inbox.last_runs(conn, NOW)
        assert (run["succeeded_at"], run["error"]) == (NOW + MINUTE, "away")
        assert await conn.fetchval("SELECT count(*) FROM job_runs") == 2


async def test_old_runs_are_forgotten_but_never_a_jobs_last_one(db: Database) -> None:
    async with db.unit() as conn:
        for at in (NOW, NOW + MINUTE, LATER):
            await ran(conn, "windows", at)
        await ran(conn, "pay_by", NOW)
        await inbox.prune_runs(conn, LATER + MINUTE)
        left = await conn.fetch("SELECT job, started_at FROM job_runs ORDER BY id")
    assert [tuple(row) for row in left] == [("windows", LATER), ("pay_by", NOW)]
