"""The house keeps its rules: which layer may import what, who may read clock and environment, where
SQL stands, and that nothing is left over. Read from the source, not from habit.

An exception is named beside its rule, with its reason; one that is no longer needed fails too.
"""

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions

import pytest

from escrow.store import queries
from tests.house import (
    BENCHMARKS,
    IMPORTS,
    NAMES,
    OURS,
    PROGRAM,
    ROOT,
    SANDBOX,
    TESTS,
    Module,
    calls_of,
    layer_of,
)

UPWARD = {
    ("escrow_automation", "escrow.quick_start"): "the Quick Start opens its own services",
    ("escrow_handlers_admin", "escrow.bootstrap"): "the Quick Start opens its own services",
}
"""Inside a function only; the one upward arrow that the house allows."""

PLAYS = {"escrow.program": "without a Telegram token the program is the sandbox"}
"""Who may import `sandbox`, inside a function only: a real bot never loads it."""

STORE_FROM_AN_EDGE = {
    "escrow.bot.updates": "keeps raw updates before Telegram hears that they came",
    "escrow.rails.token_store": "one OAuth token for all processes",
    "escrow_automation": "writes what each job did",
}
"""Edges translate in, call one service method, translate out; these few keep rows of their own."""

OUTSIDE = {
    "escrow.domain": set(),
    "payment_tolerance": set(),
    "escrow.store": {"asyncpg"},
    "escrow.services": set(),
    "escrow_service": set(),
    "escrow.rails": {"httpx", "cryptography", "aiolimiter"},
    "escrow.bot": {"telegram", "markupsafe", "babel", "phonenumbers", "PIL"},
    "escrow.web": {"aiohttp"},
    "escrow_handlers_admin": {"telegram"},
    "escrow_automation": {"apscheduler"},
    "escrow.settings": {"pydantic", "pydantic_settings"},
    "escrow.bootstrap": {"asyncpg", "httpx"},
    "escrow.quick_start": {"telegram"},
    "escrow.host": {"markupsafe"},
    "escrow.program": {"pydantic", "telegram"},
    "escrow.logs": set(),
    "escrow.metrics": {"prometheus_client"},
    "main": set(),
    "sandbox": {"aiohttp", "cryptography", "yarl"},
}
"""What a layer takes from outside the standard library."""

EXACT = (
    "payment_tolerance",
    "escrow.domain",
    "escrow.store",
    "escrow.services",
    "escrow_service",
    "escrow.rails.mpesa_parse",
    "escrow.rails.blockbee",
    "escrow.rails.blockbee_wire",
    "escrow.bot.typed",
)
"""Where money passes: no `float(…)`, and no `round(…)` of anything that is not a duration."""
ROUNDED = {
    "escrow.services.oversight": "milliseconds of a look at the database",
    "escrow.services.trace": "milliseconds in the log",
}

CLOCKS = {
    "escrow.store.database": "the production clock, before its first reading",
    "sandbox.pulse": "the sandbox's own clock",
}
ENVIRONMENT: dict[str, str] = {}
"""pydantic-settings reads it, in `escrow.settings`; nobody else asks."""

HANDLERS = (
    "escrow.bot.buyer",
    "escrow.bot.coins",
    "escrow.bot.seller",
    "escrow.bot.admin.cases",
    "escrow.bot.admin.lists",
    "escrow.bot.newdeal",
    "escrow.bot.shop",
    "escrow.bot.ratings",
    "escrow.bot.wallet",
    "escrow.bot.paid",
    "escrow.bot.payouts",
    "escrow.bot.deals",
    "escrow.bot.shipping",
    "escrow.bot.disputes",
    "escrow.bot.dollars",
    "escrow.bot.settling",
    "escrow.bot.common",
    "escrow.bot.asking",
    "escrow.bot.language",
    "escrow.bot.talk",
    "escrow.bot.admin.figures",
    "escrow.bot.admin.confirming",
    "escrow.bot.admin.pausing",
    "escrow.bot.admin.sellers",
    "escrow.bot.admin.flags",
    "escrow.bot.admin.waiting",
    "escrow.bot.admin.safe",
    "escrow.bot.admin.receipts",
    "escrow.bot.admin.unmatched",
    "escrow.bot.admin.statement",
    "escrow_handlers_admin",
)
"""They translate and call; one error handler does the rest."""

LINES_MAX = 700
LONGER = {
    "tests/sandbox/test_daraja.py": (720, "the stand-in's whole wire format"),
}

# -- who imports what ----------------------------------------------------------------------------


def test_every_module_has_a_layer() -> None:
    homeless = [m.name for m in PROGRAM if layer_of(m.name) is None and m.name != "escrow"]
    assert homeless == []


