"""Deals are opened in one line or step by step; a preview says who pays and gets what, and what
stands with a step survives a restart.
"""

from __future__ import annotations

import pytest

from escrow.bot.application import build
from escrow.bot.commands import USER_COMMANDS
from escrow.bot.updates import UpdateStore
from escrow_handlers_admin import ADMIN_BUTTONS, ADMIN_COMMANDS
from sandbox import persona
from sandbox.server import Sandbox
from sandbox.telegram_chats import Message
from tests.bot.conftest import ADMIN, BUYER, SELLER, Town

_DEALS = "SELECT count(*) FROM escrow_transactions"
_STEP = "SELECT step FROM conversations WHERE telegram_id = $1"


def _now(town: Town, message: Message) -> Message:
    """What stands in place of that message."""
    return town.telegram.messages[message.id]


async def _to_preview(town: Town) -> Message:
    """The guided way with half the fee each and no photo."""
    await town.says(SELLER, "/newdeal")
    await town.says(SELLER, "1,500")
    fee = (await town.says(SELLER, "Blue phone case"))[-1]
    await town.taps(SELLER, fee, "Half each")
    await town.taps(SELLER, _now(town, fee), "Skip")
    return _now(town, fee)


# -- the first deal ------------------------------------------------------------------------------


async def test_a_newcomer_is_asked_for_his_number_only_and_the_preview_appears_by_itself(
    town: Town,
) -> None:
    question = await town.says(SELLER, "/newdeal 1500 Blue phone case")
    assert len(question) == 1
    assert "shall get your money" in question[0].text
    answer = await town.shares(SELLER, persona.SELLER.phone)
    assert len(answer) == 1
    assert "The buyer pays KES 1,520, you get KES 1,500." in answer[0].text
    assert "0722***001" in answer[0].text
    assert "an admin has verified you" in answer[0].text
    await town.taps(SELLER, answer[0], "Create")
    assert "?start=ES" in _now(town, answer[0]).text
    code = _now(town, answer[0]).text.split("Deal ")[1].split()[0]
    assert "can't be paid at the moment" in (await town.says(BUYER, code))[-1].text
    await town.says(ADMIN, f"/verify_seller {SELLER}")
    assert town.last(SELLER).button(f"Share {code}")
    assert (await town.says(BUYER, code))[-1].button("Pay KES 1,520")


async def test_a_number_typed_twice_registers_too(town: Town) -> None:
    await town.says(SELLER, "/newdeal 1500 Blue phone case")
    await town.says(SELLER, "0711000001")
    assert "you get KES 1,500" in (await town.says(SELLER, "0711000001"))[-1].text
    assert await town.value("SELECT payout_phone FROM escrow_sellers") == "254711000001"


# -- guided --------------------------------------------------------------------------------------


async def test_who_may_buy_it_sees_the_photo_that_the_seller_put_to_it(town: Town) -> None:
    await town.shop()
    await town.says(SELLER, "/newdeal")
    await town.says(SELLER, "1,500")
    fee = (await town.says(SELLER, "Blue phone case"))[-1]
    await town.taps(SELLER, fee, "The buyer")
    town.telegram.user_sends_photo(SELLER, b"\x89PNG\r\n\x1a\n" + bytes(40))
    await town.settle()
    preview = town.last(SELLER)
    await town.taps(SELLER, preview, "Create")
    code = _now(town, preview).text.split("Deal ")[1].split()[0]
    card = (await town.says(BUYER, code))[-1]
    shown = await town.taps(BUYER, card, "See the photo")
    assert shown[-1].media.get("photo")
    assert "photo of" in shown[-1].text
    plain = await town.deal()
    assert not (await town.says(BUYER, plain))[-1].keyboard[-1][0]["text"].startswith("See")


