"""A deal's card offers exactly what its reader may do now: every button leads where FLOW leads."""

from __future__ import annotations

from typing import Any

import pytest
from telegram import InlineKeyboardMarkup

from escrow.bot import deal_buttons, keyboards
from escrow.bot.buttons import Verb, unpack
from escrow.bot.commands import USER_BUTTONS
from escrow.bot.fitting import may
from escrow.domain.flow import Event, Status
from tests.bot import samples

ROLES = ("buyer", "seller", "guest")
EVENTS = {
    Verb.SENT: (Event.SHIP,),
    Verb.DECLINE_ASK: (Event.DECLINE,),
    Verb.RECEIVED: (Event.DELIVER,),
    Verb.RELEASE: (Event.RELEASE,),
    Verb.DISPUTE: (Event.DISPUTE,),
    Verb.SETTLE: (Event.SETTLE,),
    Verb.EXTEND: (Event.EXTEND,),
    Verb.WITHDRAW_ASK: (Event.WITHDRAW_DISPUTE,),
    Verb.CANCEL_ASK: (Event.CANCEL,),
}
"""Button → the event it begins."""


def _card(role: str, status: Status, **changes: Any) -> list[Verb]:
    if status is Status.DISPUTED:
        changes.setdefault("dispute", samples.dispute("x", "buyer"))
    return _verbs(keyboards.deal(samples.view("x", role, status=status, **changes)))


def _verbs(keyboard: InlineKeyboardMarkup | None) -> list[Verb]:
    rows = keyboard.inline_keyboard if keyboard else ()
    found = [unpack(button.callback_data) for row in rows for button in row]
    return [button.verb for button in found if button]


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("role", ROLES)
def test_no_button_stands_where_flow_has_no_way(role: str, status: Status) -> None:
    escrow = samples.escrow("x", status)
    for verb in _card(role, status):
        assert any(may(escrow, role, event) for event in EVENTS.get(verb, ())) or (
            verb not in EVENTS
        ), verb
        assert verb in USER_BUTTONS, verb


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("role", ["buyer", "seller"])
@pytest.mark.parametrize(
    "verb", [Verb.SENT, Verb.DECLINE_ASK, Verb.RECEIVED, Verb.RELEASE, Verb.SETTLE, Verb.CANCEL_ASK]
)
def test_what_flow_allows_is_one_tap_away(role: str, status: Status, verb: Verb) -> None:
    escrow = samples.escrow("x", status)
    allowed = any(may(escrow, role, event) for event in EVENTS[verb])
    assert (verb in _card(role, status)) == allowed


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("role", ROLES)
def test_a_card_stays_small(role: str, status: Status) -> None:
    keyboard = keyboards.deal(samples.view("x", role, status=status))
    for row in keyboard.inline_keyboard if keyboard else ():
        assert len(row) <= 2 or all(len(button.text) <= 4 for button in row)
    assert len(keyboard.inline_keyboard if keyboard else ()) <= 7


def test_each_side_of_a_paid_deal_sees_its_steps() -> None:
    assert _card("seller", Status.HELD) == [
        Verb.SENT,
        Verb.DISPUTE,
        Verb.MESSAGE,
        Verb.EXTEND,
        Verb.DECLINE_ASK,
        Verb.SETTLE,
        Verb.HELP_DEAL,
    ]
    assert _card("buyer", Status.HELD)[0] is Verb.RECEIVED
    assert _card("buyer", Status.SHIPPED)[:2] == [Verb.RECEIVED, Verb.DISPUTE]
    assert _card("buyer", Status.DELIVERED)[0] is Verb.RELEASE
    assert _card("seller", Status.FROZEN) == [Verb.MESSAGE, Verb.HELP_DEAL]


def test_more_time_is_for_whose_time_runs_and_once() -> None:
    for status, role in ((Status.HELD, "seller"), (Status.SHIPPED, "buyer")):
        other = {"seller": "buyer", "buyer": "seller"}[role]
        assert Verb.EXTEND in _card(role, status)
        assert Verb.EXTEND not in _card(other, status)
        assert Verb.EXTEND not in _card(role, status, extended_at=samples.NOW)


def test_only_whoever_raised_a_dispute_withdraws_it_and_once() -> None:
    assert Verb.WITHDRAW_ASK in _card("buyer", Status.DISPUTED)
    assert Verb.WITHDRAW_ASK not in _card("seller", Status.DISPUTED)
    assert Verb.WITHDRAW_ASK not in _card("buyer", Status.DISPUTED, withdrawn=True)
    both = {Verb.EVIDENCE, Verb.SEE_EVIDENCE, Verb.SETTLE, Verb.MESSAGE}
    for role in ("buyer", "seller"):
        assert both <= set(_card(role, Status.DISPUTED))


def test_a_proposal_is_accepted_or_refused_by_its_seller() -> None:
    proposal = {"opened_by": 3001, "pay_by": None}
    assert _card("seller", Status.PENDING, **proposal)[:2] == [Verb.ACCEPT, Verb.REFUSE]
    assert Verb.ACCEPT not in _card("buyer", Status.PENDING, **proposal)
    accepted = {"opened_by": 3001, "joined_at": samples.NOW}
    assert Verb.ACCEPT not in _card("seller", Status.PENDING, **accepted)


def test_what_is_over_is_rated_by_its_buyer_and_done_again() -> None:
    for status in (Status.COMPLETED, Status.REFUNDED):
        assert _card("buyer", status).count(Verb.STARS) == 5
        assert Verb.STARS not in _card("seller", status)
        assert Verb.AGAIN in _card("seller", status)
    assert Verb.STARS not in _card("buyer", Status.CANCELLED)


def test_yes_names_the_shop_in_a_label_that_fits() -> None:
    long = samples.escrow("The Very Long Shop Name Of Nairobi And Kisumu", Status.SHIPPED)
    label = deal_buttons.pay_seller(long).inline_keyboard[0][0].text
    assert label.startswith("Yes, pay The Very Long Shop")
    assert len(label) <= 30
