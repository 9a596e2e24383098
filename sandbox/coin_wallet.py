"""The wallet app of the page's people: addresses that the bot gave them, and coins sent there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from fractions import Fraction
from typing import Final

from sandbox.blockbee import BlockBeeStandIn
from sandbox.blockbee_wire import CoinPayment as BeePayment
from sandbox.daraja_wire import Json
from sandbox.dynopay import DynoPayStandIn
from sandbox.dynopay_wire import CONFIRMED, PENDING, SETTLED, UNDERPAID, new_txid
from sandbox.telegram_api import TelegramStandIn

PARTS: Final = {"all": Fraction(1), "less": Fraction(98, 105), "more": Fraction(110, 105)}
"""What a visitor may send of what he was asked for: less is short enough for the choice."""
SHOWN: Final = 3
"""So many addresses of one person are shown, the newest first."""
ON_ITS_WAY: Final = "on its way"
_SIX_DIGITS: Final = ("USD", "TRX", "XRP")
"""How coins begin whose networks know six decimals; the others know eight at least."""


@dataclass(frozen=True, slots=True)
class Quote:
    """What somebody was told to send, as the bot's message has it to be copied."""

    user_id: int
    address: str
    amount: Decimal
    tag: str
    coin: str

    @property
    def id(self) -> str:
        return f"{self.address}:{self.tag}"


@dataclass(slots=True)
class Sent:
    """Coins on their way, or there."""

    quote: Quote
    amount: Decimal
    txid: str = ""
    payment: BeePayment | None = None
    confirmed: bool = False

    @property
    def state(self) -> str:
        if self.payment is not None and self.payment.ignored:
            return "too little: ignored"
        return "confirmed" if self.confirmed else ON_ITS_WAY


class CoinWallet:
    """`state()` for the page; `send` and `confirm` are what its buttons do."""

    def __init__(
        self, telegram: TelegramStandIn, blockbee: BlockBeeStandIn, dynopay: DynoPayStandIn
    ) -> None:
        self._telegram = telegram
        self._bee = blockbee
        self._dyno = dynopay
        self._sent: list[Sent] = []

    def state(self) -> list[Json]:
        """The newest addresses of everybody, each with what was sent there."""
        shown: dict[int, int] = {}
        found: list[Json] = []
        for quote in self._quotes():
            shown[quote.user_id] = shown.get(quote.user_id, 0) + 1
            if shown[quote.user_id] <= SHOWN:
                found.append(
                    {
                        "id": quote.id,
                        "user": quote.user_id,
                        "address": quote.address,
                        "tag": quote.tag,
                        "amount": f"{quote.amount:f}",
                        "coin": quote.coin,
                        "sent": [
                            {"number": number, "amount": f"{one.amount:f}", "state": one.state}
                            for number, one in enumerate(self._sent)
                            if one.quote.id == quote.id
                        ],
                    }
                )
        return found

    def _quotes(self) -> Iterator[Quote]:
        """By the newest message: address, amount and tag are there to be copied, in this order."""
        known: set[str] = set()
        for message in sorted(self._telegram.messages.values(), key=lambda one: -one.seq):
            buttons = [button for row in message.keyboard for button in row]
            copied = [str(one["copy_text"]["text"]) for one in buttons if "copy_text" in one]
            if len(copied) < 2 or message.deleted:
                continue
            address, amount, tag = (*copied, "")[:3]
            coin = self._coin_of(address, tag)
            quote = Quote(message.chat_id, address, Decimal(amount), tag, coin)
            if coin and quote.id not in known:
                known.add(quote.id)
                yield quote

    def _coin_of(self, address: str, tag: str) -> str:
        """The coin of an address that one of the providers handed out; else nothing."""
        receiver = self._bee.receivers.get(address)
        if receiver is not None:
            network, _, token = receiver.ticker.upper().partition("/")
            return f"{token} ({network})" if token else network
        try:
            return self._dyno.find(address, tag).currency
        except KeyError:
            return ""

    def quote(self, wanted: str) -> Quote:
        """Raises ValueError when nobody was given that address."""
        for one in self._quotes():
            if one.id == wanted:
                return one
        raise ValueError("nobody was given that address")

    async def send(self, quote: Quote, part: str, *, confirm: bool) -> None:
        """Coins for a quote; without `confirm` they stay on their way. Raises KeyError."""
        exact = quote.amount * PARTS[part].numerator / PARTS[part].denominator
        step = Decimal("1e-6" if quote.coin.startswith(_SIX_DIGITS) else "1e-8")
        amount = quote.amount if part == "all" else exact.quantize(step, ROUND_DOWN).normalize()
        sent = Sent(quote, amount, confirmed=confirm)
        self._sent.append(sent)
        if quote.address in self._bee.receivers:
            sent.payment = await self._bee.pay(quote.address, amount, confirm=confirm)
            return
        payment = self._dyno.find(quote.address, quote.tag)
        sent.txid = new_txid(payment.currency)
        events = self._events(sent, payment.amount) if confirm else (PENDING,)
        await self._dyno.pay(payment, amount, txid=sent.txid, events=events)

    def waiting(self, number: int) -> Sent:
        """Raises ValueError when these coins are not on their way."""
        if not 0 <= number < len(self._sent) or self._sent[number].state != ON_ITS_WAY:
            raise ValueError("these coins are not on their way")
        return self._sent[number]

    async def confirm(self, sent: Sent) -> None:
        """The chain has confirmed what was on its way."""
        sent.confirmed = True
        if sent.payment is not None:
            await self._bee.confirm(sent.payment)
            return
        payment = self._dyno.find(sent.quote.address, sent.quote.tag)
        events = self._events(sent, payment.amount)[1:]
        await self._dyno.pay(payment, sent.amount, txid=sent.txid, events=events)

    @staticmethod
    def _events(sent: Sent, asked: Decimal) -> tuple[str, ...]:
        short = (UNDERPAID,) if sent.amount < asked else ()
        return (PENDING, *short, CONFIRMED, SETTLED)
