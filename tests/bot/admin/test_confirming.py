"""An admin sees who would get what, confirms by a button or by typing, and reads what was done."""

from __future__ import annotations

import pytest

from escrow.bot.admin.confirming import number_of
from escrow.domain.errors import NotAllowed
from escrow.domain.money import Currency, Money
from sandbox import persona
from tests.bot.conftest import ADMIN, BUYER, SECOND_ADMIN, SELLER, Town
from tests.bot.test_disputes import STATUS

ISOLATES = str.maketrans("", "", "\u2068\u2069")


def read(text: str) -> str:
    """As it looks."""
    return text.translate(ISOLATES)


async def held(town: Town) -> str:
    await town.shop()
    code = await town.deal()
    await town.says(BUYER, f"/start {code}")
    await town.says(BUYER, f"/pay {code}")
    await town.shares(BUYER, persona.BUYER.phone)
    await town.pays_by_hand(10_100, code)
    assert await town.value(STATUS) == "HELD"
    return code


async def form(town: Town, code: str) -> str:
    """What the newest preview says is to be typed."""
    number = await town.value("SELECT number FROM admin_actions ORDER BY id DESC LIMIT 1")
    return f"{code} confirm {number}"


# -- one admin -----------------------------------------------------------------------------------


async def test_a_refund_shows_who_gets_what_first_and_then_does_it(town: Town) -> None:
    code = await held(town)
    preview = (await town.says(ADMIN, f"/manual_refund {code} it never came"))[-1]
    text = read(preview.text)
    assert text.startswith(f"Refund deal {code}: all back to the buyer")
    assert "Buyer Brian gets KES 10,100 · into the wallet" in text
    assert "Seller Jane Shop gets nothing." in text
    assert "reason, which both sides read: it never came" in text
    assert f"/manual_refund {await form(town, code)}" in text
    assert preview.labels == ["Confirm", "Leave it"]
    assert await town.value(STATUS) == "HELD"
    token = preview.keyboard[0][0]["callback_data"]
    assert (await town.taps(ADMIN, preview, "Confirm")) == []
    shown = town.telegram.messages[preview.id]
    assert read(shown.text).startswith(f"Deal {code} is refunded")
    assert "Brian's KES 10,100 is in the wallet." in read(shown.text)
    assert shown.labels == [f"Case {code}"]
    assert await town.value(STATUS) == "REFUNDED"
    assert "it never came" in town.last(BUYER).text
    again = await town.taps_data(ADMIN, preview, token)
    assert again == [], "pressing again only says that it is done"


async def test_left_it_is_as_it_was(town: Town) -> None:
    code = await held(town)
    preview = (await town.says(ADMIN, f"/manual_release {code}"))[-1]
    await town.taps(ADMIN, preview, "Leave it")
    shown = town.telegram.messages[preview.id]
    assert shown.text == "Left as it is. Nothing was done."
    assert shown.labels == [f"Case {code}"]
    assert await town.value(STATUS) == "HELD"


@pytest.mark.parametrize("words", ["", " buyer it never came"])
async def test_the_typed_form_is_the_button(town: Town, words: str) -> None:
    code = await held(town)
    await town.says(BUYER, f"/dispute {code} It never came")
    preview = (await town.says(ADMIN, f"/resolve_dispute {code.lower()} buyer it never came"))[-1]
    assert f"/resolve_dispute {await form(town, code)}" in preview.text
    number = (await form(town, code)).rpartition(" ")[2]
    done = (await town.says(ADMIN, f"/resolve_dispute {code}{words} confirm {number}"))[-1]
    assert read(done.text).startswith(f"Deal {code} is refunded")
    pressed = await town.taps(ADMIN, preview, "Confirm")
    assert pressed == []
    assert read(town.telegram.messages[preview.id].text) == read(done.text)


async def test_a_wrong_number_is_told_and_the_third_ends_it(town: Town) -> None:
    code = await held(town)
    preview = (await town.says(ADMIN, f"/manual_refund {code}"))[-1]
    number = int((await form(town, code)).rpartition(" ")[2])
    wrong = 1000 + (number - 999) % 9000
    for _ in range(2):
        answer = (await town.says(ADMIN, f"/manual_refund {code} confirm {wrong}"))[-1].text
        assert answer.startswith("That is another number")
    answer = (await town.says(ADMIN, f"/manual_refund {code} confirm {wrong}"))[-1].text
    assert answer.startswith("Three wrong numbers")
    refused = await town.taps(ADMIN, preview, "Confirm")
    assert refused == [], "what is over stands in place of the preview"
    over = town.telegram.messages[preview.id]
    assert "nothing was done" in over.text
    assert over.keyboard == []
    assert await town.value(STATUS) == "HELD"


async def test_what_moved_since_is_shown_anew_before_it_is_done(town: Town) -> None:
    code = await held(town)
    preview = (await town.says(ADMIN, f"/manual_refund {code}"))[-1]
    await town.says(BUYER, f"/dispute {code} It never came")
    refused = await town.taps(ADMIN, preview, "Confirm")
    assert refused == []
    over = town.telegram.messages[preview.id]
    assert over.text.startswith("Something changed since this was shown")
    assert over.text.endswith("The deal was disputed before.\nBy the buyer, Mon 23 Nov, 12:00.")
    assert await town.value(STATUS) == "DISPUTED"
    text = read((await town.says(ADMIN, f"/manual_refund {code}"))[-1].text)
    assert "Closes the buyer's dispute: It never came" in text


