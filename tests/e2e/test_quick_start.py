"""The seed's Quick Start: its own text, in a process of its own, on a bare Application of
python-telegram-bot. An admin drives all ten commands there; nothing else of ours is registered.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from escrow.domain.model import Escrow
from escrow.services.flags import raise_flag
from escrow_automation import JOBS
from sandbox import persona
from sandbox.server import Sandbox
from sandbox.telegram_chats import Message
from tests.e2e.conftest import ROOT, Running
from tests.world import ADMIN, BRIAN, JANE, OTIENO, PHONES, MovableClock, World

QUICK_START = """\
from escrow_automation import start_automation, stop_automation
from escrow_handlers_admin import *

async def post_init(application):
    await start_automation(application.bot)

async def post_shutdown(application):
    await stop_automation()

application = (
    Application.builder()
    .token(TOKEN)
    .post_init(post_init)
    .post_shutdown(post_shutdown)
    .build()
)

# Add all 10 admin command handlers
application.add_handler(CommandHandler("verify_seller", verify_seller))
application.add_handler(CommandHandler("suspend_seller", suspend_seller))
application.add_handler(CommandHandler("resolve_dispute", resolve_dispute))
application.add_handler(CommandHandler("escrow_dashboard", escrow_dashboard))
application.add_handler(CommandHandler("disputed_transactions", disputed_transactions))
application.add_handler(CommandHandler("suspicious_users", suspicious_users))
application.add_handler(CommandHandler("freeze_transaction", freeze_transaction))
application.add_handler(CommandHandler("manual_refund", manual_refund))
application.add_handler(CommandHandler("manual_release", manual_release))
application.add_handler(CommandHandler("system_health", system_health))
"""
"""Word for word as the seed has it."""

COMMANDS = re.findall(r'CommandHandler\("(\w+)"', QUICK_START)
BEFORE = """\
import logging, os, sys
logging.basicConfig(level=logging.INFO, stream=sys.stdout)
from telegram.ext import Application, CommandHandler
TOKEN = os.environ["THE_TOKEN"]
"""
AFTER = 'application.run_polling(poll_interval=0)\nprint("the end", flush=True)\n'


class QuickStart(Running):
    """That program: only the address of the stand-in Telegram is put into the builder."""

    def __init__(
        self, sandbox: Sandbox, dsn: str, folder: Path, text: str = QUICK_START, **settings: str
    ) -> None:
        super().__init__(sandbox, dsn, folder, **settings)
        self.environment["PYTHONPATH"] = str(ROOT)
        self.environment["THE_TOKEN"] = self.environment.pop("TELEGRAM_BOT_TOKEN")
        here = f'.token(TOKEN).base_url("{sandbox.telegram_url}/bot")'
        self.script = folder / "bot.py"
        self.script.write_text(BEFORE + text.replace(".token(TOKEN)", here) + AFTER)

    async def start(self, *, wait: bool = True) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(self.script),
            env=self.environment,
            cwd=self.script.parent,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self._reader = asyncio.create_task(self._read())
        if wait:
            await self.until_said("Application started")

    async def ask(self, text: str, who: int = ADMIN, *, containing: str = "") -> Message:
        """What the bot answers to a command."""
        since = self.telegram.mark()
        self.telegram.user_sends(who, text)
        message = await self.telegram.wait_message(who, containing, since=since, timeout=20)
        assert not message.keyboard, "nobody hears buttons there"
        return message


@asynccontextmanager
async def _started(
    sandbox: Sandbox, dsn: str, folder: Path, text: str = QUICK_START, **settings: str
) -> AsyncIterator[QuickStart]:
    program = QuickStart(sandbox, dsn, folder, text, **settings)
    for person in persona.EVERYBODY:
        sandbox.telegram.user_starts(person.id)
    await program.start()
    try:
        yield program
    finally:
        await program.close()


@pytest.fixture
async def world(dsn: str) -> AsyncIterator[World]:
    async with World.open(dsn, clock=MovableClock(datetime.now(UTC)), connections=3) as opened:
        yield opened


async def _held(world: World) -> Escrow:
    deal = await world.deal(buyer=BRIAN)
    await world.pay(deal, 10_500)
    return deal


async def _confirmed(program: QuickStart, command: str, deal: Escrow) -> Message:
    """Asks, reads the typed form in the preview, types it."""
    preview = await program.ask(command, containing=deal.id)
    found = re.search(r"confirm ([0-9]{4})", preview.text)
    assert found, preview.text
    name = command.split()[0]
    return await program.ask(f"{name} {deal.id} confirm {found[1]}", containing=deal.id)


def test_star_import_brings_exactly_the_ten() -> None:
    import escrow_handlers_admin

    assert sorted(escrow_handlers_admin.__all__) == sorted(COMMANDS)
    assert len(COMMANDS) == 10


async def test_an_admin_drives_all_ten_commands_on_a_bare_application(
    sandbox: Sandbox, dsn: str, tmp_path: Path, world: World
) -> None:
    disputed, refunded, released, frozen = [await _held(world) for _ in range(4)]
    await world.escrows.dispute(disputed.id, BRIAN, "it never came", "test:dispute")
    await world.people.register_seller(OTIENO, "Otieno Shop", PHONES[OTIENO])
    async with _started(sandbox, dsn, tmp_path) as program:
        await program.ask("/system_health", containing="Database")
        await program.ask(f"/verify_seller {OTIENO}", containing="Otieno Shop")
        await program.until(
            "SELECT status FROM escrow_sellers WHERE telegram_id = $1", "VERIFIED", OTIENO
        )
        await program.ask(f"/suspend_seller {OTIENO} sold a brick", containing="Otieno Shop")
        await program.until(
            "SELECT status FROM escrow_sellers WHERE telegram_id = $1", "SUSPENDED", OTIENO
        )
        await program.ask("/escrow_dashboard", containing="KES")
        await program.ask("/disputed_transactions", containing=disputed.id)
        await program.ask("/suspicious_users", containing="flag")
        await program.ask(f"/freeze_transaction {frozen.id} odd", containing=frozen.id)
        assert await world.status_of(frozen) == "FROZEN"
        await _confirmed(program, f"/resolve_dispute {disputed.id} split it broke", disputed)
        assert await world.status_of(disputed) == "COMPLETED"
        await _confirmed(program, f"/manual_refund {refunded.id} as agreed", refunded)
        assert await world.status_of(refunded) == "REFUNDED"
        await _confirmed(program, f"/manual_release {released.id}", released)
        assert await world.status_of(released) == "COMPLETED"
        # the parties are told by the same bot
        assert await program.telegram.wait_message(BRIAN, refunded.id, timeout=20)
        assert await program.telegram.wait_message(JANE, released.id, timeout=20)
        assert await program.stop() == 0
    assert not [line for line in program.output if "Traceback" in line or "Task was" in line]
    assert "the end" in program.output


async def test_long_lists_are_read_to_their_end_by_typing_the_page(
    sandbox: Sandbox, dsn: str, tmp_path: Path, world: World
) -> None:
    """Six disputes and six flags, five on a page, and no button that anybody hears."""
    disputed = [(await _held(world)).id for _ in range(6)]
    for code in disputed:
        await world.escrows.dispute(code, BRIAN, "it never came", f"dispute:{code}")
    flags = [await _flagged(world, kind) for kind in "abcdef"]
    async with _started(sandbox, dsn, tmp_path) as program:
        for name, rows in (("disputed_transactions", disputed), ("suspicious_users", flags)):
            first = await program.ask(f"/{name}", containing="Page 1.")
            assert [row in first.text for row in rows] == [True] * 5 + [False]
            assert first.text.endswith(f"Page 1. The next one: /{name} 2")
            second = await program.ask(f"/{name} 2", containing="Page 2,")
            assert [row in second.text for row in rows] == [False] * 5 + [True]
            assert second.text.endswith("Page 2, the last one.")
            refused = await program.ask(f"/{name} two", containing="Which page")
            assert refused.text.endswith(f"Like this: /{name} 2")
        await program.ask("/disputed_transactions 2", containing="To decide, type: /resolve_")
        # what stands behind [Jobs] elsewhere
        jobs = (await program.ask("/system_health", containing="Database")).text
        assert re.search(r"^[✔✘] expire choices: .*Next: ", jobs, re.MULTILINE)
        for job in JOBS:
            assert f" {job.name.replace('_', ' ')}: " in jobs


async def _flagged(world: World, kind: str) -> str:
    """An open flag of Brian's, as the list names it."""
    async with world.db.unit() as conn:
        number = await raise_flag(
            conn,
            (),
            BRIAN,
            user_type="buyer",
            flag_type=f"kind_{kind}",
            severity="MEDIUM",
            escrow_id=None,
            rule="seen",
            deals=[],
            now=world.clock.now(),
        )
    return f"No. {number} "


