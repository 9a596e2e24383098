"""Starting, stopping and dying: what an operator sees, and what the next start finds."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import asyncpg
import httpx
import pytest

from sandbox.server import Sandbox
from tests.conftest import fast_folder
from tests.e2e import walk
from tests.e2e.conftest import BUYER, PHONE, ROOT, Running, free_port


async def _main(environment: Mapping[str, str], *arguments: str) -> tuple[int, str]:
    """Runs `python main.py …` to its end: (exit status, output)."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "main.py"),
        *arguments,
        env={"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1", **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, out.decode()


WRONG = {
    "HTTP_PORT": "http",
    "FEE_PERCENT": "NaN",
    "DEAL_MAX_DUE": "300000",
    "TIMEZONE": "Africa/Atlantis",
    "ADMIN_CHAT_ID": "@asha",
    "PUBLIC_URL": "https://example.org/mpesa",
    "TOLERANCE_TIERS": '{"KES": []}',
    "LOG_LEVEL": "LOUD",
    "ESCROW_SECRET_KEY": "short",
    "MPESA_CONSUMER_KEY": "only-the-key",
    "MPESA_TILL": "600123",
    "MPESA_PULL_NUMBER": "0722",
    "DATABASE_URL": "postgresql://nobody@127.0.0.1/x",
    "TRUSTED_PROXIES": "everybody",
}


@pytest.mark.parametrize("key", WRONG)
async def test_a_wrong_setting_stops_the_start_with_one_line_naming_it(
    key: str, tmp_path: Path
) -> None:
    code, out = await _main(
        {key: WRONG[key], "DATA_DIR": str(tmp_path), "LOG_FILE": str(tmp_path / "app.log")}
    )
    assert code == 1
    lines = [line for line in out.splitlines() if line]
    assert len(lines) == 1, out
    assert key in lines[0]


async def test_a_database_url_without_a_secret_key_is_refused(dsn: str, tmp_path: Path) -> None:
    code, out = await _main(
        {
            "DATABASE_URL": dsn,
            "TELEGRAM_BOT_TOKEN": "1:x",
            "DATA_DIR": str(tmp_path),
            "LOG_FILE": str(tmp_path / "app.log"),
        }
    )
    assert code == 1
    assert "ESCROW_SECRET_KEY" in out


async def test_a_taken_port_is_said_with_the_key_to_change(
    sandbox: Sandbox, dsn: str, tmp_path: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        program = Running(sandbox, dsn, tmp_path, HTTP_PORT=str(port))
        code, out = await _main(program.environment)
    assert code == 1
    assert f"127.0.0.1:{port}" in out
    assert "HTTP_PORT" in out
    assert "Traceback" not in out


async def test_a_database_that_is_down_at_the_start_is_waited_for(
    sandbox: Sandbox, dsn: str, tmp_path: Path
) -> None:
    port = free_port()
    program = Running(sandbox, f"postgresql://escrow@127.0.0.1:{port}/postgres", tmp_path)
    await program.start(wait=False)
    await program.until_said("trying again")
    assert await program.stop() == 0
    assert not any("Traceback" in line for line in program.output)


async def test_sigterm_stops_cleanly_within_ten_seconds(running: Running) -> None:
    started = time.monotonic()
    assert await running.stop() == 0
    assert time.monotonic() - started < 10
    assert not any("Traceback" in line for line in running.output)
    assert (
        await running.sql("SELECT 1 FROM pg_stat_activity WHERE application_name = 'amana'") == []
    )


async def test_check_says_what_is_right_and_what_to_do(
    sandbox: Sandbox, dsn: str, tmp_path: Path
) -> None:
    program = Running(sandbox, dsn, tmp_path)
    code, out = await _main(program.environment, "--check")
    assert code == 0, out
    assert out.count("✔") >= 7
    assert "✘" not in out
    code, out = await _main({**program.environment, "ADMIN_CHAT_ID": ""}, "--check")
    assert code == 1
    assert "✘ Admins → set ADMIN_CHAT_ID" in out


async def test_a_till_is_said_and_registers_nothing_while_a_paybill_registers_all(
    sandbox: Sandbox, dsn: str, tmp_path: Path
) -> None:
    program = Running(sandbox, dsn, tmp_path)
    paybill = {**program.environment, "MPESA_PULL_NUMBER": "0722000000"}
    code, out = await _main(paybill, "--register-c2b")
    assert code == 0, out
    assert "Registered: payments to" in out
    assert "Registered: payments that were not announced" in out
    _, out = await _main(paybill, "--register-c2b")
    assert "Registered before: payments that were not announced" in out
    calls = len(sandbox.daraja.calls)
    code, out = await _main({**paybill, "MPESA_TILL": "600123"}, "--register-c2b")
    assert code == 0, out
    assert "prompts only" in out
    assert len(sandbox.daraja.calls) == calls
    code, out = await _main({**paybill, "MPESA_TILL": "600123"}, "--check")
    assert code == 0, out
    assert "till 600123, paid by prompts only" in out
    assert "looked for each hour" in out


async def test_a_sandbox_database_is_refused_by_a_live_bot(
    sandbox: Sandbox, dsn: str, tmp_path: Path
) -> None:
    conn = await asyncpg.connect(dsn)
    await conn.execute("INSERT INTO instance (environment) VALUES ('sandbox')")
    await conn.close()
    code, out = await _main(Running(sandbox, dsn, tmp_path).environment)
    assert code == 1
    assert "sandbox" in out


async def test_kill_9_with_everything_and_an_immediate_start_works() -> None:
    """The sandbox with its embedded PostgreSQL: killed, started at once, killed, started."""
    import shutil
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="amana-kill-", dir=fast_folder()))
    folder.chmod(0o755)
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONUNBUFFERED": "1",
        "DATA_DIR": str(folder / "data"),
        "LOG_FILE": "",
        "HTTP_PORT": str(free_port()),
        "SANDBOX_PORT": str(free_port()),
    }
    try:
        for turn in range(3):
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(ROOT / "main.py"),
                env=environment,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            assert process.stdout is not None
            said = []
            while True:
                line = (await asyncio.wait_for(process.stdout.readline(), 60)).decode()
                assert line, "".join(said)
                said.append(line)
                if "Sandbox with play money" in line:
                    break
            async with httpx.AsyncClient() as http:
                ready = await http.get(f"http://127.0.0.1:{environment['HTTP_PORT']}/readyz")
                assert ready.status_code == 200, ready.text
                page = await http.get(f"http://127.0.0.1:{environment['SANDBOX_PORT']}/")
                assert "Play money" in page.text
            if turn < 2:
                process.kill()
            else:
                process.terminate()
            code = await asyncio.wait_for(process.wait(), 15)
            assert code == (-9 if turn < 2 else 0)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def test_kill_9_between_fetching_an_update_and_handling_it_loses_nothing(
    running: Running,
) -> None:
    await walk.become_seller(running)
    code = await walk.open_deal(running)
    await running.kill()
    telegram = running.telegram
    telegram.user_starts(BUYER, code)
    telegram.user_sends(BUYER, f"/deal {code}")
    since = telegram.mark()
    for _ in range(3):  # killed as soon as Telegram has handed the updates over
        polls = telegram.updates.polls
        await running.start(wait=False)
        await telegram.updates.wait_poll(after=polls)
        await running.kill()
    await running.start()
    await telegram.wait_message(BUYER, code, since=since)
    await running.until("SELECT count(*) FROM telegram_updates WHERE state = 'NEW'", 0)
    stored = await running.sql("SELECT count(*) FROM telegram_updates WHERE chat_id = $1", BUYER)
    assert stored[0][0] == 2
    assert len(await running.sql("SELECT 1 FROM escrow_transactions")) == 1


