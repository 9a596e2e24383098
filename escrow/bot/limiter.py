"""Paces what the bot answers; notices are paced by their own dispatcher and pass."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, Final

from telegram.error import RetryAfter
from telegram.ext import AIORateLimiter

UNPACED: Final = -1
"""`rate_limit_args` of a message that has its own pace and wants to hear of a 429 itself."""
MAX_RETRIES: Final = 3


def wait_seconds(error: RetryAfter) -> float:
    """How long Telegram wants to be left alone."""
    wait = error.retry_after
    return wait.total_seconds() if isinstance(wait, timedelta) else wait


_Answer = bool | dict[str, Any] | list[dict[str, Any]]


class Limiter(AIORateLimiter):
    """Telegram's limits (30 a second, and 429s are waited out), with a way past for notices."""

    def __init__(self) -> None:
        super().__init__(max_retries=MAX_RETRIES)

    async def process_request(
        self,
        callback: Callable[..., Coroutine[Any, Any, _Answer]],
        args: Any,
        kwargs: dict[str, Any],
        endpoint: str,
        data: dict[str, Any],
        rate_limit_args: int | None,
    ) -> _Answer:
        if rate_limit_args == UNPACED:
            return await callback(*args, **kwargs)
        return await super().process_request(
            callback, args, kwargs, endpoint, data, rate_limit_args
        )
