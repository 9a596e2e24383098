"""What M-Pesa's codes mean, all of them in one place, each with its source. One number means one
thing for a prompt and another for a payout, so that every API has its part of the table.

| answer | its part of the table |
|---|---|
| a prompt's callback, a query | `RESULT_CODES` |
| a payout's result | `PAYOUT_CODES` |
| a reversal's result | `REVERSAL_CODES` |
| TransactionStatus, the question | `STATUS_QUESTION_FAILED` |
| TransactionStatus, the payment | `TRANSACTION_STATUS` |
| AccountBalance, the question | `BALANCE_QUESTION_FAILED` |
| an error envelope, whatever its HTTP status | `ERROR_CODES` |
| SOAP in JSON, HTML, an empty 500: no envelope | unknown, as `http_<status>` (`mpesa_gateway`) |

A code that stands nowhere is unknown, never a no: a person looks (reason `unlisted` for prompts).
`reason` is the key of the words in `bot/`. Texts of M-Pesa differ by channel and year, so that only
codes decide; `ERROR_CODES` needs the message where one code has several meanings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from escrow.services.ports import Answer, Blame, PayoutAnswer, Verdict

PAID, DECLINED = Verdict.PAID, Verdict.DECLINED
PENDING, UNKNOWN = Verdict.PENDING, Verdict.UNKNOWN

_CODE: Final = re.compile(r"[A-Za-z0-9_.-]{1,40}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ResultRow:
    """A ResultCode: what it says in a callback and, where a query is surer, in a query's answer."""

    verdict: Verdict
    reason: str
    retry: bool = False
    asked: Verdict | None = None


# Sources: rails.md 1.4; "portal" is Safaricom's own MpesaExpressSimulate page.
RESULT_CODES: Final[dict[str, ResultRow]] = {
    "0": ResultRow(PAID, "paid"),  # portal
    "1": ResultRow(DECLINED, "balance"),  # portal; captured 2019
    "2": ResultRow(DECLINED, "below_minimum"),  # portal
    "3": ResultRow(DECLINED, "above_maximum"),  # portal
    "4": ResultRow(DECLINED, "daily_limit"),  # portal: the customer's 500,000 a day
    "8": ResultRow(DECLINED, "our_limit"),  # portal: our paybill would hold too much
    "17": ResultRow(DECLINED, "rule_limited"),  # portal: same amount and customer in 2 minutes
    "26": ResultRow(DECLINED, "busy", retry=True),  # older portal: traffic blocking
    "1001": ResultRow(DECLINED, "subscriber_locked", retry=True),  # captured query answer, 2017
    "1019": ResultRow(DECLINED, "expired"),  # captured 2022
    "1025": ResultRow(DECLINED, "push_failed", retry=True),  # portal: the push was never sent
    "1031": ResultRow(DECLINED, "cancelled"),  # captured
    "1032": ResultRow(DECLINED, "cancelled"),  # portal; the phone's own timeout says the same
    # The phone did not answer the network. A PIN may still be on its way: only a query decides.
    "1036": ResultRow(UNKNOWN, "no_answer", asked=DECLINED),  # captured
    "1037": ResultRow(UNKNOWN, "no_answer", asked=DECLINED),  # captured 2022, 2026
    "2001": ResultRow(DECLINED, "wrong_pin"),  # portal
    "2028": ResultRow(DECLINED, "misconfigured"),  # portal: till and paybill mixed up
    "4999": ResultRow(PENDING, "processing"),  # seen in query answers, 2026-09-23
    "8006": ResultRow(DECLINED, "pin_locked"),  # portal
    "9999": ResultRow(DECLINED, "push_failed", retry=True),  # portal
    "SFC_IC0003": ResultRow(DECLINED, "misconfigured"),  # captured: no such operator, PartyB wrong
}


@dataclass(frozen=True, slots=True)
class PayoutRow:
    """A ResultCode about money on its way out, but 0, which says done. `verdict` UNKNOWN says
    nothing about the payment; a no has its `blame`, unless only a person can say what follows.
    """

    reason: str
    blame: Blame | None = None
    verdict: Verdict = DECLINED


