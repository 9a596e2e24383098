"""What an admin reads to judge: the lists of disputes and deals, and a case with everything that is
known of it. It only reads, but for one thing: whoever opens a case takes its dispute.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from escrow.domain import flow
from escrow.domain.actions import Action
from escrow.domain.errors import NotAllowed
from escrow.domain.flow import Actor, Event, Status
from escrow.domain.model import (
    By,
    DealRecord,
    Dispute,
    Escrow,
    MediaKind,
    Person,
    StoredReceipt,
)
from escrow.domain.money import Money
from escrow.domain.payouts import Payout
from escrow.domain.terms import Shares
from escrow.services.ports import Clock, FetchLater, FileGone, Files, FileTooLarge
from escrow.services.ratings import Ratings, SellerPage
from escrow.services.work import locked, read_code
from escrow.store import actions, cases, disputes, escrows, people, records
from escrow.store.cases import BuyerRecord, Entry
from escrow.store.database import Connection, Database

FILE_BYTES: Final = 2 * 1024 * 1024
FILES_BYTES: Final = 12 * 1024 * 1024
"""What of the evidence goes into a case's file: Telegram takes 50 MB, a phone much less."""


@dataclass(frozen=True, slots=True)
class Side:
    """A party with its record. `reachable` is False when Telegram said that he can't be written to;
    `flags`: (type, severity) of the open ones.
    """

    role: str
    person: Person | None
    seller: SellerPage | None
    buyer: BuyerRecord | None
    flags: Sequence[tuple[str, str]]

    @property
    def reachable(self) -> bool:
        return self.person is None or self.person.unreachable_at is None


@dataclass(frozen=True, slots=True)
class Case:
    """A deal as an admin judges it. `dispute` is the newest, open or closed; `taken_by` the name of
    whoever has it; `mine`: this admin does; `moves` what an admin may do now; `waiting`: what was
    asked for and waits for a second confirmation, with the name of whoever asked.
    """

    escrow: Escrow
    dispute: Dispute | None
    taken_by: str
    mine: bool
    shares: Shares | None
    balances: Mapping[str, Money]
    receipts: Sequence[StoredReceipt]
    payouts: Sequence[Payout]
    sides: Sequence[Side]
    timeline: Sequence[Entry]
    records: Sequence[DealRecord]
    moves: frozenset[Event]
    waiting: Sequence[tuple[Action, str]] = ()

    @property
    def overpaid(self) -> Money:
        """What came in above the due, and went to the buyer's wallet."""
        excess = sum(int(one.outcome.get("excess_minor", 0)) for one in self.receipts)
        return Money(excess, self.escrow.currency)


@dataclass(frozen=True, slots=True)
class Listed:
    """A line of a list of deals: since when it stands so, and what its buyer is called."""

    escrow: Escrow
    since: datetime
    buyer: str


