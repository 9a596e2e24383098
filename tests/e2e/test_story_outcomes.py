"""How deals end when all goes well, or ends early: told by people, each to the last cent.

Money that comes out of a deal stays in the wallets here (`AUTO_PAYOUT=0`), so that it can be
counted; `test_story_payouts.py` follows it to the phones.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from escrow.store import embedded
from tests.e2e.cast import KES, WAYBILL, Actor, Stage
from tests.e2e.conftest import started


@pytest.fixture(scope="module")
async def stage(
    cluster: embedded.Cluster, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    folder = tmp_path_factory.mktemp("outcomes")
    async with started(cluster, template_database, folder, AUTO_PAYOUT="0") as running:
        yield Stage(running)


async def test_completed_the_buyer_confirms(stage: Stage) -> None:
    jane, brian = await stage.pair()
    code = await jane.opens_deal()
    await brian.pays(code)
    await jane.reads("KES 10,000", button="sent")
    await jane.presses("sent", deal=code)
    await stage.asked(jane, "proof")
    jane.sends_photo(WAYBILL)
    await stage.status(code, "SHIPPED")
    shipped = await brian.reads("sent it", code, button="received")
    assert "photo" in shipped.media  # the proof itself, not only word of it
    await brian.presses("received", deal=code)
    asked = await brian.reads("KES 10,000", "Jane", button="received_yes")
    assert any(label.startswith("Yes, pay") for label in asked.labels)
    await brian.presses("received_yes", deal=code)
    await jane.reads("KES 10,000", code)
    await stage.ends(code, "COMPLETED", seller=(jane, 10_000 * KES), buyer=(brian, 0))
    assert await stage.timeline(code) == ["open", "join", "fund", "ship", "deliver", "release"]


async def test_completed_typed_as_the_contract_says(stage: Stage) -> None:
    jane, brian = await stage.pair()
    code = await jane.opens_deal()
    await brian.pays(code)
    await jane.ships(code)
    await brian.reads("G4S 12345")
    brian.types(f"/received {code}")
    await brian.reads(button="received_yes")
    await brian.taps("Yes, pay")
    await stage.ends(code, "COMPLETED", seller=(jane, 10_000 * KES), buyer=(brian, 0))
    brian.types(f"/rate {code} 5 good")
    await stage.until(
        "SELECT stars FROM seller_ratings WHERE escrow_id = $1 AND words = 'good'", 5, code
    )


async def test_completed_in_person(stage: Stage) -> None:
    """Handed over before anything was sent: received from HELD."""
    jane, brian = await stage.pair()
    code = await jane.opens_deal("2500 Second-hand radio")
    await brian.pays(code)
    await brian.receives(code)
    await stage.ends(code, "COMPLETED", seller=(jane, 2_500 * KES), buyer=(brian, 0))
    assert await stage.timeline(code) == ["open", "join", "fund", "deliver", "release"]


async def test_declined_before_shipping(stage: Stage) -> None:
    jane, brian = await stage.pair()
    code = await jane.opens_deal()
    await brian.pays(code)
    await jane.declines(code)
    await brian.reads("KES 10,500", "in your wallet")
    await stage.ends(code, "REFUNDED", seller=(jane, 0), buyer=(brian, 10_500 * KES))


async def test_partial_the_buyer_goes_on_with_less(stage: Stage) -> None:
    jane, brian = await stage.pair()
    code = await jane.opens_deal()
    await brian.pays_by_hand(code, 9_800)
    await brian.taps("Proceed with")
    await jane.reads("9,333.33")
    await jane.ships(code)
    await brian.receives(code)
    await stage.ends(code, "COMPLETED", seller=(jane, 933_333), buyer=(brian, 0))


async def test_cancelled_before_payment(stage: Stage) -> None:
    jane, brian = await stage.pair()
    code = await jane.opens_deal()
    brian.starts(code)
    await brian.reads(code, button="pay")
    jane.types(f"/cancel {code}")
    await stage.ends(code, "CANCELLED", seller=(jane, 0), buyer=(brian, 0))
    brian.types(f"/pay {code}")
    await brian.reads("This deal is over")
    assert not [p for p in stage.daraja.stk_requests if p.phone == brian.phone]


async def test_money_after_cancellation_goes_to_the_wallet(stage: Stage) -> None:
    jane, brian = await stage.pair()
    code = await jane.opens_deal()
    await brian.pays_by_hand(code, 9_800)
    await brian.taps("Cancel & refund")
    await stage.status(code, "CANCELLED")
    since = stage.telegram.mark()
    await brian.pays_to_paybill(code, 700)
    await brian.reads("KES 700", "wallet", since=since)
    await stage.ends(code, "CANCELLED", seller=(jane, 0), buyer=(brian, 10_500 * KES))


async def test_a_pin_after_cancellation_goes_to_the_wallet(stage: Stage) -> None:
    jane, brian = await stage.pair()
    code = await jane.opens_deal("1200 Scarf")
    await brian.asks_to_pay(code)
    jane.types(f"/cancel {code}")
    await stage.status(code, "CANCELLED")
    await brian.enters_pin()
    await brian.reads("KES 1,260", "wallet")
    await stage.ends(code, "CANCELLED", seller=(jane, 0), buyer=(brian, 1_260 * KES))


async def test_wallet_and_mpesa_together(stage: Stage) -> None:
    jane, brian = await stage.pair()
    first = await jane.opens_deal("3000 Table")
    await brian.pays(first)
    await jane.declines(first)
    await stage.ends(first, "REFUNDED", buyer=(brian, 3_150 * KES))
    code = await jane.opens_deal()
    asked = len(stage.daraja.stk_requests)
    brian.starts(code)
    await brian.reads(code, button="wallet")
    await brian.presses("wallet", deal=code)
    prompt = await brian.asked_on_phone(after=asked)
    assert prompt.amount == 7_350
    assert await stage.wallet(brian) == 3_150 * KES  # nothing is taken before the PIN
    await brian.enters_pin()
    await stage.status(code, "HELD")
    assert await stage.wallet(brian) == 0
    await jane.ships(code)
    await brian.receives(code)
    await stage.ends(code, "COMPLETED", seller=(jane, 10_000 * KES), buyer=(brian, 0))


async def test_an_inspection_is_not_asked_for_by_default(stage: Stage) -> None:
    """[Received] and [Yes, pay …] end the deal in one step; a second try finds it ended."""
    jane, brian = await stage.pair()
    code = await jane.opens_deal("500 Belt")
    await brian.pays(code)
    await jane.ships(code)
    await brian.receives(code)
    brian.types(f"/received {code}")
    await brian.reads()
    await stage.ends(code, "COMPLETED", seller=(jane, 500 * KES), buyer=(brian, 0))


def held_parts(price: int, fee: int, payer: str) -> tuple[int, int, int]:
    """(due, seller gets, fee) in shillings."""
    return {"seller": (price, price - fee, fee), "split": (price + 250, price - 250, fee)}[payer]


async def agree(jane: Actor, payer: str) -> str:
    """A guided deal of 10,000 whose fee that side pays."""
    return await jane.opens_guided("10000", "Blue phone case", payer)


@pytest.mark.parametrize("payer", ["seller", "split"])
async def test_the_fee_is_paid_as_agreed(stage: Stage, payer: str) -> None:
    jane, brian = await stage.pair()
    code = await agree(jane, payer)
    due, gets, fee = held_parts(10_000, 500, payer)
    prompt = await brian.pays(code)
    assert prompt.amount == due
    row = (await stage.sql("SELECT * FROM escrow_balances WHERE escrow_id = $1", code))[0]
    assert (row["holding_minor"], row["pending_fee_minor"]) == (gets * KES, fee * KES)
    await jane.ships(code)
    await brian.receives(code)
    await stage.ends(code, "COMPLETED", seller=(jane, gets * KES), buyer=(brian, 0))
