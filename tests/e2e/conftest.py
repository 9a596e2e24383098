"""`main.py` as a process of its own, against the stand-ins over HTTP and a real database."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from escrow.store import embedded
from sandbox import persona
from sandbox.server import Sandbox
from tests.conftest import own_database

ROOT = Path(__file__).resolve().parents[2]
ADMIN, SELLER, BUYER, STRANGER = (one.id for one in persona.EVERYBODY[:4])
PHONE = persona.BUYER.phone
B2C = {
    "MPESA_B2C_SHORTCODE": persona.SHORTCODE,
    "MPESA_B2C_CONSUMER_KEY": persona.CONSUMER_KEY,
    "MPESA_B2C_CONSUMER_SECRET": persona.CONSUMER_SECRET,
}
"""Payouts by themselves, over the stand-in."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Running:
    """A started program: `sandbox` is the world around it, `sql()` asks its database."""

    def __init__(self, sandbox: Sandbox, dsn: str, folder: Path, **settings: str) -> None:
        self.sandbox = sandbox
        self.telegram = sandbox.telegram
        self.daraja = sandbox.daraja
        self.dsn = dsn
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONUNBUFFERED": "1",
            "TELEGRAM_BOT_TOKEN": persona.BOT_TOKEN,
            "TELEGRAM_API_URL": sandbox.telegram_url,
            "ADMIN_CHAT_ID": str(ADMIN),
            "DATABASE_URL": dsn,
            "DATA_DIR": str(folder / "data"),
            "LOG_FILE": str(folder / "app.log"),
            "ESCROW_SECRET_KEY": "0123456789abcdef" * 4,
            "HTTP_PORT": str(self.port),
            "PUBLIC_URL": self.url,
            "FEE_PERCENT": "5",
            "NEW_SELLER_OPEN_DEALS": "0",
            "SWEEP_SECONDS": "1",
            "AUTO_RELEASE_SECONDS": "1",
            "AUTO_REFUND_SECONDS": "1",
            "MPESA_BASE_URL": sandbox.daraja_url,
            "MPESA_CONSUMER_KEY": persona.CONSUMER_KEY,
            "MPESA_CONSUMER_SECRET": persona.CONSUMER_SECRET,
            "MPESA_SHORTCODE": persona.SHORTCODE,
            "MPESA_PASSKEY": persona.PASSKEY,
            "MPESA_DISPLAY_NAME": persona.BUSINESS_NAME,
            "MPESA_INITIATOR_NAME": "testapi",
            "MPESA_SECURITY_CREDENTIAL": "credential",
            **settings,
        }
        self.process: asyncio.subprocess.Process | None = None
        self.output: list[str] = []
        self._reader: asyncio.Task[None] | None = None
        self._conn: asyncpg.Connection | None = None
        self._asking = asyncio.Lock()

    async def start(self, *, wait: bool = True) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(ROOT / "main.py"),
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self._reader = asyncio.create_task(self._read())
        if wait:
            await self.until_said("Amana runs as")

    async def _read(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.output.append(line.decode().rstrip())

    async def until_said(self, words: str, timeout: float = 30.0) -> str:
        """Waits for a line of its output."""

        async def look() -> str:
            while True:
                for line in self.output:
                    if words in line:
                        return line
                assert self.process is not None
                if self.process.returncode is not None and self._reader and self._reader.done():
                    raise AssertionError("it ended:\n" + "\n".join(self.output))
                await asyncio.sleep(0.02)

        try:
            return await asyncio.wait_for(look(), timeout)
        except TimeoutError:
            raise AssertionError(f"never said {words!r}:\n" + "\n".join(self.output)) from None

    async def kill(self) -> None:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
        await self._gone()

    async def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        code = await self._gone()
        await self._let_go()
        return code

    async def _gone(self) -> int:
        assert self.process is not None
        code = await asyncio.wait_for(self.process.wait(), 20)
        if self._reader is not None:
            await self._reader
        return code

    async def sql(self, query: str, *values: Any) -> list[asyncpg.Record]:
        async with self._asking:
            if self._conn is None or self._conn.is_closed():
                self._conn = await asyncpg.connect(self.dsn)
            return list(await self._conn.fetch(query, *values))

    async def close(self) -> None:
        """Stops it, if it runs, and lets go of its database."""
        if self.process is not None and self.process.returncode is None:
            await self.stop()
        await self._let_go()

    async def _let_go(self) -> None:
        conn, self._conn = self._conn, None
        if conn is not None:
            await conn.close()

    async def until(self, query: str, expected: Any, *values: Any, timeout: float = 15.0) -> None:
        """Polls until the first value of a query is the expected one."""
        found: Any = None

        async def look() -> None:
            nonlocal found
            while True:
                rows = await self.sql(query, *values)
                found = rows[0][0] if rows else None
                if found == expected:
                    return
                await asyncio.sleep(0.03)

        try:
            await asyncio.wait_for(look(), timeout)
        except TimeoutError:
            tail = "\n".join(self.output[-40:])
            raise AssertionError(f"{query}: {found!r}, expected {expected!r}\n{tail}") from None

    async def books_are_right(self) -> None:
        """Trial balance 0, every deal holds what its status says, suspense is its receipts."""
        assert {row[1] for row in await self.sql("SELECT * FROM ledger_trial_balance")} == {0}
        wrong = await self.sql(
            """SELECT b.* FROM escrow_balances b JOIN escrow_transactions e ON e.id = b.escrow_id
                WHERE (b.status IN ('HELD','SHIPPED','DELIVERED','DISPUTED','FROZEN'))
                   <> (b.holding_minor > 0)
                   OR b.holding_minor NOT IN (0, coalesce(e.held_price_minor, 0))
                   OR (b.status <> 'PENDING' AND b.received_minor <> 0)"""
        )
        assert wrong == []
        async with httpx.AsyncClient() as http:
            ready = await http.get(f"{self.url}/readyz")
        assert ready.status_code == 200, ready.text


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as world:
        yield world


@pytest.fixture
async def running(sandbox: Sandbox, dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    """The program, ready."""
    program = Running(sandbox, dsn, tmp_path)
    await program.start()
    yield program
    await program.close()


@asynccontextmanager
async def started(
    cluster: embedded.Cluster, template: str, folder: Path, **settings: str
) -> AsyncIterator[Running]:
    """A program with those settings on a database of its own, for all the stories of a module."""
    async with own_database(cluster, template) as dsn, Sandbox() as world:
        program = Running(world, dsn, folder, **settings)
        await program.start()
        await register_c2b(program)
        try:
            yield program
        finally:
            await program.close()


async def register_c2b(program: Running) -> None:
    """`python main.py --register-c2b`, as an operator would."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "main.py"),
        "--register-c2b",
        env=program.environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, out.decode()
    assert "✔ Registered" in out.decode()
