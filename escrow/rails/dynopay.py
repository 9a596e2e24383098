"""Coin addresses by DynoPay (rails.md 3): one POST per address, webhooks, and asking what came.

A request that never left is declined and may be sent again; one that left without an answer is
unknown. Nobody is redirected, TLS is checked, nothing secret or personal is logged.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final
from urllib.parse import quote, urlencode

import httpx
from aiolimiter import AsyncLimiter

from escrow.domain.coins import Coin
from escrow.domain.money import Currency, Money
from escrow.rails import dynopay_wire as wire
from escrow.rails import strict_json
from escrow.rails.dynopay_wire import Fields
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

_LOG: Final = logging.getLogger(__name__)

PACE_WAIT_SECONDS: Final = 20.0
ANSWER_BYTES_MAX: Final = 262_144
"""An address comes with its picture."""
PAGE: Final = 100
PAGES_MAX: Final = 5
RESEND_MAX: Final = 10

NEVER_SENT: Final = Answer(Verdict.DECLINED, "unreachable", "provider_unreachable", retry=True)
OUR_PACE: Final = Answer(Verdict.DECLINED, "pace", "provider_busy", retry=True)
THEIR_PACE: Final = Answer(Verdict.DECLINED, "http_429", "provider_busy", retry=True)
ANSWER_LOST: Final = Answer(Verdict.UNKNOWN, "lost", "unknown")
UNREADABLE: Final = Answer(Verdict.UNKNOWN, "unreadable", "unknown")

_BASE: Final = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?")
_VISIBLE: Final = re.compile(r"[\x21-\x7e]{1,512}", re.ASCII)
_TEST_KEY: Final = "dpk_test_"
_NOTHING_YET: Final = ("waiting", "expired")


@dataclass(frozen=True, slots=True)
class DynoPayConfig:
    """One DynoPay account. Secrets stay out of its repr."""

    base_url: str
    api_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)
    timeout_seconds: float = 20

    def __post_init__(self) -> None:
        if not _BASE.fullmatch(self.base_url):
            raise ValueError("the address of DynoPay is no http address")
        if not _VISIBLE.fullmatch(self.api_key):
            raise ValueError("DynoPay's key is none")
        if not self.webhook_secret:  # without one their webhooks would be signed by everybody
            raise ValueError("DynoPay's webhook secret is missing")


class DynoPay:
    """The coin rail of one DynoPay account: 30 addresses and 100 calls a minute from this process.

    The account's own currency must be the dollar, and its company and its key must have the same
    webhook secret: what is sent again is signed with the company's.
    """

    name = "dynopay"

    def __init__(
        self,
        config: DynoPayConfig,
        http: httpx.AsyncClient,
        clock: Clock,
        *,
        pace: AsyncLimiter | None = None,
        creations: AsyncLimiter | None = None,
    ) -> None:
        self._config = config
        self._http = http
        self._clock = clock
        # What runs off in a minute and what may come at once are together the minute's limit.
        self._pace = pace or AsyncLimiter(40, 40)
        self._creations = creations or AsyncLimiter(10, 30)
        self._base = config.base_url.rstrip("/")
        self._secret = config.webhook_secret.encode()
        seconds = config.timeout_seconds
        self._timeout = httpx.Timeout(seconds, connect=seconds / 4, pool=seconds / 4)

    @property
    def coins(self) -> Sequence[Coin]:
        """All that DynoPay has a word for; which of them the account takes: `wallets`."""
        return tuple(wire.BY_WORD.values())

    async def wallets(self) -> Sequence[Coin] | Answer:
        """Of our coins, those that the account has a wallet for now."""
        said = await self._call("GET", "/user/getSupportedCurrency")
        if isinstance(said, Answer):
            return said
        try:
            return wire.wallets(said)
        except UnreadableError:
            return UNREADABLE

    async def open(
        self, *, token: str, coin: Coin, usd: Money, callback_url: str
    ) -> CoinQuote | Answer:
        """Price and address for that many dollars. For 24 hours the same token (with the same coin,
        dollars and address of ours) gives the same answer again, so that a lost one may be asked
        for once more; after that it would open a second address.
        """
        if usd.currency is not Currency.USD:
            raise ValueError("DynoPay is asked for dollars")
        if not coin.dynopay:
            return Answer(Verdict.DECLINED, "currency_not_available", "coin_unavailable")
        if usd < wire.LEAST:
            return Answer(Verdict.DECLINED, "amount_below_minimum", "too_small")
        if not await _turn(self._creations):
            return OUR_PACE
        said = await self._call(
            "POST",
            "/user/cryptoPayment",
            body=wire.creation(usd, coin, token, callback_url),
            key=token,
        )
        if isinstance(said, Answer):
            return said
        try:
            return wire.quote(said, coin, usd)
        except UnreadableError:
            return UNREADABLE

    async def worth(self, coin: Coin, amount: Decimal) -> Decimal | None:
        """None, always: DynoPay names the price of a coin only in the answer to a new payment,
        which would take an address for nothing. Its list of currencies has no prices.
        """
        return None

    async def authentic(self, request: RawRequest) -> bool:
        """Whether our secret signed this body within five minutes of now: to be asked when it
        comes, not later. Nothing but version 2 is believed: version 1 is signed over something
        else than the body, and without a secret DynoPay does not sign at all.
        """
        header = request.headers.get(wire.SIGNATURE, "")
        return wire.signed(header, request.body, self._secret, self._clock.now())

    def read(self, request: RawRequest) -> Sequence[Deposit]:
        """The coins that a webhook names, at most one deposit; none where it says nothing of money.
        `UnreadableError`.
        """
        return wire.webhook(request, simulated=self._config.api_key.startswith(_TEST_KEY))

    async def deposits(self, asked: CoinAsked) -> Sequence[Deposit] | Answer:
        """Nothing came: empty. Otherwise an Answer: DynoPay tells amounts only by webhook, so that
        those which did not reach us are ordered again, and come in by the door while we ask.

        PENDING: something came, and all that was said of it reached us (`delivered`) or is sent
        again (`resent`). UNKNOWN: nobody can say, for instance that something came of which
        DynoPay knows no webhook (`no_events`).
        """
        if not asked.reference:
            return Answer(Verdict.UNKNOWN, "no_reference", "unknown")
        try:
            return await self._what_came(asked)
        except UnreadableError:
            return UNREADABLE

    async def _what_came(self, asked: CoinAsked) -> Sequence[Deposit] | Answer:
        path = f"/user/getPaymentStatus/{quote(asked.reference, safe='')}"
        said = await self._call("GET", path)
        if isinstance(said, Answer):
            return _in_doubt(said)
        if wire.payment_status(said) in _NOTHING_YET:
            return ()
        sent = await self._sent_to(asked.callback_url)
        if isinstance(sent, Answer):
            return _in_doubt(sent)
        if not sent:
            return Answer(Verdict.UNKNOWN, "no_events", "unknown")
        # A delivery that failed stays in their list when it was sent again: it is sent once more
        # at the next look. That costs a call and credits nothing twice.
        lost = sorted(
            (one for one in sent if not one.delivered),
            key=lambda one: wire.OF_MONEY.index(one.event),
        )
        for one in lost[:RESEND_MAX]:
            answer = await self._call("POST", f"/user/events/{one.id}/resend")
            if isinstance(answer, Answer):
                return _in_doubt(answer)
        return Answer(Verdict.PENDING, "resent" if lost else "delivered")

    async def _sent_to(self, url: str) -> Sequence[wire.Sent] | Answer:
        """The webhooks about money that went, or should have gone, to that address of ours."""
        found: list[wire.Sent] = []
        after = ""
        for _ in range(PAGES_MAX):
            wish = {"limit": PAGE} | ({"starting_after": after} if after else {})
            said = await self._call("GET", f"/user/events?{urlencode(wish)}")
            if isinstance(said, Answer):
                return said
            page, after = wire.deliveries(said)
            found += [one for one in page if one.url == url and one.event in wire.OF_MONEY]
            if not after:
                break
        return found

    async def _call(
        self, method: str, path: str, *, body: bytes | None = None, key: str = ""
    ) -> Fields | Answer:
        """One request and its answer, logged by endpoint, HTTP status and code."""
        if not await _turn(self._pace):
            return OUR_PACE
        headers = {"x-api-key": self._config.api_key, "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if key:
            headers["Idempotency-Key"] = key
        started = asyncio.get_running_loop().time()
        status = 0
        try:
            async with (
                asyncio.timeout(self._config.timeout_seconds * 1.25),
                self._http.stream(
                    method,
                    self._base + path,
                    headers=headers,
                    content=body,
                    timeout=self._timeout,
                    follow_redirects=False,
                ) as response,
            ):
                status = response.status_code
                said = _understand(status, await _body(response))
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
            said = NEVER_SENT
        except (httpx.HTTPError, OSError):  # asyncio's TimeoutError is an OSError
            said = ANSWER_LOST
        failed = isinstance(said, Answer)
        _LOG.log(
            logging.WARNING if failed else logging.INFO,
            "DynoPay answered" if status else "DynoPay did not answer",
            extra={
                "action": "dynopay_call",
                "path": "/".join(path.partition("?")[0].split("/")[:3]),
                "http_status": status,
                "code": said.code if isinstance(said, Answer) else "",
                "took_ms": round(1000 * (asyncio.get_running_loop().time() - started)),
            },
        )
        return said


async def _turn(pace: AsyncLimiter) -> bool:
    """Wait for it, but not for ever; whether it came."""
    try:
        async with asyncio.timeout(PACE_WAIT_SECONDS):
            await pace.acquire()
    except TimeoutError:
        return False
    return True


async def _body(response: httpx.Response) -> bytes:
    """The body as far as its limit and one piece more."""
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > ANSWER_BYTES_MAX:
            break
    return bytes(body)


def _understand(status: int, body: bytes) -> Fields | Answer:
    """The fields of a success, or the Answer that an envelope, HTML or nothing at all amounts to.

    Too many requests are refused before they are looked at, whatever the body.
    """
    if status == 429:
        return THEIR_PACE
    silent = Answer(Verdict.UNKNOWN, f"http_{status}", "unknown")
    try:
        read = strict_json.loads(body, limit=ANSWER_BYTES_MAX)
    except UnreadableError:
        return silent
    if not isinstance(read, dict):
        return silent
    if 200 <= status < 300 and read.get("success") is True:
        return read
    if 400 <= status < 500 and status != 408 and read.get("success") is False:
        return wire.refusal(status, read)
    return silent


def _in_doubt(said: Answer) -> Answer:
    """A question that was refused says nothing of the coins it was about."""
    if said.verdict is not Verdict.DECLINED:
        return said
    return Answer(Verdict.UNKNOWN, said.code, said.reason, retry=said.retry)
