"""The payment path: a confirmed receipt becomes held money, a choice, or wallet money. Once.

One transaction on one connection: lock the deal, insert the receipt, post, decide on the balance
of `received`, verify the holding on the same connection (seed 2's race), move the status, queue
the notices, commit. The 60 s bound stands outside of it and reads the truth back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import payment_tolerance as engine
from escrow.domain import flow, phone, terms
from escrow.domain.errors import (
    BooksBroken,
    DatabaseDown,
    EscrowMoved,
    OutcomeUnknown,
    TimedOut,
)
from escrow.domain.flow import Actor, Event, Status
from escrow.domain.model import (
    Attempt,
    By,
    Channel,
    Escrow,
    Evidence,
    Journal,
    Notice,
    PaymentOutcome,
    PaymentResult,
    Receipt,
    ReceiptState,
    StoredReceipt,
)
from escrow.domain.money import Currency, Money
from escrow.domain.terms import Division, Terms
from escrow.services import postings
from escrow.services.ports import Clock
from escrow.services.trace import Trace
from escrow.store import escrows, ledger, outbox, payments, people, receipts
from escrow.store.database import Connection, Database
from escrow.store.receipts import Context, Posting

_LOG: Final = logging.getLogger(__name__)
OVERALL_SECONDS: Final = 60.0
_PAYMENT: Final = By(Actor.PAYMENT)
_CLOCKS_APART: Final = timedelta(seconds=2)
"""How far M-Pesa's clock may be off ours."""
_SECOND_NUMBER_AFTER: Final = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a receipt goes. `decide`: the engine looks at the deal's undecided money."""

    decide: bool = False
    buyer: int | None = None
    joins: bool = False
    suspense: str = ""


class EscrowHoldingVerifier:
    """Proves, inside the transaction that made it, that the holding is what it should be."""

    @staticmethod
    async def verify_holding_created(
        escrow_id: str, expected_amount: Money, conn: Connection, *, fee: Money | None = None
    ) -> Money:
        """The holding of a deal, read on the same connection that created it (seed 2, fix 1).

        `BooksBroken` when holding or pending fee differ from what was expected.
        """
        held, pending = await ledger.held(conn, escrow_id, expected_amount.currency)
        if held != expected_amount or (fee is not None and pending != fee):
            raise BooksBroken(
                f"deal {escrow_id} holds {held} and a fee of {pending}, "
                f"expected {expected_amount} and {fee}"
            )
        return held


