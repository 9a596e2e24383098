"""M-Pesa (Daraja), what it says of our own accounts: AccountBalance, and Pull, which lists what
came in during the last two days.

Implements `services.ports.AccountRail` and `PullRail`. Wire facts and their sources: rails.md 1.8.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import httpx
from aiolimiter import AsyncLimiter

from escrow.rails import mpesa_balances, mpesa_parse
from escrow.rails.mpesa_gateway import Gateway, MpesaConfig
from escrow.rails.token_store import TokenStore
from escrow.services.ports import (
    AccountBalances,
    Answer,
    Clock,
    PaybillPayment,
    PulledRow,
    Verdict,
)

BALANCE_PATH: Final = "/mpesa/accountbalance/v1/query"
REGISTER_PATH: Final = "/pulltransactions/v1/register"
PULL_PATH: Final = "/pulltransactions/v1/query"
SHORTCODE_IDENTIFIER: Final = "4"
PAGE_BYTES_MAX: Final = 4 * 1024 * 1024
PAGE_ROWS_MAX: Final = 10_000
ROW_BYTES_MAX: Final = 4096
DONE, ALREADY = "1000", "1001"
"""What Pull answers (rails.md 1.8): good; registered before. Another code is unknown."""


class MpesaAccount:
    """One shortcode whose accounts are asked about. `names`: M-Pesa's name of an account → ours."""

    def __init__(
        self,
        config: MpesaConfig,
        http: httpx.AsyncClient,
        tokens: TokenStore,
        clock: Clock,
        *,
        names: Mapping[str, str],
        reachable: bool,
        pace: AsyncLimiter | None = None,
    ) -> None:
        self._config = config
        self._names = names
        self._reachable = reachable
        self._gateway = Gateway(config, http, tokens, clock, pace=pace)

    @property
    def shortcode(self) -> str:
        return self._config.shortcode

    @property
    def can_ask(self) -> bool:
        """Whether initiator keys are set and a result can reach us."""
        ours = self._config
        keys = ours.consumer_key and ours.initiator_name and ours.security_credential
        return bool(self._reachable and ours.shortcode and keys)

    async def ask_balance(self, *, result_url: str, timeout_url: str) -> Answer:
        """Asks what the accounts hold; PENDING: the answer will come to `result_url`.
        `DatabaseDown`.
        """
        body = {
            "Initiator": self._config.initiator_name,
            "SecurityCredential": self._config.security_credential,
            "CommandID": "AccountBalance",
            "PartyA": self._config.shortcode,
            "IdentifierType": SHORTCODE_IDENTIFIER,
            "Remarks": "Escrow",
            "QueueTimeOutURL": timeout_url,
            "ResultURL": result_url,
        }
        said = await self._gateway.post(BALANCE_PATH, body)
        if isinstance(said, Answer):
            return said
        code = mpesa_parse.code_text(said.get("ResponseCode"))
        if code != "0":
            return Answer(Verdict.UNKNOWN, code, "unknown")
        return Answer(Verdict.PENDING, "0", "processing")

    def read_balances(self, body: bytes) -> AccountBalances:
        """See `mpesa_balances.account_balances`. `UnreadableError`."""
        return mpesa_balances.account_balances(body, self._names)


class MpesaPull:
    """What came into one live shortcode. `number` is the nominated one that it is registered with;
    empty: nothing is pulled.
    """

    def __init__(
        self,
        config: MpesaConfig,
        http: httpx.AsyncClient,
        tokens: TokenStore,
        clock: Clock,
        *,
        number: str,
        live: bool,
        pace: AsyncLimiter | None = None,
    ) -> None:
        self._config = config
        self._number = number
        self._live = live
        self._gateway = Gateway(config, http, tokens, clock, pace=pace)

    @property
    def can_pull(self) -> bool:
        """Whether it is set up. Safaricom's own sandbox has no Pull."""
        return bool(self._live and self._number and self._config.consumer_key)

    async def register(self, callback_url: str) -> Answer:
        """Lets this shortcode be pulled. PAID: registered, now or before. `DatabaseDown`."""
        body = {
            "ShortCode": self._config.shortcode,
            "RequestType": "Pull",
            "NominatedNumber": self._number,
            "CallBackURL": callback_url,
        }
        said = await self._gateway.post(REGISTER_PATH, body)
        if isinstance(said, Answer):
            return said
        code = mpesa_parse.code_text(_spaceless(said).get("ResponseStatus"))
        if code in (DONE, ALREADY):
            return Answer(Verdict.PAID, code, "registered" if code == DONE else "urls_registered")
        return Answer(Verdict.UNKNOWN, code, "unknown")

    async def pull(
        self, since: datetime, until: datetime, offset: int
    ) -> Sequence[PulledRow] | Answer:
        """One page, behind the first `offset` rows. A row is kept as it came, and read later; a
        page that is no list of rows is unknown. `DatabaseDown`.
        """
        body = {
            "ShortCode": self._config.shortcode,
            "StartDate": _local(since),
            "EndDate": _local(until),
            "OffSetValue": str(offset),
        }
        said = await self._gateway.post(PULL_PATH, body, limit=PAGE_BYTES_MAX)
        if isinstance(said, Answer):
            return said
        read = _spaceless(said)
        code = mpesa_parse.code_text(read.get("ResponseCode"))
        rows = _flat(read.get("Response"))
        if code != DONE or rows is None:
            return Answer(Verdict.UNKNOWN, code, "unknown")
        return [_row(one) for one in rows[:PAGE_ROWS_MAX]]

    def read_pulled(self, body: bytes) -> PaybillPayment:
        """See `mpesa_parse.pulled`. `UnreadableError`."""
        return mpesa_parse.pulled(body, self._config.shortcode)


def _local(at: datetime) -> str:
    return at.astimezone(mpesa_parse.NAIROBI).strftime("%Y-%m-%d %H:%M:%S")


def _spaceless(said: Mapping[str, Any]) -> dict[str, Any]:
    """Keys without their spaces: the second registration answers with "Response Status"."""
    return {key.replace(" ", ""): value for key, value in said.items()}


def _flat(response: Any) -> list[Any] | None:
    """The rows of an array in an array (or of a plain one); None: that is no list of rows."""
    if not isinstance(response, list):
        return None
    rows: list[Any] = []
    for one in response:
        rows += one if isinstance(one, list) else [one]
    return rows


def _row(row: Any) -> PulledRow:
    """A row in one fixed form, so that the same one is the same next time."""
    text = json.dumps(row, sort_keys=True, default=str, ensure_ascii=True)
    name = row.get("transactionId") if isinstance(row, dict) else None
    named = name.strip().upper() if isinstance(name, str) else ""
    reference = named if re.fullmatch(r"[A-Z0-9]{4,32}", named, re.ASCII) else ""
    return PulledRow(text.encode()[:ROW_BYTES_MAX], reference)
