"""The admins hear that M-Pesa does not hold what the books say, and of nothing under way."""

from __future__ import annotations

import pytest

from escrow.domain.money import Money
from escrow.services.comparing import Comparing
from escrow.services.floating import PAYBILL, UTILITY, Floating
from escrow.services.intake import BALANCE
from escrow.services.oversight import Oversight
from escrow.services.ports import AccountBalance
from escrow.store import floating
from tests.account_rail import balance_body
from tests.world import ADMINS, BRIAN, World, kes


@pytest.fixture
async def open_world(world: World) -> World:
    """A thousand shillings are at M-Pesa."""
    params = {"what": "float", "minor": 100_000, "receipt": "SGFLOAT001"}
    await world.rules("book", "float 1000 SGFLOAT001", ADMINS[0], **params)
    return world


async def _says(world: World, amount: int | str, times: int = 1) -> None:
    """M-Pesa answers that often what the utility account holds, an hour between."""
    for _ in range(times):
        world.clock.tick(hours=1)
        assert await world.balances.ask_due() == (1, 0)
        body = balance_body(str(amount), world.clock.now())
        await world.intake.store(
            BALANCE, world.account_rail.asked[-1], "POST", "", body, "127.0.0.1"
        )
        assert await world.settle_inbox() == "read"


async def _told(world: World) -> list[tuple[str, bool]]:
    """(off by, more at M-Pesa) of each notice to one of the admins."""
    rows = await world.sql(
        "SELECT params FROM outbox WHERE kind = 'provider_off' AND chat_id = $1 ORDER BY id",
        ADMINS[0],
    )
    return [(row["params"]["off"], row["params"]["more"]) for row in rows]


async def _reasons(world: World) -> list[str]:
    look = await Oversight(world.db, world.clock, ADMINS).look()
    assert look.word == ("WATCH" if look.reasons else "OK")
    # nobody sends notices here
    return [reason.key for reason in look.reasons if reason.key != "outbox"]


async def test_nobody_hears_of_books_that_m_pesa_agrees_with(open_world: World) -> None:
    await _says(open_world, 1_000, times=3)
    assert await _told(open_world) == []
    assert await _reasons(open_world) == []


async def test_every_admin_hears_once_of_a_difference_however_often_it_is_read(
    open_world: World,
) -> None:
    await _says(open_world, 700, times=5)
    assert await _told(open_world) == [("KES 300", False)]
    told = await open_world.value("SELECT count(*) FROM outbox WHERE kind = 'provider_off'")
    assert told == len(ADMINS)
    assert await _reasons(open_world) == ["provider_off"]


async def test_twice_as_much_is_told_again_and_the_next_day_the_same_amount(
    open_world: World,
) -> None:
    """What grows a little each hour, as the charges of payouts do, is told once a day."""
    for amount in (1_300, 1_310, 1_320, 1_250):
        await _says(open_world, amount, times=2)
    assert await _told(open_world) == [("KES 300", True)]
    await _says(open_world, 1_600, times=2)
    twice = [("KES 300", True), ("KES 600", True)]
    assert await _told(open_world) == twice
    open_world.clock.tick(days=1)
    await _says(open_world, 1_600, times=2)
    assert await _told(open_world) == [*twice, ("KES 600", True)]


async def test_one_reading_alone_is_no_difference(open_world: World) -> None:
    """A callback may be lost; what was paid is found within the hour."""
    for amount in (1_300, 1_000, 1_300, 1_000, 1_300, 700):
        await _says(open_world, amount)
        assert await _reasons(open_world) == []
    assert await _told(open_world) == []


async def test_once_they_agree_again_nothing_needs_a_look(open_world: World) -> None:
    await _says(open_world, 700, times=2)
    assert await _reasons(open_world) == ["provider_off"]
    await _says(open_world, 1_000)
    assert await _reasons(open_world) == []


async def test_a_payout_under_way_is_no_difference_but_what_it_does_not_explain_is(
    open_world: World,
) -> None:
    world = open_world
    await world.give(BRIAN, kes(500))
    world.clock.tick(hours=1)
    await world.payouts.book_withdrawal(BRIAN, kes(200), "test:out")
    await world.payouts.send_due()
    assert await world.value("SELECT state FROM payouts") == "SENDING"
    await _says(world, 1_300, times=3)
    await _says(world, 1_500, times=3)
    assert await _told(world) == []
    await _says(world, 1_250, times=3)
    assert await _told(world) == [("KES 50", False)]


async def test_a_payment_that_waits_or_is_asked_for_is_no_difference(open_world: World) -> None:
    world = open_world
    deal = await world.deal(buyer=BRIAN)
    await world.prompt(deal)
    await _says(world, 11_500, times=3)
    await _says(world, 1_000, times=3)
    assert await _told(world) == []


async def test_what_was_booked_about_when_m_pesa_answered_is_no_difference(
    open_world: World,
) -> None:
    """The answer may be older than the payment that overtook it."""
    world = open_world
    for _ in range(3):
        world.clock.tick(hours=1)
        assert await world.balances.ask_due() == (1, 0)
        asked = world.clock.now()
        before = await _at_provider(world)
        world.clock.tick(seconds=30)
        await world.give(BRIAN, kes(400))
        body = balance_body(str(before.to_decimal()), asked)
        token = world.account_rail.asked[-1]
        await world.intake.store(BALANCE, token, "POST", "", body, "127.0.0.1")
        assert await world.settle_inbox() == "read"
    assert await _told(world) == []
    assert await _reasons(world) == []


async def _at_provider(world: World) -> Money:
    async with world.db.reading() as conn:
        (minor,) = [
            -minor
            for (kind, owner, _), minor in (await floating.derived(conn)).items()
            if (kind, owner) == ("external", UTILITY)
        ]
    return Money(minor, kes(0).currency)


async def test_two_accounts_are_one_sum_once_both_were_read_together(open_world: World) -> None:
    world = open_world
    both = Comparing(world.clock, (UTILITY, PAYBILL), ADMINS)
    floats = Floating(world.db, world.clock, lambda body: [], comparing=both)

    async def says(**amounts: int) -> None:
        now = world.clock.now()
        said = [AccountBalance(f"mpesa:{name}", kes(kept), now) for name, kept in amounts.items()]
        async with world.db.unit() as conn:
            await floats.keep(conn, said, "test", now)
        world.clock.tick(hours=1)

    for _ in range(3):
        await says(utility=300)
    await says(utility=300, paybill=700)
    for _ in range(3):
        await says(utility=200)
    assert await _told(world) == []
    for _ in range(2):
        await says(utility=200, paybill=700, working=5)
    assert await _told(world) == [("KES 100", False)]


async def test_nobodys_word_is_taken_on_accounts_that_are_not_compared(open_world: World) -> None:
    world = open_world
    nothing = Comparing(world.clock, (), ADMINS)
    floats = Floating(world.db, world.clock, lambda body: [], comparing=nothing)
    for _ in range(3):
        world.clock.tick(hours=1)
        said = [AccountBalance(UTILITY, kes(1), world.clock.now())]
        async with world.db.unit() as conn:
            await floats.keep(conn, said, "test", world.clock.now())
    assert await _told(world) == []


async def test_where_too_much_moves_to_say_anything_nothing_is_said(
    open_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(floating, "_MOVES", 1)
    for _ in range(3):
        open_world.clock.tick(hours=1)
        await open_world.give(BRIAN, kes(100))
        open_world.clock.tick(hours=-1)
        await _says(open_world, 1)
    assert await _told(open_world) == []
