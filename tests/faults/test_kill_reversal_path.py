"""`kill -9` at every statement and every question to M-Pesa while an admin assigns money, sends it
back or reverses it, then a restart: nothing is credited or sent twice, and nothing is forgotten.
As in `test_kill_payout_path`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from escrow.domain.model import Evidence
from escrow.services.intake import REVERSAL
from tests.faults import victim
from tests.faults.zygote import Zygote, forking, gone
from tests.payout_rail import Bank
from tests.reversal_rail import ReversalBank, SentReversal, reversed_body
from tests.world import ADMIN, BRIAN, World, kes, new_reference

MOST = 120
TURNS = 12
KILLS: Counter[tuple[str, bool]] = Counter()


@dataclass
class Scene:
    """What the process is told to do with a receipt, and how it and its deal may end."""

    work: str
    receipt: str
    ends: tuple[str, ...]
    args: dict[str, Any] = field(default_factory=dict)
    deal: str = ""
    status: str = ""


@pytest.fixture(scope="module")
async def zygote(request: pytest.FixtureRequest) -> AsyncIterator[Zygote]:
    async with forking(request, KILLS) as process:
        yield process


async def _stray(world: World) -> str:
    number = new_reference()
    await world.funds.process_escrow_payment(
        world.by_hand(None, kes(1_050), reference=number), Evidence.STATUS
    )
    return number


async def _asked(world: World, kind: str, number: str, **params: Any) -> dict[str, Any]:
    action = await world.actions.ask(kind, number, params, ADMIN, f"test:{new_reference()}")
    return {"action": action.id, "admin": ADMIN}


async def assigned(world: World) -> Scene:
    deal, number = await world.deal(1_000, buyer=BRIAN), await _stray(world)
    args = await _asked(world, "assign_payment", number, code=deal.id)
    return Scene("confirm", number, ("CREDITED",), args, deal.id, "HELD")


async def sent_back(world: World) -> Scene:
    number = await _stray(world)
    args = await _asked(world, "send_back", number)
    return Scene("confirm", number, ("RETURNED",), args)


async def reversed_with_its_deal(world: World) -> Scene:
    deal, number = await world.deal(1_000, buyer=BRIAN), new_reference()
    await world.pay(deal, 1_050, reference=number)
    args = await _asked(world, "reverse", number, reason="")
    return Scene("confirm", number, ("REVERSED",), args, deal.id, "REFUNDED")


async def sent(world: World) -> Scene:
    """What never reached M-Pesa, but may have, is a person's."""
    number = await _stray(world)
    await world.rules("send_back", number, ADMIN)
    return Scene("send", number, ("RETURNED", "SUSPENSE"))


async def result(world: World) -> Scene:
    number = await _stray(world)
    await world.rules("send_back", number, ADMIN)
    await world.payouts.send_due()
    await _result(world, bank(world).book()[-1])
    return Scene("intake", number, ("RETURNED",))


FLOWS: tuple[Callable[[World], Awaitable[Scene]], ...] = (
    assigned,
    sent_back,
    reversed_with_its_deal,
    sent,
    result,
)


def bank(world: World) -> ReversalBank:
    assert isinstance(world.reversals, ReversalBank)
    return world.reversals


async def _result(world: World, one: SentReversal) -> None:
    body = reversed_body(one, f"SG{one.token[:8].upper()}")
    await world.intake.store(REVERSAL, one.token, "POST", "", body, "127.0.0.1")


async def _restart(world: World, scene: Scene) -> None:
    """The admin confirms again; what a start and its jobs do, until nothing moves by itself."""
    if scene.work == "confirm":
        await victim.WORK["confirm"](world, scene.args)
    for _ in range(TURNS):
        await world.intake.recover()
        await world.settle_inbox()
        await world.payouts.send_due()
        for one in bank(world).book():
            await _result(world, one)
        await world.settle_inbox()
        world.clock.tick(minutes=6)
        await world.payouts.ask_due()
        waiting = "SELECT count(*) FROM payouts WHERE state IN ('READY', 'SENDING', 'UNKNOWN')"
        if not await world.value(waiting):
            return
    raise AssertionError("something is on its way without an end")


async def _is_as_it_should(world: World, scene: Scene) -> None:
    times = Counter(one.reference for one in bank(world).book())
    state = await world.value("SELECT state FROM receipts WHERE reference = $1", scene.receipt)
    assert state in scene.ends
    assert times[scene.receipt] == (state in ("RETURNED", "REVERSED")), "sent twice, or never"
    if scene.deal:
        assert await world.status_of(await world.escrow(scene.deal)) == scene.status
    rows = await world.sql("SELECT id, state FROM payouts WHERE receipt = $1", scene.receipt)
    assert len(rows) == (0 if state == "CREDITED" else 1)
    if state == "SUSPENSE":
        assert [row["state"] for row in rows] == ["MANUAL"]
        assert "payout_unknown" in await world.told(ADMIN)
    assert await world.wallet() == 0
    assert await world.value("SELECT count(*) FROM inbox WHERE state = 'NEW'") == 0
    await world.books()


async def _clear(world: World) -> None:
    for one in await world.payouts.open_ones():
        await world.payouts.mark_failed(one.id, ADMIN, "test", not_sent=True)
    await world.sql("DELETE FROM outbox")
    async with world.db.unit() as conn:  # callbacks are known for ever, but not to the next round
        await conn.execute("SET LOCAL ROLE NONE")
        await conn.execute("SET LOCAL session_replication_role = 'replica'")
        await conn.execute("DELETE FROM inbox")
    Path(bank(world).path).unlink(missing_ok=True)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.__name__)
async def test_killed_at_every_statement_nothing_moves_twice_and_nothing_is_forgotten(
    dsn: str,
    zygote: Zygote,
    tmp_path: Path,
    flow: Callable[[World], Awaitable[Scene]],
    after: bool,
) -> None:
    died_at: list[str] = []
    mpesa, back = Bank(), ReversalBank()
    mpesa.path = str(tmp_path / "bank")
    back.path = f"{mpesa.path}.back"
    async with World.open(dsn, auto_payout=True, payout_rail=mpesa, reversals=back) as world:
        eye = await asyncpg.connect(dsn)
        for at in range(1, MOST):
            scene = await flow(world)
            end = await zygote.run(world, scene.work, scene.args, at, after=after)
            await gone(eye)
            try:
                await _restart(world, scene)
                await _is_as_it_should(world, scene)
            except AssertionError as wrong:
                wrong.add_note(f"killed {'after' if after else 'before'} {at}: {end['died_at']}")
                raise
            await _clear(world)
            if not end["killed"]:
                break
            died_at.append(end["died_at"])
        else:
            pytest.fail(f"more than {MOST} boundaries")
        await eye.close()
    assert any(statement.startswith("COMMIT") for statement in died_at), died_at
    KILLS[flow.__name__, after] = len(died_at)
