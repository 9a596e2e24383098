"""What the suite stands on: one server per run, one migrated template, a database per test."""

import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from escrow.store import embedded

_TEMPLATE = "amana_template"
_MEMORY = Path("/dev/shm")  # noqa: S108 (only for mkdtemp in it)
_MEMORY_FREE_BYTES_MIN = 2 * 1024**3
# Nothing here outlives the run, so nothing has to reach the disk.
_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
}
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def cluster() -> Iterator[embedded.Cluster]:
    """The run's PostgreSQL server, with sizes of a real one and the safety of none."""
    folder = Path(tempfile.mkdtemp(prefix="amana-tests-", dir=fast_folder()))
    folder.chmod(0o755)  # under root the server runs as another account, which has to pass
    running = embedded.start(folder, settings=_SETTINGS)
    try:
        yield running
    finally:
        running.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
async def template_database(cluster: embedded.Cluster) -> str:
    """The name of a database with all migrations applied, to be cloned and never written."""
    from escrow.store import migrate

    await _run(cluster, f"CREATE DATABASE {_TEMPLATE}")
    conn = await asyncpg.connect(cluster.dsn(_TEMPLATE))
    try:
        await migrate.migrate(conn)
    finally:
        await conn.close()
    return _TEMPLATE


@pytest.fixture
async def dsn(cluster: embedded.Cluster, template_database: str) -> AsyncIterator[str]:
    """The address of an empty migrated database that no other test sees."""
    async with own_database(cluster, template_database) as address:
        yield address


@asynccontextmanager
async def own_database(cluster: embedded.Cluster, template: str) -> AsyncIterator[str]:
    """The address of an empty migrated database, gone at the end."""
    name = f"amana_test_{next(_numbers)}"
    await _run(cluster, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    yield cluster.dsn(name)
    await _run(cluster, f"DROP DATABASE {name} WITH (FORCE)")


async def _run(cluster: embedded.Cluster, statement: str) -> None:
    conn = await asyncpg.connect(cluster.dsn())
    try:
        await conn.execute(statement)
    finally:
        await conn.close()


def fast_folder() -> Path | None:
    """Memory where there is enough of it (cloning is ten times as fast there), else None: the disk.

    Programs may have to be copied beside the cluster, so memory they cannot run from does not do.
    """
    if not _MEMORY.is_dir() or not os.access(_MEMORY, os.W_OK):
        return None
    if os.statvfs(_MEMORY).f_flag & os.ST_NOEXEC:
        return None
    return _MEMORY if shutil.disk_usage(_MEMORY).free >= _MEMORY_FREE_BYTES_MIN else None
