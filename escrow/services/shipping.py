"""A funded deal on its way: shipped, declined, received, released, refunded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from escrow.domain import flow
from escrow.domain.errors import InvalidInput
from escrow.domain.flow import Actor, Event
from escrow.domain.model import By, Escrow, Media, MediaKind, Notice, Purpose
from escrow.services import endings
from escrow.services.flags import propose_suspensions, raise_flag
from escrow.services.payout_booking import BookedPayout
from escrow.services.sweeps import sweep
from escrow.services.work import DealWork, locked, party_of
from escrow.store import escrows, outbox, records
from escrow.store.database import Connection

TRACKING_CHARS: Final = 200
PROOFS: Final = frozenset({MediaKind.PHOTO, MediaKind.DOCUMENT})
"""What shows that something was sent."""
_Payouts = dict[tuple[str, str], BookedPayout]


@dataclass(frozen=True, slots=True)
class Received:
    """What a buyer's word that he has it did. `released` is False while he may look at it first;
    `payout` goes to the seller, when it goes by itself.
    """

    escrow: Escrow
    released: bool
    payout: BookedPayout | None = None


class Shipping(DealWork):
    """ship, decline, deliver, release, refund."""

    @property
    def needs_proof(self) -> bool:
        """Whether sending needs a tracking text or a photo (flow.md 27)."""
        return self._terms.require_shipping_proof

    async def ship(
        self,
        typed: str,
        telegram_id: int,
        *,
        tracking: str | None,
        proof: Media | None,
        cause: str,
    ) -> Escrow:
        """The seller sent it: the buyer sees the proof, and his time runs (SHIPPED).

        `InvalidInput` for a tracking text of more than 200 characters, without any proof where one
        is required, or for a proof that is neither a photo nor a file.
        """
        words = _one_line(tracking or "")
        if len(words) > TRACKING_CHARS:
            raise InvalidInput("tracking", maximum=TRACKING_CHARS, length=len(words))
        if proof is not None and proof.kind not in PROOFS:
            raise InvalidInput("no_proof")
        if proof is not None and not words:
            words = _one_line(proof.words)[:TRACKING_CHARS]

        async def work(conn: Connection) -> Escrow:
            escrow = await locked(conn, typed)
            by = party_of(escrow, telegram_id)
            if await escrows.caused(conn, escrow.id, Event.SHIP, cause):
                return escrow
            edge = flow.next_edge(escrow.status, Event.SHIP, by.actor)
            if self.needs_proof and proof is None and not words:
                raise InvalidInput("no_proof")
            now = self._clock.now()
            release_at = now + timedelta(seconds=int(escrow.terms["release_seconds"]))
            move = escrows.Move(
                escrow.id,
                edge,
                by,
                now,
                data={"cause": cause, "proof": str(proof.kind) if proof else None},
                release_at=release_at,
                tracking=words or None,
            )
            await escrows.move(conn, [move])
            sent = proof or words
            if sent:
                await records.insert(
                    conn,
                    escrow.id,
                    telegram_id,
                    Purpose.SHIPPING,
                    sent,
                    cause=f"ship:{escrow.id}",
                    now=now,
                )
            values = {
                **_about(escrow),
                "amount": str(endings.whole(escrow)),
                "tracking": words or None,
                "shipped_at": now.isoformat(),
                "release_at": release_at.isoformat(),
                "media": {"kind": str(proof.kind), "file_id": proof.file_id} if proof else None,
            }
            told = Notice(f"ship:{escrow.id}", "shipped", _buyer(escrow), values, escrow.id)
            await outbox.queue(conn, [told], now)
            return await escrows.get(conn, escrow.id)

        return await self._db.run(work)

    async def decline(self, typed: str, telegram_id: int, cause: str = "") -> Escrow:
        """The seller won't send: everything held goes to the buyer's wallet (REFUNDED)."""

        async def work(conn: Connection) -> Escrow:
            escrow = await locked(conn, typed)
            by = party_of(escrow, telegram_id)
            if cause and await escrows.caused(conn, escrow.id, Event.DECLINE, cause):
                return escrow
            now = self._clock.now()
            ending = endings.refund(escrow, Event.DECLINE, by, cause=cause)
            payouts = await endings.finish(conn, [ending], self._payouts, now)
            values = {
                **_about(escrow),
                "returned": str(ending.buyer),
                "payout": _payout(payouts, escrow, "buyer"),
            }
            told = Notice(f"decline:{escrow.id}", "declined", _buyer(escrow), values, escrow.id)
            await outbox.queue(conn, [told], now)
            return await escrows.get(conn, escrow.id)

        return await self._db.run(work)

    async def receive(self, typed: str, telegram_id: int, cause: str) -> Received:
        """The buyer has it, sent or handed over: the seller is paid at once (COMPLETED), or when
        the buyer's time to look at it is over (DELIVERED).
        """

        async def work(conn: Connection) -> Received:
            escrow = await locked(conn, typed)
            by = party_of(escrow, telegram_id)
            looks = timedelta(seconds=int(escrow.terms["inspection_seconds"]))
            if await escrows.caused(conn, escrow.id, Event.DELIVER, cause):
                return Received(escrow, released=not looks)
            now = self._clock.now()
            edge = flow.next_edge(escrow.status, Event.DELIVER, by.actor)
            over = now + looks
            move = escrows.Move(
                escrow.id,
                edge,
                by,
                now,
                data={"cause": cause},
                release_at=over if looks else None,
            )
            await escrows.move(conn, [move])
            delivered = await escrows.get(conn, escrow.id)
            if not looks:
                return await self._release(conn, delivered, by, now, cause)
            values = {**_about(escrow), "gets": _gets(escrow), "release_at": over.isoformat()}
            seller = escrow.seller_telegram_id
            told = Notice(f"deliver:{escrow.id}", "delivered", seller, values, escrow.id)
            await outbox.queue(conn, [told], now)
            return Received(delivered, released=False)

        return await self._db.run(work)

    async def release(self, typed: str, telegram_id: int, cause: str = "") -> Received:
        """The buyer has looked at it long enough: the seller is paid (COMPLETED)."""

        async def work(conn: Connection) -> Received:
            escrow = await locked(conn, typed)
            by = party_of(escrow, telegram_id)
            if cause and await escrows.caused(conn, escrow.id, Event.RELEASE, cause):
                return Received(escrow, released=True)
            return await self._release(conn, escrow, by, self._clock.now(), cause)

        return await self._db.run(work)

    async def _release(
        self, conn: Connection, escrow: Escrow, by: By, now: datetime, cause: str
    ) -> Received:
        ending = endings.release(escrow, Event.RELEASE, by, cause=cause)
        payouts = await endings.finish(conn, [ending], self._payouts, now)
        values = {
            **_about(escrow),
            "gets": str(ending.seller),
            "payout": _payout(payouts, escrow, "seller"),
        }
        seller = escrow.seller_telegram_id
        told = Notice(f"release:{escrow.id}", "released", seller, values, escrow.id)
        await outbox.queue(conn, [told], now)
        after = await escrows.get(conn, escrow.id)
        return Received(after, released=True, payout=payouts.get((escrow.id, "seller")))

    # -- timers ----------------------------------------------------------------------------------

    async def release_due(self) -> tuple[int, int]:
        """The sweep behind `release_at`: pays the sellers of deals that their buyers neither
        confirmed nor disputed. (looked at, done).
        """
        return await sweep(
            "release", self._db, self._clock, escrows.due_to_release, self._release_all
        )

    async def _release_all(self, conn: Connection, due: Sequence[Escrow], now: datetime) -> None:
        found = [endings.release(escrow, Event.RELEASE, By(Actor.TIMER)) for escrow in due]
        payouts = await endings.finish(conn, found, self._payouts, now)
        told: list[Notice] = []
        for escrow in due:
            values = {**_about(escrow), "gets": _gets(escrow)}
            hers = {**values, "payout": _payout(payouts, escrow, "seller")}
            cause = f"release:{escrow.id}"
            told += [
                Notice(cause, "auto_released", escrow.seller_telegram_id, hers, escrow.id),
                Notice(cause, "auto_released_buyer", _buyer(escrow), values, escrow.id),
            ]
        await outbox.queue(conn, told, now)

    async def refund_due(self) -> tuple[int, int]:
        """The sweep behind `ship_by`: gives back what nobody sent, and flags the seller, once per
        deal. (looked at, done).
        """
        return await sweep("refund", self._db, self._clock, escrows.due_to_refund, self._refund_all)

    async def _refund_all(self, conn: Connection, due: Sequence[Escrow], now: datetime) -> None:
        found = [endings.refund(escrow, Event.REFUND, By(Actor.TIMER)) for escrow in due]
        payouts = await endings.finish(conn, found, self._payouts, now)
        told: list[Notice] = []
        for escrow in due:
            await raise_flag(
                conn,
                self._admins,
                escrow.seller_telegram_id,
                user_type="seller",
                flag_type="unshipped_order",
                severity="MEDIUM",
                escrow_id=escrow.id,
                rule="not sent in time",
                deals=[escrow.id],
                now=now,
            )
            values = {**_about(escrow), "returned": str(endings.whole(escrow))}
            his = {**values, "payout": _payout(payouts, escrow, "buyer")}
            cause, seller = f"refund:{escrow.id}", escrow.seller_telegram_id
            told += [
                Notice(cause, "auto_refunded", _buyer(escrow), his, escrow.id),
                Notice(cause, "auto_refunded_seller", seller, values, escrow.id),
            ]
        await outbox.queue(conn, told, now)
        await propose_suspensions(conn, self._admins, due, self._terms, now)


def _one_line(text: str) -> str:
    return " ".join(text.replace("\x00", "").split())


def _about(escrow: Escrow) -> dict[str, Any]:
    """What every notice names of a deal."""
    return {"code": escrow.id, "description": escrow.description, "shop": escrow.shop_name}


def _gets(escrow: Escrow) -> str:
    return str(escrow.held_price)


def _payout(payouts: _Payouts, escrow: Escrow, leg: str) -> dict[str, str] | None:
    return endings.payout_values(payouts.get((escrow.id, leg)))


def _buyer(escrow: Escrow) -> int:
    """A funded deal has one."""
    assert escrow.buyer_telegram_id is not None  # noqa: S101 PostgreSQL checks it
    return escrow.buyer_telegram_id
