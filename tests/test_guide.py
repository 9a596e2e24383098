"""The integration guide is true: its tables are drawn from the code, and each of its examples runs.

`python -m tests.test_guide` draws the tables anew.
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest
from pydantic import SecretStr

from escrow.bot.commands import USER_COMMANDS
from escrow.bot.context import Command
from escrow.bot.locales.__main__ import main as locales_main
from escrow.settings import Settings, load
from escrow.store import embedded
from escrow_automation import JOBS, Job
from escrow_handlers_admin import ADMIN_COMMANDS
from sandbox.telegram_chats import Message
from tests.e2e.cast import Actor, Stage
from tests.e2e.conftest import Running, started
from tests.e2e.test_quick_start import QUICK_START

ROOT: Final = Path(__file__).resolve().parents[1]
GUIDE: Final = ROOT / "ESCROW_INTEGRATION_GUIDE.md"
EXAMPLE: Final = "ES1008257624"
_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_DRAWN: Final = re.compile(r"<!-- drawn: ([a-z ]+) -->\n.*?<!-- end -->", re.DOTALL)
_FENCE: Final = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)


# -- drawing ---------------------------------------------------------------------------------------


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(one) for one in row) + " |" for row in cells)


def _cell(words: str) -> str:
    return words.replace("|", r"\|")


def _commands(commands: Sequence[Command]) -> str:
    rows = [(f"`/{one.name}`", one.menu, f"`{one.usage}`") for one in commands]
    return _table(("command", "does", "example"), rows)


def _settings() -> str:
    rows = []
    for name, field in Settings.model_fields.items():
        default = field.default
        if isinstance(default, SecretStr):
            default = default.get_secret_value()
        elif isinstance(default, tuple):
            default = ",".join(str(item) for item in default)
        elif isinstance(default, bool):
            default = int(default)
        shown = f"`{default}`" if str(default) else ""
        rows.append((f"`{name.upper()}`", shown, field.description or ""))
    return _table(("key", "default", "what, and its unit"), rows)


def _jobs() -> str:
    services: Any = SimpleNamespace(settings=load({}))
    rows = [(f"`{job.name}`", _when(job, services), job.words) for job in JOBS]
    return _table(("job", "when", "what it does"), rows)


def _when(job: Job, services: Any) -> str:
    """`every 15 s`, `at 9:00, 21:00`, `Sunday at 3:00`."""
    if job.schedule is None:
        return f"every {_every(job.seconds(services))}"
    schedule = job.schedule(services)
    times = ", ".join(f"{one.hour}:{one.minute:02d}" for one in schedule.times)
    return f"at {times}" if schedule.weekday is None else f"{_DAYS[schedule.weekday]} at {times}"


def _every(seconds: float) -> str:
    for unit, length in (("day", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length and seconds % length == 0:
            count = int(seconds // length)
            return unit if (unit, count) == ("day", 1) else f"{count} {unit}"
    return f"{seconds:g} s"


TABLES: Final[Mapping[str, Callable[[], str]]] = {
    "settings": _settings,
    "admin commands": lambda: _commands(ADMIN_COMMANDS),
    "user commands": lambda: _commands(USER_COMMANDS),
    "jobs": _jobs,
}


def drawn(text: str) -> str:
    """The guide with its tables as the code has them now."""
    return _DRAWN.sub(
        lambda found: f"<!-- drawn: {found[1]} -->\n{TABLES[found[1]]()}\n<!-- end -->", text
    )


# -- reading ---------------------------------------------------------------------------------------


def examples(language: str) -> list[str]:
    """The fenced blocks of that language."""
    found = _FENCE.findall(GUIDE.read_text(encoding="utf-8"))
    return [
        "\n".join(line.removeprefix(indent) for line in body.splitlines())
        for indent, name, body in found
        if name == language
    ]


def _lines(language: str) -> list[str]:
    return [line for block in examples(language) for line in block.splitlines() if line]


# -- the tables ------------------------------------------------------------------------------------


def test_every_table_is_as_the_code_has_it() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    assert sorted(_DRAWN.findall(text)) == sorted(TABLES), "each table once"
    assert text == drawn(text), "python -m tests.test_guide draws the tables anew"


def test_every_row_says_something() -> None:
    for table in TABLES.values():
        for row in table().splitlines():
            first, *_, last = [cell.strip() for cell in row.strip("|").split(" | ")]
            assert first, row
            assert last, row


# -- the examples ----------------------------------------------------------------------------------


def test_every_example_is_in_a_language_that_is_tried() -> None:
    named = {name for _, name, _ in _FENCE.findall(GUIDE.read_text(encoding="utf-8"))}
    assert named == {"shell", "env", "python", "bot", "po"}


@pytest.mark.parametrize("block", examples("env"))
def test_settings_as_written_are_settings(block: str) -> None:
    values = dict(line.split("=", 1) for line in block.splitlines())
    assert {key.lower() for key in values} <= Settings.model_fields.keys()
    settings = load(
        {"TELEGRAM_BOT_TOKEN": "1:x", "MPESA_CONSUMER_KEY": "k", "MPESA_CONSUMER_SECRET": "s"}
        | values
    )
    assert settings.model_fields_set >= {key.lower() for key in values}


def test_every_address_key_and_command_that_is_named_is_there() -> None:
    text = re.sub(r"```.*?```", "", GUIDE.read_text(encoding="utf-8"), flags=re.DOTALL)
    keys = {name.upper() for name in Settings.model_fields} | {"DATABASE_URL"}
    for named in re.findall(r"`([A-Z][A-Z0-9_]+_[A-Z0-9_]+)(?:=[^`]*)?`", text):
        assert named in keys, named
    commands = {one.name for one in [*USER_COMMANDS, *ADMIN_COMMANDS]}
    served = {"healthz", "readyz", "metrics"}
    for named in re.findall(r"`/([a-z_]+)\b[^`]*`", text):
        assert named in commands | served, named


def test_words_as_written_are_an_entry_of_the_catalogue() -> None:
    catalogue = (ROOT / "escrow" / "bot" / "locales" / "en.po").read_text(encoding="utf-8")
    for block in examples("po"):
        asked, answered = block.splitlines()
        assert asked in catalogue
        assert answered.startswith("msgstr ")


# -- what is typed on the host ---------------------------------------------------------------------


@pytest.fixture(scope="module")
async def running(
    cluster: embedded.Cluster, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    folder = tmp_path_factory.mktemp("guide")
    async with started(cluster, template_database, folder) as program:
        await Stage(program).handled()  # its admin has pressed Start
        yield program


@pytest.mark.parametrize("line", dict.fromkeys(_lines("shell")))
async def test_a_line_for_the_host_does_what_it_says(line: str, running: Running) -> None:
    """`make` is only asked whether it knows how; everything else runs."""
    program, *arguments = shlex.split(line)
    if program == "make":
        code, said = await _runs(["make", "-n", *arguments], running)
        assert code == 0, said
        return
    if arguments[:1] == ["-m"]:
        assert arguments == ["-m", "escrow.bot.locales"], "tried in tests/bot/test_locales.py"
        assert callable(locales_main)
        return
    command = [sys.executable if program == "python" else program, *arguments]
    command = [part.replace("http://127.0.0.1:8080", running.url) for part in command]
    code, said = await _runs(command, running)
    assert "usage:" not in said, said
    assert "Traceback" not in said, said
    if "approve" not in arguments:  # no action has that number here, and it says so
        assert code == 0, said
    assert said.strip() or program == "curl"


async def _runs(command: Sequence[str], running: Running) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        env={**running.environment, "PATH": os.environ["PATH"]},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, out.decode()


def test_a_program_of_ones_own_is_the_one_that_is_tried() -> None:
    assert examples("python") == [QUICK_START.rstrip("\n")]


# -- what is typed in Telegram ---------------------------------------------------------------------

_NOT_UNDERSTOOD: Final = re.compile(
    "Like this: |I don't know that command|I can't read|went wrong on our side|can't reach my books"
)


async def _typed(who: Actor, text: str) -> Message:
    """What the bot says to that, when it understands it."""
    who.types(text)
    await who.stage.handled()
    answer = await who.reads()
    assert not _NOT_UNDERSTOOD.search(answer.text), f"{text}: {answer.text}"
    return answer


async def _disputed(stage: Stage) -> tuple[Actor, Actor, str]:
    jane, brian = await stage.pair()
    code = await jane.opens_deal()
    await brian.pays(code)
    await jane.ships(code)
    await brian.disputes(code)
    await stage.quiet()
    return jane, brian, code


@pytest.mark.parametrize("block", examples("bot"))
async def test_what_admins_are_shown_to_type_works(block: str, running: Running) -> None:
    stage = Stage(running)
    _, _, code = await _disputed(stage)
    for line in block.splitlines():
        said = line.replace(EXAMPLE, code)
        if " confirm " in line:
            number = await stage.value(
                "SELECT max(number) FROM admin_actions WHERE target = $1", code
            )
            said = said.replace(line.split()[-1], str(number))
        answer = await _typed(stage.admin, said)
        if answer.button("Confirm") is not None and " confirm " not in block:
            await stage.admin.taps("Confirm")
    if EXAMPLE in block:
        await stage.until(
            "SELECT status IN ('COMPLETED', 'REFUNDED') FROM escrow_transactions WHERE id = $1",
            True,
            code,
        )
    await stage.until("SELECT count(*) FROM pauses WHERE ended_at IS NULL", 0)


async def test_every_usage_line_is_understood(running: Running) -> None:
    """As the tables, the menus and `/help` show it; by people whom it may concern."""
    stage = Stage(running)
    jane, brian, code = await _disputed(stage)
    shop = await stage.seller("Amina", "Amina Shop")
    for command in ADMIN_COMMANDS:
        usage = command.usage.replace(EXAMPLE, code).replace("2001", str(shop.id))
        await _typed(stage.admin, usage)
    await _typed(stage.admin, "/resume")
    for command in USER_COMMANDS:
        usage = command.usage.replace(EXAMPLE, code)
        await _typed(jane if "sellers" in command.menu else brian, usage)


if __name__ == "__main__":
    GUIDE.write_text(drawn(GUIDE.read_text(encoding="utf-8")), encoding="utf-8")
