"""What both sides decide together: a settlement, more time. One offers, the other accepts, and it
is done at once; an offer is void as soon as the deal has another version.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from escrow.domain.errors import EscrowMoved, InvalidInput, LimitReached, NotAllowed, NotFound
from escrow.domain.flow import Actor, Event, Status
from escrow.domain.model import By, Escrow, Notice, Offer, OfferKind
from escrow.domain.money import Money
from escrow.domain.terms import Shares
from escrow.services.dividing import (
    Dividing,
    edge_of,
    facts,
    must_allow,
    parts,
    running_clock,
    sides,
)
from escrow.services.work import locked, party_of
from escrow.store import escrows, offers, outbox
from escrow.store.database import Connection

EXTEND_HOURS: Final = 72
OFFERS_A_DAY: Final = 5
"""By one side on one deal: each is a message to the other one."""
_BOTH: Final = By(Actor.PARTIES)


class Offers(Dividing):
    """settle and extend."""

    async def offer_settlement(
        self,
        typed: str,
        telegram_id: int,
        *,
        buyer_percent: int | None = None,
        seller_fixed: Money | None = None,
        cause: str,
    ) -> Offer:
        """A side offers a division of everything held: the buyer's percent (0–100), or a fixed
        amount for the seller. It takes the place of the open offer. The same cause again, or the
        same offer while it stands, is the same offer.
        """

        async def work(conn: Connection) -> Offer:
            escrow = await locked(conn, typed)
            by = party_of(escrow, telegram_id)
            before = await _made_by(conn, cause, telegram_id)
            if before is not None:
                return before
            edge_of(escrow, Event.SETTLE, Actor.PARTIES, Status.COMPLETED)
            shares = self.preview_division(
                escrow, buyer_percent=buyer_percent, seller_fixed=seller_fixed
            )
            standing = await offers.open_of(conn, escrow.id)
            if _stands(standing, escrow, telegram_id) and _shares(standing) == shares:
                assert standing is not None  # noqa: S101 it stands
                return standing
            now = self._clock.now()
            await _not_too_many(conn, escrow, telegram_id, now)
            await _replace(conn, standing, telegram_id, now)
            made = await offers.insert(
                conn,
                escrow,
                OfferKind.SETTLE,
                telegram_id,
                cause=cause,
                now=now,
                shares=shares,
                buyer_percent=buyer_percent,
            )
            await escrows.note(conn, escrow.id, "settle_offered", by, now, **_minor(shares))
            notices = _tell("settle_offered", escrow, by, made, parts(shares))
            await outbox.queue(conn, notices, now)
            return made

        return await self._db.run(work)

    async def offer_extension(self, typed: str, telegram_id: int, hours: int, cause: str) -> Offer:
        """A side offers more time, 1 to 72 hours: to ship (HELD), or until the seller is paid
        (SHIPPED). Accepted once per deal. Repeats as for a settlement.
        """
        if not 1 <= hours <= EXTEND_HOURS:
            raise InvalidInput("extend_hours", maximum=EXTEND_HOURS)

        async def work(conn: Connection) -> Offer:
            escrow = await locked(conn, typed)
            by = party_of(escrow, telegram_id)
            before = await _made_by(conn, cause, telegram_id)
            if before is not None:
                return before
            edge_of(escrow, Event.EXTEND, Actor.PARTIES)
            must_extend(escrow)
            standing = await offers.open_of(conn, escrow.id)
            if _stands(standing, escrow, telegram_id) and standing and standing.hours == hours:
                return standing
            now = self._clock.now()
            await _not_too_many(conn, escrow, telegram_id, now)
            await _replace(conn, standing, telegram_id, now)
            made = await offers.insert(
                conn, escrow, OfferKind.EXTEND, telegram_id, cause=cause, now=now, hours=hours
            )
            await escrows.note(conn, escrow.id, "extend_offered", by, now, hours=hours)
            until = _until(escrow, hours, now)
            values = {"hours": hours, "until": until, "status": str(escrow.status)}
            await outbox.queue(conn, _tell("extend_offered", escrow, by, made, values), now)
            return made

        return await self._db.run(work)

    async def accept_offer(self, offer_id: int, telegram_id: int) -> Escrow:
        """The other side says yes: it is done at once, and both are told. Again: the first answer.
        `EscrowMoved` when the offer is closed or the deal changed since.
        """

        async def work(conn: Connection) -> Escrow:
            offer, escrow = await _locked_offer(conn, offer_id, telegram_id)
            if offer.closed_as == "accepted" and offer.closed_by == telegram_id:
                return escrow
            if offer.offered_by == telegram_id:
                raise NotAllowed("own_offer")
            now = self._clock.now()
            await _close(conn, offer, escrow, "accepted", telegram_id, now)
            if offer.kind is OfferKind.EXTEND:
                return await self._extend(conn, escrow, offer, now)
            return await self._settle(conn, escrow, offer, now)

        return await self._db.run(work)

    async def _settle(
        self, conn: Connection, escrow: Escrow, offer: Offer, now: datetime
    ) -> Escrow:
        shares = _shares(offer)
        assert shares is not None  # noqa: S101 PostgreSQL checks it
        ended = await self._divide(
            conn,
            escrow,
            Event.SETTLE,
            _BOTH,
            shares,
            now,
            resolution="settled",
            buyer_percent=offer.buyer_percent,
        )
        await self._tell("settled", conn, ended, now)
        return ended.escrow

    async def _extend(
        self, conn: Connection, escrow: Escrow, offer: Offer, now: datetime
    ) -> Escrow:
        edge = edge_of(escrow, Event.EXTEND, Actor.PARTIES)
        clocks = _extended(escrow, offer.hours or 0, now)
        data = {"offer": offer.id, "hours": offer.hours}
        await escrows.move(conn, [escrows.Move(escrow.id, edge, _BOTH, now, data=data, **clocks)])
        after = await escrows.get(conn, escrow.id)
        clock = running_clock(after, after.status)
        values = {
            "hours": offer.hours,
            "status": str(after.status),
            "until": clock[1].isoformat() if clock else None,
        }
        notices = [
            Notice(
                f"offer:{offer.id}", "extended", person, {**facts(after, role), **values}, after.id
            )
            for role, person in sides(after)
        ]
        await outbox.queue(conn, notices, now)
        return after

    async def decline_offer(self, offer_id: int, telegram_id: int) -> Offer:
        """The other side says no and the one who offered is told; or he takes it back himself.
        Again: the first answer.
        """

        async def work(conn: Connection) -> Offer:
            offer, escrow = await _locked_offer(conn, offer_id, telegram_id)
            mine = offer.offered_by == telegram_id
            closes_as = "withdrawn" if mine else "declined"
            if offer.closed_as == closes_as and offer.closed_by == telegram_id:
                return offer
            now = self._clock.now()
            by = party_of(escrow, telegram_id)
            await _close(conn, offer, escrow, closes_as, telegram_id, now)
            await escrows.note(conn, escrow.id, f"offer_{closes_as}", by, now, offer=offer.id)
            if not mine:
                values = {"kind": str(offer.kind)}
                notices = _tell("offer_declined", escrow, by, offer, values)
                await outbox.queue(conn, notices, now)
            closed = await offers.get(conn, offer.id)
            assert closed is not None  # noqa: S101 offers are never deleted
            return closed

        return await self._db.run(work)


async def _made_by(conn: Connection, cause: str, telegram_id: int) -> Offer | None:
    found = await offers.by_cause(conn, cause)
    return found if found is not None and found.offered_by == telegram_id else None


async def _locked_offer(conn: Connection, offer_id: int, telegram_id: int) -> tuple[Offer, Escrow]:
    """An offer on one's deal, the deal locked and the offer read under the lock."""
    named = await offers.get(conn, offer_id)
    if named is None:
        raise NotFound("offer_gone")
    escrow = await escrows.lock(conn, named.escrow_id)
    party_of(escrow, telegram_id)
    offer = await offers.get(conn, offer_id)
    assert offer is not None  # noqa: S101 offers are never deleted
    return offer, escrow


