"""Reminders before something happens by itself: sellers are asked to send, buyers to confirm.

Day N after a deal was paid or sent is [24N h, 24(N+1) h) (flow.md 21). Where its deadline was moved
(more time, a dispute taken back, a freeze, a pause), the days move with it: a reminder is about the
time that is left, so day 6 of 7 stays the last one before the money moves.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final
from zoneinfo import ZoneInfo

from escrow.domain.flow import Actor
from escrow.domain.model import By, Escrow, Notice
from escrow.domain.terms import Terms
from escrow.services import endings
from escrow.services.batches import BATCH, Tally, in_batches
from escrow.services.ports import Clock
from escrow.store import escrows, outbox, reminders
from escrow.store.database import Connection, Database
from escrow.store.reminders import DueReminder, Turn

GRACE: Final = timedelta(minutes=5)
"""A run that was planned for the day's last minute may begin so much later."""


class Reminders:
    """The notices `remind_ship` and `remind_confirm`, each once per deal and day."""

    def __init__(self, database: Database, clock: Clock, terms: Terms, zone: ZoneInfo) -> None:
        self._db = database
        self._clock = clock
        self._terms = terms
        self._zone = zone

    async def queue_due(self) -> Tally:
        """Queues what is due now, and between 9:00 and 21:00 of the zone only; what was missed on
        its day is not made up on another one.
        """
        now = self._clock.now()
        if not self._awake(now):
            return Tally()
        tally = Tally()
        for turn, days in (
            (Turn.SHIP, self._terms.remind_seller_days),
            (Turn.CONFIRM, self._terms.remind_buyer_days),
        ):
            tally += await in_batches(
                "reminders",
                self._db,
                partial(_due, turn, days, now),
                partial(self._remind, turn, now),
            )
        return tally

    def _awake(self, now: datetime) -> bool:
        today = now.astimezone(self._zone).date()
        first, last = (
            datetime.combine(today, edge, self._zone).astimezone(UTC)
            for edge in (self._terms.remind_from, self._terms.remind_until)
        )
        return first <= now <= last + GRACE

    async def _remind(
        self, turn: Turn, now: datetime, conn: Connection, due: Sequence[DueReminder]
    ) -> int:
        still = await reminders.lock(conn, turn, due)
        new = await reminders.insert(conn, [one for one in due if one.escrow_id in still], now)
        if not new:
            return 0
        kinds = {one.escrow_id: one.kind for one in due if one.escrow_id in new}
        deals = await escrows.get_many(conn, list(kinds))
        kept = {code: {"kind": kind} for code, kind in kinds.items()}
        await escrows.note_many(conn, kept, "reminded", By(Actor.TIMER), now)
        told = [_notice(turn, kinds[deal.id], deal) for deal in deals]
        await outbox.queue(conn, told, now)
        return len(new)


async def _due(
    turn: Turn, days: Sequence[int], now: datetime, conn: Connection, after: DueReminder | None
) -> list[DueReminder]:
    return await reminders.due(conn, turn, days, now, after, BATCH)


def _notice(turn: Turn, kind: str, deal: Escrow) -> Notice:
    values: dict[str, Any] = {
        "code": deal.id,
        "description": deal.description,
        "shop": deal.shop_name,
    }
    cause = f"{kind}:{deal.id}"
    if turn is Turn.SHIP:
        assert deal.ship_by is not None  # noqa: S101 it was found by it
        values |= {"gets": str(deal.held_price), "ship_by": deal.ship_by.isoformat()}
        return Notice(cause, "remind_ship", deal.seller_telegram_id, values, deal.id)
    assert deal.release_at is not None and deal.buyer_telegram_id is not None  # noqa: S101, PT018
    values |= {"amount": str(endings.whole(deal)), "release_at": deal.release_at.isoformat()}
    return Notice(cause, "remind_confirm", deal.buyer_telegram_id, values, deal.id)
