"""The buttons of long lists."""

from __future__ import annotations

from escrow.bot.admin import paging
from escrow.bot.admin.lists import LISTS
from escrow.bot.buttons import unpack


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
