"""From the list of disputes to the decision without typing an id."""

from __future__ import annotations

import pytest

from escrow.bot.admin import cases
from escrow.bot.files import TelegramFiles
from escrow.domain.flow import Status
from escrow.domain.money import Currency, Money
from sandbox import persona
from sandbox.telegram_chats import Message
from tests.bot.conftest import ADMIN, BUYER, SECOND_ADMIN, SELLER, Town
from tests.bot.test_disputes import STATUS, held


async def _disputed(town: Town) -> str:
    code = await held(town)
    await town.says(BUYER, f"/dispute {code} It never came")
    return code


async def test_from_the_list_to_the_decision_by_buttons_alone(town: Town) -> None:
    await _disputed(town)
    listed = (await town.says(ADMIN, "/disputed_transactions"))[-1]
    assert "Open disputes: 1" in listed.text
    assert "It never came" in listed.text
    assert "Nobody has it" in listed.text
    case = (await town.taps(ADMIN, listed, "1: case"))[-1]
    assert case.text.startswith("KES 10,100 · in dispute")
    assert "You decide it" in case.text
    preview = (await town.taps(ADMIN, case, "All to the buyer"))[-1]
    assert "all to the buyer" in preview.text
    assert await town.value(STATUS) == "DISPUTED"
    await town.taps(ADMIN, preview, "Confirm")
    assert await town.value(STATUS) == "REFUNDED"
    assert await town.value("SELECT taken_by FROM escrow_disputes") == ADMIN


async def test_the_second_admin_reads_who_has_it_and_gets_no_buttons_to_decide(
    town_of_two: Town,
) -> None:
    town = town_of_two
    code = await _disputed(town)
    await town.says(ADMIN, f"/case {code}")
    case = (await town.says(SECOND_ADMIN, f"/case {code}"))[-1]
    assert "has it since Mon 23 Nov, 12:00 and decides; you can read it." in case.text
    assert case.labels == ["Freeze it", "The whole case as a file"]
    listed = (await town.says(SECOND_ADMIN, "/disputed_transactions"))[-1].text
    assert "has it" in listed


async def test_after_48_hours_of_silence_one_tap_proposes_the_end(town: Town) -> None:
    code = await _disputed(town)
    town.clock.advance(hours=48, seconds=1)
    assert "NO ANSWER" in (await town.says(ADMIN, "/disputed_transactions"))[-1].text
    case = (await town.says(ADMIN, f"/case {code}"))[-1]
    preview = (await town.taps(ADMIN, case, "No answer: refund the buyer"))[-1]
    assert "did not answer in 48 hours" in preview.text
    await town.taps(ADMIN, preview, "Confirm")
    assert await town.value(STATUS) == "REFUNDED"


async def test_an_answer_that_comes_late_takes_the_proposal_back(town: Town) -> None:
    code = await _disputed(town)
    town.clock.advance(hours=48, seconds=1)
    case = (await town.says(ADMIN, f"/case {code}"))[-1]
    await town.taps_data(SELLER, town.last(SELLER), f"b:evidence:{code}")
    await town.says(SELLER, "I have sent it")
    await town.taps(ADMIN, case, "No answer: refund the buyer")
    assert await town.value("SELECT count(*) FROM admin_actions") == 0


async def test_a_deal_without_a_dispute_is_frozen_let_go_and_paid_from_its_case(town: Town) -> None:
    code = await held(town)
    case = (await town.says(ADMIN, f"/case {code}"))[-1]
    await town.taps(ADMIN, case, "Freeze it")
    assert await town.value(STATUS) == "FROZEN"
    case = (await town.says(ADMIN, f"/case {code}"))[-1]
    await town.taps(ADMIN, case, "Let it go on")
    assert await town.value(STATUS) == "HELD"
    case = (await town.says(ADMIN, f"/case {code}"))[-1]
    preview = (await town.taps(ADMIN, case, "Pay the seller"))[-1]
    await town.taps(ADMIN, preview, "Confirm")
    assert await town.value(STATUS) == "COMPLETED"


async def test_a_case_is_sent_as_a_file_with_its_pictures(town: Town) -> None:
    code = await _disputed(town)
    town.cases.use(TelegramFiles(town.application.bot))
    town.telegram.user_sends_photo(BUYER, b"\x89PNG\r\n\x1a\n" + bytes(40))
    await town.settle()
    await town.taps_data(BUYER, town.last(BUYER), f"b:evidence:{code}")
    town.telegram.user_sends_photo(BUYER, b"\x89PNG\r\n\x1a\n" + bytes(40))
    await town.settle()
    case = (await town.says(ADMIN, f"/case {code}"))[-1]
    assert "Evidence and messages (1)" in case.labels
    sent = (await town.taps(ADMIN, case, "The whole case as a file"))[-1]
    assert sent.media["document"]["file_name"] == f"{code}.html"
    stored = town.telegram.files[sent.media["document"]["file_id"]]
    html = stored.content.decode()
    assert "data:image/png;base64," in html
    assert "It never came" in html
    assert "<script" not in html


async def test_from_the_case_what_both_sides_sent_is_in_the_admins_chat_as_itself(
    town: Town,
) -> None:
    """Evidence and a message that was passed on, each as the very photo, not as words about it."""
    code = await _disputed(town)
    cracked, parcel = [b"\x89PNG\r\n\x1a\n" + one * 40 for one in (b"c", b"p")]
    for person, verb, content, caption in (
        (BUYER, "evidence", cracked, "The screen is broken"),
        (SELLER, "message", parcel, "It was whole when I packed it"),
    ):
        await town.taps_data(person, town.last(person), f"b:{verb}:{code}")
        town.telegram.user_sends_photo(person, content, caption)
        await town.settle()
    case = (await town.says(ADMIN, f"/case {code}"))[-1]
    shown = await town.taps(ADMIN, case, "Evidence and messages (2)")
    assert [
        (_photo(town, one), said in one.text)
        for one, said in zip(
            shown, ("The screen is broken", "It was whole when I packed it"), strict=True
        )
    ] == [(cracked, True), (parcel, True)]