class EscrowFundManager:
    """Everything that turns payments into held money."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        platform: Terms,
        admins: Sequence[int],
        *,
        overall_seconds: float = OVERALL_SECONDS,
    ) -> None:
        self._db = database
        self._clock = clock
        self._terms = platform
        self._admins = tuple(admins)
        self._overall_seconds = overall_seconds

    async def process_escrow_payment(self, receipt: Receipt, evidence: Evidence) -> PaymentResult:
        """Credits a confirmed receipt, once (seed 2, scenarios 1–3c).

        The same receipt again gets the first answer again. `TimedOut`: not done within 60 s;
        `OutcomeUnknown`: the database can't even be asked; both may simply be tried again.
        """
        trace = Trace(_LOG, receipt.escrow_code or "-", receipt.reference or "-")
        trace("received")
        trace("confirmed", evidence=str(evidence))

        async def work(conn: Connection) -> PaymentResult:
            return await self._post(conn, receipt, evidence, trace)

        return await self._bounded(receipt, work, trace)

    async def register_waiting(
        self, receipt: Receipt, *, next_check_after: timedelta | None
    ) -> tuple[StoredReceipt, bool]:
        """Keeps a claimed receipt that is not confirmed yet, unposted; (row, whether it is new).

        A C2B row that fits a prompt which a query already proved paid fills that prompt's empty
        slot instead, and is returned as credited. A second number on a prompt whose first still
        waits is kept beside it.
        """

        async def work(conn: Connection) -> tuple[StoredReceipt, bool]:
            now = self._clock.now()
            escrow_id = await _lock(conn, receipt)
            known = await receipts.find(conn, receipt.provider, receipt.reference, None)
            if known is None and receipt.attempt_id is not None:
                known = await receipts.find(conn, receipt.provider, None, receipt.attempt_id)
            if known is None and escrow_id is not None:
                known = await self._fill_slot(conn, escrow_id, receipt)
            due = None if next_check_after is None else now + next_check_after
            if known is not None and known.state is ReceiptState.IGNORED:
                if receipt.reference in (None, known.reference):
                    await receipts.reopen(conn, known.id)
                    return replace(known, state=ReceiptState.WAITING, evidence=None), True
                await receipts.detach(conn, known.id)
                known = None
            claim = receipt
            if known is not None and _second_number(known, receipt):
                claim, due = replace(receipt, attempt_id=None), now + _SECOND_NUMBER_AFTER
            elif known is not None:
                return known, False
            row = await receipts.insert(conn, claim, escrow_id, now, None, next_check_at=due)
            if row is None:
                raise EscrowMoved
            stored = await receipts.get(conn, row)
            assert stored is not None  # noqa: S101 inserted above
            return stored, True

        return await self._db.run(work)

    # -- the transaction -----------------------------------------------------------------------

    async def _post(
        self, conn: Connection, receipt: Receipt, evidence: Evidence, trace: Trace
    ) -> PaymentResult:
        context = await receipts.context(conn, await _lock(conn, receipt), receipt)
        escrow = context.escrow
        trace("locked")
        row: StoredReceipt | None = None
        fitted = False
        mine = context.by_attempt
        attempt = context.attempt
        if context.by_number is not None:
            if not _still_open(context.by_number, attempt, mine):
                await self._repeated(conn, receipt, context.by_number, context, escrow)
                trace("duplicate")
                return _answer_again(context.by_number)
            row = context.by_number
        if mine is not None and mine.state is ReceiptState.IGNORED:
            # a denied claim of this prompt: the same money after all, or none of it
            if row is None and receipt.reference is None and mine.amount == receipt.amount:
                row, receipt = mine, replace(receipt, reference=mine.reference)
            elif row is None or mine.id != row.id:
                await receipts.detach(conn, mine.id)
            mine = None
        if attempt is not None and mine is not None and (row is None or mine.id != row.id):
            if mine.state is ReceiptState.WAITING and receipt.reference is None:
                row = mine
            elif mine.state is not ReceiptState.WAITING and mine.reference is None:
                if receipt.reference is not None and row is None:
                    await receipts.fill_slot(conn, mine.id, receipt.reference, fitted=False)
                    trace("duplicate")
                    return _answer_again(mine)
                trace("duplicate")
                return _answer_again(mine)
            elif receipt.reference is None or receipt.reference == mine.reference:
                trace("duplicate")
                return _answer_again(mine)
            elif context.attempt_number_fitted and row is None and mine.channel is Channel.STK:
                # the number in this prompt's slot belongs to a payment by hand
                await receipts.fill_slot(conn, mine.id, receipt.reference, fitted=False)
                await self._by_hand_after_all(conn, receipt, mine, evidence, trace)
                trace("duplicate")
                return _answer_again(mine)
            else:  # money of its own: by hand under a fitted prompt, else a second one on a prompt
                own = _Target(suspense="second_receipt")
                if context.attempt_number_fitted:
                    own = _target(escrow, context, attempt, receipt)
                return await self._credit(
                    conn,
                    replace(receipt, attempt_id=None),
                    evidence,
                    escrow,
                    context,
                    None,
                    row,
                    trace,
                    target=own,
                )
        if attempt is None and escrow is not None and row is None and context.has_slot:
            filled = await self._fill_slot(conn, escrow.id, receipt)
            if filled is not None:
                trace("duplicate")
                return _answer_again(filled)
        if attempt is None and escrow is not None and context.has_prompt:
            attempt = await self._fitting_prompt(conn, escrow.id, receipt)
            if attempt is not None:  # a prompt's own C2B row: its payer, its part of the wallet
                fitted = True
                receipt = replace(receipt, attempt_id=attempt.id)
        elif attempt is not None and row is None and mine is None and receipt.reference is None:
            for other in await receipts.loose(conn, attempt.escrow_id, attempt.id):
                if not phone.may_be(other.payer_shown, attempt.phone):
                    continue
                fitted = True
                if other.state is ReceiptState.CREDITED:
                    await receipts.link_attempt(conn, other.id, attempt.id, fitted=True)
                    await payments.attempt_paid(conn, attempt.id, self._clock.now())
                    trace("duplicate")
                    return _answer_again(other)
                row = other
                break
        return await self._credit(
            conn, receipt, evidence, escrow, context, attempt, row, trace, fitted=fitted
        )

    async def _fitting_prompt(
        self, conn: Connection, escrow_id: str, receipt: Receipt
    ) -> Attempt | None:
        """The prompt that a payment without one belongs to: same deal, amount and time, and a
        payer's number that doesn't contradict the prompted one.
        """
        if receipt.channel is not Channel.C2B:
            return None
        fitting = await receipts.fitting_prompts(
            conn, escrow_id, receipt.amount, receipt.happened_at
        )
        return next((a for a in fitting if phone.may_be(receipt.payer_shown, a.phone)), None)

    async def _by_hand_after_all(
        self,
        conn: Connection,
        receipt: Receipt,
        mine: StoredReceipt,
        evidence: Evidence,
        trace: Trace,
    ) -> None:
        """The payment by hand whose number was taken for the prompt's: it waits for its own
        confirmation, which the sweep asks for.
        """
        by_hand = replace(
            receipt,
            channel=Channel.C2B,
            reference=mine.reference,
            attempt_id=None,
            happened_at=mine.happened_at,
        )
        if evidence is Evidence.UNCHECKED:
            await self._post(conn, by_hand, evidence, trace)
            return
        now = self._clock.now()
        await receipts.insert(conn, by_hand, mine.escrow_id, now, None, next_check_at=now)

    async def _credit(
        self,
        conn: Connection,
        receipt: Receipt,
        evidence: Evidence,
        escrow: Escrow | None,
        context: Context,
        attempt: Attempt | None,
        row: StoredReceipt | None,
        trace: Trace,
        *,
        fitted: bool = False,
        target: _Target | None = None,
    ) -> PaymentResult:
        """Books a receipt that was not booked before."""
        now = self._clock.now()
        key = _key(receipt)
        target = target or _target(escrow, context, attempt, receipt)
        from_suspense = row is not None and row.state is ReceiptState.SUSPENSE
        booking = _Booking(receipt, key, now, from_suspense=from_suspense)
        if from_suspense and target.buyer is None:
            assert row is not None  # noqa: S101 it lies in suspense
            trace("duplicate")
            return _answer_again(row)
        if escrow is not None and target.decide:
            await self._decide(conn, booking, escrow, context, attempt, target, evidence, trace)
        elif target.buyer is not None:
            booking.to_wallet(escrow, target.buyer)
        else:
            booking.to_suspense(escrow, target.suspense, self._admins)
            trace("unmatched")
        if evidence is Evidence.LIMIT:
            booking.unconfirmed(escrow, self._admins)

        posting = Posting(
            ReceiptState.SUSPENSE
            if booking.outcome is PaymentOutcome.SUSPENSE
            else ReceiptState.CREDITED,
            evidence,
            target.buyer,
            booking.answer(escrow),
        )
        if row is None:
            stored = await receipts.insert(
                conn, receipt, escrow.id if escrow else None, now, posting, fitted=fitted
            )
            if stored is None:
                raise EscrowMoved  # the same receipt, a moment earlier, without a deal to lock
            receipt_id = stored
        else:
            receipt_id = row.id
            if not await receipts.post_waiting(
                conn,
                row.id,
                posting,
                now,
                escrow_id=escrow.id if escrow else None,
                attempt_id=receipt.attempt_id,
                fitted=fitted,
                amount=receipt.amount,
            ):
                raise EscrowMoved
        trace("stored")
        after = await ledger.post(conn, booking.journals)
        trace("holding_created" if booking.division else "posted")
        if any(e.kind == "wallet" and e.minor > 0 for j in booking.journals for e in j.entries):
            trace("wallet_credited")
        if attempt is not None:
            await payments.attempt_paid(conn, attempt.id, now)
        for move in booking.moves:
            await escrows.move(conn, [move])
            trace("status_changed", event=str(move.edge.event))
        if escrow is not None and booking.division is not None:
            if after.get(("received", escrow.id), 0) != 0:
                raise BooksBroken(f"deal {escrow.id} is funded with undecided money left")
            await EscrowHoldingVerifier.verify_holding_created(
                escrow.id, booking.division.holding, conn, fee=booking.division.fee
            )
            trace("fee_segregated")
            trace("holding_verified")
        for event, data in booking.events:
            assert escrow is not None  # noqa: S101 only deals have events
            await escrows.note(conn, escrow.id, event, _PAYMENT, now, **data)
        await outbox.queue(conn, booking.notices, now)
        trace("notice_queued", notices=len(booking.notices))
        return _result(booking.answer(escrow), receipt_id, booking.outcome)

    async def _decide(
        self,
        conn: Connection,
        booking: _Booking,
        escrow: Escrow,
        context: Context,
        attempt: Attempt | None,
        target: _Target,
        evidence: Evidence,
        trace: Trace,
    ) -> None:
        """The engine looks at the undecided money of a deal that can be paid."""
        buyer = target.buyer
        assert buyer is not None  # noqa: S101 a deciding target names its buyer
        now = booking.now
        amount = booking.receipt.amount
        booking.journals.append(
            postings.received(booking.source, booking.key, escrow.id, amount, now)
        )
        part = Money.zero(escrow.currency)
        if attempt is not None and attempt.wallet_part:
            available = await ledger.lock_wallet(conn, buyer, escrow.currency)
            part = min(attempt.wallet_part, available, key=lambda money: money.minor)
            if part:
                booking.journals.append(
                    postings.wallet_part(booking.key, buyer, escrow.id, part, now)
                )
        if target.joins:
            booking.moves.append(
                escrows.Move(
                    escrow.id,
                    flow.next_edge(escrow.status, Event.JOIN, Actor.BUYER),
                    By(Actor.BUYER, buyer),
                    now,
                    buyer=buyer,
                )
            )
        total = escrow.received + amount + part
        trace("summed", total_minor=total.minor)
        decision = engine.decide(
            escrow.due.minor, total.minor, escrow.currency, {escrow.currency.code: escrow.tiers}
        )
        trace("decided", decision=str(decision.response_type))
        window_over = context.choice is not None and context.choice.expires_at <= now
        if decision.response_type is engine.PaymentResponse.AUTO_ACCEPT:
            division = terms.divide_accepted(total, escrow.due, escrow.fee)
            if context.choice is not None:
                await payments.use_choice(conn, context.choice.id, "completed", now, even_late=True)
            booking.fund(escrow, buyer, division, total, _PAYMENT, str(evidence))
            await self._flag_shortage(conn, escrow, buyer, division, booking)
        elif decision.response_type is engine.PaymentResponse.SELF_SERVICE and not window_over:
            expires = (
                context.choice.expires_at
                if context.choice is not None
                else terms.choice_expires(
                    now, timedelta(seconds=int(escrow.terms["choice_seconds"]))
                )
            )
            if context.choice is not None:
                await payments.void_choice(conn, escrow.id, now)
            choice_id = await payments.insert_choice(
                conn, escrow.id, buyer, escrow.due, total, now, expires
            )
            booking.offer_choice(escrow, buyer, total, choice_id, expires)
        else:
            if context.choice is not None:
                await payments.use_choice(conn, context.choice.id, "expired", now, even_late=True)
            booking.auto_refund(escrow, buyer, total)

    async def _flag_shortage(
        self,
        conn: Connection,
        escrow: Escrow,
        buyer: int,
        division: Division,
        booking: _Booking,
    ) -> None:
        """Three tolerated shortages of a buyer in 30 days are a LOW flag (flow.md 3)."""
        if not division.waived:
            return
        since = booking.now - timedelta(days=self._terms.shortage_days)
        before = await escrows.tolerated_shortages(conn, buyer, since)
        if before + 1 < self._terms.shortages_before_flag:
            return
        # the flag's rule names people, who must exist: a buyer always pressed Start
        await people.raise_flag(
            conn,
            buyer,
            user_type="buyer",
            flag_type="repeated_shortage",
            severity="LOW",
            escrow_id=escrow.id,
            rule=f"{before + 1} tolerated shortages in {self._terms.shortage_days} days",
            deals=[escrow.id],
            now=booking.now,
        )

    async def _repeated(
        self,
        conn: Connection,
        receipt: Receipt,
        known: StoredReceipt,
        context: Context,
        escrow: Escrow | None,
    ) -> None:
        """A receipt that is booked already may still name its prompt, or contradict its deal."""
        now = self._clock.now()
        if escrow is not None and known.escrow_id not in (escrow.id, None):
            await outbox.queue(
                conn,
                [
                    Notice(
                        f"receipt-elsewhere:{known.id}:{escrow.id}",
                        "receipt_elsewhere",
                        admin,
                        {
                            "reference": known.reference,
                            "amount": str(known.amount),
                            "code": known.escrow_id,
                            "other": escrow.id,
                        },
                        known.escrow_id,
                    )
                    for admin in self._admins
                ],
                now,
            )
            return
        if context.attempt is None or known.attempt_id is not None:
            return
        slot = context.by_attempt
        if slot is None:
            await receipts.link_attempt(conn, known.id, context.attempt.id, fitted=False)
            await payments.attempt_paid(conn, context.attempt.id, now)
        elif slot.reference is None and slot.state is ReceiptState.CREDITED:
            # the prompt was credited without a number, and this is its number, credited as well
            await outbox.queue(
                conn,
                [
                    Notice(
                        f"booked-twice:{slot.id}:{known.id}",
                        "booked_twice",
                        admin,
                        {
                            "reference": known.reference,
                            "amount": str(known.amount),
                            "code": known.escrow_id,
                        },
                        known.escrow_id,
                    )
                    for admin in self._admins
                ],
                now,
            )

    async def _fill_slot(
        self, conn: Connection, escrow_id: str, receipt: Receipt
    ) -> StoredReceipt | None:
        """Gives a number to a prompt that a query proved paid, when this row fits it: same deal,
        amount and time, and a payer's number that doesn't contradict. Credits nothing.
        """
        if receipt.reference is None or receipt.channel is not Channel.C2B:
            return None
        for slot, prompted in await receipts.slots(
            conn, escrow_id, receipt.amount, receipt.happened_at
        ):
            if phone.may_be(receipt.payer_shown, prompted):
                await receipts.fill_slot(conn, slot.id, receipt.reference, fitted=True)
                return replace(slot, reference=receipt.reference)
        return None

    # -- the bound that never lies -------------------------------------------------------------

    async def _bounded(
        self,
        receipt: Receipt,
        work: Callable[[Connection], Awaitable[PaymentResult]],
        trace: Trace,
    ) -> PaymentResult:
        """`work` in a unit, 60 s at most. After a cut or a lost connection the truth is read back
        by the receipt's key: what committed is never called failed.
        """
        task = asyncio.ensure_future(self._with_races(work))
        done, _ = await asyncio.wait({task}, timeout=self._overall_seconds)
        if not done:
            trace("timed_out")
            task.cancel()
            await asyncio.wait({task})
        try:
            result = task.result()
        except asyncio.CancelledError:
            return await self._truth(receipt, trace, TimedOut())
        except (DatabaseDown, TimedOut) as error:
            return await self._truth(receipt, trace, error)
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

    async def _truth(self, receipt: Receipt, trace: Trace, error: Exception) -> PaymentResult:
        """Whether a payment of unknown fate was booked. Waits for its lock first, so that a commit
        still under way is seen.
        """
        try:
            async with self._db.unit() as conn:
                await _lock(conn, receipt)
                known = await receipts.find(
                    conn, receipt.provider, receipt.reference, receipt.attempt_id
                )
        except (DatabaseDown, TimedOut) as second:
            trace("failed", outcome="unknown")
            raise OutcomeUnknown from second
        if known is None or known.state is ReceiptState.WAITING:
            trace("failed", outcome="not_done")
            raise TimedOut from error
        trace("committed", outcome="read_back")
        return _answer_again(known, first=True)


class _Booking:
    """What one unit is going to write. Filled by the decision, written in one go."""

    def __init__(
        self, receipt: Receipt, key: str, now: Any, *, from_suspense: bool = False
    ) -> None:
        self.receipt = receipt
        self.source = postings.suspense() if from_suspense else postings.external(receipt.provider)
        self.key = key
        self.now = now
        self.journals: list[Journal] = []
        self.moves: list[escrows.Move] = []
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.notices: list[Notice] = []
        self.outcome = PaymentOutcome.SUSPENSE
        self.division: Division | None = None
        self.choice_id: int | None = None

    def _tell(self, kind: str, recipient: int, escrow_id: str | None, **values: Any) -> None:
        self.notices.append(Notice(f"receipt:{self.key}", kind, recipient, values, escrow_id))

    def fund(
        self,
        escrow: Escrow,
        buyer: int,
        division: Division,
        total: Money,
        by: By,
        evidence: str,
    ) -> None:
        """Enough: the deal is HELD."""
        self.outcome = PaymentOutcome.FUNDED
        self.division = division
        self.journals += postings.accepted(escrow.id, buyer, division, self.now)
        move = fund_move(escrow, division, total, by, self.now, evidence=evidence)
        self.moves.append(move)
        self.notices += funded_notices(
            f"receipt:{self.key}", escrow, buyer, division, total, move.ship_by
        )

    def offer_choice(
        self, escrow: Escrow, buyer: int, total: Money, choice_id: int, expires: Any
    ) -> None:
        """Moderately short: three buttons (seed 2, scenario 3b)."""
        self.outcome = PaymentOutcome.CHOICE
        self.choice_id = choice_id
        self.events.append(
            ("choice_offered", {"received_minor": total.minor, "due_minor": escrow.due.minor})
        )
        self._tell(
            "underpaid",
            buyer,
            escrow.id,
            code=escrow.id,
            received=str(total),
            missing=str(escrow.due - total),
            due=str(escrow.due),
            choice=choice_id,
            expires_at=expires.isoformat(),
            description=escrow.description,
        )

    def auto_refund(self, escrow: Escrow, buyer: int, total: Money) -> None:
        """Far too short: all to the buyer's wallet, the deal stays open (scenario 3c)."""
        self.outcome = PaymentOutcome.REFUNDED_TO_WALLET
        self.journals.append(
            postings.returned("auto_refund", self.key, escrow.id, buyer, total, self.now)
        )
        self.events.append(
            ("auto_refund", {"received_minor": total.minor, "due_minor": escrow.due.minor})
        )
        self._tell(
            "too_short",
            buyer,
            escrow.id,
            code=escrow.id,
            received=str(total),
            missing=str(escrow.due - total),
            due=str(escrow.due),
            pay_by=escrow.pay_by.isoformat() if escrow.pay_by else None,
        )

    def to_wallet(self, escrow: Escrow | None, owner: int) -> None:
        """The deal can't take it: the payer's wallet (flow.md 10)."""
        self.outcome = PaymentOutcome.TO_WALLET
        self.journals.append(
            postings.to_wallet(
                self.source,
                self.key,
                escrow.id if escrow else None,
                owner,
                self.receipt.amount,
                self.now,
            )
        )
        if escrow is not None:
            self.events.append(("late_payment", {"amount_minor": self.receipt.amount.minor}))
        self._tell(
            "late_money",
            owner,
            escrow.id if escrow else None,
            code=escrow.id if escrow else None,
            amount=str(self.receipt.amount),
            status=str(escrow.status) if escrow else None,
        )

    def to_suspense(self, escrow: Escrow | None, why: str, admins: Sequence[int]) -> None:
        """Nobody can be credited: the suspense account, and the admins hear of it."""
        self.outcome = PaymentOutcome.SUSPENSE
        self.journals.append(
            postings.to_suspense(
                self.source,
                self.key,
                escrow.id if escrow else None,
                self.receipt.amount,
                self.now,
            )
        )
        if escrow is not None:
            self.events.append(
                ("payment_in_suspense", {"amount_minor": self.receipt.amount.minor, "why": why})
            )
        for admin in admins:
            self._tell(
                "suspense",
                admin,
                escrow.id if escrow else None,
                code=escrow.id if escrow else None,
                amount=str(self.receipt.amount),
                reference=self.receipt.reference,
                typed=self.receipt.typed_reference,
                why=why or "no_deal",
            )

    def unconfirmed(self, escrow: Escrow | None, admins: Sequence[int]) -> None:
        """Believed because it is small and nobody could be asked: the admins know of it."""
        for admin in admins:
            self._tell(
                "credited_unconfirmed",
                admin,
                escrow.id if escrow else None,
                code=escrow.id if escrow else None,
                amount=str(self.receipt.amount),
                reference=self.receipt.reference,
            )

    def answer(self, escrow: Escrow | None) -> dict[str, Any]:
        """The answer to keep with the receipt, and to give again."""
        status = None
        if escrow is not None:
            status = self.moves[-1].edge.target if self.moves else escrow.status
        division = self.division
        return {
            "outcome": str(self.outcome),
            "escrow_id": escrow.id if escrow else None,
            "status": str(status) if status else None,
            "currency": self.receipt.amount.currency.code,
            "held_minor": division.holding.minor if division else 0,
            "fee_minor": division.fee.minor if division else 0,
            "excess_minor": division.excess.minor if division else 0,
            "waived_minor": division.waived.minor if division else 0,
            "choice_id": self.choice_id,
        }


