"""The road to DynoPay: pace, one request, and what its answer or its silence means.

A request that never left is declined and may be sent again; one that left without an answer is
unknown. Nobody is redirected, TLS is checked, nothing secret or personal is logged.
"""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import dataclass, field
from typing import Final

import httpx
from aiolimiter import AsyncLimiter

from escrow.rails import dynopay_wire as wire
from escrow.rails import strict_json
from escrow.rails.dynopay_wire import Fields
from escrow.rails.http import body as read_body
from escrow.rails.http import is_base, timeouts, turn
from escrow.services.ports import Answer, UnreadableError, Verdict

_LOG: Final = logging.getLogger(__name__)

ANSWER_BYTES_MAX: Final = 262_144
"""An address comes with its picture."""

NEVER_SENT: Final = Answer(Verdict.DECLINED, "unreachable", "provider_unreachable", retry=True)
OUR_PACE: Final = Answer(Verdict.DECLINED, "pace", "provider_busy", retry=True)
THEIR_PACE: Final = Answer(Verdict.DECLINED, "http_429", "provider_busy", retry=True)
ANSWER_LOST: Final = Answer(Verdict.UNKNOWN, "lost", "unknown")

_VISIBLE: Final = re.compile(r"[\x21-\x7e]{1,512}", re.ASCII)
_TEST_KEY: Final = "dpk_test_"


@dataclass(frozen=True, slots=True)
class DynoPayConfig:
    """One DynoPay account. Secrets stay out of its repr."""

    base_url: str
    api_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)
    timeout_seconds: float = 20

    def __post_init__(self) -> None:
        if not is_base(self.base_url):
            raise ValueError("the address of DynoPay is no http address")
        if not _VISIBLE.fullmatch(self.api_key):
            raise ValueError("DynoPay's key is none")
        if not self.webhook_secret:  # without one their webhooks would be signed by everybody
            raise ValueError("DynoPay's webhook secret is missing")

    @property
    def test(self) -> bool:
        """Whether the key is for DynoPay's own play money."""
        return self.api_key.startswith(_TEST_KEY)


class Gateway:
    """Requests of one account: 100 calls and 30 addresses a minute from this process."""

    def __init__(
        self,
        config: DynoPayConfig,
        http: httpx.AsyncClient,
        *,
        pace: AsyncLimiter | None = None,
        creations: AsyncLimiter | None = None,
    ) -> None:
        self._config = config
        self._http = http
        # What runs off in a minute and what may come at once are together the minute's limit.
        self.pace = pace or AsyncLimiter(40, 40)
        self.creations = creations or AsyncLimiter(10, 30)
        self._base = config.base_url.rstrip("/")
        self._timeout = timeouts(config.timeout_seconds)

    async def create(self, path: str, body: bytes, key: str) -> Fields | Answer:
        """A POST that opens an address, under an idempotency key."""
        if not await turn(self.creations):
            return OUR_PACE
        return await self.call("POST", path, body=body, key=key)

    async def call(
        self, method: str, path: str, *, body: bytes | None = None, key: str = ""
    ) -> Fields | Answer:
        """One request and its answer, logged by endpoint, HTTP status and code."""
        if not await turn(self.pace):
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
                said = _understand(status, await read_body(response, ANSWER_BYTES_MAX))
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
