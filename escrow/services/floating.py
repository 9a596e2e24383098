"""Float: what our account at M-Pesa holds, what is due from it, what of it is the operator's own.

A reading comes with messages about other things. Taking it never disturbs what they are about, and
money never depends on it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from escrow.domain.money import Currency, Money
from escrow.services.comparing import Comparing
from escrow.services.ports import AccountBalance, Clock
from escrow.services.postings import EXTERNAL
from escrow.store import floating
from escrow.store.database import Connection, Database
from escrow.store.floating import Reading

_LOG: Final = logging.getLogger(__name__)
UTILITY: Final = EXTERNAL["mpesa"]
"""The account that payments land in and payouts leave from."""
PAYBILL: Final = "mpesa:paybill"
"""The one that payments land in where another shortcode pays out."""
AHEAD: Final = timedelta(hours=24)
_KES: Final = Currency.KES
_ZERO: Final = Money.zero(_KES)

Read = Callable[[bytes], Sequence[AccountBalance]]


@dataclass(frozen=True, slots=True)
class Books:
    """The books in shillings: what is at M-Pesa, what of it is customers' money, what is the
    operator's: fees earned and what he put in, less what he took out and what M-Pesa charged.
    """

    at_provider: Money
    customers: Money
    own: Money

    def to_take(self, at_provider: Money) -> Money:
        """What may be taken out of that without touching customers' money."""
        return max(_ZERO, min(self.own, at_provider - self.customers))


@dataclass(frozen=True, slots=True)
class Float:
    """`utility` is the provider's last word (`read_at`), else what the books have there."""

    utility: Money
    read_at: datetime | None
    due: Money
    short: Money
    to_take: Money


class Floating:
    """Keeps the readings and knows the float. `read` takes balances out of a message."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        read: Read,
        *,
        auto_payout: bool = True,
        comparing: Comparing | None = None,
    ) -> None:
        self._db = database
        self._comparing = comparing
        self._clock = clock
        self._read = read
        self._auto = auto_payout

    async def take(self, body: bytes, source: str, received_at: datetime) -> None:
        """Keeps what a processed message says of our accounts. Whatever fails is only logged."""
        try:
            said = self._read(body)
            if said:
                await self._db.run(lambda conn: self.keep(conn, said, source, received_at))
        except Exception:  # noqa: BLE001 the message itself is done, and stays so
            _LOG.exception("a balance was not kept", extra={"action": "balance_not_kept"})

    async def keep(
        self, conn: Connection, said: Sequence[AccountBalance], source: str, received_at: datetime
    ) -> None:
        """Keeps what M-Pesa said of our accounts, in the caller's unit, and compares it with the
        books. A later word stays.
        """
        books = (await books_of(conn)).at_provider
        heard = []
        for one in said:
            at = min(one.at or received_at, received_at)
            reading = Reading(one.account, one.balance, books, at, source)
            if await floating.take_reading(conn, reading):
                heard.append(one.account)
        if self._comparing is not None:
            await self._comparing.compare(conn, heard)

    async def figure(self, conn: Connection) -> Float:
        """The float now."""
        books = await books_of(conn)
        reading = (await floating.readings(conn)).get(UTILITY)
        due = await floating.due(conn, self._clock.now() + AHEAD, auto=self._auto)
        utility = reading.balance if reading else books.at_provider
        return Float(
            utility=utility,
            read_at=reading.read_at if reading else None,
            due=due,
            short=max(_ZERO, due - utility),
            to_take=books.to_take(utility),
        )


async def books_of(conn: Connection) -> Books:
    """The books in shillings. Customers' money is what is left of all that is at the provider, for
    the books sum to zero: no account of a deal or a person is read.
    """
    sums = dict.fromkeys(("external", "fees", "owner", "costs", "receivable"), 0)
    mpesa = 0
    for (kind, owner, currency), minor in (await floating.derived(conn)).items():
        if currency is _KES:
            sums[kind] += minor
            mpesa -= minor if kind == "external" and owner.startswith("mpesa:") else 0
    return Books(
        at_provider=Money(mpesa, _KES),
        customers=Money(-sum(sums.values()), _KES),
        own=Money(sums["fees"] + sums["owner"] + sums["costs"], _KES),
    )
