"""Funded payments per second: the payment path with all its triggers, beside the same by hand."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg

from benchmarks import by_hand, deals
from benchmarks.deals import Deals
from benchmarks.pairs import AT_LEAST, Bar, Figure, interleaved
from benchmarks.server import Server
from escrow.domain.flow import Status
from escrow.domain.model import Evidence
from escrow.services.fund_manager import EscrowFundManager
from escrow.store.database import Database

DATABASE = "payments"
POOL = 10
"""As DATABASE_POOL_MAX is by default, however many payments come at once."""
CLIENTS = 8


@dataclass(frozen=True, slots=True)
class Bench:
    """One database with both sets of tables, and who pays into them."""

    server: Server
    deals: Deals
    conn: asyncpg.Connection
    funds: EscrowFundManager
    hands: list[asyncpg.Connection]
    external: int

    async def ours(self, codes: list[str], at_once: int) -> float:
        """Payments per second through the payment path."""

        async def pay(code: str, worker: int) -> None:
            result = await self.funds.process_escrow_payment(deals.receipt(code), Evidence.STATUS)
            assert result.status is Status.HELD

        return await _per_second(codes, at_once, pay)

    async def by_hand(self, codes: list[str], at_once: int, *, joins: bool) -> float:
        """Payments per second by single statements, each worker on a connection of its own."""
        await by_hand.copy(self.conn, codes)
        buyers = dict.fromkeys(codes, deals.BUYERS[0]) if joins else {}

        async def pay(code: str, worker: int) -> None:
            conn = self.hands[worker]
            await by_hand.fund(conn, code, f"S{code[2:]}", self.external, buyers.get(code))

        return await _per_second(codes, at_once, pay)

    async def by_function(self, codes: list[str]) -> float:
        """Payments per second by one SQL function under pgbench."""
        await by_hand.copy(self.conn, codes)
        await by_hand.line_up(self.conn, codes)
        script = by_hand.function_script()
        return await self.server.pgbench(
            DATABASE, script, len(codes), clients=CLIENTS, schema=by_hand.SCHEMA
        )
