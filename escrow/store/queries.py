"""Loads the named SQL blocks of `sql/<module>.sql`.

A block starts with `-- name --` alone on its line and ends at the next one. A name that is
missing fails at import; a name that nobody uses fails in `tests/test_house.py`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

SQL_FOLDER: Final = Path(__file__).parent / "sql"
_NAME: Final = re.compile(r"^-- ([a-z_]+) --$", re.MULTILINE)


def load(module: str) -> dict[str, str]:
    """name → SQL of `sql/<module>.sql`. `ValueError` when a name stands twice."""
    text = (SQL_FOLDER / f"{module}.sql").read_text(encoding="utf-8")
    parts = _NAME.split(text)
    found: dict[str, str] = {}
    for name, body in zip(parts[1::2], parts[2::2], strict=True):
        if name in found:
            raise ValueError(f"sql/{module}.sql has {name} twice")
        found[name] = body.strip()
    return found
