"""Somebody says that he has paid, by a receipt number or a pasted M-Pesa message (flow.md 26).

A claim credits nothing by itself. What is credited is a receipt: known and in suspense, or asked
about and found Completed, paid to us and unused; and only to the one whose own number (Telegram
vouches for it) is the payer's as M-Pesa shows it. Everything else waits for an admin's card. No
network call stands inside a transaction.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from escrow.domain import codes, phone
from escrow.domain.claims import Claim, ClaimState, Message, read_message
from escrow.domain.errors import (
    EscrowMoved,
    InvalidInput,
    LimitReached,
    NotAllowed,
    NotFound,
)
from escrow.domain.flow import Actor
from escrow.domain.model import (
    By,
    Channel,
    Escrow,
    Evidence,
    Notice,
    PaymentOutcome,
    PaymentResult,
    Person,
    Receipt,
    ReceiptState,
    StoredReceipt,
)
from escrow.domain.money import Currency, Money
from escrow.services.batches import each
from escrow.services.fund_manager import EscrowFundManager
from escrow.services.ports import Clock, Rail, StatusResult, Verdict
from escrow.store import claims, escrows, outbox, payments, people, receipts
from escrow.store.database import Connection, Database

_LOG: Final = logging.getLogger(__name__)
_BATCH: Final = 20
_ASKS: Final = 3
_BACK_OFF: Final = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15))
_PER_HOUR: Final = 5
_LOOKED_AFTER: Final = timedelta(hours=24)
"""How long a claim that waits for a person is looked at for a receipt that still comes."""
_OLD: Final = timedelta(days=7)
"""A payment older than this may have been for something else than Amana: a person looks."""
_VOUCH: Final = frozenset({"no_number", "number_not_vouched"})
"""Sharing his own contact would help."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A claim as it stands, and whether sharing his own contact could settle it."""

    claim: Claim
    contact_helps: bool = False


