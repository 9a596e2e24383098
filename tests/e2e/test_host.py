"""`python main.py pause | resume | approve | rerun`: what whoever has the host does without
Telegram, while the bot runs and while it does not.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from escrow.domain.model import Escrow
from sandbox.server import Sandbox
from tests.conftest import fast_folder
from tests.e2e.cast import Stage
from tests.e2e.conftest import ADMIN, BUYER, ROOT, SELLER, Running, free_port
from tests.rail import paybill_body
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


async def test_the_host_approves_what_is_paid_out_by_itself(running: Running) -> None:
    """The whole way, with the money's way to the phone in the preview."""
    stage = Stage(running)
    jane, brian = await stage.pair()
    code = await jane.opens_deal("60000 Big fridge")
    await brian.pays(code)
    stage.admin.types(f"/manual_refund {code} it never came")
    await stage.admin.taps("Confirm")
    await stage.until("SELECT state FROM admin_actions", "CONFIRMED")
    number = await stage.value("SELECT id FROM admin_actions")
    done, out = await _main(running, "approve", str(number), "--yes")
    assert done == 0, out
    assert "071" in out, "where the money goes"
    await stage.status(code, "REFUNDED")


class _Played:
    """`python main.py` without a token, and its page."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONUNBUFFERED": "1",
            "DATA_DIR": str(folder / "data"),
            "LOG_FILE": "",
            "HTTP_PORT": str(free_port()),
            "SANDBOX_PORT": str(free_port()),
            **settings,
        }
        self.http = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.environment['SANDBOX_PORT']}", timeout=30
        )

    async def act(self, what: str, **wish: Any) -> None:
        answer = await self.http.post("/act", json={"act": what, **wish})
        assert answer.status_code == 200, answer.text

    async def until(self, found: Callable[[dict[str, Any]], Any]) -> Any:
        """What that finds in the page's state, as soon as it does; each change is looked at."""
        whole: dict[int, Any] = {}
        async with self.http.stream("GET", "/stream") as stream:
            async for line in stream.aiter_lines():
                if not line.startswith("data: "):
                    continue
                state = json.loads(line.removeprefix("data: "))
                whole |= {one["id"]: one for one in state["messages"]}
                if what := found({**state, "messages": list(whole.values())}):
                    return what
        raise AssertionError("the page ended")

    async def said(self, who: int, pattern: str) -> re.Match[str]:
        """The words of the bot to that person that fit."""

        def look(state: dict[str, Any]) -> re.Match[str] | None:
            texts = [m["text"] for m in state["messages"] if m["bot"] and m["chat"] == who]
            return next(filter(None, (re.search(pattern, text) for text in texts)), None)

        found: re.Match[str] = await self.until(look)
        return found


def _button(label: str) -> Callable[[dict[str, Any]], tuple[int, str] | None]:
    def look(state: dict[str, Any]) -> tuple[int, str] | None:
        for message in state["messages"]:
            for key in (key for row in message["keyboard"] for key in row):
                if key["text"] == label:
                    return message["id"], key["callback_data"]
        return None

    return look


async def test_in_the_sandbox_the_host_approves_as_well() -> None:
    """With the sandbox's people and keys: otherwise it would see another preview and refuse."""
    folder = Path(tempfile.mkdtemp(prefix="amana-host-", dir=fast_folder()))
    folder.chmod(0o755)
    played = _Played(folder, SECOND_ADMIN_ABOVE="1000")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "main.py"),
        env=played.environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        assert process.stdout is not None
        while b"Sandbox with play money" not in await asyncio.wait_for(
            process.stdout.readline(), 60
        ):
            assert process.returncode is None
        async with played.http, asyncio.timeout(90):
            code = (await played.said(BUYER, r"ES[0-9]{10}"))[0]
            await played.act("send", user=BUYER, text=f"/pay {code}")
            checkout = await played.until(
                lambda state: [
                    prompt["checkout"]
                    for one in state["mpesa"]["phones"]
                    for prompt in one["prompts"]
                ]
            )
            await played.act("pin", checkout=checkout[0], outcome="paid")
            await played.said(BUYER, "your money is held")
            await played.act("send", user=ADMIN, text=f"/manual_refund {code} it never came")
            message, word = await played.until(_button("Confirm"))
            await played.act("tap", user=ADMIN, message=message, data=word)
            command = (await played.said(ADMIN, r"python main\.py (approve [0-9]+)"))[1]
            host = await asyncio.create_subprocess_exec(
                sys.executable,
                str(ROOT / "main.py"),
                *command.split(),
                "--yes",
                env=played.environment,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            out, _ = await host.communicate()
            assert host.returncode == 0, out.decode()
            await played.said(ADMIN, f"confirmed on the host(?s:.*){code} is refunded")
            await played.said(BUYER, "is on its way to")
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 30)
        shutil.rmtree(folder, ignore_errors=True)


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