def fund_move(
    escrow: Escrow, division: Division, total: Money, by: By, now: Any, *, evidence: str
) -> escrows.Move:
    """The move to HELD, with what is held and until when the seller has to ship."""
    return escrows.Move(
        escrow.id,
        flow.next_edge(escrow.status, Event.FUND, by.actor),
        by,
        now,
        data={
            "received_minor": total.minor,
            "holding_minor": division.holding.minor,
            "fee_minor": division.fee.minor,
            "excess_minor": division.excess.minor,
            "waived_minor": division.waived.minor,
            "evidence": evidence,
        },
        held_price_minor=division.holding.minor,
        held_fee_minor=division.fee.minor,
        ship_by=now + timedelta(seconds=int(escrow.terms["ship_seconds"])),
    )


def funded_notices(
    cause: str,
    escrow: Escrow,
    buyer: int,
    division: Division,
    total: Money,
    ship_by: Any,
    *,
    partial: bool = False,
) -> list[Notice]:
    """What buyer and seller hear when a deal is funded: one message each."""
    kind = "funded"
    if partial:
        kind = "funded_partial"
    elif division.excess:
        kind = "funded_over"
    elif division.waived:
        kind = "funded_short"
    expected = escrow.due - escrow.fee
    values = {
        "code": escrow.id,
        "description": escrow.description,
        "shop": escrow.shop_name,
        "received": str(total),
        "held": str(division.holding),
        "fee": str(division.fee),
        "due": str(escrow.due),
        "excess": str(division.excess),
        "waived": str(division.waived),
        "ship_by": ship_by.isoformat(),
    }
    return [
        Notice(cause, kind, buyer, values, escrow.id),
        Notice(
            cause,
            "held_less" if division.holding < expected else "held",
            escrow.seller_telegram_id,
            {
                "code": escrow.id,
                "description": escrow.description,
                "gets": str(division.holding),
                "expected": str(expected),
                "ship_by": ship_by.isoformat(),
            },
            escrow.id,
        ),
    ]


