"""A command without a code means only deals that it can be done to."""

from __future__ import annotations

import pytest

from escrow.bot.buttons import Verb
from escrow.bot.fitting import fitting
from escrow.domain.flow import Status
from tests.bot import samples

ROWS = [(samples.escrow("x", status), role) for status in Status for role in ("buyer", "seller")]


@pytest.mark.parametrize(
    ("verb", "fits"),
    [
        (Verb.PAY, {(Status.PENDING, "buyer")}),
        (Verb.CANCEL, {(Status.PENDING, "buyer"), (Status.PENDING, "seller")}),
        (Verb.DECLINE, {(Status.HELD, "seller")}),
        (Verb.SENT, {(Status.HELD, "seller")}),
        (
            Verb.RECEIVED,
            {(Status.HELD, "buyer"), (Status.SHIPPED, "buyer"), (Status.DELIVERED, "buyer")},
        ),
    ],
)
def test_only_deals_that_allow_it_fit(verb: Verb, fits: set[tuple[Status, str]]) -> None:
    assert {(escrow.status, role) for escrow, role in fitting(ROWS, verb)} == fits


def test_every_deal_can_be_shown() -> None:
    assert fitting(ROWS, Verb.SHOW) == ROWS
