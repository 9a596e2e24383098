"""How a payout ends or comes to wait for a person, and who is told. Every way to an end, by a
result, by an answer or by an admin's word, goes through here, in the unit that decides it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final

from escrow.domain.flow import Actor
from escrow.domain.model import By, Notice
from escrow.domain.payouts import Payout, PayoutAttempt, PayoutState
from escrow.services import payout_guards, postings
from escrow.services.payout_booking import PayoutBooking
from escrow.services.payout_funding import FundingChecks
from escrow.services.ports import Blame, Clock, PayoutAnswer, PayoutRail, PayoutResult, ReversalRail
from escrow.store import escrows, ledger, outbox, payouts
from escrow.store.database import Connection, Database

_LOG: Final = logging.getLogger(__name__)
ASK_GRACE: Final = timedelta(minutes=1)
_BACK_OFF: Final = tuple(timedelta(minutes=n) for n in (5, 10, 20, 40, 60))
_PATIENT: Final = frozenset({"float", "mpesa_busy", "mpesa_unreachable", "rule_limited"})
"""Refusals that pass by themselves; after another one's third a person looks."""
_TRIES: Final = 3


class PayoutEnds:
    """Base of the parts of `Payouts`: a method per end, each on a locked payout.

    `sound` says whether the books are whole: a break stops sending at once.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        rail: PayoutRail,
        booking: PayoutBooking,
        admins: Sequence[int],
        *,
        callback_base: str,
        funding: FundingChecks | None = None,
        reversals: ReversalRail | None = None,
        sound: Callable[[], bool] = lambda: True,
        look: Callable[[str], None] = lambda step: None,
    ) -> None:
        self._db = database
        self._clock = clock
        self._rail = rail
        self._booking = booking
        self._admins = tuple(admins)
        self._base = callback_base
        self._funding = funding
        self._reversals = reversals
        self._sound = sound
        self._look = look

    async def _paid(
        self, conn: Connection, payout: Payout, reference: str, *, by: int | None = None
    ) -> Payout:
        now = self._clock.now()
        await ledger.post(conn, [postings.payout_paid(payout, now)])
        done = await payouts.finish(
            conn, payout.id, PayoutState.PAID, now, reference=reference, closed_by=by
        )
        if done.receipt is not None:
            await payouts.turn_receipt(conn, done.id)
        await self._tell("payout_paid", conn, done, "paid", reference=reference)
        await self._keep_word(conn, done, "payout_paid", by, reference=reference)
        return done

    async def _returned(
        self, conn: Connection, payout: Payout, why: str, *, by: int | None = None, words: str = ""
    ) -> Payout:
        """It can't be paid: the money is his again, or lies in suspense again."""
        now = self._clock.now()
        await ledger.post(conn, [postings.payout_failed(payout, now)])
        done = await payouts.finish(
            conn, payout.id, PayoutState.FAILED, now, note=why, closed_by=by
        )
        await outbox.queue(conn, payout_guards.failed_notices(done, self._admins, why, words), now)
        await self._keep_word(conn, done, "payout_failed", by, reason=words)
        return done

    async def _declined(
        self, conn: Connection, payout: Payout, attempt: PayoutAttempt, answer: PayoutAnswer
    ) -> None:
        """A definite no: nothing was paid for this request."""
        now = self._clock.now()
        await payouts.close_attempt(conn, attempt.id, PayoutState.FAILED, answer.code, now)
        if payout.named_reference is not None:
            return  # an admin says that he paid it since: his receipt decides
        if answer.blame is Blame.PAYEE:
            await self._returned(conn, payout, answer.reason)
            return
        if answer.blame is Blame.STOP:
            await self._stop(conn, answer.code)
        made = await payouts.attempts_made(conn, payout.id)
        tired = made >= _TRIES and answer.reason not in _PATIENT and answer.blame is not Blame.STOP
        if payout.state is not PayoutState.SENDING or tired:
            await self._by_hand(conn, payout, answer.reason)
            return
        wait = _BACK_OFF[min(made, len(_BACK_OFF)) - 1]
        await payouts.set_state(
            conn, payout.id, PayoutState.READY, note=answer.reason, not_before=now + wait
        )
        if answer.blame is not Blame.STOP:
            await self._trouble(conn, answer)

    async def _unknown(
        self, conn: Connection, payout: Payout, attempt: PayoutAttempt, code: str
    ) -> None:
        now = self._clock.now()
        await payouts.close_attempt(conn, attempt.id, PayoutState.UNKNOWN, code, now)
        if payout.state is PayoutState.SENDING:
            await payouts.set_state(
                conn, payout.id, PayoutState.UNKNOWN, note="unknown", next_look_at=now + ASK_GRACE
            )

    async def _to_person(
        self, conn: Connection, payout: Payout, attempt: PayoutAttempt, why: str
    ) -> None:
        """Nobody can say whether it was paid: an admin looks it up. It is not sent again."""
        now = self._clock.now()
        if payout.state is PayoutState.MANUAL:
            return
        if attempt.state is PayoutState.SENDING:
            await self._unknown(conn, payout, attempt, attempt.result_code or "")
        waiting = await payouts.set_state(conn, payout.id, PayoutState.MANUAL, note=why)
        await self._cards(conn, "payout_unknown", [waiting], "unknown", ocid=attempt.ocid)
        await outbox.queue(conn, waits(waiting), now)

    async def _by_hand(self, conn: Connection, payout: Payout, why: str) -> None:
        if payout.state is not PayoutState.MANUAL:
            if payout.state is PayoutState.SENDING:
                # the steps of a payout know no other way to a person
                payout = await payouts.set_state(conn, payout.id, PayoutState.READY)
            payout = await payouts.set_state(conn, payout.id, PayoutState.MANUAL, note=why)
        else:
            payout = await payouts.set_state(conn, payout.id, PayoutState.MANUAL, note=why)
        await self._cards(conn, "payout_manual", [payout])

    async def _stop(self, conn: Connection, code: str) -> None:
        """M-Pesa refuses our API user: nothing more is sent with it, and all admins know."""
        if await payouts.stop(conn, self._rail.credential, code, self._clock.now()):
            cause = f"payout-stop:{self._rail.credential[:16]}:{self._clock.now().isoformat()}"
            await self._tell_admins(cause, "payouts_stopped", conn, {"code": code})

    # -- who is told -------------------------------------------------------------------------------

    async def _tell(
        self, kind: str, conn: Connection, payout: Payout, step: str, **more: Any
    ) -> None:
        values = values_of(payout, to=payout_guards.shown(payout), leg=payout.leg, **more)
        cause = f"payout:{payout.id}:{step}"
        notices = payout_guards.told(payout, self._admins, cause, kind, values)
        await outbox.queue(conn, notices, self._clock.now())

    async def _keep_word(
        self, conn: Connection, payout: Payout, event: str, by: int | None, **data: Any
    ) -> None:
        """An admin's word stands on the deal's timeline."""
        if by is not None and payout.escrow_id is not None:
            now = self._clock.now()
            who = By(Actor.ADMIN, by)
            await escrows.note(conn, payout.escrow_id, event, who, now, payout=payout.id, **data)

    async def _cards(
        self, conn: Connection, kind: str, waiting: Sequence[Payout], step: str = "", **more: Any
    ) -> None:
        cards = await payout_guards.cards(conn, kind, waiting, self._admins, step, **more)
        await outbox.queue(conn, cards, self._clock.now())

    async def _tell_admins(self, cause: str, kind: str, conn: Connection, values: Any) -> None:
        notices = [Notice(cause, kind, admin, values) for admin in self._admins]
        await outbox.queue(conn, notices, self._clock.now())

    async def _trouble(self, conn: Connection, answer: PayoutAnswer) -> None:
        """Once an hour per reason: payouts wait for something of ours."""
        hour = self._clock.now().strftime("%Y-%m-%dT%H")
        values = {"why": answer.reason, "code": answer.code}
        await self._tell_admins(
            f"payout-trouble:{answer.reason}:{hour}", "payout_trouble", conn, values
        )

    async def _mismatch(
        self, conn: Connection, payout: Payout, result: PayoutResult, why: str
    ) -> str:
        """A result that is not about this payment: kept, told, without effect."""
        claimed = str(result.amount) if result.amount is not None else ""
        values = values_of(payout, why=why, claimed=claimed, reference=result.reference)
        cause = f"payout:{payout.id}:{why}:{result.ocid}:{result.reference}"
        await self._tell_admins(cause[:200], "payout_mismatch", conn, values)
        return why

    async def _contradiction(self, conn: Connection, payout: Payout, result: PayoutResult) -> str:
        """Two definite answers that differ: the first stands, and every admin is woken."""
        values = values_of(
            payout,
            state=str(payout.state),
            says=str(result.answer.verdict),
            code_said=result.answer.code,
            reference=result.reference,
            kept=payout.provider_reference,
        )
        cause = f"payout:{payout.id}:contradiction:{result.answer.code}:{result.reference}"
        await self._tell_admins(cause, "payout_contradiction", conn, values)
        _LOG.critical(
            "results of a payout contradict each other",
            extra={"action": "payout_contradiction", "payout": payout.id},
        )
        return "contradiction"


def values_of(payout: Payout, **more: Any) -> dict[str, Any]:
    back = {} if payout.receipt is None else {"receipt": payout.receipt}
    facts = {"payout": payout.id, "amount": str(payout.amount), "code": payout.escrow_id}
    coins = {"coin": payout.coin} if payout.in_coins else {}
    return {**facts, **back, **coins, **more}


def waits(payout: Payout) -> list[Notice]:
    """Its owner hears that it takes longer; nobody where it is nobody's."""
    if payout.telegram_id is None:
        return []
    values = values_of(payout, to=payout_guards.shown(payout))
    cause = f"payout:{payout.id}:late"
    return [Notice(cause, "payout_waits", payout.telegram_id, values, payout.escrow_id)]
