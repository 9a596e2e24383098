"""Patterns of fraud: the three rules of flow.md 19 at their edges, one open flag per person and
type, and what was reviewed comes back only with something new.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from escrow.domain.model import Escrow, FraudFlag
from escrow.services.batches import Tally
from escrow.services.patterns import FraudPatterns
from escrow.store import flags as flag_store
from tests.world import ADMIN, ADMINS, BRIAN, JANE, OTIENO, SECOND_ADMIN, World

SECOND = timedelta(seconds=1)


def _patterns(world: World) -> FraudPatterns:
    return FraudPatterns(world.db, world.clock, world.terms, ADMINS)


async def _detect(world: World) -> Tally:
    tally = await _patterns(world).detect()
    assert tally.failed == 0
    return tally


async def _flags(world: World) -> list[FraudFlag]:
    found, _ = await world.flags.open_ones(0, 50)
    return [flag for flag in found if flag.flag_type != "unshipped_order"]


async def _types(world: World) -> list[tuple[int, str]]:
    return sorted((flag.telegram_id, flag.flag_type) for flag in await _flags(world))


async def _paid(world: World, buyer: int = BRIAN) -> Escrow:
    deal = await world.deal(1_000, buyer=buyer)
    await world.pay(deal, 1_050, buyer=buyer)
    return deal


async def _disputed(world: World, buyer: int = BRIAN, by: int | None = None) -> Escrow:
    deal = await _paid(world, buyer)
    await world.escrows.dispute(deal.id, by or buyer, "It is a fake", cause=f"test:{deal.id}")
    return deal


async def _fill(world: World, count: int) -> None:
    """Deals that keep the seller's rate low."""
    for _ in range(count):
        await _paid(world, OTIENO)


# -- three disputes in thirty days ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("passed", "flagged"),
    [
        (timedelta(days=30) - SECOND, True),
        (timedelta(days=30), True),
        (timedelta(days=30) + SECOND, False),
    ],
)
async def test_three_disputes_in_thirty_days_flag_the_buyer(
    world: World, passed: timedelta, flagged: bool
) -> None:
    await _fill(world, 20)
    deals = [await _disputed(world)]
    world.clock.at += passed
    await _fill(world, 20)
    deals += [await _disputed(world)]
    await _detect(world)
    assert await _types(world) == []
    deals += [await _disputed(world)]
    await _detect(world)
    assert await _types(world) == ([(BRIAN, "multiple_disputes")] if flagged else [])
    if flagged:
        (flag,) = await _flags(world)
        assert (flag.severity, flag.user_type) == ("HIGH", "buyer")
        assert flag.rule == "3 disputes in 30 days"
        assert flag.deals == tuple(deal.id for deal in reversed(deals))
        for admin in ADMINS:
            assert (await world.notice(admin, "flag_raised"))["deals"] == list(flag.deals)


async def test_a_sellers_own_disputes_are_not_a_buyers(world: World) -> None:
    for _ in range(4):
        await _disputed(world, by=JANE)
    await _detect(world)
    assert await _types(world) == []


async def test_disputes_of_three_buyers_are_no_pattern_of_one(world: World) -> None:
    await _fill(world, 10)
    for buyer in (BRIAN, BRIAN, OTIENO):
        await _disputed(world, buyer)
    await _detect(world)
    assert await _types(world) == []


async def test_a_dispute_that_was_taken_back_was_raised_all_the_same(world: World) -> None:
    await _fill(world, 10)
    deal = await _disputed(world)
    await world.escrows.withdraw_dispute(deal.id, BRIAN)
    world.clock.tick(hours=1)
    await world.escrows.dispute(deal.id, BRIAN, "It is a fake", cause="test:again")
    world.clock.tick(hours=1)
    other = await _disputed(world)
    await _detect(world)
    (flag,) = await _flags(world)
    assert (flag.rule, flag.deals) == ("3 disputes in 30 days", (other.id, deal.id))


# -- more than 30 % disputed ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("disputed", "fine", "flagged"),
    [
        (4, 0, False),  # fewer than five deals
        (1, 3, False),
        (2, 3, True),  # 40 %
        (1, 4, False),  # 20 %
        (3, 7, False),  # exactly 30 %
        (4, 9, True),  # 30.8 %
        (4, 10, False),  # 28.6 %
    ],
)
async def test_more_than_thirty_percent_of_five_deals_flag_the_seller(
    world: World, disputed: int, fine: int, flagged: bool
) -> None:
    buyers = (BRIAN, OTIENO)
    for number in range(disputed):
        await _disputed(world, buyers[number % 2])
    await _fill(world, fine)
    await _detect(world)
    assert await _types(world) == ([(JANE, "high_dispute_rate")] if flagged else [])
    if flagged:
        (flag,) = await _flags(world)
        assert (flag.severity, flag.user_type, flag.shop_name) == (
            "CRITICAL",
            "seller",
            "Jane Shop",
        )
        assert flag.rule == f"{disputed} of {disputed + fine} deals in 60 days, above 30 %"
        assert len(flag.deals) == disputed
        assert await world.told(ADMIN) == [
            *(kind for kind in await world.told(ADMIN) if kind != "flag_raised"),
            "flag_raised",
        ]


@pytest.mark.parametrize(
    ("passed", "flagged"),
    [
        (timedelta(days=60) - SECOND, True),
        (timedelta(days=60), True),
        (timedelta(days=60) + SECOND, False),
    ],
)
async def test_deals_count_by_when_they_were_paid(
    world: World, passed: timedelta, flagged: bool
) -> None:
    slow = world.configured(ship_window=timedelta(days=300))
    for _ in range(2):
        await _disputed(slow)
    await _fill(slow, 3)
    world.clock.at += passed
    await _detect(world)
    assert await _types(world) == ([(JANE, "high_dispute_rate")] if flagged else [])


