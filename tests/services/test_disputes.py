"""A dispute stops the clock and ends by one decision; at whatever time, money moves once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from escrow.domain.errors import (
    CannotDo,
    IllegalMove,
    InvalidInput,
    LimitReached,
    NotAllowed,
    NotFound,
)
from escrow.domain.model import Dispute, DisputeStatus, Escrow
from escrow.store import disputes
from tests.world import ADMIN, ADMINS, BRIAN, JANE, OTIENO, SECOND_ADMIN, World, kes

ROUNDS = 200


async def funded(world: World, status: str = "HELD", price: int = 10_000) -> Escrow:
    """A deal of that price, paid by Brian, brought to that status by its events."""
    deal = await world.deal(price)
    await world.pay(deal, price + price // 20)
    if status in ("SHIPPED", "DELIVERED"):
        release = world.clock.now() + world.terms.release_window
        await by_event(world, deal, "ship", "SHIPPED", f"seller:{JANE}", release_at=release)
    if status == "DELIVERED":
        await by_event(world, deal, "deliver", "DELIVERED", f"buyer:{BRIAN}")
    return await world.escrow(deal.id)


async def by_event(
    world: World, deal: Escrow, event: str, status: str, actor: str, **sets: Any
) -> None:
    """One event of the flow by plain SQL."""
    stamp = {"ship": "shipped_at", "deliver": "delivered_at"}[event]
    columns = "".join(f", {name} = ${number}" for number, name in enumerate(sets, start=6))
    await world.sql(
        "UPDATE escrow_transactions SET status = $2, last_event = $3, last_actor = $4,"  # noqa: S608
        f" last_data = '{{}}', updated_at = $5, {stamp} = $5{columns} WHERE id = $1",
        deal.id,
        status,
        event,
        actor,
        world.clock.now(),
        *sets.values(),
    )


async def dispute(world: World, deal: Escrow, who: int = BRIAN, cause: str = "update:1") -> Dispute:
    return await world.escrows.dispute(deal.id, who, "It never came", cause)


async def open_dispute(world: World, deal: Escrow) -> Dispute | None:
    async with world.db.reading() as conn:
        return await disputes.open_dispute_of(conn, deal.id)


async def settlement(world: World, deal: Escrow) -> tuple[str, int, int, int]:
    """(event, seller, buyer, fee) in minor units."""
    (row,) = await world.sql("SELECT * FROM settlements WHERE escrow_id = $1", deal.id)
    return row["event"], row["seller_minor"], row["buyer_minor"], row["fee_minor"]


# -- raising -------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["HELD", "SHIPPED", "DELIVERED"])
@pytest.mark.parametrize("who", [BRIAN, JANE])
async def test_each_side_disputes_while_money_is_held_and_all_concerned_are_told(
    world: World, status: str, who: int
) -> None:
    deal = await funded(world, status)
    made = await dispute(world, deal, who)
    assert (made.status, made.disputed_from) == (DisputeStatus.OPEN, deal.status)
    assert made.answer_by == world.clock.now() + timedelta(hours=48)
    assert await world.status_of(deal) == "DISPUTED"
    other = JANE if who == BRIAN else BRIAN
    told = await world.notice(other, "disputed")
    assert (told["reason"], told["answer_by"]) == ("It never came", made.answer_by.isoformat())
    assert (await world.notice(who, "dispute_raised"))["code"] == deal.id
    for admin in ADMINS:
        assert (await world.notice(admin, "dispute_admin"))["amount"] == "KES 10,500"
    assert await world.accounts(deal) == (0, 10_000, 500)


async def test_the_same_cause_is_the_same_dispute_and_a_second_one_waits(world: World) -> None:
    deal = await funded(world)
    first = await dispute(world, deal)
    before = await world.snapshot()
    assert await dispute(world, deal) == first
    for who in (BRIAN, JANE):
        with pytest.raises(IllegalMove) as refused:
            await dispute(world, deal, who, "update:2")
        assert refused.value.reason == "dispute_open"
    assert await world.snapshot() == before
    await world.resolve(deal.id, ADMIN, "seller", None, "")
    assert (await dispute(world, deal)).id == first.id, "a repeat after the end, too"


async def test_strangers_unpaid_deals_and_empty_reasons_are_refused(world: World) -> None:
    unpaid, deal = await world.deal(buyer=BRIAN), await funded(world)
    with pytest.raises(IllegalMove):
        await dispute(world, unpaid)
    for stranger in (OTIENO, ADMIN):
        with pytest.raises(NotFound):
            await dispute(world, deal, stranger)
    for reason in ("", "  \n ", "x" * 1001):
        with pytest.raises(InvalidInput):
            await world.escrows.dispute(deal.id, BRIAN, reason, "update:1")
    assert await world.status_of(deal) == "HELD"


async def test_an_admin_who_is_a_party_is_told_as_a_party_only(world: World) -> None:
    deal = await world.deal()
    await world.pay(deal, 10_500, buyer=ADMIN)
    await dispute(world, deal, ADMIN)
    assert "dispute_admin" not in await world.told(ADMIN)
    assert "dispute_admin" in await world.told(SECOND_ADMIN)


async def test_two_sides_disputing_at_once_open_one(world: World) -> None:
    for number in range(20):
        deal = await funded(world)
        results = await asyncio.gather(
            *(
                dispute(world, deal, who, f"update:{number}:{n}")
                for n, who in enumerate((BRIAN, JANE) * 4)
            ),
            return_exceptions=True,
        )
        assert sum(isinstance(result, Dispute) for result in results) == 1
        assert all(isinstance(result, Dispute | CannotDo) for result in results)


async def test_the_other_side_answers_once_and_whoever_raised_it_does_not(world: World) -> None:
    deal = await funded(world)
    made = await dispute(world, deal)
    world.clock.tick(hours=1)
    first = world.clock.now()
    async with world.db.unit() as conn:
        assert not await disputes.answered(conn, made.id, BRIAN, first)
        assert await disputes.answered(conn, made.id, JANE, first)
        assert not await disputes.answered(conn, made.id, JANE, first + timedelta(hours=1))
    found = await open_dispute(world, deal)
    assert found is not None
    assert found.answered_at == first


# -- withdrawing ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "clock"), [("HELD", "ship_by"), ("SHIPPED", "release_at"), ("DELIVERED", None)]
)
async def test_a_withdrawn_dispute_gives_back_the_time_it_took(
    world: World, status: str, clock: str | None
) -> None:
    deal = await funded(world, status)
    world.clock.tick(hours=1)
    await dispute(world, deal)
    world.clock.tick(hours=30)
    after = await world.escrows.withdraw_dispute(deal.id, BRIAN)
    assert str(after.status) == status
    for told in (JANE, ADMIN, SECOND_ADMIN):
        assert (await world.notice(told, "dispute_withdrawn"))["code"] == deal.id
    if clock:
        assert getattr(after, clock) == getattr(deal, clock) + timedelta(hours=30)
    assert await open_dispute(world, deal) is None


async def test_after_withdrawing_at_least_48_hours_are_left(world: World) -> None:
    deal = await funded(world)
    world.clock.tick(hours=70)
    await dispute(world, deal)
    world.clock.tick(hours=1)
    after = await world.escrows.withdraw_dispute(deal.id, BRIAN)
    assert after.ship_by == world.clock.now() + timedelta(hours=48)


async def test_only_who_raised_it_withdraws_and_once_per_deal(world: World) -> None:
    deal = await funded(world)
    with pytest.raises(NotFound):
        await world.escrows.withdraw_dispute(deal.id, BRIAN)
    await dispute(world, deal)
    for other, error in ((JANE, NotAllowed), (OTIENO, NotFound)):
        with pytest.raises(error):
            await world.escrows.withdraw_dispute(deal.id, other)
    await world.escrows.withdraw_dispute(deal.id, BRIAN)
    before = await world.snapshot()
    assert str((await world.escrows.withdraw_dispute(deal.id, BRIAN)).status) == "HELD"
    assert await world.snapshot() == before, "a repeat changes nothing"
    await dispute(world, deal, BRIAN, "update:2")
    with pytest.raises(LimitReached) as refused:
        await world.escrows.withdraw_dispute(deal.id, BRIAN)
    assert refused.value.reason == "withdrawn_before"
    assert await world.status_of(deal) == "DISPUTED"


async def test_withdrawing_ten_times_at_once_withdraws_once(world: World) -> None:
    deal = await funded(world)
    await dispute(world, deal)
    results = await asyncio.gather(
        *(world.escrows.withdraw_dispute(deal.id, BRIAN) for _ in range(10))
    )
    assert {str(result.status) for result in results} == {"HELD"}
    assert (await world.events(deal)).count("withdraw_dispute") == 1


@pytest.mark.parametrize("ruling", ["resolve", "manual_release", "manual_refund"])
async def test_a_ruling_repeated_after_a_crash_gets_the_first_answer(
    world: World, ruling: str
) -> None:
    deal = await funded(world)
    await dispute(world, deal)

    async def rule(cause: str) -> Any:
        said = {"decision": "split", "percent": 70} if ruling == "resolve" else {}
        return await world.rules(ruling, deal.id, ADMIN, cause, **said)

    first = await rule("update:9")
    before = await world.snapshot()
    again = await rule("update:9")
    assert again == first
    assert await world.snapshot() == before, "a repeat changes nothing"
    with pytest.raises(CannotDo):
        await rule("update:10")


# -- taking --------------------------------------------------------------------------------------


async def test_of_two_admins_who_take_a_dispute_one_has_it(world: World) -> None:
    for number in range(10):
        deal = await funded(world)
        await dispute(world, deal, cause=f"update:{number}")
        results = await asyncio.gather(*(world.cases.open(deal.id, admin) for admin in ADMINS))
        (owner,) = {case.dispute.taken_by for case in results if case.dispute}
        assert owner in ADMINS
        assert [case.mine for case in results] == [admin == owner for admin in ADMINS]
        assert (await world.cases.open(deal.id, owner)).mine
        other = ADMIN if owner == SECOND_ADMIN else SECOND_ADMIN
        with pytest.raises(NotAllowed):
            await world.resolve(deal.id, other, "buyer", None, "")
        await world.resolve(deal.id, owner, "buyer", None, "")


async def test_nobody_but_an_admin_who_is_no_party_decides(world: World) -> None:
    deal = await world.deal()
    await world.pay(deal, 10_500, buyer=ADMIN)
    await dispute(world, deal, ADMIN)
    acts: list[Callable[[int], Awaitable[Any]]] = [
        lambda who: world.cases.open(deal.id, who),
        lambda who: world.resolve(deal.id, who, "buyer", None, ""),
    ]
    for act in acts:
        for who, reason in ((ADMIN, "admin_is_party"), (JANE, "not_allowed"), (7, "not_allowed")):
            with pytest.raises(NotAllowed) as refused:
                await act(who)
            assert refused.value.reason == reason
    assert await world.status_of(deal) == "DISPUTED"


# -- resolving -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("decision", "percent", "status", "seller", "buyer", "fee"),
    [
        ("buyer", None, "REFUNDED", 0, 10_500, 0),
        ("seller", None, "COMPLETED", 10_000, 0, 500),
        ("split", None, "COMPLETED", 5_000, 5_250, 250),
        ("split", 70, "COMPLETED", 3_000, 7_350, 150),
    ],
)
async def test_a_decision_divides_everything_held_and_ends_the_deal(
    world: World,
    decision: str,
    percent: int | None,
    status: str,
    seller: int,
    buyer: int,
    fee: int,
) -> None:
    deal = await funded(world, "SHIPPED")
    await dispute(world, deal)
    ended = await world.resolve(deal.id, ADMIN, decision, percent, "Photos are clear")
    assert (ended.outcome["seller"], ended.outcome["buyer"]) == (str(kes(seller)), str(kes(buyer)))
    assert await world.status_of(deal) == status
    assert (await world.wallet(JANE), await world.wallet(BRIAN)) == (seller, buyer)
    assert await settlement(world, deal) == ("resolve", seller * 100, buyer * 100, fee * 100)
    assert await world.accounts(deal) == (0, 0, 0)
    (row,) = await world.sql("SELECT * FROM escrow_disputes")
    assert (row["status"], row["resolution"], row["taken_by"]) == ("RESOLVED", decision, ADMIN)
    assert row["notes"] == "Photos are clear"
    for who in (JANE, BRIAN):
        told = await world.notice(who, "resolved")
        assert (told["seller"], told["buyer"]) == (str(kes(seller)), str(kes(buyer)))


async def test_the_seeds_half_split_is_52_50_and_50_and_2_50(world: World) -> None:
    deal = await world.usd_deal()
    await world.pay(deal, 105)
    await dispute(world, deal)
    said = (await world.resolve(deal.id, ADMIN, "split", None, "")).outcome
    assert (said["buyer"], said["seller"], said["fee"]) == ("USD 52.50", "USD 50", "USD 2.50")


async def test_decisions_that_are_none_change_nothing(world: World) -> None:
    deal = await funded(world)
    with pytest.raises(NotFound):
        await world.resolve(deal.id, ADMIN, "buyer", None, "")
    await dispute(world, deal)
    before = await world.snapshot()
    for decision, percent in (("nobody", None), ("split", 0), ("split", 100), ("split", -1)):
        with pytest.raises(InvalidInput):
            await world.resolve(deal.id, ADMIN, decision, percent, "")
    with pytest.raises(InvalidInput):
        await world.resolve(deal.id, ADMIN, "buyer", None, "x" * 2000)
    assert await world.snapshot() == before
    await world.resolve(deal.id, ADMIN, "buyer", None, "")
    for admin in ADMINS:
        with pytest.raises(NotAllowed) as refused:
            await world.resolve(deal.id, admin, "seller", None, "")
        assert refused.value.reason == "decided_before"
    assert await world.wallet(BRIAN) == 10_500


async def test_ten_decisions_at_once_are_one(world: World) -> None:
    deal = await funded(world)
    await dispute(world, deal)
    results = await asyncio.gather(
        *(
            world.resolve(deal.id, admin, decision, None, "")
            for admin in ADMINS
            for decision in ("buyer", "seller", "split") * 2
        ),
        return_exceptions=True,
    )
    lost = [result for result in results if isinstance(result, Exception)]
    assert len(lost) == len(results) - 1
    assert all(isinstance(error, CannotDo) for error in lost)
    assert await world.value("SELECT count(*) FROM settlements") == 1


async def test_open_disputes_are_listed_with_silent_other_sides_first(world: World) -> None:
    first, second = await funded(world), await funded(world)
    made = await dispute(world, first, cause="update:1")
    async with world.db.unit() as conn:
        await disputes.answered(conn, made.id, JANE, world.clock.now())
    world.clock.tick(hours=1)
    await dispute(world, second, cause="update:2")
    rows, count = await world.cases.open_disputes(0, 20)
    assert ([deal.id for _, deal, _ in rows], count) == ([first.id, second.id], 2)
    world.clock.tick(hours=48, seconds=1)
    rows, _ = await world.cases.open_disputes(0, 20)
    assert [deal.id for _, deal, _ in rows] == [second.id, first.id]


# -- everything at once --------------------------------------------------------------------------


async def test_whoever_is_first_ends_the_deal_and_everybody_else_reads_why_not(
    world: World,
) -> None:
    """Two admins, both sides and the timers on one deal, 200 times."""
    chance = random.Random(20261123)  # noqa: S311 a shuffled order, no secret
    ends: set[str] = set()
    for number in range(ROUNDS):
        deal = await funded(world, chance.choice(("HELD", "SHIPPED")), 100)
        if number % 4:
            await dispute(world, deal, chance.choice((BRIAN, JANE)), f"update:{number}")
        offer = await world.escrows.offer_settlement(
            deal.id, JANE, buyer_percent=chance.choice((0, 30, 100)), cause=f"offer:{number}"
        )
        if number % 3 == 0:
            world.clock.tick(days=8)
        acts: list[Callable[[], Awaitable[Any]]] = [
            lambda deal=deal: world.resolve(deal.id, ADMIN, "buyer", None, ""),
            lambda deal=deal: world.resolve(deal.id, SECOND_ADMIN, "split", 70, ""),
            lambda offer=offer: world.escrows.accept_offer(offer.id, BRIAN),
            lambda deal=deal: world.manual_release(deal.id, ADMIN, ""),
            lambda deal=deal: world.manual_refund(deal.id, SECOND_ADMIN, ""),
            lambda deal=deal: world.escrows.withdraw_dispute(deal.id, BRIAN),
            lambda deal=deal: world.escrows.dispute(deal.id, JANE, "late", f"race:{deal.id}"),
            lambda deal=deal: world.escrows.decline(deal.id, JANE),
            *others(world, deal, number),
        ]
        chance.shuffle(acts)
        picked = acts[: chance.randint(5, 10)]
        results = await asyncio.gather(*(act() for act in picked), return_exceptions=True)
        wrong = [one for one in results if isinstance(one, BaseException)]
        assert [one for one in wrong if not isinstance(one, CannotDo)] == []
        after = await world.escrow(deal.id)
        count = await world.value("SELECT count(*) FROM settlements WHERE escrow_id = $1", deal.id)
        assert count == (after.finished_at is not None), "one settlement exactly when it ended"
        if count:
            ends.add((await settlement(world, deal))[0])
            assert await open_dispute(world, deal) is None
    assert len(ends) >= 5, ends


def others(world: World, deal: Escrow, number: int) -> list[Callable[[], Awaitable[Any]]]:
    """Receiving and the timers, of `services/shipping.py`."""
    return [
        lambda: world.escrows.receive(deal.id, BRIAN, f"receive:{number}"),
        lambda: world.escrows.release_due(),
        lambda: world.escrows.refund_due(),
    ]
