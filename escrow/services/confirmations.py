"""Is a claimed payment true? Daraja signs nothing, so every callback is a hint (money.md, 2).

A prompt is believed when an STK query says paid; a payment by hand when TransactionStatus says
Completed. Where nobody can be asked the unconfirmed limit decides, above it a person. No network
call here stands inside a transaction.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from escrow.domain import phone
from escrow.domain.errors import EscrowMoved, NotAllowed, NotFound, Paused
from escrow.domain.flow import Actor
from escrow.domain.model import (
    Attempt,
    AttemptState,
    By,
    Channel,
    Evidence,
    Notice,
    PaymentResult,
    Receipt,
    ReceiptState,
    StoredReceipt,
)
from escrow.domain.terms import Terms
from escrow.services import validation
from escrow.services.batches import each
from escrow.services.fund_manager import EscrowFundManager
from escrow.services.matching import as_receipt
from escrow.services.payout_guards import not_ours
from escrow.services.ports import (
    Answer,
    Clock,
    PaybillPayment,
    Rail,
    StatusResult,
    StkCallback,
    Verdict,
)
from escrow.services.references import deal_meant
from escrow.store import escrows, inbox, outbox, pauses, payments, receipts, statements
from escrow.store.database import Connection, Database

_LOG: Final = logging.getLogger(__name__)
_BATCH: Final = 20
_STATUS_ASKS: Final = 3
UNLISTED: Final = "unlisted"
"""The reason of an answer whose code stands in no table."""
_LATE_LOOKS: Final = (
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(hours=24),
)
"""After a prompt was given up its fate is still looked up: late money is not lost money."""


class Confirmations:
    """Turns claims into credits, or into a question for an admin."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        platform: Terms,
        rail: Rail,
        funds: EscrowFundManager,
        admins: Sequence[int],
        *,
        callback_base: str,
        confirm: bool = True,
    ) -> None:
        self._db = database
        self._clock = clock
        self._terms = platform
        self._rail = rail
        self._funds = funds
        self._admins = tuple(admins)
        self._callback_base = callback_base
        self._confirm = confirm
        self._status_refused = False

    # -- prompts ---------------------------------------------------------------------------------

    async def on_callback(
        self, attempt: Attempt, callback: StkCallback, inbox_id: int | None
    ) -> str:
        """A prompt's callback; returns a word for the inbox row. Safe to repeat."""
        known = attempt.checkout_request_id
        if known and callback.checkout_request_id != known:
            await self._tell_admins(
                f"callback-ids:{attempt.id}",
                "callback_mismatch",
                attempt.escrow_id,
                code=attempt.escrow_id,
                attempt=attempt.id,
            )
            return "other_request_id"
        if callback.answer.verdict is not Verdict.PAID:
            if not known:
                async with self._db.unit() as conn:
                    attempt = await payments.prompted(
                        conn,
                        attempt.id,
                        callback.checkout_request_id,
                        callback.merchant_request_id,
                        self._clock.now(),
                    )
            if callback.answer.verdict is not Verdict.DECLINED:
                await self._tell_of_unlisted(attempt, callback.answer)
                if not attempt.is_open:
                    return f"unknown:{callback.answer.code}"
                return await self.look(attempt, hint=callback.answer)
            await self._give_up(attempt, AttemptState.DECLINED, callback.answer)
            return f"declined:{callback.answer.code}"
        assert callback.amount is not None  # noqa: S101 the rail refuses a success without one
        assert callback.happened_at is not None  # noqa: S101
        now = self._clock.now()
        async with self._db.unit() as conn:
            await payments.claimed(
                conn,
                attempt.id,
                now,
                callback.checkout_request_id,
                callback.merchant_request_id,
            )
        receipt = Receipt(
            provider="mpesa",
            channel=Channel.STK,
            reference=callback.reference,
            amount=callback.amount,
            happened_at=callback.happened_at,
            attempt_id=attempt.id,
            escrow_code=attempt.escrow_id,
            payer_shown=phone.keep(callback.phone),
            inbox_id=inbox_id,
        )
        if callback.amount != attempt.amount:
            return await self._other_amount(attempt, receipt)
        if await self._takes_its_word(inbox_id):
            return str((await self._credit(receipt, Evidence.UNCHECKED)).outcome)
        answer = await self._rail.query(callback.checkout_request_id)
        if answer.verdict is Verdict.PAID:
            return str((await self._credit(receipt, Evidence.QUERY)).outcome)
        stored, _ = await self._funds.register_waiting(receipt, next_check_after=None)
        if stored.state is ReceiptState.CREDITED and stored.evidence is not None:
            # paid before: the number fills its slot, or is money of its own
            return str((await self._credit(receipt, stored.evidence)).outcome)
        if stored.state is not ReceiptState.WAITING:
            return "duplicate"
        if answer.verdict is Verdict.DECLINED:
            await self._ask_admin(stored, "query_says_no")
            return f"contradicted:{answer.code}"
        async with self._db.unit() as conn:
            await payments.query_again(conn, attempt.id, now + timedelta(seconds=15))
        return "waiting"

    async def _takes_its_word(self, inbox_id: int | None) -> bool:
        """Whether a callback is credited unasked (MPESA_CONFIRM_BEFORE_CREDIT=0): not one from an
        address that callbacks don't come from.
        """
        if self._confirm or inbox_id is None:
            return not self._confirm
        async with self._db.reading() as conn:
            return await inbox.is_listed(conn, inbox_id)

    async def _tell_of_unlisted(self, attempt: Attempt, answer: Answer) -> None:
        """A code that no table lists: the admins see it, once, whatever is asked later."""
        if answer.reason == UNLISTED:
            await self._tell_admins(
                f"prompt-code:{attempt.id}:{answer.code}",
                "prompt_unlisted",
                attempt.escrow_id,
                code=attempt.escrow_id,
                attempt=attempt.id,
                amount=str(attempt.amount),
                got=answer.code,
            )

    async def _other_amount(self, attempt: Attempt, receipt: Receipt) -> str:
        """Another amount than asked: only TransactionStatus or an admin says how much it was."""
        stored, _ = await self._funds.register_waiting(receipt, next_check_after=None)
        if stored.state is not ReceiptState.WAITING and stored.reference == receipt.reference:
            return "duplicate"
        await self._tell_admins(
            f"other-amount:{stored.id}:{receipt.reference}",
            "other_amount",
            attempt.escrow_id,
            code=attempt.escrow_id,
            asked=str(attempt.amount),
            claimed=str(receipt.amount),
            reference=receipt.reference,
        )
        if stored.state is ReceiptState.WAITING:
            await self._ask_or_card(stored, "other_amount")
        return "other_amount"

    async def look(self, attempt: Attempt, *, hint: Answer | None = None) -> str:
        """Asks M-Pesa about one prompt and does what the answer means."""
        now = self._clock.now()
        age = now - attempt.created_at
        if attempt.checkout_request_id is None:
            # the answer to our request was lost: only a callback can find it
            if attempt.is_open and age >= self._terms.prompt_life:
                await self._give_up(
                    attempt, AttemptState.EXPIRED, Answer(Verdict.UNKNOWN, "", "prompt_lost")
                )
                return "lost"
            await self._again(attempt, self._terms.prompt_life - age)
            return "unanswered"
        waiting = await self._waiting_of(attempt)
        if waiting is not None and waiting.amount != attempt.amount:
            # a query says that it was paid, not how much: TransactionStatus or a person does, and
            # until then the deal and the phone are free for another prompt
            async with self._db.unit() as conn:
                await payments.close_attempt(conn, attempt.id, AttemptState.EXPIRED, "", now)
                await payments.query_again(conn, attempt.id, None)
            return "other_amount"
        answer = await self._rail.query(attempt.checkout_request_id)
        if answer.verdict is Verdict.PAID:
            try:
                result = await self._credit(await self._claimed_receipt(attempt), Evidence.QUERY)
            except NotAllowed as error:
                if error.reason != "receipt_decided" or not await self._taken_back(attempt):
                    raise
                return "taken_back"
            await self._again(attempt, None)
            return str(result.outcome)
        waiting = await self._waiting_of(attempt)
        if waiting is not None:
            return await self._still_unconfirmed(attempt, waiting, answer)
        if answer.verdict is Verdict.DECLINED:
            await self._give_up(attempt, AttemptState.DECLINED, answer)
            return f"declined:{answer.code}"
        await self._tell_of_unlisted(attempt, answer)
        if attempt.is_open and age >= self._terms.prompt_life:
            final = Answer(Verdict.UNKNOWN, answer.code, "prompt_expired")
            for said in filter(None, (hint, answer)):
                final = said if said.reason == UNLISTED else final
            await self._give_up(attempt, AttemptState.EXPIRED, final)
            return "expired"
        if attempt.is_open:
            await self._again(attempt, timedelta(seconds=min(15 * (attempt.queries + 1), 60)))
        else:
            await self._again(attempt, _later_look(age))
        return str(answer.verdict)

    async def look_due(self) -> tuple[int, int]:
        """The sweep that finds lost callbacks. (looked at, failed)."""
        async with self._db.unit() as conn:
            due = await payments.claim_queries(conn, self._clock.now(), _BATCH)
        return await each(due, self.look, "looking at a prompt failed", "look_failed")

    async def _still_unconfirmed(
        self, attempt: Attempt, waiting: StoredReceipt, answer: Answer
    ) -> str:
        """A callback said paid and the query still can't confirm it."""
        claimed = attempt.claimed_at or waiting.received_at
        if answer.verdict is Verdict.DECLINED:
            await self._ask_admin(waiting, "query_says_no")
            await self._again(attempt, timedelta(minutes=30))
            return f"contradicted:{answer.code}"
        now = self._clock.now()
        if now - claimed < self._terms.unreachable_after:
            await self._again(attempt, timedelta(seconds=20))
            return "unconfirmed"
        if answer.unreachable:
            return await self._by_limit(waiting, attempt)
        # M-Pesa answers, and does not say paid: the limit is not for that
        if now - claimed >= self._terms.prompt_life:
            await self._ask_admin(waiting, "query_unsure")
        await self._again(attempt, timedelta(minutes=2))
        return "unconfirmed"

    async def _by_limit(self, waiting: StoredReceipt, attempt: Attempt | None) -> str:
        """Nobody can be asked: small amounts are believed; large ones, and what an unlisted address
        sent, wait for a person.
        """
        async with self._db.reading() as conn:
            listed = await receipts.sender_listed(conn, waiting.id)
        if listed and waiting.amount.minor <= self._terms.unconfirmed_limit_minor:
            result = await self._credit(as_receipt(waiting), Evidence.LIMIT)
            return str(result.outcome)
        await self._ask_admin(waiting, "unreachable" if listed else "unlisted_sender")
        if attempt is not None:
            await self._again(attempt, timedelta(minutes=2))
            async with self._db.unit() as conn:
                await outbox.queue(
                    conn,
                    [
                        Notice(
                            f"waits:{waiting.id}",
                            "payment_waits",
                            attempt.telegram_id,
                            {"code": attempt.escrow_id, "amount": str(waiting.amount)},
                            attempt.escrow_id,
                        )
                    ],
                    self._clock.now(),
                )
        return "waiting"

    async def _taken_back(self, attempt: Attempt) -> bool:
        """M-Pesa took back what this prompt brought: its deal and phone are free. Else False."""
        if (waiting := await self._waiting_of(attempt)) is not None and waiting.reference:
            async with self._db.unit() as conn:
                if await statements.reversal_of(conn, waiting.reference) is None:
                    return False
                await receipts.ignore(conn, waiting.id, Evidence.ADMIN, {"why": "reversed"})
        gone = Answer(Verdict.UNKNOWN, "", "taken_back")
        await self._give_up(attempt, AttemptState.EXPIRED, gone)
        await self._again(attempt, None)
        return True

    async def _give_up(self, attempt: Attempt, state: AttemptState, answer: Answer) -> None:
        """Ends an open prompt without money and tells the payer why. A paid one stays paid."""
        now = self._clock.now()
        may_come = state is AttemptState.EXPIRED and attempt.checkout_request_id is not None
        later = now + _LATE_LOOKS[0] if may_come else None

        async def work(conn: Connection) -> None:
            if not await payments.close_attempt(
                conn, attempt.id, state, answer.code, now, next_query_at=later
            ):
                if not attempt.is_open:
                    await payments.query_again(conn, attempt.id, None)
                return
            await outbox.queue(
                conn,
                [
                    Notice(
                        f"attempt:{attempt.id}",
                        "prompt_failed",
                        attempt.telegram_id,
                        {
                            "code": attempt.escrow_id,
                            "amount": str(attempt.amount),
                            "reason": answer.reason or "unknown",
                            "choice": attempt.choice_id,
                            "shortcode": "" if self._rail.till else self._rail.shortcode,
                            "progress": attempt.chat_message_id,
                        },
                        attempt.escrow_id,
                    )
                ],
                now,
            )

        await self._db.run(work)

    async def _again(self, attempt: Attempt, after: timedelta | None) -> None:
        at = None if after is None else self._clock.now() + max(after, timedelta(seconds=1))
        async with self._db.unit() as conn:
            await payments.query_again(conn, attempt.id, at)

    async def _waiting_of(self, attempt: Attempt) -> StoredReceipt | None:
        async with self._db.reading() as conn:
            found = await receipts.find(conn, "mpesa", None, attempt.id)
        return found if found and found.state is ReceiptState.WAITING else None

    async def _claimed_receipt(self, attempt: Attempt) -> Receipt:
        """What a query proved: the receipt that a callback claimed, else one without a number."""
        waiting = await self._waiting_of(attempt)
        if waiting is not None and waiting.amount == attempt.amount:
            return as_receipt(waiting)
        return Receipt(
            provider="mpesa",
            channel=Channel.STK,
            reference=None,
            amount=attempt.amount,
            happened_at=self._clock.now(),
            attempt_id=attempt.id,
            escrow_code=attempt.escrow_id,
        )

    # -- payments by hand --------------------------------------------------------------------------

    async def on_paybill(self, payment: PaybillPayment, inbox_id: int | None) -> str:
        """A C2B confirmation; returns a word for the inbox row. Safe to repeat."""
        if payment.shortcode not in self._rail.numbers:
            await self._tell_admins(
                f"shortcode:{payment.reference}", "wrong_shortcode", None, got=payment.shortcode
            )
            return "wrong_shortcode"
        receipt = await self._by_hand(payment, inbox_id)
        if await self._takes_its_word(inbox_id):
            return str((await self._credit(receipt, Evidence.UNCHECKED)).outcome)
        stored, new = await self._funds.register_waiting(receipt, next_check_after=None)
        await self._note_other_deal(stored, receipt)
        if stored.state is not ReceiptState.WAITING:
            return "duplicate"
        if not new and stored.channel is not Channel.C2B:
            return "known"
        await self._ask_or_card(stored, "c2b")
        return "waiting"

    async def on_statement(self, payment: PaybillPayment, *, ask: bool) -> tuple[str, int]:
        """A row of a statement that we had not heard of: kept like a C2B confirmation, but a file
        that an admin sends is never enough to credit it by itself, whatever the limits are. The
        sweep asks TransactionStatus, or every admin gets a card. `ask` False: only kept. Safe to
        repeat. (a word, the receipt's row).
        """
        receipt = await self._by_hand(payment, None)
        stored, new = await self._funds.register_waiting(receipt, next_check_after=None)
        await self._note_other_deal(stored, receipt)
        if stored.state is not ReceiptState.WAITING:
            return str(stored.state), stored.id
        if not new:
            return "known", stored.id
        soon = self._clock.now() if ask and self.may_ask else None
        async with self._db.unit() as conn:
            await receipts.from_statement(conn, stored.id, soon)
        if ask and soon is None:
            same = await self._may_be_a_prompts(stored)
            await self._ask_admin(stored, "maybe_same" if same else "statement")
        return "waiting", stored.id

    async def _by_hand(self, payment: PaybillPayment, inbox_id: int | None) -> Receipt:
        return Receipt(
            provider="mpesa",
            channel=Channel.C2B,
            reference=payment.reference,
            amount=payment.amount,
            happened_at=payment.happened_at,
            escrow_code=await deal_meant(self._db, payment.typed_reference),
            typed_reference=payment.typed_reference[:20],
            payer_shown=phone.keep(payment.shown),
            payer_name=payment.name[:100],
            inbox_id=inbox_id,
        )

    async def _note_other_deal(self, stored: StoredReceipt, receipt: Receipt) -> None:
        if receipt.escrow_code and stored.escrow_id not in (None, receipt.escrow_code):
            await self._tell_admins(
                f"receipt-elsewhere:{stored.id}:{receipt.escrow_code}",
                "receipt_elsewhere",
                stored.escrow_id,
                reference=stored.reference,
                amount=str(stored.amount),
                code=stored.escrow_id,
                other=receipt.escrow_code,
            )

    async def _ask_or_card(self, stored: StoredReceipt, why: str) -> None:
        """TransactionStatus where there are keys; else the limit, else a person."""
        if self.may_ask and stored.reference:
            await self._ask_status(stored)
        elif why == "c2b" and await self._may_be_a_prompts(stored):
            await self._ask_admin(stored, "maybe_same")
        elif why == "c2b":
            await self._by_limit(stored, None)
        else:
            await self._ask_admin(stored, why)

    @property
    def may_ask(self) -> bool:
        """Whether TransactionStatus can be asked: not again once it refused our API user, which a
        few more tries would lock (rails.md 1.8).
        """
        return self._rail.can_ask_status and not self._status_refused

    async def _may_be_a_prompts(self, stored: StoredReceipt) -> bool:
        """Whether a prompt of this deal and amount was credited without a number: then this may be
        the same money under a payer's number that looks different.
        """
        if stored.escrow_id is None:
            return False
        async with self._db.reading() as conn:
            return bool(
                await receipts.slots(conn, stored.escrow_id, stored.amount, stored.happened_at)
            )

    async def _ask_status(self, stored: StoredReceipt) -> None:
        token = secrets.token_hex(16)
        now = self._clock.now()
        async with self._db.unit() as conn:
            await receipts.add_status_query(conn, token, stored.id, now)
            await receipts.check_again(conn, stored.id, now + timedelta(minutes=1))
        answer = await self._rail.ask_status(
            reference=stored.reference or "",
            result_url=f"{self._callback_base}/r/{token}",
            timeout_url=f"{self._callback_base}/t/{token}",
        )
        _LOG.info(
            "asked for a receipt's status",
            extra={"action": "status_asked", "verdict": str(answer.verdict), "code": answer.code},
        )

    async def on_status_result(self, token: str, result: StatusResult) -> str:
        """TransactionStatus answered. The fate of the question is not the fate of the payment."""
        now = self._clock.now()
        async with self._db.reading() as conn:
            asked = await receipts.status_query(conn, token)
            stored = await receipts.get(conn, asked[0]) if asked else None
        if stored is None:
            return "unknown_token"
        if result.answer.verdict is Verdict.PAID and result.reference != stored.reference:
            return "other_receipt"
        meaning = {Verdict.PAID: "completed", Verdict.DECLINED: "denied"}.get(
            result.answer.verdict, "unknown"
        )
        async with self._db.unit() as conn:
            await receipts.answer_status_query(conn, token, now, meaning)
        if stored.state is not ReceiptState.WAITING:
            return "late"  # or asked once more, before its payout (`payout_funding`)
        if meaning == "unknown":
            if result.answer.reason == "misconfigured":
                self._status_refused = True
                _LOG.error(
                    "TransactionStatus refuses our API user", extra={"action": "status_refused"}
                )
                await self._ask_admin(stored, "status_refused")
            return "unknown"  # the sweep asks again
        parties = {party.partition("-")[0].strip() for party in result.parties} - {""}
        if meaning == "completed" and all(phone.is_msisdn(party) for party in parties):
            # nobody but the payer is named: that says nothing about us
            await self._ask_admin(stored, "no_party")
            return "no_party"
        if meaning == "denied" or not self._rail.numbers & parties:
            why = "not_completed" if meaning == "denied" else "not_ours"
            await self._deny(stored, Evidence.STATUS, why)
            return why
        receipt = as_receipt(stored)
        if result.amount is not None:
            receipt = replace(receipt, amount=result.amount)
        return str((await self._credit(receipt, Evidence.STATUS)).outcome)

    async def check_due(self) -> tuple[int, int]:
        """The sweep over waiting receipts: asks again, then a person. (looked at, failed)."""
        async with self._db.unit() as conn:
            due = await receipts.claim_checks(conn, self._clock.now(), _BATCH)
        checks = {stored.id: times for stored, times in due}

        async def check(stored: StoredReceipt) -> None:
            await self._check(stored, checks[stored.id])

        waiting = [stored for stored, _ in due]
        return await each(waiting, check, "checking a receipt failed", "check_failed")

    async def _check(self, stored: StoredReceipt, checks: int) -> None:
        if stored.evidence is not None:  # an admin believed it, and crediting was cut
            await self._credit(as_receipt(stored), stored.evidence)
        elif checks <= _STATUS_ASKS and self.may_ask:
            await self._ask_status(stored)
        elif checks == 1 and stored.channel is Channel.C2B and not stored.from_statement:
            await self._by_limit(stored, None)
        else:
            await self._ask_admin(
                stored, "no_answer" if self._rail.can_ask_status else "unreachable"
            )
            async with self._db.unit() as conn:
                await receipts.check_again(conn, stored.id, None)

    async def acceptable(self, payment: PaybillPayment) -> str | None:
        """C2B validation: None to accept, else the code of the refusal (rails.md 1.6)."""
        code = await deal_meant(self._db, payment.typed_reference)
        if code is None or payment.shortcode not in self._rail.numbers:
            return validation.NO_OPEN_DEAL
        async with self._db.reading() as conn:
            return await validation.refusal(conn, code, payment.amount)

    # -- a person decides --------------------------------------------------------------------------

    async def confirm_receipt(self, receipt_id: int, admin: int, *, ours: bool) -> StoredReceipt:
        """An admin says whether a waiting receipt is real. `NotAllowed` when he is a party of its
        deal, `EscrowMoved` when it no longer waits.
        """
        stored = await self._db.run(lambda conn: self._decided(conn, receipt_id, admin, ours=ours))
        if ours:
            await self._credit(as_receipt(stored), Evidence.ADMIN)
        _LOG.warning(
            "an admin decided a receipt",
            extra={"action": "receipt_decided", "admin": admin, "row": receipt_id, "ours": ours},
        )
        async with self._db.reading() as conn:
            after = await receipts.get(conn, receipt_id)
        assert after is not None  # noqa: S101 receipts are never deleted
        if ours is (after.state is ReceiptState.IGNORED):
            raise EscrowMoved("receipt_decided")
        return after

    async def _decided(
        self, conn: Connection, receipt_id: int, admin: int, *, ours: bool
    ) -> StoredReceipt:
        """Writes the decision down, once; crediting follows it and may be repeated. `Paused`: what
        can't be credited now is not believed.
        """
        if ours and await pauses.open_one(conn) is not None:
            raise Paused
        seen = await receipts.get(conn, receipt_id)
        if seen is None:
            raise NotFound("no_receipt")
        if seen.escrow_id is not None:
            escrow = await escrows.lock(conn, seen.escrow_id)
            parties = {escrow.seller_telegram_id, escrow.buyer_telegram_id}
            if seen.attempt_id is not None:
                attempt = await payments.attempt(conn, seen.attempt_id)
                parties.add(attempt.telegram_id if attempt else None)
            reserver = await payments.reservation(conn, escrow.id, seen.happened_at)
            parties.add(reserver[0] if reserver else None)
            if admin in parties:
                raise NotAllowed("admin_is_party")
        stored = await receipts.get(conn, receipt_id, lock=True)
        assert stored is not None  # noqa: S101 receipts are never deleted
        if stored.state is not ReceiptState.WAITING or (stored.evidence is not None and not ours):
            raise EscrowMoved("receipt_decided")
        fresh = stored.evidence is None
        if not ours:
            await self._ignore(conn, stored, Evidence.ADMIN, f"admin:{admin}")
        elif fresh:
            if stored.reference is not None:
                await not_ours(conn, stored.reference)
            again = self._clock.now() + timedelta(minutes=1)
            await receipts.believe(conn, stored.id, Evidence.ADMIN, again)
        if fresh and stored.escrow_id is not None:
            await escrows.note(
                conn,
                stored.escrow_id,
                "receipt_confirmed" if ours else "receipt_refused",
                By(Actor.ADMIN, admin),
                self._clock.now(),
                receipt=stored.id,
                amount_minor=stored.amount.minor,
            )
        return stored

    async def _deny(self, stored: StoredReceipt, evidence: Evidence, why: str) -> None:
        """Not money of ours: closed without posting, and the admins see why."""
        async with self._db.unit() as conn:
            await self._ignore(conn, stored, evidence, why)

    async def _ignore(
        self, conn: Connection, stored: StoredReceipt, evidence: Evidence, why: str
    ) -> None:
        if not await receipts.ignore(conn, stored.id, evidence, {"why": why}):
            return
        if stored.attempt_id is not None:  # the prompt itself is looked at again
            await payments.query_again(conn, stored.attempt_id, self._clock.now())
        await outbox.queue(
            conn,
            [
                Notice(
                    f"denied:{stored.id}",
                    "receipt_denied",
                    admin,
                    {
                        "reference": stored.reference,
                        "amount": str(stored.amount),
                        "code": stored.escrow_id,
                        "why": why,
                    },
                    stored.escrow_id,
                )
                for admin in self._admins
            ],
            self._clock.now(),
        )

    async def _ask_admin(self, stored: StoredReceipt, why: str) -> None:
        """A card with [Credit] and [Not ours] for every admin, once per receipt and reason."""
        await self._tell_admins(
            f"confirm:{stored.id}:{why}",
            "confirm_receipt",
            stored.escrow_id,
            receipt=stored.id,
            amount=str(stored.amount),
            reference=stored.reference,
            code=stored.escrow_id,
            typed=stored.typed_reference,
            payer=phone.mask_shown(stored.payer_shown) if stored.payer_shown else "",
            why=why,
        )

    async def _tell_admins(
        self, cause: str, kind: str, escrow_id: str | None, **values: Any
    ) -> None:
        async with self._db.unit() as conn:
            await outbox.queue(
                conn,
                [Notice(cause, kind, admin, values, escrow_id) for admin in self._admins],
                self._clock.now(),
            )

    async def _credit(self, receipt: Receipt, evidence: Evidence) -> PaymentResult:
        return await self._funds.process_escrow_payment(receipt, evidence)


def _later_look(age: timedelta) -> timedelta | None:
    """When a given-up prompt is looked at next; None: not any more."""
    for look in _LATE_LOOKS:
        if age < look:
            return look - age
    return None