async def test_what_was_taken_back_lost_or_raised_by_the_seller_is_no_reason(world: World) -> None:
    taken_back, lost, _ = (
        await _disputed(world),
        await _disputed(world),
        await _disputed(world, OTIENO, by=JANE),
    )
    await world.escrows.withdraw_dispute(taken_back.id, BRIAN)
    await world.resolve(lost.id, ADMIN, "seller")
    await _fill(world, 3)
    await _detect(world)
    assert await _types(world) == []
    split = await _disputed(world, OTIENO)
    await world.resolve(split.id, ADMIN, "split")
    await _detect(world)
    assert await _types(world) == [], "1 of 7"
    for _ in range(2):
        await world.resolve((await _disputed(world, OTIENO)).id, ADMIN, "buyer")
    await _detect(world)
    assert (JANE, "high_dispute_rate") in await _types(world), "3 of 9"


# -- three refunds in fourteen days --------------------------------------------------------------


async def _refunded(world: World, how: str) -> Escrow:
    deal = await _paid(world)
    if how == "resolved":
        await world.escrows.dispute(deal.id, BRIAN, "It is a fake", cause=f"test:{deal.id}")
        await world.resolve(deal.id, ADMIN, "buyer")
    elif how == "manual":
        await world.manual_refund(deal.id, ADMIN, "a mistake")
    elif how == "settled":
        offer = await world.escrows.offer_settlement(
            deal.id, JANE, buyer_percent=100, cause=f"test:{deal.id}"
        )
        await world.escrows.accept_offer(offer.id, BRIAN)
    elif how == "shared":
        offer = await world.escrows.offer_settlement(
            deal.id, JANE, buyer_percent=99, cause=f"test:{deal.id}"
        )
        await world.escrows.accept_offer(offer.id, BRIAN)
    elif how == "declined":
        await world.escrows.decline(deal.id, JANE)
    else:
        assert how == "unshipped"
        world.clock.tick(hours=73)
        await world.escrows.refund_due()
    return deal


@pytest.mark.parametrize(
    ("how", "counts"),
    [
        ("resolved", True),
        ("manual", True),
        ("settled", True),
        ("shared", False),
        ("declined", False),
        ("unshipped", False),
    ],
)
async def test_only_refunds_that_somebody_decided_count(
    world: World, how: str, counts: bool
) -> None:
    for other in ("manual", "settled"):
        await _refunded(world, other)
    await _refunded(world, how)
    await _detect(world)
    found = [flag for flag in await _flags(world) if flag.flag_type == "multiple_refunds"]
    assert len(found) == counts
    if counts:
        assert (found[0].severity, found[0].rule) == ("MEDIUM", "3 refunds in 14 days")
        assert len(set(found[0].deals)) == 3
        assert "flag_raised" not in await world.told(ADMIN), "MEDIUM waits in the list"


@pytest.mark.parametrize(
    ("passed", "flagged"),
    [
        (timedelta(days=14) - SECOND, True),
        (timedelta(days=14), True),
        (timedelta(days=14) + SECOND, False),
    ],
)
async def test_three_refunds_in_fourteen_days_flag_the_buyer(
    world: World, passed: timedelta, flagged: bool
) -> None:
    await _refunded(world, "manual")
    world.clock.at += passed
    for _ in range(2):
        await _refunded(world, "manual")
    await _detect(world)
    assert await _types(world) == ([(BRIAN, "multiple_refunds")] if flagged else [])


# -- one flag, however often it is looked --------------------------------------------------------


async def test_repeated_and_raced_runs_raise_and_tell_one_flag(world: World) -> None:
    await _fill(world, 10)
    for _ in range(3):
        await _disputed(world)
    async with world.restarted() as other:
        await asyncio.gather(*(_patterns(one).detect() for one in (world, other) for _ in "123"))
    await _detect(world)
    assert await _types(world) == [(BRIAN, "multiple_disputes")]
    assert (await world.told(ADMIN)).count("flag_raised") == 1


async def test_what_was_reviewed_comes_back_only_with_something_new(world: World) -> None:
    await _fill(world, 20)
    for _ in range(3):
        await _disputed(world)
    await _detect(world)
    (flag,) = await _flags(world)
    await world.flags.review(flag.id, SECOND_ADMIN, "talked to him", "update:1")
    world.clock.tick(days=1)
    assert await _detect(world) == Tally()
    assert await _flags(world) == []
    newest = await _disputed(world)
    assert await _detect(world) == Tally(1, 1)
    (again,) = await _flags(world)
    assert again.rule == "4 disputes in 30 days"
    assert again.deals[0] == newest.id


async def test_one_bad_suspect_stops_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _fill(world, 20)
    for buyer in (BRIAN, OTIENO):
        for _ in range(3):
            await _disputed(world, buyer)
    real = flag_store.insert

    async def poisoned(conn, telegram_id, **said):  # type: ignore[no-untyped-def]
        if telegram_id == BRIAN:
            raise ValueError("poison")
        return await real(conn, telegram_id, **said)

    monkeypatch.setattr(flag_store, "insert", poisoned)
    assert await _patterns(world).detect() == Tally(2, 1, 1)
    assert await _types(world) == [(OTIENO, "multiple_disputes")]
    monkeypatch.undo()
    assert await _detect(world) == Tally(1, 1)


async def test_thresholds_and_windows_are_settings(world: World) -> None:
    strict = world.configured(disputes_before_flag=2, dispute_days=7)
    await _fill(world, 10)
    await _disputed(world)
    await _disputed(world)
    await _detect(strict)
    (flag,) = await _flags(world)
    assert flag.rule == "2 disputes in 7 days"
