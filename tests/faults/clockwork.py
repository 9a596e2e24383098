"""A process with a scheduler: `python -m tests.faults.clockwork DSN FIRST SECONDS COUNT`.

It has COUNT jobs, each with one slot, SECONDS apart from FIRST (seconds since 1970) on. Each writes
into the table `happened` when it begins and when it ends; between it works for a moment. The first
line that this process says is its name as an owner of slots.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from datetime import UTC, datetime, timedelta
from functools import partial

import escrow_automation
from escrow.bootstrap import Services, open_services_on
from escrow.domain.schedule import Schedule
from escrow.settings import load
from escrow_automation import Job, start_automation

LOOK_SECONDS = 1.0
WORK_SECONDS = 1.5


async def work(name: str, services: Services) -> tuple[int, int, int]:
    for event in ("begin", "end"):
        async with services.database.reading() as conn:
            await conn.execute(
                "INSERT INTO happened VALUES ($1, $2, $3, clock_timestamp())",
                name,
                services.slots.owner,
                event,
            )
        if event == "begin":
            await asyncio.sleep(WORK_SECONDS)
    return 1, 1, 0


def jobs(first: datetime, seconds: float, count: int) -> tuple[Job, ...]:
    found = []
    for number in range(count):
        at = first + timedelta(seconds=seconds * number)
        schedule = Schedule((at.time(),))
        found.append(
            Job(
                f"job_{number}",
                "works for a moment",
                lambda _: LOOK_SECONDS,
                partial(work, f"job_{number}"),
                timer=False,
                schedule=lambda _, schedule=schedule: schedule,  # type: ignore[misc]
            )
        )
    return tuple(found)


async def live(dsn: str, first: datetime, seconds: float, count: int) -> None:
    settings = load({"HTTP_PORT": "0", "TIMEZONE": "UTC"})
    services = await open_services_on(settings, dsn, b"k" * 32)
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    escrow_automation.JOBS = jobs(first, seconds, count)  # type: ignore[misc]
    await start_automation(None, services)
    print(services.slots.owner, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    began = datetime.fromtimestamp(float(sys.argv[2]), UTC)
    asyncio.run(live(sys.argv[1], began, float(sys.argv[3]), int(sys.argv[4])))
