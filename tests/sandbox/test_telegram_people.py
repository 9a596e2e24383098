"""Files, replies and reactions on the stand-in Telegram, driven by python-telegram-bot."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from telegram import Bot, ForceReply, Update
from telegram.error import BadRequest

from sandbox import persona
from sandbox.server import Sandbox

BUYER = persona.BUYER.id
PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
LARGE = 20 * 1024 * 1024 + 1


@pytest.fixture
async def bot(sandbox: Sandbox) -> AsyncIterator[Bot]:
    async with Bot(
        persona.BOT_TOKEN, base_url=sandbox.base_url, base_file_url=sandbox.base_file_url
    ) as running:
        yield running


def refused(words: str) -> Any:
    return pytest.raises(BadRequest, match=re.compile(re.escape(words), re.IGNORECASE))


async def _update(bot: Bot) -> Update:
    update = (await bot.get_updates())[-1]
    await bot.get_updates(offset=update.update_id + 1)
    return update


@pytest.mark.parametrize("kind", ["voice", "audio", "video"])
async def test_sounds_and_videos_are_sent_again_by_their_id(
    sandbox: Sandbox, bot: Bot, kind: str
) -> None:
    sandbox.telegram.user_sends_sound(BUYER, b"bytes", kind, "listen")
    message = (await _update(bot)).message
    assert message is not None
    sent = getattr(message, kind)
    assert (message.caption, sent.file_size) == ("listen", 5)
    send = getattr(bot, f"send_{kind}")
    again = await send(BUYER, sent.file_id, caption="<b>here</b>", parse_mode="HTML")
    assert getattr(again, kind).file_id == sent.file_id
    assert again.caption == "here"
    other = bot.send_document if kind != "video" else bot.send_voice
    with refused("can't use file of type"):
        await other(BUYER, sent.file_id)


async def test_a_photo_is_sent_again_and_is_no_document(sandbox: Sandbox, bot: Bot) -> None:
    sandbox.telegram.user_sends_photo(BUYER, PNG, album="7")
    message = (await _update(bot)).message
    assert message is not None
    assert message.media_group_id == "7"
    await bot.send_photo(BUYER, message.photo[-1].file_id)
    with refused("can't use file of type Photo as Document"):
        await bot.send_document(BUYER, message.photo[-1].file_id)
    with refused("wrong file identifier"):
        await bot.send_photo(BUYER, "AgACnothing")


async def test_a_file_over_20_mb_can_not_be_fetched(sandbox: Sandbox, bot: Bot) -> None:
    sandbox.telegram.user_sends_document(BUYER, b"x", "big.zip", size=LARGE)
    message = (await _update(bot)).message
    assert message is not None
    assert message.document is not None
    assert message.document.file_size == LARGE
    with refused("file is too big"):
        await bot.get_file(message.document.file_id)
    await bot.send_document(BUYER, message.document.file_id)


async def test_a_reply_names_the_message_it_answers(sandbox: Sandbox, bot: Bot) -> None:
    sandbox.telegram.user_starts(BUYER)
    asked = await bot.send_message(BUYER, "Why?", reply_markup=ForceReply())
    sandbox.telegram.user_replies(BUYER, asked.message_id, "Because")
    message = (await _update(bot)).message
    assert message is not None
    assert message.reply_to_message is not None
    assert message.reply_to_message.message_id == asked.message_id
    assert message.reply_to_message.text == "Why?"


async def test_a_reaction_is_one_emoji_of_telegrams(sandbox: Sandbox, bot: Bot) -> None:
    sent = sandbox.telegram.user_sends(BUYER, "hello")
    assert await bot.set_message_reaction(BUYER, sent.id, "👍")
    assert sent.reaction == "👍"
    with refused("REACTION_INVALID"):
        await bot.set_message_reaction(BUYER, sent.id, "🧾")
    with refused("REACTIONS_TOO_MANY"):
        await bot.set_message_reaction(BUYER, sent.id, ["👍", "👎"])
    with refused("message to react not found"):
        await bot.set_message_reaction(BUYER, 1, "👍")
    await bot.set_message_reaction(BUYER, sent.id, None)
    assert sent.reaction == ""


async def test_a_caption_is_edited_as_one(sandbox: Sandbox, bot: Bot) -> None:
    sandbox.telegram.user_starts(BUYER)
    photo = await bot.send_photo(BUYER, PNG, caption="one")
    edited = await bot.edit_message_caption(BUYER, photo.message_id, caption="two")
    assert not isinstance(edited, bool)
    assert edited.caption == "two"
    with refused("there is no text in the message to edit"):
        await bot.edit_message_text("three", BUYER, photo.message_id)
    with refused("message caption is too long"):
        await bot.edit_message_caption(BUYER, photo.message_id, caption="x" * 1025)
