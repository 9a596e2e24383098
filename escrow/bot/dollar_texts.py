"""Dollars on their way out, in words: to whom they belong, and to the admins who send them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from markupsafe import Markup
from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from escrow.bot.buttons import Button, Verb, pack
from escrow.bot.page import Page, Plain, card, say, words
from escrow.domain.coins import BY_CODE, STABLE, Coin
from escrow.domain.money import Money
from escrow.domain.payouts import InCoins, Payout
from escrow.services.payout_booking import BookedPayout

Values = Mapping[str, Any]


def coin_name(code: str) -> Plain:
    """`USDT · Tron (TRC-20)`."""
    coin = BY_CODE.get(code)
    return Plain(f"{coin.name} · {coin.network}" if coin else code)


# -- who withdraws -------------------------------------------------------------------------------


def ask_coin(amount: Money, page: Page) -> Markup:
    return card(
        page,
        say("<b>Withdraw {amount}: as which coin?</b>", amount=amount),
        say(
            "Choose what your own wallet takes, on that network: what is sent on another one is "
            "lost. /cancel stops."
        ),
    )


def ask_address(amount: Money, coin: Coin, page: Page) -> Markup:
    return card(
        page,
        say(
            "<b>{amount} as {coin}: to which address?</b>",
            amount=amount,
            coin=coin_name(coin.code),
        ),
        say(
            "Copy your address from your wallet or exchange and paste it here. I show it once more "
            "before anything is sent. /cancel stops."
        ),
    )


def preview(wish: InCoins, stays: Money, page: Page) -> Markup:
    return card(
        page,
        say("<b>Send {amount} as {coin}?</b>", amount=wish.amount, coin=coin_name(wish.coin.code)),
        say("To <code>{address}</code>", address=Plain(wish.address)),
        say("{stays} stays in your wallet.", stays=stays) if stays else None,
        say(
            "Compare the whole address. An admin sends it by hand, usually within a day; a wrong "
            "address can't be undone."
        ),
        say("Wrong? Paste another address, or /cancel."),
    )


def sent(booked: BookedPayout, page: Page) -> Markup:
    """It is booked; its outcome is a notice."""
    return card(
        page,
        say("<b>{amount} waits for an admin: your shop is suspended.</b>", amount=booked.amount)
        if booked.why == "suspended"
        else say(
            "<b>An admin sends {amount} by hand, usually within a day.</b>", amount=booked.amount
        ),
        say("To {address}", address=Plain(booked.to)),
        say("I write as soon as it is sent, with the hash of the transaction."),
    )


def coins(chosen: Coin | None = None) -> InlineKeyboardMarkup:
    """The coins that dollars are paid in, but the chosen one."""
    return InlineKeyboardMarkup(
        [
            [_button(coin_name(coin.code), Button(Verb.DOLLARS_COIN, number=place))]
            for place, coin in enumerate(STABLE, start=1)
            if coin is not chosen
        ]
    )


def confirm(number: int) -> InlineKeyboardMarkup:
    """Sends exactly what was shown."""
    button = Button(Verb.DOLLARS_YES, number=number)
    return InlineKeyboardMarkup([[_button(words("Yes, send"), button)]])


def withdraw_all(dollars: Money) -> InlineKeyboardButton:
    return _button(words("Withdraw {amount}", amount=dollars), Button(Verb.DOLLARS_ALL))


def _button(label: str, button: Button) -> InlineKeyboardButton:
    return InlineKeyboardButton(label, callback_data=pack(button))


def transaction(v: Values) -> Markup:
    """What its payee looks up."""
    return say(
        "Transaction <code>{hash}</code> ({coin})",
        hash=Plain(v["reference"]),
        coin=coin_name(str(v["coin"])),
    )


# -- admins --------------------------------------------------------------------------------------


def by_hand(v: Values, why: Markup, page: Page) -> Markup:
    """The card of one that waits; `why` it does."""
    return card(
        page,
        say(
            "<b>Please send {amount} as {coin} (payout {payout}).</b>",
            amount=Plain(v["amount"]),
            coin=coin_name(str(v["coin"])),
            payout=v["payout"],
        ),
        say("To <code>{address}</code>", address=Plain(v["number"])),
        why,
        say(
            "Copy the address, send the coins on that network, press Paid and paste the hash of "
            "the transaction."
        ),
    )


def late(v: Values) -> Markup:
    return say(
        "<b>{amount} waits for more than a day (payout {payout}).</b>",
        amount=Plain(v["amount"]),
        payout=v["payout"],
    )


def wallet_to(payout: Payout, name: str) -> Markup:
    """A line of the list: whose, as what, where to."""
    return say(
        "{name}'s wallet, as {coin} to <code>{address}</code>",
        name=name,
        coin=coin_name(payout.coin),
        address=Plain(payout.address),
    )


def ask_hash(payout: Payout) -> Markup:
    return say(
        "Payout {payout}, {amount} as {coin}: please paste the hash of the transaction, 64 digits "
        "and letters a to f. /cancel stops.",
        payout=payout.id,
        amount=payout.amount,
        coin=coin_name(payout.coin),
    )


def closed(payout: Payout) -> Markup:
    return say(
        "<b>Payout {payout} is paid</b>, transaction <code>{hash}</code>.",
        payout=payout.id,
        hash=Plain(payout.provider_reference or ""),
    )


# -- refusals ------------------------------------------------------------------------------------


def dollars_small(v: Values, page: Page) -> Markup:
    return say(
        "{minimum} is the least that is sent as coins. Your wallet holds {wallet}; it stays there, "
        "and you can pay deals with it.",
        minimum=v["minimum"],
        wallet=v["wallet"],
    )


def dollars_over(v: Values, page: Page) -> Markup:
    return say(
        "That question is over: something else was asked since. Nothing was sent. To begin again: "
        "<code>/withdraw USD 25</code>"
    )


def not_tron_address(v: Values, page: Page) -> Markup:
    return say(
        "That is no Tron address: it has 34 letters and digits and begins with T. Please copy the "
        "address for Tron (TRC-20) from your wallet and paste it here. Nothing was sent."
    )


def not_ethereum_address(v: Values, page: Page) -> Markup:
    return say(
        "That is no Ethereum address: it begins with 0x, and 40 digits and letters a to f follow. "
        "Please copy the address for Ethereum (ERC-20) from your wallet and paste it here. Nothing "
        "was sent."
    )


def address_mistyped(v: Values, page: Page) -> Markup:
    return say(
        "Something in that address is wrong: its check does not fit. Please don't type it, copy it "
        "from your wallet and paste it here. Nothing was sent."
    )


def address_of_coin(v: Values, page: Page) -> Markup:
    return say(
        "That is the address of the coin itself, not of your wallet: what is sent there is lost. "
        "Please copy your own address, under Receive or Deposit. Nothing was sent."
    )


def address_of_ours(v: Values, page: Page) -> Markup:
    return say(
        "That address was given out by Amana, to pay a deal. To pay a deal with your dollars, use "
        "your wallet; to withdraw, paste an address of your own. Nothing was sent."
    )


def not_a_hash(v: Values, page: Page) -> Markup:
    return say(
        "That is no hash of a transaction: it has 64 digits and letters a to f, with or without 0x "
        "before them. Nothing changed."
    )


REFUSALS: Final[Mapping[str, Callable[[Values, Page], Markup]]] = {
    words_.__name__: words_
    for words_ in (
        dollars_small,
        dollars_over,
        not_tron_address,
        not_ethereum_address,
        address_mistyped,
        address_of_coin,
        address_of_ours,
        not_a_hash,
    )
}
"""The reason is the function's name."""
