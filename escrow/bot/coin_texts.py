"""Paying in coins: what is said, and the buttons below it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from markupsafe import Markup
from telegram import CopyTextButton, InlineKeyboardButton, InlineKeyboardMarkup

from escrow.bot.buttons import Button, Verb, pack
from escrow.bot.page import Page, Plain, card, clock_time, code, countdown, say, words
from escrow.domain.coins import BY_CODE, COINS, Coin
from escrow.domain.model import Escrow
from escrow.domain.money import Money
from escrow.services.crypto import CoinsAsked, plain
from escrow.services.ports import Answer, Verdict

Values = Mapping[str, Any]
COPY_CHARS: Final = 256
"""The most that a button can copy."""


def numbered(number: int) -> Coin | None:
    """The coin that a button's number means."""
    return COINS[number - 1] if 1 <= number <= len(COINS) else None


def pay_in_coins() -> str:
    return words("Pay in crypto")


def button(deal: str) -> InlineKeyboardButton:
    """[Pay in crypto], on a deal's card."""
    return InlineKeyboardButton(pay_in_coins(), callback_data=pack(Button(Verb.COINS, deal)))


def which_coin(escrow: Escrow, missing: Money, page: Page) -> Markup:
    return card(
        page,
        say("<b>{missing} in crypto, deal {code}</b>", missing=missing, code=code(escrow.id)),
        say("Which coin do you pay with?"),
        say("Pick the coin and the network that your wallet app sends."),
    )


def coins(
    deal: str, offered: Sequence[Coin], others: Sequence[InlineKeyboardButton] = ()
) -> InlineKeyboardMarkup:
    """One button per coin that can be had; `others`: ways that are not coins, first."""
    rows = [
        [
            InlineKeyboardButton(
                words("{coin}, {network}", coin=Plain(coin.name), network=Plain(coin.network))
                if coin.name != coin.network
                else coin.name,
                callback_data=pack(Button(Verb.COIN, deal, COINS.index(coin) + 1)),
            )
        ]
        for coin in offered
    ]
    return InlineKeyboardMarkup([*([one] for one in others), *rows, [_back(deal)]])


def _back(deal: str) -> InlineKeyboardButton:
    return InlineKeyboardButton(words("Back to the deal"), callback_data=pack(_show(deal)))


def _show(deal: str) -> Button:
    return Button(Verb.SHOW, deal)


def one_moment(coin: Coin) -> Markup:
    return say("One moment, I get a {coin} address for you …", coin=Plain(coin.name))


def quote(asked: CoinsAsked, page: Page) -> Markup:
    """What to send, where to, until when, and what goes wrong otherwise."""
    attempt, coin = asked.attempt, asked.coin
    assert attempt.coin_amount is not None  # noqa: S101 an open attempt has its quote
    assert attempt.expires_at is not None  # noqa: S101
    return card(
        page,
        say(
            "<b>Send {amount} {coin}</b>",
            amount=_copied(plain(attempt.coin_amount)),
            coin=Plain(coin.name),
        ),
        say("Network: <b>{network}</b>", network=Plain(coin.network)),
        say("To: {address}", address=_copied(attempt.address)),
        say("With the tag (memo) {tag}, or it is lost.", tag=_copied(attempt.tag))
        if attempt.tag
        else None,
        say("That is {usd} for deal {code}.", usd=attempt.usd, code=code(attempt.escrow_id))
        if attempt.usd == attempt.amount
        else say(
            "That is {amount} ({usd}) for deal {code}.",
            amount=attempt.amount,
            usd=attempt.usd,
            code=code(attempt.escrow_id),
        ),
        say(
            "This price is for coins that I see by {time} ({countdown}). Later ones count at their "
            "price then.",
            time=clock_time(page, attempt.expires_at),
            countdown=countdown(attempt.expires_at - page.now),
        ),
        say(
            "Send it by {time} ({countdown}): once I see it by then, the deal waits for it.",
            time=clock_time(page, asked.choice_until),
            countdown=countdown(asked.choice_until - page.now),
        )
        if asked.choice_until is not None
        else None,
        say(
            "Send only {coin} on {network}: anything else may be lost. Your wallet app's fee comes "
            "on top.",
            coin=Plain(coin.name),
            network=Plain(coin.network),
        ),
        say("I write as soon as I see the coins. Amana holds the money, not the seller."),
    )


