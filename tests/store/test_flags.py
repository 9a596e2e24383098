"""Flags in the store: open once, the worst first, reviewed once."""

from datetime import timedelta
from typing import Any

from escrow.store import flags
from escrow.store.database import Connection, Database
from tests.store.books import ADMIN, BUYER, HELD, NOW, SELLER


async def flag(conn: Connection, person: int = BUYER, **changes: Any) -> int | None:
    values: dict[str, Any] = {
        "user_type": "buyer",
        "flag_type": "repeated_shortage",
        "severity": "LOW",
        "escrow_id": HELD,
        "rule": "3 in 30 days",
        "deals": [HELD],
        "now": NOW,
        **changes,
    }
    return await flags.insert(conn, person, **values)


async def test_a_flag_is_open_once_until_somebody_has_looked(world_db: Database) -> None:
    async with world_db.unit() as conn:
        row = await flag(conn)
        assert row is not None
        assert await flag(conn) is None
        assert await flag(conn, flag_type="multiple_refunds") is not None
        found = await flags.one(conn, row)
        assert found is not None
        assert (found.rule, found.deals, found.severity) == ("3 in 30 days", (HELD,), "LOW")
        assert await flags.review(conn, row, ADMIN, None, "update:1", NOW)
        assert not await flags.review(conn, row, ADMIN, "again", "update:2", NOW)
        assert await flag(conn) is not None


async def test_the_worst_and_oldest_stand_first(world_db: Database) -> None:
    async with world_db.unit() as conn:
        await conn.execute("UPDATE fraud_flags SET reviewed_at = now(), reviewed_by = 1")
        made = [
            await flag(conn, flag_type="a", severity="MEDIUM"),
            await flag(conn, flag_type="b", severity="CRITICAL"),
            await flag(conn, flag_type="c", severity="MEDIUM", now=NOW - timedelta(days=1)),
            await flag(conn, SELLER, flag_type="d", severity="HIGH", user_type="seller"),
        ]
        listed = await flags.open_ones(conn, 0, 10)
        assert [one.id for one in listed] == [made[1], made[3], made[2], made[0]]
        assert listed[1].shop_name is not None
        assert [one.id for one in await flags.open_ones(conn, 1, 2)] == [made[3], made[2]]
        assert await flags.open_counts(conn) == {"CRITICAL": 1, "HIGH": 1, "MEDIUM": 2}
