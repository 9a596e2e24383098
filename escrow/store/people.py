"""People, sellers, flags and the dialogues they are in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from escrow.domain.model import Person, Seller, SellerStatus
from escrow.store import queries
from escrow.store.database import Connection, Row

_SQL: Final = queries.load("people")


def _person(row: Row) -> Person:
    return Person(
        telegram_id=row["telegram_id"],
        first_name=row["first_name"],
        username=row["username"],
        language=row["language"],
        phone=row["phone"],
        phone_is_contact=row["phone_is_contact"],
        unreachable_at=row["unreachable_at"],
    )


def _seller(row: Row) -> Seller:
    return Seller(
        id=row["id"],
        telegram_id=row["telegram_id"],
        shop_name=row["shop_name"],
        status=SellerStatus(row["status"]),
        payout_phone=row["payout_phone"],
        payout_phone_since=row["payout_phone_since"],
        suspension_reason=row["suspension_reason"],
    )


async def seen(
    conn: Connection,
    telegram_id: int,
    first_name: str,
    username: str | None,
    language: str,
    now: datetime,
) -> None:
    """Somebody wrote to the bot. The language is only taken the first time."""
    await conn.execute(_SQL["seen"], telegram_id, first_name, username, language, now)


async def person(conn: Connection, telegram_id: int) -> Person | None:
    row = await conn.fetchrow(_SQL["person"], telegram_id)
    return _person(row) if row else None


async def lock_person(conn: Connection, telegram_id: int) -> None:
    """What one person may do so many times is counted one after the other."""
    await conn.execute(_SQL["lock_person"], telegram_id)


async def set_phone(conn: Connection, telegram_id: int, phone: str, *, is_contact: bool) -> None:
    """Keeps a person's number; `is_contact`: Telegram vouches that it is his own. The
    same number again keeps being vouched for.
    """
    await conn.execute(_SQL["set_phone"], telegram_id, phone, is_contact)


async def set_language(conn: Connection, telegram_id: int, language: str) -> None:
    await conn.execute(_SQL["set_language"], telegram_id, language)


async def unreachable(conn: Connection, telegram_id: int, now: datetime) -> None:
    """Telegram says that he blocked the bot or never started it."""
    await conn.execute(_SQL["unreachable"], telegram_id, now)


async def started(conn: Connection, telegram_ids: Sequence[int]) -> set[int]:
    """Which of these have pressed Start and can be reached."""
    rows = await conn.fetch(_SQL["started"], list(telegram_ids))
    return {row["telegram_id"] for row in rows}


async def insert_seller(
    conn: Connection, telegram_id: int, shop_name: str, payout_phone: str, now: datetime
) -> int | None:
    """A new seller, waiting for an admin; None when this person is one already."""
    found = await conn.fetchval(_SQL["insert_seller"], telegram_id, shop_name, payout_phone, now)
    return None if found is None else int(found)


async def seller_of(conn: Connection, telegram_id: int) -> Seller | None:
    row = await conn.fetchrow(_SQL["seller_by_person"], telegram_id)
    return _seller(row) if row else None


async def seller(conn: Connection, seller_id: int, *, lock: bool = False) -> Seller | None:
    row = await conn.fetchrow(_SQL["lock_seller" if lock else "seller_by_id"], seller_id)
    return _seller(row) if row else None


async def verify_seller(conn: Connection, seller_id: int, admin: int, now: datetime) -> bool:
    """Verifies a pending or suspended seller; False when he is verified already."""
    return await conn.fetchval(_SQL["verify_seller"], seller_id, now, admin) is not None


async def suspend_seller(
    conn: Connection, seller_id: int, admin: int, reason: str, now: datetime
) -> bool:
    """Suspends a seller; False when he is suspended already."""
    return await conn.fetchval(_SQL["suspend_seller"], seller_id, now, admin, reason) is not None


async def rename_shop(conn: Connection, seller_id: int, shop_name: str) -> bool:
    """Another name for a shop that waits for an admin; False when that is over, or it is the
    same.
    """
    return await conn.fetchval(_SQL["rename_shop"], seller_id, shop_name) is not None


async def change_payout_phone(conn: Connection, seller_id: int, phone: str, now: datetime) -> bool:
    """Another payout number from now on; False when it is the same."""
    return await conn.fetchval(_SQL["change_payout_phone"], seller_id, phone, now) is not None


async def owns_number_of(conn: Connection, telegram_id: int, seller_id: int) -> bool:
    """Whether a person's number is the seller's, for payouts or as a buyer."""
    return bool(await conn.fetchval(_SQL["owns_number_of"], telegram_id, seller_id))


async def add_seller_history(
    conn: Connection,
    seller_id: int,
    status: SellerStatus,
    actor: str,
    reason: str,
    now: datetime,
    cause: str | None = None,
) -> None:
    """One line of a seller's history; `cause`: what an admin's command is known by."""
    await conn.execute(_SQL["add_seller_history"], seller_id, status, actor, reason, now, cause)


async def completed_deals(conn: Connection, seller_id: int) -> int:
    return int(await conn.fetchval(_SQL["completed_deals"], seller_id))


async def conversation(conn: Connection, telegram_id: int) -> tuple[str, dict[str, Any]] | None:
    """(step, data) of the dialogue a person is in."""
    row = await conn.fetchrow(_SQL["conversation"], telegram_id)
    return (row["step"], row["data"]) if row else None


async def set_conversation(
    conn: Connection, telegram_id: int, step: str, data: Mapping[str, Any], now: datetime
) -> None:
    await conn.execute(_SQL["set_conversation"], telegram_id, step, dict(data), now)


async def end_conversation(conn: Connection, telegram_id: int) -> None:
    await conn.execute(_SQL["end_conversation"], telegram_id)