async def test_who_was_first_is_named(town: Town) -> None:
    code = await held(town)
    preview = (await town.says(ADMIN, f"/manual_release {code}"))[-1]
    await town.says(SELLER, f"/decline {code}")
    question = town.last(SELLER)
    await town.taps_data(SELLER, question, f"b:decline:{code}")
    assert await town.value(STATUS) == "REFUNDED"
    await town.taps(ADMIN, preview, "Confirm")
    over = town.telegram.messages[preview.id]
    assert over.labels == [f"Case {code}"]
    refused = over.text
    assert refused.startswith("The seller gave the money back before.\nBy the seller, Mon 23 Nov")


async def test_a_confirmation_of_somebody_else_does_nothing(town: Town) -> None:
    code = await held(town)
    preview = (await town.says(ADMIN, f"/manual_refund {code}"))[-1]
    stolen = preview.keyboard[0][0]["callback_data"]
    message = (await town.says(BUYER, "/start"))[-1]
    answers = await town.taps_data(BUYER, message, stolen)
    assert [one.text for one in answers] == ["This is for admins of Amana only."]
    assert await town.value(STATUS) == "HELD"


# -- two admins ----------------------------------------------------------------------------------


async def test_a_large_sum_is_confirmed_by_the_second_admin_on_his_card(town_of_two: Town) -> None:
    town = town_of_two
    town.actions._second_above = Money(10_000_00, Currency.KES)
    code = await held(town)
    preview = (await town.says(ADMIN, f"/manual_refund {code} it never came"))[-1]
    assert "needs a second admin" in preview.text
    await town.taps(ADMIN, preview, "Confirm")
    waits = town.telegram.messages[preview.id]
    assert "Nothing has moved yet." in waits.text
    assert await town.value(STATUS) == "HELD"
    card = town.last(SECOND_ADMIN)
    assert read(card.text).startswith("Admin Asha asks you to confirm: KES 10,100")
    assert "Buyer Brian gets KES 10,100" in read(card.text)
    assert card.labels == ["Confirm", "Leave it"]
    await town.taps(SECOND_ADMIN, card, "Confirm")
    assert f"Deal {code} is refunded" in town.telegram.messages[card.id].text
    assert await town.value(STATUS) == "REFUNDED"
    told = read(town.last(ADMIN).text)
    assert told.startswith("Admin Abdi confirmed what you asked for.")
    assert "Brian's KES 10,100 is in the wallet." in told


async def test_the_second_admin_may_say_no(town_of_two: Town) -> None:
    town = town_of_two
    town.actions._second_above = Money(10_000_00, Currency.KES)
    code = await held(town)
    await town.confirms(f"/manual_refund {code}")
    card = town.last(SECOND_ADMIN)
    await town.taps(SECOND_ADMIN, card, "Leave it")
    assert read(town.last(ADMIN).text).startswith("Admin Abdi said no: nothing was done.")
    assert await town.value(STATUS) == "HELD"


async def test_without_a_second_admin_the_host_is_named(town: Town) -> None:
    town.actions._second_above = Money(10_000_00, Currency.KES)
    code = await held(town)
    text = await town.confirms(f"/manual_refund {code}")
    action = await town.value("SELECT id FROM admin_actions")
    assert f"python main.py approve {action}" in text
    assert isinstance(action, int)
    await town.actions.approve_on_host(action)
    await town.settle()
    assert town.last(ADMIN).text.startswith("What you asked for was confirmed on the host.")
    assert await town.value(STATUS) == "REFUNDED"


# -- stopping ------------------------------------------------------------------------------------


async def test_freezing_acts_at_once_and_tells_both_why(town: Town) -> None:
    code = await held(town)
    text = (await town.says(ADMIN, f"/freeze_transaction {code} a look at the receipt"))[-1].text
    assert "is frozen" in text
    for person in (BUYER, SELLER):
        assert "a look at the receipt" in town.last(person).text
    data = await town.value("SELECT data FROM escrow_timeline WHERE event = 'freeze'")
    assert isinstance(data, dict)
    assert data["reason"] == "a look at the receipt"


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        ("ES1008257624 confirm 4821", 4821),
        ("ES1008257624 buyer clear CONFIRM 4821", 4821),
        ("ES1008257624 please confirm delivery", None),
        ("ES1008257624 4821", None),
        ("confirm", None),
        ("", None),
    ],
)
def test_a_number_is_read_where_it_confirms(typed: str, number: int | None) -> None:
    assert number_of(typed.split()) == number


@pytest.mark.parametrize("typed", ["48211", "0821", "11x1"])
def test_a_mistyped_number_is_no_part_of_a_reason(typed: str) -> None:
    with pytest.raises(NotAllowed) as refused:
        number_of(["ES1008257624", "confirm", typed])
    assert refused.value.reason == "action_wrong_number"
