"""Callbacks per second stored and answered by the HTTP door, beside a constant answer."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from benchmarks.pairs import AT_LEAST, Bar, Figure, columns, interleaved
from benchmarks.server import Server
from escrow import settings
from escrow.bootstrap import open_services_on
from escrow.store import inbox
from escrow.web.server import Server as Door
from escrow.web.webhooks import Webhooks

DATABASE: Final = "callbacks"
CONNECTIONS: Final = 8
CALL_SECONDS: Final = 60.0
_ROOT: Final = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Scale:
    rounds: int
    callbacks: int


FULL: Final = Scale(rounds=7, callbacks=1000)
QUICK: Final = Scale(rounds=1, callbacks=40)


async def run(server: Server, scale: Scale = FULL) -> list[Figure]:
    """The door as the program builds it, called over 8 connections from another process."""
    dsn = await server.database(DATABASE)
    key = "benchmark" * 4
    known = {"TELEGRAM_BOT_TOKEN": "1:benchmark", "PUBLIC_URL": "http://127.0.0.1"}
    services = await open_services_on(settings.load(known), dsn, key.encode())
    routes = [*Webhooks(services.intake).routes(), web.post("/constant", _constant)]
    door = Door(routes)
    try:
        await door.start("127.0.0.1", 0)
        path = urlsplit(services.callback_base).path + "/s/{token}"

        async def stored() -> float:
            return scale.callbacks / await _call(door.port, path, scale.callbacks)

        async def constant() -> float:
            return scale.callbacks / await _call(door.port, "/constant", scale.callbacks)

        await stored()
        await constant()
        found = await interleaved(scale.rounds, stored, constant)
        async with services.database.reading() as conn:
            waiting, parked = await inbox.backlog(conn)
        assert (waiting, parked) == (scale.callbacks * (scale.rounds + 1), 0)
    finally:
        await door.stop()
        await services.close()
    return [
        Figure(
            f"callbacks stored and answered, {CONNECTIONS} connections",
            "the same server answering a constant",
            "callbacks/s",
            columns(found, 0, 1),
            Bar(AT_LEAST, 0.4),
        )
    ]


async def _constant(request: web.Request) -> web.StreamResponse:
    return web.json_response({"ResultCode": 0, "ResultDesc": "Accepted"})


async def _call(port: int, path: str, count: int) -> float:
    """Seconds that the caller took."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.caller"),
        *(str(port), path, str(count), str(CONNECTIONS)),
        cwd=_ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), CALL_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise RuntimeError("the caller did not get through to the door")
    return float(said)
