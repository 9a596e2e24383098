"""A thousand disputes, ten who would end each at once: one does, all others read why not."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from escrow.bot.refusals import REFUSALS
from escrow.domain.actions import Action
from escrow.domain.errors import CannotDo
from escrow.domain.model import Escrow
from escrow.services.action_tokens import Word
from tests.services.test_disputes import dispute, funded
from tests.world import ADMIN, BRIAN, JANE, SECOND_ADMIN, World

DISPUTES = 1_000
AT_ONCE = 8
"""So many disputes are raced side by side."""
Act = Callable[[], Awaitable[Any]]


@pytest.mark.slow
async def test_a_thousand_disputes_with_ten_racing_actors_end_once_each(
    dsn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(20261123)  # noqa: S311 a shuffled order, no secret
    winners: Counter[str] = Counter()
    losers: Counter[str] = Counter()
    async with World.open(dsn, connections=20) as world:
        pending = iter(range(DISPUTES))

        async def worker() -> None:
            for number in pending:
                await _race(world, number, chance, winners, losers)

        await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
        assert await world.value("SELECT count(*) FROM settlements") == DISPUTES
        assert (
            await world.value("SELECT count(*) FROM escrow_disputes WHERE closed_at IS NULL") == 0
        )
        done = await world.value("SELECT count(*) FROM admin_actions WHERE state = 'DONE'")
        ends = await world.value(
            "SELECT count(*) FROM settlements"
            " WHERE event IN ('resolve', 'manual_refund', 'manual_release')"
        )
        assert done == ends, "every end by an admin is an action that was confirmed"
        await world.books()
    with capsys.disabled():
        print(f"\n{DISPUTES} disputes, {sum(losers.values())} answers to losers")
        print("ended by", dict(winners.most_common()))
        print("told", dict(losers.most_common()))
    assert set(losers) <= set(REFUSALS)
    assert len(winners) >= 6, winners


async def _race(
    world: World, number: int, chance: random.Random, winners: Counter[str], losers: Counter[str]
) -> None:
    deal = await funded(world, chance.choice(("HELD", "SHIPPED")), 100)
    await dispute(world, deal, BRIAN, f"dispute:{number}")
    acts = await _acts(world, deal, number, chance)
    chance.shuffle(acts)
    results = await asyncio.gather(*(act() for act in acts), return_exceptions=True)
    lost = [one for one in results if isinstance(one, BaseException)]
    assert [one for one in lost if not isinstance(one, CannotDo)] == []
    losers.update(one.reason for one in lost if isinstance(one, CannotDo))
    assert len([one for one in results if isinstance(one, Action)]) <= 1
    if (await world.escrow(deal.id)).finished_at is None:
        # the buyer withdrew first: whoever read that it moved asks again
        await world.manual_release(deal.id, SECOND_ADMIN)
        winners["withdrawn, then manual_release"] += 1
        return
    event = await world.value("SELECT event FROM settlements WHERE escrow_id = $1", deal.id)
    winners[str(event)] += 1


async def _acts(world: World, deal: Escrow, number: int, chance: random.Random) -> list[Act]:
    """Two admins by buttons and by typing, each way; both sides, who settle, withdraw and decline;
    the timers.
    """
    offering, accepting = (JANE, BRIAN) if number % 2 else (BRIAN, JANE)
    offer = await world.escrows.offer_settlement(
        deal.id, offering, buyer_percent=chance.choice((0, 30, 100)), cause=f"offer:{number}"
    )
    one, other = (ADMIN, SECOND_ADMIN) if number % 3 else (SECOND_ADMIN, ADMIN)
    pressed = [
        await _ask(world, deal, "resolve", one, decision="buyer", notes="seen"),
        await _ask(world, deal, "resolve", other, decision="seller", notes="seen"),
        await _ask(world, deal, "manual_release", one),
        await _ask(world, deal, "manual_refund", other),
    ]
    typed = [
        await _ask(world, deal, "resolve", other, decision="split", percent=70, notes="seen"),
        await _ask(world, deal, "manual_refund", one),
    ]
    withdraws = number % 5 == 0
    return [
        *(_press(world, action) for action in pressed),
        *(_type(world, action) for action in typed),
        lambda: world.escrows.accept_offer(offer.id, accepting),
        (lambda: world.escrows.withdraw_dispute(deal.id, BRIAN))
        if withdraws
        else _press(world, await _ask(world, deal, "manual_release", other)),
        lambda: world.escrows.decline(deal.id, JANE),
        chance.choice((world.escrows.release_due, world.escrows.refund_due)),
    ]


def _press(world: World, action: Action) -> Act:
    token = world.actions.buttons(action, action.asked_by)[Word.YES]
    return lambda: world.actions.press(token, action.asked_by, f"press:{action.id}")


def _type(world: World, action: Action) -> Act:
    return lambda: world.actions.confirm_typed(
        action.kind, action.target, action.number, action.asked_by, f"type:{action.id}"
    )


async def _ask(world: World, deal: Escrow, kind: str, admin: int, **params: Any) -> Action:
    cause = f"{kind}:{admin}:{deal.id}:{params.get('decision')}"
    return await world.actions.ask(kind, deal.id, params, admin, cause)
