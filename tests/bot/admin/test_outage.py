"""While PostgreSQL is down an admin still learns whether the money is safe."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from escrow.bot.admin import outage
from escrow.domain.errors import DatabaseDown
from tests.bot.conftest import ADMIN, BUYER, Town


def _body(person: int, text: str = "/system_health", number: int = 900) -> dict[str, Any]:
    who = {"id": person, "first_name": "A", "is_bot": False}
    chat = {"id": person, "type": "private"}
    command = {"type": "bot_command", "offset": 0, "length": len(text)}
    message = {"message_id": 1, "date": 1, "chat": chat, "from": who, "text": text}
    message["entities"] = [command]
    return {"update_id": number, "message": message}


@pytest.mark.parametrize("text", ["/system_health", "/system_health@AmanaBot now"])
def test_who_asks_is_read_from_the_raw_update(text: str) -> None:
    assert outage.asking(_body(ADMIN, text)) == ADMIN


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"message": None},
        {"message": {"text": 5}},
        {"message": {"text": " "}},
        {"message": {"text": "/system_health"}},
        {"message": {"text": "/system_health", "chat": {"id": 1}, "from": {"id": "1"}}},
        {"message": {"text": "/system_health", "chat": {"id": -5}, "from": {"id": 1}}},
        _body(ADMIN, "/system_healthy"),
        _body(ADMIN, "hello"),
    ],
)
def test_nobody_asks_in_anything_else(body: dict[str, Any]) -> None:
    assert outage.asking(body) is None


async def test_an_admin_is_told_once_that_there_is_no_database_and_then_answered(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    await town.says(ADMIN, "/start")
    await town.says(BUYER, "/start")
    real, tries = town.store._store, []

    async def down(*_: object) -> None:
        raise DatabaseDown("PostgreSQL can't be reached: OSError")

    async def store(batch: Any) -> None:
        tries.append(batch)
        if len(tries) < 4:
            raise DatabaseDown
        monkeypatch.undo()
        await real(batch)

    monkeypatch.setattr(town.store, "_store", store)
    monkeypatch.setattr(town.store, "_retry_seconds", 0.0)
    monkeypatch.setattr(town.office.oversight, "look", down)
    before = (town.last(ADMIN).id, town.last(BUYER).id)
    taking = asyncio.create_task(
        town.store._take([_body(ADMIN, number=901), _body(BUYER, number=902)])
    )
    await taking
    await town.store.drained()
    texts = [
        message.text
        for message in town.telegram.messages.values()
        if message.chat_id == ADMIN and message.id > before[0]
    ]
    assert texts[0].startswith("BROKEN – ")
    assert "The database does not answer" in texts[0]
    assert texts[1].startswith("OK – "), "it was kept, and is answered now that it can be"
    assert len(texts) == 2
    assert "admins" in town.last(BUYER).text
