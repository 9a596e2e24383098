"""What people send with a deal: evidence in a dispute, messages to the other side through the bot.
Only added to; the bytes stay with Telegram, their fingerprints here.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from escrow.domain.errors import IllegalMove, InvalidInput, LimitReached, NotAllowed
from escrow.domain.model import DealRecord, Escrow, Media, Notice, Person, Purpose
from escrow.services.ports import Clock, FetchLater, FileGone, Files, FileTooLarge
from escrow.services.work import locked, party_of, read_code, role_of
from escrow.store import disputes, escrows, outbox, people, records
from escrow.store.database import Connection, Database

_LOG: Final = logging.getLogger(__name__)
MESSAGE_CHARS: Final = 1000
EVIDENCE_CHARS: Final = 3000
MESSAGES_PER_HOUR: Final = 20
EVIDENCE_PER_DISPUTE: Final = 100
TALK_AFTER_END: Final = timedelta(days=30)
FETCH_BYTES: Final = 20 * 1024 * 1024
_BATCH: Final = 10
_GONE_AFTER: Final = timedelta(days=1)
"""Telegram says the same of a file that is gone and of one it can't give now."""
_FIRST_WAIT: Final = timedelta(minutes=1)
_LONGEST_WAIT: Final = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Kept:
    """Evidence that is kept; `count` is how much this person has sent in the dispute."""

    record: DealRecord
    count: int


@dataclass(frozen=True, slots=True)
class Relayed:
    """A message on its way. `to` is the role it goes to; `reachable` is False when Telegram said
    that he can't be reached.
    """

    escrow: Escrow
    to: str
    reachable: bool


@dataclass(frozen=True, slots=True)
class DealRecords:
    """Everything that was sent with a deal, oldest first."""

    escrow: Escrow
    records: Sequence[DealRecord]

    def role(self, record: DealRecord) -> str:
        """`seller` or `buyer`."""
        return role_of(self.escrow, record.telegram_id)


