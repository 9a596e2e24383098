"""Finds out what nobody told us: M-Pesa is asked by our own id, twice, then a person looks. Nothing
is ever sent again from here.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final

from escrow.domain.payouts import Payout, PayoutAttempt, PayoutState
from escrow.services.payout_ends import values_of, waits
from escrow.services.payout_results import PayoutResults
from escrow.services.payout_words import refutes, says_nothing
from escrow.services.ports import (
    PayoutAnswer,
    PayoutRail,
    PayoutResult,
    ReversalRail,
    Verdict,
)
from escrow.store import outbox, payouts
from escrow.store.database import Connection

_LOG: Final = logging.getLogger(__name__)
BATCH: Final = 20
BETWEEN_ASKS: Final = timedelta(minutes=5)
ASKS: Final = 2
LATE: Final = timedelta(hours=1)
LATE_DOLLARS: Final = timedelta(hours=24)
"""An admin sends them, who says: usually within a day."""


class PayoutAsking(PayoutResults):
    """Questions about payments without an answer, and about receipts that an admin names."""

    async def ask_due(self) -> tuple[int, int]:
        """Asks about payments whose result did not come; after two questions a person looks. Tells
        those who wait for long. (looked at, failed).
        """
        asked = await self._db.run(self._claim_looks)
        self._look("asking")
        failed = 0
        for payout, attempt in asked:
            try:
                await self._ask(payout, attempt)
            except Exception:  # noqa: BLE001 one bad row must not stop the others
                failed += 1
                _LOG.exception("asking about a payout failed", extra={"action": "ask_failed"})
        words = await self._db.run(self._words_due)
        for payout in words:
            await self._ask_receipt(payout)
        await self._db.run(self._tell_late)
        return len(asked) + len(words), failed

    async def _claim_looks(self, conn: Connection) -> list[tuple[Payout, PayoutAttempt]]:
        now = self._clock.now()
        stopped = await payouts.stopped(conn, self._rail.credential) is not None
        asking = []
        for payout in await payouts.claim_looks(conn, now, BATCH):
            attempt = await payouts.live_attempt(conn, payout.id)
            assert attempt is not None  # noqa: S101 the database lets no payout wait without one
            if payout.looks >= ASKS or stopped or self._asked_of(payout) is None:
                await self._to_person(conn, payout, attempt, "unknown")
                continue
            if payout.state is PayoutState.SENDING:  # its result, or its sender, is gone
                await self._unknown(conn, payout, attempt, "")
            await payouts.looked(conn, payout.id, now + BETWEEN_ASKS)
            asking.append((payout, attempt))
        return asking

    async def _ask(self, payout: Payout, attempt: PayoutAttempt) -> None:
        """A reversal that M-Pesa gave no id to can't be asked about: its result may come still."""
        rail, ocid = self._asked_of(payout), attempt.ocid
        if payout.receipt is not None:
            ocid = attempt.conversation_id or ""
        if rail is not None and ocid:
            await rail.ask(
                ocid=ocid,
                result_url=f"{self._base}/a/{attempt.token}",
                timeout_url=f"{self._base}/b/{attempt.token}",
            )
        self._look("asked")

    async def _tell_late(self, conn: Connection) -> None:
        now = self._clock.now()
        for payout in await payouts.late(conn, now - LATE, BATCH, now - LATE_DOLLARS):
            await outbox.queue(conn, waits(payout), now)
            values = values_of(payout, state=str(payout.state), why=payout.note)
            await self._tell_admins(f"payout:{payout.id}:late", "payout_late", conn, values)

    # -- an admin's word ---------------------------------------------------------------------------

    def _asked_of(self, payout: Payout) -> PayoutRail | ReversalRail | None:
        """Who can be asked about it: the half of M-Pesa that it was sent by; of coins nobody."""
        if payout.in_coins:
            return None
        back = self._reversals
        if payout.receipt is not None:
            return back if back is not None and back.can_reverse else None
        return self._rail if self._rail.can_pay else None

    async def _may_ask(self, conn: Connection, payout: Payout) -> bool:
        stopped = await payouts.stopped(conn, self._rail.credential)
        return stopped is None and self._asked_of(payout) is not None

    async def _ask_receipt(self, payout: Payout) -> None:
        rail = self._asked_of(payout)
        assert rail is not None  # noqa: S101 `_may_ask` said so
        await rail.ask_receipt(
            reference=payout.named_reference or "",
            result_url=f"{self._base}/w/{payout.named_token}",
            timeout_url=f"{self._base}/b/{payout.named_token}",
        )

    async def on_word(self, token: str, body: bytes) -> str:
        """TransactionStatus answered about a receipt that an admin named. Safe to repeat."""
        said = self._rail.read_receipt(body)

        async def work(conn: Connection) -> str:
            payout = await payouts.by_named_token(conn, token)
            if payout is None or payout.state is PayoutState.FAILED:
                return "late"
            if says_nothing(said):
                return "unknown"
            ours = [self._rail.shortcode]
            if payout.receipt is not None and self._reversals is not None:
                ours.append(self._reversals.shortcode)
            why, named = refutes(said, payout, *ours), payout.named_reference or ""
            if payout.state is PayoutState.PAID:
                if why or payout.provider_reference == named:
                    return "late"
                again = PayoutResult(PayoutAnswer(Verdict.PAID, "0"), "", reference=named)
                return await self._contradiction(conn, payout, again)
            if not why and await payouts.by_reference(conn, named):
                why = "receipt_used"
            if not why:
                await self._paid(conn, payout, named, by=payout.named_by)
                return "paid"
            after = await payouts.forget_word(conn, payout.id)
            shown = str(said.amount) if said.amount is not None else ""
            values = values_of(after, why=why, reference=named, claimed=shown)
            await self._tell_admins(f"payout-word:{token}", "payout_word_wrong", conn, values)
            return why

        return await self._db.run(work)

    async def _words_due(self, conn: Connection) -> list[Payout]:
        """Named receipts to ask about again; after two questions an admin has to be sure."""
        now, asking = self._clock.now(), []
        for payout in await payouts.claim_words(conn, now, BATCH):
            if payout.looks < ASKS and await self._may_ask(conn, payout):
                await payouts.looked(conn, payout.id, now + BETWEEN_ASKS)
                asking.append(payout)
                continue
            waiting = await payouts.word_unproved(conn, payout.id)
            values = values_of(waiting, reference=waiting.named_reference)
            cause = f"payout-word:{waiting.named_token}"
            await self._tell_admins(cause, "payout_word_silent", conn, values)
        return asking
