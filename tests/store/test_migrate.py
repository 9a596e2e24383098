"""Migrations are applied once, in order, each as a whole; anything doubtful is refused in words."""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import asyncpg
import pytest

from escrow.store import embedded, migrate
from escrow.store.migrate import SchemaError

NAMES = [path.name for _, path in migrate.files()]
Write = Callable[[str, str], Path]


@pytest.fixture
async def empty_dsn(cluster: embedded.Cluster) -> AsyncIterator[str]:
    """The address of a database without any table."""
    admin = await asyncpg.connect(cluster.dsn())
    await admin.execute("CREATE DATABASE amana_empty STRATEGY FILE_COPY")
    yield cluster.dsn("amana_empty")
    await admin.execute("DROP DATABASE amana_empty WITH (FORCE)")
    await admin.close()


@pytest.fixture
async def empty(empty_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    conn = await asyncpg.connect(empty_dsn)
    yield conn
    await conn.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the migrations, to be tampered with."""
    copied = tmp_path / "migrations"
    shutil.copytree(migrate.MIGRATIONS, copied)
    return copied


@pytest.fixture
def small(tmp_path: Path) -> Write:
    """Writes a migration of a schema of its own."""

    def write(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path

    return write


async def tables(conn: asyncpg.Connection) -> set[str]:
    rows = await conn.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {row["tablename"] for row in rows}


async def test_an_empty_database_gets_everything_in_order(empty: asyncpg.Connection) -> None:
    assert await migrate.pending(empty) == len(NAMES)
    assert await migrate.migrate(empty) == NAMES
    assert await migrate.pending(empty) == 0
    assert {
        "escrow_sellers",
        "escrow_transactions",
        "escrow_disputes",
        "escrow_timeline",
        "seller_ratings",
        "fraud_flags",
    } <= await tables(empty)
    applied = await empty.fetch("SELECT number, name FROM schema_migrations ORDER BY number")
    assert [tuple(row) for row in applied] == list(enumerate(NAMES, start=1))


async def test_a_second_start_changes_nothing(empty: asyncpg.Connection) -> None:
    await migrate.migrate(empty)
    first = await empty.fetch("SELECT * FROM schema_migrations")
    assert await migrate.migrate(empty) == []
    assert await empty.fetch("SELECT * FROM schema_migrations") == first


async def test_four_starts_at_once_apply_everything_once(empty_dsn: str) -> None:
    conns = [await asyncpg.connect(empty_dsn) for _ in range(4)]
    try:
        done = await asyncio.gather(*(migrate.migrate(conn) for conn in conns))
        assert sorted(done, key=len) == [[], [], [], NAMES]
        assert await conns[0].fetchval("SELECT count(*) FROM schema_migrations") == len(NAMES)
    finally:
        for conn in conns:
            await conn.close()


async def test_a_later_migration_is_applied_alone(empty: asyncpg.Connection, folder: Path) -> None:
    await migrate.migrate(empty, folder)
    name = f"{len(NAMES) + 1:04d}_more.sql"
    (folder / name).write_text("CREATE TABLE more (x int)", encoding="utf-8")
    assert await migrate.pending(empty, folder) == 1
    assert await migrate.migrate(empty, folder) == [name]
    assert "more" in await tables(empty)


async def test_an_edited_migration_is_refused(empty: asyncpg.Connection, folder: Path) -> None:
    await migrate.migrate(empty, folder)
    with (folder / NAMES[1]).open("a", encoding="utf-8") as file:
        file.write("-- only a comment\n")
    with pytest.raises(SchemaError, match=f"{NAMES[1]} was edited after it was applied"):
        await migrate.migrate(empty, folder)


async def test_a_database_newer_than_the_program_is_refused(
    empty: asyncpg.Connection, folder: Path
) -> None:
    await migrate.migrate(empty, folder)
    (folder / NAMES[-1]).unlink()
    with pytest.raises(SchemaError, match="newer than this program"):
        await migrate.migrate(empty, folder)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("0001_a.sql", "0003_b.sql"), "without gaps"),
        (("0002_a.sql",), "without gaps"),
        (("0001_a.sql", "0001_b.sql"), "without gaps"),
        (("0001_a.sql", "second.sql"), "second.sql: name it NNNN"),
        (("0001_A.sql",), "0001_A.sql: name it NNNN"),
        (("1_a.sql",), "1_a.sql: name it NNNN"),
    ],
)
async def test_wrong_numbers_and_names_are_refused_before_anything_is_done(
    empty: asyncpg.Connection, small: Write, names: tuple[str, ...], words: str
) -> None:
    for name in names:
        folder = small(name, "CREATE TABLE t (x int)")
    with pytest.raises(SchemaError, match=words):
        await migrate.migrate(empty, folder)
    assert await tables(empty) == set()


async def test_a_migration_that_fails_leaves_nothing_of_itself(
    empty: asyncpg.Connection, small: Write
) -> None:
    small("0001_good.sql", "CREATE TABLE good (x int)")
    folder = small("0002_bad.sql", "CREATE TABLE half (x int); SELECT 1 / 0")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate.migrate(empty, folder)
    assert await tables(empty) == {"schema_migrations", "good"}
    assert await migrate.pending(empty, folder) == 1
    small("0002_bad.sql", "CREATE TABLE half (x int)")
    assert await migrate.migrate(empty, folder) == ["0002_bad.sql"]


async def test_a_migration_that_fails_lets_the_next_start_in(
    empty_dsn: str, empty: asyncpg.Connection, small: Write
) -> None:
    folder = small("0001_bad.sql", "SELECT 1 / 0")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate.migrate(empty, folder)
    other = await asyncpg.connect(empty_dsn)
    try:
        small("0001_bad.sql", "CREATE TABLE good (x int)")
        assert await asyncio.wait_for(migrate.migrate(other, folder), 10) == ["0001_bad.sql"]
    finally:
        await other.close()


async def test_an_unmigrated_database_waits_for_all_of_them(empty: asyncpg.Connection) -> None:
    assert await migrate.pending(empty) == len(NAMES)
    assert await tables(empty) == set(), "asking changes nothing"


@pytest.mark.parametrize("path", [path for _, path in migrate.files()], ids=NAMES)
def test_a_migration_says_why_and_is_one_transaction(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("-- "), "its header says why"
    bodies = re.sub(r"\$\$.*?\$\$", "", text, flags=re.DOTALL)
    found = re.findall(
        r"^\s*(BEGIN|COMMIT|ROLLBACK|VACUUM|CREATE INDEX CONCURRENTLY)\b",
        bodies,
        flags=re.MULTILINE,
    )
    assert found == [], "would end or leave the transaction that it runs in"
