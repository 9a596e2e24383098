"""What a decision did."""

from __future__ import annotations

import pytest

from escrow.bot import admin_texts
from escrow.domain.model import ReceiptState
from tests.bot import samples


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (ReceiptState.CREDITED, "credited"),
        (ReceiptState.SUSPENSE, "suspense"),
        (ReceiptState.IGNORED, "not ours"),
        (ReceiptState.REVERSED, "REVERSED"),
    ],
)
def test_a_decided_receipt_says_what_became_of_it(state: ReceiptState, words: str) -> None:
    receipt = samples.receipt("SKN0000042", state)
    text = admin_texts.receipt_decided(receipt, samples.page())
    assert words in text
    assert "SKN0000042" in text
