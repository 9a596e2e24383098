"""/book: the operator's money by receipt, once each, and never customers' money."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from escrow.domain.errors import CannotDo, InvalidInput, LimitReached, NotAllowed
from escrow.domain.model import Evidence
from escrow.services import bookings
from escrow.services.actions import Action, ActionState
from escrow.services.floating import Books, books_of
from escrow.store import floating, receipts
from tests.world import ADMIN, BRIAN, SECOND_ADMIN, World, kes

FLOAT, FEES, COST = "SGFLOAT001", "SGTAKEN001", "SGCHARGE01"


async def _book(world: World, typed: str, admin: int = ADMIN, cause: str = "") -> Action:
    params = bookings.read(typed.split())
    return await world.rules("book", bookings.target(params), admin, cause=cause, **params)


async def _books(world: World) -> Books:
    async with world.db.reading() as conn:
        return await books_of(conn)


async def _earn(world: World, price: int = 10_000) -> None:
    """A deal to its end: 5 % is ours."""
    deal = await world.deal(price, buyer=BRIAN)
    await world.pay(deal, price * 105 // 100)
    await world.escrows.receive(deal.id, BRIAN, f"test:{deal.id}")


async def test_float_put_in_is_at_m_pesa_and_ours(world: World) -> None:
    done = await _book(world, f"float 5,000 {FLOAT}")
    assert done.state is ActionState.DONE
    assert await _books(world) == Books(kes(5_000), kes(0), kes(5_000))
    (row,) = await world.sql("SELECT kind, receipt, amount_minor, booked_by FROM bookings")
    assert tuple(row.values()) == ("float", FLOAT, 500_000, ADMIN)
    rows = await world.sql(
        "SELECT a.kind, a.owner, e.amount_minor FROM ledger_entries e"
        " JOIN ledger_accounts a ON a.id = e.account_id ORDER BY 1"
    )
    assert [tuple(row.values()) for row in rows] == [
        ("external", "mpesa:utility", -500_000),
        ("owner", "", 500_000),
    ]


async def test_fees_taken_out_leave_m_pesa_and_us(world: World) -> None:
    await _earn(world)
    done = await _book(world, f"withdraw 499.50 {FEES}")
    assert done.facts == {"what": "withdraw", "receipt": FEES, "before": 0, "after": -49_950}
    after = await _books(world)
    assert (after.own, after.to_take(after.at_provider)) == (kes("0.50"), kes("0.50"))
    assert after.customers == kes(10_000)


async def test_a_charge_is_our_cost(world: World) -> None:
    await _earn(world)
    await _book(world, f"charge 33 {COST}")
    after = await _books(world)
    assert (after.own, after.at_provider, after.customers) == (kes(467), kes(10_467), kes(10_000))


async def test_customers_money_is_never_taken(world: World) -> None:
    await _earn(world)
    open_one = await world.deal(buyer=BRIAN)
    await world.pay(open_one, 10_500)
    with pytest.raises(LimitReached) as refused:
        await _book(world, f"withdraw 500.01 {FEES}")
    assert (refused.value.reason, refused.value.values["most"]) == ("above_yours", kes(500))
    assert await world.sql("SELECT FROM bookings") == []
    await _book(world, f"float 100 {FLOAT}")
    assert (await _book(world, f"withdraw 600 {FEES}")).state is ActionState.DONE


async def test_what_charges_took_is_not_taken_again(world: World) -> None:
    await _earn(world)
    await _book(world, f"charge 100 {COST}")
    with pytest.raises(LimitReached):
        await _book(world, f"withdraw 401 {FEES}")


@pytest.mark.parametrize("what", ["float", "withdraw", "charge"])
async def test_a_receipt_is_booked_once_and_the_second_hears_by_whom_and_when(
    world: World, what: str
) -> None:
    await _earn(world)
    await _book(world, f"{what} 100 {FLOAT}", SECOND_ADMIN)
    world.clock.tick(hours=1)
    for again in ("float", "withdraw", "charge"):
        with pytest.raises(NotAllowed) as refused:
            await _book(world, f"{again} 7 {FLOAT}")
        assert refused.value.reason == "booked_before"
        said = refused.value.values
        assert (said["what"], said["by"], said["amount"]) == (what, SECOND_ADMIN, kes(100))
    (row,) = await world.sql("SELECT count(*) FROM ledger_journals WHERE kind LIKE 'book%'")
    assert row["count"] == 1


async def test_the_same_update_twice_books_once(world: World) -> None:
    first = await _book(world, f"float 100 {FLOAT}", cause="update:7")
    again = await world.actions.ask("book", first.target, first.params, ADMIN, "update:7")
    assert again.id == first.id
    (row,) = await world.sql("SELECT count(*) FROM bookings")
    assert row["count"] == 1


async def test_a_customers_receipt_is_no_float(world: World) -> None:
    deal = await world.deal(buyer=BRIAN)
    await world.pay(deal, 10_500, reference="SGCUSTOM01")
    with pytest.raises(NotAllowed) as refused:
        await _book(world, "float 10,500 sgcustom01")
    assert refused.value.reason == "booking_of_customer"


async def test_what_is_booked_as_ours_is_not_counted_again_when_it_comes_in(world: World) -> None:
    await _book(world, f"float 5,000 {FLOAT}")
    late = world.by_hand(None, kes(5_000), reference=FLOAT)
    with pytest.raises(NotAllowed, match="receipt_decided"):
        await world.funds.process_escrow_payment(late, Evidence.STATUS)
    stored, _ = await world.funds.register_waiting(late, next_check_after=None)
    with pytest.raises(NotAllowed, match="booked_before"):
        await world.confirmations.confirm_receipt(stored.id, SECOND_ADMIN, ours=True)
    await world.confirmations.confirm_receipt(stored.id, SECOND_ADMIN, ours=False)
    assert await _books(world) == Books(kes(5_000), kes(0), kes(5_000))


async def test_what_an_admin_says_that_he_paid_somebody_with_is_no_withdrawal(world: World) -> None:
    await _earn(world)
    world.payout_rail.can_pay = False
    await world.give(BRIAN, kes(400))
    number = (await world.payouts.book_withdrawal(BRIAN, kes(400), "test:1")).id
    await _book(world, f"withdraw 400 {FEES}")
    with pytest.raises(NotAllowed, match="booked_before"):
        await world.payouts.mark_paid(number, ADMIN, FEES)
    await world.payouts.mark_paid(number, ADMIN, COST)
    with pytest.raises(NotAllowed, match="booking_of_customer"):
        await _book(world, f"withdraw 50 {COST}")


async def test_a_charge_bears_the_number_of_the_payment_it_is_for(world: World) -> None:
    await _earn(world)
    world.payout_rail.can_pay = False
    await world.give(BRIAN, kes(400))
    number = (await world.payouts.book_withdrawal(BRIAN, kes(400), "test:1")).id
    await _book(world, f"charge 5 {COST}")
    await world.payouts.mark_paid(number, ADMIN, COST)
    late = world.by_hand(None, kes(70), reference="SGLATE0001")
    await _book(world, "charge 1 SGLATE0001")
    await world.funds.process_escrow_payment(late, Evidence.STATUS)
    await world.funds.process_escrow_payment(
        world.by_hand(None, kes(80), reference="SGLATE0002"), Evidence.STATUS
    )
    await _book(world, "charge 2 SGLATE0002")
    assert (await _books(world)).own == kes(500 - 5 - 1 - 2)


async def test_a_large_one_needs_a_second_admin(world: World) -> None:
    params = bookings.read(["float", "50,001", FLOAT])
    asked = await world.actions.ask("book", bookings.target(params), params, ADMIN, "test:1")
    waits = await world.actions.confirm(asked.id, ADMIN, "test:2")
    assert waits.state is ActionState.CONFIRMED
    assert await world.sql("SELECT FROM bookings") == []
    await world.actions.confirm(asked.id, SECOND_ADMIN, "test:3")
    assert (await _books(world)).own == kes(50_001)


async def _confirmed_at_once(world: World, typed: list[str]) -> list[Any]:
    async def one(text: str, admin: int) -> Action:
        return await _book(world, text, admin)

    admins = (ADMIN, SECOND_ADMIN)
    return await asyncio.gather(
        *(one(text, admins[n % 2]) for n, text in enumerate(typed)), return_exceptions=True
    )


@pytest.mark.parametrize("what", ["float", "withdraw", "charge"])
async def test_one_receipt_booked_by_ten_at_once_is_booked_once(world: World, what: str) -> None:
    await _earn(world)
    done = await _confirmed_at_once(world, [f"{what} 10 {FLOAT}"] * 10)
    won = [one for one in done if isinstance(one, Action)]
    assert len(won) == 1
    assert all(isinstance(one, CannotDo) for one in done if one not in won)
    (row,) = await world.sql("SELECT count(*) FROM bookings")
    assert row["count"] == 1


async def test_ten_withdrawals_at_once_take_no_more_than_there_is(world: World) -> None:
    await _earn(world)
    done = await _confirmed_at_once(world, [f"withdraw 200 SGTAKEN{n:03d}" for n in range(10)])
    won = sum(isinstance(one, Action) for one in done)
    assert won in (1, 2), "who was shown other sums before is told that they moved"
    assert all(isinstance(one, Action | CannotDo) for one in done)
    assert (await _books(world)).own == kes(500 - 200 * won)


@pytest.mark.parametrize("first", ["booking", "payment"])
async def test_a_receipt_that_is_booked_and_paid_in_the_same_instant_is_counted_once(
    world: World, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """Whichever is under way, the other one waits for its end and hears of it."""
    deal = await world.deal(buyer=BRIAN)
    inside, go_on = asyncio.Event(), asyncio.Event()
    module, name = (floating, "add_booking") if first == "booking" else (receipts, "insert")
    writes = getattr(module, name)

    async def stops(*args: Any, **values: Any) -> Any:
        written = await writes(*args, **values)
        inside.set()
        await go_on.wait()
        return written

    def booking() -> asyncio.Task[Any]:
        return asyncio.create_task(_book(world, f"float 10,500 {FLOAT}"))

    def payment() -> asyncio.Task[Any]:
        paid = world.by_hand(deal, deal.due, reference=FLOAT)
        return asyncio.create_task(world.funds.process_escrow_payment(paid, Evidence.STATUS))

    monkeypatch.setattr(module, name, stops)
    one = booking() if first == "booking" else payment()
    await inside.wait()
    other = payment() if first == "booking" else booking()
    waits = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    while not other.done() and not await world.sql(waits):
        pass
    go_on.set()
    await one
    with pytest.raises(NotAllowed, match=r"receipt_decided|booking_of_customer"):
        await other
    (row,) = await world.sql(
        "SELECT (SELECT count(*) FROM bookings)"
        " + (SELECT count(*) FROM receipts WHERE state = 'CREDITED') AS counted"
    )
    assert row["counted"] == 1


@pytest.mark.parametrize(
    "typed",
    ["", "float", "float 500", "gift 500 SGFLOAT001", "float 500 SHORT", "float 5 SGFLOAT001 x"],
)
def test_what_cannot_be_read_is_asked_for_with_the_usage_line(typed: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        bookings.read(typed.split())
    assert (refused.value.reason, refused.value.values) == ("booking", {"command": "book"})


@pytest.mark.parametrize("amount", ["0", "-5", "5.005", "1e3", "٥٠٠", "10,00"])
def test_an_amount_is_read_as_everywhere(amount: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        bookings.read(["float", amount, FLOAT])
    assert refused.value.reason == "amount"


def test_one_booking_has_one_spelling() -> None:
    for typed in ("FLOAT 5,000 sgfloat001", "float 5000 SGFLOAT001"):
        assert bookings.target(bookings.read(typed.split())) == "float 5000 SGFLOAT001"
    assert bookings.target(bookings.read(["charge", "33.05", COST])) == f"charge 33.05 {COST}"


async def test_fees_of_open_deals_are_not_earned(world: World) -> None:
    deal = await world.deal(buyer=BRIAN)
    await world.pay(deal, 10_500)
    with pytest.raises(LimitReached):
        await _book(world, f"withdraw 1 {FEES}")
