"""Ratings in the store: one counts, the ones before stay; a seller's figures come from indexes."""

from escrow.store import ratings
from escrow.store.database import Database
from tests.store.books import BUYER, COMPLETED, LATER, NOW, REFUNDED


async def test_the_last_rating_counts_and_the_first_one_dates_it(world_db: Database) -> None:
    async with world_db.unit() as conn:
        await ratings.put(conn, REFUNDED, seller_id=1, buyer=BUYER, stars=2, words="Slow", now=NOW)
        await ratings.put(conn, REFUNDED, seller_id=1, buyer=BUYER, stars=4, words="", now=LATER)
        assert await ratings.current(conn, REFUNDED) == ratings.Rating(4, "", NOW)


async def test_what_waits_for_stars_is_what_is_over_and_has_none(world_db: Database) -> None:
    async with world_db.unit() as conn:
        assert await ratings.current(conn, REFUNDED) is None
        assert REFUNDED in await ratings.to_rate(conn, BUYER, 8)
        assert COMPLETED not in await ratings.to_rate(conn, BUYER, 8)


async def test_a_sellers_figures_count_what_ended_and_whose_fault_it_was(
    world_db: Database,
) -> None:
    async with world_db.unit() as conn:
        figures = await ratings.standing(conn, 1)
        assert figures is not None
        assert (figures.sales, figures.failed, figures.lost) == (1, 1, 0)
        assert (figures.ratings, figures.stars) == (1, 5)
        assert await ratings.standing(conn, 99) is None


async def test_a_sellers_figures_read_no_table_whole(world_db: Database) -> None:
    async with world_db.unit() as conn:
        await conn.execute("SET LOCAL enable_seqscan = off")
        plan = await conn.fetch("EXPLAIN " + ratings._SQL["standings"], [1])
    shown = "\n".join(row[0] for row in plan)
    assert "escrow_transactions_refunded" in shown
    assert "escrow_transactions_completed" in shown
    assert "Seq Scan" not in shown
