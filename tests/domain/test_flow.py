"""The flow: every status, event and actor tried against the table; what is final stays final.

`python -m tests.domain.test_flow` draws `docs/flow.md` anew.
"""

from itertools import product
from pathlib import Path

import pytest

from escrow.domain.errors import IllegalMove, NotAllowed
from escrow.domain.flow import (
    FINAL,
    FLOW,
    FUNDED,
    Actor,
    Edge,
    Event,
    Status,
    next_edge,
    next_status,
    render_markdown,
    sources_of,
)

DOCUMENT = Path(__file__).parents[2] / "docs" / "flow.md"
HEADER = """# The flow of a deal

Drawn from `FLOW` in `escrow/domain/flow.py`, the one table that says which event moves a deal
where, and who may cause it. PostgreSQL keeps the same rows in `flow_edges` and refuses any other
move. COMPLETED, REFUNDED and CANCELLED are final; CANCELLED never held money.

`python -m tests.domain.test_flow` draws it anew.

"""

B, S, A, P = Actor.BUYER, Actor.SELLER, Actor.ADMIN, Actor.PARTIES
PAYMENT, CHOICE, TIMER, SYSTEM = Actor.PAYMENT, Actor.CHOICE, Actor.TIMER, Actor.SYSTEM
OPEN = "HELD SHIPPED DELIVERED"
ANY = f"{OPEN} DISPUTED FROZEN"

# The design's table of edges, written down here once more on purpose.
DESIGN: list[tuple[str, str, str, set[Actor]]] = [
    ("open", "-", "PENDING", {B, S}),
    ("join", "PENDING", "PENDING", {B, S}),
    ("fund", "PENDING", "HELD", {PAYMENT, CHOICE, A}),
    ("cancel", "PENDING", "CANCELLED", {B, S, A, CHOICE, TIMER}),
    ("ship", "HELD", "SHIPPED", {S}),
    ("decline", "HELD", "REFUNDED", {S}),
    ("deliver", "HELD SHIPPED", "DELIVERED", {B}),
    ("release", "SHIPPED", "COMPLETED", {TIMER}),
    ("release", "DELIVERED", "COMPLETED", {B, TIMER}),
    ("refund", "HELD", "REFUNDED", {TIMER}),
    ("dispute", OPEN, "DISPUTED", {B, S}),
    ("withdraw_dispute", "DISPUTED", OPEN, {B, S}),
    ("resolve", "DISPUTED", "COMPLETED REFUNDED", {A}),
    ("settle", f"{OPEN} DISPUTED", "COMPLETED REFUNDED", {P}),
    ("freeze", f"{OPEN} DISPUTED", "FROZEN", {A, SYSTEM}),
    ("unfreeze", "FROZEN", f"{OPEN} DISPUTED", {A}),
    ("extend", "HELD", "HELD", {P}),
    ("extend", "SHIPPED", "SHIPPED", {P}),
    ("manual_release", ANY, "COMPLETED", {A}),
    ("manual_refund", ANY, "REFUNDED", {A}),
]
TRIPLES = {
    (None if source == "-" else Status(source), Event(event), actor, Status(target))
    for event, sources, targets, by in DESIGN
    for source in sources.split()
    for target in targets.split()
    for actor in by
}


def test_the_table_is_the_designs() -> None:
    assert {
        (edge.source, edge.event, actor, edge.target) for edge in FLOW for actor in edge.by
    } == (TRIPLES)


def test_no_edge_is_there_twice() -> None:
    keys = [(edge.event, edge.source, edge.target) for edge in FLOW]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("status", [None, *Status])
def test_every_event_and_actor_tried_in_a_status(status: Status | None) -> None:
    """A named target: exactly the table; no target: only where one is left."""
    for event, actor, target in product(Event, Actor, Status):
        edges = [row for row in FLOW if (row.event, row.source) == (event, status)]
        if (status, event, actor, target) in TRIPLES:
            assert next_status(status, event, actor, target=target) is target
        else:
            known = any(row.target is target for row in edges)
            with pytest.raises(NotAllowed if known else IllegalMove):
                next_status(status, event, actor, target=target)
    for event, actor in product(Event, Actor):
        goes_to = {t[3] for t in TRIPLES if t[:3] == (status, event, actor)}
        if len(goes_to) == 1:
            assert next_status(status, event, actor) is goes_to.pop()
        else:
            with pytest.raises((IllegalMove, NotAllowed)):
                next_status(status, event, actor)


