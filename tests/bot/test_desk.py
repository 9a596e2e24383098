"""Editing never loses words, and an error goes on where its update was."""

from __future__ import annotations

from typing import Any

import pytest
from markupsafe import Markup
from telegram import InlineKeyboardButton, InlineKeyboardMarkup, Message, Update

from escrow.bot import desk
from escrow.bot.desk import Desk
from escrow.bot.page import Plain, say
from tests.bot.conftest import BUYER, Town


@pytest.fixture
async def context(town: Town) -> Desk:
    await town.store.stop()
    return Desk(town.application, chat_id=BUYER, user_id=BUYER)


def _update(town: Town) -> Update:
    body: dict[str, Any] = {
        "update_id": 7,
        "message": {
            "message_id": 1,
            "date": 1,
            "chat": town.telegram.people[BUYER].chat(),
            "from": town.telegram.people[BUYER].wire(),
            "text": "x",
        },
    }
    return Update.de_json(body, town.application.bot)


async def _said(town: Town, context: Desk) -> Message:
    return await desk.answer(_update(town), context, Markup("<b>one</b>"))


async def test_an_edit_replaces_the_message(town: Town, context: Desk) -> None:
    message = await _said(town, context)
    await desk.edit(context, message, Markup("two"))
    assert [shown.text for shown in town.telegram.from_bot(BUYER)] == ["two"]


async def test_the_same_words_again_are_no_error(town: Town, context: Desk) -> None:
    message = await _said(town, context)
    await desk.edit(context, message, Markup("<b>one</b>"))
    assert [shown.text for shown in town.telegram.from_bot(BUYER)] == ["one"]


async def test_a_message_that_is_gone_is_said_anew(town: Town, context: Desk) -> None:
    message = await _said(town, context)
    town.telegram.messages[message.message_id].deleted = True
    await desk.edit(context, message, Markup("two"))
    assert [shown.text for shown in town.telegram.from_bot(BUYER)] == ["two"]


async def test_words_show_no_preview_and_speak_html(town: Town, context: Desk) -> None:
    await _said(town, context)
    call = next(call for call in town.telegram.calls if call.method == "sendmessage")
    assert call.params["parse_mode"] == "HTML"
    assert "is_disabled" in str(call.params["link_preview_options"])


async def test_buttons_that_stay_stop_nothing(town: Town, context: Desk) -> None:
    pressed = {
        "update_id": 8,
        "callback_query": {
            "id": "1",
            "from": town.telegram.people[BUYER].wire(),
            "chat_instance": "1",
            "message": {
                "message_id": 424242,
                "date": 1,
                "chat": town.telegram.people[BUYER].chat(),
            },
        },
    }
    await desk.strip_buttons(Update.de_json(pressed, town.application.bot), context)
    await desk.strip_buttons(_update(town), context)


async def test_an_error_keeps_the_person_and_the_progress_of_its_own_update(town: Town) -> None:
    update, other = _update(town), _update(town)
    before = Desk.from_update(update, town.application)
    before.person = await town.people.seen(BUYER, "Brian", None, "en")
    after = Desk.from_error(update, RuntimeError("x"), town.application)
    assert after.person == before.person
    Desk.from_update(update, town.application).person = before.person
    assert Desk.from_error(other, RuntimeError("x"), town.application).person is None


def test_the_cause_is_the_updates_number(town: Town) -> None:
    assert desk.cause(_update(town)) == "update:7"


async def test_a_caption_is_replaced_like_words(town: Town, context: Desk) -> None:
    photo = await context.bot.send_photo(BUYER, b"\x89PNG\r\n\x1a\n" + bytes(9), caption="one")
    await desk.edit(context, photo, Markup("<b>two</b>"))
    assert [shown.text for shown in town.telegram.from_bot(BUYER)] == ["two"]
    assert "photo" in town.telegram.messages[photo.message_id].media


async def test_a_pressed_photo_gets_other_words_and_buttons(town: Town, context: Desk) -> None:
    keys = InlineKeyboardMarkup([[InlineKeyboardButton("Yes", callback_data="x")]])
    photo = await context.bot.send_photo(
        BUYER, b"\x89PNG\r\n\x1a\n" + bytes(9), caption="one", reply_markup=keys
    )
    town.telegram.user_taps(BUYER, photo.message_id, "Yes")
    update = Update.de_json(town.telegram.updates.pending[-1], town.application.bot)
    other = InlineKeyboardMarkup([[InlineKeyboardButton("No", callback_data="y")]])
    await desk.replace_pressed(update, context, Markup("two"), other)
    shown = town.telegram.messages[photo.message_id]
    assert (shown.text, shown.labels) == ("two", ["No"])
    await desk.replace_pressed(update, context, say("{long}", long=Plain("x" * 1025)), other)
    assert town.last(BUYER).text == "x" * 1025  # too long for a caption: said below