async def test_the_guided_way_edits_where_a_button_was_the_answer(town: Town) -> None:
    await town.shop()
    assert "How much" in (await town.says(SELLER, "/newdeal"))[-1].text
    assert "What is it" in (await town.says(SELLER, "1,500"))[-1].text
    fee = (await town.says(SELLER, "Blue phone case"))[-1]
    assert "Amana's fee is KES 20. Who pays it?" in fee.text
    assert await town.taps(SELLER, fee, "Half each") == []
    assert "photo" in _now(town, fee).text
    assert await town.taps(SELLER, _now(town, fee), "Skip") == []
    assert "The buyer pays KES 1,510, you get KES 1,490." in _now(town, fee).text
    assert await town.taps(SELLER, _now(town, fee), "Create") == []
    assert "is open." in _now(town, fee).text
    assert await town.value("SELECT fee_payer FROM escrow_transactions") == "split"


async def test_back_and_cancel_work_at_each_step(town: Town) -> None:
    await town.shop()
    preview = await _to_preview(town)
    for words in ("photo", "Who pays it", "What is it", "How much"):
        await town.taps(SELLER, _now(town, preview), "Back")
        assert words in _now(town, preview).text
    await town.taps(SELLER, _now(town, preview), "Cancel")
    assert "nothing was opened" in _now(town, preview).text
    assert await town.value(_STEP, SELLER) is None
    assert await town.value(_DEALS) == 0


async def test_one_tap_changes_who_pays_the_fee(town: Town) -> None:
    await town.shop()
    preview = (await town.says(SELLER, "/newdeal 1500 Case"))[-1]
    await town.taps(SELLER, preview, "I pay the fee instead")
    assert "The buyer pays KES 1,500, you get KES 1,480." in _now(town, preview).text
    await town.taps(SELLER, _now(town, preview), "Share the fee instead")
    assert "The buyer pays KES 1,510, you get KES 1,490." in _now(town, preview).text
    await town.taps(SELLER, _now(town, preview), "Create")
    assert await town.value("SELECT due_minor FROM escrow_transactions") == 151_000


async def test_a_restart_between_any_two_steps_loses_nothing(town: Town, sandbox: Sandbox) -> None:
    await town.shop()

    async def restart() -> None:
        await town.store.stop()
        await town.application.shutdown()
        town.application = build(
            persona.BOT_TOKEN,
            api_url=sandbox.telegram_url,
            office=town.office,
            user_commands=USER_COMMANDS,
            admin_commands=ADMIN_COMMANDS,
            admin_buttons=ADMIN_BUTTONS,
        )
        await town.application.initialize()
        town.store = UpdateStore(town.application, town.database, town.clock, retry_seconds=0.01)
        await town.store.start()
        town.clock.advance(days=1)

    await town.says(SELLER, "/newdeal")
    await restart()
    await town.says(SELLER, "1,500")
    await restart()
    fee = (await town.says(SELLER, "Blue phone case"))[-1]
    await restart()
    await town.taps(SELLER, fee, "I pay it")
    await restart()
    await town.taps(SELLER, _now(town, fee), "Skip")
    await restart()
    await town.taps(SELLER, _now(town, fee), "Create")
    assert "is open." in _now(town, fee).text
    assert await town.value("SELECT due_minor FROM escrow_transactions") == 150_000


async def test_an_answer_handled_again_is_not_the_answer_to_the_next_question(
    town: Town,
) -> None:
    await town.shop()
    await town.says(SELLER, "/newdeal")
    await town.says(SELLER, "1,500")
    await town.store.stop()
    async with town.database.unit() as conn:
        await conn.execute(
            "UPDATE telegram_updates SET state = 'NEW', done_at = NULL"
            " WHERE update_id = (SELECT max(update_id) FROM telegram_updates)"
        )
    await town.store.start()
    await town.settle()
    assert await town.value(_STEP, SELLER) == "deal_words"
    assert "What is it" in town.last(SELLER).text


