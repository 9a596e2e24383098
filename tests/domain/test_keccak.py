"""Keccak-256, against SHA-3 (the same sponge with another suffix) and Ethereum's own examples."""

import hashlib

import pytest

from escrow.domain.keccak import keccak_256, sponge

SHA3 = 0x06


def test_the_sponge_is_that_of_sha3_whatever_the_length() -> None:
    for length in (*range(300), 1000):
        message = bytes(n * 7 % 251 for n in range(length))
        assert sponge(message, SHA3) == hashlib.sha3_256(message).digest(), length


@pytest.mark.parametrize(
    ("message", "digest"),
    [
        (b"", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"),
        # the event that every transfer of a token names
        (
            b"Transfer(address,address,uint256)",
            "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef",
        ),
    ],
)
def test_ethereums_hashes_come_out(message: bytes, digest: str) -> None:
    assert keccak_256(message).hex() == digest
