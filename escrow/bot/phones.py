"""Phone numbers as people type and share them → the twelve digits that M-Pesa takes."""

from __future__ import annotations

import re
from typing import Final

import phonenumbers

from escrow.domain.errors import InvalidInput
from escrow.domain.phone import is_msisdn

_LOOKS_LIKE: Final = re.compile(r"[+(]?[0-9][0-9 ().\-]{7,20}[0-9]", re.ASCII)
_MEANT: Final = re.compile(r"\+[0-9]{8,15}|254[0-9]{9}|0[178][0-9]{8}", re.ASCII)
_CLEAR: Final = re.compile(r"(\+?254|0)[17][0-9]{8}", re.ASCII)


def read_phone(typed: str) -> str:
    """`0712 345 678`, `+254712345678`, `712345678` → `254712345678`.

    `InvalidInput` for anything but a Kenyan mobile number.
    """
    text = typed.strip()
    if not _LOOKS_LIKE.fullmatch(text):
        raise InvalidInput("phone")
    digits = re.sub(r"[^0-9]", "", text)
    international = text.startswith("+") or (digits.startswith("254") and len(digits) == 12)
    try:
        number = phonenumbers.parse(f"+{digits}" if international else digits, "KE")
    except phonenumbers.NumberParseException as error:
        raise InvalidInput("phone") from error
    msisdn = f"{number.country_code}{number.national_number}"
    mobile = (
        phonenumbers.PhoneNumberType.MOBILE,
        phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE,
    )
    if phonenumbers.number_type(number) not in mobile or not is_msisdn(msisdn):
        raise InvalidInput("phone")
    return msisdn


def looks_like_phone(text: str) -> bool:
    """Whether somebody means a Kenyan mobile number by that, written plainly."""
    return bool(_CLEAR.fullmatch(_bare(text)))


def looks_like_wrong_phone(text: str) -> bool:
    """Whether somebody means a phone number by that which is no Kenyan mobile one."""
    return bool(_MEANT.fullmatch(_bare(text))) and not looks_like_phone(text)


def _bare(text: str) -> str:
    return re.sub(r"[ ()\-.]", "", text.strip())
