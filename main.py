"""Starts Amana: settings, database, services, then bot, scheduler and HTTP server in one loop.

python main.py                  the bot; without TELEGRAM_BOT_TOKEN the sandbox
python main.py --check          looks at everything, says what to do next, exits 0 or 1
python main.py --register-c2b   tells M-Pesa where payments to the paybill are announced
python main.py pause [reason]   stops everything that moves money, also while the bot runs
python main.py resume           lets it go on
python main.py rate 129.50      shillings for a dollar, for deals in shillings paid in crypto
python main.py approve ID       the second word for an admin's action; asks, unless --yes
python main.py rerun            lists the callbacks that could not be processed
python main.py rerun ID…        processes them again; --all: every listed one
python main.py statement FILE   lays M-Pesa's statement (CSV) beside the books
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from escrow import host, logs
from escrow.bootstrap import secret_key, start_cluster
from escrow.domain.errors import Fault
from escrow.program import Program, check, register_c2b
from escrow.settings import Settings, SettingsError, load
from escrow.store.embedded import Cluster, EmbeddedError
from escrow.web.server import PortTakenError

STOP_SECONDS = 6.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until SIGTERM or Ctrl-C; the exit status is 1 when it could not start."""
    parser = argparse.ArgumentParser(prog="main.py", description="Amana, escrow for Telegram")
    parser.add_argument("--check", action="store_true", help="look at everything and exit")
    parser.add_argument("--register-c2b", action="store_true", help="register the paybill")
    metavar = "pause | resume | rate | approve | rerun | statement"
    commands = parser.add_subparsers(dest="command", metavar=metavar)
    pausing = commands.add_parser("pause", help="stop everything that moves money")
    pausing.add_argument("reason", nargs="*", help="told to the admins")
    commands.add_parser("resume", help="let it go on")
    rating = commands.add_parser("rate", help="set the price of the dollar")
    rating.add_argument("price", metavar="129.50", help="shillings for a dollar")
    approving = commands.add_parser("approve", help="the second word for an admin's action")
    approving.add_argument("action", type=int, metavar="ID", help="the action's number")
    approving.add_argument("--yes", action="store_true", help="don't ask")
    again = commands.add_parser("rerun", help="process parked callbacks again, or list them")
    again.add_argument("rows", type=int, nargs="*", metavar="ID", help="as the list says")
    again.add_argument("--all", action="store_true", help="every one that is listed")
    comparing = commands.add_parser("statement", help="compare M-Pesa's statement")
    comparing.add_argument("file", type=Path, metavar="FILE", help="the portal's CSV")
    chosen = parser.parse_args(arguments)
    file = chosen.file.absolute() if chosen.command == "statement" else None
    os.chdir(Path(__file__).resolve().parent)
    cluster: Cluster | None = None
    try:
        settings = load()
        try:
            quiet = chosen.command is not None
            logs.set_up(settings.log_level, settings.log_file, quiet=quiet)
        except OSError as error:
            raise SettingsError(f"LOG_FILE: can't write {settings.log_file}: {error}") from error
        cluster = start_cluster(settings, _say)
        key = secret_key(settings)
        dsn = cluster.dsn() if cluster else settings.database_url.get_secret_value()
        if chosen.check:
            return asyncio.run(check(settings, dsn, key, _say))
        if chosen.register_c2b:
            return asyncio.run(register_c2b(settings, dsn, key, _say))
        if chosen.command == "pause":
            return asyncio.run(host.pause(settings, dsn, key, _say, " ".join(chosen.reason)))
        if chosen.command == "resume":
            return asyncio.run(host.resume(settings, dsn, key, _say))
        if chosen.command == "rate":
            return asyncio.run(host.rate(settings, dsn, key, _say, chosen.price))
        if file is not None:
            return asyncio.run(host.statement(settings, dsn, key, _say, file))
        if chosen.command == "approve":
            word = host.approve(settings, dsn, key, _say, chosen.action, sure=chosen.yes)
            return asyncio.run(word)
        if chosen.command == "rerun":
            rows, every = chosen.rows, chosen.all
            return asyncio.run(host.rerun(settings, dsn, key, _say, rows, every=every))
        return asyncio.run(_run(settings, dsn, key))
    except (SettingsError, EmbeddedError, PortTakenError, Fault) as error:
        _say(f"Amana can't start: {error}")
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        if cluster is not None:
            cluster.stop()


async def _run(settings: Settings, dsn: str, key: bytes) -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def told_to_stop() -> None:
        if stop.is_set():  # a second signal: the database keeps what was promised
            os._exit(1)
        _say("Stopping …")
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told_to_stop)
    program = Program(settings, dsn, key, _say)
    starting = asyncio.ensure_future(program.start())
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    try:
        if starting.done():
            starting.result()
            await stopping
        else:
            starting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await starting
    finally:
        stopping.cancel()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await program.stop()
        except TimeoutError:
            _say("Not everything stopped in time; the next start goes on from the database.")
    return 0


def _say(words: str) -> None:
    print(words, flush=True)


if __name__ == "__main__":
    sys.exit(main())
