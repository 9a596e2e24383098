"""What happens by itself: the clock decides where nobody does. Hours are set to seconds here."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from escrow.store import embedded
from tests.e2e.cast import KES, Stage
from tests.e2e.conftest import started

SECOND = "0.0003"
"""An hour's part: a second and a bit."""


@pytest.fixture(scope="module")
async def impatient(
    cluster: embedded.Cluster, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    """Sellers have a second to send."""
    folder = tmp_path_factory.mktemp("impatient")
    async with started(
        cluster, template_database, folder, AUTO_PAYOUT="0", SHIP_HOURS=SECOND
    ) as running:
        yield Stage(running)


@pytest.fixture(scope="module")
async def trusting(
    cluster: embedded.Cluster, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    """A second after the waybill the seller is paid; what came may be looked at for an hour."""
    folder = tmp_path_factory.mktemp("trusting")
    async with started(
        cluster,
        template_database,
        folder,
        AUTO_PAYOUT="0",
        RELEASE_HOURS=SECOND,
        INSPECTION_HOURS="1",
    ) as running:
        yield Stage(running)


async def test_refunded_because_nothing_was_sent(impatient: Stage) -> None:
    stage = impatient
    jane, brian = await stage.pair()
    code = await jane.opens_deal()
    await brian.asks_to_pay(code)
    await brian.enters_pin()
    await stage.ends(code, "REFUNDED", seller=(jane, 0), buyer=(brian, 10_500 * KES))
    await brian.reads("KES 10,500", code, "did not send it in time")
    await jane.reads(code)
    flags = await stage.sql(
        "SELECT flag_type, severity FROM fraud_flags WHERE escrow_id = $1", code
    )
    assert [tuple(row) for row in flags] in ([], [("unshipped_order", "MEDIUM")])
    assert (await stage.timeline(code))[-1] == "refund"


async def test_completed_by_time(trusting: Stage) -> None:
    stage = trusting
    jane, brian = await stage.pair()
    code = await jane.opens_deal()
    await brian.pays(code)
    jane.types(f"/ship {code} G4S 12345")
    await stage.ends(code, "COMPLETED", seller=(jane, 10_000 * KES), buyer=(brian, 0))
    await jane.reads("KES 10,000", code)
    await brian.reads(code)
    assert (await stage.timeline(code))[-2:] == ["ship", "release"]


async def test_a_dispute_stops_the_clock(trusting: Stage) -> None:
    """From HELD, before the clock runs: no release while it is open, however late it is."""
    stage = trusting
    jane, brian = await stage.pair()
    code = await jane.opens_deal()
    await brian.pays(code)
    await brian.receives_first(code)
    await stage.status(code, "DELIVERED")
    await brian.disputes(code, "It does not work")
    runs = await stage.value("SELECT max(id) FROM job_runs")
    await stage.until(
        "SELECT count(*) >= 2 FROM job_runs WHERE id > $1 AND job LIKE 'release%'", True, runs
    )
    await stage.status(code, "DISPUTED")
    await stage.admin.commands(f"/resolve_dispute {code} buyer broken")
    await stage.ends(code, "REFUNDED", seller=(jane, 0), buyer=(brian, 10_500 * KES))


async def test_an_inspection_ends_when_the_buyer_says_so(trusting: Stage) -> None:
    stage = trusting
    jane, brian = await stage.pair()
    code = await jane.opens_deal()
    await brian.pays(code)
    await brian.receives_first(code)
    await stage.status(code, "DELIVERED")
    await brian.presses("release", deal=code)
    await brian.presses("release_yes", deal=code)
    await stage.ends(code, "COMPLETED", seller=(jane, 10_000 * KES), buyer=(brian, 0))
