"""The real server with the real door on a fresh database; nothing behind it is asked."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest

from escrow.domain.terms import Terms
from escrow.rails.mpesa import Mpesa
from escrow.rails.mpesa_gateway import MpesaConfig
from escrow.rails.token_store import TokenStore
from escrow.services.confirmations import Confirmations
from escrow.services.fund_manager import EscrowFundManager
from escrow.services.intake import Intake
from escrow.store.database import Database, DatabaseClock
from escrow.web.server import Server
from escrow.web.webhooks import Webhooks

SECRET = "5ec4e7" + "0" * 26
TOKEN = "a" * 32


@dataclass
class Door:
    """The server under test: `http` talks to it, `rows()` reads what it kept."""

    http: httpx.AsyncClient
    database: Database
    port: int

    def path(self, rest: str, secret: str = SECRET) -> str:
        return f"/hooks/m/{secret}/{rest}"

    async def rows(self) -> list[tuple[str, str, str]]:
        async with self.database.reading() as conn:
            found = await conn.fetch("SELECT route, state, note FROM inbox ORDER BY id")
        return [(row["route"], row["state"], row["note"]) for row in found]


@pytest.fixture
async def door(dsn: str) -> AsyncIterator[Door]:
    async with open_door(dsn) as opened:
        yield opened


@asynccontextmanager
async def open_door(dsn: str, *, proxies: str = "", allowed: str = "") -> AsyncIterator[Door]:
    """A door with these networks as TRUSTED_PROXIES and MPESA_ALLOWED_IPS."""
    database = await Database.connect(dsn)
    clock = DatabaseClock()
    client = httpx.AsyncClient()
    config = MpesaConfig(
        base_url="http://127.0.0.1:9",
        consumer_key="key",
        consumer_secret="secret",
        shortcode="174379",
        passkey="passkey",
        display_name="AMANA",
    )
    rail = Mpesa(config, client, TokenStore(database, clock), clock)
    funds = EscrowFundManager(database, clock, Terms(), [])
    confirmations = Confirmations(
        database, clock, Terms(), rail, funds, [], callback_base="http://127.0.0.1"
    )
    intake = Intake(database, clock, rail, confirmations, [], SECRET)
    server = Server(Webhooks(intake, proxies, allowed).routes(), idle_seconds=1.0)
    await server.start("127.0.0.1", 0)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as http:
        yield Door(http, database, server.port)
    await server.stop()
    await client.aclose()
    await database.close()
