"""Every notice that people get by themselves: kind → its words. Admins' are in `admin_notices`.

What matters stands first: the amount, then the next step. Amounts come as text (`KES 10,500`),
times as ISO 8601.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from markupsafe import Markup

from escrow.bot import (
    admin_notices,
    coin_texts,
    dispute_texts,
    paid_texts,
    payout_texts,
    prompt_words,
    ruling_texts,
    selling_texts,
    settle_texts,
    shipping_texts,
    talk_texts,
)
from escrow.bot.admin import (
    action_texts,
    digest_texts,
    flag_texts,
    pausing_texts,
    receipt_texts,
    seller_texts,
    statement_texts,
)
from escrow.bot.page import (
    Page,
    Plain,
    card,
    clock_time,
    code,
    countdown,
    deadline,
    lines,
    moment,
    say,
    typed_command,
)

Values = Mapping[str, Any]
Render = Callable[[Values, Page], Markup]


def _for_deal(v: Values) -> Markup:
    return say("{description}, deal {code}.", description=v["description"], code=code(v["code"]))


def _until(page: Page, stored: object) -> Markup:
    at = moment(stored)
    return deadline(page, at) if at else say("the deal ends")


# -- buyers ------------------------------------------------------------------------------------


def _held_lines(v: Values, page: Page) -> Markup:
    return lines(
        _for_deal(v),
        say(
            "{shop} was told to send it by {deadline}.",
            shop=v["shop"],
            deadline=_until(page, v["ship_by"]),
        ),
        say("Amana holds the money. {show} shows how it stands.", show=_show(v)),
        say("Handed over in person? Press “I have it” only with the item in your hands."),
    )


def _show(v: Values) -> Markup:
    return typed_command("deal", v["code"])


def funded(v: Values, page: Page) -> Markup:
    return card(
        page,
        say("<b>{received} received – your money is held.</b>", received=Plain(v["received"])),
        _held_lines(v, page),
    )


def funded_over(v: Values, page: Page) -> Markup:
    return card(
        page,
        say("<b>{received} received – your money is held.</b>", received=Plain(v["received"])),
        say(
            "{due} was due. The rest, {excess}, is in your wallet: /wallet",
            due=Plain(v["due"]),
            excess=Plain(v["excess"]),
        ),
        _held_lines(v, page),
    )


def funded_short(v: Values, page: Page) -> Markup:
    return card(
        page,
        say(
            "<b>Payment accepted: {received} ({waived} short but within tolerance)</b>",
            received=Plain(v["received"]),
            waived=Plain(v["waived"]),
        ),
        say("You owe nothing more."),
        _held_lines(v, page),
    )


def funded_partial(v: Values, page: Page) -> Markup:
    return card(
        page,
        say(
            "<b>The deal goes on with {received} – your money is held.</b>",
            received=Plain(v["received"]),
        ),
        _held_lines(v, page),
        say("The seller gets less and may still decline. Then all of it goes to your wallet."),
    )


def underpaid(v: Values, page: Page) -> Markup:
    """Three buttons stand below it while the choice is open (`open`)."""
    head = say(
        "<b>Payment received: {received} ({missing} short)</b>",
        received=Plain(v["received"]),
        missing=Plain(v["missing"]),
    )
    if not v.get("open", True):
        return card(
            page,
            head,
            _for_deal(v),
            say("This choice is closed by now. {show} shows how it stands.", show=_show(v)),
        )
    ends = moment(v["expires_at"]) or page.now
    return card(
        page,
        head,
        _for_deal(v),
        say(
            "Please choose until {time} ({countdown}):",
            time=clock_time(page, ends),
            countdown=countdown(ends - page.now),
        ),
        say("• add {missing}, and the deal is paid in full", missing=Plain(v["missing"])),
        say("• go on with {received}: the seller gets less", received=Plain(v["received"])),
        say("• cancel: {received} goes to your wallet", received=Plain(v["received"])),
        say("Without an answer it goes to your wallet, and the deal stays open."),
    )


def too_short(v: Values, page: Page) -> Markup:
    return card(
        page,
        say(
            "<b>Payment too short: {received} came, {missing} less than due.</b>",
            received=Plain(v["received"]),
            missing=Plain(v["missing"]),
        ),
        say("Refunded: {received} is in your wallet.", received=Plain(v["received"])),
        say(
            "To go on with deal {code}, pay the full {due} by {deadline}.",
            code=code(v["code"]),
            due=Plain(v["due"]),
            deadline=_until(page, v["pay_by"]),
        ),
    )


def window_over(v: Values, page: Page) -> Markup:
    return card(
        page,
        say("<b>{returned} is back in your wallet.</b>", returned=Plain(v["returned"])),
        say("The time to choose for deal {code} is over.", code=code(v["code"])),
        say(
            "The deal stays open: you can pay the full {due} by {deadline}.",
            due=Plain(v["due"]),
            deadline=_until(page, v["pay_by"]),
        ),
    )


def late_money(v: Values, page: Page) -> Markup:
    where = (
        say("It came for deal {code}, which can't take it any more.", code=code(v["code"]))
        if v.get("code")
        else say("It came without a deal that could take it.")
    )
    return card(
        page,
        say("<b>{amount} is in your wallet.</b>", amount=Plain(v["amount"])),
        where,
        say("/wallet shows it. You can pay another deal with it."),
    )


def cancelled_refund(v: Values, page: Page) -> Markup:
    return card(
        page,
        say("<b>{returned} is in your wallet.</b>", returned=Plain(v["returned"])),
        say("You cancelled this deal:"),
        _for_deal(v),
    )


def prompt_failed(v: Values, page: Page) -> Markup:
    reason = str(v["reason"])
    values = {"amount": Plain(v["amount"]), "code": code(v["code"])}
    if prompt_words.says_unpaid(reason):
        head = say("<b>{amount} was not paid.</b> Deal {code}", **values)
    else:
        head = say("<b>{amount} has not come so far.</b> Deal {code}", **values)
    return card(page, head, prompt_words.why(reason, v, page))


def payment_waits(v: Values, page: Page) -> Markup:
    return card(
        page,
        say("<b>Your {amount} is being checked.</b>", amount=Plain(v["amount"])),
        say(
            "M-Pesa can't confirm it just now, so a person at Amana looks at it. Deal {code}",
            code=code(v["code"]),
        ),
        say("Please don't pay again. I write as soon as it is settled."),
    )


# -- sellers -----------------------------------------------------------------------------------


def _beware() -> Markup:
    return say(
        "Never send because of an SMS or a screenshot: only this bot's own word that the money "
        "is held counts."
    )


def held(v: Values, page: Page) -> Markup:
    return card(
        page,
        say("<b>{gets} is held for you.</b>", gets=Plain(v["gets"])),
        say("The buyer has paid:"),
        _for_deal(v),
        say("Please send it by {deadline}.", deadline=_until(page, v["ship_by"])),
        say("Then press “Sent”, with a photo of the waybill or the tracking number."),
        _beware(),
    )


def held_less(v: Values, page: Page) -> Markup:
    return card(
        page,
        say(
            "<b>{gets} is held for you, not {expected}.</b>",
            gets=Plain(v["gets"]),
            expected=Plain(v["expected"]),
        ),
        say("The buyer paid less than agreed:"),
        _for_deal(v),
        say(
            "All right with you? Send it by {deadline}: sending means that you agree.",
            deadline=_until(page, v["ship_by"]),
        ),
        say("If not, “Can't send it” gives the money back."),
        _beware(),
    )


def seller_verified(v: Values, page: Page) -> Markup:
    codes = v.get("codes") or []
    shown = Markup(", ").join(code(one) for one in codes[:10])
    return card(
        page,
        say("<b>{shop} is verified. You can sell now.</b>", shop=v["shop"]),
        say("Open a deal like this: <code>/newdeal 1500 Blue phone case</code>"),
        say("Your open deals can be paid from now on: {codes}", codes=shown) if codes else None,
    )


# -- both --------------------------------------------------------------------------------------


def cancelled(v: Values, page: Page) -> Markup:
    why = {
        "seller": say("The seller ended it."),
        "buyer": say("The buyer ended it."),
        "timer": say("Nobody paid in time."),
    }.get(str(v["by"]), say("An admin ended it."))
    money = (
        say("What was paid, {returned}, is in the buyer's wallet.", returned=Plain(v["returned"]))
        if v.get("returned")
        else None
    )
    return card(
        page,
        say("<b>Deal cancelled.</b> {why}", why=why),
        _for_deal(v),
        money,
        say("Please pay nothing and send nothing for it."),
    )


NOTICES: Final[Mapping[str, Render]] = {
    "funded": funded,
    "funded_over": funded_over,
    "funded_short": funded_short,
    "funded_partial": funded_partial,
    "underpaid": underpaid,
    "too_short": too_short,
    "window_over": window_over,
    "late_money": late_money,
    "cancelled_refund": cancelled_refund,
    "prompt_failed": prompt_failed,
    "payment_waits": payment_waits,
    "held": held,
    "held_less": held_less,
    "seller_verified": seller_verified,
    "cancelled": cancelled,
    **admin_notices.NOTICES,
    **dispute_texts.NOTICES,
    **settle_texts.NOTICES,
    **ruling_texts.NOTICES,
    **paid_texts.NOTICES,
    **coin_texts.NOTICES,
    **payout_texts.NOTICES,
    **receipt_texts.NOTICES,
    **statement_texts.NOTICES,
    **selling_texts.NOTICES,
    **shipping_texts.NOTICES,
    **talk_texts.NOTICES,
    **action_texts.NOTICES,
    **pausing_texts.NOTICES,
    **seller_texts.NOTICES,
    **flag_texts.NOTICES,
    **digest_texts.NOTICES,
}
