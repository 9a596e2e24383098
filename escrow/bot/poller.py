"""Long polling: fetches updates and asks for the next only when the last batch is kept."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from telegram.error import Conflict, InvalidToken, RetryAfter, TelegramError
from telegram.ext import ExtBot

from escrow.bot.limiter import wait_seconds

_LOG: Final = logging.getLogger(__name__)
KINDS: Final = ("message", "callback_query", "my_chat_member")
BATCH: Final = 100
_BACK_OFF_MAX: Final = 30.0
_READ_GRACE_SECONDS: Final = 10
# The library's own get_updates reads every update before it returns, so one that it can't read
# would stop them all. This spelling reaches the same endpoint and gives them raw.
_RAW_GET_UPDATES: Final = "get_Updates"

Keep = Callable[[Sequence[Mapping[str, Any]]], Awaitable[None]]


class Poller:
    """Runs until it is stopped: nothing Telegram or the network answers ends it."""

    def __init__(
        self,
        bot: ExtBot[int],
        keep: Keep,
        *,
        retry_seconds: float = 1.0,
        poll_seconds: int = 30,
        conflict_alarm_seconds: float = 60.0,
    ) -> None:
        self._bot = bot
        self._keep = keep
        self._retry_seconds = retry_seconds
        self._poll_seconds = poll_seconds
        self._conflict_alarm_seconds = conflict_alarm_seconds
        self._task: asyncio.Task[None] | None = None
        self._offset: int | None = None
        self._failures = 0
        self._conflict_since: float | None = None
        self.polled_at: float | None = None
        """The loop's time of the last good answer; None before the first."""

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Cuts the poll. A batch that is not kept yet is not confirmed: Telegram repeats it."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        await self._survive(self._forget_webhook)
        while True:
            batch = await self._survive(self._fetch)
            if batch is None:
                continue
            if batch:
                await self._keep(batch)
                self._offset = max(int(body["update_id"]) for body in batch) + 1
            else:
                # an empty answer confirmed everything before it; after a week of silence
                # Telegram's numbers start anew, perhaps below the last offset
                self._offset = None

    async def _forget_webhook(self) -> list[Mapping[str, Any]] | None:
        """Polling and a webhook exclude each other. What waits at Telegram stays."""
        await self._bot.delete_webhook(drop_pending_updates=False)
        return None

    async def _fetch(self) -> list[Mapping[str, Any]]:
        arguments: dict[str, Any] = {
            "timeout": self._poll_seconds,
            "limit": BATCH,
            "allowed_updates": list(KINDS),
        }
        if self._offset is not None:
            arguments["offset"] = self._offset
        answer: Any = await self._bot.do_api_request(
            _RAW_GET_UPDATES,
            api_kwargs=arguments,
            read_timeout=self._poll_seconds + _READ_GRACE_SECONDS,
        )
        return [body for body in answer if is_id(body.get("update_id"))]

    async def _survive(
        self, work: Callable[[], Awaitable[list[Mapping[str, Any]] | None]]
    ) -> list[Mapping[str, Any]] | None:
        """`work`, or None after a wait when it failed."""
        loop = asyncio.get_running_loop()
        try:
            found = await work()
        except Conflict as error:
            await self._on_conflict(error, loop.time())
        except RetryAfter as error:
            await asyncio.sleep(wait_seconds(error))
        except InvalidToken as error:
            _LOG.error("Telegram refuses the token: %s", error, extra={"action": "poll_token"})
            await asyncio.sleep(_BACK_OFF_MAX)
        except TelegramError as error:
            await self._back_off(error)
        except Exception as error:  # noqa: BLE001 nothing may end polling
            _LOG.exception("polling failed", extra={"action": "poll_failed"})
            await self._back_off(error)
        else:
            self.polled_at = loop.time()
            self._failures, self._conflict_since = 0, None
            return found
        return None

    async def _back_off(self, error: Exception) -> None:
        self._failures += 1
        wait = min(self._retry_seconds * 2 ** min(self._failures - 1, 10), _BACK_OFF_MAX)
        _LOG.warning(
            "Telegram can't be polled: %s",
            error,
            extra={"action": "poll_retried", "failures": self._failures},
        )
        await asyncio.sleep(wait)

    async def _on_conflict(self, error: Conflict, now: float) -> None:
        """Somebody else polls with our token, or a webhook is set."""
        since = self._conflict_since = self._conflict_since or now
        level = logging.ERROR if now - since >= self._conflict_alarm_seconds else logging.WARNING
        _LOG.log(
            level,
            "another program polls with this bot's token, for %.0f s: %s",
            now - since,
            error,
            extra={"action": "poll_conflict", "seconds": round(now - since)},
        )
        await asyncio.sleep(self._retry_seconds)
        if "webhook" in str(error).lower():
            with contextlib.suppress(TelegramError):
                await self._forget_webhook()


def is_id(value: object) -> bool:
    """Whether that is a number that PostgreSQL can keep as one."""
    return type(value) is int and -(2**63) <= value < 2**63
