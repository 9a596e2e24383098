"""The notices that admins get: kind → its words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from markupsafe import Markup

from escrow.bot.page import Page, Plain, card, code, say

Values = Mapping[str, Any]
_BREAKS_SHOWN: Final = 6


def _deal(v: Values) -> Markup | None:
    return say("Deal {code}", code=code(v["code"])) if v.get("code") else None


def _receipt(v: Values) -> Markup:
    if not v.get("reference"):
        return say("Receipt number not known yet")
    return say("Receipt {reference}", reference=v["reference"])


def seller_waits(v: Values, page: Page) -> Markup:
    return card(
        page,
        say("<b>A new seller waits: {shop}</b>", shop=v["shop"]),
        say("Row {row}, Telegram id {person}", row=v["id"], person=v["telegram_id"]),
        say("Verify by the button, or /verify_seller {row}", row=v["id"]),
    )


def suspense(v: Values, page: Page) -> Markup:
    why = {
        "no_deal": say("no open deal has the account number that was typed"),
        "no_buyer": say("the payer is not known to be the deal's buyer"),
        "second_receipt": say("this prompt was paid before"),
        "other_amount": say("it is another amount than was asked for"),
        "other_currency": say("it is another currency than the deal's"),
        "deal_closed": say("the deal can't take it, and its payer is not known"),
        "own_deal": say("it was paid with the seller's own number"),
    }.get(str(v["why"]), say("reason: {why}", why=v["why"]))
    return card(
        page,
        say("<b>{amount} waits in suspense:</b> {why}.", amount=Plain(v["amount"]), why=why),
        _receipt(v),
        say("Typed: {typed}", typed=v["typed"]) if v.get("typed") else None,
        _deal(v),
        say("It is booked and safe. The payer can claim it: /paid with his receipt."),
    )


def confirm_receipt(v: Values, page: Page) -> Markup:
    why = {
        "query_says_no": say("A callback says paid, M-Pesa's own query says it is not."),
        "unreachable": say("M-Pesa can't be asked about it, and it is above the limit."),
        "no_answer": say("M-Pesa was asked several times and did not answer."),
        "other_amount": say("It claims another amount than was asked for."),
        "query_unsure": say("A callback says paid, and M-Pesa's own query can't tell."),
        "maybe_same": say(
            "A prompt of this deal and amount was credited without a number: this may be the same "
            "money. Credit it only if the payer paid twice."
        ),
        "unlisted_sender": say(
            "Its callback came from an address that is not in MPESA_ALLOWED_IPS."
        ),
        "status_refused": say("M-Pesa refuses our API user: check its name and credential."),
        "statement": say("Only a statement that an admin sent tells of it."),
        "no_party": say("M-Pesa says it is completed, but not whom it was paid to."),
    }.get(str(v["why"]), say("Reason: {why}", why=v["why"]))
    return card(
        page,
        say("<b>Is this payment real? {amount}</b>", amount=Plain(v["amount"])),
        _receipt(v),
        _deal(v),
        say("Typed: {typed}", typed=v["typed"]) if v.get("typed") else None,
        say("Payer: {payer}", payer=v["payer"]) if v.get("payer") else None,
        why,
        say("Look it up in the M-Pesa portal first. Nothing is booked until somebody decides."),
    )


def credited_unconfirmed(v: Values, page: Page) -> Markup:
    return card(
        page,
        say("<b>{amount} was credited unconfirmed.</b>", amount=Plain(v["amount"])),
        _receipt(v),
        _deal(v),
        say("M-Pesa could not be asked; the amount is below the limit. Please check the receipt."),
    )


def booked_twice(v: Values, page: Page) -> Markup:
    return card(
        page,
        say("<b>Booked twice: {amount}</b>", amount=Plain(v["amount"])),
        _receipt(v),
        _deal(v),
        say(
            "A prompt was credited without its number, and this number, credited as well, turns "
            "out to be the same payment. One of the two has to be taken back by hand."
        ),
    )


def receipt_denied(v: Values, page: Page) -> Markup:
    why = {
        "not_completed": say("M-Pesa says that it was not completed."),
        "not_ours": say("M-Pesa says that it was not paid to us."),
    }.get(str(v["why"]))
    if why is None:
        admin = str(v["why"]).removeprefix("admin:")
        why = say("Admin {admin} decided so.", admin=admin)
    return card(
        page,
        say("<b>Closed as not ours: {amount}</b>", amount=Plain(v["amount"])),
        _receipt(v),
        _deal(v),
        why,
        say("Nothing was booked."),
    )


def receipt_elsewhere(v: Values, page: Page) -> Markup:
    return card(
        page,
        say("<b>One receipt, two deals: {amount}</b>", amount=Plain(v["amount"])),
        _receipt(v),
        say(
            "Booked for {code}, now it came for {other}.",
            code=code(v["code"]),
            other=code(v["other"]),
        )
        if v.get("code")
        else say("Booked without a deal, now it came for {other}.", other=code(v["other"])),
        say("Nothing was booked twice."),
    )


def other_amount(v: Values, page: Page) -> Markup:
    return card(
        page,
        say(
            "<b>Asked for {asked}, a callback claims {claimed}.</b>",
            asked=Plain(v["asked"]),
            claimed=Plain(v["claimed"]),
        ),
        _receipt(v),
        _deal(v),
        say("Nothing is booked until M-Pesa or an admin confirms the amount."),
    )


def callback_mismatch(v: Values, page: Page) -> Markup:
    return card(
        page,
        say("<b>A callback names another request than ours.</b>"),
        _deal(v),
        say("Attempt {attempt}. It was kept and changed nothing.", attempt=v["attempt"]),
    )


def prompt_unlisted(v: Values, page: Page) -> Markup:
    return card(
        page,
        say("<b>M-Pesa answered a request with a code that nobody knows: {got}</b>", got=v["got"]),
        _deal(v),
        say(
            "{amount} was asked for, attempt {attempt}. It counts neither as paid nor as refused, "
            "and I keep asking for a day.",
            amount=Plain(v["amount"]),
            attempt=v["attempt"],
        ),
        say("Look in M-Pesa's portal. If it was paid, the payer sends its receipt with /paid."),
    )


def wrong_shortcode(v: Values, page: Page) -> Markup:
    return card(
        page,
        say("<b>A payment names another business number: {got}</b>", got=v["got"]),
        say("Ours is {paybill}. It was kept and changed nothing.", paybill=Plain(page.paybill))
        if page.paybill
        else say("That is not ours. It was kept and changed nothing."),
    )


def request_parked(v: Values, page: Page) -> Markup:
    row = Plain(str(v["row"]))
    return card(
        page,
        say("<b>A callback could not be processed.</b>"),
        say("Row {row}, {route}: {why}", row=row, route=v["route"], why=v["why"]),
        say("It is kept, and nothing was booked for it."),
        say(
            "Many came within an hour, more than {many}: of the others you hear once an hour.",
            many=v["many"],
        )
        if v.get("many")
        else None,
        say(
            "When its cause is mended, have it run again on the host: "
            "<code>python main.py rerun {row}</code>",
            row=row,
        ),
    )


def unlisted_sender(v: Values, page: Page) -> Markup:
    return card(
        page,
        say(
            "<b>A callback came from {sender}, which is not in MPESA_ALLOWED_IPS.</b>",
            sender=Plain(str(v["sender"])),
        ),
        say("Row {row}, {route}", row=Plain(str(v["row"])), route=v["route"]),
        say("It is kept and looked into; nothing is credited on its word alone."),
        say(
            "If M-Pesa sends from there now, add it to MPESA_ALLOWED_IPS. If it is your own proxy, "
            "name it in TRUSTED_PROXIES. If it is neither, somebody else knows your callback "
            "addresses."
        ),
    )


def books_broken(v: Values, page: Page) -> Markup:
    breaks = list(v["breaks"])
    more = len(breaks) - _BREAKS_SHOWN
    return card(
        page,
        say("<b>The books do not add up: {count}</b>", count=len(breaks)),
        *(say("• {line}", line=str(line)) for line in breaks[:_BREAKS_SHOWN]),
        say("and {more} more", more=more) if more > 0 else None,
        say("Please look at once: /system_health"),
    )


def clock_jumped(v: Values, page: Page) -> Markup:
    return card(
        page,
        say(
            "<b>The clock jumped by {seconds} seconds: timers stand still.</b>",
            seconds=v["seconds"],
        ),
        say(
            "No deal is cancelled and no choice ends by itself until then. Put the clocks right, "
            "then restart Amana."
        ),
    )


def notice_dead(v: Values, page: Page) -> Markup:
    return card(
        page,
        say("<b>Telegram keeps refusing a notice: {kind}</b>", kind=Plain(v["kind"])),
        _deal(v),
        say("Row {row}. Its reader knows nothing of it; the money is not touched.", row=v["row"]),
    )


NOTICES: Final[Mapping[str, Callable[[Values, Page], Markup]]] = {
    "seller_waits": seller_waits,
    "suspense": suspense,
    "confirm_receipt": confirm_receipt,
    "credited_unconfirmed": credited_unconfirmed,
    "receipt_denied": receipt_denied,
    "booked_twice": booked_twice,
    "receipt_elsewhere": receipt_elsewhere,
    "other_amount": other_amount,
    "callback_mismatch": callback_mismatch,
    "prompt_unlisted": prompt_unlisted,
    "wrong_shortcode": wrong_shortcode,
    "request_parked": request_parked,
    "unlisted_sender": unlisted_sender,
    "books_broken": books_broken,
    "clock_jumped": clock_jumped,
    "notice_dead": notice_dead,
}
