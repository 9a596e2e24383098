"""A World whose coins come by the real clients of BlockBee and DynoPay, from their stand-ins, over
HTTP, through the real door: everything but Telegram.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx
from aiohttp.test_utils import TestServer
from aiolimiter import AsyncLimiter
from cryptography.hazmat.primitives.asymmetric import rsa

from escrow.rails.blockbee import BlockBee, BlockBeeConfig
from escrow.rails.dynopay import DynoPay
from escrow.rails.dynopay_gateway import DynoPayConfig, Gateway
from escrow.web.coin_hooks import CoinHooks
from escrow.web.server import Server
from escrow.web.webhooks import Webhooks
from sandbox.blockbee import BlockBeeStandIn
from sandbox.blockbee_wire import new_key
from sandbox.dynopay import DynoPayStandIn
from tests.world import MovableClock, World

PUBLIC = "https://amana.example"
"""Where providers believe to call us: World's own."""
SECRETS = {"blockbee": "1" * 32, "dynopay": "1" * 32}


@cache
def bee_key() -> rsa.RSAPrivateKey:
    """One key for all stand-ins of a run: making one takes a while."""
    return new_key()


@dataclass
class CoinHouse:
    """The world, both stand-ins, and the bot's door."""

    world: World
    bee: BlockBeeStandIn
    dyno: DynoPayStandIn
    http: httpx.AsyncClient


@asynccontextmanager
async def coin_house(dsn: str, rails: Sequence[str], **changes: Any) -> AsyncIterator[CoinHouse]:
    """`rails` as CoinPayments prefers them; `changes` as `World.open` takes them."""
    clock = MovableClock()
    bee, dyno = BlockBeeStandIn(clock=clock.now), DynoPayStandIn(clock=clock.now)
    bee._key = bee_key()
    dyno.creations_per_minute = dyno.calls_per_minute = 1_000_000
    async with AsyncExitStack() as stack:
        served = {}
        for name, app in (("blockbee", bee.app()), ("dynopay", dyno.app())):
            server = TestServer(app)
            await server.start_server()
            stack.push_async_callback(server.close)
            served[name] = str(server.make_url("")).rstrip("/")
        client = await stack.enter_async_context(httpx.AsyncClient())
        config = BlockBeeConfig(served["blockbee"], bee.api_key, PUBLIC, bee.public_key_pem)
        account = DynoPayConfig(served["dynopay"], dyno.api_key, dyno.secret)
        gateway = Gateway(account, client, pace=_free(), creations=_free())
        built = {
            "blockbee": BlockBee(config, client, clock, pace=_free()),
            "dynopay": DynoPay(account, client, clock, gateway=gateway),
        }
        world = await stack.enter_async_context(
            World.open(dsn, clock=clock, coin_rails=[built[name] for name in rails], **changes)
        )
        hooks = CoinHooks(world.intake, SECRETS)
        door = Server([*Webhooks(world.intake).routes(), *hooks.routes()])
        await door.start("127.0.0.1", 0)
        stack.push_async_callback(door.stop)
        address = f"http://127.0.0.1:{door.port}"
        bee.reach = dyno.reach = {PUBLIC: address}
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=address))
        yield CoinHouse(world, bee, dyno, http)


def _free() -> AsyncLimiter:
    """No pace to keep."""
    return AsyncLimiter(1_000_000, 1)
