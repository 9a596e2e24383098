"""The aiohttp server on the bot's loop: 64 KiB bodies, ten seconds for a slow one, no banner."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from aiohttp import web

from escrow.web.webhooks import MAX_BYTES

_LOG: Final = logging.getLogger(__name__)
IDLE_SECONDS: Final = 10.0
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class PortTakenError(Exception):
    """The address can't be listened on; the message says which setting to change."""


class Server:
    """Serves the given routes until stopped."""

    def __init__(
        self, routes: Sequence[web.RouteDef], *, idle_seconds: float = IDLE_SECONDS
    ) -> None:
        self._idle_seconds = idle_seconds
        self._busy: dict[object, int] = {}
        self._since: dict[object, float] = {}
        app = web.Application(
            client_max_size=MAX_BYTES, middlewares=[self._guard_requests, _no_leaks]
        )
        app.add_routes(routes)
        self._runner = web.AppRunner(
            app, access_log=None, handle_signals=False, auto_decompress=False, lingering_time=2
        )
        self._reaper: asyncio.Task[None] | None = None
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Listens; `PortTakenError` when the address is in use or not ours."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise PortTakenError(
                f"can't listen on {host}:{port} ({error.strerror}): set HTTP_PORT to a free port"
            ) from error
        self.port = self._runner.addresses[0][1]
        self._reaper = asyncio.create_task(self._close_idle(), name="http-reaper")

    async def stop(self) -> None:
        """Stops listening and lets requests under way finish, 3 s at most."""
        if self._reaper is not None:
            self._reaper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reaper
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._runner.cleanup(), 3)

    @web.middleware
    async def _guard_requests(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Notes which connections are at work, for the reaper."""
        key = request.protocol
        self._busy[key] = self._busy.get(key, 0) + 1
        try:
            return await handler(request)
        finally:
            self._busy[key] -= 1
            if not self._busy[key]:
                del self._busy[key]
            self._since[key] = asyncio.get_running_loop().time()

    async def _close_idle(self) -> None:
        """Closes connections that send nothing, or their headers too slowly (faults.md F51)."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._idle_seconds / 5)
            server = self._runner.server
            alive = list(server.connections) if server is not None else []
            now = loop.time()
            self._since = {key: self._since.get(key, now) for key in alive}
            for connection in alive:
                late = now - self._since[connection] > self._idle_seconds
                if late and connection not in self._busy:
                    connection.force_close()


@web.middleware
async def _no_leaks(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Errors say nothing about the inside; an unexpected one has an id that is in the log."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        headers = {
            key: value for key, value in error.headers.items() if key in ("Allow", "Connection")
        }
        return web.json_response({"error": error.reason}, status=error.status, headers=headers)
    except (ConnectionError, asyncio.CancelledError):
        raise
    except Exception:  # noqa: BLE001 the outermost door
        number = secrets.token_hex(4)
        _LOG.exception("a request failed", extra={"action": "http_failed", "id": number})
        return web.json_response({"error": "internal", "id": number}, status=500)
