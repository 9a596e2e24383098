"""Admin commands are for admins only, and each decision is made once."""

from __future__ import annotations

import inspect
import logging

import pytest

import escrow_handlers_admin as module
from escrow.bot.buttons import Button, Verb, pack, unpack
from sandbox import persona
from sandbox.telegram_chats import Message
from tests.bot.conftest import ADMIN, BUYER, SELLER, Town

_REFUSAL = "This is for admins of Amana only."
_UNREACHABLE = 20_000  # above what is credited without asking M-Pesa


def test_what_is_exported_are_the_commands() -> None:
    ours = {command.handler.__name__ for command in module.ADMIN_COMMANDS}
    assert set(module.__all__) <= ours
    for name in module.__all__:
        handler = getattr(module, name)
        assert inspect.iscoroutinefunction(handler)
        assert list(inspect.signature(handler).parameters) == ["update", "context"]


@pytest.mark.parametrize("text", ["/verify_seller 2001", "/verify_seller", "/system_health"])
async def test_everybody_else_gets_one_line_and_a_line_in_the_log(
    town: Town, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    await town.says(SELLER, "/sell Jane Shop")
    await town.shares(SELLER, persona.SELLER.phone)
    with caplog.at_level(logging.WARNING):
        assert [message.text for message in await town.says(BUYER, text)] == [_REFUSAL]
    assert any(getattr(record, "action", "") == "not_admin" for record in caplog.records)
    assert await town.value("SELECT status FROM escrow_sellers") == "PENDING"


def _any(verb: Verb) -> str:
    """Data of that button as it may come from anybody."""
    code = "ES1008257624"
    for button in (Button(verb, number=1), Button(verb, code), Button(verb, code, 1), Button(verb)):
        if unpack(":".join(filter(None, ("b", verb, button.deal, str(button.number or ""))))):
            return pack(button)
    raise AssertionError(verb)


@pytest.mark.parametrize("verb", list(module.ADMIN_BUTTONS))
async def test_admins_buttons_pressed_by_others_do_nothing(town: Town, verb: Verb) -> None:
    message = (await town.says(BUYER, "/start"))[-1]
    answers = await town.taps_data(BUYER, message, _any(verb))
    assert [answer.text for answer in answers] == [_REFUSAL]


async def test_a_seller_is_verified_by_row_by_id_or_by_the_card(town: Town) -> None:
    await town.says(SELLER, "/sell Jane Shop")
    await town.shares(SELLER, persona.SELLER.phone)
    card = town.last(ADMIN)
    answer = (await town.taps(ADMIN, card, "Verify Jane Shop"))[-1].text
    assert "is verified and was told so" in answer
    assert town.telegram.messages[card.id].keyboard == []
    row = await town.value("SELECT id FROM escrow_sellers")
    for number in (row, SELLER):
        again = (await town.says(ADMIN, f"/verify_seller {number}"))[-1].text
        assert "was verified before" in again


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("/verify_seller", "Like this: /verify_seller 2001"),
        ("/verify_seller Jane", "Like this: /verify_seller 2001"),
        ("/verify_seller 77", "There is no seller 77. /pending_sellers shows who waits."),
    ],
)
async def test_a_wrong_number_is_told(town: Town, text: str, answer: str) -> None:
    assert (await town.says(ADMIN, text))[-1].text == answer


async def test_an_admin_cannot_verify_his_own_shop(town: Town) -> None:
    await town.says(ADMIN, "/sell Asha Shop")
    await town.shares(ADMIN, persona.ADMIN.phone)
    assert "another admin" in (await town.says(ADMIN, f"/verify_seller {ADMIN}"))[-1].text


async def test_health_begins_with_one_word(town: Town) -> None:
    text = (await town.says(ADMIN, "/system_health"))[-1].text
    assert text.startswith("OK – Everything is in order.")
    assert "Books: in balance" in text


async def _waiting(town: Town, amount: int = _UNREACHABLE) -> Message:
    """A payment by hand that only a person can confirm: its card."""
    await town.shop()
    await town.deal()
    town.confirmations._confirm = True
    await town.pays_by_hand(amount, "nonsense", receipt="SKN0000042")
    return town.last(ADMIN)


async def test_a_receipt_is_credited_by_its_card(town: Town) -> None:
    card = await _waiting(town)
    assert "Is this payment real? KES 20,000" in card.text
    assert "SKN0000042" in card.text
    assert card.labels == ["Credit", "Not ours"]
    answers = await town.taps(ADMIN, card, "Credit")
    assert any("booked to suspense" in answer.text for answer in answers)
    assert town.telegram.messages[card.id].keyboard == []
    assert await town.value("SELECT state FROM receipts") == "SUSPENSE"


async def test_a_receipt_is_denied_once(town: Town) -> None:
    card = await _waiting(town)
    other = (await town.says(ADMIN, "/start"))[-1]
    credit, not_ours = (button["callback_data"] for button in card.keyboard[0])
    answers = await town.taps_data(ADMIN, card, not_ours)
    assert any("closed as not ours" in answer.text for answer in answers)
    again = await town.taps_data(ADMIN, other, credit)
    assert "was decided before" in again[-1].text
    assert town.telegram.messages[other.id].keyboard == []
    assert await town.value("SELECT state FROM receipts") == "IGNORED"
