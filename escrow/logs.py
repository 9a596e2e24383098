"""Logs: JSON lines to a file, readable lines to the console, and nothing private in either.

Every record passes `mask_text`: phone numbers, receipts, request ids (they end in the payer's
number), bot tokens, path secrets. Handlers log facts as `extra`, never bodies.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

_RULES: Final = (
    (re.compile(r"\b[0-9]{6,12}:[A-Za-z0-9_-]{10,}"), lambda m: "***token***"),
    (re.compile(r"ws_CO_[A-Za-z0-9_]+"), lambda m: "ws_CO_***"),
    (re.compile(r"\b[0-9a-fA-F]{32,}\b"), lambda m: "***secret***"),
    (
        re.compile(r"(?<![0-9A-Za-z])\+?(?:254|0)([17][0-9]{2})[0-9]{3}([0-9]{3})(?![0-9])"),
        lambda m: f"0{m[1]}***{m[2]}",
    ),
    (
        re.compile(r"\b(?=[A-Z0-9]*[0-9])[A-Z][A-Z0-9]{9}\b"),
        lambda m: f"{m[0][:3]}****{m[0][-3:]}",
    ),
)
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def mask_text(text: str) -> str:
    """The text without phone numbers, receipts, tokens and secrets."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: at, level, logger, message, then the facts."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_facts(record),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return mask_text(json.dumps(line, default=str, ensure_ascii=False))


class ConsoleFormatter(logging.Formatter):
    """`20:15:03 INFO  payment committed · escrow=ES… ms=12.3`."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        facts = " ".join(f"{key}={value}" for key, value in _facts(record).items() if value != "")
        text = f"{at} {record.levelname:<7} {record.getMessage()}"
        if facts:
            text += f" · {facts}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return mask_text(text)


def set_up(level: str, log_file: str) -> None:
    """Replaces the root handlers. The file rotates at 20 MB, five are kept."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    console = logging.StreamHandler(sys.stdout)
    console.setFormatter(ConsoleFormatter())
    root.addHandler(console)
    if log_file:
        path = Path(log_file)
        path.parent.mkdir(parents=True, exist_ok=True)
        keep = logging.handlers.RotatingFileHandler(
            path, maxBytes=20_000_000, backupCount=5, encoding="utf-8"
        )
        keep.setFormatter(JsonFormatter())
        root.addHandler(keep)
    root.setLevel(level)
    for noisy in ("httpx", "httpcore", "aiohttp.access", "apscheduler", "telegram", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
