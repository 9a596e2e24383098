"""The tables say what the sources say (rails.md 1.2 and 1.4); what they don't know is unknown."""

import pytest

from escrow.rails import mpesa_codes
from escrow.services.ports import Blame, Verdict

PAID, DECLINED, PENDING, UNKNOWN = (
    Verdict.PAID,
    Verdict.DECLINED,
    Verdict.PENDING,
    Verdict.UNKNOWN,
)


RESULTS = [
    ("0", PAID, "paid", False),
    ("1", DECLINED, "balance", False),
    ("2", DECLINED, "below_minimum", False),
    ("3", DECLINED, "above_maximum", False),
    ("4", DECLINED, "daily_limit", False),
    ("8", DECLINED, "our_limit", False),
    ("17", DECLINED, "rule_limited", False),
    ("26", DECLINED, "busy", True),
    ("1001", DECLINED, "subscriber_locked", True),
    ("1019", DECLINED, "expired", False),
    ("1025", DECLINED, "push_failed", True),
    ("1031", DECLINED, "cancelled", False),
    ("1032", DECLINED, "cancelled", False),
    ("1036", UNKNOWN, "no_answer", False),
    ("1037", UNKNOWN, "no_answer", False),
    ("2001", DECLINED, "wrong_pin", False),
    ("2028", DECLINED, "misconfigured", False),
    ("4999", PENDING, "processing", False),
    ("8006", DECLINED, "pin_locked", False),
    ("9999", DECLINED, "push_failed", True),
    ("SFC_IC0003", DECLINED, "misconfigured", False),
]


@pytest.mark.parametrize(("code", "verdict", "reason", "retry"), RESULTS)
def test_result_codes(code, verdict, reason, retry):
    answer = mpesa_codes.of_result(code, asked=False)
    assert (answer.verdict, answer.code, answer.reason, answer.retry) == (
        verdict,
        code,
        reason,
        retry,
    )
    asked = mpesa_codes.of_result(code, asked=True)
    assert asked.verdict is (DECLINED if code in ("1036", "1037") else verdict)
    assert asked.reason == reason


def test_the_table_has_no_row_without_a_test():
    assert [row[0] for row in RESULTS] == list(mpesa_codes.RESULT_CODES)


@pytest.mark.parametrize("code", ["5", "00", "0.0", "-0", "1337", "sfc_ic0003", "R000001"])
@pytest.mark.parametrize("asked", [True, False])
def test_another_result_code_is_unknown(code, asked):
    answer = mpesa_codes.of_result(code, asked=asked)
    assert (answer.verdict, answer.code, answer.reason) == (UNKNOWN, code, "unlisted")
    assert not answer.retry


@pytest.mark.parametrize(
    ("code", "message", "verdict", "reason", "retry"),
    [
        ("400.002.02", "Bad Request - Invalid PhoneNumber", DECLINED, "invalid_phone", False),
        ("400.002.02", "Bad Request - Invalid PartyA", DECLINED, "invalid_phone", False),
        ("400.002.02", "Bad Request - Invalid PartyB", DECLINED, "misconfigured", False),
        ("400.002.02", "Bad Request - Invalid BusinessShortCode", DECLINED, "misconfigured", False),
        ("400.002.02", "Bad Request - Invalid TransactionID", DECLINED, "misconfigured", False),
        ("400.002.05", "Invalid Request Payload", DECLINED, "misconfigured", False),
        ("400.008.01", "Invalid Authentication passed", DECLINED, "misconfigured", False),
        ("400.008.02", "Invalid grant type passed", DECLINED, "misconfigured", False),
        ("404.001.03", "Invalid Access Token", DECLINED, "mpesa_unreachable", True),
        ("400.003.01", "Invalid Access Token", DECLINED, "mpesa_unreachable", True),
        (
            "401.002.01",
            "Error Occurred - Invalid Access Token - x",
            DECLINED,
            "mpesa_unreachable",
            True,
        ),
        ("401.003.01", "Invalid Access Token", DECLINED, "mpesa_unreachable", True),
        ("404.001.04", "Invalid Authentication Header", DECLINED, "misconfigured", False),
        ("404.001.01", "Resource not found", DECLINED, "misconfigured", False),
        ("404.002.01", "Resource not found", DECLINED, "misconfigured", False),
        ("404.003.01", "Resource not found", DECLINED, "misconfigured", False),
        ("405.001", "Method Not Allowed", DECLINED, "misconfigured", False),
        ("500.001.1001", "Merchant does not exist", DECLINED, "misconfigured", False),
        (
            "500.001.1001",
            "[MerchantValidate] - Wrong credentials",
            DECLINED,
            "misconfigured",
            False,
        ),
        (
            "500.001.1001",
            "Unable to lock subscriber, a transaction is already in process for the current "
            "subscriber",
            DECLINED,
            "subscriber_locked",
            True,
        ),
        ("500.001.1001", "The transaction is being processed", PENDING, "processing", False),
        ("500.001.1001", "The transaction does not Exist", UNKNOWN, "unknown", False),
        ("500.001.1001", "Something new", UNKNOWN, "unknown", False),
        ("500.002.1001", "Duplicate OriginatorConversationID.", PENDING, "processing", False),
        ("500.002.1001", "System internal error.", UNKNOWN, "unknown", False),
        ("500.003.02", "Error Occurred: Spike Arrest Violation", DECLINED, "mpesa_busy", True),
        (
            "500.003.02",
            "System is busy. Please try again in few minutes.",
            DECLINED,
            "mpesa_busy",
            True,
        ),
        ("500.003.03", "Error Occurred: Quota Violation", DECLINED, "mpesa_busy", True),
        ("500.003.1001", "Internal Server Error", UNKNOWN, "unknown", False),
        ("500.003.1001", "Urls are already registered", DECLINED, "urls_registered", False),
        ("999.999.99", "Merchant does not exist", UNKNOWN, "unknown", False),
    ],
)
def test_error_codes(code, message, verdict, reason, retry):
    answer = mpesa_codes.of_error(code, message)
    assert (answer.verdict, answer.reason, answer.retry) == (verdict, reason, retry)
    assert answer.code == code


