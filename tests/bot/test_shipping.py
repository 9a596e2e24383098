"""From paid to paid out in the chat: the proof, the question, the result, each in its place."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from sandbox import persona
from sandbox.telegram_chats import Message
from tests.bot.conftest import BUYER, SELLER, STRANGER, Town

WAYBILL = b"a waybill: G4S 12345"


@pytest.fixture
async def held(town: Town) -> str:
    """A deal whose money is held; its code."""
    await town.shop()
    return await _held(town)


async def _held(town: Town, what: str = "Blue phone case") -> str:
    code = await town.deal(what=what)
    await town.shares(BUYER, persona.BUYER.phone)
    shown = (await town.says(BUYER, code))[-1]
    await town.taps(BUYER, shown, "Pay by paybill")
    await town.pays_by_hand(10_100, code)
    return code


def _now(town: Town, message: Message) -> Message:
    """The message as it stands in the chat now."""
    return town.telegram.messages[message.id]


async def _photo(town: Town, person: int, caption: str = "") -> list[Message]:
    since = town.telegram.mark()
    town.telegram.user_sends_photo(person, WAYBILL, caption)
    await town.settle()
    return town.telegram.from_bot(person, since=since)


async def _status(town: Town, code: str) -> str:
    return str(await town.value("SELECT status FROM escrow_transactions WHERE id = $1", code))


async def _new(town: Town, person: int, since: int, *but: Message) -> list[Message]:
    ids = {message.id for message in but}
    return [m for m in town.telegram.from_bot(person, since=since) if m.id not in ids]


# -- sent ----------------------------------------------------------------------------------------


async def test_one_tap_and_a_photo_report_it_sent_without_a_new_message(
    town: Town, held: str
) -> None:
    notice = town.last(SELLER)
    assert notice.text.startswith("KES 10,000 is held for you.")
    assert notice.labels == ["Sent", "Can't send it", "Message buyer"]
    assert await town.taps(SELLER, notice, "Sent") == []
    assert "Send me a photo of the waybill" in _now(town, notice).text
    since = town.telegram.mark()
    await _photo(town, SELLER, "G4S 12345")
    assert await _new(town, SELLER, since, notice) == [], "the question became the card"
    assert _now(town, notice).text.startswith("KES 10,000 · on its way")
    assert "Tracking: \u2068G4S 12345\u2069" in _now(town, notice).text
    shipped = town.last(BUYER)
    assert "photo" in shipped.media
    assert "sent it. Your KES 10,100 stays held." in shipped.text
    assert "Mon 30 Nov, 12:00 (in 7 days)" in shipped.text
    assert shipped.labels == ["Received", "Something is wrong", "Message seller"]


async def test_a_tracking_number_in_words_does_as_well(town: Town, held: str) -> None:
    notice = town.last(SELLER)
    await town.taps(SELLER, notice, "Sent")
    await town.says(SELLER, "1234567890")
    assert await _status(town, held) == "SHIPPED"
    assert "Tracking: \u20681234567890\u2069" in town.last(BUYER).text


async def test_small_talk_is_no_proof(town: Town, held: str) -> None:
    await town.taps(SELLER, town.last(SELLER), "Sent")
    for words in ("hello, is anybody there?", "nitatuma kesho"):
        assert "see no number in that" in (await town.says(SELLER, words))[-1].text
    assert "201 characters" in (await town.says(SELLER, "1" * 201))[-1].text
    assert await _status(town, held) == "HELD"
    await town.says(SELLER, "G4S 12345")
    assert await _status(town, held) == "SHIPPED", "the question stayed open"


async def test_back_takes_the_question_back(town: Town, held: str) -> None:
    notice = town.last(SELLER)
    await town.taps(SELLER, notice, "Sent")
    await town.taps(SELLER, notice, "Back")
    assert _now(town, notice).text.startswith("KES 10,000 · paid, money held")
    await town.says(SELLER, "G4S 12345")
    assert await _status(town, held) == "HELD"
    await town.taps(SELLER, notice, "Sent")
    assert "photo of the waybill" in _now(town, notice).text


async def test_cancel_leaves_the_question_and_the_deal_stays(town: Town, held: str) -> None:
    await town.taps(SELLER, town.last(SELLER), "Sent")
    await town.says(SELLER, "/cancel")
    await town.says(SELLER, "G4S 12345")
    assert await _status(town, held) == "HELD"


async def test_the_command_takes_code_and_tracking(town: Town, held: str) -> None:
    card = (await town.says(SELLER, f"/ship {held} G4S 12345"))[-1]
    assert card.text.startswith("KES 10,000 · on its way")
    assert "past that point" in (await town.says(SELLER, f"/ship {held} G4S 999"))[-1].text
    assert "It is on its way." in town.last(SELLER).text


async def test_the_command_without_a_code_means_the_only_deal(town: Town, held: str) -> None:
    await town.says(SELLER, "/ship G4S 12345")
    assert await _status(town, held) == "SHIPPED"


async def test_the_bare_command_asks_for_the_proof(town: Town, held: str) -> None:
    asked = (await town.says(SELLER, f"/ship {held}"))[-1]
    assert "photo of the waybill" in asked.text
    await _photo(town, SELLER)
    assert _now(town, asked).text.startswith("KES 10,000 · on its way")


async def test_of_several_deals_the_seller_picks_one(town: Town, held: str) -> None:
    other = await _held(town, "Red cup")
    offered = (await town.says(SELLER, "/ship"))[-1]
    await town.taps(SELLER, offered, other)
    await town.says(SELLER, "G4S 7")
    assert (await _status(town, held), await _status(town, other)) == ("HELD", "SHIPPED")


async def test_others_report_nothing_sent(town: Town, held: str) -> None:
    assert "can't do that here" in (await town.says(BUYER, f"/ship {held} G4S 1"))[-1].text
    assert "I find no deal" in (await town.says(STRANGER, f"/ship {held} G4S 1"))[-1].text
    assert await _status(town, held) == "HELD"


# -- received --------------------------------------------------------------------------------------


async def _shipped(town: Town, code: str) -> Message:
    """Sent with a photo; the buyer's notice of it."""
    await town.taps(SELLER, town.last(SELLER), "Sent")
    await _photo(town, SELLER)
    return town.last(BUYER)


