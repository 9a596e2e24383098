"""The project's source as its rules see it: modules, their layers, what they import and call."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[1]

LAYERS = {
    "escrow.domain": 0,
    "payment_tolerance": 0,
    "escrow.store": 1,
    "escrow.services": 2,
    "escrow_service": 2,
    "escrow.rails": 3,
    "escrow.bot": 3,
    "escrow.web": 3,
    "escrow_handlers_admin": 3,
    "escrow_automation": 3,
    "escrow.settings": 4,
    "escrow.bootstrap": 4,
    "escrow.quick_start": 4,
    "escrow.host": 4,
    "escrow.program": 4,
    "escrow.logs": 4,
    "escrow.metrics": 4,
    "main": 4,
}
"""The number of docs/architecture.md; a module imports its own layer and lower ones."""


@dataclass(frozen=True)
class Module:
    """A source file."""

    path: Path

    @cached_property
    def name(self) -> str:
        parts = self.path.relative_to(ROOT).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def room(self) -> str:
        """The longest name of LAYERS, or `sandbox`, that it stands in."""
        return self.name if self.name in LAYERS else ".".join(self.name.split(".")[:2])

    def within(self, *names: str) -> bool:
        return any(self.name == name or self.name.startswith(name + ".") for name in names)

    def at(self, node: ast.AST) -> str:
        return f"{self.path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"


def modules(*patterns: str) -> list[Module]:
    found = sorted(path for pattern in patterns for path in ROOT.glob(pattern))
    return [Module(path) for path in found]


PROGRAM = modules("*.py", "escrow/**/*.py")
SANDBOX = modules("sandbox/**/*.py")
OURS = [*PROGRAM, *SANDBOX]
NAMES = {module.name for module in OURS}
TESTS = modules("tests/**/*.py")
BENCHMARKS = modules("benchmarks/**/*.py")


@dataclass(frozen=True)
class Imported:
    """One imported module and where; `lazily` inside a function, `typing` under TYPE_CHECKING."""

    target: str
    node: ast.stmt
    lazily: bool
    typing: bool


def imports_of(module: Module) -> list[Imported]:
    found: list[Imported] = []

    def visit(node: ast.AST, *, lazily: bool, typing: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                found.extend(Imported(name.name, child, lazily, typing) for name in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{module.at(child)} imports by dots"
                base = child.module or ""
                for name in child.names:
                    full = f"{base}.{name.name}"
                    target = full if full in NAMES else base
                    found.append(Imported(target, child, lazily, typing))
            elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                visit(child, lazily=lazily, typing=True)
            elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                visit(child, lazily=True, typing=typing)
            else:
                visit(child, lazily=lazily, typing=typing)

    visit(module.tree, lazily=False, typing=False)
    return found


IMPORTS = {module.name: imports_of(module) for module in OURS}


def layer_of(name: str) -> int | None:
    while name:
        if name in LAYERS:
            return LAYERS[name]
        name = name.rpartition(".")[0]
    return None


def calls_of(module: Module) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node
