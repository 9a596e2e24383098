"""What admins do with money, in two steps: a preview, and its confirmation. What is confirmed is
exactly what was shown, by somebody who may, once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from escrow.domain.actions import Action, ActionState, Preview
from escrow.domain.money import Money
from escrow.services.ports import Clock
from escrow.store.database import Connection, Database

__all__ = ["Action", "ActionState", "Actions", "Effect", "Preview"]


class Effect(Protocol):
    """One kind of action: what it would do, and doing it. `admin` is the one who asked: it is his
    decision, whoever confirms it besides him.
    """

    @property
    def kind(self) -> str: ...

    async def preview(
        self,
        conn: Connection,
        target: str,
        params: Mapping[str, Any],
        admin: int,
        now: datetime,
    ) -> Preview:
        """Locks what it will touch, the deal's row first, and changes nothing. `CannotDo` when it
        can't be done as things stand.
        """

    async def perform(
        self, conn: Connection, action: Action, admin: int, now: datetime
    ) -> Mapping[str, Any]:
        """Does it in this unit, after the same preview; what its outcome's words say (JSON)."""


class Actions:
    """See the module."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        admins: Sequence[int],
        secret: bytes,
        effects: Sequence[Effect],
        *,
        second_above: Money,
    ) -> None:
        self._db = database
        self._clock = clock
        self._admins = tuple(admins)
        self._secret = secret
        self._effects = {effect.kind: effect for effect in effects}
        self._second_above = second_above

    async def ask(
        self, kind: str, target: str, params: Mapping[str, Any], admin: int, cause: str
    ) -> Action:
        """Shows what it would do. The same cause again gives the first answer."""
        raise NotImplementedError

    async def confirm(self, action_id: int, admin: int, cause: str) -> Action:
        """DONE with its outcome, or CONFIRMED: a second admin, or the host, has to as well."""
        raise NotImplementedError

    async def confirm_typed(
        self, kind: str, target: str, number: int, admin: int, cause: str
    ) -> Action:
        """`/manual_refund ES… confirm 4821`"""
        raise NotImplementedError

    async def leave(self, action_id: int, admin: int) -> Action:
        """No: it is not done."""
        raise NotImplementedError

    async def approve_on_host(self, action_id: int) -> Action:
        """The second confirmation, by whoever has the host."""
        raise NotImplementedError
