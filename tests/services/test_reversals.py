"""What came in goes back to its payer once: out of suspense, or with the deal that it paid."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from escrow.domain.errors import CannotDo, LimitReached, NotAllowed, NotFound
from escrow.domain.model import Escrow, Evidence
from escrow.domain.payouts import Payout, PayoutState
from escrow.services.actions import Actions
from escrow.services.claims import Claimed
from escrow.services.intake import PAYOUT_ASKED, PAYOUT_TIMEOUT, REVERSAL
from escrow.services.ports import Blame, PayoutAnswer, Verdict
from escrow.services.reversals import receipt_effects
from tests.reversal_rail import SentReversal, asked_reversal_body, reversed_body
from tests.world import ADMIN, BRIAN, JANE, SECOND_ADMIN, SECRET, World, kes, new_reference

LOST = PayoutAnswer(Verdict.UNKNOWN, "lost", "unknown")
SHORT = PayoutAnswer(Verdict.DECLINED, "1", "float", Blame.OURS)
SHOWN = "254722***222"


@pytest.fixture
async def desk(world: World) -> AsyncIterator[World]:
    """Payables are exactly what is on its way, and suspense what waits there."""
    yield world
    payable = await world.value(
        "SELECT coalesce(sum(balance_minor), 0) FROM ledger_accounts WHERE kind = 'payable'"
    )
    assert payable == await world.value(
        "SELECT coalesce(sum(amount_minor), 0) FROM payouts WHERE state NOT IN ('PAID', 'FAILED')"
    )


async def stray(world: World, amount: int = 1_500, *, shown: str = SHOWN) -> str:
    """Money that nobody is credited with; its number."""
    number = new_reference()
    result = await world.funds.process_escrow_payment(
        world.by_hand(None, kes(amount), reference=number, shown=shown), Evidence.STATUS
    )
    assert str(result.outcome) == "suspense"
    await world.sql("DELETE FROM outbox")
    return number


async def funded(world: World, price: int = 1_000) -> tuple[Escrow, str]:
    """A deal that Brian paid by hand, and the receipt."""
    deal = await world.deal(price, buyer=BRIAN)
    number = new_reference()
    await world.pay(deal, price * 105 // 100, reference=number)
    await world.sql("DELETE FROM outbox")
    return deal, number


async def sent(world: World) -> SentReversal:
    await world.payouts.send_due()
    return world.reversals.sent[-1]


async def post(world: World, one: SentReversal, body: bytes, route: str = REVERSAL) -> str:
    await world.intake.store(route, one.token, "POST", "", body, "127.0.0.1")
    return await world.settle_inbox()


async def the_payout(world: World) -> Payout:
    return await world.payouts.payout(await world.value("SELECT max(id) FROM payouts"))


async def state_of(world: World, number: str) -> str:
    return str(await world.value("SELECT state FROM receipts WHERE reference = $1", number))


async def suspense(world: World) -> int:
    return int(
        await world.value(
            "SELECT coalesce(sum(balance_minor), 0) FROM ledger_accounts WHERE kind = 'suspense'"
        )
    )


# -- out of suspense: done, refused, repeated, raced ----------------------------------------------


async def test_stray_money_goes_back_by_a_reversal_and_is_returned_on_the_providers_yes(
    desk: World,
) -> None:
    number = await stray(desk)
    done = await desk.rules("send_back", number, ADMIN)
    assert (done.outcome["waits"], done.outcome["payer"]) == (False, "0722***222")
    assert await state_of(desk, number) == "SUSPENSE"
    one = await sent(desk)
    assert (one.reference, one.amount) == (number, kes(1_500))
    assert await state_of(desk, number) == "SUSPENSE"
    assert await post(desk, one, reversed_body(one)) == "paid"
    assert await state_of(desk, number) == "RETURNED"
    assert (await the_payout(desk)).provider_reference == "SGBACK0001"
    assert await suspense(desk) == 0
    told = await desk.notice(ADMIN, "back_paid_admin")
    assert (told["receipt"], told["reference"]) == (number, "SGBACK0001")


async def test_what_is_not_in_suspense_is_not_sent_back(desk: World) -> None:
    _, number = await funded(desk)
    with pytest.raises(NotAllowed, match="receipt_is"):
        await desk.rules("send_back", number, ADMIN)
    with pytest.raises(NotFound, match="unknown_receipt"):
        await desk.rules("send_back", "SGNOTHING1", ADMIN)
    assert await desk.value("SELECT count(*) FROM payouts") == 0


async def test_asking_twice_sends_it_back_once(desk: World) -> None:
    number = await stray(desk)
    first = await desk.actions.ask("send_back", number, {}, ADMIN, "update:1")
    second = await desk.actions.ask("send_back", number, {}, SECOND_ADMIN, "update:2")
    done = await desk.actions.confirm(first.id, ADMIN, "update:3")
    assert await desk.actions.confirm(first.id, ADMIN, "update:3") == done
    with pytest.raises(CannotDo, match="goes_back"):
        await desk.actions.confirm(second.id, SECOND_ADMIN, "update:4")
    one = await sent(desk)
    for _ in range(3):
        await post(desk, one, reversed_body(one))
        await desk.payouts.send_due()
    assert len(desk.reversals.sent) == 1
    with pytest.raises(NotAllowed, match="goes_back"):
        await desk.rules("send_back", number, ADMIN)


async def test_two_admins_at_once_send_it_back_once(desk: World) -> None:
    number = await stray(desk)
    admins = (ADMIN, SECOND_ADMIN) * 3
    asked = [
        await desk.actions.ask("send_back", number, {}, admin, f"update:{n}")
        for n, admin in enumerate(admins)
    ]
    done = await asyncio.gather(
        *(
            desk.actions.confirm(one.id, admin, "x")
            for one, admin in zip(asked, admins, strict=True)
        ),
        return_exceptions=True,
    )
    assert sum(not isinstance(one, BaseException) for one in done) == 1
    assert all(isinstance(one, CannotDo) for one in done if isinstance(one, BaseException))
    await asyncio.gather(*(desk.payouts.send_due() for _ in range(4)))
    assert len(desk.reversals.sent) == 1


async def test_a_claim_and_a_way_back_at_once_move_it_once(desk: World) -> None:
    number = await stray(desk)
    asked = await desk.actions.ask("send_back", number, {}, ADMIN, "update:1")

    async def claim() -> Claimed:
        return await desk.claims.claim("", BRIAN, number, "update:2")

    await asyncio.gather(
        claim(), desk.actions.confirm(asked.id, ADMIN, "update:3"), return_exceptions=True
    )
    back = await desk.value("SELECT count(*) FROM payouts")
    assert await state_of(desk, number) == ("SUSPENSE" if back else "CREDITED")
    assert await desk.wallet() == (0 if back else 1_500)


async def test_what_is_on_its_way_back_can_not_be_claimed_or_assigned(desk: World) -> None:
    number = await stray(desk)
    await stray(desk, 9_000)  # other people's money must not pay for it
    await desk.rules("send_back", number, ADMIN)
    claimed = await desk.claims.claim("", BRIAN, number, "update:2")
    assert (str(claimed.claim.state), claimed.claim.why) == ("PERSON", "goes_back")
    with pytest.raises(NotAllowed, match="goes_back"):
        await desk.claims.decide(claimed.claim.id, ADMIN, ours=True)
    with pytest.raises(NotAllowed, match="goes_back"):
        await desk.rules("assign_payment", number, ADMIN, code="", person=BRIAN)
    assert await desk.wallet() == 0
    one = await sent(desk)
    await post(desk, one, reversed_body(one))
    desk.clock.tick(minutes=20)
    await desk.claims.look_due()
    assert await desk.value("SELECT state FROM payment_claims") == "DENIED"


async def test_a_definite_no_leaves_it_in_suspense_and_it_can_be_sent_again(desk: World) -> None:
    number = await stray(desk)
    await desk.rules("send_back", number, ADMIN)
    one = await sent(desk)
    assert await post(desk, one, reversed_body(one, code="R000002")) == "declined:R000002"
    assert (await the_payout(desk)).state is PayoutState.FAILED
    assert (await state_of(desk, number), await suspense(desk)) == ("SUSPENSE", 150_000)
    assert "back_failed_admin" in await desk.told(ADMIN)
    await desk.rules("assign_payment", number, ADMIN, code="", person=BRIAN)
    assert await desk.wallet() == 1_500


async def test_without_keys_an_admin_sends_it_back_and_names_his_receipt(desk: World) -> None:
    desk.reversals.can_reverse = False
    number = await stray(desk)
    done = await desk.rules("send_back", number, ADMIN)
    assert (done.outcome["waits"], done.outcome["by_hand"]) == (True, "no_keys")
    card = await desk.notice(ADMIN, "payout_manual")
    assert (card["receipt"], card["why"]) == (number, "no_keys")
    payout = await the_payout(desk)
    with pytest.raises(NotAllowed, match="receipt_came_in"):
        await desk.payouts.mark_paid(payout.id, ADMIN, number)
    paid = await desk.payouts.mark_paid(payout.id, ADMIN, "SGHAND0001")
    assert paid.state is PayoutState.PAID
    assert await state_of(desk, number) == "RETURNED"


async def test_cents_go_back_by_hand(desk: World) -> None:
    number = new_reference()
    await desk.funds.process_escrow_payment(
        desk.by_hand(None, kes("15.50"), reference=number), Evidence.STATUS
    )
    done = await desk.rules("send_back", number, ADMIN)
    assert done.outcome["by_hand"] == "not_whole"
    assert await desk.payouts.send_due() == (0, 0)


# -- what nobody says ------------------------------------------------------------------------------


async def test_a_lost_answer_is_never_sent_again_and_a_person_looks(desk: World) -> None:
    number = await stray(desk)
    await desk.rules("send_back", number, ADMIN)
    desk.reversals.answers = [LOST]
    await sent(desk)
    for _ in range(6):
        desk.clock.tick(minutes=6)
        await desk.payouts.ask_due()
        await desk.payouts.send_due()
    assert (len(desk.reversals.sent), desk.reversals.asked) == (1, [])
    assert (await the_payout(desk)).state is PayoutState.MANUAL
    card = await desk.notice(ADMIN, "payout_unknown")
    assert card["receipt"] == number
    one = desk.reversals.sent[0]  # its result comes after all
    assert await post(desk, one, reversed_body(one)) == "paid"
    assert await state_of(desk, number) == "RETURNED"


async def test_an_accepted_one_without_a_result_is_asked_about_by_mpesas_id(desk: World) -> None:
    number = await stray(desk)
    await desk.rules("send_back", number, ADMIN)
    one = await sent(desk)
    desk.clock.tick(minutes=4)
    await desk.payouts.ask_due()
    assert desk.reversals.asked == [one.ocid]
    assert await post(desk, one, asked_reversal_body(one), PAYOUT_ASKED) == "paid"
    assert await state_of(desk, number) == "RETURNED"


@pytest.mark.parametrize("code", [21, "21", 99, "R999999", 100000100])
async def test_a_code_that_nobody_knows_is_no_no(desk: World, code: int | str) -> None:
    number = await stray(desk)
    await desk.rules("send_back", number, ADMIN)
    one = await sent(desk)
    assert await post(desk, one, reversed_body(one, code=code)) == f"unknown:{code}"
    for _ in range(4):
        desk.clock.tick(minutes=6)
        await desk.payouts.ask_due()
        await desk.payouts.send_due()
    assert (await the_payout(desk)).state is PayoutState.MANUAL
    assert (len(desk.reversals.sent), await state_of(desk, number)) == (1, "SUSPENSE")


async def test_reversed_already_is_for_a_person(desk: World) -> None:
    await desk.rules("send_back", await stray(desk), ADMIN)
    one = await sent(desk)
    await post(desk, one, reversed_body(one, code="R000001"))
    payout = await the_payout(desk)
    assert (payout.state, payout.note) == (PayoutState.MANUAL, "already_reversed")


async def test_a_queue_timeout_is_no_failure(desk: World) -> None:
    await desk.rules("send_back", await stray(desk), ADMIN)
    one = await sent(desk)
    assert await post(desk, one, b"{}", PAYOUT_TIMEOUT) == "timeout"
    assert (await the_payout(desk)).state is PayoutState.UNKNOWN


async def test_a_no_for_our_reason_is_sent_again_under_a_new_path(desk: World) -> None:
    number = await stray(desk)
    await desk.rules("send_back", number, ADMIN)
    desk.reversals.answers = [SHORT]
    first = await sent(desk)
    assert (await the_payout(desk)).state is PayoutState.READY
    desk.clock.tick(minutes=6)
    again = await sent(desk)
    assert len({first.token, again.token}) == 2
    assert await post(desk, again, reversed_body(again)) == "paid"
    assert await state_of(desk, number) == "RETURNED"


async def test_a_result_of_another_receipt_amount_or_request_changes_nothing(desk: World) -> None:
    number = await stray(desk)
    await desk.rules("send_back", number, ADMIN)
    one = await sent(desk)
    other = reversed_body(one, original="SGOTHER001")
    assert await post(desk, one, other) == "other_id"
    assert await post(desk, one, reversed_body(one, amount=kes(10))) == "other_amount"
    assert await post(desk, one, reversed_body(one, code="R000002", ocid="other")) == "other_id"
    assert (await the_payout(desk)).state is PayoutState.SENDING
    assert (await desk.told(ADMIN)).count("payout_mismatch") == 3


@pytest.mark.parametrize("first", [0, "R000002"])
async def test_of_two_contradicting_results_the_first_stands(desk: World, first: int | str) -> None:
    number = await stray(desk)
    await desk.rules("send_back", number, ADMIN)
    one = await sent(desk)
    await post(desk, one, reversed_body(one, code=first))
    second = "R000002" if first == 0 else 0
    assert await post(desk, one, reversed_body(one, code=second)) == "contradiction"
    assert await state_of(desk, number) == ("RETURNED" if first == 0 else "SUSPENSE")
    assert "payout_contradiction" in await desk.told(ADMIN)


async def test_a_refused_api_user_stops_everything(desk: World) -> None:
    await desk.rules("send_back", await stray(desk), ADMIN)
    one = await sent(desk)
    await post(desk, one, reversed_body(one, code=2001))
    await desk.rules("send_back", await stray(desk), ADMIN)
    await desk.payouts.send_due()
    assert len(desk.reversals.sent) == 1
    assert await desk.payouts.stopped() == "2001"
    assert await desk.payouts.resume(ADMIN)
    desk.clock.tick(hours=1)
    await desk.payouts.send_due()
    assert len(desk.reversals.sent) == 3


# -- with the deal that it paid --------------------------------------------------------------------


async def test_a_reversal_ends_its_deal_as_refunded_and_sends_the_money_back(desk: World) -> None:
    deal, number = await funded(desk)
    done = await desk.rules("reverse", number, ADMIN, reason="paid twice")
    assert (done.outcome["ends"], done.outcome["left"]) == (True, "KES 0")
    assert await desk.status_of(deal) == "REFUNDED"
    assert (await state_of(desk, number), await desk.wallet()) == ("CREDITED", 0)
    assert await desk.value("SELECT count(*) FROM payouts") == 1
    one = await sent(desk)
    assert await post(desk, one, reversed_body(one)) == "paid"
    assert (await state_of(desk, number), await desk.wallet()) == ("REVERSED", 0)
    for person in (BRIAN, JANE):
        told = await desk.notice(person, "receipt_reversing")
        assert (told["code"], told["reason"]) == (deal.id, "paid twice")
    assert (await desk.notice(BRIAN, "back_paid"))["receipt"] == number
    assert "receipt_goes_back" in await desk.events(deal)


async def test_the_providers_no_leaves_the_money_in_the_buyers_wallet(desk: World) -> None:
    deal, number = await funded(desk)
    await desk.rules("reverse", number, ADMIN)
    one = await sent(desk)
    await post(desk, one, reversed_body(one, code="R000002"))
    assert (await state_of(desk, number), await desk.wallet()) == ("CREDITED", 1_050)
    assert await desk.status_of(deal) == "REFUNDED"
    assert (await desk.notice(BRIAN, "back_failed"))["amount"] == "KES 1,050"


async def test_a_settled_deal_is_not_reversed(desk: World) -> None:
    deal, number = await funded(desk)
    await desk.rules("manual_release", deal.id, ADMIN)
    with pytest.raises(NotAllowed, match="reverse_settled"):
        await desk.rules("reverse", number, ADMIN)
    assert await desk.value("SELECT count(*) FROM payouts") == 0


async def test_a_short_wallet_refuses_all_of_it(desk: World) -> None:
    """The overpayment was spent by then."""
    deal = await desk.deal(1_000, buyer=BRIAN)
    number = new_reference()
    await desk.pay(deal, 1_100, reference=number)
    await desk.payouts.book_withdrawal(BRIAN, kes(50), "update:1")
    with pytest.raises(LimitReached, match="reverse_short"):
        await desk.rules("reverse", number, ADMIN)
    assert await desk.status_of(deal) == "HELD"


async def test_an_overpayment_goes_back_with_the_rest(desk: World) -> None:
    deal = await desk.deal(1_000, buyer=BRIAN)
    number = new_reference()
    await desk.pay(deal, 1_100, reference=number)
    done = await desk.rules("reverse", number, ADMIN)
    assert (done.outcome["amount"], done.outcome["refund"]) == ("KES 1,100", "KES 1,050")
    assert await desk.wallet() == 0


async def test_late_money_goes_back_out_of_the_wallet_and_ends_nothing(desk: World) -> None:
    deal, _ = await funded(desk)
    second = new_reference()
    await desk.pay(deal, 300, reference=second)
    assert await desk.wallet() == 300
    done = await desk.rules("reverse", second, ADMIN)
    assert done.outcome["ends"] is False
    assert (await desk.status_of(deal), await desk.wallet()) == ("HELD", 0)


async def test_undecided_money_is_the_buyers_choice(desk: World) -> None:
    deal = await desk.deal(1_000, buyer=BRIAN)
    number = new_reference()
    await desk.pay(deal, 980, reference=number)
    with pytest.raises(NotAllowed, match="reverse_undecided"):
        await desk.rules("reverse", number, ADMIN)


async def test_a_deal_that_a_wallet_helped_to_pay_is_not_reversed(desk: World) -> None:
    await desk.give(BRIAN, kes(500))
    deal = await desk.deal(1_000, buyer=BRIAN)
    attempt = await desk.prompt(deal, use_wallet=kes(500))
    number = new_reference()
    desk.rail.query_answer = desk.rail.query_answer.__class__(Verdict.PAID, "0", "paid")
    await desk.callback(attempt, number)
    assert await desk.status_of(deal) == "HELD"
    with pytest.raises(NotAllowed, match="reverse_wallet_part"):
        await desk.rules("reverse", number, ADMIN)


async def test_a_large_one_needs_two_admins(desk: World) -> None:
    deal = await desk.deal(60_000, buyer=BRIAN)
    number = new_reference()
    await desk.pay(deal, 63_000, reference=number)
    asked = await desk.actions.ask("reverse", number, {}, ADMIN, "update:7")
    first = await desk.actions.confirm(asked.id, ADMIN, "update:8")
    assert str(first.state) == "CONFIRMED"
    assert await desk.status_of(deal) == "HELD"
    done = await desk.actions.confirm(first.id, SECOND_ADMIN, "update:9")
    assert str(done.state) == "DONE"
    assert await desk.status_of(deal) == "REFUNDED"


async def test_an_admin_who_is_a_party_does_not_reverse_it(desk: World) -> None:
    deal = await desk.deal(1_000, buyer=ADMIN)
    number = new_reference()
    await desk.pay(deal, 1_050, buyer=ADMIN, reference=number)
    with pytest.raises(NotAllowed, match="admin_is_party"):
        await desk.rules("reverse", number, ADMIN)
    assert await desk.status_of(deal) == "HELD"


async def test_repeated_and_raced_a_reversal_moves_the_money_once(desk: World) -> None:
    deal, number = await funded(desk)
    asked = [
        await desk.actions.ask("reverse", number, {}, admin, f"update:{admin}")
        for admin in (ADMIN, SECOND_ADMIN)
    ]
    refund = await desk.actions.ask("manual_refund", deal.id, {}, ADMIN, "update:r")
    jobs = [
        desk.actions.confirm(asked[0].id, ADMIN, "a"),
        desk.actions.confirm(asked[0].id, ADMIN, "a"),
        desk.actions.confirm(asked[1].id, SECOND_ADMIN, "b"),
        desk.actions.confirm(refund.id, ADMIN, "c"),
    ]
    await asyncio.gather(*jobs, return_exceptions=True)
    assert await desk.status_of(deal) == "REFUNDED"
    back = await desk.value("SELECT count(*) FROM payouts WHERE receipt_id IS NOT NULL")
    assert await desk.wallet() == (0 if back else 1_050)
    assert back <= 1
    assert await desk.value("SELECT count(*) FROM settlements") == 1


async def test_what_is_reversed_is_not_reversed_again(desk: World) -> None:
    _, number = await funded(desk)
    await desk.rules("reverse", number, ADMIN)
    one = await sent(desk)
    await post(desk, one, reversed_body(one))
    with pytest.raises(NotAllowed, match="goes_back"):
        await desk.rules("reverse", number, ADMIN)


async def test_what_went_to_the_wallet_when_nobody_chose_ends_no_deal(desk: World) -> None:
    deal = await desk.deal(10_000, buyer=BRIAN)
    number = new_reference()
    await desk.pay(deal, 9_800, reference=number)
    desk.clock.tick(minutes=11)
    await desk.choices.expire()
    await desk.pay(deal, 10_500)
    done = await desk.rules("reverse", number, ADMIN, reason="Not his")
    assert (done.facts["ends"], done.facts["left"]) == (False, "KES 0")
    assert await desk.status_of(deal) == "HELD"
    assert await desk.wallet() == 0
    one = await sent(desk)
    assert (one.reference, one.amount) == (number, kes(9_800))


async def test_what_somebody_asked_for_who_is_no_admin_any_more_is_not_done(desk: World) -> None:
    number = await stray(desk, 60_000)
    asked = await desk.actions.ask("send_back", number, {}, ADMIN, "update:1")
    await desk.actions.confirm(asked.id, ADMIN, "update:2")
    effects = receipt_effects(
        desk.db, desk.clock, desk.terms, (SECOND_ADMIN,), desk.booking, desk.funds
    )
    without = Actions(
        desk.db, desk.clock, (SECOND_ADMIN,), SECRET, effects, second_above=kes(50_000)
    )
    for act in (without.confirm(asked.id, SECOND_ADMIN, "x"), without.approve_on_host(asked.id)):
        with pytest.raises(NotAllowed, match="action_gone"):
            await act
    assert await desk.value("SELECT count(*) FROM payouts") == 0
