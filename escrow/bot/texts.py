"""What the bot answers to people, deals aside: greeting, help, numbers, selling, the wallet.

Every sentence a person reads is a function of one of these modules: `texts`, `deal_texts`,
`admin_texts`, `notices`, `admin_notices`, `refusals`, `prompt_words`, and `labels` for buttons.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from escrow.bot.context import Command
from escrow.bot.page import Page, Plain, card, lines, say, spoken, words
from escrow.domain.phone import mask

# -- everybody -----------------------------------------------------------------------------------


def greeting(name: str, page: Page) -> Markup:
    return card(
        page,
        say("<b>Hello {name}, this is Amana.</b>", name=name[:40]),
        say("The buyer pays by M-Pesa, and Amana holds the money.")
        if page.business
        else say("The buyer pays in crypto, and Amana holds the money."),
        say("The seller sends the goods once the money is held."),
        say("So neither has to trust a stranger first."),
    )


def ask_language() -> Markup:
    """In both languages, for whoever does not read the one that he was given."""
    return say("<b>Choose your language.</b> Chagua lugha yako.")


def language_chosen(name: str, page: Page) -> Markup:
    return lines(say("From now on I write in English. /language changes it."), greeting(name, page))


def how_to_buy(page: Page) -> Markup:
    return card(
        page,
        say("<b>Buying</b>"),
        say("Open the link that your seller sent you, or send me the deal's code (ES…)."),
        say("Then press Pay: M-Pesa asks on your phone, and Amana holds the money.")
        if page.business
        else say("Then press Pay in crypto and choose a coin. Amana holds your money."),
        say("Pay only what this bot shows. It never asks for your PIN."),
    )


def how_to_sell(page: Page) -> Markup:
    return card(
        page,
        say("<b>Selling</b>"),
        say("1. Register: <code>/sell Jane Shop</code>. An admin verifies you."),
        say("2. Open a deal: <code>/newdeal 1500 Blue phone case</code>"),
        say("3. Send the link to your buyer."),
        say("4. Send the goods once I say that the money is held – never because of an SMS."),
    )


def help_text(commands: Sequence[Command], page: Page) -> Markup:
    return card(
        page,
        say("<b>What I understand</b>"),
        *(
            say("/{name} – {menu}", name=Plain(one.name), menu=Plain(spoken(one.menu)))
            for one in commands
        ),
        say("A deal's code alone shows the deal."),
    )


def unknown_words(page: Page) -> Markup:
    return say("I didn't understand that. Send a deal's code (ES…), or /help.")


def unknown_command(page: Page) -> Markup:
    return say("I don't know that command. /help shows what I understand.")


def words_only(page: Page) -> Markup:
    return say("I can only read text and contacts here. /help shows what I understand.")


def private_only() -> Markup:
    return say("I work in private chats only, because money is nobody else's business.")


def stopped() -> Markup:
    return say("All right, I stopped asking. Your deals stay as they are.")


def done_already() -> str:
    """Shown for a moment over a button that was pressed twice. Plain text."""
    return words("Done already.")


def apology(number: str, *, later: bool) -> Markup:
    """Something failed on our side; `later`: it is known to pass."""
    if later:
        return say(
            "I can't reach my books just now. Please try again in a minute. (No. {number})",
            number=Plain(number),
        )
    return say(
        "Sorry, something went wrong on our side. Please try again. "
        "Our people find the cause under number {number}.",
        number=Plain(number),
    )


def answer_lost() -> Markup:
    """Telegram could not take an answer of ours; what was asked for may be done."""
    return say("My answer may not have reached you. /deals shows where your deals stand.")


# -- numbers -------------------------------------------------------------------------------------


def ask_number_to_pay(page: Page) -> Markup:
    return lines(
        say("<b>Which M-Pesa number shall pay?</b>"),
        say("Share yours with the button below, or type it (like 0712345678). I ask only once."),
    )


def ask_number_to_sell(shop: str, page: Page) -> Markup:
    return lines(
        say("<b>Which M-Pesa number belongs to {shop}?</b>", shop=shop),
        say("Share yours with the button below, or type it (like 0712345678)."),
    )


def ask_number_again(page: Page) -> Markup:
    return say("Please type it once more, so that there is no slip.")


def ask_own_number(page: Page) -> Markup:
    return say("Share your own number with the button below; then paying goes on by itself.")


def ask_change_number(old: str, new: str, page: Page) -> Markup:
    return say(
        "Change your number from {old} to {new}?", old=Plain(mask(old)), new=Plain(mask(new))
    )


def number_kept(page: Page) -> Markup:
    return say("All right, your number stays as it was.")


def number_saved(msisdn: str, page: Page) -> Markup:
    return say(
        "Your M-Pesa number is {phone}. To change it, just send another one.",
        phone=Plain(mask(msisdn)),
    )


# -- sellers -------------------------------------------------------------------------------------


def ask_shop_name(page: Page) -> Markup:
    return say("What is your shop called? Send me its name, like: Jane Shop")
