"""Patterns of fraud, looked for each night (flow.md 19). A flag is a reason to look, no verdict.

What an admin has reviewed is raised again only when something was added to it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from escrow.domain.terms import Terms
from escrow.services.batches import BATCH, Tally, in_batches
from escrow.services.flags import raise_flag
from escrow.services.ports import Clock
from escrow.store import patterns
from escrow.store.database import Connection, Database
from escrow.store.patterns import Suspect

_Find = Callable[[Connection, datetime, int, int], Awaitable[list[Suspect]]]
"""(connection, since, after whom, how many)."""


@dataclass(frozen=True, slots=True)
class _Pattern:
    """One rule: over how many days, who shows it, and its figures in English, which the flag
    keeps.
    """

    flag_type: str
    user_type: str
    severity: str
    days: int
    find: _Find
    rule: Callable[[Suspect], str]


class FraudPatterns:
    """Flags whoever shows one of the three patterns."""

    def __init__(
        self, database: Database, clock: Clock, terms: Terms, admins: Sequence[int]
    ) -> None:
        self._db = database
        self._clock = clock
        self._terms = terms
        self._admins = tuple(admins)

    async def detect(self) -> Tally:
        """Raises what no flag knows of yet; the admins hear of HIGH and CRITICAL ones at once."""
        now = self._clock.now()
        tally = Tally()
        for pattern in self._patterns():
            tally += await in_batches(
                "fraud_patterns",
                self._db,
                partial(_suspects, pattern, now),
                partial(self._raise, pattern, now),
            )
        return tally

    def _patterns(self) -> tuple[_Pattern, ...]:
        terms = self._terms
        disputes, refunds, percent = (
            terms.dispute_days,
            terms.refund_days,
            terms.dispute_rate_percent,
        )
        paid = terms.dispute_rate_days

        async def disputing(
            conn: Connection, since: datetime, after: int, limit: int
        ) -> list[Suspect]:
            least = terms.disputes_before_flag
            return await patterns.disputing_buyers(conn, since, least, after, limit)

        async def disputed(
            conn: Connection, since: datetime, after: int, limit: int
        ) -> list[Suspect]:
            least = terms.dispute_rate_deals
            return await patterns.disputed_sellers(conn, since, least, percent, after, limit)

        async def refunded(
            conn: Connection, since: datetime, after: int, limit: int
        ) -> list[Suspect]:
            least = terms.refunds_before_flag
            return await patterns.refunded_buyers(conn, since, least, after, limit)

        return (
            _Pattern(
                "multiple_disputes",
                "buyer",
                "HIGH",
                disputes,
                disputing,
                lambda one: f"{one.part} disputes in {disputes} days",
            ),
            _Pattern(
                "high_dispute_rate",
                "seller",
                "CRITICAL",
                paid,
                disputed,
                lambda one: f"{one.part} of {one.whole} deals in {paid} days, above {percent} %",
            ),
            _Pattern(
                "multiple_refunds",
                "buyer",
                "MEDIUM",
                refunds,
                refunded,
                lambda one: f"{one.part} refunds in {refunds} days",
            ),
        )

    async def _raise(
        self, pattern: _Pattern, now: datetime, conn: Connection, suspects: Sequence[Suspect]
    ) -> int:
        raised = 0
        for one in suspects:
            flag = await raise_flag(
                conn,
                self._admins,
                one.telegram_id,
                user_type=pattern.user_type,
                flag_type=pattern.flag_type,
                severity=pattern.severity,
                escrow_id=None,
                rule=pattern.rule(one),
                deals=one.deals,
                now=now,
            )
            raised += flag is not None
        return raised


async def _suspects(
    pattern: _Pattern, now: datetime, conn: Connection, after: Suspect | None
) -> list[Suspect]:
    since = now - timedelta(days=pattern.days)
    return await pattern.find(conn, since, after.telegram_id if after else 0, BATCH)