async def _close(
    conn: Connection, offer: Offer, escrow: Escrow, closes_as: str, by: int, now: datetime
) -> None:
    """Closes an offer that still stands. `EscrowMoved` when it is dead."""
    if offer.closed_as is not None or offer.version != escrow.version:
        raise EscrowMoved("offer_gone", deal=escrow.id)
    await offers.close(conn, offer.id, closes_as, by, now)


async def _not_too_many(conn: Connection, escrow: Escrow, person: int, now: datetime) -> None:
    made = await offers.made_since(conn, escrow.id, person, now - timedelta(days=1))
    if made >= OFFERS_A_DAY:
        raise LimitReached("too_many_offers", limit=OFFERS_A_DAY)


async def _replace(conn: Connection, standing: Offer | None, by: int, now: datetime) -> None:
    if standing is not None:
        await offers.close(conn, standing.id, "replaced", by, now)


def must_extend(escrow: Escrow) -> None:
    """More time can be offered where the flow allows it, once per deal."""
    must_allow(escrow, Event.EXTEND)
    if escrow.extended_at is not None:
        raise LimitReached("extended_before")


def _extended(escrow: Escrow, hours: int, now: datetime) -> dict[str, Any]:
    """The deadline with that many hours more, as arguments of a Move; one that is over starts
    anew.
    """
    found = running_clock(escrow, escrow.status)
    return {found[0]: max(found[1], now) + timedelta(hours=hours)} if found else {}


def _until(escrow: Escrow, hours: int, now: datetime) -> str | None:
    """The deadline with that many hours more."""
    clocks = _extended(escrow, hours, now)
    return next((at.isoformat() for at in clocks.values()), None)


def _stands(offer: Offer | None, escrow: Escrow, telegram_id: int) -> bool:
    """Whether that is this person's own offer for the deal as it is."""
    return offer is not None and offer.version == escrow.version and offer.offered_by == telegram_id


def _shares(offer: Offer | None) -> Shares | None:
    if offer is None or offer.seller is None or offer.buyer is None or offer.fee is None:
        return None
    return Shares(offer.seller, offer.buyer, offer.fee)


def _minor(shares: Shares) -> dict[str, int]:
    return {
        "seller_minor": shares.seller.minor,
        "buyer_minor": shares.buyer.minor,
        "fee_minor": shares.fee.minor,
    }


def _tell(
    kind: str, escrow: Escrow, by: By, offer: Offer, values: Mapping[str, Any]
) -> list[Notice]:
    """What the other side is told of an offer."""
    return [
        Notice(
            f"offer:{offer.id}",
            kind,
            person,
            {**facts(escrow, role), "by": str(by.actor), "offer": offer.id, **values},
            escrow.id,
        )
        for role, person in sides(escrow)
        if person != by.telegram_id
    ]
