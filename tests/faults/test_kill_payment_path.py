"""`kill -9` at every statement and every question to M-Pesa of every flow that moves a payment,
then a restart: nothing lost, nothing twice, one notice each.

Each flow is played again and again; the n-th time its process dies at the n-th boundary, until it
lives to the end. `before`: the statement never left. `after` (a COMMIT or a question): it left, and
nobody hears what became of it.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest

from escrow.domain.errors import CannotDo
from escrow.domain.model import Attempt, Escrow
from escrow.services.choice_tokens import Action
from tests.faults import victim
from tests.faults.zygote import Zygote, forking, gone
from tests.rail import CANCELLED, PAID, masked, paybill_body, status_body, stk_body
from tests.world import ADMIN, BRIAN, JANE, PHONES, SECOND_ADMIN, World, kes, new_reference

PRICE, DUE = 9_000, 9_450
MOST = 120
"""No flow has so many boundaries: a run that never ends is a failure."""

KILLS: Counter[tuple[str, bool]] = Counter()
"""(flow, whether after) → boundaries it was killed at."""

TOLD = {"funded": {(BRIAN, "funded"): 1, (JANE, "held"): 1}}


@dataclass
class Scene:
    """One deal ready for a flow: what the process is told to do, and what must be true at last.
    Brian's wallet is empty before it.
    """

    deal: Escrow
    work: str
    status: str
    accounts: tuple[int, int, int]
    wallet: int
    told: Mapping[tuple[int, str], int]
    args: dict[str, Any] = field(default_factory=dict)
    attempt: Attempt | None = None
    receipts: int = 1


@pytest.fixture(scope="module")
async def zygote(request: pytest.FixtureRequest) -> AsyncIterator[Zygote]:
    """The process of this module; at the end it says how often it was killed."""
    async with forking(request, KILLS) as process:
        yield process


# -- the flows -----------------------------------------------------------------------------------

FUNDED = ("HELD", (0, PRICE, 450), 0)


async def stk_callback(world: World) -> Scene:
    """A prompt's callback is stored; the worker takes it."""
    deal = await world.deal(PRICE)
    attempt = await world.prompt(deal)
    body = stk_body(attempt, world.clock.now(), reference=new_reference())
    await world.post_stk(attempt, body)
    return Scene(deal, "intake", *FUNDED, TOLD["funded"], attempt=attempt)


async def stk_callback_of_a_deal_paid_with_the_wallet(world: World) -> Scene:
    """A prompt with a wallet part and too much money by now."""
    await world.give(BRIAN, kes(1_000))
    deal = await world.deal(PRICE)
    attempt = await world.prompt(deal, use_wallet=True)
    await world.pay(deal, 9_100)
    await world.sql("DELETE FROM outbox")
    body = stk_body(attempt, world.clock.now(), reference=new_reference())
    await world.post_stk(attempt, body)
    told = {(BRIAN, "funded_over"): 1, (JANE, "held"): 1}
    wallet = 9_100 + 8_450 + 1_000 - DUE
    return Scene(deal, "intake", "HELD", (0, PRICE, 450), wallet, told, attempt=attempt, receipts=2)


async def lost_callback(world: World) -> Scene:
    """The sweep asks M-Pesa itself."""
    deal = await world.deal(PRICE)
    attempt = await world.prompt(deal)
    world.clock.tick(minutes=2)
    return Scene(deal, "look", *FUNDED, TOLD["funded"], attempt=attempt)


async def declined_callback(world: World) -> Scene:
    deal = await world.deal(PRICE)
    attempt = await world.prompt(deal)
    await world.post_stk(attempt, stk_body(attempt, world.clock.now(), code=1032))
    told = {(BRIAN, "prompt_failed"): 1}
    return Scene(deal, "intake", "PENDING", (0, 0, 0), 0, told, attempt=attempt, receipts=0)


