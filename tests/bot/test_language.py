"""Everybody reads his own language: at first Telegram's, then the one he chose."""

from __future__ import annotations

import re

import pytest

from escrow.bot.page import language
from escrow.services.ports import Answer, Verdict
from sandbox.telegram_chats import Message
from tests.bot.conftest import ADMIN, BUYER, SELLER, Town


async def _chooses(town: Town, person: int, label: str) -> Message:
    question = (await town.says(person, "/language"))[-1]
    await town.taps(person, question, label)
    return town.telegram.messages[question.id]


async def test_telegrams_language_is_the_first_choice(town: Town) -> None:
    town.telegram.people[BUYER].language_code = "sw-KE"
    hello = (await town.says(BUYER, "/start"))[-1]
    assert "hii ni Amana" in hello.text
    assert hello.button("Nataka kununua")
    assert "Sikuelewa" in (await town.says(BUYER, "habari"))[-1].text


async def test_an_unknown_language_reads_english(town: Town) -> None:
    town.telegram.people[BUYER].language_code = "zh-hans"
    assert "this is Amana" in (await town.says(BUYER, "/start"))[-1].text


async def test_a_chosen_language_holds_whatever_telegram_says(town: Town) -> None:
    answer = await _chooses(town, BUYER, "Kiswahili")
    assert "Kuanzia sasa ninaandika kwa Kiswahili" in answer.text
    assert await town.value("SELECT language FROM people WHERE telegram_id = $1", BUYER) == "sw"
    assert "Bado huna biashara" in (await town.says(BUYER, "/deals"))[-1].text
    answer = await _chooses(town, BUYER, "English")
    assert "From now on I write in English" in answer.text
    assert "You have no deals yet" in (await town.says(BUYER, "/deals"))[-1].text


async def test_the_greeting_offers_the_other_language_by_one_tap(town: Town) -> None:
    hello = (await town.says(BUYER, "/start"))[-1]
    await town.taps(BUYER, hello, "Kiswahili")
    hello = town.telegram.messages[hello.id]
    assert "hii ni Amana" in hello.text
    await town.taps(BUYER, hello, "English")
    assert "this is Amana" in town.telegram.messages[hello.id].text


async def test_each_side_of_a_deal_reads_its_own_language(town: Town) -> None:
    await town.shop()
    code = await town.deal()
    await _chooses(town, SELLER, "Kiswahili")
    await town.says(BUYER, f"/pay {code}")
    await town.shares(BUYER, "254711000001")
    await town.answers_prompt(1, Answer(Verdict.PAID, "0"))
    assert "imehifadhiwa kwa ajili yako" in town.last(SELLER).text
    assert "bado siku 3" in town.last(SELLER).text
    assert "your money is held" in town.last(BUYER).text


async def test_notices_already_waiting_come_in_the_language_of_the_moment(town: Town) -> None:
    await town.says(SELLER, "/sell Jane Shop")
    await town.shares(SELLER, "254712345678")
    await town.people.set_language(SELLER, "sw")
    await town.people.verify_seller(SELLER, ADMIN)
    await town.settle()
    assert "amethibitishwa. Unaweza kuuza sasa" in town.last(SELLER).text


