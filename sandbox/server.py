"""The sandbox: both stand-ins and the page that shows them, on one HTTP server.

People get it from `python main.py` without a token, tests by `async with Sandbox() as sandbox`.
"""

from __future__ import annotations

from types import TracebackType
from typing import Final

from aiohttp import web

from sandbox import persona
from sandbox.blockbee import BlockBeeStandIn
from sandbox.daraja import DarajaStandIn
from sandbox.dynopay import DynoPayStandIn
from sandbox.page import Page
from sandbox.pulse import Clock, wall_clock
from sandbox.telegram_api import MAX_UPLOAD_BYTES, TelegramStandIn

SHUTDOWN_SECONDS: Final = 2.0
PROMPT_SECONDS: Final = 150.0
"""How long a visitor may look at the prompt; a real phone gives about a minute."""


class Sandbox:
    """`telegram`, `daraja`, `blockbee` and `dynopay` under one address.

    With `people` the four personas live in it: admin, seller and buyer have pressed Start before
    (a restart forgets the chats, not the database), Otieno has not.
    """

    def __init__(
        self,
        *,
        clock: Clock = wall_clock,
        people: bool = True,
        prompt_seconds: float | None = None,
    ) -> None:
        self.telegram = TelegramStandIn(
            token=persona.BOT_TOKEN,
            username=persona.BOT_USERNAME,
            name=persona.BOT_NAME,
            clock=clock,
        )
        self.daraja = DarajaStandIn(
            shortcode=persona.SHORTCODE,
            passkey=persona.PASSKEY,
            consumer_key=persona.CONSUMER_KEY,
            consumer_secret=persona.CONSUMER_SECRET,
            business_name=persona.BUSINESS_NAME,
            clock=clock,
            prompt_seconds=prompt_seconds,
        )
        self.dynopay = DynoPayStandIn(
            api_key=persona.DYNOPAY_API_KEY, secret=persona.DYNOPAY_WEBHOOK_SECRET, clock=clock
        )
        self.blockbee = BlockBeeStandIn(clock=clock)
        self.page = Page(self.telegram, self.daraja, self.blockbee, self.dynopay)
        self.url = ""
        self._runner: web.AppRunner | None = None
        if people:
            for one in persona.EVERYBODY:
                self.telegram.add_user(
                    one.id,
                    one.first_name,
                    one.username,
                    started=one.started,
                    role=one.role,
                    phone=one.phone,
                )
                self.daraja.add_phone(one.phone, one.first_name, one.last_name)

    @property
    def telegram_url(self) -> str:
        """TELEGRAM_API_URL: `<this>/bot<token>/getMe`."""
        return f"{self.url}/telegram"

    @property
    def base_url(self) -> str:
        """python-telegram-bot's `base_url`."""
        return f"{self.url}/telegram/bot"

    @property
    def base_file_url(self) -> str:
        return f"{self.url}/telegram/file/bot"

    @property
    def daraja_url(self) -> str:
        """MPESA_BASE_URL."""
        return f"{self.url}/daraja"

    @property
    def dynopay_url(self) -> str:
        """DYNOPAY_BASE_URL."""
        return f"{self.url}/dynopay"

    @property
    def blockbee_url(self) -> str:
        """BLOCKBEE_BASE_URL."""
        return f"{self.url}/blockbee"

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Serve, and answer the address. Port 0: a free one. Raises OSError when it is taken."""
        app = web.Application(client_max_size=MAX_UPLOAD_BYTES + 1_000_000)
        app.add_subapp("/telegram", self.telegram.app())
        app.add_subapp("/daraja", self.daraja.app())
        app.add_subapp("/dynopay", self.dynopay.app())
        app.add_subapp("/blockbee", self.blockbee.app())
        self.page.add_routes(app)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
        await runner.setup()
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        address = runner.addresses[0]
        shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - a comparison
        self.url = f"http://{shown}:{address[1]}"
        return self.url

    async def stop(self) -> None:
        """End polls, streams, timers and the server; chats and money stay, `start` goes on.

        A second call does nothing.
        """
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    def invite(self, user_id: int, payload: str, words: str) -> str:
        """Show a start link in somebody's chat, as if a friend had sent it; answers the link."""
        return self.page.invite(user_id, payload, words)

    async def __aenter__(self) -> Sandbox:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()
