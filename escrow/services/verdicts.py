"""How admins end a funded deal: a dispute resolved, everything released, everything refunded. Each
is an `Effect`: shown first, done when it is confirmed (`services/actions`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from escrow.domain import phone
from escrow.domain.actions import Action, Preview
from escrow.domain.errors import InvalidInput, NotAllowed, NotFound
from escrow.domain.flow import Actor, Event, Status
from escrow.domain.model import By, Dispute, Escrow
from escrow.domain.money import Money
from escrow.domain.payouts import PayoutState
from escrow.domain.terms import Shares, Terms
from escrow.services import endings
from escrow.services.dividing import Dividing, Ended, edge_of, noted, parts, sides
from escrow.services.payout_booking import PayoutBooking, SettledLeg
from escrow.services.ports import Clock
from escrow.services.work import locked
from escrow.store import actions, disputes, escrows, ledger, payouts
from escrow.store.database import Connection, Database

RESOLVE: Final = "resolve"
REFUND: Final = "manual_refund"
RELEASE: Final = "manual_release"
_EVENTS: Final = {
    RESOLVE: Event.RESOLVE,
    REFUND: Event.MANUAL_REFUND,
    RELEASE: Event.MANUAL_RELEASE,
}
_PERCENT: Final = {"buyer": 100, "seller": 0}
_OF_A_PERSON: Final = frozenset({PayoutState.MANUAL, PayoutState.UNKNOWN})


def verdicts(
    database: Database,
    clock: Clock,
    platform: Terms,
    admins: Sequence[int],
    booking: PayoutBooking,
) -> list[Verdict]:
    """The three of them."""
    return [Verdict(kind, database, clock, platform, admins, booking) for kind in _EVENTS]


class Verdict(Dividing):
    """One of them. `params`: `decision` (buyer, seller, split), `percent` (the buyer's, of a split)
    and `notes` to resolve, `reason` for the others; target: the deal's code.
    """

    def __init__(
        self,
        kind: str,
        database: Database,
        clock: Clock,
        platform: Terms,
        admins: Sequence[int],
        booking: PayoutBooking,
    ) -> None:
        super().__init__(database, clock, platform, admins, booking)
        self.kind = kind
        self._event = _EVENTS[kind]

    async def preview(
        self, conn: Connection, target: str, params: Mapping[str, Any], admin: int, now: datetime
    ) -> Preview:
        """Who would get exactly what, where it would go, and what it closes. `NotAllowed` for a
        party and while another admin has the dispute, `IllegalMove` and `NotFound` as things stand.
        """
        escrow = await locked(conn, target)
        self._judge(escrow, admin)
        decision, percent, said = self._read(params)
        dispute = await self._allowed(conn, escrow, percent, admin)
        shares = self.preview_division(escrow, buyer_percent=percent)
        facts = {
            "code": escrow.id,
            "description": escrow.description,
            "status": str(escrow.status),
            "decision": decision,
            "percent": percent,
            "reason": said,
            "names": await _names(conn, escrow),
            **parts(shares),
            "ways": await self._ways(conn, escrow, shares, now),
            "dispute": {"by": dispute.raised_role, "reason": dispute.reason} if dispute else None,
            "owed": await _owed(conn, escrow),
            "waiting": await _waiting(conn, escrow),
        }
        people = frozenset(person for _, person in sides(escrow))
        return Preview(escrow.id, endings.whole(escrow), facts, people)

    async def perform(
        self, conn: Connection, action: Action, admin: int, now: datetime
    ) -> Mapping[str, Any]:
        """Ends the deal so, takes and closes its dispute, tells both sides."""
        escrow = await locked(conn, action.target)
        decision, percent, said = self._read(action.params)
        dispute = await self._allowed(conn, escrow, percent, admin)
        if dispute is not None and self.kind == RESOLVE:
            await disputes.take(conn, dispute.id, admin, self._admins, now)
        ended = await self._divide(
            conn,
            escrow,
            self._event,
            By(Actor.ADMIN, admin),
            self.preview_division(escrow, buyer_percent=percent),
            now,
            resolution=decision,
            buyer_percent=percent,
            notes=said,
            data={"cause": action.cause, **action.signed},
        )
        if self.kind == RESOLVE:
            told = {"decision": decision, "percent": percent, "notes": said}
            await self._tell("resolved", conn, ended, now, **told)
        else:
            kind = "admin_refunded" if self.kind == REFUND else "admin_released"
            await self._tell(kind, conn, ended, now, reason=said)
        return await _outcome(conn, ended)

    def _read(self, params: Mapping[str, Any]) -> tuple[str, int, str]:
        """(decision, the buyer's percent, the words)."""
        if self.kind != RESOLVE:
            said = noted(str(params.get("reason") or ""))
            return ("buyer", 100, said) if self.kind == REFUND else ("seller", 0, said)
        decision = str(params["decision"])
        named = params.get("percent")
        percent = _PERCENT.get(decision, 50 if named is None else int(named))
        split = decision == "split" and 1 <= percent <= 99
        if decision not in _PERCENT and not split:
            raise InvalidInput("usage", command="resolve_dispute")
        return decision, percent, noted(str(params.get("notes") or ""))

    async def _allowed(
        self, conn: Connection, escrow: Escrow, percent: int, admin: int
    ) -> Dispute | None:
        """The open dispute that it closes; to resolve it, it must be nobody else's. `NotFound`
        without one to resolve, `IllegalMove` where FLOW has no such end.
        """
        dispute = await disputes.open_dispute_of(conn, escrow.id)
        resolves = self.kind == RESOLVE
        if resolves and dispute is None and escrow.finished_at is None:
            raise NotFound("no_open_dispute", code=escrow.id)
        target = Status.REFUNDED if percent == 100 else Status.COMPLETED
        edge_of(escrow, self._event, Actor.ADMIN, target)
        if resolves and dispute is not None:
            await not_anothers(conn, dispute, admin, self._admins)
        return dispute

    async def _ways(
        self, conn: Connection, escrow: Escrow, shares: Shares, now: datetime
    ) -> dict[str, Any]:
        """Side → where its money would be sent; a side that is missing has it in the wallet."""
        amounts = {"buyer": shares.buyer, "seller": shares.seller}
        legs = [
            SettledLeg(escrow.id, role, person, amounts[role])
            for role, person in sides(escrow)
            if amounts[role]
        ]
        planned = await self._payouts.plan_settled(conn, legs, now)
        return {
            str(one.leg): {
                "amount": str(one.amount),
                "to": phone.mask(one.destination),
                **({"why": one.note} if one.note else {}),
            }
            for one in planned
        }


async def not_anothers(
    conn: Connection, dispute: Dispute, admin: int, admins: Sequence[int]
) -> None:
    """`NotAllowed` when another admin took it. Who is no admin any more has nothing."""
    taken = dispute.taken_by
    if taken is not None and taken != admin and taken in admins:
        by = await actions.name_of(conn, taken)
        raise NotAllowed("dispute_taken", by=by, at=dispute.taken_at, code=dispute.escrow_id)


async def _names(conn: Connection, escrow: Escrow) -> dict[str, str]:
    """How both sides are called; a seller like his shop."""
    buyer = escrow.buyer_telegram_id
    called = {"buyer": await actions.name_of(conn, buyer)} if buyer is not None else {}
    return {**called, "seller": escrow.shop_name}


async def _owed(conn: Connection, escrow: Escrow) -> str | None:
    """What a reversed payment of this deal left open; below zero, as what others owe us is."""
    amount = await ledger.balance(conn, "receivable", escrow.id, escrow.currency)
    return str(Money(abs(amount.minor), escrow.currency)) if amount else None


async def _waiting(conn: Connection, escrow: Escrow) -> dict[str, list[int]]:
    """Side → its payouts that wait for a person."""
    found = {}
    for role, person in sides(escrow):
        ids = [one.id for one in await payouts.of_person(conn, person) if one.state in _OF_A_PERSON]
        if ids:
            found[role] = sorted(ids)
    return found


async def _outcome(conn: Connection, ended: Ended) -> dict[str, Any]:
    after = await escrows.get(conn, ended.escrow.id)
    return {
        "code": after.id,
        "status": str(after.status),
        "names": await _names(conn, after),
        **parts(ended.shares),
        "payouts": {
            leg: endings.payout_values(one) for (_, leg), one in sorted(ended.payouts.items())
        },
    }