def test_an_event_with_several_ends_wants_its_target_named() -> None:
    with pytest.raises(IllegalMove) as caught:
        next_edge(Status.FROZEN, Event.UNFREEZE, Actor.ADMIN)
    assert caught.value.values["target"] == "unnamed"
    edge = next_edge(Status.FROZEN, Event.UNFREEZE, Actor.ADMIN, target=Status.DISPUTED)
    assert edge.target is Status.DISPUTED


def test_a_refusal_says_what_and_where_or_who() -> None:
    with pytest.raises(IllegalMove) as illegal:
        next_edge(Status.COMPLETED, Event.SHIP, Actor.SELLER)
    assert illegal.value.values == {"event": "ship", "status": "COMPLETED"}
    with pytest.raises(NotAllowed) as foreign:
        next_edge(Status.HELD, Event.SHIP, Actor.BUYER)
    assert foreign.value.values == {"event": "ship", "actor": "buyer"}


@pytest.mark.parametrize("status", sorted(FINAL))
def test_a_final_status_is_never_left(status: Status) -> None:
    assert [edge for edge in FLOW if edge.source is status] == []
    for event, actor in product(Event, Actor):
        with pytest.raises(IllegalMove):
            next_status(status, event, actor)


def test_every_status_is_reached_from_the_start_and_every_other_one_can_end() -> None:
    reached = {Status.PENDING}
    while more := {edge.target for edge in FLOW if edge.source in reached} - reached:
        reached |= more
    assert reached == set(Status)
    ends = set(FINAL)
    while more := {edge.source for edge in FLOW if edge.target in ends and edge.source} - ends:
        ends |= more
    assert ends == set(Status)


def test_money_is_held_between_fund_and_the_end_and_nowhere_else() -> None:
    for edge in FLOW:
        if edge.source is None:
            continue
        enters = edge.source not in FUNDED and edge.target in FUNDED
        leaves = edge.source in FUNDED and edge.target not in FUNDED
        assert enters is (edge.event is Event.FUND)
        if leaves:
            assert edge.target in {Status.COMPLETED, Status.REFUNDED}
            assert edge.money
        if edge.source is Status.PENDING and edge.target in FINAL:
            assert edge.target is Status.CANCELLED
    assert FINAL | FUNDED | {Status.PENDING} == set(Status)
    assert not FINAL & FUNDED


def test_what_moves_no_money_says_so() -> None:
    moving = {edge.event for edge in FLOW if edge.money}
    assert moving == {
        Event.FUND,
        Event.CANCEL,
        Event.DECLINE,
        Event.RELEASE,
        Event.REFUND,
        Event.RESOLVE,
        Event.SETTLE,
        Event.MANUAL_RELEASE,
        Event.MANUAL_REFUND,
    }


@pytest.mark.parametrize(
    "edge", FLOW, ids=lambda edge: f"{edge.event}: {edge.source}-{edge.target}"
)
def test_every_end_and_every_first_time_is_stamped(edge: Edge) -> None:
    ends = {
        Status.COMPLETED: "completed_at",
        Status.REFUNDED: "refunded_at",
        Status.CANCELLED: "cancelled_at",
    }
    if edge.target in ends:
        assert edge.stamps == ends[edge.target]
    elif edge.event in (Event.WITHDRAW_DISPUTE, Event.UNFREEZE):
        assert edge.stamps is None, "going back is not a first time"
    else:
        assert edge.stamps


def test_timers_and_parties_touch_nothing_that_is_disputed_or_frozen() -> None:
    for edge in FLOW:
        if edge.source is Status.FROZEN:
            assert edge.by == {Actor.ADMIN}
        if edge.source is Status.DISPUTED:
            assert Actor.TIMER not in edge.by


def test_where_an_event_can_happen() -> None:
    assert sources_of(Event.DELIVER) == {Status.HELD, Status.SHIPPED}
    assert sources_of(Event.OPEN) == frozenset()


def test_the_drawn_table_has_every_edge() -> None:
    lines = render_markdown().splitlines()
    assert lines[:2] == ["| event | from | to | by | money |", "|---|---|---|---|---|"]
    drawn = set()
    for line in lines[2:]:
        event, sources, target, by, _ = (cell.strip() for cell in line.strip("|").split("|"))
        for source, actor in product(sources.split(", "), by.split(", ")):
            came_from = None if source == "–" else Status(source)
            drawn.add((came_from, Event(event), Actor(actor), Status(target)))
    assert drawn == TRIPLES


def test_the_document_is_current() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == HEADER + render_markdown(), (
        "python -m tests.domain.test_flow draws it anew"
    )


if __name__ == "__main__":
    DOCUMENT.write_text(HEADER + render_markdown(), encoding="utf-8")
