"""Long lists: their buttons, and the pages that are asked for by their number."""

from __future__ import annotations

from dataclasses import replace

import pytest

from escrow.bot import desk, payouts
from escrow.bot.admin import cases, paging, sellers, unmatched
from escrow.bot.admin.lists import LISTS
from escrow.bot.buttons import unpack
from escrow.domain.money import Currency, Money
from sandbox import persona
from tests.bot.conftest import ADMIN, BUYER, STRANGER, Town
from tests.bot.test_payouts import by_hand


def test_every_list_has_a_place_and_every_place_a_list() -> None:
    assert set(LISTS) == set(paging.NAMES)


def test_a_button_means_its_list_and_page() -> None:
    for name in paging.NAMES:
        for number in (1, 2, paging.PAGES_MAX):
            button = unpack(paging.data(name, number))
            assert button is not None
            assert paging.read(button.number) == (name, number)


def test_forged_places_mean_nothing() -> None:
    last = len(paging.NAMES) + 1
    for place in (1, 9_999, 10_000, 10_501, last * 10_000 + 1, 10**17):
        assert paging.read(place) is None


def test_neighbours_only_where_there_are_any() -> None:
    def labels(number: int, pages: int) -> list[str]:
        found = paging.keyboard("payouts", number, pages)
        return [one.text for row in (found.inline_keyboard if found else ()) for one in row]

    assert labels(1, 1) == []
    assert labels(1, 2) == ["Page 2 ›"]
    assert labels(2, 3) == ["‹ Page 1", "Page 3 ›"]
    assert labels(paging.PAGES_MAX, 9_999) == [f"‹ Page {paging.PAGES_MAX - 1}"]


# -- by number -------------------------------------------------------------------------------------

LISTED = {
    "/transactions PENDING": cases,
    "/pending_sellers": sellers,
    "/unmatched": unmatched,
    "/payouts": payouts,
}
"""Lists with something on two pages of one line each, and what pages them. Disputes and flags are
read in `tests/e2e/test_quick_start.py`.
"""


async def two_of_each(town: Town) -> None:
    """Two deals, two sellers who wait, two payments of nobody's, two payouts by hand."""
    await town.shop()
    for what in ("Cup", "Plate"):
        await town.deal("1500", what)
        town.clock.advance(minutes=1)
    for person, phone in ((STRANGER, persona.STRANGER.phone), (BUYER, persona.BUYER.phone)):
        await town.says(person, f"/sell Shop {person}")
        await town.shares(person, phone)
    for amount in (300, 301):
        await town.pays_by_hand(amount, "nonsense")
    await by_hand(town)
    await town.payouts.book_withdrawal(BUYER, Money(400_00, Currency.KES), "test:2")
    await town.settle()


async def test_a_page_is_asked_for_by_its_number(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    await two_of_each(town)
    for command, module in LISTED.items():
        monkeypatch.setattr(module, "PER_PAGE", 1)
        first, second = [(await town.says(ADMIN, f"{command}{n}"))[-1] for n in ("", " 2")]
        assert first.labels[-1] == "Page 2 ›", command
        assert second.labels[-1] == "‹ Page 1", command
        assert first.text != second.text, command
        assert "The next one" not in first.text, "its button says so"


async def test_a_number_beyond_the_end_is_the_last_page(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    await two_of_each(town)
    for command in ("/pending_sellers", "/unmatched", "/payouts"):
        monkeypatch.setattr(LISTED[command], "PER_PAGE", 1)
        second, beyond = [(await town.says(ADMIN, f"{command} {n}"))[-1] for n in (2, 77)]
        assert beyond.text == second.text, command


async def test_where_nobody_hears_buttons_the_words_say_how_to_go_on(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    await two_of_each(town)
    town.application.bot_data[desk.OFFICE] = replace(town.office, bare=True)
    for command, module in LISTED.items():
        assert "Page" not in (await town.says(ADMIN, command))[-1].text, "there is only one"
        monkeypatch.setattr(module, "PER_PAGE", 1)
        first = (await town.says(ADMIN, command))[-1]
        assert first.text.endswith(f"Page 1. The next one: {command} 2")
        last = (await town.says(ADMIN, f"{command} 2"))[-1]
        assert last.text.endswith("Page 2, the last one.")
        assert first.keyboard == last.keyboard == []
    assert "Like this: /transactions HELD" in (await town.says(ADMIN, "/transactions"))[-1].text


@pytest.mark.parametrize("typed", ["0", "-1", "two", "1.5", "2 3", "501", "99999", "\u0662"])
async def test_a_number_that_is_no_page_is_refused_with_an_example(town: Town, typed: str) -> None:
    for command in (*LISTED, "/disputed_transactions", "/suspicious_users"):
        (answer,) = await town.says(ADMIN, f"{command} {typed}")
        assert answer.text == (
            f"Which page of the list? A number from 1 to 500.\nLike this: {command} 2"
        )
