"""People write to each other through the bot, send evidence, and ask for help: as chats show it."""

from __future__ import annotations

import pytest

from escrow.bot.files import TelegramFiles
from escrow.services.ports import Answer, Verdict
from sandbox.telegram_chats import Message
from tests.bot.conftest import ADMIN, BUYER, SELLER, STRANGER, Town
from tests.bot.hostile import CORPUS

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
HOSTILE = (
    "KES 10,500 is held for you.\nSend it now: call 0712345678",
    "<b>Amana:</b> pay to <a href='https://evil.example'>here</a>",
    "\u202eKSE 000,1\u202c\u2066x",
    "write me @brian_2541 or https://t.me/brian_2541 or brian@mail.example, wa.me/254712345678",
)


@pytest.fixture
async def code(town: Town) -> str:
    """A paid deal of Jane's and Brian's; both have pressed Start."""
    await town.says(BUYER, "/start")
    await town.says(ADMIN, "/start")
    await town.shop()
    code = await town.deal()
    await town.says(BUYER, f"/start {code}")
    await town.shares(BUYER, "254711000001")
    await town.says(BUYER, f"/pay {code}")
    await town.answers_prompt(1, Answer(Verdict.PAID, "0"))
    return code


async def disputed(town: Town, code: str) -> None:
    """A dispute of the buyer."""
    await town.escrows.dispute(code, BUYER, "broken", "update:dispute")
    await town.settle()


async def files(town: Town, person: int, count: int = 1, **more: object) -> list[Message]:
    """Sends photos; what the bot wrote in answer."""
    since = town.telegram.mark()
    for number in range(count):
        content = PNG + bytes([number])
        town.telegram.user_sends_photo(person, content, **more)  # type: ignore[arg-type]
    await town.settle()
    return [m for m in town.telegram.from_bot(person, since=since) if not m.edited_at]


async def replies(town: Town, person: int, to: Message, text: str) -> list[Message]:
    since = town.telegram.mark()
    town.telegram.user_replies(person, to.id, text)
    await town.settle()
    return town.telegram.from_bot(person, since=since)


async def presses(town: Town, person: int, data: str) -> list[Message]:
    """A button of that data, wherever it stands."""
    return await town.taps_data(person, town.last(person), data)


def _mine(town: Town, person: int) -> list[Message]:
    return [m for m in town.telegram.chat(person) if not m.from_bot]


# -- messages ------------------------------------------------------------------------------------


async def test_a_message_and_its_reply_go_through_the_bot(town: Town, code: str) -> None:
    asked = (await presses(town, BUYER, f"b:message:{code}"))[-1]
    assert "message to the seller" in asked.text
    sent = (await town.says(BUYER, "When do you send it?"))[-1]
    assert sent.text.startswith("Sent to the seller.")
    got = town.last(SELLER)
    assert got.text.startswith("The buyer writes to you:")
    assert "When do you send it?" in got.text
    assert code in got.text
    assert "Brian" not in got.text
    assert any(mark["type"] == "blockquote" for mark in got.entities)
    back = await replies(town, SELLER, got, "Tomorrow")
    assert back[-1].text.startswith("Sent to the buyer.")
    assert "Tomorrow" in town.last(BUYER).text


async def test_a_photo_is_passed_on_as_a_photo(town: Town, code: str) -> None:
    await presses(town, SELLER, f"b:message:{code}")
    await files(town, SELLER, caption="this one?")
    got = town.last(BUYER)
    assert "photo" in got.media
    assert "this one?" in got.text
    assert got.button("Reply") is not None


async def test_the_question_survives_a_restart_and_is_stopped_by_cancel(
    town: Town, code: str
) -> None:
    await presses(town, BUYER, f"b:message:{code}")
    await town.store.stop()
    await town.store.start()
    assert (await town.says(BUYER, "hello"))[-1].text.startswith("Sent to the seller.")
    await presses(town, BUYER, f"b:message:{code}")
    await town.says(BUYER, "/cancel")
    assert "Sent" not in (await town.says(BUYER, "hello"))[-1].text


@pytest.mark.parametrize("words", HOSTILE)
async def test_relayed_words_imitate_nothing_and_give_no_contact(
    town: Town, code: str, words: str
) -> None:
    await presses(town, BUYER, f"b:message:{code}")
    await town.says(BUYER, words)
    got = town.last(SELLER)
    assert got.text.startswith("The buyer writes to you:")
    assert "0712345678" not in got.text
    assert "brian_2541" not in got.text
    assert "mail.example" not in got.text
    assert "\u202e" not in got.text
    assert not any(mark["type"] == "text_link" for mark in got.entities)
    said = next(line for line in got.text.splitlines()[1:] if line)
    assert said.startswith("\u2068")


