"""The life of a deal: the one table that says which event moves it where, and who may cause it.

    PENDING ─ fund → HELD ─ ship → SHIPPED ─ deliver → DELIVERED ─ release → COMPLETED
       │               │              └────────── release (timer) ──────────→ COMPLETED
     cancel         decline, refund         dispute, freeze, settle, manual_*: from any of
       ↓               ↓                    HELD, SHIPPED, DELIVERED
    CANCELLED       REFUNDED

Decided in the design of the flow; the database keeps the same rows in `flow_edges`, and a test
holds the two against each other. No other place compares statuses.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from escrow.domain.errors import IllegalMove, NotAllowed


class Status(StrEnum):
    """Where a deal stands (`escrow_transactions.status`)."""

    PENDING = "PENDING"  # agreed, waiting for money (seed 2: PAYMENT_PENDING)
    HELD = "HELD"  # funded (seed 2: ACTIVE)
    SHIPPED = "SHIPPED"  # the seller says it is on its way
    DELIVERED = "DELIVERED"  # the buyer has it; inspection time is running
    DISPUTED = "DISPUTED"  # the parties disagree; nothing happens by itself
    FROZEN = "FROZEN"  # only admins act
    COMPLETED = "COMPLETED"  # final: the seller was paid, wholly or in part
    REFUNDED = "REFUNDED"  # final: the buyer got everything back
    CANCELLED = "CANCELLED"  # final: never held money


FINAL: Final = frozenset({Status.COMPLETED, Status.REFUNDED, Status.CANCELLED})
FUNDED: Final = frozenset(
    {Status.HELD, Status.SHIPPED, Status.DELIVERED, Status.DISPUTED, Status.FROZEN}
)
"""Statuses in which holding and pending fee are exactly what `fund` put there."""


class Actor(StrEnum):
    """Who may cause an event."""

    BUYER = "buyer"
    SELLER = "seller"
    PARTIES = "parties"  # both: an offer and its acceptance
    CHOICE = "choice"  # the buyer, by a button of the underpayment choice
    PAYMENT = "payment"  # money that arrived
    ADMIN = "admin"
    TIMER = "timer"
    SYSTEM = "system"


class Event(StrEnum):
    """What can happen to a deal."""

    OPEN = "open"
    JOIN = "join"
    FUND = "fund"
    CANCEL = "cancel"
    SHIP = "ship"
    DECLINE = "decline"
    DELIVER = "deliver"
    RELEASE = "release"
    REFUND = "refund"
    DISPUTE = "dispute"
    WITHDRAW_DISPUTE = "withdraw_dispute"
    RESOLVE = "resolve"
    SETTLE = "settle"
    FREEZE = "freeze"
    UNFREEZE = "unfreeze"
    EXTEND = "extend"
    MANUAL_RELEASE = "manual_release"
    MANUAL_REFUND = "manual_refund"


@dataclass(frozen=True, slots=True)
class Edge:
    """One row of FLOW. `stamps` is the column that takes the time; `money` says what moves."""

    event: Event
    source: Status | None
    target: Status
    by: frozenset[Actor]
    stamps: str | None
    money: str


def _edges(
    event: Event,
    sources: Iterable[Status | None],
    target: Status | None,
    by: Iterable[Actor],
    *,
    stamps: str | None = None,
    money: str = "",
) -> tuple[Edge, ...]:
    """Rows for several sources; without a target the deal stays where it is."""
    rows = []
    for source in sources:
        goes_to = target or source
        if goes_to is None:
            raise ValueError("an edge needs a target")
        rows.append(Edge(event, source, goes_to, frozenset(by), stamps, money))
    return tuple(rows)


_OPEN_MONEY = (Status.HELD, Status.SHIPPED, Status.DELIVERED)
_ANY_MONEY = (*_OPEN_MONEY, Status.DISPUTED, Status.FROZEN)
_B, _S, _A = Actor.BUYER, Actor.SELLER, Actor.ADMIN
_REFUND = "all to the buyer's wallet"
_RELEASE = "holding to the seller's wallet, pending fee to fees"

FLOW: Final[tuple[Edge, ...]] = (
    *_edges(Event.OPEN, [None], Status.PENDING, [_B, _S], stamps="created_at"),
    *_edges(Event.JOIN, [Status.PENDING], None, [_B, _S], stamps="joined_at"),
    *_edges(
        Event.FUND,
        [Status.PENDING],
        Status.HELD,
        [Actor.PAYMENT, Actor.CHOICE, _A],
        stamps="funded_at",
        money="received to holding and pending fee, excess to the buyer's wallet",
    ),
    *_edges(
        Event.CANCEL,
        [Status.PENDING],
        Status.CANCELLED,
        [_B, _S, _A, Actor.CHOICE, Actor.TIMER],
        stamps="cancelled_at",
        money="received to the buyer's wallet",
    ),
    *_edges(Event.SHIP, [Status.HELD], Status.SHIPPED, [_S], stamps="shipped_at"),
    *_edges(
        Event.DECLINE,
        [Status.HELD],
        Status.REFUNDED,
        [_S],
        stamps="refunded_at",
        money=_REFUND,
    ),
    *_edges(
        Event.DELIVER,
        [Status.HELD, Status.SHIPPED],
        Status.DELIVERED,
        [_B],
        stamps="delivered_at",
    ),
    *_edges(
        Event.RELEASE,
        [Status.SHIPPED],
        Status.COMPLETED,
        [Actor.TIMER],
        stamps="completed_at",
        money=_RELEASE,
    ),
    *_edges(
        Event.RELEASE,
        [Status.DELIVERED],
        Status.COMPLETED,
        [_B, Actor.TIMER],
        stamps="completed_at",
        money=_RELEASE,
    ),
    *_edges(
        Event.REFUND,
        [Status.HELD],
        Status.REFUNDED,
        [Actor.TIMER],
        stamps="refunded_at",
        money=_REFUND,
    ),
    *_edges(Event.DISPUTE, _OPEN_MONEY, Status.DISPUTED, [_B, _S], stamps="disputed_at"),
    *(
        row
        for back in _OPEN_MONEY
        for row in _edges(Event.WITHDRAW_DISPUTE, [Status.DISPUTED], back, [_B, _S])
    ),
    *_edges(
        Event.RESOLVE,
        [Status.DISPUTED],
        Status.COMPLETED,
        [_A],
        stamps="completed_at",
        money="by the decision",
    ),
    *_edges(
        Event.RESOLVE,
        [Status.DISPUTED],
        Status.REFUNDED,
        [_A],
        stamps="refunded_at",
        money=_REFUND,
    ),
    *_edges(
        Event.SETTLE,
        (*_OPEN_MONEY, Status.DISPUTED),
        Status.COMPLETED,
        [Actor.PARTIES],
        stamps="completed_at",
        money="by the offer",
    ),
    *_edges(
        Event.SETTLE,
        (*_OPEN_MONEY, Status.DISPUTED),
        Status.REFUNDED,
        [Actor.PARTIES],
        stamps="refunded_at",
        money=_REFUND,
    ),
    *_edges(
        Event.FREEZE,
        (*_OPEN_MONEY, Status.DISPUTED),
        Status.FROZEN,
        [_A, Actor.SYSTEM],
        stamps="frozen_at",
    ),
    *(
        row
        for back in (*_OPEN_MONEY, Status.DISPUTED)
        for row in _edges(Event.UNFREEZE, [Status.FROZEN], back, [_A])
    ),
    *_edges(
        Event.EXTEND,
        [Status.HELD, Status.SHIPPED],
        None,
        [Actor.PARTIES],
        stamps="extended_at",
    ),
    *_edges(
        Event.MANUAL_RELEASE,
        _ANY_MONEY,
        Status.COMPLETED,
        [_A],
        stamps="completed_at",
        money=_RELEASE,
    ),
    *_edges(
        Event.MANUAL_REFUND,
        _ANY_MONEY,
        Status.REFUNDED,
        [_A],
        stamps="refunded_at",
        money=_REFUND,
    ),
)

_BY_KEY: Final[dict[tuple[Event, Status | None], tuple[Edge, ...]]] = {}
for _edge in FLOW:
    _key = (_edge.event, _edge.source)
    _BY_KEY[_key] = (*_BY_KEY.get(_key, ()), _edge)


def next_edge(
    status: Status | None, event: Event, actor: Actor, *, target: Status | None = None
) -> Edge:
    """The row by which `actor` may cause `event` in `status`.

    Where an event can end in several statuses (resolve, settle, unfreeze, withdraw_dispute) the
    caller names the `target`. `IllegalMove` when FLOW has no such row, `NotAllowed` when it has
    one for somebody else.
    """
    rows = [
        row for row in _BY_KEY.get((event, status), ()) if target is None or row.target is target
    ]
    if not rows:
        raise IllegalMove(event=str(event), status=str(status or "none"))
    allowed = [row for row in rows if actor in row.by]
    if not allowed:
        raise NotAllowed(event=str(event), actor=str(actor))
    if len(allowed) > 1:
        raise IllegalMove(event=str(event), status=str(status or "none"), target="unnamed")
    return allowed[0]


def allows(status: Status | None, event: Event, actor: Actor) -> bool:
    """Whether `actor` may cause `event` in `status`, wherever it leads."""
    return any(actor in row.by for row in _BY_KEY.get((event, status), ()))


def next_status(
    status: Status | None, event: Event, actor: Actor, *, target: Status | None = None
) -> Status:
    """Where `event` by `actor` takes a deal in `status`. Errors as `next_edge`."""
    return next_edge(status, event, actor, target=target).target


def sources_of(event: Event) -> frozenset[Status]:
    """The statuses in which `event` can happen."""
    return frozenset(row.source for row in FLOW if row.event is event and row.source)


def render_markdown() -> str:
    """FLOW as the Markdown table of `docs/flow.md`."""
    lines = ["| event | from | to | by | money |", "|---|---|---|---|---|"]
    merged: dict[tuple[Event, Status, frozenset[Actor], str], list[str]] = {}
    for row in FLOW:
        key = (row.event, row.target, row.by, row.money)
        merged.setdefault(key, []).append(str(row.source) if row.source else "–")
    for (event, target, by, money), sources in merged.items():
        who = ", ".join(actor for actor in Actor if actor in by)
        lines.append(f"| {event} | {', '.join(sources)} | {target} | {who} | {money or '–'} |")
    return "\n".join(lines) + "\n"
