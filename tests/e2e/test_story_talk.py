"""What people say and show each other through the bot: evidence, messages, questions, ratings."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

import pytest

from escrow.store import embedded
from tests.e2e.cast import KES, Actor, Stage
from tests.e2e.conftest import started

PHOTO = b"a photo of an empty box"
SECOND_PHOTO = b"the same box from below"
VOICE = b"a voice note about the box"
VIDEO_BYTES = 25 * 1024 * 1024
"""More than the 20 MB that a bot may fetch."""


@pytest.fixture(scope="module")
async def stage(
    cluster: embedded.Cluster, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    folder = tmp_path_factory.mktemp("talk")
    async with started(cluster, template_database, folder, AUTO_PAYOUT="0") as running:
        yield Stage(running)


async def held(stage: Stage, words: str = "10000 Blue phone case") -> tuple[Actor, Actor, str]:
    jane, brian = await stage.pair()
    code = await jane.opens_deal(words)
    await brian.pays(code)
    return jane, brian, code


async def shipped(stage: Stage) -> tuple[Actor, Actor, str]:
    jane, brian, code = await held(stage)
    await jane.ships(code)
    return jane, brian, code


# -- evidence ------------------------------------------------------------------------------------


async def kept(stage: Stage, code: str) -> list[tuple[str, int, bool, str | None]]:
    """(kind, whose, has a fingerprint, why not) of the evidence, in order."""
    rows = await stage.sql(
        """SELECT r.kind, r.telegram_id, f.sha256 IS NOT NULL AS taken, f.note
             FROM deal_records r LEFT JOIN fingerprints f ON f.record_id = r.id
            WHERE r.escrow_id = $1 AND r.purpose = 'evidence' ORDER BY r.id""",
        code,
    )
    return [tuple(row) for row in rows]


async def test_evidence_of_both_is_kept_and_shown_to_all_three(stage: Stage) -> None:
    jane, brian, code = await shipped(stage)
    await brian.disputes(code, "The box was empty")
    telegram = stage.telegram
    await stage.gives_evidence(brian, code)
    brian.sends_photo(PHOTO, "it was empty")
    telegram.user_sends_photo(brian.id, SECOND_PHOTO)
    telegram.user_sends_sound(brian.id, VOICE)
    telegram.user_sends_document(brian.id, b"opening.mp4", "opening.mp4", size=VIDEO_BYTES)
    brian.types("Nothing was inside when I opened it")
    await stage.quiet()
    await stage.gives_evidence(jane, code)
    jane.types("I packed it myself")
    await stage.quiet()
    assert [(kind, who) for kind, who, *_ in await kept(stage, code)] == [
        ("photo", brian.id),
        ("photo", brian.id),
        ("voice", brian.id),
        ("document", brian.id),
        ("text", brian.id),
        ("text", jane.id),
    ]
    await stage.until(
        """SELECT count(*) FROM fingerprints f JOIN deal_records r ON r.id = f.record_id
            WHERE r.escrow_id = $1 AND r.purpose = 'evidence'""",
        4,
        code,
    )
    found = await stage.sql(
        """SELECT f.sha256, f.note FROM fingerprints f JOIN deal_records r ON r.id = f.record_id
            WHERE r.escrow_id = $1 AND r.purpose = 'evidence' ORDER BY r.id""",
        code,
    )
    assert [(bytes(row[0]) if row[0] else None, row[1]) for row in found] == [
        (hashlib.sha256(PHOTO).digest(), ""),
        (hashlib.sha256(SECOND_PHOTO).digest(), ""),
        (hashlib.sha256(VOICE).digest(), ""),
        (None, "too_large"),
    ]
    for who in (brian, jane, stage.admin):
        await sees_evidence(stage, who, code)
    await stage.admin.commands(f"/resolve_dispute {code} buyer empty box")
    await stage.ends(code, "REFUNDED", seller=(jane, 0), buyer=(brian, 10_500 * KES))


async def sees_evidence(stage: Stage, who: Actor, code: str) -> None:
    """[See evidence]: two photos, the voice note, the file and both texts, with nobody's number."""
    if who is stage.admin:
        who.types(f"/case {code}")
        await stage.quiet()
    await who.presses("see_ev", deal=code)
    await stage.quiet()
    shown = stage.telegram.from_bot(who.id, since=who.since)
    kinds = [kind for m in shown for kind in ("photo", "voice", "document") if kind in m.media]
    assert sorted(kinds) == ["document", "photo", "photo", "voice"], [m.text for m in shown]
    words = "\n".join(m.text for m in shown)
    assert "Nothing was inside" in words
    assert "I packed it myself" in words
    for other in stage.telegram.people.values():
        if other.phone and other.id != who.id:
            assert other.phone[3:] not in words, words


async def test_what_is_sent_before_a_dispute_is_no_evidence(stage: Stage) -> None:
    _, brian, code = await shipped(stage)
    brian.sends_photo(PHOTO)
    await brian.reads()
    await stage.quiet()
    assert await kept(stage, code) == []


# -- messages and questions ----------------------------------------------------------------------


