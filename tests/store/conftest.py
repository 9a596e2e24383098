"""A database with a deal in every status, and connections to fresh ones."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from escrow.store import embedded
from escrow.store.database import Database
from tests.store import town


@pytest.fixture(scope="session")
async def world_template(cluster: embedded.Cluster, template_database: str) -> str:
    """The name of `town.world`: to be cloned, so nobody stays connected to it."""
    name = "amana_books"
    await _run(cluster, f"CREATE DATABASE {name} TEMPLATE {template_database} STRATEGY FILE_COPY")
    conn = await asyncpg.connect(cluster.dsn(name))
    await town.world(conn)
    await conn.close()
    return name


@asynccontextmanager
async def _clone(cluster: embedded.Cluster, template: str, name: str) -> AsyncIterator[str]:
    await _run(cluster, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    yield cluster.dsn(name)
    await _run(cluster, f"DROP DATABASE {name} WITH (FORCE)")


async def _run(cluster: embedded.Cluster, statement: str) -> None:
    conn = await asyncpg.connect(cluster.dsn())
    await conn.execute(statement)
    await conn.close()


@pytest.fixture(scope="session")
async def world_dsn(cluster: embedded.Cluster, world_template: str) -> AsyncIterator[str]:
    """The address of a world that all tests share: they take back what they do to it."""
    async with _clone(cluster, world_template, "amana_books_shared") as dsn:
        yield dsn


@pytest.fixture(scope="session")
async def attacked(world_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to the shared world as its owner; every test rolls back."""
    conn = await asyncpg.connect(world_dsn)
    yield conn
    await conn.close()


@pytest.fixture
async def world_db(cluster: embedded.Cluster, world_template: str) -> AsyncIterator[Database]:
    """The pool on a world that the test may spoil."""
    async with _clone(cluster, world_template, "amana_books_copy") as dsn:
        database = await Database.connect(dsn, minimum=1, maximum=5)
        yield database
        await database.close()


@pytest.fixture
async def conn(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the owner to a fresh database."""
    opened = await asyncpg.connect(dsn)
    yield opened
    await opened.close()


@pytest.fixture
async def db(dsn: str) -> AsyncIterator[Database]:
    """The pool, on a fresh database, as the program works with it."""
    database = await Database.connect(dsn, minimum=1, maximum=20)
    yield database
    await database.close()
