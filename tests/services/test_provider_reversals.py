"""Money that M-Pesa took back by itself: where the loss goes, what stops, all of it once."""

import asyncio

import pytest

from escrow.domain.errors import CannotDo
from escrow.domain.model import Escrow, Evidence
from escrow.domain.money import Currency
from escrow.domain.statements import Break, BreakKind
from escrow.rails.mpesa_statement import read
from escrow.services.choice_tokens import Action
from escrow.services.intake import REVERSAL
from escrow.services.provider_reversals import ProviderReversals
from escrow.store import ledger
from tests.rail import PAID, UNREACHABLE
from tests.reversal_rail import reversed_body
from tests.statement import file, reversal
from tests.world import ADMIN, ADMINS, BRIAN, JANE, World, kes, new_reference

MINE = "SRVRSAL001"


async def taken(
    world: World, number: str, amount: int | str, *, by: str = MINE, linked: bool = True
) -> Break | None:
    """The statement shows that this receipt was reversed."""
    row = reversal(by, world.clock.now(), amount, number if linked else "")
    (said,) = read(file([row])).rows
    return await ProviderReversals(world.db, world.clock, ADMINS).apply(said, ADMIN)


async def owed(world: World, owner: str) -> int:
    async with world.db.reading() as conn:
        return -(await ledger.balance(conn, "receivable", owner, Currency.KES)).minor // 100


