"""People and sellers in the store: known from their first word, verified once."""

from escrow.domain.model import Person, Seller, SellerStatus
from escrow.store import people
from escrow.store.database import Database
from tests.store.books import ADMIN, BUYER, LATER, NOW, PHONE, SELLER, STRANGER


async def test_somebody_is_known_from_his_first_word(db: Database) -> None:
    async with db.unit() as conn:
        assert await people.person(conn, 7) is None
        await people.seen(conn, 7, "Wanjiku", "wanji", "sw", NOW)
        assert await people.person(conn, 7) == Person(7, "Wanjiku", "wanji", "sw", None, False)


async def test_a_changed_name_is_taken_and_a_language_only_the_first_time(db: Database) -> None:
    async with db.unit() as conn:
        await people.seen(conn, 7, "Wanjiku", "wanji", "sw", NOW)
        await people.seen(conn, 7, "W.", None, "en", LATER)
        assert await people.person(conn, 7) == Person(7, "W.", None, "sw", None, False)
        await people.set_language(conn, 7, "en")
        await people.seen(conn, 7, "W.", None, "sw", LATER)
        found = await people.person(conn, 7)
    assert found is not None
    assert found.language == "en"


async def test_a_number_is_kept_with_who_vouches_for_it(db: Database) -> None:
    async with db.unit() as conn:
        await people.seen(conn, 7, "Wanjiku", None, "sw", NOW)
        await people.set_phone(conn, 7, PHONE, is_contact=True)
        found = await people.person(conn, 7)
    assert found is not None
    assert (found.phone, found.phone_is_contact) == (PHONE, True)


async def test_who_blocked_the_bot_is_unreachable_until_he_writes_again(db: Database) -> None:
    async with db.unit() as conn:
        await people.seen(conn, 7, "Wanjiku", None, "sw", NOW)
        assert await people.started(conn, [7, 8]) == {7}
        await people.unreachable(conn, 7, NOW)
        await people.unreachable(conn, 7, LATER)
        found = await people.person(conn, 7)
        assert found is not None
        assert found.unreachable_at == NOW
        assert await people.started(conn, [7, 8]) == set()
        await people.seen(conn, 7, "Wanjiku", None, "sw", LATER)
        assert await people.started(conn, [7]) == {7}


async def test_a_person_is_a_seller_once(world_db: Database) -> None:
    async with world_db.unit() as conn:
        row = await people.insert_seller(conn, STRANGER, "New Shop", PHONE, NOW)
        assert row is not None
        assert await people.insert_seller(conn, STRANGER, "Other Shop", PHONE, NOW) is None
        seller = await people.seller_of(conn, STRANGER)
        assert seller == Seller(row, STRANGER, "New Shop", SellerStatus.PENDING, PHONE)
        assert await people.seller(conn, row) == seller
        assert await people.seller(conn, row, lock=True) == seller
        assert await people.seller_of(conn, BUYER) is None
        assert await people.seller(conn, 99) is None


async def test_a_seller_is_verified_once_and_that_lifts_a_suspension(world_db: Database) -> None:
    async with world_db.unit() as conn:
        assert await people.verify_seller(conn, 2, ADMIN, NOW)
        assert not await people.verify_seller(conn, 2, ADMIN, LATER)
        await conn.execute(
            "UPDATE escrow_sellers SET status = 'SUSPENDED', suspended_at = now(),"
            " suspension_reason = 'late' WHERE id = 2"
        )
        assert await people.verify_seller(conn, 2, ADMIN, LATER)
        row = await conn.fetchrow("SELECT * FROM escrow_sellers WHERE id = 2")
    assert row is not None
    assert (row["status"], row["verified_at"], row["verified_by"]) == ("VERIFIED", LATER, ADMIN)
    assert (row["suspended_at"], row["suspension_reason"]) == (None, None)


async def test_every_change_of_a_seller_can_be_kept(world_db: Database) -> None:
    async with world_db.unit() as conn:
        await people.add_seller_history(
            conn, 2, SellerStatus.VERIFIED, f"admin:{ADMIN}", "verified", NOW
        )
        rows = await conn.fetch("SELECT * FROM seller_history WHERE seller_id = 2")
    assert [(row["status"], row["actor"], row["reason"], row["at"]) for row in rows] == [
        ("VERIFIED", f"admin:{ADMIN}", "verified", NOW)
    ]


async def test_completed_deals_of_a_seller_are_counted(world_db: Database) -> None:
    async with world_db.reading() as conn:
        assert await people.completed_deals(conn, 1) == 1
        assert await people.completed_deals(conn, 2) == 0


async def test_a_dialogue_is_kept_moved_on_and_ended(db: Database) -> None:
    async with db.unit() as conn:
        assert await people.conversation(conn, SELLER) is None
        await people.set_conversation(conn, SELLER, "price", {"text": "case"}, NOW)
        assert await people.conversation(conn, SELLER) == ("price", {"text": "case"})
        await people.set_conversation(conn, SELLER, "confirm", {"price": 1500}, LATER)
        assert await people.conversation(conn, SELLER) == ("confirm", {"price": 1500})
        await people.end_conversation(conn, SELLER)
        assert await people.conversation(conn, SELLER) is None
