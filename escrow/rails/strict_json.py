"""JSON as money needs it: one reading of a body, or none."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any, Final, NoReturn

from escrow.services.ports import UnreadableError

DEPTH_MAX: Final = 32
DIGITS_MAX: Final = 30
EXPONENT_MAX: Final = 30

# A whole string (or one that never ends), or one bracket. Possessive, so that time is linear.
_TOKEN: Final = re.compile(r'"(?:[^"\\]++|\\.?)*+"?|[\[{]|[\]}]', re.DOTALL)
_OUTSIDE: Final = re.compile("[\x00\ud800-\udfff]")


def loads(body: bytes, *, limit: int = 65536) -> Any:
    """The value of a UTF-8 JSON body of at most `limit` bytes; numbers with a point or exponent
    become Decimal.

    `UnreadableError`, whose words never quote the body, for anything doubtful: other encodings,
    NaN and Infinity, a key twice in one object, NUL or half a surrogate pair in a string, more than
    32 levels, 30 digits or an exponent beyond ±30.
    """
    if len(body) > limit:
        raise UnreadableError(f"the body is longer than {limit} bytes")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise UnreadableError("the body is not UTF-8") from None
    _check_depth(text)
    try:
        value = json.loads(
            text,
            parse_int=_integer,
            parse_float=_decimal,
            parse_constant=_constant,
            object_pairs_hook=_object,
        )
    except ValueError:  # without its cause: the decoder's error carries the whole body
        raise UnreadableError("the body is not JSON") from None
    _check_strings(value)
    return value


def _check_depth(text: str) -> None:
    depth = 0
    for token in _TOKEN.finditer(text):
        first = token[0][0]
        if first in "[{":
            depth += 1
            if depth > DEPTH_MAX:
                raise UnreadableError(f"the body has more than {DEPTH_MAX} levels")
        elif first in "]}":
            depth -= 1


def _check_strings(value: Any) -> None:
    """Depth is bounded by now, so that this may call itself."""
    if isinstance(value, str):
        if _OUTSIDE.search(value):
            raise UnreadableError("a string holds a character that no text has")
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_strings(key)
            _check_strings(item)
    elif isinstance(value, list):
        for item in value:
            _check_strings(item)


def _integer(text: str) -> int:
    if len(text.lstrip("-")) > DIGITS_MAX:
        raise UnreadableError(f"a number has more than {DIGITS_MAX} digits")
    return int(text)


def _decimal(text: str) -> Decimal:
    mantissa, _, exponent = text.lower().partition("e")
    if len(mantissa.lstrip("-").replace(".", "")) > DIGITS_MAX:
        raise UnreadableError(f"a number has more than {DIGITS_MAX} digits")
    digits = exponent.lstrip("+-").lstrip("0")
    if len(digits) > 2 or int(digits or "0") > EXPONENT_MAX:
        raise UnreadableError(f"a number has an exponent beyond ±{EXPONENT_MAX}")
    return Decimal(text)


def _constant(text: str) -> NoReturn:
    raise UnreadableError("a number is not finite")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise UnreadableError("an object has a key twice")
    return found
