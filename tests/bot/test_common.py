"""Everybody can start, get help, give a number and type a code."""

from __future__ import annotations

import dataclasses
import logging

import pytest

from escrow.bot import desk
from sandbox import persona
from tests.bot.conftest import ADMIN, BUYER, SELLER, STRANGER, Town

_PHONE = "SELECT phone FROM people WHERE telegram_id = $1"


async def test_the_greeting_is_short_and_says_play_money(town: Town) -> None:
    message = (await town.says(BUYER, "/start"))[-1]
    assert message.text.startswith("Hello")
    assert message.text.endswith("Play money – no real money moves.")
    assert message.labels == ["I want to buy", "I want to sell", "My deals", "Kiswahili"]
    assert "Buying" in (await town.taps(BUYER, message, "I want to buy"))[-1].text
    assert "/newdeal 1500" in (await town.taps(BUYER, message, "I want to sell"))[-1].text


@pytest.mark.parametrize("payload", ["x_5", "hello", "-"])
async def test_any_other_payload_greets(town: Town, payload: str) -> None:
    town.telegram.user_starts(BUYER, payload)
    await town.settle()
    assert town.last(BUYER).text.startswith("Hello")


async def test_a_link_to_no_deal_says_so(town: Town) -> None:
    town.telegram.user_starts(BUYER, "ES1008257625")
    await town.settle()
    assert "I find no deal" in town.last(BUYER).text


async def test_help_shows_admin_commands_to_admins_only(town: Town) -> None:
    assert "/verify_seller" in (await town.says(ADMIN, "/help"))[-1].text
    everybody = (await town.says(BUYER, "/help"))[-1].text
    assert "/verify_seller" not in everybody
    assert "/wallet – your money with Amana" in everybody


async def test_a_hostile_name_harms_nothing(town: Town) -> None:
    town.telegram.people[BUYER].first_name = "<b>\u202eevil</i> &"
    assert "\u2068<b>evil</i> &\u2069" in (await town.says(BUYER, "/start"))[-1].text


async def test_a_number_shared_or_typed_at_any_time_is_kept_and_shown_masked(town: Town) -> None:
    saved = (await town.shares(BUYER, "+254711003001"))[-1].text
    assert "0711***001" in saved
    assert await town.value(_PHONE, BUYER) == "254711003001"
    query = "SELECT phone_is_contact FROM people WHERE telegram_id = $1"
    await town.says(BUYER, "0711003001")
    assert await town.value(query, BUYER) is True  # the same one is still vouched for
    asked = (await town.says(BUYER, "0712 345 678"))[-1]
    assert "Change your number from 0711***001 to 0712***678?" in asked.text
    await town.taps(BUYER, asked, "No")
    assert await town.value(_PHONE, BUYER) == "254711003001"
    asked = (await town.says(BUYER, "0712 345 678"))[-1]
    await town.taps(BUYER, asked, "Yes")
    assert await town.value(_PHONE, BUYER) == "254712345678"
    assert await town.value(query, BUYER) is False


@pytest.mark.parametrize("owner", [0, STRANGER])
async def test_somebody_elses_contact_does_not_count(town: Town, owner: int) -> None:
    answer = (await town.shares(BUYER, "254712345678", of=owner))[-1].text
    assert "somebody else's contact" in answer
    assert await town.value(_PHONE, BUYER) is None


async def test_two_different_numbers_start_again(town: Town) -> None:
    await town.says(SELLER, "/sell Jane Shop")
    await town.says(SELLER, "0712345678")
    assert "differ" in (await town.says(SELLER, "0712345679"))[-1].text
    assert "once more" in (await town.says(SELLER, "0712345679"))[-1].text
    await town.says(SELLER, "0712345679")
    assert await town.value("SELECT payout_phone FROM escrow_sellers") == "254712345679"


