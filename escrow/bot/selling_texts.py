"""Selling in words: the guided dialogue, previews, sellers' pages, proposals, notices, refusals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from babel.dates import format_date
from markupsafe import Markup

from escrow.bot.page import Page, Plain, card, code, deadline, lines, moment, say, words
from escrow.domain.model import Escrow, Seller, SellerStatus
from escrow.domain.money import Currency
from escrow.domain.phone import mask
from escrow.domain.terms import FeePayer, Level, Quote
from escrow.services.ratings import SellerPage

Values = Mapping[str, Any]

# -- the shop ------------------------------------------------------------------------------------


def shop(seller: Seller, page: Page) -> Markup:
    """What a seller reads after /sell, now or before."""
    return card(
        page,
        say(
            "<b>{shop}</b>, M-Pesa {phone}",
            shop=seller.shop_name,
            phone=Plain(mask(seller.payout_phone)),
        ),
        _standing(seller),
    )


def _standing(seller: Seller) -> Markup:
    if seller.status is SellerStatus.VERIFIED:
        return say("You are verified. Open a deal: <code>/newdeal 1500 Blue phone case</code>")
    if seller.status is SellerStatus.SUSPENDED:
        return lines(
            say("Your shop is suspended: you can't open deals now."),
            say("Reason: {reason}", reason=seller.suspension_reason or "–"),
            say("Write to our people: /help"),
        )
    return lines(
        say("An admin will verify you. I write as soon as it is done."),
        say("Until then you can change the name: <code>/sell New Name</code>"),
    )


def ask_payout_number(page: Page) -> Markup:
    return lines(
        say("<b>Which M-Pesa number shall get your money?</b>"),
        say("Share yours with the button below, or type it (like 0712345678)."),
        say("After a change, payouts wait for 24 hours, to keep your money safe."),
    )


def payout_number_same(seller: Seller) -> Markup:
    return say("Your money goes to {phone}, as before.", phone=Plain(mask(seller.payout_phone)))


def which_number(msisdn: str) -> Markup:
    """A seller typed a number that nothing asked for."""
    return say("What is {phone} for?", phone=Plain(mask(msisdn)))


def ask_number_for_deals(page: Page) -> Markup:
    """Somebody opens his first deal."""
    return lines(
        say("<b>Which M-Pesa number shall get your money?</b>"),
        say("Share yours with the button below, or type it (like 0712345678). I ask only once."),
    )


# -- opening, step by step -------------------------------------------------------------------------


def ask_amount(
    shop_name: str | None, currency: Currency = Currency.KES, *, dollars: bool = False
) -> Markup:
    """`currency`: of an amount that names none; `dollars`: whether they can be paid here."""
    if not dollars:
        like = (
            say("in shillings, like: 1500") if currency is Currency.KES else say("like: KES 1500")
        )
    elif currency is Currency.KES:
        like = say("like: 1500, or USD 20 to be paid in crypto")
    else:
        like = say("like: 20 to be paid in crypto, or KES 1500")
    if shop_name is not None:
        return lines(
            say("<b>A deal with {shop}: for how much?</b>", shop=shop_name),
            say("Send me the price you agreed, {like}", like=like),
        )
    return lines(say("<b>How much is it?</b>"), say("Send me your price, {like}", like=like))


def ask_description() -> Markup:
    return lines(
        say("<b>What is it?</b>"),
        say("Send me a few words, like: Blue phone case, new, for Tecno Spark"),
    )


def ask_fee_payer(fee: object) -> Markup:
    return say("<b>Amana's fee is {fee}. Who pays it?</b>", fee=Plain(fee))


def ask_photo() -> Markup:
    return lines(
        say("<b>Do you have a photo of it?</b>"),
        say("Send it here, or press Skip. It stays with the deal."),
    )


def preview(
    quote: Quote,
    description: str,
    fee_payer: FeePayer,
    seller: Seller,
    page: Page,
    *,
    photo: bool = False,
) -> Markup:
    """Who pays and who gets what, before anything opens."""
    return card(
        page,
        say(
            "<b>The buyer pays {due}, you get {holding}.</b>", due=quote.due, holding=quote.holding
        ),
        say("{description}", description=description),
        say("With your photo.") if photo else None,
        say("Price {price}, Amana's fee {fee}.", price=quote.price, fee=quote.fee),
        fee_line(fee_payer),
        None
        if seller.status is SellerStatus.VERIFIED
        else say(
            "Your shop is {shop}, your money goes to {phone}. The deal can be paid as soon as an "
            "admin has verified you.",
            shop=seller.shop_name,
            phone=Plain(mask(seller.payout_phone)),
        ),
        say("Is that right?"),
    )


def fee_line(fee_payer: FeePayer) -> Markup:
    if fee_payer is FeePayer.SELLER:
        return say("You pay the fee.")
    if fee_payer is FeePayer.SPLIT:
        return say("You and the buyer share the fee.")
    return say("The buyer pays the fee.")


def proposal_preview(quote: Quote, description: str, shop_name: str, page: Page) -> Markup:
    return card(
        page,
        say(
            "<b>You would pay {due}, {shop} gets {holding}.</b>",
            due=quote.due,
            shop=shop_name,
            holding=quote.holding,
        ),
        say("{description}", description=description),
        say("Price {price}, Amana's fee {fee}.", price=quote.price, fee=quote.fee),
        say("You pay nothing before the seller has accepted. Shall I send it?"),
    )


def proposal_sent(escrow: Escrow, page: Page) -> Markup:
    return card(
        page,
        say("<b>Your proposal is with {shop}.</b>", shop=escrow.shop_name),
        say(
            "{description}, {due}, deal {code}",
            description=escrow.description,
            due=escrow.due,
            code=code(escrow.id),
        ),
        say("I write as soon as the seller has answered."),
    )


def link(escrow: Escrow, address: str, page: Page) -> Markup:
    """The link of a deal again."""
    return card(
        page,
        say("Deal {code}: {description}", code=code(escrow.id), description=escrow.description),
        say("Send your buyer this link: {link}", link=Plain(address)),
    )


# -- sellers' pages ------------------------------------------------------------------------------


def shop_page(found: SellerPage, page: Page) -> Markup:
    """What everybody may know of a seller: no number, no username."""
    return card(
        page,
        say("<b>{shop}</b> · {level}", shop=found.seller.shop_name, level=level_words(found.level)),
        say(
            "{stars} of 5 stars, ratings: {count}",
            stars=one_digit(found.average),
            count=found.ratings,
        )
        if found.average is not None
        else say("No ratings yet."),
        say("Deals completed: {sales}", sales=found.sales),
        say("Success rate: {rate} %", rate=_percent(found.success))
        if found.success is not None
        else None,
        say("Disputes lost: {lost}", lost=found.lost),
        say(
            "With Amana since {month}",
            month=Plain(format_date(found.since, "MMMM yyyy", locale=page.language)),
        ),
        _open_or_not(found.seller.status),
    )


def _open_or_not(status: SellerStatus) -> Markup | None:
    if status is SellerStatus.VERIFIED:
        return None
    if status is SellerStatus.PENDING:
        return say("This shop is not verified yet.")
    return say("This shop is closed at the moment.")


def level_words(level: Level) -> Plain:
    if level is Level.DIAMOND:
        return Plain(words("Diamond seller"))
    if level is Level.GOLD:
        return Plain(words("Gold seller"))
    if level is Level.SILVER:
        return Plain(words("Silver seller"))
    if level is Level.BRONZE:
        return Plain(words("Bronze seller"))
    return Plain(words("New seller"))


def one_digit(value: Fraction) -> Plain:
    """Stars, cut to one digit: 4.96 is not 5.0."""
    tenths = value.numerator * 10 // value.denominator
    return Plain(str(Decimal(tenths) / 10))


def _percent(share: Fraction) -> int:
    return share.numerator * 100 // share.denominator


def shop_invitation(shop_name: str) -> str:
    """What goes with a shared page. Plain text: it leaves Telegram."""
    return words("{shop} sells safely through Amana:", shop=shop_name)


# -- proposals -----------------------------------------------------------------------------------


def accepted(escrow: Escrow, page: Page) -> Markup:
    until = deadline(page, escrow.pay_by) if escrow.pay_by else None
    return card(
        page,
        say("<b>You accepted: you get {gets}.</b>", gets=escrow.due - escrow.fee),
        say("{description}, deal {code}", description=escrow.description, code=code(escrow.id)),
        say(
            "The buyer can pay by {until}. Send nothing until I say that the money is held.",
            until=until,
        ),
    )


def refused(escrow: Escrow, page: Page) -> Markup:
    return card(
        page,
        say("<b>You refused. Deal {code} is over.</b>", code=code(escrow.id)),
        say("The buyer is told."),
    )


# -- notices ---------------------------------------------------------------------------------------


def proposal(v: Values, page: Page) -> Markup:
    return card(
        page,
        say("<b>A buyer proposes a deal: you would get {gets}.</b>", gets=Plain(v["gets"])),
        say("{description}, deal {code}.", description=v["description"], code=code(v["code"])),
        say("The buyer would pay {due}. Do you accept?", due=Plain(v["due"])),
    )


def proposal_accepted(v: Values, page: Page) -> Markup:
    at = moment(v.get("pay_by"))
    return card(
        page,
        say("<b>{shop} accepted. Pay {due} now.</b>", shop=v["shop"], due=Plain(v["due"])),
        say("{description}, deal {code}.", description=v["description"], code=code(v["code"])),
        say("Pay by {until}.", until=deadline(page, at)) if at else None,
        say("Amana holds your money; it does not go to the seller when you pay."),
    )


def seller_suspended(v: Values, page: Page) -> Markup:
    return card(
        page,
        say("<b>{shop} is suspended.</b>", shop=v["shop"]),
        say("Reason: {reason}", reason=v["reason"]),
        say(
            "You can't open deals, and open ones can't be paid. Paid deals go on: please send them."
        ),
        say("Do you see it differently? Write to our people: /help"),
    )


def seller_restored(v: Values, page: Page) -> Markup:
    return card(
        page,
        say("<b>{shop} is open again.</b>", shop=v["shop"]),
        say("The suspension is lifted: you can open deals, and those you agreed to can be paid."),
    )


def payout_number_changed(v: Values, page: Page) -> Markup:
    return card(
        page,
        say(
            "<b>Your money goes to {new} from now on, not to {old}.</b>",
            new=Plain(v["new"]),
            old=Plain(v["old"]),
        ),
        say("Payouts wait for 24 hours, to keep your money safe."),
        say(
            "If that wasn't you, name your own number again with the button below: what is on its "
            "way to {new} then comes back to your wallet. And write to our people: /help",
            new=Plain(v["new"]),
        ),
    )


NOTICES: Final[Mapping[str, Callable[[Values, Page], Markup]]] = {
    "proposal": proposal,
    "proposal_accepted": proposal_accepted,
    "seller_suspended": seller_suspended,
    "seller_restored": seller_restored,
    "payout_number_changed": payout_number_changed,
}


# -- refusals --------------------------------------------------------------------------------------


def shop_name_fixed(v: Values, page: Page) -> Markup:
    return say(
        "{shop} is verified under that name. To change it, write to our people: /help",
        shop=v["shop"],
    )


def suspension_reason(v: Values, page: Page) -> Markup:
    return say("Please give a reason of at most {maximum} characters.", maximum=v["maximum"])


def own_shop(v: Values, page: Page) -> Markup:
    return say("This is your own shop, or has your number: somebody else has to do that.")


def shop_closed(v: Values, page: Page) -> Markup:
    return say("{shop} can't take deals at the moment.", shop=v["shop"])


def no_shop(v: Values, page: Page) -> Markup:
    return say("I don't know that shop. Please check the link.")


def too_many_proposals(v: Values, page: Page) -> Markup:
    return say(
        "You have {limit} proposals that wait for an answer. Please wait, or /cancel one.",
        limit=v["limit"],
    )


def no_proposal(v: Values, page: Page) -> Markup:
    return say("Nobody has proposed you this deal. /deals shows yours.")


def proposal_answered(v: Values, page: Page) -> Markup:
    return say("You have accepted this deal. /cancel ends it while it is not paid.")


def not_over(v: Values, page: Page) -> Markup:
    return say("Deal {code} is not over yet.", code=code(v["code"]))


def only_a_photo(v: Values, page: Page) -> Markup:
    return say("Please send it as a photo, or press Skip.")


def press_a_button(v: Values, page: Page) -> Markup:
    return say("Please press one of the buttons above.")


REFUSALS: Final[Mapping[str, Callable[[Values, Page], Markup]]] = {
    text.__name__: text
    for text in (
        shop_name_fixed,
        suspension_reason,
        own_shop,
        shop_closed,
        no_shop,
        too_many_proposals,
        no_proposal,
        proposal_answered,
        not_over,
        only_a_photo,
        press_a_button,
    )
}
