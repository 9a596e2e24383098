"""How updates reach the bot: true long polling, or a webhook."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any, Final

import aiohttp

from sandbox.pulse import Clock, Pulse, first_id
from sandbox.telegram_chats import ApiError, Json, bad_request

_NOT_BY_DEFAULT: Final = {
    "chat_member",
    "message_reaction",
    "message_reaction_count",
}
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{1,256}")
SECRET_HEADER: Final = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 - the header's name
MAX_POLL_SECONDS: Final = 50


class UpdateQueue:
    """Updates in order, kept until the bot confirms them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._next = first_id()
        self._pulse = Pulse()
        self.polls = 0
        """How often the bot has asked; the newest poll is served, an older one has lost."""
        self._waiting = 0  # the number of the poll that waits for something to happen
        self._closed = False
        self._session: aiohttp.ClientSession | None = None
        self._deliverer: asyncio.Task[None] | None = None
        self.pending: list[Json] = []
        self.allowed: list[str] = []  # empty: Telegram's default
        self.webhook_url = ""
        self.secret = ""
        self.retry_seconds = 0.5
        """The first wait after a failed delivery; doubles to a minute."""
        self.webhook_error: tuple[int, str] | None = None

    # -- from the stand-in ---------------------------------------------------------------------

    def push(self, kind: str, body: Json) -> int | None:
        """Queue an update; None when the bot did not ask for that kind."""
        wanted = kind in self.allowed if self.allowed else kind not in _NOT_BY_DEFAULT
        if not wanted:
            return None
        update_id = self._next
        self._next += 1
        self.pending.append({"update_id": update_id, kind: body})
        self._pulse.beat()
        return update_id

    def push_again(self, update: Json) -> None:
        """Queue an update a second time under its own number, as a lost confirmation does."""
        self.pending.append(update)
        self.pending.sort(key=lambda one: int(one["update_id"]))
        self._pulse.beat()

    async def wait_empty(self, timeout: float = 10.0) -> None:
        """Until the bot has confirmed everything."""
        await self._pulse.until(
            lambda: True if not self.pending else None,
            timeout,
            lambda: f"{len(self.pending)} updates were not confirmed within {timeout} s",
        )

    async def wait_poll(self, *, after: int = 0, timeout: float = 10.0) -> None:
        """Until the bot waits in a long poll, newer than the first `after` ones (see `polls`)."""
        await self._pulse.until(
            lambda: True if self._waiting > after else None,
            timeout,
            lambda: f"the bot did not poll within {timeout} s",
        )

    # -- methods of the Bot API ----------------------------------------------------------------

    async def get_updates(
        self, offset: int, limit: int, timeout: float, allowed: list[str] | None
    ) -> list[Json]:
        """Long polling. A newer poll ends an older one with 409, as Telegram's does."""
        if self.webhook_url:
            raise ApiError(
                409,
                "Conflict: can't use getUpdates method while webhook is active; "
                "use deleteWebhook to delete the webhook first",
            )
        if not 1 <= limit <= 100:
            limit = 100
        if allowed is not None:
            self.allowed = allowed
        self.polls += 1
        mine = self.polls
        if offset < 0:
            self.pending = self.pending[offset:]
        elif offset > 0:
            self.pending = [one for one in self.pending if one["update_id"] >= offset]
        self._waiting = 0 if self.pending or timeout <= 0 else mine
        self._pulse.beat()
        try:
            await self._wait_pending(mine, min(max(timeout, 0), MAX_POLL_SECONDS))
        finally:
            if self._waiting == mine:
                self._waiting = 0
        return self.pending[:limit]

    async def _wait_pending(self, mine: int, timeout: float) -> None:
        """Until there is an update, the time is over, or something took this poll's place."""
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        while not self.pending and not self._closed and loop.time() < end:
            await self._pulse.wait(end - loop.time())
            if self.polls != mine:
                raise ApiError(
                    409,
                    "Conflict: terminated by other getUpdates request; "
                    "make sure that only one bot instance is running",
                )
            if self.webhook_url:
                raise ApiError(409, "Conflict: terminated by setWebhook request")

    def set_webhook(self, url: str, secret: str, allowed: list[str] | None, drop: bool) -> None:
        """Deliver by POST from now on; an empty address goes back to polling."""
        if url and not re.fullmatch(r"https?://[^\s/]+(?:/\S*)?", url):
            raise bad_request("bad webhook: invalid webhook URL specified")
        if secret and not _SECRET.fullmatch(secret):
            raise bad_request("secret token contains unallowed characters")
        self.webhook_url, self.secret, self.webhook_error = url, secret, None
        if allowed is not None:
            self.allowed = allowed
        if drop:
            self.pending.clear()
        self._pulse.beat()
        self._start_deliverer()

    def webhook_info(self) -> Json:
        info: Json = {
            "url": self.webhook_url,
            "has_custom_certificate": False,
            "pending_update_count": len(self.pending),
        }
        if self.webhook_error is not None:
            info["last_error_date"], info["last_error_message"] = self.webhook_error
        if self.webhook_url:
            info["max_connections"] = 40
        if self.allowed:
            info["allowed_updates"] = self.allowed
        return info

    # -- the webhook's deliverer ---------------------------------------------------------------

    def _start_deliverer(self) -> None:
        if self.webhook_url and self._deliverer is None:
            self._deliverer = asyncio.get_running_loop().create_task(self._deliver())

    async def _deliver(self) -> None:
        wait = self.retry_seconds
        while not self._closed:
            if not self.webhook_url or not self.pending:
                await self._pulse.wait(60)
                continue
            update = self.pending[0]
            refusal = await self._post(update)
            if refusal is None:
                self.pending = [one for one in self.pending if one is not update]
                self.webhook_error = None
                wait = self.retry_seconds
                self._pulse.beat()
                continue
            self.webhook_error = (int(self._clock().timestamp()), refusal)
            await asyncio.sleep(wait)
            wait = min(60.0, wait * 2)

    async def _post(self, update: Json) -> str | None:
        """Deliver one update; None when it was taken, else what was wrong."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60))
        headers = {"Content-Type": "application/json"}
        if self.secret:
            headers[SECRET_HEADER] = self.secret
        try:
            async with self._session.post(
                self.webhook_url, data=json.dumps(update), headers=headers
            ) as answer:
                await answer.read()
                if 200 <= answer.status < 300:
                    return None
                return f"Wrong response from the webhook: {answer.status} {answer.reason}"
        except (aiohttp.ClientError, TimeoutError) as error:
            return f"Connection failed: {type(error).__name__}"

    def open(self) -> None:
        """Serve (again)."""
        self._closed = False
        self._start_deliverer()

    async def close(self) -> None:
        """End waiting polls and the deliverer."""
        self._closed = True
        self._pulse.beat()
        if self._deliverer is not None:
            self._deliverer.cancel()
            await asyncio.gather(self._deliverer, return_exceptions=True)
            self._deliverer = None
        if self._session is not None:
            await self._session.close()
            self._session = None


def allowed_updates(value: Any) -> list[str] | None:
    """The parameter as a list; None when it was left out (the setting stays)."""
    if value is None or value == "":
        return None
    kinds = json.loads(value) if isinstance(value, str) else value
    if not isinstance(kinds, list) or not all(isinstance(kind, str) for kind in kinds):
        raise bad_request("can't parse allowed updates JSON object")
    return kinds
