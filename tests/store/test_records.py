"""What people sent with a deal, in the store: kept once, found again, fingerprinted once."""

from datetime import timedelta

from escrow.domain.model import Media, MediaKind, Purpose
from escrow.store import records
from escrow.store.database import Database
from tests.store.books import BUYER, HELD, LATER, NOW, SELLER

PHOTO = Media(MediaKind.PHOTO, "AgAC1", "u1", 1234, "the waybill")


async def test_a_record_is_kept_once_per_cause(world_db: Database) -> None:
    async with world_db.unit() as conn:
        number = await records.insert(
            conn, HELD, SELLER, Purpose.SHIPPING, PHOTO, cause="update:7", now=NOW
        )
        again = await records.insert(
            conn, HELD, SELLER, Purpose.SHIPPING, "other", cause="update:7", now=NOW
        )
        kept = await records.by_cause(conn, "update:7")
    assert number is not None
    assert again is None
    assert kept is not None
    assert (kept.id, kept.media, kept.purpose) == (number, PHOTO, Purpose.SHIPPING)


async def test_words_come_back_without_a_file_and_in_order(world_db: Database) -> None:
    async with world_db.unit() as conn:
        for number, words in enumerate(("one", "two"), 1):
            await records.insert(
                conn, HELD, BUYER, Purpose.MESSAGE, words, cause=f"u:{number}", now=NOW
            )
        found = await records.of_deal(conn, HELD)
        none = await records.of_deal(conn, HELD, [Purpose.EVIDENCE])
    assert [(one.words, one.media) for one in found] == [("one", None), ("two", None)]
    assert none == []


async def test_only_files_wait_for_a_fingerprint_newest_first(world_db: Database) -> None:
    async with world_db.unit() as conn:
        first, second = [
            await records.insert(conn, HELD, SELLER, Purpose.PHOTO, PHOTO, cause=cause, now=NOW)
            for cause in ("u:1", "u:2")
        ]
        assert first is not None
        assert second is not None
        await records.insert(conn, HELD, SELLER, Purpose.MESSAGE, "words", cause="u:3", now=NOW)
        due = await records.without_fingerprint(conn, tuple(Purpose), 10)
        assert [one.id for one in due] == [second, first]
        assert len(await records.without_fingerprint(conn, tuple(Purpose), 1)) == 1
        but = await records.without_fingerprint(conn, tuple(Purpose), 10, [second])
        assert [one.id for one in but] == [first]
        await records.add_fingerprint(conn, first, b"f" * 32, "", NOW)
        await records.add_fingerprint(conn, first, None, "gone", LATER)
        await records.add_fingerprint(conn, second, None, "too_large", NOW)
        assert await records.without_fingerprint(conn, tuple(Purpose), 10) == []
        found = await records.of_deal(conn, HELD, [Purpose.PHOTO])
    assert [(one.sha256, one.note) for one in found] == [(b"f" * 32, ""), (None, "too_large")]


async def test_what_was_sent_is_counted_since_a_time(world_db: Database) -> None:
    async with world_db.unit() as conn:
        await records.insert(conn, HELD, BUYER, Purpose.MESSAGE, "x", cause="u:1", now=NOW)
        since = NOW - timedelta(hours=1)
        assert await records.sent_since(conn, HELD, BUYER, Purpose.MESSAGE, since) == 1
        assert await records.sent_since(conn, HELD, BUYER, Purpose.MESSAGE, NOW) == 0
        assert await records.sent_since(conn, HELD, SELLER, Purpose.MESSAGE, since) == 0