async def test_too_long_a_message_is_refused_and_the_question_stays(town: Town, code: str) -> None:
    await presses(town, BUYER, f"b:message:{code}")
    assert "1000 is the limit" in (await town.says(BUYER, "x" * 4096))[-1].text
    assert (await town.says(BUYER, "short"))[-1].text.startswith("Sent to the seller.")


async def test_who_blocked_the_bot_does_not_stop_the_others_message(town: Town, code: str) -> None:
    town.telegram.user_blocks(SELLER)
    await town.settle()
    await presses(town, BUYER, f"b:message:{code}")
    assert "can't be reached" in (await town.says(BUYER, "hello"))[-1].text
    town.telegram.user_unblocks(SELLER)
    await town.settle()
    await town.says(SELLER, "/start")
    await presses(town, SELLER, f"b:message:{code}")
    await town.says(SELLER, "I am back")
    assert "I am back" in town.last(BUYER).text


async def test_a_strangers_press_writes_to_nobody(town: Town, code: str) -> None:
    await town.says(STRANGER, "/start")
    assert "no deal" in (await presses(town, STRANGER, f"b:message:{code}"))[-1].text


# -- evidence ------------------------------------------------------------------------------------


async def test_an_album_of_evidence_gets_thumbs_and_no_messages(town: Town, code: str) -> None:
    await disputed(town, code)
    asked = (await presses(town, BUYER, f"b:evidence:{code}"))[-1]
    assert asked.button("Done") is not None
    assert await files(town, BUYER, 4, album="1") == []
    assert [m.reaction for m in _mine(town, BUYER)[-4:]] == ["👍"] * 4
    assert await town.value("SELECT count(*) FROM deal_records") == 4
    assert [m.text for m in town.telegram.from_bot(SELLER)].count(town.last(SELLER).text) == 1
    assert town.last(SELLER).text.startswith("The buyer added evidence.")
    await town.taps(BUYER, asked, "Done")
    assert "is kept with deal" in asked.text
    assert "I don't know what this is for" in (await files(town, BUYER))[-1].text


async def test_without_reactions_one_message_counts(town: Town, code: str) -> None:
    await disputed(town, code)
    town.telegram.fail("setMessageReaction", status=400, times=None)
    asked = (await presses(town, BUYER, f"b:evidence:{code}"))[-1]
    assert await files(town, BUYER, 3) == []
    assert "Kept so far: 3" in asked.text
    assert asked.button("Done") is not None


async def test_a_command_ends_the_collecting(town: Town, code: str) -> None:
    await disputed(town, code)
    await presses(town, BUYER, f"b:evidence:{code}")
    await town.says(BUYER, "/wallet")
    assert "I don't know what this is for" in (await files(town, BUYER))[-1].text


async def test_words_voice_and_documents_are_evidence_too(town: Town, code: str) -> None:
    await disputed(town, code)
    await presses(town, BUYER, f"b:evidence:{code}")
    town.telegram.user_sends(BUYER, f"SG632NMUAB Confirmed. Ksh10,500 paid for {code}")
    town.telegram.user_sends_sound(BUYER, b"ogg")
    town.telegram.user_sends_sound(BUYER, b"mp4", "video", "the crack")
    town.telegram.user_sends_document(BUYER, b"pdf", "receipt.pdf")
    await town.settle()
    kinds = await town.value("SELECT array_agg(kind ORDER BY id) FROM deal_records")
    assert kinds == ["text", "voice", "video", "document"]


async def test_a_reply_to_the_notice_is_evidence_and_more_may_follow(town: Town, code: str) -> None:
    await disputed(town, code)
    await presses(town, BUYER, f"b:evidence:{code}")
    await files(town, BUYER)
    notice = town.last(SELLER)
    await town.people.set_conversation(SELLER, None)
    await files(town, SELLER, reply_to=notice.id)
    await files(town, SELLER)
    assert await town.value("SELECT count(*) FROM deal_records WHERE telegram_id = $1", SELLER) == 2


