"""The signed buttons of the underpayment choice: `v1:<action>:<choice>:<signature>`.

The signature covers action, choice, the buyer's Telegram id, deal, due, received and expiry, so
that a button shown for one amount can't act on another (seed 2: HMAC, ten minutes). Telegram
allows 64 bytes; anybody can send any of them, so the server decides everything again.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from enum import StrEnum
from typing import Final

from escrow.domain.model import Choice


class Action(StrEnum):
    """What the buyer can choose; the value is the letter on the button."""

    COMPLETE = "c"
    PROCEED = "p"
    CANCEL = "x"


_TOKEN: Final = re.compile(r"v1:([cpx]):([1-9][0-9]{0,17}):([0-9a-f]{20})", re.ASCII)
_DIGITS: Final = 20


def sign(secret: bytes, action: Action, choice: Choice) -> str:
    """The callback data of one button."""
    return f"v1:{action}:{choice.id}:{_signature(secret, action, choice)}"


def read(token: str) -> tuple[Action, int, str] | None:
    """(action, choice id, signature) of a token of that form, else None. Verifies nothing."""
    match = _TOKEN.fullmatch(token)
    return (Action(match[1]), int(match[2]), match[3]) if match else None


def verify(secret: bytes, action: Action, choice: Choice, signature: str) -> bool:
    """Whether this signature was made for this button, in constant time."""
    return hmac.compare_digest(_signature(secret, action, choice), signature)


def _signature(secret: bytes, action: Action, choice: Choice) -> str:
    text = "|".join(
        (
            "choice",
            str(action),
            str(choice.id),
            str(choice.telegram_id),
            choice.escrow_id,
            choice.due.currency.code,
            str(choice.due.minor),
            str(choice.received.minor),
            str(int(choice.expires_at.timestamp() * 1_000_000)),
        )
    )
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()[:_DIGITS]
