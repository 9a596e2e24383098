"""Every fault strikes a world of its own, whose books are proved afterwards."""

from collections.abc import AsyncIterator

import pytest

from tests.world import World


@pytest.fixture
async def world(dsn: str) -> AsyncIterator[World]:
    async with World.open(dsn) as opened:
        yield opened
        await opened.books()
