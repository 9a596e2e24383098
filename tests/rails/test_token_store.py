"""One token for all processes, each of them a pool of its own on one PostgreSQL."""

import asyncio
from datetime import timedelta

import pytest

from escrow.rails import token_store
from escrow.rails.token_store import Token, TokenStore, TokenWaitError
from escrow.store.database import Database
from tests.rails.fakes import NOW, Clock

SECOND = timedelta(seconds=1)
KEY = "mpesa:0123"


class Provider:
    """Gives t1, t2, …; waits for `gate` where one is set."""

    def __init__(self, clock, name="t"):
        self.clock, self.name = clock, name
        self.given = 0
        self.gate = None
        self.asked = asyncio.Event()

    async def fetch(self):
        self.asked.set()
        if self.gate is not None:
            await self.gate.wait()
        self.given += 1
        return Token(f"{self.name}{self.given}", self.clock.now() + 3599 * SECOND)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def provider(clock):
    return Provider(clock)


@pytest.fixture
async def processes(dsn, clock):
    """Two stores that share nothing but the database; waiting lets time pass without waiting."""
    pools = [await Database.connect(dsn, minimum=1, maximum=3) for _ in range(2)]
    waits = []

    async def pause(seconds):
        waits.append(seconds)
        clock.at += seconds * SECOND
        await asyncio.sleep(0)

    stores = [TokenStore(pool, clock, pause=pause) for pool in pools]
    stores[0].waits = waits
    yield stores
    for pool in pools:
        await pool.close()


async def test_two_processes_use_one_token(processes, provider):
    one, two = processes
    assert await one.get(KEY, provider.fetch) == "t1"
    assert await two.get(KEY, provider.fetch) == "t1"
    assert await one.get(KEY, provider.fetch) == "t1"
    assert provider.given == 1


async def test_only_one_of_many_fetches(processes, provider):
    one, two = processes
    provider.gate = asyncio.Event()
    wanting = [
        asyncio.create_task(store.get(KEY, provider.fetch))
        for store in (one, two)
        for _ in range(2)
    ]
    await provider.asked.wait()
    provider.gate.set()
    assert set(await asyncio.gather(*wanting)) == {"t1"}
    assert provider.given == 1


async def test_it_is_fetched_anew_a_minute_before_its_end(processes, provider, clock):
    one, two = processes
    await one.get(KEY, provider.fetch)
    clock.at += 3538 * SECOND
    assert await two.get(KEY, provider.fetch) == "t1"
    clock.at += 1 * SECOND
    assert await two.get(KEY, provider.fetch) == "t2"
    assert await one.get(KEY, provider.fetch) == "t2"


async def test_a_refused_token_is_fetched_once_for_all(processes, provider):
    one, two = processes
    await one.get(KEY, provider.fetch)
    await one.forget(KEY, "t1")
    assert await one.get(KEY, provider.fetch) == "t2"
    await two.forget(KEY, "t1")
    assert await two.get(KEY, provider.fetch) == "t2"


async def test_a_failed_fetch_gives_the_lease_back(processes, provider, clock):
    one, two = processes

    async def fail():
        raise LookupError("no")

    with pytest.raises(LookupError):
        await one.get(KEY, fail)
    assert await two.get(KEY, provider.fetch) == "t1"
    assert clock.at == NOW


async def test_a_cancelled_fetch_gives_the_lease_back(processes, provider, clock):
    one, two = processes
    provider.gate = asyncio.Event()
    task = asyncio.create_task(one.get(KEY, provider.fetch))
    await provider.asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    provider.gate.set()
    assert await two.get(KEY, provider.fetch) == "t1"
    assert clock.at == NOW


async def test_a_process_that_hangs_is_replaced_after_its_lease(processes, provider, clock):
    one, two = processes
    hanging = Provider(clock, "dead")
    hanging.gate = asyncio.Event()
    stuck = asyncio.create_task(one.get(KEY, hanging.fetch))
    await hanging.asked.wait()
    assert await two.get(KEY, provider.fetch) == "t1"
    assert 15 * SECOND <= clock.at - NOW <= 16 * SECOND
    hanging.gate.set()  # wakes up with a token that may be dead by now, and takes the shared one
    assert await stuck == "t1"


async def test_waiting_ends(processes, provider, clock, monkeypatch):
    one, two = processes
    monkeypatch.setattr(token_store, "LEASE", timedelta(hours=1))
    hanging = Provider(clock)
    hanging.gate = asyncio.Event()
    stuck = asyncio.create_task(one.get(KEY, hanging.fetch))
    await hanging.asked.wait()
    with pytest.raises(TokenWaitError):
        await two.get(KEY, provider.fetch)
    assert sum(one.waits) == pytest.approx(20)
    hanging.gate.set()
    assert await stuck == "t1"


async def test_other_credentials_share_nothing(processes, provider):
    one, _ = processes
    assert await one.get("mpesa:a", provider.fetch) == "t1"
    assert await one.get("mpesa:b", provider.fetch) == "t2"


def test_a_token_is_not_printed():
    assert "secret" not in repr(Token("secret", NOW))