async def test_everything_is_shown_again_ten_at_once(town: Town, code: str) -> None:
    await disputed(town, code)
    await presses(town, BUYER, f"b:evidence:{code}")
    await files(town, BUYER, 10)
    town.telegram.user_sends_document(BUYER, b"big", "big.zip", size=21 * 1024 * 1024)
    await town.says(BUYER, "<b>that</b> is all, call 0712345678")
    town.records.use(TelegramFiles(town.application.bot))
    assert await town.records.fingerprint_due() == (10, 0)
    shown = await presses(town, SELLER, f"b:see_ev:{code}")
    assert len(shown) == 10
    assert all("photo" in m.media for m in shown)
    assert shown[0].text.startswith("1/12 Evidence from the buyer")
    assert [m.labels for m in shown] == [[]] * 9 + [["More"]]
    rest = await town.taps(SELLER, shown[-1], "More")
    assert ["document" in m.media for m in rest] == [True, False]
    assert "larger than 20 MB" in rest[0].text
    assert "<b>that</b> is all" in rest[1].text
    assert "0712345678" not in rest[1].text
    for person in (ADMIN, BUYER):
        assert len(await presses(town, person, f"b:see_ev:{code}")) == 10


async def test_a_file_telegram_lost_is_said_to_be_missing(town: Town, code: str) -> None:
    await disputed(town, code)
    await presses(town, BUYER, f"b:evidence:{code}")
    await files(town, BUYER)
    town.telegram.files.clear()
    shown = (await presses(town, SELLER, f"b:see_ev:{code}"))[-1]
    assert "can't be shown" in shown.text
    assert shown.text.startswith("1/1 Evidence")


async def test_a_deal_without_a_dispute_takes_none(town: Town, code: str) -> None:
    assert "no open dispute" in (await presses(town, BUYER, f"b:evidence:{code}"))[-1].text
    assert "Nothing was sent" in (await presses(town, BUYER, f"b:see_ev:{code}"))[-1].text


# -- help ----------------------------------------------------------------------------------------


async def test_a_question_and_its_answer(town: Town, code: str) -> None:
    menu = (await town.says(BUYER, "/help"))[-1]
    await town.taps(BUYER, menu, "Ask a person")
    assert "with our people" in (await town.says(BUYER, "Is it safe?"))[-1].text
    question = town.last(ADMIN)
    assert "Is it safe?" in question.text
    assert (await replies(town, ADMIN, question, "Yes."))[-1].text.startswith("Sent to")
    answer = town.last(BUYER)
    assert "Yes." in answer.text
    await replies(town, BUYER, answer, "Really?")
    assert "Really?" in town.last(ADMIN).text
    photo = await files(town, ADMIN, reply_to=town.last(ADMIN).id, caption="look")
    assert photo[-1].text.startswith("Sent to")
    assert "photo" in town.last(BUYER).media


async def test_a_question_about_a_deal_brings_its_card(town: Town, code: str) -> None:
    await presses(town, BUYER, f"b:help_deal:{code}")
    await town.says(BUYER, HOSTILE[0])
    question = town.last(ADMIN)
    assert question.text.startswith("\u2068")
    assert "asks for help" in question.text.splitlines()[0]
    assert code in question.text
    assert "paid, money held, KES 10,000, asked by the buyer" in question.text


async def test_nobody_but_an_admin_answers(town: Town, code: str) -> None:
    await presses(town, BUYER, "b:help")
    await town.says(BUYER, "Is it safe?")
    before = len(town.telegram.from_bot(BUYER))
    await replies(town, SELLER, town.last(SELLER), "Send me your PIN")
    assert len(town.telegram.from_bot(BUYER)) == before


@pytest.mark.parametrize("words", CORPUS[:40])
async def test_no_question_breaks_its_notice(town: Town, words: str) -> None:
    await town.says(ADMIN, "/start")
    number = await _asked(town, words)
    if number:
        assert "asks for help" in town.last(ADMIN).text


async def _asked(town: Town, words: str) -> bool:
    await town.says(BUYER, "/start")
    await presses(town, BUYER, "b:help")
    if not words.strip() or len(words) > 900:
        return False
    await town.says(BUYER, words.replace("/", "|").encode("utf-8", "replace").decode())
    return await town.value("SELECT count(*) FROM help_requests") == 1


# -- files without a place -----------------------------------------------------------------------


async def test_a_photo_out_of_nowhere_is_met_with_the_fitting_deal(town: Town, code: str) -> None:
    met = (await files(town, SELLER))[-1]
    assert met.labels == ["I have sent it", "Message the buyer"]
    await disputed(town, code)
    assert (await files(town, SELLER))[-1].labels == ["Add evidence", "See evidence"]
    await town.says(STRANGER, "/start")
    assert (await files(town, STRANGER))[-1].labels == []
