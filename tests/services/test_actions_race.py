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
ADMIN_ACTS, TIMER = "an admin acts", "a timer"
SETTLES, WITHDRAWS, DECLINES = "a side settles", "the buyer withdraws", "the seller declines"
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
    assert len(acts) == 10
    chance.shuffle(acts)
    results = await asyncio.gather(*(act() for _, act in acts), return_exceptions=True)
    won, lost = [], []
    for (who, _), result in zip(acts, results, strict=True):
        if isinstance(result, BaseException):
            assert isinstance(result, CannotDo), result
            lost.append((who, result))
        elif who == TIMER:
            assert result[1] == 0, "nothing is due"
        else:
            won.append(who)
    assert len(won) + len(lost) == 9
    losers.update(refused.reason for _, refused in lost)
    ended = (await world.escrow(deal.id)).finished_at is not None
    moves = await world.sql(
        "SELECT event, actor FROM escrow_timeline"
        " WHERE escrow_id = $1 AND version > $2 ORDER BY version",
        deal.id,
        (await _version_of_the_dispute(world, deal)),
    )
    assert len(moves) == len(won), "whatever was done is one row of the timeline, and nothing else"
    # a dispute that its buyer took back is no end: one end may come after it
    ends = [one for one in won if one != WITHDRAWS]
    assert len(ends) == ended
    assert moves[-1]["event"] == "withdraw_dispute" or ended
    for who, refused in lost:
        _is_clear(who, refused, world, {row["event"] for row in moves})
    if not ended:
        # the buyer withdrew first: whoever read that it moved asks again
        await world.manual_release(deal.id, SECOND_ADMIN)
        winners["withdrawn, then manual_release"] += 1
        return
    event = await world.value("SELECT event FROM settlements WHERE escrow_id = $1", deal.id)
    assert event == moves[-1]["event"]
    winners[str(event)] += 1


async def _version_of_the_dispute(world: World, deal: Escrow) -> int:
    found = await world.value(
        "SELECT max(version) FROM escrow_timeline WHERE escrow_id = $1 AND event = 'dispute'",
        deal.id,
    )
    return int(found)


def _is_clear(who: str, refused: CannotDo, world: World, done: set[str]) -> None:
    """An admin reads what was done instead, by whom and when; a side, that its deal or its offer
    no longer stands as it did (the other side's name is nothing for it).
    """
    said = refused.values
    if who != ADMIN_ACTS:
        assert refused.reason in ("illegal_move", "offer_gone", "no_open_dispute"), refused.reason
        assert said.get("status") or said.get("deal") or said.get("code")
        return
    assert refused.reason in ("decided_before", "action_moved"), refused.reason
    assert said["event"] in done
    assert said["at"] == world.clock.now()
    names = {"admin": ("Amina", "Abdi"), "seller": ("Jane",), "buyer": ("Brian",)}
    if said["role"] == "parties":
        assert said["event"] == "settle"
    else:
        assert said["by"] in names[said["role"]]


async def _acts(
    world: World, deal: Escrow, number: int, chance: random.Random
) -> list[tuple[str, Act]]:
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
        *((ADMIN_ACTS, _press(world, action)) for action in pressed),
        *((ADMIN_ACTS, _type(world, action)) for action in typed),
        (SETTLES, lambda: world.escrows.accept_offer(offer.id, accepting)),
        (WITHDRAWS, lambda: world.escrows.withdraw_dispute(deal.id, BRIAN))
        if withdraws
        else (ADMIN_ACTS, _press(world, await _ask(world, deal, "manual_release", other))),
        (DECLINES, lambda: world.escrows.decline(deal.id, JANE)),
        (TIMER, chance.choice((world.escrows.release_due, world.escrows.refund_due))),
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
