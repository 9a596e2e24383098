"""An admin at work: a dispute judged with all that was sent, a large sum that needs a second word,
money that nobody knew, a stop in the middle of a deal.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import pytest

from escrow.store import embedded
from tests.e2e.cast import KES, Actor, Stage
from tests.e2e.conftest import ADMIN, B2C, ROOT, Running, started

SECOND = 1002
SCREEN = b"a photo: a broken screen"
PARCEL = b"a photo: a parcel"


@pytest.fixture(scope="module")
async def stage(
    cluster: embedded.Cluster, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    """One admin alone."""
    folder = tmp_path_factory.mktemp("admin")
    async with started(
        cluster, template_database, folder, NEW_SELLER_DEAL_MAX="250000", **B2C
    ) as running:
        yield Stage(running)


@pytest.fixture(scope="module")
async def pair(
    cluster: embedded.Cluster, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Stage, Actor]]:
    """Two admins: the stage's own, and Abdi."""
    folder = tmp_path_factory.mktemp("admins")
    async with started(
        cluster,
        template_database,
        folder,
        ADMIN_CHAT_ID=f"{ADMIN},{SECOND}",
        NEW_SELLER_DEAL_MAX="250000",
        **B2C,
    ) as running:
        stage = Stage(running)
        running.telegram.add_user(SECOND, "Abdi")
        abdi = Actor(stage, SECOND, "Abdi", "254711001002")
        abdi.starts()
        yield stage, abdi


async def disputed(stage: Stage, words: str = "10000 Blue phone case") -> tuple[Actor, Actor, str]:
    jane, brian = await stage.pair()
    code = await jane.opens_deal(words)
    await brian.pays(code)
    await jane.ships(code)
    await brian.disputes(code)
    return jane, brian, code