async def test_words_in_place_of_a_number_are_asked_for_again(town: Town) -> None:
    await town.says(SELLER, "/sell Jane Shop")
    assert "can't read that" in (await town.says(SELLER, "my number"))[-1].text
    assert "once more" in (await town.says(SELLER, "0712345678"))[-1].text


async def test_a_wrong_answer_keeps_the_button_and_a_code_wins(town: Town) -> None:
    await town.shop()
    code = await town.deal()
    await town.says(BUYER, f"/pay {code}")
    refused = (await town.says(BUYER, "0812345678"))[-1]
    assert "your deals stay as they are" in refused.text
    assert town.telegram.people[BUYER].reply_keyboard is not None
    assert "Blue phone case" in (await town.says(BUYER, code))[-1].text
    assert "once more" in (await town.says(BUYER, "0711003001"))[-1].text
    assert "Look at your phone" in (await town.says(BUYER, "0711003001"))[-1].text


async def test_a_wrong_number_is_no_missing_deal(town: Town) -> None:
    told = (await town.says(BUYER, "0812345678"))[-1].text
    assert "no Kenyan mobile number" in told
    assert "I find no deal" not in told


async def test_a_pasted_receipt_credits_nothing_by_itself(town: Town) -> None:
    for number, form in enumerate(
        ("SKN000000{} Confirmed. Ksh500.00 sent to AMANA", "SKN000000{}")
    ):
        town.rail.can_ask_status = True
        told = await town.says(BUYER, form.format(number))
        assert f"I asked M-Pesa about SKN000000{number}" in told[-1].text
    assert await town.value("SELECT count(*) FROM receipts") == 0


async def test_a_question_can_be_stopped(town: Town) -> None:
    await town.says(SELLER, "/sell Jane Shop")
    assert "stopped" in (await town.says(SELLER, "/cancel"))[-1].text
    assert "None of your deals fits" in (await town.says(SELLER, "/cancel"))[-1].text
    await town.says(SELLER, "0712345678")
    assert await town.value("SELECT count(*) FROM escrow_sellers") == 0


async def test_the_first_typed_number_handled_again_after_a_crash_is_not_the_second(
    town: Town,
) -> None:
    await town.says(SELLER, "/sell Jane Shop")
    town.telegram.user_sends(SELLER, "0712345678")
    number = town.telegram.updates.pending[-1]["update_id"]
    await town.settle()
    await town.store.stop()
    async with town.database.unit() as conn:
        await conn.execute(
            "UPDATE telegram_updates SET state = 'NEW', done_at = NULL WHERE update_id = $1", number
        )
    await town.store.start()
    await town.settle()
    assert "once more" in town.last(SELLER).text
    assert await town.value("SELECT count(*) FROM escrow_sellers") == 0


async def test_a_code_alone_shows_the_deal_and_other_words_get_a_hint(town: Town) -> None:
    await town.shop()
    code = await town.deal()
    typed = f"es {code[2:6]} {code[6:]}"
    assert "Blue phone case" in (await town.says(BUYER, typed))[-1].text
    assert "didn't understand" in (await town.says(BUYER, "how are you?"))[-1].text


async def test_without_admins_the_log_tells_the_first_id(
    town: Town, caplog: pytest.LogCaptureFixture
) -> None:
    office = dataclasses.replace(town.office, admins=())
    town.application.bot_data[desk.OFFICE] = office
    with caplog.at_level(logging.WARNING):
        await town.says(BUYER, "/start")
        await town.says(SELLER, "/start")
    hints = [
        record.getMessage()
        for record in caplog.records
        if getattr(record, "action", "") == "admin_hint"
    ]
    assert len(hints) == 1
    assert str(BUYER) in hints[0]


async def test_the_language_of_a_person_is_no_obstacle(town: Town) -> None:
    town.telegram.people[BUYER].language_code = "sw-KE"
    assert "Amana" in (await town.says(BUYER, "/start"))[-1].text
    assert persona.BOT_NAME == "Amana"
