"""A question reaches the admins with what they need, and their answers come back."""

from __future__ import annotations

import asyncio

import pytest

from escrow.domain.errors import InvalidInput, LimitReached, NotAllowed, NotFound
from escrow.domain.model import Media, MediaKind
from escrow.services.help import HelpDesk
from tests.world import ADMIN, BRIAN, JANE, OTIENO, SECOND_ADMIN, World


async def test_every_admin_reads_the_question_and_the_deal(world: World) -> None:
    deal = await world.deal(buyer=BRIAN)
    number = await world.help.ask(BRIAN, deal.id, "Where is my item?", "update:1")
    for admin in (ADMIN, SECOND_ADMIN):
        notice = await world.notice(admin, "help_asked")
        assert notice["help"] == number
        assert (notice["name"], notice["telegram_id"]) == ("Brian", BRIAN)
        assert (notice["code"], notice["role"], notice["status"]) == (deal.id, "buyer", "PENDING")
        assert notice["words"] == "Where is my item?"


async def test_a_question_may_be_about_no_deal_but_not_about_a_strangers(world: World) -> None:
    await world.help.ask(OTIENO, None, "How does it work?", "update:1")
    assert (await world.notice(ADMIN, "help_asked"))["code"] is None
    deal = await world.deal(buyer=BRIAN)
    with pytest.raises(NotFound):
        await world.help.ask(OTIENO, deal.id, "What is that?", "update:2")


async def test_the_same_update_asks_once(world: World) -> None:
    numbers = await asyncio.gather(
        *(world.help.ask(BRIAN, None, "Why?", "update:1") for _ in range(5))
    )
    assert len(set(numbers)) == 1
    assert (await world.told(ADMIN)).count("help_asked") == 1


async def test_five_open_questions_an_hour(world: World) -> None:
    numbers = [await world.help.ask(BRIAN, None, "Why?", f"update:{n}") for n in range(5)]
    with pytest.raises(LimitReached, match="too_many_questions"):
        await world.help.ask(BRIAN, None, "Why?", "update:6")
    await world.help.answer(numbers[0], ADMIN, "Because.", "update:7")
    await world.help.ask(BRIAN, None, "Why?", "update:8")


@pytest.mark.parametrize("words", ["", " \n", "x" * 1001])
async def test_a_question_has_words_and_not_too_many(world: World, words: str) -> None:
    with pytest.raises(InvalidInput):
        await world.help.ask(BRIAN, None, words, "update:1")


async def test_answers_go_to_whoever_asked_more_than_once_and_as_files(world: World) -> None:
    number = await world.help.ask(BRIAN, None, "Why?", "update:1")
    done = await world.help.answer(number, ADMIN, "Because.", "update:2")
    assert (done.first_name, done.reachable) == ("Brian", True)
    notice = await world.notice(BRIAN, "help_answer")
    assert (notice["words"], notice["question"]) == ("Because.", "Why?")
    voice = Media(MediaKind.VOICE, "AwAC", "u", 9)
    await world.help.answer(number, SECOND_ADMIN, voice, "update:3")
    assert (await world.told(BRIAN)).count("help_answer") == 2
    assert await world.value("SELECT answered_by FROM help_requests") == ADMIN
    await world.help.answer(number, ADMIN, "Because.", "update:2")
    assert (await world.told(BRIAN)).count("help_answer") == 2


async def test_only_admins_answer_and_only_questions_there_are(world: World) -> None:
    number = await world.help.ask(BRIAN, None, "Why?", "update:1")
    with pytest.raises(NotAllowed):
        await world.help.answer(number, JANE, "Send me your PIN", "update:2")
    with pytest.raises(NotFound):
        await world.help.answer(number + 1, ADMIN, "Because.", "update:3")
    assert "help_answer" not in await world.told(BRIAN)


async def test_an_admin_hears_that_he_talks_to_nobody(world: World) -> None:
    number = await world.help.ask(BRIAN, None, "Why?", "update:1")
    await world.people.blocked(BRIAN)
    assert not (await world.help.answer(number, ADMIN, "Because.", "update:2")).reachable


async def test_without_admins_nobody_is_promised_an_answer(world: World) -> None:
    desk = HelpDesk(world.db, world.clock, ())
    with pytest.raises(NotAllowed, match="nobody_to_ask"):
        await desk.ask(BRIAN, None, "Why?", "update:1")
