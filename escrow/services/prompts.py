"""Asking a buyer for his money: an M-Pesa prompt, the wallet, or both.

The attempt and its path token are committed before M-Pesa hears of it, so that money that comes
after a lost answer or a crash still finds its deal (rails.md 1.3).
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from escrow.domain import codes, flow, terms
from escrow.domain.errors import ChoiceRefused, EscrowMoved, LimitReached, NotFound
from escrow.domain.flow import Actor, Event
from escrow.domain.model import Attempt, AttemptState, By, Escrow, Person
from escrow.domain.money import Currency, Money
from escrow.domain.phone import mask
from escrow.domain.terms import Terms
from escrow.services import postings
from escrow.services.booking import fund_move, funded_notices
from escrow.services.fund_manager import EscrowHoldingVerifier
from escrow.services.paying import payable, reserve
from escrow.services.ports import Answer, Clock, Rail, Verdict
from escrow.store import escrows, ledger, outbox, payments, people
from escrow.store.database import Connection, Database

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Started:
    """A prompt on its way: `answer` is M-Pesa's first word on it, PENDING when the phone asks."""

    attempt: Attempt
    answer: Answer
    repeated: bool = False


class Prompts:
    """Starts prompts and takes money from wallets."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        platform: Terms,
        rail: Rail,
        callback_base: str,
    ) -> None:
        self._db = database
        self._clock = clock
        self._terms = platform
        self._rail = rail
        self._callback_base = callback_base

    async def start(
        self,
        typed: str,
        telegram_id: int,
        cause: str,
        *,
        choice_id: int | None = None,
        use_wallet: bool = False,
        at_most: Money | None = None,
    ) -> Started:
        """Asks the payer's phone for what the deal still needs (with `use_wallet`: less what his
        wallet holds, `EscrowMoved` when that is above `at_most`). The same cause again prompts
        nobody and answers with the first attempt as it is now.

        `NotFound`, `NotAllowed` (own deal, somebody else's), `LimitReached` (open prompt, caps,
        the same amount within two minutes), `ChoiceRefused`.
        """
        attempt, fresh = await self._db.run(
            lambda conn: self._prepare(
                conn, typed, telegram_id, cause, choice_id, use_wallet, at_most
            )
        )
        if not fresh:
            return Started(attempt, Answer(Verdict.PENDING), repeated=True)
        reply = await self._rail.prompt(
            phone=attempt.phone,
            amount=attempt.amount,
            reference=attempt.escrow_id,
            callback_url=f"{self._callback_base}/s/{attempt.token}",
        )
        now = self._clock.now()
        async with self._db.unit() as conn:
            if reply.answer.verdict is Verdict.PENDING and reply.checkout_request_id:
                attempt = await payments.prompted(
                    conn, attempt.id, reply.checkout_request_id, reply.merchant_request_id, now
                )
            elif reply.answer.verdict is Verdict.DECLINED:
                await payments.close_attempt(
                    conn, attempt.id, AttemptState.DECLINED, reply.answer.code, now
                )
        _LOG.info(
            "prompt %s",
            reply.answer.verdict,
            extra={
                "action": "prompted",
                "escrow": attempt.escrow_id,
                "attempt": attempt.id,
                "code": reply.answer.code,
            },
        )
        return Started(attempt, reply.answer)

    async def _prepare(
        self,
        conn: Connection,
        typed: str,
        telegram_id: int,
        cause: str,
        choice_id: int | None,
        use_wallet: bool,
        at_most: Money | None,
    ) -> tuple[Attempt, bool]:
        known = await payments.attempt_by_cause(conn, cause)
        if known is not None:
            return known, False
        escrow = await payable(conn, typed, telegram_id)
        known = await payments.attempt_by_cause(conn, cause)
        if known is not None:
            return known, False  # the same cause, a moment earlier
        if escrow.currency is not Currency.KES:
            raise LimitReached(
                "no_mpesa_for_currency", currency=escrow.currency.code, deal=escrow.id
            )
        if not self._rail.offered:
            raise LimitReached("mpesa_not_offered", deal=escrow.id)
        person = await people.person(conn, telegram_id)
        if person is None or person.phone is None:
            raise NotFound("no_phone")
        now = self._clock.now()
        if choice_id is not None:
            choice = await payments.open_choice(conn, escrow.id)
            if choice is None or choice.id != choice_id or now >= choice.expires_at:
                raise ChoiceRefused
        missing = escrow.due - escrow.received
        part = Money.zero(escrow.currency)
        if use_wallet:
            wallet = await ledger.balance(conn, "wallet", str(telegram_id), escrow.currency)
            part = wallet if wallet < missing else missing
            if at_most is not None and part > at_most:
                raise EscrowMoved
        asked = (missing - part).up_to_step()
        if not asked:
            raise LimitReached("wallet_is_enough", deal=escrow.id)
        if escrow.buyer_telegram_id is None:
            await reserve(conn, self._terms, escrow.id, telegram_id, now)
        asking = await payments.open_attempt(conn, escrow.id)
        if asking is not None:
            raise LimitReached(
                "prompt_open",
                deal=escrow.id,
                phone=mask(asking.phone),
                rings=asking.checkout_request_id is not None,
            )
        await self._caps(conn, person, escrow.id, asked, now)
        return await payments.insert_attempt(
            conn,
            cause=cause,
            token=secrets.token_hex(16),
            escrow_id=escrow.id,
            telegram_id=telegram_id,
            phone=person.phone,
            own_number=person.phone_is_contact,
            amount=asked,
            wallet_part=part,
            choice_id=choice_id,
            now=now,
            next_query_at=now + self._terms.query_after,
        )

    async def reserve(self, typed: str, telegram_id: int) -> Escrow:
        """Reserves a deal without a buyer for somebody who pays by hand (flow.md 26)."""

        async def work(conn: Connection) -> Escrow:
            escrow = await payable(conn, typed, telegram_id)
            if escrow.buyer_telegram_id is None:
                await reserve(conn, self._terms, escrow.id, telegram_id, self._clock.now())
            return escrow

        return await self._db.run(work)

    async def _caps(
        self, conn: Connection, person: Person, deal: str, asked: Money, now: datetime
    ) -> None:
        """No flood of prompts to anybody's phone (faults.md F54), and Safaricom's rule 17."""
        assert person.phone is not None  # noqa: S101 the caller checked
        recent = await payments.recent_prompts(conn, person.telegram_id, person.phone, asked, now)
        if recent.by_person >= self._terms.prompts_per_user_hour:
            raise LimitReached("too_many_prompts", deal=deal)
        if (
            not person.phone_is_contact
            and recent.to_foreign_number >= self._terms.prompts_per_foreign_number_hour
        ):
            raise LimitReached("too_many_prompts_to_number", deal=deal)
        again = self._terms.repeat_prompt_after
        if recent.same_amount_at is not None and now < recent.same_amount_at + again:
            wait = recent.same_amount_at + again - now
            raise LimitReached(
                "same_amount_too_soon", seconds=int(wait.total_seconds()) + 1, deal=deal
            )

    async def pay_from_wallet(
        self,
        typed: str,
        telegram_id: int,
        cause: str,
        *,
        choice_id: int | None = None,
        at_most: Money | None = None,
    ) -> Escrow:
        """Funds the deal from the buyer's wallet alone. A repeat finds it funded and says so.

        `LimitReached` when the wallet is short; `ChoiceRefused` when the choice is closed;
        `EscrowMoved` when the deal needs more than `at_most` by now.
        """

        async def work(conn: Connection) -> Escrow:
            code = codes.read_code(typed) or ""
            known = await escrows.lock(conn, code)
            if known.funded_at is not None and known.buyer_telegram_id == telegram_id:
                return known
            escrow = await payable(conn, typed, telegram_id)
            now = self._clock.now()
            choice = await payments.open_choice(conn, escrow.id)
            if choice_id is not None and (
                choice is None or choice.id != choice_id or now >= choice.expires_at
            ):
                raise ChoiceRefused
            missing = escrow.due - escrow.received
            if at_most is not None and missing > at_most:
                raise EscrowMoved
            wallet = await ledger.lock_wallet(conn, telegram_id, escrow.currency)
            if wallet < missing:
                raise LimitReached("wallet_short", missing=missing - wallet, wallet=wallet)
            if escrow.buyer_telegram_id is None:
                await reserve(conn, self._terms, escrow.id, telegram_id, now)
                await escrows.move(
                    conn,
                    [
                        escrows.Move(
                            escrow.id,
                            flow.next_edge(escrow.status, Event.JOIN, Actor.BUYER),
                            By(Actor.BUYER, telegram_id),
                            now,
                            buyer=telegram_id,
                        )
                    ],
                )
            if choice is not None:
                await payments.use_choice(conn, choice.id, "completed", now, even_late=True)
            division = terms.divide_accepted(escrow.due, escrow.due, escrow.fee)
            await ledger.post(
                conn,
                [
                    postings.wallet_part(cause, telegram_id, escrow.id, missing, now),
                    *postings.accepted(escrow.id, telegram_id, division, now),
                ],
            )
            move = fund_move(
                escrow, division, escrow.due, By(Actor.PAYMENT), now, evidence="wallet"
            )
            await escrows.move(conn, [move])
            await EscrowHoldingVerifier.verify_holding_created(
                escrow.id, division.holding, conn, fee=division.fee
            )
            await outbox.queue(
                conn,
                funded_notices(
                    f"wallet:{cause}", escrow, telegram_id, division, escrow.due, move.ship_by
                ),
                now,
            )
            return await escrows.get(conn, escrow.id)

        return await self._db.run(work)

    async def may_ask(self, code: str, telegram_id: int) -> bool:
        """Whether a phone may still be asking for this deal, at this person's wish."""
        async with self._db.reading() as conn:
            asking = await payments.open_attempt(conn, code)
        return asking is not None and asking.telegram_id == telegram_id

    async def remember_message(self, attempt_id: int, message_id: int) -> None:
        """The chat message that shows this attempt, to be edited when it ends."""
        async with self._db.unit() as conn:
            await payments.set_message(conn, attempt_id, message_id)
