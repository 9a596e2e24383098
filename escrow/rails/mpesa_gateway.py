"""The road to M-Pesa: token, pace, one POST, and what its answer or its silence means.

A request that never left is declined and may be sent again; one that left without an answer is
unknown. Nobody is redirected, TLS is checked, nothing personal or secret is logged.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import httpx
from aiolimiter import AsyncLimiter

from escrow.domain.errors import Fault
from escrow.domain.outages import Pulse
from escrow.rails import mpesa_codes, strict_json
from escrow.rails.http import body, is_base, timeouts, turn
from escrow.rails.token_store import Token, TokenStore, TokenWaitError
from escrow.services.ports import Answer, Clock, UnreadableError, Verdict

_LOG: Final = logging.getLogger(__name__)

REQUESTS_PER_SECOND: Final = 5
TOKEN_SECONDS: Final = 10.0
"""A token is fetched well within its lease, or not at all."""
ANSWER_BYTES_MAX: Final = 65536
OAUTH_PATH: Final = "/oauth/v1/generate?grant_type=client_credentials"

NEVER_SENT: Final = Answer(Verdict.DECLINED, "unreachable", "mpesa_unreachable", retry=True)
ANSWER_LOST: Final = Answer(Verdict.UNKNOWN, "lost", "unknown")
OUR_PACE: Final = Answer(Verdict.DECLINED, "pace", "mpesa_busy", retry=True)

_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,512}", re.ASCII)
_LIFE: Final = re.compile(r"[0-9]{1,6}", re.ASCII)


@dataclass(frozen=True, slots=True)
class MpesaConfig:
    """One Daraja app and the paybill or till behind it. Secrets stay out of its repr.

    With a `till`, `shortcode` is the store (head office) number of the Go Live.
    """

    base_url: str
    consumer_key: str = field(repr=False)
    consumer_secret: str = field(repr=False)
    shortcode: str
    passkey: str = field(repr=False)
    display_name: str
    initiator_name: str = field(default="", repr=False)
    security_credential: str = field(default="", repr=False)
    till: str = ""
    timeout_seconds: float = 20

    def __post_init__(self) -> None:
        if not is_base(self.base_url):
            raise ValueError("the address of M-Pesa is no http address")


class _NoTokenError(Exception):
    """Why there is no token, as the answer to whatever wanted one."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.reason)
        self.answer = answer


