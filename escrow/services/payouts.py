"""The path by which money leaves: claim → send → settle, and find out what nobody told us.

What is to be sent is committed before a byte leaves; an answer that does not come is unknown, and
an unknown one is never sent again: M-Pesa is asked by our own id, twice, then a person looks. Only
a definite no makes room for another attempt. No network call stands inside a transaction.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final

from escrow.domain import phone
from escrow.domain.errors import InvalidInput, NotAllowed, NotFound
from escrow.domain.flow import Actor
from escrow.domain.model import By, Notice
from escrow.domain.money import Money
from escrow.domain.payouts import Payout, PayoutAttempt, PayoutState
from escrow.services import payout_guards, postings
from escrow.services.payout_booking import BookedPayout, PayoutBooking
from escrow.services.payout_funding import FundingChecks
from escrow.services.payout_words import may_be_paid_to, refutes, says_nothing
from escrow.services.ports import (
    Blame,
    Clock,
    PayoutAnswer,
    PayoutRail,
    PayoutResult,
    Verdict,
)
from escrow.store import escrows, ledger, outbox, payouts
from escrow.store.database import Connection, Database
from escrow.store.payouts import OpenCount

_LOG: Final = logging.getLogger(__name__)
BATCH: Final = 20
RESULT_GRACE: Final = timedelta(minutes=3)
"""How long the result of an accepted payment may take before M-Pesa is asked."""
ASK_GRACE: Final = timedelta(minutes=1)
BETWEEN_ASKS: Final = timedelta(minutes=5)
ASKS: Final = 2
LATE: Final = timedelta(hours=1)
LISTED: Final = 30
_BACK_OFF: Final = tuple(timedelta(minutes=n) for n in (5, 10, 20, 40, 60))
_PATIENT: Final = frozenset({"float", "mpesa_busy", "mpesa_unreachable", "rule_limited"})
"""Refusals that pass by themselves; after another one's third a person looks."""
_TRIES: Final = 3
_RECEIPT: Final = re.compile(r"[A-Z0-9]{10}", re.ASCII)

OPEN: Final = (PayoutState.SENDING, PayoutState.UNKNOWN, PayoutState.MANUAL)


