"""What everything that happens to deals has in common: who somebody is on a deal, the locked row,
the tools of a unit of work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from escrow.domain import codes
from escrow.domain.errors import NotFound
from escrow.domain.flow import Actor
from escrow.domain.model import By, Dispute, Escrow, Media
from escrow.domain.money import Currency, Money
from escrow.domain.terms import Shares, Terms
from escrow.services.payout_booking import PayoutBooking
from escrow.services.ports import Clock
from escrow.store import escrows
from escrow.store.database import Connection, Database


@dataclass(frozen=True, slots=True)
class DealView:
    """A deal as one person sees it: `role` is buyer, seller or guest, `phone` his own number,
    `dispute` the open one, `withdrawn` whether one was withdrawn before, `photo` what is sold,
    `stars` what its buyer gave; he `may_rate` until a rating is final;
    `shares`: who got what at the end; `in_coins` whether it can be paid in coins now,
    `by_mpesa` whether by M-Pesa.
    """

    escrow: Escrow
    role: str
    wallet: Money
    reserved_by_other: bool
    choice_open_until: datetime | None = None
    choice_id: int | None = None
    phone: str | None = None
    dispute: Dispute | None = None
    withdrawn: bool = False
    photo: Media | None = None
    stars: int | None = None
    may_rate: bool = True
    shares: Shares | None = None
    in_coins: bool = False
    by_mpesa: bool = False


class DealWork:
    """Base of the parts of `EscrowService`: one method per event, one transaction per method."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        platform: Terms,
        admins: Sequence[int],
        payouts: PayoutBooking,
        in_coins: Callable[[Currency], bool] = lambda currency: False,
        by_mpesa: Callable[[Currency], bool] = lambda currency: False,
    ) -> None:
        self._db = database
        self._clock = clock
        self._terms = platform
        self._admins = tuple(admins)
        self._payouts = payouts
        self._in_coins = in_coins
        self._by_mpesa = by_mpesa


def role_of(escrow: Escrow, telegram_id: int) -> str:
    """`seller`, `buyer` or `guest`."""
    if telegram_id == escrow.seller_telegram_id:
        return "seller"
    return "buyer" if telegram_id == escrow.buyer_telegram_id else "guest"


def party_of(escrow: Escrow, telegram_id: int) -> By:
    """Who this is on that deal; a stranger learns no more than that there is nothing for him."""
    role = role_of(escrow, telegram_id)
    if role == "guest":
        raise NotFound("no_deal", code=escrow.id)
    return By(Actor(role), telegram_id)


def read_code(typed: str) -> str:
    """The deal's code in what was typed. `NotFound`."""
    code = codes.read_code(typed)
    if code is None:
        raise NotFound("no_deal", code=typed[:20])
    return code


async def locked(conn: Connection, typed: str) -> Escrow:
    """The deal that was typed, locked for the rest of the unit. `NotFound`."""
    return await escrows.lock(conn, read_code(typed))
