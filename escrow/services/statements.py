"""M-Pesa's own statement beside the books: what both have, and every break by its name.

A file proves nothing: an admin could have written it. So it credits nobody and pays nobody. A
payment that we had not heard of is asked about like any other claim; charges are booked as `/book
charge` does; and a reversal stops its deal, where the admin is no party. All of it is safe to
repeat: the same file, or one that overlaps it, does nothing twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from escrow.domain import phone
from escrow.domain.errors import DatabaseDown, Fault, InvalidInput, Paused, TimedOut
from escrow.domain.model import Notice, ReceiptState, StoredReceipt
from escrow.domain.money import Currency, Money
from escrow.domain.payouts import Payout, PayoutState
from escrow.domain.statements import (
    Balance,
    Break,
    BreakKind,
    Compared,
    RowKind,
    Statement,
    StatementRow,
)
from escrow.services.bookings import CHARGE, FLOAT, WITHDRAW, booked
from escrow.services.confirmations import Confirmations
from escrow.services.floating import books_of
from escrow.services.payouts import Payouts
from escrow.services.ports import Clock, PaybillPayment, UnreadableError
from escrow.services.provider_reversals import ProviderReversals
from escrow.store import floating, ledger, outbox, pauses, statements
from escrow.store.database import Connection, Database

_LOG: Final = logging.getLogger(__name__)
_BATCH: Final = 500
_CHARGES: Final = 100
ASKED_MAX: Final = 100
"""Payments that one file may ask about: each is a question to M-Pesa. The next file asks on."""
REVERSED_MAX: Final = 1_000
OPEN_MAX: Final = 500
_TOLD: Final = 20
_EDGE: Final = timedelta(minutes=10)
"""Our clock and M-Pesa's write the same payment down at different times: what happened so near to
the ends of the file is not looked for in it.
"""
_ZERO: Final = Money.zero(Currency.KES)
_HOST: Final = 0

Read = Callable[[bytes], Statement]
Tell = Callable[[int, int], Awaitable[None]]
"""Hears how far it is: rows looked at, rows there are."""


class Statements:
    """Reads files, one at a time. `shortcodes`: (the one that is paid, the one that pays)."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        read: Read,
        confirmations: Confirmations,
        payouts: Payouts,
        reversals: ProviderReversals,
        shortcodes: tuple[str, str],
        admins: Sequence[int],
    ) -> None:
        self._db = database
        self._clock = clock
        self._read = read
        self._confirmations = confirmations
        self._payouts = payouts
        self._reversals = reversals
        self._shortcodes = shortcodes
        self._admins = tuple(admins)
        self._one = asyncio.Lock()

    async def book_late_reversals(self) -> tuple[int, int]:
        """See `ProviderReversals.book_late`."""
        return await self._reversals.book_late()

    async def compare(self, body: bytes, admin: int | None, tell: Tell) -> Compared:
        """Lays the file beside the books. `admin` None: the host. `InvalidInput`
        (`statement_too_large`, `statement_no_header`, `statement_too_many_rows`, `statement_empty`,
        `statement_other_account`).
        """
        try:
            said = await asyncio.to_thread(self._read, body)
        except UnreadableError as error:
            raise _unreadable(str(error)) from error
        if not said.rows:
            raise InvalidInput("statement_empty", bad=len(said.bad), unfinished=said.unfinished)
        if said.shortcode and said.shortcode not in self._shortcodes:
            raise InvalidInput("statement_other_account", shortcode=said.shortcode)
        async with self._one:
            return await _Comparison(self, said, admin).run(tell)


