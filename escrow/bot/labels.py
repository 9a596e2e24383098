"""What stands on buttons. Telegram shows about thirty characters on a small phone."""

from __future__ import annotations

from escrow.bot.page import clean
from escrow.domain.money import Money


def pay_mpesa(amount: object) -> str:
    return f"Pay {amount} by M-Pesa"


def pay_paybill() -> str:
    return "Pay by paybill"


def use_wallet(amount: object) -> str:
    return f"Use wallet: {amount}"


def use_wallet_too(part: object) -> str:
    return f"Use wallet: {part}, rest by M-Pesa"


def complete(missing: object) -> str:
    return f"Complete payment – {missing}"


def proceed(received: object) -> str:
    return f"Proceed with {received}"


def cancel_refund() -> str:
    return "Cancel & refund"


def from_mpesa(amount: object) -> str:
    return f"From M-Pesa: {amount}"


def from_wallet(amount: object) -> str:
    return f"From wallet: {amount}"


def mpesa_and_wallet(asked: Money, part: Money) -> str:
    return f"M-Pesa {asked} + wallet {part}"


def try_again(*, wait: bool) -> str:
    return "Try again (wait 2 minutes)" if wait else "Try again"


def copy_paybill(number: str) -> str:
    return f"Copy business no. {number}"


def copy_account(deal: str) -> str:
    return f"Copy account no. {deal}"


def copy_amount(amount: object) -> str:
    return f"Copy amount {amount}"


def create() -> str:
    return "Create"


def drop() -> str:
    return "Cancel"


def share_telegram() -> str:
    return "Share on Telegram"


def share_whatsapp() -> str:
    return "Share on WhatsApp"


def how_to_sell() -> str:
    return "I want to sell"


def how_to_buy() -> str:
    return "I want to buy"


def my_deals() -> str:
    return "My deals"


def share_number() -> str:
    return "Share my number"


def deal(code: str, description: str) -> str:
    return f"{code} · {clean(description, 24)}"


def verify(shop: str) -> str:
    return f"Verify {clean(shop, 30)}"


def yes() -> str:
    return "Yes"


def no() -> str:
    return "No"


def credit() -> str:
    return "Credit"


def not_ours() -> str:
    return "Not ours"
