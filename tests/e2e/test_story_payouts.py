"""Money that leaves by itself: to the phone, with M-Pesa's own receipt, named in the notice."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from escrow.store import embedded
from tests.e2e.cast import KES, Stage, masked
from tests.e2e.conftest import B2C, started


@pytest.fixture(scope="module")
async def stage(
    cluster: embedded.Cluster, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    folder = tmp_path_factory.mktemp("payouts")
    async with started(cluster, template_database, folder, AUTO_PAYOUT="1", **B2C) as running:
        yield Stage(running)


async def test_completed_and_paid_to_the_seller(stage: Stage) -> None:
    jane, brian = await stage.pair()
    code = await jane.opens_deal()
    await brian.pays(code)
    await jane.ships(code)
    await brian.receives(code)
    receipt = await stage.payout(jane, 10_000 * KES)
    await jane.reads("KES 10,000", masked(jane), receipt)
    await stage.ends(code, "COMPLETED", seller=(jane, 0), buyer=(brian, 0))


async def test_declined_and_paid_back_to_the_phone_that_paid(stage: Stage) -> None:
    jane, brian = await stage.pair()
    code = await jane.opens_deal()
    await brian.pays(code)
    await jane.declines(code)
    receipt = await stage.payout(brian, 10_500 * KES)
    await brian.reads("KES 10,500", masked(brian), receipt)
    await stage.ends(code, "REFUNDED", seller=(jane, 0), buyer=(brian, 0))


async def test_a_split_pays_both_whole_shillings(stage: Stage) -> None:
    """Of 500 + 25 a third back is 175 and 333.33…: what M-Pesa can't move stays in the wallet."""
    jane, brian = await stage.pair()
    code = await jane.opens_deal("505 Cap")
    await brian.pays(code)
    await jane.ships(code)
    await brian.disputes(code)
    await stage.admin.commands(f"/resolve_dispute {code} split half each")
    await stage.status(code, "COMPLETED")
    legs = (
        await stage.sql(
            "SELECT buyer_minor, seller_minor FROM settlements WHERE escrow_id = $1", code
        )
    )[0]
    for who, minor in ((brian, legs["buyer_minor"]), (jane, legs["seller_minor"])):
        receipt = await stage.payout(who, minor - minor % KES)
        await who.reads(masked(who), receipt)
    await stage.ends(
        code,
        "COMPLETED",
        seller=(jane, legs["seller_minor"] % KES),
        buyer=(brian, legs["buyer_minor"] % KES),
    )


async def test_settled_and_both_are_paid(stage: Stage) -> None:
    jane, brian = await stage.pair()
    code = await jane.opens_deal()
    await brian.pays(code)
    await jane.ships(code)
    brian.types(f"/settle {code} 70/30")
    await brian.presses("settle_s", deal=code)
    await jane.presses("accept", deal=code)
    await jane.reads(masked(jane), await stage.payout(jane, 3_000 * KES))
    await brian.reads(masked(brian), await stage.payout(brian, 7_350 * KES))
    await stage.ends(code, "COMPLETED", seller=(jane, 0), buyer=(brian, 0))


async def test_turned_off_it_stays_in_the_wallet_and_is_withdrawn_by_hand(stage: Stage) -> None:
    jane, brian = await stage.pair()
    jane.types("/wallet")
    await jane.presses("auto_pay")
    await stage.until("SELECT auto_payout FROM people WHERE telegram_id = $1", False, jane.id)
    code = await jane.opens_deal("2000 Shoes")
    await brian.pays(code)
    await jane.ships(code)
    await brian.receives(code)
    await stage.ends(code, "COMPLETED", seller=(jane, 2_000 * KES))
    jane.types("/withdraw 1500")
    await jane.presses("wd_yes")
    receipt = await stage.payout(jane, 1_500 * KES)
    await jane.reads("KES 1,500", masked(jane), receipt)
    await stage.ends(code, "COMPLETED", seller=(jane, 500 * KES))


async def test_overpaid_money_stays_in_the_wallet(stage: Stage) -> None:
    jane, brian = await stage.pair()
    code = await jane.opens_deal()
    await brian.pays_by_hand(code, 11_000)
    await stage.status(code, "HELD")
    await stage.quiet()
    assert await stage.wallet(brian) == 500 * KES
    await jane.ships(code)
    await brian.receives(code)
    await jane.reads(await stage.payout(jane, 10_000 * KES))
    await stage.ends(code, "COMPLETED", seller=(jane, 0), buyer=(brian, 500 * KES))


async def test_a_number_that_cannot_receive_gets_it_back_into_the_wallet(stage: Stage) -> None:
    jane, brian = await stage.pair()
    code = await jane.opens_deal()
    await brian.pays(code)
    await jane.ships(code)
    stage.daraja.next_b2c(result=2040)
    await brian.receives(code)
    await stage.until(
        "SELECT state FROM payouts_overview WHERE telegram_id = $1", "FAILED", jane.id
    )
    await jane.reads("KES 10,000", "wallet")
    await stage.ends(code, "COMPLETED", seller=(jane, 10_000 * KES), buyer=(brian, 0))


async def test_a_lost_result_is_asked_for_and_nobody_is_paid_twice(stage: Stage) -> None:
    jane, brian = await stage.pair()
    code = await jane.opens_deal()
    await brian.pays(code)
    await jane.ships(code)
    stage.daraja.next_b2c(deliver="timeout")
    await brian.receives(code)
    await stage.ask_now(jane)
    receipt = await stage.payout(jane, 10_000 * KES)
    await jane.reads(receipt)
    assert len([p for p in stage.daraja.payouts if p.phone == jane.phone]) == 1
    await stage.ends(code, "COMPLETED", seller=(jane, 0), buyer=(brian, 0))
