"""Provider callbacks: check the secret, bound the body, store it, answer. Nothing is decided here.

A wrong secret is a 404 like any unknown path and stores nothing. An unreadable body is kept for a
person and answered 400. While PostgreSQL is down the answer is 503: what isn't stored is never
acknowledged.

The list of addresses is a second fence: lists change, so a callback from elsewhere is kept and
answered like any other, told to the admins, and never credited on its word alone.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address, ip_network
from typing import Final

from aiohttp import web

from escrow.domain.errors import DatabaseDown, TimedOut
from escrow.services import intake
from escrow.services.intake import Intake
from escrow.services.ports import UnreadableError

_LOG: Final = logging.getLogger(__name__)
MAX_BYTES: Final = 64 * 1024
BODY_SECONDS: Final = 10.0
_TOKEN: Final = re.compile(r"[0-9a-f]{32,64}")
_ROUTES: Final = {
    "s": (intake.STK, True, {"ResultCode": 0, "ResultDesc": "Accepted"}),
    "c": (intake.PAYBILL, False, {"ResultCode": 0, "ResultDesc": "Success"}),
    "r": (intake.STATUS, True, {"ResultCode": 0, "ResultDesc": "Accepted"}),
    "t": (intake.STATUS_TIMEOUT, True, {"ResultCode": 0, "ResultDesc": "Accepted"}),
    "q": (intake.CLAIM, True, {"ResultCode": 0, "ResultDesc": "Accepted"}),
    "p": (intake.PAYOUT, True, {"ResultCode": 0, "ResultDesc": "Accepted"}),
    "o": (intake.PAYOUT_TIMEOUT, True, {"ResultCode": 0, "ResultDesc": "Accepted"}),
    "a": (intake.PAYOUT_ASKED, True, {"ResultCode": 0, "ResultDesc": "Accepted"}),
    "x": (intake.REVERSAL, True, {"ResultCode": 0, "ResultDesc": "Accepted"}),
    "w": (intake.PAYOUT_WORD, True, {"ResultCode": 0, "ResultDesc": "Accepted"}),
    "b": (intake.ASKED_TIMEOUT, True, {"ResultCode": 0, "ResultDesc": "Accepted"}),
    "k": (intake.BALANCE, True, {"ResultCode": 0, "ResultDesc": "Accepted"}),
    "l": (intake.BALANCE_TIMEOUT, True, {"ResultCode": 0, "ResultDesc": "Accepted"}),
    "n": (intake.PULL_NOTE, False, {"ResultCode": 0, "ResultDesc": "Accepted"}),
    "u": (intake.CLAIM_TIMEOUT, True, {"ResultCode": 0, "ResultDesc": "Accepted"}),
}
"""Letter in the path → (route, whether a token follows, what M-Pesa is answered)."""


class Webhooks:
    """The routes below `/hooks/m/<secret>/`."""

    def __init__(self, door: Intake, proxies: str = "", allowed: str = "") -> None:
        self._door = door
        self._proxies = networks(proxies)
        self._allowed = networks(allowed)

    def routes(self) -> list[web.RouteDef]:
        return [web.route("*", "/hooks/m/{secret}/{rest:.*}", self._receive)]

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        if not self._door.knows(request.match_info["secret"]):
            raise web.HTTPNotFound
        letter, _, token = request.match_info["rest"].partition("/")
        handler: Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]
        if letter == "v" and not token:
            handler = self._validate
        elif letter in _ROUTES and _fits(letter, token):
            handler = self._store
        else:
            raise web.HTTPNotFound
        if request.method != "POST":
            raise web.HTTPMethodNotAllowed(request.method, ["POST"])
        body = await read_body(request)
        try:
            return await handler(request, body)
        except UnreadableError:
            return web.json_response({"ResultCode": 1, "ResultDesc": "Unreadable"}, status=400)
        except (DatabaseDown, TimedOut):
            _LOG.error("a callback could not be stored", extra={"action": "store_failed"})
            return web.json_response({"ResultCode": 1, "ResultDesc": "Try again"}, status=503)

    async def _store(self, request: web.Request, body: bytes) -> web.StreamResponse:
        letter, _, token = request.match_info["rest"].partition("/")
        route, _, answer = _ROUTES[letter]
        sender = client_address(request, self._proxies)
        listed = not self._allowed or _within(sender, self._allowed)
        if not listed:
            _LOG.warning(
                "a callback from an unlisted address",
                extra={"action": "unlisted_sender", "sender": sender, "route": route},
            )
        await self._door.store(
            route, token, request.method, request.query_string[:2000], body, sender, listed=listed
        )
        return web.json_response(answer)

    async def _validate(self, request: web.Request, body: bytes) -> web.StreamResponse:
        refusal = await self._door.validate(body)
        if refusal is None:
            return web.json_response({"ResultCode": "0", "ResultDesc": "Accepted"})
        return web.json_response({"ResultCode": refusal, "ResultDesc": "Rejected"})


async def read_body(request: web.Request) -> bytes:
    """The body, at most 64 KiB and within 10 s; 413 or 408 otherwise."""
    if request.content_length is not None and request.content_length > MAX_BYTES:
        raise web.HTTPRequestEntityTooLarge(MAX_BYTES, request.content_length)
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout(headers={"Connection": "close"}) from None


def _fits(letter: str, token: str) -> bool:
    return bool(_TOKEN.fullmatch(token)) if _ROUTES[letter][1] else not token


def networks(text: str) -> tuple[object, ...]:
    pieces = (piece.strip() for piece in text.split(","))
    return tuple(ip_network(piece, strict=False) for piece in pieces if piece)


def _within(address: str, networks: Sequence[object]) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in networks)  # type: ignore[operator]


def same(given: str, ours: str) -> bool:
    """Whether a secret that was given is ours, in constant time; whatever bytes it was made of."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), ours.encode())


def client_address(request: web.Request, proxies: Sequence[object]) -> str:
    """Who called: the peer, or the rightmost forwarded address that is not a proxy of ours."""
    address = request.remote or ""
    if not _within(address, proxies):
        return address
    for hop in reversed(request.headers.get("X-Forwarded-For", "").split(",")):
        try:
            address = str(ip_address(hop.strip()))
        except (
            ValueError
        ):  # not written by a proxy of ours: the last address that was is the sender
            break
        if not _within(address, proxies):
            break
    return address