def test_a_module_imports_its_own_layer_and_lower_ones() -> None:
    used = set()
    wrong = []
    for module in PROGRAM:
        own = layer_of(module.name)
        for one in IMPORTS[module.name]:
            other = layer_of(one.target)
            if one.typing or own is None or other is None or other <= own:
                continue
            if one.lazily and (module.name, one.target) in UPWARD:
                used.add((module.name, one.target))
                continue
            wrong.append(f"{module.at(one.node)}: layer {own} imports {one.target}, layer {other}")
    assert wrong == []
    assert used <= UPWARD.keys()


def test_the_sandbox_stands_outside() -> None:
    wrong = [
        f"{module.at(one.node)}: imports {one.target}"
        for module in PROGRAM
        for one in IMPORTS[module.name]
        if one.target.partition(".")[0] in ("sandbox", "tests", "benchmarks")
        and not one.typing
        and not (one.lazily and module.name in PLAYS)
    ]
    wrong += [
        f"{module.at(one.node)}: imports {one.target}"
        for module in SANDBOX
        for one in IMPORTS[module.name]
        if layer_of(one.target) is not None or one.target.partition(".")[0] in ("escrow", "tests")
    ]
    assert wrong == []
    for name in PLAYS:
        assert any(one.target.startswith("sandbox") for one in IMPORTS[name]), "no longer needed"


def test_edges_call_services_and_leave_the_store_alone() -> None:
    reaching = {
        module.name
        for module in PROGRAM
        if layer_of(module.name) == 3
        for one in IMPORTS[module.name]
        if one.target.startswith("escrow.store") and not one.typing
    }
    assert reaching == set(STORE_FROM_AN_EDGE)


def test_a_layer_takes_from_outside_only_what_is_listed() -> None:
    wrong = []
    taken: dict[str, set[str]] = {room: set() for room in OUTSIDE}
    for module in OURS:
        room = "sandbox" if module.within("sandbox") else module.room
        for one in IMPORTS[module.name]:
            top = one.target.partition(".")[0]
            if top in sys.stdlib_module_names or top in {m.split(".")[0] for m in NAMES}:
                continue
            if one.typing and room not in ("escrow.domain", "payment_tolerance"):
                continue
            if top not in OUTSIDE.get(room, set()):
                wrong.append(f"{module.at(one.node)}: {top}")
            else:
                taken[room].add(top)
    assert wrong == []
    assert taken == OUTSIDE, "listed and no longer taken"


def test_everything_from_outside_is_a_pinned_requirement() -> None:
    named = re.compile(r"^([A-Za-z0-9-]+)(?:\[[a-z-]+\])?==", re.MULTILINE)
    pinned = {
        name.lower().replace("_", "-")
        for file in ("requirements.txt", "constraints.txt")
        for name in named.findall((ROOT / file).read_text(encoding="utf-8"))
    }
    packages = packages_distributions()
    for top in sorted(set().union(*OUTSIDE.values())):
        assert {name.lower().replace("_", "-") for name in packages[top]} & pinned, top


def test_every_requirement_says_what_it_is_for() -> None:
    for file in ("requirements.txt", "requirements-dev.txt", "requirements-fuzz.txt"):
        for line in (ROOT / file).read_text(encoding="utf-8").splitlines():
            if line and not line.startswith(("#", "-r ")):
                assert re.fullmatch(r"[\w.\[\]-]+==\S+  # .+", line), line


def test_every_module_is_imported_by_somebody() -> None:
    imported = {
        one.target
        for module in OURS
        for one in IMPORTS[module.name]
        if not one.typing and one.target != module.name
    }
    packages = {m.name for m in OURS if m.path.name == "__init__.py"}
    commands = {name for name in NAMES if name.endswith(".__main__")}  # run by their package's name
    alone = NAMES - imported - packages - commands - {"main"}
    assert alone == set()
    for package in packages:
        assert any(name.startswith(package + ".") for name in NAMES), f"{package} is an empty room"


def test_nothing_is_imported_by_a_name_made_up_at_run_time() -> None:
    wrong = [
        module.at(node)
        for module in OURS
        for name, node in calls_of(module)
        if name in ("__import__", "import_module", "importlib.import_module", "eval", "exec")
    ]
    assert wrong == []


# -- exactness, time, environment ----------------------------------------------------------------


def test_no_float_where_money_passes() -> None:
    wrong = []
    for module in PROGRAM:
        if not module.within(*EXACT):
            continue
        for name, node in calls_of(module):
            if name == "float" or (name == "round" and module.name not in ROUNDED):
                wrong.append(f"{module.at(node)}: {ast.unparse(node)}")
    assert wrong == []
    for name in ROUNDED:
        calls = [one for one, _ in calls_of(next(m for m in OURS if m.name == name))]
        assert "round" in calls, f"{name}: no longer needed"


