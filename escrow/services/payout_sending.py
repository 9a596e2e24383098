"""Sends what was booked: the intent is committed before a byte leaves. No network call stands
inside a transaction.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from datetime import timedelta
from typing import Final

from escrow.domain.errors import Paused
from escrow.domain.payouts import Payout, PayoutAttempt, PayoutState
from escrow.services.payout_results import PayoutResults, locked
from escrow.services.ports import PayoutAnswer, Verdict
from escrow.store import payouts
from escrow.store.database import Connection

_LOG: Final = logging.getLogger(__name__)
BATCH: Final = 20
RESULT_GRACE: Final = timedelta(minutes=3)
"""How long the result of an accepted payment may take before M-Pesa is asked."""


class PayoutSending(PayoutResults):
    """The sender. Two may work at once: what one has taken the other leaves."""

    async def send_due(self) -> tuple[int, int]:
        """Sends what is ready. (looked at, failed). What can't be sent by the program becomes a
        person's task; a stop or a break in the books holds everything where it is.
        """
        await self._db.run(self._hold)
        if not (self._rail.can_pay or self._may_reverse) or not self._sound():
            return 0, 0
        if self._funding is not None:
            await self._funding.ask()
        claimed = await self._db.run(self._claim)
        self._look("claimed")
        done = await asyncio.gather(
            *(self._send(payout, attempt) for payout, attempt in claimed), return_exceptions=True
        )
        failed = [
            error
            for error in done
            if isinstance(error, BaseException) and not isinstance(error, Paused)
        ]
        for error in failed:  # the attempt is there: it is looked at when its grace is over
            if not isinstance(error, Exception):
                raise error
            _LOG.error("sending a payout failed", exc_info=error, extra={"action": "send_failed"})
        return len(claimed), len(failed)

    @property
    def _may_reverse(self) -> bool:
        return self._reversals is not None and self._reversals.can_reverse

    async def _hold(self, conn: Connection) -> None:
        held = await payouts.hold_by_hand(conn, pay=self._rail.can_pay, reverse=self._may_reverse)
        if self._funding is not None:
            held += await self._funding.doubtful(conn)
        await self._cards(conn, "payout_manual", held)

    async def _claim(self, conn: Connection) -> list[tuple[Payout, PayoutAttempt]]:
        """The intent of each payment, committed before anything is sent."""
        now = self._clock.now()
        if await payouts.stopped(conn, self._rail.credential) is not None:
            return []
        proved_from = self._funding.proved_from if self._funding else None
        ready = await payouts.claim_ready(
            conn,
            now,
            BATCH,
            proved_from,
            pay=self._rail.can_pay,
            reverse=self._may_reverse,
        )
        due = {one.id: one for one in ready}
        new = [(number, _new_id(number), secrets.token_hex(16)) for number in due]
        made = await payouts.start_attempts(conn, new, now, now + RESULT_GRACE) if new else []
        return [(due[one.payout_id], one) for one in made]

    async def _send(self, payout: Payout, attempt: PayoutAttempt) -> None:
        answer = await self._ask_for(payout, attempt)
        self._look("sent")
        _LOG.info(
            "a payout was sent",
            extra={"action": "payout_sent", "payout": payout.id, "verdict": str(answer.verdict)},
        )

        async def work(conn: Connection) -> None:
            await self._answered(conn, attempt.id, answer)

        await self._db.run(work)
        self._look("answered")

    async def _ask_for(self, payout: Payout, attempt: PayoutAttempt) -> PayoutAnswer:
        timeout_url = f"{self._base}/o/{attempt.token}"
        if payout.receipt is None:
            return await self._rail.pay(
                ocid=attempt.ocid,
                phone=payout.destination,
                amount=payout.amount,
                result_url=f"{self._base}/p/{attempt.token}",
                timeout_url=timeout_url,
            )
        assert self._reversals is not None  # noqa: S101 nothing else claims such a payout
        return await self._reversals.reverse(
            reference=payout.receipt,
            amount=payout.amount,
            remarks=f"Escrow {attempt.ocid}",
            result_url=f"{self._base}/x/{attempt.token}",
            timeout_url=timeout_url,
        )

    async def _answered(self, conn: Connection, attempt_id: int, answer: PayoutAnswer) -> None:
        """The synchronous answer. A result that overtook it has decided already."""
        payout, attempt = await locked(conn, attempt_id)
        if answer.verdict is Verdict.PENDING:
            await payouts.attempt_accepted(conn, attempt.id, answer.conversation_id)
        elif attempt.state is not PayoutState.SENDING:
            return
        elif answer.verdict is Verdict.DECLINED:
            await self._declined(conn, payout, attempt, answer)
        else:
            await self._unknown(conn, payout, attempt, answer.code)


def _new_id(payout_id: int) -> str:
    """Our name for a request, for ever: a restored backup makes other ones."""
    return f"P{payout_id}-{secrets.token_hex(8)}"
