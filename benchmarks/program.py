"""The whole program: start to ready, clean stop, memory when idle; beside its libraries alone."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.pairs import AT_MOST, Bar, Figure, columns
from benchmarks.server import Server
from sandbox import persona
from sandbox.server import Sandbox

DATABASE: Final = "program"
START_SECONDS: Final = 90.0
STOP_SECONDS: Final = 20.0
_ROOT: Final = Path(__file__).resolve().parents[1]
_PARTS: Final = (
    *("escrow", "sandbox", "migrations"),
    *("escrow_automation.py", "escrow_handlers_admin.py", "escrow_service.py"),
    "payment_tolerance.py",
)
_START_BAR: Final = Bar(AT_MOST, 1.5)
_MEMORY_BAR: Final = Bar(AT_MOST, 1.5)


@dataclass(frozen=True, slots=True)
class Scale:
    rounds: int
    settle_seconds: float


FULL: Final = Scale(rounds=5, settle_seconds=1.0)
QUICK: Final = Scale(rounds=1, settle_seconds=0.0)


@dataclass(frozen=True, slots=True)
class Life:
    """One process from start to end."""

    ready_seconds: float
    resident_mib: float
    stop_seconds: float


class ProgramError(Exception):
    """The program did not start or stop as it should; the end of what it said."""


async def run(server: Server, scale: Scale = FULL) -> list[Figure]:
    """In turn: the sandbox cold and warm, the bot on a server that runs, the libraries alone."""
    dsn = await server.database(DATABASE)
    home = _copy(server.folder / "program")
    cold, sandboxed, served, started, imported = [], [], [], [], []
    async with Sandbox() as world:
        bare = [sys.executable, "-m", "benchmarks.bare"]
        main = [sys.executable, str(home / "main.py")]
        opening = [*bare, "start", dsn, world.telegram_url]
        for number in range(scale.rounds):
            data = server.folder / f"data-{number}"
            settings = _sandbox_settings(data)
            cold.append(await _live(main, settings, "Sandbox with play money", scale))
            sandboxed.append(await _live(main, settings, "Sandbox with play money", scale))
            shutil.rmtree(data)
            settings = _bot_settings(world, dsn, data)
            served.append(await _live(main, settings, "Amana runs as", scale))
            started.append(await _live(opening, {}, "ready", scale))
            imported.append(await _live([*bare, "memory"], {}, "ready", scale))
    return _figures(cold, sandboxed, served, started, imported)


def _figures(
    cold: list[Life],
    sandboxed: list[Life],
    served: list[Life],
    started: list[Life],
    imported: list[Life],
) -> list[Figure]:
    opening = "opening the pool and a python-telegram-bot Application alone"
    importing = "python-telegram-bot, asyncpg and APScheduler imported"
    stopping = "that process closing both again"
    modes = (
        ("the bot on a server that runs, warm", served, _START_BAR),
        ("the sandbox with its own PostgreSQL, warm", sandboxed, _START_BAR),
        ("the sandbox with its own PostgreSQL, cold (new data folder)", cold, None),
    )
    figures = [
        Figure(
            f"start to ready: {mode}",
            opening,
            "s",
            columns(
                [(a.ready_seconds, b.ready_seconds) for a, b in zip(lives, started, strict=True)],
                0,
                1,
            ),
            bar,
        )
        for mode, lives, bar in modes
    ]
    for mode, lives, _ in modes[:2]:
        pairs = [(a.stop_seconds, b.stop_seconds) for a, b in zip(lives, started, strict=True)]
        figures.append(Figure(f"clean stop on SIGTERM: {mode}", stopping, "s", pairs))
    for mode, lives, bar in (
        (modes[0][0], served, _MEMORY_BAR),
        (modes[1][0], sandboxed, _MEMORY_BAR),
    ):
        pairs = [(a.resident_mib, b.resident_mib) for a, b in zip(lives, imported, strict=True)]
        name = mode.replace(", warm", "").replace("its own PostgreSQL", "both stand-ins inside")
        figures.append(Figure(f"resident memory, idle: {name}", importing, "MiB", pairs, bar))
    return figures


def _copy(folder: Path) -> Path:
    """The program as in a fresh clone: `main.py` reads a `.env` beside it, and here is none."""
    folder.mkdir()
    shutil.copy(_ROOT / "main.py", folder)
    for part in _PARTS:
        (folder / part).symlink_to(_ROOT / part)
    return folder


def _sandbox_settings(data: Path) -> dict[str, str]:
    return {
        "DATA_DIR": str(data),
        "SANDBOX_PORT": str(_free_port()),
        "HTTP_PORT": str(_free_port()),
    }


def _bot_settings(world: Sandbox, dsn: str, data: Path) -> dict[str, str]:
    """The bot proper; Telegram and M-Pesa are stand-ins in another process."""
    return {
        "TELEGRAM_BOT_TOKEN": persona.BOT_TOKEN,
        "TELEGRAM_API_URL": world.telegram_url,
        "ADMIN_CHAT_ID": str(persona.ADMIN.id),
        "DATABASE_URL": dsn,
        "DATA_DIR": str(data),
        "ESCROW_SECRET_KEY": "benchmark" * 4,
        "HTTP_PORT": str(_free_port()),
        "MPESA_BASE_URL": world.daraja_url,
        "MPESA_CONSUMER_KEY": persona.CONSUMER_KEY,
        "MPESA_CONSUMER_SECRET": persona.CONSUMER_SECRET,
        "MPESA_SHORTCODE": persona.SHORTCODE,
        "MPESA_PASSKEY": persona.PASSKEY,
    }


async def _live(command: list[str], settings: Mapping[str, str], ready: str, scale: Scale) -> Life:
    """Starts a process, waits for its ready line, looks at it, and ends it."""
    environment = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONUNBUFFERED": "1", **settings}
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environment,
        cwd=_ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        said: list[str] = []
        await asyncio.wait_for(_until(process.stdout, ready, said), START_SECONDS)
        ready_seconds = time.perf_counter() - began
        draining = asyncio.create_task(_until(process.stdout, None, said))
        await asyncio.sleep(scale.settle_seconds)
        resident = _resident_mib(process.pid)
        began = time.perf_counter()
        if settings:
            process.send_signal(signal.SIGTERM)
        process.stdin.close()
        code = await asyncio.wait_for(process.wait(), STOP_SECONDS)
        stop_seconds = time.perf_counter() - began
        await draining
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if code != 0:
        raise ProgramError(f"exit status {code}:\n" + "\n".join(said[-20:]))
    return Life(ready_seconds, resident, stop_seconds)


async def _until(output: asyncio.StreamReader, words: str | None, said: list[str]) -> None:
    """Reads lines until one has these words; None reads to the end."""
    while line := (await output.readline()).decode(errors="replace").rstrip():
        said.append(line)
        if words is not None and words in line:
            return
    if words is not None:
        raise ProgramError(f"never said {words!r}:\n" + "\n".join(said[-20:]))


def _resident_mib(pid: int) -> float:
    """Resident memory of one process, its children not counted. Linux."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ProgramError("the process is gone")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
