"""`python -m escrow.bot.locales`: brings the catalogues up to what the code says.

New texts are added, those that are gone leave, what is translated stays. Prints what is missing.
"""

from __future__ import annotations

import ast
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po

from escrow.bot.locales import HERE, LANGUAGES, fault, has_words

ROOT: Final = HERE.parents[2]
PLACE: Final = {"say": 0, "words": 0, "Command": 1}
"""Where the template stands in each call."""
HOMES: Final = ("escrow.bot.page", "escrow.bot.context")
WIDTH: Final = 96
_HEAD: Final = 'msgid ""\n'


def templates(root: Path = ROOT) -> dict[str, list[str]]:
    """Every template in the code, in its order there, with the files that it stands in."""
    found: dict[str, list[str]] = {}
    for path in [*sorted(root.glob("escrow/**/*.py")), *sorted(root.glob("*.py"))]:
        place = path.relative_to(root).as_posix()
        for call in calls(ast.parse(path.read_text(encoding="utf-8"))):
            text = literal(call)
            if text and has_words(text) and place not in found.setdefault(text, []):
                found[text].append(place)
    return found


def calls(tree: ast.Module) -> Iterator[ast.Call]:
    """The calls that bring a text, in a module that takes them from their home, or is it."""
    taken = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module in HOMES
        for alias in node.names
        if alias.name in PLACE
    }
    taken |= {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef) and _is_ours(node)
    }
    found = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in taken
    ]
    return iter(sorted(found, key=lambda call: (call.lineno, call.col_offset)))


def _is_ours(function: ast.FunctionDef) -> bool:
    """`page` itself defines them, with a template."""
    first = [*function.args.posonlyargs, *function.args.args][:1]
    return function.name in PLACE and [one.arg for one in first] == ["template"]


def literal(call: ast.Call) -> str | None:
    """The template of a call; None when it is not written there."""
    place = PLACE[call.func.id] if isinstance(call.func, ast.Name) else 0
    template = call.args[place] if len(call.args) > place else None
    if isinstance(template, ast.Constant) and isinstance(template.value, str):
        return template.value
    return None


def renewed(old: Catalog, language: str, wanted: dict[str, list[str]]) -> Catalog:
    """The catalogue with exactly the templates that the code has. English texts begin as they
    stand in the code, others empty.
    """
    new = Catalog(locale=language, fuzzy=False)
    for template, places in wanted.items():
        before = old.get(template)
        text = str(before.string) if before and before.string else ""
        if not text and language == LANGUAGES[0]:
            text = template
        new.add(template, text, locations=[(place, 0) for place in places])
    return new


def read(path: Path, language: str) -> Catalog:
    if not path.exists():
        return Catalog(locale=language)
    with path.open("rb") as file:
        return read_po(file, locale=language, abort_invalid=True)


def write(path: Path, catalog: Catalog) -> None:
    path.write_bytes(content(path, catalog))


def content(path: Path, catalog: Catalog) -> bytes:
    """The file, with the notes that stand at its top now. Nothing in it depends on the day."""
    notes = path.read_text(encoding="utf-8").partition(_HEAD)[0] if path.exists() else ""
    entries = io.BytesIO()
    write_po(entries, catalog, width=WIDTH, include_lineno=False, omit_header=True)
    head = f'{_HEAD}msgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n'
    return f'{notes}{head}"Language: {path.stem}\\n"\n\n'.encode() + entries.getvalue()


def main() -> int:
    wanted = templates()
    problems = 0
    for language in LANGUAGES:
        path = HERE / f"{language}.po"
        catalog = renewed(read(path, language), language, wanted)
        write(path, catalog)
        for template in wanted:
            entry = catalog.get(template)
            text = str(entry.string) if entry else ""
            wrong = fault(template, text) if text else "missing"
            if wrong:
                problems += 1
                sys.stdout.write(f"{path.name}: {wrong}: {template}\n")
    sys.stdout.write(f"{len(wanted)} texts, {problems} to look at\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
