"""What the roads to all providers share: one address, one pace, bodies of a bounded size."""

from __future__ import annotations

import asyncio
import re
from typing import Final

import httpx
from aiolimiter import AsyncLimiter

PACE_WAIT_SECONDS: Final = 20.0

_BASE: Final = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?")


def is_base(url: str) -> bool:
    """Whether paths can be put behind it: http, no user, no query."""
    return _BASE.fullmatch(url) is not None


def timeouts(seconds: float) -> httpx.Timeout:
    """For one answer; a quarter of it for a connection."""
    return httpx.Timeout(seconds, connect=seconds / 4, pool=seconds / 4)


async def turn(pace: AsyncLimiter) -> bool:
    """Waits for it, but not for ever; whether it came."""
    try:
        async with asyncio.timeout(PACE_WAIT_SECONDS):
            await pace.acquire()
    except TimeoutError:
        return False
    return True


async def body(response: httpx.Response, limit: int) -> bytes:
    """The body as far as its limit and one piece more."""
    read = bytearray()
    async for piece in response.aiter_bytes():
        read += piece
        if len(read) > limit:
            break
    return bytes(read)