def _second_number(known: StoredReceipt, receipt: Receipt) -> bool:
    """Whether a prompt's waiting receipt has another number than this one."""
    return (
        known.state is ReceiptState.WAITING
        and None not in (known.reference, receipt.reference)
        and known.reference != receipt.reference
    )


async def _lock(conn: Connection, receipt: Receipt) -> str | None:
    """Locks the receipt's deal and returns its code, or locks the receipt's own key where it has
    no deal: work on one payment never runs twice at once, and whoever asks for its fate waits for
    its end.
    """
    if receipt.escrow_code is not None and await escrows.lock_row(conn, receipt.escrow_code):
        return receipt.escrow_code
    await receipts.lock_key(conn, _key(receipt))
    return None


def _still_open(known: StoredReceipt, attempt: Attempt | None, mine: StoredReceipt | None) -> bool:
    """Whether a known receipt can still be booked: it waits, was denied (and is proved now), or
    lies in suspense while its own prompt says whose it is.
    """
    if known.state in (ReceiptState.WAITING, ReceiptState.IGNORED):
        return True
    return (
        known.state is ReceiptState.SUSPENSE
        and known.attempt_id is None
        and attempt is not None
        and mine is None
        and attempt.amount == known.amount
        and known.escrow_id == attempt.escrow_id
    )


