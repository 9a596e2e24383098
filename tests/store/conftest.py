"""A database with a deal in every status, and connections to fresh ones."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from escrow.store import embedded
from escrow.store.database import Database
from tests.store import books


@pytest.fixture(scope="session")
async def world_dsn(cluster: embedded.Cluster, template_database: str) -> AsyncIterator[str]:
    """The address of `books.world`. Tests take back what they do to it."""
    name = "amana_books"
    admin = await asyncpg.connect(cluster.dsn())
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template_database} STRATEGY FILE_COPY")
    conn = await asyncpg.connect(cluster.dsn(name))
    await books.world(conn)
    await conn.close()
    yield cluster.dsn(name)
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


@pytest.fixture(scope="session")
async def attacked(world_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to the world as its owner; every test rolls back."""
    conn = await asyncpg.connect(world_dsn)
    yield conn
    await conn.close()


@pytest.fixture
async def world_db(cluster: embedded.Cluster, world_dsn: str) -> AsyncIterator[Database]:
    """The pool on a copy of the world that the test may spoil."""
    name = "amana_books_copy"
    template = world_dsn.rpartition("/")[2].partition("?")[0]
    admin = await asyncpg.connect(cluster.dsn())
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    database = await Database.connect(cluster.dsn(name), minimum=1, maximum=5)
    yield database
    await database.close()
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


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
