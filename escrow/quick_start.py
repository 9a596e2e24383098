"""Amana behind somebody else's python-telegram-bot Application: the office that the ten admin
commands work in, and what has to run beside them.

People are told what happens to their money, and the jobs run. Nothing listens on HTTP here, so
payments are found by asking M-Pesa; the callbacks of an earlier `main.py` are still processed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

from telegram.ext import ExtBot

from escrow.bootstrap import Services, office_of, open_services
from escrow.bot import desk
from escrow.bot.files import TelegramFiles
from escrow.bot.messenger import TelegramMessenger
from escrow.services.delivery import Delivery
from escrow.store.embedded import Cluster
from escrow_handlers_admin import ADMIN_COMMANDS

_LOG: Final = logging.getLogger(__name__)


@dataclass
class QuickStart:
    """What `start_automation(bot)` opened; `close()` closes all of it."""

    services: Services
    cluster: Cluster | None
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @classmethod
    async def open(cls, bot: ExtBot[int]) -> QuickStart:
        """Services from the environment for that bot, which is initialized."""
        services, cluster = await open_services(bot.token)
        opened = cls(services, cluster)
        try:
            await opened._begin(bot)
        except BaseException:
            await opened.close()
            raise
        return opened

    async def _begin(self, bot: ExtBot[int]) -> None:
        services = self.services
        admins = services.settings.admin_chat_id
        if not admins:
            _LOG.warning(
                "no admins are set, so every admin command is refused: set ADMIN_CHAT_ID",
                extra={"action": "no_admins"},
            )
        office = office_of(services, bare=True)
        desk.lend(office, ADMIN_COMMANDS)
        services.records.use(TelegramFiles(bot))
        services.cases.use(TelegramFiles(bot))
        await services.intake.recover()
        messenger = TelegramMessenger(bot, office)
        delivery = Delivery(services.database, services.clock, messenger, admins)
        self._spawn("amana intake", services.intake.run())
        self._spawn("amana outbox", delivery.run())

    def _spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.create_task(work, name=name))

    async def close(self) -> None:
        """Work under way first, then the connections, then an embedded database."""
        desk.lend(None)
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.services.close()
        if self.cluster is not None:
            await asyncio.to_thread(self.cluster.stop)
