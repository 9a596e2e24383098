"""Telegram's webhook: the update is stored, then answered 200. For bots with a public address."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from escrow.domain.errors import DatabaseDown, TimedOut
from escrow.web.webhooks import read_body, same

HEADER = "X-Telegram-Bot-Api-Secret-Token"


class TelegramHook:
    """One route below `/telegram/`; a wrong path or header is an unknown path."""

    def __init__(self, secret: str, accept: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        self._secret = secret
        self._accept = accept

    @property
    def path(self) -> str:
        return f"/telegram/{self._secret}"

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/telegram/{secret}", self._receive)]

    async def _receive(self, request: web.Request) -> web.Response:
        given = (request.match_info["secret"], request.headers.get(HEADER, ""))
        if not all(same(one, self._secret) for one in given):
            raise web.HTTPNotFound
        try:
            update = json.loads(await read_body(request))
        except (ValueError, RecursionError):
            raise web.HTTPBadRequest from None
        if not isinstance(update, dict) or type(update.get("update_id")) is not int:
            raise web.HTTPBadRequest
        try:
            await self._accept(update)
        except (ValueError, RecursionError):
            raise web.HTTPBadRequest from None
        except (DatabaseDown, TimedOut):
            raise web.HTTPServiceUnavailable from None
        return web.Response()