def _key(receipt: Receipt) -> str:
    """What a payment is credited under, once."""
    return f"{receipt.provider}:{receipt.reference or f'attempt-{receipt.attempt_id}'}"


def _target(
    escrow: Escrow | None, context: Context, attempt: Attempt | None, receipt: Receipt
) -> _Target:
    """Whose money it is (flow.md 10 and 26)."""
    if escrow is None:
        return _Target(suspense="no_deal")
    if attempt is not None and attempt.amount != receipt.amount:
        return _Target(suspense="other_amount")
    if receipt.amount.currency is not escrow.currency:
        return _Target(suspense="other_currency")
    payer = attempt.telegram_id if attempt is not None else escrow.buyer_telegram_id
    if not escrow.can_be_paid:
        return _Target(buyer=payer, suspense="deal_closed")
    if escrow.buyer_telegram_id is not None:
        return _Target(decide=payer == escrow.buyer_telegram_id, buyer=payer)
    if payer is None and _holds_reservation(context, receipt):
        payer = context.reserver
    if payer is None or payer == escrow.seller_telegram_id:
        return _Target(suspense="no_buyer")
    return _Target(decide=True, buyer=payer, joins=True)


def _holds_reservation(context: Context, receipt: Receipt) -> bool:
    """Whether money by hand is the reserver's: in his time, and not from another number."""
    if context.reserver is None or context.reserved_until is None:
        return False
    if context.reserved_since is None or not (
        context.reserved_since - _CLOCKS_APART <= receipt.happened_at <= context.reserved_until
    ):
        return False
    return context.reserver_phone is None or phone.may_be(
        receipt.payer_shown, context.reserver_phone
    )


