"""A job goes through everything once; what fails is counted and stops nobody."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest

from escrow.domain.errors import DatabaseDown, Paused
from escrow.services.batches import Tally, in_batches
from escrow.store.database import Connection
from tests.world import World


def _pages(total: int, size: int = 100):  # type: ignore[no-untyped-def]
    async def page(conn: Connection, after: int | None) -> Sequence[int]:
        first = 0 if after is None else after + 1
        return range(first, min(first + size, total))

    return page


async def test_everything_is_done_once(world: World) -> None:
    done: list[int] = []

    async def work(conn: Connection, keys: Sequence[int]) -> int:
        done.extend(keys)
        return len(keys)

    assert await in_batches("test", world.db, _pages(250), work) == Tally(250, 250)
    assert done == list(range(250))
    assert await in_batches("test", world.db, _pages(0), work) == Tally()


async def test_one_bad_among_a_thousand_stops_nobody(world: World) -> None:
    done: set[int] = set()

    async def work(conn: Connection, keys: Sequence[int]) -> int:
        if 537 in keys:
            await conn.fetchval("SELECT 1 / 0")
        done.update(keys)
        return len(keys)

    assert await in_batches("test", world.db, _pages(1_000), work) == Tally(1_000, 999, 1)
    assert done == set(range(1_000)) - {537}


async def test_a_batch_that_fails_leaves_nothing_of_it_behind(world: World) -> None:
    async def work(conn: Connection, keys: Sequence[int]) -> int:
        for key in keys:
            await conn.execute(
                "INSERT INTO admin_menus (chat_id, set_at) VALUES ($1, now())", key + 1
            )
        if len(keys) > 1 or keys[0] == 3:
            raise ValueError("poison")
        return 1

    assert await in_batches("test", world.db, _pages(5), work) == Tally(5, 4, 1)
    rows = await world.sql("SELECT chat_id FROM admin_menus ORDER BY chat_id")
    assert [row["chat_id"] for row in rows] == [1, 2, 3, 5]


@pytest.mark.parametrize("error", [DatabaseDown("away"), Paused()])
async def test_what_concerns_everything_ends_the_job(world: World, error: Exception) -> None:
    async def work(conn: Connection, keys: Sequence[int]) -> int:
        raise error

    with pytest.raises(type(error)):
        await in_batches("test", world.db, _pages(5), work)


async def test_what_needed_nothing_after_all_is_neither_done_nor_failed(world: World) -> None:
    async def work(conn: Connection, keys: Sequence[int]) -> int:
        return 1

    assert await in_batches("test", world.db, _pages(100), work) == Tally(100, 1)


async def test_a_long_run_says_how_far_it_is(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(conn: Connection, keys: Sequence[int]) -> int:
        return len(keys)

    with caplog.at_level(logging.INFO):
        await in_batches("test", world.db, _pages(25_000, 1_000), work)
    said = [one.getMessage() for one in caplog.records if "looked at" in one.getMessage()]
    assert said == ["test: 10000 looked at", "test: 20000 looked at"]


def test_tallies_add_up() -> None:
    assert Tally(3, 2, 1) + Tally(5, 5) == Tally(8, 7, 1)
