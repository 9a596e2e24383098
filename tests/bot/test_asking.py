"""A question that is open stays open over a restart, with what it is for."""

from __future__ import annotations

from escrow.bot import asking
from sandbox import persona
from tests.bot.conftest import BUYER, SELLER, Town


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
    assert await town.people.conversation(BUYER) is None
