"""What M-Pesa says of a payment, asked or not: read, compared with what was asked for, and settled
once. Every step may be repeated.
"""

from __future__ import annotations

from escrow.domain.payouts import Payout, PayoutAttempt, PayoutState
from escrow.services.payout_ends import PayoutEnds
from escrow.services.payout_words import may_be_paid_to
from escrow.services.ports import Blame, PayoutResult, Verdict
from escrow.store import payouts
from escrow.store.database import Connection


class PayoutResults(PayoutEnds):
    """Results and answers, by the token in the path that they come to."""

    def check(self, body: bytes, *, asked: bool = False, back: bool = False) -> None:
        """`UnreadableError` when it is no result, or (`asked`) no answer to a question, or (`back`)
        no result of a reversal.
        """
        if back and self._reversals is not None:
            self._reversals.read_result(body)
        elif asked:
            self._rail.read_asked(body)
        else:
            self._rail.read_result(body)

    async def on_result(self, token: str, body: bytes) -> str:
        """A result came to an attempt's path; returns a word for the inbox row. Safe to repeat.

        `LookupError` when no attempt has this path (yet); `UnreadableError`.
        """
        result = self._rail.read_result(body)
        return await self._take(token, result, asked=False)

    async def on_reversed(self, token: str, body: bytes) -> str:
        """A reversal's result came to its path. As `on_result`."""
        if self._reversals is None:
            raise LookupError("nothing is reversed from here")
        return await self._take(token, self._reversals.read_result(body), asked=False)

    async def on_asked(self, token: str, body: bytes) -> str:
        """TransactionStatus answered about an attempt. As `on_result`."""
        result = self._rail.read_asked(body)
        return await self._take(token, result, asked=True)

    async def _take(self, token: str, result: PayoutResult, *, asked: bool) -> str:
        attempt = await self._attempt(token)

        async def work(conn: Connection) -> str:
            return await self._settle(conn, attempt.id, result, asked=asked)

        return await self._db.run(work)

    async def on_timeout(self, token: str) -> str:
        """M-Pesa's queue timed out, which says nothing about the payment: ask soon."""
        attempt = await self._attempt(token)

        async def work(conn: Connection) -> str:
            payout, now = await locked(conn, attempt.id)
            if now.state is PayoutState.SENDING:
                await self._unknown(conn, payout, now, "queue_timeout")
            return "timeout"

        return await self._db.run(work)

    async def _attempt(self, token: str) -> PayoutAttempt:
        async with self._db.reading() as conn:
            attempt = await payouts.attempt_by_token(conn, token)
        if attempt is None:
            raise LookupError("no payout has this path")
        return attempt

    async def _settle(
        self, conn: Connection, attempt_id: int, result: PayoutResult, *, asked: bool
    ) -> str:
        payout, attempt = await locked(conn, attempt_id)
        answer = result.answer
        paid = answer.verdict is Verdict.PAID
        if answer.blame is Blame.STOP:
            await self._stop(conn, answer.code)
        other = _is_about_another(payout, attempt, result, asked=asked)
        if other:
            return await self._mismatch(conn, payout, result, other)
        if attempt.state is PayoutState.PAID:
            if paid and result.reference == payout.provider_reference:
                return "repeated"
            if answer.verdict is Verdict.UNKNOWN:
                return "repeated"
            return await self._contradiction(conn, payout, result)
        if attempt.state is PayoutState.FAILED:
            if answer.verdict is Verdict.DECLINED or answer.verdict is Verdict.UNKNOWN:
                return "repeated"
            return await self._contradiction(conn, payout, result)
        if not payout.is_open:  # an admin ended it by his word, its attempt is still open
            same = paid and result.reference == payout.provider_reference
            if same or (payout.state is PayoutState.FAILED and not paid):
                return "confirmed"
            if not paid:
                return "repeated"
            return await self._contradiction(conn, payout, result)
        if paid:
            now = self._clock.now()
            await payouts.close_attempt(conn, attempt.id, PayoutState.PAID, answer.code, now)
            await self._paid(conn, payout, result.reference)
            return "paid"
        if answer.verdict is Verdict.DECLINED and answer.blame is not None:
            await self._declined(conn, payout, attempt, answer)
            return f"declined:{answer.code}"
        if answer.verdict is Verdict.DECLINED:  # asked, and it was not completed: nobody says why
            await self._to_person(conn, payout, attempt, answer.reason)
            return f"asked:{answer.reason}"
        if attempt.state is PayoutState.SENDING:
            await self._unknown(conn, payout, attempt, answer.code)
        return f"unknown:{answer.code}"


def _is_about_another(
    payout: Payout, attempt: PayoutAttempt, result: PayoutResult, *, asked: bool
) -> str:
    """What does not fit the payment that was asked for; empty when all does. A reversal has no id
    of ours: its result names the receipt that went back, else M-Pesa's id of it, where we know it.
    """
    paid, named = result.answer.verdict is Verdict.PAID, attempt.ocid
    if payout.receipt is not None:
        named = attempt.conversation_id or ("" if asked or paid else result.ocid)
    if payout.receipt is not None and paid and not asked:
        if result.original != payout.receipt:
            return "other_id"
    elif (result.ocid or not asked or paid) and result.ocid != named:
        return "other_id"
    if paid and result.amount != payout.amount:
        return "other_amount"
    if paid and payout.receipt is None and not may_be_paid_to(result.receiver, payout.destination):
        return "other_receiver"
    return ""


async def locked(conn: Connection, attempt_id: int) -> tuple[Payout, PayoutAttempt]:
    """A payout and one of its attempts as they stand, the payout locked."""
    attempt = await payouts.attempt(conn, attempt_id)
    assert attempt is not None  # noqa: S101 attempts are never deleted
    payout = await payouts.payout(conn, attempt.payout_id, lock=True)
    attempt = await payouts.attempt(conn, attempt_id)
    assert payout is not None  # noqa: S101 an attempt has one
    assert attempt is not None  # noqa: S101
    return payout, attempt