def test_money_is_never_divided_with_a_slash() -> None:
    """`/` makes a float of two whole numbers."""
    wrong = [
        f"{module.at(node)}: {ast.unparse(node)}"
        for module in PROGRAM
        if module.within("payment_tolerance", "escrow.domain", "escrow.services.postings")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)
    ]
    assert wrong == []


def test_only_the_clock_reads_the_time() -> None:
    wall = re.compile(r"(datetime|date)\.(now|utcnow|today)|time\.time(_ns)?")
    reading = {
        module.name
        for module in OURS
        for name, _ in calls_of(module)
        if wall.fullmatch(name.removeprefix("datetime.") if name.count(".") > 1 else name)
    }
    assert reading == set(CLOCKS)


def test_the_domain_has_no_clock_no_chance_no_world() -> None:
    worldly = {"asyncio", "os", "pathlib", "random", "secrets", "socket", "time", "logging"}
    wrong = [
        module.at(one.node)
        for module in PROGRAM
        if layer_of(module.name) == 0
        for one in IMPORTS[module.name]
        if one.target.partition(".")[0] in worldly
    ]
    wrong += [
        module.at(node)
        for module in PROGRAM
        if layer_of(module.name) == 0
        for node in ast.walk(module.tree)
        if isinstance(node, ast.AsyncFunctionDef | ast.Await)
    ]
    assert wrong == []


def test_only_the_settings_read_the_environment() -> None:
    reading = {
        module.name
        for module in OURS
        for node in ast.walk(module.tree)
        if (isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "environb"))
        or (isinstance(node, ast.Name) and node.id in ("environ", "getenv"))
    }
    assert reading - {"escrow.settings"} == set(ENVIRONMENT)


def test_no_print_but_the_consoles() -> None:
    printing = {module.name for module in OURS for name, _ in calls_of(module) if name == "print"}
    assert printing == {"main"}


# -- errors --------------------------------------------------------------------------------------

BLIND = {"Exception", "BaseException"}
LOGGERS = {"_LOG", "log", "_log", "logger"}


def _is_blind(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(ast.unparse(kind) in BLIND for kind in kinds)


def _tells(handler: ast.ExceptHandler) -> bool:
    """Whether it raises again, or logs at warning or above."""
    for node in ast.walk(handler):
        if isinstance(node, ast.Raise):
            return True
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id in LOGGERS
            and node.func.attr in ("exception", "error", "critical", "warning")
        ):
            return True
    return False


def test_no_error_is_swallowed_blindly() -> None:
    wrong = [
        module.at(node)
        for module in OURS
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ExceptHandler) and _is_blind(node) and not _tells(node)
    ]
    assert wrong == []


def test_no_missing_module_is_hidden() -> None:
    wrong = [
        module.at(node)
        for module in OURS
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ExceptHandler)
        and node.type is not None
        and re.search(r"\b(ImportError|ModuleNotFoundError)\b", ast.unparse(node.type))
    ]
    assert wrong == []


OF_A_DEAL = re.compile(r"\bStatus\.|\b(escrow|deal|view|seller)\.(\w+\.)?status\b")


def test_whatever_answers_an_update_is_a_handler() -> None:
    machinery = {
        "escrow.bot.application",
        "escrow.bot.desk",
        "escrow.bot.excuses",
        "escrow.bot.pictures",
        "escrow.bot.admin.guard",
        "escrow.bot.admin.paging",
    }
    found = {
        module.name
        for module in PROGRAM
        for node in module.tree.body
        if isinstance(node, ast.AsyncFunctionDef)
        and [one.arg for one in node.args.args[:2]] == ["update", "context"]
    }
    assert found - machinery - set(HANDLERS) == set()


def test_handlers_translate_and_call_and_nothing_else() -> None:
    wrong = []
    for module in OURS:
        if module.name not in HANDLERS:
            continue
        for node in ast.walk(module.tree):
            what = None
            if isinstance(node, ast.Try):
                what = "try"
            elif isinstance(node, ast.Name) and node.id in ("conn", "connection", "db"):
                what = node.id
            elif isinstance(node, ast.Compare) and OF_A_DEAL.search(ast.unparse(node)):
                what = ast.unparse(node)
            if what:
                wrong.append(f"{module.at(node)}: {what}")
    assert wrong == []
    assert set(HANDLERS) <= NAMES


# -- SQL -----------------------------------------------------------------------------------------

SQL = re.compile(
    r"\b(SELECT\s+(\*|\w+|count\()|INSERT\s+INTO\s|UPDATE\s+\w+\s+SET\s|DELETE\s+FROM\s"
    r"|(CREATE|ALTER|DROP)\s+(TABLE|INDEX|VIEW|FUNCTION|TRIGGER|ROLE|USER|DATABASE|SCHEMA)\b"
    r"|TRUNCATE\s+\w|(FOR|ON)\s+(UPDATE|CONFLICT)\b|SET\s+(LOCAL\s+)?ROLE\b|GRANT\s+\w+\s+ON\b)"
)


