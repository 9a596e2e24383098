"""Seed 2's scenarios from the provider's HTTP request to the cent in the ledger: the real door,
the real services, the real database. M-Pesa for now; the crypto rails join with their own bodies.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal

import httpx
import pytest

from escrow.domain.model import Escrow
from escrow.services.choice_tokens import Action
from escrow.web.server import Server
from escrow.web.webhooks import Webhooks
from tests.rail import PAID, masked, paybill_body, status_body, stk_body
from tests.world import BRIAN, JANE, PHONES, World, kes, new_reference

PATH = "/hooks/m/" + "0" * 32


@dataclass
class Shop:
    """A deal of KES 10,000 + 500 and the two ways its money comes in over HTTP."""

    world: World
    http: httpx.AsyncClient
    deal: Escrow

    async def by_prompt(self, reference: str | None = None) -> None:
        """Brian's phone is asked for what is missing, he pays, M-Pesa calls back."""
        attempt = await self.world.prompt(self.deal)
        self.world.rail.query_answer = PAID
        body = stk_body(attempt, self.world.clock.now(), reference=reference or new_reference())
        answer = await self.http.post(f"{PATH}/s/{attempt.token}", content=body)
        assert answer.json() == {"ResultCode": 0, "ResultDesc": "Accepted"}
        await self.world.settle_inbox()

    async def by_hand(self, amount: int | str, reference: str | None = None) -> None:
        """Brian pays the paybill under the code; TransactionStatus confirms it."""
        number = reference or new_reference()
        shown = masked(PHONES[BRIAN])
        body = paybill_body(self.deal.id, kes(amount), number, self.world.clock.now(), shown=shown)
        answer = await self.http.post(f"{PATH}/c", content=body)
        assert answer.json() == {"ResultCode": 0, "ResultDesc": "Success"}
        await self.world.settle_inbox()
        token = self.world.rail.asked[-1].token
        result = await self.http.post(f"{PATH}/r/{token}", content=status_body(number, kes(amount)))
        assert result.status_code == 200
        await self.world.settle_inbox()

    async def money(self) -> tuple[object, object, object, object]:
        """received, holding, pending fee of the deal, and Brian's wallet."""
        return (*await self.world.accounts(self.deal), await self.world.wallet())


@pytest.fixture
async def shop(dsn: str) -> AsyncIterator[Shop]:
    async with World.open(dsn) as world:
        world.rail.can_ask_status = True
        server = Server(Webhooks(world.intake).routes())
        await server.start("127.0.0.1", 0)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as http:
            yield Shop(world, http, await world.deal(buyer=BRIAN))
        await server.stop()
        await world.books()


async def test_process_payment_with_exact_amount_by_prompt(shop: Shop) -> None:
    await shop.by_prompt()
    assert await shop.world.status_of(shop.deal) == "HELD"
    assert await shop.money() == (0, 10_000, 500, 0)
    assert await shop.world.told(JANE) == ["held"]


async def test_process_payment_with_exact_amount_by_hand(shop: Shop) -> None:
    await shop.by_hand(10_500)
    assert await shop.world.status_of(shop.deal) == "HELD"
    assert await shop.money() == (0, 10_000, 500, 0)


async def test_process_payment_with_overpayment(shop: Shop) -> None:
    await shop.by_hand(11_000)
    assert await shop.world.status_of(shop.deal) == "HELD"
    assert await shop.money() == (0, 10_000, 500, 500)
    assert "overpayment" in await shop.world.journals(shop.deal)
    assert await shop.world.told(BRIAN) == ["funded_over"]


async def test_process_payment_with_underpayment_within_tolerance(shop: Shop) -> None:
    await shop.by_hand(10_400)
    assert await shop.world.status_of(shop.deal) == "HELD"
    assert await shop.money() == (0, 10_000, 400, 0)
    assert await shop.world.told(BRIAN) == ["funded_short"]


async def test_process_payment_with_moderate_underpayment_offers_a_choice(shop: Shop) -> None:
    await shop.by_hand(9_800)
    assert await shop.world.status_of(shop.deal) == "PENDING"
    assert await shop.money() == (9_800, 0, 0, 0)
    assert await shop.world.told(BRIAN) == ["underpaid"]
    assert await shop.world.told(JANE) == []


async def test_process_payment_completed_by_a_prompt_for_the_missing_amount(shop: Shop) -> None:
    await shop.by_hand(9_800)
    await shop.world.press(shop.deal, Action.COMPLETE)
    await shop.by_prompt()
    assert shop.world.rail.prompts[-1]["amount"] == kes(700)
    assert await shop.money() == (0, 10_000, 500, 0)


async def test_process_payment_going_on_with_the_partial_amount(shop: Shop) -> None:
    await shop.by_hand(9_800)
    await shop.world.press(shop.deal, Action.PROCEED)
    assert await shop.world.status_of(shop.deal) == "HELD"
    assert await shop.money() == (0, Decimal("9333.33"), Decimal("466.67"), 0)
    assert await shop.world.told(JANE) == ["held_less"]


async def test_process_payment_cancelled_and_refunded_to_the_wallet(shop: Shop) -> None:
    await shop.by_hand(9_800)
    await shop.world.press(shop.deal, Action.CANCEL)
    assert await shop.world.status_of(shop.deal) == "CANCELLED"
    assert await shop.money() == (0, 0, 0, 9_800)


async def test_process_payment_with_large_underpayment_is_refunded_and_can_start_again(
    shop: Shop,
) -> None:
    await shop.by_hand(8_500)
    assert await shop.world.status_of(shop.deal) == "PENDING"
    assert await shop.money() == (0, 0, 0, 8_500)
    assert await shop.world.told(BRIAN) == ["too_short"]
    await shop.by_prompt()
    assert await shop.money() == (0, 10_000, 500, 8_500)


async def test_the_same_webhook_again_credits_nothing(shop: Shop) -> None:
    reference = new_reference()
    await shop.by_hand(10_500, reference)
    entries = await shop.world.value("SELECT count(*) FROM ledger_entries")
    body = paybill_body(shop.deal.id, kes(10_500), reference, shop.world.clock.now(), balance="1")
    for _ in range(3):
        assert (await shop.http.post(f"{PATH}/c", content=body)).status_code == 200
    await shop.world.settle_inbox()
    assert await shop.world.value("SELECT count(*) FROM ledger_entries") == entries
    assert await shop.world.receipt_states() == {reference: "CREDITED"}


async def test_a_second_payment_of_a_funded_deal_is_the_buyers_wallet_money(shop: Shop) -> None:
    await shop.by_prompt()
    await shop.by_hand(10_500)
    assert await shop.money() == (0, 10_000, 500, 10_500)
    assert "late_money" in await shop.world.told(BRIAN)
