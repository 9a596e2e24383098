"""What is true of the books of every test, read by SQL that the program has no part in."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.world import World


async def receipts_are_booked_once(world: World) -> None:
    """What came from outside is exactly the posted receipts, one journal each."""
    posted = await world.sql(
        "SELECT currency, amount_minor FROM receipts"
        " WHERE state NOT IN ('WAITING', 'IGNORED') ORDER BY 1, 2"
    )
    booked = await world.sql(
        "SELECT a.currency, -e.amount_minor AS amount_minor FROM ledger_entries e"
        " JOIN ledger_accounts a ON a.id = e.account_id"
        " JOIN ledger_journals j ON j.id = e.journal_id AND j.kind NOT LIKE 'book%'"
        " WHERE a.kind = 'external' AND e.amount_minor < 0 ORDER BY 1, 2"
    )
    assert booked == posted
    journals = await world.value(
        "SELECT count(*) FROM ledger_journals WHERE idempotency_key LIKE 'receipt:%'"
    )
    assert journals == len(posted)


async def deals_hold_what_they_say(world: World) -> None:
    """Status, holding, version and timeline of every deal say the same."""
    deals = await world.sql(
        "SELECT e.id, e.status, e.version, e.held_price_minor, e.held_fee_minor,"
        " b.received_minor, b.holding_minor, b.pending_fee_minor,"
        " (SELECT count(*) FROM escrow_timeline t"
        "   WHERE t.escrow_id = e.id AND t.version IS NOT NULL) AS moves,"
        " (SELECT count(*) FROM escrow_timeline t"
        "   WHERE t.escrow_id = e.id AND t.event = 'fund') AS fundings"
        " FROM escrow_transactions e JOIN escrow_balances b ON b.escrow_id = e.id"
    )
    for deal in deals:
        funded = deal["status"] in ("HELD", "SHIPPED", "DELIVERED", "DISPUTED", "FROZEN")
        held = (deal["held_price_minor"], deal["held_fee_minor"]) if funded else (0, 0)
        assert (deal["holding_minor"], deal["pending_fee_minor"]) == held, deal
        assert deal["received_minor"] == 0 or deal["status"] == "PENDING", deal
        assert deal["moves"] == deal["version"], deal
        assert deal["fundings"] == (deal["held_price_minor"] is not None), deal
