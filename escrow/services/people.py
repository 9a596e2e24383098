"""Who uses Amana: people, the dialogues they are in, and sellers' accounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from escrow.domain.errors import InvalidInput, NotAllowed, NotFound
from escrow.domain.flow import Actor
from escrow.domain.model import By, Notice, Person, Seller, SellerStatus
from escrow.services.ports import Clock
from escrow.store import escrows, outbox, people
from escrow.store.database import Database

SHOP_NAME_CHARS: Final = 60


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
