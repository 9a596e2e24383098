"""Funded payments per second: the payment path with all its triggers, beside the same by hand."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from benchmarks import by_hand, deals
from benchmarks.deals import Deals
from benchmarks.pairs import AT_LEAST, Bar, Figure, Sample, columns, interleaved
from benchmarks.server import Server
from escrow import logs
from escrow.domain.flow import Status
from escrow.domain.model import Evidence
from escrow.services.fund_manager import EscrowFundManager
from escrow.store.database import Database

DATABASE: Final = "payments"
POOL: Final = 10
"""As DATABASE_POOL_MAX is by default, however many payments come at once."""
CLIENTS: Final = 8
SAMPLE_SECONDS: Final = 1.0
"""However slow a machine is, a sample takes no longer."""
AT_ONCE: Final = (1, 8, 16)
UNIT: Final = "payments/s"
_BY_HAND: Final = "the same statements by hand on asyncpg, one by one, no checks"


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured: deals in a sample at one payment at once, at several, in pgbench."""

    rounds: int
    alone: int
    together: int
    function: int
    warm_up: int


FULL: Final = Scale(rounds=7, alone=120, together=300, function=1200, warm_up=600)
QUICK: Final = Scale(rounds=1, alone=8, together=32, function=32, warm_up=16)


@dataclass(frozen=True, slots=True)
class _Place:
    """One database with both sets of tables, and who pays into them."""

    server: Server
    conn: asyncpg.Connection
    deals: Deals
    funds: EscrowFundManager
    hands: list[asyncpg.Connection]
    external: int

    @classmethod
    @asynccontextmanager
    async def open(cls, server: Server) -> AsyncIterator[_Place]:
        dsn = await server.database(DATABASE)
        async with contextlib.AsyncExitStack() as stack:
            conn = await asyncpg.connect(dsn)
            stack.push_async_callback(conn.close)
            opened = Deals(conn)
            await opened.people()
            await by_hand.make_tables(conn)
            db = await Database.connect(dsn, minimum=POOL, maximum=POOL)
            stack.push_async_callback(db.close)
            hands = []
            for _ in range(max(AT_ONCE)):
                hands.append(await by_hand.connect(dsn))
                stack.push_async_callback(hands[-1].close)
            funds = EscrowFundManager(db, deals.SystemClock(), deals.TERMS, (1,))
            yield cls(server, conn, opened, funds, hands, await by_hand.outside(conn))

    async def ours(self, codes: list[str], at_once: int) -> float:
        """Payments per second through the payment path."""

        async def pay(code: str, worker: int) -> None:
            result = await self.funds.process_escrow_payment(deals.receipt(code), Evidence.STATUS)
            assert result.status is Status.HELD

        return await _per_second(codes, at_once, pay)

    async def by_hand(self, codes: list[str], at_once: int, *, joins: bool = False) -> float:
        """Payments per second by single statements; each worker has a connection of its own."""
        buyer = deals.BUYERS[0] if joins else None

        async def pay(code: str, worker: int) -> None:
            hand = self.hands[worker]
            await by_hand.fund(hand, code, f"S{code[2:]}", self.external, buyer)

        return await _per_second(codes, at_once, pay)

    async def by_function(self, codes: list[str]) -> float:
        """Payments per second by one SQL function under pgbench."""
        await by_hand.line_up(self.conn, codes)
        script = by_hand.function_script()
        return await self.server.pgbench(
            DATABASE, script, len(codes), clients=CLIENTS, schema=by_hand.SCHEMA
        )

    async def batches(
        self, count: int, size: int, *, reserved: bool = False
    ) -> Iterator[list[str]]:
        """Deals for the payment path: so many samples of this size, opened now."""
        codes = await self.deals.open(count * size, reserved=reserved)
        return iter([codes[at : at + size] for at in range(0, len(codes), size)])

    async def copies(self, count: int, size: int, *, reserved: bool = False) -> Iterator[list[str]]:
        """Deals for the plain tables. They are opened as usual, and copied as they are."""
        found = list(await self.batches(count, size, reserved=reserved))
        await by_hand.copy(self.conn, [code for batch in found for code in batch])
        return iter(found)


