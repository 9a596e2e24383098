"""What an admin asks for that moves money: shown first, done once it is confirmed. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from escrow.domain.money import Currency, Money

TO_CONFIRM: Final = timedelta(minutes=10)
"""How long a preview may be confirmed."""
TO_APPROVE: Final = timedelta(hours=24)
"""How long a confirmed action waits for the second admin."""
WRONG_NUMBERS: Final = 3
"""After that many wrong numbers an action is void."""
HOST: Final = "host"


class ActionState(StrEnum):
    """`admin_actions.state`."""

    ASKED = "ASKED"  # shown, not confirmed
    CONFIRMED = "CONFIRMED"  # by the one who asked; a second admin or the host has to
    DONE = "DONE"
    LEFT = "LEFT"  # somebody said no, or the number was wrong too often
    EXPIRED = "EXPIRED"


OPEN: Final = frozenset({ActionState.ASKED, ActionState.CONFIRMED})


@dataclass(frozen=True, slots=True)
class Preview:
    """What an action would do now. `facts` (JSON) are what its words say; other facts when it is
    confirmed mean that something moved in between, so no time of day stands in them. `parties` are
    those whose money it is: none of them may confirm it.
    """

    escrow_id: str | None
    amount: Money
    facts: Mapping[str, Any]
    parties: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Action:
    """`expires_at` is the end of the first confirmation, `second_until` of the second. `second` is
    whoever confirmed besides the one who asked: an admin's id, or `host`.
    """

    id: int
    kind: str
    target: str
    params: Mapping[str, Any]
    escrow_id: str | None
    amount: Money
    facts: Mapping[str, Any]
    asked_by: int
    asked_at: datetime
    expires_at: datetime
    number: int
    needs_second: bool
    state: ActionState
    parties: frozenset[int] = frozenset()
    second_until: datetime | None = None
    outcome: Mapping[str, Any] = field(default_factory=dict)
    done_at: datetime | None = None
    closed_by: int | None = None
    second: int | str | None = None

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    @property
    def cause(self) -> str:
        """The idempotency key of what it does."""
        return f"action:{self.id}"

    @property
    def signed(self) -> dict[str, Any]:
        """What the timeline keeps of it, besides the admin who asked."""
        return {"action": self.id, **({"second": self.second} if self.second else {})}

    def to_values(self) -> dict[str, Any]:
        """As notices keep it."""
        return {
            "id": self.id,
            "kind": self.kind,
            "target": self.target,
            "params": dict(self.params),
            "escrow_id": self.escrow_id,
            "amount": [self.amount.currency.code, self.amount.minor],
            "facts": dict(self.facts),
            "asked_by": self.asked_by,
            "asked_at": self.asked_at.isoformat(),
            "expires_at": self.expires_at.isoformat(),
            "number": self.number,
            "needs_second": self.needs_second,
            "state": str(self.state),
            "second_until": self.second_until.isoformat() if self.second_until else None,
            "outcome": dict(self.outcome),
            "done_at": self.done_at.isoformat() if self.done_at else None,
            "closed_by": self.closed_by,
            "second": self.second,
        }

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Action:
        """The inverse of `to_values`; the parties are not among them."""
        currency, minor = values["amount"]

        def time(name: str) -> datetime | None:
            return datetime.fromisoformat(values[name]) if values[name] else None

        asked_at, expires_at = time("asked_at"), time("expires_at")
        assert asked_at is not None and expires_at is not None  # noqa: S101, PT018 always there
        return cls(
            id=values["id"],
            kind=values["kind"],
            target=values["target"],
            params=values["params"],
            escrow_id=values["escrow_id"],
            amount=Money(minor, Currency.of(currency)),
            facts=values["facts"],
            asked_by=values["asked_by"],
            asked_at=asked_at,
            expires_at=expires_at,
            number=values["number"],
            needs_second=values["needs_second"],
            state=ActionState(values["state"]),
            second_until=time("second_until"),
            outcome=values["outcome"],
            done_at=time("done_at"),
            closed_by=values["closed_by"],
            second=values["second"],
        )
