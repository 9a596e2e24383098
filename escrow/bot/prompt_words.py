"""Why a prompt brought no money, in words that help. The keys are M-Pesa's answers as
`rails/mpesa_codes.py` sorts them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from markupsafe import Markup

from escrow.bot.page import Page, Plain, code, lines, say

Words = Callable[[Mapping[str, Any], Page], Markup]


def _amount(values: Mapping[str, Any]) -> Plain:
    return Plain(values["amount"])


def _by_hand(values: Mapping[str, Any], page: Page) -> Markup | None:
    """The other way to pay, where there is one."""
    if not page.paybill:
        return None
    return say(
        "Or pay by paybill: business no. <code>{paybill}</code>, account {code}.",
        paybill=Plain(values.get("shortcode") or page.paybill),
        code=code(values["code"]),
    )


def balance(values: Mapping[str, Any], page: Page) -> Markup:
    return say(
        "Your M-Pesa balance was too low for {amount} and M-Pesa's charge. Top up, then try again.",
        amount=_amount(values),
    )


def below_minimum(values: Mapping[str, Any], page: Page) -> Markup:
    return say("M-Pesa does not move an amount as small as {amount}.", amount=_amount(values))


def above_maximum(values: Mapping[str, Any], page: Page) -> Markup:
    return say("{amount} is more than M-Pesa moves in one payment.", amount=_amount(values))


def daily_limit(values: Mapping[str, Any], page: Page) -> Markup:
    return say("You have reached M-Pesa's limit for today. Please try again tomorrow.")


def our_limit(values: Mapping[str, Any], page: Page) -> Markup:
    return say(
        "Our M-Pesa account can't take more at the moment. This is not your phone's fault: "
        "please try again later."
    )


def rule_limited(values: Mapping[str, Any], page: Page) -> Markup:
    return say(
        "M-Pesa refuses the same amount twice within 2 minutes. Wait 2 minutes, then try again."
    )


def busy(values: Mapping[str, Any], page: Page) -> Markup:
    return say("M-Pesa is very busy just now. Wait 2 minutes, then try again.")


def subscriber_locked(values: Mapping[str, Any], page: Page) -> Markup:
    return say(
        "M-Pesa is still busy with another request on your phone. Finish or cancel it there, "
        "wait 2 minutes, then try again."
    )


def expired(values: Mapping[str, Any], page: Page) -> Markup:
    return say(
        "The request on your phone ran out before a PIN was entered. "
        "Have your PIN ready and try again."
    )


def push_failed(values: Mapping[str, Any], page: Page) -> Markup:
    return lines(
        say("The request did not reach your phone. Check your network, then try again."),
        _by_hand(values, page),
    )


def cancelled(values: Mapping[str, Any], page: Page) -> Markup:
    return say("The request was cancelled on your phone, or nobody answered it in time.")


def no_answer(values: Mapping[str, Any], page: Page) -> Markup:
    return lines(
        say("Your phone did not answer M-Pesa. Unlock it and try again."),
        say("If that keeps happening, dial <code>*234*1*6#</code> to update your SIM."),
        _by_hand(values, page),
    )


def wrong_pin(values: Mapping[str, Any], page: Page) -> Markup:
    return say(
        "The M-Pesa PIN was wrong. Please try again, slowly: M-Pesa locks a PIN after several "
        "wrong tries."
    )


def misconfigured(values: Mapping[str, Any], page: Page) -> Markup:
    return say(
        "Something is wrong with our connection to M-Pesa, not with your phone. "
        "Please try again later."
    )


def pin_locked(values: Mapping[str, Any], page: Page) -> Markup:
    return say(
        "Your M-Pesa PIN is locked. Safaricom unlocks it (call 100 from your line), then try again."
    )


def mpesa_unreachable(values: Mapping[str, Any], page: Page) -> Markup:
    return say("M-Pesa can't be reached just now. Please try again in a few minutes.")


def prompt_lost(values: Mapping[str, Any], page: Page) -> Markup:
    return say(
        "M-Pesa never told us what became of the request. If your phone did ask and you paid, "
        "keep the M-Pesa message and don't pay again: an admin can find it. If not, try again."
    )


def prompt_expired(values: Mapping[str, Any], page: Page) -> Markup:
    return say(
        "No payment has come so far. If you entered your PIN, please wait: I keep looking for "
        "it. If not, try again."
    )


def taken_back(values: Mapping[str, Any], page: Page) -> Markup:
    return say(
        "M-Pesa took that payment back, so it counts for nothing here. M-Pesa's message says what "
        "became of your money. To pay, try again."
    )


def invalid_phone(values: Mapping[str, Any], page: Page) -> Markup:
    return say(
        "M-Pesa does not know your number as one of its own. Send me the right one "
        "(like 0712345678), then try again."
    )


def unknown(values: Mapping[str, Any], page: Page) -> Markup:
    return lines(
        say("M-Pesa gave no clear reason. Please try again in a few minutes."),
        _by_hand(values, page),
    )


def unlisted(values: Mapping[str, Any], page: Page) -> Markup:
    return say(
        "M-Pesa gave an answer that I don't know, so an admin looks at it. If you entered your "
        "PIN, please wait and don't pay again; else try again."
    )


REASONS: Final[Mapping[str, Words]] = {
    "balance": balance,
    "below_minimum": below_minimum,
    "above_maximum": above_maximum,
    "daily_limit": daily_limit,
    "our_limit": our_limit,
    "rule_limited": rule_limited,
    "busy": busy,
    "subscriber_locked": subscriber_locked,
    "expired": expired,
    "push_failed": push_failed,
    "cancelled": cancelled,
    "no_answer": no_answer,
    "wrong_pin": wrong_pin,
    "misconfigured": misconfigured,
    "pin_locked": pin_locked,
    "mpesa_busy": busy,
    "mpesa_unreachable": mpesa_unreachable,
    "prompt_lost": prompt_lost,
    "prompt_expired": prompt_expired,
    "taken_back": taken_back,
    "invalid_phone": invalid_phone,
    "unknown": unknown,
    "unlisted": unlisted,
}

_NO_WAIT: Final = frozenset(
    {"prompt_lost", "prompt_expired", "daily_limit", "unlisted", "taken_back"}
)
"""These come long after the prompt, or waiting two minutes does not help."""
_UNSURE: Final = frozenset({"prompt_lost", "prompt_expired", "unlisted", "unknown", "taken_back"})
"""After these nobody knows that it was not paid."""


def says_unpaid(reason: str) -> bool:
    """Whether M-Pesa itself said that nothing was paid."""
    return reason in REASONS and reason not in _UNSURE


def why(reason: str, values: Mapping[str, Any], page: Page) -> Markup:
    """The words for a reason; a key that stands nowhere gets those of `unknown`."""
    return REASONS.get(reason, unknown)(values, page)


def needs_two_minutes(reason: str) -> bool:
    """Whether M-Pesa would refuse the same amount again at once (rails.md, its rule 17)."""
    return reason not in _NO_WAIT
