"""What M-Pesa's messages say of our own accounts: beside what they are about (rails.md 1.6, 1.7),
or asked for (1.8).

Nothing depends on it but what the operator is shown, so what can't be read is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from escrow.domain.money import Currency, Money
from escrow.rails import mpesa_codes, mpesa_parse, strict_json
from escrow.services.ports import (
    AccountBalance,
    AccountBalances,
    Answer,
    UnreadableError,
    Verdict,
)

_BALANCE: Final = re.compile(r"-?[0-9]{1,13}(\.[0-9]{1,6})?", re.ASCII)
_KEYS: Final = {
    "B2CUtilityAccountAvailableFunds": "mpesa:utility",
    "B2CWorkingAccountAvailableFunds": "mpesa:working",
}


def balances(body: bytes, paying_shortcode: str) -> list[AccountBalance]:
    """Of the result of a payment: utility and working account. Of a C2B confirmation: the account
    that the payment landed in, which is the utility account when that shortcode also pays out.
    """
    try:
        fields = strict_json.loads(body)
        if not isinstance(fields, dict):
            return []
        if "Result" in fields:
            return _of_result(body)
        return _of_paybill(body, paying_shortcode)
    except (UnreadableError, ValueError):
        return []


def account_balances(body: bytes, names: Mapping[str, str]) -> AccountBalances:
    """The result of AccountBalance: of every account in `names` (M-Pesa's name → ours) what it
    holds, by its current balance. An account whose figures can't be read is left out; a result that
    says done and names no account is unreadable. `UnreadableError`.
    """
    _, code, found = mpesa_parse.result(body)
    if code != "0":
        reason = mpesa_codes.BALANCE_QUESTION_FAILED.get(code, "unknown")
        return AccountBalances(Answer(Verdict.UNKNOWN, code, reason))
    at = _stamped(found.get("BOCompletedTime"))
    packed = found.get("AccountBalance")
    rows = [row.split("|") for row in packed.split("&")] if isinstance(packed, str) else []
    read = []
    for row in rows:
        account = names.get(row[0].strip())
        money = _money(row[2]) if len(row) >= 4 and row[1].strip() == Currency.KES.code else None
        if account is not None and money is not None:
            read.append(AccountBalance(account, money, at))
    if len({one.account for one in read}) != len(read):
        raise UnreadableError("one account has two balances")
    if not read:
        raise UnreadableError("AccountBalance names no account of ours")
    return AccountBalances(Answer(Verdict.PAID, code, "told"), tuple(read))


def _stamped(value: Any) -> datetime | None:
    """`20200109125710`, in Nairobi."""
    try:
        return datetime.strptime(f"{value}+0300", "%Y%m%d%H%M%S%z").astimezone(UTC)
    except ValueError:
        return None


def _of_result(body: bytes) -> list[AccountBalance]:
    _, code, found = mpesa_parse.result(body)
    if code != "0":
        return []
    at = _completed(found.get("TransactionCompletedDateTime"))
    read = [(account, _money(found.get(key))) for key, account in _KEYS.items()]
    return [AccountBalance(account, money, at) for account, money in read if money is not None]


def _of_paybill(body: bytes, paying_shortcode: str) -> list[AccountBalance]:
    payment = mpesa_parse.paybill(body)
    money = _money(payment.balance)
    account = "mpesa:utility" if payment.shortcode == paying_shortcode else "mpesa:paybill"
    return [AccountBalance(account, money, payment.happened_at)] if money is not None else []


def _money(value: Any) -> Money | None:
    """Shillings as number or text; below zero is possible."""
    text = str(value).strip() if type(value) in (int, Decimal, str) else ""
    if not _BALANCE.fullmatch(text):
        return None
    try:
        return Money.from_decimal(Decimal(text), Currency.KES)
    except ValueError:
        return None


def _completed(value: Any) -> datetime | None:
    """`06.07.2024 22:48:52`, in Nairobi."""
    try:
        local = datetime.strptime(f"{str(value).strip()} +0300", "%d.%m.%Y %H:%M:%S %z")
    except ValueError:
        return None
    return local.astimezone(UTC)
