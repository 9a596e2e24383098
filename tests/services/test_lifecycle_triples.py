"""Every status × event × actor through the services: a deal moves exactly where FLOW has the edge;
everywhere else somebody is refused, or nothing is due, and nothing has changed.

A service method more is a line more in `TRIES`.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from escrow.domain import flow
from escrow.domain.errors import ChoiceRefused, IllegalMove, NotAllowed, NotFound
from escrow.domain.flow import Actor, Event, Status
from escrow.domain.model import Escrow
from escrow.services.choice_tokens import Action
from tests.world import ADMIN, BRIAN, JANE, OTIENO, World, kes

Act = Callable[[World, Escrow, Mapping[Action, str]], Awaitable[Any]]
_causes = itertools.count(1)


def cause() -> str:
    return f"triple:{next(_causes)}"


@dataclass(frozen=True)
class Try:
    """One way to cause an event. `silent` ones find nothing to do instead of being refused;
    `never` is a person whom FLOW knows under no name; `deal` is what the deal needs before.
    """

    event: Event
    actor: Actor
    act: Act
    silent: bool = False
    never: bool = False
    deal: str = ""

    def __str__(self) -> str:
        return f"{self.event} by {self.actor}{' (a stranger)' if self.never else ''}"


def _due(method: str) -> Act:
    async def act(world: World, deal: Escrow, _: Mapping[Action, str]) -> Any:
        world.clock.tick(days=60)
        return await getattr(world.escrows, method)()

    return act


def _ship(who: int) -> Act:
    return lambda w, d, _: w.escrows.ship(d.id, who, tracking="G4S 1", proof=None, cause=cause())


def _settle(first: int, second: int) -> Act:
    async def act(world: World, deal: Escrow, _: Mapping[Action, str]) -> Any:
        offer = await world.escrows.offer_settlement(
            deal.id, first, buyer_percent=50, cause=cause()
        )
        return await world.escrows.accept_offer(offer.id, second)

    return act


def _extend(first: int, second: int) -> Act:
    async def act(world: World, deal: Escrow, _: Mapping[Action, str]) -> Any:
        offer = await world.escrows.offer_extension(deal.id, first, 24, cause())
        return await world.escrows.accept_offer(offer.id, second)

    return act


def _resolve(who: int, decision: str, percent: int | None = None) -> Act:
    return lambda w, d, _: w.resolve(d.id, who, decision, percent, "looked at")


def _by_each(event: Event, act: Callable[[int], Act]) -> list[Try]:
    """The buyer, the seller, an admin who is no party, and a stranger."""
    return [
        Try(event, Actor.BUYER, act(BRIAN)),
        Try(event, Actor.SELLER, act(JANE)),
        Try(event, Actor.SYSTEM, act(OTIENO), never=True),
    ]


def _by_admins(event: Event, act: Callable[[int], Act]) -> list[Try]:
    return [Try(event, Actor.ADMIN, act(ADMIN)), *_by_each(event, act)]


TRIES = (
    Try(Event.JOIN, Actor.SELLER, lambda w, d, _: w.escrows.accept(d.id, JANE), deal="proposed"),
    Try(Event.JOIN, Actor.SYSTEM, lambda w, d, _: w.escrows.accept(d.id, OTIENO), never=True),
    Try(Event.FUND, Actor.PAYMENT, lambda w, d, _: w.pay(d, 10_500), silent=True),
    Try(
        Event.FUND,
        Actor.CHOICE,
        lambda w, d, buttons: w.choices.press(buttons[Action.PROCEED], BRIAN),
        deal="short",
    ),
    Try(
        Event.CANCEL,
        Actor.CHOICE,
        lambda w, d, buttons: w.choices.press(buttons[Action.CANCEL], BRIAN),
        deal="short",
    ),
    *_by_each(Event.CANCEL, lambda who: lambda w, d, _: w.escrows.cancel(d.id, who)),
    Try(Event.CANCEL, Actor.TIMER, _due("cancel_overdue"), silent=True),
    *_by_each(Event.SHIP, _ship),
    *_by_each(Event.DECLINE, lambda who: lambda w, d, _: w.escrows.decline(d.id, who)),
    *_by_each(Event.DELIVER, lambda who: lambda w, d, _: w.escrows.receive(d.id, who, cause())),
    *_by_each(Event.RELEASE, lambda who: lambda w, d, _: w.escrows.release(d.id, who)),
    Try(Event.RELEASE, Actor.TIMER, _due("release_due"), silent=True),
    Try(Event.REFUND, Actor.TIMER, _due("refund_due"), silent=True),
    *_by_each(
        Event.DISPUTE, lambda who: lambda w, d, _: w.escrows.dispute(d.id, who, "no", cause())
    ),
    *_by_each(
        Event.WITHDRAW_DISPUTE, lambda who: lambda w, d, _: w.escrows.withdraw_dispute(d.id, who)
    ),
    *_by_admins(Event.RESOLVE, lambda who: _resolve(who, "buyer")),
    *_by_admins(Event.RESOLVE, lambda who: _resolve(who, "seller")),
    *_by_admins(Event.RESOLVE, lambda who: _resolve(who, "split", 70)),
    Try(Event.SETTLE, Actor.PARTIES, _settle(BRIAN, JANE)),
    Try(Event.SETTLE, Actor.PARTIES, _settle(JANE, BRIAN)),
    Try(Event.EXTEND, Actor.PARTIES, _extend(BRIAN, JANE)),
    Try(Event.EXTEND, Actor.PARTIES, _extend(JANE, BRIAN)),
    *_by_admins(Event.FREEZE, lambda who: lambda w, d, _: w.escrows.freeze(d.id, who, "why")),
    Try(Event.FREEZE, Actor.SYSTEM, lambda w, d, _: w.escrows.freeze(d.id, None, "reversed")),
    *_by_admins(Event.UNFREEZE, lambda who: lambda w, d, _: w.escrows.unfreeze(d.id, who, "why")),
    *_by_admins(
        Event.MANUAL_RELEASE, lambda who: lambda w, d, _: w.manual_release(d.id, who, "why")
    ),
    *_by_admins(Event.MANUAL_REFUND, lambda who: lambda w, d, _: w.manual_refund(d.id, who, "why")),
)

UNTRIED = {
    (Event.OPEN, Actor.BUYER): "makes the deal: test_opening.py",
    (Event.OPEN, Actor.SELLER): "makes the deal: test_opening.py",
    (Event.JOIN, Actor.BUYER): "comes with the money: test_fund_manager.py",
    (Event.FUND, Actor.ADMIN): "a payment that an admin vouches for: test_confirmations.py",
    (Event.CANCEL, Actor.ADMIN): "no method yet",
}
"""What FLOW allows and is shown elsewhere, or that no service does yet."""


async def _deal(world: World, status: Status, needs: str) -> tuple[Escrow, Mapping[Action, str]]:
    """A deal in that status, with the buttons of an underpayment choice that it had."""
    seller = await world.people.seller_of(JANE)
    assert seller is not None
    deal = await world.escrows.propose(BRIAN, seller.id, kes(10_000), "Blue phone case", cause())
    buttons: dict[Action, str] = {}
    if status is Status.PENDING and needs == "proposed":
        return deal, buttons
    deal = await world.escrows.accept(deal.id, JANE)
    if needs == "short":
        await world.pay(deal, 9_800)
        buttons = {action: await world.button(deal, action) for action in Action}
    if status is Status.CANCELLED:
        await world.escrows.cancel(deal.id, JANE)
    elif status is not Status.PENDING:
        await world.pay(deal, 700 if needs == "short" else 10_500)
        await _go_on(world, deal, status)
    found = await world.escrow(deal.id)
    assert found.status is status
    return found, buttons


async def _go_on(world: World, deal: Escrow, status: Status) -> None:
    """From HELD to that status; DISPUTED and FROZEN come from SHIPPED."""
    if status is Status.HELD:
        return
    if status is Status.REFUNDED:
        await world.escrows.decline(deal.id, JANE)
        return
    await _ship(JANE)(world, deal, {})
    if status is Status.DISPUTED:
        await world.escrows.dispute(deal.id, BRIAN, "It is broken", cause())
    elif status is Status.FROZEN:
        await world.escrows.freeze(deal.id, ADMIN, "why")
    elif status in (Status.DELIVERED, Status.COMPLETED):
        await world.escrows.receive(deal.id, BRIAN, cause())
        if status is Status.COMPLETED:
            await world.escrows.release(deal.id, BRIAN)


def _may(status: Status, one: Try) -> bool:
    """By FLOW; and a dispute is withdrawn by whoever raised it, here the buyer."""
    if one.never or (one.event, one.actor) == (Event.WITHDRAW_DISPUTE, Actor.SELLER):
        return False
    return flow.allows(status, one.event, one.actor)


async def _try(world: World, status: Status, one: Try) -> str:
    """What was wrong with it; empty when all was right."""
    deal, buttons = await _deal(world, status, one.deal)
    before = await world.snapshot()
    refused: Exception | None = None
    try:
        await one.act(world, deal, buttons)
    except (IllegalMove, NotAllowed, NotFound, ChoiceRefused) as error:
        refused = error
    after = await world.escrow(deal.id)
    moved = after.version != deal.version
    if moved != _may(status, one):
        return f"{'moved' if moved else 'did not move'} ({refused})"
    if moved:
        events = await world.events(deal)
        edge = any(
            row.event is one.event and row.source is status and row.target is after.status
            for row in flow.FLOW
        )
        return "" if (events[-1] == one.event and edge and refused is None) else f"{events}"
    if not one.silent:
        if refused is None:
            return "nobody was refused"
        if await world.snapshot() != before:
            return "refused, and something changed"
    return ""


@pytest.mark.parametrize("status", list(Status))
async def test_a_deal_moves_exactly_where_flow_has_the_edge(world: World, status: Status) -> None:
    world = world.configured(inspection=timedelta(days=2))
    wrong = []
    for one in TRIES:
        problem = await _try(world, status, one)
        if problem:
            wrong.append(f"{one} in {status}: {problem}")
    assert not wrong, "\n".join(wrong)


def test_every_event_of_flow_is_tried_by_everybody_who_may_cause_it() -> None:
    allowed = {(row.event, actor) for row in flow.FLOW for actor in row.by}
    tried = {(one.event, one.actor) for one in TRIES if not one.never}
    assert allowed - tried == set(UNTRIED)
