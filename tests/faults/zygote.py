"""The process that forks the victims of `kill -9`, as a test sees it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from tests.payout_rail import Bank
from tests.world import World


class Zygote:
    """The process that forks the victims."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def run(
        self, world: World, work: str, args: Mapping[str, Any], at: int, *, after: bool
    ) -> dict[str, Any]:
        """Lets a child of this world do it, and die at the `at`-th boundary if there is one."""
        bank = world.payout_rail
        order = {
            "dsn": world.dsn,
            "at": world.clock.now().isoformat(),
            "keys": world.rail.can_ask_status,
            "pays": bank.can_pay,
            "bank": bank.path if isinstance(bank, Bank) else "",
            "auto": world.auto_payout,
            "work": work,
            "args": args,
            "kill": at,
            "after": after,
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        answer: dict[str, Any] = json.loads(await self._process.stdout.readline())
        assert not answer["failed"], (work, at)
        return answer


@asynccontextmanager
async def forking(
    request: pytest.FixtureRequest, kills: Counter[tuple[str, bool]]
) -> AsyncIterator[Zygote]:
    """Starts it; at the end it is said how often it was killed: (flow, after) → boundaries."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.faults.victim",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    yield Zygote(process)
    assert process.stdin is not None
    process.stdin.close()
    assert await process.wait() == 0
    flows = len({flow for flow, _ in kills})
    line = f"kill -9 at {sum(kills.values())} boundaries of {flows} flows"
    capture = request.config.pluginmanager.get_plugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print(f"\n{line}")


async def gone(eye: asyncpg.Connection) -> None:
    """Until PostgreSQL has noticed that the process is dead."""
    async with asyncio.timeout(10):
        while await eye.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND state <> 'idle' AND pid <> pg_backend_pid()"
        ):
            pass
