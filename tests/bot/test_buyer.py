"""A buyer pays by prompt, by hand or from his wallet, and always reads what comes next."""

from __future__ import annotations

import pytest

from escrow.services.ports import Answer, Verdict
from sandbox import persona
from sandbox.telegram_chats import Message
from tests.bot.conftest import BUYER, SELLER, STRANGER, Town

PAID = Answer(Verdict.PAID, "0")
_STATUS = "SELECT status FROM escrow_transactions WHERE id = $1"


async def _open(town: Town, price: str = "10000") -> str:
    await town.shop()
    await town.shares(BUYER, persona.BUYER.phone)
    return await town.deal(price)


async def _with_wallet(town: Town, amount: int) -> str:
    """A buyer whose wallet holds that, and a deal of KES 1,520 to pay."""
    first = await _open(town, "10000")
    shown = (await town.says(BUYER, first))[-1]
    await town.taps(BUYER, shown, "Pay by paybill")
    await town.pays_by_hand(amount, first)
    await town.says(SELLER, f"/cancel {first}")
    return await town.deal("1500", "Red cup")


async def test_paying_says_what_mpesa_asks_once_it_asks(town: Town) -> None:
    code = await _open(town)
    message = (await town.says(BUYER, f"/pay {code}"))[-1]
    for words in ("0711***001", "KES 10,100", "AMANA LTD", code, "its own charge", "cancel"):
        assert words in message.text
    said = [str(call.params.get("text")) for call in town.telegram.calls]
    assert "One moment …" in said
    shown = await town.value("SELECT chat_message_id FROM payment_attempts")
    assert shown == message.id


async def test_the_pay_button_does_the_same(town: Town) -> None:
    code = await _open(town)
    shown = (await town.says(BUYER, f"/start {code}"))[-1]
    assert shown.labels[0] == "Pay 10,100 from 0711***001"
    assert await town.taps(BUYER, shown, "Pay 10,100") == []  # the card shows it, nothing is new
    assert "Look at your phone: 0711***001" in _now(town, shown)
    assert len(town.rail.prompts) == 1
    assert await town.value("SELECT chat_message_id FROM payment_attempts") == shown.id


async def test_a_refused_press_leaves_a_way_back_to_the_deal(town: Town) -> None:
    code = await _open(town)
    shown = (await town.says(BUYER, f"/start {code}"))[-1]
    await town.says(BUYER, f"/pay {code}")
    await town.taps(BUYER, shown, "Pay 10,100")
    assert "already asking 0711***001" in _now(town, shown)
    card = (await town.taps(BUYER, town.telegram.messages[shown.id], "Show the deal"))[-1:]
    assert "KES 10,100" in (card[0].text if card else _now(town, shown))


async def test_a_press_handled_again_prompts_nobody_twice(town: Town) -> None:
    code = await _open(town)
    shown = (await town.says(BUYER, f"/start {code}"))[-1]
    await town.taps(BUYER, shown, "Pay 10,100")
    await town.store.stop()
    async with town.database.unit() as conn:
        await conn.execute("UPDATE telegram_updates SET state = 'NEW', done_at = NULL")
    await town.store.start()
    await town.settle()
    assert len(town.rail.prompts) == 1


async def test_a_number_given_for_paying_goes_on_by_itself(town: Town) -> None:
    await town.shop()
    code = await town.deal()
    shown = (await town.says(BUYER, f"/start {code}"))[-1]
    asked = (await town.taps(BUYER, shown, "Pay KES 10,100"))[-1]
    assert "Which M-Pesa number shall pay?" in asked.text
    (progress,) = await town.shares(BUYER, persona.BUYER.phone)
    assert progress.id == shown.id  # no message of its own: the card names the number
    assert "Look at your phone: 0711***001 is asked" in progress.text
    await town.says(BUYER, f"/pay {code}")
    assert "already asking 0711***001" in town.last(BUYER).text  # and no number was asked for again


