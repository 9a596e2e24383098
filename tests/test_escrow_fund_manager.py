"""The seed's payment scenarios, to the cent: 100 + 5 = 105 dollars, and 10,000 + 500 = 10,500
shillings. Amounts are exact Decimals; `world.accounts` is (received, holding, pending fee).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from escrow.domain.errors import BooksBroken, ChoiceRefused, LimitReached
from escrow.domain.flow import Status
from escrow.domain.model import AttemptState, Evidence, PaymentOutcome
from escrow.domain.money import Currency
from escrow.domain.terms import FeePayer
from escrow.services.choice_tokens import Action
from escrow.services.fund_manager import EscrowHoldingVerifier
from escrow.store import ledger
from tests.rail import PAID
from tests.world import BRIAN, JANE, World, kes, new_reference, usd


@pytest.fixture
async def world(dsn: str) -> AsyncIterator[World]:
    async with World.open(dsn) as opened:
        yield opened
        await opened.books()


def breakdown(held: str, fee: str, over: str = "0", waived: str = "0") -> dict[str, Decimal]:
    return {
        "escrow_held": Decimal(held),
        "platform_fee": Decimal(fee),
        "overpayment_credited": Decimal(over),
        "shortage_waived": Decimal(waived),
    }


# -- scenario 1: exact ---------------------------------------------------------------------------


async def test_process_payment_with_exact_amount(world: World) -> None:
    deal = await world.usd_deal()
    result = await world.pay(deal, 105)
    assert result.success
    assert result.outcome is PaymentOutcome.FUNDED
    assert result.status is Status.HELD
    assert result.fund_breakdown == breakdown("100", "5")
    assert await world.accounts(deal) == (0, 100, 5)
    assert await world.wallet(BRIAN, Currency.USD) == 0
    assert await world.events(deal) == ["open", "join", "fund"]
    assert await world.journals(deal) == ["receipt", "fund"]
    assert await world.told(BRIAN) == ["funded"]
    assert await world.told(JANE) == ["held"]


async def test_exact_shillings_hold_the_price_and_set_the_fee_aside(world: World) -> None:
    deal = await world.deal(10_000)
    result = await world.pay(deal, 10_500)
    assert result.fund_breakdown == breakdown("10000", "500")
    assert await world.accounts(deal) == (0, 10_000, 500)
    held = await world.escrow(deal.id)
    assert (held.held_price, held.held_fee) == (kes(10_000), kes(500))
    assert held.ship_by == world.clock.now() + world.terms.ship_window


async def test_the_breakdown_is_exact_decimals_never_floats(world: World) -> None:
    deal = await world.usd_deal()
    result = await world.pay(deal, "110.01")
    assert result.fund_breakdown == breakdown("100", "5", "5.01")
    assert {type(value) for value in result.fund_breakdown.values()} == {Decimal}
    assert str(result.fund_breakdown["overpayment_credited"]) == "5.01"


# -- scenario 2: over ----------------------------------------------------------------------------


async def test_process_payment_with_overpayment(world: World) -> None:
    deal = await world.usd_deal()
    result = await world.pay(deal, 110)
    assert result.outcome is PaymentOutcome.FUNDED
    assert result.fund_breakdown == breakdown("100", "5", "5")
    assert await world.accounts(deal) == (0, 100, 5)
    assert await world.wallet(BRIAN, Currency.USD) == 5
    assert await world.told(BRIAN) == ["funded_over"]
    assert (await world.notice(BRIAN, "funded_over"))["excess"] == "USD 5"


async def test_the_excess_is_a_journal_of_its_own(world: World) -> None:
    deal = await world.usd_deal()
    await world.pay(deal, 110)
    assert await world.journals(deal) == ["receipt", "fund", "overpayment"]
    rows = await world.sql(
        "SELECT a.kind, e.amount_minor FROM ledger_entries e"
        " JOIN ledger_accounts a ON a.id = e.account_id"
        " JOIN ledger_journals j ON j.id = e.journal_id WHERE j.kind = 'overpayment' ORDER BY e.id"
    )
    assert [(row["kind"], row["amount_minor"]) for row in rows] == [
        ("received", -500),
        ("wallet", 500),
    ]


async def test_one_cent_too_much_is_credited_too(world: World) -> None:
    deal = await world.usd_deal()
    await world.pay(deal, "105.01")
    assert await world.accounts(deal) == (0, 100, 5)
    assert await world.wallet(BRIAN, Currency.USD) == Decimal("0.01")


# -- scenario 3a: a tolerated shortage -----------------------------------------------------------


async def test_process_payment_with_underpayment(world: World) -> None:
    deal = await world.usd_deal()
    result = await world.pay(deal, 104)
    assert result.outcome is PaymentOutcome.FUNDED
    assert result.fund_breakdown == breakdown("100", "4", waived="1")
    assert await world.accounts(deal) == (0, 100, 4)
    assert await world.told(BRIAN) == ["funded_short"]
    assert await world.told(JANE) == ["held"], "the fee bears the shortage, not the seller"


async def test_the_least_that_is_tolerated_is_accepted_and_one_cent_less_is_not(
    world: World,
) -> None:
    accepted, refused = await world.usd_deal(), await world.usd_deal()
    assert (await world.pay(accepted, "101.85")).outcome is PaymentOutcome.FUNDED
    assert await world.accounts(accepted) == (0, 100, Decimal("1.85"))
    assert (await world.pay(refused, "101.84")).outcome is PaymentOutcome.CHOICE


async def test_a_waiver_that_reaches_the_price_is_told_to_the_seller(world: World) -> None:
    deal = await world.usd_deal(105, fee_percent=0)
    result = await world.pay(deal, 104)
    assert result.fund_breakdown == breakdown("104", "0", waived="1")
    assert await world.accounts(deal) == (0, 104, 0), "due 105 without fee: 104 holds 104"
    assert await world.told(JANE) == ["held_less"]
    assert (await world.notice(JANE, "held_less"))["gets"] == "USD 104"


async def test_three_tolerated_shortages_in_thirty_days_are_one_low_flag(world: World) -> None:
    for number in range(4):
        assert await _flags(world) == ([] if number < 3 else [("LOW", "repeated_shortage", BRIAN)])
        await world.pay(await world.usd_deal(), 104)
        world.clock.tick(days=9)
    assert len(await _flags(world)) == 1, "a fourth one raises no second flag while one is open"


async def test_shortages_of_an_older_month_or_of_somebody_else_flag_nobody(world: World) -> None:
    await world.pay(await world.usd_deal(), 104)
    await world.pay(await world.usd_deal(), 104)
    world.clock.tick(days=30, seconds=1)
    await world.pay(await world.usd_deal(), 104)
    await world.pay(await world.usd_deal(), 104, buyer=3002)
    await world.pay(await world.usd_deal(), 105)
    assert await _flags(world) == []


async def _flags(world: World) -> list[tuple[str, str, int]]:
    rows = await world.sql("SELECT severity, flag_type, telegram_id FROM fraud_flags ORDER BY id")
    return [(row["severity"], row["flag_type"], row["telegram_id"]) for row in rows]


# -- scenario 3b: a moderate shortage ------------------------------------------------------------


async def test_a_moderate_shortage_waits_for_the_buyers_choice(world: World) -> None:
    deal = await world.usd_deal()
    result = await world.pay(deal, 98)
    assert result.outcome is PaymentOutcome.CHOICE
    assert not result.success
    assert result.status is Status.PENDING
    assert result.choice_id is not None
    assert result.fund_breakdown == breakdown("0", "0")
    assert await world.accounts(deal) == (98, 0, 0)
    assert await world.told(JANE) == [], "nothing is held, so the seller hears nothing"
    said = await world.notice(BRIAN, "underpaid")
    assert (said["received"], said["missing"], said["due"]) == ("USD 98", "USD 7", "USD 105")
    assert said["expires_at"] == (world.clock.now() + world.terms.choice_window).isoformat()
    assert "choice_offered" in await world.events(deal)


async def test_the_least_that_leaves_a_choice_does_and_one_cent_less_does_not(
    world: World,
) -> None:
    chosen, refunded = await world.usd_deal(), await world.usd_deal()
    assert (await world.pay(chosen, "95.55")).outcome is PaymentOutcome.CHOICE
    assert (await world.pay(refunded, "95.54")).outcome is PaymentOutcome.REFUNDED_TO_WALLET


async def test_partial_by_choice_scales_fee_and_price(world: World) -> None:
    deal = await world.deal(10_000)
    await world.pay(deal, 9_800)
    await world.press(deal, Action.PROCEED)
    assert await world.status_of(deal) == "HELD"
    assert await world.accounts(deal) == (0, Decimal("9333.33"), Decimal("466.67"))
    assert await world.told(BRIAN) == ["underpaid", "funded_partial"]
    assert await world.told(JANE) == ["held_less"]
    assert (await world.notice(JANE, "held_less"))["gets"] == "KES 9,333.33"


async def test_partial_by_choice_without_a_fee_holds_what_was_received(world: World) -> None:
    deal = await world.usd_deal(105, fee_percent=0)
    await world.pay(deal, 98)
    await world.press(deal, Action.PROCEED)
    assert await world.accounts(deal) == (0, 98, 0)


async def test_completed_by_mpesa_is_funded_in_full(world: World) -> None:
    deal = await world.deal(10_000)
    await world.pay(deal, 9_800)
    pressed = await world.press(deal, Action.COMPLETE)
    assert pressed.choice.missing == kes(700)
    assert await world.accounts(deal) == (9_800, 0, 0), "the button alone moves nothing"
    attempt = await world.prompt(deal, choice_id=pressed.choice.id)
    assert attempt.amount == kes(700)
    world.rail.query_answer = PAID
    assert await world.callback(attempt, new_reference()) == "funded"
    assert await world.accounts(deal) == (0, 10_000, 500)
    assert await world.told(BRIAN) == ["underpaid", "funded"]
    assert (await world.attempt(attempt)).state is AttemptState.PAID


async def test_completed_from_the_wallet_is_funded_in_full(world: World) -> None:
    await world.give(BRIAN, usd(10))
    deal = await world.usd_deal()
    await world.pay(deal, 98)
    pressed = await world.press(deal, Action.COMPLETE)
    assert pressed.wallet == usd(10)
    held = await world.prompts.pay_from_wallet(
        deal.id, BRIAN, "update:7", choice_id=pressed.choice.id
    )
    assert held.status is Status.HELD
    assert await world.accounts(deal) == (0, 100, 5)
    assert await world.wallet(BRIAN, Currency.USD) == 3


async def test_completed_by_hand_is_funded_and_closes_the_choice(world: World) -> None:
    deal = await world.deal(10_000)
    await world.pay(deal, 9_800)
    button = await world.button(deal, Action.PROCEED)
    assert (await world.pay(deal, 800)).fund_breakdown == breakdown("10000", "500", "100")
    assert await world.wallet() == 100
    with pytest.raises(ChoiceRefused):
        await world.choices.press(button, BRIAN)


async def test_cancelled_by_choice_returns_everything_to_the_wallet(world: World) -> None:
    deal = await world.usd_deal()
    await world.pay(deal, 98)
    await world.press(deal, Action.CANCEL)
    assert await world.status_of(deal) == "CANCELLED"
    assert await world.accounts(deal) == (0, 0, 0)
    assert await world.wallet(BRIAN, Currency.USD) == 98
    assert await world.told(BRIAN) == ["underpaid", "cancelled_refund"]
    assert await world.told(JANE) == ["cancelled"]
    assert (await world.notice(JANE, "cancelled"))["returned"] is None


async def test_an_expired_window_returns_the_money_and_the_deal_waits_on(world: World) -> None:
    deal = await world.usd_deal()
    await world.pay(deal, 98)
    world.clock.tick(minutes=10)
    assert await world.choices.expire() == (1, 1)
    assert await world.status_of(deal) == "PENDING"
    assert await world.accounts(deal) == (0, 0, 0)
    assert await world.wallet(BRIAN, Currency.USD) == 98
    assert await world.told(BRIAN) == ["underpaid", "window_over"]
    assert await world.choices.expire() == (0, 0)
    assert (await world.pay(deal, 105)).outcome is PaymentOutcome.FUNDED, "it can be paid again"


async def test_a_window_that_ends_while_the_program_is_down_is_swept_after_the_restart(
    world: World,
) -> None:
    deal = await world.usd_deal()
    await world.pay(deal, 98)
    world.clock.tick(hours=3)
    async with world.restarted() as after:
        assert await after.choices.expire() == (1, 1)
    assert await world.wallet(BRIAN, Currency.USD) == 98
    assert await world.status_of(deal) == "PENDING"


# -- scenario 3c: a large shortage ---------------------------------------------------------------


async def test_a_large_shortage_goes_to_the_wallet_at_once(world: World) -> None:
    deal = await world.usd_deal()
    result = await world.pay(deal, 85)
    assert result.outcome is PaymentOutcome.REFUNDED_TO_WALLET
    assert result.status is Status.PENDING
    assert await world.accounts(deal) == (0, 0, 0)
    assert await world.wallet(BRIAN, Currency.USD) == 85
    said = await world.notice(BRIAN, "too_short")
    assert (said["received"], said["missing"], said["due"]) == ("USD 85", "USD 20", "USD 105")
    assert await world.events(deal) == ["open", "join", "auto_refund"]


async def test_after_a_large_shortage_the_right_amount_funds_the_deal(world: World) -> None:
    deal = await world.usd_deal()
    await world.pay(deal, 85)
    assert (await world.pay(deal, 105)).outcome is PaymentOutcome.FUNDED
    assert await world.accounts(deal) == (0, 100, 5)
    assert await world.wallet(BRIAN, Currency.USD) == 85


async def test_the_refund_of_a_large_shortage_can_fund_the_deal_with_the_rest(
    world: World,
) -> None:
    deal = await world.deal(10_000)
    await world.pay(deal, 8_500)
    attempt = await world.prompt(deal, use_wallet=True)
    assert (attempt.amount, attempt.wallet_part) == (kes(2_000), kes(8_500))
    world.rail.query_answer = PAID
    await world.callback(attempt, new_reference())
    assert await world.accounts(deal) == (0, 10_000, 500)
    assert await world.wallet() == 0


# -- who bears the fee ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fee_payer", "due", "held", "fee"),
    [
        (FeePayer.BUYER, "10500", "10000", "500"),
        (FeePayer.SELLER, "10000", "9500", "500"),
        (FeePayer.SPLIT, "10250", "9750", "500"),
    ],
)
async def test_whoever_bears_the_fee_it_is_set_aside_whole(
    world: World, fee_payer: FeePayer, due: str, held: str, fee: str
) -> None:
    deal = await world.deal(10_000, fee_payer=fee_payer)
    assert deal.due == kes(due)
    result = await world.pay(deal, due)
    assert result.fund_breakdown == breakdown(held, fee)
    assert await world.accounts(deal) == (0, Decimal(held), Decimal(fee))
    assert await world.told(JANE) == ["held"]


@pytest.mark.parametrize(
    ("fee_payer", "paid", "held", "fee", "waived"),
    [
        (FeePayer.BUYER, "10200", "10000", "200", "300"),
        (FeePayer.SELLER, "9700", "9500", "200", "300"),
        (FeePayer.SPLIT, "9950", "9750", "200", "300"),
    ],
)
async def test_a_waiver_is_taken_from_the_fee_first(
    world: World, fee_payer: FeePayer, paid: str, held: str, fee: str, waived: str
) -> None:
    deal = await world.deal(10_000, fee_payer=fee_payer)
    result = await world.pay(deal, paid)
    assert result.fund_breakdown == breakdown(held, fee, waived=waived)
    assert await world.told(JANE) == ["held"]


async def test_a_waiver_larger_than_the_fee_takes_the_rest_from_the_price(world: World) -> None:
    deal = await world.deal(10_000, fee_percent=1)
    result = await world.pay(deal, 9_900)
    assert result.fund_breakdown == breakdown("9900", "0", waived="200")
    assert await world.accounts(deal) == (0, 9_900, 0)
    assert await world.told(JANE) == ["held_less"]


# -- the holding is verified where it was made ---------------------------------------------------


async def test_verify_holding_created_sees_uncommitted_rows_on_the_same_connection(
    world: World,
) -> None:
    """ES1008257625: another connection can't see the holding before the commit, this one must."""
    deal = await world.usd_deal(buyer=BRIAN)
    seen: dict[str, object] = {}
    real = EscrowHoldingVerifier.verify_holding_created

    async def spy(escrow_id: str, expected: object, conn: object, **kwargs: object) -> object:
        held = await real(escrow_id, expected, conn, **kwargs)  # type: ignore[arg-type]
        seen["here"] = held
        seen["elsewhere"] = await world.accounts(deal)
        return held

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EscrowHoldingVerifier, "verify_holding_created", staticmethod(spy))
        await world.pay(deal, 105)
    assert seen == {"here": usd(100), "elsewhere": (0, 0, 0)}


