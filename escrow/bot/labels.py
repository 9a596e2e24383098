"""What stands on buttons. Telegram shows about thirty characters on a small phone."""

from __future__ import annotations

from escrow.bot.page import Plain, clean, words
from escrow.domain.money import Money
from escrow.domain.phone import mask


def pay_mpesa(amount: object, phone: str | None = None) -> str:
    """`phone`: the payer's own number, where it is known; then there is no room for KES."""
    if phone is None:
        return words("Pay {amount} by M-Pesa", amount=Plain(amount))
    bare = Plain(str(amount).removeprefix("KES "))
    return words("Pay {amount} from {phone}", amount=bare, phone=Plain(mask(phone)))


def show_deal() -> str:
    return words("Show the deal")


def pay_paybill() -> str:
    return words("Pay by paybill")


def use_wallet(amount: object) -> str:
    return words("Use wallet: {amount}", amount=Plain(amount))


def use_wallet_too(part: object) -> str:
    return words("Use wallet: {part}, rest by M-Pesa", part=Plain(part))


def complete(missing: object) -> str:
    return words("Complete payment – {missing}", missing=Plain(missing))


def proceed(received: object) -> str:
    return words("Proceed with {received}", received=Plain(received))


def cancel_refund() -> str:
    return words("Cancel & refund")


def from_mpesa(amount: object) -> str:
    return words("From M-Pesa: {amount}", amount=Plain(amount))


def from_wallet(amount: object) -> str:
    return words("From wallet: {amount}", amount=Plain(amount))


def mpesa_and_wallet(asked: Money, part: Money) -> str:
    return words("M-Pesa {asked} + wallet {part}", asked=asked, part=part)


def try_again(*, wait: bool) -> str:
    return words("Try again (wait 2 minutes)") if wait else words("Try again")


def copy_paybill(number: str) -> str:
    return words("Copy business no. {number}", number=Plain(number))


def copy_account(deal: str) -> str:
    return words("Copy account no. {deal}", deal=Plain(deal))


def copy_amount(amount: object) -> str:
    return words("Copy amount {amount}", amount=Plain(amount))


def create() -> str:
    return words("Create")


def drop() -> str:
    return words("Cancel")


def share_telegram() -> str:
    return words("Share on Telegram")


def share_whatsapp() -> str:
    return words("Share on WhatsApp")


def how_to_sell() -> str:
    return words("I want to sell")


def how_to_buy() -> str:
    return words("I want to buy")


def my_deals() -> str:
    return words("My deals")


def share_number() -> str:
    return words("Share my number")


def deal(code: str, description: str) -> str:
    return words("{code} · {what}", code=Plain(code), what=Plain(clean(description, 24)))


def verify(shop: str) -> str:
    return words("Verify {shop}", shop=Plain(clean(shop, 20)))


def yes() -> str:
    return words("Yes")


def no() -> str:
    return words("No")


def credit() -> str:
    return words("Credit")


def not_ours() -> str:
    return words("Not ours")


def photo() -> str:
    return words("See the photo")
