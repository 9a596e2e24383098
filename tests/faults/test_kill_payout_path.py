"""`kill -9` at every statement and every question to M-Pesa of every flow that moves money out,
then a restart: nobody is paid twice, the books are whole, and what is not done is listed.

As in `test_kill_payment_path`: each flow is played again and again, and its process dies at the
n-th boundary, until it lives to the end. M-Pesa's own book outlives the process: whatever reached
it is paid, and its result comes after the restart.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from escrow.domain.errors import CannotDo
from escrow.domain.payouts import Payout
from escrow.services.intake import PAYOUT, PAYOUT_ASKED, PAYOUT_WORD
from tests.faults import victim
from tests.faults.zygote import Zygote, forking, gone
from tests.payout_rail import Bank, SentPayout, asked_body, result_body, word_body
from tests.world import ADMIN, ADMINS, BRIAN, JANE, World, kes, new_reference

MOST = 120
"""No flow has so many boundaries: a run that never ends is a failure."""
TURNS = 12
"""More sweeps than anything needs to end or to become a person's task."""

KILLS: Counter[tuple[str, bool]] = Counter()
"""(flow, whether after) → boundaries it was killed at."""


@dataclass
class Scene:
    """What the process is told to do, and how its payouts may end. `silent`: M-Pesa never says by
    itself what became of what reached it; `refused`: requests that it did not pay.
    """

    work: str
    ends: tuple[str, ...]
    args: dict[str, Any] = field(default_factory=dict)
    payouts: int = 1
    who: int = BRIAN
    silent: bool = False
    answers: bool = False
    by_hand: bool = False
    refused: frozenset[str] = frozenset()


@pytest.fixture(scope="module")
async def zygote(request: pytest.FixtureRequest) -> AsyncIterator[Zygote]:
    async with forking(request, KILLS) as process:
        yield process


# -- the flows -----------------------------------------------------------------------------------


async def _booked(world: World, amount: int = 500) -> Payout:
    await world.give(BRIAN, kes(amount))
    booked = await world.payouts.book_withdrawal(BRIAN, kes(amount), f"test:{new_reference()}")
    return await world.payouts.payout(booked.id)


async def _sent(world: World) -> SentPayout:
    await _booked(world)
    await world.payouts.send_due()
    return bank(world).book()[-1]


async def released_to_the_phone(world: World) -> Scene:
    """The buyer has it: the deal ends and the payout is booked, in one."""
    deal = await world.deal(1_000, buyer=BRIAN)
    await world.pay(deal, 1_050)
    args = {"code": deal.id, "who": BRIAN, "cause": f"update:{deal.id}"}
    return Scene("receive", ("PAID",), args, who=JANE)


async def refunded_to_the_phone(world: World) -> Scene:
    deal = await world.deal(1_000, buyer=BRIAN)
    await world.pay(deal, 1_050)
    return Scene("decline", ("PAID",), {"code": deal.id, "who": JANE})


async def withdrawn(world: World) -> Scene:
    await world.give(BRIAN, kes(500))
    args = {"who": BRIAN, "amount": 500, "cause": f"update:{new_reference()}"}
    return Scene("withdraw", ("PAID",), args)


async def sent(world: World) -> Scene:
    """Two at once. What never reached M-Pesa, but may have, is a person's."""
    await _booked(world)
    await _booked(world, 700)
    return Scene("send", ("PAID", "MANUAL"), payouts=2)


async def result_paid(world: World) -> Scene:
    one = await _sent(world)
    await world.intake.store(PAYOUT, one.token, "POST", "", _result(one), "127.0.0.1")
    return Scene("intake", ("PAID",))


async def result_refused_for_the_payee(world: World) -> Scene:
    one = await _sent(world)
    body = result_body(one, code=2040)
    await world.intake.store(PAYOUT, one.token, "POST", "", body, "127.0.0.1")
    return Scene("intake", ("FAILED",), refused=frozenset({one.ocid}))


async def result_refused_for_our_reason(world: World) -> Scene:
    """It is sent again under another id, and paid."""
    one = await _sent(world)
    body = result_body(one, code=1)
    await world.intake.store(PAYOUT, one.token, "POST", "", body, "127.0.0.1")
    return Scene("intake", ("PAID",), refused=frozenset({one.ocid}))


