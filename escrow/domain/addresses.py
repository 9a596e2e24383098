"""Addresses that coins are sent to, and hashes of their transactions, as people paste them.

What is sent to a wrong address is gone, so whatever of it can be checked is checked: Tron's
base58check, and Ethereum's spelling in large and small letters (EIP-55) where somebody used both.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from escrow.domain.coins import Coin
from escrow.domain.errors import InvalidInput
from escrow.domain.keccak import keccak_256

_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_TRON: Final = re.compile(rf"T[{_BASE58}]{{33}}", re.ASCII)
_TRON_VERSION: Final = 0x41
_ETHEREUM: Final = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_HASH: Final = re.compile(r"(?:0x)?([0-9a-f]{64})", re.ASCII)
_CONTRACTS: Final = frozenset(
    {
        "tr7nhqjekqxgtci8q8zy4pl8otszgjlj6t",  # USDT on Tron
        "0xdac17f958d2ee523a2206206994597c13d831ec7",  # USDT on Ethereum
        "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48",  # USDC on Ethereum
    }
)
"""The coins' own addresses, which people copy by mistake: nobody gets back what lands there."""


def read_address(coin: Coin, typed: str) -> str:
    """An address of that coin's network, as it was typed.

    `InvalidInput`: `not_tron_address`, `not_ethereum_address`, `address_mistyped` (a letter is
    wrong), `address_of_coin`. `ValueError` for a network whose addresses we can't check.
    """
    address = typed.strip()
    if coin.network.startswith("Tron"):
        _check_tron(address)
    elif coin.network.startswith("Ethereum"):
        _check_ethereum(address)
    else:
        raise ValueError(f"addresses of {coin.code} can't be checked")
    if address.lower() in _CONTRACTS:
        raise InvalidInput("address_of_coin")
    return address


def _check_tron(address: str) -> None:
    if not _TRON.fullmatch(address):
        raise InvalidInput("not_tron_address")
    number = 0
    for char in address:
        number = 58 * number + _BASE58.index(char)
    whole = number.to_bytes(26, "big")[1:]
    body, check = whole[:21], whole[21:]
    twice = hashlib.sha256(hashlib.sha256(body).digest()).digest()
    if number >> 200 or twice[:4] != check:
        raise InvalidInput("address_mistyped")
    if body[0] != _TRON_VERSION or not any(body[1:]):
        raise InvalidInput("not_tron_address")


def _check_ethereum(address: str) -> None:
    digits = address[2:]
    if not _ETHEREUM.fullmatch(address) or not digits.strip("0"):
        raise InvalidInput("not_ethereum_address")
    if digits in (digits.lower(), digits.upper()):
        return  # spelled without the check
    if address != with_check(address):
        raise InvalidInput("address_mistyped")


def with_check(address: str) -> str:
    """Ethereum's spelling of an address: a letter is large where its hash says so (EIP-55)."""
    digits = address[2:].lower()
    says = keccak_256(digits.encode()).hex()
    return "0x" + "".join(
        char.upper() if int(nibble, 16) >= 8 else char
        for char, nibble in zip(digits, says, strict=False)
    )


def read_hash(typed: str) -> str:
    """A transaction's hash: 64 hex digits in small letters, with or without 0x before them.
    `InvalidInput` (`not_a_hash`).
    """
    found = _HASH.fullmatch(typed.strip().lower())
    if found is None:
        raise InvalidInput("not_a_hash")
    return found[1]