def _photo(town: Town, message: Message) -> bytes:
    """What somebody sees who opens the photo of that message."""
    return town.telegram.files[message.media["photo"][-1]["file_id"]].content


async def test_transactions_are_counted_listed_and_turned(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cases, "PER_PAGE", 2)
    await town.shop()
    for number in range(3):
        await town.deal("1500", f"Cup {number}")
        town.clock.advance(minutes=1)
    counted = (await town.says(ADMIN, "/transactions"))[-1]
    assert "waiting for payment: 3" in counted.text
    assert len(counted.labels) == len(Status)
    await town.taps(ADMIN, counted, "waiting for payment")
    first = town.telegram.messages[counted.id]
    assert "Cup 2" in first.text
    assert "Cup 0" not in first.text
    await town.taps(ADMIN, first, "Page 2 ›")
    second = town.telegram.messages[counted.id]
    assert "Cup 0" in second.text
    assert second.labels[-1] == "‹ Page 1"
    assert "Cup 2" in (await town.says(ADMIN, "/transactions pending"))[-1].text


@pytest.mark.parametrize("text", ["/transactions SOLD", "/transactions HELD SHIPPED", "/case"])
async def test_what_cannot_be_read_gets_the_usage(town: Town, text: str) -> None:
    assert "Like this: /" in (await town.says(ADMIN, text))[-1].text


async def test_an_unknown_deal_is_one_clear_sentence(town: Town) -> None:
    for text in ("/case ES0000000000", "/case nonsense"):
        assert "no deal" in (await town.says(ADMIN, text))[-1].text


async def test_a_page_that_is_gone_is_the_last_one(town: Town) -> None:
    await town.shop()
    await town.deal("1500", "Cup")
    listed = (await town.says(ADMIN, "/transactions PENDING"))[-1]
    await town.taps_data(ADMIN, listed, "b:page:60003")
    assert "Cup" in town.telegram.messages[listed.id].text
    answer = (await town.taps_data(ADMIN, listed, "b:page:990001"))[-1].text
    assert "no longer" in answer or "not" in answer
    refused = (await town.says(SELLER, "/transactions"))[-1].text
    assert "admins" in refused


async def test_a_dispute_is_decided_from_the_list(town: Town) -> None:
    code = await _disputed(town)
    listed = (await town.says(ADMIN, "/disputed_transactions"))[-1]
    assert listed.labels == ["1: case", "1: buyer", "1: seller", "1: half"]
    preview = (await town.taps(ADMIN, listed, "1: half"))[-1]
    assert f"Resolve deal {code}: 50 % for the buyer" in preview.text
    await town.taps(ADMIN, preview, "Confirm")
    assert await town.value(STATUS) == "COMPLETED"
    over = town.telegram.messages[preview.id]
    assert over.labels == [f"Case {code}"]
    assert "completed" in (await town.taps(ADMIN, over, f"Case {code}"))[-1].text


async def test_a_case_says_what_waits_for_a_second_admin(town_of_two: Town) -> None:
    town = town_of_two
    town.actions._second_above = Money(100_00, Currency.KES)
    code = await _disputed(town)
    preview = (await town.says(ADMIN, f"/resolve_dispute {code} buyer it never came"))[-1]
    await town.taps(ADMIN, preview, "Confirm")
    case = (await town.says(ADMIN, f"/case {code}"))[-1].text
    assert f"confirmed /resolve_dispute {code}, KES 10,100." in case
    assert "It waits for a second admin, or for the host:" in case
    assert "python main.py approve" in case


async def test_freezing_leads_on_without_typing_the_code_again(town: Town) -> None:
    code = await held(town)
    frozen = (await town.says(ADMIN, f"/freeze_transaction {code} a look"))[-1]
    assert frozen.labels == ["Let it go on", f"Case {code}"]
    thawed = (await town.taps(ADMIN, frozen, "Let it go on"))[-1]
    assert thawed.labels == [f"Case {code}"]
    assert await town.value(STATUS) == "HELD"


async def test_what_was_paid_too_much_stands_among_the_money(town: Town) -> None:
    await town.shop()
    code = await town.deal()
    await town.says(BUYER, f"/start {code}")
    await town.says(BUYER, f"/pay {code}")
    await town.shares(BUYER, persona.BUYER.phone)
    await town.pays_by_hand(12_100, code)
    case = (await town.says(ADMIN, f"/case {code}"))[-1].text
    assert "KES 2,000 of it too much: into the buyer's wallet" in case


@pytest.mark.parametrize("said", ["split:0 why", "split:200 why", "half fair", "buyer"])
async def test_a_decision_that_cannot_be_read_says_what_can(town: Town, said: str) -> None:
    code = await _disputed(town)
    answer = (await town.says(ADMIN, f"/resolve_dispute {code} {said}"))[-1].text
    assert "split:70 (70 % for the buyer, 1 to 99)" in answer
    assert "Like this: /resolve_dispute" in answer


async def test_from_the_lists_of_deals_back_to_all_of_them(town: Town) -> None:
    await town.shop()
    listed = (await town.says(ADMIN, "/transactions HELD"))[-1]
    await town.taps(ADMIN, listed, "All statuses")
    assert "Deals under way" in town.telegram.messages[listed.id].text