async def on_the_host(running: Running, *arguments: str) -> tuple[int, str]:
    """`python main.py …` beside the running one; asked, it is told yes."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "main.py"),
        *arguments,
        env=running.environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(process.communicate(b"yes\n"), 60)
    assert process.returncode is not None
    return process.returncode, out.decode()


# -- judging ---------------------------------------------------------------------------------------


async def test_a_dispute_from_the_card_to_the_payouts(stage: Stage) -> None:
    """The case with everything sent, a preview with who gets what, [Confirm], both told, paid."""
    jane, brian, code = await disputed(stage)
    await stage.gives_evidence(brian, code)
    brian.sends_photo(SCREEN, caption="The screen is broken")
    await stage.until("SELECT count(*) FROM deal_records WHERE purpose = 'evidence'", 1)
    await jane.presses("message", deal=code)
    jane.sends_photo(PARCEL, caption="As I packed it")
    await stage.until("SELECT count(*) FROM deal_records WHERE purpose = 'message'", 1)
    admin = stage.admin
    admin.types(f"/case {code}")
    await admin.reads(code, "The box was empty")
    await admin.taps("Evidence and messages")
    for words, sent in (("The screen is broken", SCREEN), ("As I packed it", PARCEL)):
        shown = (await admin.reads(words)).media["photo"][-1]["file_id"]
        assert stage.telegram.files[shown].content == sent, "the photo itself"
    await stage.until("SELECT taken_by FROM escrow_disputes WHERE escrow_id = $1", admin.id, code)
    admin.types(f"/resolve_dispute {code} split:70 The photo shows it")
    await admin.reads("KES 7,350", "KES 3,000", "Nothing is done yet")
    await stage.status(code, "DISPUTED")
    await admin.taps("Confirm")
    await stage.status(code, "COMPLETED")
    await brian.reads(code, "KES 7,350", "The photo shows it")
    await jane.reads(code, "KES 3,000", "The photo shows it")
    await stage.payout(brian, 7_350 * KES)
    await stage.payout(jane, 3_000 * KES)
    await stage.ends(code, "COMPLETED", seller=(jane, 0), buyer=(brian, 0))
    assert (await stage.timeline(code))[-2:] == ["dispute_taken", "resolve"]


# -- two words -------------------------------------------------------------------------------------


async def test_a_large_sum_waits_for_the_host_where_there_is_one_admin(stage: Stage) -> None:
    jane, brian, code = await disputed(stage, "60000 Laptop")
    admin = stage.admin
    admin.types(f"/manual_refund {code} The laptop never came")
    await admin.reads("KES 61,000")
    await admin.taps("Confirm")
    number = await stage.value("SELECT max(id) FROM admin_actions")
    await admin.reads(f"main.py approve {number}")
    await stage.status(code, "DISPUTED")
    status, said = await on_the_host(stage.running, "approve", str(number))
    assert status == 0, said
    await stage.status(code, "REFUNDED")
    await admin.reads("confirmed on the host")
    await stage.payout(brian, 61_000 * KES)
    await stage.ends(code, "REFUNDED", seller=(jane, 0), buyer=(brian, 0))
    again, words = await on_the_host(stage.running, "approve", str(number))
    assert (again, await stage.timeline(code)) == (again, await stage.timeline(code)), words
    await stage.ends(code, "REFUNDED", seller=(jane, 0), buyer=(brian, 0))


async def test_a_large_sum_is_confirmed_by_the_second_admin(pair: tuple[Stage, Actor]) -> None:
    stage, abdi = pair
    jane, brian, code = await disputed(stage, "60000 Laptop")
    stage.admin.types(f"/manual_release {code} Delivered, and signed for")
    await stage.admin.reads("KES 60,000")
    await stage.admin.taps("Confirm")
    await abdi.reads("KES 61,000", "Asha")
    await stage.status(code, "DISPUTED")
    await abdi.taps("Confirm")
    await stage.status(code, "COMPLETED")
    await stage.admin.reads("Abdi", "confirmed")
    await jane.reads(code, "KES 60,000")
    await stage.payout(jane, 60_000 * KES)
    await stage.ends(code, "COMPLETED", seller=(jane, 0), buyer=(brian, 0))


# -- money that nobody knew ------------------------------------------------------------------------


async def test_a_payment_under_a_wrong_code_is_assigned(stage: Stage) -> None:
    """It waits in suspense, `/unmatched` lists it, and the admin gives it to the deal."""
    jane, brian = await stage.pair()
    code = await jane.opens_deal()
    brian.starts(code)
    await brian.reads(code)
    payment = await brian.pays_to_paybill("PHONE CASE", 10_500)
    await stage.until(
        "SELECT state FROM receipts_overview WHERE reference = $1", "SUSPENSE", payment.receipt
    )
    stage.admin.types("/unmatched")
    await stage.admin.reads(payment.receipt, "KES 10,500")
    stage.admin.types(f"/assign_payment {payment.receipt} {code} {brian.id}")
    await stage.admin.reads(code, "KES 10,500")
    await stage.admin.taps("Confirm")
    await stage.status(code, "HELD")
    await jane.reads(code, "KES 10,000")
    await stage.running.books_are_right()


# -- a stop ----------------------------------------------------------------------------------------


async def test_paused_and_resumed_in_the_middle_of_a_deal(stage: Stage) -> None:
    """Nothing moves while it stands, what M-Pesa says is kept, and the deal goes on afterwards."""
    jane, brian = await stage.pair()
    code = await jane.opens_deal()
    await brian.asks_to_pay(code)
    stage.admin.types("/pause M-Pesa answers nothing")
    await stage.handled()
    if await stage.value("SELECT count(*) FROM pauses WHERE ended_at IS NULL") == 0:
        await stage.admin.taps("Confirm")
    await stage.until("SELECT count(*) FROM pauses WHERE ended_at IS NULL", 1)
    await brian.enters_pin()
    jane.types("/newdeal 500 Cap")
    await jane.reads()
    assert await stage.value("SELECT status FROM escrow_transactions WHERE id = $1", code) == (
        "PENDING"
    )
    status, said = await on_the_host(stage.running, "resume")
    assert status == 0, said
    await stage.status(code, "HELD")
    await stage.until("SELECT count(*) FROM pauses WHERE ended_at IS NULL", 0)
    await jane.ships(code)
    await brian.receives(code)
    await stage.payout(jane, 10_000 * KES)
    await stage.ends(code, "COMPLETED", seller=(jane, 0), buyer=(brian, 0))
