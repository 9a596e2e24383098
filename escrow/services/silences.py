"""A side of a dispute that says nothing in its 48 hours (flow.md 28): the case stands on top of the
admins' list, and they are told once. Silence decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from escrow.domain.model import Dispute, Escrow, Notice
from escrow.services.dividing import facts, sides
from escrow.services.ports import Clock
from escrow.store import disputes, escrows, outbox
from escrow.store.database import Connection, Database

BATCH: Final = 100


class Silences:
    """Tells the admins, but not one who is a side."""

    def __init__(self, database: Database, clock: Clock, admins: Sequence[int]) -> None:
        self._db = database
        self._clock = clock
        self._admins = tuple(admins)

    async def tell_due(self) -> int:
        """The sweep; how many disputes it told of."""
        done = 0
        while count := await self._db.run(self._tell):
            done += count
            if count < BATCH:
                break
        return done

    async def _tell(self, conn: Connection) -> int:
        now = self._clock.now()
        found = await disputes.silent(conn, now, BATCH)
        deals = {one.id: one for one in await escrows.get_many(conn, [d.escrow_id for d in found])}
        told = [note for one in found for note in self._notices(one, deals[one.escrow_id])]
        await outbox.queue(conn, told, now)
        await disputes.silence_told(conn, [one.id for one in found], now)
        return len(found)

    def _notices(self, dispute: Dispute, escrow: Escrow) -> list[Notice]:
        parties = {person for _, person in sides(escrow)}
        price, fee = escrow.held_price, escrow.held_fee
        assert price is not None and fee is not None  # noqa: S101, PT018 disputed is funded
        values = {
            **facts(escrow, "admin"),
            "by": dispute.raised_role,
            "reason": dispute.reason,
            "amount": str(price + fee),
        }
        return [
            Notice(f"dispute:{dispute.id}", "dispute_silent", admin, values, escrow.id)
            for admin in self._admins
            if admin not in parties
        ]
