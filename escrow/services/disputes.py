"""Disputes: raised by a side, withdrawn by it, taken by an admin (who resolves it in `verdicts`).
While one is open no timer touches the deal.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from escrow.domain.errors import IllegalMove, InvalidInput, LimitReached, NotAllowed, NotFound
from escrow.domain.flow import Event
from escrow.domain.model import Dispute, DisputeStatus, Escrow, Notice
from escrow.services.dividing import (
    Dividing,
    edge_of,
    facts,
    later_clock,
    running_clock,
    sides,
)
from escrow.services.work import locked, party_of
from escrow.store import disputes, escrows, outbox
from escrow.store.database import Connection

REASON_CHARS: Final = 1000
_LISTED: Final = 20
_AT_LEAST: Final = timedelta(hours=48)
"""What is left of a deadline, at least, when a dispute is withdrawn."""


class Disputes(Dividing):
    """dispute, withdraw_dispute; and an admin's taking of a dispute."""

    async def dispute(self, typed: str, telegram_id: int, reason: str, cause: str) -> Dispute:
        """A side says that something is wrong (DISPUTED): nothing happens by itself any more, the
        other side has 48 hours to answer, the admins decide. The same cause again gets the first
        answer. `IllegalMove` when one is open, or the deal holds no money.
        """
        words = reason.replace("\x00", " ").strip()
        if not 1 <= len(words) <= REASON_CHARS:
            raise InvalidInput("dispute_reason", maximum=REASON_CHARS)

        async def work(conn: Connection) -> Dispute:
            escrow = await locked(conn, typed)
            by = party_of(escrow, telegram_id)
            before = await disputes.by_cause(conn, escrow.id, cause)
            if before is not None:
                return before
            if await disputes.open_dispute_of(conn, escrow.id) is not None:
                raise IllegalMove("dispute_open", code=escrow.id)
            edge = edge_of(escrow, Event.DISPUTE, by.actor)
            now = self._clock.now()
            answer_by = now + self._terms.answer_window
            made = await disputes.insert(conn, escrow.id, by, escrow.status, words, now, answer_by)
            data = {"dispute": made.id, "cause": cause}
            await escrows.move(conn, [escrows.Move(escrow.id, edge, by, now, data=data)])
            await outbox.queue(conn, self._raised(escrow, made), now)
            return made

        return await self._db.run(work)

    def _raised(self, escrow: Escrow, dispute: Dispute) -> list[Notice]:
        """The other side, whoever raised it, and the admins."""
        cause = f"dispute:{dispute.id}"
        said = {
            "reason": dispute.reason,
            "by": dispute.raised_role,
            "answer_by": dispute.answer_by.isoformat(),
        }
        notices = []
        for role, person in sides(escrow):
            kind = "dispute_raised" if person == dispute.raised_by else "disputed"
            notices.append(Notice(cause, kind, person, {**facts(escrow, role), **said}, escrow.id))
        parties = {person for _, person in sides(escrow)}
        price, fee = escrow.held_price, escrow.held_fee
        assert price is not None and fee is not None  # noqa: S101, PT018 the edge says it is funded
        for admin in self._admins:
            if admin not in parties:
                values = {**facts(escrow, "admin"), **said, "amount": str(price + fee)}
                notices.append(Notice(cause, "dispute_admin", admin, values, escrow.id))
        return notices

    async def withdraw_dispute(self, typed: str, telegram_id: int) -> Escrow:
        """Whoever raised it takes it back, once per deal: the deal goes on where it was, with the
        time it lost and 48 hours at least. Again: the first answer.
        """

        async def work(conn: Connection) -> Escrow:
            escrow = await locked(conn, typed)
            by = party_of(escrow, telegram_id)
            dispute = await disputes.last_of(conn, escrow.id)
            if dispute is None or not dispute.is_open:
                if _withdrawn_by(dispute, telegram_id):
                    return escrow
                raise NotFound("no_open_dispute", code=escrow.id)
            if dispute.raised_by != telegram_id:
                raise NotAllowed("not_your_dispute")
            edge = edge_of(escrow, Event.WITHDRAW_DISPUTE, by.actor, dispute.disputed_from)
            if await disputes.withdrawn(conn, escrow.id):
                raise LimitReached("withdrawn_before")
            now = self._clock.now()
            moved = later_clock(escrow, dispute.disputed_from, now - dispute.opened_at)
            clocks = {column: max(at, now + _AT_LEAST) for column, at in moved.items()}
            await disputes.close(conn, dispute.id, DisputeStatus.WITHDRAWN, by, now)
            await escrows.move(
                conn,
                [escrows.Move(escrow.id, edge, by, now, data={"dispute": dispute.id}, **clocks)],
            )
            after = await escrows.get(conn, escrow.id)
            await outbox.queue(conn, self._taken_back(after, dispute), now)
            return after

        return await self._db.run(work)

    def _taken_back(self, escrow: Escrow, dispute: Dispute) -> list[Notice]:
        """The other side, and the admins: nobody has to decide it any more."""
        clock = running_clock(escrow, escrow.status)
        values = {
            "by": dispute.raised_role,
            "until": clock[1].isoformat() if clock else None,
            "status": str(escrow.status),
        }
        parties = sides(escrow)
        told = [(role, person) for role, person in parties if person != dispute.raised_by]
        people = {person for _, person in parties}
        told += [("admin", admin) for admin in self._admins if admin not in people]
        return [
            Notice(
                f"withdraw:{dispute.id}",
                "dispute_withdrawn",
                person,
                {**facts(escrow, role), **values},
                escrow.id,
            )
            for role, person in told
        ]


def _withdrawn_by(dispute: Dispute | None, telegram_id: int) -> bool:
    return (
        dispute is not None
        and dispute.status is DisputeStatus.WITHDRAWN
        and dispute.raised_by == telegram_id
    )
