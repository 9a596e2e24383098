"""Settling and more time: amounts are shown before anything is sent, the other side decides."""

from __future__ import annotations

import pytest

from tests.bot.conftest import BUYER, SELLER, Town
from tests.bot.test_disputes import STATUS, held

OFFERS = "SELECT count(*) FROM offers"


async def test_a_typed_division_is_shown_sent_and_accepted(town: Town) -> None:
    code = await held(town)
    shown = (await town.says(BUYER, f"/settle {code} 70/30"))[-1]
    assert shown.text.startswith("Your offer: you get KES 7,070.")
    assert "The seller gets KES 3,000, Amana's fee is KES 30." in shown.text
    assert await town.value(OFFERS) == 0
    await town.taps(BUYER, shown, "Send offer")
    assert town.telegram.messages[shown.id].text.startswith("Offer sent: you get KES 7,070.")
    offer = town.last(SELLER)
    assert offer.text.startswith("An offer to settle: you get KES 3,000.")
    assert "The buyer gets KES 7,070" in offer.text
    assert offer.labels == ["Accept", "Decline", "Counter"]
    await town.taps(SELLER, offer, "Accept")
    assert town.telegram.messages[offer.id].keyboard == []
    assert town.last(SELLER).text.startswith("Settled: you get KES 3,000.")
    assert town.last(BUYER).text.startswith("Settled: you get KES 7,070.")
    assert await town.value(STATUS) == "COMPLETED"


@pytest.mark.parametrize(
    ("preset", "buyer", "status"),
    [
        ("Full refund", "KES 10,100", "REFUNDED"),
        ("Refund, but KES 200 for delivery", "KES 9,898", "COMPLETED"),
        ("Pay the seller", "KES 0", "COMPLETED"),
    ],
)
async def test_presets_need_no_typing(town: Town, preset: str, buyer: str, status: str) -> None:
    code = await held(town)
    asked = (await town.says(SELLER, f"/settle {code}"))[-1]
    await town.taps(SELLER, asked, preset)
    shown = town.telegram.messages[asked.id]
    assert f"The buyer gets {buyer}," in shown.text
    await town.taps(SELLER, shown, "Send offer")
    offer = town.last(BUYER)
    assert f"you get {buyer}." in offer.text
    await town.taps(BUYER, offer, "Accept")
    assert await town.value(STATUS) == status


async def test_something_else_is_typed_as_percents_or_an_amount(town: Town) -> None:
    await held(town)
    asked = (await town.says(BUYER, "/settle"))[-1]
    await town.taps(BUYER, asked, "Something else")
    for wrong in ("half", "70/40", "-5", "1e3"):
        answer = (await town.says(BUYER, wrong))[-1].text
        assert "Like this: 70/30" in answer, wrong
    assert "KES 10,000 at most" in (await town.says(BUYER, "10001"))[-1].text
    shown = (await town.says(BUYER, "KES 1,500"))[-1]
    assert "The seller gets KES 1,500, Amana's fee is KES 15." in shown.text
    assert (
        await town.value(
            "SELECT count(*) FROM conversations WHERE telegram_id = $1 AND step <> 'over'", BUYER
        )
        == 0
    )


async def test_two_taps_send_one_offer_and_a_dead_one_says_so(town: Town) -> None:
    code = await held(town)
    shown = (await town.says(BUYER, f"/settle {code} 50/50"))[-1]
    data = shown.button("Send offer")["callback_data"]
    for _ in range(2):
        await town.taps_data(BUYER, shown, data)
    assert await town.value(OFFERS) == 1
    offer = town.last(SELLER)
    await town.says(BUYER, f"/dispute {code} broken")
    answers = await town.taps(SELLER, offer, "Accept")
    assert "This offer no longer stands" in answers[-1].text
    assert await town.value(STATUS) == "DISPUTED"


async def test_an_offer_is_declined_countered_and_taken_back(town: Town) -> None:
    code = await held(town)
    shown = (await town.says(BUYER, f"/settle {code} 70/30"))[-1]
    await town.taps(BUYER, shown, "Send offer")
    offer = town.last(SELLER)
    await town.taps(SELLER, offer, "Decline")
    assert "You declined the offer" in town.telegram.messages[offer.id].text
    assert town.last(BUYER).text.startswith("Your offer was declined.")
    await town.taps(BUYER, (await town.says(BUYER, f"/settle {code} 60/40"))[-1], "Send offer")
    asked = (await town.taps(SELLER, town.last(SELLER), "Counter"))[-1]
    await town.taps(SELLER, asked, "Pay the seller")
    await town.taps(SELLER, asked, "Send offer")
    sent = town.telegram.messages[asked.id]
    assert sent.labels == ["Take it back"]
    await town.taps(SELLER, sent, "Take it back")
    assert "is taken back" in town.telegram.messages[asked.id].text
    answers = await town.taps(BUYER, town.last(BUYER), "Accept")
    assert "no longer stands" in answers[-1].text
    assert await town.value(STATUS) == "HELD"


async def test_more_time_is_asked_and_given(town: Town) -> None:
    code = await held(town)
    asked = (await town.says(SELLER, f"/extend {code}"))[-1]
    await town.taps(SELLER, asked, "48 hours more")
    assert "Asked for 48 hours more." in town.telegram.messages[asked.id].text
    offer = town.last(BUYER)
    assert "48 hours more?" in offer.text
    assert "Sat 28 Nov, 12:00 (in 5 days)" in offer.text
    assert offer.labels == ["Accept", "Decline"]
    await town.taps(BUYER, offer, "Accept")
    assert town.last(SELLER).text.startswith("48 hours more are agreed.")
    again = (await town.says(SELLER, f"/extend {code} 24"))[-1].text
    assert "that works once" in again


@pytest.mark.parametrize(
    ("words", "answer"),
    [("73", "1 to 72 hours"), ("0", "1 to 72 hours"), ("soon", "Like this: /extend")],
)
async def test_wrong_hours_are_told(town: Town, words: str, answer: str) -> None:
    code = await held(town)
    assert answer in (await town.says(SELLER, f"/extend {code} {words}"))[-1].text
