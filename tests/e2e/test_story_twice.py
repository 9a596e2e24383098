"""Double taps and two devices at once: one effect, and a clear answer to the second."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from escrow.store import embedded
from sandbox.telegram_chats import Tap
from tests.e2e.cast import KES, Actor, Stage, find
from tests.e2e.conftest import started

DEVICES = 3


@pytest.fixture(scope="module")
async def stage(
    cluster: embedded.Cluster, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    folder = tmp_path_factory.mktemp("twice")
    async with started(cluster, template_database, folder, AUTO_PAYOUT="0") as running:
        yield Stage(running)


async def at_once(who: Actor, verb: str, *, deal: str = "") -> list[Tap]:
    """The same button from several devices in the same moment; every tap is answered."""
    message = await who.sees(verb, deal=deal)
    data = find(message, verb, deal)
    telegram = who.stage.telegram
    who.since = telegram.mark()
    taps = [telegram.user_taps(who.id, message.id, data=data) for _ in range(DEVICES)]
    for tap in taps:
        await telegram.wait_answer(tap, timeout=20)
    await who.stage.handled()
    return taps


def said(who: Actor, taps: list[Tap]) -> list[str]:
    """What the person could read after those taps: answers above the chat and messages in it."""
    heard = [m.text for m in who.stage.telegram.from_bot(who.id, since=who.since)]
    return heard + [tap.text for tap in taps if tap.text]


async def test_create(stage: Stage) -> None:
    jane = await stage.seller()
    jane.types("/newdeal 900 Hat")
    taps = await at_once(jane, "create")
    assert (
        await stage.value(
            "SELECT count(*) FROM escrow_transactions WHERE seller_telegram_id = $1", jane.id
        )
        == 1
    )
    assert said(jane, taps)


async def test_pay(stage: Stage) -> None:
    jane, brian = await stage.pair()
    first = await jane.opens_deal("300 Cup")
    await brian.pays(first)  # his number is known from now on
    code = await jane.opens_deal("900 Hat")
    brian.starts(code)
    await brian.reads(code, button="pay")
    asked = len(stage.daraja.stk_requests)
    taps = await at_once(brian, "pay", deal=code)
    prompts = stage.daraja.stk_requests[asked:]
    assert [p.phone for p in prompts] == [brian.phone]
    assert said(brian, taps)
    await brian.enters_pin()
    await stage.status(code, "HELD")
    await at_once_if_shown(brian, "pay", code)
    assert len(stage.daraja.stk_requests) == asked + 1
    await stage.running.books_are_right()


async def at_once_if_shown(who: Actor, verb: str, code: str) -> None:
    if any(find(m, verb, code) for m in who.stage.telegram.from_bot(who.id)):
        await at_once(who, verb, deal=code)


async def test_received_and_yes_pay(stage: Stage) -> None:
    jane, brian = await stage.pair()
    code = await jane.opens_deal("900 Hat")
    await brian.pays(code)
    await jane.ships(code)
    await at_once(brian, "received", deal=code)
    taps = await at_once(brian, "received_yes", deal=code)
    assert said(brian, taps)
    assert await stage.value("SELECT count(*) FROM settlements WHERE escrow_id = $1", code) == 1
    await stage.quiet()
    assert await stage.told(jane, code) == ["held", "released"]
    await stage.ends(code, "COMPLETED", seller=(jane, 900 * KES), buyer=(brian, 0))


async def test_sent_and_the_same_waybill_from_two_devices(stage: Stage) -> None:
    jane, brian = await stage.pair()
    code = await jane.opens_deal("900 Hat")
    await brian.pays(code)
    await at_once(jane, "sent", deal=code)
    for _ in range(2):
        stage.telegram.user_sends_photo(jane.id, b"the same waybill")
    await stage.status(code, "SHIPPED")
    await stage.quiet()
    assert (await stage.timeline(code)).count("ship") == 1
    assert await stage.told(brian, code) == ["funded", "shipped"]
    await brian.receives(code)
    await stage.ends(code, "COMPLETED", seller=(jane, 900 * KES), buyer=(brian, 0))


async def test_accept_an_offer(stage: Stage) -> None:
    jane, brian = await stage.pair()
    code = await jane.opens_deal("900 Hat")
    await brian.pays(code)
    await jane.ships(code)
    brian.types(f"/settle {code} 50/50")
    await brian.presses("settle_s", deal=code)
    await jane.reads(button="accept")
    taps = await at_once(jane, "accept", deal=code)
    assert said(jane, taps)
    assert await stage.value("SELECT count(*) FROM settlements WHERE escrow_id = $1", code) == 1
    await stage.ends(code, "COMPLETED")


async def test_send_an_offer(stage: Stage) -> None:
    jane, brian = await stage.pair()
    code = await jane.opens_deal("900 Hat")
    await brian.pays(code)
    brian.types(f"/settle {code} 50/50")
    await at_once(brian, "settle_s", deal=code)
    assert await stage.value("SELECT count(*) FROM offers WHERE escrow_id = $1", code) == 1
    await stage.quiet()
    assert (await stage.told(jane, code)).count("settle_offered") == 1


async def test_stars(stage: Stage) -> None:
    jane, brian = await stage.pair()
    code = await jane.opens_deal("900 Hat")
    await brian.pays(code)
    await brian.receives(code)
    taps = await at_once(brian, "stars", deal=code)
    assert said(brian, taps)
    assert await stage.value("SELECT count(*) FROM seller_ratings WHERE escrow_id = $1", code) == 1


async def test_decline_and_received_at_the_same_moment(stage: Stage) -> None:
    """Seller and buyer want opposite things: one of them has it, the other reads why not."""
    jane, brian = await stage.pair()
    code = await jane.opens_deal("900 Hat")
    await brian.pays(code)
    await brian.presses("received", deal=code)
    yes = await brian.sees("received_yes", deal=code)
    jane.types(f"/decline {code}")
    brian.since = stage.telegram.mark()
    tap = stage.telegram.user_taps(brian.id, yes.id, data=find(yes, "received_yes", code))
    await stage.telegram.wait_answer(tap, timeout=20)
    await stage.quiet()
    status = str(await stage.value("SELECT status FROM escrow_transactions WHERE id = $1", code))
    if status == "REFUNDED":
        await stage.ends(code, "REFUNDED", seller=(jane, 0), buyer=(brian, 945 * KES))
    else:
        await stage.ends(code, "COMPLETED", seller=(jane, 900 * KES), buyer=(brian, 0))
    assert stage.telegram.from_bot(jane.id, since=jane.since)
    assert stage.telegram.from_bot(brian.id, since=brian.since)


async def test_withdraw(stage: Stage) -> None:
    """[Yes, send it] three times moves the money once."""
    jane, brian = await stage.pair()
    code = await jane.opens_deal("900 Hat")
    await brian.pays(code)
    await brian.receives(code)
    jane.types("/withdraw 500")
    await at_once(jane, "wd_yes")
    assert await stage.wallet(jane) == 400 * KES
    assert await stage.value("SELECT count(*) FROM payouts WHERE telegram_id = $1", jane.id) == 1
    await stage.running.books_are_right()


@pytest.mark.parametrize("verb", ["create", "drop"])
async def test_create_and_cancel_of_one_preview(stage: Stage, verb: str) -> None:
    """Both buttons of a preview at once: whichever was first counts, the other changes nothing."""
    jane = await stage.seller()
    jane.types("/newdeal 900 Hat")
    preview = await jane.sees("create")
    other = {"create": "drop", "drop": "create"}[verb]
    taps = [
        stage.telegram.user_taps(jane.id, preview.id, data=find(preview, one))
        for one in (verb, other)
    ]
    for tap in taps:
        await stage.telegram.wait_answer(tap, timeout=20)
    await stage.quiet()
    deals = await stage.value(
        "SELECT count(*) FROM escrow_transactions WHERE seller_telegram_id = $1", jane.id
    )
    assert deals == (1 if verb == "create" else 0)
