"""What admins do over the heads of both sides: freeze, unfreeze, release, refund."""

from __future__ import annotations

from escrow.domain.errors import IllegalMove
from escrow.domain.flow import Actor, Event, Status
from escrow.domain.model import By, Escrow, Notice
from escrow.services.dividing import (
    Dividing,
    Ended,
    edge_of,
    facts,
    later_clock,
    noted,
    running_clock,
    sides,
)
from escrow.services.work import locked
from escrow.store import escrows, outbox
from escrow.store.database import Connection


class Rulings(Dividing):
    """freeze, unfreeze, manual_release, manual_refund."""

    async def freeze(self, typed: str, admin: int | None, reason: str = "") -> Escrow:
        """Stops every timer and both sides (FROZEN); `admin` None: the system itself does."""
        said = noted(reason)

        async def work(conn: Connection) -> Escrow:
            escrow = await locked(conn, typed)
            by = By(Actor.SYSTEM) if admin is None else self._judge(escrow, admin)
            edge = edge_of(escrow, Event.FREEZE, by.actor)
            now = self._clock.now()
            data = {"reason": said} if said else {}
            await escrows.move(conn, [escrows.Move(escrow.id, edge, by, now, data=data)])
            after = await escrows.get(conn, escrow.id)
            notices = [
                Notice(
                    f"freeze:{escrow.id}:{after.version}",
                    "frozen",
                    person,
                    {**facts(escrow, role), "reason": said},
                    escrow.id,
                )
                for role, person in sides(escrow)
            ]
            await outbox.queue(conn, notices, now)
            return after

        return await self._db.run(work)

    async def unfreeze(self, typed: str, admin: int, reason: str = "") -> Escrow:
        """The deal goes on where it was, its deadline moved by the frozen time. A dispute's time is
        counted when the dispute is withdrawn.
        """
        said = noted(reason)

        async def work(conn: Connection) -> Escrow:
            escrow = await locked(conn, typed)
            by = self._judge(escrow, admin)
            back = escrow.frozen_from
            if back is None:
                raise IllegalMove(
                    "wrong_status", code=escrow.id, status=str(escrow.status), event="unfreeze"
                )
            edge = edge_of(escrow, Event.UNFREEZE, by.actor, back)
            now = self._clock.now()
            clocks = {}
            if escrow.frozen_at is not None:
                clocks = later_clock(escrow, back, now - escrow.frozen_at)
            data = {"reason": said} if said else {}
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

    async def manual_release(
        self, typed: str, admin: int, reason: str = "", cause: str = ""
    ) -> Ended:
        """The seller gets what is held for him and the fee is earned, whatever stood in the way; an
        open dispute is closed with it. Refused before the money and after the end.
        """
        said = noted(reason)

        async def work(conn: Connection) -> Ended:
            return await self._rule(conn, typed, admin, Event.MANUAL_RELEASE, said, cause)

        return await self._db.run(work)

    async def manual_refund(
        self, typed: str, admin: int, reason: str = "", cause: str = ""
    ) -> Ended:
        """The buyer gets everything back, the fee too; else as `manual_release`."""
        said = noted(reason)

        async def work(conn: Connection) -> Ended:
            return await self._rule(conn, typed, admin, Event.MANUAL_REFUND, said, cause)

        return await self._db.run(work)

    async def _rule(
        self, conn: Connection, typed: str, admin: int, event: Event, said: str, cause: str
    ) -> Ended:
        escrow = await locked(conn, typed)
        by = self._judge(escrow, admin)
        before = await self._ended_before(conn, escrow, event, cause)
        if before is not None:
            return before
        refund = event is Event.MANUAL_REFUND
        edge_of(escrow, event, by.actor, Status.REFUNDED if refund else Status.COMPLETED)
        percent = 100 if refund else 0
        now = self._clock.now()
        ended = await self._divide(
            conn,
            escrow,
            event,
            by,
            self.preview_division(escrow, buyer_percent=percent),
            now,
            resolution="buyer" if refund else "seller",
            buyer_percent=percent,
            notes=said,
            cause=cause,
        )
        kind = "admin_refunded" if refund else "admin_released"
        await self._tell(kind, conn, ended, now, reason=said)
        return ended