# Sources: rails.md 1.7; "portal" is Safaricom's own BusinessToCustomer page.
PAYOUT_CODES: Final[dict[str, PayoutRow]] = {
    "1": PayoutRow("float", Blame.OURS),  # portal: our utility account is short
    "2": PayoutRow("below_minimum", Blame.PAYEE),  # portal: nothing that another try would cure
    "3": PayoutRow("above_maximum", Blame.PAYEE),  # portal
    "4": PayoutRow("payee_limit", Blame.PAYEE),  # portal: his 500,000 a day
    "8": PayoutRow("payee_limit", Blame.PAYEE),  # portal: his account would hold too much
    "11": PayoutRow("our_account", Blame.OURS),  # portal: the debit party, us, is in no good state
    "15": PayoutRow(
        "duplicate", verdict=UNKNOWN
    ),  # older list: there is another; only asking tells
    "17": PayoutRow("rule_limited", Blame.OURS),  # same amount, same number, within 2 minutes
    "21": PayoutRow("misconfigured", Blame.OURS),  # portal: the initiator lacks the role
    "26": PayoutRow("mpesa_busy", Blame.OURS),  # portal: traffic blocking
    "2001": PayoutRow("misconfigured", Blame.STOP),  # captured 2018: initiator or credential
    "2006": PayoutRow("payee_account", Blame.PAYEE),  # portal: account status
    "2028": PayoutRow("misconfigured", Blame.OURS),  # portal: not for this shortcode
    "2040": PayoutRow("unregistered", Blame.PAYEE),  # portal: no registered customer
    "8006": PayoutRow("api_user_locked", Blame.STOP),  # portal: the security credential is locked
    "SFC_IC0003": PayoutRow("no_such_number", Blame.PAYEE),  # portal: no such operator
    "100000100": PayoutRow("unknown", verdict=UNKNOWN),  # "system error": nobody can say
}

# Sources: rails.md 1.8. 21 is not here on purpose: a sample of the vendor's pairs it with
# "processed successfully", so that it says nothing.
REVERSAL_CODES: Final[dict[str, PayoutRow]] = {
    "1": PayoutRow("float", Blame.OURS),  # as for B2C: our utility account is short
    "26": PayoutRow("mpesa_busy", Blame.OURS),  # as for B2C: traffic blocking
    "2001": PayoutRow("misconfigured", Blame.STOP),  # initiator or credential
    "8006": PayoutRow("api_user_locked", Blame.STOP),  # the security credential is locked
    # portal: reversed already. By whom, and under which number, only a person finds out
    "R000001": PayoutRow("already_reversed"),
    "R000002": PayoutRow("invalid_original", Blame.PAYEE),  # portal: no such payment to reverse
}

# rails.md 1.8: how the question itself failed, which says nothing about the payment.
STATUS_QUESTION_FAILED: Final = {
    "21": "misconfigured",  # the initiator lacks the role
    "2001": "misconfigured",  # wrong initiator or credential: asking on would lock it
    "2028": "misconfigured",  # not for this shortcode
    "8006": "misconfigured",  # the initiator is locked
    "2032": "no_such_receipt",  # the receipt number does not exist
}

# rails.md 1.8: why AccountBalance did not answer; the first two are refusals of the API user, and
# a few more tries would lock it.
BALANCE_QUESTION_FAILED: Final = {
    "2001": "api_user_refused",  # wrong initiator or credential
    "8006": "api_user_refused",  # the initiator is locked
    "21": "misconfigured",  # the initiator lacks the role "Balance Query ORG API"
    "2028": "misconfigured",  # not for this shortcode
}

# rails.md 1.8. Only "Completed" is documented; the others say in words that nothing was kept.
TRANSACTION_STATUS: Final[dict[str, tuple[Verdict, str]]] = {
    "completed": (PAID, "paid"),
    "cancelled": (DECLINED, "not_completed"),
    "declined": (DECLINED, "not_completed"),
    "expired": (DECLINED, "not_completed"),
    "failed": (DECLINED, "not_completed"),
    "reversed": (DECLINED, "reversed"),
}


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """An error envelope: its code, what its message holds, the answer about this one request."""

    code: str
    message: re.Pattern[str]
    answer: Answer


def _row(
    code: str, message: str, verdict: Verdict, reason: str, *, retry: bool = False
) -> ErrorRow:
    answer = Answer(verdict, code, reason, retry)
    return ErrorRow(code, re.compile(message, re.IGNORECASE), answer)


