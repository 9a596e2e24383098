"""M-Pesa messages name a receipt, an amount and a deal, in English and Kiswahili."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from escrow.domain.claims import Claim, ClaimState, looks_like_message, read_message

ENGLISH = (
    "SG632NMUAB Confirmed. Ksh1,520.00 sent to AMANA LTD for account ES1008257626 on 23/11/26 at "
    "9:00 AM New M-PESA balance is Ksh320.00. Transaction cost, Ksh0.00.Amount you can transact "
    "within the day is 498,480.00."
)
KISWAHILI = (
    "SG632NMUAB Imethibitishwa. Ksh1,520.00 imetumwa kwa AMANA LTD kwa akaunti ES1008257626 tarehe "
    "23/11/26 saa 9:00 AM. Salio lako jipya la M-PESA ni Ksh320.00. Gharama ya kutuma ni Ksh0.00."
)


@pytest.mark.parametrize("text", [ENGLISH, KISWAHILI])
def test_a_pasted_message_names_receipt_amount_and_deal(text: str) -> None:
    read = read_message(text)
    assert read is not None
    assert (read.reference, read.deal) == ("SG632NMUAB", "ES1008257626")
    assert read.amount is not None
    assert read.amount.to_decimal() == Decimal(1520)
    assert looks_like_message(text)


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("SG632NMUAB", "SG632NMUAB"),
        ("sg632nmuab", "SG632NMUAB"),
        ("  \n\u201cSG632NMUAB Confirmed.You have received Ksh500.00 from JOHN", "SG632NMUAB"),
        ("SG632NMUAB Confirmed. KES 500 paid to AMANA. on 1/12/26", "SG632NMUAB"),
        ("SG632NMUAB Confirmed. Ksh999,999,999,999,999.00 sent", "SG632NMUAB"),
        ("ES10082576", None),
        ("ES1008257626", None),
        ("0712345678", None),
        ("UKNHDUFXFY", "UKNHDUFXFY"),  # one in ten has no digit
        ("goodevenin", None),
        ("SG632NMUABX", None),
        ("I paid SG632NMUAB", None),
        ("", None),
    ],
)
def test_a_receipt_stands_at_the_beginning(text: str, reference: str | None) -> None:
    read = read_message(text)
    assert (read.reference if read else None) == reference


def test_an_account_that_is_no_code_names_no_deal() -> None:
    for account in ("0712345678", "rent", "ES1008257625"):
        read = read_message(f"SG632NMUAB Confirmed. Ksh5.00 sent to X for account {account} on 1")
        assert read is not None
        assert read.deal is None
    spoken = read_message("SG632NMUAB Confirmed. Ksh5.00 sent to X for account 1008257626 on 1")
    assert spoken is not None
    assert spoken.deal == "ES1008257626"


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("SKN0000001 Confirmed. Ksh10,500.00 sent to AMANA for account ES1008257626", True),
        ("SKN0000001 Imethibitishwa Ksh10,500.00 imetumwa kwa AMANA", True),
        ("SKN0000001", True),
        ("ES10082576", False),
        ("ES1008257626", False),
        ("0712345678", False),
        ("GOODEVENIN", False),
        ("confirmed?", False),
    ],
)
def test_messages_are_told_from_codes_and_words(text: str, is_one: bool) -> None:
    assert looks_like_message(text) is is_one


def test_a_claim_is_open_until_it_is_decided() -> None:
    now = datetime(2026, 11, 23, tzinfo=UTC)
    for state in ClaimState:
        claim = Claim(1, "", 1, None, "SG632NMUAB", None, state, "", None, None, "", None, now, 0)
        assert claim.is_open is (state not in (ClaimState.CREDITED, ClaimState.DENIED))
