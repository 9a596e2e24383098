"""What admins do with money, in two steps: a preview, and its confirmation. What is done is exactly
what was shown, by somebody who may, once.

Locks: the deal's row first, then the action's, then whatever the effect needs. Rights, time and the
preview are looked at again under them, and the effect is in the same unit as the DONE.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Protocol

from escrow.domain.actions import HOST, TO_APPROVE, Action, ActionState, Preview
from escrow.domain.errors import (
    CannotDo,
    ChoiceRefused,
    EscrowMoved,
    IllegalMove,
    NotAllowed,
    NotFound,
)
from escrow.domain.model import Notice
from escrow.domain.money import Currency, Money
from escrow.services import action_tokens
from escrow.services.action_tokens import Word
from escrow.services.dividing import was_first
from escrow.services.ports import Clock
from escrow.store import actions, escrows, outbox
from escrow.store.database import Connection, Database

__all__ = ["Action", "ActionState", "Actions", "Effect", "Preview"]

_LOG: Final = logging.getLogger(__name__)
_BATCH: Final = 100


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
        """`second_above`: a larger amount needs two; of another currency, any amount does."""
        self._db = database
        self._clock = clock
        self._admins = tuple(admins)
        self._secret = secret
        self._effects = {effect.kind: effect for effect in effects}
        self._second_above = second_above

    # -- asking ------------------------------------------------------------------------------------

    async def ask(
        self, kind: str, target: str, params: Mapping[str, Any], admin: int, cause: str
    ) -> Action:
        """Keeps what it would do now, for 10 minutes. The same cause again gets the first answer.
        `CannotDo` when it can't be done as things stand, or the admin is a party.
        """

        async def work(conn: Connection) -> Action:
            before = await actions.by_cause(conn, cause)
            if before is not None:
                return before
            self._must_be_admin(admin)
            now = self._clock.now()
            preview = await self._preview(conn, kind, target, params, admin, now)
            _must_be_no_party(preview.parties, admin)
            made = await actions.insert(
                conn,
                cause=cause,
                kind=kind,
                target=target,
                params=params,
                preview=preview,
                admin=admin,
                number=1000 + secrets.randbelow(9000),
                needs_second=self._needs_second(preview.amount),
                now=now,
            )
            asked = await actions.get(conn, made)
            if asked is None:  # the same update, handled twice at once
                raise EscrowMoved
            return asked

        return await self._db.run(work)

    def buttons(self, action: Action, admin: int) -> dict[Word, str]:
        """The callback data of the two buttons that this admin is shown."""
        return {word: action_tokens.sign(self._secret, word, action, admin) for word in Word}

    def others(self, action: Action) -> list[int]:
        """The admins who can confirm it besides the one who asked."""
        return [
            admin
            for admin in self._admins
            if admin != action.asked_by and admin not in action.parties
        ]

    # -- answering ---------------------------------------------------------------------------------

    async def press(self, token: str, admin: int, cause: str) -> Action:
        """One of the buttons. `ChoiceRefused` when it is forged or another admin's."""
        parsed = action_tokens.read(token)
        if parsed is None:
            raise ChoiceRefused("action_gone")
        word, action_id, signature = parsed
        async with self._db.reading() as conn:
            action = await actions.get(conn, action_id)
        if action is None or not action_tokens.verify(self._secret, word, action, admin, signature):
            _LOG.warning(
                "an action's button was refused",
                extra={"action": "action_refused", "person": admin},
            )
            raise ChoiceRefused("action_gone")
        if word is Word.NO:
            return await self.leave(action_id, admin)
        return await self.confirm(action_id, admin, cause)

    async def confirm(self, action_id: int, admin: int, cause: str) -> Action:
        """DONE with its outcome, or CONFIRMED: a second admin, or the host, has to as well. Again:
        the first answer. `CannotDo` says who or what was first, or that something moved since.
        """
        done = await self._answer(lambda conn: self._confirm(conn, action_id, admin))
        _LOG.info(
            "an action was confirmed",
            extra={"action": "action_confirmed", "row": done.id, "person": admin, "cause": cause},
        )
        return done

    async def confirm_typed(
        self, kind: str, target: str, number: int, admin: int, cause: str
    ) -> Action:
        """`/manual_refund ES… confirm 4821`: the newest open action of that kind and target that he
        asked for, or that waits for a second admin. The third wrong number ends it.
        """

        async def work(conn: Connection) -> Action | CannotDo:
            self._must_be_admin(admin)
            meant = await actions.newest_open(conn, kind, target, admin, number)
            if meant is not None and meant.number != number:
                # a repeat of what was confirmed meanwhile is no wrong number
                before = await actions.last_with(conn, kind, target, number)
                if before is None or before.state is not ActionState.DONE:
                    _must_be_no_party(meant.parties, admin)
                    return await self._wrong_number(conn, meant, admin, cause)
                meant = before
            meant = meant or await actions.last_with(conn, kind, target, number)
            if meant is None:
                return NotFound("action_gone")
            return await self._confirm(conn, meant.id, admin)

        return await self._answer(work)

    async def leave(self, action_id: int, admin: int) -> Action:
        """No: it is not done. By the one who asked, or by the second admin it waits for."""

        async def work(conn: Connection) -> Action | CannotDo:
            self._must_be_admin(admin)
            action = await self._locked(conn, action_id)
            if action.state is ActionState.LEFT and action.closed_by == admin:
                return action
            if not action.is_open:
                return await self._over(conn, action)
            if admin != action.asked_by and action.state is not ActionState.CONFIRMED:
                return NotAllowed("action_not_yours")
            _must_be_no_party(action.parties, admin)
            await actions.close(conn, action.id, ActionState.LEFT, admin)
            left = await self._locked(conn, action.id)
            if admin != action.asked_by:
                by = await actions.name_of(conn, admin)
                await self._tell("action_left_by", conn, left, [action.asked_by], by=by)
            return left

        return await self._answer(work)

    async def action(self, action_id: int) -> Action:
        """`NotFound`."""
        async with self._db.reading() as conn:
            found = await actions.get(conn, action_id)
        if found is None:
            raise NotFound("action_gone")
        return found

    async def approve_on_host(self, action_id: int) -> Action:
        """The second confirmation, by whoever has the host. Again: the first answer."""
        return await self._answer(lambda conn: self._confirm(conn, action_id, None))

    async def expire(self) -> tuple[int, int]:
        """The sweep: what nobody confirmed in time. (looked at, ended)."""
        async with self._db.reading() as conn:
            due = await actions.over(conn, self._clock.now(), _BATCH)
        ended = 0
        for action_id in due:

            async def work(conn: Connection, action_id: int = action_id) -> bool:
                action = await self._locked(conn, action_id)
                if not self._is_late(action):
                    return False
                await self._expire(conn, action)
                return True

            ended += await self._db.run(work)
        return len(due), ended

    # -- inside a unit -----------------------------------------------------------------------------

    async def _answer(self, work: Callable[[Connection], Awaitable[Action | CannotDo]]) -> Action:
        """What it returns is committed, a refusal, too: a wrong number counts, time that is over
        stays over.
        """
        done = await self._db.run(work)
        if isinstance(done, CannotDo):
            raise done
        return done

    async def _confirm(
        self, conn: Connection, action_id: int, admin: int | None
    ) -> Action | CannotDo:
        """`admin` None: the host."""
        if admin is not None:
            self._must_be_admin(admin)
        action = await self._locked(conn, action_id)
        if action.state is ActionState.DONE and _confirmed_by(action, admin):
            return action
        if action.is_open and self._is_late(action):
            await self._expire(conn, action)
            return NotAllowed("action_expired")
        if not action.is_open:
            return await self._over(conn, action)
        if admin is not None:
            _must_be_no_party(action.parties, admin)
        if action.state is ActionState.ASKED and admin != action.asked_by:
            return NotAllowed("action_not_yours") if admin else NotAllowed("action_not_confirmed")
        if action.state is ActionState.CONFIRMED and admin == action.asked_by:
            return action
        if action.asked_by not in self._admins:  # his word is gone with his right
            return NotAllowed("action_gone")
        now = self._clock.now()
        shown = await self._preview_again(conn, action, now)
        if shown.amount != action.amount or _plain(shown.facts) != _plain(action.facts):
            if admin != action.asked_by:
                await self._tell("action_stale", conn, action, [action.asked_by])
            return await self._moved(conn, action)
        await actions.approve(conn, action.id, admin, now)
        if action.needs_second and action.state is ActionState.ASKED:
            return await self._ask_second(conn, action, now)
        action = await self._locked(conn, action.id)
        effect = self._effects[action.kind]
        outcome = await effect.perform(conn, action, action.asked_by, now)
        await actions.done(conn, action.id, outcome, now)
        done = await self._locked(conn, action.id)
        if admin != action.asked_by:
            by = HOST if admin is None else await actions.name_of(conn, admin)
            await self._tell("action_done", conn, done, [action.asked_by], by=by)
        return done

    async def _ask_second(self, conn: Connection, action: Action, now: datetime) -> Action:
        await actions.confirm(conn, action.id, now + TO_APPROVE)
        waiting = await self._locked(conn, action.id)
        by = await actions.name_of(conn, action.asked_by)
        await self._tell("second_wanted", conn, waiting, self.others(action), by=by)
        return waiting

    async def _locked(self, conn: Connection, action_id: int) -> Action:
        """The deal's row first. `NotFound`."""
        known = await actions.get(conn, action_id)
        if known is not None and known.escrow_id is not None:
            await escrows.lock_row(conn, known.escrow_id)
        action = await actions.lock(conn, action_id)
        if action is None:
            raise NotFound("action_gone")
        return action

    async def _preview(
        self,
        conn: Connection,
        kind: str,
        target: str,
        params: Mapping[str, Any],
        admin: int,
        now: datetime,
    ) -> Preview:
        """As the effect says it; a deal that is over says who ended it, and when."""
        try:
            return await self._effects[kind].preview(conn, target, params, admin, now)
        except IllegalMove as error:
            code = error.values.get("code")
            if code is None:
                raise
            escrow = await escrows.get(conn, str(code))
            if escrow.finished_at is None or escrow.held_price is None:
                raise
            raise await was_first(conn, escrow.id) from error

    async def _preview_again(self, conn: Connection, action: Action, now: datetime) -> Preview:
        """At the confirmation; what can't be done any more says what happened in between."""
        try:
            return await self._preview(
                conn, action.kind, action.target, action.params, action.asked_by, now
            )
        except (IllegalMove, NotFound) as error:
            if action.escrow_id is None:
                raise
            first = await was_first(conn, action.escrow_id)
            if first.values["at"] < action.asked_at:
                raise
            raise first from error

    async def _moved(self, conn: Connection, action: Action) -> CannotDo:
        """It would say something else by now; who moved the deal since, and when, where one did."""
        if action.escrow_id is None:
            return EscrowMoved("action_moved")
        first = await was_first(conn, action.escrow_id)
        since = first.values if first.values["at"] >= action.asked_at else {}
        return EscrowMoved("action_moved", **since)

    async def _over(self, conn: Connection, action: Action) -> CannotDo:
        """Why an action is not open any more."""
        if action.state is ActionState.EXPIRED:
            return NotAllowed("action_expired")
        if action.state is ActionState.LEFT:
            by = await actions.name_of(conn, action.closed_by) if action.closed_by else None
            return NotAllowed("action_left", by=by)
        by = HOST
        if action.second != HOST:
            by = await actions.name_of(conn, int(action.second or action.asked_by))
        return NotAllowed(
            "decided_before", role="admin", event=action.kind, by=by, at=action.done_at
        )

    def _is_late(self, action: Action) -> bool:
        until = action.second_until or action.expires_at
        return action.is_open and self._clock.now() >= until

    async def _expire(self, conn: Connection, action: Action) -> None:
        await actions.close(conn, action.id, ActionState.EXPIRED)
        if action.state is ActionState.CONFIRMED:
            await self._tell("action_over", conn, action, [action.asked_by])

    async def _wrong_number(
        self, conn: Connection, action: Action, admin: int, cause: str
    ) -> CannotDo:
        await actions.wrong(conn, action.id, cause)
        after = await actions.get(conn, action.id)
        if after is not None and after.is_open:
            return NotAllowed("action_wrong_number")
        if admin != action.asked_by:
            await self._tell("action_left_by", conn, action, [action.asked_by], by=None)
        return NotAllowed("action_left", by=None)

    async def _tell(
        self, kind: str, conn: Connection, action: Action, to: Sequence[int], **values: Any
    ) -> None:
        notices = [
            Notice(
                action.cause,
                kind,
                person,
                {"action": action.to_values(), **values},
                action.escrow_id,
            )
            for person in to
        ]
        await outbox.queue(conn, notices, self._clock.now())

    def _must_be_admin(self, admin: int) -> None:
        if admin not in self._admins:
            raise NotAllowed

    def _needs_second(self, amount: Money) -> bool:
        return amount.currency is not Currency.KES or amount > self._second_above


def _must_be_no_party(parties: frozenset[int], admin: int) -> None:
    if admin in parties:
        raise NotAllowed("admin_is_party")


def _confirmed_by(action: Action, admin: int | None) -> bool:
    return admin == action.asked_by or action.second == (HOST if admin is None else admin)


def _plain(facts: Mapping[str, Any]) -> Any:
    """As PostgreSQL keeps them."""
    return json.loads(json.dumps(dict(facts), default=str))