async def test_a_parked_payment_is_listed_and_run_again_beside_the_running_bot(
    running: Running, dsn: str
) -> None:
    clock = MovableClock(datetime.now(UTC))
    async with World.open(dsn, clock=clock, connections=2) as world:
        deal = await world.deal(1_000, buyer=BUYER)
        await world.prompts.reserve(deal.id, BUYER)
    running.telegram.user_starts(ADMIN)
    code, out = await _main(running, "rerun")
    assert (code, out) == (0, "✔ No callback is parked\n")
    (secret,) = await running.sql("SELECT secret FROM path_secrets WHERE route = 'mpesa'")
    address = f"{running.url}/hooks/m/{secret['secret']}/c"
    async with httpx.AsyncClient() as http:
        assert (await http.post(address, content=b"half a bo")).status_code == 400
    said = await running.telegram.wait_message(ADMIN, "could not be processed", timeout=20)
    (row,) = await running.sql("SELECT id FROM inbox WHERE state = 'PARKED'")
    assert f"python main.py rerun {row['id']}" in said.text
    # what a mistake of ours leaves of a payment that is whole
    body = paybill_body(deal.id, deal.due, "SGRERUN001", datetime.now(UTC))
    await running.sql(
        "INSERT INTO inbox (digest, route, method, body, received_at, processed_at, state, note)"
        " VALUES (sha256($1), 'paybill', 'POST', $1, now(), now(), 'PARKED', 'KeyError')",
        body,
    )
    code, out = await _main(running, "rerun")
    assert code == 0, out
    head, first, second, last = out.strip().splitlines()
    assert head.split() == ["ID", "received", "route", "why"]
    assert first.split()[0] == str(row["id"])
    assert "unreadable: the body is not JSON" in first
    assert second.endswith("KeyError")
    assert last == "2 parked. Again: python main.py rerun ID… or rerun --all"
    _, out = await _main(running, "--check")
    (line,) = [line for line in out.splitlines() if "Callbacks" in line]
    both = f"{first.split()[0]}, {second.split()[0]}"
    assert line == (
        f"✘ Callbacks: 2 parked ({both}) → python main.py rerun lists them and runs them again"
    )
    since = running.telegram.mark()
    running.telegram.user_sends(ADMIN, "/system_health")
    health = await running.telegram.wait_message(ADMIN, "python main.py rerun", since=since)
    assert f"(rows {both})" in health.text
    code, out = await _main(running, "rerun", second.split()[0], "4711")
    assert code == 1
    again, not_parked = out.strip().splitlines()
    assert again.startswith(f"✔ Row {second.split()[0]} is processed again")
    assert not_parked == "✘ Row 4711 is not parked; nothing changed"
    # M-Pesa is asked about it as about any other, and knows nothing of it: so it waits for a word
    await running.until("SELECT count(*) FROM receipts WHERE reference = 'SGRERUN001'", 1)
    code, out = await _main(running, "rerun", "--all")
    assert (code, len(out.strip().splitlines())) == (0, 1), out
    await running.until("SELECT count(*) FROM inbox WHERE state = 'PARKED' AND reruns = 1", 1)


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


async def test_the_price_of_the_dollar_is_set_on_the_host(running: Running, dsn: str) -> None:
    for wrong in ("0", "0.0", "1e3", "129,5", "12345", "129.12345", "abc", "١٣٠"):
        code, out = await _main(running, "rate", wrong)
        assert (code, out.count("✘ Not a price")) == (1, 1), (wrong, out)
    code, out = await _main(running, "rate", "129.50")
    assert code == 0, out
    assert out.startswith("✔ USD 1 is KES 129.50 until ")
    code, out = await _main(running, "rate", "131")
    assert (code, "before it was 129.5" in out) == (0, True), out
    async with World.open(dsn, connections=2, people=False) as world:
        await world.coins.read_rate()
        assert world.coins.newest_rate is not None
        assert world.coins.newest_rate.kes_per_usd == 131


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
