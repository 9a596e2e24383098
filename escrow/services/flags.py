"""Flags: raised in one place, told to the admins at once where they are grave, reviewed once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from escrow.domain.errors import InvalidInput, NotAllowed, NotFound
from escrow.domain.model import Escrow, FraudFlag, Notice, SellerStatus
from escrow.domain.terms import Terms
from escrow.services.ports import Clock
from escrow.store import flags, outbox, people
from escrow.store.database import Connection, Database

NOTES_CHARS: Final = 500
AT_ONCE: Final = frozenset({"HIGH", "CRITICAL"})
"""The admins hear of these when they are raised; the others wait in the list."""
_DEALS_TOLD: Final = 10


async def raise_flag(
    conn: Connection,
    admins: Sequence[int],
    telegram_id: int,
    *,
    user_type: str,
    flag_type: str,
    severity: str,
    escrow_id: str | None,
    rule: str,
    deals: Sequence[str],
    now: datetime,
) -> int | None:
    """Flags a person; None when the same flag is open already. A HIGH or CRITICAL one is before
    the admins at once, but not before the one whom it is about.
    """
    row = await flags.insert(
        conn,
        telegram_id,
        user_type=user_type,
        flag_type=flag_type,
        severity=severity,
        escrow_id=escrow_id,
        rule=rule,
        deals=deals,
        now=now,
    )
    if row is None or severity not in AT_ONCE:
        return row
    flag = await flags.one(conn, row)
    assert flag is not None  # noqa: S101 inserted now
    values = {
        "flag": row,
        "severity": severity,
        "user_type": user_type,
        "flag_type": flag_type,
        "rule": rule,
        "deals": list(deals[:_DEALS_TOLD]),
        **_person(flag),
    }
    told = [Notice(f"flag:{row}", "flag_raised", admin, values) for admin in admins]
    await outbox.queue(conn, _for_others(told), now)
    return row


async def propose_suspensions(
    conn: Connection, admins: Sequence[int], late: Sequence[Escrow], terms: Terms, now: datetime
) -> None:
    """After these deals were not sent in time: whose sellers did so three times in 30 days are
    proposed for suspension (flow.md 18), once per sweep. Nobody is suspended by itself.
    """
    since = now - timedelta(days=terms.unshipped_days)
    for seller_id, telegram_id in sorted({(e.seller_id, e.seller_telegram_id) for e in late}):
        deals = await flags.unshipped_since(conn, telegram_id, since)
        seller = await people.seller(conn, seller_id)
        assert seller is not None  # noqa: S101 sellers are never deleted
        if (
            len(deals) < terms.unshipped_before_proposal
            or seller.status is not SellerStatus.VERIFIED
        ):
            continue
        values = {
            "seller": seller_id,
            "telegram_id": telegram_id,
            "shop": seller.shop_name,
            "count": len(deals),
            "days": terms.unshipped_days,
            "deals": deals[:_DEALS_TOLD],
        }
        cause = f"suspension:{seller_id}:{deals[0]}"
        told = [Notice(cause, "suspension_proposed", admin, values) for admin in admins]
        await outbox.queue(conn, _for_others(told), now)


def _for_others(told: Sequence[Notice]) -> list[Notice]:
    """Without the one whom it is about."""
    return [one for one in told if one.recipient != one.values["telegram_id"]]


def _person(flag: FraudFlag) -> dict[str, Any]:
    return {
        "telegram_id": flag.telegram_id,
        "name": flag.first_name,
        "shop": flag.shop_name,
        "seller": flag.suspendable,
    }


class Flags:
    """The list of flags, and their review."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._db = database
        self._clock = clock

    async def open_ones(self, offset: int, limit: int) -> tuple[list[FraudFlag], dict[str, int]]:
        """What nobody has reviewed, the worst and oldest first; and severity → how many."""
        async with self._db.reading() as conn:
            return await flags.open_ones(conn, offset, limit), await flags.open_counts(conn)

    async def open_one(self, flag_id: int, admin: int) -> FraudFlag:
        """A flag that this admin may review, reviewed before or not. `NotFound`; `NotAllowed` for
        one about himself.
        """
        async with self._db.reading() as conn:
            return await _reviewable(conn, flag_id, admin)

    async def review(
        self, flag_id: int, admin: int, notes: str | None, cause: str
    ) -> tuple[FraudFlag, bool]:
        """An admin has looked at it; what he found stays as it is. (flag, whether this cause
        reviewed it: False when it was reviewed before). `NotFound`, `NotAllowed`, `InvalidInput`.
        """
        words = " ".join((notes or "").replace("\x00", "").split())
        if len(words) > NOTES_CHARS:
            raise InvalidInput("flag_notes", maximum=NOTES_CHARS)
        now = self._clock.now()

        async def work(conn: Connection) -> tuple[FraudFlag, bool]:
            await _reviewable(conn, flag_id, admin)
            await flags.review(conn, flag_id, admin, words or None, cause, now)
            flag = await _reviewable(conn, flag_id, admin)
            return flag, flag.review_cause == cause

        return await self._db.run(work)


async def _reviewable(conn: Connection, flag_id: int, admin: int) -> FraudFlag:
    flag = await flags.one(conn, flag_id)
    if flag is None:
        raise NotFound("no_flag", number=flag_id)
    if flag.telegram_id == admin:
        raise NotAllowed("own_flag")
    return flag