async def result_lost_and_asked_for(world: World) -> Scene:
    """No result comes; the question is answered after the restart."""
    await _sent(world)
    world.clock.tick(minutes=3)
    return Scene("ask", ("PAID",), silent=True, answers=True)


async def answer_about_a_lost_result(world: World) -> Scene:
    one = await _sent(world)
    world.clock.tick(minutes=3)
    await world.payouts.ask_due()
    body = asked_body(one, _receipt(one))
    await world.intake.store(PAYOUT_ASKED, one.token, "POST", "", body, "127.0.0.1")
    return Scene("intake", ("PAID",))


async def nobody_says_and_a_person_looks(world: World) -> Scene:
    """Asked twice for nothing."""
    await _sent(world)
    for _ in range(2):
        world.clock.tick(minutes=6)
        await world.payouts.ask_due()
    world.clock.tick(minutes=6)
    return Scene("ask", ("MANUAL",), silent=True)


async def held_for_a_person(world: World) -> Scene:
    """The keys are gone: what is ready becomes a task."""
    await _booked(world)
    bank(world).can_pay = False
    return Scene("send", ("MANUAL",))


async def paid_by_hand(world: World) -> Scene:
    bank(world).can_pay = False
    payout = await _booked(world)
    args = {"payout": payout.id, "admin": ADMIN, "receipt": new_reference()}
    return Scene("mark_paid", ("PAID",), args)


async def given_back_by_hand(world: World) -> Scene:
    bank(world).can_pay = False
    payout = await _booked(world)
    return Scene("mark_failed", ("FAILED",), {"payout": payout.id, "admin": ADMIN})


async def paid_by_hand_and_asked_about(world: World) -> Scene:
    """M-Pesa is asked about the receipt that the admin names."""
    bank(world).can_pay = False
    payout = await _booked(world)
    bank(world).can_pay = True
    args = {"payout": payout.id, "admin": ADMIN, "receipt": new_reference()}
    return Scene("mark_paid", ("PAID",), args)


async def answer_about_an_admins_receipt(world: World) -> Scene:
    scene = await paid_by_hand_and_asked_about(world)
    named = scene.args
    payout = await world.payouts.mark_paid(named["payout"], ADMIN, named["receipt"])
    assert payout.named_token is not None
    body = _word(payout)
    await world.intake.store(PAYOUT_WORD, payout.named_token, "POST", "", body, "127.0.0.1")
    return Scene("intake", ("PAID",), by_hand=True)


FLOWS: tuple[Callable[[World], Awaitable[Scene]], ...] = (
    released_to_the_phone,
    refunded_to_the_phone,
    withdrawn,
    sent,
    result_paid,
    result_refused_for_the_payee,
    result_refused_for_our_reason,
    result_lost_and_asked_for,
    answer_about_a_lost_result,
    nobody_says_and_a_person_looks,
    held_for_a_person,
    paid_by_hand,
    given_back_by_hand,
    paid_by_hand_and_asked_about,
    answer_about_an_admins_receipt,
)


# -- dying, and what is left ---------------------------------------------------------------------


def bank(world: World) -> Bank:
    assert isinstance(world.payout_rail, Bank)
    return world.payout_rail


def _receipt(one: SentPayout) -> str:
    """M-Pesa's number for this payment."""
    return f"SG{one.ocid[-8:].upper()}"


def _word(payout: Payout) -> bytes:
    return word_body(payout, payout.named_reference or "")


def _result(one: SentPayout) -> bytes:
    return result_body(one, _receipt(one))


async def _restart(world: World, scene: Scene) -> None:
    """What a person does again, and what a start and its jobs do, until nothing moves by itself."""
    with contextlib.suppress(CannotDo):
        if scene.work in ("receive", "decline", "withdraw", "mark_paid", "mark_failed"):
            await victim.WORK[scene.work](world, scene.args)
    for _ in range(TURNS):
        await world.intake.recover()
        await world.settle_inbox()
        await world.payouts.send_due()
        for one in bank(world).book():
            if one.ocid not in scene.refused and not scene.silent:
                # M-Pesa repeats itself; a repeat does nothing
                await world.intake.store(PAYOUT, one.token, "POST", "", _result(one), "127.0.0.1")
        for payout in await world.payouts.open_ones():
            if payout.named_token is not None:
                await world.intake.store(
                    PAYOUT_WORD, payout.named_token, "POST", "", _word(payout), "127.0.0.1"
                )
        await world.settle_inbox()
        world.clock.tick(minutes=6)
        asked = len(bank(world).asked)
        await world.payouts.ask_due()
        if scene.answers and len(bank(world).asked) > asked:
            (one,) = bank(world).book()
            body = asked_body(one, _receipt(one))
            await world.intake.store(PAYOUT_ASKED, one.token, "POST", "", body, "127.0.0.1")
            await world.settle_inbox()
        waiting = "SELECT count(*) FROM payouts WHERE state IN ('READY', 'SENDING', 'UNKNOWN')"
        if not await world.value(waiting):
            return
    raise AssertionError("something is on its way without an end")