def _result(answer: dict[str, Any], receipt_id: int, outcome: PaymentOutcome) -> PaymentResult:
    currency = Currency.of(answer["currency"])

    def major(key: str) -> Decimal:
        return Money(answer[key], currency).to_decimal()

    return PaymentResult(
        outcome=outcome,
        escrow_id=answer["escrow_id"],
        status=Status(answer["status"]) if answer["status"] else None,
        receipt_id=receipt_id,
        fund_breakdown={
            "escrow_held": major("held_minor"),
            "platform_fee": major("fee_minor"),
            "overpayment_credited": major("excess_minor"),
            "shortage_waived": major("waived_minor"),
        },
        choice_id=answer["choice_id"],
    )


def _answer_again(known: StoredReceipt, *, first: bool = False) -> PaymentResult:
    """The answer that the first delivery got. `first`: it was ours, read back after a cut."""
    if known.state is ReceiptState.WAITING or not known.outcome.get("currency"):
        return PaymentResult(
            PaymentOutcome.WAITING
            if known.state is ReceiptState.WAITING
            else PaymentOutcome.DUPLICATE,
            known.escrow_id,
            None,
            known.id,
        )
    answer = dict(known.outcome)
    outcome = PaymentOutcome(answer["outcome"]) if first else PaymentOutcome.DUPLICATE
    return _result(answer, known.id, outcome)