@pytest.mark.parametrize(
    ("answer", "words", "button"),
    [
        (Answer(Verdict.DECLINED, "400.002.02", "invalid_phone"), "not know your number", "Try"),
        (Answer(Verdict.DECLINED, "500.003.02", "mpesa_busy"), "very busy", "Try again"),
        (Answer(Verdict.DECLINED, "1", "from_the_future"), "no clear reason", "Try again"),
        (Answer(Verdict.UNKNOWN, "", "unknown"), "no clear answer", "Pay by paybill"),
    ],
)
async def test_a_prompt_that_fails_at_once_is_told_in_place(
    town: Town, answer: Answer, words: str, button: str
) -> None:
    code = await _open(town)
    town.rail.answers.append(answer)
    told = await town.says(BUYER, f"/pay {code}")
    assert len(told) == 1
    assert words in told[0].text
    assert told[0].button(button)


async def test_a_refusal_replaces_the_progress_message(town: Town) -> None:
    code = await _open(town)
    told = await town.says(SELLER, f"/pay {code}")
    assert "Which M-Pesa number" not in told[-1].text
    assert len(told) == 1
    assert "your own deal" in told[0].text


async def test_a_failed_prompt_is_a_new_message_with_a_way_on(town: Town) -> None:
    code = await _open(town)
    await town.says(BUYER, f"/pay {code}")
    await town.answers_prompt(1, Answer(Verdict.DECLINED, "2001", "wrong_pin"))
    failed = town.last(BUYER)
    assert "KES 10,100 was not paid." in failed.text
    assert "PIN was wrong" in failed.text
    assert "Safaricom" not in failed.text
    await town.taps(BUYER, failed, "Try again")
    assert "only after 2 minutes" in _now(town, failed)
    town.clock.advance(minutes=2, seconds=1)
    await town.taps(BUYER, town.telegram.messages[failed.id], "Try again")
    assert "Look at your phone" in _now(town, failed)


@pytest.mark.parametrize(
    "answer", [Answer(Verdict.PAID, "0", "paid"), Answer(Verdict.DECLINED, "2001", "wrong_pin")]
)
async def test_nobody_is_told_to_enter_a_pin_when_the_request_is_over(
    town: Town, answer: Answer
) -> None:
    code = await _open(town)
    asked = (await town.says(BUYER, f"/pay {code}"))[-1]
    assert "Enter your PIN" in _now(town, asked)
    await town.answers_prompt(1, answer)
    assert "is over" in _now(town, asked)
    assert "Enter your PIN" not in _now(town, asked)


async def test_somebody_elses_payment_keeps_others_out(town: Town) -> None:
    code = await _open(town)
    await town.says(BUYER, f"/pay {code}")
    town.telegram.user_starts(STRANGER, code)
    await town.settle()
    shown = town.last(STRANGER)
    assert "Somebody else is paying it just now." in shown.text
    assert shown.keyboard == []
    await town.shares(STRANGER, persona.STRANGER.phone)
    await town.answers_prompt(1, Answer(Verdict.DECLINED, "1032", "cancelled"))
    assert "you can pay it from 12:30" in (await town.says(STRANGER, f"/pay {code}"))[-1].text


async def test_paying_by_hand_shows_what_to_type(town: Town) -> None:
    code = await _open(town)
    shown = (await town.says(BUYER, code))[-1]
    guide = (await town.taps(BUYER, shown, "Pay by paybill"))[-1]
    for words in ("Business no. 174379", f"Account no. {code}", "KES 10,100", "30 minutes"):
        assert words in guide.text
    assert [button["copy_text"]["text"] for row in guide.keyboard for button in row] == [
        "174379",
        code,
        "10100",
    ]
    assert await town.value("SELECT telegram_id FROM reservations") == BUYER


