"""How a funded deal ends: who gets what of everything held, once (I10). Takes lists, so that a
sweep over a hundred due deals is the same code as one buyer's tap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from escrow.domain import flow
from escrow.domain.errors import IllegalMove
from escrow.domain.flow import Event, Status
from escrow.domain.model import By, Escrow, Journal, Notice
from escrow.domain.money import Money
from escrow.services import postings
from escrow.services.payout_booking import BookedPayout, PayoutBooking, SettledLeg
from escrow.store import escrows, ledger, outbox
from escrow.store.database import Connection


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of one locked deal. The three parts are everything that is held."""

    escrow: Escrow
    event: Event
    by: By
    seller: Money
    buyer: Money
    fee: Money
    data: Mapping[str, Any] = field(default_factory=dict)


def held_of(escrow: Escrow, event: Event) -> tuple[Money, Money]:
    """(holding, pending fee) of a funded deal. `IllegalMove` when nothing is held."""
    if escrow.held_price is None or escrow.held_fee is None:
        raise IllegalMove(event=str(event), status=str(escrow.status))
    return escrow.held_price, escrow.held_fee


def whole(escrow: Escrow) -> Money:
    """Everything that was held of a deal: what its buyer gets when all goes back."""
    holding, fee = held_of(escrow, Event.REFUND)
    return holding + fee


def release(escrow: Escrow, event: Event, by: By, cause: str = "") -> Ending:
    """All to the seller, the fee is earned. `cause` is kept on the timeline, for a repeat."""
    holding, fee = held_of(escrow, event)
    return Ending(escrow, event, by, holding, Money.zero(escrow.currency), fee, _data(cause))


def refund(escrow: Escrow, event: Event, by: By, cause: str = "") -> Ending:
    """Everything back to the buyer, the fee too. `cause` as above."""
    zero = Money.zero(escrow.currency)
    held_of(escrow, event)
    return Ending(escrow, event, by, zero, whole(escrow), zero, _data(cause))


def _data(cause: str) -> dict[str, str]:
    return {"cause": cause} if cause else {}


async def finish(
    conn: Connection, endings: Sequence[Ending], payouts: PayoutBooking, now: datetime
) -> dict[tuple[str, str], BookedPayout]:
    """Ends locked deals in this unit: journals, settlements, moves, and the payouts that follow by
    themselves. Returns (deal, leg) → payout where one was booked. The buyer's part of a deal that
    lacks a payment of his, taken back by its provider, covers that first; what is left of it stays
    in his wallet, and what stays open is our loss (money.md).

    `IllegalMove`, `NotAllowed` as FLOW says; `EscrowMoved` when a deal was not locked and moved.
    """
    moves = []
    for end in endings:
        whole = not end.seller and not end.fee
        target = Status.REFUNDED if whole else Status.COMPLETED
        edge = flow.next_edge(end.escrow.status, end.event, end.by.actor, target=target)
        data = {
            "seller_minor": end.seller.minor,
            "buyer_minor": end.buyer.minor,
            "fee_minor": end.fee.minor,
            **end.data,
        }
        moves.append(escrows.Move(end.escrow.id, edge, end.by, now, data=data))
    owed = await _owed(conn, endings)
    await ledger.post(conn, [one for end in endings for one in _journals(end, owed, now)])
    await escrows.settle(
        conn,
        [
            escrows.Settlement(
                end.escrow.id, end.event, end.seller.minor, end.buyer.minor, end.fee.minor, now
            )
            for end in endings
        ],
    )
    await escrows.move(conn, moves)
    await outbox.queue(conn, [one for end in endings for one in _covered(end, owed)], now)
    booked = await payouts.book_settled(
        conn, [leg for end in endings for leg in _legs(end, owed)], now
    )
    return {(one.escrow_id, one.leg): one for one in booked if one.escrow_id and one.leg}


async def _owed(conn: Connection, endings: Sequence[Ending]) -> dict[str, Money]:
    """Deal → what it owes us; the deals of a batch are locked, so no reversal comes between."""
    found: dict[str, Money] = {}
    for currency in {end.escrow.currency for end in endings}:
        codes = [end.escrow.id for end in endings if end.escrow.currency is currency]
        found |= await ledger.owed(conn, codes, currency)
    return found


def _journals(end: Ending, owed: Mapping[str, Money], now: datetime) -> list[Journal]:
    holding, fee = held_of(end.escrow, end.event)
    open_minor = owed[end.escrow.id].minor if end.escrow.id in owed else 0
    covers = min(open_minor, end.buyer.minor)
    journals = [
        postings.settled(
            end.escrow.id,
            (end.escrow.seller_telegram_id, end.seller),
            (end.escrow.buyer_telegram_id or 0, end.buyer),
            end.fee,
            (holding, fee),
            now,
            covers,
        )
    ]
    if open_minor > covers:
        left = Money(open_minor - covers, end.escrow.currency)
        journals.append(postings.written_off(end.escrow.id, left, now))
    return journals


def _covered(end: Ending, owed: Mapping[str, Money]) -> list[Notice]:
    """The buyer hears what his part went to."""
    buyer = end.escrow.buyer_telegram_id
    if buyer is None or not end.buyer or end.escrow.id not in owed:
        return []
    covers = min(owed[end.escrow.id], end.buyer)
    values = {
        "code": end.escrow.id,
        "part": str(end.buyer),
        "covers": str(covers),
        "left": str(end.buyer - covers),
    }
    return [Notice(f"covers:{end.escrow.id}", "refund_covers", buyer, values, end.escrow.id)]


def _legs(end: Ending, owed: Mapping[str, Money]) -> list[SettledLeg]:
    legs = []
    if end.seller:
        legs.append(SettledLeg(end.escrow.id, "seller", end.escrow.seller_telegram_id, end.seller))
    buyer = end.escrow.buyer_telegram_id
    if end.buyer and buyer is not None and end.escrow.id not in owed:
        legs.append(SettledLeg(end.escrow.id, "buyer", buyer, end.buyer))
    return legs


def payout_values(payout: BookedPayout | None) -> dict[str, str] | None:
    """What a notice says of a payout that is on its way: {amount, to}; `why` when it waits for an
    admin, `when` when it goes later.
    """
    if payout is None:
        return None
    values = {"amount": str(payout.amount), "to": payout.to}
    if payout.why:
        values["why"] = payout.why
    if payout.not_before is not None:
        values["when"] = payout.not_before.isoformat()
    return values
