"""The PostgreSQL to measure on: embedded, on a disk, with the settings that keep every promise."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from escrow.store import embedded, migrate

SETTINGS: Final = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_connections": "60",
}
PGBENCH_SECONDS: Final = 60.0
_TPS: Final = re.compile(r"^tps = ([0-9.]+) \(without initial connection time\)$", re.MULTILINE)
_FAILED: Final = re.compile(r"^number of failed transactions: ([0-9]+) ", re.MULTILINE)


class PgbenchError(Exception):
    """pgbench did not do all that it was told to."""


def tps(said: str) -> float:
    """Transactions per second in what pgbench said. `PgbenchError` when it failed at some."""
    rate, failed = _TPS.search(said), _FAILED.search(said)
    if rate is None or (failed is not None and failed[1] != "0"):
        raise PgbenchError(said[-600:])
    return float(rate[1])


@dataclass(frozen=True, slots=True)
class Server:
    """A running server, and a folder beside it that goes away with it."""

    cluster: embedded.Cluster
    folder: Path

    async def database(self, name: str) -> str:
        """Makes a migrated database; returns its address."""
        conn = await asyncpg.connect(self.cluster.dsn())
        try:
            await conn.execute(f"CREATE DATABASE {name}")
        finally:
            await conn.close()
        dsn = self.cluster.dsn(name)
        conn = await asyncpg.connect(dsn)
        try:
            await migrate.migrate(conn)
        finally:
            await conn.close()
        return dsn

    async def pgbench(
        self, database: str, script: str, transactions: int, *, clients: int = 8, schema: str
    ) -> float:
        """Transactions per second of a script by prepared statements, each client its share."""
        file = self.folder / "script.sql"
        file.write_text(script, encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            str(embedded.find_binaries() / "pgbench"),
            *("--no-vacuum", "--protocol=prepared", f"--file={file}"),
            *(f"--client={clients}", f"--jobs={min(clients, os.cpu_count() or 1)}"),
            f"--transactions={max(transactions // clients, 1)}",
            *("--host", self.cluster.host, "--port", str(self.cluster.port)),
            *("--username", self.cluster.user, database),
            env={"PATH": os.defpath, "LC_ALL": "C", "PGOPTIONS": f"-c search_path={schema}"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            said, _ = await asyncio.wait_for(process.communicate(), PGBENCH_SECONDS)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            raise PgbenchError(said.decode(errors="replace")[-600:])
        return tps(said.decode(errors="replace"))


@contextmanager
def running() -> Iterator[Server]:
    """A server for this run. Call it before the loop runs."""
    folder = Path(tempfile.mkdtemp(prefix="amana-benchmarks-", dir=_disk()))
    folder.chmod(0o755)  # under root the server runs as another account, which has to pass
    try:
        cluster = embedded.start(folder / "cluster", settings=SETTINGS)
        try:
            yield Server(cluster, folder)
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _disk() -> Path | None:
    """A folder that outlives a restart and so is on a disk: in memory fsync would cost nothing."""
    place = Path("/var/tmp")  # noqa: S108 (only for mkdtemp in it)
    return place if os.access(place, os.W_OK) else None