class _Comparison:
    """One file on its way through the books."""

    def __init__(self, desk: Statements, said: Statement, admin: int | None) -> None:
        self._db = desk._db
        self._clock = desk._clock
        self._desk = desk
        self._said = said
        self._admin = admin
        self._found = Compared(said)
        self._numbers = {one.receipt for one in said.rows}
        self._numbers |= {one.linked for one in said.rows if one.linked}
        self._unheard: list[StatementRow] = []
        self._reversed: list[StatementRow] = []
        self._unknown_out: list[StatementRow] = []
        self._lacks: list[StoredReceipt] = []
        self._charges: Counter[str] = Counter()
        self._charged_at: dict[str, StatementRow] = {}

    async def run(self, tell: Tell) -> Compared:
        async with self._db.reading() as conn:
            self._found.paused = await pauses.open_one(conn) is not None
        rows = self._said.rows
        for start in range(0, len(rows), _BATCH):
            await tell(start, len(rows))
            async with self._db.reading() as conn:
                await self._beside(conn, rows[start : start + _BATCH])
        await self._book_charges()
        await self._ask()
        await self._take_back()
        async with self._db.reading() as conn:
            await self._shown(conn)
            await self._missing(conn)
            await self._balance(conn)
        await self._name_shown()
        await self._tell_lacks()
        order = list(BreakKind)
        self._found.breaks.sort(key=lambda one: (order.index(one.kind), one.at, one.receipt))
        _LOG.info(
            "a statement was compared",
            extra={"action": "statement_compared", "admin": self._admin, "rows": len(rows)},
        )
        return self._found

    def _break(
        self,
        kind: BreakKind,
        row: StatementRow,
        *,
        ours: Money | None = None,
        code: str | None = None,
        payout: int | None = None,
        note: str = "",
        known: int | None = None,
    ) -> None:
        self._found.breaks.append(
            Break(
                kind,
                row.receipt,
                row.amount,
                row.at,
                ours,
                code,
                payout,
                note,
                row.words,
                row.line,
                known,
            )
        )

    # -- row by row --------------------------------------------------------------------------------

    async def _beside(self, conn: Connection, rows: Sequence[StatementRow]) -> None:
        numbers = [one.receipt for one in rows]
        came = await statements.known_receipts(conn, numbers)
        went = await statements.known_payouts(conn, numbers)
        own = await statements.known_bookings(conn, numbers)
        for row in rows:
            payout = went.get(row.receipt)
            ours = own.get(row.receipt)
            if row.kind is RowKind.CHARGE:
                self._charges[row.receipt] -= row.amount.minor
                self._charged_at.setdefault(row.receipt, row)
            elif row.kind is RowKind.REVERSAL and row.amount < _ZERO:
                self._reversed.append(row)
            elif ours is not None and ours.kind in (FLOAT, WITHDRAW):
                sign = 1 if ours.kind == FLOAT else -1
                self._same(row, Money(sign * ours.amount.minor, Currency.KES))
            elif row.amount > _ZERO and row.receipt in came:
                stored = came[row.receipt]
                if stored.amount != row.amount:
                    self._break(
                        BreakKind.OTHER_AMOUNT,
                        row,
                        ours=stored.amount,
                        code=stored.escrow_id,
                        known=stored.id,
                    )
                elif stored.state not in (ReceiptState.WAITING, ReceiptState.IGNORED):
                    self._found.matched += 1
                else:
                    self._break(
                        BreakKind.NOT_POSTED,
                        row,
                        code=stored.escrow_id,
                        note=str(stored.state),
                        known=stored.id,
                    )
            elif row.amount < _ZERO and payout is not None:
                self._went(row, payout)
            else:
                self._unknown(row)

    def _same(self, row: StatementRow, ours: Money, payout: Payout | None = None) -> None:
        if row.amount == ours:
            self._found.matched += 1
            return
        code = payout.escrow_id if payout else None
        number = payout.id if payout else None
        self._break(BreakKind.OTHER_AMOUNT, row, ours=ours, code=code, payout=number)

    def _went(self, row: StatementRow, payout: Payout) -> None:
        if payout.state is PayoutState.PAID or row.amount != -payout.amount:
            self._same(row, -payout.amount, payout)
        else:  # an admin named it, and M-Pesa is asked
            self._break(
                BreakKind.PAYOUT_SHOWN, row, payout=payout.id, code=payout.escrow_id, note="named"
            )

    def _unknown(self, row: StatementRow) -> None:
        if row.kind is RowKind.PAYMENT:
            self._unheard.append(row)
        elif row.kind is RowKind.PAYOUT:
            self._unknown_out.append(row)
        elif row.kind is RowKind.MOVED:
            self._break(BreakKind.NOT_BOOKED, row)
        else:
            self._break(BreakKind.UNCLEAR, row)

    # -- charges -----------------------------------------------------------------------------------

    async def _book_charges(self) -> None:
        """All charges under one number are one booking, as `/book charge` makes it."""
        numbers = list(self._charges)
        for start in range(0, len(numbers), _CHARGES):
            some = {one: self._charges[one] for one in numbers[start : start + _CHARGES]}
            amounts = {one: Money(minor, Currency.KES) for one, minor in some.items() if minor > 0}

            async def work(
                conn: Connection, amounts: dict[str, Money] = amounts
            ) -> tuple[set[str], dict[str, floating.Booking]]:
                now = self._clock.now()
                await floating.lock_bookings(conn)
                known = await statements.known_bookings(conn, list(amounts))
                new = {one: amount for one, amount in amounts.items() if one not in known}
                if self._found.paused or not new:
                    return set(), known
                await ledger.post(
                    conn,
                    [
                        booked(CHARGE, one, amount, self._charged_at[one].at)
                        for one, amount in new.items()
                    ],
                )
                by = _HOST if self._admin is None else self._admin
                return await statements.add_charges(conn, new, by, now), known

            fresh, known = await self._db.run(work)
            self._count_charges(amounts, fresh, known)

    def _count_charges(
        self, amounts: dict[str, Money], fresh: set[str], known: dict[str, floating.Booking]
    ) -> None:
        found = self._found
        for one in fresh:
            found.charges += 1
            found.charged = (found.charged or _ZERO) + amounts[one]
        for one, before in known.items():
            if before.kind == CHARGE and before.amount == amounts[one]:
                found.charges_known += 1
                continue
            row = self._charged_at[one]
            self._break(BreakKind.OTHER_CHARGE, row, ours=-before.amount, note=before.kind)

    # -- payments that we had not heard of, and those that were taken back -------------------------

    async def _ask(self) -> None:
        """A row that is taken back further down is kept, so that its reversal finds it, and not
        asked about.
        """
        taken = {one.linked for one in self._reversed}
        for row in self._unheard:
            is_taken = row.receipt in taken
            too_many = self._found.asked >= ASKED_MAX and not is_taken
            if self._found.paused or too_many:
                self._found.left += 1
                self._break(BreakKind.UNKNOWN_PAYMENT, row, note="left")
                continue
            number, _, name = row.party.partition(" - ")
            payment = PaybillPayment(
                reference=row.receipt,
                amount=row.amount,
                shortcode=self._desk._shortcodes[0],
                typed_reference=row.account,
                happened_at=row.at,
                shown=number.strip()[:64],
                name=name.strip(),
            )
            word, known = await self._desk._confirmations.on_statement(payment, ask=not is_taken)
            if word in ("CREDITED", "SUSPENSE"):  # it filled the slot of a prompt
                self._found.matched += 1
            elif is_taken:
                continue
            else:
                self._found.asked += 1
                self._break(BreakKind.UNKNOWN_PAYMENT, row, note=word, known=known)

    async def _take_back(self) -> None:
        for place, row in enumerate(self._reversed):
            if self._found.paused or place >= REVERSED_MAX:
                self._found.left += 1
                self._break(BreakKind.REVERSED, row, note="left")
                continue
            try:
                broken = await self._desk._reversals.apply(row, self._admin)
            except (DatabaseDown, TimedOut, Paused):
                raise
            except Fault:  # one odd row stops no other
                _LOG.exception(
                    "a reversal can't be booked",
                    extra={"action": "reversal_failed", "receipt": row.linked},
                )
                self._break(BreakKind.UNKNOWN_REVERSAL, row, note="second")
                continue
            if broken is None:
                self._found.matched += 1
            else:
                self._found.breaks.append(broken)

    # -- payouts -----------------------------------------------------------------------------------

    async def _shown(self, conn: Connection) -> None:
        """Money that left under a number we don't know may be a payout that nobody could say the
        end of: the same amount, the same person, later than it was booked, and only one fits.
        """
        waiting = await statements.open_payouts(conn, OPEN_MAX) if self._unknown_out else []
        fitting = {
            row.line: [one for one in waiting if _may_be(row, one)] for row in self._unknown_out
        }
        times = Counter(one.id for found in fitting.values() for one in found)
        for row in self._unknown_out:
            found = fitting[row.line]
            if len(found) == 1 and times[found[0].id] == 1:
                (one,) = found
                self._break(
                    BreakKind.PAYOUT_SHOWN,
                    row,
                    payout=one.id,
                    code=one.escrow_id,
                    note=str(one.state),
                )
            else:
                self._break(BreakKind.UNKNOWN_PAYOUT, row, note="several" if found else "")

    async def _name_shown(self) -> None:
        """What waits for a person is named as if by hand, where M-Pesa then is asked about it."""
        if self._admin is None or self._found.paused:
            return
        for place, one in enumerate(self._found.breaks):
            if one.kind is not BreakKind.PAYOUT_SHOWN or one.note != PayoutState.MANUAL:
                continue
            row = next(row for row in self._said.rows if row.line == one.row)
            assert one.payout is not None  # noqa: S101 shown of a payout
            if await self._desk._payouts.mark_shown(one.payout, self._admin, row.receipt):
                self._found.breaks[place] = replace(one, note="asked")

    # -- what the file should have, and its balance ------------------------------------------------

    async def _missing(self, conn: Connection) -> None:
        first = min(one.at for one in self._said.rows) + _EDGE
        last = max(one.at for one in self._said.rows) - _EDGE
        paid_to, paid_from = self._desk._shortcodes
        if self._said.shortcode in ("", paid_to):
            await self._missing_payments(conn, first, last)
        if self._said.shortcode in ("", paid_from):
            await self._missing_payouts(conn, first, last)

    async def _missing_payments(self, conn: Connection, first: datetime, last: datetime) -> None:
        after = (first, 0)
        while page := await statements.credited(conn, after, last, _BATCH):
            for one in page:
                if one.reference in self._numbers:
                    continue
                if one.reference:
                    self._lacks.append(one)
                kind = BreakKind.MISSING_PAYMENT if one.reference else BreakKind.NO_NUMBER
                self._found.breaks.append(
                    Break(
                        kind,
                        one.reference or "",
                        one.amount,
                        one.happened_at,
                        code=one.escrow_id,
                        note=str(one.state),
                        known=one.id if one.reference else None,
                    )
                )
            after = (page[-1].happened_at, page[-1].id)

    async def _tell_lacks(self) -> None:
        """Money that we credited and M-Pesa does not show: every admin hears of it, once."""
        if not self._lacks:
            return
        for one in self._lacks:
            _LOG.critical(
                "a statement does not have a payment that we credited",
                extra={"action": "statement_lacks_receipt", "row": one.id},
            )
        notices = [
            Notice(
                f"lacks:{one.reference}",
                "receipt_not_shown",
                admin,
                {"reference": one.reference, "amount": str(one.amount), "code": one.escrow_id},
                one.escrow_id,
            )
            for one in self._lacks[:_TOLD]
            for admin in self._desk._admins
        ]
        async with self._db.unit() as conn:
            await outbox.queue(conn, notices, self._clock.now())

    async def _missing_payouts(self, conn: Connection, first: datetime, last: datetime) -> None:
        after = (first, 0)
        while page := await statements.paid(conn, after, last, _BATCH):
            for one, sent_at, _ in page:
                known = one.provider_reference in self._numbers or one.receipt in self._numbers
                if known or sent_at < first:
                    continue
                self._found.breaks.append(
                    Break(
                        BreakKind.MISSING_PAYOUT,
                        one.provider_reference or "",
                        -one.amount,
                        sent_at,
                        code=one.escrow_id,
                        payout=one.id,
                    )
                )
            after = (page[-1][2], page[-1][0].id)

    async def _balance(self, conn: Connection) -> None:
        last = self._said.last
        if last is None or last.balance is None:
            return
        books = (await books_of(conn)).at_provider - await statements.booked_after(conn, last.at)
        self._found.balance = Balance(last.at, last.balance, books)


def _may_be(row: StatementRow, payout: Payout) -> bool:
    """Whether that row may be the payment of this payout."""
    number = row.party.partition(" - ")[0].strip()
    same = payout.amount == -row.amount and row.at >= payout.created_at - _EDGE
    return (
        same
        and payout.receipt is None
        and bool(number)
        and phone.may_be(number, payout.destination)
    )


def _unreadable(why: str) -> InvalidInput:
    """The reader's word for why a file is no statement, as a refusal."""
    if why == "too_large":
        return InvalidInput("statement_too_large")
    if why == "too_many_rows":
        return InvalidInput("statement_too_many_rows")
    return InvalidInput("statement_no_header")