async def test_what_cant_be_done_is_said_and_nobody_else_gets_in(
    sandbox: Sandbox, dsn: str, tmp_path: Path, world: World
) -> None:
    deal = await _held(world)
    async with _started(sandbox, dsn, tmp_path) as program:
        usage = await program.ask("/manual_refund")
        assert "/manual_refund ES" in usage.text
        gone = await program.ask("/freeze_transaction ES0000000000")
        assert "ES0000000000" in gone.text
        wrong = await program.ask(f"/manual_refund {deal.id} confirm 1234")
        assert wrong.text
        refused = await program.ask(f"/manual_refund {deal.id}", BRIAN)
        assert refused.text == "This is for admins of Amana only."
        assert await world.status_of(deal) == "HELD"
        assert any("refused to somebody who is no admin" in line for line in program.output)
        # what nobody thought of: an apology with a number that stands in the log
        await program.sql("ALTER TABLE fraud_flags RENAME TO fraud_flags_away")
        sorry = await program.ask("/suspicious_users")
        number = re.search(r"[0-9a-f]{6}", sorry.text)
        assert number, sorry.text
        await program.sql("ALTER TABLE fraud_flags_away RENAME TO fraud_flags")


async def test_without_admins_everybody_is_refused_and_the_start_says_so(
    sandbox: Sandbox, dsn: str, tmp_path: Path
) -> None:
    async with _started(sandbox, dsn, tmp_path, ADMIN_CHAT_ID="") as program:
        await program.until_said("set ADMIN_CHAT_ID")
        for command in COMMANDS:
            said = (await program.ask(f"/{command}")).text
            assert said == "This is for admins of Amana only.", command


