"""The road to BlockBee: pace, one GET, and what its answer or its silence means.

The key goes in a header, TLS is checked, nobody is redirected; neither the key nor a callback URL,
which holds a secret, is ever logged.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
from aiolimiter import AsyncLimiter

from escrow.rails import blockbee_keys, strict_json
from escrow.rails.http import body, is_base, timeouts, turn
from escrow.services.ports import Answer, UnreadableError, Verdict

_LOG: Final = logging.getLogger(__name__)

REQUESTS_PER_SECOND: Final = 5
ANSWER_BYTES_MAX: Final = 65536
TEXT_CHARACTERS_MAX: Final = 120

UNREACHABLE: Final = Answer(Verdict.UNKNOWN, "unreachable", "unknown", retry=True)
ANSWER_LOST: Final = Answer(Verdict.UNKNOWN, "lost", "unknown")
OUR_PACE: Final = Answer(Verdict.UNKNOWN, "pace", "unknown", retry=True)

_LONG: Final = re.compile(r"\S{20,}")
"""What no word is as long as: keys and URLs that an error repeats, however they are written."""
_REFUSALS: Final = (
    (re.compile(r"api.?key|permission|unauthori[sz]ed|callback", re.IGNORECASE), "misconfigured"),
    (re.compile(r"minimum|too (low|small)", re.IGNORECASE), "too_small"),
    (re.compile(r"coin|ticker|token|address|blockchain", re.IGNORECASE), "coin_unavailable"),
)
"""The words of an error → what it means for the payer, first come first served. BlockBee lists no
errors; what no line fits is unknown.
"""


@dataclass(frozen=True, slots=True)
class BlockBeeConfig:
    """One account at BlockBee. `public_url` is the base of our callback URLs, as BlockBee calls
    them; `public_key_pem` only when its signatures have another key than the published one.
    `ValueError` for what is no address or key.
    """

    base_url: str
    api_key: str = field(repr=False)
    public_url: str
    public_key_pem: str = ""
    timeout_seconds: float = 20

    def __post_init__(self) -> None:
        for url in (self.base_url, self.public_url):
            if not is_base(url):
                raise ValueError("BlockBee's address and ours begin with http")
        if not re.fullmatch(r"[\x21-\x7e]{1,512}", self.api_key, re.ASCII):
            raise ValueError("the key of BlockBee is no key")
        blockbee_keys.read_key(self.public_key_pem or blockbee_keys.PUBLISHED_KEY)


class Gateway:
    """GETs of one account: 5 a second from this process, the first 5 at once."""

    def __init__(
        self, config: BlockBeeConfig, http: httpx.AsyncClient, *, pace: AsyncLimiter | None = None
    ) -> None:
        self._config = config
        self._http = http
        self._pace = pace or AsyncLimiter(REQUESTS_PER_SECOND, 1)
        self._base = config.base_url.rstrip("/")
        self._timeout = timeouts(config.timeout_seconds)

    async def get(
        self, path: str, fields: Mapping[str, str] | None = None, *, limit: int = ANSWER_BYTES_MAX
    ) -> Mapping[str, Any] | Answer:
        """The fields of a good answer, or what else came of it. DECLINED: refused for certain, in
        words that we know. Nothing that is asked here moves money, so that it may be asked again.
        """
        if not await turn(self._pace):
            return OUR_PACE
        started = asyncio.get_running_loop().time()
        status = 0
        words = ""
        try:
            async with (
                asyncio.timeout(self._config.timeout_seconds * 1.25),
                self._http.stream(
                    "GET",
                    self._base + path,
                    params=fields,
                    headers={"apikey": self._config.api_key, "Accept": "application/json"},
                    timeout=self._timeout,
                    follow_redirects=False,
                ) as response,
            ):
                status = response.status_code
                said, words = understand(status, await body(response, limit), limit)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
            said = UNREACHABLE
        except (httpx.HTTPError, OSError):  # asyncio's TimeoutError is an OSError
            said = ANSWER_LOST
        failed = isinstance(said, Answer)
        _LOG.log(
            logging.WARNING if failed else logging.INFO,
            "BlockBee answered" if status else "BlockBee did not answer",
            extra={
                "action": "blockbee_call",
                "path": path,
                "http_status": status,
                "code": said.code if isinstance(said, Answer) else "",
                "words": words.replace(self._config.api_key, "…"),
                "took_ms": round(1000 * (asyncio.get_running_loop().time() - started)),
            },
        )
        return said


def understand(status: int, raw: bytes, limit: int) -> tuple[Mapping[str, Any] | Answer, str]:
    """(fields or Answer, an error's words without what may be secret) of an HTTP answer."""
    silent = Answer(Verdict.UNKNOWN, f"http_{status}", "unknown", retry=status == 429)
    try:
        read = strict_json.loads(raw, limit=limit)
    except UnreadableError:
        return silent, ""
    if not isinstance(read, dict):
        return silent, ""
    if read.get("status") == "success" and status == 200:
        return read, ""
    words = read.get("error")
    if read.get("status") != "error" or not isinstance(words, str):
        return silent, ""
    shown = _LONG.sub("…", words)[:TEXT_CHARACTERS_MAX]
    if status >= 500 or status in (408, 429):
        return silent, shown
    reason = next((reason for pattern, reason in _REFUSALS if pattern.search(shown)), "")
    return (Answer(Verdict.DECLINED, f"http_{status}", reason) if reason else silent), shown