async def test_kill_9_while_money_is_coming_in_loses_nothing(running: Running) -> None:
    await walk.become_seller(running)
    code = await walk.open_deal(running)
    await walk.ask_to_pay(running, code)
    held = running.daraja.hold("stkquery")
    paying = asyncio.ensure_future(running.daraja.enter_pin(PHONE))
    token = running.daraja.stk_requests[-1].callback_url.rsplit("/", 1)[1]
    await running.until("SELECT count(*) FROM inbox WHERE token = $1", 1, token)
    await running.kill()
    held.release()
    await paying
    await running.start()
    await running.until("SELECT status FROM escrow_transactions", "HELD")
    assert await walk.events(running, code) == ["open", "join", "fund"]
    await running.books_are_right()


async def test_telegram_down_does_not_stop_money(running: Running) -> None:
    await walk.become_seller(running)
    code = await walk.open_deal(running)
    await walk.ask_to_pay(running, code)
    running.telegram.fail("sendMessage", status=502, times=None)
    await running.daraja.enter_pin(PHONE)
    await running.until("SELECT status FROM escrow_transactions", "HELD")
    since = running.telegram.mark()
    running.telegram.faults.clear()
    await running.telegram.wait_message(BUYER, code, since=since, timeout=20)
    await running.books_are_right()


async def test_logs_hold_no_number_receipt_or_token(running: Running, tmp_path: Path) -> None:
    await walk.become_seller(running)
    code = await walk.open_deal(running)
    await walk.ask_to_pay(running, code)
    await running.daraja.enter_pin(PHONE)
    await running.until("SELECT status FROM escrow_transactions", "HELD")
    prompt = running.daraja.stk_requests[-1]
    await running.stop()
    text = Path(running.environment["LOG_FILE"]).read_text() + "\n".join(running.output)
    token = prompt.callback_url.rsplit("/", 1)[1]
    for secret in (PHONE, PHONE[3:], prompt.receipt, prompt.checkout_id, token, "sandbox-play"):
        assert secret not in text, secret
    for checkpoint in ("received", "locked", "decided", "holding_verified", "committed"):
        assert f'"action": "{checkpoint}"' in text
