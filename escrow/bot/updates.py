"""Telegram's updates: stored before they are confirmed, handled from the table.

A kill between fetching and handling loses none, and a repeat does nothing twice: a known
`update_id` is left alone by the table, and everything a handler starts is keyed by it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

from telegram import Update
from telegram.ext import ExtBot

from escrow.bot.application import Bot
from escrow.bot.poller import Poller
from escrow.domain.errors import DatabaseDown, TimedOut
from escrow.services.ports import Clock
from escrow.store import inbox
from escrow.store.database import Database
from escrow.store.inbox import StoredUpdate

_LOG: Final = logging.getLogger(__name__)
CHATS_AT_ONCE: Final = 8
TRIES: Final = 3
HANDLER_SECONDS: Final = 120.0
STOP_SECONDS: Final = 5.0
_IN_MEMORY: Final = 1000


class UpdateStore:
    """Takes updates in, by long polling or by `accept` from a webhook, and handles them: in order
    per chat, eight chats at once.
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
    ) -> None:
        self._application = application
        self._db = database
        self._clock = clock
        self._retry_seconds = retry_seconds
        self._gate = asyncio.Semaphore(CHATS_AT_ONCE)
        self._chats: dict[int, deque[StoredUpdate]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._known: set[int] = set()
        self._more = False  # the table holds updates that memory does not
        self._stopping = asyncio.Event()
        self._bot: ExtBot[int] = application.bot
        self.poller = (
            Poller(
                self._bot,
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

        A database that is down is waited for; nothing is fetched before.
        """
        self._stopping.clear()
        self._more = True
        self._spawn(self._load_until_done())
        if self.poller is not None:
            self.poller.start()

    async def stop(self) -> None:
        """Fetches no more, and gives what is under way five seconds to end. What is cut or still
        waits is handled at the next start.
        """
        self._stopping.set()
        if self.poller is not None:
            await self.poller.stop()
        tasks = set(self._tasks)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=STOP_SECONDS)
            for task in late:
                task.cancel()
            if late:
                _LOG.warning("updates were cut", extra={"action": "updates_cut"})
                await asyncio.wait(late, timeout=1)
        self._chats.clear()
        self._known.clear()

    async def accept(self, body: Mapping[str, Any]) -> None:
        """Stores one update that a webhook brought; answer Telegram only after this.

        `ValueError` when it is no update, `DatabaseDown` when it can't be kept: Telegram sends it
        again.
        """
        if not isinstance(body, dict) or type(body.get("update_id")) is not int:
            raise ValueError("an update has a number")
        await self._store([body])

    # -- storing ---------------------------------------------------------------------------------

    async def _take(self, batch: Sequence[Mapping[str, Any]]) -> None:
        """A fetched batch is in the table when this returns: it waits as long as it takes."""
        while True:
            try:
                await self._store(batch)
            except (DatabaseDown, TimedOut):
                _LOG.warning(
                    "updates wait for PostgreSQL",
                    extra={"action": "updates_wait", "count": len(batch)},
                )
            except Exception:  # noqa: BLE001 nothing may end polling
                _LOG.exception("updates can't be stored", extra={"action": "updates_refused"})
                if len(batch) > 1:
                    for body in batch:
                        await self._take([body])
                    return
            else:
                return
            await asyncio.sleep(self._retry_seconds)

    async def _store(self, batch: Sequence[Mapping[str, Any]]) -> None:
        rows = [
            {
                "update_id": body["update_id"],
                "chat_id": chat_of(body),
                "body": storable(body),
            }
            for body in batch
        ]
        async with self._db.unit() as conn:
            await inbox.store_updates(conn, rows, self._clock.now())
        if self._more or len(self._known) + len(rows) > _IN_MEMORY:
            self._more = True  # the table keeps the order; memory follows it
            self._spawn_load()
        else:
            for row in rows:
                self._enqueue(StoredUpdate(**row, tries=0))

    # -- handling --------------------------------------------------------------------------------

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _spawn_load(self) -> None:
        if not self._known and not self._stopping.is_set():
            self._spawn(self._load_until_done())

    async def _load_until_done(self) -> None:
        """Reads the table into memory, oldest first, as far as there is room."""
        while self._more and not self._stopping.is_set():
            try:
                async with self._db.reading() as conn:
                    pending = await inbox.pending_updates(conn, _IN_MEMORY)
            except (DatabaseDown, TimedOut):
                await asyncio.sleep(self._retry_seconds)
                continue
            self._more = len(pending) >= _IN_MEMORY
            for update in pending:
                self._enqueue(update)
            return

    def _enqueue(self, update: StoredUpdate) -> None:
        if update.update_id in self._known or self._stopping.is_set():
            return
        self._known.add(update.update_id)
        waiting = self._chats.get(update.chat_id)
        if waiting is not None:
            waiting.append(update)
            return
        self._chats[update.chat_id] = deque([update])
        self._spawn(self._serve(update.chat_id))

    async def _serve(self, chat_id: int) -> None:
        """One chat's updates, one after the other, until there are none."""
        waiting = self._chats[chat_id]
        while waiting and not self._stopping.is_set():
            async with self._gate:
                if await self._handle(waiting[0]):
                    self._known.discard(waiting.popleft().update_id)
                    continue
            await asyncio.sleep(self._retry_seconds)
        if not waiting:
            self._chats.pop(chat_id, None)
        if self._more and not self._known:
            self._spawn_load()

    async def _handle(self, stored: StoredUpdate) -> bool:
        """Handles one update; False when the database has to come back first."""
        try:
            async with self._db.unit() as conn:
                tries = await inbox.update_started(conn, stored.update_id)
            if tries is None:
                return True  # done before
            state, note = "DONE", ""
            if tries > TRIES:
                state, note = "PARKED", f"started {TRIES} times and never ended"
            elif (failure := await self._process(stored)) is not None:
                state, note = "PARKED", failure
            if state == "PARKED":
                _LOG.error(
                    "an update is parked: %s",
                    note,
                    extra={"action": "update_parked", "update": stored.update_id},
                )
            while True:
                try:
                    await self._finish(stored.update_id, state, note)
                except (DatabaseDown, TimedOut):
                    if self._stopping.is_set():
                        return True  # handled again at the next start
                    await asyncio.sleep(self._retry_seconds)
                else:
                    return True
        except (DatabaseDown, TimedOut):
            _LOG.warning("updates wait for PostgreSQL", extra={"action": "updates_wait"})
            return False
        except Exception:  # noqa: BLE001 one bad update must not stop the others
            _LOG.exception(
                "an update stays in the table",
                extra={"action": "update_failed", "update": stored.update_id},
            )
            return True

    async def _finish(self, update_id: int, state: str, note: str) -> None:
        async with self._db.unit() as conn:
            await inbox.update_done(conn, update_id, state, note, self._clock.now())

    async def _process(self, stored: StoredUpdate) -> str | None:
        """The handlers' work. What they raise was answered by the error handler; a reason to park
        comes back only when the update can't be read or takes for ever.
        """
        try:
            update = Update.de_json(stored.body, self._bot)
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
    return found if type(found) is int else 0


def storable(value: Any) -> Any:
    """An update without what PostgreSQL can't keep in JSON: NUL and halves of surrogate pairs."""
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {storable(key): storable(part) for key, part in value.items()}
    if isinstance(value, list):
        return [storable(part) for part in value]
    return value