class Claims:
    """Takes claims, asks M-Pesa about them, and settles them."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        rail: Rail,
        funds: EscrowFundManager,
        admins: Sequence[int],
        *,
        callback_base: str,
    ) -> None:
        self._db = database
        self._clock = clock
        self._rail = rail
        self._funds = funds
        self._admins = tuple(admins)
        self._callback_base = callback_base
        self._status_refused = False

    async def claim(self, typed: str, telegram_id: int, text: str, cause: str) -> Claimed:
        """Takes a claim and does what can be done at once. `typed` is the deal's code, or empty.
        The same cause, or the same receipt while it is open, is the same claim.

        `InvalidInput` (no receipt in it; no amount where nobody can be asked; several deals fit),
        `NotFound` (no such deal), `NotAllowed` (his own deal), `LimitReached`.
        """
        message = read_message(text)
        if message is None:
            raise InvalidInput("receipt", command="paid")
        claim, fresh = await self._db.run(
            lambda conn: self._open(conn, typed, telegram_id, message, cause)
        )
        if claim.is_open and (fresh or claim.state is not ClaimState.ASKED):
            claim = await self._look(claim, tell=False)
        return self._answer(claim)

    async def again(self, telegram_id: int, claim_id: int) -> Claimed:
        """Looks at a person's claim once more: his number is vouched for by now. `NotFound`."""
        async with self._db.reading() as conn:
            claim = await claims.get(conn, claim_id)
        if claim is None or claim.telegram_id != telegram_id:
            raise NotFound("no_receipt")
        if claim.state in (ClaimState.PERSON, ClaimState.WAITING):
            claim = await self._look(claim, tell=False)
        return self._answer(claim)

    @staticmethod
    def _answer(claim: Claim) -> Claimed:
        return Claimed(claim, claim.state is ClaimState.PERSON and claim.why in _VOUCH)

    async def _open(
        self, conn: Connection, typed: str, telegram_id: int, message: Message, cause: str
    ) -> tuple[Claim, bool]:
        known = await claims.by_cause(conn, cause)
        if known is not None:
            return known, False
        await receipts.lock_key(conn, f"claims:{telegram_id}")
        known = await claims.open_of(conn, telegram_id, message.reference)
        if known is not None:
            return known, False
        now = self._clock.now()
        if await claims.count_since(conn, telegram_id, now - timedelta(hours=1)) >= _PER_HOUR:
            raise LimitReached("too_many_claims", limit=_PER_HOUR)
        receipt = await receipts.find(conn, "mpesa", message.reference, None)
        escrow = await self._meant(conn, typed, telegram_id, message, receipt)
        if escrow is not None:
            await self._not_his_own(conn, escrow, telegram_id)
        claimed = message.amount
        if claimed is None and escrow is not None and escrow.currency is Currency.KES:
            claimed = escrow.due - escrow.received or None
        if receipt is None and claimed is None and not self._may_ask:
            raise InvalidInput("claim_needs_message", command="paid")
        made = await claims.insert(
            conn,
            cause=cause,
            token=secrets.token_hex(16),
            telegram_id=telegram_id,
            escrow_id=escrow.id if escrow else None,
            reference=message.reference,
            claimed=claimed,
            said_at=message.at if message.at is not None and message.at <= now else None,
            now=now,
            next_check_at=now + _BACK_OFF[0],
        )
        if made is None:
            raise EscrowMoved
        _LOG.info("a receipt is claimed", extra={"action": "claimed", "row": made.id})
        return made, True

    async def _meant(
        self,
        conn: Connection,
        typed: str,
        telegram_id: int,
        message: Message,
        receipt: StoredReceipt | None,
    ) -> Escrow | None:
        """The deal that he names, else the one of the receipt, else the one he has to pay."""
        if typed:
            code = codes.read_code(typed)
            if code is None:
                raise NotFound("no_deal", code=typed[:20])
            return await escrows.get(conn, code)
        if receipt is not None and receipt.state is ReceiptState.SUSPENSE and receipt.escrow_id:
            return await escrows.get(conn, receipt.escrow_id)
        if message.deal is not None:
            try:
                return await escrows.get(conn, message.deal)
            except NotFound:
                return None
        unpaid = [
            escrow.id
            for escrow in await escrows.deals_of(conn, telegram_id)
            if escrow.buyer_telegram_id == telegram_id and escrow.can_be_paid
        ]
        unpaid += await claims.reserved_by(conn, telegram_id)
        if len(unpaid) > 1 and receipt is None:
            raise InvalidInput("claim_which", command="paid")
        return await escrows.get(conn, unpaid[0]) if len(unpaid) == 1 else None

    @staticmethod
    async def _not_his_own(conn: Connection, escrow: Escrow, telegram_id: int) -> None:
        if telegram_id == escrow.seller_telegram_id or await people.owns_number_of(
            conn, telegram_id, escrow.seller_id
        ):
            raise NotAllowed("own_deal")

    # -- looking -----------------------------------------------------------------------------------

    @property
    def _may_ask(self) -> bool:
        return self._rail.can_ask_status and not self._status_refused

    async def _look(self, claim: Claim, *, tell: bool) -> Claim:
        """Does what the receipt's state allows. `tell`: what it comes to is a notice, because
        nobody waits for an answer.
        """
        async with self._db.reading() as conn:
            known = await receipts.find(conn, "mpesa", claim.reference, None)
            person = await people.person(conn, claim.telegram_id)
        assert person is not None  # noqa: S101 claims refer to people
        if known is None or (
            known.state is ReceiptState.IGNORED and known.evidence is not Evidence.ADMIN
        ):
            return await self._look_unknown(claim, person, tell=tell)
        if known.state is ReceiptState.SUSPENSE:
            # a query proves its prompt once: a second number on it is only M-Pesa's to confirm
            proved = _proved(known)
            if not proved and claim.amount is None:
                return await self._look_unknown(claim, person, tell=tell)
            doubt = _doubt(known.payer_shown if proved else claim.payer_shown, person)
            if not proved and claim.amount != known.amount:
                doubt = "other_amount"
            if doubt:
                return await self._to_person(claim, doubt, tell=tell)
            return await self._credit(claim, _of_suspense(claim, known), Evidence.STATUS, tell=tell)
        if known.state is ReceiptState.WAITING:
            next_look = self._clock.now() + _later(claim.checks)
            return await self._step(claim, ClaimState.WAITING, "", next_look)
        return await self._deny(claim, _why_not(known, claim.telegram_id), tell=tell)

    async def _look_unknown(self, claim: Claim, person: Person, *, tell: bool) -> Claim:
        """A receipt that never reached us: what M-Pesa says of it decides."""
        if claim.amount is not None:
            doubt = _doubt(claim.payer_shown, person) or self._too_old(claim)
            if doubt:
                return await self._to_person(claim, doubt, tell=tell)
            receipt = self._of_claim(claim, claim.amount)
            return await self._credit(claim, receipt, Evidence.STATUS, tell=tell)
        if claim.state is ClaimState.PERSON:
            return claim
        if not self._may_ask:
            return await self._to_person(claim, "nobody_to_ask", tell=tell)
        if claim.checks >= _ASKS:
            return await self._to_person(claim, "no_answer", tell=tell)
        return await self._ask(claim)

    def _too_old(self, claim: Claim) -> str:
        at = claim.happened_at
        return "old" if at is not None and self._clock.now() - at > _OLD else ""

    async def _ask(self, claim: Claim) -> Claim:
        """Asks M-Pesa; the answer comes later, to a path with this claim's token."""
        asked = await self._step(
            claim, ClaimState.ASKED, "", self._clock.now() + _later(claim.checks)
        )
        answer = await self._rail.ask_status(
            reference=claim.reference,
            result_url=f"{self._callback_base}/q/{claim.token}",
            timeout_url=f"{self._callback_base}/u/{claim.token}",
        )
        _LOG.info(
            "asked about a claimed receipt",
            extra={"action": "claim_asked", "verdict": str(answer.verdict), "code": answer.code},
        )
        return asked

    async def on_status_result(self, token: str, result: StatusResult) -> str:
        """M-Pesa answered about a claimed receipt; a word for the inbox row. Safe to repeat."""
        async with self._db.reading() as conn:
            claim = await claims.by_token(conn, token)
        if claim is None:
            return "unknown_token"
        if claim.state is not ClaimState.ASKED:
            return "late"
        answer = result.answer
        if answer.verdict is Verdict.PAID:
            return await self._found(claim, result)
        if answer.verdict is Verdict.DECLINED:
            await self._deny(claim, "not_completed", tell=True)
            return "not_completed"
        if answer.reason == "no_such_receipt":
            await self._deny(claim, "unknown", tell=True)
            return "no_such_receipt"
        if answer.reason == "misconfigured":  # a few more tries would lock the API user
            self._status_refused = True
            _LOG.error("TransactionStatus refuses our API user", extra={"action": "status_refused"})
            await self._to_person(claim, "status_refused", tell=True)
        return "unknown"  # the sweep asks again

    async def _found(self, claim: Claim, result: StatusResult) -> str:
        """M-Pesa says completed: it counts if it was paid to us, by him, with that number."""
        if result.reference != claim.reference or result.amount is None:
            return "other_receipt"
        ours = self._rail.numbers
        receivers = {_number_of(party) for party in result.receivers}
        if not receivers:
            await self._to_person(claim, "no_party", tell=True)
            return "no_party"
        if not receivers <= ours:
            await self._deny(claim, "not_ours", tell=True)
            return "not_ours"
        payers = {_number_of(party) for party in result.payers} - ours
        shown = phone.keep(payers.pop()) if len(payers) == 1 else ""
        async with self._db.unit() as conn:
            await claims.told(conn, claim.id, result.amount, shown, result.happened_at)
            told = await claims.get(conn, claim.id)
        assert told is not None  # noqa: S101 claims are never deleted
        after = await self._look(told, tell=True)
        return str(after.state).lower()

    async def look_due(self) -> tuple[int, int]:
        """The sweep: asks again, looks for receipts that came since. (looked at, failed)."""
        async with self._db.unit() as conn:
            due = await claims.take_due(conn, self._clock.now(), _BATCH)
        return await each(due, self._look_again, "looking at a claim failed", "claim_failed")

    async def _look_again(self, claim: Claim) -> None:
        after = await self._look(claim, tell=True)
        if after.state is ClaimState.PERSON:  # its receipt may still come by itself
            now = self._clock.now()
            wait = _later(claim.checks)
            later = now + wait if now - claim.created_at < _LOOKED_AFTER else None
            await self._step(after, ClaimState.PERSON, after.why, later)

    # -- settling ----------------------------------------------------------------------------------

    def _of_claim(self, claim: Claim, amount: Money) -> Receipt:
        """A receipt that reached us by its claim only."""
        return Receipt(
            provider="mpesa",
            channel=Channel.C2B,
            reference=claim.reference,
            amount=amount,
            happened_at=claim.happened_at or claim.said_at or self._clock.now(),
            escrow_code=claim.escrow_id,
            payer_shown=claim.payer_shown,
        )

    async def _credit(
        self,
        claim: Claim,
        receipt: Receipt,
        evidence: Evidence,
        *,
        tell: bool,
        admin: int | None = None,
    ) -> Claim:
        """Credits the receipt and closes the claim in one unit; what it came to is a notice."""

        async def close(conn: Connection, result: PaymentResult) -> None:
            now = self._clock.now()
            if admin is not None:
                await self._not_a_party(conn, claim, admin, receipt.escrow_code, result.escrow_id)
            before = result.outcome is PaymentOutcome.DUPLICATE  # its prompt was counted
            done = await claims.decide(
                conn,
                claim.id,
                ClaimState.DENIED if before else ClaimState.CREDITED,
                "counted" if before else str(result.outcome),
                now,
                receipt_id=result.receipt_id,
                by=admin,
            )
            if done is None:
                raise EscrowMoved("claim_decided")
            if before and tell:
                await outbox.queue(conn, [_notice(done)], now)
            if receipt.escrow_code is not None and admin is not None:
                await escrows.note(
                    conn,
                    receipt.escrow_code,
                    "claim_confirmed",
                    By(Actor.ADMIN, admin),
                    now,
                    receipt=result.receipt_id,
                    claim=claim.id,
                )

        # the time in his message is only as good as the admin's look at the portal
        at = claim.happened_at or (claim.said_at if admin is not None else None)
        try:
            await self._funds.credit_claim(receipt, evidence, claim.telegram_id, close, at=at)
        except NotAllowed as doubt:
            if admin is not None:
                raise
            return await self._to_person(claim, doubt.reason, tell=tell)
        async with self._db.reading() as conn:
            after = await claims.get(conn, claim.id)
            known = await receipts.find(conn, "mpesa", claim.reference, None)
        assert after is not None  # noqa: S101 claims are never deleted
        if after.is_open and known is not None and known.state is not ReceiptState.WAITING:
            # somebody was faster with that receipt
            return await self._deny(after, _why_not(known, claim.telegram_id), tell=tell)
        return after

    async def _step(
        self, claim: Claim, state: ClaimState, why: str, next_look: datetime | None
    ) -> Claim:
        async with self._db.unit() as conn:
            moved = await claims.step(conn, claim.id, state, why, next_look)
            after = moved or await claims.get(conn, claim.id)
        assert after is not None  # noqa: S101 claims are never deleted
        return after

    async def _deny(self, claim: Claim, why: str, *, tell: bool, admin: int | None = None) -> Claim:
        async def work(conn: Connection) -> Claim:
            now = self._clock.now()
            if admin is not None:
                await self._not_a_party(conn, claim, admin, claim.escrow_id)
            denied = await claims.decide(conn, claim.id, ClaimState.DENIED, why, now, by=admin)
            if denied is not None and tell:
                await outbox.queue(conn, [_notice(denied)], now)
            after = denied or await claims.get(conn, claim.id)
            assert after is not None  # noqa: S101 claims are never deleted
            return after

        return await self._db.run(work)

    async def _to_person(self, claim: Claim, why: str, *, tell: bool) -> Claim:
        """An admin decides: a card for every one of them, once per claim and reason."""
        if claim.state is ClaimState.PERSON and claim.why == why:
            return claim

        async def work(conn: Connection) -> Claim:
            now = self._clock.now()
            moved = await claims.step(
                conn, claim.id, ClaimState.PERSON, why, now + _later(claim.checks)
            )
            if moved is None:
                after = await claims.get(conn, claim.id)
                assert after is not None  # noqa: S101 claims are never deleted
                return after
            known = await receipts.find(conn, "mpesa", claim.reference, None)
            values = {
                "claim": claim.id,
                "person": claim.telegram_id,
                "reference": claim.reference,
                "code": claim.escrow_id or (known.escrow_id if known else None),
                "amount": str(known.amount if known else claim.amount or claim.claimed or "–"),
                "proved": claim.amount is not None or (known is not None and _proved(known)),
                "payer": phone.mask_shown(known.payer_shown if known else claim.payer_shown),
                "why": why,
            }
            shown = why
            if known is None or known.state is ReceiptState.IGNORED:
                deals = await self._prompts_like(conn, claim, known)
                if deals:
                    shown, values = "maybe_prompt", {**values, "why": "maybe_prompt"}
                    values["deals"] = ", ".join(deals[:3])
            if claim.said_at is not None and claim.happened_at is None:
                values["said_at"] = claim.said_at.isoformat()
            cards = [
                Notice(f"claim:{claim.id}:{shown}", "claim_card", admin, values, claim.escrow_id)
                for admin in self._admins
            ]
            if tell and claim.state is not ClaimState.PERSON:
                cards.append(_notice(moved))
            await outbox.queue(conn, cards, now)
            return moved

        return await self._db.run(work)

    @staticmethod
    async def _prompts_like(
        conn: Connection, claim: Claim, known: StoredReceipt | None
    ) -> list[str]:
        """The deals of prompts without a number that the claimed payment may be of."""
        amount = known.amount if known else claim.amount or claim.claimed
        if amount is None:
            return []
        at = claim.happened_at or (known.happened_at if known else claim.said_at)
        shown = known.payer_shown if known else claim.payer_shown
        found = await claims.prompts_without_number(conn, amount, at, shown)
        return sorted({one.escrow_id for one in found})

    # -- a person decides --------------------------------------------------------------------------

    async def decide(self, claim_id: int, admin: int, *, ours: bool) -> Claim:
        """An admin's word on a claim: its money is the claimant's, or it is not. DENIED as
        `counted` when it is, and a prompt of his was credited with it before.

        `NotAllowed` when he is the claimant or a party of a deal it touches, when the receipt
        itself still waits, when no amount is known, or when it may be another prompt's money
        (`maybe_prompt`); `EscrowMoved` when it is decided.
        """
        async with self._db.reading() as conn:
            claim = await claims.get(conn, claim_id)
            if claim is None:
                raise NotFound("no_receipt")
            known = await receipts.find(conn, "mpesa", claim.reference, None)
        if admin not in self._admins:
            raise NotAllowed
        if claim.state is not ClaimState.PERSON:
            raise EscrowMoved("claim_decided")
        if not ours:
            after = await self._deny(claim, "admin", tell=True, admin=admin)
        elif known is not None and known.state is ReceiptState.WAITING:
            raise NotAllowed("claim_receipt_waits")
        else:
            amount = known.amount if known else claim.amount or claim.claimed
            if amount is None:
                raise NotAllowed("claim_no_amount")
            suspense = known is not None and known.state is ReceiptState.SUSPENSE
            receipt = self._of_claim(claim, amount)
            if suspense and known is not None:
                receipt = _of_suspense(claim, known)
            after = await self._credit(claim, receipt, Evidence.ADMIN, tell=True, admin=admin)
        counted = after.state is ClaimState.DENIED and after.why == "counted"
        if after.state is not (ClaimState.CREDITED if ours else ClaimState.DENIED) and not counted:
            raise EscrowMoved("claim_decided")
        _LOG.warning(
            "an admin decided a claim",
            extra={"action": "claim_decided", "admin": admin, "row": claim_id, "ours": ours},
        )
        return after

    @staticmethod
    async def _not_a_party(
        conn: Connection, claim: Claim, admin: int, *touched: str | None
    ) -> None:
        """Nobody decides about his own money, or that of a deal that he sells, buys or reserved.
        Takes the deals' locks. `NotAllowed`.
        """
        known = await receipts.find(conn, "mpesa", claim.reference, None)
        codes_ = {*touched, claim.escrow_id, known.escrow_id if known else None}
        parties: set[int | None] = {claim.telegram_id}
        for code in sorted(one for one in codes_ if one is not None):
            escrow = await escrows.lock(conn, code)
            reserver = await payments.reservation(
                conn, code, claim.happened_at or claim.said_at or claim.created_at
            )
            parties |= {escrow.seller_telegram_id, escrow.buyer_telegram_id}
            parties.add(reserver[0] if reserver else None)
        if admin in parties:
            raise NotAllowed("admin_is_party")


