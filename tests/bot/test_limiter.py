"""Answers wait a limit out; notices hear of it at once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from telegram.error import RetryAfter

from escrow.bot.limiter import MAX_RETRIES, UNPACED, Limiter, wait_seconds


class _Telegram:
    """Refuses the first calls."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.calls = 0

    async def call(self, *args: Any, **named: Any) -> bool:
        self.calls += 1
        if self.calls <= self.refusals:
            raise RetryAfter(timedelta(seconds=0))
        return True


async def _send(telegram: _Telegram, rate_limit_args: int | None) -> Any:
    limiter = Limiter()
    await limiter.initialize()
    try:
        return await limiter.process_request(
            telegram.call, (), {}, "sendMessage", {"chat_id": 5}, rate_limit_args
        )
    finally:
        await limiter.shutdown()


async def test_an_answer_is_sent_again_after_a_limit() -> None:
    telegram = _Telegram(2)
    assert await _send(telegram, None) is True
    assert telegram.calls == 3


async def test_an_answer_is_given_up_after_three_waits() -> None:
    telegram = _Telegram(99)
    with pytest.raises(RetryAfter):
        await _send(telegram, None)
    assert telegram.calls == MAX_RETRIES + 1


async def test_a_notice_hears_of_a_limit_at_once() -> None:
    telegram = _Telegram(1)
    with pytest.raises(RetryAfter):
        await _send(telegram, UNPACED)
    assert telegram.calls == 1


def test_the_wait_is_seconds() -> None:
    assert wait_seconds(RetryAfter(timedelta(seconds=17))) == 17.0
