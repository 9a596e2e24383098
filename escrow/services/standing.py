"""What sellers have shown so far, counted each night and kept on their rows; whose level changes is
told. Pages that people read count for themselves, so that they never show yesterday's figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Final

from escrow.domain.model import Notice
from escrow.domain.terms import Level
from escrow.services.batches import BATCH, Tally, in_batches
from escrow.services.ports import Clock
from escrow.store import outbox, ratings
from escrow.store.database import Connection, Database
from escrow.store.ratings import Counted, Kept, Standing

UNDER_WAY: Final = timedelta(hours=1)
"""A unit of work takes a minute at most: the last count has seen all that is older than this."""
_RANK: Final = {level: rank for rank, level in enumerate(Level)}


class Standings:
    """Counts the sellers to whose deals or stars something happened since the last count."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._db = database
        self._clock = clock

    async def count(self) -> Tally:
        """Average, success rate, dispute rate, sales and level of every seller who needs it."""
        return await in_batches("ratings", self._db, _changed, self._count)

    async def _count(self, conn: Connection, sellers: Sequence[int]) -> int:
        before = await ratings.lock_levels(conn, sellers)
        now = self._clock.now()
        found = await ratings.standings(conn, sellers)
        disputed = await ratings.disputed(conn, sellers)
        await ratings.keep(
            conn,
            [_kept(one.id, found[one.id], *disputed.get(one.id, (0, 0))) for one in before],
            now,
        )
        at = now.isoformat()
        told = [
            _notice(one, found[one.id], at) for one in before if found[one.id].level != one.level
        ]
        await outbox.queue(conn, told, now)
        return len(before)


async def _changed(conn: Connection, after: int | None) -> list[int]:
    last = after or 0
    while rows := await ratings.next_sellers(conn, last, BATCH, UNDER_WAY):
        changed = [seller for seller, is_changed in rows if is_changed]
        if changed:
            return changed
        last = rows[-1][0]
    return []


def _kept(seller: int, found: Standing, paid: int, disputed: int) -> Kept:
    return Kept(
        id=seller,
        average=_two_digits(found.average),
        success=_percent(found.success),
        disputed=_percent(Fraction(disputed, paid) if paid else None),
        sales=found.sales,
        level=found.level,
    )


def _percent(share: Fraction | None) -> Decimal | None:
    return _two_digits(share * 100 if share is not None else None)


def _two_digits(value: Fraction | None) -> Decimal | None:
    """Cut, not rounded: 4.996 stars are not 5."""
    if value is None:
        return None
    return Decimal(value.numerator * 100 // value.denominator) / 100


def _notice(seller: Counted, found: Standing, at: str) -> Notice:
    rises = _RANK[found.level] > _RANK[seller.level]
    average = _two_digits(found.average)
    values = {
        "shop": seller.shop_name,
        "level": str(found.level),
        "before": str(seller.level),
        "sales": found.sales,
        "stars": None if average is None else str(average),
        "lost": found.lost,
    }
    kind = "level_up" if rises else "level_down"
    return Notice(f"level:{seller.id}:{at}", kind, seller.telegram_id, values)