async def test_messages_go_through_the_bot_without_a_number_or_name(stage: Stage) -> None:
    jane, brian, code = await held(stage)
    brian.types(f"/deal {code}")
    await brian.presses("message", deal=code)
    await stage.asked(brian, "relay")
    brian.types("Is it still sealed? <b>KES 9,999 is held for you</b>")
    heard = await jane.reads("Is it still sealed?")
    assert brian.phone not in heard.text
    assert code in heard.text
    bold = [
        heard.text.encode("utf-16-le")[2 * e["offset"] : 2 * (e["offset"] + e["length"])].decode(
            "utf-16-le"
        )
        for e in heard.entities
        if e["type"] == "bold"
    ]
    assert not any("9,999" in part for part in bold)  # a person's words never look like ours
    jane.replies(heard, "Yes, sealed.")
    await brian.reads("Yes, sealed.")
    rows = await stage.sql(
        "SELECT telegram_id FROM deal_records WHERE escrow_id = $1 AND purpose = 'message'"
        " ORDER BY id",
        code,
    )
    assert [row[0] for row in rows] == [brian.id, jane.id]


async def test_help_reaches_the_admins_and_their_reply_goes_back(stage: Stage) -> None:
    _, brian, code = await held(stage)
    brian.types(f"/deal {code}")
    await brian.presses("help_deal", deal=code)
    await stage.asked(brian, "help")
    brian.types("The seller does not answer me")
    await stage.quiet()
    asked = await stage.admin.reads("does not answer me", since=brian.since)
    assert code in asked.text
    stage.admin.replies(asked, "We have called her.")
    await brian.reads("We have called her.")


async def test_a_question_without_a_deal(stage: Stage) -> None:
    brian = await stage.buyer()
    brian.types("/help")
    await brian.presses("help")
    await stage.asked(brian, "help")
    brian.types("How do I begin?")
    asked = await stage.admin.reads("How do I begin?", since=brian.since)
    stage.admin.replies(asked, "With a seller's link.")
    await brian.reads("With a seller's link.")


# -- /paid ---------------------------------------------------------------------------------------


async def test_a_true_receipt_is_credited_to_whom_it_is(stage: Stage) -> None:
    """Paid to the paybill under a deal's code before the bot knew anything of the payer."""
    jane, brian = await stage.pair()
    code = await jane.opens_deal("2000 Shoes")
    brian.starts(code)
    await brian.reads(button="pay")
    await brian.pays_to_paybill(code, 2_100)
    sms = stage.daraja.phone(brian.phone).sms[-1].text
    await stage.until(
        "SELECT state FROM receipts WHERE escrow_id = $1 OR typed_reference = $1", "SUSPENSE", code
    )
    brian.types(sms)
    if await stage.is_asked(brian, "phone"):
        brian.shares_contact()
    await stage.status(code, "HELD")
    await brian.reads("KES 2,100", since=0)
    await jane.reads("KES 2,000", button="sent")
    await jane.ships(code)
    await brian.receives(code)
    await stage.ends(code, "COMPLETED", seller=(jane, 2_000 * KES), buyer=(brian, 0))


async def test_a_lost_confirmation_is_found_by_its_receipt(stage: Stage) -> None:
    """The paybill's message never reached us: TransactionStatus knows it."""
    jane, brian = await stage.pair()
    code = await jane.opens_deal("2000 Shoes")
    await brian.asks_to_pay(code)
    await stage.daraja.cancel(brian.phone)
    await brian.reads(button="pay")
    payment = await stage.daraja.pay_paybill(brian.phone, code, 2_100, deliver="never")
    brian.types(f"/paid {code} {payment.receipt}")
    await stage.status(code, "HELD")
    await brian.reads("KES 2,100")
    await stage.running.books_are_right()


async def test_a_fake_message_credits_nothing(stage: Stage) -> None:
    jane, brian = await stage.pair()
    code = await jane.opens_deal("2000 Shoes")
    brian.starts(code)
    await brian.reads(button="pay")
    brian.types(
        f"/paid {code} SKN4FAKE77 Confirmed. Ksh2,100.00 sent to AMANA for account {code} "
        "on 23/11/26 at 9:00 AM."
    )
    await brian.reads("M-Pesa doesn't know this code", "An SMS or screenshot is not payment.")
    await stage.quiet()
    assert await stage.value("SELECT status FROM escrow_transactions WHERE id = $1", code) == (
        "PENDING"
    )
    assert await stage.wallet(brian) == 0
    assert await stage.told(jane, code) == []
    await stage.running.books_are_right()


async def test_somebody_elses_receipt_is_not_credited(stage: Stage) -> None:
    jane, brian = await stage.pair()
    thief = stage.actor("Otieno")
    code = await jane.opens_deal("2000 Shoes")
    other = await jane.opens_deal("2000 Sandals")
    await brian.pays(code)
    receipt = stage.daraja.stk_requests[-1].receipt
    thief.starts(other)
    await thief.reads(button="pay")
    thief.types(f"/paid {other} {receipt}")
    await thief.reads()
    await stage.quiet()
    assert await stage.value("SELECT status FROM escrow_transactions WHERE id = $1", other) == (
        "PENDING"
    )
    assert await stage.wallet(thief) == 0
    await stage.running.books_are_right()


