"""The underpayment choice: complete, go on with what came, or cancel (seed 2, scenario 3b)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from escrow.domain import flow, terms
from escrow.domain.crypto import HOLD
from escrow.domain.errors import ChoiceRefused, DatabaseDown, EscrowMoved, NotFound, Paused
from escrow.domain.flow import Actor, Event, Status
from escrow.domain.model import By, Choice, Escrow, Notice
from escrow.domain.money import Money
from escrow.domain.terms import Terms
from escrow.services import choice_tokens, postings
from escrow.services.booking import fund_move, funded_notices
from escrow.services.choice_tokens import Action
from escrow.services.fund_manager import EscrowHoldingVerifier
from escrow.services.ports import Clock
from escrow.services.sweeps import put_off
from escrow.store import escrows, ledger, outbox, payments, setbacks
from escrow.store.database import Connection, Database

_LOG: Final = logging.getLogger(__name__)
_BATCH: Final = 100


@dataclass(frozen=True, slots=True)
class Pressed:
    """What a button did. For COMPLETE nothing moved yet: `choice.missing` is to be asked for,
    and `wallet` is what the buyer could take it from.
    """

    action: Action
    choice: Choice
    escrow: Escrow
    wallet: Money


class UnderpaymentChoices:
    """Signs the buttons, takes the taps, ends what nobody answered."""

    def __init__(self, database: Database, clock: Clock, platform: Terms, secret: bytes) -> None:
        if len(secret) < 32:
            raise ValueError("ESCROW_SECRET_KEY must be 32 bytes or more")
        self._db = database
        self._clock = clock
        self._terms = platform
        self._secret = secret
        self.refused = 0

    async def buttons(self, choice_id: int) -> dict[Action, str] | None:
        """The callback data of the three buttons, or None when the choice is closed."""
        async with self._db.reading() as conn:
            choice = await payments.choice(conn, choice_id)
        if choice is None or choice.used_at or choice.voided_at:
            return None
        return {action: choice_tokens.sign(self._secret, action, choice) for action in Action}

    async def press(self, token: str, telegram_id: int) -> Pressed:
        """A button was pressed. Forged, foreign, expired, repeated, replaced: the same
        `ChoiceRefused`, counted, nothing changed.
        """
        try:
            return await self._db.run(lambda conn: self._press(conn, token, telegram_id))
        except (ChoiceRefused, EscrowMoved, NotFound) as error:
            self.refused += 1
            _LOG.info("a choice was refused", extra={"action": "choice_refused"})
            raise ChoiceRefused from error

    async def _press(self, conn: Connection, token: str, telegram_id: int) -> Pressed:
        parsed = choice_tokens.read(token)
        if parsed is None:
            raise ChoiceRefused
        action, choice_id, signature = parsed
        choice = await payments.choice(conn, choice_id)
        if choice is None or not choice_tokens.verify(self._secret, action, choice, signature):
            raise ChoiceRefused
        escrow = await escrows.lock(conn, choice.escrow_id)
        choice = await payments.choice(conn, choice_id)
        now = self._clock.now()
        if (
            choice is None
            or choice.telegram_id != telegram_id
            or choice.used_at
            or choice.voided_at
            or now >= choice.expires_at
            or not escrow.can_be_paid
            or escrow.received != choice.received
        ):
            raise ChoiceRefused
        if action is Action.PROCEED:
            await self._take(conn, choice, "proceed")
            await self._proceed(conn, escrow, choice)
        elif action is Action.CANCEL:
            await self._take(conn, choice, "cancel")
            await self._cancel(conn, escrow, choice)
        wallet = await ledger.balance(conn, "wallet", str(telegram_id), escrow.currency)
        return Pressed(action, choice, await escrows.get(conn, escrow.id), wallet)

    async def _take(self, conn: Connection, choice: Choice, action: str) -> None:
        if not await payments.use_choice(conn, choice.id, action, self._clock.now()):
            raise ChoiceRefused

    async def _proceed(self, conn: Connection, escrow: Escrow, choice: Choice) -> None:
        """The deal goes on at what was received, fee and price scaled (flow.md 4)."""
        now = self._clock.now()
        buyer = choice.telegram_id
        division = terms.divide_partial(escrow.received, escrow.due, escrow.fee)
        await ledger.post(conn, postings.accepted(escrow.id, buyer, division, now))
        move = fund_move(
            escrow,
            division,
            escrow.received,
            By(Actor.CHOICE, buyer),
            now,
            evidence=f"choice:{choice.id}",
        )
        await escrows.move(conn, [move])
        await EscrowHoldingVerifier.verify_holding_created(
            escrow.id, division.holding, conn, fee=division.fee
        )
        await outbox.queue(
            conn,
            funded_notices(
                f"choice:{choice.id}",
                escrow,
                buyer,
                division,
                escrow.received,
                move.ship_by,
                partial=True,
            ),
            now,
        )

    async def _cancel(self, conn: Connection, escrow: Escrow, choice: Choice) -> None:
        """All to the buyer's wallet; the deal is CANCELLED (seed 2, option 3)."""
        now = self._clock.now()
        by = By(Actor.CHOICE, choice.telegram_id)
        edge = flow.next_edge(escrow.status, Event.CANCEL, by.actor)
        await ledger.post(
            conn,
            [
                postings.returned(
                    "cancel", escrow.id, escrow.id, choice.telegram_id, escrow.received, now
                )
            ],
        )
        await escrows.move(
            conn,
            [
                escrows.Move(
                    escrow.id, edge, by, now, data={"returned_minor": escrow.received.minor}
                )
            ],
        )
        values = {
            "code": escrow.id,
            "description": escrow.description,
            "by": "buyer",
            "returned": str(escrow.received),
        }
        await outbox.queue(
            conn,
            [
                Notice(
                    f"choice:{choice.id}",
                    "cancelled_refund",
                    choice.telegram_id,
                    values,
                    escrow.id,
                ),
                Notice(
                    f"choice:{choice.id}",
                    "cancelled",
                    escrow.seller_telegram_id,
                    {**values, "returned": None},
                    escrow.id,
                ),
            ],
            now,
        )

    async def expire(self) -> tuple[int, int]:
        """The sweep: nobody answered within the window, so the money goes to the buyer's wallet
        and the deal waits on (flow.md 8). One that fails stops no other. (tried, done).
        """
        done = failed = 0
        while True:
            ended, refused = await self._expire_some()
            done, failed = done + ended, failed + refused
            if ended < _BATCH:
                return done + failed, done

    async def _expire_some(self) -> tuple[int, int]:
        now = self._clock.now()
        async with self._db.reading() as conn:
            due = await payments.expired_choices(conn, now, _BATCH, self._terms.prompt_grace, HOLD)
        done = failed = 0
        for choice_id, escrow_id in due:

            async def work(
                conn: Connection, escrow_id: str = escrow_id, choice_id: int = choice_id
            ) -> bool:
                return await self._expire_one(conn, escrow_id, choice_id)

            try:
                done += await self._db.run(work)
            except (DatabaseDown, Paused):
                raise
            except Exception as error:  # noqa: BLE001 one bad row must not stop the others
                _LOG.exception(
                    "a window could not be ended",
                    extra={"action": "expire_failed", "escrow": escrow_id},
                )
                failed += 1
                await put_off(self._db, "expire", escrow_id, now, error)
        return done, failed

    async def _expire_one(self, conn: Connection, escrow_id: str, choice_id: int) -> bool:
        escrow = await escrows.lock(conn, escrow_id)
        choice = await payments.choice(conn, choice_id)
        now = self._clock.now()
        grace = self._terms.prompt_grace
        if (
            choice is None
            or escrow.status is not Status.PENDING
            # a prompt, or coins that were seen, may hold it open since it was found
            or not await payments.expired_choices(conn, now, 1, grace, HOLD, choice_id)
            or not await payments.use_choice(conn, choice_id, "expired", now, even_late=True)
        ):
            return False
        await setbacks.clear(conn, "expire", escrow_id)
        buyer = choice.telegram_id
        await ledger.post(
            conn,
            [
                postings.returned(
                    "window_over", str(choice_id), escrow_id, buyer, escrow.received, now
                )
            ],
        )
        await escrows.note(
            conn,
            escrow_id,
            "choice_expired",
            By(Actor.TIMER),
            now,
            returned_minor=escrow.received.minor,
        )
        await outbox.queue(
            conn,
            [
                Notice(
                    f"choice:{choice_id}",
                    "window_over",
                    buyer,
                    {
                        "code": escrow_id,
                        "returned": str(escrow.received),
                        "due": str(escrow.due),
                        "pay_by": escrow.pay_by.isoformat() if escrow.pay_by else None,
                    },
                    escrow_id,
                )
            ],
            now,
        )
        return True
