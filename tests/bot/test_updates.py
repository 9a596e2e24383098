"""No update is lost and none acts twice: stored first, in order per chat, eight chats at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest
from telegram import Update

from escrow.bot import updates as module
from escrow.bot.updates import TRIES, UpdateStore, chat_of, storable
from escrow.domain.errors import DatabaseDown
from escrow.store.database import Database
from tests.bot.conftest import BUYER, SELLER, FixedClock, Town


class _Handlers:
    """An Application that only notes what it is given."""

    def __init__(self, bot: Any) -> None:
        self.bot = bot
        self.seen: list[int] = []
        self.running = self.most = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.changed = asyncio.Event()
        self.act: Callable[[int], None] = lambda number: None

    async def process_update(self, update: Update) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        self.changed.set()
        try:
            await self.gate.wait()
            self.act(update.update_id)
            self.seen.append(update.update_id)
        finally:
            self.running -= 1

    async def until(self, running: int) -> None:
        while self.running < running:
            self.changed.clear()
            await asyncio.wait_for(self.changed.wait(), 10)


@pytest.fixture
def handlers() -> _Handlers:
    return _Handlers(None)


def _store(handlers: _Handlers, database: Database, **options: Any) -> UpdateStore:
    values: dict[str, Any] = {"polling": False, "retry_seconds": 0.01, **options}
    return UpdateStore(handlers, database, FixedClock(), **values)  # type: ignore[arg-type]


def _body(number: int, chat: int = BUYER) -> dict[str, Any]:
    return {
        "update_id": number,
        "message": {
            "message_id": number,
            "date": 1,
            "chat": {"id": chat, "type": "private"},
            "text": "x",
        },
    }


async def _states(books: asyncpg.Connection) -> dict[int, str]:
    rows = await books.fetch("SELECT update_id, state FROM telegram_updates")
    return {row["update_id"]: row["state"] for row in rows}


async def test_updates_of_a_chat_are_handled_in_order_once(
    handlers: _Handlers, database: Database, books: asyncpg.Connection
) -> None:
    store = _store(handlers, database)
    await store.start()
    for number in (1, 2, 2, 3, 1):
        await store.accept(_body(number))
    await store.drained()
    await store.accept(_body(2))
    await store.drained()
    assert handlers.seen == [1, 2, 3]
    assert await _states(books) == {1: "DONE", 2: "DONE", 3: "DONE"}
    await store.stop()


async def test_eight_chats_at_once_and_one_update_per_chat(
    handlers: _Handlers, database: Database
) -> None:
    store = _store(handlers, database)
    await store.start()
    handlers.gate.clear()
    for number in range(1, 31):
        await store.accept(_body(number, chat=number % 10 + 1))
    await handlers.until(8)
    handlers.gate.set()
    await store.drained()
    assert handlers.most == 8
    assert len(handlers.seen) == 30
    for chat in range(10):
        own = [number for number in handlers.seen if number % 10 == chat]
        assert own == sorted(own)
    await store.stop()


async def test_what_a_killed_process_left_is_handled_at_the_next_start(
    handlers: _Handlers, database: Database
) -> None:
    first = _store(handlers, database)
    for number in (1, 2, 3):
        await first.accept(_body(number))
    assert handlers.seen == []  # it never came to handle them
    second = _store(handlers, database)
    await second.start()
    await second.drained()
    assert handlers.seen == [1, 2, 3]
    await second.stop()


async def test_more_than_memory_holds_is_read_from_the_table_in_order(
    handlers: _Handlers, database: Database, books: asyncpg.Connection
) -> None:
    store = _store(handlers, database, room=10)
    handlers.gate.clear()
    for number in range(1, 26):
        await store.accept(_body(number, chat=number % 3 + 1))
    await store.start()
    await handlers.until(3)
    for number in range(26, 61):
        await store.accept(_body(number, chat=number % 3 + 1))
    handlers.gate.set()
    await store.drained()
    assert sorted(handlers.seen) == list(range(1, 61))
    for chat in range(3):
        own = [number for number in handlers.seen if number % 3 == chat]
        assert own == sorted(own)
    assert set((await _states(books)).values()) == {"DONE"}
    await store.stop()


async def test_an_update_that_never_ends_its_process_well_is_parked(
    handlers: _Handlers, database: Database, books: asyncpg.Connection
) -> None:
    await _store(handlers, database).accept(_body(1))
    await books.execute("UPDATE telegram_updates SET tries = $1", TRIES)
    store = _store(handlers, database)
    await store.start()
    await store.drained()
    assert handlers.seen == []
    assert await _states(books) == {1: "PARKED"}
    await store.stop()


async def test_a_try_is_counted_before_it_is_made(
    handlers: _Handlers, database: Database, books: asyncpg.Connection
) -> None:
    store = _store(handlers, database)
    await store.start()
    handlers.gate.clear()
    await store.accept(_body(1))
    await handlers.until(1)
    assert await books.fetchval("SELECT tries FROM telegram_updates") == 1
    assert await _states(books) == {1: "NEW"}
    handlers.gate.set()
    await store.drained()
    await store.stop()


async def test_a_stop_ends_what_is_under_way_and_leaves_the_rest(
    handlers: _Handlers, database: Database, books: asyncpg.Connection
) -> None:
    store = _store(handlers, database)
    await store.start()
    handlers.gate.clear()
    await store.accept(_body(1))
    await store.accept(_body(2))
    await handlers.until(1)
    stopping = asyncio.ensure_future(store.stop())
    handlers.gate.set()
    await stopping
    assert await _states(books) == {1: "DONE", 2: "NEW"}
    again = _store(handlers, database)
    await again.start()
    await again.drained()
    assert handlers.seen == [1, 2]
    await again.stop()


async def test_a_handler_that_hangs_is_cut_at_the_stop_and_handled_again(
    handlers: _Handlers,
    database: Database,
    books: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "STOP_SECONDS", 0.01)
    store = _store(handlers, database)
    await store.start()
    handlers.gate.clear()
    await store.accept(_body(1))
    await handlers.until(1)
    await store.stop()
    assert await _states(books) == {1: "NEW"}
    handlers.gate.set()
    again = _store(handlers, database)
    await again.start()
    await again.drained()
    assert handlers.seen == [1]
    await again.stop()


async def test_a_handler_without_an_end_is_parked(
    handlers: _Handlers,
    database: Database,
    books: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "HANDLER_SECONDS", 0.01)
    store = _store(handlers, database)
    await store.start()
    handlers.gate.clear()
    await store.accept(_body(1))
    await store.drained()
    assert await _states(books) == {1: "PARKED"}
    await store.stop()


async def test_an_update_that_cannot_be_read_stops_no_other(
    handlers: _Handlers, database: Database, books: asyncpg.Connection
) -> None:
    store = _store(handlers, database)
    await store.start()
    await store.accept({"update_id": 1, "message": {"chat": {"id": BUYER}, "date": "soon"}})
    await store.accept(_body(2))
    await store.drained()
    assert handlers.seen == [2]
    assert await _states(books) == {1: "PARKED", 2: "DONE"}
    await store.stop()


@pytest.mark.parametrize("body", [None, [], "x", {}, {"update_id": "5"}, {"update_id": 2**63}])
async def test_what_is_no_update_is_refused(
    handlers: _Handlers, database: Database, body: object
) -> None:
    with pytest.raises(ValueError, match="number"):
        await _store(handlers, database).accept(body)


async def test_odd_characters_are_kept_where_postgresql_can(
    handlers: _Handlers, database: Database, books: asyncpg.Connection
) -> None:
    body = _body(1)
    body["message"]["text"] = "a\0b\ud800c"
    body["message"]["odd"] = [float("inf"), {"\0": float("nan")}]
    store = _store(handlers, database)
    await store.start()
    await store.accept(body)
    await store.drained()
    kept = await books.fetchval("SELECT body->'message'->>'text' FROM telegram_updates")
    assert kept == "ab?c"
    await store.stop()


def test_cleaning_changes_nothing_else() -> None:
    body = {"a": [1, 2.5, None, True, "é"], "b": {"c": "👍"}}
    assert storable(body) == body


@pytest.mark.parametrize(
    ("body", "chat"),
    [
        ({"message": {"chat": {"id": 5}}}, 5),
        ({"my_chat_member": {"chat": {"id": 6}}}, 6),
        ({"callback_query": {"from": {"id": 7}, "message": {"chat": {"id": 8}}}}, 8),
        ({"callback_query": {"from": {"id": 7}}}, 7),
        ({"message": "x"}, 0),
        ({"message": {"chat": {"id": "5"}}}, 0),
        ({"poll": {}}, 0),
    ],
)
def test_an_update_names_its_chat(body: dict[str, Any], chat: int) -> None:
    assert chat_of(body) == chat


# -- with Telegram and PostgreSQL ------------------------------------------------------------------


async def test_a_fetched_batch_outlives_a_database_outage(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    down = asyncio.Event()
    real = module.inbox.store_updates
    refusals = 0

    async def store_updates(*args: Any) -> None:
        nonlocal refusals
        if not down.is_set():
            refusals += 1
            if refusals == 5:
                down.set()
            raise DatabaseDown
        await real(*args)

    monkeypatch.setattr(module.inbox, "store_updates", store_updates)
    town.telegram.user_sends(BUYER, "/start")
    town.telegram.user_sends(BUYER, "/deals")
    await town.settle()
    assert refusals == 5
    heard = [message.text for message in town.telegram.from_bot(BUYER)]
    assert len(heard) == 2
    assert "Amana" in heard[0]


async def test_a_database_that_fails_oddly_does_not_end_polling(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failures = module.inbox.store_updates, iter([OSError("disk"), RuntimeError("odd")])

    async def store_updates(*args: Any) -> None:
        for failure in failures:
            raise failure
        await real(*args)

    monkeypatch.setattr(module.inbox, "store_updates", store_updates)
    assert "Amana" in (await town.says(BUYER, "/start"))[-1].text


@pytest.mark.parametrize("name", ["pending_updates", "update_started", "update_done"])
async def test_an_outage_while_handling_only_waits(
    town: Town, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    real, failures = getattr(module.inbox, name), iter([DatabaseDown(), DatabaseDown()])

    async def fails_twice(*args: Any) -> Any:
        for failure in failures:
            raise failure
        return await real(*args)

    await town.store.stop()
    monkeypatch.setattr(module.inbox, name, fails_twice)
    await town.store.start()
    answers = await town.says(BUYER, "/start")
    assert len(answers) == 1
    assert await town.value("SELECT state FROM telegram_updates") == "DONE"


async def test_a_second_delivery_of_an_update_answers_once(town: Town) -> None:
    town.telegram.user_sends(BUYER, "/start")
    update = town.telegram.updates.pending[-1]
    await town.settle()
    town.telegram.updates.push_again(update)
    await town.settle()
    assert len(town.telegram.from_bot(BUYER)) == 1


async def test_somebody_who_blocked_the_bot_is_known_as_unreachable(town: Town) -> None:
    query = "SELECT unreachable_at IS NOT NULL FROM people WHERE telegram_id = $1"
    await town.says(SELLER, "/start")
    town.telegram.user_blocks(SELLER)
    await town.settle()
    assert await town.value(query, SELLER) is True
    town.telegram.user_unblocks(SELLER)
    await town.says(SELLER, "/start")
    assert await town.value(query, SELLER) is False
