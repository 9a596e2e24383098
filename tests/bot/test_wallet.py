"""The wallet says what is there, what is held and what moved, and sends it to the phone."""

from __future__ import annotations

from sandbox import persona
from sandbox.faults import Fault
from tests.bot.conftest import BUYER, SELLER, Town

_BOOKED = "SELECT sum(amount_minor)::bigint FROM payouts WHERE telegram_id = $1"


async def _with_money(town: Town, amount: int = 500) -> None:
    """The buyer's wallet holds that, and his number is known."""
    await town.shop()
    await town.shares(BUYER, persona.BUYER.phone)
    await _give(town, amount)


async def _give(town: Town, amount: int) -> None:
    """A payment that was far too short for its deal."""
    code = await town.deal()
    shown = (await town.says(BUYER, code))[-1]
    await town.taps(BUYER, shown, "Pay by paybill")
    await town.pays_by_hand(amount, code)
    await town.says(SELLER, f"/cancel {code}")


async def test_an_unused_wallet_is_empty(town: Town) -> None:
    shown = (await town.says(BUYER, "/wallet"))[-1]
    assert "In your wallet: KES 0" in shown.text
    assert shown.labels == ["Automatic payouts: on"]


async def test_money_is_shown_where_it_is(town: Town) -> None:
    await town.shop()
    code = await town.deal()
    await town.shares(BUYER, persona.BUYER.phone)
    shown = (await town.says(BUYER, code))[-1]
    await town.taps(BUYER, shown, "Pay by paybill")
    await town.pays_by_hand(10_600, code)
    mine = (await town.says(BUYER, "/wallet"))[-1]
    assert mine.text.startswith("In your wallet: KES 500")
    assert "Held in deals you paid: KES 10,100" in mine.text
    assert f"Mon 23 Nov, 12:00: +KES 500 · paid too much {code}" in mine.text
    assert mine.labels[0] == "Send KES 500 to 0711***001"
    seller = (await town.says(SELLER, "/wallet"))[-1].text
    assert "Held for you as seller: KES 10,000" in seller


async def test_older_movements_come_page_by_page_in_place(town: Town) -> None:
    await _with_money(town, 100)
    for amount in (200, 300, 400, 600, 700):
        await _give(town, amount)
    shown = (await town.says(BUYER, "/wallet"))[-1]
    assert "+KES 700" in shown.text
    assert "+KES 100" not in shown.text
    assert await town.taps(BUYER, shown, "Older") == []
    older = town.telegram.messages[shown.id]
    assert "+KES 100" in older.text
    await town.taps(BUYER, older, "Newer")
    assert "+KES 700" in town.telegram.messages[shown.id].text


async def test_automatic_payouts_are_switched_in_place(town: Town) -> None:
    shown = (await town.says(BUYER, "/wallet"))[-1]
    assert await town.taps(BUYER, shown, "Automatic payouts: on") == []
    assert town.telegram.messages[shown.id].labels == ["Automatic payouts: off"]
    assert await town.value("SELECT auto_payout FROM people WHERE telegram_id = $1", BUYER) is False
    await town.taps(BUYER, town.telegram.messages[shown.id], "Automatic payouts: off")
    assert await town.value("SELECT auto_payout FROM people WHERE telegram_id = $1", BUYER) is True


async def test_a_press_on_automatic_payouts_handled_twice_turns_them_once(town: Town) -> None:
    shown = (await town.says(BUYER, "/wallet"))[-1]
    data = str((shown.button("Automatic payouts: on") or {})["callback_data"])
    for _ in range(2):
        await town.taps_data(BUYER, shown, data)
    assert await town.value("SELECT auto_payout FROM people WHERE telegram_id = $1", BUYER) is False


async def test_money_is_sent_after_one_question(town: Town) -> None:
    await _with_money(town)
    asked = (await town.says(BUYER, "/withdraw 200"))[-1]
    assert asked.text.startswith("Send KES 200 to 0711***001?")
    assert "KES 300 stays in your wallet." in asked.text
    assert await town.value(_BOOKED, BUYER) is None
    await town.taps(BUYER, asked, "Yes, send")
    assert "KES 200 is on its way to 0711***001." in town.telegram.messages[asked.id].text
    assert town.telegram.messages[asked.id].keyboard == []
    assert await town.value(_BOOKED, BUYER) == 200_00
    shown = (await town.says(BUYER, "/wallet"))[-1].text
    assert shown.startswith("In your wallet: KES 300")
    assert "On its way to 0711***001: KES 200" in shown
    assert "-KES 200 · sent to your phone" in shown.replace("KES -200", "-KES 200")


async def test_a_second_press_sends_nothing_more(town: Town) -> None:
    await _with_money(town)
    asked = (await town.says(BUYER, "/withdraw"))[-1]
    data = asked.keyboard[0][0]["callback_data"]
    await town.taps_data(BUYER, asked, data)
    await town.taps_data(BUYER, asked, data)
    assert await town.value(_BOOKED, BUYER) == 500_00
    own = (await town.says(BUYER, "/start"))[-1]
    told = await town.taps_data(BUYER, own, data)
    assert "Your wallet holds KES 0" in told[-1].text
    assert await town.value(_BOOKED, BUYER) == 500_00


async def test_one_question_sends_once_whatever_becomes_of_its_answer(town: Town) -> None:
    await _with_money(town)
    asked = (await town.says(BUYER, "/withdraw 200"))[-1]
    town.telegram.faults.add(Fault("editMessageText", cut=True))
    await town.taps(BUYER, asked, "Yes, send")
    await town.taps(BUYER, asked, "Yes, send")
    assert await town.value(_BOOKED, BUYER) == 200_00
    town.application.bot_data.pop("pressed")  # a restart
    await town.taps(BUYER, asked, "Yes, send")
    assert "KES 200 is on its way" in town.telegram.messages[asked.id].text
    assert await town.value(_BOOKED, BUYER) == 200_00
    again = (await town.says(BUYER, "/withdraw 200"))[-1]
    await town.taps(BUYER, again, "Yes, send")
    assert await town.value(_BOOKED, BUYER) == 400_00


async def test_everything_is_offered_below_the_wallet(town: Town) -> None:
    await _with_money(town)
    shown = (await town.says(BUYER, "/wallet"))[-1]
    asked = (await town.taps(BUYER, shown, "Send KES 500"))[-1]
    assert asked.text.startswith("Send KES 500 to 0711***001?")
    assert asked.labels == ["Yes, send"]


async def test_who_has_only_typed_his_number_shares_it_first(town: Town) -> None:
    await town.shop()
    await town.says(BUYER, "0711003001")
    await _give(town, 500)
    asked = (await town.says(BUYER, "/withdraw 100"))[-1]
    assert "Money goes only to your own number." in asked.text
    again = (await town.says(BUYER, "0711003001"))[-1]
    assert "once more" in again.text
    assert "Money goes only" in (await town.says(BUYER, "0711003001"))[-1].text
    preview = (await town.shares(BUYER, persona.BUYER.phone))[-1]
    assert preview.text.startswith("Send KES 100 to 0711***001?")


async def test_what_cannot_be_sent_is_said_in_words(town: Town) -> None:
    await _with_money(town, 150)
    for typed, words in (
        ("151", "no more than that"),
        ("9", "KES 10 at least"),
        ("10.50", "whole shillings"),
        ("USD 15", "no more than that"),
        ("all", "can't read"),
    ):
        assert words in (await town.says(BUYER, f"/withdraw {typed}"))[-1].text
    assert await town.value(_BOOKED, BUYER) is None
