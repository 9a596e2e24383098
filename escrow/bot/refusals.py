"""What a person reads when something can't be done: `CannotDo.reason` → one or two sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from markupsafe import Markup

from escrow.bot import (
    coin_texts,
    dispute_texts,
    dollar_texts,
    paid_texts,
    payout_texts,
    rating_texts,
    selling_texts,
    settle_texts,
    shipping_texts,
    talk_texts,
    wallet_texts,
)
from escrow.bot.admin import (
    action_texts,
    audit_texts,
    flag_texts,
    pausing_texts,
    payout_list_texts,
    receipt_texts,
    seller_texts,
    statement_texts,
)
from escrow.bot.page import Page, Plain, clock_time, lines, say
from escrow.domain.flow import Status

Values = Mapping[str, Any]
Words = Callable[[Values, Page], Markup]
_HOLDING: Final = frozenset(
    {Status.HELD, Status.SHIPPED, Status.DELIVERED, Status.DISPUTED, Status.FROZEN}
)


def _usage(v: Values) -> Markup | None:
    """The usage line that the error handler adds for a command."""
    usage = v.get("usage")
    return say("Like this: <code>{usage}</code>", usage=Plain(usage)) if usage else None


# -- what was typed ------------------------------------------------------------------------------


def usage(v: Values, page: Page) -> Markup:
    return _usage(v) or say("Please send /help to see how this works.")


def list_page(v: Values, page: Page) -> Markup:
    return lines(
        say("Which page of the list? A number from 1 to {maximum}.", maximum=v["maximum"]),
        _usage(v),
    )


def decision(v: Values, page: Page) -> Markup:
    return lines(
        say(
            "Who gets the money, and why? buyer, seller, split (half and half), or split:70 "
            "(70 % for the buyer, 1 to 99); then your reason, which both sides read."
        ),
        _usage(v),
    )


def booking(v: Values, page: Page) -> Markup:
    return lines(
        say(
            "What is it? float (you put it in), withdraw (you took it out) or charge (M-Pesa took "
            "it); then the amount and M-Pesa's receipt."
        ),
        _usage(v),
    )


def amount(v: Values, page: Page) -> Markup:
    return lines(
        say(
            "I can't read {typed} as an amount. Digits only, please: 1500 or 1,500.",
            typed=v["typed"],
        ),
        _usage(v),
    )


def description(v: Values, page: Page) -> Markup:
    if v.get("length"):
        return say(
            "Your description has {length} characters; {maximum} is the limit.",
            length=v["length"],
            maximum=v["maximum"],
        )
    return say("Please describe it in 1 to {maximum} characters.", maximum=v["maximum"])


def shop_name(v: Values, page: Page) -> Markup:
    return say(
        "A shop name has 2 to {maximum} characters. Please try another.", maximum=v["maximum"]
    )


def phone(v: Values, page: Page) -> Markup:
    return say(
        "I can't read that as a Kenyan mobile number. Please share yours, or send one like "
        "0712345678. To leave this question: /cancel (your deals stay as they are)."
    )


def not_a_phone(v: Values, page: Page) -> Markup:
    return say(
        "That is no Kenyan mobile number, and no deal's code. A number looks like 0712345678, "
        "a code like ES1008257624."
    )


def phone_mismatch(v: Values, page: Page) -> Markup:
    return say("These two numbers differ. Please start again: send your number, like 0712345678.")


def foreign_contact(v: Values, page: Page) -> Markup:
    return say(
        "That is somebody else's contact. Please share your own with the button, "
        "or type your number."
    )


def invalid_input(v: Values, page: Page) -> Markup:
    return say("I can't read that. /help shows how things are typed.")


# -- not there -----------------------------------------------------------------------------------


def no_deal(v: Values, page: Page) -> Markup:
    return say(
        "I find no deal {code} that is yours to see. Please check the code; /deals shows yours.",
        code=v["code"],
    )


def nothing_fits(v: Values, page: Page) -> Markup:
    return say("None of your deals fits that. /deals shows them all.")


def no_seller(v: Values, page: Page) -> Markup:
    return say("There is no seller {number}. /pending_sellers shows who waits.", number=v["number"])


def no_receipt(v: Values, page: Page) -> Markup:
    return say("There is no such receipt.")


def no_phone(v: Values, page: Page) -> Markup:
    return say("I don't know your M-Pesa number yet. Please send it, like 0712345678.")


def not_a_seller(v: Values, page: Page) -> Markup:
    return say("You are not registered as a seller yet. Please send /sell and your shop's name.")


def draft_gone(v: Values, page: Page) -> Markup:
    return say("This preview is no longer current. Please send /newdeal again.")


def button_gone(v: Values, page: Page) -> Markup:
    return say("This button no longer works. /deals shows where your deals stand.")


def not_found(v: Values, page: Page) -> Markup:
    return say("I can't find that.")


# -- not allowed ---------------------------------------------------------------------------------


def own_deal(v: Values, page: Page) -> Markup:
    return say("This is your own deal: somebody else has to pay it, from another number.")


def own_seller(v: Values, page: Page) -> Markup:
    return say("This is your own shop: another admin has to decide about it.")


def seller_suspended(v: Values, page: Page) -> Markup:
    return say("Your shop is suspended, so you can't open deals at the moment.")


def admin_is_party(v: Values, page: Page) -> Markup:
    return say("You are a party of this deal. Please let another admin decide.")


def not_payable(v: Values, page: Page) -> Markup:
    status = str(v.get("status") or "")
    if status in _HOLDING:
        return say("This deal is already paid, your money is held. /deal shows where it stands.")
    if status == Status.PENDING:
        return say("This deal can't be paid at the moment: its seller is not verified.")
    if status:
        return say("This deal is over, so it can't be paid. Please pay nothing for it.")
    return say("This deal can't be paid now. /deal shows where it stands.")


def reserved(v: Values, page: Page) -> Markup:
    until = v.get("until")
    if isinstance(until, datetime):
        return say(
            "Somebody else is paying this deal. If that fails, you can pay it from {time}.",
            time=clock_time(page, until),
        )
    return say("Somebody else is paying this deal. Please look again in half an hour.")


def not_allowed(v: Values, page: Page) -> Markup:
    return say("You can't do that here.")


# -- not now -------------------------------------------------------------------------------------


def escrow_moved(v: Values, page: Page) -> Markup:
    return say("The deal just changed. Please look at it again: /deal")


def receipt_decided(v: Values, page: Page) -> Markup:
    if v.get("by"):
        return say("This receipt was decided before, by {by}.", by=v["by"])
    return say("This receipt was decided before. Nothing changed.")


def choice_refused(v: Values, page: Page) -> Markup:
    return say("This choice is no longer open. /deals shows where your deals stand.")


# -- limits --------------------------------------------------------------------------------------


def deal_too_small(v: Values, page: Page) -> Markup:
    return say("The smallest price is {minimum}.", minimum=v["minimum"])


def deal_too_large(v: Values, page: Page) -> Markup:
    if v.get("price"):
        return say(
            "The largest price is {price}: the buyer's total can be {maximum} at most.",
            price=v["price"],
            maximum=v["maximum"],
        )
    return say("The buyer's total can be {maximum} at most.", maximum=v["maximum"])


def not_whole(v: Values, page: Page) -> Markup:
    return say("M-Pesa moves whole shillings only. Please use a price without cents.")


def new_seller_deals(v: Values, page: Page) -> Markup:
    return say(
        "New sellers can have {limit} open deals at a time, until {until} are completed. "
        "Please finish or /cancel one first.",
        limit=v["limit"],
        until=v["until"],
    )


def new_seller_amount(v: Values, page: Page) -> Markup:
    return say(
        "New sellers can ask for {maximum} per deal at most, until {until} deals are completed.",
        maximum=v["maximum"],
        until=v["until"],
    )


def no_mpesa_for_currency(v: Values, page: Page) -> Markup:
    return say(
        "M-Pesa pays in shillings only. This deal is in {currency}: please choose another way "
        "on its card.",
        currency=Plain(v["currency"]),
    )


def mpesa_not_offered(v: Values, page: Page) -> Markup:
    return say("M-Pesa can't be used now. Please choose another way on the deal's card.")


def no_coins_for_currency(v: Values, page: Page) -> Markup:
    return say(
        "No crypto provider can be used now, and this deal is in {currency}. Please try again "
        "later, or pay from your wallet.",
        currency=Plain(v["currency"]),
    )


def prompt_open(v: Values, page: Page) -> Markup:
    if v.get("phone") and v.get("rings"):
        return say(
            "M-Pesa is already asking {phone} – look at your phone.", phone=Plain(v["phone"])
        )
    if v.get("phone"):
        return say(
            "I asked M-Pesa before and don't know yet whether {phone} rings. If it asks, enter "
            "your PIN; else try again in a few minutes.",
            phone=Plain(v["phone"]),
        )
    return say(
        "M-Pesa is still asking for a payment, for this deal or on this phone. Please answer it "
        "there, or wait until it is over; then try again."
    )


def same_amount_too_soon(v: Values, page: Page) -> Markup:
    return say(
        "M-Pesa takes the same amount again only after 2 minutes. "
        "Please try again in {seconds} seconds.",
        seconds=v["seconds"],
    )


def too_many_prompts(v: Values, page: Page) -> Markup:
    if not page.paybill:
        return say("That was a lot of requests in one hour. Please try again later.")
    return say("That was a lot of requests in one hour. Please try again later, or pay by paybill.")


def too_many_prompts_to_number(v: Values, page: Page) -> Markup:
    if not page.paybill:
        return say("That number was asked often enough in this hour. Share your own contact.")
    return say(
        "That number was asked often enough in this hour. Share your own contact, "
        "or pay by paybill."
    )


def no_paybill(v: Values, page: Page) -> Markup:
    return say(
        "This can't be paid by hand: we are paid by M-Pesa's prompt on your phone alone. "
        "Tap Pay, and enter your PIN there."
    )


def too_many_reservations(v: Values, page: Page) -> Markup:
    return say("You reserved this deal before without paying. Please ask its seller for a new one.")


def wallet_is_enough(v: Values, page: Page) -> Markup:
    return say("Your wallet holds enough for this deal: choose the wallet, M-Pesa is not needed.")


def wallet_short(v: Values, page: Page) -> Markup:
    return say(
        "Your wallet holds {wallet}, that is {missing} less than needed.",
        wallet=v["wallet"],
        missing=v["missing"],
    )


def limit_reached(v: Values, page: Page) -> Markup:
    return say("A limit is reached. Please try again later.")


def cannot_do(v: Values, page: Page) -> Markup:
    return say("That can't be done.")


REFUSALS: Final[Mapping[str, Words]] = {
    **{
        words.__name__: words
        for words in (
            usage,
            list_page,
            decision,
            booking,
            amount,
            description,
            shop_name,
            phone,
            not_a_phone,
            phone_mismatch,
            foreign_contact,
            invalid_input,
            no_deal,
            nothing_fits,
            no_seller,
            no_receipt,
            no_phone,
            not_a_seller,
            draft_gone,
            button_gone,
            not_found,
            own_deal,
            own_seller,
            seller_suspended,
            admin_is_party,
            not_payable,
            reserved,
            not_allowed,
            escrow_moved,
            receipt_decided,
            choice_refused,
            deal_too_small,
            deal_too_large,
            not_whole,
            new_seller_deals,
            new_seller_amount,
            no_mpesa_for_currency,
            mpesa_not_offered,
            no_coins_for_currency,
            prompt_open,
            same_amount_too_soon,
            too_many_prompts,
            too_many_prompts_to_number,
            no_paybill,
            too_many_reservations,
            wallet_is_enough,
            wallet_short,
            limit_reached,
            cannot_do,
        )
    },
    **wallet_texts.REFUSALS,
    **dollar_texts.REFUSALS,
    **shipping_texts.REFUSALS,
    **dispute_texts.REFUSALS,
    **settle_texts.REFUSALS,
    **coin_texts.REFUSALS,
    **payout_texts.REFUSALS,
    **receipt_texts.REFUSALS,
    **payout_list_texts.REFUSALS,
    **selling_texts.REFUSALS,
    **rating_texts.REFUSALS,
    **paid_texts.REFUSALS,
    **talk_texts.REFUSALS,
    **action_texts.REFUSALS,
    **audit_texts.REFUSALS,
    **pausing_texts.REFUSALS,
    **seller_texts.REFUSALS,
    **flag_texts.REFUSALS,
    **statement_texts.REFUSALS,
}
"""The reason is the function's name."""


def refusal(reason: str, values: Values, page: Page) -> Markup:
    """The words for a reason; a key that stands nowhere says no more than that it can't be done."""
    return REFUSALS.get(reason, cannot_do)(values, page)
