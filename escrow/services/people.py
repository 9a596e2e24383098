"""Who uses Amana: people, the dialogues they are in, and sellers' accounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from escrow.domain.errors import InvalidInput, NotAllowed, NotFound
from escrow.domain.flow import Actor
from escrow.domain.model import (
    By,
    Card,
    JudgedBy,
    Notice,
    OpenDeals,
    PendingSeller,
    Person,
    Seller,
    SellerChange,
    SellerStatus,
)
from escrow.domain.payouts import Payout
from escrow.domain.phone import is_msisdn, mask
from escrow.services.payout_guards import take_back
from escrow.services.ports import Clock
from escrow.store import escrows, outbox, payouts, people, sellers
from escrow.store.database import Connection, Database

SHOP_NAME_CHARS: Final = 60
REASON_CHARS: Final = 500


@dataclass(frozen=True, slots=True)
class Standing:
    """A seller as admins judge him: who decided what before (`history`, newest first), his deals
    that are not over, and what is on its way to him.
    """

    seller: Seller
    judged: JudgedBy
    history: tuple[SellerChange, ...]
    deals: tuple[OpenDeals, ...]
    payouts: tuple[Payout, ...]

    @property
    def suspended(self) -> bool:
        return self.seller.status is SellerStatus.SUSPENDED

    @property
    def first_verified(self) -> SellerChange | None:
        """What let him in."""
        verified = (one for one in reversed(self.history) if one.status is SellerStatus.VERIFIED)
        return next(verified, None)

    def by_cause(self, cause: str) -> SellerChange | None:
        """What that cause made of him."""
        return next((one for one in self.history if one.cause == cause), None)


class People:
    """People and sellers."""

    def __init__(self, database: Database, clock: Clock, admins: Sequence[int]) -> None:
        self._db = database
        self._clock = clock
        self._admins = tuple(admins)

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

    async def set_language(self, telegram_id: int, language: str) -> None:
        """`en` or `sw`, from now on. `InvalidInput`."""
        if language not in ("en", "sw"):
            raise InvalidInput
        async with self._db.unit() as conn:
            await people.set_language(conn, telegram_id, language)

    async def person(self, telegram_id: int) -> Person | None:
        """Whoever wrote to the bot before, or None."""
        async with self._db.reading() as conn:
            return await people.person(conn, telegram_id)

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
        name = _shop_name(shop_name)
        now = self._clock.now()
        async with self._db.unit() as conn:
            row = await people.insert_seller(conn, telegram_id, name, msisdn, now)
            seller = await people.seller_of(conn, telegram_id)
            assert seller is not None  # noqa: S101 inserted now or before
            if row is not None:
                await _history(conn, seller, By(Actor.SELLER, telegram_id), "registered", now)
                await self._tell_admins(conn, seller, f"seller:{row}", now)
                person = await people.person(conn, telegram_id)
                own = person.phone if person and person.phone_is_contact else None
                if own is not None and own != msisdn:
                    await _tell_number(conn, seller, own, now)
        return seller

    async def rename_shop(self, telegram_id: int, shop_name: str) -> Seller:
        """Another name for one's shop, while it waits for an admin; the admins hear of it. What
        was verified keeps its name: `NotAllowed`. `NotFound`, `InvalidInput`.
        """
        name = _shop_name(shop_name)
        now = self._clock.now()
        async with self._db.unit() as conn:
            seller = await _own_shop(conn, telegram_id)
            if seller.shop_name != name and seller.status is not SellerStatus.PENDING:
                raise NotAllowed("shop_name_fixed", shop=seller.shop_name)
            if await people.rename_shop(conn, seller.id, name):
                seller = await _own_shop(conn, telegram_id)
                await _history(conn, seller, By(Actor.SELLER, telegram_id), "renamed", now)
                cause = f"seller:{seller.id}:{now.isoformat()}"
                await self._tell_admins(conn, seller, cause, now)
        return seller

    async def _tell_admins(
        self, conn: Connection, seller: Seller, cause: str, now: datetime
    ) -> None:
        values = {"id": seller.id, "shop": seller.shop_name, "telegram_id": seller.telegram_id}
        notices = [Notice(cause, "seller_waits", admin, values) for admin in self._admins]
        await outbox.queue(conn, notices, now)

    async def change_payout_phone(self, telegram_id: int, msisdn: str) -> tuple[Seller, bool]:
        """Another number for payouts, which then rest for a day (`payout_phone_since`); told to
        the seller's chat, in case it was not he. What rests on its way to the old one comes back.
        (seller, whether it changed). `NotFound`, `InvalidInput`.
        """
        if not is_msisdn(msisdn):
            raise InvalidInput("phone")
        now = self._clock.now()
        async with self._db.unit() as conn:
            before = await _own_shop(conn, telegram_id)
            changed = await people.change_payout_phone(conn, before.id, msisdn, now)
            seller = await _own_shop(conn, telegram_id)
            if changed:
                old, new = mask(before.payout_phone), mask(msisdn)
                reason = f"payout number {old} -> {new}"
                await _history(conn, seller, By(Actor.SELLER, telegram_id), reason, now)
                await _tell_number(conn, seller, before.payout_phone, now)
                await take_back(conn, telegram_id, before.payout_phone, now)
        return seller, changed

    async def seller_of(self, telegram_id: int) -> Seller | None:
        async with self._db.reading() as conn:
            return await people.seller_of(conn, telegram_id)

    async def seller(self, seller_id: int) -> Seller:
        """`NotFound`."""
        async with self._db.reading() as conn:
            found = await people.seller(conn, seller_id)
        if found is None:
            raise NotFound("no_seller", number=seller_id)
        return found

    async def verify_seller(
        self, number: int, admin: int, cause: str | None = None, *, lift: bool = True
    ) -> tuple[Seller, bool]:
        """Verifies a seller, by row id or Telegram id, lifts a suspension (a card that is older
        than the suspension does not: `lift` False), and makes his waiting deals payable. (seller,
        whether this cause did so). `NotFound`, `NotAllowed`.
        """
        now = self._clock.now()

        async def work(conn: Connection) -> tuple[Seller, bool]:
            before = await _judged(conn, number, admin)
            if cause is not None and await sellers.change_by_cause(conn, before.id, cause):
                return before, True
            if before.status is SellerStatus.SUSPENDED and not lift:
                judged = await sellers.judged(conn, before.id)
                raise NotAllowed(
                    "seller_is_suspended",
                    shop=before.shop_name,
                    seller=before.id,
                    by=judged.suspended_by,
                    name=judged.suspended_name,
                    at=judged.suspended_at,
                )
            if not await people.verify_seller(conn, before.id, admin, now):
                return before, False
            seller = await _read(conn, before.id)
            lifted = before.status is SellerStatus.SUSPENDED
            reason = "lifted" if lifted else "verified"
            await _history(conn, seller, By(Actor.ADMIN, admin), reason, now, cause)
            opened = await escrows.start_paying(conn, seller.id, now)
            notice = Notice(
                f"verified:{seller.id}:{now.isoformat()}",
                "seller_restored" if lifted else "seller_verified",
                seller.telegram_id,
                {"shop": seller.shop_name, "codes": opened},
            )
            await outbox.queue(conn, [notice], now)
            return seller, True

        return await self._db.run(work)

    async def suspend_seller(
        self, number: int, admin: int, reason: str, cause: str | None = None
    ) -> tuple[Seller, bool]:
        """Suspends a seller, by row id or Telegram id: no new deals, unpaid ones can't be paid,
        funded ones go on, payouts wait. He is told the reason. (seller, whether this cause did
        so). `NotFound`, `NotAllowed`, `InvalidInput` without a reason.
        """
        why = " ".join(reason.replace("\x00", "").split())
        if not 1 <= len(why) <= REASON_CHARS:
            raise InvalidInput("suspension_reason", maximum=REASON_CHARS)
        now = self._clock.now()

        async def work(conn: Connection) -> tuple[Seller, bool]:
            before = await _judged(conn, number, admin)
            if cause is not None and await sellers.change_by_cause(conn, before.id, cause):
                return before, True
            if not await people.suspend_seller(conn, before.id, admin, why, now):
                return before, False
            seller = await _read(conn, before.id)
            await _history(conn, seller, By(Actor.ADMIN, admin), why, now, cause)
            told = f"suspended:{seller.id}:{now.isoformat()}"
            values = {"shop": seller.shop_name, "reason": why}
            notice = Notice(told, "seller_suspended", seller.telegram_id, values)
            await outbox.queue(conn, [notice], now)
            return seller, True

        return await self._db.run(work)

    async def judged_by(self, number: int, admin: int) -> Standing:
        """A seller, by row id or Telegram id, whom this admin may decide about: what was decided
        before, and what hangs on it. `NotFound`, `NotAllowed`.
        """
        async with self._db.reading() as conn:
            seller = await _found(conn, number, admin)
            return Standing(
                seller,
                await sellers.judged(conn, seller.id),
                tuple(await sellers.history(conn, seller.id)),
                tuple(await sellers.open_deals(conn, seller.id)),
                tuple(await payouts.of_person(conn, seller.telegram_id)),
            )

    async def pending_sellers(self, offset: int, limit: int) -> tuple[list[PendingSeller], int]:
        """Who waits for an admin, oldest first; and how many they are."""
        async with self._db.reading() as conn:
            count = await sellers.pending_count(conn)
            return await sellers.pending(conn, offset, limit), count

    async def cards_of(self, standing: Standing) -> list[Card]:
        """Where the admins read that this seller waits."""
        row = standing.seller.id
        renamed = [one.at for one in standing.history if one.reason == "renamed"]
        async with self._db.reading() as conn:
            causes = [f"seller:{row}", *(f"seller:{row}:{at.isoformat()}" for at in renamed)]
            return await sellers.cards(conn, causes)

    # -- menus -----------------------------------------------------------------------------------

    async def admin_menus(self) -> list[int]:
        """Whose menu shows the admins' commands."""
        async with self._db.reading() as conn:
            return await sellers.menus(conn)

    async def keep_menu(self, chat_id: int, *, shown: bool) -> None:
        """Whether that chat's menu shows the admins' commands from now on."""
        async with self._db.unit() as conn:
            if shown:
                await sellers.add_menu(conn, chat_id, self._clock.now())
            else:
                await sellers.drop_menu(conn, chat_id)


