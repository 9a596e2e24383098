"""The wallet says what is there, what is held, and what moved last."""

from __future__ import annotations

from sandbox import persona
from tests.bot.conftest import BUYER, SELLER, Town


async def test_an_unused_wallet_is_empty(town: Town) -> None:
    assert "In your wallet: KES 0" in (await town.says(BUYER, "/wallet"))[-1].text


async def test_money_is_shown_where_it_is(town: Town) -> None:
    await town.shop()
    code = await town.deal()
    await town.shares(BUYER, persona.BUYER.phone)
    shown = (await town.says(BUYER, code))[-1]
    await town.taps(BUYER, shown, "Pay by paybill")
    await town.pays_by_hand(10_600, code)
    buyer = (await town.says(BUYER, "/wallet"))[-1].text
    assert buyer.startswith("In your wallet: KES 500")
    assert "Sending it to your M-Pesa comes with the next version" in buyer
    assert "Held in deals you paid: KES 10,100" in buyer
    assert f"Mon 23 Nov, 12:00: +KES 500 · paid too much {code}" in buyer
    seller = (await town.says(SELLER, "/wallet"))[-1].text
    assert "Held for you as seller: KES 10,000" in seller
