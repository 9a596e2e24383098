"""What `/escrow_dashboard`, `/report` and `/system_health` read of a database with a million deals.

PostgreSQL itself says how it ran every statement, also inside its functions: a query that is added
to one of them is looked at here without anybody naming it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from benchmarks import million
from escrow.services.figures import Figures
from escrow.services.floating import Floating
from escrow.services.oversight import Oversight
from escrow.store import embedded
from escrow.store.database import APP_ROLE, SERVER_SETTINGS, Database, prepare
from tests.conftest import own_database
from tests.world import ADMINS, MovableClock

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
]

DEALS = 100_000
ROOM_BYTES = 6 * 1024**3
AT = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
NAIROBI = ZoneInfo("Africa/Nairobi")
ROWS_MAX = 20_000
"""A plan may read a busy week; a twentieth of the deals would be a scan by another name."""
_EXPLAINS = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_format": "json",
    "auto_explain.log_level": "notice",
    "auto_explain.log_nested_statements": "on",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_timing": "off",
}


@dataclass
class Past:
    """A connected million deals; `plans` gathers how statements were run."""

    database: Database
    clock: MovableClock
    plans: list[dict[str, Any]]

    def heard(self, _: object, message: asyncpg.PostgresLogMessage) -> None:
        words = str(message.message)
        if "plan:" in words:
            self.plans.append(json.loads(words.partition("plan:")[2]))


class Listened(asyncpg.Connection):
    """Goes back to its pool with its listener, which the pool takes off; no warning about it."""

    __slots__ = ()

    def _check_listeners(self, *_: object) -> None:
        pass


@asynccontextmanager
async def explaining(dsn: str) -> AsyncIterator[Past]:
    """The program's pool, with PostgreSQL explaining each statement."""
    plans: list[dict[str, Any]] = []

    async def listen(conn: asyncpg.pool.PoolConnectionProxy) -> None:
        conn.add_log_listener(past.heard)  # until it is given back

    settings = {**SERVER_SETTINGS, **_EXPLAINS, "role": APP_ROLE, "statement_timeout": "60s"}
    pool = asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=4,
        server_settings=settings,
        connection_class=Listened,
        init=prepare,
        setup=listen,
    )
    past = Past(Database(pool), MovableClock(AT), plans)
    async with pool:
        yield past


@pytest.fixture(scope="module")
async def past(cluster: embedded.Cluster, template_database: str) -> AsyncIterator[Past]:
    """Loaded once, its days closed but for the last."""
    if shutil.disk_usage(cluster.data_dir).free < ROOM_BYTES:
        pytest.skip("a million deals need 6 GiB of room for a minute")
    async with own_database(cluster, template_database) as dsn:
        await million.load(dsn, DEALS, AT)
        async with explaining(dsn) as opened:
            figures = Figures(opened.database, MovableClock(AT - timedelta(days=800)), NAIROBI)
            while await figures.close_days():
                pass
            opened.plans.clear()
            yield opened


def scans(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every node of a plan that reads a table."""
    if "Relation Name" in plan:
        yield plan
    for part in plan.get("Plans", ()):
        yield from scans(part)


async def looked_at(past: Past, *calls: Callable[[], Awaitable[Any]]) -> list[str]:
    """Which big tables these read, asserting that none is read whole."""
    past.plans.clear()
    for call in calls:
        await call()
    assert past.plans, "PostgreSQL explained nothing"
    touched, wrong = set(), []
    for one in past.plans:
        for node in scans(one["Plan"]):
            table = node["Relation Name"]
            if table not in million.BIG_TABLES:
                continue
            touched.add(table)
            read = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node[
                "Actual Loops"
            ]
            if node["Node Type"] == "Seq Scan" or read > ROWS_MAX:
                wrong.append(
                    f"{node['Node Type']} of {table}, {read:,.0f} rows:\n{one['Query Text']}"
                )
    print("WRONG", "\n".join(wrong))
    assert wrong == []
    return sorted(touched)


async def test_the_dashboard_reads_no_big_table_whole(past: Past) -> None:
    figures = Figures(past.database, past.clock, NAIROBI)
    touched = await looked_at(past, figures.dashboard, figures.dashboard, figures.close_days)
    assert touched == ["escrow_timeline", "escrow_transactions", "settlements"]
    found = await figures.dashboard()
    assert found.deals.opened == DEALS
    truth = await past.database.pool.fetch(
        "SELECT currency, sum(balance_minor) AS held FROM ledger_accounts"
        " WHERE kind IN ('holding', 'pending_fee') GROUP BY currency"
    )
    assert {code.code: one.held.minor for code, one in found.money.items()} == {
        row["currency"]: row["held"] for row in truth
    }


async def test_the_report_reads_its_month_and_no_more(past: Past) -> None:
    figures = Figures(past.database, past.clock, NAIROBI)
    count = 0

    async def month() -> None:
        nonlocal count
        async for page in figures.settled(date(2026, 10, 1), date(2026, 11, 1)):
            assert len(page) <= 1000
            count += len(page)

    touched = await looked_at(past, month)
    assert touched == ["escrow_transactions", "payouts", "receipts", "settlements"]
    assert 30_000 < count < 50_000


async def test_the_health_of_the_system_reads_no_big_table_whole(past: Past) -> None:
    """The first look of a process and the ones after it, with a float to foresee."""
    floating = Floating(past.database, past.clock, lambda body: ())
    oversight = Oversight(past.database, past.clock, ADMINS, floating=floating)
    touched = await looked_at(past, oversight.look, oversight.look)
    assert {"escrow_transactions", "ledger_entries", "outbox", "inbox", "payouts"} <= set(touched)