class Payouts:
    """Sends what was booked, settles what is known, and shows the rest to the admins.

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
        self._sound = sound
        self._look = look

    # -- people --------------------------------------------------------------------------------

    async def book_withdrawal(self, telegram_id: int, amount: Money, cause: str) -> BookedPayout:
        """See `PayoutBooking.book_withdrawal`."""

        async def work(conn: Connection) -> BookedPayout:
            now = self._clock.now()
            return await self._booking.book_withdrawal(conn, telegram_id, amount, cause, now)

        return await self._db.run(work)

    async def of_person(self, telegram_id: int) -> list[Payout]:
        """What is on its way to somebody, newest first."""
        async with self._db.reading() as conn:
            return await payouts.of_person(conn, telegram_id)

    # -- sending -------------------------------------------------------------------------------

    async def send_due(self) -> tuple[int, int]:
        """Sends what is ready. (looked at, failed). What can't be sent by the program becomes a
        person's task; a stop or a break in the books holds everything where it is.
        """
        can_pay = self._rail.can_pay
        await self._db.run(lambda conn: self._hold(conn, all_of_them=not can_pay))
        if not can_pay or not self._sound():
            return 0, 0
        if self._funding is not None:
            await self._funding.ask()
        claimed = await self._db.run(self._claim)
        self._look("claimed")
        done = await asyncio.gather(
            *(self._send(payout, attempt) for payout, attempt in claimed), return_exceptions=True
        )
        failed = [error for error in done if isinstance(error, BaseException)]
        for error in failed:  # the attempt is there: it is looked at when its grace is over
            if not isinstance(error, Exception):
                raise error
            _LOG.error("sending a payout failed", exc_info=error, extra={"action": "send_failed"})
        return len(claimed), len(failed)

    async def _hold(self, conn: Connection, *, all_of_them: bool) -> None:
        held = await payouts.hold_by_hand(conn, all_of_them=all_of_them)
        if self._funding is not None:
            held += await self._funding.doubtful(conn)
        await self._cards(conn, "payout_manual", held)

    async def _claim(self, conn: Connection) -> list[tuple[Payout, PayoutAttempt]]:
        """The intent of each payment, committed before anything is sent."""
        now = self._clock.now()
        if await payouts.stopped(conn, self._rail.credential) is not None:
            return []
        proved_from = self._funding.proved_from if self._funding else None
        ready = await payouts.claim_ready(conn, now, BATCH, proved_from)
        due = {one.id: one for one in ready}
        new = [(number, _new_id(number), secrets.token_hex(16)) for number in due]
        made = await payouts.start_attempts(conn, new, now, now + RESULT_GRACE) if new else []
        return [(due[one.payout_id], one) for one in made]

    async def _send(self, payout: Payout, attempt: PayoutAttempt) -> None:
        answer = await self._rail.pay(
            ocid=attempt.ocid,
            phone=payout.destination,
            amount=payout.amount,
            result_url=f"{self._base}/p/{attempt.token}",
            timeout_url=f"{self._base}/o/{attempt.token}",
        )
        self._look("sent")
        _LOG.info(
            "a payout was sent",
            extra={"action": "payout_sent", "payout": payout.id, "verdict": str(answer.verdict)},
        )

        async def work(conn: Connection) -> None:
            await self._answered(conn, attempt.id, answer)

        await self._db.run(work)
        self._look("answered")

    async def _answered(self, conn: Connection, attempt_id: int, answer: PayoutAnswer) -> None:
        """The synchronous answer. A result that overtook it has decided already."""
        payout, attempt = await _locked(conn, attempt_id)
        if answer.verdict is Verdict.PENDING:
            await payouts.attempt_accepted(conn, attempt.id, answer.conversation_id)
        elif attempt.state is not PayoutState.SENDING:
            return
        elif answer.verdict is Verdict.DECLINED:
            await self._declined(conn, payout, attempt, answer)
        else:
            await self._unknown(conn, payout, attempt, answer.code)

    # -- what is known ---------------------------------------------------------------------------

    def check(self, body: bytes, *, asked: bool = False) -> None:
        """`UnreadableError` when it is no result, or (`asked`) no answer to a question."""
        if asked:
            self._rail.read_asked(body)
        else:
            self._rail.read_result(body)

    async def on_result(self, token: str, body: bytes) -> str:
        """A result came to an attempt's path; returns a word for the inbox row. Safe to repeat.

        `LookupError` when no attempt has this path (yet); `UnreadableError`.
        """
        result = self._rail.read_result(body)
        return await self._take(token, result, asked=False)

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
            payout, now = await _locked(conn, attempt.id)
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
        payout, attempt = await _locked(conn, attempt_id)
        answer = result.answer
        paid = answer.verdict is Verdict.PAID
        if answer.blame is Blame.STOP:
            await self._stop(conn, answer.code)
        if (result.ocid or not asked or paid) and result.ocid != attempt.ocid:
            return await self._mismatch(conn, payout, result, "other_id")
        if paid and result.amount != payout.amount:
            return await self._mismatch(conn, payout, result, "other_amount")
        if paid and not may_be_paid_to(result.receiver, payout.destination):
            return await self._mismatch(conn, payout, result, "other_receiver")
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

    async def _paid(
        self, conn: Connection, payout: Payout, reference: str, *, by: int | None = None
    ) -> Payout:
        now = self._clock.now()
        await ledger.post(conn, [postings.payout_paid(payout, now)])
        done = await payouts.finish(
            conn, payout.id, PayoutState.PAID, now, reference=reference, closed_by=by
        )
        await self._tell("payout_paid", conn, done, "paid", reference=reference)
        await self._keep_word(conn, done, "payout_paid", by, reference=reference)
        return done

    async def _returned(
        self, conn: Connection, payout: Payout, why: str, *, by: int | None = None, words: str = ""
    ) -> Payout:
        """It can't be paid: the money is his again."""
        now = self._clock.now()
        await ledger.post(conn, [postings.payout_failed(payout, now)])
        done = await payouts.finish(
            conn, payout.id, PayoutState.FAILED, now, note=why, closed_by=by
        )
        await outbox.queue(conn, [payout_guards.failed_notice(done, why, words)], now)
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
        await outbox.queue(conn, [_waits(waiting)], now)

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

    # -- what nobody told us ---------------------------------------------------------------------

    async def ask_due(self) -> tuple[int, int]:
        """Asks about payments whose result did not come; after two questions a person looks. Tells
        those who wait for long. (looked at, failed).
        """
        asked = await self._db.run(self._claim_looks)
        self._look("asking")
        failed = 0
        for attempt in asked:
            try:
                await self._ask(attempt)
            except Exception:  # noqa: BLE001 one bad row must not stop the others
                failed += 1
                _LOG.exception("asking about a payout failed", extra={"action": "ask_failed"})
        words = await self._db.run(self._words_due)
        for payout in words:
            await self._ask_receipt(payout)
        await self._db.run(self._tell_late)
        return len(asked) + len(words), failed

    async def _claim_looks(self, conn: Connection) -> list[PayoutAttempt]:
        now = self._clock.now()
        may_ask = await self._may_ask(conn)
        asking = []
        for payout in await payouts.claim_looks(conn, now, BATCH):
            attempt = await payouts.live_attempt(conn, payout.id)
            assert attempt is not None  # noqa: S101 the database lets no payout wait without one
            if payout.looks >= ASKS or not may_ask:
                await self._to_person(conn, payout, attempt, "unknown")
                continue
            if payout.state is PayoutState.SENDING:  # its result, or its sender, is gone
                await self._unknown(conn, payout, attempt, "")
            await payouts.looked(conn, payout.id, now + BETWEEN_ASKS)
            asking.append(attempt)
        return asking

    async def _ask(self, attempt: PayoutAttempt) -> None:
        await self._rail.ask(
            ocid=attempt.ocid,
            result_url=f"{self._base}/a/{attempt.token}",
            timeout_url=f"{self._base}/b/{attempt.token}",
        )
        self._look("asked")

    async def _tell_late(self, conn: Connection) -> None:
        now = self._clock.now()
        for payout in await payouts.late(conn, now - LATE, BATCH):
            await outbox.queue(conn, [_waits(payout)], now)
            values = _values(payout, state=str(payout.state), why=payout.note)
            await self._tell_admins(f"payout:{payout.id}:late", "payout_late", conn, values)

    # -- admins ------------------------------------------------------------------------------------

    async def open_ones(self) -> list[Payout]:
        """What is not over, a person's tasks first; at most 30."""
        async with self._db.reading() as conn:
            return await payouts.open_ones(conn, LISTED)

    async def open_count(self) -> OpenCount:
        async with self._db.reading() as conn:
            return await payouts.open_count(conn)

    async def stopped(self) -> str | None:
        """The code for which nothing is sent now, or None."""
        async with self._db.reading() as conn:
            return await payouts.stopped(conn, self._rail.credential)

    async def payout(self, payout_id: int) -> Payout:
        """`NotFound`."""
        async with self._db.reading() as conn:
            found = await payouts.payout(conn, payout_id)
        if found is None:
            raise NotFound("no_payout", payout=payout_id)
        return found

    async def task(self, payout_id: int, admin: int, *, to_stop: bool = False) -> Payout:
        """One that waits for this person, or (`to_stop`) rests. `NotFound`, `NotAllowed`."""
        async with self._db.reading() as conn:
            payout = await payouts.payout(conn, payout_id)
            if payout is None:
                raise NotFound("no_payout", payout=payout_id)
            await payout_guards.may_decide(conn, payout, admin)
            if not await self._waits_for_word(conn, payout, to_stop=to_stop):
                raise NotAllowed("payout_not_yours", payout=payout_id, state=str(payout.state))
        return payout

    async def _waits_for_word(self, conn: Connection, payout: Payout, *, to_stop: bool) -> bool:
        resting = to_stop and payout.state is PayoutState.READY
        if resting and await payout_guards.rests(conn, payout, self._clock.now()):
            return True
        return payout.state is PayoutState.MANUAL

    async def may_be_out(self, payout_id: int) -> bool:
        """Whether a payment was asked for that nobody knows the end of."""
        async with self._db.reading() as conn:
            payout = await payouts.payout(conn, payout_id)
            named = payout is not None and payout.named_reference is not None
            return named or await payouts.live_attempt(conn, payout_id) is not None

    async def resume(self, admin: int) -> bool:
        """An admin says that the API user works again; False when nothing was stopped."""
        now = self._clock.now()
        async with self._db.unit() as conn:
            return await payouts.lift(conn, self._rail.credential, admin, now)

    async def mark_paid(self, payout_id: int, admin: int, receipt: str) -> Payout:
        """An admin paid it by hand, and names M-Pesa's receipt: closed once M-Pesa was asked about
        it, where it can be asked; until then its note is `checking`. Repeating it changes nothing.

        `InvalidInput` (`not_a_receipt`), `NotFound`, `NotAllowed`: it does not wait for a person,
        or not for this one, rests, or the receipt is another payment's.
        """
        number = receipt.strip().upper()
        if not _RECEIPT.fullmatch(number):
            raise InvalidInput("not_a_receipt")

        async def work(conn: Connection) -> Payout:
            payout = await self._task(conn, payout_id, admin)
            if payout.state is PayoutState.PAID and payout.provider_reference == number:
                return payout
            if payout.state is not PayoutState.MANUAL:
                raise NotAllowed("payout_not_yours", payout=payout_id, state=str(payout.state))
            await payout_guards.may_have_paid(conn, payout, number, self._clock.now())
            if not await self._may_ask(conn):
                return await self._paid(conn, payout, number, by=admin)
            again = self._clock.now() + ASK_GRACE
            token = secrets.token_hex(16)
            return await payouts.name_receipt(conn, payout_id, number, admin, token, again)

        payout = await self._db.run(work)
        if payout.state is PayoutState.MANUAL:
            await self._ask_receipt(payout)
        return payout

    async def _may_ask(self, conn: Connection) -> bool:
        stopped = await payouts.stopped(conn, self._rail.credential)
        return self._rail.can_pay and stopped is None

    async def _ask_receipt(self, payout: Payout) -> None:
        await self._rail.ask_receipt(
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
            why, named = refutes(said, payout, self._rail.shortcode), payout.named_reference or ""
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
            values = _values(after, why=why, reference=named, claimed=shown)
            await self._tell_admins(f"payout-word:{token}", "payout_word_wrong", conn, values)
            return why

        return await self._db.run(work)

    async def _words_due(self, conn: Connection) -> list[Payout]:
        """Named receipts to ask about again; after two questions an admin has to be sure."""
        now, asking = self._clock.now(), []
        may_ask = await self._may_ask(conn)
        for payout in await payouts.claim_words(conn, now, BATCH):
            if payout.looks < ASKS and may_ask:
                await payouts.looked(conn, payout.id, now + BETWEEN_ASKS)
                asking.append(payout)
                continue
            waiting = await payouts.word_unproved(conn, payout.id)
            values = _values(waiting, reference=waiting.named_reference)
            cause = f"payout-word:{waiting.named_token}"
            await self._tell_admins(cause, "payout_word_silent", conn, values)
        return asking

    async def close_on_word(self, payout_id: int, admin: int) -> Payout:
        """An admin is sure of the named receipt, about which M-Pesa gives no answer.

        `NotFound`, `NotAllowed`.
        """

        async def work(conn: Connection) -> Payout:
            payout = await self._task(conn, payout_id, admin)
            if payout.state is PayoutState.PAID:
                return payout
            if payout.note != "no_word" or payout.named_reference is None:
                raise NotAllowed("payout_not_yours", payout=payout_id, state=str(payout.state))
            number = payout.named_reference
            await payout_guards.may_have_paid(conn, payout, number, self._clock.now())
            return await self._paid(conn, payout, number, by=admin)

        return await self._db.run(work)

    async def mark_failed(
        self, payout_id: int, admin: int, reason: str, *, not_sent: bool = False
    ) -> Payout:
        """It will not be paid, or not to a number that is so new: the money goes back to the
        wallet. Where a payment may have gone out, only with `not_sent`: the admin saw in M-Pesa's
        portal that it did not.

        `NotFound`, `NotAllowed`.
        """

        async def work(conn: Connection) -> Payout:
            payout = await self._task(conn, payout_id, admin)
            if payout.state is PayoutState.FAILED:
                return payout
            if not await self._waits_for_word(conn, payout, to_stop=True):
                raise NotAllowed("payout_not_yours", payout=payout_id, state=str(payout.state))
            if payout.state is PayoutState.READY:
                payout = await payouts.set_state(conn, payout.id, PayoutState.MANUAL)
            named = payout.named_reference is not None
            if not not_sent and (named or await payouts.live_attempt(conn, payout_id) is not None):
                raise NotAllowed("payout_may_be_out", payout=payout_id)
            return await self._returned(conn, payout, "by_admin", by=admin, words=reason)

        return await self._db.run(work)

    async def _task(self, conn: Connection, payout_id: int, admin: int) -> Payout:
        payout = await payouts.payout(conn, payout_id, lock=True)
        if payout is None:
            raise NotFound("no_payout", payout=payout_id)
        await payout_guards.may_decide(conn, payout, admin)
        return payout

    # -- who is told -------------------------------------------------------------------------------

    async def _tell(
        self, kind: str, conn: Connection, payout: Payout, step: str, **more: Any
    ) -> None:
        notice = Notice(
            f"payout:{payout.id}:{step}",
            kind,
            payout.telegram_id,
            _values(payout, to=phone.mask(payout.destination), leg=payout.leg, **more),
            payout.escrow_id,
        )
        await outbox.queue(conn, [notice], self._clock.now())

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
        values = _values(payout, why=why, claimed=claimed, reference=result.reference)
        cause = f"payout:{payout.id}:{why}:{result.ocid}:{result.reference}"
        await self._tell_admins(cause[:200], "payout_mismatch", conn, values)
        return why

    async def _contradiction(self, conn: Connection, payout: Payout, result: PayoutResult) -> str:
        """Two definite answers that differ: the first stands, and every admin is woken."""
        values = _values(
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


async def _locked(conn: Connection, attempt_id: int) -> tuple[Payout, PayoutAttempt]:
    """A payout and one of its attempts as they stand, the payout locked."""
    attempt = await payouts.attempt(conn, attempt_id)
    assert attempt is not None  # noqa: S101 attempts are never deleted
    payout = await payouts.payout(conn, attempt.payout_id, lock=True)
    attempt = await payouts.attempt(conn, attempt_id)
    assert payout is not None  # noqa: S101 an attempt has one
    assert attempt is not None  # noqa: S101
    return payout, attempt


def _new_id(payout_id: int) -> str:
    """Our name for a request, for ever: a restored backup makes other ones."""
    return f"P{payout_id}-{secrets.token_hex(8)}"


def _values(payout: Payout, **more: Any) -> dict[str, Any]:
    return {"payout": payout.id, "amount": str(payout.amount), "code": payout.escrow_id, **more}


def _waits(payout: Payout) -> Notice:
    return Notice(
        f"payout:{payout.id}:late",
        "payout_waits",
        payout.telegram_id,
        _values(payout, to=phone.mask(payout.destination)),
        payout.escrow_id,
    )
