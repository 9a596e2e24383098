"""Deals that go wrong: disputed, resolved each way, withdrawn, settled; what was sent is seen."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from escrow.store import embedded
from tests.e2e.cast import KES, Actor, Stage
from tests.e2e.conftest import started


@pytest.fixture(scope="module")
async def stage(
    cluster: embedded.Cluster, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    folder = tmp_path_factory.mktemp("disputes")
    async with started(cluster, template_database, folder, AUTO_PAYOUT="0") as running:
        yield Stage(running)


async def shipped(stage: Stage) -> tuple[Actor, Actor, str]:
    """A deal of 10,000 + 500 on its way."""
    jane, brian = await stage.pair()
    code = await jane.opens_deal()
    await brian.pays(code)
    await jane.ships(code)
    return jane, brian, code


async def disputed(stage: Stage) -> tuple[Actor, Actor, str]:
    jane, brian, code = await shipped(stage)
    await brian.disputes(code)
    return jane, brian, code


# -- an admin decides ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("decision", "status", "seller", "buyer"),
    [
        ("buyer", "REFUNDED", 0, 1_050_000),
        ("seller", "COMPLETED", 1_000_000, 0),
        ("split", "COMPLETED", 500_000, 525_000),
        ("split:70", "COMPLETED", 300_000, 735_000),
    ],
)
async def test_resolved_by_an_admin(
    stage: Stage, decision: str, status: str, seller: int, buyer: int
) -> None:
    jane, brian, code = await disputed(stage)
    await stage.admin.commands(f"/resolve_dispute {code} {decision} seen the photos")
    await stage.ends(code, status, seller=(jane, seller), buyer=(brian, buyer))
    dispute = (
        await stage.sql("SELECT status, resolution FROM escrow_disputes WHERE escrow_id = $1", code)
    )[0]
    assert tuple(dispute) == ("RESOLVED", decision.partition(":")[0])
    assert (await stage.timeline(code))[-2:] == ["dispute", "resolve"]
    await jane.reads(code, "Dispute decided")
    await brian.reads(code, "Dispute decided")


async def test_a_dispute_by_buttons_and_words(stage: Stage) -> None:
    """[Something is wrong], a reason, a few words: the other side hears of it and of the time."""
    jane, brian, code = await shipped(stage)
    brian.types(f"/deal {code}")
    await brian.presses("dispute", deal=code)
    await brian.presses("reason", deal=code)
    await stage.asked(brian, "dispute_words")
    brian.types("The box was empty")
    await stage.status(code, "DISPUTED")
    await jane.reads(code, "The box was empty")
    await stage.admin.reads(code, "The box was empty", since=0)
    await stage.admin.commands(f"/resolve_dispute {code} buyer nothing was in it")
    await stage.ends(code, "REFUNDED", seller=(jane, 0), buyer=(brian, 10_500 * KES))


async def test_withdrawn_and_then_completed(stage: Stage) -> None:
    jane, brian, code = await disputed(stage)
    brian.types(f"/withdraw_dispute {code}")
    await stage.withdrawn(brian, code)
    await stage.status(code, "SHIPPED")
    await jane.reads(code)
    await brian.receives(code)
    await stage.ends(code, "COMPLETED", seller=(jane, 10_000 * KES), buyer=(brian, 0))
    assert "withdraw_dispute" in await stage.timeline(code)


async def test_a_second_dispute_is_not_withdrawn_again(stage: Stage) -> None:
    jane, brian, code = await disputed(stage)
    brian.types(f"/withdraw_dispute {code}")
    await stage.withdrawn(brian, code)
    await stage.status(code, "SHIPPED")
    await brian.disputes(code, "It is broken after all")
    brian.types(f"/withdraw_dispute {code}")
    await brian.reads()
    await stage.quiet()
    await stage.status(code, "DISPUTED")
    await stage.admin.commands(f"/resolve_dispute {code} seller proof of delivery")
    await stage.ends(code, "COMPLETED", seller=(jane, 10_000 * KES), buyer=(brian, 0))


# -- both settle ---------------------------------------------------------------------------------


async def test_settled_seventy_thirty(stage: Stage) -> None:
    """70 % back to the buyer: amounts after fees are shown before the offer goes out."""
    jane, brian, code = await disputed(stage)
    brian.types(f"/settle {code} 70/30")
    preview = await brian.reads("KES 7,350", "KES 3,000", button="settle_s")
    assert code in preview.text
    await brian.presses("settle_s", deal=code)
    await jane.reads("KES 3,000", button="accept")
    await jane.presses("accept", deal=code)
    await stage.ends(code, "COMPLETED", seller=(jane, 3_000 * KES), buyer=(brian, 7_350 * KES))
    dispute = await stage.value("SELECT resolution FROM escrow_disputes WHERE escrow_id = $1", code)
    assert dispute == "settled"


async def test_settled_at_two_hundred_for_delivery(stage: Stage) -> None:
    """A preset without typing: everything back but KES 200 for the delivery; no dispute at all."""
    jane, brian, code = await shipped(stage)
    brian.types(f"/deal {code}")
    await brian.presses("settle", deal=code)
    await brian.presses("settle_p", deal=code, number=2)
    await brian.reads("KES 10,290", "KES 200", button="settle_s")
    await brian.presses("settle_s", deal=code)
    await jane.reads("KES 200", button="accept")
    await jane.presses("accept", deal=code)
    await stage.ends(code, "COMPLETED", seller=(jane, 200 * KES), buyer=(brian, 10_290 * KES))


async def test_settled_with_a_full_refund(stage: Stage) -> None:
    jane, brian, code = await shipped(stage)
    jane.types(f"/settle {code} 100/0")
    await jane.presses("settle_s", deal=code)
    await brian.reads("KES 10,500", button="accept")
    await brian.presses("accept", deal=code)
    await stage.ends(code, "REFUNDED", seller=(jane, 0), buyer=(brian, 10_500 * KES))


async def test_a_counter_offer_is_settled(stage: Stage) -> None:
    """70/30 offered, 40/60 countered: only the newest offer counts."""
    jane, brian, code = await disputed(stage)
    brian.types(f"/settle {code} 70/30")
    await brian.presses("settle_s", deal=code)
    await jane.reads("KES 3,000", button="accept")
    jane.types(f"/settle {code} 40/60")
    await jane.presses("settle_s", deal=code)
    await brian.reads("KES 4,200", "KES 6,000", button="accept")
    await brian.presses("accept", deal=code)
    await stage.ends(code, "COMPLETED", seller=(jane, 6_000 * KES), buyer=(brian, 4_200 * KES))


async def test_a_declined_offer_changes_nothing(stage: Stage) -> None:
    jane, brian, code = await disputed(stage)
    brian.types(f"/settle {code} 70/30")
    await brian.presses("settle_s", deal=code)
    await jane.reads("KES 3,000", button="no_offer")
    await jane.presses("no_offer", deal=code)
    await brian.reads(code)
    await stage.status(code, "DISPUTED")
    await stage.admin.commands(f"/resolve_dispute {code} seller sent as described")
    await stage.ends(code, "COMPLETED", seller=(jane, 10_000 * KES), buyer=(brian, 0))


async def test_an_offer_dies_with_the_next_change(stage: Stage) -> None:
    jane, brian, code = await shipped(stage)
    jane.types(f"/settle {code} 50/50")
    await jane.presses("settle_s", deal=code)
    offer = await brian.reads(button="accept")
    await brian.disputes(code)
    data = next(
        str(b["callback_data"])
        for row in offer.keyboard
        for b in row
        if str(b.get("callback_data", "")).startswith("b:accept:")
    )
    tap = stage.telegram.user_taps(brian.id, offer.id, data=data)
    await stage.telegram.wait_answer(tap)
    await stage.quiet()
    await stage.status(code, "DISPUTED")
    await stage.admin.commands(f"/resolve_dispute {code} buyer as offered once")
    await stage.ends(code, "REFUNDED", seller=(jane, 0), buyer=(brian, 10_500 * KES))


async def test_more_time_needs_both(stage: Stage) -> None:
    """/extend: one side offers hours, the other accepts; the deadline moves once."""
    jane, brian = await stage.pair()
    code = await jane.opens_deal()
    await brian.pays(code)
    before = await stage.value("SELECT ship_by FROM escrow_transactions WHERE id = $1", code)
    jane.types(f"/extend {code}")
    await jane.presses("extend_by", deal=code)
    await brian.reads(button="accept")
    await brian.presses("accept", deal=code)
    await stage.until(
        "SELECT extended_at IS NOT NULL FROM escrow_transactions WHERE id = $1", True, code
    )
    after = await stage.value("SELECT ship_by FROM escrow_transactions WHERE id = $1", code)
    assert after > before
    await jane.ships(code)
    await brian.receives(code)
    await stage.ends(code, "COMPLETED", seller=(jane, 10_000 * KES), buyer=(brian, 0))
