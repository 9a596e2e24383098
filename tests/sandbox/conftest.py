"""The sandbox over real HTTP, fresh for every test, with a clock that tests can move."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from sandbox.pulse import Pulse
from sandbox.server import Sandbox


class Clock:
    """Real time plus what a test added."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def advance(self, **parts: float) -> None:
        self.ahead += timedelta(**parts)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def sandbox(clock: Clock) -> AsyncIterator[Sandbox]:
    async with Sandbox(clock=clock) as running:
        yield running


@dataclass(slots=True)
class Hit:
    """One request to the hooks."""

    path: str
    headers: dict[str, str]
    text: str

    @property
    def body(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(self.text)
        return read


class Hooks:
    """Where a bot would listen: keeps what comes, and answers what a test says."""

    def __init__(self) -> None:
        self.url = ""
        self.hits: list[Hit] = []
        self.answers: dict[str, tuple[int, str]] = {}
        self.pulse = Pulse()

    async def serve(self, request: web.Request) -> web.Response:
        self.hits.append(Hit(request.path, dict(request.headers), await request.text()))
        self.pulse.beat()
        status, text = self.answers.get(request.path, (200, '{"ResultCode":0}'))
        return web.Response(status=status, text=text, content_type="application/json")

    async def wait(self, count: int) -> list[Hit]:
        """Until that many requests have come."""
        return await self.pulse.until(
            lambda: self.hits if len(self.hits) >= count else None,
            5,
            lambda: f"{len(self.hits)} of {count} requests came",
        )


@pytest.fixture
async def hooks() -> AsyncIterator[Hooks]:
    kept = Hooks()
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", kept.serve)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    kept.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield kept
    finally:
        await runner.cleanup()
