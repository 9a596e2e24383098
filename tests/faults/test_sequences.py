"""No sequence of what providers send (true, twice, late, in another order, contradicting, forged)
credits anything twice, credits money that there is not, or loses any.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.faults.sequences import MOVES, Move, play
from tests.world import World

EXAMPLES, MOVES_MAX = 60, 25

moves = st.lists(
    st.tuples(st.sampled_from(sorted(MOVES)), st.integers(0, 5), st.integers(0, 39)),
    min_size=4,
    max_size=MOVES_MAX,
)


@pytest.fixture(params=["keys to ask", "no keys"])
async def world(dsn: str, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """Without keys nothing is believed unasked, so that what is forged waits for a person."""
    async with World.open(
        dsn,
        prompts_per_user_hour=100_000,
        unconfirmed_limit_minor=0,
    ) as opened:
        opened.rail.can_ask_status = request.param == "keys to ask"
        yield opened
        await opened.books()


@pytest.mark.slow
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(moves=moves)
async def test_every_payment_is_booked_once_whatever_is_said_of_it(
    world: World, moves: list[Move]
) -> None:
    assert await play(world, moves) == []
