"""A payment that M-Pesa took back by itself: found in its statement, booked once, its deal frozen.

The money is gone, whatever we do. So it leaves the books where it lies: undecided money of an
unpaid deal, suspense, or the wallet that it (or what was too much of it) went to. What is spent or
promised by now becomes what its deal owes us (`receivable`), and the end of that deal pays it first
(`endings.finish`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from escrow.domain import flow
from escrow.domain.errors import EscrowMoved
from escrow.domain.flow import Actor, Event, Status
from escrow.domain.model import (
    AttemptState,
    By,
    Entry,
    Escrow,
    Evidence,
    Journal,
    Notice,
    PaymentOutcome,
    ReceiptState,
    StoredReceipt,
)
from escrow.domain.money import Money
from escrow.domain.payouts import PayoutState
from escrow.domain.statements import Break, BreakKind, StatementRow
from escrow.services import postings
from escrow.services.batches import each
from escrow.services.flags import raise_flag
from escrow.services.matching import credit_key_of
from escrow.services.ports import Clock
from escrow.services.rulings import freeze_locked
from escrow.store import escrows, ledger, outbox, payments, payouts, receipts, statements, unmatched
from escrow.store.database import Connection, Database

_SYSTEM: Final = By(Actor.SYSTEM)
_FROZEN_FROM: Final = flow.sources_of(Event.FREEZE)
_IN_WALLET: Final = frozenset(
    {str(PaymentOutcome.TO_WALLET), str(PaymentOutcome.REFUNDED_TO_WALLET)}
)
_TRIES: Final = 3
_BATCH: Final = 100


@dataclass(frozen=True, slots=True)
class _Taken:
    """Where a reversed payment's money was: (account, its owner, how much of it)."""

    source: postings.Source | None
    part: Money
    rest: Money