async def test_a_wallet_that_is_enough_pays_alone(town: Town) -> None:
    code = await _with_wallet(town, 8_000)
    shown = (await town.says(BUYER, code))[-1]
    assert "Use wallet: KES 1,520" in shown.labels
    await town.taps(BUYER, shown, "Use wallet")
    assert await town.value(_STATUS, code) == "HELD"
    assert "your money is held" in town.last(BUYER).text
    assert town.telegram.messages[shown.id].keyboard == []
    assert town.rail.prompts == []
    assert await town.taps_data(BUYER, shown, _pay(code)) == []
    assert "already paid, your money is held" in (await town.says(BUYER, f"/pay {code}"))[-1].text


def _toast(town: Town) -> str:
    return max(town.telegram.taps.values(), key=lambda tap: tap.seq).text


def _pay(code: str) -> str:
    return f"b:pay:{code}"


def _now(town: Town, message: Message) -> str:
    """What stands in that message by now."""
    return town.telegram.messages[message.id].text


def _words(messages: list[Message]) -> str:
    return " ".join(message.text for message in messages)


async def test_a_wallet_that_is_short_pays_its_part(town: Town) -> None:
    code = await _with_wallet(town, 500)
    shown = (await town.says(BUYER, code))[-1]
    assert "Use wallet: KES 500, rest by M-Pesa" in shown.labels
    await town.taps(BUYER, shown, "Use wallet")
    assert "is asked for KES 1,020" in _now(town, shown)
    assert "KES 500 comes from your wallet." in _now(town, shown)
    await town.answers_prompt(1, PAID)
    assert await town.value(_STATUS, code) == "HELD"


async def test_a_wallet_press_handled_again_pays_once(town: Town) -> None:
    code = await _with_wallet(town, 8_000)
    shown = (await town.says(BUYER, code))[-1]
    await town.taps(BUYER, shown, "Use wallet")
    again = (await town.says(BUYER, "/start"))[-1]
    assert await town.taps_data(BUYER, again, f"b:wallet:{code}:w152000") == []
    held = "SELECT count(*) FROM escrow_timeline WHERE event = 'fund' AND escrow_id = $1"
    assert await town.value(held, code) == 1


# -- the choice ------------------------------------------------------------------------------------


async def _short(town: Town, code: str, amount: int) -> Message:
    shown = (await town.says(BUYER, code))[-1]
    await town.taps(BUYER, shown, "Pay by paybill")
    await town.pays_by_hand(amount, code)
    return town.last(BUYER)


async def test_completing_with_money_in_the_wallet_asks_from_where(town: Town) -> None:
    code = await _with_wallet(town, 500)
    choice = await _short(town, code, 1_400)
    assert "KES 120 short" in choice.text
    asked = (await town.taps(BUYER, choice, "Complete payment"))[-1]
    assert asked.labels == ["From M-Pesa: KES 120", "From wallet: KES 120"]
    await town.taps(BUYER, asked, "From wallet")
    assert await town.value(_STATUS, code) == "HELD"
    assert "KES 1,520 received" in town.last(BUYER).text


async def test_completing_by_both_takes_the_wallet_first(town: Town) -> None:
    code = await _with_wallet(town, 50)
    choice = await _short(town, code, 1_400)
    asked = (await town.taps(BUYER, choice, "Complete payment"))[-1]
    assert asked.labels[1] == "M-Pesa KES 70 + wallet KES 50"
    await town.taps(BUYER, asked, "M-Pesa KES 70")
    assert [str(amount) for _, amount, _ in town.rail.prompts] == ["KES 70"]
    await town.answers_prompt(1, PAID)
    assert await town.value(_STATUS, code) == "HELD"