async def funded(world: World, price: int = 1_000) -> tuple[Escrow, str]:
    deal = await world.deal(price, buyer=BRIAN)
    number = new_reference()
    await world.pay(deal, price * 105 // 100, reference=number)
    await world.sql("DELETE FROM outbox")
    return await world.escrow(deal.id), number


async def test_a_funded_deal_stands_still_and_owes_what_was_taken(world: World) -> None:
    deal, number = await funded(world)
    found = await taken(world, number, 1050)
    assert found is not None
    assert (found.kind, found.code) == (BreakKind.REVERSED, deal.id)
    after = await world.escrow(deal.id)
    assert (str(after.status), str(after.frozen_from)) == ("FROZEN", "HELD")
    assert await owed(world, deal.id) == 1_050
    assert await world.receipt_states() == {number: "REVERSED"}
    assert await world.events(deal) == [*["open", "join", "fund"], "freeze", "receipt_taken_back"]
    (flag,) = await world.sql("SELECT * FROM fraud_flags")
    assert (flag["severity"], flag["telegram_id"]) == ("CRITICAL", BRIAN)
    said = await world.notice(ADMIN, "receipt_taken_back")
    assert (said["frozen"], said["owed"]) == (True, "KES 1,050")
    assert {"frozen", "payment_taken_back"} <= set(await world.told(BRIAN))
    assert "frozen" in await world.told(JANE)


async def test_the_same_row_again_changes_nothing(world: World) -> None:
    _, number = await funded(world)
    await taken(world, number, 1050)
    before = await world.snapshot()
    for _ in range(3):
        assert await taken(world, number, 1050) is None
    assert await world.snapshot() == before


async def test_ten_at_once_take_it_once(world: World) -> None:
    deal, number = await funded(world)
    found = await asyncio.gather(*(taken(world, number, 1050) for _ in range(10)))
    assert sum(one is not None for one in found) == 1
    assert await owed(world, deal.id) == 1_050


async def test_a_refund_covers_first_what_was_taken(world: World) -> None:
    deal, number = await funded(world)
    await taken(world, number, 1050)
    await world.manual_refund(deal.id, ADMIN)
    assert (await owed(world, deal.id), await world.wallet()) == (0, 0)
    said = await world.notice(BRIAN, "refund_covers")
    assert (said["covers"], said["left"]) == ("KES 1,050", "KES 0")
    assert "written_off" not in await world.journals(deal)


async def test_what_a_release_leaves_open_is_the_operators_loss(world: World) -> None:
    deal, number = await funded(world)
    await taken(world, number, 1050)
    await world.manual_release(deal.id, ADMIN)
    assert await owed(world, deal.id) == 0
    assert await world.wallet(JANE) == 1_000
    assert (await world.journals(deal))[-1] == "written_off"


async def test_a_part_taken_back_of_two_payments_is_covered_and_the_rest_is_the_buyers(
    world: World,
) -> None:
    deal = await world.deal(1_000, buyer=BRIAN)
    first, second = new_reference(), new_reference()
    await world.pay(deal, 950, reference=first)
    await world.pay(deal, 100, reference=second)
    assert str((await world.escrow(deal.id)).status) == "HELD"
    await taken(world, second, 100)
    assert await owed(world, deal.id) == 100
    await world.manual_refund(deal.id, ADMIN)
    assert (await owed(world, deal.id), await world.wallet()) == (0, 950)


async def test_no_payout_follows_by_itself_where_something_is_owed(dsn: str) -> None:
    async with World.open(dsn, auto_payout=True) as world:
        deal = await world.deal(1_000, buyer=BRIAN)
        number, other = new_reference(), new_reference()
        await world.pay(deal, 950, reference=number)
        await world.pay(deal, 100, reference=other)
        await taken(world, other, 100)
        await world.manual_refund(deal.id, ADMIN)
        assert await world.sql("SELECT 1 FROM payouts") == []
        assert await world.wallet() == 950
        await world.books()


async def test_undecided_money_of_an_unpaid_deal_goes_out_of_it(world: World) -> None:
    deal = await world.deal(1_000, buyer=BRIAN)
    number = new_reference()
    await world.pay(deal, 950, reference=number)
    press = await world.button(deal, Action.PROCEED)
    await taken(world, number, 950)
    after = await world.escrow(deal.id)
    assert (str(after.status), after.received) == ("PENDING", kes(0))
    assert (await owed(world, deal.id), await world.wallet()) == (0, 0)
    assert await world.sql("SELECT 1 FROM fraud_flags") == []
    with pytest.raises(CannotDo):
        await world.choices.press(press, BRIAN)
    await world.pay(deal, 1050)
    assert str((await world.escrow(deal.id)).status) == "HELD"


async def test_money_that_went_to_the_wallet_comes_out_of_it_as_far_as_it_reaches(
    world: World,
) -> None:
    deal, _ = await funded(world)
    late = new_reference()
    await world.pay(deal, 300, reference=late)
    assert await world.wallet() == 300
    await world.payouts.book_withdrawal(BRIAN, kes(100), "test:out")
    found = await taken(world, late, 300)
    assert found is not None
    assert (await world.wallet(), await owed(world, deal.id)) == (0, 100)
    assert str((await world.escrow(deal.id)).status) == "FROZEN"


async def test_a_deal_that_lacks_nothing_goes_on(world: World) -> None:
    deal, _ = await funded(world)
    late = new_reference()
    await world.pay(deal, 300, reference=late)
    await taken(world, late, 300)
    assert (await world.wallet(), await owed(world, deal.id)) == (0, 0)
    assert str((await world.escrow(deal.id)).status) == "HELD"


async def test_suspense_is_given_up(world: World) -> None:
    number = new_reference()
    await world.funds.process_escrow_payment(
        world.by_hand(None, kes(500), reference=number), Evidence.STATUS
    )
    await taken(world, number, 500)
    assert (await world.suspense(), await world.receipt_states()) == (0, {number: "REVERSED"})


async def test_of_a_deal_that_is_over_the_admins_only_hear(world: World) -> None:
    deal, number = await funded(world)
    await world.manual_release(deal.id, ADMIN)
    await taken(world, number, 1050)
    after = await world.escrow(deal.id)
    assert (str(after.status), await owed(world, deal.id)) == ("COMPLETED", 1_050)
    assert await world.sql("SELECT 1 FROM fraud_flags") == []
    assert (await world.notice(ADMIN, "receipt_taken_back"))["frozen"] is False


async def test_another_amount_stops_the_deal_and_books_nothing(world: World) -> None:
    deal, number = await funded(world)
    for _ in range(2):
        found = await taken(world, number, 50)
        assert found is not None
        assert found.kind is BreakKind.REVERSED_PART
    assert str((await world.escrow(deal.id)).status) == "FROZEN"
    assert await owed(world, deal.id) == 0
    assert (await world.events(deal)).count("receipt_taken_back") == 1


async def test_what_was_taken_back_before_we_heard_of_it_is_never_credited(world: World) -> None:
    deal = await world.deal(1_000, buyer=BRIAN)
    number = new_reference()
    found = await taken(world, number, 1050)
    assert found is not None
    assert found.kind is BreakKind.UNKNOWN_REVERSAL
    with pytest.raises(CannotDo, match="receipt_decided"):
        await world.pay(deal, 1050, reference=number)
    assert str((await world.escrow(deal.id)).status) == "PENDING"


async def test_a_waiting_receipt_that_was_taken_back_is_closed(world: World) -> None:
    deal = await world.deal(1_000, buyer=BRIAN)
    number = new_reference()
    stored, _ = await world.funds.register_waiting(
        world.by_hand(deal, kes(1050), reference=number), next_check_after=None
    )
    found = await taken(world, number, 1050)
    assert found is not None
    assert found.note == "never_credited"
    with pytest.raises(CannotDo):
        await world.confirmations.confirm_receipt(stored.id, ADMIN, ours=True)
    assert await world.receipt_states() == {number: "IGNORED"}


async def test_a_callback_and_its_reversal_at_once_never_leave_money_that_is_not_there(
    world: World,
) -> None:
    for _ in range(10):
        deal = await world.deal(1_000, buyer=BRIAN)
        number = new_reference()
        by = new_reference()
        await asyncio.gather(
            world.pay(deal, 1050, reference=number),
            taken(world, number, 1050, by=by),
            return_exceptions=True,
        )
        await taken(world, number, 1050, by=by)
        state = (await world.receipt_states()).get(number)
        if state == "REVERSED":
            assert await owed(world, deal.id) == 1_050
        else:
            assert state is None
            assert str((await world.escrow(deal.id)).status) == "PENDING"


async def test_a_reversal_that_an_admin_made_posts_nothing(world: World) -> None:
    deal, number = await funded(world)
    await world.rules("reverse", number, ADMIN, reason="")
    await world.payouts.send_due()
    sent = world.reversals.sent[-1]
    before = await world.snapshot()
    found = await taken(world, number, 1050)
    assert found is not None
    assert found.kind is BreakKind.PAYOUT_SHOWN
    assert await world.snapshot() == before
    await world.intake.store(REVERSAL, sent.token, "POST", "", reversed_body(sent), "127.0.0.1")
    assert await world.settle_inbox() == "paid"
    before = await world.snapshot()
    assert await taken(world, number, 1050) is None
    assert await world.snapshot() == before
    assert await owed(world, deal.id) == 0


async def test_an_admins_file_does_nothing_to_his_own_deals(world: World) -> None:
    deal = await world.deal(1_000, buyer=ADMIN)
    number = new_reference()
    await world.pay(deal, 1050, reference=number, buyer=ADMIN)
    before = await world.snapshot()
    found = await taken(world, number, 1050)
    assert found is not None
    assert (found.kind, found.note) == (BreakKind.REVERSED, "own")
    assert await world.snapshot() == before


async def test_without_a_link_nothing_is_done(world: World) -> None:
    _, number = await funded(world)
    before = await world.snapshot()
    found = await taken(world, number, 1050, linked=False)
    assert found is not None
    assert (found.kind, found.note) == (BreakKind.UNKNOWN_REVERSAL, "no_link")
    assert await world.snapshot() == before


# -- a prompt's payment ----------------------------------------------------------------------------


async def test_a_prompt_whose_waiting_payment_was_taken_back_is_over_and_its_deal_can_be_paid(
    world: World,
) -> None:
    deal = await world.deal(1_000, buyer=BRIAN)
    attempt = await world.prompt(deal)
    world.rail.query_answer = UNREACHABLE
    await world.callback(attempt, "SGAAAA0001")
    found = await taken(world, "SGAAAA0001", 1050)
    assert found is not None
    assert found.note == "never_credited"
    assert "payment_taken_back" in await world.told(BRIAN)
    world.rail.query_answer = PAID
    world.clock.tick(hours=1)
    assert await world.confirmations.look_due() == (0, 0)
    assert await world.status_of(deal) == "PENDING"
    await world.pay(await world.escrow(deal.id), 1_050)
    assert await world.status_of(deal) == "HELD"


async def test_a_prompt_whose_payment_comes_after_its_reversal_leaves_nothing_waiting(
    world: World,
) -> None:
    deal = await world.deal(1_000, buyer=BRIAN)
    attempt = await world.prompt(deal)
    await taken(world, "SGAAAA0001", 1050)
    world.rail.query_answer = UNREACHABLE
    await world.callback(attempt, "SGAAAA0001")
    assert await world.receipt_states() == {"SGAAAA0001": "WAITING"}
    world.rail.query_answer = PAID
    world.clock.tick(minutes=5)
    await world.confirmations.look_due()
    assert await world.receipt_states() == {"SGAAAA0001": "IGNORED"}
    assert (await world.notice(BRIAN, "prompt_failed"))["reason"] == "taken_back"
    world.clock.tick(days=2)
    await world.escrows.cancel_overdue()
    assert await world.status_of(deal) == "CANCELLED"


async def test_a_prompt_paid_by_what_was_taken_back_credits_nothing(world: World) -> None:
    """Its callback was lost; the statement knows the payment and its end, the query not its end."""
    deal = await world.deal(1_000, buyer=BRIAN)
    await world.prompt(deal)
    world.clock.tick(minutes=1)
    lost = world.by_hand(deal, kes(1050), reference="SGAAAA0001", shown="254722***222")
    await world.funds.register_waiting(lost, next_check_after=None)
    await taken(world, "SGAAAA0001", 1050)
    world.rail.query_answer = PAID
    world.clock.tick(minutes=1)
    assert await world.confirmations.look_due() == (1, 0)
    assert await world.status_of(deal) == "PENDING"
    assert await world.receipt_states() == {"SGAAAA0001": "IGNORED"}
    assert (await world.notice(BRIAN, "prompt_failed"))["reason"] == "taken_back"
    assert "held" not in await world.told(JANE)


async def test_a_payment_that_was_taken_back_hides_no_later_one_of_the_same_prompt(
    world: World,
) -> None:
    deal = await world.deal(1_000, buyer=BRIAN)
    await world.prompt(deal)
    world.clock.tick(minutes=1)
    for number in ("SGAAAA0001", "SGAAAA0002"):
        told = world.by_hand(deal, kes(1050), reference=number, shown="254722***222")
        await world.funds.register_waiting(told, next_check_after=None)
        if number == "SGAAAA0001":
            await taken(world, number, 1050)
    world.rail.query_answer = PAID
    world.clock.tick(minutes=1)
    assert await world.confirmations.look_due() == (1, 0)
    assert await world.status_of(deal) == "HELD"
    assert await world.receipt_states() == {"SGAAAA0001": "IGNORED", "SGAAAA0002": "CREDITED"}


async def test_a_prompt_whose_number_turns_out_to_be_taken_back_freezes_its_deal(
    world: World,
) -> None:
    """The reversal was known first, then a query credited the prompt, then its number came."""
    deal = await world.deal(1_000, buyer=BRIAN)
    attempt = await world.prompt(deal)
    await taken(world, "SGAAAA0001", 1050)
    world.rail.query_answer = PAID
    await world.callback(attempt, "SGAAAA0001")
    world.clock.tick(minutes=1)
    await world.confirmations.look_due()
    assert await world.status_of(deal) == "HELD"
    assert await world.receipt_states() == {f"attempt {attempt.id}": "CREDITED"}
    for minutes in (1, 5, 30):
        world.clock.tick(minutes=minutes)
        await world.settle_inbox()
    assert await world.receipt_states() == {"SGAAAA0001": "CREDITED"}
    assert await world.status_of(deal) == "HELD"
    late = ProviderReversals(world.db, world.clock, ADMINS)
    assert await late.book_late() == (1, 0)
    assert await world.status_of(deal) == "FROZEN"
    assert await owed(world, deal.id) == 1_050
    assert "receipt_taken_back" in await world.told(ADMIN)
    assert await late.book_late() == (0, 0)


# -- what is on its way out ------------------------------------------------------------------------


@pytest.mark.parametrize("price", [1_000, 20_000])
async def test_a_release_that_was_not_sent_yet_waits_for_a_person(dsn: str, price: int) -> None:
    async with World.open(dsn, auto_payout=True) as world:
        world.rail.can_ask_status = True
        deal = await world.deal(price, buyer=BRIAN)
        await world.pay(deal, price * 105 // 100, reference="SGLARGE001")
        await world.escrows.receive(deal.id, BRIAN, "test:receive")
        if price == 20_000:  # M-Pesa is asked first, and the statement is faster than its answer
            await world.payouts.send_due()
        await taken(world, "SGLARGE001", price * 105 // 100)
        await world.payouts.send_due()
        assert world.payout_rail.sent == []
        (payout,) = await world.sql("SELECT state, note FROM payouts")
        assert (payout["state"], payout["note"]) == ("MANUAL", "funding_reversed")
        assert "payout_manual" in await world.told(ADMIN)


async def test_what_was_paid_too_much_leaves_the_wallet_that_it_went_to(world: World) -> None:
    deal = await world.deal(1_000, buyer=BRIAN)
    await world.pay(deal, 10_000, reference="SGAAAA0001")
    assert await world.wallet() == 8_950
    await taken(world, "SGAAAA0001", 10_000)
    assert await world.wallet() == 0
    assert await owed(world, deal.id) == 1_050


async def test_what_was_spent_of_it_is_owed(world: World) -> None:
    deal = await world.deal(1_000, buyer=BRIAN)
    await world.pay(deal, 10_000, reference="SGAAAA0001")
    other = await world.deal(5_000, buyer=BRIAN)
    await world.prompts.pay_from_wallet(other.id, BRIAN, "test:wallet")
    left = await world.wallet()
    await taken(world, "SGAAAA0001", 10_000)
    assert await world.wallet() == 0
    assert await owed(world, deal.id) == 10_000 - left
