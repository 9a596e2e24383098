"""The named SQL blocks of `sql/*.sql`, in the form of `escrow/store/queries.py`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).parent / "sql"
_NAME: Final = re.compile(r"^-- ([a-z_]+) --$", re.MULTILINE)


def load(stem: str) -> dict[str, str]:
    """name → SQL of `sql/<stem>.sql`."""
    parts = _NAME.split((_FOLDER / f"{stem}.sql").read_text(encoding="utf-8"))
    return dict(zip(parts[1::2], (body.strip() for body in parts[2::2]), strict=True))