def copies(asked: CoinsAsked) -> InlineKeyboardMarkup:
    """What has to be put into the wallet app, each copied by a tap."""
    attempt = asked.attempt
    rows = [
        [_copy(words("Copy the address"), attempt.address)],
        [_copy(words("Copy the amount"), plain(attempt.coin_amount or Decimal(0)))],
    ]
    if attempt.tag:
        rows.append([_copy(words("Copy the tag"), attempt.tag)])
    return InlineKeyboardMarkup([*rows, [_back(attempt.escrow_id)]])


def _copy(label: str, text: str) -> InlineKeyboardButton:
    return InlineKeyboardButton(label, copy_text=CopyTextButton(text[:COPY_CHARS]))


def _copied(text: str) -> Markup:
    """A word for machines, whole, to be copied by a tap."""
    return say("<code>{text}</code>", text=Plain(text))


def refused(answer: Answer, coin: Coin, page: Page) -> Markup:
    """Why there is no address, and what helps."""
    if answer.verdict is Verdict.DECLINED and answer.reason == "too_small":
        why = say(
            "That is too little to be paid in {coin}. Please choose another coin, or another way "
            "on the deal's card.",
            coin=Plain(coin.name),
        )
    elif answer.verdict is Verdict.DECLINED and answer.reason in ("coin_unavailable", "refused"):
        why = say("{coin} can't be used now. Please choose another coin.", coin=Plain(coin.name))
    elif answer.verdict is Verdict.DECLINED and answer.reason == "misconfigured":
        why = say(
            "Something is wrong with our connection to the crypto provider: our admins are told. "
            "Please choose another way on the deal's card."
        )
    else:
        why = say("I can't get an address just now. Please try again in a minute.")
    return card(page, say("<b>No address yet.</b> Nothing was paid."), why)


def again(deal: str, coin: Coin) -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup(
        [
            [
                InlineKeyboardButton(
                    words("Try again"),
                    callback_data=pack(Button(Verb.COIN, deal, COINS.index(coin) + 1)),
                )
            ],
            [
                InlineKeyboardButton(
                    words("Another coin"), callback_data=pack(Button(Verb.COINS, deal))
                )
            ],
            [_back(deal)],
        ]
    )


# -- notices -------------------------------------------------------------------------------------


def coins_seen(v: Values, page: Page) -> Markup:
    """Coins are on their way: nothing is credited yet."""
    return card(
        page,
        say("<b>I see your {amount} {coin}.</b>", amount=Plain(v["amount"]), coin=_name(v)),
        say(
            "They are on their way for deal {code}. I write again when the network has confirmed "
            "them; please don't pay again.",
            code=code(v["code"]),
        ),
        None
        if v["in_time"]
        else say(
            "They came too late for the price that I named: they count at their price when they "
            "are confirmed."
        ),
    )


def _name(v: Values) -> object:
    """The coin as payers know it; a word of the provider's for one that we do not know."""
    known = BY_CODE.get(str(v["coin"]))
    return Plain(known.name) if known else v["coin"]


