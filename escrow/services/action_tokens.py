"""The signed buttons of actions: `a1:<y|n>:<action>:<signature>`.

The signature covers everything that the preview said, the end of its time and the admin it is shown
to: a button works for him alone, and for nothing else. Anybody can send any of them, so whether he
may is decided again where it is carried out.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from escrow.domain.actions import Action


class Word(StrEnum):
    """What an admin can say; the value is the letter on the button."""

    YES = "y"
    NO = "n"


_TOKEN: Final = re.compile(r"a1:([yn]):([1-9][0-9]{0,17}):([0-9a-f]{20})", re.ASCII)
_DIGITS: Final = 20


def is_action(data: object) -> bool:
    """Whether that may be a signed button of an action."""
    return isinstance(data, str) and data.startswith("a1:")


def sign(secret: bytes, word: Word, action: Action, admin: int) -> str:
    """The callback data of one button."""
    return f"a1:{word}:{action.id}:{_signature(secret, word, action, admin)}"


def read(token: str) -> tuple[Word, int, str] | None:
    """(word, action id, signature) of a token of that form, else None. Verifies nothing."""
    match = _TOKEN.fullmatch(token)
    return (Word(match[1]), int(match[2]), match[3]) if match else None


def verify(secret: bytes, word: Word, action: Action, admin: int, signature: str) -> bool:
    """Whether this signature was made for this button of this admin, in constant time."""
    return hmac.compare_digest(_signature(secret, word, action, admin), signature)


def _signature(secret: bytes, word: Word, action: Action, admin: int) -> str:
    text = "|".join(
        (
            "action",
            str(word),
            str(action.id),
            action.kind,
            action.target,
            _json(action.params),
            action.amount.currency.code,
            str(action.amount.minor),
            _json(action.facts),
            str(int(action.expires_at.timestamp() * 1_000_000)),
            str(admin),
        )
    )
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()[:_DIGITS]


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(dict(values), sort_keys=True, separators=(",", ":"), default=str)
