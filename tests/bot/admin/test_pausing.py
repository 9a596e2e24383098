"""/pause stops everything at once, /resume lets it go on; whoever tries something is told."""

from __future__ import annotations

import pytest

from tests.bot.conftest import ADMIN, BUYER, SECOND_ADMIN, SELLER, Town
from tests.bot.test_disputes import STATUS

from .test_confirming import held, read


async def _all(town: Town, person: int, text: str) -> str:
    return read("\n".join(one.text for one in await town.says(person, text)))


async def test_pause_stops_at_once_and_says_what_stands_still(town: Town) -> None:
    said = await _all(town, ADMIN, "/pause a break in the books")
    assert said.startswith("Amana is paused. Nothing moves money until /resume.")
    assert "a break in the books" in said
    assert await town.value("SELECT count(*) FROM pauses WHERE ended_at IS NULL") == 1


async def test_a_second_pause_names_who_was_first(town_of_two: Town) -> None:
    town = town_of_two
    await town.says(ADMIN, "/pause a break in the books")
    said = await _all(town, SECOND_ADMIN, "/pause")
    assert said.startswith("Amana is paused already.")
    assert "by Asha" in said
    assert "a break in the books" in said


async def test_every_admin_is_told_of_both(town_of_two: Town) -> None:
    town = town_of_two
    since = town.telegram.mark()
    await town.says(ADMIN, "/pause")
    await town.says(ADMIN, "/resume")
    told = [read(one.text) for one in town.telegram.from_bot(SECOND_ADMIN, since=since)]
    assert told[0].startswith("Amana is paused, by Asha.")
    assert told[1].startswith("Amana goes on, by Asha.")


async def test_whoever_resumed_reads_it_once(town_of_two: Town) -> None:
    town = town_of_two
    await town.says(ADMIN, "/pause")
    since = town.telegram.mark()
    await town.says(ADMIN, "/resume")
    (told,) = [read(one.text) for one in town.telegram.from_bot(ADMIN, since=since)]
    assert told.startswith("Amana goes on.\nThe pause took")


async def test_parties_are_told_of_both_with_their_new_deadline(town: Town) -> None:
    code = await held(town)
    since = town.telegram.mark()
    await town.says(ADMIN, "/pause")
    town.clock.advance(hours=2)
    await town.says(ADMIN, "/resume")
    for person, words in ((BUYER, "The seller has until"), (SELLER, "Please send it by")):
        told = [read(one.text) for one in town.telegram.from_bot(person, since=since)]
        assert told[0].startswith("Amana is paused for now. Your money is safe")
        assert told[1].startswith("Amana goes on. The time it was paused does not count.")
        assert code in told[1]
        assert words in told[1]
        assert len(told) == 2


@pytest.mark.parametrize(
    ("who", "command"),
    [
        (SELLER, "/newdeal 500 A cap"),
        (SELLER, "/ship {code} G4S 12345"),
        (SELLER, "/decline {code}"),
        (BUYER, "/received {code}"),
        (BUYER, "/dispute {code} it is broken"),
    ],
)
async def test_whoever_tries_something_reads_that_his_money_is_safe(
    town: Town, who: int, command: str
) -> None:
    code = await held(town)
    await town.says(ADMIN, "/pause")
    answers = await town.says(who, command.format(code=code))
    for _ in range(3):  # a question first, where there is one
        words = [button for row in answers[-1].keyboard for button in row]
        if "paused" in answers[-1].text or not words:
            break
        answers = await town.taps_data(who, answers[-1], words[0]["callback_data"])
    assert read(answers[-1].text).startswith("Amana is paused for now, so this was not done.")
    assert await town.value(STATUS) == "HELD"
    assert await town.value("SELECT count(*) FROM escrow_transactions") == 1


async def test_reading_goes_on(town: Town) -> None:
    code = await held(town)
    await town.says(ADMIN, "/pause")
    for command in (f"/deal {code}", "/deals", "/wallet", "/help"):
        assert "paused" not in await _all(town, BUYER, command), command


async def test_an_admins_money_command_is_refused_with_the_way_out(town: Town) -> None:
    code = await held(town)
    preview = (await town.says(ADMIN, f"/manual_refund {code} as agreed"))[-1]
    await town.says(ADMIN, "/pause")
    pressed = preview.keyboard[0][0]["callback_data"]
    (said,) = await town.taps_data(ADMIN, preview, pressed)
    assert "/resume lets it go on" in said.text
    assert await town.value(STATUS) == "HELD"
    await town.says(ADMIN, "/resume")
    await town.taps_data(ADMIN, preview, pressed)
    assert await town.value(STATUS) == "REFUNDED"


async def test_resume_without_a_pause_changes_nothing(town: Town) -> None:
    assert await _all(town, ADMIN, "/resume") == "Amana is not paused. Nothing changed."
    await town.says(ADMIN, "/pause")
    await town.says(ADMIN, "/resume")
    assert "The last pause ended" in await _all(town, ADMIN, "/resume")


async def test_nobody_but_an_admin_pauses(town: Town) -> None:
    for command in ("/pause", "/resume"):
        assert await _all(town, BUYER, command) == "This is for admins of Amana only."
    assert await town.value("SELECT count(*) FROM pauses") == 0


# -- who is an admin is asked when it is done ------------------------------------------------------


async def test_whoever_is_no_admin_any_more_confirms_nothing(town: Town) -> None:
    code = await held(town)
    preview = (await town.says(ADMIN, f"/manual_refund {code} as agreed"))[-1]
    number = await town.value("SELECT number FROM admin_actions")
    await _without_admins(town)
    (said,) = await town.taps_data(ADMIN, preview, preview.keyboard[0][0]["callback_data"])
    assert said.text == "This is for admins of Amana only."
    said_ = await _all(town, ADMIN, f"/manual_refund {code} confirm {number}")
    assert said_ == "This is for admins of Amana only."
    assert await town.value(STATUS) == "HELD"


async def test_without_admins_every_command_is_refused(town: Town) -> None:
    await town.says(ADMIN, "/start")
    await _without_admins(town)
    for command in town.application.bot_data["admin_commands"]:
        assert await _all(town, ADMIN, command.usage) == "This is for admins of Amana only."


async def _without_admins(town: Town) -> None:
    """ADMIN_CHAT_ID was emptied, and the program started again."""
    import dataclasses

    town.application.bot_data["office"] = dataclasses.replace(town.office, admins=())
