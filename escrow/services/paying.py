"""Who may pay a deal, and whom it is kept for meanwhile: the same for a prompt, the wallet and
coins.
"""

from __future__ import annotations

from datetime import datetime

from escrow.domain import codes
from escrow.domain.errors import EscrowMoved, LimitReached, NotAllowed, NotFound
from escrow.domain.model import Escrow
from escrow.domain.terms import Terms
from escrow.store import escrows, payments, people
from escrow.store.database import Connection


async def payable(conn: Connection, typed: str, telegram_id: int) -> Escrow:
    """The locked deal, if this person may pay it. `NotFound`, `NotAllowed`."""
    code = codes.read_code(typed)
    if code is None:
        raise NotFound("no_deal", code=typed[:20])
    escrow = await escrows.lock(conn, code)
    if escrow.seller_telegram_id == telegram_id or await people.owns_number_of(
        conn, telegram_id, escrow.seller_id
    ):
        raise NotAllowed("own_deal")
    if escrow.buyer_telegram_id not in (None, telegram_id):
        raise NotFound("no_deal", code=code)
    if not escrow.can_be_paid:
        raise NotAllowed("not_payable", status=str(escrow.status), deal=code)
    return escrow


async def reserve(
    conn: Connection, platform: Terms, escrow_id: str, telegram_id: int, now: datetime
) -> None:
    """Keeps a deal without a buyer for somebody (flow.md 26). `NotAllowed` while another one has
    it, `LimitReached` when he kept it too often.
    """
    held = await payments.reservation(conn, escrow_id, now)
    if held is not None and held[0] != telegram_id:
        raise NotAllowed("reserved", until=held[1], deal=escrow_id)
    if held is not None:
        return  # paying again prolongs nothing, or it could be held for ever
    made = await payments.count_reservation(conn, escrow_id, telegram_id)
    if made > platform.reservations_per_user:
        raise LimitReached("too_many_reservations", deal=escrow_id)
    if not await payments.reserve(conn, escrow_id, telegram_id, now + platform.reservation, now):
        raise EscrowMoved
