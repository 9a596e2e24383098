"""BlockBee: coins paid to addresses that are forwarded to our own wallet.

Implements `services.ports.CoinRail`. Wire facts and their sources: rails.md section 2. The callback
URL is the key of everything: the same one gives the same address, so that asking again is safe,
and the token in it is what makes a signed callback ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

import httpx
from aiolimiter import AsyncLimiter

from escrow.domain.coins import Coin
from escrow.domain.money import Currency, Money
from escrow.rails import blockbee_wire
from escrow.rails.blockbee_gateway import BlockBeeConfig, Gateway
from escrow.rails.blockbee_keys import Signatures
from escrow.services.ports import (
    Answer,
    Clock,
    CoinAsked,
    CoinQuote,
    Deposit,
    RawRequest,
    UnreadableError,
    Verdict,
)

__all__ = ["BlockBee", "BlockBeeConfig"]

NAME: Final = "blockbee"
MARGIN: Final = Fraction(3, 2)
"""A quote is that many times BlockBee's minimum, so that a short payment isn't ignored and lost."""
SHORT_BY: Final = Money(150, Currency.USD)
"""As much may a payment be short and still be taken on small deals: three times the least
tolerance of the smallest tier (`terms.DEFAULT_TIERS`). What is left must be above the minimum, too.
"""
PRICES_APART: Final = Fraction(1, 20)
"""Two prices of one provider at one time that are further apart are not to be trusted."""

TOO_SMALL: Final = Answer(Verdict.DECLINED, "minimum", "too_small")
NOT_OFFERED: Final = Answer(Verdict.DECLINED, "coin", "coin_unavailable")
NOT_OUR_URL: Final = Answer(Verdict.DECLINED, "callback_url", "misconfigured")
ODD_ANSWER: Final = Answer(Verdict.UNKNOWN, "unreadable", "unknown")
ODD_PRICE: Final = Answer(Verdict.UNKNOWN, "price", "unknown")


class BlockBee:
    """One account at BlockBee. Every answer is a definite yes, a definite no, or unknown."""

    def __init__(
        self,
        config: BlockBeeConfig,
        http: httpx.AsyncClient,
        clock: Clock,
        *,
        pace: AsyncLimiter | None = None,
    ) -> None:
        self._public = config.public_url.rstrip("/")
        self._gateway = Gateway(config, http, pace=pace)
        self._signatures = Signatures(config.public_key_pem, self._published_key, clock)

    @property
    def name(self) -> str:
        return NAME

    @property
    def running_totals(self) -> bool:
        """Each deposit makes its own callback, with its own amount (rails.md 2.2)."""
        return False

    @property
    def coins(self) -> Sequence[Coin]:
        return blockbee_wire.OFFERED

    async def open(
        self, *, token: str, coin: Coin, usd: Money, callback_url: str
    ) -> CoinQuote | Answer:
        """Price and address for that many dollars. Asked again with the same callback URL, which
        holds the token, it is the same address at today's price.

        DECLINED: `too_small` for what BlockBee might ignore, `coin_unavailable`, `misconfigured`;
        nobody was given an address then. `ValueError` for what are no dollars or for a callback
        URL without the token.
        """
        if usd.currency is not Currency.USD or usd.minor <= 0:
            raise ValueError("BlockBee is asked for dollars")
        if not token or token not in callback_url:
            raise ValueError("the callback URL must hold the token")
        if coin not in self.coins:
            return NOT_OFFERED
        if not callback_url.startswith(f"{self._public}/"):
            return NOT_OUR_URL  # its signature could never be checked
        try:
            return await self._open(coin, usd, callback_url)
        except UnreadableError:
            return ODD_ANSWER

    async def _open(self, coin: Coin, usd: Money, callback_url: str) -> CoinQuote | Answer:
        terms = await self._terms(coin)
        if isinstance(terms, Answer):
            return terms
        amount = await self._price_of(usd, coin)
        if isinstance(amount, Answer):
            return amount
        if terms.usd is not None and _apart(Fraction(amount) * Fraction(terms.usd), usd):
            return ODD_PRICE
        if _too_small(amount, usd, terms.minimum):
            return TOO_SMALL
        asked = {"callback": callback_url, "pending": "1", "convert": "1"}
        said = await self._gateway.get(f"/{coin.blockbee}/create/", asked)
        if isinstance(said, Answer):
            return said
        address = blockbee_wire.created(said, coin, callback_url)
        if said.get("minimum_transaction_coin") is not None and _too_small(
            amount, usd, blockbee_wire.minimum_of(said)
        ):
            return TOO_SMALL
        return CoinQuote(amount, address)

    async def worth(self, coin: Coin, amount: Decimal) -> Decimal | None:
        """What that much of the coin is worth in dollars at today's price, exactly; None: nobody
        can say now. `ValueError` for a negative or endless amount.
        """
        if not amount.is_finite() or amount < 0:
            raise ValueError("not an amount of coins")
        if coin not in self.coins:
            return None
        try:
            terms = await self._terms(coin)
        except UnreadableError:
            return None
        if isinstance(terms, Answer) or terms.usd is None:
            return None
        return _product(amount, terms.usd)

    async def authentic(self, request: RawRequest) -> bool:
        """Whether BlockBee signed exactly this request: a GET's whole URL as it was called, a
        POST's body. It is never unknown: see `Signatures.fit`.

        BlockBee signs for all its customers with one key: the caller compares token and address.
        """
        signature = request.headers.get("x-ca-signature", "")
        if request.method == "POST":
            return await self._signatures.fit(signature, request.body)
        if request.method != "GET" or not request.target.startswith("/"):
            return False
        if request.target.partition("?")[2] != request.query:
            return False  # what is read must be what is signed
        try:
            signed = ((request.origin or self._public) + request.target).encode(
                "utf-8", "surrogateescape"
            )
        except UnicodeEncodeError:
            return False
        return await self._signatures.fit(signature, signed)

    def read(self, request: RawRequest) -> Sequence[Deposit]:
        """See `blockbee_wire.callback`. `UnreadableError`."""
        return blockbee_wire.callback(request)

    async def deposits(self, asked: CoinAsked) -> Sequence[Deposit] | Answer:
        """What BlockBee saw at the address of this callback URL, pending or confirmed; empty: for
        certain nothing yet. A refused question says nothing about the money, so it is UNKNOWN.
        """
        if asked.coin not in self.coins:
            return replace(NOT_OFFERED, verdict=Verdict.UNKNOWN)
        said = await self._gateway.get(
            f"/{asked.coin.blockbee}/logs/",
            {"callback": asked.callback_url},
            limit=blockbee_wire.LOGS_BYTES_MAX,
        )
        if isinstance(said, Answer):
            return replace(said, verdict=Verdict.UNKNOWN)
        try:
            return blockbee_wire.logged(said, asked)
        except UnreadableError:
            return ODD_ANSWER

    async def _terms(self, coin: Coin) -> blockbee_wire.Terms | Answer:
        said = await self._gateway.get(f"/{coin.blockbee}/info/", {"prices": "1"})
        return said if isinstance(said, Answer) else blockbee_wire.terms(said)

    async def _price_of(self, usd: Money, coin: Coin) -> Decimal | Answer:
        """How much of the coin those dollars are, rounded up to what its network knows."""
        asked = {"value": str(usd.to_decimal()), "from": "usd"}
        said = await self._gateway.get(f"/{coin.blockbee}/convert/", asked)
        if isinstance(said, Answer):
            return said
        units = Fraction(blockbee_wire.converted(said)) * 10**coin.digits
        return Decimal(f"{-(-units.numerator // units.denominator)}E-{coin.digits}")

    async def _published_key(self) -> str | None:
        said: Mapping[str, Any] | Answer = await self._gateway.get("/pubkey/")
        key = None if isinstance(said, Answer) else said.get("pubkey")
        return key if isinstance(key, str) else None


def _apart(dollars: Fraction, usd: Money) -> bool:
    """Whether a price and a quote contradict each other by more than a cent and `PRICES_APART`."""
    away = abs(dollars * usd.currency.scale - usd.minor)
    return away > 1 and away > usd.minor * PRICES_APART


def _too_small(amount: Decimal, usd: Money, minimum: Decimal) -> bool:
    """Whether a payment that we would still take may be below what BlockBee takes."""
    least = Fraction(minimum)
    whole = Fraction(amount)
    short = whole * Fraction(usd.minor - SHORT_BY.minor, usd.minor)
    return whole < least * MARGIN or short < least


def _product(amount: Decimal, price: Decimal) -> Decimal:
    """Exactly, whatever the decimal context."""
    one, other = amount.as_tuple(), price.as_tuple()
    digits = int("".join(map(str, one.digits))) * int("".join(map(str, other.digits)))
    return Decimal(f"{digits}E{int(one.exponent) + int(other.exponent)}")
