"""The words arrive, with the picture or without it."""

from __future__ import annotations

import pytest

from escrow.bot import charts
from tests.bot.conftest import ADMIN, Town


@pytest.fixture
async def busy(town: Town) -> Town:
    """There are figures to draw."""
    await town.shop()
    await town.deal()
    return town


async def test_the_words_stand_below_the_picture(busy: Town) -> None:
    (message,) = await busy.says(ADMIN, "/escrow_dashboard")
    assert message.media["photo"]
    assert "Deals: 1" in message.text


async def test_words_too_long_for_a_caption_follow_the_picture(
    busy: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("escrow.bot.pictures.fits_caption", lambda words: False)
    picture, words = await busy.says(ADMIN, "/escrow_dashboard")
    assert picture.media["photo"]
    assert picture.text == ""
    assert "Deals: 1" in words.text


@pytest.mark.parametrize("status", [400, 403, 413, 500, 502])
async def test_a_picture_that_is_not_taken_leaves_the_words(busy: Town, status: int) -> None:
    busy.telegram.fail("sendPhoto", status=status)
    (message,) = await busy.says(ADMIN, "/escrow_dashboard")
    assert "photo" not in message.media
    assert "Deals: 1" in message.text


async def test_a_picture_that_cannot_be_drawn_leaves_the_words(
    busy: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object) -> bytes:
        raise ModuleNotFoundError("No module named 'PIL'")

    monkeypatch.setattr(charts, "_draw", breaks)
    (message,) = await busy.says(ADMIN, "/escrow_dashboard")
    assert "Deals: 1" in message.text
