"""What the libraries cost without Amana, in a process of their own.

python -m benchmarks.bare start DSN API   opens the pool and a python-telegram-bot Application
python -m benchmarks.bare memory          only imports what Amana stands on

Says `ready`, then stays until its input ends.
"""

from __future__ import annotations

import sys

TOKEN = "1000000:sandbox-play-money"  # noqa: S105 the stand-in's


def memory() -> None:
    import apscheduler.schedulers.asyncio  # noqa: F401
    import asyncpg  # noqa: F401
    import telegram.ext  # noqa: F401

    _ready()


def start(dsn: str, api: str) -> None:
    import asyncio

    import asyncpg
    from telegram.ext import Application

    async def open_both() -> None:
        pool = await asyncpg.create_pool(dsn, min_size=2, max_size=10)
        app = Application.builder().token(TOKEN).base_url(f"{api}/bot").build()
        await app.initialize()
        await app.start()
        _ready()
        await app.stop()
        await app.shutdown()
        await pool.close()

    asyncio.run(open_both())


def _ready() -> None:
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    if sys.argv[1] == "start":
        start(*sys.argv[2:])
    else:
        memory()
