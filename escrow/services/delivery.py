"""The one dispatcher of notices: in order per chat, paced, and never in the way of money."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from escrow.domain.errors import DatabaseDown, TimedOut
from escrow.domain.model import Notice
from escrow.services.ports import Clock, Messenger, SendResult, Sent
from escrow.store import outbox, people
from escrow.store.database import Connection, Database
from escrow.store.outbox import DueNotice

_LOG: Final = logging.getLogger(__name__)
_BATCH: Final = 100
_TRIES: Final = 5
_AT_ONCE: Final = 20
PER_SECOND: Final = 25.0
"""Telegram allows about 30 messages a second; direct answers need some of them."""
CHAT_SECONDS: Final = 1.0


class Delivery:
    """Sends what is due. One instance per process; several processes would only repeat."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        messenger: Messenger,
        admins: Sequence[int] = (),
        *,
        per_second: float = PER_SECOND,
        chat_seconds: float = CHAT_SECONDS,
    ) -> None:
        self._db = database
        self._clock = clock
        self._messenger = messenger
        self._admins = tuple(admins)
        self._gap = 1.0 / per_second
        self._chat_seconds = chat_seconds
        self._next_slot = 0.0
        self._hold_until = 0.0
        self._chats: dict[int, float] = {}
        self._unrecorded: dict[int, SendResult] = {}  # sent, but PostgreSQL could not take it down

    async def run(self) -> None:
        """Sends until cancelled. A database that is down, full or odd is waited for."""
        while True:
            pause = 1.0
            try:
                pause = 0.02 if await self.send_due() else 0.25
            except (DatabaseDown, TimedOut):
                _LOG.warning("notices wait for PostgreSQL", extra={"action": "outbox_waits"})
            except Exception:  # noqa: BLE001 nothing may end it
                _LOG.exception("the outbox failed", extra={"action": "outbox_failed"})
            await asyncio.sleep(pause)

    async def send_due(self) -> int:
        """One round: at most one notice per chat. Returns how many were taken."""
        loop = asyncio.get_running_loop()
        async with self._db.reading() as conn:
            due = await outbox.due(conn, self._clock.now(), _BATCH)
        now = loop.time()
        ready = [notice for notice in due if self._chats.get(notice.chat_id, 0.0) <= now]
        if now < self._hold_until or not ready:
            return 0
        gate = asyncio.Semaphore(_AT_ONCE)
        done = await asyncio.gather(
            *(self._paced(notice, gate) for notice in ready), return_exceptions=True
        )
        self._chats = {chat: at for chat, at in self._chats.items() if at > loop.time()}
        for error in filter(None, done):
            raise error
        return len(ready)

    async def _paced(self, notice: DueNotice, gate: asyncio.Semaphore) -> None:
        loop = asyncio.get_running_loop()
        async with gate:
            self._next_slot = max(self._next_slot, loop.time()) + self._gap
            await asyncio.sleep(max(self._next_slot - self._gap - loop.time(), 0))
            if loop.time() < self._hold_until:
                return
            self._chats[notice.chat_id] = loop.time() + self._chat_seconds
            await self._send(notice)

    async def _send(self, notice: DueNotice) -> None:
        result = self._unrecorded.get(notice.id) or await self._ask_messenger(notice)
        if result.sent is Sent.DELIVERED:
            self._unrecorded[notice.id] = result
        await self._record(notice, result)
        self._unrecorded.pop(notice.id, None)
        if result.sent is not Sent.DELIVERED:
            _LOG.warning(
                "a notice was not delivered: %s",
                result.sent,
                extra={"action": "notice_" + str(result.sent), "row": notice.id},
            )

    async def _ask_messenger(self, notice: DueNotice) -> SendResult:
        try:
            return await self._messenger.send(
                notice.chat_id, notice.kind, notice.params, notice.language
            )
        except Exception as error:  # noqa: BLE001 one that can't be rendered is refused
            _LOG.exception("a notice failed", extra={"action": "notice_failed", "row": notice.id})
            return SendResult(Sent.REFUSED, error=type(error).__name__)

    async def _record(self, notice: DueNotice, result: SendResult) -> None:
        now = self._clock.now()
        async with self._db.unit() as conn:
            if result.sent is Sent.DELIVERED:
                await outbox.sent(conn, notice.id, result.message_id, now)
            elif result.sent is Sent.UNREACHABLE:
                await outbox.close(conn, notice.id, "UNDELIVERABLE", result.error, now)
                await people.unreachable(conn, notice.chat_id, now)
            elif result.sent is Sent.REFUSED and notice.tries + 1 >= _TRIES:
                await outbox.close(conn, notice.id, "DEAD", result.error, now)
                await self._alert(conn, notice, now)
            else:
                counts = result.sent is Sent.REFUSED
                wait = result.retry_after_seconds
                if wait is None:
                    wait = min(2.0 ** (notice.tries + 1), 60.0) if counts else 2.0
                else:
                    loop = asyncio.get_running_loop()
                    self._hold_until = max(self._hold_until, loop.time() + wait)
                at = now + timedelta(seconds=wait)
                await outbox.later(conn, notice.id, at, result.error, counts=counts)

    async def _alert(self, conn: Connection, notice: DueNotice, now: datetime) -> None:
        """A notice that Telegram keeps refusing: the admins hear of it, but not of their own."""
        await outbox.queue(
            conn,
            [
                Notice(
                    f"dead:{notice.id}",
                    "notice_dead",
                    admin,
                    {"row": notice.id, "kind": notice.kind, "code": notice.escrow_id},
                    notice.escrow_id,
                )
                for admin in self._admins
                if notice.kind != "notice_dead"
            ],
            now,
        )
