"""A deal before its money: opened, looked at, cancelled."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from escrow.domain import codes, flow
from escrow.domain.errors import (
    IllegalMove,
    InvalidInput,
    LimitReached,
    NotAllowed,
    NotFound,
)
from escrow.domain.flow import Actor, Event
from escrow.domain.model import By, Escrow, Media, Notice, Purpose, Seller, SellerStatus
from escrow.domain.money import Currency, Money
from escrow.domain.terms import FeePayer, Quote, Shares
from escrow.services import postings
from escrow.services.ratings import CHANGEABLE
from escrow.services.sweeps import sweep
from escrow.services.work import DealView, DealWork, locked, party_of, read_code, role_of
from escrow.store import disputes, escrows, ledger, outbox, payments, people, ratings, records
from escrow.store.database import Connection

DESCRIPTION_CHARS: Final = 200
_CODES: Final = 8
OPEN_PROPOSALS: Final = 5
"""What a buyer has proposed and nobody has answered; more would be a flood."""


class Opening(DealWork):
    """open, join, cancel, and looking at deals."""

    def quote(self, price: Money, fee_payer: FeePayer = FeePayer.BUYER) -> Quote:
        """Who would pay what. `LimitReached` outside the limits."""
        return self._terms.quote(price, fee_payer)

    async def open_deal(
        self,
        *,
        telegram_id: int,
        price: Money,
        description: str,
        cause: str,
        fee_payer: FeePayer = FeePayer.BUYER,
        photo: Media | None = None,
    ) -> Escrow:
        """A seller opens a deal for whoever gets the link. Payable at once when he is verified.

        `NotFound` when he is no seller, `NotAllowed` when suspended, `LimitReached` at a cap.
        """
        text = _described(description)
        quote = self._terms.quote(price, fee_payer)

        async def work(conn: Connection) -> Escrow:
            now = self._clock.now()
            seller = await people.seller_of(conn, telegram_id)
            if seller is None:
                raise NotFound("not_a_seller")
            locked = await people.seller(conn, seller.id, lock=True)
            assert locked is not None  # noqa: S101 sellers are never deleted
            opened = await escrows.opened_by(conn, cause)
            if opened is not None:
                return await escrows.get(conn, opened)
            if locked.status is SellerStatus.SUSPENDED:
                raise NotAllowed("seller_suspended")
            await self._new_seller_limits(conn, locked, price)
            payable = locked.status is SellerStatus.VERIFIED
            code = await escrows.insert(
                conn,
                codes=_codes(),
                cause=cause,
                seller_id=locked.id,
                seller_telegram_id=telegram_id,
                buyer_telegram_id=None,
                by=By(Actor.SELLER, telegram_id),
                description=text,
                quote=quote,
                fee_payer=fee_payer,
                terms=self._terms.deal_terms(price.currency),
                pay_by=now + self._terms.pay_window if payable else None,
                now=now,
            )
            if photo is not None:
                await records.insert(
                    conn,
                    code,
                    telegram_id,
                    Purpose.PHOTO,
                    replace(photo, words=""),
                    cause=f"photo:{code}",
                    now=now,
                )
            return await escrows.get(conn, code)

        return await self._db.run(work)

    # -- what buyers propose ---------------------------------------------------------------------

    async def propose(
        self,
        telegram_id: int,
        seller_id: int,
        price: Money,
        description: str,
        cause: str,
        fee_payer: FeePayer = FeePayer.BUYER,
    ) -> Escrow:
        """A buyer proposes a deal to a verified seller, who is asked. It can be paid once he has
        accepted. `NotFound`, `NotAllowed` for his own shop or one that can't sell, `LimitReached`.
        """
        text = _described(description)
        quote = self._terms.quote(price, fee_payer)

        async def work(conn: Connection) -> Escrow:
            now = self._clock.now()
            await people.lock_person(conn, telegram_id)
            opened = await escrows.opened_by(conn, cause)
            if opened is not None:
                return await escrows.get(conn, opened)
            seller = await self._open_to(conn, telegram_id, seller_id, price)
            code = await escrows.insert(
                conn,
                codes=_codes(),
                cause=cause,
                seller_id=seller.id,
                seller_telegram_id=seller.telegram_id,
                buyer_telegram_id=telegram_id,
                by=By(Actor.BUYER, telegram_id),
                description=text,
                quote=quote,
                fee_payer=fee_payer,
                terms=self._terms.deal_terms(price.currency),
                pay_by=None,
                now=now,
            )
            escrow = await escrows.get(conn, code)
            notice = Notice(
                f"proposal:{code}", "proposal", seller.telegram_id, _proposed(escrow), code
            )
            await outbox.queue(conn, [notice], now)
            return escrow

        return await self._db.run(work)

    async def accept(self, typed: str, telegram_id: int) -> Escrow:
        """The seller accepts what a buyer proposed: it can be paid from now on, and the buyer is
        told. Accepted before: as it is. `NotFound`, `NotAllowed`, `IllegalMove`, `LimitReached`.
        """

        async def work(conn: Connection) -> Escrow:
            escrow = await locked(conn, typed)
            by = _asked(escrow, telegram_id)
            edge = flow.next_edge(escrow.status, Event.JOIN, by.actor)
            if escrow.joined_at is not None:
                return escrow
            seller = await people.seller(conn, escrow.seller_id, lock=True)
            assert seller is not None  # noqa: S101 sellers are never deleted
            if seller.status is not SellerStatus.VERIFIED:
                raise NotAllowed("seller_suspended")
            await self._new_seller_limits(conn, seller, escrow.price)
            now = self._clock.now()
            await escrows.move(conn, [escrows.Move(escrow.id, edge, by, now)])
            await escrows.start_paying_deal(conn, escrow.id, now)
            accepted = await escrows.get(conn, escrow.id)
            assert escrow.buyer_telegram_id is not None  # noqa: S101 he proposed it
            assert accepted.pay_by is not None  # noqa: S101 set just now
            values = {**_proposed(accepted), "pay_by": accepted.pay_by.isoformat()}
            cause, to = f"proposal:{escrow.id}", escrow.buyer_telegram_id
            notice = Notice(cause, "proposal_accepted", to, values, escrow.id)
            await outbox.queue(conn, [notice], now)
            return accepted

        return await self._db.run(work)

    async def refuse(self, typed: str, telegram_id: int) -> Escrow:
        """The seller refuses what a buyer proposed: it is over, and the buyer is told. `NotFound`,
        `IllegalMove` when it was accepted or is over.
        """

        async def work(conn: Connection) -> Escrow:
            escrow = await locked(conn, typed)
            by = _asked(escrow, telegram_id)
            if escrow.joined_at is not None:
                raise IllegalMove("proposal_answered", code=escrow.id)
            await self._cancel(conn, escrow, by)
            return await escrows.get(conn, escrow.id)

        return await self._db.run(work)

    async def again(self, typed: str, telegram_id: int) -> Escrow:
        """A deal of this person that may be opened once more: one that is over. `NotFound`,
        `IllegalMove`.
        """
        async with self._db.reading() as conn:
            escrow = await escrows.get(conn, read_code(typed))
        party_of(escrow, telegram_id)
        if escrow.finished_at is None:
            raise IllegalMove("not_over", code=escrow.id)
        return escrow

    async def may_open(self, telegram_id: int, price: Money) -> None:
        """Says before a preview what `open_deal` would say after it. `NotFound`, `NotAllowed`,
        `LimitReached`.
        """
        async with self._db.reading() as conn:
            seller = await people.seller_of(conn, telegram_id)
            if seller is None:
                raise NotFound("not_a_seller")
            if seller.status is SellerStatus.SUSPENDED:
                raise NotAllowed("seller_suspended")
            await self._new_seller_limits(conn, seller, price)

    async def may_propose(
        self, telegram_id: int, seller_id: int, price: Money | None = None
    ) -> Seller:
        """The seller, if this person may propose him a deal (of that price). As `propose`."""
        async with self._db.reading() as conn:
            return await self._open_to(conn, telegram_id, seller_id, price)

    async def _open_to(
        self, conn: Connection, telegram_id: int, seller_id: int, price: Money | None
    ) -> Seller:
        seller = await people.seller(conn, seller_id)
        if seller is None:
            raise NotFound("no_shop")
        own = seller.telegram_id == telegram_id
        if own or await people.owns_number_of(conn, telegram_id, seller.id):
            raise NotAllowed("own_shop")
        if seller.status is not SellerStatus.VERIFIED:
            raise NotAllowed("shop_closed", shop=seller.shop_name)
        if price is not None:
            await self._new_seller_amount(conn, seller, price)
        if await escrows.open_proposals_of_buyer(conn, telegram_id) >= OPEN_PROPOSALS:
            raise LimitReached("too_many_proposals", limit=OPEN_PROPOSALS)
        return seller

    # -- limits ----------------------------------------------------------------------------------

    async def _is_new(self, conn: Connection, seller: Seller) -> bool:
        if not self._terms.new_seller_open_deals:
            return False
        return await people.completed_deals(conn, seller.id) < self._terms.new_seller_until

    async def _new_seller_limits(self, conn: Connection, seller: Seller, price: Money) -> None:
        limit = self._terms.new_seller_open_deals
        if not await self._is_new(conn, seller):
            return
        if await escrows.open_deals_of_seller(conn, seller.id) >= limit:
            raise LimitReached("new_seller_deals", limit=limit, until=self._terms.new_seller_until)
        await self._new_seller_amount(conn, seller, price)

    async def _new_seller_amount(self, conn: Connection, seller: Seller, price: Money) -> None:
        if not await self._is_new(conn, seller):
            return
        if price.currency is Currency.KES and price.minor > self._terms.new_seller_deal_max_minor:
            raise LimitReached(
                "new_seller_amount",
                maximum=Money(self._terms.new_seller_deal_max_minor, price.currency),
                until=self._terms.new_seller_until,
            )

    async def deal(self, typed: str, telegram_id: int, *, admin: bool = False) -> DealView:
        """A deal as this person may see it. A guest sees only one that still waits for a buyer;
        anything else is `NotFound`, whether it exists or not.
        """
        code = read_code(typed)
        now = self._clock.now()
        async with self._db.reading() as conn:
            escrow = await escrows.get(conn, code)
            role = role_of(escrow, telegram_id)
            if role == "guest" and not admin and escrow.buyer_telegram_id is not None:
                raise NotFound("no_deal", code=code)
            reservation = await payments.reservation(conn, code, now)
            wallet = await ledger.balance(conn, "wallet", str(telegram_id), escrow.currency)
            choice = await payments.open_choice(conn, code)
            person = await people.person(conn, telegram_id)
            dispute = await disputes.open_dispute_of(conn, code)
            withdrawn = dispute is not None and await disputes.withdrawn(conn, code)
            rated = await ratings.current(conn, code)
            shares = await escrows.settled(conn, [escrow]) if escrow.finished_at else {}
            photos = await records.of_deal(conn, code, (Purpose.PHOTO,))
        mine = choice is not None and choice.telegram_id == telegram_id
        return DealView(
            escrow=escrow,
            role=role,
            wallet=wallet,
            reserved_by_other=reservation is not None and reservation[0] != telegram_id,
            choice_open_until=choice.expires_at if choice and mine else None,
            choice_id=choice.id if choice and mine else None,
            phone=person.phone if person else None,
            dispute=dispute,
            withdrawn=withdrawn,
            stars=rated.stars if rated else None,
            may_rate=rated is None or now <= rated.first_at + CHANGEABLE,
            photo=photos[-1].media if photos else None,
            shares=shares.get(escrow.id),
            in_coins=self._in_coins(escrow.currency),
            by_mpesa=self._by_mpesa(escrow.currency),
        )

    async def deals(self, telegram_id: int) -> list[tuple[Escrow, str]]:
        """A person's deals with his role: those under way first, newest first."""
        async with self._db.reading() as conn:
            return [
                (escrow, role_of(escrow, telegram_id))
                for escrow in await escrows.deals_of(conn, telegram_id)
            ]

    async def settled(self, deals: Sequence[Escrow]) -> Mapping[str, Shares]:
        """Who got what of those of these deals that are over and held money."""
        async with self._db.reading() as conn:
            return await escrows.settled(conn, deals)

    async def cancel(self, typed: str, telegram_id: int) -> Escrow:
        """A party ends a deal that was not funded; undecided money goes to the buyer's wallet."""

        async def work(conn: Connection) -> Escrow:
            escrow = await locked(conn, typed)
            by = party_of(escrow, telegram_id)
            await self._cancel(conn, escrow, by)
            return await escrows.get(conn, escrow.id)

        return await self._db.run(work)

    async def _cancel(self, conn: Connection, escrow: Escrow, by: By) -> None:
        now = self._clock.now()
        edge = flow.next_edge(escrow.status, Event.CANCEL, by.actor)
        cause = f"cancel:{escrow.id}"
        if escrow.received and escrow.buyer_telegram_id is not None:
            await ledger.post(
                conn,
                [
                    postings.returned(
                        "cancel",
                        escrow.id,
                        escrow.id,
                        escrow.buyer_telegram_id,
                        escrow.received,
                        now,
                    )
                ],
            )
        await payments.void_choice(conn, escrow.id, now)
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
            "by": str(by.actor),
            "returned": str(escrow.received) if escrow.received else None,
        }
        told = {escrow.seller_telegram_id, escrow.buyer_telegram_id} - {None, by.telegram_id}
        await outbox.queue(
            conn,
            [
                Notice(cause, "cancelled", recipient, values, escrow.id)
                for recipient in sorted(person for person in told if person)
            ],
            now,
        )

    async def cancel_overdue(self) -> tuple[int, int]:
        """The sweep behind `pay_by`: ends deals nobody paid. (looked at, done)."""
        return await sweep("cancel", self._db, self._clock, escrows.due_to_cancel, self._cancel_all)

    async def _cancel_all(self, conn: Connection, due: Sequence[Escrow], now: datetime) -> None:
        for escrow in due:
            await self._cancel(conn, escrow, By(Actor.TIMER))


def _codes() -> list[str]:
    """Codes to choose from: with a million deals one in a thousand is taken already."""
    return [codes.new_code(secrets.randbelow) for _ in range(_CODES)]


def _described(typed: str) -> str:
    text = " ".join(typed.split())
    if not 1 <= len(text) <= DESCRIPTION_CHARS:
        raise InvalidInput("description", maximum=DESCRIPTION_CHARS)
    return text


def _asked(escrow: Escrow, telegram_id: int) -> By:
    """The seller whom a buyer has asked. `NotFound` for everybody else, and when nobody asked."""
    by = party_of(escrow, telegram_id)
    if by.actor is not Actor.SELLER or escrow.opened_by == telegram_id:
        raise NotFound("no_proposal", code=escrow.id)
    return by


def _proposed(escrow: Escrow) -> Mapping[str, Any]:
    return {
        "code": escrow.id,
        "description": escrow.description,
        "shop": escrow.shop_name,
        "due": str(escrow.due),
        "gets": str(escrow.due - escrow.fee),
    }