class Cases:
    """Lists and cases, for admins."""

    def __init__(
        self, database: Database, clock: Clock, admins: Sequence[int], ratings: Ratings
    ) -> None:
        self._db = database
        self._clock = clock
        self._admins = tuple(admins)
        self._ratings = ratings
        self._files: Files | None = None

    def use(self, files: Files) -> None:
        """From now on the pictures of a case can be fetched."""
        self._files = files

    async def open_disputes(
        self, offset: int, limit: int
    ) -> tuple[Sequence[tuple[Dispute, Escrow, str]], int]:
        """A page of the open disputes with their deals and who has them, those first whose other
        side did not answer in time, then the oldest; and how many there are in all.
        """
        async with self._db.reading() as conn:
            found = await cases.open_disputes(conn, self._clock.now(), offset, limit)
            rows = [
                (one, await escrows.get(conn, one.escrow_id), name if self._has(one) else "")
                for one, name in found
            ]
            return rows, await disputes.count_open(conn)

    async def counts(self) -> Mapping[Status, int]:
        """How many deals are in each status that is not the end."""
        async with self._db.reading() as conn:
            return await cases.open_counts(conn)

    async def by_status(self, status: Status, offset: int, limit: int) -> tuple[list[Listed], bool]:
        """A page of the deals in a status, what changed last first; whether there are more."""
        async with self._db.reading() as conn:
            found = await cases.by_status(conn, status, offset, limit + 1)
            rows = [
                Listed(await escrows.get(conn, code), since, buyer)
                for code, since, buyer in found[:limit]
            ]
            return rows, len(found) > limit

    async def open(self, typed: str, admin: int) -> Case:
        """Everything about a deal. A dispute that nobody has, or somebody who is no admin any more,
        becomes this admin's: one of those who try; the others read who has it. `NotFound`;
        `NotAllowed` for others and for a party.
        """

        async def work(conn: Connection) -> Dispute | None:
            escrow = await locked(conn, typed)
            self._must_judge(escrow, admin)
            dispute = await disputes.last_of(conn, escrow.id)
            if dispute is None or not dispute.is_open or self._has(dispute):
                return dispute
            now = self._clock.now()
            taken = await disputes.take(conn, dispute.id, admin, self._admins, now)
            by = By(Actor.ADMIN, admin)
            await escrows.note(conn, escrow.id, "dispute_taken", by, now, dispute=dispute.id)
            return taken

        dispute = await self._db.run(work)
        return await self._read(read_code(typed), admin, dispute)

    async def look(self, typed: str, admin: int) -> Case:
        """As `open`, and takes nothing."""
        async with self._db.reading() as conn:
            escrow = await escrows.get(conn, read_code(typed))
            self._must_judge(escrow, admin)
            dispute = await disputes.last_of(conn, escrow.id)
        return await self._read(escrow.id, admin, dispute)

    async def pictures(self, case: Case) -> Mapping[int, bytes]:
        """The photos among a case's records by the record's number, as far as Telegram gives them
        and a file of them stays small.
        """
        found: dict[int, bytes] = {}
        room = FILES_BYTES
        for record in case.records:
            media = record.media
            if self._files is None or media is None or media.kind is not MediaKind.PHOTO:
                continue
            if (media.file_size or 0) > min(FILE_BYTES, room):
                continue
            try:
                content = await self._files.fetch(media.file_id)
            except (FileTooLarge, FileGone, FetchLater):
                continue
            if len(content) <= min(FILE_BYTES, room):
                found[record.id] = content
                room -= len(content)
        return found

    async def _read(self, code: str, admin: int, dispute: Dispute | None) -> Case:
        async with self._db.reading() as conn:
            escrow = await escrows.get(conn, code)
            shares = await escrows.settled(conn, [escrow])
            taken = self._has(dispute) if dispute else None
            names = await cases.names(conn, [taken] if taken else [])
            buyer = await self._buyer(conn, escrow)
            seller_flags = await cases.open_flags(conn, escrow.seller_telegram_id)
            seller_person = await people.person(conn, escrow.seller_telegram_id)
            case = Case(
                escrow=escrow,
                dispute=dispute,
                taken_by=names.get(taken, str(taken)) if taken else "",
                mine=taken == admin,
                shares=shares.get(code),
                balances=await cases.balances(conn, escrow),
                receipts=await cases.receipts_of(conn, code),
                payouts=await cases.payouts_of(conn, code),
                sides=(),
                timeline=await cases.timeline(conn, code),
                records=await records.of_deal(conn, code),
                waiting=[
                    (one, await actions.name_of(conn, one.asked_by))
                    for one in await actions.waiting_for(conn, code)
                ],
                moves=frozenset(
                    event for event in Event if flow.allows(escrow.status, event, Actor.ADMIN)
                ),
            )
        page = await self._ratings.seller_page(escrow.seller_id)
        side = Side("seller", seller_person, page, None, seller_flags)
        return replace(case, sides=(side, *([buyer] if buyer else [])))

    async def _buyer(self, conn: Connection, escrow: Escrow) -> Side | None:
        number = escrow.buyer_telegram_id
        if number is None:
            return None
        return Side(
            "buyer",
            await people.person(conn, number),
            None,
            await cases.buyer_record(conn, number),
            await cases.open_flags(conn, number),
        )

    def _has(self, dispute: Dispute) -> int | None:
        """The admin who has it, or had it until it was closed."""
        if dispute.is_open and dispute.taken_by not in self._admins:
            return None
        return dispute.taken_by

    def _must_judge(self, escrow: Escrow, admin: int) -> None:
        if admin not in self._admins:
            raise NotAllowed
        if admin in (escrow.seller_telegram_id, escrow.buyer_telegram_id):
            raise NotAllowed("admin_is_party")
