"""The timers that end deals: exactly what is due, once, whatever else happens to a deal at the same
instant, and however much is due at once.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from benchmarks import due
from escrow.domain.errors import IllegalMove
from escrow.domain.model import Dispute, Escrow
from escrow.services.sweeps import BACK_OFF, BATCH, WORD_EVERY
from escrow.store import setbacks
from tests.services.test_disputes import dispute, funded
from tests.world import ADMIN, BRIAN, JANE, World

SECOND = timedelta(seconds=1)
RACES = 1_000
AT_ONCE = 20
DUE = 100_000
SWEEP_SECONDS = float(os.environ.get("AMANA_SWEEP_SECONDS", "15"))
"""So long the test watches the long sweep before it stops it; set it high to see its end."""
GROWTH_MIB_MAX = 32


# -- at the edge ---------------------------------------------------------------------------------


async def _standing(world: World) -> dict[str, Escrow]:
    """One deal of each sort, none of them over yet; those that wait for a person are the oldest."""
    looked_at = world.configured(inspection=timedelta(days=2))
    found = {}
    for status in ("HELD", "SHIPPED", "DELIVERED"):
        for name in ("disputed", "frozen"):
            deal = await funded(world, status)
            if name == "disputed":
                await dispute(world, deal, cause=f"update:{deal.id}")
            else:
                await world.escrows.freeze(deal.id, ADMIN, "a look", f"freeze:{deal.id}")
            found[f"{name} {status}"] = deal
    world.clock.tick(hours=1)
    found["unpaid"] = await world.deal(buyer=BRIAN)
    world.clock.tick(minutes=1)
    found["short"] = await world.deal(buyer=BRIAN)
    await world.pay(found["short"], 9_800)
    found["unsent"] = await funded(world)
    sent = await funded(world)
    ways: dict[str, Any] = {"tracking": "G4S 1", "proof": None}
    await world.escrows.ship(sent.id, JANE, cause="update:sent", **ways)
    found["sent"] = sent
    seen = await funded(looked_at)
    await world.escrows.ship(seen.id, JANE, cause="update:seen", **ways)
    await looked_at.escrows.receive(seen.id, BRIAN, "update:received")
    found["inspected"] = seen
    return {name: await world.escrow(deal.id) for name, deal in found.items()}


async def _sweep_all(world: World) -> dict[str, tuple[int, int]]:
    sweeps: dict[str, Callable[[], Awaitable[tuple[int, int]]]] = {
        "expire": world.choices.expire,
        "cancel": world.escrows.cancel_overdue,
        "refund": world.escrows.refund_due,
        "release": world.escrows.release_due,
    }
    found = {name: await sweep() for name, sweep in sweeps.items()}
    return {name: swept for name, swept in found.items() if swept != (0, 0)}


@pytest.mark.parametrize(
    ("sort", "sweep", "before", "after"),
    [
        ("short", "expire", "PENDING", "PENDING"),
        ("unpaid", "cancel", "PENDING", "CANCELLED"),
        ("inspected", "release", "DELIVERED", "COMPLETED"),
        ("unsent", "refund", "HELD", "REFUNDED"),
        ("sent", "release", "SHIPPED", "COMPLETED"),
    ],
)
@pytest.mark.parametrize("late", [timedelta(0), SECOND])
async def test_each_timer_does_exactly_its_work_at_its_second_and_not_one_before(
    world: World, sort: str, sweep: str, before: str, after: str, late: timedelta
) -> None:
    deals = await _standing(world)
    deal = deals[sort]
    (window,) = await world.sql("SELECT expires_at FROM underpayment_choices")
    edge = {
        "short": window["expires_at"],
        "unpaid": deal.pay_by,
        "unsent": deal.ship_by,
    }.get(sort, deal.release_at)
    assert edge is not None
    world.clock.at = edge - SECOND
    await _sweep_all(world)  # what was over earlier
    assert await world.status_of(deal) == before
    others = {name: await world.status_of(one) for name, one in deals.items() if name != sort}
    world.clock.at = edge + late
    assert await _sweep_all(world) == {sweep: (1, 1)}
    assert await world.status_of(deal) == after
    assert others == {
        name: await world.status_of(one) for name, one in deals.items() if name != sort
    }
    assert await _sweep_all(world) == {}, "once"


async def test_no_timer_ever_ends_what_a_person_must_decide(world: World) -> None:
    deals = await _standing(world)
    world.clock.tick(days=400)
    await _sweep_all(world)
    assert await _sweep_all(world) == {}
    left = {name: await world.status_of(deal) for name, deal in deals.items()}
    for name, status in left.items():
        word = name.partition(" ")[0].upper()
        assert (status in ("DISPUTED", "FROZEN")) == (word in ("DISPUTED", "FROZEN")), name
        assert word not in ("DISPUTED", "FROZEN") or status == word


# -- at the same instant -------------------------------------------------------------------------


@pytest.mark.slow
async def test_of_a_dispute_and_a_release_in_the_same_instant_there_is_one_a_thousand_times(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(20261130)  # noqa: S311 a shuffled order, no secret
    codes = await due.make(world.dsn, 1, RACES, world.clock.now())
    won: Counter[str] = Counter()
    end = world.clock.now()
    for first in range(RACES, 0, -AT_ONCE):
        # the deal of number n was over n + 1 seconds before: so the next twenty are due now
        world.clock.at = end - timedelta(seconds=first - AT_ONCE + 2)
        racing = codes[first - AT_ONCE : first]
        won += await _race(world, racing, chance)
    released, disputed = won["released"], won["disputed"]
    with capsys.disabled():
        print(f"\n{RACES} deals disputed and released at once: {dict(won)}")
    assert released + disputed == RACES
    assert min(released, disputed) > RACES // 20, "both had their chance"
    both = await world.value(
        "SELECT count(*) FROM settlements s JOIN escrow_disputes d ON d.escrow_id = s.escrow_id"
    )
    assert both == 0
    assert await world.value("SELECT count(*) FROM settlements") == released


async def _race(world: World, codes: Sequence[str], chance: random.Random) -> Counter[str]:
    buyers = {
        row["id"]: row["buyer_telegram_id"]
        for row in await world.sql(
            "SELECT id, buyer_telegram_id FROM escrow_transactions WHERE id = ANY ($1)", codes
        )
    }
    acts: list[Awaitable[Any]] = [
        world.escrows.dispute(code, buyers[code], "It never came", f"dispute:{code}")
        for code in codes
    ]
    for place in sorted(chance.choices(range(len(acts)), k=2)):
        acts.insert(place, world.escrows.release_due())
    results = await asyncio.gather(*acts, return_exceptions=True)
    # a deal whose dispute was under way was left out by both sweeps and is disputed now
    assert await world.escrows.release_due() == (0, 0)
    told = [one for one in results if not isinstance(one, tuple)]
    lost = [one for one in told if not isinstance(one, Dispute)]
    assert [one for one in lost if not isinstance(one, IllegalMove)] == []
    swept = sum(done for _, done in (one for one in results if isinstance(one, tuple)))
    assert swept == len(lost), "who lost was released, and nobody else"
    states = Counter(
        row["status"]
        for row in await world.sql(
            "SELECT status FROM escrow_transactions WHERE id = ANY ($1)", codes
        )
    )
    assert (
        states == Counter({"COMPLETED": len(lost), "DISPUTED": len(told) - len(lost)}) - Counter()
    ), states
    return Counter({"released": len(lost), "disputed": len(told) - len(lost)})


# -- what can't be ended -------------------------------------------------------------------------


@asynccontextmanager
async def poisoned(dsn: str, code: str) -> AsyncIterator[None]:
    """PostgreSQL refuses to end this deal, as it would where something is broken."""
    owner = await asyncpg.connect(dsn)
    try:
        await owner.execute(
            "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'poison'; END $$;"
            "CREATE TRIGGER poison BEFORE INSERT ON settlements FOR EACH ROW"
            f" WHEN (NEW.escrow_id = '{code}') EXECUTE FUNCTION poison()"
        )
        yield
        await owner.execute("DROP TRIGGER poison ON settlements; DROP FUNCTION poison()")
    finally:
        await owner.close()


async def test_one_poisoned_deal_among_a_thousand_is_logged_counted_and_tried_later(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    codes = await due.make(world.dsn, 1, 1_000, world.clock.now())
    poison = codes[500]
    async with poisoned(world.dsn, poison):
        assert await world.escrows.release_due() == (1_000, 999)
        (line,) = [one for one in caplog.records if getattr(one, "escrow", None) == poison]
        assert (line.levelno, getattr(line, "action", "")) == (logging.ERROR, "release_failed")
        assert line.exc_info is not None
        for number, wait in enumerate((*BACK_OFF, BACK_OFF[-1]), start=1):
            (row,) = await world.sql("SELECT * FROM deal_setbacks")
            assert (row["job"], row["escrow_id"], row["tries"]) == ("release", poison, number)
            assert "poison" in row["error"]
            world.clock.tick(seconds=wait.total_seconds() - 1)
            assert await world.escrows.release_due() == (0, 0), "it rests"
            world.clock.tick(seconds=1)
            assert await world.escrows.release_due() == (1, 0)
        async with world.db.reading() as conn:
            await setbacks.prune(conn)
            (failing,) = await setbacks.failing(conn, 10)
        assert (failing.escrow_id, failing.tries) == (poison, len(BACK_OFF) + 2)
    world.clock.tick(days=1)
    assert await world.escrows.release_due() == (1, 1)
    async with world.db.reading() as conn:
        await setbacks.prune(conn)
        assert await setbacks.failing(conn, 10) == []


async def test_more_failing_deals_than_a_batch_holds_stop_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("escrow.services.sweeps.BATCH", 2)
    overdue = [await world.deal(buyer=BRIAN) for _ in range(7)]
    bad = {deal.id for deal in overdue[:5]}
    world.clock.tick(days=2)
    real = world.escrows._cancel

    async def broken(conn: Any, escrow: Escrow, by: Any) -> None:
        if escrow.id in bad:
            raise RuntimeError("a bug")
        await real(conn, escrow, by)

    monkeypatch.setattr(world.escrows, "_cancel", broken)
    assert await world.escrows.cancel_overdue() == (7, 2)
    assert await world.escrows.cancel_overdue() == (0, 0)
    monkeypatch.undo()
    await world.escrows.cancel(overdue[0].id, JANE)
    async with world.db.reading() as conn:
        await setbacks.prune(conn)
        left = {one.escrow_id for one in await setbacks.failing(conn, 10)}
    assert left == bad - {overdue[0].id}, "who ended it otherwise ended the setback, too"
    world.clock.tick(minutes=1)
    assert await world.escrows.cancel_overdue() == (4, 4)


# -- very much at once ---------------------------------------------------------------------------


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.slow
async def test_with_a_hundred_thousand_deals_due_at_once_everybody_else_is_served(
    world: World, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """The sweep takes them a hundred at a time, in bounded memory; a seller and her buyer who open,
    pay and look at deals meanwhile wait less than a second. It is stopped half way, and what it did
    is whole.
    """
    caplog.set_level(logging.INFO, "escrow.services.sweeps")
    began = time.perf_counter()
    await due.make(world.dsn, 1, DUE, world.clock.now())
    made = time.perf_counter() - began
    async with world.db.reading() as conn:
        await conn.execute("SET ROLE NONE")
        await conn.execute("ANALYZE")
        await conn.execute("SET ROLE escrow_app")
    await _shop(world)
    before = _resident_mib()
    sweeping = asyncio.ensure_future(world.escrows.release_due())
    waits: list[float] = []
    began = time.perf_counter()
    try:
        while not sweeping.done() and time.perf_counter() - began < SWEEP_SECONDS:
            waits += await _shop(world)
        took = time.perf_counter() - began
        grown = _resident_mib() - before
    finally:
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)
    done = await world.value("SELECT count(*) FROM settlements")
    waits.sort()
    p99 = waits[int(len(waits) * 0.99)]
    with capsys.disabled():
        print(
            f"\n{DUE:,} deals due at once (made in {made:.0f} s):"
            f" {done:,} released in {took:.0f} s, memory {before:.0f} MiB and {grown:+.1f};"
            f" meanwhile {len(waits)} acts of others,"
            f" p50 {waits[len(waits) // 2] * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms,"
            f" longest {waits[-1] * 1000:.0f} ms"
        )
    assert done >= BATCH * WORD_EVERY
    assert done % BATCH == 0, "no batch is half done"
    words = [one for one in caplog.records if getattr(one, "action", "") == "release_goes_on"]
    assert len(words) >= done // (BATCH * WORD_EVERY) - 1
    assert grown < GROWTH_MIB_MAX
    assert p99 < 1
    assert len(waits) > 50


async def _shop(world: World) -> list[float]:
    """Somebody opens a deal, somebody pays it and both look at it: seconds of each act."""
    waits = []
    began = time.perf_counter()

    def lap() -> None:
        nonlocal began
        now = time.perf_counter()
        waits.append(now - began)
        began = now

    deal = await world.deal(buyer=BRIAN)
    lap()
    await world.pay(deal, 10_500)
    lap()
    for who in (JANE, BRIAN):
        await world.escrows.deal(deal.id, who)
        lap()
    return waits