async def test_a_choice_that_was_taken_gets_one_polite_line(town: Town) -> None:
    code = await _open(town, "1500")
    choice = await _short(town, code, 1_400)
    card = (await town.says(BUYER, f"/deal {code}"))[-1]
    taken = {row[0]["text"].split()[0]: row[0]["callback_data"] for row in choice.keyboard}
    await town.taps_data(BUYER, choice, taken["Proceed"])
    decided = town.telegram.messages[choice.id]
    assert "You chose to go on with KES 1,400." in decided.text
    assert "Please choose" not in decided.text
    assert decided.keyboard == []
    for data in taken.values():
        assert await town.taps_data(BUYER, choice, data) == []
        assert _toast(town) == "Done already."
    for data in taken.values():
        told = await town.taps_data(BUYER, card, data)
        assert [message.text for message in told] == [
            "This choice is no longer open. /deals shows where your deals stand."
        ]
    assert await town.value(_STATUS, code) == "HELD"


async def test_nobody_else_can_press_a_choice(town: Town) -> None:
    code = await _open(town, "1500")
    choice = await _short(town, code, 1_400)
    data = choice.keyboard[1][0]["callback_data"]
    town.telegram.user_starts(STRANGER)
    await town.settle()
    own = town.last(STRANGER)
    assert "no longer open" in _words(await town.taps_data(STRANGER, own, data))
    assert await town.value(_STATUS, code) == "PENDING"


async def test_the_deals_card_shows_an_open_choice_again(town: Town) -> None:
    code = await _open(town, "1500")
    choice = await _short(town, code, 1_400)
    card = (await town.says(BUYER, f"/deal {code}"))[-1]
    assert "KES 1,400 came, KES 120 is missing" in card.text
    assert card.labels[:3] == choice.labels


async def test_a_choice_that_is_over_does_nothing(town: Town) -> None:
    code = await _open(town, "1500")
    choice = await _short(town, code, 1_400)
    town.clock.advance(minutes=10)
    assert "no longer open" in _words(await town.taps(BUYER, choice, "Proceed"))
    await town.choices.expire()
    await town.settle()
    assert "KES 1,400 is back in your wallet." in town.last(BUYER).text
    assert town.last(BUYER).labels[0] == "Pay 1,520 from 0711***001"


# -- what a button says is what it does ------------------------------------------------------------


async def test_a_short_payment_offers_what_the_wallet_really_holds(town: Town) -> None:
    code = await _with_wallet(town, 600)
    message = await _short(town, code, 300)
    assert "Payment too short" in message.text
    assert "Use wallet: KES 900, rest by M-Pesa" in message.labels
    await town.taps(BUYER, message, "Use wallet")
    assert "is asked for KES 620" in _now(town, message)
    assert "KES 900 comes from your wallet" in _now(town, message)


async def test_a_label_that_is_no_longer_true_takes_nothing_and_shows_the_card(town: Town) -> None:
    code = await _with_wallet(town, 600)
    shown = (await town.says(BUYER, code))[-1]
    assert "Use wallet: KES 600, rest by M-Pesa" in shown.labels
    await _short(town, code, 1_000)  # far too short: it goes to the wallet
    fresh = (await town.taps(BUYER, shown, "Use wallet"))[-1]
    assert "Use wallet: KES 1,520" in fresh.labels
    assert town.rail.prompts == []
    assert await town.value(_STATUS, code) == "PENDING"
    await town.taps(BUYER, fresh, "Use wallet")
    assert await town.value(_STATUS, code) == "HELD"


# -- nothing is said to ring that may not ----------------------------------------------------------


async def test_a_refused_payment_never_says_that_a_phone_is_asked(town: Town) -> None:
    code = await _open(town)
    await town.shares(STRANGER, persona.STRANGER.phone)
    await town.says(BUYER, f"/pay {code}")
    since = town.telegram.mark()
    told = await town.says(STRANGER, f"/pay {code}")
    assert len(told) == 1
    assert "Somebody else is paying this deal" in told[0].text
    said = [m.text for m in town.telegram.from_bot(STRANGER, since=since)]
    assert not any("asked for" in text or "Asking" in text for text in said)