def _notice(claim: Claim) -> Notice:
    """What the claimant reads of a claim that was denied, or that a person decides."""
    kind = "claim_denied" if claim.state is ClaimState.DENIED else "claim_person"
    values = {
        "claim": claim.id,
        "reference": claim.reference,
        "code": claim.escrow_id,
        "why": claim.why,
        "contact": claim.why in _VOUCH,
    }
    cause = f"claim:{claim.id}:{claim.state}"
    return Notice(cause, kind, claim.telegram_id, values, claim.escrow_id)


def _doubt(shown: str, person: Person) -> str:
    """Why a payer's number does not prove that it was this person; empty when it does."""
    if person.phone is None:
        return "no_number"
    if not person.phone_is_contact:
        return "number_not_vouched"
    if phone.proves(shown, person.phone):
        return ""
    return "payer_unknown" if phone.may_be(shown, person.phone) else "other_number"


def _why_not(known: StoredReceipt, telegram_id: int) -> str:
    """Why a booked receipt can't be claimed. Nothing but his own is told to him."""
    if known.state is ReceiptState.CREDITED:
        return "counted" if known.telegram_id == telegram_id else "used"
    return "unknown" if known.state is ReceiptState.IGNORED else "used"


def _proved(known: StoredReceipt) -> bool:
    """Whether a known receipt itself was proved: a query only proves that its prompt was paid."""
    return known.state is not ReceiptState.SUSPENSE or known.evidence is not Evidence.QUERY


def _of_suspense(claim: Claim, known: StoredReceipt) -> Receipt:
    """A receipt that lies in suspense, for the deal that the claim means, else its own."""
    return Receipt(
        provider=known.provider,
        channel=known.channel,
        reference=known.reference,
        amount=known.amount,
        happened_at=known.happened_at,
        escrow_code=claim.escrow_id or known.escrow_id,
        typed_reference=known.typed_reference,
        payer_shown=known.payer_shown,
        payer_name=known.payer_name,
    )


def _number_of(party: str) -> str:
    """`254722000222 - John Doe` → the number; `174379 - Amana` → the shortcode."""
    return party.partition("-")[0].strip()


def _later(checks: int) -> timedelta:
    return _BACK_OFF[min(checks, len(_BACK_OFF) - 1)]
