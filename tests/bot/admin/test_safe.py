"""/book: what was put in, taken out and charged, shown before it is booked."""

from __future__ import annotations

import pytest

from tests.bot.conftest import ADMIN, Town

RECEIPT = "SGL51H2K3M"


async def test_float_is_shown_then_booked(town: Town) -> None:
    preview = (await town.says(ADMIN, f"/book float 5,000 {RECEIPT.lower()}"))[-1]
    assert "KES 5,000 of your money went into M-Pesa's account?" in preview.text
    assert "KES 0 before, KES 5,000 after" in preview.text
    assert f"/book float 5000 {RECEIPT} confirm " in preview.text
    assert await town.value("SELECT count(*) FROM bookings") == 0
    await town.taps(ADMIN, preview, "Confirm")
    assert "KES 5,000 booked as put in." in town.telegram.messages[preview.id].text
    assert await town.value("SELECT receipt FROM bookings") == RECEIPT


async def test_the_typed_form_books_it_too(town: Town) -> None:
    preview = (await town.says(ADMIN, f"/book charge 33 {RECEIPT}"))[-1].text
    typed = next(line for line in preview.splitlines() if "confirm" in line)
    typed = typed[typed.index("/book") :]
    assert "booked as M-Pesa's charge" in (await town.says(ADMIN, typed))[-1].text
    assert await town.value("SELECT kind FROM bookings") == "charge"


async def test_more_than_is_ones_own_is_refused(town: Town) -> None:
    answer = (await town.says(ADMIN, f"/book withdraw 100 {RECEIPT}"))[-1].text
    assert "Only KES 0 is yours" in answer


async def test_a_receipt_that_was_booked_names_when_and_by_whom(town: Town) -> None:
    await town.confirms(f"/book float 5000 {RECEIPT}")
    answer = (await town.says(ADMIN, f"/book charge 5 {RECEIPT}"))[-1].text
    assert f"was booked before: KES 5,000 (float), by admin {ADMIN}, Mon 23 Nov, 12:00" in answer


@pytest.mark.parametrize("text", ["/book", "/book gift 5 SGL51H2K3M", "/book float 5 SG1"])
async def test_what_cannot_be_read_gets_the_three_words_and_the_usage(
    town: Town, text: str
) -> None:
    answer = (await town.says(ADMIN, text))[-1].text
    assert "Like this: /book float" in answer
    assert all(word in answer for word in ("float (", "withdraw (", "charge ("))


async def test_an_amount_that_cannot_be_read_is_named(town: Town) -> None:
    answer = (await town.says(ADMIN, f"/book float 5,00 {RECEIPT}"))[-1].text
    assert "I can't read" in answer
    assert "/book float" in answer
