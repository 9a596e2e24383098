"""Telegram's webhook: stored or refused, never half."""

from typing import Any

import httpx
import pytest

from escrow.domain.errors import DatabaseDown
from escrow.web.server import Server
from escrow.web.telegram import HEADER, TelegramHook

SECRET = "ab" * 16


class Box:
    """Keeps what was accepted; `down` acts a database that is away."""

    def __init__(self) -> None:
        self.updates: list[dict[str, Any]] = []
        self.down = False

    async def accept(self, body: dict[str, Any]) -> None:
        if self.down:
            raise DatabaseDown
        self.updates.append(body)


@pytest.fixture
async def hook():
    box = Box()
    telegram = TelegramHook(SECRET, box.accept)
    server = Server(telegram.routes())
    await server.start("127.0.0.1", 0)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as http:
        yield box, http, telegram.path
    await server.stop()


async def test_an_update_with_path_and_header_secret_is_accepted(hook) -> None:
    box, http, path = hook
    answer = await http.post(path, json={"update_id": 7}, headers={HEADER: SECRET})
    assert answer.status_code == 200
    assert box.updates == [{"update_id": 7}]


async def test_a_wrong_secret_is_an_unknown_path(hook) -> None:
    box, http, path = hook
    for where, header in ((path, "x"), (path, ""), ("/telegram/wrong", SECRET)):
        answer = await http.post(where, json={"update_id": 7}, headers={HEADER: header})
        assert answer.status_code == 404
    assert box.updates == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"update_id": "7"}',
        b'{"update_id": true}',
        b"[" * 30_000,
        b"\xff",
        b"x" * 70_000,
    ],
)
async def test_what_is_no_update_is_refused(hook, body: bytes) -> None:
    box, http, path = hook
    answer = await http.post(path, content=body, headers={HEADER: SECRET})
    assert answer.status_code in (400, 413)
    assert box.updates == []


async def test_what_can_not_be_stored_is_sent_again_by_telegram(hook) -> None:
    box, http, path = hook
    box.down = True
    answer = await http.post(path, json={"update_id": 7}, headers={HEADER: SECRET})
    assert answer.status_code == 503


async def test_a_number_that_no_table_can_keep_is_refused(hook) -> None:
    _, _, path = hook

    async def refuses(body: dict[str, Any]) -> None:
        raise ValueError

    telegram = TelegramHook(SECRET, refuses)
    server = Server(telegram.routes())
    await server.start("127.0.0.1", 0)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as other:
        answer = await other.post(path, json={"update_id": 2**63}, headers={HEADER: SECRET})
    await server.stop()
    assert answer.status_code == 400


async def test_odd_bytes_in_the_header_are_a_wrong_secret(hook) -> None:
    _, http, path = hook
    answer = await http.post(path, json={"update_id": 7}, headers={HEADER.encode(): b"\xff"})
    assert answer.status_code == 404