class Gateway:
    """POSTs to one Daraja app: 5 a second from this process, the first 5 at once."""

    def __init__(
        self,
        config: MpesaConfig,
        http: httpx.AsyncClient,
        tokens: TokenStore,
        clock: Clock,
        *,
        pace: AsyncLimiter | None = None,
        pulse: Pulse | None = None,
    ) -> None:
        self._config = config
        self._http = http
        self._tokens = tokens
        self._clock = clock
        self._pulse = pulse
        self._pace = pace or AsyncLimiter(REQUESTS_PER_SECOND, 1)
        self._base = config.base_url.rstrip("/")
        seed = f"{self._base}\n{config.consumer_key}"
        self.token_key = f"mpesa:{hashlib.sha256(seed.encode()).hexdigest()[:32]}"
        self._timeout = timeouts(config.timeout_seconds)

    async def post(
        self, path: str, fields: Mapping[str, Any], *, limit: int = ANSWER_BYTES_MAX
    ) -> Mapping[str, Any] | Answer:
        """The fields of a good answer of at most `limit` bytes, or what else came of it as an
        Answer about this request.

        A refused token was refused before processing: once, it is fetched again and the request
        repeated. `DatabaseDown` when the token can't be read; nothing was carried out then.
        """
        said = await self._post_once(path, fields, limit)
        if isinstance(said, Answer) and mpesa_codes.refuses_token(said):
            said = await self._post_once(path, fields, limit)
        return said

    async def _post_once(
        self, path: str, fields: Mapping[str, Any], limit: int
    ) -> Mapping[str, Any] | Answer:
        try:
            token = await self._tokens.get(self.token_key, self._fetch_token)
        except _NoTokenError as error:
            return error.answer
        except TokenWaitError:
            return NEVER_SENT
        said = await self._send("POST", path, f"Bearer {token}", fields, limit)
        if isinstance(said, Answer) and (
            mpesa_codes.refuses_token(said) or said.code == "http_401"
        ):
            with suppress(Fault):  # what M-Pesa said matters more
                await self._tokens.forget(self.token_key, token)
        return said

    async def _fetch_token(self) -> Token:
        asked_at = self._clock.now()
        pair = f"{self._config.consumer_key}:{self._config.consumer_secret}"
        basic = base64.b64encode(pair.encode()).decode()
        try:
            async with asyncio.timeout(TOKEN_SECONDS):
                said = await self._send("GET", OAUTH_PATH, f"Basic {basic}", None)
        except TimeoutError:
            raise _NoTokenError(NEVER_SENT) from None
        if isinstance(said, Answer):
            raise _NoTokenError(_without_token(said))
        text, life = said.get("access_token"), str(said.get("expires_in", ""))
        if not isinstance(text, str) or not _TOKEN.fullmatch(text) or not _LIFE.fullmatch(life):
            raise _NoTokenError(NEVER_SENT)
        return Token(text, asked_at + timedelta(seconds=int(life)))

    async def _send(
        self,
        method: str,
        path: str,
        authorization: str,
        fields: Mapping[str, Any] | None,
        limit: int = ANSWER_BYTES_MAX,
    ) -> Mapping[str, Any] | Answer:
        """One request and its answer, logged by path, verdict and code."""
        if not await turn(self._pace):
            return OUR_PACE
        started = asyncio.get_running_loop().time()
        status = 0
        asked = True
        try:
            async with (
                asyncio.timeout(self._config.timeout_seconds * 1.25),
                self._http.stream(
                    method,
                    self._base + path,
                    headers={"Authorization": authorization, "Accept": "application/json"},
                    json=fields,
                    timeout=self._timeout,
                    follow_redirects=False,
                ) as response,
            ):
                status = response.status_code
                said = _understand(status, await body(response, limit), limit)
        except httpx.PoolTimeout:
            said, asked = NEVER_SENT, False
        except (httpx.ConnectError, httpx.ConnectTimeout):
            said = NEVER_SENT
        except (httpx.HTTPError, OSError):  # asyncio's TimeoutError is an OSError
            said = ANSWER_LOST
        if asked and self._pulse is not None:
            self._pulse.heard(self._clock.now(), good=_understood(said, status))
        failed = isinstance(said, Answer)
        _LOG.log(
            logging.WARNING if failed else logging.INFO,
            "M-Pesa answered" if status else "M-Pesa did not answer",
            extra={
                "action": "mpesa_call",
                "path": path.partition("?")[0],
                "http_status": status,
                "code": said.code if isinstance(said, Answer) else "",
                "took_ms": round(1000 * (asyncio.get_running_loop().time() - started)),
            },
        )
        return said


def _understand(status: int, raw: bytes, limit: int) -> Mapping[str, Any] | Answer:
    """The fields of a 200, or the Answer that an envelope, HTML or nothing at all amounts to."""
    silent = Answer(Verdict.UNKNOWN, f"http_{status}", "unknown")
    try:
        read = strict_json.loads(raw, limit=limit)
    except UnreadableError:
        return silent
    if not isinstance(read, dict):
        return silent
    if "errorCode" in read:
        return mpesa_codes.of_error(read["errorCode"], read.get("errorMessage"))
    return read if status == 200 else silent


def _understood(said: Mapping[str, Any] | Answer, status: int) -> bool:
    """Whether M-Pesa is there: it said something, be it a refusal, and not its gateway's error
    page.
    """
    silent = isinstance(said, Answer) and said.code == f"http_{status}"
    return bool(status) and not (silent and status >= 500) and said is not ANSWER_LOST


def _without_token(said: Answer) -> Answer:
    """No token, no request: whatever went wrong, nothing was sent."""
    if said.verdict is Verdict.DECLINED:
        return said
    if said.code in ("http_400", "http_401"):  # wrong keys often come without an envelope
        return Answer(Verdict.DECLINED, said.code, "misconfigured")
    return NEVER_SENT
