"""Questions in the store."""

from datetime import timedelta

from escrow.store import help
from escrow.store.database import Database
from tests.store.books import ADMIN, BUYER, HELD, LATER, NOW


async def test_a_question_is_asked_once_per_cause(world_db: Database) -> None:
    async with world_db.unit() as conn:
        number = await help.insert(conn, BUYER, HELD, "Why?", cause="update:7", now=NOW)
        assert number is not None
        assert await help.insert(conn, BUYER, None, "What?", cause="update:7", now=NOW) is None
        assert await help.id_by_cause(conn, "update:7") == number
        asked = await help.request(conn, number)
    assert asked == help.HelpRequest(number, BUYER, HELD, "Why?", NOW, None)


async def test_an_answered_question_is_no_longer_open(world_db: Database) -> None:
    since = NOW - timedelta(hours=1)
    async with world_db.unit() as conn:
        number = await help.insert(conn, BUYER, None, "Why?", cause="update:7", now=NOW)
        assert number is not None
        assert await help.open_since(conn, BUYER, since) == 1
        await help.answered(conn, number, ADMIN, NOW)
        await help.answered(conn, number, ADMIN, LATER)
        assert await help.open_since(conn, BUYER, since) == 0
        asked = await help.request(conn, number)
        assert await help.request(conn, number + 99) is None
    assert asked is not None
    assert asked.answered_at == NOW
