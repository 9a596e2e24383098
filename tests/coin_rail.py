"""A crypto provider that answers what the test says. Everything that it signs is authentic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import ROUND_UP, Decimal

from escrow.domain.coins import BY_CODE, COINS, Coin
from escrow.domain.money import Money
from escrow.rails import strict_json
from escrow.services.ports import (
    Answer,
    CoinAsked,
    CoinQuote,
    Deposit,
    RawRequest,
    UnreadableError,
    Verdict,
)


@dataclass
class FakeCoinRail:
    """`prices`: dollars for one coin. `answers` come before quotes, `found` is what it says when it
    is asked (an Answer, or deposits by token).
    """

    name: str = "blockbee"
    coins: Sequence[Coin] = COINS
    prices: dict[str, Decimal] = field(default_factory=lambda: {"USDT-TRC20": Decimal(1)})
    answers: list[Answer] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)
    found: Answer | dict[str, list[Deposit]] = field(default_factory=dict)
    silent: bool = False
    running_totals: bool = False

    async def open(
        self, *, token: str, coin: Coin, usd: Money, callback_url: str
    ) -> CoinQuote | Answer:
        self.opened.append(token)
        if self.answers:
            return self.answers.pop(0)
        exact = usd.to_decimal() / self.prices.get(coin.code, Decimal(1))
        step = Decimal(1).scaleb(-coin.digits)
        tag = "4711" if coin.needs_tag else ""
        return CoinQuote(exact.quantize(step, ROUND_UP), f"addr-{token[:8]}", tag, f"ref-{token}")

    async def worth(self, coin: Coin, amount: Decimal) -> Decimal | None:
        price = None if self.silent else self.prices.get(coin.code)
        return None if price is None else price * amount

    async def authentic(self, request: RawRequest) -> bool | None:
        return None if self.silent else request.headers.get("signed") == "yes"

    def read(self, request: RawRequest) -> Sequence[Deposit]:
        try:
            said = strict_json.loads(request.body)
        except ValueError as error:
            raise UnreadableError(str(error)) from error
        if not isinstance(said, dict) or "txid" not in said:
            raise UnreadableError("no deposit")
        known = BY_CODE.get(said["coin"])
        return [
            Deposit(
                said["txid"],
                known.code if known else said["coin"],
                Decimal(said["amount"]),
                bool(said.get("pending")),
                address=said.get("address", ""),
                tag=said.get("tag", ""),
                cost=Decimal(said.get("cost", "0")),
                usd=Decimal(said["usd"]) if said.get("usd") else None,
            )
        ]

    async def deposits(self, asked: CoinAsked) -> Sequence[Deposit] | Answer:
        if isinstance(self.found, Answer):
            return self.found
        return self.found.get(asked.token, [])


def busy() -> Answer:
    """The provider did not answer."""
    return Answer(Verdict.UNKNOWN, "lost", "unknown")
