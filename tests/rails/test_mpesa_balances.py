"""What M-Pesa's messages say of our accounts is taken where it can be read, and only there."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from escrow.domain.money import Currency, Money
from escrow.rails.mpesa_balances import balances
from escrow.services.ports import AccountBalance

OURS = "600997"


def kes(minor: int) -> Money:
    return Money(minor, Currency.KES)


def _result(code: int = 0, **parameters: Any) -> bytes:
    values = {
        "TransactionAmount": 8000,
        "TransactionReceipt": "SG632NMUAB",
        "ReceiverPartyPublicName": "254712000111 - JANE",
        "TransactionCompletedDateTime": "06.07.2026 22:48:52",
        "B2CUtilityAccountAvailableFunds": 82400.5,
        "B2CWorkingAccountAvailableFunds": "0.00",
        **parameters,
    }
    listed = [{"Key": key, "Value": value} for key, value in values.items() if value is not ...]
    found = {"ResultCode": code, "ResultParameters": {"ResultParameter": listed}}
    return json.dumps({"Result": found}).encode()


def _paybill(**changes: Any) -> bytes:
    values = {
        "TransactionType": "Pay Bill",
        "TransID": "SG632NMUAB",
        "TransTime": "20260706224852",
        "TransAmount": "100.00",
        "BusinessShortCode": OURS,
        "BillRefNumber": "ES1008257624",
        "OrgAccountBalance": "25104.50",
        "MSISDN": "2547 ***** 126",
        **changes,
    }
    return json.dumps(values).encode()


THEN = datetime(2026, 7, 6, 19, 48, 52, tzinfo=UTC)


def test_the_result_of_a_payment_names_both_accounts_and_when() -> None:
    assert balances(_result(), OURS) == [
        AccountBalance("mpesa:utility", kes(82_400_50), THEN),
        AccountBalance("mpesa:working", kes(0), THEN),
    ]


def test_a_time_that_cannot_be_read_is_none() -> None:
    first, _ = balances(_result(TransactionCompletedDateTime="yesterday"), OURS)
    assert first.at is None


def test_an_account_may_be_below_zero_and_one_that_is_not_named_is_left_out() -> None:
    body = _result(B2CUtilityAccountAvailableFunds="-1980.00", B2CWorkingAccountAvailableFunds=...)
    assert balances(body, OURS) == [AccountBalance("mpesa:utility", kes(-198_000), THEN)]


def test_a_payment_by_hand_names_the_account_it_landed_in() -> None:
    assert balances(_paybill(), OURS) == [AccountBalance("mpesa:utility", kes(25_104_50), THEN)]
    (other,) = balances(_paybill(BusinessShortCode="174379"), OURS)
    assert other.account == "mpesa:paybill"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b"\xff",
        b'{"Result": 1}',
        b'{"Result": {"ResultCode": 0}}',
        _result(1),
        _result(B2CUtilityAccountAvailableFunds="Infinity", B2CWorkingAccountAvailableFunds=None),
        _result(B2CUtilityAccountAvailableFunds=True, B2CWorkingAccountAvailableFunds="1e9"),
        _result(B2CUtilityAccountAvailableFunds="5.005", B2CWorkingAccountAvailableFunds=[1]),
        _result(B2CUtilityAccountAvailableFunds=10**14, B2CWorkingAccountAvailableFunds=""),
        _paybill(OrgAccountBalance=""),
        _paybill(OrgAccountBalance="12,000"),
        _paybill(OrgAccountBalance={"a": 1}),
        _paybill(TransTime="never"),
    ],
)
def test_what_cannot_be_read_is_left_out_without_a_word(body: bytes) -> None:
    assert balances(body, OURS) == []