async def test_a_command_before_start_automation_gets_one_sentence(
    sandbox: Sandbox, dsn: str, tmp_path: Path
) -> None:
    text = QUICK_START.replace("    .post_init(post_init)\n", "")
    async with _started(sandbox, dsn, tmp_path, text) as program:
        said = await program.ask("/system_health")
        assert said.text == "Amana is not open yet. Please try again in a minute."
        await program.until_said("start_automation(application.bot)")
        assert await program.stop() == 0


async def test_without_a_database_url_it_brings_its_own_and_takes_it_down_again(
    sandbox: Sandbox, dsn: str, tmp_path: Path
) -> None:
    program = QuickStart(sandbox, dsn, tmp_path)
    for key in ("DATABASE_URL", "ESCROW_SECRET_KEY"):
        del program.environment[key]
    sandbox.telegram.user_starts(ADMIN)
    await program.start()
    try:
        await program.ask("/system_health", containing="Database")
        assert program.process is not None
        children = Path(f"/proc/{program.process.pid}/task/{program.process.pid}/children")
        (server,) = children.read_text().split()
        assert await program.stop() == 0
    finally:
        await program.close()
    assert not Path(f"/proc/{server}").exists()
    assert not [line for line in program.output if "Traceback" in line or "Task was" in line]
