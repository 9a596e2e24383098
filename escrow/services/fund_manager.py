"""The payment path: a confirmed receipt becomes held money, a choice, or wallet money. Once.

One transaction on one connection: lock the deal, insert the receipt, post, decide on the balance
of `received`, verify the holding on the same connection (seed 2's race), move the status, queue
the notices, commit. The 60 s bound stands outside of it and reads the truth back.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import payment_tolerance as engine
from escrow.domain import flow, phone, terms
from escrow.domain.errors import (
    BooksBroken,
    EscrowMoved,
    NotAllowed,
)
from escrow.domain.flow import Actor, Event
from escrow.domain.model import (
    Attempt,
    By,
    Channel,
    Escrow,
    Evidence,
    Notice,
    PaymentOutcome,
    PaymentResult,
    Receipt,
    ReceiptState,
    StoredReceipt,
)
from escrow.domain.money import Money
from escrow.domain.terms import Division, Terms
from escrow.services import fitting, postings
from escrow.services.booking import Booking, answer_again, result_of
from escrow.services.bounds import OVERALL_SECONDS, UNDONE, Bound, lock
from escrow.services.flags import raise_flag
from escrow.services.matching import (
    Target,
    claimable,
    credit_key,
    is_second_number,
    prompt_claimed,
    still_open,
    target_of,
    target_of_claim,
)
from escrow.services.ports import Clock
from escrow.services.trace import Trace
from escrow.store import claims, escrows, flags, ledger, outbox, payments, payouts, people, receipts
from escrow.store.database import Connection, Database
from escrow.store.receipts import Context, Posting

_LOG: Final = logging.getLogger(__name__)
_PAYMENT: Final = By(Actor.PAYMENT)
_SECOND_NUMBER_AFTER: Final = timedelta(minutes=2)


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
        self._bound = Bound(database, overall_seconds)

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

        return await self._bound.run(receipt, work, trace)

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
            escrow_id = await lock(conn, receipt)
            known = await receipts.find(conn, receipt.provider, receipt.reference, None)
            if known is None and receipt.attempt_id is not None:
                known = await receipts.find(conn, receipt.provider, None, receipt.attempt_id)
            if known is None and escrow_id is not None:
                known = await fitting.fill_slot(conn, escrow_id, receipt)
            due = None if next_check_after is None else now + next_check_after
            if known is not None and known.state is ReceiptState.IGNORED:
                if receipt.reference in (None, known.reference):
                    await receipts.reopen(conn, known.id)
                    return replace(known, state=ReceiptState.WAITING, evidence=None), True
                await receipts.detach(conn, known.id)
                known = None
            claim = receipt
            if known is not None and is_second_number(known, receipt):
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

    async def credit_claim(
        self,
        receipt: Receipt,
        evidence: Evidence,
        claimant: int,
        close: Callable[[Connection, PaymentResult], Awaitable[None]],
        *,
        at: datetime | None,
    ) -> PaymentResult:
        """Credits a receipt to the one who claims it (flow.md 26), once: out of suspense, or new
        when M-Pesa or an admin (`evidence`) confirmed it. Whoever calls has made sure that it is
        his. He becomes the buyer of `receipt.escrow_code` if that deal has none and can be paid;
        else it goes to his wallet. `close` marks the claim in the same unit. `at`: when it was
        paid, where the provider said so, or his message and an admin believes that.

        The money of a prompt of his whose number is not known is that prompt's: counted by it
        (`close` gets a DUPLICATE), or credited as its own, so that a later query finds it paid.

        A receipt that is booked already gives its first answer, and `close` is not called.
        `NotAllowed`: it may be the money of another such prompt (`maybe_prompt`, for admins too),
        or lies under another deal's code (`other_deal`, not for admins).
        """
        trace = Trace(_LOG, receipt.escrow_code or "-", receipt.reference or "-")
        trace("received", claimant=claimant)

        async def work(conn: Connection) -> PaymentResult:
            return await self.post_claim(conn, receipt, evidence, claimant, close, at, trace)

        undone = UNDONE | {ReceiptState.SUSPENSE}  # it lies there until its claim is booked
        return await self._bound.run(receipt, work, trace, undone=undone)

    # -- the transaction -----------------------------------------------------------------------

    async def post_claim(
        self,
        conn: Connection,
        receipt: Receipt,
        evidence: Evidence,
        claimant: int,
        close: Callable[[Connection, PaymentResult], Awaitable[None]],
        at: datetime | None,
        trace: Trace,
    ) -> PaymentResult:
        """`credit_claim` in a unit of the caller's."""
        code = await lock(conn, receipt)
        if code is not None:  # its own key too: the same receipt may come without a deal
            await receipts.lock_key(conn, credit_key(receipt))
        context = await receipts.context(conn, code, receipt)
        trace("locked")
        known, by_admin = context.by_number, evidence is Evidence.ADMIN
        if known is not None and not claimable(known):
            trace("duplicate")
            return answer_again(known)
        if known is not None and known.state is ReceiptState.SUSPENSE:
            if await payouts.way_back(conn, known.id) is not None:
                raise NotAllowed("goes_back", reference=known.reference)
            if not by_admin and known.attempt_id is not None:
                raise NotAllowed("maybe_prompt")
            if not by_admin and known.escrow_id not in (None, code):
                raise NotAllowed("other_deal")
            evidence = evidence if by_admin else known.evidence or evidence
            receipt = replace(receipt, amount=known.amount, happened_at=known.happened_at)
        else:
            at = at or (known.happened_at if known else None)
            prompts = await claims.prompts_without_number(
                conn, receipt.amount, at, receipt.payer_shown
            )
            if known is not None and known.attempt_id is not None:  # it named its prompt before
                prompts = [one for one in prompts if one.id == known.attempt_id] or prompts
            mine = prompt_claimed(prompts, claimant, code, by_admin=by_admin, timed=at is not None)
            if mine is not None:
                result = await self._post_for_prompt(conn, receipt, evidence, mine, known, trace)
                await close(conn, result)
                return result
            if prompts:
                deals = ", ".join(sorted({one.escrow_id for one in prompts})[:3])
                raise NotAllowed("maybe_prompt", reference=receipt.reference, deals=deals)
            if known is not None and known.attempt_id is not None:
                await receipts.detach(conn, known.id)
        person = await people.person(conn, claimant)
        assert person is not None  # noqa: S101 claims refer to people
        result = await self._credit(
            conn,
            receipt,
            evidence,
            context.escrow,
            context,
            None,
            known,
            trace,
            target=target_of_claim(context, person, receipt),
        )
        await close(conn, result)
        return result

    async def _post_for_prompt(
        self,
        conn: Connection,
        receipt: Receipt,
        evidence: Evidence,
        attempt: Attempt,
        known: StoredReceipt | None,
        trace: Trace,
    ) -> PaymentResult:
        """A claimed receipt is this prompt's: its number, where a query proved it paid before, else
        its payment. Fitted: a callback that names another number is believed more.
        """
        await escrows.lock_row(conn, attempt.escrow_id)
        slot = await receipts.find(conn, receipt.provider, None, attempt.id)
        if slot is None or slot.state is ReceiptState.IGNORED:
            bound = replace(receipt, escrow_code=attempt.escrow_id, attempt_id=attempt.id)
            return await self._post(conn, bound, evidence, trace, fitted=True)
        if slot.reference is not None or slot.state is not ReceiptState.CREDITED:
            raise EscrowMoved  # since it was found
        if known is None and receipt.reference is not None:
            await receipts.fill_slot(conn, slot.id, receipt.reference, fitted=True)
        trace("duplicate")
        return answer_again(slot)

    async def _post(
        self,
        conn: Connection,
        receipt: Receipt,
        evidence: Evidence,
        trace: Trace,
        *,
        fitted: bool = False,
    ) -> PaymentResult:
        context = await receipts.context(conn, await lock(conn, receipt), receipt)
        escrow = context.escrow
        trace("locked")
        row: StoredReceipt | None = None
        mine = context.by_attempt
        attempt = context.attempt
        if context.by_number is not None:
            if not still_open(context.by_number, attempt, mine):
                await self._repeated(conn, receipt, context.by_number, context, escrow)
                trace("duplicate")
                return answer_again(context.by_number)
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
                    return answer_again(mine)
                trace("duplicate")
                return answer_again(mine)
            elif receipt.reference is None or receipt.reference == mine.reference:
                trace("duplicate")
                return answer_again(mine)
            elif context.attempt_number_fitted and row is None and _by_its_prompt(mine):
                # the number in this prompt's slot belongs to a payment by hand, if to any
                await receipts.fill_slot(conn, mine.id, receipt.reference, fitted=False)
                await self._by_hand_after_all(conn, receipt, mine, evidence, trace)
                trace("duplicate")
                return answer_again(mine)
            else:  # money of its own: by hand under a fitted prompt, else a second one on a prompt
                own = Target(suspense="second_receipt")
                if context.attempt_number_fitted:
                    own = target_of(escrow, context, attempt, receipt)
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
        by_hand = attempt is None and receipt.channel is Channel.C2B
        if by_hand and escrow is not None and row is None and context.has_slot:
            filled = await fitting.fill_slot(conn, escrow.id, receipt)
            if filled is not None:
                trace("duplicate")
                return answer_again(filled)
        if by_hand and escrow is not None and context.has_prompt:
            attempt = await fitting.fitting_prompt(conn, escrow.id, receipt)
            if attempt is not None:  # a prompt's own C2B row: its payer, its part of the wallet
                fitted = True
                receipt = replace(receipt, attempt_id=attempt.id)
        elif attempt is not None and row is None and mine is None and receipt.reference is None:
            taken_back = False
            for other in await receipts.loose(conn, attempt.escrow_id, attempt.id):
                if not phone.may_be(other.payer_shown, attempt.phone):
                    continue
                if other.state is ReceiptState.IGNORED:  # M-Pesa took it back since
                    taken_back = True
                    continue
                fitted = True
                if other.state is ReceiptState.CREDITED:
                    await receipts.link_attempt(conn, other.id, attempt.id, fitted=True)
                    await payments.attempt_paid(conn, attempt.id, self._clock.now())
                    trace("duplicate")
                    return answer_again(other)
                row = other
                break
            else:
                if taken_back:
                    raise NotAllowed("receipt_decided")
        return await self._credit(
            conn, receipt, evidence, escrow, context, attempt, row, trace, fitted=fitted
        )

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
        target: Target | None = None,
    ) -> PaymentResult:
        """Books a receipt that was not booked before."""
        now = self._clock.now()
        key = credit_key(receipt)
        target = target or target_of(escrow, context, attempt, receipt)
        lying = row if row is not None and row.state is ReceiptState.SUSPENSE else None
        booking = Booking(receipt, key, now, from_suspense=lying is not None)
        if lying and (target.buyer is None or await payouts.way_back(conn, lying.id)):
            trace("duplicate")
            return answer_again(lying)
        if escrow is not None and target.decide:
            await self._decide(conn, booking, escrow, context, attempt, target, evidence, trace)
        elif target.buyer is not None:
            booking.to_wallet(escrow, target.buyer)
        else:
            booking.to_suspense(escrow, target.suspense, self._admins)
            trace("unmatched")
        if evidence is Evidence.LIMIT:
            booking.unconfirmed(escrow, self._admins)
        if receipt.coins is not None and receipt.coins.cost:
            code = escrow.id if escrow else None
            cost = postings.coin_cost(receipt.provider, key, code, receipt.coins.cost, now)
            booking.journals.append(cost)

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
        await outbox.queue(conn, booking.told(attempt), now)
        trace("notice_queued", notices=len(booking.notices))
        return result_of(booking.answer(escrow), receipt_id, booking.outcome)

    async def _decide(
        self,
        conn: Connection,
        booking: Booking,
        escrow: Escrow,
        context: Context,
        attempt: Attempt | None,
        target: Target,
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
        self, conn: Connection, escrow: Escrow, buyer: int, division: Division, booking: Booking
    ) -> None:
        """Three tolerated shortages of a buyer in 30 days are a LOW flag (flow.md 3)."""
        if not division.waived:
            return
        days = self._terms.shortage_days
        since = booking.now - timedelta(days=days)
        deals = [escrow.id, *await flags.shortages_since(conn, buyer, since)]
        if len(deals) < self._terms.shortages_before_flag:
            return
        await raise_flag(
            conn,
            self._admins,
            buyer,
            user_type="buyer",
            flag_type="repeated_shortage",
            severity="LOW",
            escrow_id=escrow.id,
            rule=f"{len(deals)} tolerated shortages in {days} days",
            deals=deals,
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


def _by_its_prompt(stored: StoredReceipt) -> bool:
    """Whether a prompt's receipt was credited because the prompt was paid, whatever row its number
    was taken from: that number is proved by nothing then.
    """
    return stored.channel is Channel.STK or stored.evidence is Evidence.QUERY
