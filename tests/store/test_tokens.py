"""The queries of the shared tokens, against PostgreSQL."""

from datetime import UTC, datetime, timedelta

import pytest

from escrow.store import tokens
from escrow.store.database import Database

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
KEY = "mpesa:0123"


@pytest.fixture
async def conn(dsn):
    database = await Database.connect(dsn, minimum=1, maximum=2)
    async with database.reading() as conn:
        yield conn
    await database.close()


def lease(conn, at=NOW, key=KEY):
    """As a process takes it: a token has to hold for a minute, the lease lasts 15 s."""
    return tokens.take_lease(conn, key, at, at + 60 * SECOND, at + 15 * SECOND)


async def test_a_new_provider_has_no_token_and_one_lease(conn):
    assert await tokens.usable(conn, KEY, NOW) is None
    assert await lease(conn) == NOW + 15 * SECOND
    assert await lease(conn) is None
    assert await lease(conn, NOW + 14 * SECOND) is None
    assert await tokens.usable(conn, KEY, NOW) is None


async def test_a_lease_that_ended_is_taken_over_and_its_owner_can_not_keep(conn):
    first = await lease(conn)
    second = await lease(conn, NOW + 15 * SECOND)
    assert second == NOW + 30 * SECOND
    assert not await tokens.keep(conn, KEY, first, "late", NOW + 3599 * SECOND)
    assert await tokens.keep(conn, KEY, second, "new", NOW + 3599 * SECOND)
    assert await tokens.usable(conn, KEY, NOW) == "new"
    assert not await tokens.keep(conn, KEY, second, "again", NOW + 3599 * SECOND)


async def test_a_token_is_usable_until_its_margin_and_leased_after_it(conn):
    await tokens.keep(conn, KEY, await lease(conn), "t", NOW + 3599 * SECOND)
    assert await tokens.usable(conn, KEY, NOW + 3598 * SECOND) == "t"
    assert await tokens.usable(conn, KEY, NOW + 3599 * SECOND) is None
    assert await lease(conn, NOW + 3538 * SECOND) is None
    assert await lease(conn, NOW + 3539 * SECOND) is not None


async def test_a_released_lease_is_free_and_a_foreign_one_stays(conn):
    taken = await lease(conn)
    await tokens.release(conn, KEY, taken + SECOND)
    assert await lease(conn) is None
    await tokens.release(conn, KEY, taken)
    assert await lease(conn) == taken


async def test_a_refused_token_is_forgotten_and_a_newer_one_stays(conn):
    await tokens.keep(conn, KEY, await lease(conn), "t", NOW + 3599 * SECOND)
    await tokens.forget(conn, KEY, "older")
    assert await tokens.usable(conn, KEY, NOW) == "t"
    await tokens.forget(conn, KEY, "t")
    assert await tokens.usable(conn, KEY, NOW) is None
    assert await lease(conn) is not None


async def test_a_lease_from_a_clock_that_stood_wrong_blocks_nobody(conn):
    await lease(conn, NOW + timedelta(days=1))
    assert await lease(conn) == NOW + 15 * SECOND


async def test_other_credentials_have_a_token_of_their_own(conn):
    await tokens.keep(conn, KEY, await lease(conn), "t", NOW + 3599 * SECOND)
    assert await tokens.usable(conn, "mpesa:4567", NOW) is None
    assert await lease(conn, key="mpesa:4567") is not None
