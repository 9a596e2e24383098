"""What comes in: raw callbacks and Telegram updates, stored before anybody is answered; and what
the jobs did with them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from escrow.domain.errors import Fault
from escrow.store import queries
from escrow.store.database import Connection

_SQL: Final = queries.load("inbox")


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """A raw request as a provider sent it. `route` names the handler, `token` the path's own."""

    id: int
    route: str
    token: str
    method: str
    query: str
    body: bytes
    received_at: datetime
    tries: int
    reruns: int = 0


@dataclass(frozen=True, slots=True)
class ParkedRequest:
    """A request that waits for a person; `note` is why, `reruns` how often it was run again."""

    id: int
    route: str
    note: str
    received_at: datetime
    parked_at: datetime
    reruns: int


@dataclass(frozen=True, slots=True)
class StoredUpdate:
    """A Telegram update that is not handled yet."""

    update_id: int
    chat_id: int
    body: dict[str, Any]
    tries: int


async def store_request(
    conn: Connection,
    *,
    route: str,
    token: str,
    method: str,
    query: str,
    body: bytes,
    sender: str,
    now: datetime,
    listed: bool = True,
) -> tuple[int, bool]:
    """Keeps a raw request; returns (row, whether it is new). `listed`: whether its sender's address
    is one that callbacks may come from.
    """
    texts = [text.encode("utf-8", "surrogateescape") for text in (route, token, method, query)]
    digest = hashlib.sha256(b"\0".join([*texts, body])).digest()
    found = await conn.fetchval(
        _SQL["store_request"],
        digest,
        route,
        token,
        method,
        _storable(query),
        body,
        _storable(sender),
        now,
        listed,
    )
    if found is not None:
        return int(found), True
    return int(await conn.fetchval(_SQL["request_by_digest"], digest)), False


def _storable(text: str) -> str:
    """A text without what PostgreSQL can't keep: NUL, and bytes that were no UTF-8."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


async def claim_requests(conn: Connection, now: datetime, limit: int) -> list[StoredRequest]:
    """Takes requests that are due."""
    return [
        StoredRequest(**dict(row)) for row in await conn.fetch(_SQL["claim_requests"], now, limit)
    ]


async def finish_request(
    conn: Connection, request_id: int, state: str, note: str, now: datetime
) -> None:
    """Closes a request: DONE or PARKED."""
    await conn.execute(_SQL["finish_request"], request_id, state, _storable(note)[:300], now)


async def retry_request(conn: Connection, request_id: int, at: datetime, note: str) -> None:
    await conn.execute(_SQL["retry_request"], request_id, at, _storable(note)[:300])


async def backlog(conn: Connection) -> tuple[int, int]:
    """(requests not processed, requests parked)."""
    row = await conn.fetchrow(_SQL["inbox_backlog"])
    assert row is not None  # noqa: S101 a count always comes
    return row["waiting"], row["parked"]


async def parked(conn: Connection, limit: int) -> list[ParkedRequest]:
    """What waits for a person, oldest first."""
    return [ParkedRequest(**dict(row)) for row in await conn.fetch(_SQL["parked"], limit)]


async def parked_since(conn: Connection, since: datetime, limit: int) -> int:
    """How many were parked since then; at most `limit` are counted."""
    return int(await conn.fetchval(_SQL["parked_since"], since, limit))


async def run_again(conn: Connection, rows: Sequence[int], now: datetime) -> set[int]:
    """Puts parked requests back; returns those that were parked."""
    return {row["id"] for row in await conn.fetch(_SQL["run_again"], list(rows), now)}


async def is_listed(conn: Connection, row: int) -> bool:
    """Whether a request came from an address that callbacks may come from."""
    return bool(await conn.fetchval(_SQL["is_listed"], row))


async def ping(conn: Connection) -> None:
    """Costs nothing, but PostgreSQL has to answer."""
    await conn.fetchval(_SQL["ping"])


async def path_secret(conn: Connection, route: str, fresh: str) -> str:
    """The secret in a route's path; `fresh` becomes it when there is none yet."""
    await conn.execute(_SQL["path_secret"], route, fresh)
    return str(await conn.fetchval(_SQL["read_path_secret"], route))


async def claim_environment(conn: Connection, environment: str) -> None:
    """Marks this database as `live` or `sandbox`. `Fault` when it is the other kind."""
    await conn.execute(_SQL["set_environment"], environment)
    found = await conn.fetchval(_SQL["environment"])
    if found != environment:
        raise Fault(
            f"this database belongs to a {found} Amana, this program is {environment}: "
            "use another DATABASE_URL or DATA_DIR"
        )


async def store_updates(
    conn: Connection, updates: Sequence[Mapping[str, Any]], now: datetime
) -> None:
    """Keeps updates: {update_id, chat_id, body}; known ones are left alone."""
    await conn.execute(_SQL["store_updates"], [dict(update) for update in updates], now)


async def pending_updates(conn: Connection, limit: int) -> list[StoredUpdate]:
    """Updates not handled yet, oldest first."""
    return [StoredUpdate(**dict(row)) for row in await conn.fetch(_SQL["pending_updates"], limit)]


async def update_started(conn: Connection, update_id: int) -> int | None:
    """Counts a try before it is made; None when the update is done."""
    tries = await conn.fetchval(_SQL["update_started"], update_id)
    return None if tries is None else int(tries)


async def update_done(
    conn: Connection, update_id: int, state: str, note: str, now: datetime
) -> None:
    """Closes an update: DONE or PARKED."""
    await conn.execute(_SQL["update_done"], update_id, state, _storable(note)[:300], now)


async def start_run(
    conn: Connection, job: str, now: datetime, *, in_pause: bool = True
) -> int | None:
    """A run begins; None while Amana is paused, unless it runs then, too (`in_pause`)."""
    found = await conn.fetchval(_SQL["start_run"], job, now, in_pause)
    return None if found is None else int(found)


async def finish_run(
    conn: Connection,
    run_id: int,
    now: datetime,
    *,
    looked_at: int,
    done: int,
    skipped: int,
    failed: int,
    error: str | None,
) -> None:
    """A job ended, well or not."""
    await conn.execute(_SQL["finish_run"], run_id, now, looked_at, done, skipped, failed, error)


async def prune_runs(conn: Connection, before: datetime) -> None:
    """Forgets old runs, but never a job's last one and last good one."""
    await conn.execute(_SQL["prune_runs"], before)


async def last_runs(conn: Connection, since: datetime) -> list[Mapping[str, Any]]:
    """Each job's last run, when it last ran well, and how many runs failed since then."""
    return [dict(row) for row in await conn.fetch(_SQL["last_runs"], since)]


async def recover_requests(conn: Connection, now: datetime) -> None:
    """At start: what a killed process had taken is due again."""
    await conn.execute(_SQL["recover_requests"], now)
