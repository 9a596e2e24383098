"""The path by which money leaves: claim → send → settle, and find out what nobody told us.

What is to be sent is committed before a byte leaves; an answer that does not come is unknown, and
an unknown one is never sent again: M-Pesa is asked by our own id, twice, then a person looks. Only
a definite no makes room for another attempt. No network call stands inside a transaction.
"""

from __future__ import annotations

import re
import secrets
from typing import Final

from escrow.domain.addresses import read_hash
from escrow.domain.errors import InvalidInput, NotAllowed, NotFound
from escrow.domain.money import Money
from escrow.domain.payouts import InCoins, Payout, PayoutState
from escrow.services import payout_guards
from escrow.services.payout_asking import PayoutAsking
from escrow.services.payout_booking import BookedPayout
from escrow.services.payout_ends import ASK_GRACE
from escrow.services.payout_sending import PayoutSending
from escrow.store import payouts
from escrow.store.database import Connection
from escrow.store.payouts import OpenCount, OpenPayout

__all__ = ["OpenCount", "OpenPayout", "Payouts"]

LISTED: Final = 30
_RECEIPT: Final = re.compile(r"[A-Z0-9]{10}", re.ASCII)


class Payouts(PayoutSending, PayoutAsking):
    """Sends what was booked, settles what is known, and shows the rest to the admins."""

    # -- people --------------------------------------------------------------------------------

    async def book_withdrawal(self, telegram_id: int, amount: Money, cause: str) -> BookedPayout:
        """See `PayoutBooking.book_withdrawal`."""

        async def work(conn: Connection) -> BookedPayout:
            now = self._clock.now()
            return await self._booking.book_withdrawal(conn, telegram_id, amount, cause, now)

        return await self._db.run(work)

    async def book_dollars(
        self, telegram_id: int, wish: InCoins | None, cause: str
    ) -> BookedPayout:
        """See `PayoutBooking.book_dollars`."""

        async def work(conn: Connection) -> BookedPayout:
            now = self._clock.now()
            return await self._booking.book_dollars(conn, telegram_id, wish, cause, now)

        return await self._db.run(work)

    async def of_person(self, telegram_id: int) -> list[Payout]:
        """What is on its way to somebody, newest first."""
        async with self._db.reading() as conn:
            return await payouts.of_person(conn, telegram_id)

    # -- admins ------------------------------------------------------------------------------------

    async def open_ones(self) -> list[Payout]:
        """What is not over, a person's tasks first; at most 30."""
        async with self._db.reading() as conn:
            return await payouts.open_ones(conn, LISTED)

    async def open_page(self, offset: int, limit: int) -> list[OpenPayout]:
        """A page of what is not over, a person's tasks first, each oldest first."""
        async with self._db.reading() as conn:
            return await payouts.open_page(conn, offset, limit)

    async def open_count(self) -> OpenCount:
        async with self._db.reading() as conn:
            return await payouts.open_count(conn)

    async def stopped(self) -> str | None:
        """The code for which nothing is sent now, or None."""
        async with self._db.reading() as conn:
            return await payouts.stopped(conn, self._rail.credential)

    async def payout(self, payout_id: int) -> Payout:
        """`NotFound`."""
        async with self._db.reading() as conn:
            found = await payouts.payout(conn, payout_id)
        if found is None:
            raise NotFound("no_payout", payout=payout_id)
        return found

    async def task(self, payout_id: int, admin: int, *, to_stop: bool = False) -> Payout:
        """One that waits for this person, or (`to_stop`) rests. `NotFound`, `NotAllowed`."""
        async with self._db.reading() as conn:
            payout = await payouts.payout(conn, payout_id)
            if payout is None:
                raise NotFound("no_payout", payout=payout_id)
            await payout_guards.may_decide(conn, payout, admin)
            if not await self._waits_for_word(conn, payout, to_stop=to_stop):
                raise NotAllowed("payout_not_yours", payout=payout_id, state=str(payout.state))
        return payout

    async def _waits_for_word(self, conn: Connection, payout: Payout, *, to_stop: bool) -> bool:
        resting = to_stop and payout.state is PayoutState.READY
        if resting and await payout_guards.rests(conn, payout, self._clock.now()):
            return True
        return payout.state is PayoutState.MANUAL

    async def may_be_out(self, payout_id: int) -> bool:
        """Whether a payment was asked for that nobody knows the end of."""
        async with self._db.reading() as conn:
            payout = await payouts.payout(conn, payout_id)
            named = payout is not None and payout.named_reference is not None
            return named or await payouts.live_attempt(conn, payout_id) is not None

    async def resume(self, admin: int) -> bool:
        """An admin says that the API user works again; False when nothing was stopped."""
        now = self._clock.now()
        async with self._db.unit() as conn:
            return await payouts.lift(conn, self._rail.credential, admin, now)

    async def send_now(self, payout_id: int, admin: int) -> Payout:
        """One that waits since M-Pesa said a definite no, for a reason of ours, is due at once.
        `NotFound`; `NotAllowed` (`payout_not_resent`) for every other: what nobody can say the end
        of is never sent again.
        """

        async def work(conn: Connection) -> Payout:
            payout = await self._task(conn, payout_id, admin)
            refused = await payouts.attempts_made(conn, payout_id)
            if payout.state is not PayoutState.READY or not refused:
                raise NotAllowed("payout_not_resent", payout=payout_id, state=str(payout.state))
            return await payouts.set_state(conn, payout_id, PayoutState.READY)

        return await self._db.run(work)

    async def ask_now(self, payout_id: int, admin: int) -> Payout:
        """Asks M-Pesa once more what became of one that nobody can say the end of; its answer
        decides when it comes. `NotFound`; `NotAllowed` when there is nothing to ask about, or
        nobody to ask.
        """
        async with self._db.unit() as conn:
            payout = await self._task(conn, payout_id, admin)
            attempt = await payouts.live_attempt(conn, payout_id)
            unclear = attempt is not None and attempt.state is PayoutState.UNKNOWN
            if attempt is None or not unclear or not payout.is_open:
                raise NotAllowed("payout_not_yours", payout=payout_id, state=str(payout.state))
            nameless = payout.receipt is not None and not attempt.conversation_id
            if nameless or not await self._may_ask(conn, payout):
                raise NotAllowed("payout_not_asked", payout=payout_id)
        await self._ask(payout, attempt)
        return payout

    async def mark_paid(self, payout_id: int, admin: int, receipt: str) -> Payout:
        """An admin paid it by hand, and names M-Pesa's receipt: closed once M-Pesa was asked about
        it, where it can be asked; until then its note is `checking`. Of coins he names the
        transaction's hash, and it is closed. Repeating it changes nothing.

        `InvalidInput` (`not_a_receipt`, `not_a_hash`), `NotFound`, `NotAllowed`: it does not wait
        for a person, or not for this one, rests, or the receipt is another payment's.
        """

        async def work(conn: Connection) -> Payout:
            payout = await self._task(conn, payout_id, admin)
            number = _reference(payout, receipt)
            if payout.state is PayoutState.PAID and payout.provider_reference == number:
                return payout
            if payout.state is not PayoutState.MANUAL:
                raise NotAllowed("payout_not_yours", payout=payout_id, state=str(payout.state))
            await payout_guards.may_have_paid(conn, payout, number, self._clock.now())
            if not await self._may_ask(conn, payout):
                return await self._paid(conn, payout, number, by=admin)
            again = self._clock.now() + ASK_GRACE
            token = secrets.token_hex(16)
            return await payouts.name_receipt(conn, payout_id, number, admin, token, again)

        payout = await self._db.run(work)
        if payout.state is PayoutState.MANUAL:
            await self._ask_receipt(payout)
        return payout

    async def mark_shown(self, payout_id: int, admin: int, receipt: str) -> bool:
        """A statement shows a receipt that may have paid it: named like by hand, but only where
        M-Pesa is asked about it before it counts. False: a person has to look.
        """
        async with self._db.reading() as conn:
            payout = await payouts.payout(conn, payout_id)
            manual = payout is not None and payout.state is PayoutState.MANUAL
            if payout is None or not manual or payout.named_reference is not None:
                return False
            if not await self._may_ask(conn, payout):
                return False
        try:
            await self.mark_paid(payout_id, admin, receipt)
        except NotAllowed:
            return False
        return True

    async def close_on_word(self, payout_id: int, admin: int) -> Payout:
        """An admin is sure of the named receipt, about which M-Pesa gives no answer.

        `NotFound`, `NotAllowed`.
        """

        async def work(conn: Connection) -> Payout:
            payout = await self._task(conn, payout_id, admin)
            if payout.state is PayoutState.PAID:
                return payout
            if payout.note != "no_word" or payout.named_reference is None:
                raise NotAllowed("payout_not_yours", payout=payout_id, state=str(payout.state))
            number = payout.named_reference
            await payout_guards.may_have_paid(conn, payout, number, self._clock.now())
            return await self._paid(conn, payout, number, by=admin)

        return await self._db.run(work)

    async def mark_failed(
        self, payout_id: int, admin: int, reason: str, *, not_sent: bool = False
    ) -> Payout:
        """It will not be paid, or not to a number that is so new: the money goes back to the
        wallet. Where a payment may have gone out, only with `not_sent`: the admin saw in M-Pesa's
        portal that it did not.

        `NotFound`, `NotAllowed`.
        """

        async def work(conn: Connection) -> Payout:
            payout = await self._task(conn, payout_id, admin)
            if payout.state is PayoutState.FAILED:
                return payout
            if not await self._waits_for_word(conn, payout, to_stop=True):
                raise NotAllowed("payout_not_yours", payout=payout_id, state=str(payout.state))
            if payout.state is PayoutState.READY:
                payout = await payouts.set_state(conn, payout.id, PayoutState.MANUAL)
            named = payout.named_reference is not None
            if not not_sent and (named or await payouts.live_attempt(conn, payout_id) is not None):
                raise NotAllowed("payout_may_be_out", payout=payout_id)
            return await self._returned(conn, payout, "by_admin", by=admin, words=reason)

        return await self._db.run(work)

    async def _task(self, conn: Connection, payout_id: int, admin: int) -> Payout:
        payout = await payouts.payout(conn, payout_id, lock=True)
        if payout is None:
            raise NotFound("no_payout", payout=payout_id)
        await payout_guards.may_decide(conn, payout, admin)
        return payout


def _reference(payout: Payout, typed: str) -> str:
    """What proves that it was paid, as it was typed. `InvalidInput`."""
    if payout.in_coins:
        return read_hash(typed)
    number = typed.strip().upper()
    if not _RECEIPT.fullmatch(number):
        raise InvalidInput("not_a_receipt")
    return number
