"""The few answers that records give about themselves."""

from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from escrow.domain import model
from escrow.domain.flow import Actor, Status
from escrow.domain.model import (
    Attempt,
    AttemptState,
    By,
    Choice,
    Escrow,
    PaymentOutcome,
    PaymentResult,
    SellerStatus,
)
from escrow.domain.money import Currency, Money
from escrow.domain.terms import DEFAULT_TIERS

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
KES = Currency.KES

DEAL = Escrow(
    id="ES0000000018",
    seller_id=1,
    seller_telegram_id=2001,
    shop_name="Jane Shop",
    seller_status=SellerStatus.VERIFIED,
    buyer_telegram_id=None,
    opened_by=2001,
    description="Blue phone case",
    currency=KES,
    price=Money(100_00, KES),
    fee=Money(5_00, KES),
    due=Money(105_00, KES),
    fee_payer="buyer",
    held_price=None,
    held_fee=None,
    tiers=tuple(DEFAULT_TIERS["KES"]),
    terms={},
    status=Status.PENDING,
    version=1,
    received=Money(0, KES),
    pay_by=NOW,
    ship_by=None,
    release_at=None,
    created_at=NOW,
    funded_at=None,
)
PROMPT = Attempt(
    id=1,
    token="0" * 32,
    escrow_id=DEAL.id,
    telegram_id=3001,
    phone="254722000222",
    amount=DEAL.due,
    wallet_part=Money(0, KES),
    choice_id=None,
    state=AttemptState.CREATED,
    checkout_request_id=None,
    result_code=None,
    chat_message_id=None,
    created_at=NOW,
    prompted_at=None,
    claimed_at=None,
    queries=0,
)

RECORDS = [
    kind
    for kind in vars(model).values()
    if is_dataclass(kind) and kind.__module__ == model.__name__
]


@pytest.mark.parametrize(
    ("by", "written"),
    [
        (By(Actor.BUYER, 3001), "buyer:3001"),
        (By(Actor.ADMIN, 1001), "admin:1001"),
        (By(Actor.TIMER), "timer"),
        (By(Actor.PARTIES), "parties"),
    ],
)
def test_who_did_it_is_written_as_the_timeline_keeps_it(by: By, written: str) -> None:
    assert str(by) == written


def test_a_deal_can_be_paid_while_it_waits_for_a_verified_sellers_money() -> None:
    assert DEAL.can_be_paid
    assert not replace(DEAL, pay_by=None).can_be_paid, "nobody has accepted it yet"


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.PENDING])
def test_a_deal_in_another_status_takes_no_money(status: Status) -> None:
    assert not replace(DEAL, status=status).can_be_paid


@pytest.mark.parametrize("status", [SellerStatus.PENDING, SellerStatus.SUSPENDED])
def test_a_deal_of_a_seller_who_is_not_verified_takes_no_money(status: SellerStatus) -> None:
    assert not replace(DEAL, seller_status=status).can_be_paid


@pytest.mark.parametrize("state", AttemptState)
def test_a_prompt_is_open_until_it_is_answered(state: AttemptState) -> None:
    is_open = state in (AttemptState.CREATED, AttemptState.PROMPTED)
    assert replace(PROMPT, state=state).is_open is is_open


def test_a_choice_says_what_is_missing() -> None:
    choice = Choice(1, DEAL.id, 3001, Money(105_00, KES), Money(98_00, KES), NOW)
    assert choice.missing == Money(7_00, KES)


@pytest.mark.parametrize("outcome", PaymentOutcome)
@pytest.mark.parametrize("held", [0, 100])
def test_a_payment_succeeded_when_it_funded_its_deal(outcome: PaymentOutcome, held: int) -> None:
    """Late money on a deal that is held already goes to a wallet: that is no success of its own."""
    breakdown = {"escrow_held": Decimal(held)}
    result = PaymentResult(outcome, DEAL.id, Status.HELD, 1, breakdown)
    assert result.success is (held > 0)
    assert not PaymentResult(outcome, DEAL.id, Status.HELD, 1).success


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
def test_a_record_does_not_change_and_takes_nothing_unnamed(kind: type) -> None:
    record = object.__new__(kind)
    first = fields(kind)[0].name
    with pytest.raises(FrozenInstanceError):
        setattr(record, first, "other")
    assert not hasattr(record, "__dict__")


def test_every_status_of_a_record_is_a_word_the_database_knows() -> None:
    for kind in (SellerStatus, AttemptState, model.ReceiptState):
        assert all(str(word) == word.name for word in kind)
    for kind in (model.Channel, model.Evidence, PaymentOutcome):
        assert all(str(word) == word.name.lower() for word in kind)