async def run(server: Server, scale: Scale = FULL) -> list[Figure]:
    """Payments by a known buyer at 1, 8 and 16 at once, and by one who joins by paying."""
    async with _Place.open(server) as place:
        await _warm_up(place, scale)
        figures = []
        for at_once in AT_ONCE:
            figures += await _known_buyer(place, scale, at_once)
        figures.append(await _reserved(place, scale))
        await _same_books(place)
    return figures


async def _known_buyer(place: _Place, scale: Scale, at_once: int) -> list[Figure]:
    size = scale.alone if at_once == 1 else scale.together
    mine = await place.batches(scale.rounds, size)
    theirs = await place.copies(scale.rounds, size)
    samples: list[Sample] = [
        lambda: place.ours(next(mine), at_once),
        lambda: place.by_hand(next(theirs), at_once),
    ]
    held_to = at_once == CLIENTS
    if held_to:
        logged = await place.batches(scale.rounds, size)
        called = await place.copies(scale.rounds, scale.function)

        async def with_log() -> float:
            with _program_log(place.server.folder / "app.log"):
                return await place.ours(next(logged), at_once)

        samples += [with_log, lambda: place.by_function(next(called))]
    await deals.analyze(place.conn)
    found = await interleaved(scale.rounds, *samples)
    bar = Bar(AT_LEAST, 1.0) if held_to else None
    what = f"funded payments, {at_once} at once"
    figures = [Figure(what, _BY_HAND, UNIT, columns(found, 0, 1), bar)]
    if held_to:
        beside = f"the whole as one SQL function under pgbench, {CLIENTS} clients"
        figures += [
            Figure(f"{what}, with the program's log", _BY_HAND, UNIT, columns(found, 2, 1), bar),
            Figure(what, beside, UNIT, columns(found, 0, 3), Bar(AT_LEAST, 0.3)),
        ]
    return figures


async def _reserved(place: _Place, scale: Scale) -> Figure:
    """The usual case by hand: somebody reserved the deal and becomes its buyer by paying."""
    mine = await place.batches(scale.rounds, scale.together, reserved=True)
    theirs = await place.copies(scale.rounds, scale.together, reserved=True)
    await deals.analyze(place.conn)
    found = await interleaved(
        scale.rounds,
        lambda: place.ours(next(mine), CLIENTS),
        lambda: place.by_hand(next(theirs), CLIENTS, joins=True),
    )
    what = f"funded payments, {CLIENTS} at once, the buyer joins by paying"
    return Figure(what, f"{_BY_HAND}, join included", UNIT, columns(found, 0, 1))


async def _warm_up(place: _Place, scale: Scale) -> None:
    """Connections, caches, and tables of a size for which plans by index are the right ones."""
    for _ in range(2):
        await place.ours(await place.deals.open(scale.warm_up), CLIENTS)
        (codes,) = await place.copies(1, scale.warm_up)
        await place.by_hand(codes, CLIENTS)
        await deals.analyze(place.conn)


async def _same_books(place: _Place) -> None:
    """Both sides wrote the same rows per payment, and the money is all there."""
    ours, plain = await deals.books(place.conn), await deals.books(place.hands[0])
    for book in (ours, plain):
        held = book["held"]
        assert book["receipts"] == held, book
        assert book["journals"] == 2 * held, book
        assert book["entries"] == 5 * held, book
        assert book["accounts"] == 3 * held, book
        assert book["notices"] == 2 * held, book
        assert book["balance"] == 0, book


async def _per_second(
    codes: list[str], at_once: int, pay: Callable[[str, int], Awaitable[None]]
) -> float:
    """Pays these deals, or as many of them as SAMPLE_SECONDS allow."""
    left = iter(codes)
    began = time.perf_counter()

    async def worker(number: int) -> int:
        paid = 0
        for code in left:
            await pay(code, number)
            paid += 1
            if time.perf_counter() - began > SAMPLE_SECONDS:
                break
        return paid

    paid = await asyncio.gather(*(worker(number) for number in range(at_once)))
    return sum(paid) / (time.perf_counter() - began)


@contextmanager
def _program_log(file: Path) -> Iterator[None]:
    """The log as the program keeps it: every checkpoint to the console and to a JSON file."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    with Path(os.devnull).open("w") as nowhere:
        try:
            with contextlib.redirect_stdout(nowhere):
                logs.set_up("INFO", str(file))
            yield
        finally:
            for handler in set(root.handlers) - set(before):
                root.removeHandler(handler)
                handler.close()
            root.handlers[:] = before
            root.setLevel(level)