async def _is_as_it_should(world: World, scene: Scene, first: int, own: int) -> None:
    rows = await world.sql("SELECT * FROM payouts WHERE id > $1 ORDER BY id", first)
    assert len(rows) == scene.payouts
    book = bank(world).book()
    really = Counter(
        int(one.ocid[1:].partition("-")[0]) for one in book if one.ocid not in scene.refused
    )
    assert all(times == 1 for times in really.values()), "paid twice"
    told = Counter(
        (row["chat_id"], row["kind"], str(row["params"].get("payout")))
        for row in await world.sql("SELECT chat_id, kind, params FROM outbox")
    )
    for row in rows:
        number, state = row["id"], row["state"]
        assert state in scene.ends
        if scene.work != "mark_paid" and not scene.by_hand:
            assert state != "PAID" or really[number] == 1, "paid only in our books"
        assert state != "FAILED" or really[number] == 0, "paid and given back"
        assert state != "MANUAL" or scene.silent or really[number] == 0
        assert told[scene.who, "payout_paid", str(number)] == (state == "PAID")
        assert told[scene.who, "payout_failed", str(number)] == (state == "FAILED")
        cards = ("payout_unknown", "payout_manual")
        for admin in ADMINS if state == "MANUAL" else ():
            assert sum(told[admin, card, str(number)] for card in cards) == 1
    listed = {one.id for one in await world.payouts.open_ones()}
    assert listed >= {row["id"] for row in rows if row["state"] == "MANUAL"}
    back = sum(row["amount_minor"] for row in rows if row["state"] == "FAILED")
    assert await world.wallet(scene.who) * 100 == own + back
    assert await world.value("SELECT count(*) FROM inbox WHERE state = 'NEW'") == 0
    await world.books()


async def _clear(world: World) -> None:
    """Makes room for the next one."""
    for one in await world.payouts.open_ones():
        await world.payouts.mark_failed(one.id, ADMIN, "test", not_sent=True)
    await world.sql("DELETE FROM outbox")
    bank(world).can_pay = True
    Path(bank(world).path).unlink(missing_ok=True)


async def _played(
    world: World,
    zygote: Zygote,
    flow: Callable[[World], Awaitable[Scene]],
    at: int,
    *,
    after: bool,
    eye: asyncpg.Connection,
) -> dict[str, Any]:
    first = await world.value("SELECT coalesce(max(id), 0) FROM payouts")
    own = {who: await world.wallet(who) * 100 for who in (BRIAN, JANE)}
    scene = await flow(world)
    end = await zygote.run(world, scene.work, scene.args, at, after=after)
    await gone(eye)
    try:
        await _restart(world, scene)
        await _is_as_it_should(world, scene, first, int(own[scene.who]))
    except AssertionError as wrong:
        wrong.add_note(f"killed {'after' if after else 'before'} {at}: {end['died_at']}")
        raise
    await _clear(world)
    return end


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.__name__)
async def test_killed_at_every_statement_nobody_is_paid_twice_and_nothing_is_forgotten(
    dsn: str,
    zygote: Zygote,
    tmp_path: Path,
    flow: Callable[[World], Awaitable[Scene]],
    after: bool,
) -> None:
    died_at: list[str] = []
    mpesa = Bank()
    mpesa.path = str(tmp_path / "bank")
    async with World.open(dsn, auto_payout=True, payout_rail=mpesa) as world:
        eye = await asyncpg.connect(dsn)
        for at in range(1, MOST):
            end = await _played(world, zygote, flow, at, after=after, eye=eye)
            if not end["killed"]:
                break
            died_at.append(end["died_at"])
        else:
            pytest.fail(f"more than {MOST} boundaries")
        await eye.close()
    assert any(statement.startswith("COMMIT") for statement in died_at), died_at
    KILLS[flow.__name__, after] = len(died_at)
