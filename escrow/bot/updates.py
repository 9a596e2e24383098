"""Telegram's updates: stored before they are confirmed, handled from the table.

A kill between fetching and handling loses none, and a repeat does nothing twice: a known
`update_id` is left alone by the table, and everything a handler starts is keyed by it.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

from telegram import Update

from escrow.bot.admin import outage
from escrow.bot.application import Bot
from escrow.bot.poller import Poller, is_id
from escrow.domain.errors import DatabaseDown, TimedOut
from escrow.services.ports import Clock
from escrow.store import inbox
from escrow.store.database import Database
from escrow.store.inbox import StoredUpdate

_LOG: Final = logging.getLogger(__name__)
CHATS_AT_ONCE: Final = 8
TRIES: Final = 3
HANDLER_SECONDS: Final = 120.0
STOP_SECONDS: Final = 3.0


class UpdateStore:
    """Takes updates in, by long polling or by `accept` from a webhook, and handles them: in order
    per chat, eight chats at once.

    Memory holds what is next. When it is full, or at the start, it is behind the table and follows
    it; otherwise a stored update goes straight to its chat.
    """

    def __init__(
        self,
        application: Bot,
        database: Database,
        clock: Clock,
        *,
        polling: bool = True,
        retry_seconds: float = 1.0,
        poll_seconds: int = 30,
        conflict_alarm_seconds: float = 60.0,
        room: int = 1000,
    ) -> None:
        self._application = application
        self._db = database
        self._clock = clock
        self._retry_seconds = retry_seconds
        self._room = room
        self._gate = asyncio.Semaphore(CHATS_AT_ONCE)
        self._chats: dict[int, deque[StoredUpdate]] = {}
        self._known: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._follower: asyncio.Task[None] | None = None
        self._level = asyncio.Event()  # memory holds everything that the table has to do
        self._drained = asyncio.Event()  # there is room in memory again
        self._stored = 0
        self._started_at: float | None = None
        self._stopping = False
        self.poller = (
            Poller(
                application.bot,
                self._take,
                retry_seconds=retry_seconds,
                poll_seconds=poll_seconds,
                conflict_alarm_seconds=conflict_alarm_seconds,
            )
            if polling
            else None
        )

    async def start(self) -> None:
        """Handles what a killed process left, and begins to poll. The application is initialized.

        A database that is down is waited for in the background.
        """
        self._stopping = False
        self._started_at = asyncio.get_running_loop().time()
        self._level.clear()
        self._drained.set()
        self._follower = asyncio.get_running_loop().create_task(self._follow())
        if self.poller is not None:
            self.poller.start()

    async def stop(self) -> None:
        """Fetches no more, and gives what is under way three seconds to end. What is cut or still
        waits is handled at the next start.
        """
        self._stopping = True
        if self.poller is not None:
            await self.poller.stop()
        if self._follower is not None:
            self._follower.cancel()
            await asyncio.wait({self._follower})
        if self._tasks:
            _, late = await asyncio.wait(set(self._tasks), timeout=STOP_SECONDS)
            if late:
                _LOG.warning("updates were cut", extra={"action": "updates_cut"})
                for task in late:
                    task.cancel()
                await asyncio.wait(late, timeout=1)
        self._chats.clear()
        self._known.clear()

    async def drained(self) -> None:
        """When everything that was stored is handled."""
        while not self._level.is_set() or self._tasks:
            await self._level.wait()
            if self._tasks:
                await asyncio.wait(set(self._tasks))

    @property
    def silent_seconds(self) -> float:
        """How long polling has had no good answer; 0 while a webhook brings the updates."""
        if self.poller is None or self._started_at is None:
            return 0.0
        last = max(self._started_at, self.poller.polled_at or 0.0)
        return asyncio.get_running_loop().time() - last

    async def accept(self, body: object) -> None:
        """Stores one update that a webhook brought; answer Telegram only after this.

        `ValueError` when it is no update, `DatabaseDown` when it can't be kept: Telegram sends it
        again.
        """
        if not isinstance(body, dict) or not is_id(body.get("update_id")):
            raise ValueError("an update has a number")
        await self._store([body])

    # -- storing ---------------------------------------------------------------------------------

    async def _take(self, batch: Sequence[Mapping[str, Any]]) -> None:
        """A fetched batch is in the table when this returns: it waits as long as it takes. Admins
        who ask for the system's health meanwhile are told once that there is no database.
        """
        told = False
        while True:
            try:
                await self._store(batch)
            except (DatabaseDown, TimedOut):
                _LOG.warning(
                    "updates wait for PostgreSQL",
                    extra={"action": "updates_wait", "count": len(batch)},
                )
                if not told:
                    told = True
                    for body in batch:
                        await outage.tell(self._application, body)
            except Exception:  # noqa: BLE001 nothing may end polling
                _LOG.exception("updates can't be stored", extra={"action": "updates_refused"})
            else:
                return
            await asyncio.sleep(self._retry_seconds)

    async def _store(self, batch: Sequence[Mapping[str, Any]]) -> None:
        rows = [
            {"update_id": body["update_id"], "chat_id": chat_of(body), "body": storable(body)}
            for body in batch
        ]
        async with self._db.unit() as conn:
            await inbox.store_updates(conn, rows, self._clock.now())
        self._stored += 1
        if self._level.is_set() and len(self._known) + len(rows) <= self._room:
            for row in rows:
                self._enqueue(StoredUpdate(**row, tries=0))
        else:
            self._level.clear()  # the table keeps the order, the follower reads on
            self._wake_if_roomy()

    # -- handling --------------------------------------------------------------------------------

    async def _follow(self) -> None:
        """Reads the table into memory, oldest first, whenever memory is behind and has room."""
        while True:
            await self._drained.wait()
            self._drained.clear()
            stored = self._stored
            try:
                async with self._db.reading() as conn:
                    pending = await inbox.pending_updates(conn, self._room)
            except Exception:  # noqa: BLE001 nothing may end it
                _LOG.warning("updates wait for PostgreSQL", extra={"action": "updates_wait"})
                await asyncio.sleep(self._retry_seconds)
                self._drained.set()
                continue
            for update in pending:
                self._enqueue(update)
            if len(pending) < self._room and stored == self._stored:
                self._level.set()
            else:
                self._wake_if_roomy()

    def _wake_if_roomy(self) -> None:
        if not self._level.is_set() and len(self._known) <= self._room // 2:
            self._drained.set()

    def _enqueue(self, update: StoredUpdate) -> None:
        if update.update_id in self._known or self._stopping:
            return
        self._known.add(update.update_id)
        waiting = self._chats.get(update.chat_id)
        if waiting is not None:
            waiting.append(update)
            return
        self._chats[update.chat_id] = deque([update])
        task = asyncio.get_running_loop().create_task(self._serve(update.chat_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, chat_id: int) -> None:
        """One chat's updates, one after the other, until there are none."""
        waiting = self._chats[chat_id]
        while waiting and not self._stopping:
            async with self._gate:
                handled = await self._handle(waiting[0])
            if handled:
                self._known.discard(waiting.popleft().update_id)
                self._wake_if_roomy()
            else:
                await asyncio.sleep(self._retry_seconds)
        self._chats.pop(chat_id, None)

    async def _handle(self, stored: StoredUpdate) -> bool:
        """Handles one update; False when the database has to come back first."""
        try:
            async with self._db.unit() as conn:
                tries = await inbox.update_started(conn, stored.update_id)
            if tries is None:
                return True  # done before
            failure = (
                f"started {TRIES} times and never ended"
                if tries > TRIES
                else await self._process(stored)
            )
            await self._finish(stored.update_id, failure)
        except (DatabaseDown, TimedOut):
            _LOG.warning("updates wait for PostgreSQL", extra={"action": "updates_wait"})
            return False
        except Exception:  # noqa: BLE001 one bad update must not stop the others
            _LOG.exception(
                "an update stays in the table for the next start",
                extra={"action": "update_failed", "update": stored.update_id},
            )
        return True

    async def _finish(self, update_id: int, failure: str | None) -> None:
        """Closes an update; the database is waited for, so that nothing is handled again."""
        if failure is not None:
            _LOG.error(
                "an update is parked: %s",
                failure,
                extra={"action": "update_parked", "update": update_id},
            )
        state = "DONE" if failure is None else "PARKED"
        while True:
            try:
                async with self._db.unit() as conn:
                    await inbox.update_done(
                        conn, update_id, state, failure or "", self._clock.now()
                    )
            except (DatabaseDown, TimedOut):
                if self._stopping:
                    raise
                await asyncio.sleep(self._retry_seconds)
            else:
                return

    async def _process(self, stored: StoredUpdate) -> str | None:
        """The handlers' work. What they raise was answered by the error handler; a reason to park
        comes back only when the update can't be read or takes for ever.
        """
        try:
            update = Update.de_json(stored.body, self._application.bot)
            async with asyncio.timeout(HANDLER_SECONDS):
                await self._application.process_update(update)
        except TimeoutError:
            return f"took more than {HANDLER_SECONDS:.0f} s"
        except Exception as error:  # noqa: BLE001 one bad update must not stop the others
            _LOG.exception(
                "an update can't be read",
                extra={"action": "update_unreadable", "update": stored.update_id},
            )
            return f"unreadable: {type(error).__name__}"
        return None


def chat_of(body: Mapping[str, Any]) -> int:
    """The chat whose order an update keeps; 0 where it names none."""
    for kind in ("message", "my_chat_member"):
        part = body.get(kind)
        if isinstance(part, dict):
            return _id(part.get("chat"))
    query = body.get("callback_query")
    if isinstance(query, dict):
        message = query.get("message")
        inside = _id(message.get("chat")) if isinstance(message, dict) else 0
        return inside or _id(query.get("from"))
    return 0


def _id(part: object) -> int:
    found = part.get("id") if isinstance(part, dict) else None
    return found if type(found) is int and is_id(found) else 0


def storable(value: Any) -> Any:
    """An update without what PostgreSQL can't keep in JSON: NUL, halves of surrogate pairs, and
    numbers that are none.
    """
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {storable(key): storable(part) for key, part in value.items()}
    if isinstance(value, list):
        return [storable(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