class ProviderReversals:
    """See the module."""

    def __init__(self, database: Database, clock: Clock, admins: Sequence[int]) -> None:
        self._db = database
        self._clock = clock
        self._admins = tuple(admins)

    async def apply(self, row: StatementRow, told_by: int | None) -> Break | None:
        """Books what that row says was taken back. None: it is known, or we sent it back ourselves.
        An admin's own deal is left to another one. Safe to repeat.
        """

        async def work(conn: Connection) -> Break | None:
            return await self._apply(conn, row, told_by)

        for _ in range(_TRIES - 1):
            try:
                return await self._db.run(work)
            except EscrowMoved:  # its deal became known meanwhile: look again
                continue
        return await self._db.run(work)

    async def book_late(self) -> tuple[int, int]:
        """Payments that were booked before it was known that theirs was the number that M-Pesa took
        back: a prompt's, credited by a query, whose number came later. (looked at, failed).
        """
        async with self._db.reading() as conn:
            due = await statements.late_reversals(conn, _BATCH)
        return await each(due, self._book_late, "a late reversal was not booked", "late_reversal")

    async def _book_late(self, late: tuple[StatementRow, int | None]) -> None:
        row, told_by = late
        await self.apply(row, told_by)

    async def _apply(
        self, conn: Connection, row: StatementRow, told_by: int | None
    ) -> Break | None:
        if not row.linked:
            return _break(BreakKind.UNKNOWN_REVERSAL, row, note="no_link")
        found, escrow = await self._lock(conn, row.linked)
        if found is not None and (back := await payouts.way_back(conn, found.id)) is not None:
            if back.state is PayoutState.PAID:
                return None
            return _break(BreakKind.PAYOUT_SHOWN, row, found, payout=back.id, note=str(back.state))
        if found is not None and told_by in _parties(found, escrow):
            return _break(BreakKind.REVERSED, row, found, note="own")
        now = self._clock.now()
        fresh = await statements.add_reversal(conn, row, told_by, now)
        if await statements.reversal_of(conn, row.linked) != row.receipt:
            return _break(BreakKind.UNKNOWN_REVERSAL, row, found, note="second")
        if found is None:
            return _break(BreakKind.UNKNOWN_REVERSAL, row)
        if found.state is ReceiptState.WAITING:
            await receipts.ignore(conn, found.id, Evidence.ADMIN, {"why": "reversed"})
            if found.attempt_id is not None:
                await self._end_prompt(conn, found, found.attempt_id, escrow, now)
            return _break(BreakKind.UNKNOWN_REVERSAL, row, found, note="never_credited")
        if found.state not in (ReceiptState.CREDITED, ReceiptState.SUSPENSE):
            return None
        if found.amount != -row.amount:
            if fresh:
                await self._stop(conn, row, found, escrow, found.amount)
            return _break(BreakKind.REVERSED_PART, row, found)
        taken = await self._take(conn, row, found, escrow, now)
        await self._stop(conn, row, found, escrow, taken.rest)
        return _break(BreakKind.REVERSED, row, found)

    async def _end_prompt(
        self,
        conn: Connection,
        found: StoredReceipt,
        attempt_id: int,
        escrow: Escrow | None,
        now: datetime,
    ) -> None:
        """Nobody is asked about it any more; its deal and its phone are free for another one."""
        await payments.close_attempt(conn, attempt_id, AttemptState.EXPIRED, "", now)
        await payments.query_again(conn, attempt_id, None)
        attempt = await payments.attempt(conn, attempt_id)
        assert attempt is not None  # noqa: S101 attempts are never deleted
        payer = replace(found, telegram_id=attempt.telegram_id)
        await self._tell_owner(conn, payer, escrow, None, now)

    async def _lock(
        self, conn: Connection, number: str
    ) -> tuple[StoredReceipt | None, Escrow | None]:
        """The receipt and its deal, in the order in which every payment locks: the deal first."""
        seen = await receipts.find(conn, "mpesa", number, None)
        escrow = None
        if seen is not None and seen.escrow_id is not None:
            escrow = await escrows.lock(conn, seen.escrow_id)
        await receipts.lock_key(conn, credit_key_of(seen) if seen else f"mpesa:{number}")
        again = await receipts.find(conn, "mpesa", number, None)
        found = await receipts.get(conn, again.id, lock=True) if again else None
        if (found is None) is not (seen is None) or (
            found is not None and seen is not None and found.escrow_id != seen.escrow_id
        ):
            raise EscrowMoved
        return found, escrow

    async def _take(
        self,
        conn: Connection,
        row: StatementRow,
        found: StoredReceipt,
        escrow: Escrow | None,
        now: datetime,
    ) -> _Taken:
        """Out of the books: the journal, the receipt's state, what is left of an unpaid deal."""
        taken = await self._where(conn, found, escrow)
        owner = found.escrow_id or found.reference or ""
        entries = [Entry(*postings.external(found.provider), found.amount.minor)]
        if taken.source is not None and taken.part:
            entries.append(Entry(*taken.source, -taken.part.minor))
        if taken.rest:
            entries.append(Entry("receivable", owner, -taken.rest.minor))
        journals = [
            Journal(
                "reversal",
                f"reversed:{found.provider}:{found.reference}",
                found.amount.currency,
                tuple(entries),
                row.at,
                found.escrow_id,
            )
        ]
        returned = None
        if taken.source == ("received", found.escrow_id) and escrow is not None:
            await payments.void_choice(conn, escrow.id, now)
            returned = escrow.received - taken.part
            if returned and found.telegram_id is not None:  # undecided, and nobody asks any more
                journals.append(
                    postings.returned(
                        "auto_refund",
                        f"{credit_key_of(found)}:rest",
                        escrow.id,
                        found.telegram_id,
                        returned,
                        now,
                    )
                )
        await ledger.post(conn, journals)
        await statements.turn(conn, found.id)
        await self._tell_owner(conn, found, escrow, returned, now)
        return taken

    async def _where(self, conn: Connection, found: StoredReceipt, escrow: Escrow | None) -> _Taken:
        if found.state is ReceiptState.SUSPENSE:
            return _Taken(postings.suspense(), found.amount, Money.zero(found.amount.currency))
        source: postings.Source | None = None
        available = Money.zero(found.amount.currency)
        in_wallet = found.outcome.get("outcome") in _IN_WALLET or (
            found.escrow_id is not None and await unmatched.went_to_wallet(conn, found.id)
        )
        if in_wallet or escrow is None:
            if found.telegram_id is not None:
                source = ("wallet", str(found.telegram_id))
                available = await ledger.lock_wallet(conn, found.telegram_id, found.amount.currency)
        elif escrow.status is Status.PENDING:
            source, available = ("received", escrow.id), escrow.received
        elif found.telegram_id is not None and (excess := _excess(found)):
            source = ("wallet", str(found.telegram_id))
            wallet = await ledger.lock_wallet(conn, found.telegram_id, found.amount.currency)
            available = min(excess, wallet)
        part = min(found.amount, available)
        return _Taken(source, part, found.amount - part)

    async def _stop(
        self,
        conn: Connection,
        row: StatementRow,
        found: StoredReceipt,
        escrow: Escrow | None,
        rest: Money,
    ) -> None:
        """An open deal that was paid with it stands still, its payer is flagged; every admin hears
        of it. `rest`: what no account covers; a deal that lacks nothing goes on.
        """
        now = self._clock.now()
        funded = escrow is not None and escrow.held_price is not None
        frozen = False
        if escrow is not None and funded and rest and escrow.status in _FROZEN_FROM:
            await freeze_locked(conn, escrow, _SYSTEM, "", f"reversal:{row.receipt}", now)
            frozen = True
        stands = frozen or (bool(rest) and escrow is not None and escrow.status is Status.FROZEN)
        payer = found.telegram_id
        if payer is not None and stands and escrow is not None:
            await raise_flag(
                conn,
                self._admins,
                payer,
                user_type="buyer",
                flag_type="reversed_payment",
                severity="CRITICAL",
                escrow_id=escrow.id,
                rule=f"M-Pesa took back {row.linked}",
                deals=[escrow.id],
                now=now,
            )
        if escrow is not None:
            await escrows.note(
                conn,
                escrow.id,
                "receipt_taken_back",
                _SYSTEM,
                now,
                receipt=row.linked,
                reversal=row.receipt,
                amount_minor=abs(row.amount.minor),
                owed_minor=rest.minor,
            )
        whole = found.amount == -row.amount
        values = {
            "reference": row.linked,
            "reversal": row.receipt,
            "amount": str(-row.amount),
            "booked": str(found.amount),
            "owed": str(rest) if rest and whole else "",
            "code": found.escrow_id,
            "status": str(escrow.status) if escrow else "",
            "frozen": stands,
            "whole": whole,
        }
        cause = f"reversal:{row.receipt}"
        notices = [
            Notice(cause, "receipt_taken_back", admin, values, found.escrow_id)
            for admin in self._admins
        ]
        await outbox.queue(conn, notices, now)

    async def _tell_owner(
        self,
        conn: Connection,
        found: StoredReceipt,
        escrow: Escrow | None,
        returned: Money | None,
        now: datetime,
    ) -> None:
        if found.telegram_id is None:
            return
        values = {
            "reference": found.reference,
            "amount": str(found.amount),
            "code": found.escrow_id,
            "open": escrow is not None and escrow.can_be_paid,
            "returned": str(returned) if returned else "",
        }
        cause = f"reversal:{found.reference}"
        notice = Notice(cause, "payment_taken_back", found.telegram_id, values, found.escrow_id)
        await outbox.queue(conn, [notice], now)


def _excess(found: StoredReceipt) -> Money:
    """What went to its payer's wallet when it paid more than its deal needed."""
    return Money(int(found.outcome.get("excess_minor") or 0), found.amount.currency)


def _parties(found: StoredReceipt, escrow: Escrow | None) -> frozenset[int]:
    """Whose money it is: an admin's file moves no money of his own, nor of his deals."""
    sides = (escrow.buyer_telegram_id, escrow.seller_telegram_id) if escrow is not None else ()
    return frozenset(one for one in (*sides, found.telegram_id) if one is not None)


def _break(
    kind: BreakKind,
    row: StatementRow,
    found: StoredReceipt | None = None,
    *,
    payout: int | None = None,
    note: str = "",
) -> Break:
    """Under the number of the payment, which is what an admin looks up."""
    return Break(
        kind,
        row.linked or row.receipt,
        row.amount,
        row.at,
        ours=found.amount if found else None,
        code=found.escrow_id if found else None,
        payout=payout,
        note=note,
        words=row.words,
        row=row.line,
    )
