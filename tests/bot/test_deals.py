"""Deals are listed, shown to whom they concern, and ended by whoever may."""

from __future__ import annotations

from sandbox import persona
from tests.bot.conftest import BUYER, SELLER, STRANGER, Town


async def _held(town: Town) -> str:
    await town.shop()
    code = await town.deal()
    await town.shares(BUYER, persona.BUYER.phone)
    shown = (await town.says(BUYER, code))[-1]
    await town.taps(BUYER, shown, "Pay by paybill")
    await town.pays_by_hand(10_100, code)
    return code


async def test_the_list_is_empty_at_first(town: Town) -> None:
    assert "You have no deals yet" in (await town.says(BUYER, "/deals"))[-1].text


async def test_the_list_names_each_deal_and_opens_it(town: Town) -> None:
    await town.shop()
    first = await town.deal("1500", "Red cup")
    town.clock.advance(minutes=1)
    second = await town.deal("1600", "Green cup")
    listed = (await town.says(SELLER, "/deals"))[-1]
    assert listed.text.index(second) < listed.text.index(first)
    assert "waiting for payment" in listed.text
    card = (await town.taps(SELLER, listed, first))[-1]
    assert "Red cup" in card.text
    assert "Send nothing until I say that the money is held." in card.text
    assert card.labels == ["Share the link", "Cancel the deal", "Help"]


async def test_deals_under_way_stand_before_finished_ones_on_pages_of_ten(town: Town) -> None:
    await town.shop()
    first = await town.deal("1500", "Red cup")
    for number in range(11):
        town.clock.advance(minutes=1)
        over = await town.deal("1600", f"Cup {number}")
        await town.says(SELLER, f"/cancel {over}")
    listed = (await town.says(SELLER, "/deals"))[-1]
    assert listed.text.index(first) < listed.text.index("Cup 10")
    assert "Cup 0" not in listed.text
    await town.taps(SELLER, listed, "Older")
    older = town.telegram.messages[listed.id]
    assert "Cup 0" in older.text
    assert first not in older.text
    assert older.labels[-1] == "Newer"


async def test_a_deal_shows_the_next_step_to_each_side(town: Town) -> None:
    code = await _held(town)
    seller = (await town.says(SELLER, f"/deal {code}"))[-1].text
    assert seller.startswith("KES 10,000 · paid, money held")
    assert "Please send it by Thu 26 Nov, 12:00 (in 3 days)." in seller
    buyer = (await town.says(BUYER, f"/deal {code}"))[-1].text
    assert buyer.startswith("KES 10,100 · paid, money held")
    assert "The seller was told to send it by Thu 26 Nov, 12:00" in buyer


async def test_a_deal_of_others_does_not_exist_for_strangers(town: Town) -> None:
    code = await _held(town)
    town.telegram.user_starts(STRANGER, code)
    await town.settle()
    assert "I find no deal" in town.last(STRANGER).text
    for command in ("deal", "pay", "cancel", "decline"):
        assert "I find no deal" in (await town.says(STRANGER, f"/{command} {code}"))[-1].text


async def test_a_code_may_be_left_out_when_one_deal_fits(town: Town) -> None:
    await _held(town)
    assert "Blue phone case" in (await town.says(BUYER, "/deal"))[-1].text
    assert "None of your deals fits" in (await town.says(BUYER, "/pay"))[-1].text


async def test_several_fitting_deals_are_offered(town: Town) -> None:
    await town.shop()
    first = await town.deal("1500", "Red cup")
    await town.deal("1600", "Green cup")
    offered = (await town.says(SELLER, "/deal"))[-1]
    assert offered.text == "Which deal?"
    assert "Red cup" in (await town.taps(SELLER, offered, first))[-1].text


async def test_ending_a_deal_without_its_code_asks_first(town: Town) -> None:
    await town.shop()
    code = await town.deal()
    offered = (await town.says(SELLER, "/cancel"))[-1]
    assert offered.labels[0].startswith(code)
    await town.taps(SELLER, offered, code)
    assert f"Deal {code} is cancelled." in town.telegram.messages[offered.id].text


async def test_a_seller_declines_and_the_money_goes_back(town: Town) -> None:
    code = await _held(town)
    answer = (await town.says(SELLER, f"/decline {code}"))[-1].text
    assert "The buyer has the money back." in answer
    assert "KES 10,100 is back: \u2068Jane Shop\u2069 declined." in town.last(BUYER).text
    assert "past that point" in (await town.says(SELLER, f"/decline {code}"))[-1].text


async def test_declining_without_a_code_asks_first(town: Town) -> None:
    code = await _held(town)
    offered = (await town.says(SELLER, "/decline"))[-1]
    await town.taps(SELLER, offered, code)
    assert "KES 10,100 is back: \u2068Jane Shop\u2069 declined." in town.last(BUYER).text


async def test_a_paid_deal_is_not_cancelled(town: Town) -> None:
    code = await _held(town)
    assert "past that point" in (await town.says(BUYER, f"/cancel {code}"))[-1].text


async def test_a_buyer_who_cancels_reads_what_is_in_his_wallet(town: Town) -> None:
    await town.shop()
    code = await town.deal()
    await town.shares(BUYER, persona.BUYER.phone)
    shown = (await town.says(BUYER, code))[-1]
    await town.taps(BUYER, shown, "Pay by paybill")
    await town.pays_by_hand(9_700, code)
    await town.says(BUYER, f"/pay {code}")
    told = (await town.says(BUYER, f"/cancel {code}"))[-1].text
    assert "KES 9,700 is in your wallet" in told
    assert "If your phone still asks, cancel there." in told


async def test_a_buyer_does_not_decline(town: Town) -> None:
    code = await _held(town)
    assert "can't do that here" in (await town.says(BUYER, f"/decline {code}"))[-1].text
