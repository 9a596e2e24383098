"""A notice arrives, or its sender learns what became of it, over real HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from telegram.error import BadRequest, Conflict, InvalidToken, NetworkError, TimedOut

from escrow.bot import messenger as module
from escrow.bot.messenger import TelegramMessenger, refused
from escrow.bot.notices import NOTICES
from escrow.domain.errors import DatabaseDown
from escrow.services.ports import SendResult, Sent
from sandbox.server import Sandbox
from tests.bot import samples
from tests.bot.conftest import BUYER, STRANGER, Town

HELD = samples.notice_values("Blue <phone> case")["held"]


@pytest.fixture
async def quiet(town: Town) -> Town:
    """The bot without its poller, so that only what a test sends is sent."""
    await town.store.stop()
    return town


async def _send(town: Town, to: int = BUYER, kind: str = "held", **values: Any) -> SendResult:
    params = {**samples.notice_values("Blue <phone> case")[kind], **values}
    return await town.messenger.send(to, kind, params, "en")


async def test_a_notice_is_delivered_with_its_number(quiet: Town) -> None:
    result = await _send(quiet)
    assert result.sent is Sent.DELIVERED
    message = quiet.telegram.messages[result.message_id or 0]
    assert "Blue <phone> case" in message.text
    assert message.text.endswith("Play money – no real money moves.")


@pytest.mark.parametrize("kind", sorted(set(NOTICES) - {"underpaid"}))
async def test_every_kind_is_taken_by_telegram(quiet: Town, kind: str) -> None:
    assert (await _send(quiet, kind=kind)).sent is Sent.DELIVERED


async def test_people_who_blocked_or_never_started_are_unreachable(quiet: Town) -> None:
    assert (await _send(quiet, STRANGER)).sent is Sent.UNREACHABLE
    quiet.telegram.user_blocks(BUYER)
    assert (await _send(quiet)).sent is Sent.UNREACHABLE
    assert (await _send(quiet, 987654)).sent is Sent.UNREACHABLE  # 400 chat not found


async def test_a_limit_is_passed_on_at_once_with_its_seconds(quiet: Town) -> None:
    quiet.telegram.fail("sendMessage", status=429, retry_after=17)
    result = await _send(quiet)
    assert (result.sent, result.retry_after_seconds) == (Sent.LATER, 17.0)
    assert (await _send(quiet)).sent is Sent.DELIVERED


@pytest.mark.parametrize("status", [500, 502, 503, 401])
async def test_trouble_of_telegrams_or_ours_means_later(quiet: Town, status: int) -> None:
    quiet.telegram.fail("sendMessage", status=status)
    assert (await _send(quiet)).sent is Sent.LATER


async def test_a_cut_connection_means_later(quiet: Town) -> None:
    quiet.telegram.cut("sendMessage", act=False)
    assert (await _send(quiet)).sent is Sent.LATER


async def test_bad_markup_is_sent_once_as_plain_words(quiet: Town) -> None:
    quiet.telegram.fail("sendMessage", status=400, description="Bad Request: can't parse entities")
    result = await _send(quiet)
    assert result.sent is Sent.DELIVERED
    message = quiet.telegram.messages[result.message_id or 0]
    assert message.entities == []
    assert "Blue <phone> case" in message.text


async def test_bad_markup_that_stays_bad_is_refused(quiet: Town) -> None:
    quiet.telegram.fail(
        "sendMessage", status=400, description="Bad Request: can't parse entities", times=2
    )
    assert (await _send(quiet)).sent is Sent.REFUSED


async def test_another_400_is_refused(quiet: Town) -> None:
    quiet.telegram.fail("sendMessage", status=400, description="Bad Request: message is too long")
    assert (await _send(quiet)).sent is Sent.REFUSED


async def test_a_notice_without_words_or_values_is_refused_not_raised(quiet: Town) -> None:
    assert (await quiet.messenger.send(BUYER, "unheard_of", {}, "en")).sent is Sent.REFUSED
    assert (await quiet.messenger.send(BUYER, "held", {}, "en")).sent is Sent.REFUSED


async def test_a_choice_that_is_closed_meanwhile_has_no_buttons(quiet: Town) -> None:
    result = await _send(quiet, kind="underpaid", choice=999)
    message = quiet.telegram.messages[result.message_id or 0]
    assert message.keyboard == []
    assert "closed by now" in message.text
    late = await _send(quiet, kind="underpaid", expires_at=samples.NOW.isoformat())
    assert quiet.telegram.messages[late.message_id or 0].keyboard == []


async def test_a_database_that_is_down_means_later(
    quiet: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def down(choice_id: int) -> None:
        raise DatabaseDown

    monkeypatch.setattr(quiet.choices, "buttons", down)
    assert (await _send(quiet, kind="underpaid")).sent is Sent.LATER


@pytest.mark.parametrize(
    ("error", "sent"),
    [
        (TimedOut(), Sent.LATER),
        (NetworkError("Bad Gateway"), Sent.LATER),
        (Conflict("other"), Sent.LATER),
        (InvalidToken(), Sent.LATER),
        (BadRequest("Chat not found"), Sent.UNREACHABLE),
        (BadRequest("BUTTON_DATA_INVALID"), Sent.REFUSED),
    ],
)
def test_what_telegram_answers_is_sorted(error: Any, sent: Sent) -> None:
    assert refused(error).sent is sent


async def test_a_bot_in_trouble_never_raises(
    sandbox: Sandbox, quiet: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sandbox.stop()
    monkeypatch.setattr(module, "NOTICES", {**NOTICES})
    messenger = TelegramMessenger(quiet.application.bot, quiet.office)
    assert (await messenger.send(BUYER, "held", HELD, "en")).sent is Sent.LATER


# -- files ---------------------------------------------------------------------------------------

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)


def _file(town: Town, kind: str = "photo", type: str = "Photo") -> dict[str, str]:
    file = town.telegram.store_file(PNG, "photos", "photo.jpg", "image/jpeg", type=type)
    return {"kind": kind, "file_id": file.file_id}


@pytest.mark.parametrize(
    ("kind", "type"),
    [
        ("photo", "Photo"),
        ("document", "Document"),
        ("voice", "VoiceNote"),
        ("audio", "Audio"),
        ("video", "Video"),
    ],
)
async def test_a_notice_with_a_file_is_the_file_with_the_words_below(
    quiet: Town, kind: str, type: str
) -> None:
    result = await _send(quiet, kind="relayed", media=_file(quiet, kind, type))
    assert result.sent is Sent.DELIVERED
    message = quiet.telegram.messages[result.message_id or 0]
    assert kind in message.media
    assert message.text.startswith("The seller writes to you:")
    assert message.button("Reply") is not None


async def test_words_too_long_for_a_caption_follow_their_file(quiet: Town) -> None:
    since = quiet.telegram.mark()
    result = await _send(quiet, kind="relayed", media=_file(quiet), words="💰" * 500)
    photo, words = quiet.telegram.from_bot(BUYER, since=since)
    assert (photo.text, photo.keyboard) == ("", [])
    assert words.id == result.message_id
    assert words.button("Reply") is not None
    assert words.text.count("💰") == 500


async def test_a_file_telegram_refuses_leaves_the_words(quiet: Town) -> None:
    result = await _send(quiet, kind="relayed", media={"kind": "photo", "file_id": "gone"})
    assert result.sent is Sent.DELIVERED
    message = quiet.telegram.messages[result.message_id or 0]
    assert message.media == {}
    assert message.text.startswith("The seller writes to you:")
    assert "can't be shown" in message.text


async def test_a_file_for_somebody_who_blocked_is_undeliverable(quiet: Town) -> None:
    quiet.telegram.user_blocks(BUYER)
    result = await _send(quiet, kind="relayed", media=_file(quiet))
    assert result.sent is Sent.UNREACHABLE
    quiet.telegram.user_unblocks(BUYER)
    quiet.telegram.fail("sendPhoto", status=502)
    assert (await _send(quiet, kind="relayed", media=_file(quiet))).sent is Sent.LATER
