"""Addresses and hashes for tests, made here: nobody's wallet."""

from __future__ import annotations

import hashlib

from escrow.domain.addresses import with_check

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def tron(body: bytes, version: int = 0x41) -> str:
    """The base58check spelling of twenty bytes."""
    whole = bytes([version]) + body
    whole += hashlib.sha256(hashlib.sha256(whole).digest()).digest()[:4]
    number, found = int.from_bytes(whole, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        found = _BASE58[digit] + found
    return found


TRON = tron(hashlib.sha256(b"a test's own").digest()[:20])
OTHER_TRON = tron(hashlib.sha256(b"another").digest()[:20])
ETHEREUM = with_check("0x" + hashlib.sha256(b"a test's own").hexdigest()[:40])


def txid(number: int) -> str:
    """A transaction's hash."""
    return hashlib.sha256(f"transaction {number}".encode()).hexdigest()
