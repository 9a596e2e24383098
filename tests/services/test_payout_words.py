"""An admin's typo closes no payout: M-Pesa is asked about the receipt that he names."""

from collections.abc import AsyncIterator

import pytest

from escrow.domain.errors import NotAllowed
from escrow.domain.money import Money
from escrow.domain.payouts import Payout, PayoutState
from escrow.services.intake import PAYOUT, PAYOUT_WORD
from escrow.services.payout_words import may_be_paid_to
from tests.payout_rail import SentPayout, result_body, word_body
from tests.world import ADMIN, BRIAN, PHONES, SECOND_ADMIN, World, kes

NAMED = "SGHAND0001"


@pytest.fixture
async def world(dsn: str) -> AsyncIterator[World]:
    async with World.open(dsn) as opened:
        await opened.give(BRIAN, kes(1_000))
        await opened.sql("DELETE FROM outbox")
        yield opened
        await opened.books()


async def waiting(world: World, cause: str = "update:1") -> Payout:
    """A payout that waits for a person; M-Pesa can be asked."""
    world.payout_rail.can_pay = False
    booked = await world.payouts.book_withdrawal(BRIAN, kes(500), cause)
    world.payout_rail.can_pay = True
    return await world.payouts.payout(booked.id)


async def named(world: World, cause: str = "update:1", receipt: str = NAMED) -> Payout:
    payout = await waiting(world, cause)
    return await world.payouts.mark_paid(payout.id, ADMIN, receipt)


async def says(world: World, payout: Payout, body: bytes) -> str:
    assert payout.named_token is not None
    await world.intake.store(PAYOUT_WORD, payout.named_token, "POST", "", body, "127.0.0.1")
    return await world.settle_inbox()


async def test_what_mpesa_confirms_is_paid(world: World) -> None:
    payout = await named(world)
    assert (payout.state, payout.note) == (PayoutState.MANUAL, "checking")
    assert world.payout_rail.receipts == [(NAMED, payout.named_token)]
    assert await world.told(BRIAN) == []
    masked = "2547***222 - B"
    assert await says(world, payout, word_body(payout, NAMED, receiver=masked)) == "paid"
    done = await world.payouts.payout(payout.id)
    assert (done.state, done.provider_reference) == (PayoutState.PAID, NAMED)
    assert await world.told(BRIAN) == ["payout_paid"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"amount": kes(50)}, "other_amount"),
        ({"receiver": f"{PHONES[ADMIN]} - Amina"}, "other_receiver"),
        ({"receiver": "600997 - Amana"}, "other_receiver"),
        ({"payer": f"{PHONES[ADMIN]} - Amina"}, "not_ours"),
        ({"word": "Reversed"}, "not_completed"),
    ],
)
async def test_a_contradiction_is_told_and_closes_nothing(
    world: World, changes: dict[str, Money | str], why: str
) -> None:
    payout = await named(world)
    body = word_body(payout, NAMED, **changes)  # type: ignore[arg-type] of this one's own names
    assert await says(world, payout, body) == why
    after = await world.payouts.payout(payout.id)
    assert (after.state, after.note) == (PayoutState.MANUAL, "not_confirmed")
    assert (await world.notice(SECOND_ADMIN, "payout_word_wrong"))["why"] == why
    with pytest.raises(NotAllowed):
        await world.payouts.close_on_word(payout.id, ADMIN)
    again = await world.payouts.mark_paid(payout.id, ADMIN, "SGHAND0002")
    assert await says(world, again, word_body(again, "SGHAND0002")) == "paid"


async def test_one_receipt_pays_one_payout(world: World) -> None:
    first, second = await named(world), await named(world, "update:2")
    await says(world, first, word_body(first, NAMED))
    assert await says(world, second, word_body(second, NAMED)) == "receipt_used"
    with pytest.raises(NotAllowed, match="receipt_used"):
        await world.payouts.mark_paid(second.id, ADMIN, NAMED)


@pytest.mark.parametrize("failed", [True, False], ids=["failed", "nobody named"])
async def test_without_an_answer_an_admin_has_to_say_it_twice(world: World, failed: bool) -> None:
    payout = await named(world)
    body = word_body(payout, NAMED, code=2001 if failed else 0, receiver="")
    assert await says(world, payout, body) == "unknown"
    with pytest.raises(NotAllowed):
        await world.payouts.close_on_word(payout.id, ADMIN)
    for _ in range(3):
        world.clock.tick(minutes=6)
        await world.payouts.ask_due()
    assert len(world.payout_rail.receipts) == 2
    assert (await world.payouts.payout(payout.id)).note == "no_word"
    assert (await world.notice(ADMIN, "payout_word_silent"))["reference"] == NAMED
    for _ in range(2):
        done = await world.payouts.close_on_word(payout.id, SECOND_ADMIN)
        assert (done.state, done.provider_reference) == (PayoutState.PAID, NAMED)


async def test_while_mpesa_is_asked_it_does_not_go_back_by_itself(world: World) -> None:
    payout = await named(world)
    with pytest.raises(NotAllowed, match="payout_may_be_out"):
        await world.payouts.mark_failed(payout.id, ADMIN, "changed my mind")
    assert await world.payouts.may_be_out(payout.id)


@pytest.mark.parametrize("code", [0, 2040])
async def test_a_late_result_beside_a_payment_by_hand_is_seen(world: World, code: int) -> None:
    await world.payouts.book_withdrawal(BRIAN, kes(500), "update:1")
    await world.payouts.send_due()
    one: SentPayout = world.payout_rail.sent[0]
    for _ in range(4):
        world.clock.tick(minutes=6)
        await world.payouts.ask_due()
    number = (await world.payouts.open_ones())[0].id
    payout = await world.payouts.mark_paid(number, ADMIN, NAMED)
    await world.intake.store(PAYOUT, one.token, "POST", "", result_body(one, code=code), "::1")
    await world.settle_inbox()
    word = await says(world, payout, word_body(payout, NAMED))
    assert word == ("contradiction" if code == 0 else "paid")
    assert (await world.payouts.payout(number)).state is PayoutState.PAID
    assert await world.wallet() == 500


def test_a_shown_receiver_may_be_masked() -> None:
    assert may_be_paid_to("2547***222 - BRIAN O", PHONES[BRIAN])
    assert not may_be_paid_to("2547***111 - JANE", PHONES[BRIAN])