def _shop_name(typed: str) -> str:
    name = " ".join(typed.split())
    if not 2 <= len(name) <= SHOP_NAME_CHARS:
        raise InvalidInput("shop_name", maximum=SHOP_NAME_CHARS)
    return name


async def _own_shop(conn: Connection, telegram_id: int) -> Seller:
    """One's own account, locked. `NotFound`."""
    found = await people.seller_of(conn, telegram_id)
    if found is None:
        raise NotFound("not_a_seller")
    locked = await people.seller(conn, found.id, lock=True)
    assert locked is not None  # noqa: S101 sellers are never deleted
    return locked


async def _found(conn: Connection, number: int, admin: int) -> Seller:
    """The seller that an admin names; nobody judges himself. `NotFound`, `NotAllowed`."""
    found = await people.seller(conn, number) or await people.seller_of(conn, number)
    if found is None:
        raise NotFound("no_seller", number=number)
    if found.telegram_id == admin:
        raise NotAllowed("own_seller")
    return found


async def _judged(conn: Connection, number: int, admin: int) -> Seller:
    """The same, locked."""
    found = await _found(conn, number, admin)
    return await _read(conn, found.id, lock=True)


async def _read(conn: Connection, seller_id: int, *, lock: bool = False) -> Seller:
    seller = await people.seller(conn, seller_id, lock=lock)
    assert seller is not None  # noqa: S101 sellers are never deleted
    return seller


async def _tell_number(conn: Connection, seller: Seller, before: str, now: datetime) -> None:
    """His chat hears that his money goes to another number, in case it was not he who said so."""
    old, new = mask(before), mask(seller.payout_phone)
    cause = f"payout_phone:{seller.id}:{now.isoformat()}"
    values = {"shop": seller.shop_name, "old": old, "new": new}
    notice = Notice(cause, "payout_number_changed", seller.telegram_id, values)
    await outbox.queue(conn, [notice], now)


async def _history(
    conn: Connection, seller: Seller, by: By, reason: str, now: datetime, cause: str | None = None
) -> None:
    await people.add_seller_history(conn, seller.id, seller.status, str(by), reason, now, cause)