async def test_wrong_words_at_a_step_are_told_and_the_step_stays(town: Town) -> None:
    await town.shop()
    await town.says(SELLER, "/newdeal")
    await town.says(SELLER, "much")
    await town.says(SELLER, "50")
    assert await town.value(_STEP, SELLER) == "deal_amount"
    await town.says(SELLER, "1500")
    assert "200 is the limit" in (await town.says(SELLER, "x" * 201))[-1].text
    await town.says(SELLER, "ES1008257624")
    assert await town.value(_STEP, SELLER) == "deal_fee", "a code may be part of the description"
    assert "press one of the buttons" in (await town.says(SELLER, "me"))[-1].text


@pytest.mark.parametrize(
    "words",
    ["<b>bold</b> & <a href='x'>y</a>", "\u202eevil\u202c text", "{price} {0} %s", "0712345678"],
)
async def test_hostile_descriptions_are_shown_as_words(town: Town, words: str) -> None:
    await town.shop()
    await town.says(SELLER, "/newdeal")
    await town.says(SELLER, "1500")
    fee = (await town.says(SELLER, words))[-1]
    await town.taps(SELLER, fee, "The buyer")
    await town.taps(SELLER, _now(town, fee), "Skip")
    assert "you get KES 1,500" in _now(town, fee).text
    assert "\u202e" not in _now(town, fee).text
    assert "0712345678" not in _now(town, fee).text
    await town.taps(SELLER, _now(town, fee), "Create")
    assert await town.value(_DEALS) == 1


async def test_limits_of_new_sellers_are_told_before_the_preview(town: Town) -> None:
    await town.shop()
    assert (
        "KES 10,000 per deal at most" in (await town.says(SELLER, "/newdeal 10001 Case"))[-1].text
    )
    for _ in range(3):
        await town.deal("1000")
    answer = (await town.says(SELLER, "/newdeal 1000 Case"))[-1].text
    assert "3 open deals at a time" in answer
    assert await town.value(_DEALS) == 3


async def test_the_same_again_is_one_tap_and_create(town: Town) -> None:
    await town.shop()
    code = await town.deal("1500")
    await town.says(SELLER, f"/cancel {code}")
    since = town.last(SELLER)
    preview = (await town.taps_data(SELLER, since, f"b:again:{code}"))[-1]
    assert "you get KES 1,500" in preview.text
    await town.taps(SELLER, preview, "Create")
    assert await town.value(_DEALS) == 2


async def test_the_link_of_a_deal_is_shown_again(town: Town) -> None:
    await town.shop()
    code = await town.deal("1500")
    card = (await town.says(SELLER, code))[-1]
    shown = (await town.taps_data(SELLER, card, f"b:share_deal:{code}"))[-1]
    assert f"?start={code}" in shown.text
    assert shown.button("Copy link")


# -- one line ------------------------------------------------------------------------------------


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
    cards = [m for m in town.telegram.from_bot(SELLER) if "is open." in m.text]
    assert [card.id for card in cards] == [preview.id], "the preview became the card"
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
    assert await town.taps(SELLER, second, "Cancel") == []
    assert "nothing was opened" in town.telegram.messages[second.id].text
    assert town.telegram.messages[first.id].keyboard == []
    assert town.telegram.messages[second.id].keyboard == []
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
    await town.taps(SELLER, preview, "Create")
    opened = town.telegram.messages[preview.id]
    assert "as soon as an admin has verified you" in opened.text
    code = opened.text.split("Deal ")[1].split()[0]
    assert "can't be paid at the moment" in (await town.says(BUYER, code))[-1].text
    await town.says(ADMIN, f"/verify_seller {SELLER}")
    assert code in town.last(SELLER).text
    assert (await town.says(BUYER, code))[-1].button("Pay KES 1,520")


async def test_a_new_deal_is_shared_by_link(town: Town) -> None:
    await town.shop()
    preview = (await town.says(SELLER, "/newdeal 1500 Blue & green"))[-1]
    await town.taps(SELLER, preview, "Create")
    opened = town.telegram.messages[preview.id]
    link = f"https://t.me/{persona.BOT_USERNAME}?start="
    assert link in opened.text
    start = opened.text.index(link)
    town.telegram.open_link(BUYER, opened.text[start:].split()[0])
    await town.settle()
    assert "Blue & green" in town.last(BUYER).text