@pytest.mark.parametrize("wrong", [99, "100.01", 105])
async def test_a_holding_of_another_amount_is_refused(world: World, wrong: int | str) -> None:
    deal = await world.usd_deal()
    await world.pay(deal, 105)
    async with world.db.reading() as conn:
        verify = EscrowHoldingVerifier.verify_holding_created
        assert await verify(deal.id, usd(100), conn, fee=usd(5)) == usd(100)
        with pytest.raises(BooksBroken, match=deal.id):
            await verify(deal.id, usd(wrong), conn)
        with pytest.raises(BooksBroken):
            await verify(deal.id, usd(100), conn, fee=usd("4.99"))


async def test_a_payment_whose_holding_is_wrong_leaves_nothing_behind(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    deal = await world.usd_deal(buyer=BRIAN)
    before = await world.snapshot()
    real = ledger.held

    async def one_cent_off(conn: object, owner: str, currency: Currency) -> object:
        holding, fee = await real(conn, owner, currency)  # type: ignore[arg-type]
        return holding - usd("0.01"), fee

    monkeypatch.setattr(ledger, "held", one_cent_off)
    receipt = world.by_hand(deal, usd(105))
    with pytest.raises(BooksBroken):
        await world.funds.process_escrow_payment(receipt, Evidence.STATUS)
    monkeypatch.undo()
    assert await world.snapshot() == before
    result = await world.funds.process_escrow_payment(receipt, Evidence.STATUS)
    assert result.outcome is PaymentOutcome.FUNDED, "the same receipt is credited afterwards"


# -- paid from the wallet ------------------------------------------------------------------------


async def test_a_deal_paid_from_the_wallet_takes_exactly_what_is_due(world: World) -> None:
    await world.give(BRIAN, kes(12_000))
    deal = await world.deal(10_000)
    await world.prompts.pay_from_wallet(deal.id, BRIAN, "update:9")
    assert await world.accounts(deal) == (0, 10_000, 500)
    assert await world.wallet() == 1_500
    assert await world.events(deal) == ["open", "join", "fund"]


async def test_a_wallet_that_is_one_cent_short_pays_nothing(world: World) -> None:
    await world.give(BRIAN, kes("10499.99"))
    deal = await world.deal(10_000)
    with pytest.raises(LimitReached) as refused:
        await world.prompts.pay_from_wallet(deal.id, BRIAN, "update:9")
    assert refused.value.values == {"missing": kes("0.01"), "wallet": kes("10499.99")}
    assert await world.accounts(deal) == (0, 0, 0)
    assert await world.status_of(deal) == "PENDING"
