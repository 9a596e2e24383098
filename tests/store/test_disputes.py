"""Disputes as rows: one is open, taken once, closed once, answered once."""

from __future__ import annotations

from datetime import timedelta

from escrow.domain.flow import Actor, Status
from escrow.domain.model import By, DisputeStatus
from escrow.store import disputes
from escrow.store.database import Database
from tests.store.books import ADMIN, BUYER, DISPUTED, HELD, NOW, SELLER

BY = By(Actor.ADMIN, ADMIN)
OTHER = ADMIN + 1


async def test_the_open_dispute_of_a_deal_is_found(world_db: Database) -> None:
    async with world_db.reading() as conn:
        found = await disputes.open_dispute_of(conn, DISPUTED)
        assert found is not None
        assert found.is_open
        assert (found.raised_by, found.disputed_from) == (BUYER, Status.SHIPPED)
        assert await disputes.last_of(conn, DISPUTED) == found
        assert await disputes.open_dispute_of(conn, HELD) is None
        assert await disputes.last_of(conn, HELD) is None
        assert await disputes.by_cause(conn, DISPUTED, "update:1") is None
        assert not await disputes.withdrawn(conn, DISPUTED)
        assert await disputes.open_disputes(conn, NOW, 10) == [found]
        assert await disputes.count_open(conn) == 1


async def test_a_dispute_is_taken_answered_and_closed_once(world_db: Database) -> None:
    async with world_db.reading() as conn:
        transaction = conn.transaction()
        await transaction.start()
        found = await disputes.open_dispute_of(conn, DISPUTED)
        assert found is not None
        assert not await disputes.answered(conn, found.id, BUYER, NOW)
        assert await disputes.answered(conn, found.id, SELLER, NOW)
        assert not await disputes.answered(conn, found.id, SELLER, NOW + timedelta(hours=1))
        taken = await disputes.take(conn, found.id, ADMIN, [ADMIN], NOW)
        assert taken is not None
        assert (taken.status, taken.taken_by) == (DisputeStatus.UNDER_REVIEW, ADMIN)
        assert await disputes.take(conn, found.id, ADMIN, [ADMIN], NOW) is None
        assert await disputes.take(conn, found.id, OTHER, [ADMIN, OTHER], NOW) is None
        later = await disputes.take(conn, found.id, OTHER, [OTHER], NOW)  # the first is none now
        assert later is not None
        assert later.taken_by == OTHER
        for first in (True, False):
            closed = await disputes.close(
                conn, found.id, DisputeStatus.RESOLVED, BY, NOW, resolution="buyer", notes="seen"
            )
            assert closed is first
        last = await disputes.last_of(conn, DISPUTED)
        assert last is not None
        assert (last.resolution, last.notes, last.closed_at) == ("buyer", "seen", NOW)
        assert not await disputes.answered(conn, found.id, SELLER, NOW)
        await transaction.rollback()
