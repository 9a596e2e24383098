"""A seller's page tells what everybody may know and nothing else; a buyer proposes a deal there,
and the seller answers by a tap.
"""

from __future__ import annotations

from sandbox import persona
from sandbox.telegram_chats import Message
from tests.bot.conftest import ADMIN, BUYER, SELLER, Town

_DEALS = "SELECT count(*) FROM escrow_transactions"


async def _page(town: Town, person: int = BUYER) -> Message:
    row = await town.value("SELECT id FROM escrow_sellers")
    return (await town.says(person, f"/start s_{row}"))[-1]


async def _proposed(town: Town) -> Message:
    """The seller's notice of a proposal of 1,500."""
    await town.taps(BUYER, await _page(town), "Propose a deal")
    await town.says(BUYER, "1500")
    preview = (await town.says(BUYER, "Blue phone case"))[-1]
    assert "You would pay KES 1,520, Jane Shop gets KES 1,500." in preview.text.replace(
        "\u2068", ""
    ).replace("\u2069", "")
    await town.taps(BUYER, preview, "Send")
    assert "Your proposal is with" in town.telegram.messages[preview.id].text
    return town.last(SELLER)


async def test_a_page_shows_level_figures_and_no_number_or_username(town: Town) -> None:
    await town.shop()
    page = await _page(town)
    assert "Jane Shop" in page.text
    assert "New seller" in page.text
    assert "No ratings yet." in page.text
    assert "Deals completed: 0" in page.text
    assert "With Amana since November 2026" in page.text
    for secret in (persona.SELLER.phone, "0711", "@", str(SELLER)):
        assert secret not in page.text


async def test_the_owner_shares_his_page_and_proposes_nothing_to_himself(town: Town) -> None:
    await town.shop()
    page = await _page(town, SELLER)
    assert page.button("Share on WhatsApp")
    row = await town.value("SELECT id FROM escrow_sellers")
    answer = (await town.taps_data(SELLER, page, f"b:propose:{row}"))[-1]
    assert "your own shop" in answer.text


async def test_a_shop_that_nobody_verified_takes_no_proposals(town: Town) -> None:
    await town.says(SELLER, "/sell Jane Shop")
    await town.shares(SELLER, persona.SELLER.phone)
    page = await _page(town)
    assert "not verified yet" in page.text
    assert page.keyboard == []


async def test_links_to_no_shop_are_answered_kindly(town: Town) -> None:
    for payload in ("s_", "s_x", "s_999", "s_" + "9" * 40, "s_-1"):
        assert "don't know that shop" in (await town.says(BUYER, f"/start {payload}"))[-1].text


async def test_a_proposal_is_accepted_and_paid(town: Town) -> None:
    await town.shop()
    asked = await _proposed(town)
    assert "you would get KES 1,500" in asked.text
    await town.taps(SELLER, asked, "Accept")
    assert "You accepted" in town.telegram.messages[asked.id].text
    told = town.last(BUYER)
    assert "accepted. Pay KES 1,520 now." in told.text
    await town.taps(BUYER, told, "Pay KES 1,520")
    await town.shares(BUYER, persona.BUYER.phone)
    assert [str(amount) for _, amount, _ in town.rail.prompts] == ["KES 1,520"]


async def test_a_proposal_is_refused_and_the_buyer_is_told(town: Town) -> None:
    await town.shop()
    asked = await _proposed(town)
    await town.taps(SELLER, asked, "Refuse")
    assert "You refused" in town.telegram.messages[asked.id].text
    assert "The seller ended it" in town.last(BUYER).text
    assert await town.value("SELECT status FROM escrow_transactions") == "CANCELLED"


async def test_sent_twice_is_one_proposal(town: Town) -> None:
    await town.shop()
    await town.taps(BUYER, await _page(town), "Propose a deal")
    await town.says(BUYER, "1500")
    preview = (await town.says(BUYER, "Blue phone case"))[-1]
    town.telegram.user_taps(BUYER, preview.id, "Send")
    town.telegram.user_taps(BUYER, preview.id, "Send")
    await town.settle()
    assert await town.value(_DEALS) == 1


async def test_a_suspended_seller_reads_the_reason_and_his_page_is_closed(town: Town) -> None:
    await town.shop()
    await town.people.suspend_seller(SELLER, ADMIN, "Sold <b>fakes</b>")
    await town.settle()
    assert "Sold <b>fakes</b>" in town.last(SELLER).text
    assert "closed at the moment" in (await _page(town)).text
    await town.says(ADMIN, f"/verify_seller {SELLER}")
    assert "open again" in town.last(SELLER).text
