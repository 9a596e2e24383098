"""Stars by button or command, with words when somebody has some."""

from __future__ import annotations

from sandbox.telegram_chats import Message
from tests.bot.conftest import BUYER, SELLER, STRANGER, Town

_RATINGS = "SELECT stars || ' ' || words FROM seller_ratings WHERE replaced_at IS NULL"


async def _over(town: Town) -> str:
    """A deal that was paid and declined; its code."""
    await town.shop()
    code = await town.deal("1500")
    await town.says(BUYER, f"/pay {code}")
    await town.shares(BUYER, "254722000222")
    await town.pays_by_hand(1520, code, shown="254722***222")
    await town.escrows.decline(code, SELLER)
    await town.settle()
    return code


async def _asked(town: Town) -> Message:
    return (await town.says(BUYER, "/rate"))[-1]


async def test_stars_are_one_tap_and_the_message_becomes_the_thanks(town: Town) -> None:
    await _over(town)
    asked = await _asked(town)
    assert await town.taps(BUYER, asked, "4 ★") == []
    assert "★★★★ Thank you." in town.telegram.messages[asked.id].text
    assert await town.value(_RATINGS) == "4 "


async def test_words_are_added_afterwards(town: Town) -> None:
    await _over(town)
    asked = await _asked(town)
    await town.taps(BUYER, asked, "4 ★")
    await town.taps(BUYER, town.telegram.messages[asked.id], "Add words")
    assert "“" in (await town.says(BUYER, "Fast & <b>kind</b>"))[-1].text
    assert await town.value(_RATINGS) == "4 Fast & <b>kind</b>"


async def test_the_command_rates_in_one_line_with_and_without_a_code(town: Town) -> None:
    code = await _over(town)
    assert "★★★★★" in (await town.says(BUYER, f"/rate {code} 5 good"))[-1].text
    assert await town.value(_RATINGS) == "5 good"
    assert "★★ " in (await town.says(BUYER, f"/rate {code} 2"))[-1].text
    assert await town.value(_RATINGS) == "2 good"
    assert await town.value("SELECT count(*) FROM seller_ratings") == 2


async def test_wrong_stars_and_strangers_rate_nothing(town: Town) -> None:
    code = await _over(town)
    for words in (f"{code} 6", f"{code} five", "0"):
        assert "/rate ES" in (await town.says(BUYER, f"/rate {words}"))[-1].text
    await town.says(STRANGER, f"/rate {code} 5")
    assert "Only the buyer" in (await town.says(SELLER, f"/rate {code} 5"))[-1].text
    assert await town.value("SELECT count(*) FROM seller_ratings") == 0


async def test_a_changed_mind_counts_for_a_day(town: Town) -> None:
    code = await _over(town)
    await town.says(BUYER, f"/rate {code} 5")
    town.clock.advance(hours=25)
    assert "24 hours are over" in (await town.says(BUYER, f"/rate {code} 1"))[-1].text
    assert await town.value(_RATINGS) == "5 "


async def test_the_card_shows_given_stars_and_asks_only_while_they_can_change(town: Town) -> None:
    code = await _over(town)
    assert "1 ★" in (await town.says(BUYER, code))[-1].labels
    await town.says(BUYER, f"/rate {code} 4")
    assert "1 ★" in (await town.says(BUYER, code))[-1].labels
    town.clock.advance(hours=25)
    card = (await town.says(BUYER, code))[-1]
    assert "1 ★" not in card.labels
    assert "You gave ★★★★." in card.text