async def test_a_stranger_hears_before_giving_a_number_that_somebody_is_paying(town: Town) -> None:
    code = await _open(town)
    await town.says(BUYER, f"/pay {code}")
    told = await town.says(STRANGER, f"/pay {code}")
    assert "Somebody else is paying this deal" in told[-1].text
    step = "SELECT count(*) FROM conversations WHERE telegram_id = $1 AND step <> 'over'"
    assert await town.value(step, STRANGER) == 0


async def test_after_a_crash_only_what_is_known_of_the_prompt_is_said(town: Town) -> None:
    code = await _open(town)
    town.rail.answers.append(Answer(Verdict.UNKNOWN, "", "unknown"))
    await town.says(BUYER, f"/pay {code}")
    await town.store.stop()
    async with town.database.unit() as conn:
        await conn.execute(
            "UPDATE telegram_updates SET state = 'NEW', done_at = NULL WHERE update_id ="
            " (SELECT max(update_id) FROM telegram_updates)"
        )
    await town.store.start()
    await town.settle()
    assert "don't know yet whether your phone rings" in town.last(BUYER).text
    assert len(town.rail.prompts) == 1
    assert "don't know yet" in (await town.says(BUYER, f"/pay {code}"))[-1].text


async def test_a_foreign_number_that_was_asked_too_often_has_two_ways_on(town: Town) -> None:
    await town.shop()
    await town.says(BUYER, "0799999999")
    code = await town.deal()
    for number in range(1, 4):
        await town.says(BUYER, f"/pay {code}")
        await town.answers_prompt(number, Answer(Verdict.DECLINED, "1032", "cancelled"))
        town.clock.advance(minutes=3)
    refused = (await town.says(BUYER, f"/pay {code}"))[-1]
    assert "asked often enough" in refused.text
    assert refused.labels == ["Share my number", "Pay by paybill"]
    await town.taps(BUYER, refused, "Share my number")
    shared = await town.shares(BUYER, persona.BUYER.phone)
    assert "Look at your phone" in shared[-1].text


async def test_a_double_press_of_paybill_shows_one_guide(town: Town) -> None:
    code = await _open(town)
    shown = (await town.says(BUYER, code))[-1]
    assert len(await town.taps(BUYER, shown, "Pay by paybill")) == 1
    assert await town.taps(BUYER, shown, "Pay by paybill") == []
    assert _toast(town) == "Done already."
    town.clock.advance(minutes=2)
    assert len(await town.taps(BUYER, shown, "Pay by paybill")) == 1


# -- a till --------------------------------------------------------------------------------------


async def test_with_a_till_nothing_offers_to_pay_by_hand(town: Town) -> None:
    code = await _open(town)
    old = (await town.says(BUYER, f"/start {code}"))[-1]
    assert "Pay by paybill" in old.labels
    town.rail.till = "600123"
    fresh = (await town.says(BUYER, f"/start {code}"))[-1]
    assert "Pay by paybill" not in fresh.labels
    assert fresh.labels[0].startswith("Pay 10,100")
    await town.taps(BUYER, old, "Pay by paybill")
    assert "can't be paid by hand" in _now(town, old) + town.last(BUYER).text
    assert await town.value("SELECT count(*) FROM reservations") == 0
    town.rail.answers.append(Answer(Verdict.UNKNOWN, "", "unknown"))
    unclear = (await town.says(BUYER, f"/pay {code}"))[-1]
    assert "no clear answer" in unclear.text
    assert "paybill" not in unclear.text.lower()
    assert unclear.labels == []


async def test_with_a_till_a_failed_prompt_has_one_way_on(town: Town) -> None:
    town.rail.till = "600123"
    code = await _open(town)
    await town.says(BUYER, f"/pay {code}")
    await town.answers_prompt(1, Answer(Verdict.DECLINED, "1037", "no_answer"))
    failed = town.last(BUYER)
    assert "paybill" not in failed.text.lower()
    assert failed.labels == ["Try again"] or failed.labels[0].startswith("Try again")
    assert len(failed.labels) == 1
