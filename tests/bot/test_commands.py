"""The way every script can walk: from a new seller to held money and the underpayment choice."""

from __future__ import annotations

import pytest

from escrow.services.ports import Answer, Verdict
from sandbox import persona
from tests.bot.conftest import ADMIN, BUYER, SELLER, Town

PAID = Answer(Verdict.PAID, "0")


async def test_a_deal_is_sold_paid_by_prompt_and_held(town: Town) -> None:
    assert "Amana" in (await town.says(SELLER, "/start"))[-1].text
    asked = (await town.says(SELLER, "/sell Jane Shop"))[-1]
    assert "Jane Shop" in asked.text
    waiting = (await town.shares(SELLER, persona.SELLER.phone))[-1]
    assert "An admin will verify you" in waiting.text

    card = town.last(ADMIN)
    assert "Jane Shop" in card.text
    assert card.button("Verify Jane Shop")
    verified = (await town.says(ADMIN, f"/verify_seller {SELLER}"))[-1]
    assert "is verified" in verified.text
    assert "is verified. You can sell now" in town.last(SELLER).text

    preview = (await town.says(SELLER, "/newdeal 10000 Blue phone case"))[-1]
    assert "The buyer pays KES 10,100, you get KES 10,000." in preview.text
    await town.taps(SELLER, preview, "Create")
    opened = town.telegram.messages[preview.id]
    code = opened.text.split("Deal ")[1].split()[0]
    assert f"https://t.me/{persona.BOT_USERNAME}?start={code}" in opened.text
    assert opened.button("Share on WhatsApp")

    shown = (await town.says(BUYER, f"/start {code}"))[-1]
    assert "Blue phone case" in shown.text
    assert shown.button("Pay KES 10,100 by M-Pesa")
    question = (await town.says(BUYER, f"/pay {code}"))[-1]
    assert "Which M-Pesa number" in question.text
    progress = (await town.shares(BUYER, persona.BUYER.phone))[-1]
    assert "Look at your phone: 0711***001 is asked for KES 10,100." in progress.text
    assert "AMANA LTD" in progress.text
    assert town.rail.prompts == [(persona.BUYER.phone, town.rail.prompts[0][1], code)]

    await town.answers_prompt(1, PAID)
    assert "KES 10,100 received – your money is held." in town.last(BUYER).text
    held = town.last(SELLER).text
    assert "KES 10,000 is held for you." in held
    assert "Thu 26 Nov, 12:00 (in 3 days)" in held
    assert "Never send because of an SMS or a screenshot" in held
    assert await town.value("SELECT status FROM escrow_transactions") == "HELD"


async def test_a_number_can_be_typed_twice_instead(town: Town) -> None:
    await town.says(SELLER, "/sell Jane Shop")
    assert "once more" in (await town.says(SELLER, "0712345678"))[-1].text
    (waiting,) = await town.says(SELLER, "0712345678")
    assert "0712***678" in waiting.text
    assert "An admin will verify you" in waiting.text
    await town.says(ADMIN, f"/verify_seller {SELLER}")
    code = await town.deal()
    await town.says(BUYER, f"/start {code}")
    await town.says(BUYER, f"/pay {code}")
    await town.says(BUYER, "+254 711 003 001")
    await town.says(BUYER, "0711003001")
    assert [phone for phone, _, _ in town.rail.prompts] == ["254711003001"]


async def _short(town: Town) -> str:
    """A deal of 10,100 for which 9,500 came by hand."""
    await town.shop()
    code = await town.deal()
    await town.says(BUYER, f"/pay {code}")
    await town.shares(BUYER, persona.BUYER.phone)
    await town.answers_prompt(1, Answer(Verdict.DECLINED, "1032", "cancelled"))
    assert town.last(BUYER).button("Try again (wait 2 minutes)")
    await town.pays_by_hand(9_500, code)
    return code


async def test_a_moderate_shortage_offers_three_buttons(town: Town) -> None:
    await _short(town)
    message = town.last(BUYER)
    assert "Payment received: KES 9,500 (KES 600 short)" in message.text
    assert "until 12:10 (in 10 minutes)" in message.text
    assert [len(row) for row in message.keyboard] == [1, 1, 1]
    starts = ("Complete payment", "Proceed with", "Cancel & refund")
    assert all(label.startswith(start) for label, start in zip(message.labels, starts, strict=True))


async def test_complete_payment_asks_for_exactly_the_rest(town: Town) -> None:
    code = await _short(town)
    await town.taps(BUYER, town.last(BUYER), "Complete payment")
    assert str(town.rail.prompts[-1][1]) == "KES 600"
    await town.answers_prompt(2, PAID)
    assert "KES 10,100 received – your money is held." in town.last(BUYER).text
    assert await town.value("SELECT status FROM escrow_transactions WHERE id = $1", code) == "HELD"


async def test_proceed_tells_the_seller_that_he_gets_less(town: Town) -> None:
    await _short(town)
    message = town.last(BUYER)
    answers = await town.taps(BUYER, message, "Proceed with")
    assert "The deal goes on with KES 9,500" in answers[-1].text
    assert town.telegram.messages[message.id].keyboard == []
    assert "is held for you, not KES 10,000." in town.last(SELLER).text
    assert "Can't send it" in town.last(SELLER).labels


async def test_cancel_and_refund_puts_all_into_the_wallet(town: Town) -> None:
    code = await _short(town)
    await town.taps(BUYER, town.last(BUYER), "Cancel & refund")
    assert "KES 9,500 is in your wallet." in town.last(BUYER).text
    assert "Deal cancelled. The buyer ended it." in town.last(SELLER).text
    assert (
        await town.value("SELECT status FROM escrow_transactions WHERE id = $1", code)
        == "CANCELLED"
    )
    assert "In your wallet: KES 9,500" in (await town.says(BUYER, "/wallet"))[-1].text


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        (10_100, "KES 10,100 received – your money is held."),
        (10_600, "The rest, KES 500, is in your wallet"),
        (10_000, "Payment accepted: KES 10,000 (KES 100 short but within tolerance)"),
        (8_000, "Payment too short: KES 8,000 came, KES 2,100 less than due."),
    ],
)
async def test_every_amount_by_hand_gets_its_words(town: Town, amount: int, words: str) -> None:
    await town.shop()
    await town.shares(BUYER, persona.BUYER.phone)
    code = await town.deal()
    shown = (await town.says(BUYER, f"/start {code}"))[-1]
    guide = (await town.taps(BUYER, shown, "Pay by paybill"))[-1]
    assert "174379" in guide.text
    assert guide.button("Copy account no.")["copy_text"] == {"text": code}
    assert guide.button("Copy amount")["copy_text"] == {"text": "10100"}
    await town.pays_by_hand(amount, code)
    assert words in town.last(BUYER).text
