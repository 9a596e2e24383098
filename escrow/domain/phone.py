"""Kenyan mobile numbers as M-Pesa writes them: twelve digits, `2547…` or `2541…`."""

from __future__ import annotations

import hashlib
import re
from typing import Final

_MSISDN: Final = re.compile(r"254[17][0-9]{8}", re.ASCII)
_HASH: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_LONG: Final = re.compile(r"[0-9]{8,}", re.ASCII)
_MASKED: Final = re.compile(r"254[17][0-9]{2,}[*]+[0-9]{3,}", re.ASCII)


def is_msisdn(text: str) -> bool:
    """Whether that is twelve digits of a Kenyan mobile."""
    return bool(_MSISDN.fullmatch(text))


def mask(msisdn: str) -> str:
    """`0712***678`: enough for its owner, not for anybody else."""
    if not is_msisdn(msisdn):
        return "***"
    return f"0{msisdn[3:6]}***{msisdn[-3:]}"


def may_be(shown: str, msisdn: str) -> bool:
    """Whether a payer's number as a callback shows it (clear, masked with stars and spaces, or a
    SHA-256 hash) may be `msisdn`. Something that says nothing contradicts nothing (rails.md 1.6).
    """
    text = re.sub(r"[\s+]", "", shown).lower()
    if _HASH.fullmatch(text):
        return text == hashlib.sha256(msisdn.encode()).hexdigest()
    if "*" in text:
        head, tail = text[: text.index("*")], text[text.rindex("*") + 1 :]
        return msisdn.startswith(head) and msisdn.endswith(tail)
    if text.startswith("0") and len(text) == 10:
        text = "254" + text[1:]
    return text == msisdn if text.isdigit() else True


def keep(shown: str) -> str:
    """A payer's number as we keep it: a clear one masked, a masked or hashed one as it came, so
    that `may_be` still answers.
    """
    text = re.sub(r"[\s+]", "", shown)
    if text.startswith("0") and len(text) == 10:
        text = "254" + text[1:]
    return f"{text[:6]}***{text[-3:]}" if is_msisdn(text) else text[:64]


def mask_shown(shown: str) -> str:
    """A kept number for people's eyes: `0712***678`, or the start of a hash."""
    text = keep(shown)
    if _HASH.fullmatch(text.lower()):
        return f"#{text[:8].lower()}"
    local = f"0{text[3:]}" if text.startswith("254") else text
    return _LONG.sub(lambda run: f"{run[0][:4]}***{run[0][-3:]}", local)


def proves(shown: str, msisdn: str) -> bool:
    """Whether a payer's number as a provider shows it says that it is `msisdn`: clear, hashed, or
    masked with at least its first six and last three digits left. One that shows less proves
    nothing: `2547 ***** 222` fits a hundred thousand phones.
    """
    text = re.sub(r"[\s+]", "", shown).lower()
    says = _HASH.fullmatch(text) or is_msisdn(text) or _MASKED.fullmatch(text)
    return bool(says) and may_be(shown, msisdn)
