"""Money that somebody paid by hand under a deal's code and nobody claims goes back to whoever paid
it (flow.md 26). Money without a deal stays where it is: an admin looks whose it may be.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Final

from escrow.domain import phone
from escrow.domain.errors import CannotDo, DatabaseDown, Paused
from escrow.domain.flow import Actor
from escrow.domain.model import By, Escrow, Notice, ReceiptState
from escrow.domain.payouts import Payout, PayoutState
from escrow.services.payout_booking import PayoutBooking
from escrow.services.ports import Clock
from escrow.services.receipts import locked_receipt, must_be
from escrow.store import escrows, outbox, unmatched
from escrow.store.database import Connection, Database

_LOG: Final = logging.getLogger(__name__)
BATCH: Final = 50


class Unclaimed:
    """`after`: how long it waits for whoever paid it."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        booking: PayoutBooking,
        admins: Sequence[int],
        *,
        after: timedelta = timedelta(hours=24),
    ) -> None:
        self._db = database
        self._clock = clock
        self._booking = booking
        self._admins = tuple(admins)
        self._after = after

    async def return_due(self) -> tuple[int, int, int]:
        """The sweep, each receipt in a unit of its own, once for ever: what could not go back is an
        admin's. (looked at, done, failed).
        """
        looked = done = 0
        failed: list[str] = []
        skipped: list[str] = []
        while True:
            async with self._db.reading() as conn:
                now = self._clock.now()
                found = await unmatched.unclaimed(
                    conn, now, self._after, BATCH, without=[*failed, *skipped]
                )
            for number in found:
                try:
                    if await self._db.run(partial(self._return, number=number)):
                        done += 1
                    else:
                        skipped.append(number)
                except (DatabaseDown, Paused):
                    raise
                except CannotDo:  # claimed, assigned or sent back a moment ago
                    skipped.append(number)
                except Exception:  # noqa: BLE001 one bad receipt must not stop the others
                    failed.append(number)
                    _LOG.exception("a receipt was not sent back", extra={"action": "back_failed"})
            looked += len(found)
            if len(found) < BATCH:
                return looked, done, len(failed)

    async def _return(self, conn: Connection, number: str) -> bool:
        """suspense → payable, if it is still so under the lock."""
        receipt = await locked_receipt(conn, number)
        must_be(receipt, ReceiptState.SUSPENSE)
        now = self._clock.now()
        if not await unmatched.unclaimed(conn, now, self._after, 1, only=number):
            return False
        paid_from, _ = await unmatched.paid_from(conn, receipt.id)
        cause = f"unclaimed:{receipt.id}"
        payout = await self._booking.book_back(conn, receipt, paid_from, cause, now)
        assert receipt.escrow_id is not None  # noqa: S101 only those under a deal's code
        escrow = await escrows.get(conn, receipt.escrow_id)
        said = {"receipt": payout.receipt, "payout": payout.id}
        await escrows.note(conn, escrow.id, "receipt_goes_back", By(Actor.SYSTEM), now, **said)
        await outbox.queue(conn, self._told(cause, payout, escrow, paid_from), now)
        _LOG.info("nobody claimed a payment", extra={"action": "unclaimed", "row": receipt.id})
        return True

    def _told(self, cause: str, payout: Payout, escrow: Escrow, paid_from: str) -> list[Notice]:
        """The seller, who may have been told that it was paid; the admins, unless a card asks them
        to pay it by hand.
        """
        values = {
            "amount": str(payout.amount),
            "receipt": payout.receipt,
            "payer": phone.mask_shown(paid_from),
            "code": escrow.id,
            "description": escrow.description,
        }
        seller = Notice(cause, "unclaimed_seller", escrow.seller_telegram_id, values, escrow.id)
        if payout.state is PayoutState.MANUAL:
            return [seller]
        return [
            seller,
            *(Notice(cause, "unclaimed_back", admin, values, escrow.id) for admin in self._admins),
        ]