async def test_the_notice_becomes_question_and_result(town: Town, held: str) -> None:
    notice = await _shipped(town, held)
    assert await town.taps(BUYER, notice, "Received") == []
    asked = _now(town, notice)
    assert asked.text.startswith("Pay KES 10,000 to \u2068Jane Shop\u2069?")
    assert "Only with the item in your hands. It can't be undone." in asked.text
    assert asked.labels == ["Yes, pay Jane Shop", "Not yet"]
    assert await town.taps(BUYER, notice, "Yes, pay") == []
    done = _now(town, notice)
    assert done.text.startswith("Done: KES 10,000 for \u2068Jane Shop\u2069.")
    assert done.labels == ["1 ★", "2 ★", "3 ★", "4 ★", "5 ★"]
    assert town.last(SELLER).text.startswith("KES 10,000 is yours: the buyer has the item.")
    assert await _status(town, held) == "COMPLETED"


async def test_stars_stand_where_the_result_stood(town: Town, held: str) -> None:
    notice = await _shipped(town, held)
    await town.taps(BUYER, notice, "Received")
    await town.taps(BUYER, notice, "Yes, pay")
    assert await town.taps(BUYER, notice, "5 ★") == []
    assert "Thank you" in _now(town, notice).text
    assert await town.value("SELECT stars FROM seller_ratings WHERE escrow_id = $1", held) == 5


async def test_not_yet_shows_the_deal_and_pays_nobody(town: Town, held: str) -> None:
    notice = await _shipped(town, held)
    await town.taps(BUYER, notice, "Received")
    await town.taps(BUYER, notice, "Not yet")
    assert _now(town, notice).text.startswith("KES 10,100 · on its way")
    assert _now(town, notice).labels[0] == "Received"
    assert await _status(town, held) == "SHIPPED"


async def test_the_command_asks_first_too(town: Town, held: str) -> None:
    await town.says(SELLER, f"/ship {held} G4S 12345")
    asked = (await town.says(BUYER, f"/received {held}"))[-1]
    await town.taps(BUYER, asked, "Yes, pay")
    assert await _status(town, held) == "COMPLETED"
    again = (await town.says(BUYER, f"/received {held}"))[-1].text
    assert "past that point" in again
    assert "It is done." in again


async def test_two_devices_have_one_effect_and_a_clear_answer(town: Town, held: str) -> None:
    first = await _shipped(town, held)
    second = (await town.says(BUYER, "/received"))[-1]
    await town.taps(BUYER, first, "Received")
    await town.taps(BUYER, first, "Yes, pay")
    told = await town.taps(BUYER, second, "Yes, pay")
    assert "It is done." in told[-1].text
    assert await town.value("SELECT count(*) FROM settlements") == 1


