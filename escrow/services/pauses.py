"""Stopping everything that moves money or a deal, at once, and going on as if the time between had
not been (flow.md 31, 32).

PostgreSQL refuses while a pause is open (migration 0011). Going on is a promise, kept in the
pause's row: deadlines are moved a hundred deals at a time, each batch once, and only when all are
moved the pause ends. Whatever is killed in between, `carry_on` goes on from there.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from escrow.domain.errors import InvalidInput, TimedOut
from escrow.domain.flow import Actor, Status
from escrow.domain.model import By, Escrow, Notice
from escrow.domain.pauses import Pause
from escrow.domain.terms import choice_expires
from escrow.services.booking import underpaid
from escrow.services.dividing import facts, running_clock, sides
from escrow.services.ports import Clock
from escrow.store import escrows, outbox, pauses, payments, people
from escrow.store.database import Connection, Database

_LOG: Final = logging.getLogger(__name__)
DEALS: Final = 100
PEOPLE: Final = 1000
REASON_CHARS: Final = 300


@dataclass(frozen=True, slots=True)
class Word:
    """What became of a /pause or a /resume. `pause`: the one that it is about, None when there
    never was one; `changed`: whether this did it; `by`: who began it, or ended it, by name where
    he has one here.
    """

    pause: Pause | None
    changed: bool
    by: str = ""


class Pauses:
    """Whoever calls has made sure that it is an admin or (None) the host."""

    def __init__(self, database: Database, clock: Clock, admins: Sequence[int]) -> None:
        self._db = database
        self._clock = clock
        self._admins = tuple(admins)

    async def current(self) -> Pause | None:
        """The open pause, also while it is ending."""
        async with self._db.reading() as conn:
            return await pauses.open_one(conn)

    async def pause(self, by: int | None, reason: str, cause: str) -> Word:
        """Stops everything from now on; who is told follows. One that is open stays as it is. One
        that is ending ends first. `InvalidInput`.
        """
        kept = " ".join(reason.replace("\x00", " ").split())
        if len(kept) > REASON_CHARS:
            raise InvalidInput("too_long", maximum=REASON_CHARS)
        if (ending := await self.current()) is not None and ending.resumed_at is not None:
            await self.carry_on()
        word = await self._db.run(partial(self._pause, by=by, reason=kept, cause=cause))
        if word.changed:
            _LOG.warning(
                "everything that moves money stands still",
                extra={"action": "paused", "by": by or "host", "reason": kept},
            )
            await self._begin_to_carry_on()
        return word

    async def _pause(self, conn: Connection, by: int | None, reason: str, cause: str) -> Word:
        now = self._clock.now()
        begun = await pauses.begin(conn, cause, by, reason, now)
        if begun is None:
            found = await pauses.caused(conn, cause) or await pauses.open_one(conn)
            return Word(found, False, await _name(conn, found.paused_by if found else None))
        name = await _name(conn, by)
        values = {"by": name, "reason": reason}
        others = [one for one in self._admins if one != by]
        await outbox.queue(conn, _to_admins(begun, "pause_began", values, others), now)
        return Word(begun, True, name)

    async def resume(self, by: int | None, cause: str) -> Word:
        """Ends the open pause: deadlines are moved, then everything goes on. Without an open one
        nothing changes, and the last one is named.
        """
        word = await self._db.run(partial(self._resume, by=by, cause=cause))
        if word.changed:
            await self._begin_to_carry_on(by)
            async with self._db.reading() as conn:
                word = Word(await pauses.caused(conn, cause), True, word.by)
        return word

    async def _resume(self, conn: Connection, by: int | None, cause: str) -> Word:
        before = await pauses.caused(conn, cause)
        pause = await pauses.open_one(conn, lock=True) if before is None else None
        if pause is None or pause.resumed_at is not None:
            found = pause or before or await pauses.last(conn)
            return Word(found, False, await _name(conn, found.resumed_by if found else None))
        at = max(self._clock.now(), pause.paused_at)
        pause = await pauses.resume(conn, pause.id, by, cause, at)
        return Word(pause, True, await _name(conn, by))

    async def carry_on(self, answered: int | None = None) -> int:
        """What an open pause still owes: its people told, and once it is to end, its deals moved
        and the end itself, of which every admin is told but the one who is `answered` with it.
        Returns how many it told or moved.
        """
        done = 0
        while (count := await self._db.run(partial(self._step, answered=answered))) is not None:
            done += count
        return done

    async def _begin_to_carry_on(self, answered: int | None = None) -> None:
        """It is written down already: what it owes may be cut now and be done by the job."""
        try:
            await self.carry_on(answered)
        except TimedOut:
            _LOG.warning("the pause is carried on later", extra={"action": "pause_later"})

    async def _step(self, conn: Connection, answered: int | None) -> int | None:
        """One batch of what the open pause owes; None when that is nothing."""
        pause = await pauses.open_one(conn, lock=True)
        if pause is None:
            return None
        if pause.resumed_at is not None:
            return await self._move(conn, pause, pause.resumed_at, answered)
        return None if pause.told else await self._tell(conn, pause)

    async def _tell(self, conn: Connection, pause: Pause) -> int:
        now = self._clock.now()
        found = await pauses.parties(conn, pause.told_to, PEOPLE)
        notices = [Notice(f"pause:{pause.id}", "paused", person, {}) for person in found]
        await outbox.queue(conn, notices, now)
        everybody = len(found) < PEOPLE
        up_to = found[-1] if found else pause.told_to
        await pauses.told(conn, pause.id, up_to, everybody=everybody)
        return len(found)

    async def _move(
        self, conn: Connection, pause: Pause, resumed_at: datetime, answered: int | None
    ) -> int:
        codes = await pauses.next_deals(conn, pause.moved_to, DEALS)
        if not codes:
            await self._end(conn, pause, resumed_at, answered)
            return 0
        now = self._clock.now()
        moved = await pauses.move_deadlines(conn, codes, pause.paused_at, resumed_at, pause.id)
        deals = {deal.id: deal for deal in await escrows.get_many(conn, codes)}
        await self._ask_again(conn, pause, deals, now)
        notices = [note for deal in deals.values() for note in _told(pause, deal, moved)]
        await outbox.queue(conn, notices, now)
        await pauses.moved(conn, pause.id, codes[-1], len(moved))
        return len(codes)

    async def _ask_again(
        self, conn: Connection, pause: Pause, deals: dict[str, Escrow], now: datetime
    ) -> None:
        """Open choices: void, and issued anew with their whole time."""
        for choice_id in await pauses.open_choices(conn, list(deals)):
            choice = await payments.choice(conn, choice_id)
            assert choice is not None  # noqa: S101 choices are never deleted
            deal = deals[choice.escrow_id]
            window = timedelta(seconds=int(deal.terms["choice_seconds"]))
            expires = choice_expires(now, window)
            buyer, total = choice.telegram_id, deal.received
            await payments.void_choice(conn, deal.id, now)
            again = await payments.insert_choice(
                conn, deal.id, buyer, deal.due, total, now, expires
            )
            by = By(Actor.SYSTEM)
            await escrows.note(conn, deal.id, "choice_offered", by, now, pause=pause.id)
            cause = f"pause:{pause.id}:{deal.id}"  # he may have several
            notice = underpaid(cause, deal, buyer, total, again, expires)
            await outbox.queue(conn, [notice], now)

    async def _end(
        self, conn: Connection, pause: Pause, resumed_at: datetime, answered: int | None
    ) -> None:
        now = self._clock.now()
        await pauses.move_rests(conn, pause.paused_at, resumed_at)
        ended = await pauses.end(conn, pause.id, max(now, resumed_at))
        values = {
            "by": await _name(conn, pause.resumed_by),
            "seconds": int(pause.length(now).total_seconds()),
            "moved": ended.moved,
        }
        others = [one for one in self._admins if one != answered]
        await outbox.queue(conn, _to_admins(pause, "pause_ended", values, others), now)
        _LOG.warning(
            "everything goes on",
            extra={"action": "resumed", "by": pause.resumed_by or "host", **values},
        )


def _to_admins(
    pause: Pause, kind: str, values: dict[str, Any], admins: Sequence[int]
) -> list[Notice]:
    return [Notice(f"pause:{pause.id}", kind, admin, values) for admin in admins]


async def _name(conn: Connection, telegram_id: int | None) -> str:
    """Somebody's name here; empty for the host, and his number where he has no name."""
    if telegram_id is None:
        return ""
    person = await people.person(conn, telegram_id)
    return person.first_name if person and person.first_name else str(telegram_id)


def _told(pause: Pause, deal: Escrow, moved: set[str]) -> list[Notice]:
    """What both sides hear at the end: their new deadline, or, told of the pause before, that it
    is over.
    """
    clock = running_clock(deal, deal.status)
    until = deal.pay_by if deal.status is Status.PENDING else clock and clock[1]
    if deal.id in moved and until is not None:
        values = {"status": str(deal.status), "until": until.isoformat()}
        return [
            Notice(
                f"pause:{pause.id}:{deal.id}",
                "deadline_moved",
                person,
                {**facts(deal, role), **values},
                deal.id,
            )
            for role, person in sides(deal)
        ]
    if deal.status is Status.PENDING:
        return []
    return [Notice(f"pause:{pause.id}", "resumed", person, {}) for _, person in sides(deal)]
