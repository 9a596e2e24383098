"""Keccak-256 as Ethereum uses it: SHA-3 before its padding was changed, so hashlib has it not. For
a few bytes at a time; it is not meant to be fast.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_LANE: Final = (1 << 64) - 1
_RATE_BYTES: Final = 136
_ROUNDS: Final = 24
KECCAK: Final = 0x01
"""What is added behind the message: the one difference to SHA-3, which adds 0x06."""


def keccak_256(message: bytes) -> bytes:
    """The 32 bytes of Keccak-256."""
    return sponge(message, KECCAK)


def sponge(message: bytes, suffix: int) -> bytes:
    """32 bytes of the sponge of FIPS 202 with a capacity of 512 bits."""
    room = _RATE_BYTES - len(message) % _RATE_BYTES
    padded = bytearray(message) + bytes(room)
    padded[len(message)] ^= suffix
    padded[-1] ^= 0x80
    lanes = [0] * 25
    for start in range(0, len(padded), _RATE_BYTES):
        for place in range(_RATE_BYTES // 8):
            at = start + 8 * place
            lanes[place] ^= int.from_bytes(padded[at : at + 8], "little")
        lanes = _permuted(lanes)
    return b"".join(lane.to_bytes(8, "little") for lane in lanes[:4])


def _permuted(lanes: list[int]) -> list[int]:
    """Keccak-f[1600]; the lane (x, y) stands at x + 5 y."""
    for constant in _CONSTANTS:
        columns = [
            lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20]
            for x in range(5)
        ]
        mixed = [columns[(x - 1) % 5] ^ _turned(columns[(x + 1) % 5], 1) for x in range(5)]
        lanes = [lane ^ mixed[place % 5] for place, lane in enumerate(lanes)]
        moved = [0] * 25
        for place, lane in enumerate(lanes):
            x, y = place % 5, place // 5
            moved[y + 5 * ((2 * x + 3 * y) % 5)] = _turned(lane, _TURNS[place])
        lanes = [
            lane
            ^ (~moved[(place + 1) % 5 + place // 5 * 5] & moved[(place + 2) % 5 + place // 5 * 5])
            for place, lane in enumerate(moved)
        ]
        lanes[0] ^= constant
    return lanes


def _turned(lane: int, bits: int) -> int:
    return ((lane << bits) | (lane >> (64 - bits))) & _LANE


def _turns() -> list[int]:
    """How far each lane is turned (rho)."""
    turns, x, y = [0] * 25, 1, 0
    for step in range(24):
        turns[x + 5 * y] = (step + 1) * (step + 2) // 2 % 64
        x, y = y, (2 * x + 3 * y) % 5
    return turns


def _constants() -> Iterator[int]:
    """The constant of each round (iota), from its shift register."""
    register = 1
    for _ in range(_ROUNDS):
        constant = 0
        for power in range(7):
            if register & 1:
                constant |= 1 << (2**power - 1)
            register = (register << 1) ^ (0x171 if register & 0x80 else 0)
        yield constant


_TURNS: Final = _turns()
_CONSTANTS: Final = tuple(_constants())
