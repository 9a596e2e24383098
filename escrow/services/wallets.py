"""What is a person's own with Amana."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from escrow.services.ports import Clock
from escrow.store import ledger
from escrow.store.database import Database


class Wallets:
    """Looking into wallets."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._db = database
        self._clock = clock

    async def view(self, telegram_id: int) -> Mapping[str, Any]:
        """available, held in deals, last entries."""
        async with self._db.reading() as conn:
            return {
                "available": await ledger.wallets(conn, telegram_id),
                "held": await ledger.held_in_deals(conn, telegram_id),
                "entries": await ledger.wallet_entries(conn, telegram_id),
            }
