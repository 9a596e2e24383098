"""A shop registers once, and changes its name and its number as it may; buyers' proposals are
answered by a tap.
"""

from __future__ import annotations

from sandbox import persona
from tests.bot.conftest import ADMIN, SELLER, Town

_PAYOUT = "SELECT payout_phone FROM escrow_sellers"
_PHONE = "SELECT phone FROM people WHERE telegram_id = $1"


async def test_a_bare_sell_asks_for_the_name_first(town: Town) -> None:
    assert "What is your shop called?" in (await town.says(SELLER, "/sell"))[-1].text
    assert "2 to 60 characters" in (await town.says(SELLER, "J"))[-1].text
    assert "Jane Shop" in (await town.says(SELLER, "Jane Shop"))[-1].text
    await town.shares(SELLER, persona.SELLER.phone)
    assert await town.value("SELECT shop_name FROM escrow_sellers") == "Jane Shop"
    assert await town.value("SELECT status FROM escrow_sellers") == "PENDING"


async def test_the_contact_button_asks_for_the_own_number(town: Town) -> None:
    await town.says(SELLER, "/sell Jane Shop")
    keyboard = town.telegram.people[SELLER].reply_keyboard or {}
    assert keyboard["keyboard"] == [[{"text": "Share my number", "request_contact": True}]]
    await town.shares(SELLER, persona.SELLER.phone)
    assert town.telegram.people[SELLER].reply_keyboard is None


async def test_a_seller_who_sells_again_reads_where_he_stands(town: Town) -> None:
    await town.says(SELLER, "/sell Jane Shop")
    await town.shares(SELLER, persona.SELLER.phone)
    assert "An admin will verify you" in (await town.says(SELLER, "/sell Other"))[-1].text
    await town.says(ADMIN, f"/verify_seller {SELLER}")
    status = (await town.says(SELLER, "/sell"))[-1].text
    assert "You are verified" in status
    assert "0722***001" in status


async def test_a_shop_that_waits_is_renamed_and_a_verified_one_is_not(town: Town) -> None:
    await town.says(SELLER, "/sell Jane Shop")
    await town.shares(SELLER, persona.SELLER.phone)
    assert "Jane Phones" in (await town.says(SELLER, "/sell Jane Phones"))[-1].text
    assert "Jane Phones" in town.last(ADMIN).text
    await town.says(ADMIN, f"/verify_seller {SELLER}")
    assert "verified under that name" in (await town.says(SELLER, "/sell Other"))[-1].text
    assert await town.value("SELECT shop_name FROM escrow_sellers") == "Jane Phones"


async def test_the_payout_number_changes_by_a_contact_and_what_he_pays_with_stays(
    town: Town,
) -> None:
    await town.shop()
    shop = (await town.says(SELLER, "/sell"))[-1]
    question = (await town.taps(SELLER, shop, "Change payout number"))[-1]
    assert "shall get your money" in question.text
    told = await town.shares(SELLER, "254799888777")
    assert len(told) == 1
    assert "Your money goes to 0799***777 from now on, not to 0722***001." in told[0].text
    assert "If that wasn't you" in told[0].text
    assert await town.value(_PAYOUT) == "254799888777"
    assert await town.value(_PHONE, SELLER) == persona.SELLER.phone


async def test_the_payout_number_changes_when_it_was_typed_twice(town: Town) -> None:
    await town.shop()
    shop = (await town.says(SELLER, "/sell"))[-1]
    await town.taps(SELLER, shop, "Change payout number")
    assert "once more" in (await town.says(SELLER, "0799888777"))[-1].text
    assert await town.value(_PAYOUT) == persona.SELLER.phone
    await town.says(SELLER, "0799888777")
    assert await town.value(_PAYOUT) == "254799888777"


async def test_a_seller_is_asked_what_a_new_number_is_for(town: Town) -> None:
    await town.shop()
    asked = (await town.says(SELLER, "0799888777"))[-1]
    assert "What is 0799***777 for?" in asked.text
    await town.taps(SELLER, asked, "Paying for what I buy")
    assert await town.value(_PHONE, SELLER) == "254799888777"
    assert await town.value(_PAYOUT) == persona.SELLER.phone