class Records:
    """Evidence, messages and fingerprints."""

    def __init__(self, database: Database, clock: Clock, admins: Sequence[int]) -> None:
        self._db = database
        self._clock = clock
        self._admins = tuple(admins)
        self._files: Files | None = None
        self._not_before: dict[int, tuple[datetime, timedelta]] = {}

    # -- evidence --------------------------------------------------------------------------------

    async def keep_evidence(
        self, typed: str, telegram_id: int, sent: Media | str, cause: str
    ) -> Kept:
        """Adds to the open dispute of a deal. The first word of the side that did not raise it is
        its answer. The others hear of it at most once an hour. `NotFound`, `IllegalMove` without
        a dispute, `LimitReached`, `InvalidInput`.
        """
        sent = fitting(sent, EVIDENCE_CHARS)
        now = self._clock.now()

        async def work(conn: Connection) -> Kept:
            escrow = await locked(conn, typed)
            by = party_of(escrow, telegram_id)
            before = await records.by_cause(conn, cause)
            if before is not None:
                return Kept(before, await self._count(conn, before))
            dispute = await disputes.open_dispute_of(conn, escrow.id)
            if dispute is None:
                raise IllegalMove("no_dispute", code=escrow.id)
            since = dispute.opened_at - timedelta(seconds=1)
            count = await records.sent_since(conn, escrow.id, telegram_id, Purpose.EVIDENCE, since)
            if count >= EVIDENCE_PER_DISPUTE:
                raise LimitReached("enough_evidence", maximum=EVIDENCE_PER_DISPUTE)
            await records.insert(
                conn,
                escrow.id,
                telegram_id,
                Purpose.EVIDENCE,
                sent,
                cause=cause,
                now=now,
                dispute_id=dispute.id,
            )
            await disputes.answered(conn, dispute.id, telegram_id, now)
            hour = int(now.timestamp()) // 3600
            values = {"code": escrow.id, "description": escrow.description, "role": by.actor}
            others = [_other(escrow, telegram_id), *self._admins]
            await outbox.queue(
                conn,
                [
                    Notice(
                        f"evidence:{dispute.id}:{telegram_id}:{hour}",
                        "evidence_added",
                        one,
                        values,
                        escrow.id,
                    )
                    for one in dict.fromkeys(others)
                    if one is not None and one != telegram_id
                ],
                now,
            )
            kept = await records.by_cause(conn, cause)
            assert kept is not None  # noqa: S101 just written
            return Kept(kept, count + 1)

        return await self._db.run(work)

    @staticmethod
    async def _count(conn: Connection, record: DealRecord) -> int:
        """How much somebody has sent in the dispute of that record."""
        every = await records.of_deal(conn, record.escrow_id, [Purpose.EVIDENCE])
        return sum(
            (one.dispute_id, one.telegram_id) == (record.dispute_id, record.telegram_id)
            for one in every
        )

    async def takes_evidence(self, typed: str, telegram_id: int) -> None:
        """Refuses as `keep_evidence` would. `NotFound`, `IllegalMove`."""
        async with self._db.reading() as conn:
            escrow = await escrows.get(conn, read_code(typed))
            party_of(escrow, telegram_id)
            if await disputes.open_dispute_of(conn, escrow.id) is None:
                raise IllegalMove("no_dispute", code=escrow.id)

    async def evidence_of(self, typed: str, telegram_id: int) -> DealRecords:
        """Everything that was sent with a deal: its photo, the proof of shipping, messages and
        evidence; for its parties and the admins. `NotFound`.
        """
        code = read_code(typed)
        async with self._db.reading() as conn:
            escrow = await escrows.get(conn, code)
            if telegram_id not in self._admins:
                party_of(escrow, telegram_id)
            return DealRecords(escrow, await records.of_deal(conn, code))

    async def notice_of(self, chat_id: int, message_id: int) -> outbox.SentNotice | None:
        """What the message that somebody replies to was about."""
        async with self._db.reading() as conn:
            return await outbox.message(conn, chat_id, message_id)

    # -- messages --------------------------------------------------------------------------------

    async def relay(self, typed: str, telegram_id: int, sent: Media | str, cause: str) -> Relayed:
        """Sends words or a file to the other side of a deal, without saying who writes but for the
        role. Possible as soon as a deal has two sides, until 30 days after its end. `NotFound`,
        `NotAllowed`, `LimitReached`, `InvalidInput`.
        """
        sent = fitting(sent, MESSAGE_CHARS)
        now = self._clock.now()

        async def work(conn: Connection) -> Relayed:
            escrow = await locked(conn, typed)
            other, to = await self._other_side(conn, escrow, telegram_id, now)
            by = party_of(escrow, telegram_id)
            if await records.by_cause(conn, cause) is not None:
                return Relayed(escrow, to, other.unreachable_at is None)
            hour = now - timedelta(hours=1)
            count = await records.sent_since(conn, escrow.id, telegram_id, Purpose.MESSAGE, hour)
            if count >= MESSAGES_PER_HOUR:
                raise LimitReached("too_many_messages", maximum=MESSAGES_PER_HOUR)
            number = await records.insert(
                conn, escrow.id, telegram_id, Purpose.MESSAGE, sent, cause=cause, now=now
            )
            dispute = await disputes.open_dispute_of(conn, escrow.id)
            if dispute is not None:
                await disputes.answered(conn, dispute.id, telegram_id, now)
            values = {
                "code": escrow.id,
                "description": escrow.description,
                "role": by.actor,
                **said(sent),
            }
            notice = Notice(f"record:{number}", "relayed", other.telegram_id, values, escrow.id)
            await outbox.queue(conn, [notice], now)
            return Relayed(escrow, to, other.unreachable_at is None)

        return await self._db.run(work)

    async def can_relay(self, typed: str, telegram_id: int) -> Relayed:
        """Who would get a message about that deal. As `relay`, without sending any."""
        now = self._clock.now()
        async with self._db.reading() as conn:
            escrow = await escrows.get(conn, read_code(typed))
            other, to = await self._other_side(conn, escrow, telegram_id, now)
        return Relayed(escrow, to, other.unreachable_at is None)

    async def _other_side(
        self, conn: Connection, escrow: Escrow, telegram_id: int, now: datetime
    ) -> tuple[Person, str]:
        party_of(escrow, telegram_id)
        number = _other(escrow, telegram_id)
        other = None if number is None else await people.person(conn, number)
        if other is None:
            raise NotAllowed("nobody_there", code=escrow.id)
        if escrow.finished_at is not None and now > escrow.finished_at + TALK_AFTER_END:
            raise NotAllowed("talk_over", days=TALK_AFTER_END.days)
        return other, role_of(escrow, other.telegram_id)

    # -- fingerprints ----------------------------------------------------------------------------

    def use(self, files: Files) -> None:
        """From now on fingerprints can be taken."""
        self._files = files

    async def fingerprint_due(self) -> tuple[int, int]:
        """Fetches some files that have no fingerprint yet, one after the other. What can't be had
        now is tried later. (looked at, failed).
        """
        if self._files is None:
            return 0, 0
        now = self._clock.now()
        waiting = [number for number, (at, _) in self._not_before.items() if at > now]
        async with self._db.reading() as conn:
            due = await records.without_fingerprint(conn, tuple(Purpose), _BATCH, waiting)
        failed = 0
        for record in due:
            failed += not await self._fingerprint(self._files, record)
        return len(due), failed

    async def _fingerprint(self, files: Files, record: DealRecord) -> bool:
        """Whether it is settled now: taken, or known never to be."""
        assert record.media is not None  # noqa: S101 only media are due
        now = self._clock.now()
        digest: bytes | None = None
        note = ""
        try:
            if (record.media.file_size or 0) > FETCH_BYTES:
                raise FileTooLarge
            digest = hashlib.sha256(await files.fetch(record.media.file_id)).digest()
        except FileTooLarge:
            note = "too_large"
        except FileGone as error:
            if now < record.at + _GONE_AFTER:
                self._wait(record.id, now, error)
                return False
            note = "gone"
        except FetchLater as error:
            self._wait(record.id, now, error)
            return False
        async with self._db.unit() as conn:
            await records.add_fingerprint(conn, record.id, digest, note, now)
        self._not_before.pop(record.id, None)
        return True

    def _wait(self, number: int, now: datetime, error: Exception) -> None:
        """Tries again later and later; a restart tries at once."""
        _, before = self._not_before.get(number, (now, _FIRST_WAIT / 2))
        wait = min(before * 2, _LONGEST_WAIT)
        self._not_before[number] = (now + wait, wait)
        _LOG.info(
            "a file was not fetched: %s",
            error,
            extra={"action": "fingerprint_waits", "record": number},
        )


def said(sent: Media | str) -> Mapping[str, Any]:
    """Words and media as notices carry them."""
    if isinstance(sent, str):
        return {"words": sent}
    return {"words": sent.words, "media": {"kind": str(sent.kind), "file_id": sent.file_id}}


def _other(escrow: Escrow, telegram_id: int) -> int | None:
    """The other side of a deal, if it has one."""
    if telegram_id == escrow.seller_telegram_id:
        return escrow.buyer_telegram_id
    return escrow.seller_telegram_id


def fitting(sent: Media | str, maximum: int) -> Media | str:
    """Words that are some, and not more than `maximum` as Telegram counts them (UTF-16 units), so
    that they fit into a message with what is said around them. `InvalidInput`.
    """
    words = (sent.words if isinstance(sent, Media) else sent).encode("utf-8", "replace").decode()
    words = words.replace("\x00", "").strip()
    length = len(words.encode("utf-16-le", "replace")) // 2
    if length > maximum:
        raise InvalidInput("too_many_words", length=length, maximum=maximum)
    if isinstance(sent, str) and not words:
        raise InvalidInput("no_words")
    return words if isinstance(sent, str) else replace(sent, words=words)
