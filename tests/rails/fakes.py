"""What the rails' tests hand in instead of a running clock and a shared database."""

import ssl
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from aiohttp import web
from aiohttp.test_utils import TestServer

NOW = datetime(2021, 6, 28, 6, 24, 8, tzinfo=UTC)
TLS = ssl.create_default_context()
"""Loaded once: a client of its own would read all certificates again."""


class Clock:
    """Stands still until a test moves `at`."""

    steady = True

    def __init__(self, at=NOW):
        self.at = at

    def now(self):
        return self.at


class Tokens:
    """A TokenStore of one process: `fetched` is the newest Token, `forgotten` what was refused."""

    def __init__(self, token=None):
        self.token = token
        self.fetched = None
        self.forgotten = []

    async def get(self, provider, fetch):
        if self.token is None:
            self.fetched = await fetch()
            self.token = self.fetched.text
        return self.token

    async def forget(self, provider, token):
        self.forgotten.append(token)
        self.token = None


@asynccontextmanager
async def heard_from(stand_in):
    """That stand-in over HTTP, and a place for what it calls back: `heard` has (path, body)."""
    heard = []

    async def hear(request):
        heard.append((request.path, await request.read()))
        return web.json_response({})

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", hear)
    async with TestServer(stand_in.app()) as server, TestServer(app) as hooks:
        stand_in.address = str(server.make_url("")).rstrip("/")
        stand_in.hooks = str(hooks.make_url("")).rstrip("/")
        stand_in.heard = heard
        yield stand_in
