"""Which deal a command means when its code was left out (flow.md 30)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from escrow.bot.buttons import Verb
from escrow.domain import flow
from escrow.domain.flow import Event
from escrow.domain.model import Escrow

Rows = Sequence[tuple[Escrow, str]]


def _may(event: Event) -> Callable[[Escrow, str], bool]:
    sources = flow.sources_of(event)
    return lambda escrow, role: escrow.status in sources


_FITS: Final[dict[Verb, Callable[[Escrow, str], bool]]] = {
    Verb.SHOW: lambda escrow, role: True,
    Verb.PAY: lambda escrow, role: role == "buyer" and escrow.can_be_paid,
    Verb.CANCEL: _may(Event.CANCEL),
    Verb.DECLINE: lambda escrow, role: role == "seller" and _may(Event.DECLINE)(escrow, role),
}
ASKS_FIRST: Final = frozenset({Verb.CANCEL, Verb.DECLINE})
"""These end a deal: a bare command offers even the only one as a button."""


def fitting(rows: Rows, verb: Verb) -> Rows:
    """The deals of a person that this wish fits."""
    return [(escrow, role) for escrow, role in rows if _FITS[verb](escrow, role)]
