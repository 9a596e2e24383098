"""Notices in the store: queued once per cause, kind and recipient; sent in order per chat."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from escrow.domain.model import Notice
from escrow.store import outbox
from escrow.store.database import Connection, Database
from tests.store import books
from tests.store.books import BUYER, LATER, NOW, SELLER

MINUTE = timedelta(minutes=1)


def notice(cause: str, kind: str = "held", to: int = BUYER, **values: Any) -> Notice:
    return Notice(cause, kind, to, values, books.HELD)


async def due(conn: Connection, at: datetime = NOW, limit: int = 10) -> list[tuple[str, int]]:
    return [(one.kind, one.chat_id) for one in await outbox.due(conn, at, limit)]


async def row(conn: Connection, notice_id: int) -> dict[str, Any]:
    found = await conn.fetchrow("SELECT * FROM outbox WHERE id = $1", notice_id)
    assert found is not None
    return dict(found)


async def test_a_notice_comes_out_as_it_went_in_in_its_readers_language(db: Database) -> None:
    async with db.unit() as conn:
        await outbox.queue(conn, [notice("receipt:1", code="ES1", amount="KES 98")], NOW)
        await conn.execute(
            "INSERT INTO people (telegram_id, language, started_at) VALUES ($1, 'sw', $2)",
            BUYER,
            NOW,
        )
        (one,) = await outbox.due(conn, NOW, 10)
    assert (one.chat_id, one.kind, one.tries, one.escrow_id) == (BUYER, "held", 0, books.HELD)
    assert one.params == {"code": "ES1", "amount": "KES 98"}
    assert one.language == "sw"


async def test_somebody_unknown_is_written_to_in_english(db: Database) -> None:
    async with db.unit() as conn:
        await outbox.queue(conn, [notice("a", to=99)], NOW)
        (one,) = await outbox.due(conn, NOW, 10)
    assert one.language == "en"


async def test_the_same_cause_tells_the_same_person_once(db: Database) -> None:
    async with db.unit() as conn:
        await outbox.queue(conn, [notice("a"), notice("a")], NOW)
        await outbox.queue(conn, [notice("a", other=1)], LATER)
        await outbox.queue(conn, [notice("a", "shipped"), notice("a", to=SELLER)], NOW)
        assert await outbox.backlog(conn) == (3, NOW)


async def test_no_notices_are_no_statement(db: Database) -> None:
    async with db.unit() as conn:
        await outbox.queue(conn, [], NOW)
        assert await outbox.backlog(conn) == (0, None)


async def test_a_chat_reads_its_notices_in_order(db: Database) -> None:
    async with db.unit() as conn:
        await outbox.queue(conn, [notice("a", "first"), notice("a", "second")], NOW)
        await outbox.queue(conn, [notice("b", "other", SELLER)], NOW)
        assert await due(conn) == [("first", BUYER), ("other", SELLER)]
        (first, _) = await outbox.due(conn, NOW, 10)
        await outbox.later(conn, first.id, NOW + MINUTE, "429", counts=False)
        assert await due(conn) == [("other", SELLER)], "the second waits for the first"
        assert await due(conn, NOW + MINUTE) == [("other", SELLER), ("first", BUYER)]
        await outbox.sent(conn, first.id, 4711, NOW + MINUTE)
        assert await due(conn, NOW + MINUTE) == [("second", BUYER), ("other", SELLER)]
        assert await due(conn, limit=1) == [("second", BUYER)]


async def test_what_is_not_due_yet_waits(db: Database) -> None:
    async with db.unit() as conn:
        await outbox.queue(conn, [notice("a")], LATER)
        assert await due(conn, LATER - MINUTE) == []
        assert await due(conn, LATER) == [("held", BUYER)]


async def test_a_sent_notice_is_closed_with_its_message(db: Database) -> None:
    async with db.unit() as conn:
        await outbox.queue(conn, [notice("a")], NOW)
        (one,) = await outbox.due(conn, NOW, 1)
        await outbox.sent(conn, one.id, 4711, LATER)
        found = await row(conn, one.id)
        assert await outbox.due(conn, LATER, 1) == []
    assert (found["state"], found["message_id"], found["closed_at"]) == ("SENT", 4711, LATER)
    assert found["tries"] == 1


@pytest.mark.parametrize(("counts", "tries"), [(True, 1), (False, 0)])
async def test_only_answered_refusals_count_as_tries(
    db: Database, *, counts: bool, tries: int
) -> None:
    async with db.unit() as conn:
        await outbox.queue(conn, [notice("a")], NOW)
        (one,) = await outbox.due(conn, NOW, 1)
        await outbox.later(conn, one.id, LATER, "x" * 1000, counts=counts)
        (again,) = await outbox.due(conn, LATER, 1)
        found = await row(conn, one.id)
    assert again.tries == tries
    assert len(found["error"]) == 300


@pytest.mark.parametrize("state", ["UNDELIVERABLE", "DEAD"])
async def test_a_notice_that_is_given_up_lets_the_next_one_go(db: Database, state: str) -> None:
    async with db.unit() as conn:
        await outbox.queue(conn, [notice("a", "first"), notice("a", "second")], NOW)
        (first,) = await outbox.due(conn, NOW, 10)
        await outbox.close(conn, first.id, state, "blocked", LATER)
        found = await row(conn, first.id)
        assert await due(conn) == [("second", BUYER)]
    assert (found["state"], found["error"], found["closed_at"]) == (state, "blocked", LATER)
