"""Decides and books money that leaves a wallet: wallet → payable, and the row of the payout.

The destination is frozen here. Nothing is sent from here: `services/payouts` does that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from escrow.domain import addresses, phone
from escrow.domain.errors import Conflict, InvalidInput, LimitReached, NotAllowed, NotFound
from escrow.domain.model import ReceiptState, StoredReceipt
from escrow.domain.money import Currency, Money
from escrow.domain.payouts import (
    COOL_OFF,
    LEAST,
    LEAST_DOLLARS,
    MOST,
    InCoins,
    Payout,
    PayoutState,
    sendable,
)
from escrow.services import payout_guards, postings
from escrow.store import ledger, outbox, payouts
from escrow.store.database import Connection
from escrow.store.payouts import Facts, NewPayout


@dataclass(frozen=True, slots=True)
class SettledLeg:
    """One side's money from the end of a deal, already in its wallet; `leg` is buyer or seller."""

    escrow_id: str
    leg: str
    telegram_id: int
    amount: Money


@dataclass(frozen=True, slots=True)
class BookedPayout:
    """A payout on its way: `to` is the masked number, or the whole address. It goes at once, but
    not before `not_before`; `why` is set when it waits for an admin.
    """

    id: int
    escrow_id: str | None
    leg: str | None
    amount: Money
    to: str
    why: str = ""
    not_before: datetime | None = None


class PayoutBooking:
    """Books payouts inside the unit that makes the money available.

    `auto`: settled money goes to the phone by itself (AUTO_PAYOUT). `can_pay_out`: whether the
    program can send at all; otherwise an admin pays by hand.
    """

    def __init__(
        self,
        *,
        auto: bool = False,
        can_pay_out: Callable[[], bool] = lambda: False,
        can_reverse: Callable[[], bool] = lambda: False,
        admins: Sequence[int] = (),
        most: Money = MOST,
    ) -> None:
        self._auto = auto
        self._can_pay_out = can_pay_out
        self._can_reverse = can_reverse
        self._admins = tuple(admins)
        self._most = most

    async def book_settled(
        self, conn: Connection, legs: Sequence[SettledLeg], now: datetime
    ) -> list[BookedPayout]:
        """Settled money goes to the phone by itself (flow.md 16). What stays in the wallet is
        simply not in the answer.
        """
        return await self._book(conn, await self.plan_settled(conn, legs, now), now)

    async def plan_settled(
        self, conn: Connection, legs: Sequence[SettledLeg], now: datetime
    ) -> list[NewPayout]:
        """What `book_settled` would book now."""
        if not self._auto or not legs:
            return []
        facts = await payouts.settled_facts(
            conn, [(leg.escrow_id, leg.telegram_id) for leg in legs]
        )
        new = []
        for place, known in facts:
            leg = legs[place]
            amount = sendable(leg.amount)
            to = _settled_to(leg, known)
            if amount is None or to is None or not known.auto_payout:
                continue
            cause = f"settlement:{leg.escrow_id}:{leg.leg}"
            new.append(self._new(cause, leg.telegram_id, amount, to, known, leg=leg, now=now))
        return new

    async def book_withdrawal(
        self, conn: Connection, telegram_id: int, amount: Money, cause: str, now: datetime
    ) -> BookedPayout:
        """A person sends (a part of) his wallet to his phone. The same cause again gives the first
        answer.

        `LimitReached`: dollars, cents, too little, too much, more than there is; `NotFound`
        (`no_own_number`); `NotAllowed` when it is over by now; `Conflict` when the cause was used
        for another amount.
        """
        cause = f"withdraw:{cause}"
        available = await ledger.lock_wallet(conn, telegram_id, amount.currency)
        before = await payouts.by_cause(conn, cause)
        if before is not None:
            if (before.telegram_id, before.amount) != (telegram_id, amount):
                raise Conflict(f"{cause} was used for another withdrawal")
            if not before.is_open:
                raise NotAllowed("sent_before", amount=amount)
            return _booked(before)
        if amount.currency is not Currency.KES:
            raise LimitReached("withdraw_dollars", amount=available)
        if not amount.is_whole_step():
            raise LimitReached("withdraw_cents")
        if amount > available:
            raise LimitReached("withdraw_short", wallet=available)
        if amount < LEAST:
            raise LimitReached("withdraw_small", minimum=LEAST, wallet=available)
        if amount > self._most:
            raise LimitReached("withdraw_large", maximum=self._most)
        known = await payouts.person_facts(conn, telegram_id)
        to = known.own_number if known else None
        if known is None or to is None:
            raise NotFound("no_own_number")
        new = self._new(cause, telegram_id, amount, to, known, leg=None, now=now)
        (booked,) = await self._book(conn, [new], now)
        return booked

    async def book_dollars(
        self, conn: Connection, telegram_id: int, wish: InCoins | None, cause: str, now: datetime
    ) -> BookedPayout:
        """A person's dollars are to be sent as coins, by an admin. The same cause again gives the
        first answer; `wish` is None where nothing else is asked for.

        `LimitReached`: too little, more than there is; `InvalidInput`: no address of his;
        `NotAllowed`: over by now, or nobody asks for it any more (`dollars_over`); `Conflict` when
        the cause was used for something else.
        """
        cause = f"withdraw:{telegram_id}:{cause}"
        available = await ledger.lock_wallet(conn, telegram_id, Currency.USD)
        before = await payouts.by_cause(conn, cause)
        if before is not None:
            asked = None if wish is None else (wish.amount, wish.destination)
            if asked not in (None, (before.amount, before.destination)):
                raise Conflict(f"{cause} was used for another withdrawal")
            if not before.is_open:
                raise NotAllowed("sent_before", amount=before.amount)
            return _booked(before)
        if wish is None:
            raise NotAllowed("dollars_over")
        await may_send_coins(conn, wish, available)
        known = await payouts.person_facts(conn, telegram_id)
        new = NewPayout(
            cause=cause,
            telegram_id=telegram_id,
            amount=wish.amount,
            destination=wish.destination,
            state=PayoutState.MANUAL,
            note="suspended" if known is not None and known.suspended else "in_coins",
        )
        (booked,) = await self._book(conn, [new], now)
        return booked

    def way_back(self, receipt: StoredReceipt) -> str:
        """Why a receipt's money can only go back by hand; empty where M-Pesa reverses it."""
        if not self._can_reverse():
            return "no_keys"
        return "" if receipt.amount.is_whole_step() else "not_whole"

    async def book_back(
        self, conn: Connection, receipt: StoredReceipt, paid_from: str, cause: str, now: datetime
    ) -> Payout:
        """A locked receipt's whole money begins its way back to whoever paid it (`paid_from`: his
        number as far as it is known): out of its owner's wallet, or out of suspense. The same cause
        again gives the first answer.

        `LimitReached` when the wallet is short.
        """
        before = await payouts.by_cause(conn, cause)
        if before is not None:
            return before
        owner = receipt.telegram_id if receipt.state is ReceiptState.CREDITED else None
        if owner is not None:
            available = await ledger.lock_wallet(conn, owner, receipt.amount.currency)
            if available < receipt.amount:
                raise LimitReached(
                    "reverse_short",
                    reference=receipt.reference,
                    wallet=available,
                    amount=receipt.amount,
                )
        why = self.way_back(receipt)
        new = NewPayout(
            cause=cause,
            telegram_id=owner,
            amount=receipt.amount,
            destination=paid_from or "-",
            state=PayoutState.MANUAL if why else PayoutState.READY,
            note=why,
            receipt_id=receipt.id,
            receipt=receipt.reference,
            about=receipt.escrow_id,
        )
        return (await self._write(conn, [new], now))[0]

    def _new(
        self,
        cause: str,
        telegram_id: int,
        amount: Money,
        to: str,
        known: Facts,
        *,
        leg: SettledLeg | None,
        now: datetime,
    ) -> NewPayout:
        suspended = known.suspended and (leg is None or leg.leg == "seller")
        note = "suspended" if suspended else "" if self._can_pay_out() else "no_keys"
        since = _named_at(to, known, own=leg is None)
        waits = since + COOL_OFF if since is not None else None
        return NewPayout(
            cause=cause,
            telegram_id=telegram_id,
            amount=amount,
            destination=to,
            state=PayoutState.MANUAL if note else PayoutState.READY,
            note=note,
            not_before=waits if waits is not None and waits > now else None,
            escrow_id=leg.escrow_id if leg else None,
            leg=leg.leg if leg else None,
        )

    async def _book(
        self, conn: Connection, new: Sequence[NewPayout], now: datetime
    ) -> list[BookedPayout]:
        if not new:
            return []
        return [_booked(one) for one in await self._write(conn, new, now)]

    async def _write(
        self, conn: Connection, new: Sequence[NewPayout], now: datetime
    ) -> list[Payout]:
        made = await payouts.insert(conn, new, now)
        await ledger.post(conn, [postings.payout_booked(one, now) for one in made])
        by_hand = [one for one in made if one.state is PayoutState.MANUAL]
        await outbox.queue(
            conn, await payout_guards.cards(conn, "payout_manual", by_hand, self._admins), now
        )
        return made


