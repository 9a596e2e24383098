"""What the stand-in DynoPay stands on: what payers do, the webhooks about it, faults on demand."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Coroutine, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import aiohttp

from sandbox.daraja_wire import HTML_FAULT, Json
from sandbox.dynopay_wire import (
    CONFIRMED,
    ERRORS,
    PENDING,
    PRICES,
    SETTLED,
    UNDERPAID,
    CoinPayment,
    Coins,
    DynoPayCall,
    Hook,
    Manner,
    dump,
    error_body,
    event_fields,
    headers,
    iso,
    new_id,
    new_txid,
    rate_limited,
)
from sandbox.faults import Fault, FaultBox
from sandbox.pulse import Clock, Pulse, wall_clock

DELIVERY_SECONDS: Final = 10.0
MAX_CALLS: Final = 20_000
DISABLING_404S: Final = 5
KEPT: Final = timedelta(hours=24)
"""For how long an idempotency key is known and a dead URL is left alone."""


class DynoPayBase:
    """Payments, what comes to them, the webhooks about it, and faults.

    Attributes that tests set: `prices` (dollars for a coin), `wallets` (currencies of the account),
    `base_currency`, `fee_percent`, `secret` and `old_secret` (both sign while it is set),
    `meta_as_text`, `simulated`, `creations_per_minute`, `calls_per_minute`, `reach` (the beginning
    of a webhook URL → where it is really delivered; what is listed stays).
    """

    def __init__(
        self,
        *,
        api_key: str = "dpk_test_sandbox",
        secret: str = "whsec_sandbox",  # noqa: S107 - play money
        clock: Clock = wall_clock,
    ) -> None:
        self.api_key = api_key
        self.secret = secret
        self.old_secret = ""
        self.clock = clock
        self.prices = dict(PRICES)
        self.wallets = list(PRICES)
        self.base_currency = "USD"
        self.fee_percent = Decimal(1)
        self.meta_as_text = False
        self.simulated = False
        self.creations_per_minute = 30
        self.calls_per_minute = 100
        self.reach: dict[str, str] = {}
        self.pulse = Pulse()
        self.faults = FaultBox()
        self.calls: deque[DynoPayCall] = deque(maxlen=MAX_CALLS)
        self.payments: dict[str, CoinPayment] = {}
        """Every payment by its id, oldest first."""
        self.hooks: list[Hook] = []
        """Every delivery, oldest first: the list behind GET /user/events."""
        self._dead: dict[str, tuple[int, datetime]] = {}
        self._held: list[Coroutine[Any, Any, Hook | None]] = []
        self._tags = itertools.count(100_001)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        self.faults.clear()
        for held in self._held:
            held.close()
        self._held.clear()
        if self._session is not None:
            await self._session.close()
            self._session = None

    # -- what payers do ------------------------------------------------------------------------

    def find(self, wanted: CoinPayment | str, tag: str = "") -> CoinPayment:
        """A payment by itself, its id or its address (and tag). KeyError."""
        if isinstance(wanted, CoinPayment):
            return wanted
        for one in self.payments.values():
            if wanted == one.id or (wanted == one.address and tag == str(one.tag or "")):
                return one
        raise KeyError(wanted)

    async def pay(
        self,
        wanted: CoinPayment | str,
        amount: Decimal | None = None,
        *,
        tag: str = "",
        txid: str = "",
        events: Sequence[str] | None = None,
        says: Decimal | None = None,
        manner: Manner = "signed",
        late: bool = False,
        **changes: Any,
    ) -> list[Hook]:
        """Send coins (None: exactly what was asked for) and deliver the webhooks about them.

        `events`: which, in which order, as often as they stand there; None: as DynoPay does, with
        an underpaid one where it was short. `says`: another amount than came. `late`: they wait
        for `release()`. `changes` replace fields of the bodies (a value of `...` drops one).
        """
        payment = self.find(wanted, tag)
        came = payment.amount if amount is None else amount
        claimed = came if says is None else says
        fee = (claimed * self.fee_percent / 100).quantize(Decimal("1e-8"))
        coins = Coins(txid or new_txid(payment.currency), claimed, fee)
        payment.received, payment.incoming = came, coins.txid
        payment.status = "settled"
        if events is None:
            short = (UNDERPAID,) if came < payment.amount else ()
            events = (PENDING, *short, CONFIRMED, SETTLED)
        elif CONFIRMED not in events and SETTLED not in events:
            payment.status = "underpaid" if UNDERPAID in events else "pending"
        self.pulse.beat()
        sent: list[Hook] = []
        for event in events:
            fields = self._fields(event, payment, coins, changes)
            for url in payment.urls:
                work = self._deliver(event, url, fields, manner)
                if late:
                    self._held.append(work)
                elif hook := await work:
                    sent.append(hook)
        return sent

    def _fields(self, event: str, payment: CoinPayment, coins: Coins, changes: Json) -> Json:
        now = self.clock()
        fields = event_fields(event, payment, coins, now) | {"created_at": iso(now)}
        if self.meta_as_text and "meta_data" in fields:
            fields["meta_data"] = dump(fields["meta_data"])
        if self.simulated:
            fields["simulated"] = True
        return {key: one for key, one in (fields | changes).items() if one is not ...}

    async def release(self) -> int:
        """Deliver everything that was held back; how many there were."""
        held, self._held = self._held, []
        for one in held:
            await one
        return len(held)

    async def redeliver(self, hook: Hook, manner: Manner = "signed") -> Hook | None:
        """The same webhook once more: a new id, a new time, a new signature."""
        return await self._deliver(hook.event, hook.url, hook.payload, manner)

    async def send(self, url: str, event: str, fields: Json, manner: Manner = "signed") -> Hook:
        """Any webhook to any address: `webhook.test`, link payments, shapes of long ago."""
        hook = await self._deliver(event, url, fields, manner)
        if hook is None:
            raise ValueError(f"{url} is left alone after {DISABLING_404S} answers of 404")
        return hook

    async def _deliver(self, event: str, url: str, payload: Json, manner: Manner) -> Hook | None:
        """POST it once and list it; None where the URL is left alone."""
        now = self.clock()
        misses, until = self._dead.get(url, (0, now))
        if misses >= DISABLING_404S and now < until:
            return None
        hook = Hook(len(self.hooks) + 1, event, url, payload, now, webhook_id=new_id())
        hook.body = dump({**payload, "webhook_id": hook.webhook_id, "sent_at": iso(now)})
        secrets = (self.old_secret, self.secret) if self.old_secret else (self.secret,)
        hook.headers = headers(event, hook.webhook_id, hook.body, now, secrets, manner)
        self.hooks.append(hook)
        if manner == "lost":
            hook.error = "timeout of 10000ms exceeded"
        else:
            await self._post(hook)
        if hook.status == 404:
            self._dead[url] = (misses + 1, now + KEPT)
        elif hook.delivered:
            self._dead.pop(url, None)
        hook.seq = self.pulse.beat()
        return hook

    async def _post(self, hook: Hook) -> None:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        where = hook.url
        for begin, instead in self.reach.items():
            if where.startswith(begin):
                where = instead + where.removeprefix(begin)
                break
        try:
            async with self._session.post(
                where,
                data=hook.body.encode(),
                headers=hook.headers,
                timeout=aiohttp.ClientTimeout(total=DELIVERY_SECONDS),
            ) as answer:
                hook.status = answer.status
                hook.answer = await answer.text()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            hook.error = f"{type(error).__name__}: {error}"

    async def wait_payment(self, *, count: int = 1, timeout: float = 10.0) -> CoinPayment:
        """The `count`-th payment that was created."""
        return await self.pulse.until(
            lambda: (
                list(self.payments.values())[count - 1] if len(self.payments) >= count else None
            ),
            timeout,
            lambda: f"{len(self.payments)} of {count} payments came in {timeout} s",
        )

    # -- faults --------------------------------------------------------------------------------

    def fail(
        self,
        endpoint: str = "*",
        error: str = "internal",
        *,
        times: int | None = 1,
        act: bool = False,
    ) -> Fault:
        """Answer the next `times` calls with an error; `act`: carry them out as well.

        `error`: a name in ERRORS, "rate_limited", "html", "empty" (a bare 500) or "odd" (a 200
        that is no answer).
        """
        kind = "application/json"
        if error == "html":
            status, body, kind = 503, HTML_FAULT, "text/html"
        elif error == "empty":
            status, body = 500, ""
        elif error == "odd":
            status, body = 200, "[]"
        elif error == "rate_limited":
            status, body = 429, dump(rate_limited(60))
        else:
            status, body = ERRORS[error][0], dump(error_body(error))
        fault = Fault(endpoint, times, act=act, status=status, body=body, content_type=kind)
        return self.faults.add(fault)

    def cut(self, endpoint: str = "*", *, times: int | None = 1, act: bool = True) -> Fault:
        """Break the connection after (`act`) or before carrying the call out."""
        return self.faults.add(Fault(endpoint, times, act=act, cut=True))

    def delay(self, endpoint: str = "*", *, seconds: float, times: int | None = 1) -> Fault:
        return self.faults.add(Fault(endpoint, times, act=True, delay_seconds=seconds))

    def hold(self, endpoint: str = "*", *, times: int | None = 1) -> Fault:
        """Let calls wait until the fault's `release()`."""
        return self.faults.add(Fault(endpoint, times, act=True, gate=asyncio.Event()))
