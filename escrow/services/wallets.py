"""What is a person's own with Amana."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from escrow.domain.errors import LimitReached, NotFound
from escrow.domain.money import Currency, Money
from escrow.domain.payouts import LEAST, LEAST_DOLLARS, MOST, InCoins, sendable
from escrow.domain.phone import mask
from escrow.services.payout_booking import may_send_coins, may_withdraw
from escrow.services.ports import Clock
from escrow.store import ledger, payouts, wallets
from escrow.store.database import Connection, Database

PAGE: Final = 5


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """What would be sent, and to which number (masked)."""

    amount: Money
    to: str
    stays: Money


class Wallets:
    """Looking into wallets, and what a person can do with his."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._db = database
        self._clock = clock

    async def view(self, telegram_id: int, page: int = 1) -> Mapping[str, Any]:
        """available, held in deals, on the way, a page of entries (the first is 1), `more` (whether
        older ones follow), `to` (the number that his money goes to, masked, or None), `sendable`
        (what M-Pesa can send, or None), `dollars` (what can be withdrawn as coins, or None) and
        `auto_payout`.
        """
        page = max(page, 1)
        async with self._db.reading() as conn:
            found = await wallets.entries(conn, telegram_id, PAGE + 1, (page - 1) * PAGE)
            available = await ledger.wallets(conn, telegram_id)
            number = await _own_number(conn, telegram_id)
            dollars = _of(available, Currency.USD)
            return {
                "available": available,
                "held": await ledger.held_in_deals(conn, telegram_id),
                "on_the_way": await wallets.on_the_way(conn, telegram_id),
                "entries": found[:PAGE],
                "page": page,
                "more": len(found) > PAGE,
                "to": mask(number) if number else None,
                "sendable": sendable(_of(available, Currency.KES)),
                "dollars": dollars if dollars >= LEAST_DOLLARS else None,
                "auto_payout": await wallets.sends_by_itself(conn, telegram_id),
            }

    async def destination(self, telegram_id: int) -> str | None:
        """The number that his money goes to, masked; None: he has to share his own first."""
        async with self._db.reading() as conn:
            number = await _own_number(conn, telegram_id)
        return mask(number) if number else None

    async def preview(self, telegram_id: int, amount: Money | None = None) -> Withdrawal:
        """What a withdrawal of that amount would send, or of everything that M-Pesa can send.
        Nothing is booked: `Payouts.book_withdrawal` decides again.

        `NotFound` (`no_own_number`); `LimitReached`: dollars, cents, less or more than M-Pesa
        sends, more than there is.
        """
        async with self._db.reading() as conn:
            available = await ledger.wallets(conn, telegram_id)
            number = await _own_number(conn, telegram_id)
        shillings, dollars = _of(available, Currency.KES), _of(available, Currency.USD)
        wanted = sendable(shillings) if amount is None else amount
        if wanted is None and dollars:
            raise LimitReached("withdraw_dollars", amount=dollars)
        if wanted is None:
            raise LimitReached("withdraw_small", minimum=LEAST, wallet=shillings)
        if wanted.currency is not Currency.KES:
            raise LimitReached("withdraw_dollars", amount=dollars)
        if not wanted.is_whole_step():
            raise LimitReached("withdraw_cents")
        if wanted > shillings:
            raise LimitReached("withdraw_short", wallet=shillings)
        if wanted < LEAST:
            raise LimitReached("withdraw_small", minimum=LEAST, wallet=shillings)
        if wanted > MOST:
            raise LimitReached("withdraw_large", maximum=MOST)
        if number is None:
            raise NotFound("no_own_number")
        return Withdrawal(wanted, mask(number), shillings - wanted)

    async def only_dollars(self, telegram_id: int) -> bool:
        """Whether what a withdrawal of everything would send are dollars."""
        async with self._db.reading() as conn:
            available = await ledger.wallets(conn, telegram_id)
        shillings = sendable(_of(available, Currency.KES))
        return shillings is None and bool(_of(available, Currency.USD))

    async def dollars(self, telegram_id: int, amount: Money | None = None) -> Money:
        """The dollars that a withdrawal of that amount, or of all of them, would send.
        `LimitReached`: too few, more than there are.
        """
        async with self._db.reading() as conn:
            available = _of(await ledger.wallets(conn, telegram_id), Currency.USD)
        wanted = available if amount is None else amount
        may_withdraw(wanted, available)
        return wanted

    async def preview_coins(self, telegram_id: int, wish: InCoins) -> Money:
        """What of his dollars stays in the wallet when that is sent; nothing is booked. Refused as
        `PayoutBooking.book_dollars` would.
        """
        async with self._db.reading() as conn:
            available = _of(await ledger.wallets(conn, telegram_id), Currency.USD)
            await may_send_coins(conn, wish, available)
        return available - wish.amount

    async def auto_payout(self, telegram_id: int, *, on: bool) -> bool:
        """Turns it on or off that settled money goes to the phone by itself; returns what holds."""
        async with self._db.unit() as conn:
            await wallets.set_auto_payout(conn, telegram_id, on=on)
        return on


async def _own_number(conn: Connection, telegram_id: int) -> str | None:
    known = await payouts.person_facts(conn, telegram_id)
    return known.own_number if known else None


def _of(amounts: list[Money], currency: Currency) -> Money:
    return next((one for one in amounts if one.currency is currency), Money.zero(currency))