def _strings(module: Module) -> Iterator[ast.Constant]:
    docs = {
        id(node.body[0].value)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node


def test_no_sql_in_python() -> None:
    wrong = [
        f"{module.at(node)}: {str(node.value)[:60]!r}"
        for module in OURS
        for node in _strings(module)
        if SQL.search(str(node.value))
    ]
    assert wrong == []


STORE = [module for module in PROGRAM if module.within("escrow.store")]
BLOCKS = sorted(path.stem for path in queries.SQL_FOLDER.glob("*.sql"))


def _used_blocks(module: Module, known: set[str]) -> set[str]:
    """Every name that `_SQL[…]` is asked for: both where an expression chooses between two, and
    all that fit where a part of the name is put in (`_SQL[f"{part}_page"]`).
    """
    used: set[str] = set()
    for node in ast.walk(module.tree):
        if not (isinstance(node, ast.Subscript) and ast.unparse(node.value) == "_SQL"):
            continue
        key = node.slice
        for leaf in [key.body, key.orelse] if isinstance(key, ast.IfExp) else [key]:
            if isinstance(leaf, ast.JoinedStr):
                pattern = "".join(
                    re.escape(str(part.value)) if isinstance(part, ast.Constant) else "[a-z_]+"
                    for part in leaf.values
                )
                used |= {name for name in known if re.fullmatch(pattern, name)} or {pattern}
            else:
                used.add(leaf.value if isinstance(leaf, ast.Constant) else ast.unparse(leaf))
    return used


@pytest.mark.parametrize("stem", BLOCKS)
def test_every_named_block_is_used_and_every_used_name_is_there(stem: str) -> None:
    module = next(one for one in STORE if one.name == f"escrow.store.{stem}")
    known = set(queries.load(stem))
    assert _used_blocks(module, known) == known


def test_a_module_loads_its_own_blocks_only() -> None:
    loads = {
        module.name: ast.unparse(node)
        for module in OURS
        for name, node in calls_of(module)
        if name == "queries.load"
    }
    assert loads == {f"escrow.store.{stem}": f"queries.load('{stem}')" for stem in BLOCKS}
    for module in OURS:
        assert not _used_blocks(module, set()) or module.name in loads, f"{module.name} borrows"


@pytest.mark.parametrize(
    "module", [one for one in STORE if one.name.rpartition(".")[2] in BLOCKS], ids=lambda m: m.name
)
def test_a_function_of_the_store_takes_its_connection_and_never_ends_its_unit(
    module: Module,
) -> None:
    if module.name == "escrow.store.database":
        return  # the unit itself
    for node in module.tree.body:
        if isinstance(node, ast.AsyncFunctionDef):
            assert node.args.args[0].arg == "conn", f"{module.at(node)}: {node.name}"
    ending = {"commit", "rollback", "acquire"} | (
        set() if module.name == "escrow.store.migrate" else {"transaction"}
    )
    assert not [name for name, _ in calls_of(module) if name.rpartition(".")[2] in ending]


# -- what is listed once, and size ---------------------------------------------------------------


def test_a_status_is_written_as_a_word_only_in_the_flow() -> None:
    """Everybody else says Status.HELD, so that a wrong word does not even start."""
    words = {"HELD", "SHIPPED", "DELIVERED", "DISPUTED", "REFUNDED", "CANCELLED"}
    wrong = [
        f"{module.at(node)}: {node.value!r}"
        for module in PROGRAM
        if module.name != "escrow.domain.flow"
        for node in _strings(module)
        if node.value in words
    ]
    assert wrong == []


def test_no_file_is_too_long_to_be_seen_whole() -> None:
    long = {
        str(module.path.relative_to(ROOT)): lines
        for module in [*OURS, *TESTS, *BENCHMARKS]
        if (lines := len(module.text.splitlines())) > LINES_MAX
    }
    assert {name: lines for name, lines in long.items() if name not in LONGER} == {}
    for name, (most, _) in LONGER.items():
        assert long.get(name, 0) <= most, f"{name} has grown"
        assert name in long, f"{name}: no longer needed"


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(module.path.relative_to(ROOT))
        for module in [*OURS, *BENCHMARKS]
        if module.text.strip() and not ast.get_docstring(module.tree)
    ]
    assert silent == []


def test_every_sql_file_says_what_it_is_for() -> None:
    for path in (ROOT / "migrations").glob("*.sql"):
        assert path.read_text(encoding="utf-8").startswith("-- "), path.name
