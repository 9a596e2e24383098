"""The same walk against a Bot API that somebody else wrote, so that our own stand-in's mistakes
can't hide ours. A thin relay keeps what was sent, since the emulator keeps no texts.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from lo_bot_api_emulator import LoBotApiEmulator

from sandbox import persona
from sandbox.server import Sandbox
from tests.e2e.conftest import ADMIN, BUYER, PHONE, SELLER, Running

TOKEN = persona.BOT_TOKEN
UNMODELLED = {"link_preview_options"}  # Telegram knows it, the emulator does not yet
NAMES = {ADMIN: "Asha", SELLER: "Jane", BUYER: "Brian"}


class Relay:
    """Stands between the bot and the emulator: a log of calls, a username, people's updates."""

    def __init__(self) -> None:
        self.emulator = LoBotApiEmulator()
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.refused: list[tuple[str, int, str]] = []
        self.pressable: dict[str, int] = {}
        """Chat → the newest message with buttons."""
        self.url = ""
        self._numbers = iter(range(1, 10_000))
        self._runners: list[web.AppRunner] = []

    async def start(self) -> None:
        inner = await self._serve(self.emulator.app())
        self._session = ClientSession()
        self._inner = inner
        app = web.Application()
        app.router.add_route("*", "/bot{token}/{method}", self._pass_on)
        self.url = (await self._serve(app)).rstrip("/")

    async def _serve(self, app: web.Application) -> str:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self._runners.append(runner)
        return f"http://127.0.0.1:{runner.addresses[0][1]}/"

    async def stop(self) -> None:
        await self._session.close()
        for runner in reversed(self._runners):
            await runner.cleanup()

    async def _pass_on(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        fields = {key: str(value) for key, value in (await request.post()).items()}
        known = {key: value for key, value in fields.items() if key not in UNMODELLED}
        async with self._session.post(f"{self._inner}bot{TOKEN}/{method}", data=known) as answer:
            status, text = answer.status, await answer.text()
        if method == "getMe":
            said = json.loads(text)
            said["result"]["username"] = persona.BOT_USERNAME
            return web.json_response(said)
        if status != 200:
            self.refused.append((method, status, text))
        else:
            self.sent.append((method, fields))
            if "inline_keyboard" in fields.get("reply_markup", ""):
                self.pressable[fields["chat_id"]] = json.loads(text)["result"]["message_id"]
        return web.Response(text=text, status=status, content_type="application/json")

    async def say(self, user: int, text: str = "", **more: Any) -> None:
        message: dict[str, Any] = {
            "message_id": next(self._numbers),
            "date": 1_763_800_000,
            "chat": {"id": user, "type": "private", "first_name": NAMES[user]},
            "from": self._who(user),
            **more,
        }
        if text:
            message["text"] = text
        if text.startswith("/"):
            length = len(text.split()[0])
            message["entities"] = [{"type": "bot_command", "offset": 0, "length": length}]
        await self.emulator.enqueue_update({"message": message}, token=TOKEN)

    async def tap(self, user: int, data: str) -> None:
        query = {
            "id": str(next(self._numbers)),
            "from": self._who(user),
            "chat_instance": "1",
            "data": data,
            "message": {
                "message_id": self.pressable[str(user)],
                "date": 1_763_800_000,
                "chat": {"id": user, "type": "private", "first_name": NAMES[user]},
                "text": "x",
            },
        }
        await self.emulator.enqueue_update({"callback_query": query}, token=TOKEN)

    @staticmethod
    def _who(user: int) -> dict[str, Any]:
        return {
            "id": user,
            "is_bot": False,
            "first_name": NAMES[user],
            "language_code": "en",
        }

    async def heard(self, user: int, pattern: str) -> tuple[str, dict[str, str]]:
        """Waits for a message to that person, new or edited; (its text, button label → data)."""

        async def look() -> tuple[str, dict[str, str]]:
            while True:
                for method, fields in reversed(self.sent):
                    told = method in ("sendMessage", "editMessageText")
                    if not told or fields.get("chat_id") != str(user):
                        continue
                    if re.search(pattern, fields["text"]):
                        markup = json.loads(fields.get("reply_markup", "{}"))
                        rows = markup.get("inline_keyboard", [])
                        buttons = {
                            one["text"]: one.get("callback_data", "") for row in rows for one in row
                        }
                        return fields["text"], buttons
                await asyncio.sleep(0.02)

        try:
            return await asyncio.wait_for(look(), 10)
        except TimeoutError:
            log = [fields.get("text") for _, fields in self.sent][-6:]
            raise AssertionError(f"no {pattern!r}: {log} {self.refused}") from None


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    found = Relay()
    await found.start()
    yield found
    await found.stop()


async def test_the_walk_to_a_held_deal_works_with_an_independent_bot_api(
    relay: Relay, sandbox: Sandbox, dsn: str, tmp_path: Path
) -> None:
    program = Running(sandbox, dsn, tmp_path, TELEGRAM_API_URL=relay.url)
    await program.start()
    for person in (ADMIN, SELLER, BUYER):
        await relay.say(person, "/start")
        await relay.heard(person, "Amana")
    await relay.say(SELLER, "/sell Jane Shop")
    await relay.heard(SELLER, "number")
    contact = {"phone_number": "254711002001", "first_name": "Jane", "user_id": SELLER}
    await relay.say(SELLER, contact=contact)
    _, buttons = await relay.heard(ADMIN, "Jane Shop")
    await relay.tap(ADMIN, next(iter(buttons.values())))
    await relay.heard(SELLER, "verified")
    await relay.say(SELLER, "/newdeal 10000 Blue phone case")
    _, buttons = await relay.heard(SELLER, "10,500")
    await relay.tap(SELLER, buttons["Create"])
    text, _ = await relay.heard(SELLER, "start=ES")
    found = re.search(r"ES[0-9]{10}", text)
    assert found
    await relay.say(BUYER, f"/start {found[0]}")
    _, buttons = await relay.heard(BUYER, found[0])
    await relay.tap(BUYER, buttons["Pay KES 10,500 by M-Pesa"])
    await relay.heard(BUYER, "number")
    contact = {"phone_number": PHONE, "first_name": "Brian", "user_id": BUYER}
    await relay.say(BUYER, contact=contact)
    await program.daraja.wait_stk(PHONE)
    await program.until("SELECT state FROM payment_attempts", "PROMPTED")
    await program.daraja.enter_pin(PHONE)
    await program.until("SELECT status FROM escrow_transactions", "HELD")
    await relay.heard(BUYER, "held")
    await relay.heard(SELLER, "held")
    assert [one for one in relay.refused if one[0] == "sendMessage"] == []
    await program.books_are_right()
    assert await program.stop() == 0