async def test_refusals_and_apologies_are_in_the_readers_language(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    await town.says(BUYER, "/start")
    await _chooses(town, BUYER, "Kiswahili")
    assert "Sipati biashara" in (await town.says(BUYER, "/pay ES0000000000"))[-1].text

    async def fail(*args: object, **named: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(town.escrows, "deals", fail)
    assert "Samahani, kuna kosa upande wetu" in (await town.says(BUYER, "/deals"))[-1].text


async def test_people_who_write_at_once_never_get_each_others_language(town: Town) -> None:
    town.telegram.people[BUYER].language_code = "sw"
    for _ in range(5):
        for person in (BUYER, SELLER, ADMIN):
            town.telegram.user_sends(person, "/deals")
    await town.settle()
    for person, words in ((BUYER, "Bado huna"), (SELLER, "You have no"), (ADMIN, "You have no")):
        assert all(words in message.text for message in town.telegram.from_bot(person))
    assert language() == "en"


async def test_a_repeated_press_is_told_so_in_the_readers_language(town: Town) -> None:
    await town.shop()
    await _chooses(town, SELLER, "Kiswahili")
    preview = (await town.says(SELLER, "/newdeal 10000 Simu"))[-1]
    data = preview.button("Fungua")["callback_data"]
    await town.taps_data(SELLER, preview, data)
    await town.taps_data(SELLER, preview, data)
    shown = [call.params.get("text") for call in town.telegram.calls if "text" in call.params]
    assert "Imeshafanyika." in shown


async def test_a_prompt_that_failed_says_why_in_kiswahili(town: Town) -> None:
    await town.shop()
    code = await town.deal()
    town.telegram.people[BUYER].language_code = "sw"
    await town.says(BUYER, f"/pay {code}")
    await town.shares(BUYER, "254711003001")
    await town.answers_prompt(1, Answer(Verdict.DECLINED, "2001", "wrong_pin"))
    assert "PIN ya M-Pesa haikuwa sahihi" in town.last(BUYER).text
    assert town.last(BUYER).button("Jaribu tena (subiri dakika 2)")


async def test_a_forged_language_gets_one_polite_line(town: Town) -> None:
    hello = (await town.says(BUYER, "/start"))[-1]
    answers = await town.taps_data(BUYER, hello, "b:language:9")
    assert "no longer works" in answers[-1].text


_ENGLISH = re.compile(
    r"\b(?:the|is|are|was|you|your|and|please|of|for|with|this|that|can|will|has|have|from|by|not"
    r"|it|pay|send|deal|seller|buyer|money|cancel|more|help|yes|no)\b",
    re.IGNORECASE,
)
_NO_WORDS = re.compile("\u2068[^\u2069]*\u2069|/[a-z_]+|https?://\\S+|Pay Bill|/newdeal 1500 .*")


def _english(town: Town, person: int) -> list[str]:
    """What was written to somebody, labels too, that looks English."""
    found = []
    for message in town.telegram.from_bot(person):
        for text in [message.text, *message.labels]:
            words = _ENGLISH.search(_NO_WORDS.sub("", text))
            if words and text not in ("English", "Kiswahili"):
                found.append(f"{words[0]}: {text}")
    return found


async def test_a_whole_deal_and_a_dispute_in_kiswahili_show_no_english(town: Town) -> None:
    for person in (SELLER, BUYER, ADMIN):
        town.telegram.people[person].language_code = "sw"
        await town.says(person, "/start")
        await town.says(person, "/help")
    await town.shop()
    codes = []
    for price in (1000, 2000):
        preview = (await town.says(SELLER, f"/newdeal {price} Simu"))[-1]
        await town.taps(SELLER, preview, "Fungua")
        codes.append(f"ES{re.findall('ES([0-9]{10})', town.telegram.messages[preview.id].text)[0]}")
    for number, code in enumerate(codes, start=1):
        await town.says(BUYER, f"/start {code}")
        await town.says(BUYER, f"/pay {code}")
        if number == 1:
            await town.shares(BUYER, "254711000001")
        await town.answers_prompt(number, Answer(Verdict.PAID, "0"))
    done, disputed = codes
    await town.says(SELLER, f"/ship {done} G4S 12345")
    question = (await town.says(BUYER, f"/received {done}"))[-1]
    await town.taps(BUYER, question, "Ndiyo, mlipe")
    await town.says(BUYER, f"/rate {done} 5")
    await town.says(BUYER, f"/dispute {disputed}")
    await town.taps_data(BUYER, town.last(BUYER), f"b:reason:{disputed}:101")
    await town.says(SELLER, f"/settle {disputed} 70/30")
    for person in (SELLER, BUYER):
        for command in ("deals", "wallet", f"deal {disputed}", f"extend {disputed}", "decline"):
            await town.says(person, f"/{command}")
    await town.says(ADMIN, "/disputed_transactions")
    await town.confirms(f"/resolve_dispute {disputed} split Nusu kwa nusu")
    await town.says(ADMIN, "/system_health")
    ended = "SELECT count(*) FROM escrow_transactions WHERE status = 'COMPLETED'"
    assert await town.value(ended) == 2
    for person in (SELLER, BUYER, ADMIN):
        assert _english(town, person) == []


async def test_a_reason_chosen_by_a_button_is_read_in_each_readers_language(town: Town) -> None:
    await town.shop()
    code = await town.deal()
    await town.says(BUYER, f"/pay {code}")
    await town.shares(BUYER, "254711000001")
    await town.answers_prompt(1, Answer(Verdict.PAID, "0"))
    await _chooses(town, SELLER, "Kiswahili")
    await town.says(BUYER, f"/dispute {code}")
    await town.taps_data(BUYER, town.last(BUYER), f"b:reason:{code}:101")
    notices = [message.text for message in town.telegram.from_bot(SELLER)]
    assert any("Sababu: \u2068Haijafika\u2069" in text for text in notices)
    assert "It has not arrived" in town.last(BUYER).text
