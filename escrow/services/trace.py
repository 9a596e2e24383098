"""Checkpoints of one piece of work in the log: what happened, to which deal and receipt, after
how many milliseconds. Receipts are masked; amounts are minor units.
"""

from __future__ import annotations

import logging
import time
from typing import Any


def mask_receipt(reference: str) -> str:
    """`SG6****UAB`: enough to find it, not enough to use it."""
    return f"{reference[:3]}****{reference[-3:]}" if len(reference) >= 8 else "****"


class Trace:
    """Call it with the name of a checkpoint."""

    def __init__(self, log: logging.Logger, escrow_id: str, reference: str) -> None:
        self._log = log
        self._escrow_id = escrow_id
        self._reference = mask_receipt(reference) if reference != "-" else "-"
        self._started = time.perf_counter()

    def __call__(self, action: str, **fields: Any) -> None:
        """Logs the checkpoint; failures and cuts as warnings."""
        level = logging.WARNING if action in ("failed", "timed_out", "unmatched") else logging.INFO
        if not self._log.isEnabledFor(level):
            return
        elapsed = round((time.perf_counter() - self._started) * 1000, 1)
        self._log.log(
            level,
            "payment %s",
            action,
            extra={
                "action": action,
                "escrow": self._escrow_id,
                "receipt": self._reference,
                "ms": elapsed,
                **fields,
            },
        )