def _booked(one: Payout) -> BookedPayout:
    by_hand = one.state is PayoutState.MANUAL
    return BookedPayout(
        one.id,
        one.escrow_id,
        one.leg,
        one.amount,
        payout_guards.shown(one) if one.in_coins else phone.mask(one.destination),
        one.note if by_hand else "",
        one.not_before,
    )


def may_withdraw(amount: Money, available: Money) -> None:
    """`LimitReached` for dollars that are too few, or more than there are."""
    if amount > available:
        raise LimitReached("withdraw_short", wallet=available)
    if amount < LEAST_DOLLARS:
        raise LimitReached("dollars_small", minimum=LEAST_DOLLARS, wallet=available)


async def may_send_coins(conn: Connection, wish: InCoins, available: Money) -> None:
    """`LimitReached`; `InvalidInput` for what is no address, or is one of ours, where a deal would
    take it for a payment.
    """
    may_withdraw(wish.amount, available)
    addresses.read_address(wish.coin, wish.address)
    if await payouts.address_of_ours(conn, wish.address):
        raise InvalidInput("address_of_ours")


def _named_at(to: str, known: Facts, *, own: bool) -> datetime | None:
    """Since when that number gets his payouts, where nobody vouches for it: who took over a chat
    names a number of his by a change, and what the wallet holds (`own`) by opening a shop, too.
    """
    if to != known.payout_phone:
        return None
    vouched = known.phone_is_contact and known.phone == to
    return known.payout_phone_since or (known.shop_since if own and not vouched else None)


def _settled_to(leg: SettledLeg, known: Facts) -> str | None:
    """A release goes to the payout number; a refund to where the money came from, else to the
    buyer's own number.
    """
    if leg.leg == "seller":
        return known.payout_phone
    return known.funding_phone or (known.phone if known.phone_is_contact else None)
