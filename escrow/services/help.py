"""People ask the admins; the admins answer by replying to the question in Telegram."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from escrow.domain.errors import LimitReached, NotAllowed, NotFound
from escrow.domain.model import Escrow, Media, Notice
from escrow.services.ports import Clock
from escrow.services.records import fitting, said
from escrow.services.work import party_of, read_code
from escrow.store import escrows, help, outbox, people
from escrow.store.database import Connection, Database

QUESTION_CHARS: Final = 1000
ANSWER_CHARS: Final = 3000
OPEN_PER_HOUR: Final = 5


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer on its way. `reachable` is False when Telegram said that he can't be reached."""

    first_name: str
    reachable: bool


class HelpDesk:
    """Questions and answers."""

    def __init__(self, database: Database, clock: Clock, admins: Sequence[int]) -> None:
        self._db = database
        self._clock = clock
        self._admins = tuple(admins)

    async def ask(self, telegram_id: int, typed: str | None, words: str, cause: str) -> int:
        """Brings a question, about one of his deals or none, before the admins; its number.
        `NotFound`, `NotAllowed` without admins, `LimitReached`, `InvalidInput`.
        """
        question = fitting(words, QUESTION_CHARS)
        assert isinstance(question, str)  # noqa: S101 words stay words
        now = self._clock.now()

        async def work(conn: Connection) -> int:
            if not self._admins:
                raise NotAllowed("nobody_to_ask")
            before = await help.id_by_cause(conn, cause)
            if before is not None:
                return before
            escrow = await escrows.get(conn, read_code(typed)) if typed else None
            role = party_of(escrow, telegram_id).actor if escrow else None
            if await help.open_since(conn, telegram_id, now - timedelta(hours=1)) >= OPEN_PER_HOUR:
                raise LimitReached("too_many_questions", maximum=OPEN_PER_HOUR)
            code = escrow.id if escrow else None
            number = await help.insert(conn, telegram_id, code, question, cause=cause, now=now)
            if number is None:  # the same update at the same moment
                again = await help.id_by_cause(conn, cause)
                assert again is not None  # noqa: S101 that is why nothing was inserted
                return again
            person = await people.person(conn, telegram_id)
            values = {
                "help": number,
                "name": person.first_name if person else "",
                "telegram_id": telegram_id,
                "words": question,
                "role": role,
                **_facts(escrow),
            }
            await outbox.queue(
                conn,
                [
                    Notice(f"help:{number}", "help_asked", admin, values, code)
                    for admin in self._admins
                ],
                now,
            )
            return number

        return await self._db.run(work)

    async def answer(self, number: int, admin: int, sent: Media | str, cause: str) -> Answered:
        """An admin's answer goes to whoever asked; more answers may follow. `NotFound`,
        `InvalidInput`; `NotAllowed` for anybody else.
        """
        if admin not in self._admins:
            raise NotAllowed
        sent = fitting(sent, ANSWER_CHARS)
        now = self._clock.now()

        async def work(conn: Connection) -> Answered:
            asked = await help.request(conn, number)
            if asked is None:
                raise NotFound
            await help.answered(conn, number, admin, now)
            values = {
                "help": number,
                "code": asked.escrow_id,
                "question": asked.words,
                **said(sent),
            }
            notice = Notice(
                f"answer:{cause}", "help_answer", asked.telegram_id, values, asked.escrow_id
            )
            await outbox.queue(conn, [notice], now)
            person = await people.person(conn, asked.telegram_id)
            return Answered(
                person.first_name if person else "",
                person is None or person.unreachable_at is None,
            )

        return await self._db.run(work)


def _facts(escrow: Escrow | None) -> dict[str, str | None]:
    """What an admin has to know of the deal."""
    if escrow is None:
        return {"code": None}
    return {
        "code": escrow.id,
        "description": escrow.description,
        "status": str(escrow.status),
        "price": str(escrow.price),
    }
