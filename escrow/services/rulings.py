"""What admins do to a deal at once, over the heads of both sides: stop it, let it go on. What moves
money is confirmed first (`verdicts`).
"""

from __future__ import annotations

from datetime import datetime

from escrow.domain.errors import IllegalMove
from escrow.domain.flow import Actor, Edge, Event, Status
from escrow.domain.model import By, Escrow, Notice
from escrow.services.dividing import (
    Dividing,
    edge_of,
    facts,
    later_clock,
    noted,
    running_clock,
    sides,
    was_first,
)
from escrow.services.work import locked
from escrow.store import escrows, outbox
from escrow.store.database import Connection


class Rulings(Dividing):
    """freeze, unfreeze. The same cause again gets the first answer."""

    async def freeze(
        self, typed: str, admin: int | None, reason: str = "", cause: str = ""
    ) -> Escrow:
        """Stops every timer and both sides (FROZEN); `admin` None: the system itself does."""
        said = noted(reason)

        async def work(conn: Connection) -> Escrow:
            escrow = await locked(conn, typed)
            by = By(Actor.SYSTEM) if admin is None else self._judge(escrow, admin)
            if cause and await escrows.caused(conn, escrow.id, Event.FREEZE, cause):
                return escrow
            return await freeze_locked(conn, escrow, by, said, cause, self._clock.now())

        return await self._db.run(work)

    async def unfreeze(self, typed: str, admin: int, reason: str = "", cause: str = "") -> Escrow:
        """The deal goes on where it was, its deadline moved by the frozen time. A dispute's time is
        counted when the dispute is withdrawn.
        """
        said = noted(reason)

        async def work(conn: Connection) -> Escrow:
            escrow = await locked(conn, typed)
            by = self._judge(escrow, admin)
            if cause and await escrows.caused(conn, escrow.id, Event.UNFREEZE, cause):
                return escrow
            back = escrow.frozen_from
            if back is None:
                if escrow.finished_at is not None:
                    raise await was_first(conn, escrow.id)
                raise IllegalMove(
                    "wrong_status", code=escrow.id, status=str(escrow.status), event="unfreeze"
                )
            edge = await _edge(conn, escrow, Event.UNFREEZE, by, back)
            now = self._clock.now()
            clocks = {}
            if escrow.frozen_at is not None:
                clocks = later_clock(escrow, back, now - escrow.frozen_at)
            data = _kept(said, cause)
            await escrows.move(conn, [escrows.Move(escrow.id, edge, by, now, data=data, **clocks)])
            after = await escrows.get(conn, escrow.id)
            clock = running_clock(after, back)
            values = {"status": str(back), "until": clock[1].isoformat() if clock else None}
            notices = [
                Notice(
                    f"unfreeze:{escrow.id}:{after.version}",
                    "unfrozen",
                    person,
                    {**facts(escrow, role), **values},
                    escrow.id,
                )
                for role, person in sides(escrow)
            ]
            await outbox.queue(conn, notices, now)
            return after

        return await self._db.run(work)


async def freeze_locked(
    conn: Connection, escrow: Escrow, by: By, reason: str, cause: str, now: datetime
) -> Escrow:
    """Stops a locked deal in this unit, and tells both sides. `NotAllowed` as `freeze`."""
    edge = await _edge(conn, escrow, Event.FREEZE, by)
    data = _kept(reason, cause)
    await escrows.move(conn, [escrows.Move(escrow.id, edge, by, now, data=data)])
    after = await escrows.get(conn, escrow.id)
    notices = [
        Notice(
            f"freeze:{escrow.id}:{after.version}",
            "frozen",
            person,
            {**facts(escrow, role), "reason": reason},
            escrow.id,
        )
        for role, person in sides(escrow)
    ]
    await outbox.queue(conn, notices, now)
    return after


async def _edge(
    conn: Connection, escrow: Escrow, event: Event, by: By, back: Status | None = None
) -> Edge:
    """`NotAllowed` with whoever did the same before, or ended the deal."""
    try:
        return edge_of(escrow, event, by.actor, back)
    except IllegalMove as error:
        first = await was_first(conn, escrow.id)
        if first.values["event"] == event or escrow.finished_at is not None:
            raise first from error
        raise


def _kept(reason: str, cause: str) -> dict[str, str]:
    """What the timeline keeps of it."""
    said = {"reason": reason, "cause": cause}
    return {name: value for name, value in said.items() if value}
