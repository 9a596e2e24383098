"""Admins decide about sellers, in words and by buttons; who decided before is always named."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from escrow.bot import desk
from escrow.store.database import Database
from sandbox import persona
from sandbox.server import Sandbox
from sandbox.telegram_chats import Message
from tests.bot.admin.people_samples import read
from tests.bot.conftest import ADMIN, BUYER, SELLER, FixedClock, Town

SECOND = persona.STRANGER.id


@pytest.fixture
async def two(sandbox: Sandbox, database: Database, clock: FixedClock) -> AsyncIterator[Town]:
    """A town with two admins, both here."""
    town = Town(sandbox, database, clock, (ADMIN, SECOND))
    await town.application.initialize()
    await town.store.start()
    try:
        for admin in (ADMIN, SECOND):
            await town.says(admin, "/start")
        yield town
    finally:
        await town.store.stop()
        await town.application.shutdown()


async def _waits(town: Town) -> None:
    await town.says(SELLER, "/sell Jane Shop")
    await town.shares(SELLER, persona.SELLER.phone)


def _now(town: Town, card: Message) -> Message:
    return town.telegram.messages[card.id]


async def test_a_verified_sellers_card_changes_for_both_admins(two: Town) -> None:
    await _waits(two)
    mine, other = two.last(ADMIN), two.last(SECOND)
    answers = await two.taps(ADMIN, mine, "Verify Jane Shop")
    assert "Jane Shop is verified and was told so." in read(answers[-1])
    name = persona.ADMIN.first_name
    for card in (mine, other):
        assert read(_now(two, card)).startswith(f"Verified by {name} ({ADMIN}), Mon 23 Nov, 12:00")
        assert _now(two, card).keyboard == []


async def test_the_second_admin_is_told_who_was_first_and_when(two: Town) -> None:
    await _waits(two)
    card = two.last(SECOND)
    data = card.keyboard[0][0]["callback_data"]
    await two.says(ADMIN, f"/verify_seller {SELLER}")
    two.clock.advance(hours=2)
    text = read((await two.taps_data(SECOND, card, data))[-1])
    assert text.startswith("Jane Shop was verified before. Nothing changed.")
    assert f"By {persona.ADMIN.first_name} ({ADMIN}), Mon 23 Nov, 12:00." in text
    assert "History" in text
    assert await two.value("SELECT count(*) FROM seller_history WHERE reason = 'verified'") == 1


async def test_a_renamed_shops_later_card_changes_too(two: Town) -> None:
    await _waits(two)
    two.clock.advance(minutes=1)
    await two.people.rename_shop(SELLER, "Jane Phones")
    await two.settle()
    cards = [two.last(ADMIN), two.last(SECOND)]
    await two.says(SECOND, f"/verify_seller {SELLER}")
    assert all("Verified by" in read(_now(two, card)) for card in cards)


async def test_suspending_says_what_goes_on_and_offers_to_lift_it(town: Town) -> None:
    await town.says(ADMIN, "/start")
    await town.shop()
    paid = await town.deal("1000", "Blue phone case")
    await town.says(BUYER, f"/start {paid}")
    await town.shares(BUYER, persona.BUYER.phone)
    await town.says(BUYER, f"/pay {paid}")
    await town.pays_by_hand(1_020, paid)
    await town.deal("500", "Red phone case")
    text = (await town.says(ADMIN, f"/suspend_seller {SELLER} Sold fakes"))[-1]
    assert read(text).startswith("Jane Shop is suspended and was told why.\nReason: ")
    assert "1 funded deal goes on (KES 1,020), 1 unpaid can't be paid." in read(text)
    assert text.labels == ["Lift the suspension"]
    assert "Sold fakes" in read(town.last(SELLER))
    again = (await town.says(ADMIN, f"/suspend_seller {SELLER} Sold fakes"))[-1]
    assert read(again).startswith("Jane Shop was suspended before. Nothing changed.")
    lifted = await town.taps(ADMIN, text, "Lift the suspension")
    assert "The suspension of Jane Shop is lifted. He was told so." in read(lifted[-1])
    assert _now(town, text).keyboard == []
    assert "open again" in read(town.last(SELLER))
    record = read((await town.says(ADMIN, f"/verify_seller {SELLER}"))[-1])
    for line in ("registered", "verified, by", "suspended: ", "suspension lifted, by"):
        assert line in record


async def test_the_suspend_button_asks_for_the_reason(town: Town) -> None:
    await town.says(ADMIN, "/start")
    await town.shop()
    await _flagged(town, SELLER)
    listed = (await town.says(ADMIN, "/suspicious_users"))[-1]
    asked = (await town.taps(ADMIN, listed, "Suspend Jane Shop…"))[-1]
    assert "Why is Jane Shop to be suspended?" in read(asked)
    assert "No funded deal is open, no unpaid one is open." in read(asked)
    done = (await town.says(ADMIN, "She sold fakes, see ES1008257624"))[-1]
    assert "Jane Shop is suspended" in read(done)
    assert await town.value("SELECT suspension_reason FROM escrow_sellers") == (
        "She sold fakes, see ES1008257624"
    )
    again = (await town.taps(ADMIN, listed, "Suspend Jane Shop…"))[-1]
    assert "was suspended before" in read(again)
    assert again.labels == ["Lift the suspension"]


async def test_a_question_for_a_reason_can_be_left(town: Town) -> None:
    await town.says(ADMIN, "/start")
    await town.shop()
    await _flagged(town, SELLER)
    listed = (await town.says(ADMIN, "/suspicious_users"))[-1]
    await town.taps(ADMIN, listed, "Suspend Jane Shop…")
    await town.says(ADMIN, "/cancel")
    await town.says(ADMIN, "She sold fakes")
    assert await town.value("SELECT status FROM escrow_sellers") == "VERIFIED"


async def test_who_is_no_admin_any_more_suspends_nobody_by_an_open_question(town: Town) -> None:
    await town.shop()
    row = await town.value("SELECT id FROM escrow_sellers")
    await town.says(BUYER, "/start")
    await town.people.set_conversation(BUYER, "suspend_reason", {"seller": row})
    assert "You can't do that here." in read((await town.says(BUYER, "I was an admin"))[-1])
    assert await town.value("SELECT status FROM escrow_sellers") == "VERIFIED"


async def test_an_old_card_lifts_no_suspension(two: Town) -> None:
    await _waits(two)
    card = two.last(SECOND)
    data = card.keyboard[0][0]["callback_data"]
    await two.says(ADMIN, f"/suspend_seller {SELLER} Sold fakes")
    text = read((await two.taps_data(SECOND, card, data))[-1])
    assert "Jane Shop is suspended." in text
    assert f"By {persona.ADMIN.first_name} ({ADMIN})" in text
    assert await two.value("SELECT status FROM escrow_sellers") == "SUSPENDED"


@pytest.mark.parametrize("command", ["/verify_seller", "/suspend_seller"])
@pytest.mark.parametrize(
    ("rest", "answer"),
    [
        ("", "Like this: "),
        (" Jane fakes", "Like this: "),
        (" 77 fakes", "There is no seller 77. /pending_sellers shows who waits."),
        (f" {ADMIN} fakes", "This is your own shop: another admin has to decide about it."),
    ],
)
async def test_what_cant_be_done_is_one_clear_sentence(
    town: Town, command: str, rest: str, answer: str
) -> None:
    await town.says(ADMIN, "/sell Asha Shop")
    await town.shares(ADMIN, persona.ADMIN.phone)
    text = read((await town.says(ADMIN, command + rest))[-1])
    assert text.startswith(answer)
    assert "\n" not in text
    assert await town.value("SELECT status FROM escrow_sellers") == "PENDING"


async def test_a_suspension_needs_a_reason(town: Town) -> None:
    await town.shop()
    text = read((await town.says(ADMIN, f"/suspend_seller {SELLER}"))[-1])
    assert text == "Like this: /suspend_seller 2001 reason"


async def test_who_waits_is_listed_and_verified_there(town: Town) -> None:
    await town.says(ADMIN, "/start")
    assert read((await town.says(ADMIN, "/pending_sellers"))[-1]) == "No seller waits for you."
    for number in range(8):
        await town.people.seen(7_000 + number, f"Seller {number}", None, "en")
        await town.people.register_seller(7_000 + number, f"Shop {number}", "254712000111")
        town.clock.advance(hours=1)
    await town.settle()
    listed = (await town.says(ADMIN, "/pending_sellers"))[-1]
    assert "Sellers who wait: 8" in read(listed)
    assert "Shop 0 · Seller 0" in read(listed)
    assert "254712000111" not in read(listed)
    assert "waits 8 h, since Mon 23 Nov, 12:00" in read(listed)
    assert listed.labels[:6] == [f"Verify Shop {number}" for number in range(6)]
    assert len(listed.labels) == 7
    answers = await town.taps(ADMIN, listed, "Verify Shop 2")
    assert any("Shop 2 is verified" in read(answer) for answer in answers)
    after = _now(town, listed)
    assert "Sellers who wait: 7" in read(after)
    assert "Verify Shop 2" not in after.labels


async def test_the_commands_are_in_the_list_that_all_else_is_made_from(town: Town) -> None:
    names = {one.name for one in town.application.bot_data[desk.ADMIN_COMMANDS]}
    assert {"verify_seller", "suspend_seller", "pending_sellers"} <= names


async def _flagged(town: Town, person: int) -> None:
    await town.value(
        "INSERT INTO fraud_flags (telegram_id, user_type, flag_type, severity, rule, created_at)"
        " VALUES ($1, 'seller', 'unshipped_order', 'MEDIUM', 'not sent', $2) RETURNING id",
        person,
        town.clock.now(),
    )
