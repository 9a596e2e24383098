"""Money that leaves does so once; what nobody can say is asked about, then shown to a person."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from escrow.domain.errors import InvalidInput, NotAllowed, NotFound
from escrow.domain.payouts import Payout, PayoutState
from escrow.services.intake import PAYOUT, PAYOUT_ASKED, PAYOUT_TIMEOUT
from escrow.services.payouts import Payouts
from tests.payout_rail import (
    ACCEPTED,
    LOCKED,
    LOST,
    SHORT,
    UNREGISTERED,
    SentPayout,
    asked_body,
    result_body,
)
from tests.world import ADMIN, ADMINS, BRIAN, JANE, PHONES, World, kes


@pytest.fixture
async def paying(world: World) -> AsyncIterator[World]:
    """Brian has 1,000 and nothing is on its way."""
    await world.give(BRIAN, kes(1000))
    await world.sql("DELETE FROM outbox")
    yield world
    assert await payable(world) == await open_sum(world)


async def payable(world: World) -> int:
    return int(
        await world.value(
            "SELECT coalesce(sum(balance_minor), 0) FROM ledger_accounts WHERE kind = 'payable'"
        )
    )


async def open_sum(world: World) -> int:
    return int(
        await world.value(
            "SELECT coalesce(sum(amount_minor), 0) FROM payouts"
            " WHERE state NOT IN ('PAID', 'FAILED')"
        )
    )


async def book(world: World, amount: int = 500, cause: str = "update:1") -> int:
    return (await world.payouts.book_withdrawal(BRIAN, kes(amount), cause)).id


async def sent(world: World, amount: int = 500) -> SentPayout:
    """A payout that M-Pesa accepted."""
    await book(world, amount)
    await world.payouts.send_due()
    return world.payout_rail.sent[-1]


async def post(world: World, route: str, one: SentPayout, body: bytes) -> str:
    """A result arrives and is processed; the word on its row."""
    await world.intake.store(route, one.token, "POST", "", body, "127.0.0.1")
    return await world.settle_inbox()


async def state(world: World) -> Payout:
    number = await world.value("SELECT max(id) FROM payouts")
    return await world.payouts.payout(number)


# -- done --------------------------------------------------------------------------------------


async def test_a_payout_is_sent_once_and_paid_by_its_result(paying: World) -> None:
    one = await sent(paying)
    assert (one.phone, one.amount) == (PHONES[BRIAN], kes(500))
    assert (await state(paying)).state is PayoutState.SENDING
    assert await paying.payouts.send_due() == (0, 0)
    assert await post(paying, PAYOUT, one, result_body(one)) == "paid"
    done = await state(paying)
    assert (done.state, done.provider_reference) == (PayoutState.PAID, "SGOUT00001")
    told = await paying.notice(BRIAN, "payout_paid")
    assert (told["amount"], told["to"], told["reference"]) == (
        "KES 500",
        "0722***222",
        "SGOUT00001",
    )
    assert await paying.wallet() == 500


async def test_what_is_to_be_sent_is_committed_before_a_byte_leaves(paying: World) -> None:
    seen = []

    async def look(one: SentPayout) -> None:
        seen.append(
            await paying.value(
                "SELECT p.state || ' ' || a.state FROM payouts p"
                " JOIN payout_attempts a ON a.payout_id = p.id"
                " WHERE a.originator_conversation_id = $1 AND a.token = $2",
                one.ocid,
                one.token,
            )
        )

    paying.payout_rail.on_pay = look
    await sent(paying)
    assert seen == ["SENDING SENDING"]


async def test_a_result_that_overtakes_the_answer_counts(paying: World) -> None:
    async def overtake(one: SentPayout) -> None:
        await post(paying, PAYOUT, one, result_body(one))

    paying.payout_rail.on_pay = overtake
    await sent(paying)
    assert (await state(paying)).state is PayoutState.PAID


# -- refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize("by_result", [True, False])
async def test_a_no_for_his_reason_gives_the_money_back_and_says_why(
    paying: World, by_result: bool
) -> None:
    if by_result:
        one = await sent(paying)
        assert await post(paying, PAYOUT, one, result_body(one, code=2040)) == "declined:2040"
    else:
        paying.payout_rail.answers = [UNREGISTERED]
        await sent(paying)
    assert (await state(paying)).state is PayoutState.FAILED
    assert await paying.wallet() == 1000
    assert (await paying.notice(BRIAN, "payout_failed"))["why"] == "unregistered"


@pytest.mark.parametrize("by_result", [True, False])
async def test_a_no_for_our_reason_is_sent_again_later_under_a_new_id(
    paying: World, by_result: bool
) -> None:
    if by_result:
        one = await sent(paying)
        await post(paying, PAYOUT, one, result_body(one, code=1))
    else:
        paying.payout_rail.answers = [SHORT]
        one = await sent(paying)
    waiting = await state(paying)
    assert (waiting.state, waiting.note) == (PayoutState.READY, "float")
    assert await paying.payouts.send_due() == (0, 0)
    paying.clock.tick(minutes=5)
    assert await paying.payouts.send_due() == (1, 0)
    assert paying.payout_rail.sent[-1].ocid != one.ocid
    assert "payout_trouble" in await paying.told(ADMIN)
    assert await paying.told(BRIAN) == []


async def test_wrong_set_up_is_not_tried_for_ever(paying: World) -> None:
    await book(paying)
    for _ in range(4):
        await paying.payouts.send_due()
        if len(paying.payout_rail.sent) <= 3 and (await state(paying)).is_open:
            one = paying.payout_rail.sent[-1]
            await post(paying, PAYOUT, one, result_body(one, code=2028))
        paying.clock.tick(hours=1)
    assert len(paying.payout_rail.sent) == 3
    assert (await state(paying)).state is PayoutState.MANUAL


async def test_a_refused_api_user_stops_everything_until_an_admin_says_so(paying: World) -> None:
    paying.payout_rail.answers = [LOCKED]
    await sent(paying)
    paying.clock.tick(hours=2)
    assert await paying.payouts.send_due() == (0, 0)
    assert await paying.payouts.stopped() == "8006"
    assert (await paying.told(ADMIN)).count("payouts_stopped") == 1
    async with paying.restarted() as again:
        assert await again.payouts.send_due() == (0, 0)
        again.payout_rail.credential = "d00d" * 8  # another API user
        assert await again.payouts.stopped() is None
        again.payout_rail.credential = "c0ffee" * 6
    assert await paying.payouts.resume(ADMIN)
    assert not await paying.payouts.resume(ADMIN)
    assert await paying.payouts.send_due() == (1, 0)
    assert len(paying.payout_rail.sent) == 2


async def test_broken_books_stop_sending(paying: World) -> None:
    frozen = Payouts(
        paying.db,
        paying.clock,
        paying.payout_rail,
        paying.booking,
        ADMINS,
        callback_base="https://amana.example",
        sound=lambda: False,
    )
    await book(paying)
    assert await frozen.send_due() == (0, 0)
    assert paying.payout_rail.sent == []


async def test_without_keys_an_admin_gets_it(paying: World) -> None:
    number = await book(paying)
    paying.payout_rail.can_pay = False
    await paying.payouts.send_due()
    assert (await paying.notice(ADMIN, "payout_manual"))["number"] == PHONES[BRIAN]
    done = await paying.payouts.mark_paid(number, ADMIN, " sghand0001 ")
    assert (done.state, done.provider_reference) == (PayoutState.PAID, "SGHAND0001")
    assert await paying.payouts.mark_paid(number, ADMIN, "SGHAND0001") == done
    with pytest.raises(NotAllowed):
        await paying.payouts.mark_paid(number, ADMIN, "SGHAND0002")
    with pytest.raises(NotAllowed):
        await paying.payouts.mark_failed(number, ADMIN, "no")


async def test_an_admins_refusal_gives_the_money_back(paying: World) -> None:
    paying.payout_rail.can_pay = False
    number = await book(paying)
    assert (await paying.payouts.mark_failed(number, ADMIN, "wrong number")).note == "by_admin"
    assert (await paying.notice(BRIAN, "payout_failed"))["words"] == "wrong number"
    assert await paying.wallet() == 1000


async def test_an_admins_word_is_only_taken_where_a_person_is_asked_for(paying: World) -> None:
    number = await book(paying)
    with pytest.raises(NotAllowed):
        await paying.payouts.mark_paid(number, ADMIN, "SGHAND0001")
    with pytest.raises(InvalidInput):
        await paying.payouts.mark_paid(number, ADMIN, "not a receipt")
    with pytest.raises(NotFound):
        await paying.payouts.mark_failed(9999, ADMIN, "no")


async def test_one_receipt_pays_one_payout(paying: World) -> None:
    paying.payout_rail.can_pay = False
    first, second = await book(paying), await book(paying, 100, "update:2")
    await paying.payouts.mark_paid(first, ADMIN, "SGHAND0001")
    with pytest.raises(NotAllowed, match="receipt_used"):
        await paying.payouts.mark_paid(second, ADMIN, "SGHAND0001")


async def test_a_seller_suspended_meanwhile_waits_for_an_admin(world: World) -> None:
    deal = await world.deal(500, buyer=BRIAN)
    await world.pay(deal, 525)
    await world.escrows.receive(deal.id, BRIAN, "test:receive")
    await world.payouts.book_withdrawal(JANE, kes(500), "update:1")
    await world.suspend()
    await world.payouts.send_due()
    assert world.payout_rail.sent == []
    waiting = await state(world)
    assert (waiting.state, waiting.note) == (PayoutState.MANUAL, "suspended")


# -- unknown -----------------------------------------------------------------------------------


async def test_a_lost_answer_is_asked_about_twice_and_then_a_person_looks(paying: World) -> None:
    paying.payout_rail.answers = [LOST]
    one = await sent(paying)
    assert (await state(paying)).state is PayoutState.UNKNOWN
    for _ in range(5):
        paying.clock.tick(minutes=6)
        await paying.payouts.send_due()
        await paying.payouts.ask_due()
    assert paying.payout_rail.asked == [one.ocid, one.ocid]
    assert len(paying.payout_rail.sent) == 1
    waiting = await state(paying)
    assert (waiting.state, waiting.note) == (PayoutState.MANUAL, "unknown")
    assert (await paying.notice(ADMIN, "payout_unknown"))["ocid"] == one.ocid
    assert await paying.told(BRIAN) == ["payout_waits"]
    assert [found.id for found in await paying.payouts.open_ones()] == [waiting.id]


async def test_an_answer_about_it_settles_it(paying: World) -> None:
    paying.payout_rail.answers = [LOST]
    one = await sent(paying)
    paying.clock.tick(minutes=2)
    await paying.payouts.ask_due()
    assert await post(paying, PAYOUT_ASKED, one, asked_body(one)) == "paid"
    assert (await state(paying)).provider_reference == "SGOUT00001"


async def test_a_question_that_fails_says_nothing_about_the_payment(paying: World) -> None:
    paying.payout_rail.answers = [LOST]
    one = await sent(paying)
    assert await post(paying, PAYOUT_ASKED, one, asked_body(one, code=2032)) == "unknown:2032"
    assert (await state(paying)).state is PayoutState.UNKNOWN


async def test_asked_and_not_completed_is_for_a_person(paying: World) -> None:
    paying.payout_rail.answers = [LOST]
    one = await sent(paying)
    assert "asked" in await post(paying, PAYOUT_ASKED, one, asked_body(one, word="Declined"))
    assert (await state(paying)).state is PayoutState.MANUAL


async def test_a_queue_timeout_is_no_failure(paying: World) -> None:
    one = await sent(paying)
    assert await post(paying, PAYOUT_TIMEOUT, one, b"anything at all") == "timeout"
    assert (await state(paying)).state is PayoutState.UNKNOWN
    assert await post(paying, PAYOUT, one, result_body(one)) == "paid"


async def test_a_sender_that_died_after_its_commit_is_asked_about(paying: World) -> None:
    async def die(one: SentPayout) -> None:
        raise RuntimeError("killed")

    paying.payout_rail.on_pay = die
    await book(paying)
    assert await paying.payouts.send_due() == (1, 1)
    paying.payout_rail.on_pay = None
    paying.clock.tick(minutes=4)
    assert await paying.payouts.send_due() == (0, 0)
    await paying.payouts.ask_due()
    assert paying.payout_rail.asked == [paying.payout_rail.sent[0].ocid]


async def test_what_may_be_out_goes_back_only_on_an_admins_statement(paying: World) -> None:
    paying.payout_rail.answers = [LOST]
    one = await sent(paying)
    for _ in range(4):
        paying.clock.tick(minutes=6)
        await paying.payouts.ask_due()
    number = (await state(paying)).id
    with pytest.raises(NotAllowed, match="payout_may_be_out"):
        await paying.payouts.mark_failed(number, ADMIN, "gone")
    await paying.payouts.mark_failed(number, ADMIN, "the portal has none", not_sent=True)
    assert await paying.wallet() == 1000
    # and M-Pesa paid it all the same
    assert await post(paying, PAYOUT, one, result_body(one)) == "contradiction"
    assert "payout_contradiction" in await paying.told(ADMIN)


# -- odd results ---------------------------------------------------------------------------------


async def test_a_result_of_another_amount_id_or_receiver_changes_nothing(paying: World) -> None:
    one = await sent(paying)
    odd = {
        "other_amount": result_body(one, amount=kes(501)),
        "other_id": result_body(one, ocid="P9-other"),
        "other_receiver": result_body(one, receiver="254700999999 - X Y"),
    }
    for word, body in odd.items():
        assert await post(paying, PAYOUT, one, body) == word
    assert (await state(paying)).state is PayoutState.SENDING
    assert (await paying.told(ADMIN)).count("payout_mismatch") == 3
    assert await post(paying, PAYOUT, one, result_body(one)) == "paid"


async def test_a_repeated_result_does_nothing_twice(paying: World) -> None:
    one = await sent(paying)
    await post(paying, PAYOUT, one, result_body(one))
    body = result_body(one).replace(b'"ResultDesc": ""', b'"ResultDesc": "again"')
    assert await post(paying, PAYOUT, one, body) == "repeated"
    assert (await paying.told(BRIAN)).count("payout_paid") == 1


@pytest.mark.parametrize("first", [0, 2040])
async def test_of_two_contradicting_results_the_first_stands(paying: World, first: int) -> None:
    one = await sent(paying)
    await post(paying, PAYOUT, one, result_body(one, code=first))
    before = await state(paying)
    second = result_body(one, code=2040 if first == 0 else 0)
    assert await post(paying, PAYOUT, one, second) == "contradiction"
    assert await state(paying) == before
    assert (await paying.told(ADMIN)).count("payout_contradiction") == 1


async def test_a_refused_results_receipt_proves_nothing(paying: World) -> None:
    one = await sent(paying)
    await post(paying, PAYOUT, one, result_body(one, "SG722NMVXQ", code=2040))
    assert (await state(paying)).provider_reference is None


# -- raced ---------------------------------------------------------------------------------------


async def test_many_senders_at_once_send_each_once(paying: World) -> None:
    for n in range(12):
        await book(paying, 50, f"update:{n}")
    async with paying.restarted() as other:
        await asyncio.gather(
            *(one.payouts.send_due() for one in (paying, other, paying, other, paying))
        )
    assert len(paying.payout_rail.sent) == 12
    assert len({one.ocid for one in paying.payout_rail.sent}) == 12


async def test_two_admins_and_a_late_result_end_it_once(paying: World) -> None:
    paying.payout_rail.answers = [LOST, ACCEPTED]
    one = await sent(paying)
    for _ in range(4):
        paying.clock.tick(minutes=6)
        await paying.payouts.ask_due()
    number = (await state(paying)).id
    await asyncio.gather(
        paying.payouts.mark_paid(number, ADMIN, "SGOUT00001"),
        paying.payouts.mark_failed(number, ADMIN, "no", not_sent=True),
        paying.payouts.on_result(one.token, result_body(one)),
        return_exceptions=True,
    )
    assert not (await state(paying)).is_open


async def test_who_waits_for_an_hour_is_told_and_so_are_the_admins(paying: World) -> None:
    paying.payout_rail.answers = [SHORT] * 9
    await book(paying)
    for _ in range(8):
        await paying.payouts.send_due()
        await paying.payouts.ask_due()
        paying.clock.tick(minutes=20)
    assert await paying.told(BRIAN) == ["payout_waits"]
    assert (await paying.told(ADMIN)).count("payout_late") == 1
