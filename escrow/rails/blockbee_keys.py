"""Whether BlockBee signed a request: RSA-SHA256, PKCS#1 v1.5, one key for all its customers.

The published key is pinned. Only a signature that could be one and doesn't fit makes us ask for
the key again, at most once an hour: a forger causes neither a storm of questions nor an error.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from escrow.services.ports import Clock

_LOG: Final = logging.getLogger(__name__)

PUBLISHED_KEY: Final = (
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC3FT0Ym8b3myVxhQW7ESuuu6lodGAsUJs4fq+Ey//jm27jQ7HHHDmP"
    "1YJO7XE7Jf/0DTEJgcw4EZhJFVwsk6d3+4fyBsn0tKeyGMiaE6cVkX0cy6Y85o8zgc/CwZKc0uw6d5siAo++xl2zl+RG"
    "MXCELQVEox7pp208zTvown577wIDAQAB"
)
"""As `/pubkey/` and the documentation print it (rails.md 2.3)."""
ASK_AGAIN: Final = timedelta(hours=1)
ASK_SECONDS: Final = 10.0
"""BlockBee hangs up after 30."""
BITS_MIN: Final = 1024
BITS_MAX: Final = 8192
SIGNATURE_CHARACTERS_MAX: Final = 2048


def read_key(text: str) -> rsa.RSAPublicKey:
    """A public key: PEM, also with its line ends written as backslash and n, or the bare base64
    between PEM's lines. `ValueError` when it is no RSA key of 1024 bits or more.
    """
    pem = text.replace("\\n", "\n").strip()
    try:
        if pem.startswith("-----"):
            key = serialization.load_pem_public_key(pem.encode())
        else:
            key = serialization.load_der_public_key(base64.b64decode(pem, validate=True))
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("that is no public key") from None
    if not isinstance(key, rsa.RSAPublicKey) or not BITS_MIN <= key.key_size <= BITS_MAX:
        raise ValueError(f"that is no RSA key of {BITS_MIN} to {BITS_MAX} bits")
    return key


class Signatures:
    """The key that holds now; `ask` fetches the published one, None when that fails."""

    def __init__(self, pem: str, ask: Callable[[], Awaitable[str | None]], clock: Clock) -> None:
        self._key = read_key(pem or PUBLISHED_KEY)
        self._ask = ask
        self._clock = clock
        self._asked_at: datetime | None = None

    async def fit(self, signature: str, signed: bytes) -> bool:
        """Whether BlockBee's key signed exactly these bytes. False also when the key may have
        changed and can't be had: a callback that isn't answered *ok* comes again.
        """
        read = _read(signature, self._key.key_size // 8)
        if read is None:
            return False
        return _fits(self._key, read, signed) or (
            await self._renew() and _fits(self._key, read, signed)
        )

    async def _renew(self) -> bool:
        """Whether there is another key now. Whoever comes while somebody asks doesn't wait."""
        now = self._clock.now()
        if self._asked_at is not None and abs(now - self._asked_at) < ASK_AGAIN:
            return False
        self._asked_at = now
        try:
            async with asyncio.timeout(ASK_SECONDS):
                text = await self._ask()
        except TimeoutError:
            return False
        if text is None:
            return False
        try:
            key = read_key(text)
        except ValueError as error:
            _LOG.warning("BlockBee's key is unreadable: %s", error)
            return False
        if key == self._key:
            return False
        self._key = key
        _LOG.warning(
            "BlockBee has another key now",
            extra={"action": "blockbee_key", "fingerprint": fingerprint(key)},
        )
        return True


def fingerprint(key: rsa.RSAPublicKey) -> str:
    """The key's SHA-256, shortened: enough to compare by eye."""
    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(der).hexdigest()[:16]


def _read(signature: str, size: int) -> bytes | None:
    """The signature's bytes; None when it can't be one of this key or its successor."""
    if len(signature) > SIGNATURE_CHARACTERS_MAX:
        return None
    try:
        read = base64.b64decode(signature.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    return read if len(read) >= min(size, BITS_MIN // 8) else None


def _fits(key: rsa.RSAPublicKey, signature: bytes, signed: bytes) -> bool:
    try:
        key.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True
