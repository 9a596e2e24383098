"""`/escrow_dashboard` and `/report`, as an admin reads them."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime

import pytest

from escrow.bot.admin.figures import read_month
from escrow.bot.admin.sheets import HEADER
from escrow.domain.errors import InvalidInput
from sandbox.telegram_chats import Message
from tests.bot.conftest import ADMIN, BUYER, SELLER, Town

TODAY = date(2026, 11, 23)


async def _sold(town: Town, price: str = "10000", *, received: bool = True) -> str:
    """A deal that was paid and, where `received`, released; its code."""
    code = await town.deal(price)
    await town.says(BUYER, f"/start {code}")
    await town.says(BUYER, f"/pay {code}")
    await town.pays_by_hand(int(price) + max(int(price) // 100, 20), code)
    if received:
        await town.says(SELLER, f"/ship {code} G4S 12345")
        sure = (await town.says(BUYER, f"/received {code}"))[-1]
        await town.taps(BUYER, sure, "Yes, pay")
    return code


@pytest.fixture
async def market(town: Town) -> Town:
    await town.shop()
    await town.says(BUYER, "/start")
    await town.shares(BUYER, "254711000001")
    return town


def _file(town: Town, message: Message) -> list[list[str]]:
    content = town.telegram.files[message.media["document"]["file_id"]].content
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))


async def test_the_dashboard_says_what_is_held_released_and_earned(market: Town) -> None:
    await _sold(market)
    await _sold(market, "5000", received=False)
    await market.deal("700")
    (message,) = await market.says(ADMIN, "/escrow_dashboard")
    assert message.media["photo"]
    assert message.text.splitlines() == [
        "KES 5,050 held now",
        "Released so far: KES 10,000",
        "Refunded so far: KES 0",
        "",
        "Deals: 3 · held 1 · completed 1 · disputed 0",
        "Waiting for money 1 · refunded 0 · cancelled 0 · frozen 0",
        "Sellers: 1 · verified 1 · pending 0 · suspended 0",
        "",
        "Last 30 days",
        "KES: opened 3, funded 2",
        "Funded: KES 15,150",
        "Released: KES 10,000",
        "Refunded: KES 0",
        "Fees earned: KES 100",
        "Average deal: KES 7,575",
        "Play money – no real money moves.",
    ]


async def test_the_dashboard_of_an_empty_house_is_words_alone(town: Town) -> None:
    await town.says(ADMIN, "/start")
    (message,) = await town.says(ADMIN, "/escrow_dashboard")
    assert message.text.startswith("No deals yet.")
    assert "photo" not in message.media


async def test_a_month_is_a_picture_and_a_file(market: Town) -> None:
    code = await _sold(market)
    picture, file = await market.says(ADMIN, "/report")
    assert picture.media["photo"]
    assert picture.text.splitlines()[:5] == [
        "Report November 2026",
        "KES 10,000 to sellers",
        "Back to buyers: KES 0",
        "Fees earned: KES 100",
        "Deals ended: 1, together KES 10,100",
    ]
    assert file.media["document"]["file_name"] == "amana-2026-11.csv"
    header, row = _file(market, file)
    assert header == list(HEADER)
    assert row[:4] == ["2026-11-23T12:00:00+03:00", code, "10000.00", "100.00"]
    assert [cell for cell in row if cell.startswith("SKN")]


async def test_the_month_that_was_asked_for_is_told(market: Town) -> None:
    await _sold(market)
    market.clock.at = datetime(2026, 12, 5, 9, 0, tzinfo=UTC)
    (empty,) = await market.says(ADMIN, "/report")
    assert empty.text.startswith("Report December 2026: nothing.")
    asked = await market.says(ADMIN, "/report 2026-11")
    assert len(_file(market, asked[-1])) == 2
    (before,) = await market.says(ADMIN, "/report 2020-01")
    assert before.text.startswith("Report January 2020: nothing.")


@pytest.mark.parametrize(
    "said",
    ["2026-12", "2027-01", "2026-13", "2026-00", "11-2026", "november", "1999-01", "2026-11 x"],
)
async def test_what_is_no_month_gets_the_usage_line(town: Town, said: str) -> None:
    await town.says(ADMIN, "/start")
    (message,) = await town.says(ADMIN, f"/report {said}")
    assert "/report 2026-11" in message.text


async def test_figures_are_for_admins(market: Town) -> None:
    for command in ("/escrow_dashboard", "/report"):
        (message,) = await market.says(BUYER, command)
        assert message.text == "This is for admins of Amana only."


def test_months_are_read() -> None:
    assert read_month((), TODAY) == date(2026, 11, 1)
    assert read_month(("2026-11",), TODAY) == date(2026, 11, 1)
    assert read_month(("2024-02",), TODAY) == date(2024, 2, 1)
    for wrong in (("2026-12",), ("２０２６-11",), ("2026-11-01",), ("2026-1",), ("2026-10", "x")):
        with pytest.raises(InvalidInput):
            read_month(wrong, TODAY)
