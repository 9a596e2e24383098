"""Polling outlives everything, and confirms only what is kept."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
from telegram.ext import ApplicationBuilder, ExtBot

from escrow.bot.poller import Poller, is_id
from sandbox import persona
from sandbox.server import Sandbox
from tests.bot.conftest import BUYER


class _Shelf:
    """Keeps batches; `refuse` makes it wait, as a database that is down does."""

    def __init__(self) -> None:
        self.kept: list[int] = []
        self.arrived = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()
        self.waiting = asyncio.Event()

    async def keep(self, batch: Sequence[Mapping[str, Any]]) -> None:
        self.waiting.set()
        await self.open.wait()
        self.kept += [int(body["update_id"]) for body in batch]
        self.arrived.set()

    async def until(self, count: int) -> None:
        while len(self.kept) < count:
            self.arrived.clear()
            await asyncio.wait_for(self.arrived.wait(), 10)


@pytest.fixture
async def bot(sandbox: Sandbox) -> AsyncIterator[ExtBot[None]]:
    application = (
        ApplicationBuilder()
        .token(persona.BOT_TOKEN)
        .base_url(sandbox.base_url)
        .base_file_url(sandbox.base_file_url)
        .updater(None)
        .job_queue(None)
        .build()
    )
    async with application:
        yield application.bot


@pytest.fixture
def shelf() -> _Shelf:
    return _Shelf()


@pytest.fixture
async def poller(bot: Any, shelf: _Shelf) -> AsyncIterator[Poller]:
    poller = Poller(
        bot, shelf.keep, retry_seconds=0.01, poll_seconds=5, conflict_alarm_seconds=0.05
    )
    poller.start()
    yield poller
    await poller.stop()


async def test_nothing_is_confirmed_before_it_is_kept(
    sandbox: Sandbox, shelf: _Shelf, poller: Poller
) -> None:
    shelf.open.clear()
    sandbox.telegram.user_sends(BUYER, "hello")
    await asyncio.wait_for(shelf.waiting.wait(), 10)
    assert len(sandbox.telegram.updates.pending) == 1
    shelf.open.set()
    await sandbox.telegram.updates.wait_empty()
    assert len(shelf.kept) == 1


async def test_a_stop_while_keeping_loses_nothing(
    sandbox: Sandbox, bot: Any, shelf: _Shelf, poller: Poller
) -> None:
    shelf.open.clear()
    sandbox.telegram.user_sends(BUYER, "hello")
    await asyncio.wait_for(shelf.waiting.wait(), 10)
    await poller.stop()
    assert len(sandbox.telegram.updates.pending) == 1
    shelf.open.set()
    second = Poller(bot, shelf.keep, retry_seconds=0.01, poll_seconds=5)
    second.start()
    await shelf.until(1)
    await second.stop()


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500},
        {"status": 502},
        {"status": 429, "retry_after": 0},
        {"status": 400, "description": "Bad Request: odd"},
        {"status": 409, "description": "Conflict: terminated by other getUpdates request"},
    ],
)
async def test_every_answer_is_outlived(
    sandbox: Sandbox, shelf: _Shelf, poller: Poller, fault: dict[str, Any]
) -> None:
    await sandbox.telegram.updates.wait_poll()
    held = sandbox.telegram.fail("getUpdates", times=3, **fault)
    sandbox.telegram.user_sends(BUYER, "one")
    await shelf.until(1)
    sandbox.telegram.user_sends(BUYER, "two")
    await shelf.until(2)
    assert held.hits > 0
    assert poller.polled_at is not None


async def test_cut_connections_are_outlived(
    sandbox: Sandbox, shelf: _Shelf, poller: Poller
) -> None:
    sandbox.telegram.cut("getUpdates", times=3)
    sandbox.telegram.user_sends(BUYER, "hello")
    await shelf.until(1)
    assert set(shelf.kept) == {shelf.kept[0]}


async def test_an_answer_that_is_no_list_is_outlived(
    sandbox: Sandbox, shelf: _Shelf, poller: Poller
) -> None:
    await sandbox.telegram.updates.wait_poll()
    fault = sandbox.telegram.fail("getUpdates", status=500)
    fault.status, fault.body = 200, '{"ok": true, "result": 5}'
    sandbox.telegram.user_sends(BUYER, "one")
    sandbox.telegram.user_sends(BUYER, "two")
    await shelf.until(2)


async def test_a_second_program_with_the_token_becomes_an_alarm(
    sandbox: Sandbox, shelf: _Shelf, poller: Poller, caplog: pytest.LogCaptureFixture
) -> None:
    words = "Conflict: terminated by other getUpdates request"
    sandbox.telegram.fail("getUpdates", status=409, description=words, times=30)
    sandbox.telegram.user_sends(BUYER, "hello")
    await shelf.until(1)
    levels = [
        record.levelno
        for record in caplog.records
        if getattr(record, "action", "") == "poll_conflict"
    ]
    assert levels[0] == logging.WARNING
    assert levels[-1] == logging.ERROR


async def test_a_webhook_that_was_left_is_taken_off_and_its_updates_kept(
    sandbox: Sandbox, bot: Any, shelf: _Shelf
) -> None:
    await bot.set_webhook("http://127.0.0.1:1/nowhere")
    sandbox.telegram.user_sends(BUYER, "hello")
    poller = Poller(bot, shelf.keep, retry_seconds=0.01, poll_seconds=5)
    poller.start()
    await shelf.until(1)
    await bot.set_webhook("http://127.0.0.1:1/nowhere")
    await sandbox.telegram.wait_call("deleteWebhook", count=2)
    sandbox.telegram.user_sends(BUYER, "again")
    await shelf.until(2)
    await poller.stop()


async def test_only_wanted_kinds_are_asked_for(
    sandbox: Sandbox, shelf: _Shelf, poller: Poller
) -> None:
    await sandbox.telegram.updates.wait_poll()
    assert sandbox.telegram.updates.allowed == ["message", "callback_query", "my_chat_member"]


async def test_numbers_that_start_anew_after_silence_are_seen(
    sandbox: Sandbox, bot: Any, shelf: _Shelf
) -> None:
    poller = Poller(bot, shelf.keep, retry_seconds=0.01, poll_seconds=0)
    poller.start()
    sandbox.telegram.user_sends(BUYER, "hello")
    await shelf.until(1)
    await sandbox.telegram.updates.wait_empty()
    await sandbox.telegram.wait_call(
        "getUpdates", where=lambda call: "offset" not in call.params, count=2
    )
    sandbox.telegram.updates.push_again({"update_id": 5, "message": {}})
    await shelf.until(2)
    assert shelf.kept[-1] == 5
    await poller.stop()


def test_numbers_that_postgresql_cannot_keep_are_none() -> None:
    assert is_id(5)
    assert not any(is_id(value) for value in (None, True, "5", 2**63, 5.0))