def odd_coins(v: Values, page: Page) -> Markup:
    """Admins: coins that are not what was asked for."""
    why = {
        "other_address": say(
            "They went to another address than the one we gave. Nothing was credited."
        ),
        "other_tag": say("They came with another tag than the one we gave. Nothing was credited."),
        "other_coin": say("We do not know that coin's price, so nothing was credited."),
        "maybe_total": say(
            "Coins came to this address before, and the provider may have named the sum of both: "
            "only the difference was credited."
        ),
        "maybe_counted": say(
            "Coins came to this address before, and nobody can tell whether these are counted in "
            "them: nothing was credited for these."
        ),
        "unheard": say(
            "The provider says that something came to our address, and never told how much: "
            "nothing was credited."
        ),
        "no_rate": say(
            "They came after their quote, and there is no fresh price of the dollar: they wait. "
            "Set it on the host: <code>python main.py rate 129.50</code>"
        ),
        "amounts_differ": say(
            "The provider named different amounts for the same coins: the lesser one counts."
        ),
    }.get(str(v["why"]), say("Reason: {why}", why=v["why"]))
    return card(
        page,
        say(
            "<b>Odd coins at {provider}: {amount} {coin}</b>",
            provider=_PROVIDERS.get(str(v["provider"]), Plain(v["provider"])),
            amount=Plain(v["amount"]),
            coin=v["coin"],
        ),
        why,
        say("Deal {code}, asked for {asked}", code=code(v["code"]), asked=v["asked"]),
        say("Transaction {txid}", txid=_txid(str(v["txid"]))),
        say(
            "Look them up at the provider. What the provider can't explain belongs to whoever sent "
            "it."
        ),
    )


def coins_misconfigured(v: Values, page: Page) -> Markup:
    """Admins: a provider that refuses our keys or our set-up."""
    return card(
        page,
        say(
            "<b>{provider} refuses our set-up.</b> Nobody can pay with it until that is mended.",
            provider=_PROVIDERS.get(str(v["provider"]), Plain(v["provider"])),
        ),
        say("It said {word} when asked for an address.", word=v["word"]),
        say("Look at its key and address on the host: <code>python main.py --check</code>"),
    )


def _txid(txid: str) -> Markup | str:
    """To be looked up on its chain, so whole; what is no number of one is somebody's words."""
    return _copied(txid) if _TXID.fullmatch(txid) else txid


_TXID: Final = re.compile(r"(0x)?[0-9a-f]{64}|[0-9A-F]{64}", re.ASCII)
_PROVIDERS: Final = {"blockbee": Plain("BlockBee"), "dynopay": Plain("DynoPay")}
NOTICES: Final[Mapping[str, Callable[[Values, Page], Markup]]] = {
    "coins_seen": coins_seen,
    "odd_coins": odd_coins,
    "coins_misconfigured": coins_misconfigured,
}


def notice_keyboard(kind: str, values: Values) -> InlineKeyboardMarkup | None:
    """Below a notice: the way to the deal, or to its case."""
    if kind == "coins_misconfigured":
        return None
    verb = Verb.CASE if kind == "odd_coins" else Verb.SHOW
    label = (
        words("Case {deal}", deal=Plain(values["code"]))
        if kind == "odd_coins"
        else words("Back to the deal")
    )
    return InlineKeyboardMarkup(
        [[InlineKeyboardButton(label, callback_data=pack(Button(verb, values["code"])))]]
    )


# -- refusals ------------------------------------------------------------------------------------


def coin_not_offered(v: Values, page: Page) -> Markup:
    return say("This coin can't be used now. Please choose another way on the deal's card.")


def no_rate(v: Values, page: Page) -> Markup:
    return say(
        "I don't know today's price of the dollar, so a deal in shillings can't be paid in crypto "
        "now. Please choose another way on the deal's card."
    )


def too_many_addresses(v: Values, page: Page) -> Markup:
    return say(
        "You asked for many addresses within an hour. Please use one that you have, or try again "
        "later."
    )


def shillings_later(v: Values, page: Page) -> Markup:
    return say(
        "Deals in shillings can't be paid here for now: there is no M-Pesa and no price of the "
        "dollar. A deal in dollars is paid in crypto: <code>/newdeal USD 100 Logo design</code>"
    )


def dollars_later(v: Values, page: Page) -> Markup:
    return say(
        "Dollar deals are paid in crypto, and that can't be done here now. Use shillings, please: "
        "<code>/newdeal KES 1500 Blue phone case</code>"
    )


REFUSALS: Final[Mapping[str, Callable[[Values, Page], Markup]]] = {
    one.__name__: one
    for one in (coin_not_offered, no_rate, too_many_addresses, dollars_later, shillings_later)
}
