"""A shop registers once, previews its deals, and opens each once."""

from __future__ import annotations

import pytest

from sandbox import persona
from tests.bot.conftest import ADMIN, BUYER, SELLER, Town

_DEALS = "SELECT count(*) FROM escrow_transactions"


async def test_a_bare_sell_asks_for_the_name_first(town: Town) -> None:
    assert "What is your shop called?" in (await town.says(SELLER, "/sell"))[-1].text
    assert "2 to 60 characters" in (await town.says(SELLER, "J"))[-1].text
    assert "Jane Shop" in (await town.says(SELLER, "Jane Shop"))[-1].text
    await town.shares(SELLER, persona.SELLER.phone)
    assert await town.value("SELECT shop_name FROM escrow_sellers") == "Jane Shop"
    assert await town.value("SELECT status FROM escrow_sellers") == "PENDING"


async def test_the_contact_button_asks_for_the_own_number(town: Town) -> None:
    await town.says(SELLER, "/sell Jane Shop")
    keyboard = town.telegram.people[SELLER].reply_keyboard or {}
    assert keyboard["keyboard"] == [[{"text": "Share my number", "request_contact": True}]]
    await town.shares(SELLER, persona.SELLER.phone)
    assert town.telegram.people[SELLER].reply_keyboard is None


async def test_a_seller_who_sells_again_reads_where_he_stands(town: Town) -> None:
    await town.says(SELLER, "/sell Jane Shop")
    await town.shares(SELLER, persona.SELLER.phone)
    assert "An admin will verify you" in (await town.says(SELLER, "/sell Other"))[-1].text
    await town.says(ADMIN, f"/verify_seller {SELLER}")
    status = (await town.says(SELLER, "/sell"))[-1].text
    assert "You are verified" in status
    assert "0711***001" in status


async def test_who_is_no_seller_is_led_to_sell(town: Town) -> None:
    answer = (await town.says(BUYER, "/newdeal 1500 Case"))[-1].text
    assert "/sell Jane Shop" in answer
    assert await town.value(_DEALS) == 0


async def test_nothing_opens_before_create_and_a_double_tap_opens_one(town: Town) -> None:
    await town.shop()
    preview = (await town.says(SELLER, "/newdeal 1,500 Blue <b> case"))[-1]
    assert "The buyer pays KES 1,520, you get KES 1,500." in preview.text
    assert "Blue <b> case" in preview.text
    assert await town.value(_DEALS) == 0
    town.telegram.user_taps(SELLER, preview.id, "Create")
    town.telegram.user_taps(SELLER, preview.id, "Create")
    await town.settle()
    assert await town.value(_DEALS) == 1
    assert town.telegram.messages[preview.id].keyboard == []
    cards = [m for m in town.telegram.from_bot(SELLER) if "is open." in m.text]
    assert len(cards) == 1
    assert [tap.text for tap in town.telegram.taps.values()][-1] == "Done already."


async def test_a_create_handled_again_after_a_crash_opens_no_second_deal(town: Town) -> None:
    await town.shop()
    await town.deal()
    await town.store.stop()
    async with town.database.unit() as conn:
        await conn.execute("UPDATE telegram_updates SET state = 'NEW', done_at = NULL")
    await town.store.start()
    await town.settle()
    assert await town.value(_DEALS) == 1
    assert await town.value("SELECT count(*) FROM escrow_sellers") == 1


async def test_a_preview_can_be_dropped_or_replaced(town: Town) -> None:
    await town.shop()
    first = (await town.says(SELLER, "/newdeal 1500 Case"))[-1]
    second = (await town.says(SELLER, "/newdeal 1600 Case"))[-1]
    assert "no longer current" in (await town.taps(SELLER, first, "Create"))[-1].text
    assert "nothing was opened" in (await town.taps(SELLER, second, "Cancel"))[-1].text
    assert town.telegram.messages[first.id].keyboard == []
    assert await town.value(_DEALS) == 0


async def test_nobody_creates_another_sellers_preview(town: Town) -> None:
    await town.shop()
    preview = (await town.says(SELLER, "/newdeal 1500 Case"))[-1]
    answers = await town.taps_data(BUYER, preview, preview.keyboard[0][0]["callback_data"])
    assert answers == []  # the message lives in the seller's chat, the answer goes there
    assert await town.value(_DEALS) == 0


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("50 Case", "The smallest price is KES 100."),
        ("300000 Case", "The largest price is KES 249,000"),
        ("1500 " + "x" * 201, "has 201 characters; 200 is the limit"),
        ("300000 Case", "the buyer's total can be KES 250,000 at most."),
        ("1500.50 Case", "whole shillings only"),
    ],
)
async def test_limits_are_told_at_the_preview(town: Town, words: str, answer: str) -> None:
    await town.shop()
    assert answer in (await town.says(SELLER, f"/newdeal {words}"))[-1].text


async def test_a_seller_who_waits_can_open_but_not_be_paid(town: Town) -> None:
    await town.says(SELLER, "/sell Jane Shop")
    await town.shares(SELLER, persona.SELLER.phone)
    preview = (await town.says(SELLER, "/newdeal 1500 Case"))[-1]
    assert "can be paid as soon as an admin has verified you" in preview.text
    opened = (await town.taps(SELLER, preview, "Create"))[-1]
    assert "as soon as an admin has verified you" in opened.text
    code = opened.text.split("Deal ")[1].split()[0]
    assert "can't be paid at the moment" in (await town.says(BUYER, code))[-1].text
    await town.says(ADMIN, f"/verify_seller {SELLER}")
    assert code in town.last(SELLER).text
    assert (await town.says(BUYER, code))[-1].button("Pay KES 1,520")


async def test_a_dollar_deal_is_refused_kindly(town: Town) -> None:
    await town.shop()
    answer = (await town.says(SELLER, "/newdeal USD 100 Logo design"))[-1].text
    assert "Dollar deals come with the crypto rails" in answer
    assert "Use shillings" in answer
    assert await town.value(_DEALS) == 0


async def test_a_new_deal_is_shared_by_link(town: Town) -> None:
    await town.shop()
    preview = (await town.says(SELLER, "/newdeal 1500 Blue & green"))[-1]
    opened = (await town.taps(SELLER, preview, "Create"))[-1]
    link = f"https://t.me/{persona.BOT_USERNAME}?start="
    assert link in opened.text
    start = opened.text.index(link)
    town.telegram.open_link(BUYER, opened.text[start:].split()[0])
    await town.settle()
    assert "Blue & green" in town.last(BUYER).text