# Sources: rails.md 1.2. DECLINED means that this request was not carried out, for certain.
ERROR_CODES: Final[tuple[ErrorRow, ...]] = (
    # captured: the number, not our set-up
    _row("400.002.02", r"invalid (phone ?number|party ?a)\b", DECLINED, "invalid_phone"),
    # portal: "Bad Request - Invalid <field>", every other field is ours
    _row("400.002.02", r"", DECLINED, "misconfigured"),
    _row("400.002.05", r"", DECLINED, "misconfigured"),  # portal: invalid request payload
    _row("400.008.01", r"", DECLINED, "misconfigured"),  # portal: OAuth, wrong authentication
    _row("400.008.02", r"", DECLINED, "misconfigured"),  # portal: OAuth, wrong grant type
    # portal: an invalid token, by API; the request was not processed
    _row("404.001.03", r"token", DECLINED, "mpesa_unreachable", retry=True),  # STK, reversal
    _row("400.003.01", r"token", DECLINED, "mpesa_unreachable", retry=True),  # status, C2B
    _row("401.002.01", r"token", DECLINED, "mpesa_unreachable", retry=True),  # B2C, balance
    _row("401.003.01", r"token", DECLINED, "mpesa_unreachable", retry=True),
    _row("404.001.04", r"", DECLINED, "misconfigured"),  # portal: authentication header
    # portal: resource not found, a product that the app has not
    _row("404.001.01", r"", DECLINED, "misconfigured"),
    _row("404.002.01", r"", DECLINED, "misconfigured"),
    _row("404.003.01", r"", DECLINED, "misconfigured"),
    _row("405.001", r"", DECLINED, "misconfigured"),  # portal: method not allowed
    # one code, five meanings (portal; the last two measured 2026-09)
    _row("500.001.1001", r"merchant does not exist", DECLINED, "misconfigured"),
    _row("500.001.1001", r"wrong credentials", DECLINED, "misconfigured"),
    _row("500.001.1001", r"unable to lock subscriber", DECLINED, "subscriber_locked", retry=True),
    _row("500.001.1001", r"is being processed", PENDING, "processing"),
    _row("500.001.1001", r"transaction does not exist", UNKNOWN, "unknown"),
    # portal: the first one with this id went through
    _row("500.002.1001", r"duplicate originatorconversationid", PENDING, "processing"),
    _row("500.002.1001", r"system internal error", UNKNOWN, "unknown"),  # captured; may have acted
    # portal; refused by the gateway before processing
    _row("500.003.02", r"busy|spike arrest", DECLINED, "mpesa_busy", retry=True),
    _row("500.003.03", r"quota", DECLINED, "mpesa_busy", retry=True),
    _row("500.003.1001", r"already registered", DECLINED, "urls_registered"),  # portal: C2B
    _row("500.003.1001", r"internal server error", UNKNOWN, "unknown"),  # portal
)
TOKEN_CODES: Final = frozenset({"404.001.03", "400.003.01", "401.002.01", "401.003.01"})


def is_code(text: object) -> bool:
    """Whether that may be a code: short and plain, fit for a log line."""
    return isinstance(text, str) and bool(_CODE.fullmatch(text))


def of_result(code: str, *, asked: bool) -> Answer:
    """What a ResultCode means, in a callback or (`asked`) in a query's answer."""
    row = RESULT_CODES.get(code)
    if row is None:
        return Answer(UNKNOWN, code, "unlisted")
    verdict = row.asked if asked and row.asked is not None else row.verdict
    return Answer(verdict, code, row.reason, row.retry)


def of_payout(code: str) -> PayoutAnswer:
    """What a ResultCode says of a payout."""
    return _going_out(code, PAYOUT_CODES)


def of_reversal(code: str) -> PayoutAnswer:
    """What a ResultCode says of a reversal."""
    return _going_out(code, REVERSAL_CODES)


def _going_out(code: str, rows: Mapping[str, PayoutRow]) -> PayoutAnswer:
    if code == "0":
        return PayoutAnswer(PAID, code, "paid")
    row = rows.get(code)
    if row is None:
        return PayoutAnswer(UNKNOWN, code, "unknown")
    return PayoutAnswer(row.verdict, code, row.reason, row.blame)


def of_error(code: object, message: object) -> Answer:
    """What an error envelope says about the request that it answers."""
    if not isinstance(code, str) or not is_code(code):
        return Answer(UNKNOWN, "", "unknown")
    words = message if isinstance(message, str) else ""
    for row in ERROR_CODES:
        if row.code == code and row.message.search(words):
            return row.answer
    return Answer(UNKNOWN, code, "unknown")


def refuses_token(answer: Answer) -> bool:
    """Whether the gateway refused the token, and so did nothing."""
    return answer.code in TOKEN_CODES and answer.verdict is DECLINED


def of_prompt(answer: Answer) -> Answer:
    """An error about a prompt: "pending" without a CheckoutRequestID leaves nothing to ask for."""
    if answer.verdict in (PAID, PENDING):
        return Answer(UNKNOWN, answer.code, "unknown")
    return answer


def of_question(answer: Answer) -> Answer:
    """An error about a question: it declines the question, never the payment asked about."""
    if answer.verdict is PENDING:
        return answer
    return replace(answer, verdict=UNKNOWN)
