"""`/healthz`: is the process alive? `/readyz`: is the money safe? `/metrics`: the figures.

A pause makes nothing unready: callbacks must still come in.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Final

from aiohttp import web

from escrow.domain.errors import DatabaseDown, Fault
from escrow.services.health import BROKEN
from escrow.services.oversight import Oversight
from escrow.services.ports import Clock
from escrow.web.webhooks import same

_PROOF_AGE: Final = timedelta(minutes=3)
_OUTBOX_AGE: Final = timedelta(minutes=10)


class Health:
    """Routes for operators and their monitors."""

    def __init__(
        self,
        oversight: Oversight,
        clock: Clock,
        alive: Callable[[], list[str]],
        metrics: Callable[[], bytes],
        metrics_token: str,
    ) -> None:
        self._oversight = oversight
        self._clock = clock
        self._alive = alive
        self._metrics = metrics
        self._token = metrics_token

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/healthz", self._healthz),
            web.get("/readyz", self._readyz),
            web.get("/metrics", self._show_metrics),
        ]

    async def _healthz(self, request: web.Request) -> web.Response:
        stopped = self._alive()
        return web.json_response(
            {"alive": not stopped, "stopped": stopped}, status=503 if stopped else 200
        )

    async def _readyz(self, request: web.Request) -> web.Response:
        problems: list[str] = list(self._alive())
        health = self._oversight.last
        word = health.word if health else None
        paused: datetime | None = None
        now = self._clock.now()
        try:
            await self._oversight.ping()
            paused = await self._oversight.paused_since()
        except (DatabaseDown, Fault) as error:
            problems.append(str(error))
            word = BROKEN
        if health is None:
            problems.append("the books were not proved yet")
        else:
            if health.breaks:
                problems.append(f"the books are broken: {'; '.join(health.breaks)}")
            if health.proved_at is None or now - health.proved_at > _PROOF_AGE:
                problems.append("the last proof of the books is too old")
            if health.outbox_oldest and now - health.outbox_oldest > _OUTBOX_AGE:
                problems.append("notices wait for more than ten minutes")
        if not self._clock.steady:
            problems.append("the clock jumped: timers are stopped")
        proved_at = health.proved_at if health else None
        body = {
            "ready": not problems,
            "problems": problems,
            "paused_since": paused.isoformat() if paused else None,
            "word": word,
            "proved_at": proved_at.isoformat() if proved_at else None,
        }
        return web.json_response(body, status=503 if problems else 200)

    async def _show_metrics(self, request: web.Request) -> web.Response:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        by_token = bool(self._token) and same(given, self._token)
        if not by_token and not _loopback(request.remote):
            raise web.HTTPNotFound
        if not by_token and "X-Forwarded-For" in request.headers:
            raise web.HTTPNotFound  # a proxy on this host speaks for somebody outside
        return web.Response(body=self._metrics(), content_type="text/plain")


def _loopback(address: str | None) -> bool:
    try:
        return address is not None and ip_address(address).is_loopback
    except ValueError:
        return False
