"""The bound that never lies: a payment takes 60 s at most; what committed is never called failed.

The bound stands outside the transaction. After a cut or a lost connection the truth is read back by
the receipt's key, under the lock that the work itself took.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from escrow.domain.errors import DatabaseDown, EscrowMoved, OutcomeUnknown, TimedOut
from escrow.domain.model import PaymentResult, Receipt, ReceiptState
from escrow.services.booking import answer_again
from escrow.services.matching import credit_key
from escrow.services.trace import Trace
from escrow.store import escrows, receipts
from escrow.store.database import Connection, Database

OVERALL_SECONDS: Final = 60.0
UNDONE: Final = frozenset({ReceiptState.WAITING, ReceiptState.IGNORED})
"""A receipt in these was known before, and no work that ended leaves one so."""


class Bound:
    """Runs the units of the payment path."""

    def __init__(self, database: Database, overall_seconds: float = OVERALL_SECONDS) -> None:
        self._db = database
        self.overall_seconds = overall_seconds

    async def run(
        self,
        receipt: Receipt,
        work: Callable[[Connection], Awaitable[PaymentResult]],
        trace: Trace,
        *,
        undone: frozenset[ReceiptState] = UNDONE,
    ) -> PaymentResult:
        """`work` in a unit, 60 s at most. After a cut or a lost connection the truth is read back
        by the receipt's key: what committed is never called failed, and what was there before the
        work (`undone`) never a commit.
        """
        task = asyncio.ensure_future(self._with_races(work))
        done, _ = await asyncio.wait({task}, timeout=self.overall_seconds)
        if not done:
            trace("timed_out")
            task.cancel()
            await asyncio.wait({task})
        try:
            result = task.result()
        except asyncio.CancelledError:
            return await self._truth(receipt, trace, TimedOut(), undone)
        except (DatabaseDown, TimedOut) as error:
            return await self._truth(receipt, trace, error, undone)
        except Exception:
            trace("failed")
            raise
        trace("committed", outcome=str(result.outcome))
        return result

    async def _with_races(
        self, work: Callable[[Connection], Awaitable[PaymentResult]]
    ) -> PaymentResult:
        """The same receipt twice at once, without a deal to lock: the loser looks again."""
        try:
            return await self._db.run(work)
        except EscrowMoved:
            return await self._db.run(work)

    async def _truth(
        self,
        receipt: Receipt,
        trace: Trace,
        error: Exception,
        undone: frozenset[ReceiptState],
    ) -> PaymentResult:
        """Whether a payment of unknown fate was booked. Waits for its lock first, so that a commit
        still under way is seen.
        """
        try:
            async with self._db.unit() as conn:
                await lock(conn, receipt)
                known = await receipts.find(
                    conn, receipt.provider, receipt.reference, receipt.attempt_id
                )
        except (DatabaseDown, TimedOut) as second:
            trace("failed", outcome="unknown")
            raise OutcomeUnknown from second
        if known is None or known.state in undone:
            trace("failed", outcome="not_done")
            raise TimedOut from error
        trace("committed", outcome="read_back")
        return answer_again(known, first=True)


async def lock(conn: Connection, receipt: Receipt) -> str | None:
    """Locks the receipt's deal and returns its code, or locks the receipt's own key where it has
    no deal: work on one payment never runs twice at once, and whoever asks for its fate waits for
    its end.
    """
    if receipt.escrow_code is not None and await escrows.lock_row(conn, receipt.escrow_code):
        return receipt.escrow_code
    await receipts.lock_key(conn, credit_key(receipt))
    return None