# -- ratings and sellers -------------------------------------------------------------------------


async def test_stars_and_words_show_on_the_sellers_page(stage: Stage) -> None:
    jane, brian, code = await held(stage, "900 Hat")
    await jane.ships(code)
    await brian.receives(code)
    await brian.reads(button="stars")
    await brian.presses("stars", deal=code, number=5)
    await stage.until("SELECT stars FROM seller_ratings WHERE escrow_id = $1", 5, code)
    await brian.presses("star_words", deal=code)
    await stage.asked(brian, "rating_words")
    brian.types("Came in two days")
    await stage.until(
        "SELECT words FROM seller_ratings WHERE escrow_id = $1 AND replaced_at IS NULL",
        "Came in two days",
        code,
    )
    brian.types(f"/rate {code} 4 The strap is loose")
    await stage.until(
        "SELECT stars FROM seller_ratings WHERE escrow_id = $1 AND replaced_at IS NULL", 4, code
    )
    assert await stage.value("SELECT count(*) FROM seller_ratings WHERE escrow_id = $1", code) >= 2
    row = await stage.value("SELECT id FROM escrow_sellers WHERE telegram_id = $1", jane.id)
    curious = stage.actor("Otieno")
    curious.starts(f"s_{row}")
    page = await curious.reads("Jane Shop", "4")
    assert jane.phone not in page.text
    assert brian.phone not in page.text
    await stage.ends(code, "COMPLETED", seller=(jane, 900 * KES), buyer=(brian, 0))


async def test_nobody_rates_who_did_not_buy(stage: Stage) -> None:
    jane, brian, code = await held(stage, "900 Hat")
    await brian.receives(code)
    thief = stage.actor("Otieno")
    thief.starts()
    thief.types(f"/rate {code} 1 bad")
    await thief.reads()
    jane.types(f"/rate {code} 5 I am great")
    await jane.reads()
    await stage.quiet()
    assert await stage.value("SELECT count(*) FROM seller_ratings WHERE escrow_id = $1", code) == 0


async def test_a_buyer_proposes_and_the_seller_accepts(stage: Stage) -> None:
    """From the seller's page: the deal can be paid only once she has accepted."""
    jane = await stage.seller()
    brian = await stage.buyer()
    code = await brian.proposes_to(jane, "1200", "Two blue cups")
    assert await stage.value("SELECT pay_by FROM escrow_transactions WHERE id = $1", code) is None
    await jane.reads("KES 1,200", "Two blue cups", button="take_it")
    await jane.presses("take_it", deal=code)
    await brian.reads(code, button="pay")
    await brian.pays(code)
    await jane.ships(code)
    await brian.receives(code)
    await stage.ends(code, "COMPLETED", seller=(jane, 1_200 * KES), buyer=(brian, 0))


async def test_a_proposal_may_be_refused(stage: Stage) -> None:
    jane = await stage.seller()
    brian = await stage.buyer()
    code = await brian.proposes_to(jane, "1200", "Two blue cups")
    await jane.presses("refuse", deal=code)
    await brian.reads(code)
    await stage.ends(code, "CANCELLED", seller=(jane, 0), buyer=(brian, 0))


async def test_a_seller_who_is_her_own_buyer_is_refused(stage: Stage) -> None:
    jane = await stage.seller()
    code = await jane.opens_deal("900 Hat")
    jane.types(f"/pay {code}")
    await jane.reads()
    await stage.quiet()
    assert not [p for p in stage.daraja.stk_requests if p.account == code]


# -- who can't be reached ------------------------------------------------------------------------


async def test_a_buyer_who_blocked_the_bot_stops_nothing(stage: Stage) -> None:
    jane, brian, code = await held(stage)
    stage.telegram.user_blocks(brian.id)
    await jane.ships(code)
    await jane.reads(code)
    await stage.quiet()
    jane.types(f"/settle {code} 0/100")
    await jane.reads()
    await stage.quiet()
    stage.telegram.user_unblocks(brian.id)
    brian.starts()
    await brian.receives_typed(code)
    await stage.ends(code, "COMPLETED", seller=(jane, 10_000 * KES), buyer=(brian, 0))


async def test_a_seller_who_blocked_the_bot_is_paid_all_the_same(stage: Stage) -> None:
    jane, brian, code = await held(stage)
    await jane.ships(code)
    stage.telegram.user_blocks(jane.id)
    await brian.receives(code)
    await brian.reads()
    await stage.ends(code, "COMPLETED", seller=(jane, 10_000 * KES), buyer=(brian, 0))


async def test_a_buyer_who_blocked_the_bot_is_refunded_all_the_same(stage: Stage) -> None:
    jane, brian, code = await held(stage)
    stage.telegram.user_blocks(brian.id)
    await jane.declines(code)
    await stage.ends(code, "REFUNDED", seller=(jane, 0), buyer=(brian, 10_500 * KES))
