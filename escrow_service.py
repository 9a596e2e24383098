"""The life of a deal: one method per event of FLOW. Money that arrives is the fund manager's.

Every method is one transaction: lock, decide by FLOW, write, timeline, notices, commit. A repeat
of the same `cause` gets the first answer; an illegal move is `IllegalMove`, somebody else's deal
`NotAllowed`, a lost race `EscrowMoved`.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

from escrow.domain import codes, flow
from escrow.domain.errors import DatabaseDown, InvalidInput, LimitReached, NotAllowed, NotFound
from escrow.domain.flow import Actor, Event
from escrow.domain.model import By, Escrow, Notice, Person, Seller, SellerStatus
from escrow.domain.money import Currency, Money
from escrow.domain.terms import FeePayer, Quote, Terms
from escrow.services import postings
from escrow.services.ports import Clock
from escrow.store import escrows, ledger, outbox, payments, people
from escrow.store.database import Connection, Database

_LOG: Final = logging.getLogger(__name__)
DESCRIPTION_CHARS: Final = 200
SHOP_NAME_CHARS: Final = 60
_BATCH: Final = 100


@dataclass(frozen=True, slots=True)
class DealView:
    """A deal as one person sees it: `role` is buyer, seller or guest."""

    escrow: Escrow
    role: str
    wallet: Money
    reserved_by_other: bool
    choice_open_until: datetime | None = None
    choice_id: int | None = None


class EscrowService:
    """Sellers, deals and their events."""

    def __init__(
        self, database: Database, clock: Clock, platform: Terms, admins: Sequence[int]
    ) -> None:
        self._db = database
        self._clock = clock
        self._terms = platform
        self._admins = tuple(admins)

    # -- people ----------------------------------------------------------------------------------

    async def seen(
        self, telegram_id: int, first_name: str, username: str | None, language: str
    ) -> Person:
        """Somebody wrote to the bot; returns what is known of him."""
        async with self._db.unit() as conn:
            await people.seen(
                conn,
                telegram_id,
                first_name[:100],
                username,
                "sw" if language.startswith("sw") else "en",
                self._clock.now(),
            )
            person = await people.person(conn, telegram_id)
        assert person is not None  # noqa: S101 just written
        return person

    async def set_phone(self, telegram_id: int, msisdn: str, *, is_contact: bool) -> None:
        """Keeps a person's M-Pesa number (twelve digits)."""
        async with self._db.unit() as conn:
            await people.set_phone(conn, telegram_id, msisdn, is_contact=is_contact)

    async def blocked(self, telegram_id: int) -> None:
        """Telegram says that he blocked the bot; his next message undoes it."""
        async with self._db.unit() as conn:
            await people.unreachable(conn, telegram_id, self._clock.now())

    async def conversation(self, telegram_id: int) -> tuple[str, dict[str, Any]] | None:
        """The dialogue a person is in: (step, what he said so far)."""
        async with self._db.reading() as conn:
            return await people.conversation(conn, telegram_id)

    async def set_conversation(
        self, telegram_id: int, step: str | None, data: Mapping[str, Any] | None = None
    ) -> None:
        """Moves a dialogue on; None ends it."""
        async with self._db.unit() as conn:
            if step is None:
                await people.end_conversation(conn, telegram_id)
            else:
                await people.set_conversation(
                    conn, telegram_id, step, data or {}, self._clock.now()
                )

    # -- sellers ---------------------------------------------------------------------------------

    async def register_seller(self, telegram_id: int, shop_name: str, msisdn: str) -> Seller:
        """A new seller waits for an admin; the admins hear of it. The same person again gets his
        account as it is.
        """
        name = " ".join(shop_name.split())
        if not 2 <= len(name) <= SHOP_NAME_CHARS:
            raise InvalidInput("shop_name", maximum=SHOP_NAME_CHARS)
        now = self._clock.now()
        async with self._db.unit() as conn:
            row = await people.insert_seller(conn, telegram_id, name, msisdn, now)
            seller = await people.seller_of(conn, telegram_id)
            assert seller is not None  # noqa: S101 inserted now or before
            if row is not None:
                by = str(By(Actor.SELLER, telegram_id))
                await people.add_seller_history(
                    conn, row, SellerStatus.PENDING, by, "registered", now
                )
                await outbox.queue(
                    conn,
                    [
                        Notice(
                            f"seller:{row}",
                            "seller_waits",
                            admin,
                            {"id": row, "shop": name, "telegram_id": telegram_id},
                        )
                        for admin in self._admins
                    ],
                    now,
                )
        return seller

    async def seller_of(self, telegram_id: int) -> Seller | None:
        async with self._db.reading() as conn:
            return await people.seller_of(conn, telegram_id)

    async def verify_seller(self, number: int, admin: int) -> tuple[Seller, bool]:
        """Verifies a seller, by row id or Telegram id, lifts a suspension, and makes his waiting
        deals payable. (seller, whether anything changed). `NotFound`.
        """
        now = self._clock.now()
        async with self._db.unit() as conn:
            found = await people.seller(conn, number) or await people.seller_of(conn, number)
            if found is None:
                raise NotFound("no_seller", number=number)
            if found.telegram_id == admin:
                raise NotAllowed("own_seller")
            locked = await people.seller(conn, found.id, lock=True)
            assert locked is not None  # noqa: S101 sellers are never deleted
            changed = await people.verify_seller(conn, found.id, admin, now)
            if changed:
                reason = "lifted" if locked.status is SellerStatus.SUSPENDED else "verified"
                by = str(By(Actor.ADMIN, admin))
                await people.add_seller_history(
                    conn, found.id, SellerStatus.VERIFIED, by, reason, now
                )
                opened = await escrows.start_paying(conn, found.id, now)
                await outbox.queue(
                    conn,
                    [
                        Notice(
                            f"verified:{found.id}:{now.isoformat()}",
                            "seller_verified",
                            found.telegram_id,
                            {"shop": found.shop_name, "codes": opened},
                        )
                    ],
                    now,
                )
            seller = await people.seller(conn, found.id)
            assert seller is not None  # noqa: S101 sellers are never deleted
        return seller, changed

    # -- opening and reading ---------------------------------------------------------------------

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
    ) -> Escrow:
        """A seller opens a deal for whoever gets the link. Payable at once when he is verified.

        `NotFound` when he is no seller, `NotAllowed` when suspended, `LimitReached` at a cap.
        """
        text = " ".join(description.split())
        if not 1 <= len(text) <= DESCRIPTION_CHARS:
            raise InvalidInput("description", maximum=DESCRIPTION_CHARS)
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
                code=codes.new_code(secrets.randbelow),
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
            return await escrows.get(conn, code)

        return await self._db.run(work)

    async def _new_seller_limits(self, conn: Connection, seller: Seller, price: Money) -> None:
        limit = self._terms.new_seller_open_deals
        if not limit:
            return
        if await people.completed_deals(conn, seller.id) >= self._terms.new_seller_until:
            return
        if await escrows.open_deals_of_seller(conn, seller.id) >= limit:
            raise LimitReached("new_seller_deals", limit=limit, until=self._terms.new_seller_until)
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
        code = codes.read_code(typed)
        if code is None:
            raise NotFound("no_deal", code=typed[:20])
        now = self._clock.now()
        async with self._db.reading() as conn:
            escrow = await escrows.get(conn, code)
            role = _role(escrow, telegram_id)
            if role == "guest" and not admin and escrow.buyer_telegram_id is not None:
                raise NotFound("no_deal", code=code)
            reservation = await payments.reservation(conn, code, now)
            wallet = await ledger.balance(conn, "wallet", str(telegram_id), escrow.currency)
            choice = await payments.open_choice(conn, code)
        mine = choice is not None and choice.telegram_id == telegram_id
        return DealView(
            escrow=escrow,
            role=role,
            wallet=wallet,
            reserved_by_other=reservation is not None and reservation[0] != telegram_id,
            choice_open_until=choice.expires_at if choice and mine else None,
            choice_id=choice.id if choice and mine else None,
        )

    async def deals(self, telegram_id: int) -> list[tuple[Escrow, str]]:
        """A person's deals, newest first, with his role."""
        async with self._db.reading() as conn:
            return [
                (escrow, _role(escrow, telegram_id))
                for escrow in await escrows.deals_of(conn, telegram_id)
            ]

    async def wallet(self, telegram_id: int) -> Mapping[str, Any]:
        """available, held in deals, last entries."""
        async with self._db.reading() as conn:
            return {
                "available": await ledger.wallets(conn, telegram_id),
                "held": await ledger.held_in_deals(conn, telegram_id),
                "entries": await ledger.wallet_entries(conn, telegram_id),
            }

    # -- events ----------------------------------------------------------------------------------

    async def cancel(self, typed: str, telegram_id: int) -> Escrow:
        """A party ends a deal that was not funded; undecided money goes to the buyer's wallet."""

        async def work(conn: Connection) -> Escrow:
            escrow = await _locked(conn, typed)
            by = _party(escrow, telegram_id)
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

    async def decline(self, typed: str, telegram_id: int) -> Escrow:
        """The seller won't send: everything held goes to the buyer's wallet (REFUNDED)."""

        async def work(conn: Connection) -> Escrow:
            escrow = await _locked(conn, typed)
            now = self._clock.now()
            by = _party(escrow, telegram_id)
            edge = flow.next_edge(escrow.status, Event.DECLINE, by.actor)
            held, fee, buyer = escrow.held_price, escrow.held_fee, escrow.buyer_telegram_id
            assert held is not None  # noqa: S101 HELD deals hold, PostgreSQL checks it
            assert fee is not None  # noqa: S101
            assert buyer is not None  # noqa: S101
            await ledger.post(conn, [postings.refunded(escrow.id, buyer, held, fee, now)])
            await escrows.settle(
                conn,
                [escrows.Settlement(escrow.id, Event.DECLINE, 0, (held + fee).minor, 0, now)],
            )
            await escrows.move(conn, [escrows.Move(escrow.id, edge, by, now)])
            await outbox.queue(
                conn,
                [
                    Notice(
                        f"decline:{escrow.id}",
                        "declined",
                        buyer,
                        {
                            "code": escrow.id,
                            "shop": escrow.shop_name,
                            "description": escrow.description,
                            "returned": str(held + fee),
                        },
                        escrow.id,
                    )
                ],
                now,
            )
            return await escrows.get(conn, escrow.id)

        return await self._db.run(work)

    async def cancel_overdue(self) -> tuple[int, int]:
        """The sweep behind `pay_by`: ends deals nobody paid, all in one unit, one by one when that
        fails. (looked at, done).
        """
        now = self._clock.now()

        async def work(conn: Connection, only: Sequence[str] | None = None) -> int:
            due = await escrows.due_to_cancel(conn, now, _BATCH, only)
            for code in due:
                await self._cancel(conn, await escrows.lock(conn, code), By(Actor.TIMER))
            return len(due)

        try:
            done = await self._db.run(work)
        except DatabaseDown:
            raise
        except Exception:  # noqa: BLE001 one bad row must not stop the others
            _LOG.exception("overdue deals are ended one by one", extra={"action": "batch_failed"})
        else:
            return done, done
        async with self._db.unit() as conn:
            due = await escrows.due_to_cancel(conn, now, _BATCH)
        done = 0
        for code in due:
            try:
                done += await self._db.run(partial(work, only=[code]))
            except DatabaseDown:
                raise
            except Exception:  # noqa: BLE001
                _LOG.exception(
                    "an overdue deal could not be ended",
                    extra={"action": "cancel_failed", "escrow": code},
                )
        return len(due), done


def _role(escrow: Escrow, telegram_id: int) -> str:
    if telegram_id == escrow.seller_telegram_id:
        return "seller"
    return "buyer" if telegram_id == escrow.buyer_telegram_id else "guest"


def _party(escrow: Escrow, telegram_id: int) -> By:
    """Who this is on that deal; a stranger learns no more than that there is nothing for him."""
    role = _role(escrow, telegram_id)
    if role == "guest":
        raise NotFound("no_deal", code=escrow.id)
    return By(Actor(role), telegram_id)


async def _locked(conn: Connection, typed: str) -> Escrow:
    code = codes.read_code(typed)
    if code is None:
        raise NotFound("no_deal", code=typed[:20])
    return await escrows.lock(conn, code)
