"""One OAuth token per set of credentials, fetched by one process and used by all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from escrow.domain.errors import Fault
from escrow.services.ports import Clock
from escrow.store import tokens
from escrow.store.database import Database

LEASE: Final = timedelta(seconds=15)
MARGIN: Final = timedelta(seconds=60)
STEP_SECONDS: Final = 0.1
WAIT_STEPS: Final = 200
"""Twenty seconds of waiting for somebody else's token, then no more."""


class TokenWaitError(Exception):
    """No token came in time."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token as its provider gave it."""

    text: str = field(repr=False)
    expires_at: datetime


class TokenStore:
    """Shares tokens through `provider_tokens`. No transaction is open while one is fetched."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._clock = clock
        self._pause = pause

    async def get(self, provider: str, fetch: Callable[[], Awaitable[Token]]) -> str:
        """The shared token, fetched when it is missing or ends within 60 s.

        `fetch` has to give up before the lease of 15 s ends; its errors come out as they are.
        `TokenWaitError` after 20 s, `DatabaseDown`.
        """
        for _ in range(WAIT_STEPS):
            now = self._clock.now()
            async with self._database.reading() as conn:
                token = await tokens.usable(conn, provider, now + MARGIN)
                if token is not None:
                    return token
                lease = await tokens.take_lease(conn, provider, now, now + MARGIN, now + LEASE)
            if lease is not None:
                token = await self._fetch(provider, lease, fetch)
                if token is not None:
                    return token
            else:
                await self._pause(STEP_SECONDS)
        raise TokenWaitError("no token came in time")

    async def _fetch(
        self, provider: str, lease: datetime, fetch: Callable[[], Awaitable[Token]]
    ) -> str | None:
        """Fetches under that lease; None when it was lost meanwhile."""
        kept = False
        try:
            token = await fetch()
            async with self._database.reading() as conn:
                kept = await tokens.keep(conn, provider, lease, token.text, token.expires_at)
            return token.text if kept else None
        finally:
            if not kept:
                with suppress(Fault):  # then it ends by itself
                    async with self._database.reading() as conn:
                        await tokens.release(conn, provider, lease)

    async def forget(self, provider: str, token: str) -> None:
        """Drops a token that its provider refused, unless a newer one is there already."""
        async with self._database.reading() as conn:
            await tokens.forget(conn, provider, token)
