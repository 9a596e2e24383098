"""A deal's card says the amount, where it stands and the next step to whoever reads it."""

from __future__ import annotations

from typing import Any

import pytest

from escrow.bot import deal_texts
from escrow.domain.flow import Status
from escrow.domain.model import AttemptState
from escrow.domain.terms import Shares
from escrow.services.ports import Answer, Verdict
from escrow.services.prompts import Started
from sandbox.telegram_html import parse_html
from tests.bot import samples


def _card(role: str = "buyer", **changes: Any) -> str:
    view = samples.view("Blue phone case", role, **changes)
    return parse_html(str(deal_texts.deal_card(view, samples.page())))[0]


@pytest.mark.parametrize("status", list(Status))
def test_every_status_has_words(status: Status) -> None:
    words = str(deal_texts.status_words(status))
    assert words
    assert words == words.lower()
    assert _card(status=status).startswith(f"KES 10,500 · {words}")


def test_each_side_reads_its_own_amount() -> None:
    assert _card("buyer").startswith("KES 10,500")
    assert _card("seller").startswith("KES 10,000")
    assert _card("seller", status=Status.HELD, held_price=samples.kes(9_000)).startswith(
        "KES 9,000"
    )


def test_price_and_fee_are_told_apart() -> None:
    assert "Price KES 10,000 + fee KES 500" in _card()
    assert "fee" not in _card(due=samples.kes(10_000))


@pytest.mark.parametrize(
    "status", [Status.SHIPPED, Status.DISPUTED, Status.COMPLETED, Status.CANCELLED]
)
def test_no_step_is_named_where_there_is_none(status: Status) -> None:
    for role in ("buyer", "seller"):
        text = _card(role, status=status)
        assert "Pay by" not in text
        assert "send it by" not in text


def test_a_divided_deal_says_what_each_side_got() -> None:
    shares = Shares(samples.kes(4_750), samples.kes(5_250), samples.kes(250))
    over = samples.escrow("x", Status.COMPLETED, finished_at=samples.NOW)
    listed = {
        role: deal_texts.deals([(over, role)], {over.id: shares}, samples.page())
        for role in ("buyer", "seller")
    }
    assert "you got KES 4,750 ·" in listed["seller"]
    assert "you got KES 5,250 back" in listed["buyer"]
    assert _card("seller", status=Status.COMPLETED, shares=shares).startswith("KES 4,750 ·")
    assert "KES 4,750 to the seller, KES 5,250 back" in _card("buyer", shares=shares)


def test_before_paying_everything_mpesa_will_show_is_named() -> None:
    started = Started(samples.attempt(), Answer(Verdict.PENDING))
    text = deal_texts.phone_asks(started, samples.escrow("x"), samples.page())
    for words in ("0712***678", "KES 10,500", "AMANA LTD", samples.CODE, "its own charge"):
        assert words in text
    assert "254712345678" not in text
    assert "another name" in text


def test_a_seller_reads_what_she_gets_in_her_list() -> None:
    seller, buyer = (
        deal_texts.deals([(samples.escrow("x"), role)], {}, samples.page())
        for role in ("seller", "buyer")
    )
    assert "you get KES 10,000" in seller
    assert "KES 10,500" in buyer


def test_a_prompt_that_was_started_before_says_no_more_than_is_known() -> None:
    pending = Answer(Verdict.PENDING)
    paid = Started(samples.attempt(state=AttemptState.PAID), pending, repeated=True)
    assert "KES 10,500 is paid" in deal_texts.prompt_ended(paid, samples.page())
    lost = Started(samples.attempt(checkout_request_id=None), pending, repeated=True)
    text = deal_texts.prompt_unknown(lost, samples.page())
    assert "don't know yet whether your phone rings" in text
    assert "Look at your phone" not in text


def test_a_reservation_is_told_only_where_there_is_one() -> None:
    deal, amount, page = samples.escrow("x"), samples.kes(10_500), samples.page()
    assert "30 minutes" in deal_texts.by_hand(deal, amount, page, reserved=True)
    assert "30 minutes" not in deal_texts.by_hand(deal, amount, page, reserved=False)
