"""What the admins' desk reads about money that came in: what nobody is credited with, whose it may
be, and everything about one receipt.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from escrow.domain import codes, phone
from escrow.domain.errors import EscrowMoved, InvalidInput, NotAllowed, NotFound
from escrow.domain.model import Escrow, ReceiptState, StoredReceipt
from escrow.domain.payouts import Payout
from escrow.services.matching import credit_key_of
from escrow.services.ports import Clock
from escrow.store import escrows, floating, payouts, people, receipts, unmatched
from escrow.store.database import Connection, Database
from escrow.store.floating import Booking

_RECEIPT: Final = re.compile(r"[A-Z0-9]{4,32}", re.ASCII)
_LOOKED_AT: Final = 5
_CANDIDATES: Final = 3
_BEGINS: Final = 6
"""A mask that shows less of a number fits too many."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A deal that a receipt may be for. `why`: code, amount, payer, time, as far as they fit."""

    escrow: Escrow
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A receipt that nobody is credited with, and the deals it is likely for."""

    receipt: StoredReceipt
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class ReceiptCard:
    """All about one receipt. `owner` is what whoever it was credited to is called; `back` its way
    back, where it has one.
    """

    receipt: StoredReceipt
    escrow: Escrow | None
    owner: str
    back: Payout | None


class Receipts:
    """Reading only."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._db = database
        self._clock = clock

    async def unmatched(self, offset: int, limit: int) -> tuple[list[Unmatched], int, int]:
        """(a page of them, oldest first; how many there are; how many are on their way back)."""
        now = self._clock.now()
        async with self._db.reading() as conn:
            found = await unmatched.waiting(conn, offset, limit)
            shown = [Unmatched(one, await candidates(conn, one, now)) for one in found]
            return shown, await unmatched.waiting_count(conn), await unmatched.going_back(conn)

    async def number_of(self, receipt_id: int) -> str:
        """The number of a receipt that a button names. `NotFound`."""
        async with self._db.reading() as conn:
            found = await receipts.get(conn, receipt_id)
        if found is None or found.reference is None:
            raise NotFound("no_receipt")
        return found.reference

    async def card(self, typed: str) -> tuple[ReceiptCard | None, list[Payout], Booking | None]:
        """The receipt of that number, the payouts that it paid or is said to have paid, and what an
        admin booked under it. `InvalidInput` when it can't be one, `NotFound` when nobody knows it.
        """
        number = read_receipt(typed)
        async with self._db.reading() as conn:
            receipt = await unmatched.by_reference(conn, number)
            paid = await payouts.numbered(conn, number)
            booked = await floating.booking(conn, number)
            if receipt is None:
                if not paid and booked is None:
                    raise NotFound("unknown_receipt", reference=number)
                return None, paid, booked
            escrow = await escrows.get(conn, receipt.escrow_id) if receipt.escrow_id else None
            person = await people.person(conn, receipt.telegram_id) if receipt.telegram_id else None
            back = await payouts.way_back(conn, receipt.id)
            owner = person.first_name if person else ""
            return ReceiptCard(receipt, escrow, owner, back), paid, booked


def read_receipt(typed: str) -> str:
    """A receipt number as it was typed. `InvalidInput`."""
    number = typed.strip().upper()
    if not _RECEIPT.fullmatch(number):
        raise InvalidInput("not_a_receipt")
    return number


async def locked_receipt(conn: Connection, typed: str, code: str | None = None) -> StoredReceipt:
    """The receipt of that number, locked: the deal's row first (`code`, else the receipt's own),
    then its key, so that nothing else is done with it meanwhile. `NotFound`; `NotAllowed` when its
    money is on its way back.
    """
    number = read_receipt(typed)
    known = await unmatched.by_reference(conn, number)
    if known is None:
        raise NotFound("unknown_receipt", reference=number)
    if code or known.escrow_id:
        await escrows.lock_row(conn, code or known.escrow_id or "")
    await receipts.lock_key(conn, credit_key_of(known))
    receipt = await receipts.get(conn, known.id, lock=True)
    if receipt is None or (not code and receipt.escrow_id != known.escrow_id):
        raise EscrowMoved
    if await payouts.way_back(conn, receipt.id) is not None:
        raise NotAllowed("goes_back", reference=number)
    return receipt


def must_be(receipt: StoredReceipt, state: ReceiptState) -> None:
    """`NotAllowed` (`receipt_is`), which says what it is instead."""
    if receipt.state is not state:
        raise NotAllowed(
            "receipt_is",
            reference=receipt.reference,
            state=str(receipt.state),
            code=receipt.escrow_id,
        )


async def candidates(
    conn: Connection, receipt: StoredReceipt, now: datetime
) -> tuple[Candidate, ...]:
    """The deals that it is likely for, likeliest first; at most three."""
    if receipt.state is not ReceiptState.SUSPENSE:
        return ()
    named = _named(receipt)
    paid_at = receipt.happened_at
    summed = await unmatched.by_sum(conn, receipt.amount, paid_at, _LOOKED_AT)
    numbered = await _numbered(conn, receipt.payer_shown)
    found = await unmatched.candidates(conn, [*named, *summed, *numbered], now, paid_at)
    scored = []
    for code, (number, then) in found.items():
        fits = number is not None and phone.proves(receipt.payer_shown, number)
        why = [("code", code in named), ("amount", code in summed), ("payer", fits), ("time", then)]
        scored.append((code, tuple(word for word, is_so in why if is_so)))
    best = sorted(scored, key=lambda one: (-len(one[1]), "code" not in one[1], one[0]))
    return tuple(
        [Candidate(await escrows.get(conn, code), why) for code, why in best[:_CANDIDATES]]
    )


def _named(receipt: StoredReceipt) -> Sequence[str]:
    """The deal it lies under, the code that was typed, and those one wrong digit away."""
    typed = receipt.typed_reference
    read = codes.read_code(typed)
    own = [code for code in (receipt.escrow_id, read) if code]
    return [*own, *codes.near_codes(typed)]


async def _numbered(conn: Connection, shown: str) -> list[str]:
    """Unpaid deals of buyers whose number a payer's mask fits."""
    begins, stars, ends = phone.keep(shown).partition("***")
    if not stars or len(begins) < _BEGINS or not (begins + ends).isdigit():
        return []
    return await unmatched.by_number(conn, begins, ends, _LOOKED_AT)
