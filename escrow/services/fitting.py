"""Which prompt of a deal a payment without one belongs to: same deal, amount and time, and a
payer's number that doesn't contradict the prompted one.
"""

from __future__ import annotations

from dataclasses import replace

from escrow.domain import phone
from escrow.domain.model import Attempt, Channel, Receipt, StoredReceipt
from escrow.store import receipts
from escrow.store.database import Connection


async def fitting_prompt(conn: Connection, escrow_id: str, receipt: Receipt) -> Attempt | None:
    """The prompt that no money stands for yet and that this payment fits."""
    if receipt.channel is not Channel.C2B:
        return None
    fitting = await receipts.fitting_prompts(conn, escrow_id, receipt.amount, receipt.happened_at)
    return next((a for a in fitting if phone.may_be(receipt.payer_shown, a.phone)), None)


async def fill_slot(conn: Connection, escrow_id: str, receipt: Receipt) -> StoredReceipt | None:
    """Gives a number to a prompt that a query proved paid, if this row fits it. Credits nothing."""
    if receipt.reference is None or receipt.channel is not Channel.C2B:
        return None
    for slot, prompted in await receipts.slots(
        conn, escrow_id, receipt.amount, receipt.happened_at
    ):
        if phone.may_be(receipt.payer_shown, prompted):
            await receipts.fill_slot(conn, slot.id, receipt.reference, fitted=True)
            return replace(slot, reference=receipt.reference)
    return None
