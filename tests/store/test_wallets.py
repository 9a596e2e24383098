"""What a person sees of his own money: movements page by page, and what is on its way."""

from __future__ import annotations

from escrow.domain.model import Entry, Journal
from escrow.domain.money import Currency, Money
from escrow.store import ledger, wallets
from escrow.store.database import Database
from tests.store.books import BUYER, NOW, PHONE, PRICE, SELLER

KES = Currency.KES


async def test_movements_come_newest_first_page_by_page(db: Database) -> None:
    journals = [
        Journal(
            "late_payment",
            f"test:{amount}",
            KES,
            (Entry("external", "mpesa:utility", -amount), Entry("wallet", "7", amount)),
            NOW,
        )
        for amount in (1, 2, 3)
    ]
    async with db.unit() as conn:
        await ledger.post(conn, journals)
    async with db.reading() as conn:
        first = await wallets.entries(conn, 7, 2, 0)
        second = await wallets.entries(conn, 7, 2, 2)
        assert await wallets.entries(conn, 8, 2, 0) == []
    assert [row["amount_minor"] for row in first + second] == [3, 2, 1]


async def test_what_is_on_the_way_is_what_has_not_arrived(world_db: Database) -> None:
    async with world_db.reading() as conn:
        assert await wallets.on_the_way(conn, BUYER) == [(Money(PRICE, KES), PHONE)]
        assert len(await wallets.on_the_way(conn, SELLER)) == 1  # the paid one is not among them


async def test_automatic_payouts_are_on_until_he_turns_them_off(world_db: Database) -> None:
    async with world_db.unit() as conn:
        assert await wallets.sends_by_itself(conn, BUYER)
        await wallets.set_auto_payout(conn, BUYER, on=False)
        assert not await wallets.sends_by_itself(conn, BUYER)
        assert await wallets.sends_by_itself(conn, SELLER)
