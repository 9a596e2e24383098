"""Errors become words in one place, presses are answered first, menus never stop a start."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from telegram.error import BadRequest, NetworkError

from escrow.bot import menus
from escrow.bot.commands import USER_COMMANDS
from escrow.domain.errors import DatabaseDown
from escrow_handlers_admin import ADMIN_COMMANDS
from sandbox.server import Sandbox
from tests.bot.conftest import ADMIN, BUYER, SELLER, Town


def _raises(town: Town, monkeypatch: pytest.MonkeyPatch, name: str, error: Exception) -> None:
    async def fail(*args: Any, **named: Any) -> None:
        raise error

    services = (town.escrows, town.people, town.wallets)
    owner = next(service for service in services if hasattr(service, name))
    monkeypatch.setattr(owner, name, fail)


async def test_an_unexpected_error_is_apologised_for_with_a_number_that_is_in_the_log(
    town: Town, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _raises(town, monkeypatch, "view", RuntimeError("secret detail"))
    answers = await town.says(BUYER, "/wallet")
    assert len(answers) == 1
    numbers = [getattr(record, "incident", None) for record in caplog.records]
    number = next(found for found in numbers if found)
    assert number in answers[0].text
    assert "secret detail" not in answers[0].text
    assert await town.value("SELECT state FROM telegram_updates") == "DONE"


async def test_an_outage_asks_to_try_again(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    _raises(town, monkeypatch, "view", DatabaseDown())
    assert "try again in a minute" in (await town.says(BUYER, "/wallet"))[-1].text


async def test_an_outage_before_any_handler_is_apologised_for_once(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    _raises(town, monkeypatch, "seen", DatabaseDown())
    assert len(await town.says(BUYER, "/wallet")) == 1


async def test_an_answer_that_was_lost_is_not_called_a_failure(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    _raises(town, monkeypatch, "view", NetworkError("cut"))
    assert "may not have reached you" in (await town.says(BUYER, "/wallet"))[-1].text
    _raises(town, monkeypatch, "view", BadRequest("our fault"))
    assert "went wrong on our side" in (await town.says(BUYER, "/wallet"))[-1].text


async def test_a_person_who_blocked_the_bot_meanwhile_is_noted(town: Town) -> None:
    await town.says(BUYER, "/start")
    town.telegram.fail("sendMessage", status=403)
    await town.says(BUYER, "/deals")
    query = "SELECT unreachable_at IS NOT NULL FROM people WHERE telegram_id = $1"
    assert await town.value(query, BUYER) is True


async def test_a_refusal_says_why_and_how_it_is_typed(town: Town) -> None:
    wrong = (await town.says(SELLER, "/paid"))[-1]
    assert wrong.text == "Like this: /paid SG632NMUAB"
    unread = (await town.says(SELLER, "/newdeal lots Blue case"))[-1].text
    assert "lots" in unread
    assert "/newdeal 1500" in unread


async def test_a_press_is_answered_before_its_work_and_even_if_that_fails(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = (await town.says(BUYER, "/start"))[-1]
    _raises(town, monkeypatch, "deals", RuntimeError("odd"))
    tap = town.telegram.user_taps(BUYER, message.id, "My deals")
    await town.settle()
    assert tap.answered
    calls = [call.method for call in town.telegram.calls]
    assert calls.index("answercallbackquery") < len(calls) - 1
    assert "went wrong" in town.last(BUYER).text


async def test_a_press_that_is_too_old_to_answer_still_counts(town: Town) -> None:
    message = (await town.says(BUYER, "/start"))[-1]
    await town.store.stop()
    tap = town.telegram.user_taps(BUYER, message.id, "My deals")
    town.clock.advance(seconds=60)
    await town.store.start()
    await town.settle()
    assert not tap.answered
    assert "You have no deals yet" in town.last(BUYER).text


@pytest.mark.parametrize(
    "data", ["x", "b:pay", "b:pay:ES1", "b:credit", "b:fly:ES1008257624", "v2:c:5:00", "é" * 30]
)
async def test_a_button_that_is_not_ours_gets_one_polite_line(town: Town, data: str) -> None:
    message = (await town.says(BUYER, "/start"))[-1]
    answers = await town.taps_data(BUYER, message, data)
    assert [answer.text for answer in answers] == [
        "This button no longer works. /deals shows where your deals stand."
    ]


@pytest.mark.parametrize("data", ["v1:c:5:" + "0" * 20, "v1:z:5:x", "v1:" + "9" * 61])
async def test_a_forged_choice_gets_one_polite_line(town: Town, data: str) -> None:
    message = (await town.says(BUYER, "/start"))[-1]
    answers = await town.taps_data(BUYER, message, data)
    assert [answer.text for answer in answers] == [
        "This choice is no longer open. /deals shows where your deals stand."
    ]
    assert town.choices.refused == 1


async def test_menus_name_every_command_and_admins_see_more(town: Town) -> None:
    await menus.publish(town.application.bot, town.application.bot_data)
    shown = town.telegram.commands
    everybody = [one["command"] for one in shown["default", 0, 0, ""]]
    assert everybody == [command.name for command in USER_COMMANDS]
    admin = [one["command"] for one in shown["chat", ADMIN, 0, ""]]
    assert admin == everybody + [command.name for command in ADMIN_COMMANDS]


async def test_a_menu_that_cannot_be_set_stops_nothing(
    town: Town, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.telegram.people[ADMIN].started = False
    with caplog.at_level(logging.WARNING):
        await menus.publish(town.application.bot, town.application.bot_data)
    assert any(getattr(record, "action", "") == "menu_not_set" for record in caplog.records)
    assert ("default", 0, 0, "") in town.telegram.commands


async def test_a_group_hears_once_that_the_bot_works_in_private(town: Town) -> None:
    group = {"id": -100200, "type": "supergroup", "title": "Deals"}
    for number in range(3):
        await town.store.accept(
            {
                "update_id": 900 + number,
                "message": {
                    "message_id": number,
                    "date": 1,
                    "chat": group,
                    "from": town.telegram.people[BUYER].wire(),
                    "text": "/start",
                    "entities": [{"type": "bot_command", "offset": 0, "length": 6}],
                },
            }
        )
        await town.store.drained()
    tried = [call for call in town.telegram.calls if call.chat_id == -100200]
    assert len(tried) == 1
    assert "private chats only" in tried[0].params["text"]


async def test_what_nothing_asked_for_gets_a_hint(town: Town) -> None:
    town.telegram.user_sends_photo(BUYER, b"\x89PNG\r\n\x1a\n" + bytes(40))
    await town.settle()
    assert "Please choose the deal first" in town.last(BUYER).text
    assert "don't know that command" in (await town.says(BUYER, "/fly"))[-1].text
