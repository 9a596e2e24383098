"""Logs: JSON lines to a file, readable lines to the console, and nothing private in either.

What a record says passes `mask_text` once, for all handlers: phone numbers, receipts, request ids
(they end in the payer's number), bot tokens, path secrets. Handlers log facts as `extra`, never
bodies.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

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
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    "masked",
}
_TO_JSON: Final = json.JSONEncoder(ensure_ascii=False).encode


# What every rule needs somewhere; and the one frequent word that has it and is masked by no rule.
_SUSPICIOUS: Final = re.compile(r"[0-9]{6}|[0-9A-Za-z]{10}|ws_CO_")
_DEAL: Final = re.compile(r"ES[0-9]{10}")


def mask_text(text: str) -> str:
    """The text without phone numbers, receipts, tokens and secrets."""
    if _SUSPICIOUS.search(text) is None or _DEAL.fullmatch(text):
        return text
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


_PHONE_MIN: Final = 10**10
"""A number below it is no phone number."""


def _mask(value: Any) -> Any:
    """A fact without private text; numbers stay numbers unless one could be a phone's."""
    if isinstance(value, str):
        return mask_text(value)
    if value is None or isinstance(value, float):
        return value
    if isinstance(value, int) and -_PHONE_MIN < value < _PHONE_MIN:
        return value
    if isinstance(value, dict):
        return {str(key): _mask(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_mask(part) for part in value]
    return mask_text(str(value))


class _Masked(NamedTuple):
    message: str
    facts: dict[str, Any]
    error: str


def _masked(record: logging.LogRecord) -> _Masked:
    """What may be shown of a record; found once, for all handlers."""
    found: _Masked | None = vars(record).get("masked")
    if found is None:
        error = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
        found = _Masked(
            mask_text(record.getMessage()),
            {key: _mask(value) for key, value in vars(record).items() if key not in _STANDARD},
            mask_text(error),
        )
        record.masked = found
    return found


class JsonFormatter(logging.Formatter):
    """One JSON object a line: at, level, logger, message, then the facts."""

    def format(self, record: logging.LogRecord) -> str:
        message, facts, error = _masked(record)
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": message,
            **facts,
        }
        if error:
            line["error"] = error
        return _TO_JSON(line)


class ConsoleFormatter(logging.Formatter):
    """`20:15:03 INFO  payment committed · escrow=ES… ms=12.3`."""

    def format(self, record: logging.LogRecord) -> str:
        message, facts, error = _masked(record)
        at = time.strftime("%H:%M:%S", time.localtime(record.created))
        text = f"{at} {record.levelname:<7} {message}"
        shown = " ".join(f"{key}={value}" for key, value in facts.items() if value != "")
        if shown:
            text += f" · {shown}"
        return f"{text}\n{error}" if error else text


class _File(logging.handlers.RotatingFileHandler):
    """Looks at the file's size now and then; the library formats every record twice for it."""

    _records = 0

    def shouldRollover(self, record: logging.LogRecord) -> bool:
        self._records += 1
        if self._records % 256 or self.stream is None:
            return False
        return self.stream.tell() >= self.maxBytes


def set_up(level: str, log_file: str, *, quiet: bool = False) -> None:
    """Replaces the root handlers. The file rotates at 20 MB, five are kept. `quiet`: the console
    shows errors only.
    """
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    console = logging.StreamHandler(sys.stdout)
    console.setFormatter(ConsoleFormatter())
    console.setLevel(logging.ERROR if quiet else logging.NOTSET)
    root.addHandler(console)
    if log_file:
        path = Path(log_file)
        path.parent.mkdir(parents=True, exist_ok=True)
        keep = _File(path, maxBytes=20_000_000, backupCount=5, encoding="utf-8")
        keep.setFormatter(JsonFormatter())
        root.addHandler(keep)
    root.setLevel(level)
    for noisy in ("httpx", "httpcore", "aiohttp.access", "telegram", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # it warns of each turn that falls into a long run of the same job; health watches late jobs
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
