"""`python main.py pause | resume | approve`: what whoever has the host does without Telegram, while
the bot runs and while it does not.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from escrow.domain.model import Escrow
from sandbox.server import Sandbox
from tests.e2e.conftest import ADMIN, BUYER, ROOT, SELLER, Running
from tests.world import MovableClock, World


@pytest.fixture
async def by_hand(sandbox: Sandbox, dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    """A bot that books payouts as the worlds of these tests do."""
    program = Running(sandbox, dsn, tmp_path, AUTO_PAYOUT="0")
    await program.start()
    yield program
    await program.close()


async def _main(running: Running, *arguments: str, typed: str = "") -> tuple[int, str]:
    """`python main.py …` on the same host: (exit status, output)."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "main.py"),
        *arguments,
        env=running.environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(process.communicate(typed.encode()), 60)
    assert process.returncode is not None
    return process.returncode, out.decode()


async def _held(dsn: str, price: int = 10_000, due: int = 10_500) -> Escrow:
    """A deal whose money is held, made beside the running bot."""
    clock = MovableClock(datetime.now(UTC))
    async with World.open(dsn, clock=clock, connections=2) as world:
        deal = await world.deal(price, buyer=BUYER)
        await world.pay(deal, due)
        return await world.escrow(deal.id)


async def _asked(dsn: str, deal: Escrow) -> int:
    """An admin asks for a refund that is too large for him alone, and confirms it."""
    clock = MovableClock(datetime.now(UTC))
    async with World.open(dsn, clock=clock, connections=2, people=False) as world:
        params = {"reason": "as agreed"}
        action = await world.actions.ask("manual_refund", deal.id, params, ADMIN, "test:ask")
        waiting = await world.actions.confirm(action.id, ADMIN, "test:yes")
        assert str(waiting.state) == "CONFIRMED"
        return int(action.id)


async def test_pause_and_resume_work_beside_a_running_bot(running: Running, dsn: str) -> None:
    deal = await _held(dsn)
    for person in (ADMIN, SELLER, BUYER):
        running.telegram.user_starts(person)
    code, out = await _main(running, "pause", "the", "float", "is", "odd")
    assert code == 0, out
    assert out.startswith("✔ Amana is paused since ")
    assert len(out.strip().splitlines()) == 1
    said = await running.telegram.wait_message(ADMIN, "is paused", timeout=20)
    assert "the float is odd" in said.text
    await running.telegram.wait_message(BUYER, "Your money is safe", timeout=20)
    async with httpx.AsyncClient() as http:
        ready = await http.get(f"{running.url}/readyz")
        alive = await http.get(f"{running.url}/healthz")
    assert (ready.status_code, alive.status_code) == (200, 200)
    assert ready.json()["paused_since"]
    since = running.telegram.mark()
    running.telegram.user_sends(SELLER, f"/ship {deal.id} G4S 12345")
    refused = await running.telegram.wait_message(SELLER, "paused", since=since, timeout=20)
    assert "nothing is lost" in refused.text
    code, out = await _main(running, "pause")
    assert (code, "paused already" in out, "the host" in out) == (0, True, True)
    _, out = await _main(running, "--check")
    assert "Amana is paused since" in out
    code, out = await _main(running, "resume")
    assert code == 0, out
    assert out.startswith("✔ Amana goes on after ")
    assert "moved: 1" in out
    await running.telegram.wait_message(BUYER, deal.id, timeout=20)
    code, out = await _main(running, "resume")
    assert (code, out) == (0, "✔ Amana is not paused; nothing changed\n")
    assert not [line for line in running.output if "Traceback" in line or "ERROR" in line]


async def test_a_resume_killed_half_way_is_finished_by_the_running_bot(
    running: Running, dsn: str
) -> None:
    deal = await _held(dsn)
    await _main(running, "pause")
    # what a killed `resume` leaves: its promise, and nothing moved yet
    await running.sql(
        "UPDATE pauses SET resumed_at = paused_at + interval '3 hours', resume_cause = 'host:dead'"
    )
    await running.until("SELECT count(*) FROM pauses WHERE ended_at IS NULL", 0)
    (row,) = await running.sql(
        "SELECT ship_by - $2::timestamptz FROM escrow_transactions WHERE id = $1",
        deal.id,
        deal.ship_by,
    )
    assert row[0].total_seconds() == 3 * 3600


async def test_pause_works_while_the_bot_does_not_run_and_holds_at_its_start(
    sandbox: Sandbox, dsn: str, tmp_path: Path
) -> None:
    program = Running(sandbox, dsn, tmp_path)
    code, out = await _main(program, "pause")
    assert (code, out.startswith("✔ Amana is paused since ")) == (0, True), out
    await program.start()
    try:
        async with httpx.AsyncClient() as http:
            assert (await http.get(f"{program.url}/readyz")).json()["paused_since"]
    finally:
        await program.close()


