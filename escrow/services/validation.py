"""What M-Pesa is told before it takes a payment by hand: only what would come back is refused.

Validation may be off (it is until Safaricom switches it on), so nothing that comes after it relies
on it.
"""

from __future__ import annotations

from typing import Final

import payment_tolerance as engine
from escrow.domain.errors import NotFound
from escrow.domain.model import Escrow
from escrow.domain.money import Money
from escrow.store import escrows, payments
from escrow.store.database import Connection

NO_OPEN_DEAL: Final = "C2B00012"
"""M-Pesa's word for a wrong account number (rails.md 1.6)."""
TOO_LITTLE: Final = "C2B00013"
"""M-Pesa's word for a wrong amount."""


async def refusal(conn: Connection, code: str, amount: Money) -> str | None:
    """Why M-Pesa should not take this amount for the deal; None: it may. Too much is taken, too:
    the rest goes to the payer's wallet (seed 2, scenario 2).
    """
    try:
        escrow = await escrows.get(conn, code)
    except NotFound:
        return NO_OPEN_DEAL
    if not escrow.can_be_paid or escrow.currency is not amount.currency:
        return NO_OPEN_DEAL
    total = escrow.received + amount
    prompt = await payments.open_attempt(conn, code)
    if prompt is not None and prompt.amount == amount:
        total += prompt.wallet_part
    return TOO_LITTLE if _comes_back(escrow, total) else None


def _comes_back(escrow: Escrow, total: Money) -> bool:
    """Whether so much lies below what the buyer may decide about (seed 2, scenario 3c)."""
    tiers = {escrow.due.currency.code: escrow.tiers}
    decision = engine.decide(escrow.due.minor, total.minor, escrow.due.currency, tiers)
    return decision.response_type is engine.PaymentResponse.AUTO_REFUND
