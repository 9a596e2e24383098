"""What the stand-in Daraja stands on: its state, its POSTs to the bot, what tests await."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from collections import deque
from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Any, Final, Literal

import aiohttp

from sandbox.daraja_money import (
    B2cPlan,
    BalancePlan,
    DarajaCall,
    Deliver,
    Delivery,
    Payment,
    Phone,
    Prompt,
    Registration,
    ReversalPlan,
    Sms,
    StatusPlan,
    StkPlan,
)
from sandbox.daraja_wire import (
    ERRORS,
    HTML_FAULT,
    INVALID_TOKEN,
    RESULT_TEXTS,
    SOAP_FAULT,
    Json,
    MsisdnForm,
    dump,
    error_body,
    receipt,
)
from sandbox.faults import Fault, FaultBox
from sandbox.pulse import Clock, Pulse

DELIVERY_SECONDS: Final = 10.0
MAX_CALLS: Final = 20_000
"""How many requests and deliveries are remembered."""


class DarajaBase:
    """Phones, plans, deliveries and faults.

    Attributes that tests set: `plan` for STK requests without one of their own, `c2b_for_stk`
    ("before" or "after": an STK payment also comes as C2B confirmation), `c2b_validation`,
    `c2b_msisdn` (None: masked on v2, hashed on v1), `c2b_deliver`.
    """

    def __init__(
        self, *, shortcode: str, business_name: str, clock: Clock, prompt_seconds: float | None
    ) -> None:
        self.shortcode = shortcode
        self.business_name = business_name
        self.clock = clock
        self.prompt_seconds = prompt_seconds
        """How long a prompt stays on the phone; None: until somebody answers it."""
        self.pulse = Pulse()
        self.faults = FaultBox()
        self.calls: deque[DarajaCall] = deque(maxlen=MAX_CALLS)
        self.phones: dict[str, Phone] = {}
        self.stk_requests: list[Prompt] = []
        """Every accepted STK request, oldest first."""
        self.payments: dict[str, Payment] = {}
        """Every payment by receipt."""
        self.payouts: list[Payment] = []
        """Every accepted B2C request, paid or declined."""
        self.deliveries: deque[Delivery] = deque(maxlen=MAX_CALLS)
        self.registrations: dict[str, Registration] = {}
        self.till = Decimal("25000.00")
        """What our shortcode holds."""
        self.plan = StkPlan()
        self.plans: list[StkPlan] = []
        self.status_plans: list[StatusPlan] = []
        self.b2c_plans: list[B2cPlan] = []
        self.reversal_plans: list[ReversalPlan] = []
        self.reversals: list[Payment] = []
        """Every accepted reversal, done or not."""
        self.balance_plans: list[BalancePlan] = []
        self.pull_registered: set[str] = set()
        self.pull_page = 1000
        """How many payments one page of Pull holds."""
        self.pull_extra: list[Any] = []
        """Rows that Pull gives besides the true ones, however odd."""
        self.c2b_for_stk: Literal["off", "before", "after"] = "off"
        self.c2b_validation = False
        self.c2b_msisdn: MsisdnForm | None = None
        self.c2b_deliver: Deliver = "once"
        self._held: list[Coroutine[Any, Any, None]] = []
        self._texts = itertools.count()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._session: aiohttp.ClientSession | None = None

    # -- phones --------------------------------------------------------------------------------

    def add_phone(
        self,
        number: str,
        first_name: str = "JOHN",
        last_name: str = "DOE",
        balance: Decimal | int | None = None,
    ) -> Phone:
        """A subscriber; unknown numbers become one when they are first asked."""
        phone = Phone(msisdn(number), first_name.upper(), last_name.upper())
        if balance is not None:
            phone.balance = Decimal(balance)
        self.phones[phone.number] = phone
        self.pulse.beat()
        return phone

    def phone(self, number: str) -> Phone:
        number = msisdn(number)
        return self.phones.get(number) or self.add_phone(number)

    def open_prompts(self, number: str) -> list[Prompt]:
        """The prompts a phone shows now."""
        number = msisdn(number)
        return [p for p in self.stk_requests if p.open and p.plan.prompt and p.phone == number]

    def send_sms(self, phone: Phone, text: str) -> None:
        """A message from M-Pesa."""
        phone.sms.append(Sms(self.clock(), text))
        self.pulse.beat()

    def new_receipt(self) -> str:
        """A receipt number nobody has."""
        while (number := receipt(self.clock())) in self.payments:
            pass
        return number

    def text_of(self, result: int | str) -> str:
        """One of the texts this result code has had."""
        texts = RESULT_TEXTS.get(str(result), (f"Request failed with code {result}.",))
        return texts[next(self._texts) % len(texts)]

    # -- delivery ------------------------------------------------------------------------------

    async def deliver(self, how: str, post: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Post a callback as often, or as late, as `how` says."""
        if how == "late":
            self._held.append(post())
        elif how != "never":
            for _ in range(2 if how == "twice" else 1):
                await post()

    async def release(self) -> int:
        """Deliver everything that was held back; how many there were."""
        held, self._held = self._held, []
        for one in held:
            await one
        return len(held)

    async def post(
        self,
        kind: Literal[
            "stk", "validation", "confirmation", "status", "b2c", "reversal", "balance", "timeout"
        ],
        url: str,
        body: Json,
        *,
        shortcode: str = "",
        timeout: float = DELIVERY_SECONDS,
    ) -> Delivery:
        """POST to the bot, once; what became of it is recorded, never retried."""
        sent = Delivery(kind, url, dump(body), self.clock())
        headers = {"Content-Type": "application/json;charset=UTF-8"}
        if shortcode:
            headers["Businessshortcode"] = shortcode
        if self._session is None:
            self._session = aiohttp.ClientSession()
        try:
            async with self._session.post(
                url,
                data=sent.body.encode(),
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=timeout),
            ) as answer:
                sent.status = answer.status
                sent.answer = await answer.text()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            sent.error = f"{type(error).__name__}: {error}"
        self.deliveries.append(sent)
        sent.seq = self.pulse.beat()
        return sent

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do something after the answer."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settle(self) -> None:
        """Until everything under way has been delivered."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    async def close(self) -> None:
        self.faults.clear()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for held in self._held:
            held.close()
        self._held.clear()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None

    # -- what tests wait for -------------------------------------------------------------------

    async def wait_stk(
        self, phone: str = "", *, count: int = 1, since: int = 0, timeout: float = 10.0
    ) -> Prompt:
        """The `count`-th STK request (of that phone) after `since`."""
        number = msisdn(phone) if phone else ""

        def fitting() -> list[Prompt]:
            return [p for p in self.stk_requests if p.seq > since and number in ("", p.phone)]

        return await self.pulse.until(
            lambda: fitting()[count - 1] if len(fitting()) >= count else None,
            timeout,
            lambda: f"{len(fitting())} of {count} STK requests came in {timeout} s",
        )

    async def wait_delivery(
        self, kind: str, *, count: int = 1, since: int = 0, timeout: float = 10.0
    ) -> Delivery:
        """The `count`-th delivery of that kind after `since`, delivered or failed."""

        def fitting() -> list[Delivery]:
            return [d for d in self.deliveries if d.kind == kind and d.seq > since]

        return await self.pulse.until(
            lambda: fitting()[count - 1] if len(fitting()) >= count else None,
            timeout,
            lambda: f"{len(fitting())} of {count} deliveries of {kind} in {timeout} s",
        )

    async def wait_call(
        self, endpoint: str, *, count: int = 1, timeout: float = 10.0
    ) -> DarajaCall:
        """The `count`-th answered call of that endpoint."""

        def fitting() -> list[DarajaCall]:
            return [c for c in self.calls if c.endpoint == endpoint and c.status is not None]

        return await self.pulse.until(
            lambda: fitting()[count - 1] if len(fitting()) >= count else None,
            timeout,
            lambda: f"{len(fitting())} of {count} calls of {endpoint} came in {timeout} s",
        )

    # -- faults --------------------------------------------------------------------------------

    def fail(
        self,
        endpoint: str = "*",
        error: str = "internal",
        *,
        times: int | None = 1,
        act: bool = False,
        message: str = "",
    ) -> Fault:
        """Answer the next `times` calls (None: all) with an error; `act`: carry them out as well.

        `error`: a name in ERRORS, "invalid_token", "soap_fault", "html" or "empty" (a bare 500).
        """
        content_type = "application/json"
        if error == "html":
            status, body, content_type = 503, HTML_FAULT, "text/html"
        elif error == "soap_fault":
            status, body = 500, json.dumps(SOAP_FAULT)
        elif error == "empty":
            status, body = 500, ""
        else:
            invalid = INVALID_TOKEN.get(endpoint, INVALID_TOKEN["stkpush"])
            status, code, words = invalid if error == "invalid_token" else ERRORS[error]
            body = json.dumps(error_body(code, message or words))
        return self.faults.add(
            Fault(endpoint, times, act=act, status=status, body=body, content_type=content_type)
        )

    def cut(self, endpoint: str = "*", *, times: int | None = 1, act: bool = True) -> Fault:
        """Break the connection after (`act`) or before carrying the call out."""
        return self.faults.add(Fault(endpoint, times, act=act, cut=True))

    def delay(self, endpoint: str = "*", *, seconds: float, times: int | None = 1) -> Fault:
        return self.faults.add(Fault(endpoint, times, act=True, delay_seconds=seconds))

    def hold(self, endpoint: str = "*", *, times: int | None = 1) -> Fault:
        """Let calls wait until the fault's `release()`."""
        return self.faults.add(Fault(endpoint, times, act=True, gate=asyncio.Event()))


def maybe_msisdn(text: str) -> str:
    digits = re.sub(r"[\s+-]", "", text)
    if re.fullmatch(r"0[17]\d{8}", digits):
        return "254" + digits[1:]
    return digits if re.fullmatch(r"254[17]\d{8}", digits) else ""


def msisdn(text: str) -> str:
    """Twelve digits of a Kenyan mobile, however written. Raises ValueError."""
    number = maybe_msisdn(text)
    if not number:
        raise ValueError(f"not a Kenyan mobile number: {text!r}")
    return number
