"""A payment whose announcement was lost is found within the hour, once, and only as a hint."""

from __future__ import annotations

from datetime import timedelta

import pytest

from escrow.services.ports import Answer, Verdict
from escrow.services.pulls import PAGES
from tests.account_rail import REFUSED, pulled_row
from tests.rail import PAID
from tests.world import ADMIN, BRIAN, NOW, World, kes, new_reference


async def test_a_lost_confirmation_is_found_and_asked_about_before_it_counts(
    world: World,
) -> None:
    world.rail.can_ask_status = True
    deal = await world.deal(buyer=BRIAN)
    reference = new_reference()
    world.pull_rail.pages = [[pulled_row(deal.id, deal.due, reference, NOW)]]
    assert await world.pulls.pull_due() == (1, 1, 0)
    assert await world.settle_inbox() == "waiting"
    assert await world.accounts(deal) == (0, 0, 0), "a row is a hint"
    (asked,) = world.rail.asked
    assert asked.reference == reference
    await world.status(asked.token, reference, deal.due)
    assert await world.accounts(deal) == (0, 10_000, 500)
    (receipt,) = await world.receipts()
    assert (receipt["happened_at"], receipt["channel"]) == (NOW, "c2b")


async def test_what_is_known_is_passed_over_each_hour(world: World) -> None:
    deal = await world.deal(9_000, buyer=BRIAN)
    reference = new_reference()
    await world.paybill(deal.id, deal.due, reference)
    before = await world.snapshot()
    row = pulled_row(deal.id, deal.due, reference, NOW)
    for _ in range(3):
        world.pull_rail.offsets.clear()
        world.pull_rail.pages = [[row]]
        assert await world.pulls.pull_due() == (1, 0, 0)
        await world.settle_inbox()
        world.clock.tick(hours=1)
    assert await world.snapshot() == before
    assert await world.value("SELECT count(*) FROM inbox WHERE route = 'pulled'") == 0


async def test_the_announcement_that_comes_after_all_credits_nothing_more(world: World) -> None:
    deal = await world.deal(9_000, buyer=BRIAN)
    reference = new_reference()
    world.pull_rail.pages = [[pulled_row(deal.id, deal.due, reference, NOW)]]
    await world.pulls.pull_due()
    await world.settle_inbox()
    assert await world.accounts(deal) == (0, 9_000, 450)
    assert await world.paybill(deal.id, deal.due, reference) == "duplicate"
    assert len(await world.receipts()) == 1


async def test_a_prompt_that_only_a_query_proved_gets_its_number_and_no_second_credit(
    world: World,
) -> None:
    deal = await world.deal(buyer=BRIAN)
    await world.prompt(deal)
    world.rail.query_answer = PAID
    world.clock.tick(minutes=2)
    await world.confirmations.look_due()
    assert await world.accounts(deal) == (0, 10_000, 500)
    reference = new_reference()
    world.pull_rail.pages = [[pulled_row(deal.id, deal.due, reference, NOW)]]
    await world.pulls.pull_due()
    await world.settle_inbox()
    assert await world.receipt_states() == {reference: "CREDITED"}
    assert await world.accounts(deal) == (0, 10_000, 500)


async def test_pages_are_read_to_the_end_by_their_offset(world: World) -> None:
    rows = [pulled_row("rent", kes(100), new_reference(), NOW) for _ in range(5)]
    world.pull_rail.pages = [rows[:2], rows[2:4], rows[4:]]
    assert await world.pulls.pull_due() == (5, 5, 0)
    assert world.pull_rail.offsets == [0, 2, 4, 5]
    since, until = world.pull_rail.spans[0]
    assert until == NOW
    assert timedelta(hours=47) < until - since <= timedelta(hours=48)
    await world.settle_inbox()
    assert await world.suspense() == 500


async def test_a_page_that_repeats_itself_ends_it(world: World) -> None:
    world.pull_rail.pages = [[pulled_row("rent", kes(100), new_reference(), NOW)]]
    world.pull_rail.forever = True
    assert await world.pulls.pull_due() == (1, 1, 0)
    assert len(world.pull_rail.offsets) == 2
    await world.settle_inbox()


async def test_a_list_without_end_is_left(world: World) -> None:
    world.pull_rail.pages = [
        [pulled_row("rent", kes(1), new_reference(), NOW)] for _ in range(PAGES + 5)
    ]
    assert await world.pulls.pull_due() == (PAGES, PAGES, 1)
    await world.settle_inbox()


async def test_an_odd_row_is_refused_by_name_and_stops_no_other(world: World) -> None:
    good = pulled_row("rent", kes(100), new_reference(), NOW)
    odd = [
        "a text",
        {},
        pulled_row("rent", kes(5), new_reference(), NOW, amount="-5"),
        pulled_row("rent", kes(6), new_reference(), NOW, transactiontype="b2c-payment"),
        pulled_row("rent", kes(7), new_reference(), NOW, trxDate="soon"),
    ]
    for _ in range(2):  # the same rows an hour later are no news
        world.pull_rail.offsets.clear()
        world.pull_rail.pages = [[*odd, good]]
        looked, _, failed = await world.pulls.pull_due()
        assert (looked, failed) == (6, 0)
        await world.settle_inbox()
    assert await world.suspense() == 100
    rows = await world.sql("SELECT note FROM inbox WHERE state = 'PARKED' ORDER BY id")
    assert [row["note"] for row in rows] == [
        "unreadable: the row is not an object",
        "unreadable: transactiontype is no payment to a business",
        "unreadable: amount is missing or no amount",
        "unreadable: transactiontype is no payment to a business",
        "unreadable: trxDate is missing or no time",
    ]


async def test_a_row_of_another_shortcode_is_parked_and_the_admins_hear_of_it(
    world: World,
) -> None:
    row = pulled_row("rent", kes(5), new_reference(), NOW, ShortCode="600999")
    world.pull_rail.pages = [[row]]
    await world.pulls.pull_due()
    assert await world.settle_inbox() == "wrong_shortcode"
    assert (await world.notice(ADMIN, "wrong_shortcode"))["got"] == "600999"
    assert await world.receipts() == []


@pytest.mark.parametrize(
    "answer", [REFUSED, Answer(Verdict.UNKNOWN, "lost", "unknown")], ids=lambda one: one.code
)
async def test_a_list_that_breaks_off_keeps_what_came_before(world: World, answer: Answer) -> None:
    world.pull_rail.pages = [[pulled_row("rent", kes(100), new_reference(), NOW)], answer]
    assert await world.pulls.pull_due() == (1, 1, 1)
    await world.settle_inbox()
    assert await world.suspense() == 100


async def test_where_it_is_not_set_up_nobody_is_asked(world: World) -> None:
    world.pull_rail.can_pull = False
    assert await world.pulls.pull_due() == (0, 0, 0)
    assert world.pull_rail.offsets == []
