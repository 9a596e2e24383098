"""Deal codes: `ES` and ten digits, the last a check digit. People type them into M-Pesa by hand.

The check digit is Luhn's, which catches every single wrong digit (flow.md 25).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

_SEPARATORS: Final = re.compile(r"[\s\-_.#/]+")
_LOOKALIKE: Final = str.maketrans({"O": "0", "I": "1", "L": "1"})


def check_digit(nine: str) -> int:
    """Luhn's digit for nine ASCII digits."""
    total = 0
    for index, char in enumerate(reversed(nine)):
        digit = int(char)
        if index % 2 == 0:
            digit = digit * 2 - 9 if digit > 4 else digit * 2
        total += digit
    return -total % 10


def new_code(random_below: Callable[[int], int]) -> str:
    """A random code; `random_below(n)` draws from 0 ≤ x < n (`secrets.randbelow`)."""
    nine = f"{random_below(10**9):09d}"
    return f"ES{nine}{check_digit(nine)}"


def is_code(text: str) -> bool:
    """Whether that is a whole code with a right check digit."""
    return (
        len(text) == 12
        and text.startswith("ES")
        and text[2:].isascii()
        and text[2:].isdigit()
        and check_digit(text[2:11]) == int(text[11])
    )


def ten_digits(typed: str) -> str | None:
    """The ten digits in what somebody typed, or None: `es 1008 257624`, `1008257624`,
    `ES-10O8257624` (letter O) all give the same. Nothing is said about the check digit.
    """
    text = _SEPARATORS.sub("", typed[:64]).upper()
    if text.startswith(("ES", "E5")):
        text = text[2:]
    text = text.translate(_LOOKALIKE)
    return text if len(text) == 10 and text.isascii() and text.isdigit() else None


def read_code(typed: str) -> str | None:
    """The code that was typed, tolerant of spaces, case and a missing ES; None when the check
    digit is wrong.
    """
    digits = ten_digits(typed)
    return f"ES{digits}" if digits and is_code(f"ES{digits}") else None


def near_codes(typed: str) -> tuple[str, ...]:
    """The valid codes that differ in exactly one digit from a typed one that is itself invalid.

    The caller may take one only if exactly one of them is an open deal.
    """
    digits = ten_digits(typed)
    if digits is None or is_code(f"ES{digits}"):
        return ()
    found = []
    for place in range(10):
        for other in "0123456789":
            candidate = f"ES{digits[:place]}{other}{digits[place + 1 :]}"
            if other != digits[place] and is_code(candidate):
                found.append(candidate)
    return tuple(found)
