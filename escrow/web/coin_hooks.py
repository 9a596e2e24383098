"""What coin providers call: check the secret, the signature, then store and answer in their words.

A wrong secret is a 404 like any unknown path; a right secret with a wrong signature is a 403. Both
store nothing. What can't be checked or stored now is a 503, and the provider comes again.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Final

from aiohttp import web

from escrow.domain.errors import DatabaseDown, TimedOut
from escrow.services.intake import BLOCKBEE, DYNOPAY, Intake
from escrow.services.ports import RawRequest, UnreadableError
from escrow.web.webhooks import MAX_BYTES, client_address, networks, read_body, same

_LOG: Final = logging.getLogger(__name__)
_TOKEN: Final = re.compile(r"[0-9a-f]{32,64}")
LETTERS: Final = {"b": BLOCKBEE, "d": DYNOPAY}
_METHODS: Final = {BLOCKBEE: ("GET", "POST"), DYNOPAY: ("POST",)}


class CoinHooks:
    """The routes `/hooks/b/<secret>/<token>` (BlockBee) and `/hooks/d/…` (DynoPay)."""

    def __init__(self, door: Intake, secrets: Mapping[str, str], proxies: str = "") -> None:
        self._door = door
        self._secrets = dict(secrets)
        self._proxies = networks(proxies)

    def routes(self) -> list[web.RouteDef]:
        return [web.route("*", "/hooks/{letter:[bd]}/{secret}/{token}", self._receive)]

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        route = LETTERS[request.match_info["letter"]]
        token = request.match_info["token"]
        secret = self._secrets.get(route)
        if secret is None or not same(request.match_info["secret"], secret):
            raise web.HTTPNotFound
        if not _TOKEN.fullmatch(token):
            raise web.HTTPNotFound
        if request.method not in _METHODS[route]:
            raise web.HTTPMethodNotAllowed(request.method, _METHODS[route])
        body = await read_body(request)
        target = request.raw_path
        _, _, query = target.partition("?")
        if len(query) > MAX_BYTES:
            raise web.HTTPRequestURITooLong
        headers = {name.lower(): value for name, value in request.headers.items()}
        raw = RawRequest(request.method, target, query, headers, body)
        try:
            signed = await self._door.authentic(route, token, raw)
        except (DatabaseDown, TimedOut):
            signed = None
        sender = client_address(request, self._proxies)
        if signed is None:
            _LOG.error(
                "a signature could not be checked",
                extra={"action": "signature_unchecked", "route": route},
            )
            return web.Response(status=503, text="Try again")
        if not signed:
            _LOG.warning(
                "a request with a wrong signature",
                extra={"action": "wrong_signature", "route": route, "sender": sender},
            )
            return web.Response(status=403, text="Wrong signature")
        try:
            await self._door.store(route, token, request.method, query, body, sender)
        except UnreadableError:
            return web.Response(status=400, text="Unreadable")
        except (DatabaseDown, TimedOut):
            _LOG.error("a callback could not be stored", extra={"action": "store_failed"})
            return web.Response(status=503, text="Try again")
        if route == BLOCKBEE:
            return web.Response(text="*ok*")
        return web.json_response({"received": True})
