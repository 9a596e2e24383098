"""Offers as rows: made for a deal as it stands, found by cause, closed once."""

from __future__ import annotations

from escrow.domain.model import OfferKind
from escrow.domain.money import Currency, Money
from escrow.domain.terms import Shares
from escrow.store import escrows, offers
from escrow.store.database import Database
from tests.store.books import BUYER, DISPUTED, HELD, NOW, SELLER


def kes(minor: int) -> Money:
    return Money(minor, Currency.KES)


async def test_an_offer_to_settle_keeps_its_parts(world_db: Database) -> None:
    shares = Shares(kes(50_00), kes(52_50), kes(2_50))
    async with world_db.unit() as conn:
        escrow = await escrows.lock(conn, DISPUTED)
        made = await offers.insert(
            conn,
            escrow,
            OfferKind.SETTLE,
            BUYER,
            cause="update:77",
            now=NOW,
            shares=shares,
            buyer_percent=50,
        )
    assert (made.seller, made.buyer, made.fee) == (shares.seller, shares.buyer, shares.fee)
    assert (made.version, made.buyer_percent, made.hours) == (escrow.version, 50, None)
    async with world_db.reading() as conn:
        assert await offers.by_cause(conn, "update:77") == made
        assert await offers.open_of(conn, DISPUTED) == made
        assert await offers.get(conn, made.id + 1) is None


async def test_an_offer_is_closed_once(world_db: Database) -> None:
    async with world_db.unit() as conn:
        escrow = await escrows.lock(conn, HELD)
        made = await offers.insert(
            conn, escrow, OfferKind.EXTEND, SELLER, cause="update:78", now=NOW, hours=48
        )
        assert await offers.close(conn, made.id, "declined", BUYER, NOW)
        assert not await offers.close(conn, made.id, "accepted", BUYER, NOW)
        closed = await offers.get(conn, made.id)
        assert closed is not None
        assert (closed.closed_as, closed.closed_by, closed.hours) == ("declined", BUYER, 48)
        assert await offers.open_of(conn, HELD) is None
