"""Whether M-Pesa holds what the books say, each time that it says what it holds.

What is under way may be in one of the two and not yet in the other, so a reading is off only by
what that can't explain; and a payment whose callback is lost is found within the hour. A difference
counts once it has lasted from one hourly question to the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from escrow.domain.model import Notice
from escrow.domain.money import Money
from escrow.services.ports import Clock
from escrow.store import floating, outbox
from escrow.store.database import Connection
from escrow.store.floating import ProviderDifference

LASTS: Final = timedelta(minutes=50)
TOGETHER: Final = timedelta(minutes=5)
"""What two accounts hold is one sum only if both were read within that."""
_SKEW: Final = timedelta(minutes=2)
"""M-Pesa's clock and ours."""


@dataclass(frozen=True, slots=True)
class _Off:
    """What M-Pesa says, and the books when that was read; the difference is somewhere between
    `least` and `most`.
    """

    says: Money
    books: Money
    read_at: datetime
    least: Money
    most: Money

    def may_be(self, minor: int) -> bool:
        return self.least.minor <= minor <= self.most.minor

    @property
    def surely(self) -> int:
        """So much at least, in minor units; 0 where what is under way explains it."""
        return max(self.least.minor, 0) + min(self.most.minor, 0)


class Comparing:
    """`accounts`: those that payments land in or payouts leave from. None: nobody's word on them is
    taken, as of a test provider's.
    """

    def __init__(self, clock: Clock, accounts: Sequence[str], admins: Sequence[int]) -> None:
        self._clock = clock
        self._accounts = tuple(accounts)
        self._admins = tuple(admins)

    async def compare(self, conn: Connection, heard: Sequence[str]) -> None:
        """After new readings of `heard`, in their unit: the admins hear of a difference that lasts,
        once a day, and again when it has doubled: the charges of payouts, which nobody books before
        the statement, make it grow a little each hour.
        """
        if not set(heard) & set(self._accounts):
            return
        found = await self._found(conn)
        if found is None:
            return
        known = await floating.difference(conn)
        off = found.surely
        if off == 0:
            if known is not None and not (found.least != found.most and found.may_be(known.off)):
                await floating.drop_difference(conn)
            return
        now = self._clock.now()
        if known is None or (known.off > 0) != (off > 0):
            await floating.keep_difference(conn, ProviderDifference(off, now))
            return
        told, told_at = known.told, known.told_at
        if now - known.since >= LASTS:
            today = told_at is not None and told_at.date() == now.date()
            if told is None or not today or abs(off) >= 2 * abs(told):
                told, told_at = off, now
                await self._tell(conn, found, off, now)
        await floating.keep_difference(conn, ProviderDifference(off, known.since, told, told_at))

    async def _found(self, conn: Connection) -> _Off | None:
        """None where nothing can be said."""
        read = await floating.readings(conn)
        ours = [read[one] for one in self._accounts if one in read]
        first = min((one.read_at for one in ours), default=None)
        if first is None or len(ours) < len(self._accounts):
            return None
        last = max(ours, key=lambda one: one.read_at)
        if last.read_at - first > TOGETHER:
            return None
        says = sum((one.balance for one in ours[1:]), start=ours[0].balance)
        off = says - last.books
        if not off:
            return _Off(says, last.books, first, off, off)
        way = await floating.on_the_way(conn, first - _SKEW)
        if way is None:
            return None
        return _Off(says, last.books, first, off - way.coming, off + way.gone)

    async def _tell(self, conn: Connection, found: _Off, off: int, now: datetime) -> None:
        values = {
            "off": str(Money(abs(off), found.says.currency)),
            "more": off > 0,
            "says": str(found.says),
            "books": str(found.books),
            "read_at": found.read_at.isoformat(),
        }
        cause = f"provider_off:mpesa:{now:%Y-%m-%d}:{off}"
        told = [Notice(cause, "provider_off", admin, values) for admin in self._admins]
        await outbox.queue(conn, told, now)
