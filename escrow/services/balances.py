"""Asks M-Pesa what our accounts hold, and takes the answer as a reading of the float.

While our API user is refused nobody is asked, and after a refusal not for a day: a few more tries
would lock it (rails.md 1.8).
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from escrow.domain.money import Money
from escrow.services.floating import Floating, books_of
from escrow.services.ports import AccountBalances, AccountRail, Clock, UnreadableError, Verdict
from escrow.store import floating, payouts
from escrow.store.database import Connection, Database

_LOG: Final = logging.getLogger(__name__)
BETWEEN: Final = timedelta(minutes=50)
"""A restart asks nothing again that was asked just now."""
AFTER_REFUSAL: Final = timedelta(hours=24)
REFUSED: Final = "api_user_refused"


class Balances:
    """The questions about our accounts and their answers. `credential` names the API user."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        accounts: Sequence[AccountRail],
        readings: Floating,
        *,
        callback_base: str,
        credential: str = "",
    ) -> None:
        self._db = database
        self._clock = clock
        self._accounts = {one.shortcode: one for one in accounts}
        self._readings = readings
        self._base = callback_base
        self._credential = credential

    async def by_the_books(self) -> Money:
        """What M-Pesa holds of ours, as the books have it."""
        async with self._db.reading() as conn:
            return (await books_of(conn)).at_provider

    async def ask_due(self) -> tuple[int, int]:
        """Asks about every shortcode whose turn it is. (asked, failed)."""
        asked = failed = 0
        for rail in self._accounts.values():
            if rail.can_ask and (token := await self._turn(rail.shortcode)) is not None:
                asked += 1
                failed += not await self._ask(rail, token)
        return asked, failed

    async def _turn(self, shortcode: str) -> str | None:
        """The token of a new question, committed before it is asked; None: not now."""
        now, token = self._clock.now(), secrets.token_hex(16)
        async with self._db.unit() as conn:
            if await payouts.stopped(conn, self._credential) is not None:
                return None
            last = await floating.last_balance_query(conn, shortcode)
            wait = AFTER_REFUSAL if last is not None and last[1] else BETWEEN
            if last is not None and now < last[0] + wait:
                return None
            await floating.add_balance_query(conn, token, shortcode, now)
        return token

    async def _ask(self, rail: AccountRail, token: str) -> bool:
        answer = await rail.ask_balance(
            result_url=f"{self._base}/k/{token}", timeout_url=f"{self._base}/l/{token}"
        )
        good = answer.verdict is Verdict.PENDING
        _LOG.log(
            logging.INFO if good else logging.WARNING,
            "asked what our accounts hold",
            extra={"action": "balance_asked", "code": answer.code, "reason": answer.reason},
        )
        return good

    def read(self, body: bytes) -> AccountBalances:
        """The answer as the first of the accounts reads it. `UnreadableError`."""
        for rail in self._accounts.values():
            return rail.read_balances(body)
        raise UnreadableError("nobody asks about accounts")

    async def on_result(self, token: str, body: bytes, source: str, received_at: datetime) -> str:
        """AccountBalance answered; returns a word for the inbox row. Safe to repeat."""
        answer = self.read(body).answer

        async def work(conn: Connection) -> str:
            shortcode = await floating.answer_balance_query(
                conn, token, self._clock.now(), answer.code, refused=answer.reason == REFUSED
            )
            if shortcode is None or shortcode not in self._accounts:
                return "unknown_token"
            if answer.verdict is not Verdict.PAID:
                return f"refused:{answer.code}"
            said = self._accounts[shortcode].read_balances(body)
            await self._readings.keep(conn, said.balances, source, received_at)
            return "read"

        word = await self._db.run(work)
        if answer.verdict is not Verdict.PAID:
            _LOG.error(
                "M-Pesa does not say what our accounts hold",
                extra={"action": "balance_refused", "code": answer.code, "reason": answer.reason},
            )
        return word
