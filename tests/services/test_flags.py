"""Flags: grave ones are before the admins at once, each is reviewed once, and three deals not sent
in 30 days propose a suspension that nobody but an admin decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from escrow.domain.errors import InvalidInput, NotAllowed, NotFound
from escrow.domain.model import Escrow
from escrow.services.flags import raise_flag
from tests.world import ADMIN, ADMINS, BRIAN, JANE, SECOND_ADMIN, World


async def _raise(
    world: World, person: int = BRIAN, admins: Sequence[int] = ADMINS, **changes: Any
) -> int | None:
    values: dict[str, Any] = {
        "user_type": "buyer",
        "flag_type": "multiple_disputes",
        "severity": "HIGH",
        "escrow_id": None,
        "rule": "3 disputes in 30 days",
        "deals": ["ES1008257624"],
        "now": world.clock.now(),
        **changes,
    }
    async with world.db.unit() as conn:
        return await raise_flag(conn, admins, person, **values)


@pytest.mark.parametrize(
    ("severity", "told"), [("LOW", 0), ("MEDIUM", 0), ("HIGH", 1), ("CRITICAL", 1)]
)
async def test_grave_flags_are_before_every_admin_at_once(
    world: World, severity: str, told: int
) -> None:
    row = await _raise(world, severity=severity)
    for admin in ADMINS:
        assert await world.told(admin) == ["flag_raised"] * told
    if told:
        assert (await world.notice(ADMIN, "flag_raised"))["flag"] == row
        assert await world.value("SELECT cause FROM outbox LIMIT 1") == f"flag:{row}"


async def test_the_same_flag_is_raised_and_told_once(world: World) -> None:
    assert await _raise(world) is not None
    assert await _raise(world) is None
    assert await world.told(ADMIN) == ["flag_raised"]


async def test_an_admin_reads_nothing_of_a_flag_about_himself(world: World) -> None:
    await _raise(world, ADMIN)
    assert await world.told(ADMIN) == []
    assert await world.told(SECOND_ADMIN) == ["flag_raised"]


async def test_a_flag_is_reviewed_once_and_the_second_reads_by_whom(world: World) -> None:
    row = await _raise(world)
    assert row is not None
    flag, done = await world.flags.review(row, ADMIN, " talked  to him ", "update:1")
    assert (done, flag.review_notes, flag.reviewed_by) == (True, "talked to him", ADMIN)
    world.clock.tick(hours=1)
    again, done = await world.flags.review(row, SECOND_ADMIN, "nothing", "update:2")
    assert (done, again.review_notes, again.reviewed_by) == (False, "talked to him", ADMIN)
    assert again.reviewed_at == flag.reviewed_at
    first_answer, done = await world.flags.review(row, ADMIN, "talked to him", "update:1")
    assert (done, first_answer) == (True, flag)


async def test_two_admins_at_once_review_a_flag_once(world: World) -> None:
    row = await _raise(world)
    assert row is not None
    done = await asyncio.gather(
        *(world.flags.review(row, admin, str(admin), f"update:{admin}") for admin in ADMINS)
    )
    assert sorted(won for _, won in done) == [False, True]
    winner = next(flag for flag, won in done if won)
    assert all(flag == winner for flag, _ in done)


async def test_what_cant_be_reviewed_is_told_and_changes_nothing(world: World) -> None:
    with pytest.raises(NotFound):
        await world.flags.review(77, ADMIN, None, "update:1")
    row = await _raise(world, ADMIN)
    assert row is not None
    with pytest.raises(NotAllowed):
        await world.flags.review(row, ADMIN, None, "update:1")
    with pytest.raises(NotAllowed):
        await world.flags.open_one(row, ADMIN)
    with pytest.raises(InvalidInput):
        await world.flags.review(row, SECOND_ADMIN, "x" * 501, "update:1")
    assert (await world.flags.open_one(row, SECOND_ADMIN)).reviewed_at is None


async def _unsent(world: World, count: int) -> list[Escrow]:
    """Deals that Jane was paid for and did not send; nothing is due yet."""
    deals = []
    for _ in range(count):
        deal = await world.deal(1_000, buyer=BRIAN)
        await world.pay(deal, 1_050)
        deals.append(deal)
    return deals


async def test_three_deals_not_sent_in_thirty_days_propose_a_suspension(world: World) -> None:
    await _unsent(world, 2)
    world.clock.tick(days=4)
    await world.escrows.refund_due()
    assert "suspension_proposed" not in await world.told(ADMIN)
    deals = await _unsent(world, 1)
    world.clock.tick(days=4)
    assert await world.escrows.refund_due() == (1, 1)
    assert await world.escrows.refund_due() == (0, 0)
    for admin in ADMINS:
        assert (await world.told(admin)).count("suspension_proposed") == 1
    values = await world.notice(ADMIN, "suspension_proposed")
    assert (values["shop"], values["count"]) == ("Jane Shop", 3)
    assert values["deals"][0] == deals[0].id
    assert await world.value("SELECT status FROM escrow_sellers") == "VERIFIED"
    severities = await world.sql("SELECT DISTINCT severity FROM fraud_flags")
    assert [row["severity"] for row in severities] == ["MEDIUM"]


async def test_many_in_one_sweep_are_one_proposal(world: World) -> None:
    await _unsent(world, 5)
    world.clock.tick(days=4)
    assert await world.escrows.refund_due() == (5, 5)
    assert (await world.told(ADMIN)).count("suspension_proposed") == 1
    assert (await world.notice(ADMIN, "suspension_proposed"))["count"] == 5


async def test_old_ones_and_suspended_sellers_propose_nothing(world: World) -> None:
    await _unsent(world, 2)
    world.clock.tick(days=4)
    await world.escrows.refund_due()
    await _unsent(world, 1)
    world.clock.tick(days=31)
    await world.escrows.refund_due()
    assert "suspension_proposed" not in await world.told(ADMIN)
    await _unsent(world, 2)
    await world.people.suspend_seller(JANE, ADMIN, "Sold fakes")
    world.clock.tick(days=4)
    await world.escrows.refund_due()
    assert "suspension_proposed" not in await world.told(ADMIN)


async def test_a_shortage_flag_names_every_deal_behind_it(world: World) -> None:
    deals = []
    for _ in range(3):
        deal = await world.deal(10_000, buyer=BRIAN)
        await world.pay(deal, 10_499)
        deals.append(deal.id)
        world.clock.tick(minutes=1)
    found, counts = await world.flags.open_ones(0, 5)
    assert counts == {"LOW": 1}
    assert found[0].deals == (deals[2], deals[1], deals[0])
    assert await world.told(ADMIN) == []
