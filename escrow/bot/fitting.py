"""Which deal a command means when its code was left out (flow.md 30)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from escrow.bot.buttons import Verb
from escrow.domain import flow
from escrow.domain.flow import Actor, Event
from escrow.domain.model import Escrow

Rows = Sequence[tuple[Escrow, str]]
_SIDES: Final = frozenset({"buyer", "seller"})


def may(escrow: Escrow, role: str, event: Event) -> bool:
    """Whether FLOW lets this side (buyer, seller or guest) cause that now, alone or together with
    the other.
    """
    if role not in _SIDES:
        return False
    actors = (Actor(role), Actor.PARTIES)
    return any(flow.allows(escrow.status, event, actor) for actor in actors)


def _may(*events: Event) -> Callable[[Escrow, str], bool]:
    return lambda escrow, role: any(may(escrow, role, event) for event in events)


_FITS: Final[dict[Verb, Callable[[Escrow, str], bool]]] = {
    Verb.SHOW: lambda escrow, role: True,
    Verb.PAY: lambda escrow, role: role == "buyer" and escrow.can_be_paid,
    Verb.CANCEL: _may(Event.CANCEL),
    Verb.DISPUTE: _may(Event.DISPUTE),
    Verb.WITHDRAW: _may(Event.WITHDRAW_DISPUTE),
    Verb.SETTLE: _may(Event.SETTLE),
    Verb.EXTEND: _may(Event.EXTEND),
    Verb.DECLINE: _may(Event.DECLINE),
    Verb.SENT: _may(Event.SHIP),
    Verb.RECEIVED: _may(Event.DELIVER, Event.RELEASE),
}
ASKS_FIRST: Final = frozenset({Verb.CANCEL, Verb.DECLINE})
"""These end a deal: a bare command offers even the only one as a button."""


def fitting(rows: Rows, verb: Verb) -> Rows:
    """The deals of a person that this wish fits."""
    return [(escrow, role) for escrow, role in rows if _FITS[verb](escrow, role)]
