"""A payment may be taken back after it was counted. So M-Pesa is asked about those of large deals
again, when the goods are sent and a day before the seller is paid; a deal whose money is gone is
frozen.

A release never waits for an answer: the payout that follows asks for itself (`payout_funding`).
Nothing is booked here, for the answer is not signed: the statement, or an admin, does that.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from escrow.domain import flow
from escrow.domain.errors import DatabaseDown, Paused
from escrow.domain.flow import Actor, Event, Status
from escrow.domain.model import By, Escrow, Notice, ReceiptState, StoredReceipt
from escrow.services.flags import raise_flag
from escrow.services.payout_funding import FundingChecks
from escrow.services.ports import Clock
from escrow.services.rulings import freeze_locked
from escrow.store import escrows, funding, outbox, receipts
from escrow.store.database import Connection, Database
from escrow.store.funding import Refused

_LOG: Final = logging.getLogger(__name__)
BATCH: Final = 20
AGAIN: Final = timedelta(minutes=10)
TIMES: Final = 3
_SYSTEM: Final = By(Actor.SYSTEM)
_OPEN: Final = flow.sources_of(Event.FREEZE) | {Status.FROZEN}


class FundingLooks:
    """Asks, and acts on a no. `before`: how long before the release the second look is."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        checks: FundingChecks,
        admins: Sequence[int],
        *,
        before: timedelta = timedelta(hours=24),
    ) -> None:
        self._db = database
        self._clock = clock
        self._checks = checks
        self._admins = tuple(admins)
        self._before = before

    async def look_due(self) -> tuple[int, int, int]:
        """The sweep: acts on what was answered, then asks. (looked at, done, failed)."""
        looked, failed = await self._act()
        asking = await self._db.run(self._claim)
        asked = await self._checks.put(asking, "again", "funding_looked")
        count = looked + len(asking)
        return count, looked - failed + asked, failed + len(asking) - asked

    async def _claim(self, conn: Connection) -> list[tuple[str, str]]:
        price_from = self._checks.proved_from
        if price_from is None:
            return []
        now, asking = self._clock.now(), []
        due = await funding.claim_looks(
            conn,
            now,
            price_from,
            self._before,
            asked_since=now - AGAIN,
            times=TIMES,
            limit=BATCH,
        )
        for receipt, reference in due:
            token = secrets.token_hex(16)
            await receipts.add_status_query(conn, token, receipt, now)
            asking.append((token, reference))
        return asking

    async def _act(self) -> tuple[int, int]:
        """Acts on every no, each in a unit of its own. (looked at, failed)."""
        looked, failed = 0, list[int]()
        while True:
            async with self._db.reading() as conn:
                found = await funding.refused(conn, failed, BATCH)
            for one in found:
                try:
                    await self._db.run(partial(self._refused, one=one))
                except (DatabaseDown, Paused):
                    raise
                except Exception:  # noqa: BLE001 one bad row must not stop the others
                    failed.append(one.id)
                    _LOG.exception(
                        "a no about a receipt was not acted upon",
                        extra={"action": "refused_failed", "row": one.receipt_id},
                    )
            looked += len(found)
            if len(found) < BATCH:
                return looked, len(failed)

    async def _refused(self, conn: Connection, one: Refused) -> None:
        """The deal first, as everybody locks it; once for each no."""
        escrow = await escrows.lock(conn, one.escrow_id) if one.escrow_id else None
        now = self._clock.now()
        if not await funding.looked(conn, one.id, now):
            return
        receipt = await receipts.get(conn, one.receipt_id, lock=True)
        if not one.counts or receipt is None or receipt.state is not ReceiptState.CREDITED:
            return  # not credited when it was asked, or gone back: nothing stands on it
        if escrow is None or escrow.held_price is None or receipt.escrow_id != escrow.id:
            return
        if escrow.finished_at is not None and one.asked_at >= escrow.finished_at:
            return  # asked before its payout, which tells of it
        await self._stop(conn, escrow, receipt, one, now)

    async def _stop(
        self,
        conn: Connection,
        escrow: Escrow,
        receipt: StoredReceipt,
        one: Refused,
        now: datetime,
    ) -> None:
        """An open deal stands still and its payer is flagged; the admins hear of a final one."""
        stands = escrow.status in _OPEN
        if stands and escrow.status is not Status.FROZEN:
            await freeze_locked(conn, escrow, _SYSTEM, "", f"refused:{one.id}", now)
        payer = receipt.telegram_id
        if stands and payer is not None:
            await raise_flag(
                conn,
                self._admins,
                payer,
                user_type="buyer",
                flag_type="reversed_payment",
                severity="CRITICAL",
                escrow_id=escrow.id,
                rule=f"M-Pesa took back {receipt.reference}",
                deals=[escrow.id],
                now=now,
            )
        values = {
            "reference": receipt.reference,
            "amount": str(receipt.amount),
            "code": escrow.id,
            "frozen": stands,
        }
        told = [
            Notice(f"refused:{one.id}", "funding_refused", admin, values, escrow.id)
            for admin in self._admins
        ]
        await outbox.queue(conn, told, now)
        _LOG.warning(
            "M-Pesa says that a payment does not stand",
            extra={"action": "funding_refused", "escrow": escrow.id, "row": receipt.id},
        )