async def paybill_without_keys(world: World) -> Scene:
    """A payment by hand below the limit."""
    deal = await world.deal(PRICE, buyer=BRIAN)
    await _hand_in(world, deal, deal.due.minor // 100)
    told = {(admin, "credited_unconfirmed"): 1 for admin in (ADMIN, SECOND_ADMIN)}
    return Scene(deal, "intake", *FUNDED, {**TOLD["funded"], **told})


async def paybill_above_the_limit(world: World) -> Scene:
    """It waits unposted, with a card for the admins."""
    deal = await world.deal(10_000, buyer=BRIAN)
    await _hand_in(world, deal, 10_500)
    told = {(admin, "confirm_receipt"): 1 for admin in (ADMIN, SECOND_ADMIN)}
    return Scene(deal, "intake", "PENDING", (0, 0, 0), 0, told)


async def transaction_status(world: World) -> Scene:
    """The answer about a payment by hand is stored; the worker takes it."""
    world.rail.can_ask_status = True
    deal = await world.deal(PRICE, buyer=BRIAN)
    reference = new_reference()
    await world.paybill(deal.id, deal.due, reference)
    await world.post_status(world.rail.asked[-1].token, status_body(reference, deal.due))
    return Scene(deal, "intake", *FUNDED, TOLD["funded"])


async def admin_credits(world: World) -> Scene:
    deal = await world.deal(10_000, buyer=BRIAN)
    await world.paybill(deal.id, deal.due)
    await world.sql("DELETE FROM outbox")
    row = (await world.receipts())[-1]["id"]
    args = {"receipt": row, "admin": ADMIN, "ours": True}
    return Scene(deal, "decide", "HELD", (0, 10_000, 500), 0, TOLD["funded"], args)


async def unmatched_paybill(world: World) -> Scene:
    """Money for no deal: suspense, and the deal beside it stays as it is."""
    deal = await world.deal(PRICE, buyer=BRIAN)
    body = paybill_body("rent", kes(50), new_reference(), world.clock.now())
    await world.post_paybill(body)
    told = {(a, k): 1 for a in (ADMIN, SECOND_ADMIN) for k in ("suspense", "credited_unconfirmed")}
    return Scene(deal, "intake", "PENDING", (0, 0, 0), 0, told, receipts=0)


async def short_payment(world: World) -> Scene:
    """A moderate shortage: the choice is offered once."""
    deal = await world.deal(PRICE, buyer=BRIAN)
    await _hand_in(world, deal, 8_800)
    told: dict[tuple[int, str], int] = {(BRIAN, "underpaid"): 1}
    told |= {(admin, "credited_unconfirmed"): 1 for admin in (ADMIN, SECOND_ADMIN)}
    return Scene(deal, "intake", "PENDING", (8_800, 0, 0), 0, told)


async def far_too_short_payment(world: World) -> Scene:
    deal = await world.deal(PRICE, buyer=BRIAN)
    await _hand_in(world, deal, 5_000)
    told: dict[tuple[int, str], int] = {(BRIAN, "too_short"): 1}
    told |= {(admin, "credited_unconfirmed"): 1 for admin in (ADMIN, SECOND_ADMIN)}
    return Scene(deal, "intake", "PENDING", (0, 0, 0), 5_000, told)


async def _offered(world: World) -> Escrow:
    deal = await world.deal(PRICE)
    await world.pay(deal, 8_820)
    await world.sql("DELETE FROM outbox")
    return deal


async def choice_proceed(world: World) -> Scene:
    deal = await _offered(world)
    args = {"token": await world.button(deal, Action.PROCEED), "who": BRIAN}
    told = {(BRIAN, "funded_partial"): 1, (JANE, "held_less"): 1}
    return Scene(deal, "press", "HELD", (0, 8_400, 420), 0, told, args)


async def choice_cancel(world: World) -> Scene:
    deal = await _offered(world)
    args = {"token": await world.button(deal, Action.CANCEL), "who": BRIAN}
    told = {(BRIAN, "cancelled_refund"): 1, (JANE, "cancelled"): 1}
    return Scene(deal, "press", "CANCELLED", (0, 0, 0), 8_820, told, args)


async def expired_window(world: World) -> Scene:
    deal = await _offered(world)
    world.clock.tick(minutes=10)
    told = {(BRIAN, "window_over"): 1}
    return Scene(deal, "expire", "PENDING", (0, 0, 0), 8_820, told)


async def paid_from_the_wallet(world: World) -> Scene:
    await world.give(BRIAN, kes(DUE))
    deal = await world.deal(PRICE)
    await world.sql("DELETE FROM outbox")
    args = {"code": deal.id, "who": BRIAN, "cause": f"update:{deal.id}"}
    return Scene(deal, "wallet", *FUNDED, TOLD["funded"], args, receipts=0)


async def cancelled_by_the_buyer(world: World) -> Scene:
    deal = await _offered(world)
    args = {"code": deal.id, "who": BRIAN}
    return Scene(deal, "cancel", "CANCELLED", (0, 0, 0), 8_820, {(JANE, "cancelled"): 1}, args)


async def declined_by_the_seller(world: World) -> Scene:
    deal = await world.deal(PRICE)
    await world.pay(deal, DUE)
    await world.sql("DELETE FROM outbox")
    args = {"code": deal.id, "who": JANE}
    return Scene(deal, "decline", "REFUNDED", (0, 0, 0), DUE, {(BRIAN, "declined"): 1}, args)


async def prompt_started(world: World) -> Scene:
    """The same update again asks nobody's phone a second time."""
    deal = await world.deal(PRICE)
    args = {"code": deal.id, "who": BRIAN, "cause": f"update:{deal.id}"}
    return Scene(deal, "prompt", "PENDING", (0, 0, 0), 0, {}, args, receipts=0)


async def overdue(world: World) -> Scene:
    deal = await world.deal(PRICE, buyer=BRIAN)
    world.clock.tick(hours=25)
    told = {(BRIAN, "cancelled"): 1, (JANE, "cancelled"): 1}
    return Scene(deal, "overdue", "CANCELLED", (0, 0, 0), 0, told, receipts=0)


async def _hand_in(world: World, deal: Escrow, amount: int) -> None:
    shown = masked(PHONES[BRIAN])
    reference, now = new_reference(), world.clock.now()
    await world.post_paybill(paybill_body(deal.id, kes(amount), reference, now, shown=shown))


FLOWS: tuple[Callable[[World], Awaitable[Scene]], ...] = (
    stk_callback,
    stk_callback_of_a_deal_paid_with_the_wallet,
    lost_callback,
    declined_callback,
    paybill_without_keys,
    paybill_above_the_limit,
    transaction_status,
    admin_credits,
    unmatched_paybill,
    short_payment,
    far_too_short_payment,
    choice_proceed,
    choice_cancel,
    expired_window,
    paid_from_the_wallet,
    cancelled_by_the_buyer,
    declined_by_the_seller,
    prompt_started,
    overdue,
)


# -- dying, and what is left ---------------------------------------------------------------------


async def _restart(world: World, scene: Scene) -> None:
    """What happens after a restart: the same again, by the worker, the sweep or the person."""
    world.rail.query_answer = PAID
    if scene.work in ("look", "check"):
        world.clock.tick(minutes=2)  # what the dead process had taken is due again
    # a person taps again, and may hear that it is done
    refusals = (CannotDo,) if scene.work in ("press", "cancel", "decline", "decide") else ()
    with contextlib.suppress(*refusals):
        await victim.WORK[scene.work](world, scene.args)


async def _is_as_it_should(world: World, scene: Scene) -> None:
    deal = scene.deal
    assert await world.status_of(deal) == scene.status
    assert await world.accounts(deal) == scene.accounts
    assert await world.wallet() == scene.wallet
    rows = await world.sql("SELECT state FROM receipts WHERE escrow_id = $1", deal.id)
    assert len(rows) == scene.receipts
    assert (await world.events(deal)).count("fund") == (scene.status in ("HELD", "REFUNDED"))
    attempts = await world.value(
        "SELECT count(*) FROM payment_attempts WHERE escrow_id = $1", deal.id
    )
    assert attempts == (scene.attempt is not None or scene.work == "prompt")
    rows = await world.sql(  # the balances that these callbacks name are made up
        "SELECT chat_id, kind FROM outbox WHERE kind <> 'provider_off'"
    )
    told = Counter((row["chat_id"], row["kind"]) for row in rows)
    assert told == scene.told
    assert await world.value("SELECT count(*) FROM inbox WHERE state = 'NEW'") == 0
    await world.books()


async def _clear(world: World, scene: Scene) -> None:
    """Makes room for the next one."""
    await world.sql("DELETE FROM outbox")
    world.clock.tick(minutes=15)
    world.rail.query_answer = CANCELLED
    await world.confirmations.look_due()
    await world.choices.expire()
    if scene.status == "PENDING" and scene.attempt is None:
        await world.escrows.cancel(scene.deal.id, JANE)
    left = await world.wallet()
    if left:
        spent = await world.deal(str(left), fee_percent=0)
        await world.prompts.pay_from_wallet(spent.id, BRIAN, f"spent:{spent.id}")
    await world.sql("DELETE FROM outbox")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.__name__)
async def test_killed_at_every_statement_nothing_is_lost_and_nothing_is_done_twice(
    dsn: str,
    zygote: Zygote,
    flow: Callable[[World], Awaitable[Scene]],
    after: bool,
) -> None:
    died_at: list[str] = []
    async with World.open(dsn, prompts_per_user_hour=1_000, reservations_per_user=99) as world:
        eye = await asyncpg.connect(dsn)
        for at in range(1, MOST):
            scene = await flow(world)
            end = await zygote.run(world, scene.work, scene.args, at, after=after)
            await gone(eye)
            await _restart(world, scene)
            try:
                await _is_as_it_should(world, scene)
            except AssertionError as wrong:
                wrong.add_note(f"killed {'after' if after else 'before'} {at}: {end['died_at']}")
                raise
            if not end["killed"]:
                break
            died_at.append(end["died_at"])
            await _clear(world, scene)
        else:
            pytest.fail(f"more than {MOST} boundaries")
        await eye.close()
    assert any(statement.startswith("COMMIT") for statement in died_at), died_at
    KILLS[flow.__name__, after] = len(died_at)
