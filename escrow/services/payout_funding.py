"""Before a large release is sent, M-Pesa is asked once more about the payments that funded it:
one that was reversed meanwhile is seen before its money is gone.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

from escrow.domain.money import Money
from escrow.domain.payouts import Payout
from escrow.services.ports import Clock, Rail
from escrow.store import payouts, receipts
from escrow.store.database import Connection, Database

_LOG: Final = logging.getLogger(__name__)
BATCH: Final = 20
AGAIN: Final = timedelta(minutes=10)
PATIENCE: Final = timedelta(minutes=30)
"""How long a payout waits for an answer; then a person decides."""


class FundingChecks:
    """Asks by TransactionStatus; `Confirmations.on_status_result` writes the answers down. Deals
    from `above` on. `may_ask`: whether there are keys, and M-Pesa takes them.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        rail: Rail,
        above: Money,
        *,
        callback_base: str,
        may_ask: Callable[[], bool],
    ) -> None:
        self._db = database
        self._clock = clock
        self._rail = rail
        self._above = above
        self._base = callback_base
        self._may_ask = may_ask

    @property
    def proved_from(self) -> int | None:
        """The price, in minor units, from which a proof is needed; None: nobody can be asked."""
        return self._above.minor if self._may_ask() else None

    async def ask(self) -> None:
        """Asks what has to be asked before the next payouts leave."""
        await self.put(await self._db.run(self._claim), "before its payout", "funding_asked")

    async def put(self, asking: Sequence[tuple[str, str]], when: str, action: str) -> int:
        """Puts questions that are written down: (token, receipt's number). One that can't be put
        stops no other; returns how many were. `when` and `action` are the log's.
        """
        put = 0
        for token, reference in asking:
            try:
                answer = await self._rail.ask_status(
                    reference=reference,
                    result_url=f"{self._base}/r/{token}",
                    timeout_url=f"{self._base}/t/{token}",
                )
            except Exception:  # noqa: BLE001 one bad row must not stop the others
                _LOG.exception("asking about a receipt failed", extra={"action": "ask_failed"})
                continue
            put += 1
            _LOG.info(
                "asked about a receipt %s",
                when,
                extra={"action": action, "verdict": str(answer.verdict)},
            )
        return put

    async def _claim(self, conn: Connection) -> list[tuple[str, str]]:
        if self.proved_from is None:
            return []
        now, asking = self._clock.now(), []
        due = await payouts.claim_questions(conn, now, self.proved_from, now - AGAIN, BATCH)
        for receipt, reference in due:
            token = secrets.token_hex(16)
            await receipts.add_status_query(conn, token, receipt, now)
            asking.append((token, reference))
        return asking

    async def doubtful(self, conn: Connection) -> list[Payout]:
        """Payouts that a person has to decide now: reversed, or no answer in time."""
        held = await payouts.hold_reversed(conn)
        if self.proved_from is not None:
            before = self._clock.now() - PATIENCE
            held += await payouts.hold_doubtful(conn, self.proved_from, before)
        return held