async def test_handed_over_in_person_is_warned_of(town: Town, held: str) -> None:
    funded = town.last(BUYER)
    assert funded.labels == ["I have it", "Message seller"]
    await town.taps(BUYER, funded, "I have it")
    assert "The seller has not said that it was sent." in _now(town, funded).text
    await town.taps(BUYER, funded, "Yes, pay")
    assert await _status(town, held) == "COMPLETED"


async def test_the_seller_confirms_nothing_for_himself(town: Town, held: str) -> None:
    assert "can't do that here" in (await town.says(SELLER, f"/received {held}"))[-1].text
    message = town.last(SELLER)
    for verb in ("received", "received_yes", "release", "release_yes"):
        await town.taps_data(SELLER, message, f"b:{verb}:{held}")
        await town.taps_data(STRANGER, message, f"b:{verb}:{held}")
    assert await _status(town, held) == "HELD"


async def test_an_inspection_can_be_ended_at_once_where_it_stands(town: Town) -> None:
    terms = replace(town.escrows._terms, inspection=timedelta(days=2))
    town.escrows._terms = terms
    await town.shop()
    code = await _held(town)
    funded = town.last(BUYER)
    await town.taps(BUYER, funded, "I have it")
    await town.taps(BUYER, funded, "Yes, pay")
    assert await _status(town, code) == "DELIVERED"
    assert "KES 10,000 stays held while you look at it." in _now(town, funded).text
    assert "the buyer has the item and looks at it" in town.last(SELLER).text
    await town.taps(BUYER, funded, "Pay the seller now")
    await town.taps(BUYER, funded, "Yes, pay")
    assert await _status(town, code) == "COMPLETED"


async def test_yes_pressed_twice_does_not_end_the_time_to_look(town: Town) -> None:
    town.escrows._terms = replace(town.escrows._terms, inspection=timedelta(days=2))
    await town.shop()
    code = await _held(town)
    funded = town.last(BUYER)
    await town.taps(BUYER, funded, "I have it")
    for _ in range(2):
        town.telegram.user_taps(BUYER, funded.id, "Yes, pay")
    await town.settle()
    assert await _status(town, code) == "DELIVERED"
    town.application.bot_data.pop("pressed")  # a restart
    await town.taps_data(BUYER, funded, f"b:received_yes:{code}")
    assert await _status(town, code) == "DELIVERED"


# -- giving back -----------------------------------------------------------------------------------


async def test_giving_back_asks_once_more(town: Town, held: str) -> None:
    notice = town.last(SELLER)
    await town.taps(SELLER, notice, "Can't send it")
    assert _now(town, notice).text.startswith("Give KES 10,100 back to the buyer?")
    await town.taps(SELLER, notice, "No, back")
    assert await _status(town, held) == "HELD"
    await town.taps(SELLER, notice, "Can't send it")
    await town.taps(SELLER, notice, "Yes, give it back")
    assert await _status(town, held) == "REFUNDED"
    assert "Please send nothing." in _now(town, notice).text
    assert _now(town, notice).keyboard == []


async def test_cancelling_an_unpaid_deal_asks_once_more(town: Town) -> None:
    await town.shop()
    code = await town.deal()
    card = (await town.says(SELLER, f"/deal {code}"))[-1]
    await town.taps(SELLER, card, "Cancel the deal")
    assert _now(town, card).text.startswith("Cancel the deal of KES 10,100?")
    await town.taps(SELLER, card, "Yes, cancel it")
    assert await _status(town, code) == "CANCELLED"


# -- time ------------------------------------------------------------------------------------------


async def test_silence_pays_the_seller_and_tells_both(town: Town, held: str) -> None:
    await _shipped(town, held)
    town.clock.advance(days=7)
    assert await town.escrows.release_due() == (1, 1)
    await town.settle()
    assert town.last(SELLER).text.startswith("KES 10,000 is yours: the buyer's time is over.")
    assert (
        "was paid to \u2068Jane Shop\u2069: your time to object is over." in town.last(BUYER).text
    )
    assert town.last(BUYER).labels[:5] == ["1 ★", "2 ★", "3 ★", "4 ★", "5 ★"]


async def test_what_nobody_sent_goes_back_and_both_read_it(town: Town, held: str) -> None:
    town.clock.advance(days=3)
    assert await town.escrows.refund_due() == (1, 1)
    await town.settle()
    assert town.last(BUYER).text.startswith("KES 10,100 is yours again")
    assert town.last(SELLER).text.startswith("KES 10,100 went back to the buyer")
