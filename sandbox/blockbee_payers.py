"""What the stand-in BlockBee stands on: its key, the payers, its calls to the bot, its faults."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import deque
from dataclasses import replace
from decimal import Decimal
from functools import cached_property
from typing import Final, Literal

import aiohttp
from cryptography.hazmat.primitives.asymmetric import rsa
from yarl import URL

from sandbox.blockbee_wire import (
    ERRORS,
    HTML_FAULT,
    CoinCall,
    CoinDelivery,
    CoinPayment,
    Form,
    Mode,
    Receiver,
    Sign,
    envelope,
    fields_of,
    new_key,
    new_txid,
    pem_of,
    request_of,
    signature,
)
from sandbox.faults import Fault, FaultBox
from sandbox.pulse import Clock, Pulse, wall_clock

DELIVERY_SECONDS: Final = 30.0
MAX_CALLS: Final = 20_000


class BlockBeePayers:
    """Coins that people send, and the callbacks about them.

    Attributes that tests set: `prices` (dollars for one coin), `minimums` and `network_fee` by
    ticker, `multi_token` (every address takes every coin), `mode` of callbacks (None: as the
    address was created), `reach` (the beginning of a callback URL → where it is really delivered;
    what is signed stays).
    """

    def __init__(self, *, api_key: str = "sandbox", clock: Clock = wall_clock) -> None:
        self.api_key = api_key
        self.clock = clock
        self.pulse = Pulse()
        self.faults = FaultBox()
        self.calls: deque[CoinCall] = deque(maxlen=MAX_CALLS)
        self.deliveries: deque[CoinDelivery] = deque(maxlen=MAX_CALLS)
        self.receivers: dict[str, Receiver] = {}
        """Every address handed out."""
        self.payments: list[CoinPayment] = []
        self.prices = {
            "btc": Decimal(100000),
            "ltc": Decimal(100),
            "eth": Decimal(4000),
            "trx": Decimal("0.25"),
            "trc20/usdt": Decimal(1),
            "erc20/usdt": Decimal(1),
            "erc20/usdc": Decimal(1),
        }
        self.minimums = {
            "btc": Decimal("0.00008000"),
            "ltc": Decimal("0.00200000"),
            "eth": Decimal("0.00100000"),
            "trx": Decimal("10.00000000"),
            "trc20/usdt": Decimal("1.00000000"),
            "erc20/usdt": Decimal("2.00000000"),
            "erc20/usdc": Decimal("2.00000000"),
        }
        self.network_fee: dict[str, Decimal] = {}
        self.multi_token = False
        self.mode: Mode | None = None
        self.reach: dict[str, str] = {}
        self._key: rsa.RSAPrivateKey | None = None
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        self.faults.clear()
        if self._session is not None:
            await self._session.close()
            self._session = None

    # -- the key -------------------------------------------------------------------------------

    @property
    def key(self) -> rsa.RSAPrivateKey:
        """Made when it is first needed."""
        if self._key is None:
            self._key = new_key()
        return self._key

    @cached_property
    def other_key(self) -> rsa.RSAPrivateKey:
        """A forger's."""
        return new_key()

    @property
    def public_key_pem(self) -> str:
        return pem_of(self.key)

    def rotate_key(self) -> None:
        """From now on another key signs, and `/pubkey/` gives it."""
        self._key = new_key()

    # -- payers --------------------------------------------------------------------------------

    async def pay(
        self,
        address: str,
        amount: Decimal | str,
        *,
        coin: str = "",
        txid: str = "",
        pending_first: bool = True,
        confirm: bool = True,
        mode: Mode | None = None,
        form: Form = "plain",
        sign: Sign = "good",
        deliver: Literal["once", "twice", "never"] = "once",
    ) -> CoinPayment:
        """Coins to an address, and the callbacks about them. `coin`: a ticker, when it is not the
        address's. With `confirm` off they stay on their way until `confirm()`.

        `ValueError` for an address that was never handed out.
        """
        receiver = self.receivers.get(address)
        if receiver is None:
            raise ValueError(f"nobody was given {address}")
        ticker = coin or receiver.ticker
        sent = Decimal(amount)
        fee = (sent / 100).quantize(Decimal("1E-18"))
        kept = min(sent, fee + self.network_fee.get(ticker, Decimal(0)))
        payment = CoinPayment(
            str(uuid.uuid4()),
            receiver,
            ticker,
            sent,
            txid or new_txid(ticker),
            self.prices.get(ticker, Decimal(1)),
            fee,
            sent - kept,
            self.clock(),
        )
        foreign = ticker != receiver.ticker and not (receiver.multi_token or self.multi_token)
        payment.ignored = foreign or sent < self.minimums.get(ticker, Decimal(0))
        self.payments.append(payment)
        self.pulse.beat()
        if payment.ignored:
            return payment
        wanted = {"mode": mode, "form": form, "sign": sign, "deliver": deliver}
        if pending_first and receiver.pending:
            await self.tell(payment, pending=True, **wanted)  # type: ignore[arg-type]
        if confirm:
            await self.confirm(payment, **wanted)  # type: ignore[arg-type]
        return payment

    async def confirm(
        self,
        payment: CoinPayment,
        *,
        mode: Mode | None = None,
        form: Form = "plain",
        sign: Sign = "good",
        deliver: Literal["once", "twice", "never"] = "once",
    ) -> None:
        """The chain has confirmed it: forwarded to our wallet, and told."""
        payment.confirmed, payment.updated_at = True, self.clock()
        await self.tell(payment, pending=False, mode=mode, form=form, sign=sign, deliver=deliver)

    async def tell(
        self,
        payment: CoinPayment,
        *,
        pending: bool,
        mode: Mode | None = None,
        form: Form = "plain",
        sign: Sign = "good",
        deliver: Literal["once", "twice", "never"] = "once",
    ) -> CoinDelivery | None:
        """One callback about a payment, in whatever order a test likes; None: never delivered."""
        told = fields_of(payment, pending=pending, form=form)
        how = mode or self.mode or payment.receiver.mode
        method, url, body, kind = request_of(payment.receiver.callback_url, told, how)
        headers = {"Content-Type": kind} if kind else {}
        signed = url if method == "GET" else body
        if sign != "none":
            key = self.other_key if sign == "other" else self.key
            headers["x-ca-signature"] = signature(key, signed + ("!" if sign == "bad" else ""))
        sent = CoinDelivery(
            "pending" if pending else "confirmed", method, url, body, headers, self.clock()
        )
        if deliver == "never":
            return None
        for _ in range(2 if deliver == "twice" else 1):
            sent = await self.send(replace(sent, at=self.clock()), payment)
        return sent

    async def send(self, sent: CoinDelivery, payment: CoinPayment | None = None) -> CoinDelivery:
        """Call the bot, once; what became of it is recorded."""
        if self._session is None:
            self._session = aiohttp.ClientSession()
        where = sent.url
        for begin, instead in self.reach.items():
            if where.startswith(begin):
                where = instead + where.removeprefix(begin)
                break
        sent.status, sent.answer, sent.error = None, "", ""
        try:
            async with self._session.request(
                sent.method,
                URL(where, encoded=True),
                data=sent.body.encode() if sent.method == "POST" else None,
                headers=sent.headers,
                timeout=aiohttp.ClientTimeout(total=DELIVERY_SECONDS),
                allow_redirects=False,
            ) as answer:
                sent.status = answer.status
                sent.answer = await answer.text()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            sent.error = f"{type(error).__name__}: {error}"
        self.deliveries.append(sent)
        if payment is not None:
            payment.deliveries.append(sent)
            if sent.kind == "confirmed" and sent.acknowledged:
                payment.acknowledged = True
        sent.seq = self.pulse.beat()
        return sent

    async def retry(self) -> int:
        """What BlockBee does after 6, 12, 24 … minutes: the newest callback of each kind that
        wasn't answered `*ok*` comes again, as it was. How many did.
        """
        again = 0
        for payment in list(self.payments):
            for kind in ("pending", "confirmed"):
                told = [one for one in payment.deliveries if one.kind == kind]
                if told and not any(one.acknowledged for one in told):
                    await self.send(replace(told[-1], at=self.clock()), payment)
                    again += 1
        return again

    async def replay(self, sent: CoinDelivery, *, url: str = "") -> CoinDelivery:
        """A forger's: the same headers and body again, also to another address of the bot."""
        return await self.send(replace(sent, url=url or sent.url, at=self.clock()))

    async def wait_delivery(
        self, kind: str, *, count: int = 1, since: int = 0, timeout: float = 10.0
    ) -> CoinDelivery:
        """The `count`-th callback of that kind after `since`, delivered or failed."""

        def fitting() -> list[CoinDelivery]:
            return [one for one in self.deliveries if one.kind == kind and one.seq > since]

        return await self.pulse.until(
            lambda: fitting()[count - 1] if len(fitting()) >= count else None,
            timeout,
            lambda: f"{len(fitting())} of {count} {kind} callbacks in {timeout} s",
        )

    # -- faults --------------------------------------------------------------------------------

    def fail(
        self,
        endpoint: str = "*",
        error: str = "internal",
        *,
        times: int | None = 1,
        act: bool = False,
        words: str = "",
    ) -> Fault:
        """Answer the next `times` calls (None: all) with an error; `act`: carry them out as well.

        `error`: a name in ERRORS, "html" or "empty" (a bare 500); `words`: another error's text.
        """
        content_type = "application/json"
        if error == "html":
            status, body, content_type = 502, HTML_FAULT, "text/html"
        elif error == "empty":
            status, body = 500, ""
        else:
            status, usual = ERRORS[error]
            body = json.dumps(envelope(words or usual))
        return self.faults.add(
            Fault(endpoint, times, act=act, status=status, body=body, content_type=content_type)
        )

    def answer(self, endpoint: str, body: str, *, status: int = 200) -> Fault:
        """Answer the next call with exactly this."""
        return self.faults.add(Fault(endpoint, 1, status=status, body=body))

    def cut(self, endpoint: str = "*", *, times: int | None = 1, act: bool = True) -> Fault:
        """Break the connection after (`act`) or before carrying the call out."""
        return self.faults.add(Fault(endpoint, times, act=act, cut=True))

    def delay(self, endpoint: str = "*", *, seconds: float, times: int | None = 1) -> Fault:
        return self.faults.add(Fault(endpoint, times, act=True, delay_seconds=seconds))

    def hold(self, endpoint: str = "*", *, times: int | None = 1) -> Fault:
        """Let calls wait until the fault's `release()`."""
        return self.faults.add(Fault(endpoint, times, act=True, gate=asyncio.Event()))
