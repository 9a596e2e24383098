"""A town with two admins."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from escrow.store.database import Database
from sandbox.server import Sandbox
from tests.bot.conftest import ADMIN, SECOND_ADMIN, FixedClock, Town


@pytest.fixture
async def town_of_two(
    sandbox: Sandbox, database: Database, clock: FixedClock
) -> AsyncIterator[Town]:
    town = Town(sandbox, database, clock, admins=(ADMIN, SECOND_ADMIN))
    await town.application.initialize()
    await town.store.start()
    try:
        await town.says(SECOND_ADMIN, "/start")
        yield town
    finally:
        await town.store.stop()
        await town.application.shutdown()
