"""A question that is open stays open over a restart, with what it is for."""

from __future__ import annotations

import json

from telegram import Update

from escrow.bot import asking
from sandbox import persona
from tests.bot.conftest import ADMIN, BUYER, SELLER, Town
from tests.bot.test_disputes import held
from tests.bot.test_payouts import by_hand

_LAST = "SELECT body FROM telegram_updates ORDER BY update_id DESC LIMIT 1"
_OTHERS_MESSAGE = (
    "SG632NMUAB Confirmed. Ksh4,500.00 sent to MARY WANJIKU 0733444555 on 23/11/26 at 9:00 AM. "
    "New M-PESA balance is Ksh12,345.00."
)


async def _again(town: Town, person: int) -> list[str]:
    """The last update once more, as after a crash before it was marked as handled."""
    body = await town.value(_LAST)
    update = json.loads(body) if isinstance(body, str) else body
    since = town.telegram.mark()
    await town.application.process_update(Update.de_json(update, town.application.bot))
    await town.settle()
    return [message.text for message in town.telegram.from_bot(person, since=since)]


async def test_a_question_knows_what_it_is_for(town: Town) -> None:
    await town.says(SELLER, "/sell Jane Shop")
    step = await town.people.conversation(SELLER)
    assert step == (asking.PHONE, {"then": asking.TO_SELL, "shop": "Jane Shop"})


async def test_an_open_question_outlives_a_restart(town: Town) -> None:
    await town.shop()
    code = await town.deal()
    await town.says(BUYER, f"/pay {code}")
    await town.store.stop()
    await town.application.shutdown()
    await town.application.initialize()
    await town.store.start()
    told = await town.shares(BUYER, persona.BUYER.phone)
    assert "Look at your phone" in told[-1].text
    step = await town.people.conversation(BUYER)
    assert step is not None
    assert step[0] == asking.OVER


# -- handled again after a crash -------------------------------------------------------------------


async def test_words_for_the_other_side_get_the_first_answer_again(town: Town) -> None:
    code = await held(town)
    card = (await town.says(BUYER, code))[-1]
    await town.taps(BUYER, card, "Message")
    first = [message.text for message in await town.says(BUYER, "When will it come?")]
    assert "Sent to the seller" in first[-1]
    assert await _again(town, BUYER) == first
    assert await town.value("SELECT count(*) FROM outbox WHERE kind = 'relayed'") == 1


async def test_words_of_a_dispute_are_not_misunderstood_the_second_time(town: Town) -> None:
    code = await held(town)
    asked = (await town.says(BUYER, f"/dispute {code}"))[-1]
    await town.taps(BUYER, asked, "It is broken")
    await town.says(BUYER, "the screen")
    assert await _again(town, BUYER) == []
    assert await town.value("SELECT count(*) FROM escrow_disputes") == 1


async def test_the_receipt_of_a_payout_opens_no_claim_the_second_time(town: Town) -> None:
    await by_hand(town)
    await town.taps(ADMIN, town.last(ADMIN), "Paid")
    first = [message.text for message in await town.says(ADMIN, "SG632NMUAB")]
    assert "is paid" in first[-1]
    assert await _again(town, ADMIN) == first
    assert await town.value("SELECT count(*) FROM payment_claims") == 0


async def test_an_ended_question_takes_no_later_words(town: Town) -> None:
    code = await held(town)
    card = (await town.says(BUYER, code))[-1]
    await town.taps(BUYER, card, "Message")
    await town.says(BUYER, "When will it come?")
    assert "didn't understand" in (await town.says(BUYER, "And today?"))[-1].text


# -- a question outlives its deal ------------------------------------------------------------------


async def _received(town: Town, code: str) -> None:
    question = (await town.says(BUYER, f"/received {code}"))[-1]
    await town.taps(BUYER, question, "Yes, pay")


async def test_a_proof_for_a_deal_that_is_over_is_refused_once(town: Town) -> None:
    code = await held(town)
    await town.taps(SELLER, town.last(SELLER), "Sent")
    await _received(town, code)
    for words in ("G4S 12345", "hello", "0711002001"):
        await town.people.set_conversation(SELLER, "proof", {"deal": code})
        assert "past that point" in (await town.says(SELLER, words))[-1].text
        assert "didn't understand" in (await town.says(SELLER, "hello again"))[-1].text


async def test_a_dispute_for_a_deal_that_is_over_is_refused_once(town: Town) -> None:
    code = await held(town)
    asked = (await town.says(BUYER, f"/dispute {code}"))[-1]
    await town.taps(BUYER, asked, "It is broken")
    await _received(town, code)
    await town.says(BUYER, "the screen")
    assert "completed" in (await town.says(BUYER, code))[-1].text
    assert "didn't understand" in (await town.says(BUYER, "hello"))[-1].text


async def test_evidence_for_a_dispute_that_is_over_is_refused_once(town: Town) -> None:
    code = await held(town)
    await town.people.set_conversation(BUYER, "evidence", {"deal": code})
    await town.says(BUYER, "look at this")
    assert "didn't understand" in (await town.says(BUYER, "hello"))[-1].text


async def test_what_can_be_answered_better_is_asked_on(town: Town) -> None:
    code = await held(town)
    await town.taps(SELLER, town.last(SELLER), "Sent")
    assert "I wait for the proof" in (await town.says(SELLER, "hello"))[-1].text
    await town.says(SELLER, "G4S 12345")
    assert await town.value("SELECT status FROM escrow_transactions WHERE id = $1", code) == (
        "SHIPPED"
    )


# -- what is no proof ------------------------------------------------------------------------------


async def test_a_pasted_message_a_code_or_a_number_is_no_proof(town: Town) -> None:
    code = await held(town)
    await town.taps(SELLER, town.last(SELLER), "Sent")
    since = town.telegram.mark()
    assert "SG632NMUAB" in (await town.says(SELLER, _OTHERS_MESSAGE))[-1].text
    assert "on its way" not in (await town.says(SELLER, code))[-1].text
    assert "I wait for the proof" in (await town.says(SELLER, "0711 002 001"))[-1].text
    assert await town.value("SELECT status FROM escrow_transactions WHERE id = $1", code) == "HELD"
    assert not [m for m in town.telegram.from_bot(BUYER, since=since) if "MARY" in m.text]
    await town.says(SELLER, "AB12345678")
    assert await town.value("SELECT tracking FROM escrow_transactions WHERE id = $1", code) == (
        "AB12345678"
    )
