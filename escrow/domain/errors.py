"""Every error Amana raises on purpose.

    AmanaError
    ├── CannotDo            the person is told, in words; nothing changed
    │   ├── InvalidInput        what was typed can't be read
    │   ├── NotFound            no such deal, seller, receipt
    │   ├── NotAllowed          this person may not do that here
    │   ├── IllegalMove         FLOW has no such edge from this status
    │   ├── EscrowMoved         somebody else moved the deal first
    │   ├── LimitReached        a cap on deals, prompts or amounts
    │   ├── ChoiceRefused       a button that is forged, foreign, expired or used
    │   └── Paused              everything stands still until an admin lets it go on
    └── Fault               logged with an id; the person gets an apology
        ├── Conflict            one idempotency key, two different inputs
        ├── BooksBroken         an invariant of the ledger would break
        ├── TimedOut            not finished in time; the outcome is known to be: not done
        ├── OutcomeUnknown      not finished in time and not readable either: ask again
        ├── PriceUnknown        nobody says what coins are worth now: ask again
        └── DatabaseDown        PostgreSQL can't be reached

An error without words of its own says its class docstring. `CannotDo.reason` is the key under
which `bot/texts.py` keeps the sentence; `values` fill it.
"""

from __future__ import annotations

from typing import Any


class AmanaError(Exception):
    """Something Amana refuses or cannot do."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__ or type(self).__name__)


class CannotDo(AmanaError):
    """This can't be done."""

    reason = "cannot_do"

    def __init__(self, reason: str | None = None, **values: Any) -> None:
        self.reason = reason or type(self).reason
        self.values = values
        detail = " ".join(f"{key}={value}" for key, value in values.items())
        super().__init__(f"{self.reason} {detail}".strip())


class InvalidInput(CannotDo):
    """The input can't be read."""

    reason = "invalid_input"


class NotFound(CannotDo):
    """There is no such thing."""

    reason = "not_found"


class NotAllowed(CannotDo):
    """This person may not do that."""

    reason = "not_allowed"


class IllegalMove(CannotDo):
    """The deal is not in a status that allows this."""

    reason = "illegal_move"


class EscrowMoved(CannotDo):
    """Somebody else moved the deal first."""

    reason = "escrow_moved"


class LimitReached(CannotDo):
    """A limit is reached."""

    reason = "limit_reached"


class ChoiceRefused(CannotDo):
    """This button no longer works."""

    reason = "choice_refused"


class Paused(CannotDo):
    """Amana is paused: nothing moves until it goes on."""

    reason = "paused"


class Fault(AmanaError):
    """Something is wrong inside."""


class Conflict(Fault):
    """One idempotency key was used for two different inputs."""


class BooksBroken(Fault):
    """An invariant of the ledger would be broken."""


class TimedOut(Fault):
    """The work did not finish in time and was not done."""


class OutcomeUnknown(Fault):
    """The work did not finish in time and whether it was done can't be read."""


class PriceUnknown(Fault):
    """Nobody can say what coins are worth now."""


class DatabaseDown(Fault):
    """PostgreSQL can't be reached."""
