"""The coins that can pay a deal, each under our own code, with what each provider calls it.

Spellings: rails.md 2.1 and 3 (BlockBee's ticker, DynoPay's currency).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Coin:
    """A coin on one network. `digits`: how many decimals its network knows. `needs_tag`: its
    address is shared, and only the tag says whose deposit it is.
    """

    code: str
    name: str
    network: str
    digits: int
    blockbee: str = ""
    dynopay: str = ""
    needs_tag: bool = False


COINS: Final[tuple[Coin, ...]] = (
    Coin("USDT-TRC20", "USDT", "Tron (TRC-20)", 6, "trc20/usdt", "USDT-TRC20"),
    Coin("USDT-ERC20", "USDT", "Ethereum (ERC-20)", 6, "erc20/usdt", "USDT-ERC20"),
    Coin("USDC-ERC20", "USDC", "Ethereum (ERC-20)", 6, "erc20/usdc", "USDC-ERC20"),
    Coin("BTC", "Bitcoin", "Bitcoin", 8, "btc", "BTC"),
    Coin("LTC", "Litecoin", "Litecoin", 8, "ltc", "LTC"),
    Coin("ETH", "Ether", "Ethereum", 18, "eth", "ETH"),
    Coin("TRX", "Tron", "Tron", 6, "trx", "TRX"),
    Coin("XRP", "XRP", "XRP Ledger", 6, "", "XRP", needs_tag=True),
)
BY_CODE: Final = {coin.code: coin for coin in COINS}
STABLE: Final = tuple(coin for coin in COINS if coin.name in ("USDT", "USDC"))
"""One of them is a dollar: what dollars are paid out as."""
