"""The menu behind the typing line is in its reader's language."""

from __future__ import annotations

from escrow.bot import menus
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
