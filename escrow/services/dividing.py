"""Ends a funded deal by somebody's decision: the division, the dispute that it closes, who is told
what. `resolve`, `settle` and the manual rulings are made of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from escrow.domain import flow
from escrow.domain.errors import IllegalMove, InvalidInput, NotAllowed
from escrow.domain.flow import Actor, Edge, Event, Status
from escrow.domain.model import By, DisputeStatus, Escrow, Notice
from escrow.domain.money import Money
from escrow.domain.terms import Shares, divide_fixed, divide_split
from escrow.services import endings
from escrow.services.payout_booking import BookedPayout
from escrow.services.work import DealWork
from escrow.store import actions, disputes, escrows, outbox
from escrow.store.database import Connection

NOTES_CHARS: Final = 1000
_CLOCKS: Final = {
    Status.HELD: "ship_by",
    Status.SHIPPED: "release_at",
    Status.DELIVERED: "release_at",
}
"""Which deadline runs in a status."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A deal that just ended: who got what, and the payouts that follow by themselves."""

    escrow: Escrow
    shares: Shares
    payouts: Mapping[tuple[str, str], BookedPayout]


class Dividing(DealWork):
    """What the parts that end deals by a decision have in common."""

    def preview_division(
        self,
        escrow: Escrow,
        *,
        buyer_percent: int | None = None,
        seller_fixed: Money | None = None,
    ) -> Shares:
        """Who would get exactly what of everything held: the buyer's share in percent, or a fixed
        amount for the seller. `InvalidInput` when it can't be divided so.
        """
        holding, fee = endings.held_of(escrow, Event.SETTLE)
        if (buyer_percent is None) == (seller_fixed is None):
            raise InvalidInput("division")
        if seller_fixed is not None:
            if seller_fixed.currency is not holding.currency or not (
                0 <= seller_fixed.minor <= holding.minor
            ):
                raise InvalidInput("division_amount", maximum=holding)
            return divide_fixed(holding, fee, seller_fixed)
        if buyer_percent is None or not 0 <= buyer_percent <= 100:
            raise InvalidInput("division")
        return divide_split(holding, fee, buyer_percent)

    def _judge(self, escrow: Escrow, admin: int) -> By:
        """An admin who may decide about that deal; `NotAllowed` for others and for a party."""
        if admin not in self._admins:
            raise NotAllowed
        if admin in (escrow.seller_telegram_id, escrow.buyer_telegram_id):
            raise NotAllowed("admin_is_party")
        return By(Actor.ADMIN, admin)

    async def _divide(
        self,
        conn: Connection,
        escrow: Escrow,
        event: Event,
        by: By,
        shares: Shares,
        now: datetime,
        *,
        resolution: str,
        buyer_percent: int | None = None,
        notes: str = "",
        data: Mapping[str, Any] = MappingProxyType({}),
    ) -> Ended:
        """Ends a locked deal so, and closes its open dispute as RESOLVED in the same unit. The
        timeline keeps `data`.
        """
        whole = not shares.seller and not shares.fee
        edge_of(escrow, event, by.actor, Status.REFUNDED if whole else Status.COMPLETED)
        dispute = await disputes.open_dispute_of(conn, escrow.id)
        if dispute is not None:
            await disputes.close(
                conn,
                dispute.id,
                DisputeStatus.RESOLVED,
                by,
                now,
                resolution=resolution,
                buyer_percent=buyer_percent,
                notes=notes or None,
            )
        said = {"resolution": resolution, "notes": notes, **data}
        kept = {name: value for name, value in said.items() if value}
        ending = endings.Ending(
            escrow, event, by, shares.seller, shares.buyer, shares.fee, data=kept
        )
        payouts = await endings.finish(conn, [ending], self._payouts, now)
        return Ended(await escrows.get(conn, escrow.id), shares, payouts)

    async def _tell(
        self, kind: str, conn: Connection, ended: Ended, now: datetime, **values: Any
    ) -> None:
        """Tells both sides who got exactly what."""
        escrow = ended.escrow
        notices = [
            Notice(
                f"end:{escrow.id}",
                kind,
                person,
                {
                    **facts(escrow, role),
                    **parts(ended.shares),
                    "payout": endings.payout_values(ended.payouts.get((escrow.id, role))),
                    **values,
                },
                escrow.id,
            )
            for role, person in sides(escrow)
        ]
        await outbox.queue(conn, notices, now)


def edge_of(escrow: Escrow, event: Event, actor: Actor, target: Status | None = None) -> Edge:
    """The edge of FLOW; an `IllegalMove` that says where the deal stands."""
    try:
        return flow.next_edge(escrow.status, event, actor, target=target)
    except IllegalMove as error:
        raise IllegalMove(
            "wrong_status", code=escrow.id, status=str(escrow.status), event=str(event)
        ) from error


async def was_first(conn: Connection, escrow_id: str) -> NotAllowed:
    """Who moved the deal last, how and when: for whoever came too late."""
    event, role, at, name = await actions.last_move(conn, escrow_id)
    return NotAllowed("decided_before", code=escrow_id, event=event, role=role, by=name, at=at)


def must_allow(escrow: Escrow, event: Event) -> None:
    """`IllegalMove` when nobody could cause that event where the deal stands."""
    if escrow.status not in flow.sources_of(event):
        raise IllegalMove(
            "wrong_status", code=escrow.id, status=str(escrow.status), event=str(event)
        )


def running_clock(escrow: Escrow, status: Status) -> tuple[str, datetime] | None:
    """The deadline that runs in that status: its column and its time; None where none does."""
    column = _CLOCKS.get(status)
    stored = getattr(escrow, column) if column else None
    return (column, stored) if column and stored else None


def later_clock(escrow: Escrow, status: Status, by: timedelta) -> dict[str, Any]:
    """That deadline moved by a span, as arguments of a Move."""
    found = running_clock(escrow, status)
    return {found[0]: found[1] + by} if found else {}


def sides(escrow: Escrow) -> list[tuple[str, int]]:
    """(role, Telegram id) of both parties."""
    both = [("buyer", escrow.buyer_telegram_id), ("seller", escrow.seller_telegram_id)]
    return [(role, person) for role, person in both if person is not None]


def facts(escrow: Escrow, role: str) -> dict[str, Any]:
    """What every notice about a deal says to that side."""
    return {
        "code": escrow.id,
        "description": escrow.description,
        "shop": escrow.shop_name,
        "role": role,
    }


def parts(shares: Shares) -> dict[str, str]:
    """A division as notices keep it."""
    return {"seller": str(shares.seller), "buyer": str(shares.buyer), "fee": str(shares.fee)}


def noted(text: str) -> str:
    """An admin's notes or reason: one text without control characters that no column takes."""
    kept = text.replace("\x00", " ").strip()
    if len(kept) > NOTES_CHARS:
        raise InvalidInput("too_long", maximum=NOTES_CHARS)
    return kept
