"""The menu behind the typing line is in its reader's language."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from telegram.constants import BotCommandLimit
from telegram.error import TimedOut

from escrow.bot import desk, menus
from escrow.bot.admin import help_texts
from escrow.bot.commands import USER_COMMANDS
from escrow.bot.locales import LANGUAGES
from escrow.bot.page import speaking, spoken
from escrow_handlers_admin import ADMIN_COMMANDS
from sandbox.telegram_html import parse_html, utf16
from tests.bot.conftest import ADMIN, BUYER, Town


def _shown(town: Town, *scope: object) -> dict[str, str]:
    found = town.telegram.commands.get(scope, [])  # type: ignore[call-overload]
    return {one["command"]: one["description"] for one in found}


async def _published(town: Town) -> None:
    await menus.publish(town.application.bot, town.application.bot_data)


async def test_everybody_has_a_menu_in_the_language_of_his_telegram(town: Town) -> None:
    await _published(town)
    assert _shown(town, "default", 0, 0, "")["deals"] == "your deals"
    assert _shown(town, "default", 0, 0, "sw")["deals"] == "biashara zako"


async def test_an_admin_has_one_in_the_language_that_he_chose(town: Town) -> None:
    await town.says(ADMIN, "/start")
    await town.people.set_language(ADMIN, "sw")
    await _published(town)
    menu = _shown(town, "chat", ADMIN, 0, "")
    assert menu["deals"] == "biashara zako"
    assert menu["verify_seller"] == "thibitisha muuzaji"


async def test_a_choice_that_is_not_telegrams_has_its_own_menu_until_it_is_again(
    town: Town,
) -> None:
    hello = (await town.says(BUYER, "/start"))[-1]
    await town.taps(BUYER, hello, "Kiswahili")
    assert _shown(town, "chat", BUYER, 0, "")["deals"] == "biashara zako"
    await town.taps(BUYER, hello, "English")
    assert _shown(town, "chat", BUYER, 0, "") == {}


async def test_an_admins_menu_stays_whole_when_he_changes_the_language(town: Town) -> None:
    hello = (await town.says(ADMIN, "/start"))[-1]
    await town.taps(ADMIN, hello, "Kiswahili")
    await town.taps(ADMIN, hello, "English")
    assert _shown(town, "chat", ADMIN, 0, "")["verify_seller"] == "verify a seller"


async def test_who_is_no_admin_any_more_loses_the_admins_menu_at_the_next_start(
    town: Town,
) -> None:
    await town.says(ADMIN, "/start")
    await _published(town)
    await _published(town)
    assert "verify_seller" in _shown(town, "chat", ADMIN, 0, "")
    bot, data = town.application.bot, town.application.bot_data
    later = {**data, desk.OFFICE: replace(town.office, admins=(BUYER,))}
    await town.says(BUYER, "/start")
    await menus.publish(bot, later)
    assert _shown(town, "chat", ADMIN, 0, "") == {}
    assert "verify_seller" in _shown(town, "chat", BUYER, 0, "")
    assert await town.people.admin_menus() == [BUYER]


async def test_a_menu_that_telegram_did_not_take_away_is_taken_at_the_start_after(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _published(town)
    bot, data = town.application.bot, town.application.bot_data
    later = {**data, desk.OFFICE: replace(town.office, admins=())}

    async def down(*_: object, **__: object) -> bool:
        raise TimedOut

    with monkeypatch.context() as patch:
        patch.setattr(type(bot), "delete_my_commands", down)
        await menus.publish(bot, later)
    assert await town.people.admin_menus() == [ADMIN]
    await menus.publish(bot, later)
    assert await town.people.admin_menus() == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_menus_keep_telegrams_limits(language: str) -> None:
    every = [*USER_COMMANDS, *ADMIN_COMMANDS]
    assert len(every) <= BotCommandLimit.MAX_COMMAND_NUMBER
    assert len({one.name for one in every}) == len(every)
    for one in every:
        assert re.fullmatch(r"[a-z0-9_]{1,32}", one.name)
        with speaking(language):
            menu = spoken(one.menu)
        assert 3 <= len(menu) <= BotCommandLimit.MAX_DESCRIPTION, one.name


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_admins_help_has_every_command_once_with_its_example(language: str) -> None:
    with speaking(language):
        text = parse_html(str(help_texts.admin_help(ADMIN_COMMANDS)))[0]
    assert utf16(text) <= 4096
    shown = re.findall(r"^/([a-z_]+) – ", text, re.MULTILINE)
    assert sorted(shown) == sorted(one.name for one in ADMIN_COMMANDS)
    lines = text.splitlines()
    for one in ADMIN_COMMANDS:
        if one.usage != f"/{one.name}":
            assert one.usage in lines, one.name


def test_what_acts_at_once_is_no_link_in_the_help() -> None:
    shown = str(help_texts.admin_help(ADMIN_COMMANDS))
    for name in ("pause", "resume"):
        assert f"<code>/{name}</code> – " in shown
        assert shown.count(f"/{name}") == shown.count(f"<code>/{name}")


def test_no_command_stands_in_two_groups_of_the_help() -> None:
    placed = [name for names in help_texts.GROUPS.values() for name in names]
    assert len(placed) == len(set(placed))
    assert set(placed) <= {one.name for one in ADMIN_COMMANDS}


async def test_only_admins_read_the_admins_help(town: Town) -> None:
    mine = await town.says(ADMIN, "/help")
    assert "What I understand" in mine[0].text
    assert "What admins can do" in mine[1].text
    assert len(await town.says(BUYER, "/help")) == 1