@pytest.mark.parametrize("code", [None, 500, "", "a b", "x" * 41, "254708374149\n", ["400.002.02"]])
def test_what_is_no_code_is_not_repeated(code):
    answer = mpesa_codes.of_error(code, "Merchant does not exist")
    assert (answer.verdict, answer.code, answer.reason) == (UNKNOWN, "", "unknown")


@pytest.mark.parametrize("message", [None, 7, ["Merchant does not exist"]])
def test_a_message_of_another_kind_decides_nothing(message):
    assert mpesa_codes.of_error("500.001.1001", message).verdict is UNKNOWN


def test_an_error_about_a_question_never_declines_the_payment():
    for row in mpesa_codes.ERROR_CODES:
        assert mpesa_codes.of_question(row.answer).verdict in (PENDING, UNKNOWN)


def test_an_error_about_a_prompt_never_says_that_a_phone_is_asking():
    for row in mpesa_codes.ERROR_CODES:
        assert mpesa_codes.of_prompt(row.answer).verdict in (DECLINED, UNKNOWN)


PAYEE, OURS, STOP = Blame.PAYEE, Blame.OURS, Blame.STOP
PAYOUTS = [
    ("1", DECLINED, OURS),
    ("2", DECLINED, PAYEE),
    ("3", DECLINED, PAYEE),
    ("4", DECLINED, PAYEE),
    ("8", DECLINED, PAYEE),
    ("11", DECLINED, OURS),
    ("15", UNKNOWN, None),
    ("17", DECLINED, OURS),
    ("21", DECLINED, OURS),
    ("26", DECLINED, OURS),
    ("2001", DECLINED, STOP),
    ("2006", DECLINED, PAYEE),
    ("2028", DECLINED, OURS),
    ("2040", DECLINED, PAYEE),
    ("8006", DECLINED, STOP),
    ("SFC_IC0003", DECLINED, PAYEE),
    ("100000100", UNKNOWN, None),
]
REVERSALS = [
    ("1", DECLINED, OURS),
    ("26", DECLINED, OURS),
    ("2001", DECLINED, STOP),
    ("8006", DECLINED, STOP),
    ("R000001", DECLINED, None),  # reversed already: only a person finds out by whom
    ("R000002", DECLINED, PAYEE),
]


@pytest.mark.parametrize(
    ("of", "rows", "listed"),
    [
        pytest.param(mpesa_codes.of_payout, PAYOUTS, mpesa_codes.PAYOUT_CODES, id="payouts"),
        pytest.param(mpesa_codes.of_reversal, REVERSALS, mpesa_codes.REVERSAL_CODES, id="back"),
    ],
)
def test_what_codes_say_of_money_on_its_way_out(of, rows, listed):
    """rails.md 1.7 and 1.8: whose a no is decides what follows."""
    assert [(code, of(code).verdict, of(code).blame) for code, _, _ in rows] == rows
    assert [code for code, _, _ in rows] == list(listed)
    assert of("0").verdict is PAID
    for unlisted in ("5", "00", "4711", "r000001", ""):
        assert (of(unlisted).verdict, of(unlisted).blame) == (UNKNOWN, None)


def test_why_a_question_failed_says_nothing_but_whom_to_look_at():
    assert set(mpesa_codes.BALANCE_QUESTION_FAILED.values()) == {
        "api_user_refused",
        "misconfigured",
    }
    refused = {
        code
        for code, reason in mpesa_codes.BALANCE_QUESTION_FAILED.items()
        if reason == "api_user_refused"
    }
    assert refused == {"2001", "8006"}
