"""A funded deal on its way: shipped, declined, received, released, refunded."""

from __future__ import annotations

from escrow.domain.flow import Event
from escrow.domain.model import Escrow, Notice
from escrow.services import endings
from escrow.services.work import DealWork, locked, party_of
from escrow.store import escrows, outbox
from escrow.store.database import Connection


class Shipping(DealWork):
    """ship, decline, deliver, release, refund."""

    async def decline(self, typed: str, telegram_id: int) -> Escrow:
        """The seller won't send: everything held goes to the buyer's wallet (REFUNDED)."""

        async def work(conn: Connection) -> Escrow:
            escrow = await locked(conn, typed)
            now = self._clock.now()
            ending = endings.refund(escrow, Event.DECLINE, party_of(escrow, telegram_id))
            payouts = await endings.finish(conn, [ending], self._payouts, now)
            assert escrow.buyer_telegram_id is not None  # noqa: S101 PostgreSQL checks it
            await outbox.queue(
                conn,
                [
                    Notice(
                        f"decline:{escrow.id}",
                        "declined",
                        escrow.buyer_telegram_id,
                        {
                            "code": escrow.id,
                            "shop": escrow.shop_name,
                            "description": escrow.description,
                            "returned": str(ending.buyer),
                            "payout": endings.payout_values(payouts.get((escrow.id, "buyer"))),
                        },
                        escrow.id,
                    )
                ],
                now,
            )
            return await escrows.get(conn, escrow.id)

        return await self._db.run(work)