async def test_an_embedded_database_that_runs_is_neither_started_nor_stopped_by_it(
    sandbox: Sandbox, dsn: str, tmp_path: Path
) -> None:
    program = Running(sandbox, dsn, tmp_path)
    for key in ("DATABASE_URL", "ESCROW_SECRET_KEY"):
        del program.environment[key]
    await program.start()
    try:
        assert (await _main(program, "pause"))[0] == 0
        assert (await _main(program, "resume"))[0] == 0
        async with httpx.AsyncClient() as http:
            ready = await http.get(f"{program.url}/readyz")
        assert (ready.status_code, ready.json()["paused_since"]) == (200, None)
    finally:
        await program.close()
    assert (await _main(program, "pause"))[0] == 0  # started for it, and stopped again
    assert (await _main(program, "resume"))[0] == 0


async def test_the_host_gives_the_second_word_after_reading_what_it_does(
    by_hand: Running, dsn: str
) -> None:
    running = by_hand
    deal = await _held(dsn, 100_000, 105_000)
    action = await _asked(dsn, deal)
    code, out = await _main(running, "approve", str(action), typed="no\n")
    assert code == 1, out
    assert "KES 105,000" in out
    assert "nothing was done" in out
    await running.until("SELECT status FROM escrow_transactions", "HELD")
    code, out = await _main(running, "approve", str(action), typed="yes\n")
    assert code == 0, out
    assert f"✔ Action {action} is done" in out
    await running.until("SELECT status FROM escrow_transactions", "REFUNDED")
    code, out = await _main(running, "approve", str(action), "--yes")
    assert code == 0, out  # again: the first answer


async def test_what_the_host_cant_approve_is_one_sentence(by_hand: Running, dsn: str) -> None:
    running = by_hand
    code, out = await _main(running, "approve", "4711", "--yes")
    assert code == 1
    assert out.startswith("✘ Action 4711 was not approved: ")
    deal = await _held(dsn, 100_000, 105_000)
    action = await _asked(dsn, deal)
    await _main(running, "pause")
    code, out = await _main(running, "approve", str(action), "--yes")
    assert code == 1
    assert "paused" in out
    await running.until("SELECT status FROM escrow_transactions", "HELD")


async def test_check_names_every_admin_whom_nothing_reaches(
    sandbox: Sandbox, dsn: str, tmp_path: Path
) -> None:
    program = Running(sandbox, dsn, tmp_path, ADMIN_CHAT_ID=f"{ADMIN},{SELLER}")
    await program.start()
    try:
        sandbox.telegram.user_starts(ADMIN)
        await program.until("SELECT count(*) FROM people WHERE telegram_id = $1", 1, ADMIN)
        code, out = await _main(program, "--check")
        assert code == 0
        (line,) = [line for line in out.splitlines() if "Start" in line]
        assert line.startswith(f"  Admin {SELLER} never pressed Start")
        assert "press Start" in line.partition("→")[2]
        sandbox.telegram.user_starts(SELLER)
        await program.until("SELECT count(*) FROM people WHERE telegram_id = $1", 1, SELLER)
        assert "never pressed Start" not in (await _main(program, "--check"))[1]
    finally:
        await program.close()


async def test_without_admins_the_start_says_so_and_their_commands_are_refused(
    sandbox: Sandbox, dsn: str, tmp_path: Path
) -> None:
    program = Running(sandbox, dsn, tmp_path, ADMIN_CHAT_ID="")
    await program.start()
    try:
        await program.until_said("No admins: set ADMIN_CHAT_ID")
        since = sandbox.telegram.mark()
        sandbox.telegram.user_starts(ADMIN)
        sandbox.telegram.user_sends(ADMIN, "/pause")
        await sandbox.telegram.wait_message(ADMIN, "for admins of Amana only", since=since)
        assert await program.sql("SELECT 1 FROM pauses") == []
    finally:
        await program.close()


async def test_a_statement_is_compared_beside_a_running_bot(running: Running) -> None:
    for booked in ("Charges booked: 2", "Charges: all 2 were booked before"):
        code, out = await _main(running, "statement", "tests/statement.csv")
        assert code == 0, out
        assert booked in out
        assert "statement.csv was compared; breaks: 0" in out
    for name in ("tests/nothing.csv", "README.md"):
        code, out = await _main(running, "statement", name)
        assert code == 1
        assert out.startswith("✘")
